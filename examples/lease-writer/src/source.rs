//! Where the metadata come from, as the flags say.

use std::sync::Arc;

use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Node;
use kube::{Api, Client};
use node_lease::source::Layered;
use node_lease::source::aws::Imds;
use node_lease::source::azure::Azure;
use node_lease::source::detect::{Cloud, Detector};
use node_lease::source::gce::Gce;
use node_lease::source::node::NodeObject;
use node_lease::{Fetched, MetadataSource, SourceError};
use tokio::sync::OnceCell;

use crate::flags::{SourceFlags, SourceKind};

type Source = Arc<dyn MetadataSource>;

/// The source for a node. A simulated node is not this machine.
pub(crate) fn of(flags: &SourceFlags, client: Client, node: &str, simulated: bool) -> Result<Source, SourceError> {
    let node_object = NodeObject::new(client.clone(), node);
    Ok(match flags.source {
        SourceKind::Aws => service(Cloud::Aws, flags)?,
        SourceKind::Gce => service(Cloud::Gce, flags)?,
        SourceKind::Azure => service(Cloud::Azure, flags)?,
        SourceKind::Node => Arc::new(node_object),
        SourceKind::Auto => {
            let (node, flags, found) = (node.to_owned(), flags.clone(), OnceCell::new());
            Arc::new(Layered::new().and(Detected { client, node, flags, simulated, found }).and(node_object))
        }
    })
}

/// A cloud's metadata service.
fn service(cloud: Cloud, flags: &SourceFlags) -> Result<Source, SourceError> {
    let aws = |source: Imds| Arc::new(source.v1_fallback(flags.v1_fallback));
    Ok(match (cloud, flags.imds_endpoint.as_deref()) {
        (Cloud::Aws, Some(url)) => aws(Imds::at(url)?),
        (Cloud::Aws, None) => aws(Imds::from_env()?),
        (Cloud::Gce, Some(url)) => Arc::new(Gce::at(url)?),
        (Cloud::Gce, None) => Arc::new(Gce::from_env()?),
        (Cloud::Azure, Some(url)) => Arc::new(Azure::at(url)?),
        (Cloud::Azure, None) => Arc::new(Azure::new()?),
        // A cloud that a later node-lease knows.
        _ => return Err(SourceError::Undetected),
    })
}

/// The service of whichever cloud this is. It is found out when it is asked, since neither the API server nor the
/// network need to be there when the node starts, and not again once it is known.
struct Detected {
    client: Client,
    node: String,
    flags: SourceFlags,
    simulated: bool,
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
        let mut detector = Detector::from_env();
        if self.simulated {
            // This machine's firmware says nothing of a simulated one.
            detector = detector.dmi("/nonexistent");
        }
        if let Some(url) = &self.flags.imds_endpoint {
            detector = [Cloud::Aws, Cloud::Gce, Cloud::Azure]
                .into_iter()
                .fold(detector, |detector, cloud| detector.endpoint(cloud, url));
        }
        if let Some(id) = self.provider_id().await {
            detector = detector.provider_id(id);
        }
        let detected = detector.detect().await?;
        tracing::info!(cloud = %detected.cloud, by = ?detected.by, "this is the cloud");
        service(detected.cloud, &self.flags)
    }

    /// The Node's `spec.providerID`. Without it, the firmware or the services themselves tell.
    async fn provider_id(&self) -> Option<String> {
        let node: Node = Api::all(self.client.clone()).get(&self.node).await.ok()?;
        node.spec?.provider_id
    }
}
