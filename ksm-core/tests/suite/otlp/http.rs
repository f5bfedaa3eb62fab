//! Messages → an HTTP receiver, and what it answers → outcome.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use ksm_core::otlp::proto::collector::metrics::v1::{ExportMetricsPartialSuccess, ExportMetricsServiceResponse};
use ksm_core::otlp::{Compression, Exporter, ExporterBuilder, ExporterStatus};
use prost::Message;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use super::receiver::{Receiver, Reply, Wire};
use super::support::{gunzip, namespaces, points, until};

fn exporter(address: &str) -> ExporterBuilder {
    Exporter::builder().endpoint(format!("http://{address}")).interval(Duration::from_hours(1))
}

#[tokio::test]
async fn a_message_is_a_post_with_all_that_belongs_to_it() {
    let mut receiver = Receiver::start(Wire::Http1, &[Reply::status(200)]).await;
    for compression in [Compression::Gzip, Compression::None] {
        let builder = exporter(&receiver.address).compression(compression).header("Api-Key", "k").header("x", "y");
        let snapshots = namespaces(7);
        let exporter = builder.spawn(move || snapshots.clone()).unwrap();
        let request = receiver.next().await;
        assert_eq!(request.path, "/v1/metrics");
        assert_eq!((request.header("api-key"), request.header("x")), ("k", "y"));
        assert_eq!(request.headers.get_all("content-type").iter().collect::<Vec<_>>(), ["application/x-protobuf"]);
        assert!(request.header("user-agent").starts_with("ksm-core/"));
        let message = match compression {
            Compression::Gzip => {
                assert_eq!(request.header("content-encoding"), "gzip");
                gunzip(&request.body)
            }
            Compression::None => {
                assert_eq!(request.header("content-encoding"), "");
                request.body.to_vec()
            }
        };
        assert_eq!(points(&message), 7);
        assert_eq!(until(&exporter, |status| status.messages == 1).await.sent, 7);
        exporter.shutdown().await;
    }
}

/// The state after a first answer, and after the second where the message is sent again.
async fn outcome(first: Reply) -> (ExporterStatus, Option<Duration>) {
    let mut receiver = Receiver::start(Wire::Http1, &[first, Reply::status(200)]).await;
    let snapshots = namespaces(3);
    let builder = exporter(&receiver.address).timeout(Duration::from_secs(2));
    let exporter = builder.spawn(move || snapshots.clone()).unwrap();
    let first = receiver.next().await;
    let status = until(&exporter, |status| status.retries + status.messages > 0 || status.dropped > 0).await;
    if status.retries == 0 {
        return (status, None);
    }
    let second = receiver.next().await;
    assert_eq!(second.body, first.body, "the same message");
    (until(&exporter, |status| status.messages == 1).await, Some(second.at - first.at))
}

fn http(status: u16, headers: &[(&'static str, &str)], body: impl Into<Vec<u8>>) -> Reply {
    let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    Reply::Http { status, headers, body: body.into() }
}

#[tokio::test]
async fn faults_that_pass_are_tried_again() {
    let cases = [
        (http(429, &[("retry-after", "4")], "slow down"), "429 Too Many Requests: slow down", 4),
        (Reply::status(502), "502", 1),
        (http(503, &[("retry-after", "soon")], ""), "503", 1),
        (http(503, &[("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")], ""), "503", 1),
        (Reply::status(504), "504", 1),
        (Reply::Reset, "connection", 1),
        (Reply::Hang, "no answer within 2s", 3),
    ];
    join_all(cases.map(async |(reply, said, seconds)| {
        let (status, pause) = outcome(reply.clone()).await;
        assert_eq!((status.sent, status.dropped, status.retries), (3, 0, 1), "{reply:?}");
        assert!(pause.unwrap() >= Duration::from_secs(seconds), "{reply:?}: {pause:?}");
        let error = status.last_error.unwrap().0;
        assert!(error.contains(said), "{reply:?}: {error}");
    }))
    .await;
}

#[tokio::test]
async fn refusals_are_dropped_and_counted() {
    let redirect = http(307, &[("location", "http://elsewhere")], "");
    let long = http(400, &[], vec![b'x'; 1 << 20]);
    let cases = [(http(400, &[], "bad name"), "400 Bad Request: bad name"), (long, "xxx…"), (redirect, "307")]
        .into_iter()
        .chain([401, 404, 413, 500, 501].map(|status| (Reply::status(status), "")));
    join_all(cases.map(async |(reply, said)| {
        let (status, _) = outcome(reply).await;
        assert_eq!((status.sent, status.dropped, status.retries), (0, 3, 0));
        let error = status.last_error.unwrap().0;
        assert!(error.contains(said) && error.len() < 1_000, "{error}");
    }))
    .await;
}

#[tokio::test]
async fn partial_success_and_odd_answers_are_success() {
    let partial = |rejected_data_points, error_message: &str| {
        let partial = ExportMetricsPartialSuccess { rejected_data_points, error_message: error_message.into() };
        ExportMetricsServiceResponse { partial_success: Some(partial) }.encode_to_vec()
    };
    let cases = [
        (http(200, &[], partial(2, "too old")), 1, 2, Some("too old")),
        (http(200, &[], partial(-4, "")), 3, 0, None),
        (http(202, &[], "{\"ok\": true}"), 3, 0, None),
        (http(200, &[], vec![0xff; 1 << 20]), 3, 0, None),
    ];
    join_all(cases.map(async |(reply, sent, rejected, said)| {
        let (status, _) = outcome(reply).await;
        assert_eq!((status.sent, status.rejected, status.messages, status.dropped), (sent, rejected, 1, 0));
        assert_eq!(status.last_error.is_some_and(|(text, _)| text.contains(said.unwrap_or_default())), said.is_some());
    }))
    .await;
}

#[tokio::test]
async fn nobody_there_is_no_reason_to_give_up() {
    let receiver = Receiver::start(Wire::Http1, &[Reply::status(200)]).await;
    let address = receiver.address.clone();
    drop(receiver);
    let snapshots = namespaces(1);
    let url = format!("http://me:s3cret@{address}/?token=s3cret");
    let builder = Exporter::builder().metrics_endpoint(url).shutdown_timeout(Duration::from_millis(50));
    let exporter = builder.spawn(move || snapshots.clone()).unwrap();
    let status = until(&exporter, |status| status.retries > 0).await;
    let error = status.last_error.unwrap().0;
    assert!(error.contains("refused") && !error.contains("s3cret"), "{error}");
    exporter.shutdown().await;
    assert_eq!(exporter.status().dropped, 1);
}

struct Authority {
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
    certificate: rcgen::Certificate,
}

impl Authority {
    fn new() -> Self {
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { issuer: rcgen::Issuer::new(params, key), certificate }
    }

    fn issue(&self, name: &str) -> (rcgen::Certificate, rcgen::KeyPair) {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new([name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    /// A server that wants to see a certificate of this authority.
    fn acceptor(&self) -> tokio_rustls::TlsAcceptor {
        let (certificate, key) = self.issue("127.0.0.1");
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).unwrap();
        let provider = Arc::new(default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_client_cert_verifier(verifier);
        Arc::new(config.with_single_cert(vec![certificate.der().clone()], key).unwrap()).into()
    }
}

#[tokio::test]
async fn https_trusts_the_given_authorities_and_shows_a_certificate() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let (ours, other) = (Authority::new(), Authority::new());
    let (certificate, key) = ours.issue("client");
    let (trusted, unknown) = (file("ca.pem", &ours.certificate.pem()), file("other.pem", &other.certificate.pem()));
    let (certificate, key) = (file("c.pem", &certificate.pem()), file("k.pem", &key.serialize_pem()));
    let receiver = Receiver::start(Wire::Tls(ours.acceptor()), &[Reply::status(200)]).await;
    let https = || exporter("").endpoint(format!("https://{}", receiver.address));
    let spawn = |builder: ExporterBuilder| {
        let snapshots = namespaces(1);
        builder.spawn(move || snapshots.clone()).unwrap()
    };

    let good = spawn(https().certificate_authorities(&trusted).client_certificate(&certificate, &key));
    assert_eq!(until(&good, |status| status.messages == 1).await.sent, 1);
    let stranger = spawn(https().certificate_authorities(&unknown).client_certificate(&certificate, &key));
    let error = until(&stranger, |status| status.retries > 0).await.last_error.unwrap().0;
    assert!(error.contains("certificate"), "{error}");
    let nameless = spawn(https().certificate_authorities(&trusted));
    until(&nameless, |status| status.retries > 0).await;

    let empty = file("empty.pem", "");
    for builder in [https().certificate_authorities(&empty), https().client_certificate(&certificate, &empty)] {
        let error = builder.spawn(Vec::new).unwrap_err().to_string();
        assert!(error.contains("empty.pem"), "{error}");
    }
}
