//! Gzip, put together from parts that were compressed before.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use flate2::{Compress, Compression, FlushCompress};
use parking_lot::Mutex;

use super::blocks::BLOCK;
use super::compress::GZIP_LEVEL;
use super::form::Kind;
use super::protobuf::Metrics;
use super::{Exposition, FamilyBlock, Format};

/// A part that this many expositions did not use is forgotten: several scrapers may ask for different formats or
/// resources in turn.
const KEPT_UNUSED: u64 = 8;

/// Compressed parts of an exposition, kept from scrape to scrape.
///
/// A part is one family of one chunk of a store (128 objects). What did not change since the last scrape is not
/// compressed again. The price is the compressed exposition in memory, some 7 % of the plain text; once for text and
/// OpenMetrics, and again for protobuf where it is asked for.
///
/// Parts are raw deflate blocks that end at a byte boundary by a full flush and refer to nothing before them, so that
/// any sequence of them is a valid stream (RFC 1951); their CRCs combine to that of the whole (RFC 1952).
#[derive(Debug, Default)]
pub struct GzipCache {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    parts: HashMap<PartKey, (Part, u64)>,
    /// Counts the expositions.
    round: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum PartKey {
    Header(Bytes),
    Samples {
        store: u64,
        family: usize,
        chunk: usize,
        /// The type that samples have in protobuf; none in text.
        kind: Option<Kind>,
    },
}

#[derive(Debug, Clone)]
struct Part {
    stamp: u64,
    deflated: Bytes,
    crc: u32,
    len: u64,
}

impl GzipCache {
    /// An empty cache.
    pub fn new() -> Self {
        Self::default()
    }

    /// The bytes that the compressed parts take.
    pub fn memory(&self) -> usize {
        self.state.lock().parts.values().map(|(part, _)| part.deflated.len()).sum()
    }

    /// The exposition as one gzip member, of which only what changed is compressed. Of an exposition of selected samples
    /// nothing is kept.
    pub fn compress(&self, exposition: &Exposition) -> Vec<Bytes> {
        let round = {
            let mut state = self.state.lock();
            state.round += 1;
            state.round
        };
        let metrics = (exposition.format == Format::Protobuf).then(Metrics::default);
        let mut pass = Pass { cache: self, round, keeps: !exposition.filtered, metrics, scratch: Vec::new() };
        let mut member = Member::new();
        for family in &exposition.families {
            let kind = family.sample_kind(exposition.format);
            let samples = pass.samples(family, kind);
            let len = samples.iter().map(|part| part.len).sum();
            if kind.is_some() && len == 0 {
                continue;
            }
            let mut header = Vec::new();
            family.write_header(exposition.format, len, &mut header);
            member.push(pass.fixed(&header.into()));
            for part in samples {
                member.push(part);
            }
        }
        let trailer = Bytes::from_static(exposition.format.trailer());
        if !trailer.is_empty() {
            member.push(pass.fixed(&trailer));
        }
        self.forget_unused(round);
        member.finish()
    }

    /// Drops parts that the last expositions did not use: chunks that are gone, families that were switched off.
    fn forget_unused(&self, round: u64) {
        self.state.lock().parts.retain(|_, (_, used)| *used + KEPT_UNUSED > round);
    }
}

/// One exposition that is being compressed.
struct Pass<'a> {
    cache: &'a GzipCache,
    round: u64,
    /// Samples are kept for the next exposition.
    keeps: bool,
    /// Writes the samples; none in text formats.
    metrics: Option<Metrics>,
    scratch: Vec<u8>,
}

impl Pass<'_> {
    /// The parts of a family's samples, chunk by chunk.
    fn samples(&mut self, family: &FamilyBlock, kind: Option<Kind>) -> Vec<Part> {
        if let (Some(metrics), Some(kind)) = (&mut self.metrics, kind) {
            metrics.begin_family(kind);
        }
        let mut parts = Vec::new();
        for source in &family.sources {
            let (store, place) = (source.snapshot.store(), source.family);
            for chunk in 0..source.snapshot.chunk_count() {
                let stamp = source.snapshot.stamp(place, chunk);
                if stamp == 0 {
                    continue;
                }
                let key = self.keeps.then_some(PartKey::Samples { store, family: place, chunk, kind });
                parts.push(self.part(key, stamp, |metrics, out| match metrics {
                    None => source.write_lines(chunk, &family.head, out),
                    Some(metrics) => metrics.write(source, chunk, out),
                }));
            }
        }
        parts
    }

    /// A part that is its own key.
    fn fixed(&mut self, bytes: &Bytes) -> Part {
        self.part(Some(PartKey::Header(bytes.clone())), 0, |_, out| out.extend_from_slice(bytes))
    }

    /// The part of that key and stamp, compressed now if it is not at hand. No lock is held while compressing.
    fn part(
        &mut self,
        key: Option<PartKey>,
        stamp: u64,
        write: impl FnOnce(&mut Option<Metrics>, &mut Vec<u8>),
    ) -> Part {
        if let Some(key) = &key
            && let Some((part, used)) = self.cache.state.lock().parts.get_mut(key)
            && part.stamp == stamp
        {
            *used = self.round;
            return part.clone();
        }
        self.scratch.clear();
        write(&mut self.metrics, &mut self.scratch);
        let part = Part::compress(stamp, &self.scratch);
        if let Some(key) = key {
            self.cache.state.lock().parts.insert(key, (part.clone(), self.round));
        }
        part
    }
}

impl Part {
    fn compress(stamp: u64, text: &[u8]) -> Self {
        let deflated = if text.is_empty() { Vec::new() } else { deflate(text) };
        Self { stamp, deflated: deflated.into(), crc: crc32fast::hash(text), len: text.len() as u64 }
    }
}

fn deflate(text: &[u8]) -> Vec<u8> {
    let mut deflate = Compress::new(Compression::new(GZIP_LEVEL), false);
    let mut out = Vec::with_capacity(text.len() / 8 + 64);
    loop {
        let read = usize::try_from(deflate.total_in()).unwrap_or(usize::MAX);
        let rest = text.get(read..).unwrap_or_default();
        // The only error is a broken state, which a fresh compressor does not have; the CRC would tell.
        let _ = deflate.compress_vec(rest, &mut out, FlushCompress::Full);
        if deflate.total_in() == text.len() as u64 && out.len() < out.capacity() {
            out.shrink_to_fit();
            return out;
        }
        out.reserve(out.capacity().max(64));
    }
}

/// A gzip member that is being put together.
struct Member {
    pieces: VecDeque<Bytes>,
    crc: crc32fast::Hasher,
    len: u64,
}

impl Member {
    fn new() -> Self {
        // Magic, deflate, no flags, no time, no hint, unknown system.
        let header = Bytes::from_static(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
        Self { pieces: VecDeque::from([header]), crc: crc32fast::Hasher::new(), len: 0 }
    }

    fn push(&mut self, part: Part) {
        if part.len == 0 {
            return;
        }
        self.crc.combine(&crc32fast::Hasher::new_with_initial_len(part.crc, part.len));
        self.len += part.len;
        self.pieces.push_back(part.deflated);
    }

    fn finish(mut self) -> Vec<Bytes> {
        // An empty last block, then the CRC and the length modulo 2^32.
        let mut end = vec![0x03, 0x00];
        end.extend_from_slice(&self.crc.finalize().to_le_bytes());
        #[expect(clippy::cast_possible_truncation, reason = "RFC 1952: the length modulo 2^32")]
        end.extend_from_slice(&(self.len as u32).to_le_bytes());
        self.pieces.push_back(end.into());
        coalesce(self.pieces)
    }
}

/// Joins small pieces, so that writing them costs few system calls.
fn coalesce(pieces: VecDeque<Bytes>) -> Vec<Bytes> {
    let mut joined = Vec::new();
    let mut block = Vec::with_capacity(BLOCK);
    for piece in pieces {
        block.extend_from_slice(&piece);
        if block.len() >= BLOCK {
            joined.push(std::mem::take(&mut block).into());
        }
    }
    joined.push(block.into());
    joined
}
