//! A watch's body → lines, of bounded length.

use bytes::{Buf, Bytes, BytesMut};
use memchr::memchr;

/// Puts frames together and takes lines out.
#[derive(Debug, Default)]
pub(super) struct Lines {
    buffer: BytesMut,
    /// How much of the buffer is known to have no newline.
    searched: usize,
}

impl Lines {
    pub(super) fn push(&mut self, frame: &Bytes) {
        self.buffer.extend_from_slice(frame);
    }

    /// The next whole line, without its newline; empty lines are passed by.
    pub(super) fn next(&mut self) -> Option<Bytes> {
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
    pub(super) fn pending(&self) -> usize {
        self.buffer.len()
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
