//! Messages → a gRPC receiver, and what it answers → outcome.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use futures::future::join_all;
use ksm_core::otlp::proto::collector::metrics::v1::{ExportMetricsPartialSuccess, ExportMetricsServiceResponse};
use ksm_core::otlp::{Compression, Exporter, ExporterStatus, Protocol};
use prost::Message;

use super::receiver::{Receiver, Reply, Wire};
use super::support::{gunzip, namespaces, points, until};

fn ok(response: &ExportMetricsServiceResponse) -> Reply {
    let message = response.encode_to_vec();
    let mut body = vec![0];
    body.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
    body.extend_from_slice(&message);
    Reply::Trailers { body, trailers: vec![("grpc-status", "0".into())] }
}

fn accepted() -> Reply {
    ok(&ExportMetricsServiceResponse::default())
}

fn failed(code: u8, details: Option<String>) -> Reply {
    let mut trailers = vec![("grpc-status", code.to_string()), ("grpc-message", "it%20said".to_owned())];
    trailers.extend(details.map(|details| ("grpc-status-details-bin", details)));
    Reply::Trailers { body: Vec::new(), trailers }
}

#[tokio::test]
async fn a_message_is_a_call_with_all_that_belongs_to_it() {
    let mut receiver = Receiver::start(Wire::Http2, &[accepted()]).await;
    for compression in [Compression::Gzip, Compression::None] {
        let builder = Exporter::builder().protocol(Protocol::Grpc).endpoint(format!("http://{}", receiver.address));
        let snapshots = namespaces(7);
        let exporter =
            builder.compression(compression).header("Api-Key", "k").spawn(move || snapshots.clone()).unwrap();
        let request = receiver.next().await;
        assert_eq!(request.path, "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export");
        for (name, value) in
            [("api-key", "k"), ("content-type", "application/grpc"), ("te", "trailers"), ("grpc-timeout", "10000m")]
        {
            assert_eq!(request.header(name), value);
        }
        let (head, message) = request.body.split_at(5);
        assert_eq!(usize::try_from(u32::from_be_bytes(head[1..].try_into().unwrap())).unwrap(), message.len());
        let message = match compression {
            Compression::Gzip => {
                assert_eq!((request.header("grpc-encoding"), head[0]), ("gzip", 1));
                gunzip(message)
            }
            Compression::None => {
                assert_eq!((request.header("grpc-encoding"), head[0]), ("", 0));
                message.to_vec()
            }
        };
        assert_eq!(points(&message), 7);
        assert_eq!(until(&exporter, |status| status.messages == 1).await.sent, 7);
    }
}

/// The state after a first answer, and after the second where the message is sent again.
async fn outcome(first: Reply) -> (ExporterStatus, Option<Duration>) {
    let mut receiver = Receiver::start(Wire::Http2, &[first, accepted()]).await;
    let builder = Exporter::builder().protocol(Protocol::Grpc).endpoint(format!("http://{}", receiver.address));
    let snapshots = namespaces(3);
    let exporter = builder.timeout(Duration::from_secs(2)).spawn(move || snapshots.clone()).unwrap();
    let first = receiver.next().await;
    let status = until(&exporter, |status| status.retries + status.messages > 0 || status.dropped > 0).await;
    if status.retries == 0 {
        return (status, None);
    }
    let second = receiver.next().await;
    (until(&exporter, |status| status.messages == 1).await, Some(second.at - first.at))
}

/// `google.rpc.Status` with a `RetryInfo` of some seconds, by hand.
fn retry_info(seconds: u8) -> String {
    let url = b"type.googleapis.com/google.rpc.RetryInfo";
    let info = [0x0a, 2, 0x08, seconds];
    let mut any = vec![0x0a, u8::try_from(url.len()).unwrap()];
    any.extend_from_slice(url);
    any.extend_from_slice(&[0x12, 4]);
    any.extend_from_slice(&info);
    let mut status = vec![0x1a, u8::try_from(any.len()).unwrap()];
    status.extend_from_slice(&any);
    BASE64_STANDARD_NO_PAD.encode(status)
}

#[tokio::test]
async fn codes_that_pass_are_tried_again() {
    // CANCELLED, DEADLINE_EXCEEDED, ABORTED, OUT_OF_RANGE, UNAVAILABLE, DATA_LOSS
    let codes = [1, 4, 10, 11, 14, 15].map(|code| (failed(code, None), "it said", 1));
    let others = [
        // RESOURCE_EXHAUSTED
        (failed(8, Some(retry_info(4))), "it said", 4),
        (failed(14, Some("~ no base64 ~".into())), "it said", 1),
        (Reply::status(503), "503", 1),
        (Reply::Trailers { body: Vec::new(), trailers: Vec::new() }, "without a gRPC status", 1),
        (Reply::Reset, "", 1),
        // The channel keeps to the call's timeout too: either of the two tells it.
        (Reply::Hang, "", 3),
    ];
    join_all(codes.into_iter().chain(others).map(async |(reply, said, seconds)| {
        let (status, pause) = outcome(reply.clone()).await;
        assert_eq!((status.sent, status.dropped, status.retries), (3, 0, 1), "{reply:?}");
        assert!(pause.unwrap() >= Duration::from_secs(seconds), "{reply:?}: {pause:?}");
        let error = status.last_error.unwrap().0;
        assert!(error.contains(said), "{reply:?}: {error}");
    }))
    .await;
}

#[tokio::test]
async fn other_codes_are_refusals() {
    // An error without a body has its status in the head.
    let head_only = Reply::Http { status: 200, headers: vec![("grpc-status", "16".into())], body: Vec::new() };
    let codes = [2, 3, 5, 7, 8, 12, 13].map(|code| failed(code, None));
    join_all(codes.into_iter().chain([head_only, Reply::status(404)]).map(async |reply| {
        let (status, _) = outcome(reply.clone()).await;
        assert_eq!((status.sent, status.dropped, status.retries), (0, 3, 0), "{reply:?}");
    }))
    .await;
}

#[tokio::test]
async fn partial_success_is_counted() {
    let partial = ExportMetricsPartialSuccess { rejected_data_points: 2, error_message: "too old".into() };
    let (status, _) = outcome(ok(&ExportMetricsServiceResponse { partial_success: Some(partial) })).await;
    assert_eq!((status.sent, status.rejected, status.messages), (1, 2, 1));
    assert!(status.last_error.unwrap().0.contains("too old"));
}
