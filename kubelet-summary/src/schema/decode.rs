//! From bytes to a summary: the walk over the document, and what it couldn't use.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::sync::Arc;

use serde::Deserializer;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use thiserror::Error;

use super::{Amount, FsSize, Name, Parts, Summary, Time, dedup, fields};

/// A document that is no summary.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// The document ends before it is complete.
    #[error(
        "the summary ends early, after {length} bytes in {at}: the connection was cut, or the limit on the response's \
         size is too low"
    )]
    Truncated {
        /// Bytes there were.
        length: usize,
        /// Where in the document, as `pods[3].containers[0].memory`.
        at: String,
        /// The parser's words.
        #[source]
        source: serde_json::Error,
    },
    /// The document is no JSON.
    #[error("the summary is no valid JSON, in {at}: {source}")]
    Syntax {
        /// Where in the document.
        at: String,
        /// The parser's words, with line and column.
        #[source]
        source: serde_json::Error,
    },
    /// The document is JSON, but no summary.
    #[error(
        "the document has neither `node` nor `pods`: it is not what /stats/summary answers, check the URL (it starts \
         with {begins:?})"
    )]
    NoSummary {
        /// The document's first bytes.
        begins: String,
    },
}

/// A summary, and what of the document it was made from could not be used.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Decoded {
    /// What was understood.
    pub summary: Summary,
    /// What was not.
    pub skipped: Skipped,
}

/// What of a document could not be used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Skipped {
    /// Pods left out: no object, no namespace, name or uid, or unreadable JSON in them.
    pub pods: usize,
    /// Containers and volumes left out for want of a name.
    pub unnamed: usize,
    /// Pods and containers left out since a newer one of the same uid or name is in the document.
    pub duplicates: usize,
    /// Figures, times, names, objects and lists of a type that they can't be of. They are absent in the summary.
    pub fields: usize,
    /// The first of `pods`, `unnamed` and `fields`, at most [`Skipped::EXAMPLES`].
    pub examples: Vec<SkippedAt>,
}

impl Skipped {
    /// How many examples are kept.
    pub const EXAMPLES: usize = 8;

    /// Whether all of the document was used (duplicates aside, which every kubelet may send).
    pub fn is_clean(&self) -> bool {
        self.pods == 0 && self.unnamed == 0 && self.fields == 0
    }
}

/// One thing that could not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SkippedAt {
    /// Where in the document, as `pods[3].containers[0].memory.usageBytes`.
    pub at: String,
    /// Why.
    pub why: SkippedWhy,
}

impl fmt::Display for SkippedAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.why)
    }
}

/// Why something could not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SkippedWhy {
    /// It is no whole number from 0 to 2^64 - 2.
    NotAnAmount,
    /// It is no finite number.
    NotANumber,
    /// It is no RFC 3339 time of the years 1678 to 2261.
    NotATime,
    /// It is no text.
    NotText,
    /// It is no object.
    NotAnObject,
    /// It is no list.
    NotAList,
    /// It has no name (a pod: no namespace, name or uid).
    Unnamed,
    /// The JSON in it can't be read: a number beyond all bounds, a text that is no Unicode.
    Unreadable,
}

impl fmt::Display for SkippedWhy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAnAmount => "no whole number from 0 to 2^64 - 2",
            Self::NotANumber => "no finite number",
            Self::NotATime => "no RFC 3339 time",
            Self::NotText => "no text",
            Self::NotAnObject => "no object",
            Self::NotAList => "no list",
            Self::Unnamed => "without a name",
            Self::Unreadable => "unreadable JSON",
        })
    }
}

impl Summary {
    /// Reads a kubelet's answer, and keeps [`Parts::USAGE`] of it.
    ///
    /// ```
    /// use kubelet_summary::Summary;
    ///
    /// let answer = br#"{"node": {"nodeName": "n1"}, "pods": [
    ///     {"podRef": {"name": "web", "namespace": "shop", "uid": "u1"}, "memory": {"time": null, "usageBytes": 4096}}
    /// ]}"#;
    /// let decoded = Summary::from_slice(answer)?;
    /// let [pod] = &*decoded.summary.pods else { return Err("one pod".into()) };
    /// assert_eq!((pod.pod_ref.name(), pod.memory.usage_bytes.get()), ("web", Some(4096)));
    /// assert_eq!(pod.cpu.usage_core_nano_seconds.get(), None);
    /// assert!(decoded.skipped.is_clean());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn from_slice(document: &[u8]) -> Result<Decoded, SchemaError> {
        Self::from_slice_keeping(document, Parts::default())
    }

    /// Reads a kubelet's answer, and keeps those parts of it.
    pub fn from_slice_keeping(document: &[u8], parts: Parts) -> Result<Decoded, SchemaError> {
        let mut context = Context::new(parts);
        let mut read = match fields::read(document, &mut context) {
            Ok(read) => read,
            Err(source) if source.is_eof() => {
                return Err(SchemaError::Truncated { length: document.len(), at: context.place(None), source });
            }
            // Something in a pod, most likely: each for itself then.
            Err(_) => {
                context = Context::new(parts);
                fields::read_apart(document, &mut context)
                    .map_err(|source| SchemaError::Syntax { at: context.place(None), source })?
            }
        };
        if !read.has_node && !read.has_pods {
            let begins = document.get(..document.len().min(64)).unwrap_or_default();
            return Err(SchemaError::NoSummary { begins: String::from_utf8_lossy(begins).into_owned() });
        }
        dedup::newest_pods(&mut read.pods, &mut context.skipped);
        let summary = Summary { node: read.node, pods: read.pods.into_boxed_slice() };
        Ok(Decoded { summary, skipped: context.skipped })
    }
}

/// What the walk carries along.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) parts: Parts,
    pub(super) skipped: Skipped,
    path: Vec<Step>,
    /// The sizes of filesystems met last.
    sizes: [Option<Arc<FsSize>>; 4],
    next_size: usize,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Member(&'static str),
    Item(usize),
}

impl Context {
    pub(super) fn new(parts: Parts) -> Self {
        Self {
            parts,
            skipped: Skipped::default(),
            path: Vec::with_capacity(8),
            sizes: [const { None }; 4],
            next_size: 0,
        }
    }

    pub(super) fn enter(&mut self, step: Step) {
        self.path.push(step);
    }

    pub(super) fn leave(&mut self) {
        self.path.pop();
    }

    /// Runs `work`, and is back where it was even if that stopped midway.
    pub(super) fn back_after<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        let depth = self.path.len();
        let done = work(self);
        self.path.truncate(depth);
        done
    }

    /// Where the walk is.
    fn place(&self, member: Option<&'static str>) -> String {
        let mut place = String::new();
        for step in self.path.iter().copied().chain(member.map(Step::Member)) {
            // Writing to a String can't fail.
            let _ = match step {
                Step::Member(name) if place.is_empty() => write!(place, "{name}"),
                Step::Member(name) => write!(place, ".{name}"),
                Step::Item(index) => write!(place, "[{index}]"),
            };
        }
        if place.is_empty() { "the document".to_owned() } else { place }
    }

    fn example(&mut self, member: Option<&'static str>, why: SkippedWhy) {
        if self.skipped.examples.len() < Skipped::EXAMPLES {
            let at = self.place(member);
            self.skipped.examples.push(SkippedAt { at, why });
        }
    }

    /// A field that can't be used.
    pub(super) fn field(&mut self, member: Option<&'static str>, why: SkippedWhy) {
        self.skipped.fields += 1;
        self.example(member, why);
    }

    /// A pod that can't be used.
    pub(super) fn pod(&mut self, why: SkippedWhy) {
        self.skipped.pods += 1;
        self.example(None, why);
    }

    /// A container or volume that can't be used.
    pub(super) fn unnamed(&mut self, why: SkippedWhy) {
        self.skipped.unnamed += 1;
        self.example(None, why);
    }

    /// The same size, from where it was met before.
    pub(super) fn share(&mut self, size: FsSize) -> Option<Arc<FsSize>> {
        if size == FsSize::default() {
            return None;
        }
        if let Some(known) = self.sizes.iter().flatten().find(|known| ***known == size) {
            return Some(known.clone());
        }
        let new = Arc::new(size);
        if let Some(slot) = self.sizes.get_mut(self.next_size) {
            *slot = Some(new.clone());
        }
        self.next_size = (self.next_size + 1) % self.sizes.len();
        Some(new)
    }
}

/// An object of the document: takes its members one by one.
pub(super) trait Object: Default {
    /// Takes the value of the member `key`, or passes over it.
    fn member<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A, context: &mut Context)
    -> Result<(), A::Error>;
}

/// A member's name, without a copy of it.
struct Key<'de>(Cow<'de, str>);

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
    pub(super) context: &'a mut Context,
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
        let Self { into, context, admit } = self;
        into.clear();
        let mut index = 0;
        loop {
            let mut item = T::default();
            context.enter(Step::Item(index));
            let seed = ObjectSeed { into: &mut item, context: &mut *context, counts: false };
            let Some(is_object) = items.next_element_seed(seed)? else {
                context.leave();
                return Ok(true);
            };
            if admit(&item, is_object, context) {
                into.push(item);
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

/// The text of a value, as it stands in the document.
///
/// A figure is read from its text, since a parser that knows no number beyond 1e308 would give up the whole document.
fn raw<'de, A: MapAccess<'de>>(map: &mut A) -> Result<&'de str, A::Error> {
    map.next_value::<&'de RawValue>().map(RawValue::get)
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

/// A member that is a list of objects.
pub(super) fn list<'de, T: Object, A: MapAccess<'de>>(
    member: &'static str,
    into: &mut Vec<T>,
    map: &mut A,
    context: &mut Context,
    admit: fn(&T, bool, &mut Context) -> bool,
) -> Result<bool, A::Error> {
    context.enter(Step::Member(member));
    let is_list = map.next_value_seed(ListSeed { into, context: &mut *context, admit })?;
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
    let text = raw(map)?;
    *into = text.parse::<u64>().ok().into();
    if into.is_absent() && text != "null" {
        // Some encoders write 1e+06 for a whole million.
        *into = text.parse::<f64>().ok().and_then(whole).into();
        if into.is_absent() {
            context.field(Some(member), SkippedWhy::NotAnAmount);
        }
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
    let text = raw(map)?;
    if text == "null" {
        return Ok(None);
    }
    let number = text.parse().ok().filter(|number: &f64| number.is_finite());
    if number.is_none() {
        context.field(Some(member), SkippedWhy::NotANumber);
    }
    Ok(number)
}

/// A member that is a text.
pub(super) fn text<'de, A: MapAccess<'de>>(
    member: &'static str,
    map: &mut A,
    context: &mut Context,
) -> Result<Cow<'de, str>, A::Error> {
    let raw = raw(map)?;
    if raw == "null" {
        return Ok(Cow::Borrowed(""));
    }
    let text = unquote(raw);
    if text.is_none() {
        context.field(Some(member), SkippedWhy::NotText);
    }
    Ok(text.unwrap_or_default())
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
    let text = raw(map)?;
    *into = None;
    if text == "null" {
        return Ok(());
    }
    let text = unquote(text);
    *into = text.as_deref().and_then(Time::parse);
    // Go's zero time is a time that was never set.
    if into.is_none() && text.as_deref() != Some("0001-01-01T00:00:00Z") {
        context.field(Some(member), SkippedWhy::NotATime);
    }
    Ok(())
}

/// What stands between the quotation marks; `None` where there are none or it is no Unicode.
fn unquote(raw: &str) -> Option<Cow<'_, str>> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        return serde_json::from_str(raw).ok().map(Cow::Owned);
    }
    Some(Cow::Borrowed(inner))
}
