//! The index → a table, or JSON.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use nri_plugin::Connector;
use nri_plugin::connector::State;
use nri_plugin::index::{Container, ContainerIndex, Kind, Phase};
use serde_json::{Value, json};

const UNKNOWN: &str = "-";

/// The containers at one moment.
pub(crate) struct Listing {
    head: Vec<String>,
    containers: Vec<Arc<Container>>,
    now: SystemTime,
    monotonic: Instant,
}

impl Listing {
    pub(crate) fn of(
        index: &ContainerIndex,
        connector: Option<&Connector>,
        note: Option<&str>,
        monotonic: Instant,
        now: SystemTime,
    ) -> Self {
        let mut containers = index.containers();
        // A pod's pause container says nothing that its pod's containers don't.
        containers.retain(|container| container.kind != Kind::Sandbox);
        containers.sort_by(|one, other| key(one).cmp(&key(other)));
        let ended = containers.iter().filter(|container| container.is_ended()).count();
        let head = [
            note.map(str::to_owned),
            Some(runtime(connector)),
            Some(format!("{} containers, {ended} of them ended", containers.len())),
        ];
        Self { head: head.into_iter().flatten().collect(), containers, now, monotonic }
    }

    pub(crate) fn text(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
        table.set_header(["NAMESPACE", "POD", "CONTAINER", "ID", "PID", "CGROUP", "AGE", "STATE"]);
        for container in &self.containers {
            let id = container.id.get(..12).unwrap_or(&container.id).to_owned();
            let pid = container.info.as_ref().and_then(|info| info.pid).map(|pid| pid.to_string());
            let cgroup = container.cgroup.as_ref().map(|cgroup| cgroup.id.to_string());
            table.add_row([
                container.namespace().unwrap_or(UNKNOWN).to_owned(),
                pod(container),
                container.name().unwrap_or(UNKNOWN).to_owned(),
                id,
                pid.unwrap_or_else(|| UNKNOWN.to_owned()),
                cgroup.unwrap_or_else(|| UNKNOWN.to_owned()),
                self.age(container).map_or(UNKNOWN.to_owned(), short),
                self.state(container),
            ]);
        }
        for column in [4, 5, 6] {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        format!("{}\n\n{}", self.head.join("\n"), table.trim_fmt())
    }

    pub(crate) fn json(&self) -> Value {
        let container = |container: &Arc<Container>| {
            json!({
                "id": &*container.id,
                "namespace": container.namespace(),
                "pod": container.pod_name(),
                "pod_uid": container.pod_uid(),
                "container": container.name(),
                "image": container.image(),
                "pid": container.info.as_ref().and_then(|info| info.pid),
                "cgroup_id": container.cgroup.as_ref().map(|cgroup| cgroup.id),
                "cgroup": container.cgroup.as_ref().map(|cgroup| &*cgroup.path),
                "labels": container.pod.as_ref().map(|pod| &pod.labels),
                "ended": container.is_ended(),
            })
        };
        json!({ "notes": self.head, "containers": self.containers.iter().map(container).collect::<Vec<_>>() })
    }

    fn age(&self, container: &Container) -> Option<Duration> {
        let info = container.info.as_ref()?;
        self.now.duration_since(info.started.or(info.created)?).ok()
    }

    fn state(&self, container: &Container) -> String {
        match container.phase {
            Phase::Ended { at } => {
                format!("ended {} ago", short(self.monotonic.saturating_duration_since(at.into_std())))
            }
            Phase::Live if container.kind == Kind::Found => "found".to_owned(),
            _ => "live".to_owned(),
        }
    }
}

fn key(container: &Container) -> (Option<&str>, Option<&str>, Option<&str>, &str) {
    (container.namespace(), container.pod_name(), container.name(), &container.id)
}

/// Its name, or what else tells it apart.
fn pod(container: &Container) -> String {
    let uid = || container.pod_uid().map(|uid| format!("uid {uid}"));
    container.pod_name().map(str::to_owned).or_else(uid).unwrap_or_else(|| UNKNOWN.to_owned())
}

fn runtime(connector: Option<&Connector>) -> String {
    let Some(connector) = connector else { return "No runtime is asked: names are not known.".to_owned() };
    match &*connector.states().borrow() {
        State::Joined { runtime, .. } => format!("{} {}", runtime.name, runtime.version),
        State::Connecting { last: Some(why) } => format!("Names are not known: {why}"),
        State::Ended(Err(error)) => format!("Names are not known: {error}"),
        _ => "Names are not known yet: the runtime has not answered.".to_owned(),
    }
}

/// As kubectl shows ages.
fn short(age: Duration) -> String {
    match age.as_secs() {
        seconds @ 0..120 => format!("{seconds}s"),
        seconds @ 120..7_200 => format!("{}m", seconds / 60),
        seconds @ 7_200..172_800 => format!("{}h", seconds / 3_600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_as_long_as_people_want_them() {
        for (seconds, text) in [(0, "0s"), (119, "119s"), (120, "2m"), (7_200, "2h"), (172_800, "2d")] {
            assert_eq!(short(Duration::from_secs(seconds)), text);
        }
    }
}
