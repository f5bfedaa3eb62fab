//! Pods' uids, kept small.

use std::fmt;
use std::sync::Arc;

/// A pod's uid: what tells a pod from another one that had its name before.
///
/// UUIDs, and the hashes by which kubelets know their static pods, take 24 bytes; other texts are kept as they are.
///
/// ```
/// use kubelet_summary::inventory::PodUid;
///
/// let uid = PodUid::new("0aa8d7a1-97a5-4f1c-8d5c-6f5a3e1d2b4c");
/// assert_eq!(uid.to_string(), "0aa8d7a1-97a5-4f1c-8d5c-6f5a3e1d2b4c");
/// assert_ne!(uid, PodUid::new("0aa8d7a197a54f1c8d5c6f5a3e1d2b4c"));
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PodUid(Form);

#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Form {
    /// As 8-4-4-4-12 lower-case hexadecimal digits.
    Uuid([u64; 2]),
    /// As 32 of them.
    Hash([u64; 2]),
    Other(Arc<str>),
}

impl PodUid {
    /// The uid of a text.
    pub fn new(text: &str) -> Self {
        let form = match text.len() {
            36 => halves(text, true).map(Form::Uuid),
            32 => halves(text, false).map(Form::Hash),
            _ => None,
        };
        Self(form.unwrap_or_else(|| Form::Other(text.into())))
    }
}

/// The value of 32 digits, with a UUID's dashes or without any; none where it would not be written the same way again.
fn halves(text: &str, dashes: bool) -> Option<[u64; 2]> {
    let mut value: u128 = 0;
    for (place, byte) in text.bytes().enumerate() {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => 0xff,
        };
        if dashes && matches!(place, 8 | 13 | 18 | 23) {
            if byte != b'-' {
                return None;
            }
        } else if digit == 0xff {
            return None;
        } else {
            value = value << 4 | u128::from(digit);
        }
    }
    #[expect(clippy::cast_possible_truncation, reason = "the lower half is wanted")]
    Some([(value >> 64) as u64, value as u64])
}

impl From<&str> for PodUid {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl fmt::Display for PodUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Form::Uuid([high, low]) => {
                let (a, b, c) = (high >> 32, high >> 16 & 0xffff, high & 0xffff);
                write!(f, "{a:08x}-{b:04x}-{c:04x}-{:04x}-{:012x}", low >> 48, low & 0xffff_ffff_ffff)
            }
            Form::Hash([high, low]) => write!(f, "{high:016x}{low:016x}"),
            Form::Other(text) => f.write_str(text),
        }
    }
}

impl fmt::Debug for PodUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl serde::Serialize for PodUid {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn other_texts_are_kept_as_they_are() {
        for text in ["", "pod-1", "0AA8D7A1-97A5-4F1C-8D5C-6F5A3E1D2B4C", "0aa8d7a1097a504f1c08d5c06f5a3e1d2b4c", "ü"]
        {
            assert_eq!(PodUid::new(text).to_string(), text);
        }
        assert_eq!(size_of::<PodUid>(), 24);
    }

    proptest! {
        #[test]
        fn a_uid_is_written_as_it_was_read(text in "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{32}|[-0-9a-fA-F]{30,37}") {
            prop_assert_eq!(PodUid::new(&text).to_string(), text);
        }
    }
}
