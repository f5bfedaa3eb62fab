//! What containers do, by counters in the kernel: totals for metrics, and samples for files.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use cgroup_perf::CgroupPerf;
use cgroup_perf::loader::Capabilities;
use cgroup_perf::output::Event;
use cgroup_perf::output::arrow::Columns;
use cgroup_perf::output::openmetrics::{Exporter, Format};
use cgroup_perf::output::parquet::ParquetConfig;
use cgroup_perf::quality::{Counter, Quality};
use cgroup_perf::resolver::{Labels, Lookup, Resolver};
use cgroup_perf::sample::Batch;
use cgroup_perf::totals::{Totals, Usage};
use example_host::clock::monotonic;
use example_host::page::Health;
use example_host::recording::{Recording, host};
use futures::StreamExt;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::containers::Containers;
use crate::flags::Flags;
use crate::parts::{Backoff, State, chain};
use crate::settings::Settings;

/// Totals are as of the last end of a slot: where no file is written, ten milliseconds cost a tenth of what one does.
const SLOT: Duration = Duration::from_millis(10);
/// Files and row groups come of age also where nothing runs.
const REMIND: Duration = Duration::from_millis(500);
/// Nobody waits for a sample: five batches a second wake this process a tenth as often as those of someone who looks on.
/// The ring wakes it when it is a quarter full.
const BATCH: Duration = Duration::from_millis(200);
/// Rows that lie in memory encoded, with a dictionary of each column: some seconds' worth of a hundred containers at work.
const ROW_GROUP: usize = 1 << 15;
const ROWS: usize = 1 << 12;
/// How long the last rows may take.
const LAST_ROWS: Duration = Duration::from_secs(8);

/// What was counted, as it is shown.
#[derive(Debug, Default)]
pub(crate) struct Counting {
    shown: Mutex<Option<Shown>>,
}

#[derive(Debug)]
struct Shown {
    exporter: Exporter,
    counters: Vec<Counter>,
    names: Vec<String>,
    before: Option<(Instant, HashMap<String, Usage>)>,
    talkers: Vec<Talker>,
}

/// What a container did in the last interval.
#[derive(Debug, Clone)]
pub(crate) struct Talker {
    pub(crate) labels: Arc<Labels>,
    pub(crate) cores: f64,
    pub(crate) switches: f64,
    pub(crate) cycles: Option<u64>,
    pub(crate) instructions: Option<u64>,
    pub(crate) misses: Option<u64>,
}

impl Talker {
    pub(crate) fn cpi(&self) -> Option<f64> {
        ratio(self.cycles, self.instructions)
    }

    /// Misses of the last cache for each thousand instructions.
    pub(crate) fn mpki(&self) -> Option<f64> {
        ratio(self.misses, self.instructions).map(|each| each * 1_000.0)
    }
}

pub(crate) fn ratio(above: Option<u64>, below: Option<u64>) -> Option<f64> {
    Some(above? as f64 / below.filter(|below| *below > 0)? as f64)
}

impl Counting {
    fn begin(&self, capabilities: &Capabilities) -> Totals {
        let names: Vec<String> = capabilities.counters.iter().map(|counter| counter.name.clone()).collect();
        let counters: Vec<Counter> = names.iter().map(|name| Counter::by_name(name)).collect();
        // Prometheus has no '-' in names.
        let events = capabilities.counters.iter().map(|it| Event::named(&it.name.replace('-', "_"), &it.note));
        let exporter = Exporter::new(events.collect());
        let totals = Totals::new(&counters);
        *self.shown.lock() = Some(Shown { exporter, counters, names, before: None, talkers: Vec::new() });
        totals
    }

    fn end(&self) {
        *self.shown.lock() = None;
    }

    /// Takes in what the kernel has counted.
    fn tick(&self, perf: &CgroupPerf, containers: &Containers) -> anyhow::Result<usize> {
        let readings = perf.counters().context("the totals can't be read")?;
        let at = monotonic();
        let mut totals = containers.totals.lock();
        for reading in &readings {
            totals.read(reading, at);
        }
        let mut shown = self.shown.lock();
        Ok(shown.as_mut().map_or(0, |shown| shown.take(&totals, &*containers.names)))
    }

    /// Those of the last interval, the busiest first.
    pub(crate) fn talkers(&self) -> Vec<Talker> {
        self.shown.lock().as_ref().map(|shown| shown.talkers.clone()).unwrap_or_default()
    }

    /// Whether cycles and instructions are counted.
    pub(crate) fn has(&self, event: &str) -> bool {
        self.shown.lock().as_ref().is_some_and(|shown| shown.names.iter().any(|name| name == event))
    }

    /// The text of all families, without an end.
    pub(crate) fn metrics(&self, format: Format) -> String {
        let text = self.shown.lock().as_ref().map(|shown| shown.exporter.render(format)).unwrap_or_default();
        text.strip_suffix("# EOF\n").unwrap_or(&text).to_owned()
    }
}

impl Shown {
    fn take(&mut self, totals: &Totals, names: &dyn Resolver) -> usize {
        let mut sums: HashMap<String, (Arc<Labels>, Usage)> = HashMap::new();
        for (cgroup, usage) in totals.iter() {
            let Lookup::Known(labels) = names.lookup(cgroup) else { continue };
            self.exporter.update(cgroup, &labels, usage);
            let (_, sum) = sums.entry(labels.container_id.clone()).or_insert_with(|| (labels, Usage::default()));
            sum.merge(usage);
        }
        self.exporter.end_interval();
        let now = Instant::now();
        if let Some((then, before)) = &self.before {
            let seconds = now.duration_since(*then).as_secs_f64().max(0.001);
            let mut talkers: Vec<Talker> = sums
                .iter()
                .filter_map(|(id, (labels, usage))| {
                    let usage = usage.since(before.get(id)?);
                    Some(self.talker(Arc::clone(labels), &usage, seconds))
                })
                .collect();
            talkers.sort_by(|one, other| other.cores.total_cmp(&one.cores));
            self.talkers = talkers;
        }
        let count = sums.len();
        self.before = Some((now, sums.into_iter().map(|(id, (_, usage))| (id, usage)).collect()));
        count
    }

    fn talker(&self, labels: Arc<Labels>, usage: &Usage, seconds: f64) -> Talker {
        let figure = |name: &str| {
            let number = self.names.iter().position(|known| known == name)?;
            let verdict = usage.verdict(&self.counters, number)?;
            verdict.figure.filter(|_| matches!(verdict.quality, Quality::Exact | Quality::Scaled))
        };
        Talker {
            labels,
            cores: usage.ran as f64 / 1e9 / seconds,
            switches: usage.switches as f64 / seconds,
            cycles: figure("cycles"),
            instructions: figure("instructions"),
            misses: figure("llc-misses"),
        }
    }
}

/// Counts until `stop`.
pub(crate) struct Perf {
    pub(crate) settings: Settings,
    pub(crate) containers: Arc<Containers>,
    pub(crate) counting: Arc<Counting>,
    pub(crate) recording: Arc<Mutex<Option<Recording>>>,
    pub(crate) state: Arc<State>,
    pub(crate) files: Arc<State>,
    pub(crate) stop: CancellationToken,
}

impl Perf {
    pub(crate) async fn run(mut self) {
        let mut backoff = Backoff::new();
        while !self.stop.is_cancelled() {
            let flags = self.settings.current();
            if flags.parquet.is_none() {
                self.files.set(Health::Absent, Some("switched off: --parquet DIRECTORY".to_owned()));
            }
            let mut settings = self.settings.clone();
            let differs = settings.until(|other| other.counts() != flags.counts());
            let fails = match self.start(&flags).await {
                Ok(perf) => {
                    let fails = self.count(&perf, &flags, differs).await;
                    self.counting.end();
                    perf.shutdown().await;
                    fails
                }
                Err(error) => {
                    let error = chain(&*error);
                    self.state.failed(format!("nothing can be counted: {error}"));
                    if flags.parquet.is_some() {
                        self.files.failed("nothing is counted");
                    }
                    true
                }
            };
            if fails {
                let mut settings = self.settings.clone();
                let differs = settings.until(|other| other.counts() != flags.counts());
                let pause = tokio::time::sleep(backoff.next());
                tokio::select! { () = pause => {}, () = differs => {}, () = self.stop.cancelled() => {} }
            } else {
                backoff = Backoff::new();
            }
        }
    }

    async fn start(&self, flags: &Flags) -> anyhow::Result<CgroupPerf> {
        let writes = flags.parquet.is_some();
        let mut builder =
            CgroupPerf::builder().batch_every(BATCH).samples(writes).slot(if writes { flags.slot } else { SLOT });
        if !flags.counters.is_empty() {
            builder = builder.counters(flags.counters.clone());
        }
        let perf = builder.start().await?;
        *self.containers.totals.lock() = self.counting.begin(perf.capabilities());
        Ok(perf)
    }

    /// Until `stop`, until something else is to be counted, or until the kernel's maps can't be read any more: whether
    /// that was it.
    async fn count(&self, perf: &CgroupPerf, flags: &Flags, differs: impl Future<Output = ()>) -> bool {
        let note = note(perf.capabilities());
        let mut settings = self.settings.clone();
        let counting = async {
            loop {
                let every = settings.current().interval;
                match self.counting.tick(perf, &self.containers) {
                    Ok(count) => {
                        self.state.detail(format!("{count} containers counted, every {} s", every.as_secs()));
                        self.state.ok_but(Some(note.clone()));
                    }
                    Err(error) => return self.state.failed(format!("{error:#}")),
                }
                settings.pause(every).await;
            }
        };
        let over = CancellationToken::new();
        let counting = async {
            let fails = tokio::select! {
                () = counting => true,
                () = differs => false,
                () = self.stop.cancelled() => false,
            };
            // What was counted last comes after the end.
            perf.shutdown().await;
            over.cancel();
            fails
        };
        let writing = async {
            if flags.parquet.is_some() {
                self.record(perf, flags, &over).await;
            }
        };
        tokio::join!(counting, writing).0
    }

    /// Hands samples to the files, which are opened again and again where they can't be.
    async fn record(&self, perf: &CgroupPerf, flags: &Flags, over: &CancellationToken) {
        let files = &*self.files;
        let Some(mut samples) = perf.samples() else { return files.failed("somebody else reads the samples") };
        let mut backoff = Backoff::new();
        let mut again = Instant::now();
        let mut sender: Option<mpsc::Sender<Batch>> = None;
        let mut turns = interval(REMIND);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if sender.is_none() && Instant::now() >= again && !over.is_cancelled() {
                match self.open(perf.capabilities(), flags) {
                    Ok((opened, recording)) => {
                        sender = Some(opened);
                        *self.recording.lock() = Some(recording);
                    }
                    Err(error) => {
                        files.failed(format!("{error:#}"));
                        again = Instant::now() + backoff.next();
                    }
                }
            }
            tokio::select! {
                batch = samples.next() => {
                    let Some(batch) = batch else { break };
                    // What no file takes is gone: the totals have it all the same.
                    if let Some(open) = &sender && open.send(batch).await.is_err() {
                        sender = None;
                    }
                }
                _ = turns.tick() => {
                    if let Some(open) = &sender {
                        // A full channel is no silence.
                        let _ = open.try_send(Batch::default());
                        self.look(files);
                    }
                }
            }
        }
        drop(sender);
        let recording = self.recording.lock().take();
        if let Some(recording) = recording {
            let finished = tokio::task::spawn_blocking(|| recording.finish());
            match tokio::time::timeout(LAST_ROWS, finished).await {
                Ok(Ok(Ok(Ok(_)))) => {}
                Ok(Ok(Ok(Err(error)))) => files.failed(format!("the files can't be completed: {}", chain(&error))),
                _ => files.failed("the files can't be completed: the next start completes them"),
            }
        }
    }

    fn open(&self, capabilities: &Capabilities, flags: &Flags) -> anyhow::Result<(mpsc::Sender<Batch>, Recording)> {
        let directory = flags.parquet.as_deref().context("no directory is given")?;
        let events = capabilities.counters.iter().map(|it| Event::named(&it.name, &it.note));
        let columns = Columns::new(events.collect(), false)?;
        let mut config = ParquetConfig::new(directory);
        crate::NAME.clone_into(&mut config.prefix);
        config.file_bytes = flags.file_size << 20;
        config.file_age = flags.file_age;
        (config.row_group_rows, config.batch_rows) = (ROW_GROUP, ROWS);
        // A file is of whole row groups.
        config.row_group_age = config.row_group_age.min(flags.file_age);
        config.host = flags.node_name.clone().or_else(|| host().ok()).unwrap_or_default();
        config.metadata.push(("node_agent.capabilities".to_owned(), capabilities.to_string()));
        Recording::start(config, columns, Arc::clone(&self.containers.names))
    }

    fn look(&self, state: &State) {
        let Some(now) = self.recording.lock().as_ref().map(Recording::now) else { return };
        let (samples, lost, files) = (now.recorded.samples, now.recorded.lost, now.recorded.files.files);
        state.detail(format!("{samples} samples in {files} complete files and an open one, {lost} lost"));
        match now.error {
            Some(error) => state.failed(error),
            None => state.ok(),
        }
    }
}

/// What is counted, and what is not and why: of equal reasons, one.
fn note(capabilities: &Capabilities) -> String {
    let names: Vec<_> = capabilities.counters.iter().map(|counter| counter.name.as_str()).collect();
    let mut reasons: Vec<(&str, Vec<String>)> = Vec::new();
    for missing in &capabilities.missing {
        let event = missing.event.to_string();
        match reasons.iter_mut().find(|(reason, _)| *reason == missing.reason) {
            Some((_, events)) => events.push(event),
            None => reasons.push((&missing.reason, vec![event])),
        }
    }
    let missing = reasons.into_iter().map(|(reason, events)| format!("; not counted: {}: {reason}", events.join(", ")));
    format!("counted: {}{}", names.join(", "), missing.collect::<String>())
}
