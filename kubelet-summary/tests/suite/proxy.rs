//! What the API server's node proxy answers → summaries and errors.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use kube::Client;
use kube::client::Body;
use kubelet_summary::fetch::{Access, FetchError, Fetcher, NodeProxy, Peer, Phase};
use kubelet_summary::{NodeTarget, Parts};
use parking_lot::Mutex;

const DOCUMENT: &str = r#"{"node": {"nodeName": "n", "cpu": {"usageCoreNanoSeconds": 7}}, "pods": []}"#;

type Answer = Response<UnsyncBoxBody<Bytes, io::Error>>;

/// An API server that answers by a function, and the paths that it was asked for.
fn server<F>(answer: impl Fn() -> F + Send + Sync + 'static) -> (NodeProxy, Arc<Mutex<Vec<String>>>)
where
    F: Future<Output = io::Result<Answer>> + Send + 'static,
{
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let paths = asked.clone();
    let service = tower::service_fn(move |request: Request<Body>| {
        paths.lock().push(request.uri().to_string());
        answer()
    });
    (NodeProxy::new(Client::new(service, "default")), asked)
}

fn response(status: u16, body: impl Into<Bytes>) -> Answer {
    let body = Full::new(body.into()).map_err(|never: Infallible| match never {});
    Response::builder().status(status).body(body.boxed_unsync()).unwrap()
}

async fn failure(status: u16, body: &str) -> FetchError {
    let body = Bytes::from(body.to_owned());
    let (proxy, _) = server(move || std::future::ready(Ok(response(status, body.clone()))));
    proxy.fetch(&NodeTarget::new("n")).await.unwrap_err()
}

fn object(message: &str) -> String {
    serde_json::json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message}).to_string()
}

#[tokio::test]
async fn a_summary_comes_through_the_nodes_proxy() {
    let (proxy, asked) = server(|| std::future::ready(Ok(response(200, DOCUMENT))));
    let summary = proxy.fetch(&NodeTarget::new("node-1.example")).await.unwrap();
    assert_eq!(summary.node.cpu.usage_core_nano_seconds.get(), Some(7));
    let proxy = proxy.only_cpu_and_memory(true).parts(Parts::NONE);
    let summary = proxy.fetch(&NodeTarget::new("a/../b?c")).await.unwrap();
    assert_eq!(summary.node.cpu.usage_core_nano_seconds.get(), None);
    let want = [
        "/api/v1/nodes/node-1.example/proxy/stats/summary",
        "/api/v1/nodes/a%2F..%2Fb%3Fc/proxy/stats/summary?only_cpu_and_memory=true",
    ];
    assert_eq!(*asked.lock(), want);
}

#[tokio::test]
async fn a_refusal_says_whose_right_is_missing() {
    let error = failure(403, &object("nodes \"n\" is forbidden: cannot get resource \"nodes/proxy\"")).await;
    assert!(
        matches!(error, FetchError::Forbidden { by: Peer::ApiServer, access: Access::NodeProxy, .. })
            && error.to_string().contains("grant `get` on `nodes/proxy`"),
        "{error}"
    );
    let error = failure(403, "Forbidden (user=kube-apiserver-kubelet-client, verb=get, resource=nodes)").await;
    assert!(error.to_string().contains("system:kubelet-api-admin"), "{error}");
    let error = failure(401, &object("Unauthorized")).await;
    assert!(error.to_string().contains("the API server answered 401: check the client's token"), "{error}");
    let error = failure(404, &object("nodes \"n\" not found")).await;
    assert!(error.to_string().contains("no Node of that name"), "{error}");
}

#[tokio::test]
async fn a_dead_kubelet_is_told_from_a_dead_server() {
    let dial = "error trying to reach service: dial tcp 10.0.0.1:10250: connect: connection refused";
    for (status, body) in [(502, dial.to_owned()), (503, object(dial)), (500, object("dial tcp: i/o timeout"))] {
        let error = failure(status, &body).await;
        assert!(matches!(error, FetchError::KubeletUnreachable { .. }), "{error:?}");
    }
    let error = failure(503, &object("etcd leader changed")).await;
    assert!(matches!(error, FetchError::Server { by: Peer::ApiServer, status: 503, .. }), "{error:?}");
    let error = failure(500, "kubelet: failed to get pods").await;
    assert!(matches!(error, FetchError::Server { by: Peer::Kubelet, status: 500, .. }), "{error:?}");

    let refused = || std::future::ready(Err(io::Error::from(io::ErrorKind::ConnectionRefused)));
    let (proxy, _) = server(refused);
    let error = proxy.fetch(&NodeTarget::new("n")).await.unwrap_err();
    assert!(matches!(error, FetchError::ApiServer { .. }) && error.to_string().contains("refused"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn every_request_has_a_deadline() {
    let (proxy, _) = server(std::future::pending);
    let error = proxy.deadline(Duration::from_secs(3)).fetch(&NodeTarget::new("n")).await.unwrap_err();
    assert!(matches!(error, FetchError::Timeout { phase: Phase::Answer, after } if after.as_secs() == 3), "{error:?}");
    let (proxy, _) = server(|| {
        let begin = futures::stream::iter([Ok::<_, io::Error>(Frame::data(Bytes::from("{")))]);
        let body = StreamBody::new(begin.chain(futures::stream::pending())).boxed_unsync();
        std::future::ready(Ok(Response::new(body)))
    });
    let error = proxy.fetch(&NodeTarget::new("n")).await.unwrap_err();
    assert!(matches!(error, FetchError::Timeout { phase: Phase::Body, after } if after.as_secs() == 10), "{error:?}");
}

#[tokio::test]
async fn documents_are_bounded_and_may_break_off() {
    let (proxy, _) = server(|| {
        let endless =
            futures::stream::repeat_with(|| Ok::<_, io::Error>(Frame::data(Bytes::from(vec![b' '; 1 << 16]))));
        std::future::ready(Ok(Response::new(StreamBody::new(endless).boxed_unsync())))
    });
    let error = proxy.max_bytes(1 << 20).fetch(&NodeTarget::new("n")).await.unwrap_err();
    assert!(matches!(error, FetchError::TooLarge { limit } if limit == 1 << 20), "{error:?}");
    let (proxy, _) = server(|| {
        let broken = [Ok(Frame::data(Bytes::from("{"))), Err(io::Error::from(io::ErrorKind::ConnectionReset))];
        std::future::ready(Ok(Response::new(StreamBody::new(futures::stream::iter(broken)).boxed_unsync())))
    });
    let error = proxy.fetch(&NodeTarget::new("n")).await.unwrap_err();
    assert!(matches!(error, FetchError::Broken { .. }), "{error:?}");
    let error = failure(200, "{}").await;
    assert!(matches!(error, FetchError::Malformed { .. }), "{error:?}");
}
