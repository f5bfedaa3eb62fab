//! Plain values in and out of the protocol's wrappers for what may be absent.

use crate::api::{
    OptionalBool, OptionalFileMode, OptionalInt, OptionalInt32, OptionalInt64, OptionalRepeatedString, OptionalString,
    OptionalUInt32, OptionalUInt64,
};

macro_rules! wrapper {
    ($($wrapper:ident($value:ty)),+ $(,)?) => {$(
        impl From<$value> for $wrapper {
            fn from(value: $value) -> Self {
                Self { value }
            }
        }

        impl From<$wrapper> for $value {
            fn from(wrapper: $wrapper) -> Self {
                wrapper.value
            }
        }
    )+};
}

wrapper!(
    OptionalString(String),
    OptionalRepeatedString(Vec<String>),
    OptionalInt(i64),
    OptionalInt32(i32),
    OptionalUInt32(u32),
    OptionalInt64(i64),
    OptionalUInt64(u64),
    OptionalBool(bool),
    OptionalFileMode(u32),
);

impl From<&str> for OptionalString {
    fn from(value: &str) -> Self {
        Self { value: value.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::LinuxMemory;

    #[test]
    fn absent_and_zero_are_not_the_same() {
        let memory = LinuxMemory { limit: Some(0.into()), ..LinuxMemory::default() };
        assert_eq!((memory.limit.map(i64::from), memory.swap.map(i64::from)), (Some(0), None));
        assert_eq!(OptionalString::from("a"), String::from("a").into());
    }
}
