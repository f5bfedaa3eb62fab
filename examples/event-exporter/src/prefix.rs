//! `metricsNamePrefix`: before the names of the exporter's own metrics.

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

/// A recorder that puts a prefix before names, but for those of the process, which every exporter has.
#[derive(Debug)]
pub(crate) struct Prefixed<R> {
    prefix: String,
    recorder: R,
}

impl<R> Prefixed<R> {
    pub(crate) fn new(prefix: &str, recorder: R) -> Self {
        Self { prefix: prefix.to_owned(), recorder }
    }

    fn renamed(&self, name: &str) -> Option<String> {
        let is_own = !self.prefix.is_empty() && !name.starts_with("process_");
        is_own.then(|| format!("{}{name}", self.prefix))
    }

    fn name(&self, name: KeyName) -> KeyName {
        self.renamed(name.as_str()).map_or(name, KeyName::from)
    }

    fn with_key<T>(&self, key: &Key, register: impl FnOnce(&R, &Key) -> T) -> T {
        match self.renamed(key.name()) {
            None => register(&self.recorder, key),
            Some(name) => register(&self.recorder, &Key::from_parts(name, key.labels().cloned().collect::<Vec<_>>())),
        }
    }
}

impl<R: Recorder> Recorder for Prefixed<R> {
    fn describe_counter(&self, name: KeyName, unit: Option<Unit>, description: SharedString) {
        self.recorder.describe_counter(self.name(name), unit, description);
    }

    fn describe_gauge(&self, name: KeyName, unit: Option<Unit>, description: SharedString) {
        self.recorder.describe_gauge(self.name(name), unit, description);
    }

    fn describe_histogram(&self, name: KeyName, unit: Option<Unit>, description: SharedString) {
        self.recorder.describe_histogram(self.name(name), unit, description);
    }

    fn register_counter(&self, key: &Key, metadata: &Metadata<'_>) -> Counter {
        self.with_key(key, |recorder, key| recorder.register_counter(key, metadata))
    }

    fn register_gauge(&self, key: &Key, metadata: &Metadata<'_>) -> Gauge {
        self.with_key(key, |recorder, key| recorder.register_gauge(key, metadata))
    }

    fn register_histogram(&self, key: &Key, metadata: &Metadata<'_>) -> Histogram {
        self.with_key(key, |recorder, key| recorder.register_histogram(key, metadata))
    }
}
