//! Frames: what a trunk carries. Pure.

use bytes::Bytes;

/// Bytes of a frame's header.
pub(crate) const HEADER: usize = 8;

/// The most of a message that its first frame may hold. Go's ttrpc reads a connection through a buffer of this size, and
/// Go's mux gives it a frame as a whole: what is more than the buffer ends the connection.
pub(crate) const FIRST_PIECE: usize = 4096;

/// The most that any frame may hold: a message of 4 MiB and the header of ttrpc, which is where Go's mux cuts.
pub(crate) const PIECE: usize = 4 * 1024 * 1024 + 10;

/// The header of a frame: two big-endian numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) connection: u32,
    pub(crate) length: u32,
}

impl Header {
    pub(crate) fn encode(self) -> [u8; HEADER] {
        (u64::from(self.connection) << 32 | u64::from(self.length)).to_be_bytes()
    }

    pub(crate) fn decode(bytes: [u8; HEADER]) -> Self {
        let [c0, c1, c2, c3, l0, l1, l2, l3] = bytes;
        Self { connection: u32::from_be_bytes([c0, c1, c2, c3]), length: u32::from_be_bytes([l0, l1, l2, l3]) }
    }
}

/// Cuts a message into what its frames hold, as Go's reader wants it; an empty message is one empty frame.
pub(crate) fn pieces(mut message: Bytes) -> impl Iterator<Item = Bytes> {
    let mut limit = FIRST_PIECE;
    let mut first = true;
    std::iter::from_fn(move || {
        if message.is_empty() && !first {
            return None;
        }
        first = false;
        let piece = message.split_to(message.len().min(limit));
        limit = PIECE;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_big_endian() {
        let header = Header { connection: 1, length: 0x0040_000a };
        assert_eq!(header.encode(), [0, 0, 0, 1, 0, 0x40, 0, 0x0a]);
        assert_eq!(Header::decode(header.encode()), header);
    }

    #[test]
    fn the_first_piece_fits_the_buffer_of_go_and_the_rest_is_one() {
        let lengths =
            |length: usize| -> Vec<usize> { pieces(Bytes::from(vec![7; length])).map(|piece| piece.len()).collect() };
        assert_eq!(lengths(0), [0]);
        assert_eq!(lengths(4096), [4096]);
        assert_eq!(lengths(4097), [4096, 1]);
        assert_eq!(lengths(4096 + PIECE), [4096, PIECE]);
        assert_eq!(lengths(4096 + PIECE + 5), [4096, PIECE, 5]);
    }
}
