//! Services, sources that have patience, and a clock that is moved.

use std::time::Duration;

use cluster_sim::metadata::{Machine, MetadataServer};
use http::Method;
use node_lease::source::aws::Imds;
use node_lease::{Attribute, Fetched, MetadataSource, SourceError};

/// How long something may take at the most: far beyond what it takes.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// For what must time out while others are answered: the clock can't be moved for one of them alone.
pub(crate) const SHORT: Duration = Duration::from_secs(2);

pub(crate) const TOKEN_PATH: &str = "/latest/api/token";
pub(crate) const DOCUMENT: &str = "/latest/dynamic/instance-identity/document";
pub(crate) const HOST_NAME: &str = "/latest/meta-data/hostname";
/// What is asked without a token.
pub(crate) const PLAIN: &str = "/latest/meta-data/instance-id";

pub(crate) async fn ec2() -> MetadataServer {
    service(Machine::aws("i-0123456789abcdef0")).await
}

pub(crate) async fn service(machine: Machine) -> MetadataServer {
    MetadataServer::builder(machine).start().await.unwrap()
}

/// A source whose requests don't time out by themselves.
pub(crate) fn imds(url: &str) -> Imds {
    Imds::at(url).unwrap().timeout(PATIENCE)
}

/// Waits until it is so.
pub(crate) async fn until(what: &str, so: impl Fn() -> bool) {
    let waiting = async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok(), "{what}");
}

/// Moves the clock; what is under way goes on as before.
pub(crate) async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

/// Lets a request time out once it is there.
pub(crate) async fn time_out(service: &MetadataServer, method: Method, path: &str) {
    until("it is asked for", || service.requests().count(&method, path) > 0).await;
    pass(PATIENCE).await;
}

/// A fetch that goes on while the test looks on.
pub(crate) fn fetching(source: impl MetadataSource) -> impl Future<Output = Result<Fetched, SourceError>> {
    let task = tokio::spawn(async move { source.fetch().await });
    async { task.await.unwrap() }
}

/// What it tells.
pub(crate) fn values(fetched: &Fetched) -> Vec<(&'static str, &str)> {
    fetched.metadata.iter().map(|(attribute, value)| (attribute.name(), value)).collect()
}

/// What it does not.
pub(crate) fn missing(fetched: &Fetched) -> Vec<Attribute> {
    Attribute::ALL.into_iter().filter(|attribute| fetched.metadata.get(*attribute).is_none()).collect()
}

/// How often a token was asked for.
pub(crate) fn tokens(service: &MetadataServer) -> u64 {
    service.requests().count(&Method::PUT, TOKEN_PATH)
}

/// How often the identity document was asked for.
pub(crate) fn documents(service: &MetadataServer) -> u64 {
    service.requests().count(&Method::GET, DOCUMENT)
}
