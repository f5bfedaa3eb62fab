//! What a pipeline is made of.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;

use super::enrich::Enricher;
use super::options::{ElectionOptions, PipelineOptions};
use super::run::{Parts, Receiver};
use super::{Pipeline, PipelineError};
use crate::checkpoint::{Checkpoint, EventsApi};
use crate::clock::{Clock, WallClock};
use crate::event::EnhancedEvent;
use crate::leader::Candidate;
use crate::object::{ObjectSource, Objects};
use crate::route::{InvalidPatterns, Route, Router, Rule};
use crate::sink::{OutletOptions, Sink};
use crate::source::{EventSource, Gap, Resume, SourceOptions};

pub(super) type Tap = Arc<dyn Fn(&EnhancedEvent) + Send + Sync>;
pub(super) type GapTap = Arc<dyn Fn(&Gap) + Send + Sync>;
pub(super) type Sources = Arc<dyn Fn(Resume) -> EventSource + Send + Sync>;

/// Makes a [`Pipeline`].
#[must_use]
pub struct PipelineBuilder {
    client: Client,
    api: EventsApi,
    namespaces: Vec<String>,
    source_options: SourceOptions,
    source: Option<Sources>,
    pub(super) objects: Option<Arc<dyn ObjectSource>>,
    cluster_name: Arc<str>,
    route: Option<Route>,
    pub(super) invalid_patterns: InvalidPatterns,
    receivers: Vec<Receiver>,
    checkpoint: Option<Arc<dyn Checkpoint>>,
    election: Option<ElectionOptions>,
    options: PipelineOptions,
    on_event: Option<Tap>,
    on_gap: Option<GapTap>,
    clock: WallClock,
}

impl fmt::Debug for PipelineBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let receivers: Vec<&str> = self.receivers.iter().map(|receiver| receiver.name.as_ref()).collect();
        f.debug_struct("PipelineBuilder")
            .field("cluster_name", &self.cluster_name)
            .field("namespaces", &self.namespaces)
            .field("receivers", &receivers)
            .field("election", &self.election)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl PipelineBuilder {
    pub(super) fn new(client: Client) -> Self {
        Self {
            client,
            api: EventsApi::default(),
            namespaces: Vec::new(),
            source_options: SourceOptions::default(),
            source: None,
            objects: None,
            cluster_name: Arc::default(),
            route: None,
            invalid_patterns: InvalidPatterns::Refuse,
            receivers: Vec::new(),
            checkpoint: None,
            election: None,
            options: PipelineOptions::default(),
            on_event: None,
            on_gap: None,
            clock: WallClock::default(),
        }
    }

    #[cfg(feature = "config")]
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// The name that events say their cluster has; none by default.
    pub fn cluster_name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.cluster_name = name.into();
        self
    }

    /// The API that events are read through; `v1` by default.
    pub fn api(mut self, api: EventsApi) -> Self {
        self.api = api;
        self
    }

    /// Only events in these namespaces; all by default.
    pub fn namespaces(mut self, namespaces: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.namespaces = namespaces.into_iter().map(Into::into).collect();
        self
    }

    /// How events are read.
    pub fn source_options(mut self, options: SourceOptions) -> Self {
        self.source_options = options;
        self
    }

    /// Another source than a watch through the client: of a watch that the host has, for instance
    /// ([`EventSource::from_stream`]). It is called whenever the pipeline begins to read, with the position that it goes
    /// on from.
    pub fn source(mut self, source: impl Fn(Resume) -> EventSource + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// Where objects are looked up; [`Objects`] through the client by default. [`Omitted`](crate::object::Omitted) looks
    /// nothing up.
    pub fn objects(mut self, objects: impl ObjectSource) -> Self {
        self.objects = Some(Arc::new(objects));
        self
    }

    /// Which events go to which receivers; all to all by default.
    pub fn route(mut self, route: Route) -> Self {
        self.route = Some(route);
        self
    }

    /// A receiver, by the name that routes send to.
    pub fn receiver(self, name: impl Into<Arc<str>>, sink: impl Sink, options: OutletOptions) -> Self {
        self.receiver_boxed(name, Arc::new(sink), options)
    }

    /// The same, of a sink that is shared or chosen at run time.
    pub fn receiver_boxed(mut self, name: impl Into<Arc<str>>, sink: Arc<dyn Sink>, options: OutletOptions) -> Self {
        self.receivers.push(Receiver { name: name.into(), sink, options });
        self
    }

    /// Where positions are kept; nowhere by default: then what happens between two runs is missed.
    pub fn checkpoint(mut self, checkpoint: impl Checkpoint) -> Self {
        self.checkpoint = Some(Arc::new(checkpoint));
        self
    }

    /// Of several, one runs: whoever holds a Lease. They need a checkpoint that they share, as
    /// [`ConfigMap`](crate::checkpoint::ConfigMap). One that shuts down hands over without repetitions. One that is cut
    /// off ceases after 10 s; its last position may be 5 s older: the next one repeats 15 s of events at most.
    pub fn election(mut self, election: ElectionOptions) -> Self {
        self.election = Some(election);
        self
    }

    /// How it runs.
    pub fn options(mut self, options: PipelineOptions) -> Self {
        self.options = options;
        self
    }

    /// Is called with each event when it goes to its receivers, whether it has any or not: for a live page. It must not
    /// take long.
    pub fn on_event(mut self, tap: impl Fn(&EnhancedEvent) + Send + Sync + 'static) -> Self {
        self.on_event = Some(Arc::new(tap));
        self
    }

    /// Is called when events may have been missed.
    pub fn on_gap(mut self, tap: impl Fn(&Gap) + Send + Sync + 'static) -> Self {
        self.on_gap = Some(Arc::new(tap));
        self
    }

    /// Another clock than the system's, to measure ages by.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = WallClock(Arc::new(clock));
        self
    }

    /// Checks all of it, and begins, on the runtime that this is called in.
    pub async fn spawn(self) -> Result<Pipeline, PipelineError> {
        let mut names = BTreeSet::new();
        for receiver in &self.receivers {
            if !names.insert(Arc::clone(&receiver.name)) {
                return Err(PipelineError::SameName(receiver.name.to_string()));
            }
        }
        let names: Vec<&str> = self.receivers.iter().map(|receiver| receiver.name.as_ref()).collect();
        let route = self.route.unwrap_or_else(|| to_all(&names));
        let router = Router::compile_with(&route, &names, self.invalid_patterns)?;
        let candidate = match &self.election {
            None => None,
            Some(ElectionOptions { namespace, lease, identity, timing }) => Some(Candidate::spawn_with(
                self.client.clone(),
                namespace,
                lease,
                identity,
                *timing,
                self.clock.closure(),
            )?),
        };
        let objects = self.objects.unwrap_or_else(|| Arc::new(Objects::builder(self.client.clone()).build()));
        let enricher = Enricher {
            objects,
            cluster_name: self.cluster_name,
            namespaces: asks_for_namespaces(&route),
            owners: self.options.owners,
            // A time that clocks can add up.
            deadline: self.options.look_up_deadline.min(Duration::from_hours(24)),
        };
        let source = self.source.unwrap_or_else(|| {
            let (client, api, namespaces) = (self.client, self.api, self.namespaces);
            let (options, clock) = (self.source_options, self.clock.clone());
            Arc::new(move |resume| {
                EventSource::builder(client.clone())
                    .api(api)
                    .namespaces(namespaces.iter().cloned())
                    .options(options.clone())
                    .resume(resume)
                    .clock(clock.closure())
                    .spawn()
            })
        });
        let parts = Parts {
            source,
            enricher: Arc::new(enricher),
            router,
            receivers: self.receivers,
            checkpoint: self.checkpoint,
            candidate,
            options: self.options,
            on_event: self.on_event,
            on_gap: self.on_gap,
            clock: self.clock,
        };
        Pipeline::begin(parts).await
    }
}

fn to_all(names: &[&str]) -> Route {
    let rule = |name: &&str| Rule { receiver: (*name).to_owned(), ..Rule::default() };
    Route { match_: names.iter().map(rule).collect(), ..Route::default() }
}

fn asks_for_namespaces(route: &Route) -> bool {
    route.drop.iter().chain(&route.match_).any(|rule| !rule.namespace_labels.is_empty())
        || route.routes.iter().any(asks_for_namespaces)
}
