//! What this program is in its cluster: its namespace and its name among candidates.

use example_host::checkpoint::own_namespace;
use example_host::host_name;
use uuid::Uuid;

use crate::flags::DeliveryFlags;

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
        let namespace = delivery.own_namespace.clone().filter(filled).or_else(own_namespace);
        let name = delivery.pod_name.clone().filter(filled).unwrap_or_else(|| {
            // Two on one machine must not take each other for themselves.
            format!("{}_{}", host_name().unwrap_or_else(|| "event-exporter".to_owned()), Uuid::new_v4())
        });
        Self { namespace: namespace.unwrap_or_else(|| "default".to_owned()), name }
    }
}
