//! How much an index may hold.

use std::time::Duration;

use metrics::counter;

use super::telemetry;
use super::types::{ContainerInfo, PodInfo, Texts};

/// The longest id that is taken: those of all runtimes have 64 digits.
const MAX_ID: usize = 256;
/// The longest name, image or path: `PATH_MAX`.
const MAX_TEXT: usize = 4096;

#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) grace: Duration,
    pub(super) containers: usize,
    pub(super) nested: usize,
    pub(super) metadata_bytes: usize,
    pub(super) walk_interval: Duration,
    pub(super) miss_lifetime: Duration,
    pub(super) check_interval: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            grace: Duration::from_mins(1),
            containers: 4_096,
            nested: 65_536,
            metadata_bytes: 16 << 10,
            walk_interval: Duration::from_millis(250),
            miss_lifetime: Duration::from_secs(5),
            check_interval: Duration::from_secs(30),
        }
    }
}

impl Bounds {
    /// A pod cut to the bounds; none if its id is no id.
    pub(super) fn pod(&self, mut pod: PodInfo) -> Option<PodInfo> {
        for text in [&mut pod.name, &mut pod.namespace, &mut pod.uid, &mut pod.cgroup_parent, &mut pod.cgroups_path] {
            cut(text);
        }
        self.cut_metadata([&mut pod.labels, &mut pod.annotations]);
        is_id(&pod.id).then_some(pod)
    }

    /// A container cut to the bounds; none if its id is no id.
    pub(super) fn container(&self, mut container: ContainerInfo) -> Option<ContainerInfo> {
        let image = container.image.as_mut();
        for text in [&mut container.name, &mut container.cgroups_path].into_iter().chain(image) {
            cut(text);
        }
        if container.pod_id.len() > MAX_ID {
            container.pod_id.clear();
        }
        self.cut_metadata([&mut container.labels, &mut container.annotations]);
        is_id(&container.id).then_some(container)
    }

    /// Leaves out what does not fit any more: the longest annotations are no names of anything.
    fn cut_metadata(&self, all: [&mut Texts; 2]) {
        let mut left = self.metadata_bytes;
        let mut dropped = 0;
        for texts in all {
            texts.retain(|key, value| {
                let fits = left.checked_sub(key.len() + value.len());
                left = fits.unwrap_or(left);
                dropped += u64::from(fits.is_none());
                fits.is_some()
            });
        }
        count(dropped, "metadata");
    }
}

/// Text that is too long is none.
fn cut(text: &mut String) {
    if text.len() > MAX_TEXT {
        text.clear();
        count(1, "metadata");
    }
}

fn is_id(id: &str) -> bool {
    let valid = (1..=MAX_ID).contains(&id.len());
    count(u64::from(!valid), "invalid");
    valid
}

fn count(dropped: u64, what: &'static str) {
    if dropped > 0 {
        counter!(telemetry::DROPPED, "what" => what).increment(dropped);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_left_out_and_the_rest_stays() {
        let bounds = Bounds { metadata_bytes: 10, ..Bounds::default() };
        let texts =
            |all: &[(&str, &str)]| all.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        let pod = PodInfo {
            id: "p".to_owned(),
            name: "n".repeat(MAX_TEXT + 1),
            namespace: "n".repeat(MAX_TEXT),
            labels: texts(&[("app", "web")]),
            annotations: texts(&[("a", "long"), ("b", "c")]),
            ..PodInfo::default()
        };
        let cut = bounds.pod(pod.clone()).unwrap();
        let expected = PodInfo { name: String::new(), annotations: texts(&[("b", "c")]), ..pod };
        assert_eq!(cut, expected);
    }

    #[test]
    fn an_id_is_neither_empty_nor_endless() {
        let bounds = Bounds::default();
        for id in [String::new(), "a".repeat(MAX_ID + 1)] {
            assert_eq!(bounds.container(ContainerInfo { id: id.clone(), ..ContainerInfo::default() }), None);
            assert_eq!(bounds.pod(PodInfo { id, ..PodInfo::default() }), None);
        }
    }
}
