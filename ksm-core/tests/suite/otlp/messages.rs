//! Object → messages.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ksm_core::otlp::{MessageOptions, SCHEMA_URL, requests};
use ksm_core::{Family, FamilyIndex, MemoryStore, MetricType, ObjectKey, Reuse, Snapshot, Store, StoredObject};
use prost::Message;
use serde_json::{Value, json};

use super::support::{lines, options, snapshots};

fn pod() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"namespace": "shop", "name": "web", "uid": "u1", "creationTimestamp": "1970-01-01T00:10:00Z"},
        "spec": {"nodeName": "n1", "containers": [{"name": "app", "image": "i"}, {"name": "side", "image": "i"}]},
        "status": {"phase": "Running", "containerStatuses": [
            {"name": "app", "image": "i", "imageID": "x", "ready": true, "restartCount": 3, "state": {"running": {}}},
            {"name": "side", "image": "i", "imageID": "x", "ready": false, "restartCount": 0, "state": {"running": {}}},
        ]},
    })
}

fn object(api_version: &str, kind: &str, metadata: &Value, spec: &Value) -> Value {
    json!({"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec})
}

fn all(snapshots: &[Arc<Snapshot>], options: &MessageOptions) -> Vec<String> {
    requests(snapshots, options).flat_map(|request| lines(&request)).collect()
}

#[test]
fn a_pod_and_its_containers_are_resources() {
    let families = ["^kube_pod_created$", "^kube_pod_status_ready$", "restarts_total", "container_status_ready"];
    let cluster = options().attribute("k8s.cluster.name", "prod").attribute("k8s.pod.name", "the agent's own");
    let of_pod = "k8s.namespace.name=shop,k8s.pod.name=web,k8s.pod.uid=u1,k8s.cluster.name=prod";
    let app = format!("{of_pod},k8s.container.name=app");
    let side = format!("{of_pod},k8s.container.name=side");
    let restarts = "kube_pod_container_status_restarts_total sum ";
    assert_eq!(
        all(&snapshots(&[pod()], &families), &cluster),
        [
            format!("{app} | kube_pod_container_status_ready gauge |  | 1"),
            format!("{app} | {restarts}|  | 3 since 600"),
            format!("{side} | kube_pod_container_status_ready gauge |  | 0"),
            format!("{side} | {restarts}|  | 0 since 600"),
            format!("{of_pod} | kube_pod_created gauge |  | 600"),
        ]
    );
}

#[test]
fn labels_that_are_no_resources_stay_with_the_point() {
    let lines = all(&snapshots(&[pod()], &["^kube_pod_info$", "^kube_pod_status_phase$"]), &options());
    let resource = "k8s.namespace.name=shop,k8s.pod.name=web,k8s.pod.uid=u1";
    // Empty ones (addresses, the controller) are none.
    assert_eq!(lines[0], format!("{resource} | kube_pod_info gauge | node=n1,host_network=false | 1"));
    assert!(lines.contains(&format!("{resource} | kube_pod_status_phase gauge | phase=Running | 1")), "{lines:#?}");
    assert_eq!(lines.len(), 1 + 5);
}

#[test]
fn kinds_are_named_by_the_conventions() {
    let created = json!("1970-01-01T00:00:07Z");
    let meta = |name: &str| json!({"namespace": "a", "name": name, "uid": "u", "creationTimestamp": created});
    let objects = [
        object("v1", "Node", &json!({"name": "n", "creationTimestamp": created}), &json!({})),
        object("apps/v1", "Deployment", &meta("d"), &json!({"selector": {}, "template": {}})),
        object("batch/v1", "Job", &meta("j"), &json!({"template": {}})),
        object("v1", "Namespace", &json!({"name": "a", "creationTimestamp": created}), &json!({})),
        object("coordination.k8s.io/v1", "Lease", &meta("l"), &json!({"renewTime": "1970-01-01T00:00:07.000000Z"})),
    ];
    assert_eq!(
        all(&snapshots(&objects, &["_created$", "lease_renew"]), &options()),
        [
            "k8s.node.name=n | kube_node_created gauge |  | 7",
            "k8s.namespace.name=a,k8s.deployment.name=d | kube_deployment_created gauge |  | 7",
            "k8s.namespace.name=a | kube_namespace_created gauge |  | 7",
            "k8s.namespace.name=a,k8s.job.name=j | kube_job_created gauge |  | 7",
            "k8s.lease.name=l | kube_lease_renew_time gauge | namespace=a | 7",
        ]
    );
}

/// Family, labels, value.
type Sample<'a> = (u16, &'a [(&'a str, &'a str)], f64);

/// A resource of a host's, and samples of its one object.
fn custom(
    families: &[Family],
    identity: &[(&str, &str)],
    extra: &[(&str, &str)],
    samples: &[Sample<'_>],
) -> Vec<Arc<Snapshot>> {
    let store = MemoryStore::new(families);
    let object = StoredObject { key: ObjectKey::from_uid("u"), version: None };
    store.apply(&object, &mut |sink| {
        sink.identity(identity);
        for (family, labels, value) in samples {
            sink.sample(FamilyIndex(*family), labels, *value, Reuse::Shared);
        }
        sink.extra_labels(extra);
    });
    store.publish();
    vec![store.snapshot()]
}

#[test]
fn custom_resources_keep_their_labels() {
    let families = [
        Family::dynamic("my_info", "Says.", MetricType::Info),
        Family::dynamic("my_state", "Says.", MetricType::StateSet),
        Family::dynamic("my_wait_seconds_total", "Says.", MetricType::Counter),
    ];
    let identity = [("customresource_kind", "Cat"), ("pod", "not its name"), ("namespace", "a")];
    let samples: [Sample<'_>; 3] =
        [(0, &[("container", "c")], 1.0), (1, &[("my_state", "\"on\"\n")], 1.0), (2, &[], 2.5)];
    let resource = "customresource_kind=Cat,pod=not its name,namespace=a";
    let want = |since: &str| {
        [
            format!("{resource} | my_info gauge | container=c | 1"),
            format!("{resource} | my_state gauge | my_state=\"on\"\n | 1"),
            format!("{resource} | my_wait_seconds_total sum s|  | 2.5{since}"),
        ]
    };
    let snapshots = custom(&families, &identity, &[], &samples);
    assert_eq!(all(&snapshots, &options()), want(""));
    // Nobody knows when the object was created: its counter counts since it was seen.
    let since = options().counters_since(SystemTime::UNIX_EPOCH + Duration::from_mins(25));
    assert_eq!(all(&snapshots, &since), want(" since 1500"));
}

#[test]
fn a_start_is_never_after_its_point() {
    let families = [Family::gauge("x_created", "Says."), Family::counter("x_total", "Says.")];
    for (created, want) in [(1_999.5, " since 1999"), (9_999.0, ""), (-5.0, ""), (f64::NAN, ""), (f64::INFINITY, "")] {
        let lines = all(&custom(&families, &[("x", "y")], &[], &[(0, &[], created), (1, &[], 1.0)]), &options());
        assert_eq!(lines[1], format!("x=y | x_total sum |  | 1{want}"), "{created}");
    }
}

#[test]
fn labels_of_hooks_describe_the_resource() {
    let families = [Family::gauge("kube_pod_a", "Says."), Family::gauge("kube_pod_b", "Says.")];
    let samples: [Sample<'_>; 2] = [(0, &[], 1.0), (1, &[("zone", "own")], 2.0)];
    let snapshots = custom(&families, &[("namespace", "a"), ("pod", "p")], &[("team", "x"), ("zone", "z")], &samples);
    let resource = "k8s.namespace.name=a,k8s.pod.name=p,team=x,zone=z";
    assert_eq!(
        all(&snapshots, &options()),
        [format!("{resource} | kube_pod_a gauge |  | 1"), format!("{resource} | kube_pod_b gauge | zone=own | 2")]
    );
}

#[test]
fn families_that_are_off_and_objects_that_left_are_not_seen() {
    let store = MemoryStore::new(&[Family::gauge("a", "Says."), Family::gauge("b", "Says.")]);
    for uid in ["1", "2"] {
        let object = StoredObject { key: ObjectKey::from_uid(uid), version: None };
        store.apply(&object, &mut |sink| {
            sink.identity(&[("x", uid)]);
            sink.sample(FamilyIndex(0), &[], 1.0, Reuse::Shared);
            sink.sample(FamilyIndex(1), &[], 1.0, Reuse::Unique);
        });
    }
    store.delete(ObjectKey::from_uid("1"));
    store.set_visible([1].into_iter().collect());
    store.publish();
    assert_eq!(all(&[store.snapshot()], &options()), ["x=2 | b gauge |  | 1"]);
    store.delete(ObjectKey::from_uid("2"));
    store.publish();
    assert!(requests(&[store.snapshot()], &options()).next().is_none(), "no empty message");
}

#[test]
fn scope_schema_and_help_stand_in_the_message() {
    let snapshots = snapshots(&[pod()], &["^kube_pod_created$"]);
    let with = requests(&snapshots, &options()).next().unwrap();
    let resource = &with.resource_metrics[0];
    let scope = resource.scope_metrics[0].scope.as_ref().unwrap();
    assert_eq!((scope.name.as_str(), scope.version.as_str()), ("ksm-core", env!("CARGO_PKG_VERSION")));
    assert_eq!(resource.schema_url, SCHEMA_URL);
    let help = |request: &ksm_core::otlp::proto::collector::metrics::v1::ExportMetricsServiceRequest| {
        request.resource_metrics[0].scope_metrics[0].metrics[0].description.clone()
    };
    assert_eq!(help(&with), "When the pod was created, in Unix seconds.");
    assert_eq!(help(&requests(&snapshots, &options().descriptions(false)).next().unwrap()), "");
}

/// Pods of differing length, as many samples as they have.
fn many_pods() -> (Vec<Arc<Snapshot>>, Vec<String>) {
    let pods: Vec<Value> = (0..300)
        .map(|n| {
            let mut pod = pod();
            pod["metadata"]["name"] = json!(format!("{n}-{}", "x".repeat(n)));
            pod["metadata"]["uid"] = json!(n.to_string());
            pod
        })
        .collect();
    let snapshots = snapshots(&pods, &["^kube_pod_"]);
    let mut lines = all(&snapshots, &options());
    lines.sort();
    (snapshots, lines)
}

#[test]
fn messages_keep_to_their_limits_and_lose_nothing() {
    let (snapshots, want) = many_pods();
    assert!(want.len() > 300 * 20, "{}", want.len());
    for (max_points, max_bytes) in [(8_192, 4 << 20), (500, 4 << 20), (8_192, 20_000), (7, 4 << 20), (8_192, 900)] {
        let options = options().max_points(max_points).max_bytes(max_bytes);
        let mut got = Vec::new();
        let mut messages = 0;
        for request in requests(&snapshots, &options) {
            let lines = lines(&request);
            assert!(lines.len() <= max_points, "{} points of {max_points}", lines.len());
            let bytes = request.encoded_len();
            assert!(bytes <= max_bytes || lines.len() == 1, "{} points in {bytes} bytes of {max_bytes}", lines.len());
            got.extend(lines);
            messages += 1;
        }
        assert!(messages >= want.len() / max_points, "{messages}");
        got.sort();
        assert!(got == want, "{max_points} points, {max_bytes} bytes");
    }
}

#[test]
fn limits_are_used_well() {
    let (snapshots, want) = many_pods();
    let fullest = options().max_points(1_000);
    let messages = requests(&snapshots, &fullest).count();
    // An object (some 20 points) is not split without need.
    assert!(messages <= want.len() / 900 + 1, "{messages} messages for {} points", want.len());
    let bytes: Vec<usize> =
        requests(&snapshots, &options().max_bytes(100_000)).map(|request| request.encoded_len()).collect();
    let mean = bytes.iter().sum::<usize>() / bytes.len();
    assert!(mean > 80_000, "{mean} bytes of 100,000 on average");
}
