//! Writing JSON as kubelets do: indented by one space, members in the order of the type.

use std::io::Write as _;

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;

use super::view::Quirks;

/// A line's end, and as much indentation as any document needs.
const LINE: &[u8; 33] = b"\n                                ";

/// A document in the making.
#[derive(Debug)]
pub(super) struct Json {
    out: Vec<u8>,
    depth: usize,
    /// Nothing is in the innermost object or array yet.
    fresh: bool,
    quirks: Quirks,
}

impl Json {
    /// Of about this size; of the oddities those of values are minded.
    pub(super) fn new(bytes: usize, quirks: Quirks) -> Self {
        Self { out: Vec::with_capacity(bytes), depth: 0, fresh: true, quirks }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    fn line(&mut self) {
        let end = (self.depth + 1).min(LINE.len());
        self.out.extend_from_slice(LINE.get(..end).unwrap_or_default());
    }

    /// Begin the next member or element.
    fn next(&mut self) {
        if !self.fresh {
            self.out.push(b',');
        }
        self.fresh = false;
        if self.depth > 0 {
            self.line();
        }
    }

    fn key(&mut self, name: &str) {
        self.next();
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\": ");
    }

    fn open(&mut self, bracket: u8) {
        self.out.push(bracket);
        self.depth += 1;
        self.fresh = true;
    }

    fn close(&mut self, bracket: u8) {
        self.depth = self.depth.saturating_sub(1);
        if !self.fresh {
            self.line();
        }
        self.fresh = false;
        self.out.push(bracket);
    }

    fn inside(&mut self, write: impl FnOnce(&mut Self)) {
        self.open(b'{');
        write(self);
        if self.quirks.future {
            self.text("futureField", "of a version to come");
            self.key("futureObject");
            self.out.extend_from_slice(b"{\"nested\": [1, null, {\"deeper\": true}]}");
        }
        self.close(b'}');
    }

    /// An object by itself: the document, or an array's element.
    pub(super) fn element(&mut self, write: impl FnOnce(&mut Self)) {
        self.next();
        self.inside(write);
    }

    /// A member that is an object.
    pub(super) fn object(&mut self, name: &str, write: impl FnOnce(&mut Self)) {
        self.key(name);
        self.inside(write);
    }

    /// A member that is an array, of what `write` writes as [elements](Self::element).
    pub(super) fn array(&mut self, name: &str, write: impl FnOnce(&mut Self)) {
        self.key(name);
        if self.quirks.null_arrays {
            self.out.extend_from_slice(b"null");
            return;
        }
        self.open(b'[');
        write(self);
        self.close(b']');
    }

    /// A member that is `null`.
    pub(super) fn null(&mut self, name: &str) {
        self.key(name);
        self.out.extend_from_slice(b"null");
    }

    /// A member that is a string.
    pub(super) fn text(&mut self, name: &str, value: &str) {
        self.key(name);
        let written = serde_json::to_writer(&mut self.out, value);
        debug_assert!(written.is_ok(), "a string serialises into memory");
    }

    /// A member that is a whole number.
    pub(super) fn number(&mut self, name: &str, value: u64) {
        self.key(name);
        self.out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    }

    /// A member that is a number of hundredths, as Go writes a float.
    pub(super) fn hundredths(&mut self, name: &str, value: u64) {
        self.key(name);
        let (whole, part) = (value / 100, value % 100);
        let _ = match (part, part % 10) {
            (0, _) => write!(self.out, "{whole}"),
            (_, 0) => write!(self.out, "{whole}.{}", part / 10),
            _ => write!(self.out, "{whole}.{part:02}"),
        };
    }

    /// A member that is a moment, in seconds since 1970.
    pub(super) fn time(&mut self, name: &str, seconds: i64) {
        if self.quirks.null_times {
            return self.null(name);
        }
        self.key(name);
        self.out.push(b'"');
        if let Ok(moment) = Timestamp::from_second(seconds) {
            // Writing into memory does not fail.
            let _ = DateTimePrinter::new().print_timestamp(&moment, &mut self.out);
        }
        self.out.push(b'"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(json: &mut Json) {
        json.element(|json| {
            json.text("name", "a\"b");
            json.time("time", 1_700_000_000);
            json.array("list", |json| json.element(|json| json.number("n", u64::MAX)));
            json.array("empty", |_| {});
            json.object("object", |_| {});
            for (name, value) in [("a", 0), ("b", 1250), ("c", 7), ("d", 1203)] {
                json.hundredths(name, value);
            }
        });
    }

    #[test]
    fn it_is_indented_by_one_space() {
        let mut json = Json::new(0, Quirks::default());
        write(&mut json);
        let expected = "{\n \"name\": \"a\\\"b\",\n \"time\": \"2023-11-14T22:13:20Z\",\n \"list\": [\n  {\n   \
                        \"n\": 18446744073709551615\n  }\n ],\n \"empty\": [],\n \"object\": {},\n \"a\": 0,\n \
                        \"b\": 12.5,\n \"c\": 0.07,\n \"d\": 12.03\n}";
        assert_eq!(String::from_utf8(json.into_bytes()).unwrap(), expected);
    }

    #[test]
    fn what_kubelets_may_say_stays_json() {
        let mut json = Json::new(0, Quirks { null_times: true, null_arrays: true, future: true, ..Quirks::default() });
        write(&mut json);
        let value: serde_json::Value = serde_json::from_slice(&json.into_bytes()).unwrap();
        assert!(value["time"].is_null() && value["list"].is_null() && value["empty"].is_null());
        assert_eq!(value["object"]["futureField"], "of a version to come");
        assert_eq!(value["futureObject"]["nested"][2]["deeper"], true);
    }
}
