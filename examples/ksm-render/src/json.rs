//! JSON text → documents: one after the other, on lines of their own or not.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// A document, and where it begins in the text.
pub(crate) struct Document<'a> {
    pub(crate) at: usize,
    pub(crate) text: Result<&'a str, Broken<'a>>,
}

/// A document that is no JSON, with what could be told before it broke.
pub(crate) struct Broken<'a> {
    pub(crate) head: Head<'a>,
    pub(crate) error: serde_json::Error,
}

/// What must be known of a document before its objects can be read.
#[derive(Debug, Default)]
pub(crate) struct Head<'a> {
    pub(crate) api_version: Option<Cow<'a, str>>,
    pub(crate) kind: Option<Cow<'a, str>>,
    /// The elements of `items`, or of a bare array.
    pub(crate) items: Option<Vec<&'a str>>,
    /// The document is `null`, as an empty YAML document is.
    pub(crate) is_null: bool,
}

impl<'a> Head<'a> {
    pub(crate) fn read(text: &'a str) -> Result<Self, serde_json::Error> {
        let mut head = Self::default();
        FillHead(&mut head).deserialize(&mut serde_json::Deserializer::from_str(text))?;
        Ok(head)
    }

    /// Whether it is a list of objects, and not an object.
    pub(crate) fn is_list(&self) -> bool {
        match &self.kind {
            None => self.items.is_some(),
            Some(kind) => kind == "List" || (self.items.is_some() && kind.ends_with("List")),
        }
    }
}

/// Splits a text into documents. A broken one costs what is left of it: reading goes on at the next line that begins
/// with an opening brace, as each object of JSON lines and each document that kubectl prints does.
pub(crate) struct Documents<'a> {
    text: &'a str,
    at: usize,
    /// A list broke before: what comes may be its further items, with commas between them and brackets after them.
    in_wreck: bool,
}

impl<'a> Documents<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0, in_wreck: false }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Passes by white space and the lines that separate YAML documents.
    fn skip_separators(&mut self) {
        let in_wreck = self.in_wreck;
        let separates = |c: char| c.is_whitespace() || (in_wreck && matches!(c, ',' | ']' | '}'));
        loop {
            let trimmed = self.rest().trim_start_matches(separates);
            self.at = self.text.len() - trimmed.len();
            match trimmed.strip_prefix("---") {
                Some(after) if after.is_empty() || after.starts_with(char::is_whitespace) => self.at += 3,
                _ => return,
            }
        }
    }

    fn skip_wreck(&mut self, from: usize) {
        let rest = self.text.get(from..).unwrap_or_default();
        self.at = rest.find("\n{").map_or(self.text.len(), |line| from + line + 1);
        self.in_wreck = true;
    }

    /// What can be told of the document that begins here and is broken.
    fn salvage(&mut self, error: serde_json::Error) -> Document<'a> {
        let (at, rest) = (self.at, self.rest());
        let mut head = Head::default();
        // This fails at the same place or before it; how is known already.
        let _ = FillHead(&mut head).deserialize(&mut serde_json::Deserializer::from_str(rest));
        let read = head.items.iter().flatten().last().map_or(0, |item| offset(rest, item) + item.len());
        self.skip_wreck(at + read);
        Document { at, text: Err(Broken { head, error }) }
    }
}

impl<'a> Iterator for Documents<'a> {
    type Item = Document<'a>;

    fn next(&mut self) -> Option<Document<'a>> {
        self.skip_separators();
        let (at, rest) = (self.at, self.rest());
        let mut stream = serde_json::Deserializer::from_str(rest).into_iter::<&RawValue>();
        Some(match stream.next()? {
            Ok(raw) => {
                self.at += stream.byte_offset();
                Document { at: at + offset(rest, raw.get()), text: Ok(raw.get()) }
            }
            Err(error) => self.salvage(error),
        })
    }
}

/// Where `part` begins in `whole`, of which it is a part.
pub(crate) fn offset(whole: &str, part: &str) -> usize {
    (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize).min(whole.len())
}

/// Reads a document into a head that keeps what was read when the document breaks off.
struct FillHead<'h, 'a>(&'h mut Head<'a>);

impl<'de> DeserializeSeed<'de> for FillHead<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for FillHead<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a Kubernetes object or a list of them")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.0.is_null = true;
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<(), A::Error> {
        Items(self.0).visit_seq(seq)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            match key.as_ref() {
                "apiVersion" => self.0.api_version = word("apiVersion", map.next_value()?)?,
                "kind" => self.0.kind = word("kind", map.next_value()?)?,
                "items" => map.next_value_seed(Items(self.0))?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

fn word<'de, E: serde::de::Error>(field: &str, raw: &'de RawValue) -> Result<Option<Cow<'de, str>>, E> {
    #[derive(serde::Deserialize)]
    struct Borrowed<'a>(#[serde(borrow)] Option<Cow<'a, str>>);

    match serde_json::from_str::<Borrowed<'de>>(raw.get()) {
        Ok(text) => Ok(text.0),
        Err(_) => {
            let shown: String = raw.get().chars().take(40).collect();
            Err(E::custom(format_args!("{field}: expected a text, not {shown}")))
        }
    }
}

/// Reads the elements of an array into a head. Anything else named `items` is a field like others.
struct Items<'h, 'a>(&'h mut Head<'a>);

impl<'de> DeserializeSeed<'de> for Items<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Items<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let items = self.0.items.get_or_insert_default();
        while let Some(item) = seq.next_element::<&RawValue>()? {
            items.push(item.get());
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        // `items: null` is how Go writes an empty list.
        self.0.items.get_or_insert_default();
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each document as its text, or as how many items were read before it broke.
    fn documents(text: &str) -> Vec<Result<&str, usize>> {
        Documents::new(text)
            .map(|document| document.text.map_err(|broken| broken.head.items.map_or(0, |items| items.len())))
            .collect()
    }

    #[test]
    fn documents_follow_one_another_with_and_without_lines_between() {
        assert_eq!(documents("{} {}\n{}\n---\n{\n}\n"), [Ok("{}"), Ok("{}"), Ok("{}"), Ok("{\n}")]);
        assert_eq!(documents("  \n"), []);
    }

    #[test]
    fn a_broken_line_costs_itself() {
        assert_eq!(documents("{\"a\":1}\n{\"b\":\n{\"c\":1}\n"), [Ok("{\"a\":1}"), Err(0), Ok("{\"c\":1}")]);
        assert_eq!(documents("{\"a\":1}\nwhat?\n{\"c\":1}\n"), [Ok("{\"a\":1}"), Err(0), Ok("{\"c\":1}")]);
    }

    #[test]
    fn a_cut_list_keeps_its_whole_items() {
        assert_eq!(documents("{\"kind\":\"List\",\"items\":[{\"a\":1},{\"b\":2},{\"c\""), [Err(2)]);
        assert_eq!(
            documents("{\"items\":[\n{\"a\":1},\n{\"b\":,\n{\"c\":1}\n]}\n{}"),
            [Err(1), Err(0), Ok("{\"c\":1}"), Ok("{}")]
        );
    }

    #[test]
    fn heads_tell_lists_from_objects() {
        let is_list = |text: &str| Head::read(text).unwrap().is_list();
        assert!(is_list(r#"{"items":[],"kind":"PodList"}"#));
        assert!(is_list(r#"{"kind":"List"}"#));
        assert!(is_list("[{}]"));
        assert!(!is_list(r#"{"kind":"Menu","items":["soup"]}"#));
        assert!(!is_list(r#"{"kind":"GuestList","items":{"a":1}}"#));
        assert!(Head::read("7").is_err());
        assert!(Head::read(r#"{"kind":{"a":1}}"#).unwrap_err().to_string().starts_with("kind: expected a text"));
    }

    #[test]
    fn nesting_does_not_reach_the_stack() {
        let deep = format!("{}{}", "[".repeat(500_000), "]".repeat(500_000));
        assert_eq!(documents(&deep).len(), 1);
        assert_eq!(documents(&"{\"items\":[".repeat(100_000)).len(), 1);
        assert!(Head::read(&format!("{{\"items\":{{\"a\":{deep}}}}}")).is_ok());
    }
}
