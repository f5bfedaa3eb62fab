//! What a pod asks for and may use, as plain numbers that the host fills in from the pod's spec.

/// Amounts of the resources that a summary has figures for; absent where the spec says nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Resources {
    /// Thousandths of a processor.
    pub cpu_millis: Option<u64>,
    /// Bytes of memory.
    pub memory_bytes: Option<u64>,
    /// Bytes of ephemeral storage.
    pub ephemeral_storage_bytes: Option<u64>,
}

/// Requests and limits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct RequestsAndLimits {
    /// `resources.requests`.
    pub requests: Resources,
    /// `resources.limits`.
    pub limits: Resources,
}

/// What a pod and each of its containers ask for and may use.
///
/// ```
/// use kubelet_summary::resources::{PodResources, RequestsAndLimits, Resources};
///
/// let limits = |bytes| Resources { ephemeral_storage_bytes: Some(bytes), ..Resources::default() };
/// let app = RequestsAndLimits { limits: limits(1 << 30), ..RequestsAndLimits::default() };
/// let pod = PodResources::of([("app", app), ("proxy", RequestsAndLimits::default())], []);
/// assert_eq!(pod.pod.limits.ephemeral_storage_bytes, Some(1 << 30));
/// assert_eq!(pod.container("app").limits, limits(1 << 30));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PodResources {
    /// Of the whole pod.
    pub pod: RequestsAndLimits,
    /// Of each container, by name.
    pub containers: Vec<(String, RequestsAndLimits)>,
}

impl PodResources {
    /// Works the pod's amounts out from those of its containers, as the kubelet does: the sum of `containers`, or the
    /// largest of `init_containers` where that is more. Init containers that keep running (sidecars) belong among
    /// `containers`. A pod that states its own amounts, or that has overhead, needs them set in [`PodResources::pod`].
    ///
    /// The limit on ephemeral storage is the sum of those that are stated, which is what the kubelet evicts by. The
    /// limit on processor and memory is absent unless every container has one: the others are bounded by nothing.
    pub fn of<N: Into<String>>(
        containers: impl IntoIterator<Item = (N, RequestsAndLimits)>,
        init_containers: impl IntoIterator<Item = (N, RequestsAndLimits)>,
    ) -> Self {
        let named = |(name, amounts): (N, RequestsAndLimits)| (name.into(), amounts);
        let mut all: Vec<(String, RequestsAndLimits)> = containers.into_iter().map(named).collect();
        let of_all: Vec<RequestsAndLimits> = all.iter().map(|(_, amounts)| *amounts).collect();
        let init: Vec<(String, RequestsAndLimits)> = init_containers.into_iter().map(named).collect();
        let of_init: Vec<RequestsAndLimits> = init.iter().map(|(_, amounts)| *amounts).collect();
        all.extend(init);
        let total = |field: fn(&RequestsAndLimits) -> Option<u64>, needs_all: bool| {
            let stated = || of_all.iter().filter_map(field);
            let is_open = needs_all && of_all.iter().chain(&of_init).any(|amounts| field(amounts).is_none());
            let sum = stated().reduce(u64::saturating_add);
            if is_open { None } else { sum.max(of_init.iter().filter_map(field).max()) }
        };
        let requests = Resources {
            cpu_millis: total(|amounts| amounts.requests.cpu_millis, false),
            memory_bytes: total(|amounts| amounts.requests.memory_bytes, false),
            ephemeral_storage_bytes: total(|amounts| amounts.requests.ephemeral_storage_bytes, false),
        };
        let limits = Resources {
            cpu_millis: total(|amounts| amounts.limits.cpu_millis, true),
            memory_bytes: total(|amounts| amounts.limits.memory_bytes, true),
            ephemeral_storage_bytes: total(|amounts| amounts.limits.ephemeral_storage_bytes, false),
        };
        Self { pod: RequestsAndLimits { requests, limits }, containers: all }
    }

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
