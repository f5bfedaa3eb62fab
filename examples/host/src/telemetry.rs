//! The metrics of the program itself, in Prometheus text.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use ksm_core::Ksm;
use metrics::Recorder;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use metrics_process::Collector;

/// What histograms hold is moved to their buckets this often, so that it does not pile up unread.
const UPKEEP: Duration = Duration::from_secs(5);

/// Upper bounds in seconds: from an empty cluster on loopback to a large one over a slow line.
const SECONDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// Where the program's own metrics are read.
#[derive(Clone)]
pub struct Telemetry {
    handle: PrometheusHandle,
    process: Collector,
    more: Option<fn(&Ksm) -> String>,
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry").finish_non_exhaustive()
    }
}

impl Telemetry {
    /// Records all metrics of the process from now on, through `wrap`, which may see or rename them.
    pub fn install<R: Recorder + Sync + 'static>(wrap: impl FnOnce(PrometheusRecorder) -> R) -> anyhow::Result<Self> {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("duration_seconds".to_owned()), &SECONDS)?
            .build_recorder();
        let handle = recorder.handle();
        metrics::set_global_recorder(wrap(recorder)).ok().context("another recorder of metrics is installed")?;
        let process = Collector::default();
        process.describe();
        let upkeep = handle.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(UPKEEP).await;
                upkeep.run_upkeep();
            }
        });
        Ok(Self { handle, process, more: None })
    }

    /// Adds families as text, which no recorder has.
    pub fn and(self, more: fn(&Ksm) -> String) -> Self {
        Self { more: Some(more), ..self }
    }

    /// All metrics as they are now.
    pub fn render(&self, ksm: &Arc<Ksm>) -> String {
        ksm_core::telemetry::record(&ksm.status());
        let mut text = self.render_recorded();
        if let Some(more) = self.more {
            text.push_str(&more(ksm));
        }
        text
    }

    /// What was recorded so far, and the process: for a host without a [`Ksm`].
    pub fn render_recorded(&self) -> String {
        self.process.collect();
        self.handle.render()
    }
}
