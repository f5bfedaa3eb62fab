//! HTTPS by a web configuration file, as Prometheus' exporters have it: certificates, client certificates, passwords,
//! headers. All of it can be loaded anew while connections are served.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::http::{HeaderName, HeaderValue};
use parking_lot::RwLock;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use thiserror::Error;

use crate::files::read_text;
use crate::passwords::Passwords;
use crate::web_config::{ClientAuth, Pem, TlsSection, Version, WebConfig};

/// A web configuration that can't be used. The message names the file.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WebError {
    /// A file can't be read.
    #[error("{} can't be read: {source}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is no web configuration.
    #[error("{place}: {problem}")]
    Config {
        /// File, line and column.
        place: String,
        /// What is wrong, and what to write instead.
        problem: String,
    },
    /// A certificate or key is none.
    #[error("{}: {what}: {problem}", file.display())]
    Pem {
        /// The file.
        file: PathBuf,
        /// Which key of the configuration names it.
        what: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// Certificate, key and settings don't go together.
    #[error("{}: tls_server_config: {source}", file.display())]
    Tls {
        /// The web configuration.
        file: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// What a web configuration led to.
struct Loaded {
    tls: Option<Arc<ServerConfig>>,
    passwords: Option<Arc<Passwords>>,
    headers: Vec<(HeaderName, HeaderValue)>,
    files: Vec<PathBuf>,
}

/// A web configuration in use. [`reload`](Self::reload) changes it for connections and requests to come.
pub struct Web {
    file: PathBuf,
    loaded: RwLock<Arc<Loaded>>,
}

impl fmt::Debug for Web {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Web").field("file", &self.file).field("is_tls", &self.is_tls()).finish_non_exhaustive()
    }
}

impl Web {
    /// Reads a file, and the certificates that it names.
    pub fn load(file: &Path) -> Result<Self, WebError> {
        Ok(Self { file: file.to_owned(), loaded: RwLock::new(Arc::new(load(file)?)) })
    }

    /// Reads them again. What is wrong changes nothing.
    pub fn reload(&self) -> Result<(), WebError> {
        let loaded = load(&self.file)?;
        *self.loaded.write() = Arc::new(loaded);
        Ok(())
    }

    /// The file, and all files that it names.
    pub fn files(&self) -> Vec<PathBuf> {
        self.loaded.read().files.clone()
    }

    /// Whether connections are encrypted.
    pub fn is_tls(&self) -> bool {
        self.loaded.read().tls.is_some()
    }

    pub(crate) fn tls(&self) -> Option<Arc<ServerConfig>> {
        self.loaded.read().tls.clone()
    }

    pub(crate) fn passwords(&self) -> Option<Arc<Passwords>> {
        self.loaded.read().passwords.clone()
    }

    pub(crate) fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        self.loaded.read().headers.clone()
    }
}

fn load(file: &Path) -> Result<Loaded, WebError> {
    let text = read(file)?;
    let config = WebConfig::from_yaml(&text, file)?;
    let mut files = vec![file.to_owned()];
    let folder = file.parent().unwrap_or(Path::new(""));
    let tls = match &config.tls {
        Some(section) => {
            files.extend(section.files().map(|named| folder.join(named)));
            Some(Arc::new(server_config(file, folder, section)?))
        }
        None => None,
    };
    let passwords = (!config.users.is_empty()).then(|| Arc::new(Passwords::new(config.users)));
    Ok(Loaded { tls, passwords, headers: config.headers, files })
}

fn read(file: &Path) -> Result<String, WebError> {
    read_text(file).map_err(|source| WebError::Read { file: file.to_owned(), source })
}

fn server_config(file: &Path, folder: &Path, section: &TlsSection) -> Result<ServerConfig, WebError> {
    let tls = |source: Box<dyn std::error::Error + Send + Sync>| WebError::Tls { file: file.to_owned(), source };
    let certificates = certificates("cert_file", file, folder, &section.cert)?;
    let (place, text) = pem("key_file", file, folder, &section.key)?;
    let key = PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|error| {
        // The error's text holds nothing of the key.
        WebError::Pem { file: place, what: "key_file", problem: format!("no private key in PEM: {error}") }
    })?;
    let mut provider = rustls::crypto::ring::default_provider();
    section.restrict(&mut provider);
    let versions: Vec<&'static SupportedProtocolVersion> = [Version::Tls12, Version::Tls13]
        .into_iter()
        .filter(|version| section.allows(*version))
        .map(Version::rustls)
        .collect();
    let provider = Arc::new(provider);
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&versions)
        .map_err(|error| tls(error.into()))?;
    let builder = match (&section.client_auth, &section.client_ca) {
        (ClientAuth::None, _) | (_, None) => builder.with_no_client_auth(),
        (auth, Some(ca)) => {
            let mut roots = RootCertStore::empty();
            for certificate in self::certificates("client_ca_file", file, folder, ca)? {
                roots.add(certificate).map_err(|error| tls(error.into()))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            let verifier = if *auth == ClientAuth::Require { verifier } else { verifier.allow_unauthenticated() };
            builder.with_client_cert_verifier(verifier.build().map_err(|error| tls(error.into()))?)
        }
    };
    let mut config = builder.with_single_cert(certificates, key).map_err(|error| tls(error.into()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn certificates(
    what: &'static str,
    config: &Path,
    folder: &Path,
    source: &Pem,
) -> Result<Vec<CertificateDer<'static>>, WebError> {
    let (file, text) = pem(what, config, folder, source)?;
    let wrong = |problem: String| WebError::Pem { file: file.clone(), what, problem };
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    match certificates {
        Ok(certificates) if certificates.is_empty() => Err(wrong("no certificate in PEM".to_owned())),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(wrong(format!("no certificate in PEM: {error}"))),
    }
}

/// The text, and the file that it is from.
fn pem(what: &'static str, config: &Path, folder: &Path, source: &Pem) -> Result<(PathBuf, String), WebError> {
    match source {
        Pem::Inline(text) => Ok((config.to_owned(), text.clone())),
        Pem::File(named) => {
            let file = folder.join(named);
            match read(&file) {
                Ok(text) => Ok((file, text)),
                Err(WebError::Read { file, source }) => {
                    Err(WebError::Pem { file, what, problem: format!("it can't be read: {source}") })
                }
                Err(error) => Err(error),
            }
        }
    }
}
