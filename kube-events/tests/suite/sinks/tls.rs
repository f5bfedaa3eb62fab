//! Whom a sink trusts.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use kube_events::sink::webhook::WebhookOptions;
use kube_events::sink::{Sink, TlsOptions, Webhook};
use parking_lot::Mutex;
use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, crypto};

use super::server::{Request, exchange, outcome, reply};
use super::support::records;

pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A certificate for a name, and its key.
    fn sign(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.0).unwrap(), key)
    }

    pub(crate) fn write(&self, directory: &Path) -> PathBuf {
        let path = directory.join("ca.pem");
        std::fs::write(&path, self.0.pem()).unwrap();
        path
    }

    /// What a server presents for this name; it wants a certificate of the client if it is told to.
    pub(crate) fn server(&self, name: &str, wants_client: bool) -> ServerConfig {
        let (certificate, key) = self.sign(name);
        let provider = Arc::new(crypto::ring::default_provider());
        let builder =
            ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions().unwrap();
        let builder = if wants_client {
            let mut roots = RootCertStore::empty();
            roots.add(self.0.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        } else {
            builder.with_no_client_auth()
        };
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        builder.with_single_cert(vec![certificate.der().clone()], key).unwrap()
    }
}

/// A server whose certificate is for this name, and which wants one of the client's if it is told to.
async fn serve(authority: &Authority, name: &str, wants_client: bool, kept: Arc<Mutex<Vec<Request>>>) -> String {
    let acceptor = TlsAcceptor::from(Arc::new(authority.server(name, wants_client)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            if let Ok(mut socket) = acceptor.accept(socket).await {
                exchange(&mut socket, reply("200 OK", "", ""), &kept).await;
            }
        }
    });
    url
}

async fn post(url: &str, tls: TlsOptions) -> (&'static str, String) {
    let sink = Webhook::new(WebhookOptions { tls, ..WebhookOptions::new(url) }).unwrap();
    let delivered = sink.deliver(&records(&sink, &["A"])).await;
    (outcome(&delivered).0, format!("{delivered:?}"))
}

#[tokio::test]
async fn certificates_are_checked_as_the_options_say() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let ca_file = Some(authority.write(directory.path()));
    let kept = Arc::default();
    let by_ip = serve(&authority, "127.0.0.1", false, Arc::clone(&kept)).await;
    let by_name = serve(&authority, "hook.example", false, Arc::clone(&kept)).await;
    let trusting = TlsOptions { ca_file, ..TlsOptions::default() };
    let named = |name: &str| TlsOptions { server_name: Some(name.to_owned()), ..trusting.clone() };
    let anyone = TlsOptions { insecure_skip_verify: true, ..TlsOptions::default() };
    let cases = [
        ("of an unknown authority", &by_ip, TlsOptions::default(), "again"),
        ("of one that is known", &by_ip, trusting.clone(), "taken"),
        ("of another name", &by_name, trusting.clone(), "again"),
        ("of the name that is asked for", &by_name, named("hook.example"), "taken"),
        ("of none that is asked for", &by_ip, named("hook.example"), "again"),
        ("of anyone", &by_name, anyone, "taken"),
    ];
    let mut taken = 0;
    for (case, url, tls, want) in cases {
        let (got, told) = post(url, tls).await;
        assert_eq!(got, want, "{case}: {told}");
        assert!(want == "taken" || told.contains("certificate"), "{case}: {told}");
        taken += usize::from(want == "taken");
        assert_eq!(kept.lock().len(), taken, "{case}");
    }
}

#[tokio::test]
async fn the_sink_shows_its_certificate() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let trusting = TlsOptions { ca_file: Some(authority.write(directory.path())), ..TlsOptions::default() };
    let (certificate, key) = authority.sign("sink.example");
    let files = (directory.path().join("c.pem"), directory.path().join("k.pem"));
    std::fs::write(&files.0, certificate.pem()).unwrap();
    std::fs::write(&files.1, key.serialize_pem()).unwrap();
    let url = serve(&authority, "127.0.0.1", true, Arc::default()).await;
    assert_eq!(post(&url, trusting.clone()).await.0, "again");
    let (got, told) = post(&url, TlsOptions { client: Some(files), ..trusting }).await;
    assert_eq!(got, "taken", "{told}");
}

#[tokio::test]
async fn a_file_that_is_too_large_is_refused_and_not_cut() {
    let directory = tempfile::tempdir().unwrap();
    let path = Authority::new().write(directory.path());
    let mut pem = std::fs::read(&path).unwrap();
    pem.resize((4 << 20) + 1, b'\n');
    std::fs::write(&path, pem).unwrap();
    let tls = TlsOptions { ca_file: Some(path), ..TlsOptions::default() };
    let error = Webhook::new(WebhookOptions { tls, ..WebhookOptions::new("https://127.0.0.1:1") }).unwrap_err();
    let told = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(told, "it has more than 4194304 bytes", "{error}");
}
