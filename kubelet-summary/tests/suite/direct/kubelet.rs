//! A kubelet's port: TLS or not, and answers byte by byte.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use kubelet_summary::fetch::{AddressType, NodeTarget};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// A whole summary.
pub(crate) const DOCUMENT: &str = r#"{"node": {"nodeName": "node-1", "cpu": {"time": null, "usageCoreNanoSeconds": 7}},
    "pods": [{"podRef": {"name": "web", "namespace": "shop", "uid": "u1"}, "containers": null}]}"#;

#[derive(Clone)]
pub(crate) enum Reply {
    /// Bytes, and the end of the connection.
    Bytes(Vec<u8>),
    /// The same, later.
    Late(Duration, Vec<u8>),
    /// Bytes, and no end.
    Stuck(Vec<u8>),
    /// A head, and a body without an end, as fast as it is read.
    Endless,
}

pub(crate) fn reply(status: u16, headers: &str, body: impl AsRef<[u8]>) -> Reply {
    Reply::Bytes(bytes(status, headers, body))
}

pub(crate) fn bytes(status: u16, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let head = format!("HTTP/1.1 {status} -\r\ncontent-length: {}\r\n{headers}\r\n", body.len());
    [head.as_bytes(), body].concat()
}

pub(crate) fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

pub(crate) struct Kubelet {
    pub(crate) address: SocketAddr,
    /// Heads of the requests, in lower case.
    requests: Arc<Mutex<Vec<String>>>,
    /// How many bytes were taken off the last body, and whether the client has left.
    written: Arc<Mutex<usize>>,
    task: JoinHandle<()>,
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Kubelet {
    /// Answers with `replies` in their order, and with the last one ever after.
    pub(crate) async fn start(bind: &str, tls: Option<TlsAcceptor>, replies: Vec<Reply>) -> std::io::Result<Self> {
        let listener = TcpListener::bind((bind, 0)).await?;
        let address = listener.local_addr()?;
        let (requests, written) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<Mutex<usize>>::default());
        let (seen, took, replies) = (requests.clone(), written.clone(), Arc::new(replies));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (seen, took, replies, tls) = (seen.clone(), took.clone(), replies.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, &seen, &took, &replies).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, &seen, &took, &replies).await;
                            }
                        }
                    }
                });
            }
        });
        Ok(Self { address, requests, written, task })
    }

    /// Listens no longer when this returns.
    pub(crate) async fn stop(mut self) {
        self.task.abort();
        _ = (&mut self.task).await;
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().clone()
    }

    pub(crate) fn written(&self) -> usize {
        *self.written.lock()
    }

    pub(crate) fn node(&self) -> NodeTarget {
        NodeTarget::new("node-1")
            .address(AddressType::InternalIp, self.address.ip().to_string())
            .port(self.address.port())
    }
}

async fn serve<S>(mut stream: S, seen: &Mutex<Vec<String>>, took: &Mutex<usize>, replies: &[Reply])
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let number = {
        let mut seen = seen.lock();
        seen.push(String::from_utf8(head).unwrap().to_ascii_lowercase());
        seen.len()
    };
    // Whether the client stays to the end is its own affair.
    match replies.get(number - 1).or(replies.last()).unwrap() {
        Reply::Bytes(bytes) => {
            _ = stream.write_all(bytes).await;
            _ = stream.shutdown().await;
        }
        Reply::Late(wait, bytes) => {
            tokio::time::sleep(*wait).await;
            _ = stream.write_all(bytes).await;
            _ = stream.shutdown().await;
        }
        Reply::Stuck(bytes) => {
            _ = stream.write_all(bytes).await;
            _ = stream.flush().await;
            std::future::pending::<()>().await;
        }
        Reply::Endless => {
            let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
            _ = stream.write_all(head).await;
            let chunk = [format!("{:x}\r\n", 1 << 16).as_bytes(), &vec![b' '; 1 << 16], b"\r\n"].concat();
            while stream.write_all(&chunk).await.is_ok() {
                *took.lock() += 1 << 16;
            }
        }
    }
}

/// An authority that signs certificates.
pub(crate) struct Authority {
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
    certificate: rcgen::Certificate,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { issuer: rcgen::Issuer::new(params, key), certificate }
    }

    pub(crate) fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// A server's side with a certificate for these names and addresses.
    pub(crate) fn acceptor(&self, names: &[&str]) -> TlsAcceptor {
        self.acceptor_between(names, 2000, 4000)
    }

    /// The same with a certificate that is good between the begins of two years.
    pub(crate) fn acceptor_between(&self, names: &[&str], from: i32, to: i32) -> TlsAcceptor {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = params(names);
        (params.not_before, params.not_after) = (rcgen::date_time_ymd(from, 1, 1), rcgen::date_time_ymd(to, 1, 1));
        acceptor(&params.signed_by(&key, &self.issuer).unwrap(), &key)
    }
}

fn params(names: &[&str]) -> rcgen::CertificateParams {
    rcgen::CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap()
}

/// A server's side with a certificate that signed itself.
pub(crate) fn self_signed(names: &[&str]) -> TlsAcceptor {
    let key = rcgen::KeyPair::generate().unwrap();
    acceptor(&params(names).self_signed(&key).unwrap(), &key)
}

fn acceptor(certificate: &rcgen::Certificate, key: &rcgen::KeyPair) -> TlsAcceptor {
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}
