//! Prometheus' protobuf format: `MetricFamily` messages of `io.prometheus.client` (client_model's `metrics.proto`),
//! each after its length, written straight from the stored lines.
//!
//! A message says its length before its content, and a family of a large cluster takes a hundred megabytes: so a
//! family is gone through twice, once to add up lengths, and once to write. What repeats is encoded once: the tails that
//! objects share, for both passes; the labels of an object, for all its families.

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use super::form::Kind;
use super::source::Source;
use crate::store::{Run, Snapshot, is_marked, split_label, unmarked};
use crate::value::unescape_label_value;

/// Wire types: a varint, eight bytes, and bytes after their length.
const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const BYTES: u8 = 2;

const fn key(field: u8, wire_type: u8) -> u8 {
    (field << 3) | wire_type
}

/// Fields of `MetricFamily`.
const FAMILY_NAME: u8 = key(1, BYTES);
const FAMILY_HELP: u8 = key(2, BYTES);
const FAMILY_TYPE: u8 = key(3, VARINT);
const FAMILY_METRIC: u8 = key(4, BYTES);

/// Fields of `Metric`.
const METRIC_LABEL: u8 = key(1, BYTES);
const METRIC_GAUGE: u8 = key(2, BYTES);
const METRIC_COUNTER: u8 = key(3, BYTES);
const METRIC_UNTYPED: u8 = key(5, BYTES);

/// Fields of `LabelPair`.
const LABEL_NAME: u8 = key(1, BYTES);
const LABEL_VALUE: u8 = key(2, BYTES);

/// The one field of `Gauge`, `Counter` and `Untyped` that is used.
const VALUE: u8 = key(1, FIXED64);

/// Encoded tails that are kept for a family: far more than a family has, but for those where each object has its own.
const MAX_MEMO: usize = 1 << 20;

/// The number of a type in the enumeration `MetricType`, and the field of `Metric` that has the value.
const fn numbers(kind: Kind) -> (u8, u8) {
    match kind {
        Kind::Counter => (0, METRIC_COUNTER),
        Kind::Gauge | Kind::Info | Kind::StateSet => (1, METRIC_GAUGE),
        Kind::Unknown => (3, METRIC_UNTYPED),
    }
}

/// Encoded labels of objects that are kept for an exposition: those of some 50,000 objects.
const MAX_PREFIXES: usize = 8 << 20;

/// Writes the metrics of an exposition, family by family.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    value_field: u8,
    prefixes: Prefixes,
    /// The labels that an object's lines share, encoded, where they are not among those that are kept.
    prefix: Vec<u8>,
    /// A line's own labels and value, encoded, where it is not in the memo.
    tail: Vec<u8>,
    memo: Memo,
}

/// The labels that the lines of objects share, encoded. They are the same in all families.
#[derive(Debug, Default)]
struct Prefixes {
    /// By store, generation and chunk.
    chunks: HashMap<(u64, u64, usize), ChunkPrefixes>,
    len: usize,
}

/// Those of a chunk, a place per object.
#[derive(Debug, Default)]
struct ChunkPrefixes {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl Prefixes {
    /// Those of a chunk; none where there is no room for them.
    fn of(&mut self, snapshot: &Snapshot, chunk: usize) -> Option<&ChunkPrefixes> {
        match self.chunks.entry((snapshot.store(), snapshot.generation(), chunk)) {
            Entry::Occupied(known) => Some(known.into_mut()),
            Entry::Vacant(_) if self.len > MAX_PREFIXES => None,
            Entry::Vacant(place) => {
                let prefixes = place.insert(ChunkPrefixes::encode(snapshot, chunk));
                self.len += prefixes.bytes.len();
                Some(prefixes)
            }
        }
    }
}

impl ChunkPrefixes {
    fn encode(snapshot: &Snapshot, chunk: usize) -> Self {
        let mut prefixes = Self::default();
        for text in snapshot.prefixes(chunk) {
            put_labels(&mut prefixes.bytes, text);
            prefixes.ends.push(u32::try_from(prefixes.bytes.len()).unwrap_or(u32::MAX));
        }
        prefixes
    }

    fn get(&self, slot: usize) -> &[u8] {
        slice_at(&self.bytes, &self.ends, slot)
    }
}

/// The piece at an index, of those that stand back to back and end there.
fn slice_at<'a>(bytes: &'a [u8], ends: &[u32], index: usize) -> &'a [u8] {
    let end = ends.get(index).copied().unwrap_or_default() as usize;
    let begin = index.checked_sub(1).and_then(|before| ends.get(before)).copied().unwrap_or_default() as usize;
    bytes.get(begin..end).unwrap_or_default()
}

/// Runs of tails that were encoded before, of one family of one snapshot.
#[derive(Debug, Default)]
struct Memo {
    /// Store, generation and family.
    owner: Option<(u64, u64, usize)>,
    bytes: Vec<u8>,
    /// Where each tail ends in `bytes`; it begins where the one before it ends.
    ends: Vec<u32>,
    /// The first tail of a run.
    runs: HashMap<u32, u32>,
}

impl Memo {
    fn belong_to(&mut self, source: &Source) {
        let owner = Some((source.snapshot.store(), source.snapshot.generation(), source.family));
        if self.owner != owner {
            self.owner = owner;
            self.bytes.clear();
            self.ends.clear();
            self.runs.clear();
        }
    }

    fn tail(&self, index: u32) -> &[u8] {
        slice_at(&self.bytes, &self.ends, index as usize)
    }

    /// Where the tails of a shared run begin; none where there is no room for them.
    fn run(&mut self, id: u32, run: &Run<'_>, value_field: u8) -> Option<u32> {
        if let Some(first) = self.runs.get(&id) {
            return Some(*first);
        }
        if self.bytes.len() > MAX_MEMO {
            return None;
        }
        let first = u32::try_from(self.ends.len()).ok()?;
        for line in run.lines() {
            put_tail(&mut self.bytes, line, value_field);
            self.ends.push(u32::try_from(self.bytes.len()).ok()?);
        }
        self.runs.insert(id, first);
        Some(first)
    }
}

impl Metrics {
    /// Says that what comes next is of a family of that type.
    pub(super) fn begin_family(&mut self, kind: Kind) {
        (_, self.value_field) = numbers(kind);
    }

    /// The bytes that the wanted metrics of a source take.
    pub(super) fn measure(&mut self, source: &Source) -> u64 {
        let mut total = 0;
        for chunk in 0..source.snapshot.chunk_count() {
            self.for_each(source, chunk, |prefix, tail| {
                let len = (prefix.len() + tail.len()) as u64;
                total += 1 + varint_len(len) + len;
            });
        }
        total
    }

    /// Appends the wanted metrics of a chunk.
    pub(super) fn write(&mut self, source: &Source, chunk: usize, out: &mut Vec<u8>) {
        self.for_each(source, chunk, |prefix, tail| {
            out.push(FAMILY_METRIC);
            put_varint(out, (prefix.len() + tail.len()) as u64);
            out.extend_from_slice(prefix);
            out.extend_from_slice(tail);
        });
    }

    /// Calls `f` with the two parts of each metric.
    fn for_each(&mut self, source: &Source, chunk: usize, mut f: impl FnMut(&[u8], &[u8])) {
        let Self { value_field, prefixes, prefix, tail, memo } = self;
        memo.belong_to(source);
        let prefixes = prefixes.of(&source.snapshot, chunk);
        source.for_each_run(chunk, |run, wanted| {
            let prefix = if let Some(prefixes) = prefixes {
                prefixes.get(run.slot())
            } else {
                prefix.clear();
                put_labels(prefix, run.prefix());
                prefix.as_slice()
            };
            let known = run.shared_id().and_then(|id| memo.run(id, run, *value_field));
            for (index, line) in (0..).zip(run.lines()) {
                if !wanted.admits(run, line) {
                    continue;
                }
                match known {
                    Some(first) if !is_marked(line) => f(prefix, memo.tail(first + index)),
                    _ if is_marked(line) => {
                        tail.clear();
                        run.labels(line).for_each(|(name, value)| put_label(tail, name, &value));
                        put_value(tail, line, *value_field);
                        f(&[], tail);
                    }
                    _ => {
                        tail.clear();
                        put_tail(tail, line, *value_field);
                        f(prefix, tail);
                    }
                }
            }
        });
    }
}

/// Appends what stands before a family's metrics, which take `metrics` bytes: the message's length, name, help and
/// type.
pub(super) fn put_header(out: &mut Vec<u8>, name: &str, help: &str, kind: Kind, metrics: u64) {
    let mut header = Vec::with_capacity(name.len() + help.len() + 16);
    put_bytes(&mut header, FAMILY_NAME, name.as_bytes());
    put_bytes(&mut header, FAMILY_HELP, help.as_bytes());
    header.extend_from_slice(&[FAMILY_TYPE, numbers(kind).0]);
    put_varint(out, header.len() as u64 + metrics);
    out.extend_from_slice(&header);
}

/// Appends a line's own labels, and its value.
fn put_tail(out: &mut Vec<u8>, line: &[u8], value_field: u8) {
    put_labels(out, unmarked(line));
    put_value(out, line, value_field);
}

fn put_value(out: &mut Vec<u8>, line: &[u8], value_field: u8) {
    let value = line.rsplit(|byte| *byte == b' ').next().unwrap_or_default().trim_ascii_end();
    // What was written as a float reads back as one.
    let value: f64 = std::str::from_utf8(value).ok().and_then(|value| value.parse().ok()).unwrap_or(f64::NAN);
    out.extend_from_slice(&[value_field, 9, VALUE]);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends the labels of a stored text as `LabelPair`s.
fn put_labels(out: &mut Vec<u8>, text: &[u8]) {
    let mut text = std::str::from_utf8(text).unwrap_or_default();
    while let Some((name, value)) = split_label(&mut text) {
        put_label(out, name, &unescape_label_value(value));
    }
}

fn put_label(out: &mut Vec<u8>, name: &str, value: &str) {
    let (name_len, value_len) = (name.len() as u64, value.len() as u64);
    out.push(METRIC_LABEL);
    put_varint(out, 2 + varint_len(name_len) + name_len + varint_len(value_len) + value_len);
    put_bytes(out, LABEL_NAME, name.as_bytes());
    put_bytes(out, LABEL_VALUE, value.as_bytes());
}

fn put_bytes(out: &mut Vec<u8>, key: u8, bytes: &[u8]) {
    out.push(key);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}

/// The bytes of a varint: seven bits each, and one at least.
fn varint_len(value: u64) -> u64 {
    u64::from((64 - (value | 1).leading_zeros()).div_ceil(7))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_have_seven_bits_a_byte() {
        for (value, bytes) in
            [(0, &[0][..]), (127, &[127]), (128, &[0x80, 1]), (300, &[0xac, 2]), (16_384, &[0x80, 0x80, 1])]
        {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            assert_eq!((out.as_slice(), varint_len(value)), (bytes, bytes.len() as u64), "{value}");
        }
        let mut out = Vec::new();
        put_varint(&mut out, u64::MAX);
        assert_eq!((out.len(), varint_len(u64::MAX)), (10, 10));
    }
}
