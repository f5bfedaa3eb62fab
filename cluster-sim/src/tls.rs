//! The cluster's authority, certificates good and bad, and the server's side of TLS.

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::error::SimError;
use crate::http::connection::Wire;

/// A serving certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Certificate {
    /// By the cluster's authority ([`Sim::ca_pem`](crate::Sim::ca_pem)), for 127.0.0.1, localhost and its holder's name.
    #[default]
    Signed,
    /// By nobody but itself, for the same names: what kubelets make for themselves.
    SelfSigned,
    /// By the cluster's authority, for no name at all: the holder's name is the subject alone.
    WithoutSans,
    /// By the cluster's authority, for another machine: 192.0.2.1 and `elsewhere.invalid`.
    WrongSan,
    /// By the cluster's authority, until 2020.
    Expired,
    /// By an authority that nobody knows; apart from that as [`Signed`](Self::Signed).
    UnknownAuthority,
}

/// The cluster's authority.
#[derive(Debug)]
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Result<Self, SimError> {
        Self::named("cluster-sim-ca")
    }

    fn named(name: &str) -> Result<Self, SimError> {
        let mut params = params(name, Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().map_err(failed)?;
        Ok(Self { issuer: CertifiedIssuer::self_signed(params, key).map_err(failed)? })
    }

    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    pub(crate) fn der(&self) -> Vec<u8> {
        self.issuer.der().to_vec()
    }
}

/// Whom a certificate is for.
pub(crate) struct Holder {
    subject: String,
    names: Vec<String>,
}

impl Holder {
    pub(crate) fn kubelet(node: &str) -> Self {
        Self::new(&format!("system:node:{node}"), &[node])
    }

    pub(crate) fn api_server() -> Self {
        Self::new("kube-apiserver", &["kubernetes", "kubernetes.default", "kubernetes.default.svc"])
    }

    fn new(subject: &str, names: &[&str]) -> Self {
        let names = ["127.0.0.1", "localhost"].iter().chain(names).map(|name| (*name).to_owned()).collect();
        Self { subject: subject.to_owned(), names }
    }
}

/// A port's side of TLS, whose certificate can change between connections.
pub(crate) struct Tls {
    holder: Holder,
    now: Mutex<Now>,
}

struct Now {
    pem: String,
    config: Arc<ServerConfig>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

impl Tls {
    pub(crate) fn new(certificate: Certificate, holder: Holder, authority: &Authority) -> Result<Self, SimError> {
        let now = Mutex::new(Now::of(certificate, &holder, authority)?);
        Ok(Self { holder, now })
    }

    /// Serve another certificate to the connections to come.
    pub(crate) fn change(&self, certificate: Certificate, authority: &Authority) -> Result<(), SimError> {
        *self.now.lock() = Now::of(certificate, &self.holder, authority)?;
        Ok(())
    }

    /// The certificate.
    pub(crate) fn pem(&self) -> String {
        self.now.lock().pem.clone()
    }

    pub(crate) fn accept(
        &self,
        stream: TcpStream,
    ) -> impl Future<Output = io::Result<TlsStream<TcpStream>>> + Send + use<> {
        TlsAcceptor::from(Arc::clone(&self.now.lock().config)).accept(stream)
    }
}

impl Now {
    fn of(certificate: Certificate, holder: &Holder, authority: &Authority) -> Result<Self, SimError> {
        let names = match certificate {
            Certificate::WithoutSans => Vec::new(),
            Certificate::WrongSan => ["192.0.2.1", "elsewhere.invalid"].map(str::to_owned).to_vec(),
            _ => holder.names.clone(),
        };
        let mut params = params(&holder.subject, names)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        if certificate == Certificate::Expired {
            (params.not_before, params.not_after) = (date_time_ymd(2019, 1, 1), date_time_ymd(2020, 1, 1));
        }
        let key = KeyPair::generate().map_err(failed)?;
        let made = match certificate {
            Certificate::SelfSigned => params.self_signed(&key),
            Certificate::UnknownAuthority => params.signed_by(&key, &Authority::named("nobody-knows-ca")?.issuer),
            _ => params.signed_by(&key, &authority.issuer),
        };
        let made = made.map_err(failed)?;
        let pem = made.pem();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|config| config.with_no_client_auth().with_single_cert(vec![made.der().clone()], key));
        let mut config = config.map_err(|error| SimError::Certificate(Box::new(error)))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { pem, config: Arc::new(config) })
    }
}

fn params(name: &str, names: Vec<String>) -> Result<CertificateParams, SimError> {
    let mut params = CertificateParams::new(names).map_err(failed)?;
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(params)
}

fn failed(error: rcgen::Error) -> SimError {
    SimError::Certificate(Box::new(error))
}

impl Wire for TlsStream<TcpStream> {
    fn reset(&self) {
        self.get_ref().0.reset();
    }
}
