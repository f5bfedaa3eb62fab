//! A cluster as a map of objects, and the rules that hold in it at every moment.

use std::collections::{BTreeMap, HashMap, HashSet};

use cluster_sim::Mutation;
use serde_json::Value;

/// apiVersion/kind, namespace, name.
type Key = (String, String, String);

/// What a server would hold.
#[derive(Default)]
pub(crate) struct Store {
    pub(crate) objects: BTreeMap<Key, Value>,
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn number(object: &Value, pointer: &str) -> u64 {
    object.pointer(pointer).and_then(Value::as_u64).unwrap_or_default()
}

fn ready(pod: &Value) -> bool {
    pod["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

fn ended(pod: &Value) -> bool {
    matches!(text(pod, "/status/phase"), "Succeeded" | "Failed")
}

fn active(pod: &Value) -> bool {
    !ended(pod) && pod["metadata"]["deletionTimestamp"].is_null()
}

impl Store {
    /// Puts an object in; gives back the one that was there.
    pub(crate) fn insert(&mut self, object: Value) -> Option<Value> {
        let key = (
            format!("{}/{}", text(&object, "/apiVersion"), text(&object, "/kind")),
            text(&object, "/metadata/namespace").to_owned(),
            text(&object, "/metadata/name").to_owned(),
        );
        assert!(!key.2.is_empty(), "no name: {object}");
        self.objects.insert(key, object)
    }

    /// Applies a mutation; deleting what is not there is a mistake of whoever asked.
    pub(crate) fn apply(&mut self, mutation: Mutation) {
        match mutation {
            Mutation::Upsert(object) => {
                let uid = text(&object, "/metadata/uid").to_owned();
                if let Some(old) = self.insert(object) {
                    assert_eq!(text(&old, "/metadata/uid"), uid, "an object changed its uid");
                }
            }
            Mutation::Delete { api_version, kind, namespace, name } => {
                let key = (format!("{api_version}/{kind}"), namespace.unwrap_or_default(), name);
                assert!(self.objects.remove(&key).is_some(), "deleted what is not there: {key:?}");
            }
        }
    }

    pub(crate) fn of<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.objects.iter().filter(move |((of, ..), _)| of == kind).map(|(_, object)| object)
    }

    fn has(&self, kind: &str, namespace: &str, name: &str) -> bool {
        self.objects.contains_key(&(kind.to_owned(), namespace.to_owned(), name.to_owned()))
    }

    /// Panics where two objects contradict one another.
    pub(crate) fn check(&self) {
        self.check_owners();
        self.check_pods();
        self.check_counts();
        self.check_endpoints();
    }

    fn check_owners(&self) {
        let uids: HashMap<&str, (&str, &str)> = self
            .objects
            .values()
            .map(|object| (text(object, "/metadata/uid"), (text(object, "/kind"), text(object, "/metadata/name"))))
            .collect();
        assert_eq!(uids.len(), self.objects.len(), "a uid is used twice");
        for object in self.objects.values() {
            for owner in object["metadata"]["ownerReferences"].as_array().into_iter().flatten() {
                let found = uids.get(text(owner, "/uid"));
                assert_eq!(
                    found,
                    Some(&(text(owner, "/kind"), text(owner, "/name"))),
                    "owner of {}",
                    object["metadata"]
                );
            }
        }
    }

    fn check_pods(&self) {
        let mut addresses = HashSet::new();
        for pod in self.of("v1/Pod") {
            let (namespace, name) = (text(pod, "/metadata/namespace"), text(pod, "/metadata/name"));
            let node = text(pod, "/spec/nodeName");
            assert!(node.is_empty() || self.has("v1/Node", "", node), "{name} is on {node}");
            assert!(self.has("v1/Namespace", "", namespace), "{name} is in {namespace}");
            let account = text(pod, "/spec/serviceAccountName");
            if self.of("v1/ServiceAccount").next().is_some() {
                assert!(self.has("v1/ServiceAccount", namespace, account), "{name} runs as {account}");
            }
            for volume in pod["spec"]["volumes"].as_array().into_iter().flatten() {
                let claim = text(volume, "/persistentVolumeClaim/claimName");
                assert!(claim.is_empty() || self.has("v1/PersistentVolumeClaim", namespace, claim), "{name}: {claim}");
            }
            if pod["spec"]["hostNetwork"] != true && !ended(pod) {
                let ip = text(pod, "/status/podIP");
                assert!(ip.is_empty() || addresses.insert(ip), "{ip} is used twice");
            }
            let since = text(pod, "/metadata/creationTimestamp");
            for at in ["/status/startTime", "/status/conditions/0/lastTransitionTime"] {
                let at = text(pod, at);
                assert!(at.is_empty() || at >= since, "{name} was created {since}, after {at}");
            }
        }
    }

    fn check_counts(&self) {
        let mut pods: HashMap<&str, Vec<&Value>> = HashMap::new();
        for pod in self.of("v1/Pod") {
            pods.entry(text(pod, "/metadata/ownerReferences/0/uid")).or_default().push(pod);
        }
        let counted = |owner: &Value| {
            let pods = pods.get(text(owner, "/metadata/uid")).map_or(&[] as &[_], Vec::as_slice);
            let active: Vec<_> = pods.iter().filter(|pod| active(pod)).collect();
            let ready = active.iter().filter(|pod| ready(pod)).count() as u64;
            (active.len() as u64, ready)
        };
        for kind in ["apps/v1/ReplicaSet", "apps/v1/StatefulSet", "v1/ReplicationController"] {
            for set in self.of(kind) {
                let said = (number(set, "/status/replicas"), number(set, "/status/readyReplicas"));
                assert_eq!(said, counted(set), "{}", set["metadata"]["name"]);
            }
        }
        for set in self.of("apps/v1/DaemonSet") {
            let said = (number(set, "/status/currentNumberScheduled"), number(set, "/status/numberReady"));
            assert_eq!(said, counted(set), "{}", set["metadata"]["name"]);
        }
        for job in self.of("batch/v1/Job") {
            let said = (number(job, "/status/active"), number(job, "/status/ready"));
            assert_eq!(said, counted(job), "{}", job["metadata"]["name"]);
            let ended = job["status"]["conditions"].is_array();
            assert_eq!(ended, said.0 == 0, "{} is ended or has an active pod", job["metadata"]["name"]);
        }
        let mut replicas: HashMap<&str, [u64; 3]> = HashMap::new();
        for set in self.of("apps/v1/ReplicaSet") {
            let sums = replicas.entry(text(set, "/metadata/ownerReferences/0/uid")).or_default();
            sums[0] += number(set, "/status/replicas");
            sums[1] += number(set, "/status/readyReplicas");
            sums[2] += number(set, "/status/terminatingReplicas");
        }
        for set in self.of("apps/v1/ReplicaSet") {
            let (asked, have) = (number(set, "/spec/replicas"), number(set, "/status/replicas"));
            assert!(have <= asked, "{} has {have} of {asked}", set["metadata"]["name"]);
        }
        for deployment in self.of("apps/v1/Deployment") {
            let said = ["replicas", "readyReplicas", "terminatingReplicas"]
                .map(|field| number(deployment, &format!("/status/{field}")));
            let name = text(deployment, "/metadata/name");
            assert_eq!(replicas.get(text(deployment, "/metadata/uid")), Some(&said), "{name}");
        }
    }

    fn check_endpoints(&self) {
        let mut by_service: HashMap<(&str, &str), HashSet<&str>> = HashMap::new();
        for slice in self.of("discovery.k8s.io/v1/EndpointSlice") {
            let service =
                (text(slice, "/metadata/namespace"), text(slice, "/metadata/labels/kubernetes.io~1service-name"));
            let listed = by_service.entry(service).or_default();
            for endpoint in slice["endpoints"].as_array().into_iter().flatten() {
                if endpoint["conditions"]["ready"] == true {
                    assert!(listed.insert(text(endpoint, "/addresses/0")), "an address is in two slices");
                }
            }
        }
        for service in self.of("v1/Service") {
            let (namespace, name) = (text(service, "/metadata/namespace"), text(service, "/metadata/name"));
            let app = &service["spec"]["selector"]["app.kubernetes.io/name"];
            let want: HashSet<&str> = self
                .in_namespace("v1/Pod", namespace)
                .filter(|pod| &pod["metadata"]["labels"]["app.kubernetes.io/name"] == app)
                .filter(|pod| active(pod) && ready(pod))
                .map(|pod| text(pod, "/status/podIP"))
                .collect();
            assert_eq!(by_service.get(&(namespace, name)), Some(&want), "slices of {namespace}/{name}");
            let endpoints = &self.objects[&("v1/Endpoints".to_owned(), namespace.to_owned(), name.to_owned())];
            let addresses = endpoints["subsets"].as_array().into_iter().flatten();
            let listed: HashSet<&str> = addresses
                .filter_map(|subset| subset["addresses"].as_array())
                .flatten()
                .map(|address| text(address, "/ip"))
                .collect();
            assert_eq!(listed, want, "endpoints of {namespace}/{name}");
        }
    }

    fn in_namespace<'a>(&'a self, kind: &str, namespace: &str) -> impl Iterator<Item = &'a Value> {
        let first = (kind.to_owned(), namespace.to_owned(), String::new());
        let (kind, namespace) = (kind.to_owned(), namespace.to_owned());
        self.objects
            .range(first..)
            .take_while(move |((of, within, _), _)| *of == kind && *within == namespace)
            .map(|(_, object)| object)
    }
}
