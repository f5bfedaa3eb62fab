//! A client whose connections keep little memory.

use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{self, Builder};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::{Body, ClientBuilder, ConfigExt};
use kube::{Client, Config};
use tower::{BoxError, ServiceBuilder};

/// What a connection reads at once, in bytes: as much as a record of TLS holds. hyper takes no less than 8 KiB.
const READ: usize = 16 << 10;

/// A client of the API server for a [`NodeProxy`](super::NodeProxy) that asks thousands of kubelets, whose connections
/// read 16 KiB at once.
///
/// Kube's own client lets a connection read up to 400 KiB at once, and an idle one keeps the room for it: with 64 kubelets
/// that are asked at a time, some 20 MB for as long as the process lives.
///
/// It takes of the configuration where the server is, whom to trust, who one is (tokens are renewed as by kube's), more
/// headers, and the time to connect. What it has not:
///
/// - `read_timeout` and `write_timeout`: each request has a [deadline](super::NodeProxy::deadline).
/// - retries, whatever `default_retry` says, spans of tracing, and compression.
/// - `valid_until`: the end of a certificate that an exec plugin gave is not told.
///
/// Behind a proxy (`proxy_url`) it is kube's own client, without retries.
///
/// # Errors
///
/// As `Client::try_from(config)`: where the certificates or the credentials can't be used.
///
/// ```no_run
/// use kubelet_summary::KubeletSummary;
/// use kubelet_summary::fetch::{NodeProxy, lean_client};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let config = kube::Config::infer().await?;
/// let proxy = NodeProxy::new(lean_client(&config)?);
/// let usage = KubeletSummary::builder(kube::Client::try_from(config)?).fetcher(proxy).spawn()?;
/// # Ok(())
/// # }
/// ```
pub fn lean_client(config: &Config) -> kube::Result<Client> {
    let mut once = config.clone();
    once.default_retry = false;
    // As it makes its own client, kube chooses the process's provider of cryptography, where nobody else has.
    let own = ClientBuilder::try_from(once)?;
    if config.proxy_url.is_some() {
        return Ok(own.build());
    }
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_connect_timeout(config.connect_timeout);
    let mut builder: Builder = legacy::Client::builder(TokioExecutor::new());
    builder.pool_timer(TokioTimer::new()).http1_max_buf_size(READ);
    let connections: legacy::Client<_, Body> = builder.build(config.rustls_https_connector_with_connector(tcp)?);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(connections);
    Ok(Client::new(service, config.default_namespace.clone()))
}
