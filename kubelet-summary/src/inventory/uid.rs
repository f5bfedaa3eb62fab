//! Pods' uids, kept small.

use std::fmt;
use std::hash::{Hash, Hasher};
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
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PodUid(Form);

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
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

/// The values of lower-case hexadecimal digits; of all else, more than a digit has.
const DIGITS: [u8; 256] = {
    let mut digits = [u8::MAX; 256];
    let mut value = 0;
    while value < 16 {
        digits[b"0123456789abcdef"[value as usize] as usize] = value;
        value += 1;
    }
    digits
};

/// The value of 32 digits, with a UUID's dashes or without any; none where it would not be written the same way again.
fn halves(text: &str, dashes: bool) -> Option<[u64; 2]> {
    let text = text.as_bytes();
    let mut digits = [0; 32];
    if dashes {
        if [8, 13, 18, 23].iter().any(|place| text.get(*place) != Some(&b'-')) {
            return None;
        }
        for (into, from) in [(0..8, 0..8), (8..12, 9..13), (12..16, 14..18), (16..20, 19..23), (20..32, 24..36)] {
            digits.get_mut(into)?.copy_from_slice(text.get(from)?);
        }
    } else {
        digits = *text.first_chunk()?;
    }
    Some([number(digits.first_chunk()?)?, number(digits.last_chunk()?)?])
}

/// The value of 16 digits.
fn number(digits: &[u8; 16]) -> Option<u64> {
    let (mut value, mut seen) = (0_u64, 0);
    for byte in digits {
        let digit = DIGITS.get(usize::from(*byte)).copied().unwrap_or(u8::MAX);
        value = value << 4 | u64::from(digit & 0xf);
        seen |= digit;
    }
    (seen <= 0xf).then_some(value)
}

/// Two words, with nothing of which form they are: what is equal in both is rare, and not equal all the same.
impl Hash for PodUid {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match &self.0 {
            Form::Uuid([high, low]) | Form::Hash([high, low]) => {
                state.write_u64(*high);
                state.write_u64(*low);
            }
            Form::Other(text) => text.hash(state),
        }
    }
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
