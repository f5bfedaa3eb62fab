//! An exposition, some 64 KB at a time.

use bytes::Bytes;

use super::protobuf::Metrics;
use super::{Exposition, Format};

/// A block is handed out once it has this many bytes.
pub(super) const BLOCK: usize = 56 * 1024;

/// See [`Exposition::blocks`].
#[derive(Debug)]
pub struct Blocks {
    exposition: Exposition,
    family: usize,
    source: usize,
    chunk: usize,
    at_header: bool,
    ended: bool,
    /// Writes the samples; none in text formats.
    metrics: Option<Metrics>,
}

impl Blocks {
    pub(super) fn new(exposition: Exposition) -> Self {
        let metrics = (exposition.format == Format::Protobuf).then(Metrics::default);
        Self { exposition, family: 0, source: 0, chunk: 0, at_header: true, ended: false, metrics }
    }

    fn next_family(&mut self) {
        self.family += 1;
        self.source = 0;
        self.at_header = true;
    }
}

impl Iterator for Blocks {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        if self.ended {
            return None;
        }
        let format = self.exposition.format;
        let mut block = Vec::with_capacity(BLOCK + BLOCK / 4);
        while block.len() < BLOCK {
            let Some(family) = self.exposition.families.get(self.family) else {
                self.ended = true;
                block.extend_from_slice(format.trailer());
                break;
            };
            if std::mem::take(&mut self.at_header) {
                let mut len = 0;
                if let Some(metrics) = &mut self.metrics {
                    metrics.begin_family(family.form.kind);
                    len = family.sources.iter().map(|source| metrics.measure(source)).sum();
                    if len == 0 {
                        self.next_family();
                        continue;
                    }
                }
                family.write_header(format, len, &mut block);
            }
            match family.sources.get(self.source) {
                None => self.next_family(),
                Some(source) if self.chunk >= source.snapshot.chunk_count() => {
                    self.source += 1;
                    self.chunk = 0;
                }
                Some(source) => {
                    match &mut self.metrics {
                        None => source.write_lines(self.chunk, &family.head, &mut block),
                        Some(metrics) => metrics.write(source, self.chunk, &mut block),
                    }
                    self.chunk += 1;
                }
            }
        }
        (!block.is_empty()).then(|| block.into())
    }
}
