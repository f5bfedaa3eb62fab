//! Where the metadata come from, as the flags say.

use std::sync::Arc;

use kube::Client;
use node_lease::source::Layered;
use node_lease::source::aws::Imds;
use node_lease::source::azure::Azure;
use node_lease::source::detect::Detector;
use node_lease::source::gce::Gce;
use node_lease::source::node::NodeObject;
use node_lease::{MetadataSource, SourceError};

use crate::flags::{SourceFlags, SourceKind};

type Source = Arc<dyn MetadataSource>;

/// The source for a node. A simulated node is not this machine.
pub(crate) fn of(flags: &SourceFlags, client: Client, node: &str, simulated: bool) -> Result<Source, SourceError> {
    let url = flags.imds_endpoint.as_deref();
    let aws = || url.map_or_else(Imds::from_env, Imds::at).map(|source| source.v1_fallback(flags.v1_fallback));
    let gce = || url.map_or_else(Gce::from_env, Gce::at);
    let azure = || url.map_or_else(Azure::new, Azure::at);
    let node_object = NodeObject::new(client, node);
    Ok(match flags.source {
        SourceKind::Aws => Arc::new(aws()?),
        SourceKind::Gce => Arc::new(gce()?),
        SourceKind::Azure => Arc::new(azure()?),
        SourceKind::Node => Arc::new(node_object),
        SourceKind::Auto => {
            let mut detector = Detector::between(aws()?, gce()?, azure()?);
            if simulated {
                // This machine's firmware says nothing of a simulated one.
                detector = detector.dmi("/nonexistent");
            }
            Arc::new(Layered::new().and(detector.source(Some(node_object.clone()))).and(node_object))
        }
    })
}
