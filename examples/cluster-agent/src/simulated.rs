//! What DaemonSets do in a real cluster: a lease-writer on each node of the simulated one, within this process.

use std::time::Duration;

use anyhow::Context;
use cluster_sim::Sim;
use example_host::cluster::ensure_namespace;
use futures::future::join_all;
use node_lease::source::aws::Imds;
use node_lease::{LeaseWriter, WriterHandle};
use tokio::time::timeout;

/// So many nodes have a metadata service and a writer: a listening port each.
const MOST: usize = 200;

/// Far longer than it takes.
const FIRST_LEASES: Duration = Duration::from_secs(10);

/// Has each node's metadata written as a Lease, from the node's own simulated metadata service, for as long as the
/// handles live. Returns once all Leases are there.
pub(crate) async fn write_leases(sim: &Sim, namespace: &str) -> anyhow::Result<Vec<WriterHandle>> {
    ensure_namespace(sim, namespace)?;
    let mut writers = Vec::new();
    for node in sim.list("v1", "nodes")?.iter().take(MOST) {
        let name = node["metadata"]["name"].as_str().context("a node without a name")?;
        // The simulated population lives in AWS.
        let source = Imds::at(&sim.metadata_of(name).await?.url())?;
        let writer = LeaseWriter::builder(sim.client(), source, name, namespace, format!("lease-writer-of-{name}"));
        writers.push(writer.start_jitter(Duration::ZERO).build()?.spawn()?);
    }
    let held = join_all(writers.iter().map(WriterHandle::held));
    timeout(FIRST_LEASES, held).await.context("the Leases are not written")?;
    Ok(writers)
}
