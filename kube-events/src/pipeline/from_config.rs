//! A pipeline from a configuration.

use std::sync::Arc;
use std::time::Duration;

use super::PipelineBuilder;
use crate::config::{Config, Delivery, OnFull};
use crate::object::{Objects, Omitted, Settings};
use crate::route::InvalidPatterns;
use crate::sink::{OutletOptions, OverflowPolicy, SpillOptions};
use crate::source::SourceOptions;

impl PipelineBuilder {
    /// What a configuration says of the cluster, the namespace, ages, look-ups and routes. Its receivers are still to be
    /// [added](Self::receiver), under the names that it gives them, and so are
    /// [the election](Self::election) and the checkpoint: where these are is up to the host.
    pub fn config(mut self, config: &Config) -> Self {
        let max_age = Duration::from_secs(config.max_event_age_seconds);
        let namespaces = Some(config.namespace.as_str()).filter(|name| !name.is_empty());
        let settings = Settings {
            capacity: u64::try_from(config.cache_size).unwrap_or(u64::MAX),
            rate: f64::from(config.kube_qps),
            burst: config.kube_burst,
            ..Settings::default()
        };
        self.objects = Some(if config.omit_lookup {
            Arc::new(Omitted)
        } else {
            Arc::new(Objects::builder(self.client().clone()).settings(settings).build())
        });
        // A strict reader has refused patterns that are none.
        self.invalid_patterns = InvalidPatterns::NeverHit;
        self.cluster_name(config.cluster_name.as_str())
            .namespaces(namespaces)
            .source_options(SourceOptions { max_age: Some(max_age), ..SourceOptions::default() })
            .route(config.route.clone())
    }
}

/// How an outlet treats its sink, by what a receiver's `delivery` says; the rest as by default.
pub fn outlet_options(delivery: &Delivery) -> OutletOptions {
    let mut options = OutletOptions {
        policy: match delivery.on_full {
            OnFull::DropOldest => OverflowPolicy::DropOldest,
            OnFull::DropNewest => OverflowPolicy::DropNewest,
        },
        ..OutletOptions::default()
    };
    let (batch, retry) = (&mut options.batch, &mut options.retry);
    options.queue = delivery.queue_events.map_or(options.queue, Into::into);
    batch.events = delivery.batch_events.map_or(batch.events, Into::into);
    batch.bytes = delivery.batch_bytes.map_or(batch.bytes, Into::into);
    batch.age = delivery.batch_wait.unwrap_or(batch.age);
    retry.first = delivery.retry_backoff.unwrap_or(retry.first);
    retry.longest = delivery.retry_max_backoff.unwrap_or(retry.longest);
    retry.timeout = delivery.timeout.unwrap_or(retry.timeout);
    retry.give_up_after = delivery.retry_for;
    options.spill = delivery.spill_path.as_ref().map(|path| {
        let spill = SpillOptions::new(path);
        SpillOptions { max_bytes: delivery.spill_bytes.unwrap_or(spill.max_bytes), ..spill }
    });
    options
}
