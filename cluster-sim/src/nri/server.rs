//! What the plugin asks of the runtime, on connection 2.

use std::sync::Arc;

use futures::future::BoxFuture;
use prost::Message as _;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::api::{ContainerUpdate, Empty, RegisterPluginRequest, UpdateContainersRequest, UpdateContainersResponse};
use super::connection::{Connection, MAX_DATA, REQUEST, RESPONSE};
use super::envelope::{Request, Response, Status};
use super::trouble::Code;
use super::trunk::Trunk;

const SERVICE: &str = "nri.pkg.api.v1alpha1.Runtime";

/// Does the updates, and says which failed.
pub(super) type Update = Arc<dyn Fn(UpdateContainersRequest) -> BoxFuture<'static, Vec<ContainerUpdate>> + Send + Sync>;

/// A registration, and where its answer is wanted.
pub(super) type Registration = (RegisterPluginRequest, oneshot::Sender<Result<(), Status>>);

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
            message = requests.message() => message,
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
                            let answer = handle(request, registrations, update).await;
                            respond(&trunk, stream, answer).await;
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

async fn handle(request: Request, registrations: mpsc::Sender<Registration>, update: Update) -> Answer {
    if request.service != SERVICE {
        return refused(Code::Unimplemented, format!("service {}", request.service));
    }
    let unreadable = |error: prost::DecodeError| Status::new(Code::InvalidArgument, error.to_string());
    match request.method.as_str() {
        "RegisterPlugin" => {
            let registration = RegisterPluginRequest::decode(request.payload).map_err(unreadable)?;
            let (answer, answered) = oneshot::channel();
            // A plugin that registers once more is answered, and stays what it is.
            if registrations.send((registration, answer)).await.is_ok() {
                answered.await.unwrap_or(Ok(()))?;
            }
            Ok(Empty {}.encode_to_vec())
        }
        "UpdateContainers" => {
            let request = UpdateContainersRequest::decode(request.payload).map_err(unreadable)?;
            Ok(UpdateContainersResponse { failed: update(request).await }.encode_to_vec())
        }
        method => refused(Code::Unimplemented, format!("method {method}")),
    }
}
