//! A walk over a pod hands out what the pod holds, without copies.
#![expect(clippy::expect_used, reason = "a helper that can't go on fails its test")]

use k8s_openapi::api::core::v1::Pod;
use ksm_core::resource::enabled_families;
use ksm_core::{AllowLists, Builtin, FamilyFilter, FamilyIndex, Label, Reuse, SampleSink, Samples};
use serde_json::{Value, json};

#[derive(Default)]
struct Count(usize);

impl SampleSink for Count {
    fn identity(&mut self, _: &[Label<'_>]) {}

    fn sample(&mut self, _: FamilyIndex, _: &[Label<'_>], _: f64, _: Reuse) {
        self.0 += 1;
    }
}

fn three_container_pod() -> Pod {
    let names = ["app", "proxy", "logs"];
    let amounts = json!({"cpu": "250m", "memory": "128Mi", "ephemeral-storage": "1Gi"});
    let container =
        |name: &&str| json!({"name": name, "image": "reg/x:1", "resources": {"limits": amounts, "requests": amounts}});
    let status = |name: &&str| {
        json!({"name": name, "image": "reg/x:1", "imageID": "sha256:a", "containerID": "containerd://a", "ready": true,
               "restartCount": 1, "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
               "lastState": {"terminated": {"exitCode": 1, "reason": "Error", "finishedAt": "2026-01-01T00:00:00Z"}}})
    };
    let toleration = |key| json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300});
    let condition = |kind| json!({"type": kind, "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"});
    let conditions = ["Ready", "ContainersReady", "Initialized", "PodScheduled"].map(condition);
    let pod = json!({
        "metadata": {"namespace": "shop", "name": "web", "uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z",
                     "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "x",
                                          "controller": true}]},
        "spec": {"nodeName": "n1", "restartPolicy": "Always", "schedulerName": "s", "serviceAccountName": "web",
                 "containers": names.iter().map(container).collect::<Vec<Value>>(),
                 "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
                 "tolerations": [toleration("a"), toleration("b")]},
        "status": {"phase": "Running", "qosClass": "Guaranteed", "hostIP": "10.0.0.1", "podIP": "10.1.0.1",
                   "podIPs": [{"ip": "10.1.0.1"}], "startTime": "2026-01-01T00:00:00Z",
                   "conditions": conditions,
                   "containerStatuses": names.iter().map(status).collect::<Vec<Value>>()},
    });
    serde_json::from_value(pod).expect("the pod decodes")
}

#[test]
fn a_walk_over_a_three_container_pod_allocates_nothing() {
    let pod = three_container_pod();
    let allow = AllowLists::default();
    let families = enabled_families(Pod::RESOURCE.families, &FamilyFilter::default(), &allow);
    let mut sink = Count::default();
    let counted = allocation_counter::measure(|| {
        (Pod::RESOURCE.collect)(&pod, &mut Samples::new(&families, &allow, &mut sink));
    });
    assert!(sink.0 > 70, "the pod yields its samples: {}", sink.0);
    assert_eq!(counted.count_total, 0, "{counted:?}");
}
