//! Floats as Go's `strconv.FormatFloat(v, 'g', -1, 64)` writes them, since dashboards and tests compare text.

/// Appends `value` in the shortest form that reads back the same: plain for decimal exponents from -4 to 5, else
/// scientific with a sign and at least two exponent digits (`1.5e+09`). Infinities and NaN are `+Inf`, `-Inf`, `NaN`.
///
/// ```
/// let mut out = Vec::new();
/// ksm_core::value::write_value(&mut out, 1_500_000_000.0);
/// assert_eq!(out, b"1.5e+09");
/// ```
#[inline]
pub fn write_value(out: &mut Vec<u8>, value: f64) {
    // Nearly all samples are 0, 1 or another small count.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "guarded by the comparison after it")]
    let small = value as u32;
    if small < 1_000_000 && f64::from(small).to_bits() == value.to_bits() {
        out.extend_from_slice(itoa::Buffer::new().format(small).as_bytes());
    } else {
        write_float(out, value);
    }
}

fn write_float(out: &mut Vec<u8>, value: f64) {
    if value.is_nan() {
        return out.extend_from_slice(b"NaN");
    }
    if value.is_infinite() {
        return out.extend_from_slice(if value > 0.0 { b"+Inf" } else { b"-Inf" });
    }
    if value == 0.0 {
        // Upstream has a short cut for zero, which drops the sign of the negative one.
        return out.push(b'0');
    }
    if value.is_sign_negative() {
        out.push(b'-');
    }
    let mut buffer = zmij::Buffer::new();
    let shortest = buffer.format_finite(value.abs());
    let Decimal { digits, exponent } = Decimal::parse(shortest);
    let digits = digits.as_slice();
    if (-4..6).contains(&exponent) {
        write_plain(out, digits, exponent);
    } else {
        write_scientific(out, digits, exponent);
    }
}

/// A decimal number `d.ddd × 10^exponent` without leading or trailing zeros.
struct Decimal {
    digits: Digits,
    exponent: i32,
}

/// At most 17 significant digits carry an f64.
#[derive(Default)]
struct Digits {
    bytes: [u8; 20],
    len: usize,
}

impl Digits {
    fn push(&mut self, digit: u8) {
        if let Some(slot) = self.bytes.get_mut(self.len) {
            *slot = digit;
            self.len += 1;
        }
    }

    fn as_slice(&self) -> &[u8] {
        let digits = self.bytes.get(..self.len).unwrap_or_default();
        let end = digits.iter().rposition(|d| *d != b'0').map_or(0, |last| last + 1);
        digits.get(..end).unwrap_or_default()
    }
}

impl Decimal {
    /// Reads a positive, non-zero number in plain (`0.00012`) or scientific (`1.2e-7`) form.
    fn parse(text: &str) -> Self {
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let shift: i32 = exponent.parse().unwrap_or(0);
        let mut digits = Digits::default();
        let mut point = None;
        let mut leading_zeros = 0;
        let mut significant = 0;
        for byte in mantissa.bytes() {
            match byte {
                b'.' => point = Some(significant - leading_zeros),
                b'0' if significant == 0 => leading_zeros += i32::from(point.is_some()),
                digit => {
                    digits.push(digit);
                    significant += 1;
                }
            }
        }
        // The digits before the decimal point; negative by the zeros that follow it.
        let before_point = match point {
            Some(before) if before > 0 => before,
            Some(_) => -leading_zeros,
            None => significant,
        };
        Self { digits, exponent: before_point - 1 + shift }
    }
}

fn write_plain(out: &mut Vec<u8>, digits: &[u8], exponent: i32) {
    let Ok(whole) = usize::try_from(exponent + 1) else {
        out.extend_from_slice(b"0.");
        out.extend(std::iter::repeat_n(b'0', exponent.unsigned_abs() as usize - 1));
        return out.extend_from_slice(digits);
    };
    if whole == 0 {
        out.extend_from_slice(b"0.");
        return out.extend_from_slice(digits);
    }
    match digits.split_at_checked(whole) {
        Some((before, after)) => {
            out.extend_from_slice(before);
            if !after.is_empty() {
                out.push(b'.');
                out.extend_from_slice(after);
            }
        }
        None => {
            out.extend_from_slice(digits);
            out.extend(std::iter::repeat_n(b'0', whole - digits.len()));
        }
    }
}

fn write_scientific(out: &mut Vec<u8>, digits: &[u8], exponent: i32) {
    if let Some((first, rest)) = digits.split_first() {
        out.push(*first);
        if !rest.is_empty() {
            out.push(b'.');
            out.extend_from_slice(rest);
        }
    }
    out.push(b'e');
    out.push(if exponent < 0 { b'-' } else { b'+' });
    let magnitude = exponent.unsigned_abs();
    if magnitude < 10 {
        out.push(b'0');
    }
    out.extend_from_slice(itoa::Buffer::new().format(magnitude).as_bytes());
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "the values have exact forms")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(value: f64) -> String {
        let mut out = Vec::new();
        write_value(&mut out, value);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn scientific_from_a_million_and_below_a_ten_thousandth() {
        let cases = [
            (0.0, "0"),
            (-0.0, "0"),
            (1.0, "1"),
            (10.0, "10"),
            (100_000.0, "100000"),
            (999_999.0, "999999"),
            (1_000_000.0, "1e+06"),
            (1_234_567.8, "1.2345678e+06"),
            (0.25, "0.25"),
            (0.0001, "0.0001"),
            (0.000_123_45, "0.00012345"),
            (0.000_01, "1e-05"),
            (35.7, "35.7"),
            (-2.5, "-2.5"),
            (1e100, "1e+100"),
            (5e-324, "5e-324"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
        ];
        for (value, want) in cases {
            assert_eq!(text(value), want);
        }
    }

    proptest! {
        #[test]
        fn prop_reads_back_to_the_same_value(value in any::<f64>().prop_filter("NaN has many bits", |v| !v.is_nan())) {
            prop_assert_eq!(text(value).parse::<f64>().unwrap(), value);
        }

        #[test]
        fn prop_decimals_have_no_superfluous_zero(mantissa in 1u32..1_000_000, scale in 0u32..12) {
            let value = f64::from(mantissa) / 10f64.powi(i32::try_from(scale).unwrap());
            let text = text(value);
            let mantissa = text.split('e').next().unwrap();
            prop_assert!(!mantissa.contains('.') || !mantissa.ends_with('0'), "{}", text);
            prop_assert_eq!(text.parse::<f64>().unwrap().to_bits(), value.to_bits());
        }
    }
}
