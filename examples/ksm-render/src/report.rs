//! What is told on standard error.

use std::collections::BTreeMap;
use std::fmt;

/// Where an object stands in the input.
#[derive(Debug, Clone)]
pub(crate) struct Place<'a> {
    pub(crate) file: &'a str,
    /// From 1.
    pub(crate) document: usize,
    /// From 1, in a list.
    pub(crate) item: Option<usize>,
    /// The line in the file, from 1.
    pub(crate) line: Option<usize>,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": document {}", self.document)?;
        if let Some(item) = self.item {
            write!(f, ", item {item}")?;
        }
        Ok(())
    }
}

/// Tells faults as they come, and counts what is told at the end.
#[derive(Debug, Default)]
pub(crate) struct Report {
    faults: u64,
    unknown: BTreeMap<(String, String), u64>,
}

impl Report {
    /// Something of the input could not be rendered as it stands.
    pub(crate) fn fault(&mut self, place: &dyn fmt::Display, what: &dyn fmt::Display) {
        self.faults += 1;
        eprintln!("ksm-render: {place}: {what}");
    }

    /// An object of a kind that there are no families for.
    pub(crate) fn unknown_kind(&mut self, api_version: &str, kind: &str) {
        *self.unknown.entry((api_version.to_owned(), kind.to_owned())).or_default() += 1;
    }

    /// Tells what was counted; whether there were no faults.
    pub(crate) fn finish(self) -> bool {
        for ((api_version, kind), count) in &self.unknown {
            let objects = if *count == 1 { "object" } else { "objects" };
            eprintln!("ksm-render: {count} {objects} of unknown kind {api_version} {kind} left out");
        }
        self.faults == 0
    }
}
