//! Labels as they are stored: reading them back, and telling extra labels from a sample's own.
//!
//! An object's extra labels stand in its prefix, which all its samples share. Where a sample has a label of the same
//! name itself (`node` on `kube_pod_info`), its own wins: its line is marked, and what it has is left out of the
//! prefix when it is written.

use std::borrow::Cow;
use std::ops::Range;

use memchr::{memchr, memchr_iter, memchr2};

use crate::samples::Label;
use crate::value::{escape_label_value, unescape_label_value};

/// Stands before a tail line that has a label of its own by the name of an extra one. No label name begins with it.
const MARK: u8 = 1;

/// Appends `a="1",b="2"`, with a comma first where something stands before it.
pub(super) fn write_labels(out: &mut Vec<u8>, labels: &[Label<'_>], mut comma: bool) {
    for (name, value) in labels {
        if comma {
            out.push(b',');
        }
        comma = true;
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"=\"");
        escape_label_value(out, value);
        out.push(b'"');
    }
}

/// Appends extra labels, but for those that the identity has.
pub(super) fn write_extra(out: &mut Vec<u8>, labels: &[Label<'_>], identity: &[u8]) {
    for label in labels {
        if !has_label(identity, label.0.as_bytes()) {
            write_labels(out, std::slice::from_ref(label), !identity.is_empty() || !out.is_empty());
        }
    }
}

/// Finds the names of the labels in a text.
pub(super) fn find_names(text: &[u8], names: &mut Vec<Range<usize>>) {
    names.clear();
    let mut rest = std::str::from_utf8(text).unwrap_or_default();
    while let Some((name, _)) = split_label(&mut rest) {
        // A slice of `text`, so its place follows from the addresses.
        let start = name.as_ptr().addr() - text.as_ptr().addr();
        names.push(start..start + name.len());
    }
}

/// Appends tail lines with marks where they have a label by the name of an extra one; former marks go. `names` says where
/// the names stand in `extra`.
pub(super) fn mark_lines(out: &mut Vec<u8>, run: &[u8], extra: &[u8], names: &[Range<usize>]) {
    let extra_names = || names.iter().filter_map(|name| extra.get(name.clone()));
    // Most lines of most objects clash with nothing: they are looked at as a whole.
    if !may_have(run, extra_names) && memchr(MARK, run).is_none() {
        out.extend_from_slice(run);
        return;
    }
    for line in run.split_inclusive(|byte| *byte == b'\n') {
        let line = line.strip_prefix(&[MARK]).unwrap_or(line);
        if extra_names().any(|name| has_label(line, name)) {
            out.push(MARK);
        }
        out.extend_from_slice(line);
    }
}

/// Whether the text may have a label by one of the names; it may not, where this says so. Looks at each `=` alone, some
/// ten times as fast as parsing.
fn may_have<'a, I: Iterator<Item = &'a [u8]>>(text: &[u8], names: impl Fn() -> I) -> bool {
    memchr_iter(b'=', text).any(|at| {
        let before = text.get(..at).unwrap_or_default();
        text.get(at + 1) == Some(&b'"')
            && names().any(|name| {
                before.strip_suffix(name).is_some_and(|rest| matches!(rest.last(), None | Some(b',' | b'\n' | &MARK)))
            })
    })
}

/// The line without its mark, where it has one.
#[inline]
pub(super) fn marked(line: &[u8]) -> Option<&[u8]> {
    match line.split_first() {
        Some((&MARK, line)) => Some(line),
        _ => None,
    }
}

/// Whether the line has a label of its own by the name of an extra one.
#[inline]
pub(crate) fn is_marked(line: &[u8]) -> bool {
    line.first() == Some(&MARK)
}

/// The line, without a mark in any case.
#[inline]
pub(crate) fn unmarked(line: &[u8]) -> &[u8] {
    marked(line).unwrap_or(line)
}

/// Appends those extra labels that the line has not itself, and then the line.
pub(super) fn write_marked(out: &mut Vec<u8>, identity: &[u8], extra: &[u8], line: &[u8]) {
    let mut comma = !identity.is_empty();
    out.extend_from_slice(identity);
    for (name, value) in parse(extra).filter(|(name, _)| !has_label(line, name.as_bytes())) {
        write_labels(out, &[(name, &value)], comma);
        comma = true;
    }
    let has_labels = line.first() != Some(&b'}');
    let line = line.strip_prefix(b",").unwrap_or(line);
    if comma && has_labels {
        out.push(b',');
    }
    out.extend_from_slice(line);
}

/// Whether a text of labels, or a tail line, has a label of that name.
pub(crate) fn has_label(text: &[u8], wanted: &[u8]) -> bool {
    // A value may end like a name: `,a="x,node="`.
    may_have(text, || std::iter::once(wanted)) && parse(text).any(|(name, _)| name.as_bytes() == wanted)
}

/// The labels of a text of labels, or of a tail line.
pub(super) fn parse(text: &[u8]) -> Labels<'_> {
    let text = std::str::from_utf8(text).unwrap_or_default();
    Labels { parts: [text, "", ""], part: 0, own_wins: false }
}

/// The labels of a prefix, on their own.
pub(super) fn labels_of(prefix: &[u8]) -> Vec<(String, String)> {
    parse(prefix).map(|(name, value)| (name.to_owned(), value.into_owned())).collect()
}

/// The labels of a sample: names and unescaped values.
#[derive(Debug, Clone)]
pub struct Labels<'a> {
    /// The identity, extra labels, the sample's own.
    parts: [&'a str; 3],
    part: usize,
    /// Extra labels that the sample has itself are left out.
    own_wins: bool,
}

impl<'a> Labels<'a> {
    pub(super) fn new(identity: &'a str, extra: &'a str, own: &'a str, own_wins: bool) -> Self {
        Self { parts: [identity, extra, own], part: 0, own_wins }
    }
}

impl<'a> Iterator for Labels<'a> {
    type Item = (&'a str, Cow<'a, str>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let own = self.parts.get(2).copied().unwrap_or_default();
            let text = self.parts.get_mut(self.part)?;
            let Some((name, value)) = split_label(text) else {
                self.part += 1;
                continue;
            };
            if self.part == 1 && self.own_wins && has_label(own.as_bytes(), name.as_bytes()) {
                continue;
            }
            return Some((name, unescape_label_value(value)));
        }
    }
}

/// Takes the first label off a text: its name, and its value as it is escaped.
#[inline]
pub(crate) fn split_label<'a>(text: &mut &'a str) -> Option<(&'a str, &'a str)> {
    let label = text.strip_prefix(',').unwrap_or(text);
    // A line's end is no label: `} 1`.
    if label.starts_with('}') {
        return None;
    }
    let (name, rest) = label.split_at_checked(memchr(b'=', label.as_bytes())?)?;
    let rest = rest.strip_prefix("=\"")?;
    let end = closing_quote(rest)?;
    *text = rest.get(end + 1..).unwrap_or_default();
    Some((name, rest.get(..end).unwrap_or_default()))
}

/// Where the quote stands that is not escaped.
fn closing_quote(value: &str) -> Option<usize> {
    let mut at = 0;
    loop {
        let rest = value.as_bytes().get(at..)?;
        let found = memchr2(b'"', b'\\', rest)?;
        if rest.get(found) == Some(&b'"') {
            return Some(at + found);
        }
        at += found + 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_read_back_what_was_escaped() {
        let labels: Vec<_> = Labels::new(r#"a="1",b="x\"},\\""#, "", r#",c="\n"} 1"#, false).collect();
        assert_eq!(labels, [("a", Cow::Borrowed("1")), ("b", Cow::Borrowed("x\"},\\")), ("c", Cow::Borrowed("\n"))]);
    }

    fn mark(run: &[u8], extra: &[u8]) -> Vec<u8> {
        let (mut out, mut names) = (Vec::new(), Vec::new());
        find_names(extra, &mut names);
        mark_lines(&mut out, run, extra, &names);
        out
    }

    fn written(identity: &str, extra: &str, line: &str) -> String {
        let run = mark(line.as_bytes(), extra.as_bytes());
        let mut out = Vec::new();
        match marked(&run) {
            Some(line) => write_marked(&mut out, identity.as_bytes(), extra.as_bytes(), line),
            None => out.extend([identity.as_bytes(), extra.as_bytes(), &run].concat()),
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_samples_own_label_wins_over_an_extra_one() {
        let (identity, extra) = (r#"pod="p""#, r#",node="x",zone="z""#);
        assert_eq!(written(identity, extra, ",ip=\"1\"} 1\n"), "pod=\"p\",node=\"x\",zone=\"z\",ip=\"1\"} 1\n");
        assert_eq!(written(identity, extra, ",node=\"n\"} 1\n"), "pod=\"p\",zone=\"z\",node=\"n\"} 1\n");
        assert_eq!(written("", r#"node="x""#, "node=\"n\"} 1\n"), "node=\"n\"} 1\n");
        assert_eq!(written("", r#"node="x",zone="z""#, "node=\"n\"} 1\n"), "zone=\"z\",node=\"n\"} 1\n");
    }

    #[test]
    fn marks_follow_the_extra_labels_of_the_day() {
        let first = mark(b",a=\"1\"} 1\n,b=\"2\"} 1\n", b",a=\"x\"");
        assert_eq!(first, b"\x01,a=\"1\"} 1\n,b=\"2\"} 1\n");
        let second = mark(&first, b",b=\"x\"");
        assert_eq!(second, b",a=\"1\"} 1\n\x01,b=\"2\"} 1\n");
    }

    #[test]
    fn text_inside_a_value_is_no_label() {
        assert!(!has_label(br#",a="x,node=\"1\"""#, b"node"));
        assert!(!has_label(br#",the_node="1",b="node""#, b"node"));
        assert!(!has_label(br#",a="x,node=",b="y""#, b"node"));
        assert!(has_label(br#",a="x",node="y"} 1"#, b"node"));
    }
}
