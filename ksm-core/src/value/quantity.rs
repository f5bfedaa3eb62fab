//! Kubernetes resource quantities (`500m`, `1.5Gi`, `1e3`), read without allocation.
//!
//! The grammar is `apimachinery/pkg/api/resource`: a signed decimal, then a binary suffix (`Ki` … `Ei`), a decimal one
//! (`n u m k M G T P E`, or none), or an exponent (`e3`, `E-2`). Values are exact in an `i128` of nano-units; what is
//! finer than a nano rounds away from zero, and what is larger than 2⁶³-1 units is cut to that, as upstream does.

use thiserror::Error;

/// A text that is no quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum QuantityError {
    /// There is no number before the suffix.
    #[error("a quantity starts with a number, like 500m or 1.5Gi")]
    NoNumber,
    /// The suffix is none that Kubernetes knows.
    #[error("unknown quantity suffix: use n, u, m, k, M, G, T, P, E, Ki, Mi, Gi, Ti, Pi, Ei or an exponent like e3")]
    Suffix,
}

const NANO: i128 = 1_000_000_000;

/// The largest amount there is, in nano-units.
const MAX: i128 = i64::MAX as i128 * NANO;

/// The largest amount that has a count of thousandths in 64 bits, in nano-units.
const MAX_EXACT: i128 = (i64::MAX / 1000) as i128 * NANO;

/// An exact amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity {
    nanos: i128,
}

impl Quantity {
    /// Reads a quantity.
    ///
    /// ```
    /// use ksm_core::value::Quantity;
    ///
    /// assert_eq!(Quantity::parse("1.5Gi")?.value(), 1_610_612_736.0);
    /// assert_eq!(Quantity::parse("100m")?.milli_value() / 1000.0, 0.1);
    /// # Ok::<(), ksm_core::value::QuantityError>(())
    /// ```
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        let number = Number::parse(text)?;
        let nanos = number.scale.nanos(number.whole, number.fraction).min(MAX);
        Ok(Self { nanos: if number.negative { -nanos } else { nanos } })
    }

    /// The amount of a text as `Quantity.AsApproximateFloat64()` gives it: without the bounds of a [`Quantity`], and
    /// with upstream's rounding, which multiplies the digits by a power of ten.
    ///
    /// ```
    /// use ksm_core::value::Quantity;
    ///
    /// assert_eq!(Quantity::approximate("250m")?, 0.25);
    /// # Ok::<(), ksm_core::value::QuantityError>(())
    /// ```
    pub fn approximate(text: &str) -> Result<f64, QuantityError> {
        let number = Number::parse(text)?;
        let digits = number.whole.bytes().chain(number.fraction.bytes());
        let digits = digits.fold(0.0, |value: f64, digit| value.mul_add(10.0, f64::from(digit - b'0')));
        if digits <= 0.0 {
            return Ok(0.0);
        }
        let places = i32::try_from(number.fraction.len()).unwrap_or(i32::MAX);
        let size = match number.scale {
            Scale::Decimal(power) => digits * power_of_ten(power.saturating_sub(places)),
            Scale::Binary(bits) => digits * power_of_ten(-places) * (1_u64 << bits) as f64,
        };
        // The exposition has infinities, but no amount is one.
        let size = size.min(f64::MAX);
        Ok(if number.negative { -size } else { size })
    }

    /// The amount in whole units, rounded up (away from zero), as `Quantity.Value()` gives it.
    pub fn value(self) -> f64 {
        div_away_from_zero(self.nanos, NANO) as f64
    }

    /// The amount in thousandths, rounded up (away from zero), as `Quantity.MilliValue()` gives it.
    pub fn milli_value(self) -> f64 {
        div_away_from_zero(self.nanos, NANO / 1000) as f64
    }

    /// The amount to the thousandth, in whole units where it is too large for that: how cores and all that a node has
    /// are exposed.
    pub fn amount(self) -> f64 {
        if self.nanos > MAX_EXACT { self.value() } else { self.milli_value() / 1000.0 }
    }
}

/// A quantity's text, taken apart.
struct Number<'a> {
    negative: bool,
    /// The digits before and after the point.
    whole: &'a str,
    fraction: &'a str,
    scale: Scale,
}

impl<'a> Number<'a> {
    fn parse(text: &'a str) -> Result<Self, QuantityError> {
        let (negative, unsigned) = match text.as_bytes() {
            [b'-', ..] => (true, text.get(1..).unwrap_or_default()),
            [b'+', ..] => (false, text.get(1..).unwrap_or_default()),
            _ => (false, text),
        };
        let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return Err(QuantityError::NoNumber);
        }
        Ok(Self { negative, whole, fraction, scale: Scale::parse(suffix)? })
    }
}

#[derive(Clone, Copy)]
enum Scale {
    Decimal(i32),
    Binary(u32),
}

impl Scale {
    fn parse(suffix: &str) -> Result<Self, QuantityError> {
        Ok(match suffix {
            "" => Self::Decimal(0),
            "n" => Self::Decimal(-9),
            "u" => Self::Decimal(-6),
            "m" => Self::Decimal(-3),
            "k" => Self::Decimal(3),
            "M" => Self::Decimal(6),
            "G" => Self::Decimal(9),
            "T" => Self::Decimal(12),
            "P" => Self::Decimal(15),
            "E" => Self::Decimal(18),
            "Ki" => Self::Binary(10),
            "Mi" => Self::Binary(20),
            "Gi" => Self::Binary(30),
            "Ti" => Self::Binary(40),
            "Pi" => Self::Binary(50),
            "Ei" => Self::Binary(60),
            other => {
                let exponent = other.strip_prefix(['e', 'E']).ok_or(QuantityError::Suffix)?;
                Self::Decimal(exponent.parse().map_err(|_| QuantityError::Suffix)?)
            }
        })
    }

    /// `whole.fraction` at this scale in nano-units, saturating.
    fn nanos(self, whole: &str, fraction: &str) -> i128 {
        match self {
            Self::Decimal(power) => decimal(whole, fraction, power.saturating_add(9)),
            Self::Binary(bits) => {
                // A fraction of a binary unit is exact in 9 more decimal digits than it has bits below a nano.
                let whole = decimal(whole, "", 9).saturating_mul(1 << bits);
                if fraction.is_empty() {
                    return whole;
                }
                let fraction = decimal("", fraction, 18);
                whole.saturating_add(div_away_from_zero(fraction.saturating_mul(1 << bits), NANO))
            }
        }
    }
}

/// `whole.fraction × 10^power`, rounded away from zero, saturating.
fn decimal(whole: &str, fraction: &str, power: i32) -> i128 {
    if let Some(value) = short_decimal(whole, fraction, power) {
        return value;
    }
    let mut value: i128 = 0;
    let mut power = power;
    let mut inexact = false;
    let digits = whole.bytes().map(|d| (d, false)).chain(fraction.bytes().map(|d| (d, true)));
    for (digit, after_point) in digits {
        if after_point && power == 0 {
            inexact |= digit != b'0';
            continue;
        }
        if after_point {
            power -= 1;
        }
        value = value.saturating_mul(10).saturating_add(i128::from(digit - b'0'));
    }
    while power > 0 && value != 0 && value != i128::MAX {
        value = value.saturating_mul(10);
        power -= 1;
    }
    while power < 0 && value != 0 {
        inexact |= value % 10 != 0;
        value /= 10;
        power += 1;
    }
    value.saturating_add(i128::from(inexact))
}

/// The same for the quantities that there are: few digits, none of them too fine. Wide arithmetic digit by digit would
/// be most of the time that a container's samples take.
fn short_decimal(whole: &str, fraction: &str, power: i32) -> Option<i128> {
    const DIGITS: usize = 18;
    const POWERS: [i128; DIGITS + 1] = {
        let mut powers = [1; DIGITS + 1];
        let mut at = 1;
        while at <= DIGITS {
            powers[at] = powers[at - 1] * 10;
            at += 1;
        }
        powers
    };

    if whole.len() + fraction.len() > DIGITS {
        return None;
    }
    let power = usize::try_from(power).ok()?.checked_sub(fraction.len())?;
    let digits = whole.bytes().chain(fraction.bytes());
    let value = digits.fold(0, |value: u64, digit| value * 10 + u64::from(digit - b'0'));
    Some(i128::from(value) * POWERS.get(power)?)
}

fn power_of_ten(power: i32) -> f64 {
    if power < 0 { 1.0 / 10_f64.powi(power.saturating_neg()) } else { 10_f64.powi(power) }
}

fn div_away_from_zero(value: i128, by: i128) -> i128 {
    // Narrow division is ten times as fast, and wide enough for nearly all amounts.
    if let (Ok(value), Ok(by)) = (i64::try_from(value), i64::try_from(by)) {
        return i128::from(value / by + (value % by).signum());
    }
    let quotient = value / by;
    quotient + (value % by).signum()
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "the values have exact forms")]
mod tests {
    use super::*;

    fn value(text: &str) -> f64 {
        Quantity::parse(text).unwrap().value()
    }

    fn cores(text: &str) -> f64 {
        Quantity::parse(text).unwrap().milli_value() / 1000.0
    }

    #[test]
    fn suffixes_scale() {
        assert_eq!(value("12"), 12.0);
        assert_eq!(value("1k"), 1e3);
        assert_eq!(value("1.5Gi"), 1_610_612_736.0);
        assert_eq!(value("2E"), 2e18);
        assert_eq!(value("1e3"), 1e3);
        assert_eq!(value("12E-1"), 2.0);
        assert_eq!(value("-5"), -5.0);
        assert_eq!(value("+5"), 5.0);
        assert_eq!(value(".5Ki"), 512.0);
        assert_eq!(value("5."), 5.0);
    }

    #[test]
    fn rounding_is_up_in_size() {
        assert_eq!(value("100m"), 1.0);
        assert_eq!(value("-100m"), -1.0);
        assert_eq!(cores("100m"), 0.1);
        assert_eq!(cores("1u"), 0.001);
        assert_eq!(cores("1500000000n"), 1.5);
        assert_eq!(cores("0.1n"), 0.001);
    }

    #[test]
    fn an_amount_is_exact_to_the_thousandth_until_it_is_too_large_for_that() {
        let amount = |text: &str| Quantity::parse(text).unwrap().amount();
        assert_eq!(amount("1500m"), 1.5);
        assert_eq!(amount("1u"), 0.001);
        assert_eq!(amount("9223372036854775.5"), 9_223_372_036_854_776.0);
        assert_eq!(amount("-2500m"), -2.5);
    }

    #[test]
    fn an_approximation_rounds_as_upstream_does() {
        let approximate = |text: &str| Quantity::approximate(text).unwrap();
        assert_eq!(approximate("0.5"), 0.5);
        assert_eq!(approximate("0.7"), 0.700_000_000_000_000_1);
        assert_eq!(approximate("700m"), 0.700_000_000_000_000_1);
        assert_eq!(approximate("0.0000000001"), 1e-10);
        assert_eq!(approximate("-1.5Ki"), -1536.0);
        assert_eq!(approximate("1e2000000000"), f64::MAX);
        assert_eq!(approximate("1e-2147483648"), 0.0);
        assert_eq!(approximate("0e2147483647"), 0.0);
        assert_eq!(Quantity::approximate("some"), Err(QuantityError::NoNumber));
    }

    #[test]
    fn what_is_no_quantity_says_why() {
        assert_eq!(Quantity::parse(""), Err(QuantityError::NoNumber));
        assert_eq!(Quantity::parse("Mi"), Err(QuantityError::NoNumber));
        assert_eq!(Quantity::parse("1.2.3"), Err(QuantityError::NoNumber));
        assert_eq!(Quantity::parse("5 Mi"), Err(QuantityError::Suffix));
        assert_eq!(Quantity::parse("1kk"), Err(QuantityError::Suffix));
    }

    #[test]
    fn the_short_way_is_the_long_way() {
        // Leading zeros take the same number past what the short way reads.
        let zeros = "0".repeat(20);
        for number in ["0", "1", "17", "999999999999999999", "0.1", "123.456", ".000000001", "1.0000000001"] {
            for suffix in ["", "n", "u", "m", "k", "M", "G", "T", "Ki", "Mi", "Gi", "Ei", "e3", "e-3"] {
                let (short, long) = (format!("{number}{suffix}"), format!("{zeros}{number}{suffix}"));
                assert_eq!(Quantity::parse(&short), Quantity::parse(&long), "{short}");
            }
        }
    }

    #[test]
    fn absurd_sizes_end_quickly_and_saturate() {
        assert_eq!(value("1e2000000000"), 9_223_372_036_854_775_807.0);
        assert_eq!(value("10E"), 9_223_372_036_854_775_807.0);
        assert_eq!(value("0e2000000000"), 0.0);
        assert_eq!(value("1e-2000000000"), 1.0);
    }
}
