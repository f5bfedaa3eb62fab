//! What the plugin asks of the runtime, on connection 2.

use std::sync::Arc;

use futures::future::BoxFuture;
use prost::Message as _;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::api::{ContainerUpdate, Empty, RegisterPluginRequest, UpdateContainersRequest, UpdateContainersResponse};
use super::connection::{Connection, MAX_DATA, REQUEST, RESPONSE};
use super::envelope::{Request, Response, Status};
use super::trouble::Code;
use super::trunk::Trunk;

const SERVICE: &str = "nri.pkg.api.v1alpha1.Runtime";

/// How many requests of a plugin are done at once. Further ones wait in the connection's queue, until that is full.
const RUNNING: usize = 1024;

/// Does the updates, and says which failed.
pub(super) type Update = Arc<dyn Fn(UpdateContainersRequest) -> BoxFuture<'static, Updated> + Send + Sync>;

/// The updates that failed, or the error that stands for all of it.
pub(super) type Updated = Result<Vec<ContainerUpdate>, Status>;

/// A registration, which whoever takes it answers.
pub(super) struct Registration {
    pub(super) request: RegisterPluginRequest,
    pub(super) stream: u32,
}

impl Registration {
    /// Answers it.
    pub(super) async fn answer(&self, trunk: &Trunk, answer: Result<(), Status>) {
        respond(trunk, self.stream, answer.map(|()| Vec::new())).await;
    }
}

type Answer = Result<Vec<u8>, Status>;

/// Go's server: streams are odd, and greater than those before.
pub(super) async fn serve(
    mut requests: Connection,
    trunk: Trunk,
    registrations: mpsc::Sender<Registration>,
    update: Update,
) {
    let mut last = 0;
    let mut running = JoinSet::new();
    loop {
        let message = tokio::select! {
            message = requests.message(), if running.len() < RUNNING => message,
            Some(_) = running.join_next() => continue,
        };
        let Some(message) = message else { break };
        let stream = message.stream;
        let answer = match message.data {
            Err(length) => refused(
                Code::ResourceExhausted,
                format!("message length {length} exceed maximum message size of {MAX_DATA}"),
            ),
            Ok(_) if stream % 2 != 1 => {
                refused(Code::InvalidArgument, "StreamID must be odd for client initiated streams")
            }
            Ok(_) if message.kind == 3 => refused(Code::InvalidArgument, "StreamID is no longer active"),
            // Types of the future.
            Ok(_) if message.kind != REQUEST => continue,
            Ok(_) if stream <= last => refused(Code::InvalidArgument, "StreamID cannot be re-used and must increment"),
            Ok(data) => {
                last = stream;
                match Request::decode(&data[..]) {
                    Ok(request) => {
                        let (trunk, registrations, update) = (trunk.clone(), registrations.clone(), update.clone());
                        running.spawn(async move {
                            if let Some(answer) = handle(request, stream, registrations, update).await {
                                respond(&trunk, stream, answer).await;
                            }
                        });
                        continue;
                    }
                    Err(error) => refused(Code::InvalidArgument, format!("unmarshal request error: {error}")),
                }
            }
        };
        respond(&trunk, stream, answer).await;
    }
    // After a frame that is too long nothing is read any more, and nothing is closed for it either.
    requests.idle().await;
}

fn refused(code: Code, message: impl Into<String>) -> Answer {
    Err(Status::new(code, message))
}

async fn respond(trunk: &Trunk, stream: u32, answer: Answer) {
    let response = match answer {
        Ok(payload) => Response { status: None, payload: payload.into() },
        Err(status) => Response { status: Some(status), ..Response::default() },
    };
    trunk.message(2, stream, RESPONSE, 0, &response.encode_to_vec()).await;
}

/// The answer; none where somebody else gives it.
async fn handle(
    request: Request,
    stream: u32,
    registrations: mpsc::Sender<Registration>,
    update: Update,
) -> Option<Answer> {
    if request.service != SERVICE {
        return Some(refused(Code::Unimplemented, format!("service {}", request.service)));
    }
    let unreadable = |error: prost::DecodeError| Some(refused(Code::InvalidArgument, error.to_string()));
    match request.method.as_str() {
        "RegisterPlugin" => match RegisterPluginRequest::decode(request.payload) {
            // A plugin that registers once more is answered, and stays what it is.
            Ok(request) => match registrations.send(Registration { request, stream }).await {
                Ok(()) => None,
                Err(_) => Some(Ok(Empty {}.encode_to_vec())),
            },
            Err(error) => unreadable(error),
        },
        "UpdateContainers" => match UpdateContainersRequest::decode(request.payload) {
            Ok(request) => {
                let updated = update(request).await;
                Some(updated.map(|failed| UpdateContainersResponse { failed }.encode_to_vec()))
            }
            Err(error) => unreadable(error),
        },
        method => Some(refused(Code::Unimplemented, format!("method {method}"))),
    }
}
