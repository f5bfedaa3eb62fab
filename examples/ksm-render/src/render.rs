//! Text → objects → catalog.

use std::borrow::Cow;
use std::collections::HashSet;

use ksm_core::catalog::{Catalog, CatalogError, kinds};
use memchr::memchr_iter;

use crate::bad_values::BadValues;
use crate::json::{Document, Documents, Head, offset};
use crate::report::{Place, Report};
use crate::yaml;

/// Lists within lists, as some tools print them, are opened this deep.
const MAX_LISTS: usize = 8;

/// Puts the objects of texts into a catalog, and reports what can't be put there.
pub(crate) struct Renderer<'a> {
    catalog: &'a Catalog,
    bad_values: &'a BadValues,
    known: HashSet<(String, String)>,
    report: Report,
}

impl<'a> Renderer<'a> {
    pub(crate) fn new(catalog: &'a Catalog, bad_values: &'a BadValues) -> Self {
        let known = kinds().into_iter().map(|kind| (kind.api_version, kind.kind)).collect();
        Self { catalog, bad_values, known, report: Report::default() }
    }

    pub(crate) fn report(&mut self) -> &mut Report {
        &mut self.report
    }

    pub(crate) fn finish(self) -> Report {
        self.report
    }

    /// Reads one input.
    pub(crate) fn input(&mut self, file: &str, bytes: &[u8]) {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let text = String::from_utf8_lossy(bytes);
        if let Cow::Owned(_) = text {
            let line = std::str::from_utf8(bytes).err().map_or(1, |error| {
                1 + memchr_iter(b'\n', bytes.get(..error.valid_up_to()).unwrap_or_default()).count()
            });
            self.report.fault(&format_args!("{file}:{line}"), &"bytes that are no UTF-8: read as U+FFFD");
        }
        // JSON is YAML too, but only a reader of its own copes with long texts and broken ones.
        if text.trim_start().starts_with(['{', '[']) && !is_flow_yaml(&text) {
            self.json(file, &text);
        } else {
            self.yaml(file, &text);
        }
    }

    fn json(&mut self, file: &str, text: &str) {
        let mut lines = Lines::new(text);
        for (number, Document { at, text: document }) in (1..).zip(Documents::new(text)) {
            let line = lines.of(at);
            let place = Place { file, document: number, item: None, line: Some(line) };
            match document {
                Ok(document) => self.document(&place, document, 0),
                Err(broken) => {
                    if broken.head.is_list() {
                        self.list(&place, text.get(at..).unwrap_or_default(), &broken.head, 0);
                    }
                    let breaks = line + broken.error.line().saturating_sub(1);
                    let what = without_position(&broken.error);
                    self.report.fault(&place, &format_args!("broken JSON in line {breaks}: {what}"));
                }
            }
        }
    }

    fn yaml(&mut self, file: &str, text: &str) {
        for (number, (first_line, document)) in (1..).zip(yaml::documents(text)) {
            let place = Place { file, document: number, item: None, line: Some(first_line) };
            match yaml::to_json(document) {
                Ok(json) => self.document(&place, &json, 0),
                Err((message, line)) => {
                    let breaks = first_line + line.saturating_sub(1);
                    self.report.fault(&place, &format_args!("broken YAML in line {breaks}: {message}"));
                }
            }
        }
    }

    /// An object or a list.
    fn document(&mut self, place: &Place<'_>, text: &str, depth: usize) {
        match Head::read(text) {
            Ok(head) if head.is_null => {}
            Ok(head) if head.is_list() => self.list(place, text, &head, depth),
            Ok(head) => self.object(place, text, head.api_version.as_deref(), head.kind.as_deref()),
            Err(error) => self.report.fault(place, &without_position(&error)),
        }
    }

    fn list(&mut self, place: &Place<'_>, text: &str, list: &Head<'_>, depth: usize) {
        if depth >= MAX_LISTS {
            return self.report.fault(place, &format_args!("lists within lists, more than {MAX_LISTS} deep"));
        }
        // The items of a typed list say neither kind nor version: `PodList` says it for them.
        let item_kind = list.kind.as_deref().and_then(|kind| kind.strip_suffix("List")).filter(|kind| !kind.is_empty());
        let mut lines = Lines::new(text);
        for (number, item) in (1..).zip(list.items.iter().flatten()) {
            let line = place.line.map(|line| line + lines.of(offset(text, item)) - 1);
            let place = Place { item: Some(number), line, ..place.clone() };
            match Head::read(item) {
                Ok(head) if head.is_null => self.report.fault(&place, &"null instead of an object"),
                Ok(head) if head.is_list() => self.document(&place, item, depth + 1),
                Ok(head) => {
                    let inherited = head.kind.is_none() && item_kind.is_some();
                    let api_version = if inherited { list.api_version.as_deref() } else { None };
                    let kind = head.kind.as_deref().or(item_kind);
                    self.object(&place, item, head.api_version.as_deref().or(api_version), kind);
                }
                Err(error) => self.report.fault(&place, &without_position(&error)),
            }
        }
    }

    fn object(&mut self, place: &Place<'_>, text: &str, api_version: Option<&str>, kind: Option<&str>) {
        let (Some(api_version), Some(kind)) = (api_version, kind) else {
            let missing = if kind.is_none() { "kind" } else { "apiVersion" };
            return self.report.fault(place, &format_args!("{missing}: missing, so nobody knows what this is"));
        };
        match self.catalog.put(api_version, kind, text.as_bytes()) {
            Ok(_) => {}
            Err(CatalogError::UnknownKind { .. }) => {
                // What is known and not in the catalog was not asked for.
                if !self.known.contains(&(api_version.to_owned(), kind.to_owned())) {
                    self.report.unknown_kind(api_version, kind);
                }
            }
            Err(CatalogError::Decode { path, source }) => {
                let line = place.line.map(|line| line + source.line().saturating_sub(1));
                let place = Place { line, ..place.clone() };
                self.report.fault(&place, &format_args!("{kind}: {path}: {}", without_position(&source)));
            }
            Err(other) => self.report.fault(place, &other),
        }
        for value in self.bad_values.take() {
            self.report.fault(place, &format_args!("{kind}: {value}"));
        }
    }
}

/// Whether a text that begins with a brace is YAML in flow style: its first key has no quotes.
fn is_flow_yaml(text: &str) -> bool {
    let inside = text.trim_start().trim_start_matches(['{', '[']).trim_start();
    inside.starts_with(|first: char| first.is_ascii_alphabetic()) && !inside.starts_with("null")
}

/// The message of an error without its line and column, which count from the begin of the object.
fn without_position(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    message.strip_suffix(&position).unwrap_or(&message).to_owned()
}

/// Offsets → line numbers, for offsets that only grow.
struct Lines<'a> {
    text: &'a str,
    at: usize,
    line: usize,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, at: 0, line: 1 }
    }

    fn of(&mut self, offset: usize) -> usize {
        let passed = self.text.as_bytes().get(self.at..offset).unwrap_or_default();
        self.line += memchr_iter(b'\n', passed).count();
        self.at = offset.max(self.at);
        self.line
    }
}
