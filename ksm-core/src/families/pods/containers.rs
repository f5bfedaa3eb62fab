//! The families of containers, which those of init containers mirror.

use k8s_openapi::api::core::v1::{Container, ContainerStatus};

use super::status::Ended;
use super::{NAME, Text, instant};
use crate::families::amounts::{Holder, for_each_amount};
use crate::family::FamilyIndex;
use crate::samples::Samples;

/// Which families a group of containers feeds.
pub(super) struct ContainerFamilies {
    pub(super) info: FamilyIndex,
    /// Init containers have a restart policy of their own.
    pub(super) info_names_restart_policy: bool,
    pub(super) resource_limits: FamilyIndex,
    pub(super) resource_requests: FamilyIndex,
    pub(super) state_started: FamilyIndex,
    pub(super) last_terminated_reason: FamilyIndex,
    pub(super) last_terminated_exitcode: FamilyIndex,
    pub(super) last_terminated_timestamp: FamilyIndex,
    pub(super) ready: FamilyIndex,
    pub(super) restarts: FamilyIndex,
    pub(super) running: FamilyIndex,
    pub(super) terminated: FamilyIndex,
    pub(super) terminated_reason: FamilyIndex,
    pub(super) waiting: FamilyIndex,
    pub(super) waiting_reason: FamilyIndex,
}

impl ContainerFamilies {
    /// Puts the samples of the containers, and says what their ends tell of the pod.
    pub(super) fn collect(
        &self,
        s: &mut Samples<'_>,
        containers: &[Container],
        statuses: &[ContainerStatus],
        node: &str,
    ) -> Ended {
        for container in containers {
            self.put_container(s, container, statuses, node);
        }
        let mut ended = Ended::default();
        for status in statuses {
            self.put_status(s, status, &mut ended);
        }
        ended
    }

    fn put_container(&self, s: &mut Samples<'_>, container: &Container, statuses: &[ContainerStatus], node: &str) {
        if let Some(resources) = &container.resources {
            let families = [(self.resource_limits, &resources.limits), (self.resource_requests, &resources.requests)];
            for (family, amounts) in families {
                if s.wants(family) {
                    for_each_amount(Holder::Container, amounts.as_ref(), NAME, |resource, unit, value| {
                        let labels = [
                            ("container", container.name.as_str()),
                            ("node", node),
                            ("resource", resource),
                            ("unit", unit),
                        ];
                        // Replicas on one node have the same lines.
                        s.put(family, &labels, value);
                    });
                }
            }
        }
        if s.wants(self.info) {
            for status in statuses.iter().filter(|status| status.name == container.name) {
                let labels = [
                    ("container", container.name.as_str()),
                    ("image_spec", container.image.text()),
                    ("image", &status.image),
                    ("image_id", &status.image_id),
                    ("container_id", status.container_id.text()),
                    ("restart_policy", container.restart_policy.text()),
                ];
                let count = if self.info_names_restart_policy { labels.len() } else { labels.len() - 1 };
                s.put_unique(self.info, labels.get(..count).unwrap_or_default(), 1.0);
            }
        }
    }

    fn put_status(&self, s: &mut Samples<'_>, status: &ContainerStatus, ended: &mut Ended) {
        let name = [("container", status.name.as_str())];
        let reason = |reason| [("container", status.name.as_str()), ("reason", reason)];
        let state = status.state.as_ref();
        let running = state.and_then(|state| state.running.as_ref());
        let terminated = state.and_then(|state| state.terminated.as_ref());
        let waiting = state.and_then(|state| state.waiting.as_ref());

        s.put_bool(self.ready, &name, status.ready);
        s.put(self.restarts, &name, status.restart_count.into());
        s.put_bool(self.running, &name, running.is_some());
        s.put_bool(self.terminated, &name, terminated.is_some());
        s.put_bool(self.waiting, &name, waiting.is_some());
        if let Some(running) = running {
            s.put_time(self.state_started, &name, instant(running.started_at.as_ref()));
        } else if let Some(terminated) = terminated {
            s.put_time(self.state_started, &name, instant(terminated.started_at.as_ref()));
        }
        if let Some(terminated) = terminated {
            s.put(self.terminated_reason, &reason(terminated.reason.text()), 1.0);
            ended.add(terminated);
        }
        if let Some(waiting) = waiting {
            s.put(self.waiting_reason, &reason(waiting.reason.text()), 1.0);
        }
        if let Some(last) = status.last_state.as_ref().and_then(|state| state.terminated.as_ref()) {
            s.put(self.last_terminated_reason, &reason(last.reason.text()), 1.0);
            s.put(self.last_terminated_exitcode, &name, last.exit_code.into());
            s.put_time(self.last_terminated_timestamp, &name, instant(last.finished_at.as_ref()));
        }
    }
}
