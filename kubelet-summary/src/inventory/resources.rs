//! What pods ask for, and what they may take.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::resources::{self as plain, PodResources, RequestsAndLimits};

/// An amount of each resource that the Summary API has figures of. What is absent is not stated, which is not zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// CPU, in billionths of a core.
    #[serde(rename = "cpuNanoCores", skip_serializing_if = "Option::is_none")]
    pub cpu: Option<u64>,
    /// Memory, in bytes.
    #[serde(rename = "memoryBytes", skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// Ephemeral storage, in bytes.
    #[serde(rename = "ephemeralStorageBytes", skip_serializing_if = "Option::is_none")]
    pub ephemeral_storage: Option<u64>,
}

impl Resources {
    /// Of a map as objects have it: `{"cpu": "500m", "memory": "1Gi"}`. What is no quantity counts as absent.
    pub fn of(map: Option<&BTreeMap<String, Quantity>>) -> Self {
        let amount = |name: &str, unit| map?.get(name).and_then(|quantity| amount(&quantity.0, unit));
        Self {
            cpu: amount("cpu", NANO),
            memory: amount("memory", 1),
            ephemeral_storage: amount("ephemeral-storage", 1),
        }
    }

    /// Both, each resource by its own rule.
    fn with(self, other: Self, rule: impl Fn(Option<u64>, Option<u64>) -> Option<u64>) -> Self {
        Self {
            cpu: rule(self.cpu, other.cpu),
            memory: rule(self.memory, other.memory),
            ephemeral_storage: rule(self.ephemeral_storage, other.ephemeral_storage),
        }
    }

    /// The sum, in which what is absent adds nothing.
    fn plus(self, other: Self) -> Self {
        self.with(other, |a, b| match (a, b) {
            (Some(a), Some(b)) => Some(a.saturating_add(b)),
            (a, b) => a.or(b),
        })
    }

    /// The sum of limits: without a limit on one of them there is none on both.
    fn both(self, other: Self) -> Self {
        self.with(other, |a, b| Some(a?.saturating_add(b?)))
    }
}

/// What a container is to its pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ContainerKind {
    /// It does the pod's work.
    Main,
    /// It runs before that, to its end.
    Init,
    /// It is an init container that is restarted always, and runs beside those that follow.
    Sidecar,
}

/// A container, as its pod's spec has it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ContainerSpec<Name = String> {
    /// Its name.
    pub name: Name,
    /// What it is to the pod.
    pub kind: ContainerKind,
    /// What it asks for. Where only a limit is stated, the API server has made that the request.
    pub requests: Resources,
    /// What it may take.
    pub limits: Resources,
}

/// A pod's containers, and what is stated for the pod as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PodSpecResources<Name = String> {
    /// Init containers in their order, then the others.
    pub containers: Box<[ContainerSpec<Name>]>,
    /// What the pod asks for itself, whatever its containers ask for (KEP-2837).
    pub requests: Resources,
    /// What the pod may take itself.
    pub limits: Resources,
    /// What its runtime class adds to both.
    pub overhead: Resources,
}

impl<Name> Default for PodSpecResources<Name> {
    fn default() -> Self {
        Self {
            containers: Box::default(),
            requests: Resources::default(),
            limits: Resources::default(),
            overhead: Resources::default(),
        }
    }
}

impl<Name> PodSpecResources<Name> {
    /// What the pod asks for, as the scheduler counts it: its containers and sidecars together, or the init container
    /// that asks for more beside the sidecars before it; what the pod states itself goes before that; with the overhead.
    pub fn pod_requests(&self) -> Resources {
        let (mut running, mut starting) = (Resources::default(), Resources::default());
        for container in &self.containers {
            match container.kind {
                ContainerKind::Init => starting = starting.with(running.plus(container.requests), Option::max),
                ContainerKind::Main | ContainerKind::Sidecar => running = running.plus(container.requests),
            }
        }
        let of_containers = running.with(starting, Option::max);
        let requests = self.requests.with(of_containers, Option::or);
        requests.with(self.overhead, |a, b| a.map(|a| a.saturating_add(b.unwrap_or(0))))
    }

    /// What the pod may take once it runs: what it states itself, or else its containers' and sidecars' limits together.
    /// Absent where one of them has none, since then nothing holds the pod; init containers are done by then. Ephemeral
    /// storage is the exception: the kubelet evicts by the sum of what is stated.
    pub fn pod_limits(&self) -> Resources {
        let running = self.containers.iter().filter(|container| container.kind != ContainerKind::Init);
        let mut of_containers = running.map(|container| container.limits).reduce(Resources::both).unwrap_or_default();
        let stated = self.containers.iter().filter_map(|container| match container.kind {
            ContainerKind::Init => None,
            ContainerKind::Main | ContainerKind::Sidecar => container.limits.ephemeral_storage,
        });
        of_containers.ephemeral_storage = stated.reduce(u64::saturating_add);
        let limits = self.limits.with(of_containers, Option::or);
        limits.with(self.overhead, |a, b| a.map(|a| a.saturating_add(b.unwrap_or(0))))
    }
}

impl<Name: AsRef<str>> PodSpecResources<Name> {
    /// The same as [`exposition`](crate::exposition) takes it.
    pub fn to_plain(&self) -> PodResources {
        let both = |requests: Resources, limits: Resources| RequestsAndLimits {
            requests: requests.to_plain(),
            limits: limits.to_plain(),
        };
        let containers = self
            .containers
            .iter()
            .map(|container| (container.name.as_ref().to_owned(), both(container.requests, container.limits)));
        PodResources { pod: both(self.pod_requests(), self.pod_limits()), containers: containers.collect() }
    }
}

impl Resources {
    fn to_plain(self) -> plain::Resources {
        plain::Resources {
            cpu_millis: self.cpu.map(|nanos| nanos.div_ceil(1_000_000)),
            memory_bytes: self.memory,
            ephemeral_storage_bytes: self.ephemeral_storage,
        }
    }
}

const NANO: u64 = 1_000_000_000;

/// A quantity (`500m`, `1.5Gi`, `1e3`) in parts of which `unit` make a whole; what is finer rounds up, as Kubernetes does it.
/// None for what is no quantity, and what is below zero.
fn amount(text: &str, unit: u64) -> Option<u64> {
    let text = text.strip_prefix('+').unwrap_or(text);
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at_checked(end)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let (power, bits): (i32, u32) = match suffix {
        "n" => (-9, 0),
        "u" => (-6, 0),
        "m" => (-3, 0),
        "" => (0, 0),
        "k" => (3, 0),
        "M" => (6, 0),
        "G" => (9, 0),
        "T" => (12, 0),
        "P" => (15, 0),
        "E" => (18, 0),
        "Ki" => (0, 10),
        "Mi" => (0, 20),
        "Gi" => (0, 30),
        "Ti" => (0, 40),
        "Pi" => (0, 50),
        "Ei" => (0, 60),
        _ => (suffix.strip_prefix(['e', 'E'])?.parse().ok()?, 0),
    };
    // Digits that no amount of 64 bits has are as good as the most, or as the least.
    let mut value: u128 = 0;
    let mut power = power;
    let mut lost = false;
    for (place, digit) in whole.bytes().chain(fraction.bytes()).enumerate() {
        let after_point = place >= whole.len();
        if value > u128::from(u64::MAX) * 1_000_000 {
            lost |= digit != b'0';
            power = power.saturating_add(i32::from(!after_point));
        } else {
            value = value * 10 + u128::from(digit - b'0');
            power = power.saturating_sub(i32::from(after_point));
        }
    }
    if value == 0 {
        return Some(0);
    }
    let most = u64::MAX;
    let scaled = value.checked_mul(u128::from(unit)).and_then(|value| value.checked_mul(1 << bits));
    let Some(scaled) = scaled else { return Some(most) };
    let rounded = if power >= 0 {
        10_u128.checked_pow(power.unsigned_abs()).and_then(|factor| scaled.checked_mul(factor))
    } else {
        let parts = 10_u128.checked_pow(power.unsigned_abs());
        Some(parts.map_or(1, |parts| scaled / parts + u128::from(scaled % parts != 0 || lost)))
    };
    Some(rounded.and_then(|value| u64::try_from(value).ok()).unwrap_or(most))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quantities_are_read_as_kubernetes_reads_them() {
        let cases = [
            ("500m", NANO, Some(500_000_000)),
            ("1", NANO, Some(NANO)),
            ("0.1", NANO, Some(100_000_000)),
            (".5", NANO, Some(500_000_000)),
            ("1n", NANO, Some(1)),
            ("0.1n", NANO, Some(1)),
            ("250u", NANO, Some(250_000)),
            ("+2", NANO, Some(2 * NANO)),
            ("0", 1, Some(0)),
            ("128Mi", 1, Some(128 << 20)),
            ("1.5Gi", 1, Some(1_610_612_736)),
            ("0.3Ki", 1, Some(308)),
            ("100M", 1, Some(100_000_000)),
            ("1e3", 1, Some(1000)),
            ("12E-1", 1, Some(2)),
            ("1E", 1, Some(1_000_000_000_000_000_000)),
            ("100m", 1, Some(1)),
            ("128974848000m", 1, Some(128_974_848)),
            ("16Ei", 1, Some(u64::MAX)),
            ("1e999", 1, Some(u64::MAX)),
            ("1e-999", 1, Some(1)),
            ("100000000000000000000000000000000000000000", 1, Some(u64::MAX)),
            ("1.0000000000000000000000000000000000000001", 1, Some(2)),
            ("0e999999999", 1, Some(0)),
            ("-1", 1, None),
            ("", 1, None),
            (".", 1, None),
            ("1.2.3", 1, None),
            ("1Q", 1, None),
            ("1e", 1, None),
            ("Gi", 1, None),
        ];
        for (text, unit, wanted) in cases {
            assert_eq!(amount(text, unit), wanted, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[-+0-9.eEkKMGTPmunif]{0,50}") {
            let _ = amount(&text, NANO);
        }

        #[test]
        fn whole_numbers_are_exact(value: u64) {
            prop_assert_eq!(amount(&value.to_string(), 1), Some(value));
        }
    }

    #[test]
    fn stated_limits_of_ephemeral_storage_hold_the_pod() {
        let mut one = container(ContainerKind::Main, 1, None);
        one.limits.ephemeral_storage = Some(10);
        let pod = PodSpecResources {
            containers: [one, container(ContainerKind::Main, 1, None)].into(),
            ..PodSpecResources::default()
        };
        assert_eq!((pod.pod_limits().ephemeral_storage, pod.pod_limits().memory), (Some(10), None));
    }

    fn container(kind: ContainerKind, request: u64, limit: Option<u64>) -> ContainerSpec {
        ContainerSpec {
            name: String::new(),
            kind,
            requests: Resources { memory: Some(request), ..Resources::default() },
            limits: Resources { memory: limit, ..Resources::default() },
        }
    }

    #[test]
    fn a_pod_asks_for_the_most_that_runs_at_once() {
        use ContainerKind::{Init, Main, Sidecar};
        // The first init container runs alone, the second beside the sidecar.
        let containers = [
            container(Init, 40, None),
            container(Sidecar, 10, Some(20)),
            container(Init, 35, None),
            container(Main, 15, Some(30)),
            container(Main, 5, Some(5)),
        ];
        let mut pod = PodSpecResources { containers: containers.into(), ..PodSpecResources::default() };
        assert_eq!(pod.pod_requests().memory, Some(45));
        assert_eq!(pod.pod_limits().memory, Some(55));
        assert_eq!(pod.pod_requests().cpu, None);

        pod.overhead.memory = Some(7);
        assert_eq!((pod.pod_requests().memory, pod.pod_limits().memory), (Some(52), Some(62)));

        pod.containers[4].limits.memory = None;
        assert_eq!(pod.pod_limits().memory, None, "one container without a limit");

        pod.limits.memory = Some(100);
        pod.requests.memory = Some(90);
        assert_eq!((pod.pod_requests().memory, pod.pod_limits().memory), (Some(97), Some(107)));
    }
}
