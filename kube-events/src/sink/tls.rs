//! Whom a sink trusts, and whom it is.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use crate::sink::SinkError;

/// Bundles of authorities are of some hundred kilobytes at most.
const MAX_PEM: u64 = 4 << 20;

/// Options of TLS, as kubernetes-event-exporter has them. Files are read once, when the sink is made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// Any certificate is taken: secrets go to whoever answers.
    pub insecure_skip_verify: bool,
    /// The name that must be in the server's certificate, if it isn't the address's. The name that is asked for in the
    /// handshake (SNI) is the address's all the same.
    pub server_name: Option<String>,
    /// Authorities to trust instead of those of the machine, as PEM.
    pub ca_file: Option<PathBuf>,
    /// A certificate and its key to show to the server, as PEM.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// The process's default provider where it has one, else ring's: a client that is built without one panics where the
/// host installed none.
fn provider() -> Arc<CryptoProvider> {
    CryptoProvider::get_default().cloned().unwrap_or_else(|| Arc::new(rustls::crypto::ring::default_provider()))
}

impl TlsOptions {
    pub(super) fn config(&self) -> Result<ClientConfig, SinkError> {
        let tls = |error: Error| SinkError::option("tls", error);
        let provider = provider();
        let verifier = self.verifier(&provider)?;
        let builder =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(tls)?;
        let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
        let Some((certificate, key)) = &self.client else { return Ok(builder.with_no_client_auth()) };
        let chain = certificates("certFile", certificate)?;
        let wrong = |source| SinkError::File { option: "keyFile", path: key.clone(), source };
        let private = PrivateKeyDer::from_pem_slice(&read("keyFile", key)?).map_err(|error| wrong(error.into()))?;
        builder.with_client_auth_cert(chain, private).map_err(|error| wrong(error.into()))
    }

    fn verifier(&self, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, SinkError> {
        if self.insecure_skip_verify {
            return Ok(Arc::new(Anyone(provider.signature_verification_algorithms)));
        }
        let inner: Arc<dyn ServerCertVerifier> = match &self.ca_file {
            None => Arc::new(
                rustls_platform_verifier::Verifier::new(Arc::clone(provider))
                    .map_err(|error| SinkError::option("tls", error))?,
            ),
            Some(path) => {
                let wrong = |source| SinkError::File { option: "caFile", path: path.clone(), source };
                let mut roots = RootCertStore::empty();
                for certificate in certificates("caFile", path)? {
                    roots.add(certificate).map_err(|error| wrong(error.into()))?;
                }
                WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
                    .build()
                    .map_err(|error| wrong(error.into()))?
            }
        };
        let Some(name) = self.server_name.as_ref().filter(|name| !name.is_empty()) else { return Ok(inner) };
        let name = ServerName::try_from(name.clone());
        let name = name.map_err(|_| SinkError::option("serverName", "a host's name or an IP address is wanted"))?;
        Ok(Arc::new(Named { inner, name }))
    }
}

fn read(option: &'static str, path: &Path) -> Result<Vec<u8>, SinkError> {
    let wrong = |source| SinkError::File { option, path: path.to_owned(), source };
    let mut pem = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(MAX_PEM + 1).read_to_end(&mut pem));
    // A part of it would be others than were named.
    if read.map_err(|error| wrong(error.into()))? as u64 > MAX_PEM {
        return Err(wrong(format!("it has more than {MAX_PEM} bytes").into()));
    }
    Ok(pem)
}

fn certificates(option: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, SinkError> {
    let wrong =
        |error: rustls::pki_types::pem::Error| SinkError::File { option, path: path.to_owned(), source: error.into() };
    let pem = read(option, path)?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().map_err(wrong)?;
    if chain.is_empty() { Err(wrong(rustls::pki_types::pem::Error::NoItemsFound)) } else { Ok(chain) }
}

/// Asks for another name in the certificate than the address's.
#[derive(Debug)]
struct Named {
    inner: Arc<dyn ServerCertVerifier>,
    name: ServerName<'static>,
}

impl ServerCertVerifier for Named {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.inner.verify_server_cert(end_entity, intermediates, &self.name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
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
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
