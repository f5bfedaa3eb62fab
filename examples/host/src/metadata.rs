//! What tells a node's metadata, as flags say.

use std::sync::Arc;

use clap::ValueEnum;
use kube::Client;
use node_lease::source::Layered;
use node_lease::source::aws::Imds;
use node_lease::source::azure::Azure;
use node_lease::source::detect::Detector;
use node_lease::source::gce::Gce;
use node_lease::source::node::NodeObject;
use node_lease::{MetadataSource, SourceError};

/// What tells the metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SourceKind {
    /// The service of the cloud that this is, and the Node object for what it does not tell
    Auto,
    /// EC2's instance metadata service
    Aws,
    /// Compute Engine's metadata server
    Gce,
    /// Azure's instance metadata service
    Azure,
    /// The Node object in the API server
    Node,
}

/// Which source, and how it is asked.
#[derive(Debug, Clone, Copy)]
pub struct Choice<'a> {
    /// What tells the metadata.
    pub kind: SourceKind,
    /// The metadata service's URL, instead of the cloud's usual one.
    pub endpoint: Option<&'a str>,
    /// Go on without a token where EC2's service gives none (IMDSv1).
    pub v1_fallback: bool,
    /// A simulated node is not this machine.
    pub simulated: bool,
}

impl Choice<'_> {
    /// The source for a node.
    pub fn source(self, client: Client, node: &str) -> Result<Arc<dyn MetadataSource>, SourceError> {
        let Self { kind, endpoint, v1_fallback, simulated } = self;
        let aws = || endpoint.map_or_else(Imds::from_env, Imds::at).map(|source| source.v1_fallback(v1_fallback));
        let gce = || endpoint.map_or_else(Gce::from_env, Gce::at);
        let azure = || endpoint.map_or_else(Azure::new, Azure::at);
        let object = NodeObject::new(client, node);
        Ok(match kind {
            SourceKind::Aws => Arc::new(aws()?),
            SourceKind::Gce => Arc::new(gce()?),
            SourceKind::Azure => Arc::new(azure()?),
            SourceKind::Node => Arc::new(object),
            SourceKind::Auto => {
                let mut detector = Detector::between(aws()?, gce()?, azure()?);
                if simulated {
                    // This machine's firmware says nothing of a simulated one.
                    detector = detector.dmi("/nonexistent");
                }
                Arc::new(Layered::new().and(detector.source(Some(object.clone()))).and(object))
            }
        })
    }
}
