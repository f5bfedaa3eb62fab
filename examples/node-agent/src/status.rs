//! How everything is, as data: `/status.json`, the metrics, and what the page is made from.

use std::sync::Arc;
use std::time::Instant;

use cgroup_perf::output::openmetrics::Format;
use example_host::config::{Configuration, ConfigurationStatus};
use example_host::page::{Health, Part};
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::watch;

use crate::containers::Containers;
use crate::kubelet::Kubelet;
use crate::parts::State;
use crate::perf::{Counting, Talker, ratio};
use crate::text::Text;

/// Rows of the page.
const TOP: usize = 10;

/// Where statuses come from.
#[derive(Clone)]
pub(crate) struct Watched {
    pub(crate) simulated: bool,
    pub(crate) node: Arc<str>,
    pub(crate) since: Instant,
    /// Those that are on, and those that are off.
    pub(crate) parts: Vec<Arc<State>>,
    pub(crate) configuration: Configuration,
    pub(crate) containers: watch::Receiver<Option<Arc<Containers>>>,
    pub(crate) counting: Arc<Counting>,
    pub(crate) recording: Arc<Mutex<Option<example_host::recording::Recording>>>,
    pub(crate) kubelet: Arc<Kubelet>,
}

/// Everything at one moment.
#[derive(Debug, Serialize)]
pub(crate) struct Status {
    /// Whether the node is simulated.
    pub(crate) simulated: bool,
    pub(crate) node: String,
    pub(crate) uptime_seconds: u64,
    pub(crate) parts: Vec<Part>,
    /// The file of `--config`.
    pub(crate) configuration: ConfigurationStatus,
    /// Containers that run, and those of them whose names are known.
    pub(crate) containers: usize,
    pub(crate) named: usize,
    /// What is counted has cycles and instructions, and misses of the last cache.
    pub(crate) has_cpi: bool,
    pub(crate) has_misses: bool,
    /// All containers together.
    pub(crate) cores: f64,
    pub(crate) switches_per_second: f64,
    pub(crate) cycles_per_instruction: Option<f64>,
    /// Samples that went to files.
    pub(crate) samples: Option<u64>,
    pub(crate) lost: Option<u64>,
    /// What the kubelet says.
    pub(crate) pods: Option<usize>,
    pub(crate) memory_bytes: Option<u64>,
    pub(crate) top_cpu: Vec<Row>,
    pub(crate) top_cpi: Vec<Row>,
    pub(crate) top_misses: Vec<Row>,
}

/// A container.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    pub(crate) namespace: String,
    pub(crate) pod: String,
    pub(crate) container: String,
    pub(crate) container_id: String,
    pub(crate) cores: f64,
    pub(crate) switches_per_second: f64,
    pub(crate) cycles_per_instruction: Option<f64>,
    pub(crate) misses_per_kilo_instruction: Option<f64>,
}

impl Row {
    fn of(talker: &Talker) -> Self {
        let labels = &talker.labels;
        Self {
            namespace: labels.namespace.clone(),
            pod: labels.pod.clone(),
            container: labels.container.clone(),
            container_id: labels.container_id.clone(),
            cores: talker.cores,
            switches_per_second: talker.switches,
            cycles_per_instruction: talker.cpi(),
            misses_per_kilo_instruction: talker.mpki(),
        }
    }

    /// Its name, or what else tells it apart.
    pub(crate) fn name(&self) -> String {
        let container = if self.container.is_empty() {
            self.container_id.get(..12).unwrap_or(&self.container_id)
        } else {
            &self.container
        };
        if self.pod.is_empty() { container.to_owned() } else { format!("{}/{container}", self.pod) }
    }
}

/// The first of them by a figure.
fn top(talkers: &[Talker], figure: impl Fn(&Talker) -> Option<f64>) -> Vec<Row> {
    let mut ranked: Vec<_> = talkers.iter().filter_map(|talker| Some((figure(talker)?, talker))).collect();
    ranked.sort_by(|one, other| other.0.total_cmp(&one.0));
    ranked.iter().take(TOP).map(|(_, talker)| Row::of(talker)).collect()
}

impl Watched {
    fn known(&self) -> Option<Arc<Containers>> {
        self.containers.borrow().clone()
    }

    pub(crate) fn parts(&self) -> Vec<Part> {
        self.parts.iter().map(|state| state.part()).collect()
    }

    /// The same with the file, where there is one.
    pub(crate) fn all_parts(&self) -> Vec<Part> {
        let file = self.configuration.status().part("configuration");
        let file = (file.health != Health::Absent).then_some(file);
        self.parts().into_iter().chain(file).collect()
    }

    pub(crate) fn status(&self) -> Status {
        let living = self.known().map(|known| known.living()).unwrap_or_default();
        let talkers = self.counting.talkers();
        let sum = |figure: fn(&Talker) -> Option<u64>| talkers.iter().filter_map(figure).reduce(u64::saturating_add);
        let recorded = self.recording.lock().as_ref().map(|recording| recording.now().recorded);
        let summary = self.kubelet.summary();
        Status {
            simulated: self.simulated,
            node: self.node.to_string(),
            uptime_seconds: self.since.elapsed().as_secs(),
            parts: self.parts(),
            configuration: self.configuration.status(),
            containers: living.len(),
            named: living.iter().filter(|container| container.name().is_some()).count(),
            has_cpi: self.counting.has("cycles") && self.counting.has("instructions"),
            has_misses: self.counting.has("llc-misses") && self.counting.has("instructions"),
            cores: talkers.iter().map(|talker| talker.cores).sum(),
            switches_per_second: talkers.iter().map(|talker| talker.switches).sum(),
            cycles_per_instruction: ratio(sum(|it| it.cycles), sum(|it| it.instructions)),
            samples: recorded.map(|recorded| recorded.samples),
            lost: recorded.map(|recorded| recorded.lost),
            pods: summary.as_ref().map(|summary| summary.pods.len()),
            memory_bytes: summary.as_ref().and_then(|summary| summary.node.memory.working_set_bytes.get()),
            top_cpu: top(&talkers, |talker| Some(talker.cores)),
            top_cpi: top(&talkers, Talker::cpi),
            top_misses: top(&talkers, Talker::mpki),
        }
    }

    /// Everything that is scraped.
    pub(crate) fn metrics(&self, format: Format) -> String {
        let mut text = Text::new(format);
        let head =
            ("node_agent_part_up", "gauge", "1 where a part of the agent does what it should, if not all of it.");
        // What is switched off is no part that is down.
        for part in self.parts().into_iter().filter(|part| part.health != Health::Absent) {
            let up = matches!(part.health, Health::Ok | Health::Degraded);
            text.sample(head, &[("part", &part.name)], f64::from(u8::from(up)));
        }
        if let Some(known) = self.known() {
            known.metrics(&mut text);
        }
        self.kubelet.metrics(&mut text);
        let mut all = self.counting.metrics(format);
        all.push_str(&text.finish());
        if format == Format::OpenMetrics {
            all.push_str("# EOF\n");
        }
        all
    }
}

/// Whether the agent is ready. It is once every part that is on has had its first answer, be it a bad one, and at least one
/// of them works: what one part lacks does not take the others out of service.
pub(crate) fn is_ready(parts: &[Part]) -> bool {
    let waits = parts.iter().any(|part| part.health == Health::Starting);
    let works = parts.iter().any(|part| matches!(part.health, Health::Ok | Health::Degraded));
    works && !waits
}

/// A line for each part.
pub(crate) fn lines(parts: &[Part]) -> String {
    let lines = parts.iter().map(|Part { name, health, reason, .. }| {
        let reason = reason.as_ref().map(|reason| format!(" ({})", reason.replace('\n', " "))).unwrap_or_default();
        format!("{name}: {}{reason}\n", health.word())
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(healths: &[Health]) -> Vec<Part> {
        healths.iter().map(|health| Part::new("x", *health).reason("a\nb")).collect()
    }

    #[test]
    fn ready_is_who_has_begun_and_does_anything() {
        use Health::{Absent, Degraded, Failed, Ok, Starting};
        for (healths, ready) in [
            (&[Ok, Ok][..], true),
            (&[Ok, Failed, Absent], true),
            (&[Degraded, Failed], true),
            (&[Ok, Starting], false),
            (&[Failed, Absent], false),
            (&[], false),
        ] {
            assert_eq!(is_ready(&parts(healths)), ready, "{healths:?}");
        }
        assert_eq!(lines(&parts(&[Failed])), "x: failed (a b)\n");
    }

    #[test]
    fn a_container_is_called_by_what_is_known() {
        let labels = cgroup_perf::resolver::Labels { container_id: "0123456789abcdef".into(), ..Default::default() };
        let talker = |labels: &cgroup_perf::resolver::Labels| Talker {
            labels: Arc::new(labels.clone()),
            cores: 1.0,
            switches: 2.0,
            cycles: Some(30),
            instructions: Some(20),
            misses: None,
        };
        assert_eq!(Row::of(&talker(&labels)).name(), "0123456789ab");
        let named = cgroup_perf::resolver::Labels { pod: "web".into(), container: "app".into(), ..labels };
        let row = Row::of(&talker(&named));
        assert_eq!((row.name().as_str(), row.cycles_per_instruction), ("web/app", Some(1.5)));
        assert_eq!(row.misses_per_kilo_instruction, None);
    }
}
