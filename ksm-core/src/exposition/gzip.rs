//! Gzip: streaming, or put together from parts that were compressed before.

use std::collections::{HashMap, VecDeque};
use std::io::Write;

use bytes::Bytes;
use flate2::{Compress, Compression, FlushCompress, write::GzEncoder};
use parking_lot::Mutex;

use super::{Blocks, Exposition};

/// Fast, and within a few percent of the best for text that repeats like this one.
const LEVEL: u32 = 1;

/// A gzip stream, compressed as it is read. See [`Exposition::gzip_blocks`].
#[derive(Debug)]
pub struct GzipBlocks {
    blocks: Blocks,
    encoder: Option<GzEncoder<Vec<u8>>>,
}

impl GzipBlocks {
    pub(super) fn new(blocks: Blocks) -> Self {
        Self { blocks, encoder: Some(GzEncoder::new(Vec::new(), Compression::new(LEVEL))) }
    }
}

impl Iterator for GzipBlocks {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        loop {
            let encoder = self.encoder.as_mut()?;
            // Writing to a Vec does not fail; if it did, the stream would end without its trailer, and the reader see it.
            let Some(block) = self.blocks.next() else {
                let rest = self.encoder.take()?.finish().ok()?;
                return Some(rest.into());
            };
            encoder.write_all(&block).ok()?;
            if encoder.get_ref().len() >= super::BLOCK / 2 {
                return Some(std::mem::take(encoder.get_mut()).into());
            }
        }
    }
}

/// Compressed parts of an exposition, kept from scrape to scrape.
///
/// A part is one family of one chunk of a store (128 objects). What did not change since the last scrape is not
/// compressed again. The price is the compressed exposition in memory, some 7 % of the plain text.
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
    Lines { store: u64, family: usize, chunk: usize },
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

    /// The exposition as one gzip member, of which only what changed is compressed.
    pub fn compress(&self, exposition: &Exposition) -> Vec<Bytes> {
        let round = {
            let mut state = self.state.lock();
            state.round += 1;
            state.round
        };
        let mut member = Member::new();
        let mut text = Vec::new();
        for entry in &exposition.entries {
            let header = PartKey::Header(entry.header.clone());
            member.push(self.part(header, 0, round, |text| text.extend_from_slice(&entry.header), &mut text));
            for (snapshot, family) in &entry.sources {
                for chunk in 0..snapshot.chunk_count() {
                    let stamp = snapshot.stamp(*family, chunk);
                    if stamp == 0 {
                        continue;
                    }
                    let key = PartKey::Lines { store: snapshot.store(), family: *family, chunk };
                    let write = |text: &mut Vec<u8>| snapshot.write_lines(*family, chunk, &entry.head, text);
                    member.push(self.part(key, stamp, round, write, &mut text));
                }
            }
        }
        let trailer = Bytes::from_static(exposition.format.trailer());
        if !trailer.is_empty() {
            let key = PartKey::Header(trailer.clone());
            member.push(self.part(key, 0, round, |text| text.extend_from_slice(&trailer), &mut text));
        }
        self.forget_unused(round);
        member.finish()
    }

    /// The part of that key and stamp, compressed now if it is not at hand. No lock is held while compressing.
    fn part(&self, key: PartKey, stamp: u64, round: u64, write: impl FnOnce(&mut Vec<u8>), text: &mut Vec<u8>) -> Part {
        if let Some((part, used)) = self.state.lock().parts.get_mut(&key)
            && part.stamp == stamp
        {
            *used = round;
            return part.clone();
        }
        text.clear();
        write(text);
        let part = Part::compress(stamp, text);
        self.state.lock().parts.insert(key, (part.clone(), round));
        part
    }

    /// Drops parts that the last two expositions did not use: chunks that are gone, families that were switched off.
    fn forget_unused(&self, round: u64) {
        self.state.lock().parts.retain(|_, (_, used)| *used + 2 > round);
    }
}

impl Part {
    fn compress(stamp: u64, text: &[u8]) -> Self {
        let deflated = if text.is_empty() { Vec::new() } else { deflate(text) };
        Self { stamp, deflated: deflated.into(), crc: crc32fast::hash(text), len: text.len() as u64 }
    }
}

fn deflate(text: &[u8]) -> Vec<u8> {
    let mut deflate = Compress::new(Compression::new(LEVEL), false);
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
    let mut block = Vec::with_capacity(super::BLOCK);
    for piece in pieces {
        block.extend_from_slice(&piece);
        if block.len() >= super::BLOCK {
            joined.push(std::mem::take(&mut block).into());
        }
    }
    joined.push(block.into());
    joined
}
