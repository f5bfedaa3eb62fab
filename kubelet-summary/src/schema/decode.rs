//! From bytes to a summary, and what of the bytes could not be used.

use std::borrow::Cow;
use std::fmt;

use thiserror::Error;

use super::columns::Columns;
use super::context::Context;
use super::{Parts, Summary, read};

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
        /// The document's first characters.
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
    /// Pods, containers, volumes and interfaces left out since another one of the same uid or name is in the document.
    pub duplicates: usize,
    /// Figures, times, names, objects and lists of a type that they can't be of. They are absent in the summary.
    pub fields: usize,
    /// Entries of lists left out since there are more than the [`limits`](super::limits) allow.
    pub beyond_limits: usize,
    /// The first of all but the duplicates, at most [`Skipped::EXAMPLES`].
    pub examples: Vec<SkippedAt>,
}

impl Skipped {
    /// How many examples are kept.
    pub const EXAMPLES: usize = 8;

    /// Whether all of the document was used (duplicates aside, which every kubelet may send).
    pub fn is_clean(&self) -> bool {
        self.pods == 0 && self.unnamed == 0 && self.fields == 0 && self.beyond_limits == 0
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
    /// It is one of more entries than are kept: see [`limits`](super::limits).
    BeyondLimit {
        /// How many are.
        limit: usize,
    },
    /// The JSON in it can't be read: a number beyond all bounds, a text that is no Unicode.
    Unreadable,
}

impl fmt::Display for SkippedWhy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BeyondLimit { limit } => return write!(f, "beyond the {limit} entries that are kept"),
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
        // One look at all of the bytes is cheaper than one at each text. Go writes no others than sound ones.
        let text = match str::from_utf8(document) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => String::from_utf8_lossy(document),
        };
        let mut context = Context::new(parts, false, Columns::take_spare());
        let read = match read::read(&text, &mut context) {
            Ok(read) => read,
            // Something in a pod, most likely: each for itself then.
            Err(error) => {
                let at = context.place(None);
                context = Context::new(parts, true, Columns::default());
                let apart = if error.is_eof() { Err(error) } else { read::read_apart(&text, &mut context) };
                apart.map_err(|source| {
                    if source.is_eof() || is_at_end(&source, &text) {
                        return SchemaError::Truncated { length: document.len(), at, source };
                    }
                    SchemaError::Syntax { at, source }
                })?
            }
        };
        if !read.has_node && !read.has_pods {
            return Err(SchemaError::NoSummary { begins: text.chars().take(64).collect() });
        }
        let Context { columns, mut skipped, .. } = context;
        let summary = columns.into_summary(read.node, &mut skipped);
        Ok(Decoded { summary, skipped })
    }
}

/// Whether the parser stopped at the last byte: to it `1.` is a bad number, and not half of one.
fn is_at_end(error: &serde_json::Error, text: &str) -> bool {
    let (line, column) = (text.matches('\n').count() + 1, text.len() - text.rfind('\n').map_or(0, |at| at + 1));
    (error.line(), error.column()) >= (line, column) && text.ends_with(['.', 'e', 'E', '+', '-'])
}
