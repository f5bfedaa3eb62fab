//! What pods ask for, and what they may take.

mod quantity;

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use self::quantity::{NANO, amount};

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
    /// that asks for more beside the sidecars before it; what the pod states itself goes before that; with the overhead,
    /// also where nothing else is stated.
    pub fn pod_requests(&self) -> Resources {
        let of_containers = self.at_once(|container| container.requests);
        self.requests.with(of_containers, Option::or).plus(self.overhead)
    }

    /// What the pod may take once it runs: what it states itself, or else its containers' and sidecars' limits together.
    /// Absent where one of them has none, since then nothing holds the pod; init containers are done by then.
    ///
    /// Ephemeral storage is the exception, as the kubelet evicts by what is stated, and counts init containers in: the
    /// sum of its containers, or the init container that may take more beside the sidecars before it.
    pub fn pod_limits(&self) -> Resources {
        let running = self.containers.iter().filter(|container| container.kind != ContainerKind::Init);
        let mut of_containers = running.map(|container| container.limits).reduce(Resources::both).unwrap_or_default();
        of_containers.ephemeral_storage = self.at_once(|container| container.limits).ephemeral_storage;
        let limits = self.limits.with(of_containers, Option::or);
        limits.with(self.overhead, |a, b| a.map(|a| a.saturating_add(b.unwrap_or(0))))
    }

    /// The most of what is stated for containers that run at once.
    fn at_once(&self, stated: impl Fn(&ContainerSpec<Name>) -> Resources) -> Resources {
        let (mut running, mut starting) = (Resources::default(), Resources::default());
        for container in &self.containers {
            match container.kind {
                ContainerKind::Init => starting = starting.with(running.plus(stated(container)), Option::max),
                ContainerKind::Main | ContainerKind::Sidecar => running = running.plus(stated(container)),
            }
        }
        running.with(starting, Option::max)
    }
}

impl<Name: AsRef<str>> PodSpecResources<Name> {
    /// The pod's amounts and those of each container.
    pub fn amounts(&self) -> PodResources {
        let containers = self.containers.iter().map(|container| {
            let ContainerSpec { requests, limits, .. } = *container;
            (container.name.as_ref().to_owned(), RequestsAndLimits { requests, limits })
        });
        let pod = RequestsAndLimits { requests: self.pod_requests(), limits: self.pod_limits() };
        PodResources { pod, containers: containers.collect() }
    }
}

/// Requests and limits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct RequestsAndLimits {
    /// `resources.requests`.
    pub requests: Resources,
    /// `resources.limits`.
    pub limits: Resources,
}

/// What a pod and each of its containers ask for and may use, as plain numbers: what
/// [`exposition`](crate::exposition) takes. [`PodSpecResources::amounts`] works it out of a pod's spec.
///
/// ```
/// use kubelet_summary::resources::{PodResources, RequestsAndLimits, Resources};
///
/// let limits = Resources { ephemeral_storage: Some(1 << 30), ..Resources::default() };
/// let app = RequestsAndLimits { limits, ..RequestsAndLimits::default() };
/// let pod = PodResources { pod: app, containers: vec![("app".to_owned(), app)] };
/// assert_eq!(pod.container("app").limits, limits);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PodResources {
    /// Of the whole pod.
    pub pod: RequestsAndLimits,
    /// Of each container, by name.
    pub containers: Vec<(String, RequestsAndLimits)>,
}

impl PodResources {
    /// Those of the container of that name; all absent where there is none.
    pub fn container(&self, name: &str) -> RequestsAndLimits {
        self.containers.iter().find(|(of, _)| of == name).map(|(_, amounts)| *amounts).unwrap_or_default()
    }
}

/// `used` as a part of `amount`: 1 is all of it. `None` where either is absent or the amount is zero.
///
/// ```
/// use kubelet_summary::resources::ratio;
///
/// assert_eq!(ratio(Some(512), Some(1024)), Some(0.5));
/// assert_eq!(ratio(Some(512), Some(0)), None);
/// assert_eq!(ratio(None, Some(1024)), None);
/// ```
pub fn ratio(used: Option<u64>, amount: Option<u64>) -> Option<f64> {
    let amount = amount.filter(|amount| *amount > 0)?;
    Some(used? as f64 / amount as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stated_limits_of_ephemeral_storage_hold_the_pod() {
        use ContainerKind::{Init, Main, Sidecar};
        let cases: [(&[_], _); 6] = [
            (&[(Main, Some(5)), (Main, Some(6))], Some(11)),
            (&[(Main, Some(5)), (Main, None)], Some(5)),
            (&[(Init, Some(20)), (Init, Some(3)), (Main, Some(5))], Some(20)),
            (&[(Sidecar, Some(4)), (Init, Some(20)), (Main, Some(5))], Some(24)),
            (&[(Init, Some(9)), (Main, None)], Some(9)),
            (&[], None),
        ];
        for (limits, wanted) in cases {
            let containers = limits.iter().map(|(kind, limit)| {
                let mut container = container(*kind, 1, None);
                container.limits.ephemeral_storage = *limit;
                container
            });
            let pod = PodSpecResources { containers: containers.collect(), ..PodSpecResources::default() };
            assert_eq!((pod.pod_limits().ephemeral_storage, pod.pod_limits().memory), (wanted, None), "{limits:?}");
        }
    }

    #[test]
    fn overhead_is_asked_for_by_pods_that_ask_for_nothing_else() {
        let overhead = Resources { cpu: Some(250), ..Resources::default() };
        let containers = [container(ContainerKind::Main, 10, None)].into();
        let pod = PodSpecResources { containers, overhead, ..PodSpecResources::default() };
        assert_eq!((pod.pod_requests().cpu, pod.pod_requests().memory), (Some(250), Some(10)));
        // It limits nothing by itself.
        assert_eq!(pod.pod_limits().cpu, None);
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
