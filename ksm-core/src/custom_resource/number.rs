//! JSON values as samples.
//!
//! The rules and their order are kube-state-metrics': booleans and the words of a condition's status, times, Kubernetes
//! quantities, percentages, numbers.

use serde_json::Value;
use thiserror::Error;

use crate::value::unix_seconds;

/// A value that is no number.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NumberError {
    /// There is none.
    #[error("there is no value: set `nilIsZero: true` where that means 0")]
    Null,
    /// A text that none of the rules reads; its beginning.
    #[error("{0:?} is neither a number, a quantity, a percentage, a time, nor a word like True")]
    Text(String),
    /// A list or a map.
    #[error("a {0} is no number: extend the path, or aggregate it")]
    Kind(&'static str),
}

/// The number that a value stands for.
///
/// | value | number |
/// |---|---|
/// | `true`, `"true"`, `"yes"` | 1; words in any case |
/// | `false`, `"false"`, `"no"`, `"unknown"` | 0 |
/// | a time of RFC 3339 | whole Unix seconds |
/// | a quantity: `"250m"`, `"5Gi"` | its amount in the unit without suffix |
/// | a percentage: `"28%"`, and `"37.5%"`, which kube-state-metrics refuses | a hundredth of it |
/// | any other number, as text too; `"NaN"` and `"Inf"` | itself |
///
/// ```
/// use ksm_core::custom_resource::to_number;
/// use serde_json::json;
///
/// assert_eq!(to_number(&json!("250m")), Ok(0.25));
/// assert_eq!(to_number(&json!("37.5%")), Ok(0.375));
/// assert!(to_number(&json!("Pending")).is_err());
/// ```
pub fn to_number(value: &Value) -> Result<f64, NumberError> {
    const SHOWN: usize = 64;
    match value {
        Value::Null => Err(NumberError::Null),
        Value::Bool(value) => Ok(f64::from(u8::from(*value))),
        Value::Number(value) => value.as_f64().ok_or(NumberError::Null),
        Value::String(text) => number(text).ok_or_else(|| NumberError::Text(text.chars().take(SHOWN).collect())),
        Value::Array(_) => Err(NumberError::Kind("list")),
        Value::Object(_) => Err(NumberError::Kind("map")),
    }
}

/// The number that a text stands for.
pub(super) fn number(text: &str) -> Option<f64> {
    word(text).or_else(|| time(text)).or_else(|| quantity(text)).or_else(|| percentage(text)).or_else(|| float(text))
}

/// A float, or one of the words for what is none; not what is too large for one.
fn float(text: &str) -> Option<f64> {
    let has_digits = || text.contains(|c: char| c.is_ascii_digit());
    text.parse().ok().filter(|value: &f64| value.is_finite() || !has_digits())
}

fn word(text: &str) -> Option<f64> {
    let is = |word: &&str| text.eq_ignore_ascii_case(word);
    if ["true", "yes"].iter().any(is) {
        return Some(1.0);
    }
    ["false", "no", "unknown"].iter().any(is).then_some(0.0)
}

fn time(text: &str) -> Option<f64> {
    // The shape comes first: it is cheap to look at, and stricter than the parser, as RFC 3339 is.
    let bytes = text.as_bytes();
    let has = |at: usize, wanted: u8| bytes.get(at) == Some(&wanted);
    let is_shaped = has(4, b'-') && has(7, b'-') && has(10, b'T') && has(13, b':') && has(16, b':');
    if !is_shaped || text.ends_with(']') {
        return None;
    }
    text.parse().ok().map(|time| unix_seconds(&time))
}

/// A Kubernetes quantity as `Quantity.AsApproximateFloat64()` gives it: the digits as an integer, times a power of ten.
/// That the product is rounded (`"700m"` is 0.7000000000000001) is part of what dashboards compare with.
///
/// Unlike [`crate::value::Quantity`], this reads a suffix without digits as none of its units, as upstream does.
fn quantity(text: &str) -> Option<f64> {
    // What 64 bits hold of decimal digits, and the finest unit that there is.
    const DIGITS: usize = 18;
    const FINEST: i64 = -9;

    if text.is_empty() {
        return None;
    }
    let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
    let (whole, rest) = digits(text.strip_prefix(['+', '-']).unwrap_or(text));
    let (fraction, suffix) = rest.strip_prefix('.').map_or(("", rest), digits);
    let whole = whole.trim_start_matches('0');
    let places = i64::try_from(fraction.len()).ok()?;
    let (bits, power) = scale(suffix)?;
    let power = power.saturating_sub(places);
    if whole.len() + fraction.len() > DIGITS || power < FINEST {
        return Some(sign * long_quantity(whole, fraction, bits, power.saturating_add(places)));
    }
    let digits = whole.bytes().chain(fraction.bytes());
    let integer = digits.fold(0, |value: u64, digit| value * 10 + u64::from(digit - b'0'));
    let value = (u128::from(integer) << bits) as f64 * power_of_ten(power);
    Some(sign * if bits == 0 { value } else { value.min(MAX) })
}

/// The largest amount that upstream's exact arithmetic gives.
const MAX: f64 = i64::MAX as f64;

/// What has too many digits for 64 bits, or is finer than a nano, which it is rounded up to.
fn long_quantity(whole: &str, fraction: &str, bits: u32, power: i64) -> f64 {
    let value: f64 = format!("0{whole}.{fraction}e{power}").parse().unwrap_or(0.0);
    let value = value * (1_u64 << bits) as f64;
    // Above this, a float has no nanos.
    let is_exact = value > 1e6;
    if is_exact { value.min(MAX) } else { (value * 1e9).ceil() / 1e9 }
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

/// A suffix as powers of two and of ten.
fn scale(suffix: &str) -> Option<(u32, i64)> {
    Some(match suffix {
        "n" => (0, -9),
        "u" => (0, -6),
        "m" => (0, -3),
        "" => (0, 0),
        "k" => (0, 3),
        "M" => (0, 6),
        "G" => (0, 9),
        "T" => (0, 12),
        "P" => (0, 15),
        "E" => (0, 18),
        "Ki" => (10, 0),
        "Mi" => (20, 0),
        "Gi" => (30, 0),
        "Ti" => (40, 0),
        "Pi" => (50, 0),
        "Ei" => (60, 0),
        other => (0, other.strip_prefix(['e', 'E'])?.parse::<i32>().ok()?.into()),
    })
}

/// The power as Go's `math.Pow10` gives it.
fn power_of_ten(power: i64) -> f64 {
    match i32::try_from(power) {
        Ok(power @ 0..=22) => 10_f64.powi(power),
        Ok(power @ -22..0) => 1.0 / 10_f64.powi(-power),
        Ok(power @ -323..=308) => format!("1e{power}").parse().unwrap_or(0.0),
        _ if power < 0 => 0.0,
        _ => f64::INFINITY,
    }
}

fn percentage(text: &str) -> Option<f64> {
    let number = text.strip_suffix('%')?;
    let is_plain =
        number.starts_with(|c: char| c.is_ascii_digit()) && number.chars().all(|c| c.is_ascii_digit() || c == '.');
    let number: f64 = number.parse().ok().filter(|_| is_plain)?;
    Some(number / 100.0)
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "the values have exact forms")]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn of(text: &str) -> f64 {
        number(text).unwrap_or_else(|| panic!("{text}"))
    }

    #[test]
    fn quantities_are_rounded_as_upstreams_floats_are() {
        for (text, want) in [
            ("700m", 700.0 * 0.001),
            ("0.7", 7.0 * 0.1),
            ("1.5Gi", 1_610_612_736.0),
            ("-2.5k", -2500.0),
            ("1e3", 1000.0),
            ("1E", 1e18),
            ("10E", 1e19),
            ("8Ei", 9_223_372_036_854_775_807.0),
            ("00012", 12.0),
            ("1500000000n", 1.5),
            ("0.1n", 1e-9),
            ("1234567890123456789012", 9_223_372_036_854_775_807.0),
            ("0.12345678901234567890", 0.123_456_790),
            ("Mi", 0.0),
            ("-", 0.0),
            (".5Ki", 512.0),
        ] {
            assert_eq!(of(text), want, "{text}");
        }
        assert_eq!(of("1e400"), f64::INFINITY);
        assert_eq!(of("1e-2000000000"), 0.0);
    }

    #[test]
    fn words_times_and_percentages() {
        for (text, want) in [
            ("TRUE", 1.0),
            ("No", 0.0),
            ("unKnown", 0.0),
            ("2022-06-28T00:00:00.75Z", 1_656_374_400.0),
            ("2022-06-28T02:00:00+02:00", 1_656_374_400.0),
            ("37.5%", 0.375),
            ("100%", 1.0),
            ("+Inf", f64::INFINITY),
            ("-inf", f64::NEG_INFINITY),
        ] {
            assert_eq!(of(text), want, "{text}");
        }
        assert!(of("nan").is_nan());
    }

    #[test]
    fn what_no_rule_reads_is_none() {
        for text in [
            "",
            " ",
            "Pending",
            "5 Mi",
            "1.2.3",
            "1ee3",
            "e",
            "%",
            "-5%",
            "1e3%",
            "NaN%",
            "2022-06-28 00:00:00Z",
            "2022-06-28T00:00:00Z[UTC]",
            "2022-99-28T00:00:00Z",
            "1e99999999999",
            "0x1F",
            "5Kib",
        ] {
            assert_eq!(number(text), None, "{text}");
        }
        assert!(to_number(&json!([1])).is_err() && to_number(&json!({})).is_err());
    }

    proptest! {
        #[test]
        fn prop_any_text_is_a_number_or_none(text in "[-+0-9.eEinumkKMGTP%:TZ]{0,40}") {
            let _ = number(&text);
        }

        #[test]
        fn prop_integers_are_themselves(value in any::<i32>()) {
            prop_assert_eq!(number(&value.to_string()), Some(f64::from(value)));
        }
    }
}
