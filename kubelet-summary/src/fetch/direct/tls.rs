//! Whom a request to a kubelet trusts.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_platform_verifier::BuilderVerifierExt;

use super::DirectError;
use crate::causes::with_causes;
use crate::fetch::TlsProblem;

/// Bundles of authorities are of some hundred kilobytes at most.
const MAX_PEM: u64 = 4 << 20;

/// Whose certificates are trusted.
///
/// | a kubelet's certificate | choose |
/// |---|---|
/// | from the cluster's authority (`serverTLSBootstrap: true`, and approved requests) | [`Trust::ClusterCa`] |
/// | from an authority of the provider's or one's own | [`Trust::PemFile`] or [`Trust::Pem`] |
/// | from a public authority, or one that the machine trusts | [`Trust::System`] |
/// | made by the kubelet itself, the default of kubeadm | have it changed; else [`Trust::Insecure`] |
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Trust {
    /// The cluster's authority, from the service account's `ca.crt`.
    #[default]
    ClusterCa,
    /// Authorities from a file of PEM certificates.
    PemFile(PathBuf),
    /// Authorities as PEM text.
    Pem(String),
    /// What the machine trusts.
    System,
    /// Anyone. The token is sent to whoever answers at the node's address, who may use it. Only by explicit choice.
    Insecure,
}

/// The process's default provider where it has one, else ring's: a client that is built without one panics where the
/// host installed none.
pub(super) fn provider() -> Arc<CryptoProvider> {
    CryptoProvider::get_default().cloned().unwrap_or_else(|| Arc::new(rustls::crypto::ring::default_provider()))
}

impl Trust {
    /// The file that authorities are from.
    pub(super) fn file(&self) -> Option<PathBuf> {
        match self {
            Self::ClusterCa => Some(Path::new(crate::fetch::SERVICE_ACCOUNT).join("ca.crt")),
            Self::PemFile(path) => Some(path.clone()),
            _ => None,
        }
    }

    /// The file's content, where there is one.
    pub(super) fn read(&self) -> Result<Option<Vec<u8>>, DirectError> {
        use std::io::Read;
        let Some(path) = self.file() else { return Ok(None) };
        let mut pem = Vec::new();
        let read = std::fs::File::open(&path).and_then(|file| file.take(MAX_PEM + 1).read_to_end(&mut pem));
        let wrong = |source| DirectError::Authorities { place: path.display().to_string(), source };
        match read {
            // A part of them would be other authorities than were named.
            Ok(read) if read as u64 > MAX_PEM => Err(wrong(format!("it has more than {MAX_PEM} bytes").into())),
            Ok(_) => Ok(Some(pem)),
            Err(source) => Err(wrong(source.into())),
        }
    }

    /// The configuration, with authorities from `pem` where they are from a file.
    pub(super) fn config(&self, pem: Option<&[u8]>) -> Result<ClientConfig, DirectError> {
        let provider = provider();
        let algorithms = provider.signature_verification_algorithms;
        let tls = |source: rustls::Error| DirectError::Tls { source: source.into() };
        let builder =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(tls)?;
        let place = || self.file().map_or_else(|| "the PEM text".to_owned(), |path| path.display().to_string());
        let builder = match self {
            Self::System => builder.with_platform_verifier().map_err(tls)?,
            Self::Insecure => builder.dangerous().with_custom_certificate_verifier(Arc::new(Anyone(algorithms))),
            Self::Pem(text) => builder.with_root_certificates(roots(text.as_bytes(), place)?),
            Self::ClusterCa | Self::PemFile(_) => {
                builder.with_root_certificates(roots(pem.unwrap_or_default(), place)?)
            }
        };
        Ok(builder.with_no_client_auth())
    }
}

fn roots(pem: &[u8], place: impl Fn() -> String) -> Result<RootCertStore, DirectError> {
    let wrong = |source: crate::fetch::BoxError| DirectError::Authorities { place: place(), source };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| wrong(error.into()))?;
        roots.add(certificate).map_err(|error| wrong(error.into()))?;
    }
    if roots.is_empty() {
        return Err(wrong(rustls::pki_types::pem::Error::NoItemsFound.into()));
    }
    Ok(roots)
}

/// Takes every certificate. The handshake's signature is checked all the same, as TLS has it.
#[derive(Debug)]
struct Anyone(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

/// What TLS says against the peer, if that is what an error is about.
pub(super) fn problem(error: &(dyn std::error::Error + 'static)) -> Option<TlsProblem> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<rustls::Error>() {
            return Some(of_rustls(error));
        }
        next = match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            // What is in an io::Error is not its source, but it itself.
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

fn of_rustls(error: &rustls::Error) -> TlsProblem {
    let rustls::Error::InvalidCertificate(certificate) = error else {
        return TlsProblem::Other(with_causes(error));
    };
    match certificate {
        // A bad signature is one by another authority of the same name: kubeadm calls each cluster's `kubernetes`.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => TlsProblem::UnknownAuthority,
        CertificateError::NotValidForNameContext { presented, .. } => {
            TlsProblem::WrongName { presented: presented.iter().map(|name| plain_name(name)).collect() }
        }
        CertificateError::NotValidForName => TlsProblem::WrongName { presented: Vec::new() },
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => TlsProblem::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => TlsProblem::NotYetValid,
        // The certificate is the authority at once.
        CertificateError::Other(other) if format!("{other:?}").contains("CaUsedAsEndEntity") => {
            TlsProblem::UnknownAuthority
        }
        other => TlsProblem::Other(other.to_string()),
    }
}

/// `DnsName("a.example")` and `IpAddress(127.0.0.1)`, as the library writes them, without what is around the name.
fn plain_name(name: &str) -> String {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(name);
    inner.trim_matches('"').to_owned()
}
