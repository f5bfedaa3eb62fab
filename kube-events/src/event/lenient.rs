//! Reading JSON whose fields may be of other types than they should: such a field is as if it weren't there.

use std::fmt;
use std::marker::PhantomData;

use jiff::Timestamp;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{StringMap, time};

/// A value that any JSON gives, if only by its default.
pub(super) trait Reader<'de>: Sized {
    fn none() -> Self;

    fn text(_text: &str) -> Self {
        Self::none()
    }

    fn owned(text: String) -> Self {
        Self::text(&text)
    }

    fn number(_number: i64) -> Self {
        Self::none()
    }

    fn float(_number: f64) -> Self {
        Self::none()
    }

    fn boolean(_value: bool) -> Self {
        Self::none()
    }

    fn map<A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Self::none())
    }

    fn list<A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Self::none())
    }
}

/// For `deserialize_with`.
pub(super) fn read<'de, D: Deserializer<'de>, T: Reader<'de>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_any(Any(PhantomData))
}

struct Any<T>(PhantomData<T>);

impl<'de, T: Reader<'de>> Visitor<'de> for Any<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_unit<E>(self) -> Result<T, E> {
        Ok(T::none())
    }

    fn visit_bool<E>(self, value: bool) -> Result<T, E> {
        Ok(T::boolean(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<T, E> {
        Ok(T::number(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<T, E> {
        Ok(T::number(i64::try_from(value).unwrap_or(i64::MAX)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<T, E> {
        Ok(T::float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<T, E> {
        Ok(T::text(value))
    }

    fn visit_string<E>(self, value: String) -> Result<T, E> {
        Ok(T::owned(value))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::map(map)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<T, A::Error> {
        T::list(list)
    }
}

/// A field or an element that is read by its [`Reader`].
struct Lenient<T>(T);

impl<'de, T: Reader<'de>> Deserialize<'de> for Lenient<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer).map(Lenient)
    }
}

impl Reader<'_> for String {
    fn none() -> Self {
        Self::new()
    }

    fn text(text: &str) -> Self {
        text.to_owned()
    }

    fn owned(text: String) -> Self {
        text
    }

    fn number(number: i64) -> Self {
        number.to_string()
    }

    fn float(number: f64) -> Self {
        number.to_string()
    }

    fn boolean(value: bool) -> Self {
        value.to_string()
    }
}

impl Reader<'_> for i64 {
    fn none() -> Self {
        0
    }

    fn text(text: &str) -> Self {
        text.trim().parse().unwrap_or(0)
    }

    fn number(number: i64) -> Self {
        number
    }

    #[expect(clippy::cast_possible_truncation, reason = "a cast of a float keeps within the bounds")]
    fn float(number: f64) -> Self {
        number as i64
    }
}

impl Reader<'_> for i32 {
    fn none() -> Self {
        0
    }

    fn text(text: &str) -> Self {
        Self::number(i64::text(text))
    }

    fn number(number: i64) -> Self {
        i32::try_from(number).unwrap_or(if number < 0 { i32::MIN } else { i32::MAX })
    }

    fn float(number: f64) -> Self {
        Self::number(i64::float(number))
    }
}

impl Reader<'_> for Option<i64> {
    fn none() -> Self {
        None
    }

    fn number(number: i64) -> Self {
        Some(number)
    }
}

impl Reader<'_> for Option<bool> {
    fn none() -> Self {
        None
    }

    fn boolean(value: bool) -> Self {
        Some(value)
    }
}

impl Reader<'_> for Option<Timestamp> {
    fn none() -> Self {
        None
    }

    fn text(text: &str) -> Self {
        time::parse(text)
    }
}

impl<'de> Reader<'de> for StringMap {
    fn none() -> Self {
        Self::new()
    }

    fn map<A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        let mut entries = Self::new();
        while let Some((key, Lenient(value))) = map.next_entry::<String, Lenient<String>>()? {
            entries.insert(key, value);
        }
        Ok(entries)
    }
}

impl<'de, T: Reader<'de>> Reader<'de> for Vec<T> {
    fn none() -> Self {
        Self::new()
    }

    fn list<A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        let mut elements = Self::new();
        while let Some(Lenient(element)) = list.next_element()? {
            elements.push(element);
        }
        Ok(elements)
    }
}

/// A structure: what is no map is its default.
pub(super) trait Structure: Default {}

impl<'de, T: Structure + Deserialize<'de>> Reader<'de> for Option<T> {
    fn none() -> Self {
        None
    }

    fn map<A: MapAccess<'de>>(map: A) -> Result<Self, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Some)
    }
}
