//! A pipeline from a configuration.

use std::sync::Arc;
use std::time::Duration;

use super::PipelineBuilder;
use crate::config::Config;
use crate::object::{Objects, Omitted, Settings};
use crate::route::InvalidPatterns;
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
