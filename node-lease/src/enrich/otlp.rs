//! Resources of OTLP messages (feature `otlp`).

use std::borrow::Cow;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::ResourceLogs;
use opentelemetry_proto::tonic::metrics::v1::ResourceMetrics;
use opentelemetry_proto::tonic::resource::v1::Resource;

use super::{Attributes, Enriched, Enricher};

impl Attributes for Resource {
    fn get(&self, key: &str) -> Option<Cow<'_, str>> {
        let found = self.attributes.iter().find(|attribute| attribute.key == key)?;
        match found.value.as_ref()?.value.as_ref()? {
            Value::StringValue(text) => Some(text.into()),
            _ => None,
        }
    }

    fn set(&mut self, key: &'static str, value: &str) {
        if let Some(found) = self.attributes.iter_mut().find(|attribute| attribute.key == key) {
            // What is there often is the same already, or has room.
            if let Some(AnyValue { value: Some(Value::StringValue(text)) }) = &mut found.value {
                value.clone_into(text);
            } else {
                found.value = Some(text(value));
            }
            return;
        }
        self.attributes.push(KeyValue { key: key.to_owned(), value: Some(text(value)), ..KeyValue::default() });
    }

    fn reserve(&mut self, additional: usize) {
        self.attributes.reserve(additional);
    }

    fn remove(&mut self, key: &str) {
        self.attributes.retain(|attribute| attribute.key != key);
    }

    fn has(&self, key: &str) -> bool {
        self.attributes.iter().any(|attribute| attribute.key == key)
    }
}

fn text(value: &str) -> AnyValue {
    AnyValue { value: Some(Value::StringValue(value.to_owned())) }
}

impl Enricher {
    /// Enriches the resources of a batch of metrics; how many got their node's metadata.
    pub fn enrich_metrics(&self, batch: &mut [ResourceMetrics]) -> usize {
        self.enrich_all(batch.iter_mut().map(|metrics| metrics.resource.as_mut()))
    }

    /// Enriches the resources of a batch of logs; how many got their node's metadata.
    pub fn enrich_logs(&self, batch: &mut [ResourceLogs]) -> usize {
        self.enrich_all(batch.iter_mut().map(|logs| logs.resource.as_mut()))
    }

    fn enrich_all<'r>(&self, resources: impl Iterator<Item = Option<&'r mut Resource>>) -> usize {
        resources.flatten().map(|resource| self.enrich(resource)).filter(|outcome| *outcome == Enriched::Hit).count()
    }
}
