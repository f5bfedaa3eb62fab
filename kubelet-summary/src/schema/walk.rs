//! The walk over a document's objects, lists and values, whatever their types are.

use std::borrow::Cow;
use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::columns::Listed;
use super::context::{Context, Step};
use super::{Amount, Name, Run, Skipped, SkippedWhy, Time};

/// An object of the document: takes its members one by one.
pub(super) trait Object: Default {
    /// Takes the value of the member `key`, or passes over it.
    fn member<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A, context: &mut Context)
    -> Result<(), A::Error>;
}

/// An object that stands in lists, all of which are parts of one that the document has.
pub(super) trait Item: Object + Listed {
    /// How many of a list are kept.
    const LIMIT: usize;

    /// Whether it is one to keep; counts it where it isn't.
    fn admit(&self, is_object: bool, context: &mut Context) -> bool;

    /// Moves those that are there once to the front, and says how many they are.
    fn once_each(list: &mut [Self], skipped: &mut Skipped) -> usize;
}

/// A member's name, without a copy of it.
pub(super) struct Key<'de>(pub(super) Cow<'de, str>);

impl<'de> serde::Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;

        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a member's name")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(KeyVisitor)
    }
}

/// What takes in an object, or `null`, or says that it is neither.
pub(super) struct ObjectSeed<'a, T> {
    pub(super) into: &'a mut T,
    pub(super) context: &'a mut Context,
    /// Whether what is no object has yet to be counted: not so in a list, which counts what it leaves out.
    pub(super) counts: bool,
}

impl<T> ObjectSeed<'_, T> {
    fn refuse(self) -> bool {
        if self.counts {
            self.context.field(None, SkippedWhy::NotAnObject);
        }
        false
    }
}

impl<'de, T: Object> DeserializeSeed<'de> for ObjectSeed<'_, T> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// What a value is that is neither an object nor a list.
macro_rules! refuse_scalars {
    () => {
        refuse_scalars!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);

        fn visit_unit<E>(self) -> Result<bool, E> {
            Ok(false)
        }
    };
    ($($visit:ident: $type:ty),+) => {
        $(
            fn $visit<E>(self, _: $type) -> Result<bool, E> {
                Ok(self.refuse())
            }
        )+
    };
}

impl<'de, T: Object> Visitor<'de> for ObjectSeed<'_, T> {
    /// Whether there was an object.
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        // Of a member that is repeated, the last counts, as in Go.
        *self.into = T::default();
        while let Some(Key(key)) = map.next_key()? {
            self.into.member(&key, &mut map, self.context)?;
        }
        Ok(true)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<bool, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(self.refuse())
    }

    refuse_scalars!();
}

/// What takes in a list of objects, or `null`.
pub(super) struct ListSeed<'a, T> {
    pub(super) into: &'a mut Vec<T>,
    /// Where in it the list begins.
    pub(super) start: usize,
    pub(super) context: &'a mut Context,
    /// How many are kept.
    pub(super) limit: usize,
    /// Whether the object is one to keep; counts it where it isn't.
    pub(super) admit: fn(&T, bool, &mut Context) -> bool,
}

impl<T> ListSeed<'_, T> {
    fn refuse(self) -> bool {
        self.context.field(None, SkippedWhy::NotAList);
        false
    }
}

impl<'de, T: Object> DeserializeSeed<'de> for ListSeed<'_, T> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Object> Visitor<'de> for ListSeed<'_, T> {
    /// Whether there was a list.
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<bool, A::Error> {
        let Self { into, start, context, limit, admit } = self;
        into.truncate(start);
        let mut index = 0;
        loop {
            if let Some(limit) = context.reached(into.len() - start, limit) {
                let mut beyond = 0;
                while items.next_element::<IgnoredAny>()?.is_some() {
                    beyond += 1;
                }
                context.beyond(beyond, limit);
                return Ok(true);
            }
            let mut item = T::default();
            context.enter(Step::Item(index));
            let seed = ObjectSeed { into: &mut item, context: &mut *context, counts: false };
            let Some(is_object) = items.next_element_seed(seed)? else {
                context.leave();
                return Ok(true);
            };
            if admit(&item, is_object, context) {
                into.push(item);
                context.kept();
            }
            context.leave();
            index += 1;
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(self.refuse())
    }

    refuse_scalars!();
}

/// Passes over a value.
pub(super) fn ignore<'de, A: MapAccess<'de>>(map: &mut A) -> Result<(), A::Error> {
    map.next_value::<IgnoredAny>().map(|_| ())
}

/// A value that has no members.
enum Leaf<'de> {
    Null,
    Count(u64),
    Number(f64),
    Text(Cow<'de, str>),
    Other,
}

struct LeafVisitor;

impl<'de> serde::Deserialize<'de> for Leaf<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LeafVisitor)
    }
}

impl<'de> Visitor<'de> for LeafVisitor {
    type Value = Leaf<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Leaf<'de>, E> {
        Ok(Leaf::Null)
    }

    fn visit_u64<E>(self, count: u64) -> Result<Leaf<'de>, E> {
        Ok(Leaf::Count(count))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Leaf<'de>, E> {
        Ok(Leaf::Number(number as f64))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Leaf<'de>, E> {
        Ok(Leaf::Number(number))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Leaf<'de>, E> {
        Ok(Leaf::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Leaf<'de>, E> {
        Ok(Leaf::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Leaf<'de>, E> {
        Ok(Leaf::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Leaf<'de>, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Leaf::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Leaf<'de>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Leaf::Other)
    }
}

fn leaf<'de, A: MapAccess<'de>>(map: &mut A, context: &Context) -> Result<Leaf<'de>, A::Error> {
    if context.careful {
        // The parser gives up at a number beyond 1e308 and at half a surrogate pair. Here they cost one field only.
        let text = map.next_value::<&'de RawValue>()?.get();
        return Ok(serde_json::from_str(text).unwrap_or(Leaf::Other));
    }
    map.next_value()
}

/// A member that is an object.
pub(super) fn object<'de, T: Object, A: MapAccess<'de>>(
    member: &'static str,
    into: &mut T,
    map: &mut A,
    context: &mut Context,
) -> Result<bool, A::Error> {
    context.enter(Step::Member(member));
    let is_object = map.next_value_seed(ObjectSeed { into, context: &mut *context, counts: true })?;
    context.leave();
    Ok(is_object)
}

/// A member that is an object that others do without: the one there is, or none.
pub(super) fn single<'de, T: Object + Listed, A: MapAccess<'de>>(
    member: &'static str,
    map: &mut A,
    context: &mut Context,
) -> Result<Run<T>, A::Error> {
    let mut into = T::default();
    if !object(member, &mut into, map, context)? {
        return Ok(Run::default());
    }
    let all = T::all(&mut context.columns);
    all.push(into);
    Ok(Run::at(all.len() - 1, 1))
}

/// A member that is a list of objects, whose items go to the end of the document's list.
pub(super) fn list<'de, T: Item, A: MapAccess<'de>>(
    member: &'static str,
    map: &mut A,
    context: &mut Context,
) -> Result<Run<T>, A::Error> {
    let end = T::all(&mut context.columns).len();
    list_from(member, end, map, context)
}

/// A member that is a list of objects, in place of what the document's list has from there on.
pub(super) fn list_from<'de, T: Item, A: MapAccess<'de>>(
    member: &'static str,
    start: usize,
    map: &mut A,
    context: &mut Context,
) -> Result<Run<T>, A::Error> {
    let mut all = std::mem::take(T::all(&mut context.columns));
    let read = list_into(member, (&mut all, start), map, context, T::LIMIT, T::admit);
    if let Some(list) = all.get_mut(start..) {
        let kept = T::once_each(list, &mut context.skipped);
        all.truncate(start + kept);
    }
    let run = Run::at(start, all.len() - start);
    *T::all(&mut context.columns) = all;
    read.map(|_| run)
}

/// A member that is a list of objects.
pub(super) fn list_into<'de, T: Object, A: MapAccess<'de>>(
    member: &'static str,
    (into, start): (&mut Vec<T>, usize),
    map: &mut A,
    context: &mut Context,
    limit: usize,
    admit: fn(&T, bool, &mut Context) -> bool,
) -> Result<bool, A::Error> {
    context.enter(Step::Member(member));
    let is_list = map.next_value_seed(ListSeed { into, start, context: &mut *context, limit, admit })?;
    context.leave();
    Ok(is_list)
}

/// A member that is a count.
pub(super) fn amount<'de, A: MapAccess<'de>>(
    member: &'static str,
    into: &mut Amount,
    map: &mut A,
    context: &mut Context,
) -> Result<(), A::Error> {
    let leaf = leaf(map, context)?;
    *into = match leaf {
        Leaf::Count(count) => Amount::of(count),
        // Some encoders write 1e+06 for a whole million.
        Leaf::Number(number) => whole(number).into(),
        Leaf::Null | Leaf::Text(_) | Leaf::Other => Amount::ABSENT,
    };
    if into.is_absent() && !matches!(leaf, Leaf::Null) {
        context.field(Some(member), SkippedWhy::NotAnAmount);
    }
    Ok(())
}

/// A number that is whole all the same.
fn whole(number: f64) -> Option<u64> {
    // 2^64 as f64; below it each whole number is one of u64 too.
    let fits = number.fract() == 0.0 && (0.0..18_446_744_073_709_551_616.0).contains(&number);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole and in range, as checked")]
    fits.then_some(number as u64)
}

/// A member that is a number.
pub(super) fn number<'de, A: MapAccess<'de>>(
    member: &'static str,
    map: &mut A,
    context: &mut Context,
) -> Result<Option<f64>, A::Error> {
    Ok(match leaf(map, context)? {
        Leaf::Null => None,
        Leaf::Count(count) => Some(count as f64),
        Leaf::Number(number) => Some(number),
        Leaf::Text(_) | Leaf::Other => {
            context.field(Some(member), SkippedWhy::NotANumber);
            None
        }
    })
}

/// A member that is a text.
pub(super) fn text<'de, A: MapAccess<'de>>(
    member: &'static str,
    map: &mut A,
    context: &mut Context,
) -> Result<Cow<'de, str>, A::Error> {
    match leaf(map, context)? {
        Leaf::Text(text) => return Ok(text),
        Leaf::Null => {}
        Leaf::Count(_) | Leaf::Number(_) | Leaf::Other => context.field(Some(member), SkippedWhy::NotText),
    }
    Ok(Cow::Borrowed(""))
}

/// A member that is a name.
pub(super) fn name<'de, A: MapAccess<'de>>(
    member: &'static str,
    into: &mut Name,
    map: &mut A,
    context: &mut Context,
) -> Result<(), A::Error> {
    *into = Name::from(&*text(member, map, context)?);
    Ok(())
}

/// A member that is a time.
pub(super) fn time<'de, A: MapAccess<'de>>(
    member: &'static str,
    into: &mut Option<Time>,
    map: &mut A,
    context: &mut Context,
) -> Result<(), A::Error> {
    let leaf = leaf(map, context)?;
    *into = match &leaf {
        Leaf::Text(text) => Time::parse(text),
        _ => None,
    };
    let unset = match &leaf {
        Leaf::Null => true,
        Leaf::Text(text) => text == GO_ZERO_TIME,
        _ => false,
    };
    if into.is_none() && !unset {
        context.field(Some(member), SkippedWhy::NotATime);
    }
    Ok(())
}

/// A time that was never set, as Go writes it.
const GO_ZERO_TIME: &str = "0001-01-01T00:00:00Z";
