//! Who a plugin is.

use thiserror::Error;

/// A plugin can't be called so.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BadIdentity {
    /// The name is empty, or has other characters.
    #[error("the plugin can't be named {0:?}: give a name of A-Z a-z 0-9 _ . + -, as NRI 0.12 takes them")]
    Name(String),
    /// The index is not two digits.
    #[error("the plugin can't have the index {0:?}: give two digits, 00 to 99, as runtimes take no other")]
    Index(String),
}

/// The name and the index of a plugin. Runtimes call plugins by ascending index. Neither has to be unique: runtimes take
/// two plugins of one name, and call both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    name: String,
    index: String,
}

impl Identity {
    /// Checked by the rules of NRI 0.12, which are stricter than those before.
    pub fn new(index: impl Into<String>, name: impl Into<String>) -> Result<Self, BadIdentity> {
        let (index, name) = (index.into(), name.into());
        if index.len() != 2 || !index.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(BadIdentity::Index(index));
        }
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.+-".contains(&byte)) {
            return Err(BadIdentity::Name(name));
        }
        Ok(Self { name, index })
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The two digits.
    pub fn index(&self) -> &str {
        &self.index
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_indices_are_those_that_runtimes_take() {
        let known = Identity::new("00", "a_B.9+x-").unwrap();
        assert_eq!((known.index(), known.name()), ("00", "a_B.9+x-"));
        for name in ["", "a/b", "a b", "ä"] {
            assert_eq!(Identity::new("10", name), Err(BadIdentity::Name(name.to_owned())));
        }
        for index in ["", "1", "100", "1a", "-1", "٣"] {
            assert_eq!(Identity::new(index, "a"), Err(BadIdentity::Index(index.to_owned())));
        }
    }
}
