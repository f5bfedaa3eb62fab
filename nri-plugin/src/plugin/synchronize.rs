//! The state of a node, which comes in parts.

use bytes::Bytes;
use prost::{DecodeError, Message};
use thiserror::Error;

use crate::ttrpc::{Code, Status};

/// Bounds for the state that a runtime sends when a plugin joins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncLimits {
    /// The most pods and containers together; 100 000 by default.
    pub items: usize,
    /// The most bytes of all messages together; 256 MiB by default.
    pub bytes: usize,
}

impl Default for SyncLimits {
    fn default() -> Self {
        Self { items: 100_000, bytes: 256 << 20 }
    }
}

/// All pods and all containers, as they came.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    pub(super) pods: Vec<Bytes>,
    pub(super) containers: Vec<Bytes>,
}

/// A [`SynchronizeRequest`](crate::api::SynchronizeRequest) whose pods and containers are not looked into.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Part {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    pods: Vec<Bytes>,
    #[prost(bytes = "bytes", repeated, tag = "2")]
    containers: Vec<Bytes>,
    #[prost(bool, tag = "3")]
    more: bool,
}

/// Collects parts until the last one.
///
/// Pods and containers are cut apart without regard to each other, so nothing can be joined before. A runtime may send
/// parts that are empty for as long as it waits, thousands in a second (NRI 0.8 to 0.12): they leave nothing here.
///
/// They are decoded once all are there, into lists of just their length, while what they came in is let go: a list that
/// grew with each part would for a moment be there twice, and messages take more than their bytes.
#[derive(Debug, Default)]
pub(super) struct Parts {
    state: State,
    bytes: usize,
}

impl Parts {
    /// Takes a part; the whole if it is the last.
    pub(super) fn add(&mut self, payload: Bytes, limits: &SyncLimits) -> Result<Option<State>, Refused> {
        let bytes = payload.len();
        // Two bytes are an item, which takes more than that as soon as it is told apart.
        let items = self.items() + entries(&payload);
        if items > limits.items || self.bytes.saturating_add(bytes) > limits.bytes {
            let bytes = self.bytes.saturating_add(bytes);
            *self = Self::default();
            return Err(Refused::TooMuch { items, bytes, limits: limits.clone() });
        }
        let Part { pods, containers, more } = Part::decode(payload)?;
        if !(pods.is_empty() && containers.is_empty()) {
            self.bytes = self.bytes.saturating_add(bytes);
        }
        self.state.pods.extend(pods);
        self.state.containers.extend(containers);
        Ok(if more { None } else { Some(std::mem::take(self).state) })
    }

    fn items(&self) -> usize {
        self.state.pods.len() + self.state.containers.len()
    }
}

/// How many pods and containers there are in a part, as far as it can be read.
fn entries(mut part: &[u8]) -> usize {
    let mut count = 0;
    while let Some(key) = number(&mut part) {
        let length = match key & 7 {
            0 => number(&mut part).map(|_| 0),
            1 => Some(8),
            2 => number(&mut part),
            5 => Some(4),
            _ => None,
        };
        let rest = length.and_then(|length| part.get(usize::try_from(length).ok()?..));
        let Some(rest) = rest else { break };
        part = rest;
        count += usize::from(matches!(key, 0x0a | 0x12));
    }
    count
}

/// A number of protobuf: seven bits in each byte, the lowest first.
fn number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// A part that is not taken.
#[derive(Debug, Error)]
pub(super) enum Refused {
    #[error("the message can't be read: {0}")]
    Undecodable(#[from] DecodeError),
    #[error(
        "the state of the node is too much: {items} pods and containers of {bytes} bytes, {} of {} are the most",
        limits.items, limits.bytes
    )]
    TooMuch { items: usize, bytes: usize, limits: SyncLimits },
}

impl Refused {
    pub(super) fn status(&self) -> Status {
        let code = match self {
            Self::Undecodable(_) => Code::InvalidArgument,
            Self::TooMuch { .. } => Code::ResourceExhausted,
        };
        Status::new(code, self.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Container, PodSandbox, SynchronizeRequest};

    fn part(pods: usize, containers: usize, more: bool) -> Bytes {
        let request = SynchronizeRequest {
            pods: vec![PodSandbox { id: "p".to_owned(), ..PodSandbox::default() }; pods],
            containers: vec![Container { id: "c".to_owned(), ..Container::default() }; containers],
            more,
        };
        request.encode_to_vec().into()
    }

    #[test]
    fn the_whole_is_there_with_the_last_part_and_the_next_series_begins_anew() {
        let (mut parts, limits) = (Parts::default(), SyncLimits::default());
        for series in [[(2, 8), (2, 8), (2, 2)], [(0, 1), (0, 1), (1, 0)]] {
            let [first, second, last] = series;
            assert!(parts.add(part(first.0, first.1, true), &limits).unwrap().is_none());
            assert!(parts.add(part(second.0, second.1, true), &limits).unwrap().is_none());
            let state = parts.add(part(last.0, last.1, false), &limits).unwrap().unwrap();
            // A text of one byte under tag 1.
            assert_eq!(state.pods, vec![Bytes::from_static(b"\x0a\x01p"); first.0 + second.0 + last.0]);
            assert_eq!(state.containers, vec![Bytes::from_static(b"\x0a\x01c"); first.1 + second.1 + last.1]);
        }
        assert_eq!(parts.bytes, 0);
    }

    #[test]
    fn empty_parts_leave_nothing() {
        let (mut parts, limits) = (Parts::default(), SyncLimits { items: 1, bytes: 10 });
        for _ in 0..12_000 {
            assert!(parts.add(part(0, 0, true), &limits).unwrap().is_none());
        }
        assert_eq!((parts.state.pods.capacity(), parts.state.containers.capacity(), parts.bytes), (0, 0, 0));
    }

    #[test]
    fn too_much_is_refused_and_forgotten() {
        // A pod of three bytes takes five in its part, whose end takes two.
        for (size, limits) in [(6, SyncLimits { items: 10, bytes: 100 }), (2, SyncLimits { items: 10, bytes: 23 })] {
            let mut parts = Parts::default();
            assert!(parts.add(part(size, 0, true), &limits).unwrap().is_none());
            let refused = parts.add(part(size, 0, true), &limits).unwrap_err();
            assert!(refused.status().is(Code::ResourceExhausted), "{refused}");
            assert_eq!((parts.state.pods.capacity(), parts.bytes), (0, 0));
        }
    }

    #[test]
    fn what_is_no_part_is_refused() {
        let refused = Parts::default().add(Bytes::from_static(b"\x0a\x05p"), &SyncLimits::default()).unwrap_err();
        assert!(refused.status().is(Code::InvalidArgument), "{refused}");
    }
}
