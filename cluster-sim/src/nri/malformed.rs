//! What no runtime sends.

use prost::Message;

use super::api::{Event, StateChangeEvent};
use super::connection::{REQUEST, RESPONSE};
use super::envelope::{Request, Response};
use super::peer::Peer;

/// Something that a plugin has to live with, or to end its session for, without a panic or memory that grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Malformed {
    /// A frame that ends before its length, with the connection.
    TruncatedFrame,
    /// The header of a frame of 4 GiB.
    OversizedFrame,
    /// The header of a message of 4 GiB, in a frame.
    OversizedMessage,
    /// A message in two frames, the second first.
    ReorderedFrames,
    /// A message in frames of one byte.
    TinyFrames,
    /// A frame without a payload.
    EmptyFrame,
    /// Frames for connections that are not open, one of them the reserved one.
    UnknownConnection,
    /// A request twice, by the same stream.
    DuplicateRequest,
    /// A request by a stream with an even id.
    EvenStream,
    /// An answer twice, to a stream that was answered.
    DuplicateResponse,
    /// An answer to a stream that was never used.
    UnknownStream,
    /// An answer on the connection of requests.
    MisplacedResponse,
    /// A request whose data is no envelope.
    GarbageEnvelope,
    /// A call whose message is none.
    GarbagePayload,
    /// A message of a type that there is not.
    UnknownType,
    /// A message of a stream, which NRI does not use.
    StreamData,
    /// A request with all flags.
    UnknownFlags,
    /// A call of a service that there is not.
    UnknownService,
    /// A call of a method that there is not.
    UnknownMethod,
    /// An event that there is not.
    UnknownEvent,
    /// A call that waits for less than no time.
    NegativeTimeout,
    /// An event without a pod or container.
    EmptyEvent,
}

const SERVICE: &str = "nri.pkg.api.v1alpha1.Plugin";
/// What is neither an envelope nor a message.
const GARBAGE: &[u8] = b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff";

impl Malformed {
    /// All of them.
    pub const ALL: [Self; 22] = [
        Self::TruncatedFrame,
        Self::OversizedFrame,
        Self::OversizedMessage,
        Self::ReorderedFrames,
        Self::TinyFrames,
        Self::EmptyFrame,
        Self::UnknownConnection,
        Self::DuplicateRequest,
        Self::EvenStream,
        Self::DuplicateResponse,
        Self::UnknownStream,
        Self::MisplacedResponse,
        Self::GarbageEnvelope,
        Self::GarbagePayload,
        Self::UnknownType,
        Self::StreamData,
        Self::UnknownFlags,
        Self::UnknownService,
        Self::UnknownMethod,
        Self::UnknownEvent,
        Self::NegativeTimeout,
        Self::EmptyEvent,
    ];

    /// Whether what comes afterwards can still be told from it: if so, a plugin can go on. It need not where a stream or
    /// a type shows that the two ends do not agree any more.
    pub const fn is_over(self) -> bool {
        !matches!(self, Self::TruncatedFrame | Self::OversizedFrame | Self::OversizedMessage | Self::ReorderedFrames)
    }

    /// Whether it shows that the two ends do not agree any more: Go's server answers it with an error and goes on, others
    /// may end the connection.
    pub const fn is_breach(self) -> bool {
        matches!(self, Self::DuplicateRequest | Self::EvenStream | Self::UnknownType)
    }
}

/// A message with its header.
fn message(stream: u32, kind: u8, flags: u8, data: &[u8]) -> Vec<u8> {
    // Such messages are short.
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes()[..], &stream.to_be_bytes(), &[kind, flags], data].concat()
}

fn event(event: i32) -> Request {
    let payload = StateChangeEvent { event, ..StateChangeEvent::default() }.encode_to_vec().into();
    let (service, method) = (SERVICE.to_owned(), "StateChange".to_owned());
    Request { service, method, payload, timeout_nano: 1_000_000_000, metadata: Vec::new() }
}

impl Peer {
    /// Sends what no runtime would. Answers come to [`take_stray_answers`](Self::take_stray_answers). False when the
    /// connection is closed.
    pub async fn send(&self, malformed: Malformed) -> bool {
        let trunk = self.trunk();
        let harmless = event(0);
        let request = |request: &Request, stream, flags| message(stream, REQUEST, flags, &request.encode_to_vec());
        let response = |stream| message(stream, RESPONSE, 0, &Response::default().encode_to_vec());
        let call = |call: Request| async move {
            let stream = self.client.take_stream().await;
            trunk.frame(1, &message(stream, REQUEST, 0, &call.encode_to_vec())).await
        };
        match malformed {
            Malformed::TruncatedFrame => {
                let written = trunk.bytes(&[0, 0, 0, 1, 0, 0, 0, 200, 1, 2, 3]).await;
                self.close().await;
                written
            }
            Malformed::OversizedFrame => trunk.bytes(&[0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff]).await,
            Malformed::OversizedMessage => {
                let stream = self.client.take_stream().await.to_be_bytes();
                trunk.frame(1, &[&[0xff; 4][..], &stream, &[REQUEST, 0]].concat()).await
            }
            Malformed::ReorderedFrames => {
                let message = request(&harmless, self.client.take_stream().await, 0);
                let (first, second) = message.split_at(10);
                trunk.frame(1, second).await && trunk.frame(1, first).await
            }
            Malformed::TinyFrames => {
                let message = request(&harmless, self.client.take_stream().await, 0);
                for byte in message {
                    if !trunk.frame(1, &[byte]).await {
                        return false;
                    }
                }
                true
            }
            Malformed::EmptyFrame => trunk.frame(1, &[]).await && trunk.frame(2, &[]).await,
            Malformed::UnknownConnection => trunk.frame(0, GARBAGE).await && trunk.frame(7, GARBAGE).await,
            Malformed::DuplicateRequest => {
                let message = request(&harmless, self.client.take_stream().await, 0);
                trunk.frame(1, &message).await && trunk.frame(1, &message).await
            }
            Malformed::EvenStream => {
                let stream = self.client.take_stream().await.wrapping_add(1);
                trunk.frame(1, &request(&harmless, stream, 0)).await
            }
            Malformed::DuplicateResponse => trunk.frame(2, &response(1)).await && trunk.frame(2, &response(1)).await,
            Malformed::UnknownStream => trunk.frame(2, &response(0x7fff_ffff)).await,
            Malformed::MisplacedResponse => trunk.frame(1, &response(1)).await,
            Malformed::GarbageEnvelope => {
                let stream = self.client.take_stream().await;
                trunk.frame(1, &message(stream, REQUEST, 0, GARBAGE)).await
            }
            Malformed::GarbagePayload => call(Request { payload: GARBAGE.into(), ..harmless }).await,
            Malformed::UnknownType => {
                let stream = self.client.take_stream().await;
                trunk.frame(1, &message(stream, 77, 0, GARBAGE)).await
            }
            Malformed::StreamData => {
                let stream = self.client.take_stream().await;
                trunk.frame(1, &message(stream, 3, 0, GARBAGE)).await
            }
            Malformed::UnknownFlags => {
                let stream = self.client.take_stream().await;
                trunk.frame(1, &request(&harmless, stream, 0xff)).await
            }
            Malformed::UnknownService => call(Request { service: "nobody".to_owned(), ..harmless }).await,
            Malformed::UnknownMethod => call(Request { method: "PauseContainer".to_owned(), ..harmless }).await,
            Malformed::UnknownEvent => call(event(99)).await,
            Malformed::NegativeTimeout => call(Request { timeout_nano: i64::MIN, ..harmless }).await,
            Malformed::EmptyEvent => call(event(Event::StartContainer as i32)).await,
        }
    }
}
