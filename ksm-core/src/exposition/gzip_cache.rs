//! Gzip, put together from parts that were compressed before.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

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

/// The level of parts that find no room, which are compressed for each scrape: two thirds of [`GZIP_LEVEL`]'s time. Where
/// it matters, memory is short, and so is the time in which Prometheus wants its answer.
const UNKEPT_LEVEL: u32 = 1;

/// Compressed parts of an exposition, kept from scrape to scrape. Clones are the same cache.
///
/// A part is one family of one chunk of a store (128 objects). What did not change since the last scrape is not
/// compressed again. The price is the compressed exposition in memory, some 12 % of the plain text; once for text and
/// OpenMetrics, and again for protobuf where it is asked for; and never more than the [limit](Self::with_limit), beyond
/// which parts are compressed for each scrape.
///
/// Parts are raw deflate blocks that end at a byte boundary by a full flush and refer to nothing before them, so that
/// any sequence of them is a valid stream (RFC 1951); their CRCs combine to that of the whole (RFC 1952).
#[derive(Debug, Clone)]
pub struct GzipCache {
    state: Arc<Mutex<State>>,
    limit: usize,
}

impl Default for GzipCache {
    fn default() -> Self {
        Self::with_limit(Self::DEFAULT_LIMIT)
    }
}

#[derive(Debug, Default)]
struct State {
    parts: HashMap<PartKey, (Part, u64)>,
    /// The bytes that they take.
    bytes: usize,
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
    /// 48 MB. All default resources of 10,000 pods take 13 MB, of 50,000 pods 67 MB.
    pub const DEFAULT_LIMIT: usize = 48_000_000;

    /// An empty cache of at most [`DEFAULT_LIMIT`](Self::DEFAULT_LIMIT) bytes.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty cache of at most so many bytes of compressed parts.
    pub fn with_limit(limit: usize) -> Self {
        Self { state: Arc::default(), limit }
    }

    /// The bytes that the compressed parts take.
    pub fn memory(&self) -> usize {
        self.state.lock().bytes
    }

    /// The exposition as one gzip member, of which only what changed is compressed, as it is read. Of an exposition of
    /// selected samples nothing is kept.
    pub fn compress(&self, exposition: Exposition) -> CachedBlocks {
        let round = {
            let mut state = self.state.lock();
            state.round += 1;
            state.round
        };
        let metrics = (exposition.format == Format::Protobuf).then(Metrics::default);
        let pass = Pass { cache: self.clone(), round, keeps: !exposition.filtered, metrics, scratch: Vec::new() };
        CachedBlocks { exposition, family: 0, pass, member: Some(Member::new()) }
    }

    /// Drops parts that the last expositions did not use: chunks that are gone, families that were switched off.
    fn forget_unused(&self, round: u64) {
        let mut state = self.state.lock();
        let mut freed = 0;
        state.parts.retain(|_, (part, used)| {
            let stays = *used + KEPT_UNUSED > round;
            freed += if stays { 0 } else { part.deflated.len() };
            stays
        });
        state.bytes -= freed;
    }
}

/// A gzip stream of parts, put together as it is read. See [`GzipCache::compress`].
#[derive(Debug)]
pub struct CachedBlocks {
    exposition: Exposition,
    family: usize,
    pass: Pass,
    /// None at the end.
    member: Option<Member>,
}

impl Iterator for CachedBlocks {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let member = self.member.as_mut()?;
        while member.waiting < BLOCK {
            let Some(family) = self.exposition.families.get(self.family) else {
                let trailer = Bytes::from_static(self.exposition.format.trailer());
                if !trailer.is_empty() {
                    member.push(self.pass.fixed(&trailer));
                }
                self.pass.cache.forget_unused(self.pass.round);
                return self.member.take().map(Member::finish);
            };
            self.family += 1;
            let kind = family.sample_kind(self.exposition.format);
            let samples = self.pass.samples(family, kind);
            let len = samples.iter().map(|part| part.len).sum();
            if kind.is_some() && len == 0 {
                continue;
            }
            let mut header = Vec::new();
            family.write_header(self.exposition.format, len, &mut header);
            member.push(self.pass.fixed(&header.into()));
            for part in samples {
                member.push(part);
            }
        }
        Some(member.block())
    }
}

/// One exposition that is being compressed.
#[derive(Debug)]
struct Pass {
    cache: GzipCache,
    round: u64,
    /// Samples are kept for the next exposition.
    keeps: bool,
    /// Writes the samples; none in text formats.
    metrics: Option<Metrics>,
    scratch: Vec<u8>,
}

impl Pass {
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
        // What it will take is not known before: at most an eighth of the text, as a rule.
        let finds_room = {
            let state = self.cache.state.lock();
            let before = key.as_ref().and_then(|key| state.parts.get(key)).map_or(0, |(part, _)| part.deflated.len());
            state.bytes - before + self.scratch.len() / 8 <= self.cache.limit
        };
        let level = if finds_room { GZIP_LEVEL } else { UNKEPT_LEVEL };
        let part = Part::compress(stamp, &self.scratch, level);
        if let Some(key) = key {
            let mut state = self.cache.state.lock();
            // The one before is of no use any more.
            let freed = state.parts.remove(&key).map_or(0, |(before, _)| before.deflated.len());
            state.bytes -= freed;
            if state.bytes + part.deflated.len() <= self.cache.limit {
                state.bytes += part.deflated.len();
                state.parts.insert(key, (part.clone(), self.round));
            }
        }
        part
    }
}

impl Part {
    fn compress(stamp: u64, text: &[u8], level: u32) -> Self {
        let deflated = if text.is_empty() { Vec::new() } else { deflate(text, level) };
        Self { stamp, deflated: deflated.into(), crc: crc32fast::hash(text), len: text.len() as u64 }
    }
}

fn deflate(text: &[u8], level: u32) -> Vec<u8> {
    let mut deflate = Compress::new(Compression::new(level), false);
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
#[derive(Debug)]
struct Member {
    /// What was not handed out yet, and its bytes.
    pieces: VecDeque<Bytes>,
    waiting: usize,
    crc: crc32fast::Hasher,
    len: u64,
}

impl Member {
    fn new() -> Self {
        // Magic, deflate, no flags, no time, no hint, unknown system.
        let header = Bytes::from_static(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
        Self { waiting: header.len(), pieces: VecDeque::from([header]), crc: crc32fast::Hasher::new(), len: 0 }
    }

    fn push(&mut self, part: Part) {
        if part.len == 0 {
            return;
        }
        self.crc.combine(&crc32fast::Hasher::new_with_initial_len(part.crc, part.len));
        self.len += part.len;
        self.waiting += part.deflated.len();
        self.pieces.push_back(part.deflated);
    }

    /// Small pieces joined, so that writing them costs few system calls.
    fn block(&mut self) -> Bytes {
        let mut block = Vec::with_capacity(BLOCK + BLOCK / 4);
        while block.len() < BLOCK
            && let Some(piece) = self.pieces.pop_front()
        {
            block.extend_from_slice(&piece);
        }
        self.waiting -= block.len();
        block.into()
    }

    /// All that is left: less than two blocks.
    fn finish(self) -> Bytes {
        let mut block = Vec::with_capacity(self.waiting + 10);
        for piece in &self.pieces {
            block.extend_from_slice(piece);
        }
        // An empty last block, then the CRC and the length modulo 2^32.
        block.extend_from_slice(&[0x03, 0x00]);
        block.extend_from_slice(&self.crc.finalize().to_le_bytes());
        #[expect(clippy::cast_possible_truncation, reason = "RFC 1952: the length modulo 2^32")]
        block.extend_from_slice(&(self.len as u32).to_le_bytes());
        block.into()
    }
}
