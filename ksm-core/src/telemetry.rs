//! How resources are doing, as metrics of the host's own exporter.

use crate::engine::ResourceStatus;

/// Sets gauges of the `metrics` facade from [`Ksm::status`](crate::Ksm::status), with the labels `resource` and
/// `namespace` (empty where all are watched at once). Call it before the host's exporter renders, or every few seconds.
///
/// | gauge | says |
/// |---|---|
/// | `ksm_core_objects`, `ksm_core_samples`, `ksm_core_store_bytes` | the store's content, and its memory in bytes |
/// | `ksm_core_synced` | 1 once a list was complete |
/// | `ksm_core_failing` | 1 while the last request failed |
/// | `ksm_core_last_event_age_seconds` | since the last event; a quiet resource grows old too |
/// | `ksm_core_last_list_age_seconds` | since the last complete list |
pub fn record(statuses: &[ResourceStatus]) {
    for status in statuses {
        let gauge = |name: &'static str, value: f64| {
            let namespace = status.namespace.clone().unwrap_or_default();
            metrics::gauge!(name, "resource" => status.resource.clone(), "namespace" => namespace).set(value);
        };
        let flag = |on: bool| f64::from(u8::from(on));
        gauge("ksm_core_synced", flag(status.synced_for.is_some()));
        gauge("ksm_core_failing", flag(status.failing));
        if let Some(store) = &status.store {
            gauge("ksm_core_objects", store.objects as f64);
            gauge("ksm_core_samples", store.samples as f64);
            gauge("ksm_core_store_bytes", store.bytes as f64);
        }
        if let Some(age) = status.last_event {
            gauge("ksm_core_last_event_age_seconds", age.as_secs_f64());
        }
        if let Some(age) = status.last_list {
            gauge("ksm_core_last_list_age_seconds", age.as_secs_f64());
        }
    }
}
