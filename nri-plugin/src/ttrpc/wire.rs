//! Messages: what a connection carries. Pure.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::Message;

/// Bytes of a message's header.
pub(crate) const HEADER: usize = 10;

/// A call.
pub(crate) const REQUEST: u8 = 1;
/// Its answer.
pub(crate) const RESPONSE: u8 = 2;

/// The header of a message: length and stream big-endian, type, flags; unary calls have no flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// Of the data; the header is not counted.
    pub(crate) length: usize,
    pub(crate) stream: u32,
    pub(crate) kind: u8,
}

/// Header and data in one buffer, with the stream still to be set.
#[derive(Debug)]
pub(crate) struct Encoded(BytesMut);

impl Encoded {
    pub(crate) fn new(kind: u8, data: &impl Message) -> Self {
        let length = data.encoded_len();
        let mut buffer = BytesMut::with_capacity(HEADER + length);
        // Checked against the limit for sending, which is below 4 GiB by far.
        buffer.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
        buffer.put_u32(0);
        buffer.put_u8(kind);
        buffer.put_u8(0);
        // The buffer grows where it is too small.
        let _ = data.encode(&mut buffer);
        Self(buffer)
    }

    /// Header and data.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The message, on that stream.
    pub(crate) fn on(mut self, stream: u32) -> Bytes {
        if let Some(place) = self.0.get_mut(4..8) {
            place.copy_from_slice(&stream.to_be_bytes());
        }
        self.0.freeze()
    }
}

/// A message that came, or one that was too long to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Incoming {
    Message(Header, Bytes),
    Oversize(Header),
    /// No header of a message: where the next one begins can't be told.
    Broken(&'static str),
}

/// The longest message that any peer might send: runtimes before NRI 0.7 have no limit of their own, and frames of 16 MiB.
const LONGEST: usize = 1 << 28;

impl Header {
    /// What is wrong with it, if it is no message's.
    fn check(self) -> Result<Self, &'static str> {
        match self {
            // Requests, answers, and the data of streams, which NRI has none of.
            Self { kind: 1..=3, length: ..=LONGEST, .. } => Ok(self),
            Self { kind: 1..=3, .. } => Err("a message is longer than any"),
            _ => Err("a message is of a type that there is not"),
        }
    }
}

/// Puts messages together from what frames carry, however they were cut. It keeps one message at most.
#[derive(Debug)]
pub(crate) struct Assembler {
    limit: usize,
    frame: Bytes,
    state: State,
}

#[derive(Debug)]
enum State {
    Header(BytesMut),
    Data(Header, BytesMut),
    /// Bytes of a message that is too long, still to come.
    Skip(Header, usize),
    Broken(&'static str),
}

impl Assembler {
    /// With the longest data that is kept.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, frame: Bytes::new(), state: State::Header(BytesMut::new()) }
    }

    /// Takes what a frame carried. Messages are to be taken out before the next one.
    pub(crate) fn push(&mut self, frame: Bytes) {
        self.frame = frame;
    }

    /// The next message that is complete.
    pub(crate) fn pop(&mut self) -> Option<Incoming> {
        loop {
            match &mut self.state {
                State::Header(bytes) => {
                    bytes.put(self.frame.split_to(self.frame.len().min(HEADER - bytes.len())));
                    if bytes.len() < HEADER {
                        return None;
                    }
                    let header = Header {
                        length: usize::try_from(bytes.get_u32()).unwrap_or(usize::MAX),
                        stream: bytes.get_u32(),
                        kind: bytes.get_u8(),
                    };
                    self.state = match header.check() {
                        Err(why) => State::Broken(why),
                        Ok(header) if header.length > self.limit => State::Skip(header, header.length),
                        Ok(header) => State::Data(header, BytesMut::new()),
                    };
                }
                State::Data(header, data) => {
                    let (header, missing) = (*header, header.length - data.len());
                    // A message within one frame is not copied.
                    let message = if data.is_empty() && self.frame.len() >= missing {
                        self.frame.split_to(missing)
                    } else {
                        data.put(self.frame.split_to(self.frame.len().min(missing)));
                        if data.len() < header.length {
                            return None;
                        }
                        data.split().freeze()
                    };
                    self.state = State::Header(BytesMut::new());
                    return Some(Incoming::Message(header, message));
                }
                State::Skip(header, missing) => {
                    let skipped = self.frame.len().min(*missing);
                    self.frame.advance(skipped);
                    *missing -= skipped;
                    if *missing > 0 {
                        return None;
                    }
                    let header = *header;
                    self.state = State::Header(BytesMut::new());
                    return Some(Incoming::Oversize(header));
                }
                State::Broken(why) => return Some(Incoming::Broken(why)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ttrpc::envelope::KeyValue;

    fn message(kind: u8, stream: u32, value: &str) -> (Bytes, Incoming) {
        let data = KeyValue { key: String::new(), value: value.to_owned() };
        let header = Header { length: data.encoded_len(), stream, kind };
        (Encoded::new(kind, &data).on(stream), Incoming::Message(header, data.encode_to_vec().into()))
    }

    #[test]
    fn a_header_is_length_stream_type_and_no_flags() {
        let (bytes, _) = message(RESPONSE, 0x0102, "abc");
        assert_eq!(&bytes[..], [0, 0, 0, 5, 0, 0, 1, 2, 2, 0, 0x12, 3, b'a', b'b', b'c']);
        assert_eq!(Encoded::new(RESPONSE, &KeyValue::default()).len(), HEADER);
    }

    #[test]
    fn what_is_too_long_is_skipped_and_named() {
        let (long, _) = message(REQUEST, 3, &"x".repeat(100));
        let (short, expected) = message(REQUEST, 5, "y");
        let mut assembler = Assembler::new(50);
        assembler.push(long.slice(..60));
        assert_eq!(assembler.pop(), None);
        assembler.push([&long[60..], &short[..]].concat().into());
        assert_eq!(assembler.pop(), Some(Incoming::Oversize(Header { length: 102, stream: 3, kind: REQUEST })));
        assert_eq!(assembler.pop(), Some(expected));
        assert_eq!(assembler.pop(), None);
    }

    #[test]
    fn a_claimed_length_allocates_nothing() {
        let mut assembler = Assembler::new(usize::MAX);
        assembler.push(Bytes::from_static(&[0x0f, 0xff, 0xff, 0xff, 0, 0, 0, 1, 1, 0, 7]));
        assert_eq!(assembler.pop(), None);
        assert!(matches!(&assembler.state, State::Data(_, data) if data.capacity() < 1000));
    }

    #[test]
    fn what_is_no_header_is_no_message_to_be_waited_for() {
        for header in [[0, 0, 0, 1, 0, 0, 0, 1, 0, 0], [0, 0, 0, 1, 0, 0, 0, 1, 4, 0], [0x7a; 10]] {
            let mut assembler = Assembler::new(1000);
            assembler.push(Bytes::copy_from_slice(&header));
            assert!(matches!(assembler.pop(), Some(Incoming::Broken(_))), "{header:?}");
        }
        let mut assembler = Assembler::new(1000);
        assembler.push(Bytes::from_static(&[0x7a, 0x7a, 0x7a, 0x7a, 0, 0, 0, 1, 1, 0]));
        assert_eq!(assembler.pop(), Some(Incoming::Broken("a message is longer than any")));
    }

    proptest! {
        #[test]
        fn messages_come_through_however_they_are_cut(
            values in prop::collection::vec("[a-z]{0,40}", 1..8),
            cuts in prop::collection::vec(0_usize..30, 1..40),
        ) {
            let (bytes, expected): (Vec<Bytes>, Vec<Incoming>) =
                (1..).zip(&values).map(|(stream, value)| message(REQUEST, stream, value)).unzip();
            let mut stream = Bytes::from(bytes.concat());
            let mut assembler = Assembler::new(1000);
            let mut came = Vec::new();
            for cut in cuts.into_iter().chain([usize::MAX]) {
                assembler.push(stream.split_to(cut.min(stream.len())));
                came.extend(std::iter::from_fn(|| assembler.pop()));
            }
            prop_assert_eq!(came, expected);
        }
    }
}
