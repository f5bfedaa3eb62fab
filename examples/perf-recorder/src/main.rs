//! Records what each container and cgroup does to Parquet.

mod flags;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use cgroup_perf::CgroupPerf;
use cgroup_perf::mount::Hierarchy;
use cgroup_perf::output::Event;
use cgroup_perf::output::arrow::Columns;
use cgroup_perf::sample::Batch;
use cgroup_perf::tree::Tree;
use example_host::clock::monotonic;
use example_host::names::Names;
use example_host::recording::{Recorded, Recording, host};
use example_host::{exit, log_to_stderr_by_default, runtime, stop};
use futures::StreamExt;
use nri_plugin::Connector;
use nri_plugin::cgroup::CgroupFs;
use nri_plugin::connector::State;
use nri_plugin::index::ContainerIndex;
use nri_plugin::launch::Endpoint;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use crate::flags::Flags;

const NAME: &str = "perf-recorder";
/// How often the tree of cgroups is looked at, and the writer reminded of the time. Samples of a container that is new
/// wait for longer than that.
const LOOK: Duration = Duration::from_millis(500);
/// How long a runtime is waited for at the start.
const PATIENCE: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let flags = flags::parse();
    log_to_stderr_by_default("error");
    exit::code(NAME, run_to_end(&flags))
}

fn run_to_end(flags: &Flags) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(run(flags))
}

async fn run(flags: &Flags) -> anyhow::Result<()> {
    let stopped = stop::on_signal()?;
    let index = ContainerIndex::builder(CgroupFs::discover()?).build();
    let names = Arc::new(Names::new(index.clone(), Tree::new(Hierarchy::discover()?.mount)?));
    names.look(monotonic())?;
    let asked = !flags.no_nri && flags.socket.exists();
    let connector =
        asked.then(|| runtime::connect(&index, NAME, Endpoint::Socket(flags.socket.clone()))).transpose()?;
    if let Some(connector) = &connector {
        // One that doesn't answer may do so later.
        let _ = timeout(PATIENCE, connector.joined()).await;
    }
    let mut builder = CgroupPerf::builder().slot(flags.slot).per_task(flags.per_task);
    if !flags.counters.is_empty() {
        builder = builder.counters(flags.counters.clone());
    }
    let perf = builder.start().await.context("nothing can be counted")?;
    println!("{}", perf.capabilities());
    let counters = perf.capabilities().counters.iter();
    let columns = Columns::new(counters.map(|it| Event::named(&it.name, &it.note)).collect(), flags.per_task)?;
    let mut config = flags.parquet();
    config.host = host().unwrap_or_default();
    config.metadata.push(("perf_recorder.capabilities".to_owned(), perf.capabilities().to_string()));
    let (batches, recording) = Recording::start(config, columns, Arc::clone(&names))?;

    let begun = Instant::now();
    let stop = async {
        let ended = async {
            match flags.duration {
                Some(duration) => sleep(duration).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = ended => {}
            () = stopped.cancelled() => {}
        }
    };
    let background = async { tokio::join!(index.run(), look(&names, connector.as_ref()), remind(&batches)) };
    let mut samples = perf.samples().ok_or_else(|| anyhow!("somebody else reads the samples"))?;
    let reading = async {
        while let Some(batch) = samples.next().await {
            // Where the thread can't go on, it has ended: its error is told below.
            if batches.send(batch).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = reading => {}
        _ = background => {}
        () = stop => {}
    }
    let took = begun.elapsed();
    // What was counted last comes after the end.
    let rest = async move {
        while let Some(batch) = samples.next().await {
            if batches.send(batch).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(perf.shutdown(), rest);
    if let Some(connector) = connector {
        let _ = connector.shutdown().await;
    }
    let recorded = recording.finish()?;
    println!("{}", summary(&recorded.context("the files can't be completed")?, took));
    Ok(())
}

/// Looks for new cgroups, and whether the runtime is there.
async fn look(names: &Arc<Names>, connector: Option<&Connector>) {
    let mut turns = interval(LOOK);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        turns.tick().await;
        let is_joined = connector.is_some_and(|connector| matches!(*connector.states().borrow(), State::Joined { .. }));
        names.set_runtime(is_joined);
        let its = Arc::clone(names);
        let looked = tokio::task::spawn_blocking(move || its.look(monotonic())).await;
        if let Ok(Err(error)) = looked {
            tracing::error!("{error}: new containers have no names");
        }
    }
}

/// Files and row groups come of age also where nothing runs.
async fn remind(batches: &mpsc::Sender<Batch>) {
    let mut turns = interval(LOOK);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        turns.tick().await;
        // A full channel is no silence.
        let _ = batches.try_send(Batch::default());
    }
}

/// One line of what became of everything.
fn summary(recorded: &Recorded, took: Duration) -> String {
    let Recorded { samples, lost, files, join } = recorded;
    let each = files.bytes as f64 / files.written.max(1) as f64;
    let mut line = format!(
        "{:.1} s: {samples} samples, {lost} lost, {} files, {} bytes of rows, {each:.1} bytes per sample",
        took.as_secs_f64(),
        files.files,
        files.bytes
    );
    for (count, what) in [
        (files.dropped, "dropped for want of room"),
        (join.unresolved + join.overflowed, "without a word of whose they are"),
        (files.recovered, "files of an earlier recorder completed"),
    ] {
        if count > 0 {
            line.push_str(", ");
            line.push_str(&count.to_string());
            line.push(' ');
            line.push_str(what);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use cgroup_perf::output::parquet::ParquetStats;

    use super::*;

    #[test]
    fn the_last_line_tells_what_became_of_everything() {
        let mut recorded = Recorded { samples: 12, lost: 3, ..Recorded::default() };
        let line = summary(&recorded, Duration::from_millis(1_500));
        assert_eq!(line, "1.5 s: 12 samples, 3 lost, 0 files, 0 bytes of rows, 0.0 bytes per sample");
        let mut files = ParquetStats::default();
        (files.written, files.bytes, files.files, files.dropped) = (10, 55, 1, 2);
        recorded.files = files;
        let line = summary(&recorded, Duration::from_secs(1));
        assert!(
            line.ends_with("1 files, 55 bytes of rows, 5.5 bytes per sample, 2 dropped for want of room"),
            "{line}"
        );
    }
}
