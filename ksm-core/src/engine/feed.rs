//! Events → store, hooks and state.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use kube::runtime::watcher;
use parking_lot::RwLock;
use serde::Deserialize;

use super::hooks::{Change, ExtraLabels};
use super::joining::{Joiner, Scratch};
use super::ownership::{Claim, Ownership};
use super::plan::{Enabled, Plan};
use super::state::{Batch, State};
use crate::decode::Head;
use crate::store::{Applied, ObjectKey, Store, StoredObject};
use crate::telemetry;
use crate::watch::{EventSink, Part, Request, WatchError};

/// Takes the events of one resource in one scope.
pub(super) struct Feed<K> {
    pub(super) plan: Arc<Plan<K>>,
    pub(super) enabled: Arc<RwLock<Arc<Enabled>>>,
    pub(super) store: Arc<dyn Store>,
    pub(super) state: Arc<State>,
    /// Walk every object of the next list, changed or not: what is on has changed.
    pub(super) walk_all: Arc<AtomicBool>,
    pub(super) joiner: Option<Arc<Joiner>>,
    pub(super) scratch: Scratch,
    /// Where sharding is on.
    pub(super) ownership: Option<Ownership>,
    /// What came in since the last flush.
    pub(super) batch: Batch,
}

impl<K: kube::Resource + Send + Sync> Feed<K> {
    fn put(&mut self, object: &K) {
        let meta = object.meta();
        let Some(key) = ObjectKey::of(meta) else {
            self.batch.events += 1;
            return self.skip("it has neither uid nor name");
        };
        match self.ownership.as_mut().map_or(Claim::Ours, |ownership| ownership.claim(key, meta)) {
            Claim::Ours => self.batch.events += 1,
            Claim::Left => {
                self.batch.events += 1;
                return self.let_go(key);
            }
            Claim::Foreign => {
                self.batch.foreign += 1;
                return;
            }
        }
        let version = meta.resource_version.as_deref().filter(|_| !self.walk_all.load(Ordering::Relaxed));
        let enabled = self.enabled.read().clone();
        let (plan, joiner, scratch) = (&*self.plan, self.joiner.as_deref(), &mut self.scratch);
        let generating = &mut self.batch.generating;
        let applied = no_panic(|| {
            self.store.apply(&StoredObject { key, version }, &mut |sink| {
                // Some 50 ns for the two looks at the clock, where a walk takes microseconds.
                let begin = Instant::now();
                let mut extra = ExtraLabels::default();
                for enrich in &plan.enrich {
                    enrich(object, &mut extra);
                }
                if let Some(joiner) = joiner {
                    joiner.walk((key, object), (plan, &enabled), extra.into_labels(), scratch, sink);
                } else {
                    plan.walk(object, &enabled, sink);
                    if !extra.is_empty() {
                        sink.extra_labels(&extra.as_labels());
                    }
                }
                *generating += begin.elapsed();
            })
        });
        if let Some(joiner) = joiner {
            joiner.settle(scratch);
        }
        match applied {
            Some(Applied::Added) => self.tell(&Change::Added(object)),
            Some(Applied::Updated) => self.tell(&Change::Updated(object)),
            Some(Applied::Unchanged) => {}
            None => {
                // Its former state is wrong now: better none than that.
                self.forget(key);
                self.store.delete(key);
                self.leave_joins(key);
                self.panicked();
            }
        }
    }

    fn leave_joins(&mut self, key: ObjectKey) {
        if let Some(joiner) = &self.joiner {
            joiner.remove(key, &mut self.scratch);
        }
    }

    /// An object is another shard's now.
    fn let_go(&mut self, key: ObjectKey) {
        if self.store.delete(key) {
            self.leave_joins(key);
            self.tell(&Change::Moved(key));
        }
    }

    fn forget(&mut self, key: ObjectKey) {
        if let Some(ownership) = &mut self.ownership {
            ownership.forget(key);
        }
    }

    fn tell(&self, change: &Change<'_, K>) {
        for hook in &self.plan.on_change {
            if no_panic(|| hook(change)).is_none() {
                self.panicked();
            }
        }
    }

    fn panicked(&self) {
        metrics::counter!("ksm_core_panics_total", "resource" => self.plan.resource.clone()).increment(1);
        self.skip("a walk or a hook panicked over it");
    }

    fn skip(&self, why: &str) {
        self.state.skipped.fetch_add(1, Ordering::Relaxed);
        metrics::counter!("ksm_core_objects_skipped_total", "resource" => self.plan.resource.clone()).increment(1);
        tracing::warn!(resource = self.plan.resource, why, "object skipped");
    }

    fn begin_relist(&mut self) {
        if let Some(ownership) = &mut self.ownership {
            ownership.list_begins();
        }
        self.store.begin_relist();
    }

    fn finish_relist(&mut self) {
        for removed in self.store.finish_relist() {
            self.leave_joins(removed.key);
            self.tell(&Change::Vanished(&removed));
        }
        if let Some(ownership) = &mut self.ownership {
            ownership.list_ends();
        }
    }

    /// One event of a stream that the host gave.
    pub(super) fn event(&mut self, event: watcher::Event<K>) {
        match event {
            watcher::Event::Init => self.init(),
            watcher::Event::InitApply(object) => self.init_apply(object),
            watcher::Event::InitDone => self.init_done(),
            watcher::Event::Apply(object) => self.apply(object),
            watcher::Event::Delete(object) => self.delete(object),
        }
    }

    /// A failure of a stream that the host gave.
    pub(super) fn stream_failed(&self, message: String) {
        tracing::warn!(resource = self.plan.resource, error = message, "stream failed");
        self.state.failed(message);
    }
}

/// Runs code of the host's, whose panic must not cost more than the object that it was about.
fn no_panic<T>(code: impl FnOnce() -> T) -> Option<T> {
    std::panic::catch_unwind(AssertUnwindSafe(code)).ok()
}

/// What is needed of an object that can't be read, to count it as absent.
#[derive(Deserialize)]
struct Identified {
    #[serde(default)]
    metadata: Identity,
}

#[derive(Deserialize, Default)]
struct Identity {
    uid: Option<String>,
    name: Option<String>,
    namespace: Option<String>,
}

impl<K: kube::Resource + Send + Sync> EventSink<K> for Feed<K> {
    fn init(&mut self) {
        self.flush();
        self.batch.of_list = true;
        self.state.listing.store(0, Ordering::Relaxed);
        self.begin_relist();
    }

    fn init_apply(&mut self, object: K) {
        self.put(&object);
        self.state.listing.fetch_add(1, Ordering::Relaxed);
    }

    fn init_done(&mut self) {
        self.walk_all.store(false, Ordering::Relaxed);
        self.finish_relist();
        self.flush();
        self.batch.of_list = false;
        self.state.listed();
    }

    fn apply(&mut self, object: K) {
        self.put(&object);
    }

    fn delete(&mut self, object: K) {
        let meta = object.meta();
        let Some(key) = ObjectKey::of(meta) else {
            self.batch.events += 1;
            return self.skip("it was deleted, and has neither uid nor name");
        };
        if self.ownership.as_mut().is_some_and(|ownership| ownership.deleted(key, meta)) {
            self.batch.foreign += 1;
            return;
        }
        self.batch.events += 1;
        if self.store.delete(key) {
            self.leave_joins(key);
            self.tell(&Change::Deleted(&object));
        }
    }

    fn undecodable(&mut self, text: &str, error: &serde_json::Error) {
        self.batch.events += 1;
        let identity = serde_json::from_str::<Identified>(text).map(|object| object.metadata).unwrap_or_default();
        let namespace = identity.namespace.unwrap_or_default();
        let name = identity.name.unwrap_or_default();
        // Its former state is wrong now: better none than that.
        if let Some(uid) = identity.uid {
            let key = ObjectKey::from_uid(&uid);
            self.forget(key);
            self.store.delete(key);
            self.leave_joins(key);
        }
        self.skip(&format!("{namespace}/{name} can't be read: {error}"));
    }

    fn failed(&mut self, error: &WatchError) {
        telemetry::count_request(&self.plan.resource, error.request(), telemetry::RequestResult::Error);
        tracing::warn!(resource = self.plan.resource, %error, "will be tried again");
        self.state.failed(error.to_string());
    }

    fn answered(&mut self, request: Request) {
        self.state.answered(request);
    }

    fn completed(&mut self, request: Request) {
        telemetry::count_request(&self.plan.resource, request, telemetry::RequestResult::Success);
        self.state.completed(request);
    }

    fn limited(&mut self, listed: u64, left_out: Option<u64>) {
        let resource = &self.plan.resource;
        metrics::gauge!("ksm_core_list_objects", "resource" => resource.clone()).set(listed as f64);
        if left_out != Some(0) {
            metrics::counter!("ksm_core_lists_cut_total", "resource" => resource.clone()).increment(1);
            tracing::warn!(
                resource,
                listed,
                left_out,
                "the list was cut by the object limit: raise it, or leave it out"
            );
        }
    }

    fn resolved(&mut self, api_version: Option<&str>) {
        let resource = &self.plan.resource;
        match api_version {
            Some(version) => tracing::info!(resource, version, "watched in the version that the cluster serves"),
            None if self.state.is_served() => tracing::info!(resource, "not served by this cluster: asked for again"),
            None => {}
        }
        self.state.resolved(api_version);
        if api_version.is_none() {
            // What nobody serves has no objects.
            self.begin_relist();
            self.finish_relist();
            self.store.publish();
        }
    }

    fn flush(&mut self) {
        let batch = self.batch.take();
        let resource = || self.plan.resource.clone();
        if batch.foreign > 0 {
            metrics::counter!("ksm_core_objects_not_owned_total", "resource" => resource()).increment(batch.foreign);
        }
        if batch.events > 0 {
            metrics::counter!("ksm_core_events_total", "resource" => resource()).increment(batch.events);
        }
        if batch.events + batch.foreign > 0 {
            self.state.saw_events(&batch);
        }
        if batch.events > 0 {
            self.store.publish();
        }
        if let Some(joiner) = &self.joiner {
            joiner.publish(&mut self.scratch);
        }
    }

    fn part_changes(&self) -> Option<tokio::sync::watch::Receiver<u64>> {
        self.ownership.as_ref().map(Ownership::orders)
    }

    fn part(&mut self) -> Part {
        let Some(ownership) = &mut self.ownership else { return Part::default() };
        let leaving = ownership.obey();
        if !leaving.is_empty() {
            for key in leaving {
                self.let_go(key);
            }
            self.store.publish();
        }
        let Some(ownership) = &mut self.ownership else { return Part::default() };
        ownership.report();
        ownership.part()
    }

    fn admits(&mut self, head: &Head<'_>) -> bool {
        let admitted = self.ownership.as_mut().is_none_or(|ownership| ownership.admits(head));
        self.batch.foreign += u64::from(!admitted);
        admitted
    }

    fn misses(&mut self, head: &Head<'_>) -> bool {
        self.ownership.as_ref().is_some_and(|ownership| ownership.misses(head))
    }

    fn found(&mut self, object: K) {
        let Some(key) = ObjectKey::of(object.meta()) else {
            return self.skip("it has neither uid nor name");
        };
        if self.ownership.as_ref().is_some_and(|ownership| ownership.misses_object(key, object.meta())) {
            self.put(&object);
        }
    }

    fn missing_failed(&mut self, error: &WatchError) {
        telemetry::count_request(&self.plan.resource, error.request(), telemetry::RequestResult::Error);
        tracing::warn!(resource = self.plan.resource, %error, "what a resharding brings will be listed again");
        self.state.failed_beside(error.to_string());
    }

    fn found_all(&mut self, number: u64) {
        self.flush();
        if let Some(ownership) = &mut self.ownership {
            ownership.found_all(number);
        }
    }
}
