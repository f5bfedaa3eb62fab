//! From changed facts to the objects that show them.

use std::collections::BTreeSet;

use crate::Mutation;
use crate::population::dice::Id;
use crate::population::model::{Cluster, Kind, Pod, PodSet, Workload};
use crate::population::pod::{Mould, pod_name, pod_object};
use crate::population::{network, policy, storage, workload};

/// What changed about one workload since it was looked at first.
#[derive(Debug)]
pub(super) struct Changes {
    workload: usize,
    slices_before: u32,
    sets: BTreeSet<Id>,
    pods: BTreeSet<Id>,
    slices: BTreeSet<u32>,
    deletions: Vec<Mutation>,
}

impl Changes {
    /// Call before anything is changed.
    pub(super) fn of(cluster: &Cluster, workload: usize) -> Self {
        let slices_before = cluster.workloads.get(workload).map_or(0, network::slice_count);
        Self {
            workload,
            slices_before,
            sets: BTreeSet::new(),
            pods: BTreeSet::new(),
            slices: BTreeSet::new(),
            deletions: Vec::new(),
        }
    }

    /// A set changed, though none of its pods did.
    pub(super) fn set(&mut self, set: Id) {
        self.sets.insert(set);
    }

    /// A pod is new or changed.
    pub(super) fn pod(&mut self, set: Id, pod: &Pod) {
        self.sets.insert(set);
        self.pods.insert(pod.id);
        self.slices.insert(pod.ordinal / network::SLICE);
    }

    /// A pod is about to be taken out of the facts, and its address given back.
    pub(super) fn remove_pod(&mut self, cluster: &Cluster, workload: &Workload, set: &PodSet, pod: &Pod) {
        self.sets.insert(set.id);
        self.slices.insert(pod.ordinal / network::SLICE);
        let namespace = cluster.namespace_of(workload);
        if matches!(workload.kind, Kind::StatefulSet { .. }) && pod.placement.is_some() {
            let (_, _, attachment) = storage::names(cluster, workload, pod.ordinal);
            self.deletions.push(deletion("storage.k8s.io/v1", "VolumeAttachment", None, attachment));
        }
        let name = pod_name(cluster, workload, set, pod);
        self.deletions.push(deletion("v1", "Pod", Some(namespace), name));
    }

    /// A set is about to be taken out of the facts, with all of its pods.
    pub(super) fn remove_set(&mut self, cluster: &Cluster, workload: &Workload, set: &PodSet) {
        for pod in &set.pods {
            self.remove_pod(cluster, workload, set, pod);
        }
        self.sets.remove(&set.id);
        let (api_version, kind) = match workload.kind {
            Kind::Deployment => ("apps/v1", "ReplicaSet"),
            Kind::Errand | Kind::CronJob { .. } => ("batch/v1", "Job"),
            _ => return,
        };
        let name = workload::set_name(cluster, workload, set);
        self.deletions.push(deletion(api_version, kind, Some(cluster.namespace_of(workload)), name));
    }

    /// The objects that changed, owners first and deletions last.
    pub(super) fn into_mutations(self, cluster: &Cluster) -> Vec<Mutation> {
        let Some(workload) = cluster.workloads.get(self.workload) else {
            return Vec::new();
        };
        let mut objects: Vec<_> = workload::workload_object(cluster, workload).into_iter().collect();
        for set in workload.sets.iter().filter(|set| self.sets.contains(&set.id)) {
            objects.extend(workload::set_object(cluster, workload, set));
            let mut mould = None;
            for pod in set.pods.iter().filter(|pod| self.pods.contains(&pod.id)) {
                let mould = mould.get_or_insert_with(|| Mould::of(cluster, workload, set));
                objects.push(pod_object(cluster, workload, set, pod, mould));
                if matches!(workload.kind, Kind::StatefulSet { .. }) {
                    objects.extend(storage::attachment(cluster, workload, pod));
                }
            }
        }
        let mut deletions = self.deletions;
        if workload.companions.service {
            let slices = network::slice_count(workload);
            objects.push(network::endpoints(cluster, workload));
            for nth in 0..slices {
                if self.slices.contains(&nth) || nth >= self.slices_before {
                    objects.push(network::endpoint_slice(cluster, workload, nth));
                }
            }
            for nth in slices..self.slices_before {
                let (namespace, name) = (cluster.namespace_of(workload), network::slice_name(cluster, workload, nth));
                deletions.push(deletion("discovery.k8s.io/v1", "EndpointSlice", Some(namespace), name));
            }
        }
        if workload.companions.disruption_budget {
            objects.push(policy::disruption_budget(cluster, workload));
        }
        objects.into_iter().map(Mutation::Upsert).chain(deletions).collect()
    }
}

fn deletion(api_version: &str, kind: &str, namespace: Option<&str>, name: String) -> Mutation {
    Mutation::Delete {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        namespace: namespace.map(ToOwned::to_owned),
        name,
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use crate::Mutation;
    use crate::churn::{Churn, Place};
    use crate::population::{Population, PopulationSpec, network};

    #[test]
    fn slices_come_and_go_with_the_pods_in_them() {
        let mut churn = Churn::new(&Population::new(&PopulationSpec::new(60, 4000)), 1);
        let large = |churn: &Churn| {
            let workloads = churn.cluster.workloads.iter();
            workloads.enumerate().find(|(_, w)| w.companions.service && network::slice_count(w) == 2).unwrap().0
        };
        let index = large(&churn);
        let name = network::slice_name(&churn.cluster, &churn.cluster.workloads[index], 1);
        let set = churn.cluster.workloads[index].sets.last().unwrap().clone();
        churn.now = Timestamp::UNIX_EPOCH.as_second();
        let mut beyond: Vec<_> = set.pods.iter().filter(|pod| pod.ordinal >= network::SLICE).collect();
        let last = beyond.pop().unwrap();
        let place = |pod| Place { workload: index, set: set.id, pod };
        let slice_gone = |mutations: &[Mutation]| {
            mutations.iter().any(|mutation| {
                matches!(mutation, Mutation::Delete { kind, name: of, .. } if kind == "EndpointSlice" && *of == name)
            })
        };
        for pod in beyond {
            assert!(!slice_gone(&churn.remove_pod(place(pod.id))));
        }
        assert!(slice_gone(&churn.remove_pod(place(last.id))));

        churn.cluster.workloads[index].desired = network::SLICE + 1;
        let made = (0..50).flat_map(|_| churn.reconcile(index).0).any(|mutation| {
            matches!(&mutation, Mutation::Upsert(object)
                if object["kind"] == "EndpointSlice" && object["metadata"]["name"] == name.as_str())
        });
        assert!(made, "the second slice is back with its first pod");
    }
}
