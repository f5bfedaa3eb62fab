//! An exposition as a body that is made as it is read.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body, Frame};
use thiserror::Error;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::{JoinError, JoinHandle, spawn_blocking};

use super::request::Coding;
use crate::exposition::{Blocks, Exposition};

/// A body that could not be made to its end; the client sees a broken transfer, not a short one.
#[derive(Debug, Error)]
#[error("the exposition could not be written to its end: {0}")]
pub struct BodyError(#[source] JoinError);

/// The body of an answered scrape.
///
/// Plain text is written while the body is polled: some 64 KB take tens of microseconds. What takes longer runs on the
/// runtime's blocking threads, a block at a time, and holds none of them while the client is slow: compression, protobuf,
/// and the search for selected samples.
pub struct ScrapeBody {
    content: Content,
    scrape: Option<Scrape>,
}

/// What is counted of a scrape when its body is dropped.
struct Scrape {
    begin: Instant,
    bytes: u64,
    /// The time that its blocks took to make: the rest was the client's.
    making: Duration,
    encoding: &'static str,
    complete: bool,
    /// Held until the client has it all.
    _permit: OwnedSemaphorePermit,
}

impl Drop for Scrape {
    fn drop(&mut self) {
        let result = if self.complete { "complete" } else { "aborted" };
        metrics::histogram!("ksm_core_scrape_duration_seconds", "result" => result).record(self.begin.elapsed());
        metrics::histogram!("ksm_core_scrape_encode_duration_seconds", "encoding" => self.encoding).record(self.making);
        metrics::counter!("ksm_core_scrapes_total", "encoding" => self.encoding, "result" => result).increment(1);
        metrics::counter!("ksm_core_scrape_bytes_total", "encoding" => self.encoding).increment(self.bytes);
    }
}

pub(super) enum Content {
    Whole(Option<Bytes>),
    Polled(Box<Blocks>),
    Worked(Option<Work>),
}

type BoxedBlocks = Box<dyn Iterator<Item = Bytes> + Send>;

/// Blocks that are made on blocking threads: between two of them, or while one is being made.
pub(super) enum Work {
    Idle(BoxedBlocks),
    Busy(JoinHandle<(Timed<Option<Bytes>>, BoxedBlocks)>),
}

/// What was made, and how long it took.
type Timed<T> = (T, Duration);

fn timed<T>(make: impl FnOnce() -> T) -> Timed<T> {
    let begin = Instant::now();
    (make(), begin.elapsed())
}

impl Content {
    pub(super) fn plain(exposition: Exposition) -> Self {
        if exposition.is_steady() {
            Self::Polled(Box::new(exposition.blocks()))
        } else {
            Self::worked(exposition.blocks())
        }
    }

    pub(super) fn worked(blocks: impl Iterator<Item = Bytes> + Send + 'static) -> Self {
        Self::Worked(Some(Work::Idle(Box::new(blocks))))
    }

    /// The next block. The time that blocks took to make is added to `making`.
    fn poll_block(&mut self, cx: &mut Context<'_>, making: &mut Duration) -> Poll<Option<Result<Bytes, BodyError>>> {
        loop {
            match self {
                Self::Whole(bytes) => return Poll::Ready(bytes.take().map(Ok)),
                Self::Polled(blocks) => {
                    let (block, took) = timed(|| blocks.next());
                    *making += took;
                    return Poll::Ready(block.map(Ok));
                }
                Self::Worked(work) => match work.take() {
                    None => return Poll::Ready(None),
                    Some(Work::Idle(mut blocks)) => {
                        *work = Some(Work::Busy(spawn_blocking(move || (timed(|| blocks.next()), blocks))));
                    }
                    Some(Work::Busy(mut task)) => match Pin::new(&mut task).poll(cx) {
                        Poll::Pending => {
                            *work = Some(Work::Busy(task));
                            return Poll::Pending;
                        }
                        Poll::Ready(Ok(((block, took), blocks))) => {
                            *making += took;
                            *work = block.is_some().then_some(Work::Idle(blocks));
                            return Poll::Ready(block.map(Ok));
                        }
                        Poll::Ready(Err(error)) => return Poll::Ready(Some(Err(BodyError(error)))),
                    },
                },
            }
        }
    }
}

impl ScrapeBody {
    pub(super) fn new(content: Content, coding: Coding, permit: OwnedSemaphorePermit, begin: Instant) -> Self {
        let encoding = coding.name();
        Self {
            content,
            scrape: Some(Scrape {
                begin,
                bytes: 0,
                making: Duration::ZERO,
                encoding,
                complete: false,
                _permit: permit,
            }),
        }
    }

    pub(super) fn whole(bytes: Bytes) -> Self {
        Self { content: Content::Whole(Some(bytes)), scrape: None }
    }
}

impl fmt::Debug for ScrapeBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let encoding = self.scrape.as_ref().map(|scrape| scrape.encoding);
        f.debug_struct("ScrapeBody").field("encoding", &encoding).finish_non_exhaustive()
    }
}

impl Body for ScrapeBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut making = Duration::ZERO;
        let block = ready!(self.content.poll_block(cx, &mut making));
        if let Some(scrape) = &mut self.scrape {
            scrape.making += making;
            match &block {
                Some(Ok(block)) => scrape.bytes += block.len() as u64,
                Some(Err(_)) => {}
                None => scrape.complete = true,
            }
        }
        Poll::Ready(block.map(|block| block.map(Frame::data)))
    }
}
