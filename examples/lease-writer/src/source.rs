//! Where the metadata come from, as the flags say.

use std::sync::Arc;

use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Node;
use kube::{Api, Client};
use node_lease::source::Layered;
use node_lease::source::aws::Imds;
use node_lease::source::azure::Azure;
use node_lease::source::detect::Detector;
use node_lease::source::gce::Gce;
use node_lease::source::node::NodeObject;
use node_lease::{Fetched, MetadataSource, SourceError};
use tokio::sync::OnceCell;

use crate::flags::{SourceFlags, SourceKind};

type Source = Arc<dyn MetadataSource>;

/// The source for a node. A simulated node is not this machine.
pub(crate) fn of(flags: &SourceFlags, client: Client, node: &str, simulated: bool) -> Result<Source, SourceError> {
    let url = flags.imds_endpoint.as_deref();
    let aws = || url.map_or_else(Imds::from_env, Imds::at).map(|source| source.v1_fallback(flags.v1_fallback));
    let gce = || url.map_or_else(Gce::from_env, Gce::at);
    let azure = || url.map_or_else(Azure::new, Azure::at);
    let node_object = NodeObject::new(client.clone(), node);
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
            let detected = Detected { client, node: node.to_owned(), detector, found: OnceCell::new() };
            Arc::new(Layered::new().and(detected).and(node_object))
        }
    })
}

/// The service of whichever cloud this is. It is found out when it is asked, since neither the API server nor the
/// network need to be there when the node starts, and not again once it is known.
struct Detected {
    client: Client,
    node: String,
    detector: Detector,
    found: OnceCell<Source>,
}

impl MetadataSource for Detected {
    fn name(&self) -> &'static str {
        "the cloud's metadata service"
    }

    fn fetch(&self) -> BoxFuture<'_, Result<Fetched, SourceError>> {
        Box::pin(async { self.found.get_or_try_init(|| self.detect()).await?.fetch().await })
    }
}

impl Detected {
    async fn detect(&self) -> Result<Source, SourceError> {
        let detector = match self.provider_id().await {
            Some(id) => self.detector.clone().provider_id(id),
            None => self.detector.clone(),
        };
        let detected = detector.detect().await?;
        tracing::info!(cloud = %detected.cloud, by = ?detected.by, "this is the cloud");
        Ok(detected.source)
    }

    /// The Node's `spec.providerID`. Without it, the firmware or the services themselves tell.
    async fn provider_id(&self) -> Option<String> {
        let node: Node = Api::all(self.client.clone()).get(&self.node).await.ok()?;
        node.spec?.provider_id
    }
}
