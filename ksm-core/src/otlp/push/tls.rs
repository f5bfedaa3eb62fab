//! TLS for HTTPS endpoints.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;

use super::endpoint::TlsFiles;
use super::error::ExporterError;

fn tls_error(source: impl std::error::Error + Send + Sync + 'static) -> ExporterError {
    ExporterError::Tls { source: Box::new(source) }
}

/// The process's default provider where it has one, else ring's. A plain-text endpoint trusts nobody, and needs no
/// certificates on the machine.
pub(super) fn client_config(files: &TlsFiles, is_https: bool) -> Result<ClientConfig, ExporterError> {
    let provider = CryptoProvider::get_default().cloned();
    let provider = provider.unwrap_or_else(|| Arc::new(rustls::crypto::ring::default_provider()));
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(tls_error)?;
    let builder = match &files.authorities {
        _ if !is_https => builder.with_root_certificates(RootCertStore::empty()),
        None => builder.with_platform_verifier().map_err(tls_error)?,
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(|source| file_error("certificate authorities", path, source))?;
            }
            builder.with_root_certificates(roots)
        }
    };
    match (&files.certificate, &files.key) {
        (None, None) => Ok(builder.with_no_client_auth()),
        (Some(certificate), Some(key)) => {
            let private =
                PrivateKeyDer::from_pem_file(key).map_err(|source| file_error("a private key", key, source))?;
            builder.with_client_auth_cert(certificates(certificate)?, private).map_err(tls_error)
        }
        (Some(_), None) => Err(ExporterError::HalfIdentity { given: "the certificate", missing: "the key" }),
        (None, Some(_)) => Err(ExporterError::HalfIdentity { given: "the key", missing: "the certificate" }),
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ExporterError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = read.map_err(|source| file_error("certificates", path, source))?;
    if found.is_empty() {
        return Err(file_error("certificates", path, rustls::pki_types::pem::Error::NoItemsFound));
    }
    Ok(found)
}

fn file_error(
    what: &'static str,
    path: &Path,
    source: impl std::error::Error + Send + Sync + 'static,
) -> ExporterError {
    ExporterError::File { what, path: path.to_owned(), source: Box::new(source) }
}
