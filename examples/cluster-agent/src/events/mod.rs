//! Kubernetes events: counted as series, and sent where a configuration says.

pub(crate) mod export;
pub(crate) mod object;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use clap::Args;
use example_host::checkpoint::{Place, own_namespace};
use example_host::page::{Health, Part};
use example_host::units::count;
use futures::StreamExt;
use futures::channel::mpsc::channel;
use ksm_core::ResourceBuilder;
use kube::Client;
use kube_events::checkpoint::{Checkpoint, ConfigMap, File, Memory};
use kube_events::event::EnhancedEvent;
use kube_events::event_metrics::EventCounts;
use kube_events::object::Omitted;
use kube_events::pipeline::{Phase, Pipeline, PipelineStatus};
use parking_lot::Mutex;
use serde::Serialize;
use tokio::task::JoinHandle;

use self::export::Export;
use self::object::EventCount;
use crate::flags::Switch;

/// What the part is called.
pub(crate) const NAME: &str = "Events";

/// Counts between what is counted and ksm-core.
const QUEUE: usize = 256;

/// How many reasons are shown.
const TOP: usize = 8;

/// The flags about events.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Events")]
pub(crate) struct EventFlags {
    /// Whether events are watched and counted; where they are sent is said by `events.export` of the configuration file
    #[arg(long = "events", value_enum, default_value_t = Switch::On, id = "events")]
    pub(crate) wanted: Switch,
    /// Series of counts at most; what finds no room is counted as `other`
    #[arg(long = "events-series", value_name = "NUMBER", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) series: u32,
    /// Where it is kept how far events were sent, so that a restart misses none: file:PATH, configmap:NAME or
    /// configmap:NAMESPACE/NAME [default: nowhere; what happens while no agent runs is not sent]
    #[arg(long = "events-checkpoint", value_name = "PLACE")]
    pub(crate) checkpoint: Option<Place>,
}

impl EventFlags {
    /// Without sinks there is nothing that a restart could miss: counts begin anew with each agent.
    fn checkpoint(&self, client: &Client, wanted: &Wanted) -> Arc<dyn Checkpoint> {
        match self.checkpoint.as_ref().filter(|_| wanted.export.is_some()) {
            None => Arc::new(Memory::default()),
            Some(Place::File(path)) => Arc::new(File::new(path)),
            Some(Place::ConfigMap { namespace, name }) => {
                let namespace = namespace.clone().or_else(own_namespace).unwrap_or_else(|| "default".to_owned());
                Arc::new(ConfigMap::new(client.clone(), &namespace, name))
            }
        }
    }
}

/// Counts, and a number that changes with them.
#[derive(Debug)]
pub(crate) struct Counted {
    counts: EventCounts,
    version: u64,
    last: Option<Instant>,
}

pub(crate) type Counts = Arc<Mutex<Counted>>;

/// Events on their way to counts and sinks.
pub(crate) struct Events {
    client: Client,
    counts: Counts,
    /// The position, so that a pipeline that takes another's place tells nothing twice and misses nothing.
    checkpoint: Arc<dyn Checkpoint>,
    /// None while it is being replaced.
    running: Arc<Mutex<Running>>,
    feeding: JoinHandle<()>,
}

/// The pipeline that runs, or why none does.
#[derive(Debug, Default)]
struct Running {
    pipeline: Option<Arc<Pipeline>>,
    error: Option<String>,
}

/// What a pipeline is made for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Wanted {
    /// Only these namespaces; all if there are none.
    pub(crate) namespaces: Vec<String>,
    /// Where to send them; nowhere without it.
    pub(crate) export: Option<Export>,
}

impl Events {
    /// Begins to watch and count, and gives the resource that shows the counts. That events can't be had is told by its
    /// part, and stops nobody else.
    pub(crate) async fn start(
        flags: &EventFlags,
        client: Client,
        wanted: &Wanted,
    ) -> (Self, ResourceBuilder<EventCount>) {
        let series = usize::try_from(flags.series).ok().and_then(NonZeroUsize::new).unwrap_or(NonZeroUsize::MIN);
        let counts = Arc::new(Mutex::new(Counted { counts: EventCounts::new(series), version: 0, last: None }));
        let (out, events) = channel(QUEUE);
        let feeding = tokio::spawn(object::feed(counts.clone(), out));
        let stream = events.map(Ok::<_, std::convert::Infallible>);
        let checkpoint = flags.checkpoint(&client, wanted);
        let events = Self { client, counts, checkpoint, running: Arc::default(), feeding };
        events.run(wanted).await;
        (events, object::resource().stream(stream))
    }

    /// Takes the place of what ran before. Counts go on.
    pub(crate) async fn run(&self, wanted: &Wanted) {
        let before = self.running.lock().pipeline.take();
        if let Some(before) = before {
            before.shutdown().await;
        }
        let (pipeline, error) = match self.pipeline(wanted).await {
            Ok(pipeline) => (Some(Arc::new(pipeline)), None),
            Err(error) => {
                tracing::error!("events are not watched: {error:#}");
                (None, Some(format!("{error:#}")))
            }
        };
        *self.running.lock() = Running { pipeline, error };
    }

    async fn pipeline(&self, wanted: &Wanted) -> anyhow::Result<Pipeline> {
        let counts = self.counts.clone();
        let count = move |event: &EnhancedEvent| {
            let mut counted = counts.lock();
            counted.counts.observe(event);
            counted.version += 1;
            counted.last = Some(Instant::now());
        };
        let mut builder = Pipeline::builder(self.client.clone()).on_event(count).checkpoint(self.checkpoint.clone());
        builder = match &wanted.export {
            // Nobody reads what an object is like.
            None => builder.objects(Omitted),
            Some(export) => {
                builder = builder.config(&export.config);
                for receiver in &export.config.receivers {
                    let built = receiver.build().with_context(|| format!("the receiver {:?}", receiver.name))?;
                    builder = builder.receiver_boxed(receiver.name.as_str(), built.sink, built.options);
                }
                builder
            }
        };
        let named = wanted.export.as_ref().is_some_and(|export| !export.config.namespace.is_empty());
        if !named {
            builder = builder.namespaces(wanted.namespaces.iter().cloned());
        }
        Ok(builder.spawn().await?)
    }

    pub(crate) fn told(&self) -> Told {
        Told { counts: self.counts.clone(), running: self.running.clone() }
    }

    /// Delivers what was read, and ends.
    pub(crate) async fn shutdown(&self) {
        let running = self.running.lock().pipeline.take();
        if let Some(running) = running {
            running.shutdown().await;
        }
        self.feeding.abort();
    }
}

/// What is told of events.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    counts: Counts,
    running: Arc<Mutex<Running>>,
}

/// How it goes, as data.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct EventStatus {
    pub(crate) phase: &'static str,
    pub(crate) synced: bool,
    /// Events that came in since the pipeline began.
    pub(crate) events: u64,
    /// Series of counts.
    pub(crate) series: usize,
    /// Occurrences that found no room among them.
    pub(crate) other: u64,
    /// Occurrences in all.
    pub(crate) occurrences: u64,
    pub(crate) gaps: u64,
    pub(crate) last_event_seconds: Option<u64>,
    /// Why events can't be watched.
    pub(crate) error: Option<String>,
    pub(crate) sinks: Vec<SinkRow>,
    /// The most frequent reasons, and how many occurrences each has.
    pub(crate) top: Vec<Frequent>,
}

/// A sink.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct SinkRow {
    pub(crate) name: String,
    pub(crate) delivered: u64,
    pub(crate) queued: u64,
    pub(crate) dropped: u64,
    pub(crate) refused: u64,
    pub(crate) failures: u64,
    /// Why the last attempt failed, while none went well since.
    pub(crate) error: Option<String>,
}

/// A reason of events, over all namespaces.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Frequent {
    #[serde(rename = "type")]
    pub(crate) type_: String,
    pub(crate) reason: String,
    pub(crate) kind: String,
    pub(crate) occurrences: u64,
}

impl Told {
    pub(crate) fn status(&self) -> EventStatus {
        let (pipeline, error) = {
            let running = self.running.lock();
            (running.pipeline.as_ref().map(|pipeline| pipeline.status()), running.error.clone())
        };
        let mut status = pipeline.map(EventStatus::of).unwrap_or_default();
        status.error = error.or(status.error);
        let counted = self.counts.lock();
        let series = counted.counts.series();
        (status.series, status.other) = (series.len(), counted.counts.other());
        status.last_event_seconds = counted.last.map(|last| last.elapsed().as_secs());
        let mut reasons: std::collections::HashMap<(&str, &str, &str), u64> = std::collections::HashMap::new();
        for (key, count) in series {
            status.occurrences += count;
            *reasons.entry((&key.type_, &key.reason, &key.kind)).or_default() += count;
        }
        status.occurrences += status.other;
        let mut reasons: Vec<_> = reasons.into_iter().collect();
        reasons.sort_by(|(one, ones), (other, others)| others.cmp(ones).then(one.cmp(other)));
        let reason = |((type_, reason, kind), occurrences): ((&str, &str, &str), u64)| Frequent {
            type_: type_.to_owned(),
            reason: reason.to_owned(),
            kind: kind.to_owned(),
            occurrences,
        };
        status.top = reasons.into_iter().take(TOP).map(reason).collect();
        status
    }
}

impl EventStatus {
    fn of(status: PipelineStatus) -> Self {
        let phase = match status.phase {
            Phase::Starting => "starting",
            Phase::Standby => "standby",
            Phase::Running => "running",
            Phase::Stopped => "stopped",
        };
        let failure = status.failures.iter().next().map(|(namespace, failure)| match &**namespace {
            "" => failure.clone(),
            namespace => format!("in {namespace}: {failure}"),
        });
        let sinks = status.outlets.iter().map(|(name, outlet)| SinkRow {
            name: name.to_string(),
            delivered: outlet.delivered,
            queued: outlet.queued as u64 + outlet.spilled,
            dropped: outlet.dropped,
            refused: outlet.refused,
            failures: outlet.failures,
            error: outlet.last_error.as_deref().map(str::to_owned),
        });
        Self {
            phase,
            synced: status.synced,
            events: status.events,
            gaps: status.gaps,
            error: status.error.or(failure),
            sinks: sinks.collect(),
            ..Self::default()
        }
    }

    /// How it is, in words.
    pub(crate) fn part(&self) -> Part {
        let part = |health| Part::new(NAME, health).fresh(self.last_event_seconds);
        let detail = match self.sinks.len() {
            0 => format!("{} occurrences counted", count(self.occurrences)),
            sinks => format!("{} occurrences counted, {sinks} sinks", count(self.occurrences)),
        };
        let broken: Vec<String> =
            self.sinks.iter().filter_map(|sink| Some(format!("{}: {}", sink.name, sink.error.as_ref()?))).collect();
        match (&self.error, self.synced) {
            (Some(error), true) => part(Health::Degraded).detail(detail).reason(error),
            (Some(error), false) => part(Health::Failed).reason(error),
            (None, false) => part(Health::Starting),
            (None, true) if !broken.is_empty() => part(Health::Degraded).detail(detail).reason(broken.join("; ")),
            (None, true) => part(Health::Ok).detail(detail),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(synced: bool, error: Option<&str>, sink: Option<&str>) -> EventStatus {
        let sink = SinkRow { name: "hook".to_owned(), error: sink.map(str::to_owned), ..SinkRow::default() };
        EventStatus { synced, error: error.map(str::to_owned), sinks: vec![sink], ..EventStatus::default() }
    }

    #[test]
    fn what_fails_decides_about_health() {
        let health = |synced, error, sink| status(synced, error, sink).part().health;
        assert_eq!(health(true, None, None), Health::Ok);
        assert_eq!(health(false, None, None), Health::Starting);
        assert_eq!(health(false, Some("403"), None), Health::Failed);
        assert_eq!(health(true, Some("500"), None), Health::Degraded);
        assert_eq!(health(true, None, Some("503")), Health::Degraded);
        assert_eq!(status(true, None, Some("503")).part().reason.as_deref(), Some("hook: 503"));
    }
}
