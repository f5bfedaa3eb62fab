//! Escaping of label values and help texts (Prometheus text format 0.0.4).

use std::borrow::Cow;

/// Appends `value` with `\`, `"` and newline escaped. Other control characters stay as they are, as the format has it.
#[inline]
pub fn escape_label_value(out: &mut Vec<u8>, value: &str) {
    let mut rest = value.as_bytes();
    while let Some(at) = memchr::memchr3(b'\\', b'"', b'\n', rest) {
        let (plain, tail) = rest.split_at(at);
        out.extend_from_slice(plain);
        if let Some((special, tail)) = tail.split_first() {
            out.extend_from_slice(match special {
                b'\n' => b"\\n",
                b'"' => b"\\\"",
                _ => b"\\\\",
            });
            rest = tail;
        }
    }
    out.extend_from_slice(rest);
}

/// Appends `help` with `\` and newline escaped.
pub fn escape_help(out: &mut Vec<u8>, help: &str) {
    for byte in help.bytes() {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            other => out.push(other),
        }
    }
}

/// The value that was written as `escaped`.
pub fn unescape_label_value(escaped: &str) -> Cow<'_, str> {
    if !escaped.contains('\\') {
        return Cow::Borrowed(escaped);
    }
    let mut value = String::with_capacity(escaped.len());
    let mut chars = escaped.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n') => value.push('\n'),
                Some(other) => value.push(other),
                None => value.push('\\'),
            },
            other => value.push(other),
        }
    }
    Cow::Owned(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_backslash_quote_and_newline_are_escaped() {
        let mut out = Vec::new();
        escape_label_value(&mut out, "a\\b\"c\nd\re\u{2028}");
        assert_eq!(String::from_utf8(out).unwrap(), "a\\\\b\\\"c\\nd\re\u{2028}");
    }

    proptest! {
        #[test]
        fn prop_unescape_undoes_escape(value in ".*") {
            let mut out = Vec::new();
            escape_label_value(&mut out, &value);
            prop_assert!(!out.contains(&b'\n'));
            let escaped = String::from_utf8(out).unwrap();
            prop_assert_eq!(unescape_label_value(&escaped), value);
        }
    }
}
