//! The node's metadata as a Lease: which cluster, which source, and how the writer is.

use std::sync::Arc;
use std::time::Duration;

use example_host::cluster::{Cluster, Unconfigured};
use example_host::page::Health;
use kube::Client;
use node_lease::source::Layered;
use node_lease::source::aws::Imds;
use node_lease::source::azure::Azure;
use node_lease::source::detect::Detector;
use node_lease::source::gce::Gce;
use node_lease::source::node::NodeObject;
use node_lease::writer::WriterState;
use node_lease::{LeaseWriter, MetadataSource, SourceError, StopOutcome, WriterHandle};
use tokio_util::sync::CancellationToken;

use crate::flags::{Flags, SourceKind};
use crate::parts::{Backoff, State};

/// How often the writer is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Keeps the Lease until `stop`; what became of it then.
pub(crate) async fn run(
    flags: Flags,
    node: String,
    client: Option<Client>,
    state: Arc<State>,
    stop: CancellationToken,
) -> Option<String> {
    let mut backoff = Backoff::new();
    let (simulated, mut client) = (client.is_some(), client);
    let (lease, writer) = loop {
        match start(&flags, &node, client.take(), simulated).await {
            Ok(started) => break started,
            Err(error) => {
                state.failed(format!("{error:#}"));
                stop.run_until_cancelled(tokio::time::sleep(backoff.next())).await?;
            }
        }
    };
    state.detail(format!("Lease {lease}"));
    let mut turns = tokio::time::interval(LOOK);
    while stop.run_until_cancelled(turns.tick()).await.is_some() {
        look(&state, &writer);
    }
    let what = match writer.shutdown().await {
        StopOutcome::Deleted => "was deleted",
        StopOutcome::Kept => "is kept: it ends by itself",
        StopOutcome::NotHeld => "is not this writer's: nothing was done",
        _ => "could not be deleted: it ends by itself",
    };
    Some(format!("the Lease {lease} {what}"))
}

async fn start(
    flags: &Flags,
    node: &str,
    client: Option<Client>,
    simulated: bool,
) -> anyhow::Result<(String, WriterHandle)> {
    let client = match client {
        Some(client) => client,
        None => flags.cluster.connect(Unconfigured::Refuse).await.map(|Cluster { client, .. }| client)?,
    };
    let source = source(flags, client.clone(), node, simulated)?;
    let holder = flags.pod_name.clone().or_else(host_name).unwrap_or_default();
    let writer = LeaseWriter::builder(client, source, node, &*flags.namespace, holder)
        .on_stop(flags.on_stop())
        .start_jitter(flags.start_jitter())
        .build()?;
    Ok((format!("{}/{}", flags.namespace, writer.lease_name()), writer.spawn()?))
}

fn look(state: &State, writer: &WriterHandle) {
    let status = writer.status();
    match status.state {
        WriterState::Held if status.problems.is_empty() => state.ok(),
        WriterState::Held => state.set(Health::Degraded, Some(status.problems.join("; "))),
        WriterState::Starting => state.set(Health::Starting, None),
        WriterState::NoMetadata => state.failed(format!("no metadata yet: {}", status.problems.join("; "))),
        WriterState::Superseded { by } => {
            state.set(Health::Degraded, Some(format!("{by} has taken the Lease over")));
        }
        WriterState::Failing { error } => state.failed(error),
        _ => state.failed("it has ended"),
    }
}

/// The source for a node. A simulated node is not this machine.
fn source(flags: &Flags, client: Client, node: &str, simulated: bool) -> Result<Arc<dyn MetadataSource>, SourceError> {
    let url = flags.imds_endpoint.as_deref();
    let aws = || url.map_or_else(Imds::from_env, Imds::at);
    let gce = || url.map_or_else(Gce::from_env, Gce::at);
    let azure = || url.map_or_else(Azure::new, Azure::at);
    let object = NodeObject::new(client, node);
    Ok(match flags.source {
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

fn host_name() -> Option<String> {
    nix::unistd::gethostname().ok()?.into_string().ok()
}
