//! How cost grows with size: the straight line that is nearest to what was measured.

/// `y = fixed + per_unit * x`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Growth {
    pub(crate) fixed: f64,
    pub(crate) per_unit: f64,
}

impl Growth {
    /// By least squares; none of fewer than two sizes.
    pub(crate) fn of(points: &[(f64, f64)]) -> Option<Self> {
        let count = points.len() as f64;
        let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
        let (x, y) = (mean(|point| point.0), mean(|point| point.1));
        let spread: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
        if points.len() < 2 || spread <= 0.0 {
            return None;
        }
        let per_unit = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum::<f64>() / spread;
        Some(Self { fixed: y - per_unit * x, per_unit })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_straight_line_is_found_again() {
        let growth = Growth::of(&[(1.0, 5.0), (10.0, 23.0), (50.0, 103.0)]).unwrap();
        assert!((growth.fixed - 3.0).abs() < 1e-9 && (growth.per_unit - 2.0).abs() < 1e-9, "{growth:?}");
    }

    #[test]
    fn what_lies_off_the_line_is_spread_over_it() {
        let growth = Growth::of(&[(0.0, 0.0), (1.0, 2.0), (2.0, 1.0)]).unwrap();
        assert!((growth.per_unit - 0.5).abs() < 1e-9 && (growth.fixed - 0.5).abs() < 1e-9, "{growth:?}");
    }

    #[test]
    fn one_size_has_no_growth() {
        assert_eq!(Growth::of(&[]), None);
        assert_eq!(Growth::of(&[(1.0, 5.0)]), None);
        assert_eq!(Growth::of(&[(1.0, 5.0), (1.0, 6.0)]), None);
    }
}
