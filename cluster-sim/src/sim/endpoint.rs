//! Where the API server is, and how clients get at it.

use std::net::SocketAddr;
#[cfg(feature = "tls")]
use std::sync::Arc;

#[cfg(feature = "tls")]
use base64::Engine as _;
use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
#[cfg(feature = "tls")]
use kube::client::{ClientBuilder, ConfigExt as _};
use kube::config::{AuthInfo, Cluster, Context, Kubeconfig, NamedAuthInfo, NamedCluster, NamedContext};
use secrecy::SecretString;

use crate::client;
use crate::error::SimError;
use crate::http::speech::Speech;
use crate::kubelet::fleet::Fleet;
#[cfg(feature = "tls")]
use crate::tls::{Certificate, Holder, Tls};

/// The name of the one cluster, user and context in the kubeconfig.
const NAME: &str = "cluster-sim";

/// The API server's port.
pub(crate) struct Endpoint {
    pub(super) address: SocketAddr,
    pub(super) speech: Speech,
    #[cfg(feature = "tls")]
    trust: Option<Trust>,
}

/// What clients need to know that the server is the one.
#[cfg(feature = "tls")]
struct Trust {
    ca_pem: String,
    ca_der: Vec<u8>,
    connector: hyper_rustls::HttpsConnector<HttpConnector>,
}

/// What makes an endpoint of an address: TLS asks for the cluster's authority.
pub(crate) type MakeEndpoint = fn(SocketAddr, &Fleet) -> Result<Endpoint, SimError>;

impl Endpoint {
    #[expect(clippy::unnecessary_wraps, reason = "TLS can fail")]
    pub(crate) fn http(address: SocketAddr, _: &Fleet) -> Result<Self, SimError> {
        Ok(Self {
            address,
            speech: Speech::Http,
            #[cfg(feature = "tls")]
            trust: None,
        })
    }

    #[cfg(feature = "tls")]
    pub(crate) fn tls(address: SocketAddr, fleet: &Fleet) -> Result<Self, SimError> {
        let authority = fleet.authority()?;
        let tls = Tls::new(Certificate::Signed, Holder::api_server(), &authority)?;
        let mut endpoint = Self { speech: Speech::Tls(Arc::new(tls)), ..Self::http(address, fleet)? };
        let ca_der = authority.der();
        let mut config = kube::Config::new(endpoint.uri());
        config.root_cert = Some(vec![ca_der.clone()]);
        // As it makes its own client, kube chooses the process's provider of cryptography, where nobody else has.
        let connector = ClientBuilder::try_from(config.clone()).and_then(|_| config.rustls_https_connector());
        let connector = connector.map_err(|error| SimError::Client(Box::new(error)))?;
        endpoint.trust = Some(Trust { ca_pem: authority.pem(), ca_der, connector });
        Ok(endpoint)
    }

    pub(super) fn url(&self) -> String {
        format!("{}://{}", self.speech.scheme(), self.address)
    }

    pub(super) fn uri(&self) -> Uri {
        // A scheme, and an authority of digits, dots and a colon, are a URI.
        self.url().parse().unwrap_or_default()
    }

    /// A client with connections of its own.
    pub(super) fn client(&self, token: Option<&str>) -> kube::Client {
        #[cfg(feature = "tls")]
        if let Some(trust) = &self.trust {
            return client::client(trust.connector.clone(), self.uri(), token);
        }
        client::client(HttpConnector::new(), self.uri(), token)
    }

    pub(super) fn config(&self, token: Option<&str>) -> kube::Config {
        let mut config = kube::Config::new(self.uri());
        config.auth_info.token = token.map(|token| SecretString::from(token.to_owned()));
        #[cfg(feature = "tls")]
        if let Some(trust) = &self.trust {
            config.root_cert = Some(vec![trust.ca_der.clone()]);
        }
        config
    }

    pub(super) fn kubeconfig(&self, token: Option<String>) -> Kubeconfig {
        let token = token.map(SecretString::from);
        Kubeconfig {
            api_version: Some("v1".to_owned()),
            kind: Some("Config".to_owned()),
            clusters: vec![NamedCluster {
                name: NAME.to_owned(),
                cluster: Some(Cluster {
                    server: Some(self.url()),
                    certificate_authority_data: self.ca_data(),
                    ..Cluster::default()
                }),
                ..NamedCluster::default()
            }],
            auth_infos: vec![NamedAuthInfo {
                name: NAME.to_owned(),
                auth_info: Some(AuthInfo { token, ..AuthInfo::default() }),
                ..NamedAuthInfo::default()
            }],
            contexts: vec![NamedContext {
                name: NAME.to_owned(),
                context: Some(Context { cluster: NAME.to_owned(), user: Some(NAME.to_owned()), ..Context::default() }),
                ..NamedContext::default()
            }],
            current_context: Some(NAME.to_owned()),
            ..Kubeconfig::default()
        }
    }

    /// The authority as a kubeconfig has it: PEM in base64.
    #[cfg(feature = "tls")]
    fn ca_data(&self) -> Option<String> {
        self.trust.as_ref().map(|trust| base64::engine::general_purpose::STANDARD.encode(&trust.ca_pem))
    }

    #[cfg(not(feature = "tls"))]
    #[expect(clippy::unused_self, reason = "with TLS it is of use")]
    fn ca_data(&self) -> Option<String> {
        None
    }
}
