//! Quantities as Kubernetes writes them.

/// What a processor is counted in.
pub(super) const NANO: u64 = 1_000_000_000;

/// A quantity (`500m`, `1.5Gi`, `1e3`) in parts of which `unit` make a whole; what is finer rounds up, as Kubernetes does it.
/// None for what is no quantity, and what is below zero.
pub(super) fn amount(text: &str, unit: u64) -> Option<u64> {
    let text = text.strip_prefix('+').unwrap_or(text);
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at_checked(end)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let (power, bits): (i32, u32) = match suffix {
        "n" => (-9, 0),
        "u" => (-6, 0),
        "m" => (-3, 0),
        "" => (0, 0),
        "k" => (3, 0),
        "M" => (6, 0),
        "G" => (9, 0),
        "T" => (12, 0),
        "P" => (15, 0),
        "E" => (18, 0),
        "Ki" => (0, 10),
        "Mi" => (0, 20),
        "Gi" => (0, 30),
        "Ti" => (0, 40),
        "Pi" => (0, 50),
        "Ei" => (0, 60),
        _ => (suffix.strip_prefix(['e', 'E'])?.parse().ok()?, 0),
    };
    // Digits that no amount of 64 bits has are as good as the most, or as the least.
    let mut value: u128 = 0;
    let mut power = power;
    let mut lost = false;
    for (place, digit) in whole.bytes().chain(fraction.bytes()).enumerate() {
        let after_point = place >= whole.len();
        if value > u128::from(u64::MAX) * 1_000_000 {
            lost |= digit != b'0';
            power = power.saturating_add(i32::from(!after_point));
        } else {
            value = value * 10 + u128::from(digit - b'0');
            power = power.saturating_sub(i32::from(after_point));
        }
    }
    if value == 0 {
        return Some(0);
    }
    let most = u64::MAX;
    let scaled = value.checked_mul(u128::from(unit)).and_then(|value| value.checked_mul(1 << bits));
    let Some(scaled) = scaled else { return Some(most) };
    let rounded = if power >= 0 {
        10_u128.checked_pow(power.unsigned_abs()).and_then(|factor| scaled.checked_mul(factor))
    } else {
        let parts = 10_u128.checked_pow(power.unsigned_abs());
        Some(parts.map_or(1, |parts| scaled / parts + u128::from(scaled % parts != 0 || lost)))
    };
    Some(rounded.and_then(|value| u64::try_from(value).ok()).unwrap_or(most))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quantities_are_read_as_kubernetes_reads_them() {
        let cases = [
            ("500m", NANO, Some(500_000_000)),
            ("1", NANO, Some(NANO)),
            ("0.1", NANO, Some(100_000_000)),
            (".5", NANO, Some(500_000_000)),
            ("1n", NANO, Some(1)),
            ("0.1n", NANO, Some(1)),
            ("250u", NANO, Some(250_000)),
            ("+2", NANO, Some(2 * NANO)),
            ("0", 1, Some(0)),
            ("128Mi", 1, Some(128 << 20)),
            ("1.5Gi", 1, Some(1_610_612_736)),
            ("0.3Ki", 1, Some(308)),
            ("100M", 1, Some(100_000_000)),
            ("1e3", 1, Some(1000)),
            ("12E-1", 1, Some(2)),
            ("1E", 1, Some(1_000_000_000_000_000_000)),
            ("100m", 1, Some(1)),
            ("128974848000m", 1, Some(128_974_848)),
            ("16Ei", 1, Some(u64::MAX)),
            ("1e999", 1, Some(u64::MAX)),
            ("1e-999", 1, Some(1)),
            ("100000000000000000000000000000000000000000", 1, Some(u64::MAX)),
            ("1.0000000000000000000000000000000000000001", 1, Some(2)),
            ("0e999999999", 1, Some(0)),
            ("-1", 1, None),
            ("", 1, None),
            (".", 1, None),
            ("1.2.3", 1, None),
            ("1Q", 1, None),
            ("1e", 1, None),
            ("Gi", 1, None),
        ];
        for (text, unit, wanted) in cases {
            assert_eq!(amount(text, unit), wanted, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[-+0-9.eEkKMGTPmunif]{0,50}") {
            let _ = amount(&text, NANO);
        }

        #[test]
        fn whole_numbers_are_exact(value: u64) {
            prop_assert_eq!(amount(&value.to_string(), 1), Some(value));
        }
    }
}
