//! The families of a pod's status: phase, conditions, reasons, times, addresses.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::{ContainerStateTerminated, PodCondition, PodStatus};

use super::{
    COMPLETION_TIME, IPS, START_TIME, STATUS_CONTAINER_READY_TIME, STATUS_DISRUPTION_REASON, STATUS_INITIALIZED_TIME,
    STATUS_PHASE, STATUS_QOS_CLASS, STATUS_READY, STATUS_READY_TIME, STATUS_REASON, STATUS_SCHEDULED,
    STATUS_SCHEDULED_TIME, STATUS_UNSCHEDULABLE, STATUS_UNSCHEDULED_TIME, Text, instant,
};
use crate::samples::Samples;
use crate::value::unix_seconds;

const PHASES: [&str; 5] = ["Pending", "Succeeded", "Failed", "Unknown", "Running"];
const QOS_CLASSES: [&str; 3] = ["BestEffort", "Burstable", "Guaranteed"];

/// The reasons that `kube_pod_status_reason` knows.
const REASONS: [&str; 8] = [
    "Evicted",
    "NodeAffinity",
    "NodeLost",
    "PreemptionByScheduler",
    "SchedulingGated",
    "Shutdown",
    "TerminationByKubelet",
    "UnexpectedAdmissionError",
];

/// The reasons of a disruption; any other is exposed as `Other`, to bound the label's values.
const DISRUPTION_REASONS: [&str; 5] = [
    "PreemptionByScheduler",
    "DeletionByTaintManager",
    "EvictionByEvictionAPI",
    "DeletionByPodGC",
    "TerminationByKubelet",
];

/// Which of [`REASONS`] were met.
#[derive(Default, Clone, Copy)]
struct Reasons([bool; REASONS.len()]);

impl Reasons {
    /// Whether the reason is known.
    fn add(&mut self, reason: &str) -> bool {
        if reason.is_empty() {
            return false;
        }
        let known = REASONS.iter().position(|known| *known == reason).and_then(|at| self.0.get_mut(at));
        known.map(|met| *met = true).is_some()
    }
}

/// What the ends of a pod's containers say about the pod.
#[derive(Default, Clone, Copy)]
pub(super) struct Ended {
    last_finished: Option<f64>,
    reasons: Reasons,
}

impl Ended {
    pub(super) fn add(&mut self, terminated: &ContainerStateTerminated) {
        if let Some(finished) = instant(terminated.finished_at.as_ref()) {
            let finished = unix_seconds(finished);
            self.last_finished = Some(self.last_finished.map_or(finished, |last| last.max(finished)));
        }
        self.reasons.add(terminated.reason.text());
    }
}

pub(super) fn collect(s: &mut Samples<'_>, status: &PodStatus, ended: Ended) {
    let Ended { last_finished, mut reasons } = ended;
    if let Some(finished) = last_finished.filter(|finished| *finished > 0.0) {
        s.put_unique(COMPLETION_TIME, &[], finished);
    }
    s.put_time(START_TIME, &[], instant(status.start_time.as_ref()));
    if s.wants(IPS) {
        for ip in status.pod_ips.iter().flatten() {
            if let Some(family) = ip_family(&ip.ip) {
                s.put_unique(IPS, &[("ip", &ip.ip), ("ip_family", family)], 1.0);
            }
        }
    }
    for (family, label, states, state) in [
        (STATUS_PHASE, "phase", &PHASES[..], status.phase.text()),
        (STATUS_QOS_CLASS, "qos_class", &QOS_CLASSES[..], status.qos_class.text()),
    ] {
        if !state.is_empty() {
            s.put_states(family, label, states, state);
        }
    }
    for condition in status.conditions.iter().flatten() {
        put_condition(s, condition);
        reasons.add(condition.reason.text());
    }
    let reason = status.reason.text();
    let is_other = !reason.is_empty() && !reasons.add(reason);
    for (reason, met) in REASONS.iter().zip(reasons.0) {
        if met {
            s.put(STATUS_REASON, &[("reason", reason)], 1.0);
        }
    }
    if is_other {
        s.put(STATUS_REASON, &[("reason", "Other")], 1.0);
    }
}

fn put_condition(s: &mut Samples<'_>, condition: &PodCondition) {
    let since = instant(condition.last_transition_time.as_ref());
    let is_true = condition.status == "True";
    match condition.type_.as_str() {
        "Ready" => {
            s.put_condition(STATUS_READY, "condition", &[], &condition.status);
            s.put_time(STATUS_READY_TIME, &[], since.filter(|_| is_true));
        }
        "Initialized" => s.put_time(STATUS_INITIALIZED_TIME, &[], since.filter(|_| is_true)),
        "ContainersReady" => s.put_time(STATUS_CONTAINER_READY_TIME, &[], since.filter(|_| is_true)),
        "PodScheduled" => {
            s.put_condition(STATUS_SCHEDULED, "condition", &[], &condition.status);
            s.put_time(STATUS_SCHEDULED_TIME, &[], since.filter(|_| is_true));
            if condition.status == "False" {
                s.put(STATUS_UNSCHEDULABLE, &[], 1.0);
                s.put_time(STATUS_UNSCHEDULED_TIME, &[], since);
            }
        }
        "DisruptionTarget" => {
            let reason = condition.reason.text();
            let reason = if DISRUPTION_REASONS.contains(&reason) { reason } else { "Other" };
            s.put(STATUS_DISRUPTION_REASON, &[("reason", reason)], 1.0);
        }
        _ => {}
    }
}

/// `4` or `6`; none for what is no address. An IPv4 address in IPv6 form counts as IPv4.
fn ip_family(text: &str) -> Option<&'static str> {
    let address: IpAddr = match text.split_once('%') {
        Some((address, zone)) if !zone.is_empty() => IpAddr::V6(address.parse().ok()?),
        _ => text.parse().ok()?,
    };
    Some(if address.to_canonical().is_ipv4() { "4" } else { "6" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_a_family_and_other_texts_none() {
        for (text, family) in [
            ("10.1.2.3", Some("4")),
            ("fd00::1", Some("6")),
            ("::ffff:10.1.2.3", Some("4")),
            ("fe80::1%eth0", Some("6")),
            ("fe80::1%", None),
            ("10.1.2.3%eth0", None),
            ("010.1.2.3", None),
            ("", None),
        ] {
            assert_eq!(ip_family(text), family, "{text}");
        }
    }
}
