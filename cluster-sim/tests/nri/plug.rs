//! A plugin made of bytes.

use std::collections::HashMap;

use cluster_sim::nri::api::{ConfigureResponse, RegisterPluginRequest, SynchronizeRequest, SynchronizeResponse};
use cluster_sim::nri::envelope::{Request, Response};
use cluster_sim::nri::{Code, Status};
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::JoinHandle;

/// A message that came.
pub(crate) struct Came {
    pub(crate) connection: u32,
    pub(crate) stream: u32,
    pub(crate) kind: u8,
    pub(crate) data: Vec<u8>,
}

/// The plugin's end of a trunk.
pub(crate) struct Plug<S = DuplexStream> {
    trunk: S,
    buffers: HashMap<u32, Vec<u8>>,
}

pub(crate) fn frame(connection: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap();
    [&connection.to_be_bytes()[..], &length.to_be_bytes(), payload].concat()
}

pub(crate) fn message(stream: u32, kind: u8, data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len()).unwrap();
    [&length.to_be_bytes()[..], &stream.to_be_bytes(), &[kind, 0], data].concat()
}

pub(crate) fn runtime_call(method: &str, payload: &impl Message) -> Vec<u8> {
    let (service, method) = ("nri.pkg.api.v1alpha1.Runtime".to_owned(), method.to_owned());
    Request { service, method, payload: payload.encode_to_vec().into(), ..Request::default() }.encode_to_vec()
}

pub(crate) fn registration(index: &str, name: &str) -> Vec<u8> {
    let request = RegisterPluginRequest {
        plugin_name: name.to_owned(),
        plugin_idx: index.to_owned(),
        nri_version: "v0.12.2".to_owned(),
    };
    runtime_call("RegisterPlugin", &request)
}

impl<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin> Plug<S> {
    pub(crate) fn new(trunk: S) -> Self {
        Self { trunk, buffers: HashMap::new() }
    }

    /// The runtime may have closed the trunk.
    pub(crate) async fn bytes(&mut self, bytes: &[u8]) {
        let _ = self.trunk.write_all(bytes).await;
    }

    /// Writes a message so that Go reads it.
    pub(crate) async fn message(&mut self, connection: u32, stream: u32, kind: u8, data: &[u8]) {
        let message = message(stream, kind, data);
        let (first, rest) = message.split_at(message.len().min(4096));
        self.bytes(&frame(connection, first)).await;
        if !rest.is_empty() {
            self.bytes(&frame(connection, rest)).await;
        }
    }

    pub(crate) async fn answer(&mut self, stream: u32, payload: &impl Message) {
        let response = Response { status: None, payload: payload.encode_to_vec().into() };
        self.message(1, stream, 2, &response.encode_to_vec()).await;
    }

    /// The next message; none at the end of the trunk.
    pub(crate) async fn next(&mut self) -> Option<Came> {
        loop {
            for (connection, buffer) in &mut self.buffers {
                let Some(head) = buffer.get(..10) else { continue };
                let number = |range: std::ops::Range<usize>| u32::from_be_bytes(head[range].try_into().unwrap());
                let (length, stream, kind) = (number(0..4) as usize, number(4..8), head[8]);
                if buffer.len() >= 10 + length {
                    let data = buffer.drain(..10 + length).skip(10).collect();
                    return Some(Came { connection: *connection, stream, kind, data });
                }
            }
            let connection = self.trunk.read_u32().await.ok()?;
            let length = self.trunk.read_u32().await.ok()?;
            let mut payload = vec![0; length as usize];
            self.trunk.read_exact(&mut payload).await.ok()?;
            self.buffers.entry(connection).or_default().extend(payload);
        }
    }

    /// How many frames there are up to the end, the last of which may be cut off.
    pub(crate) async fn frames(&mut self) -> usize {
        let mut frames = 0;
        while self.trunk.read_u32().await.is_ok() {
            frames += 1;
            let length = self.trunk.read_u32().await.unwrap();
            let _ = (&mut self.trunk).take(length.into()).read_to_end(&mut Vec::new()).await;
        }
        frames
    }

    /// The next answer of the runtime.
    pub(crate) async fn answered(&mut self) -> (u32, Response) {
        loop {
            let came = self.next().await.expect("the trunk is open");
            if (came.connection, came.kind) == (2, 2) {
                return (came.stream, Response::decode(&came.data[..]).unwrap());
            }
        }
    }

    /// The next call of the runtime.
    pub(crate) async fn called(&mut self) -> Option<(u32, Request)> {
        loop {
            let came = self.next().await?;
            if (came.connection, came.kind) == (1, 1) {
                return Some((came.stream, Request::decode(&came.data[..]).unwrap()));
            }
        }
    }

    /// Registers, and answers `Configure` with this mask.
    pub(crate) async fn configured(&mut self, events: i32) {
        self.message(2, 1, 1, &registration("10", "plug")).await;
        let (stream, call) = self.called().await.expect("it is configured");
        assert_eq!(call.method, "Configure");
        self.answer(stream, &ConfigureResponse { events, ..ConfigureResponse::default() }).await;
    }
}

/// What a plugin does about a call.
pub(crate) enum Reply {
    Usual,
    Payload(Vec<u8>),
    Status(Code),
    Silence,
}

impl Reply {
    pub(crate) fn of(payload: &impl Message) -> Self {
        Self::Payload(payload.encode_to_vec())
    }
}

/// Lives as a plugin: answers as is usual where nothing else is wanted. Ends with the trunk.
pub(crate) fn live<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static>(
    trunk: S,
    (index, name): (&str, &str),
    events: i32,
    mut reply: impl FnMut(&str, &[u8]) -> Reply + Send + 'static,
) -> JoinHandle<()> {
    let registration = registration(index, name);
    tokio::spawn(async move {
        let mut plug = Plug::new(trunk);
        plug.message(2, 1, 1, &registration).await;
        while let Some((stream, call)) = plug.called().await {
            let usual = match call.method.as_str() {
                "Configure" => ConfigureResponse { events, ..ConfigureResponse::default() }.encode_to_vec(),
                "Synchronize" => {
                    let more = SynchronizeRequest::decode(&call.payload[..]).unwrap().more;
                    SynchronizeResponse { more, ..SynchronizeResponse::default() }.encode_to_vec()
                }
                _ => Vec::new(),
            };
            let response = match reply(&call.method, &call.payload) {
                Reply::Usual => Response { status: None, payload: usual.into() },
                Reply::Payload(payload) => Response { status: None, payload: payload.into() },
                Reply::Status(code) => {
                    Response { status: Some(Status::new(code, "as was wanted")), ..Response::default() }
                }
                Reply::Silence => continue,
            };
            plug.message(1, stream, 2, &response.encode_to_vec()).await;
        }
    })
}
