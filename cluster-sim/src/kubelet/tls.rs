//! The certificates of kubelets, good and bad, and the server's side of TLS.

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

/// The serving certificate of a kubelet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Certificate {
    /// By the cluster's authority ([`Kubelets::ca_pem`](super::Kubelets::ca_pem)), for 127.0.0.1, localhost and the
    /// node's name.
    #[default]
    Signed,
    /// By nobody but itself, for 127.0.0.1, localhost and the node's name: what kubelets make for themselves.
    SelfSigned,
    /// By the cluster's authority, for no name at all: the node's name is the subject alone.
    WithoutSans,
    /// By the cluster's authority, for another machine: 192.0.2.1 and `elsewhere.invalid`.
    WrongSan,
    /// By the cluster's authority, until 2020.
    Expired,
    /// By an authority that nobody knows; apart from that as [`Signed`](Self::Signed).
    UnknownAuthority,
}

/// The cluster's authority for kubelets.
#[derive(Debug)]
pub(super) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub(super) fn new() -> Result<Self, SimError> {
        Self::named("cluster-sim-ca")
    }

    fn named(name: &str) -> Result<Self, SimError> {
        let mut params = params(name, &[])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().map_err(failed)?;
        Ok(Self { issuer: CertifiedIssuer::self_signed(params, key).map_err(failed)? })
    }

    pub(super) fn pem(&self) -> String {
        self.issuer.pem()
    }
}

/// A port's side of TLS, whose certificate can change between connections.
pub(super) struct Tls {
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
    pub(super) fn new(certificate: Certificate, node: &str, authority: &Authority) -> Result<Self, SimError> {
        Ok(Self { now: Mutex::new(Now::of(certificate, node, authority)?) })
    }

    /// Serve another certificate to the connections to come.
    pub(super) fn change(&self, certificate: Certificate, node: &str, authority: &Authority) -> Result<(), SimError> {
        *self.now.lock() = Now::of(certificate, node, authority)?;
        Ok(())
    }

    /// The certificate.
    pub(super) fn pem(&self) -> String {
        self.now.lock().pem.clone()
    }

    pub(super) fn accept(
        &self,
        stream: TcpStream,
    ) -> impl Future<Output = io::Result<TlsStream<TcpStream>>> + Send + use<> {
        TlsAcceptor::from(Arc::clone(&self.now.lock().config)).accept(stream)
    }
}

impl Now {
    fn of(certificate: Certificate, node: &str, authority: &Authority) -> Result<Self, SimError> {
        let own = ["127.0.0.1", "localhost", node];
        let names: &[&str] = match certificate {
            Certificate::WithoutSans => &[],
            Certificate::WrongSan => &["192.0.2.1", "elsewhere.invalid"],
            _ => &own,
        };
        let mut params = params(&format!("system:node:{node}"), names)?;
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

fn params(name: &str, names: &[&str]) -> Result<CertificateParams, SimError> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
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
