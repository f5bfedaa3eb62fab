//! What this program is in its cluster: its namespace and its name among candidates.

use example_host::host_name;
use uuid::Uuid;

use crate::flags::DeliveryFlags;

/// Where a pod finds the name of its namespace.
const NAMESPACE_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// What it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Own {
    /// Where its Lease and its checkpoint are, unless said otherwise.
    pub(crate) namespace: String,
    /// Who it is in an election.
    pub(crate) name: String,
}

impl Own {
    /// By flags, else by what the pod or the machine tells.
    pub(crate) fn of(delivery: &DeliveryFlags) -> Self {
        let filled = |text: &String| !text.trim().is_empty();
        let told = || std::fs::read_to_string(NAMESPACE_FILE).ok().map(|text| text.trim().to_owned());
        let namespace = delivery.own_namespace.clone().filter(filled).or_else(told).filter(filled);
        let name = delivery.pod_name.clone().filter(filled).unwrap_or_else(|| {
            // Two on one machine must not take each other for themselves.
            format!("{}_{}", host_name().unwrap_or_else(|| "event-exporter".to_owned()), Uuid::new_v4())
        });
        Self { namespace: namespace.unwrap_or_else(|| "default".to_owned()), name }
    }
}
