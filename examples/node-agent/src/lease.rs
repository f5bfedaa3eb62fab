//! The node's metadata as a Lease: which cluster, which source, and how the writer is.

use std::sync::Arc;
use std::time::Duration;

use example_host::cluster::{Cluster, Unconfigured};
use example_host::host_name;
use example_host::metadata::Choice;
use example_host::page::Health;
use kube::Client;
use node_lease::writer::WriterState;
use node_lease::{LeaseWriter, StopOutcome, WriterHandle};
use tokio_util::sync::CancellationToken;

use crate::flags::Flags;
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
    let choice = Choice { kind: flags.source, endpoint: flags.imds_endpoint.as_deref(), v1_fallback: false, simulated };
    let source = choice.source(client.clone(), node)?;
    let holder = flags.pod_name.clone().or_else(host_name).unwrap_or_default();
    let writer = LeaseWriter::builder(client, source, node, &*flags.namespace, holder)
        .contract(flags.contract()?)
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
