//! Clients of the simulator, in kube's own layers.

use http::header::{AUTHORIZATION, HeaderValue};
use http::{Request, Uri};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::Connect;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::{Body, ConfigExt};
use tower::ServiceBuilder;

/// A client with connections of its own: [`kube::Client::try_from`] over any connector, which brings the TLS where there
/// is any, but for its retries: what a test counts is what the code under test asked for.
///
/// A token that is no header value is left out, so that the server refuses it.
pub(crate) fn client(
    connector: impl Connect + Clone + Send + Sync + 'static,
    url: Uri,
    token: Option<&str>,
) -> kube::Client {
    let config = kube::Config::new(url);
    let authorization = token.and_then(|token| HeaderValue::try_from(format!("Bearer {token}")).ok());
    let connections: legacy::Client<_, Body> = legacy::Client::builder(TokioExecutor::new())
        // So that connections idle away in the time of the test.
        .pool_timer(TokioTimer::new())
        .build(connector);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .map_request(move |mut request: Request<Body>| {
            if let Some(authorization) = &authorization {
                request.headers_mut().insert(AUTHORIZATION, authorization.clone());
            }
            request
        })
        .map_err(tower::BoxError::from)
        .service(connections);
    kube::Client::new(service, config.default_namespace)
}
