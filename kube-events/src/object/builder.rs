//! How objects are looked up.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;

use super::cache::Objects;
use super::known::Known;

/// How objects are looked up.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Objects in the cache; 1024 by default.
    pub capacity: u64,
    /// How long what was found holds; 1 min by default. An object that is deleted meanwhile is said to be there.
    pub ttl: Duration,
    /// How long it holds that an object is gone; 30 s by default. What is gone does not come back under the same uid:
    /// this bounds what a server that lags behind can make one believe.
    pub negative_ttl: Duration,
    /// How long a failed look-up is not tried again for the same object; 5 s by default.
    pub failure_ttl: Duration,
    /// What a look-up may take, with the wait for its turn; 5 s by default.
    pub deadline: Duration,
    /// Look-ups under way at once; 16 by default.
    pub concurrency: usize,
    /// GETs per second; 20 by default. (`kubeQPS`)
    pub rate: f64,
    /// GETs that may go at once before the rate holds; 200 by default. (`kubeBurst`)
    pub burst: u32,
    /// Annotations that are not kept, as `kubectl.kubernetes.io/last-applied-configuration`; none by default. Annotations
    /// of an object can be 256 KiB: this, and the capacity, bound the cache's memory.
    pub left_out: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            capacity: 1024,
            ttl: Duration::from_mins(1),
            negative_ttl: Duration::from_secs(30),
            failure_ttl: Duration::from_secs(5),
            deadline: Duration::from_secs(5),
            concurrency: 16,
            rate: 20.0,
            burst: 200,
            left_out: Vec::new(),
        }
    }
}

impl Settings {
    /// Times that clocks can add up.
    pub(super) fn bounded(self) -> Self {
        const LONGEST: Duration = Duration::from_hours(24 * 365);
        Self {
            ttl: self.ttl.min(LONGEST),
            negative_ttl: self.negative_ttl.min(LONGEST),
            failure_ttl: self.failure_ttl.min(LONGEST),
            deadline: self.deadline.min(LONGEST),
            ..self
        }
    }
}

/// Makes [`Objects`].
#[must_use]
pub struct ObjectsBuilder {
    client: Client,
    settings: Settings,
    known: Vec<Arc<dyn Known>>,
}

impl fmt::Debug for ObjectsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.known.len();
        f.debug_struct("ObjectsBuilder")
            .field("settings", &self.settings)
            .field("known", &known)
            .finish_non_exhaustive()
    }
}

impl ObjectsBuilder {
    pub(super) fn new(client: Client) -> Self {
        Self { client, settings: Settings::default(), known: Vec::new() }
    }

    /// Other settings than the defaults.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Objects that the host knows already. Those added first are asked first.
    pub fn known(mut self, known: impl Known) -> Self {
        self.known.push(Arc::new(known));
        self
    }

    /// The objects, none of them looked up yet.
    pub fn build(self) -> Objects {
        Objects::new(self.client, self.settings, self.known)
    }
}
