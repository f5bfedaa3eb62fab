//! A watch's body → lines, of bounded length.

use bytes::{Buf, Bytes, BytesMut};
use http_body_util::BodyExt;
use kube::client::Body;
use memchr::memchr;

use super::error::Result;
use super::{Request, WatchError};

/// Puts frames together and takes lines out.
#[derive(Debug, Default)]
struct Lines {
    buffer: BytesMut,
    /// How much of the buffer is known to have no newline.
    searched: usize,
}

impl Lines {
    fn push(&mut self, frame: &Bytes) {
        self.buffer.extend_from_slice(frame);
    }

    /// The next whole line, without its newline; empty lines are passed by.
    fn next(&mut self) -> Option<Bytes> {
        loop {
            let rest = self.buffer.get(self.searched..).unwrap_or_default();
            let Some(found) = memchr(b'\n', rest) else {
                self.searched = self.buffer.len();
                return None;
            };
            let line = self.buffer.split_to(self.searched + found);
            self.buffer.advance(1);
            self.searched = 0;
            if !line.is_empty() {
                return Some(line.freeze());
            }
        }
    }

    /// How long the unfinished line is.
    fn pending(&self) -> usize {
        self.buffer.len()
    }
}

/// The lines of a watch's body.
pub(super) struct Events {
    body: Body,
    lines: Lines,
    limit: usize,
    request: Request,
}

impl Events {
    pub(super) fn new(body: Body, limit: usize, request: Request) -> Self {
        Self { body, lines: Lines::default(), limit, request }
    }

    /// The next line, with U+FFFD for bytes that are no UTF-8; none at the end. `idle` is called before waiting for the network.
    pub(super) async fn next(&mut self, mut idle: impl FnMut()) -> Result<Option<String>> {
        loop {
            if let Some(line) = self.lines.next() {
                return Ok(Some(
                    String::from_utf8(line.into())
                        .unwrap_or_else(|bad| String::from_utf8_lossy(bad.as_bytes()).into_owned()),
                ));
            }
            idle();
            let Some(frame) = self.body.frame().await else {
                return if self.lines.pending() == 0 {
                    Ok(None)
                } else {
                    Err(WatchError::Body { request: self.request, source: "the last event is cut short".into() })
                };
            };
            let frame = frame.map_err(|source| WatchError::Body { request: self.request, source: source.into() })?;
            let Ok(data) = frame.into_data() else { continue };
            if self.lines.pending() + data.len() > self.limit {
                return Err(WatchError::TooLong { request: self.request, limit: self.limit });
            }
            self.lines.push(&data);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_however_the_frames_are_cut() {
        let text = b"one\n\ntwo\nthree";
        for cut in 1..text.len() {
            let mut lines = Lines::default();
            let mut got = Vec::new();
            for frame in text.chunks(cut) {
                lines.push(&Bytes::copy_from_slice(frame));
                while let Some(line) = lines.next() {
                    got.push(line);
                }
            }
            assert_eq!(got, ["one", "two"]);
            assert_eq!(lines.pending(), 5);
        }
    }
}
