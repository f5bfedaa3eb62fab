//! Pods.

use k8s_openapi::api::core::v1::Pod;
use ksm_core::{Builtin, FamilySet};
use serde_json::{Value, json};

use super::{lines, lines_of, render};

fn web() -> Value {
    json!({
        "metadata": {
            "namespace": "shop", "name": "web-1", "uid": "u1",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "deletionTimestamp": "2026-01-02T00:00:00Z",
            "ownerReferences": [
                {"apiVersion": "v1", "kind": "Team", "name": "a", "uid": "x"},
                {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "y", "controller": true},
            ],
        },
        "spec": {
            "nodeName": "n1", "restartPolicy": "Always", "schedulerName": "default-scheduler",
            "serviceAccountName": "web", "priorityClassName": "high", "hostNetwork": true, "runtimeClassName": "kata",
            "overhead": {"cpu": "250m", "memory": "120Mi"},
            "nodeSelector": {"disk/type": "ssd"},
            "tolerations": [{"key": "k", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}],
            "volumes": [
                {"name": "data", "persistentVolumeClaim": {"claimName": "data-0", "readOnly": true}},
                {"name": "tmp", "ephemeral": {"volumeClaimTemplate": {"spec": {}}}},
                {"name": "empty", "emptyDir": {}},
            ],
            "resourceClaims": [
                {"name": "gpu", "resourceClaimTemplateName": "gpus"},
                {"name": "nic", "resourceClaimName": "nic-7"},
                {"name": "neither"},
            ],
            "containers": [{
                "name": "app", "image": "app:1",
                "resources": {"limits": {"cpu": "1", "nvidia.com/gpu": "1"}, "requests": {"memory": "64Mi"}},
            }],
            "initContainers": [{
                "name": "init", "image": "init:1", "restartPolicy": "Always",
                "resources": {"requests": {"ephemeral-storage": "1Gi"}},
            }],
        },
        "status": {
            "phase": "Running", "qosClass": "Burstable", "hostIP": "10.0.0.1", "podIP": "10.1.0.1",
            "podIPs": [{"ip": "10.1.0.1"}, {"ip": "fd00::1"}, {"ip": "no address"}],
            "startTime": "2026-01-01T00:00:01Z",
            "resourceClaimStatuses": [{"name": "gpu", "resourceClaimName": "gpus-x"}],
            "conditions": [
                {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:05Z"},
                {"type": "ContainersReady", "status": "True", "lastTransitionTime": "2026-01-01T00:00:04Z"},
                {"type": "Initialized", "status": "True", "lastTransitionTime": "2026-01-01T00:00:03Z"},
                {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-01-01T00:00:02Z"},
                {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"},
            ],
            "containerStatuses": [{
                "name": "app", "image": "reg/app:1", "imageID": "sha256:a", "containerID": "c://a",
                "ready": true, "restartCount": 3,
                "state": {"running": {"startedAt": "2026-01-01T00:00:06Z"}},
                "lastState": {"terminated": {
                    "exitCode": 137, "reason": "OOMKilled", "finishedAt": "2026-01-01T00:00:05Z"}},
            }],
            "initContainerStatuses": [{
                "name": "init", "image": "reg/init:1", "imageID": "sha256:i", "containerID": "c://i",
                "ready": true, "restartCount": 0,
                "state": {"terminated": {"exitCode": 0, "reason": "Completed", "startedAt": "2026-01-01T00:00:02Z"}},
            }],
        },
    })
}

#[test]
fn a_pod_yields_its_samples_with_labels_in_upstreams_order() {
    let want = r#"
kube_pod_container_info{container="app",image_spec="app:1",image="reg/app:1",image_id="sha256:a",container_id="c://a"} 1
kube_pod_container_resource_limits{container="app",node="n1",resource="cpu",unit="core"} 1
kube_pod_container_resource_limits{container="app",node="n1",resource="nvidia_com_gpu",unit="integer"} 1
kube_pod_container_resource_requests{container="app",node="n1",resource="memory",unit="byte"} 6.7108864e+07
kube_pod_container_state_started{container="app"} 1.767225606e+09
kube_pod_container_status_last_terminated_reason{container="app",reason="OOMKilled"} 1
kube_pod_container_status_last_terminated_exitcode{container="app"} 137
kube_pod_container_status_last_terminated_timestamp{container="app"} 1.767225605e+09
kube_pod_container_status_ready{container="app"} 1
kube_pod_container_status_restarts_total{container="app"} 3
kube_pod_container_status_running{container="app"} 1
kube_pod_container_status_terminated{container="app"} 0
kube_pod_container_status_waiting{container="app"} 0
kube_pod_created{} 1.7672256e+09
kube_pod_deletion_timestamp{} 1.767312e+09
kube_pod_info{host_ip="10.0.0.1",pod_ip="10.1.0.1",node="n1",created_by_kind="ReplicaSet",created_by_name="web",priority_class="high",host_network="true"} 1
kube_pod_ips{ip="10.1.0.1",ip_family="4"} 1
kube_pod_ips{ip="fd00::1",ip_family="6"} 1
kube_pod_init_container_info{container="init",image_spec="init:1",image="reg/init:1",image_id="sha256:i",container_id="c://i",restart_policy="Always"} 1
kube_pod_init_container_resource_requests{container="init",node="n1",resource="ephemeral_storage",unit="byte"} 1.073741824e+09
kube_pod_init_container_state_started{container="init"} 1.767225602e+09
kube_pod_init_container_status_ready{container="init"} 1
kube_pod_init_container_status_restarts_total{container="init"} 0
kube_pod_init_container_status_running{container="init"} 0
kube_pod_init_container_status_terminated{container="init"} 1
kube_pod_init_container_status_terminated_reason{container="init",reason="Completed"} 1
kube_pod_init_container_status_waiting{container="init"} 0
kube_pod_overhead_cpu_cores{} 0.25
kube_pod_overhead_memory_bytes{} 1.2582912e+08
kube_pod_owner{owner_kind="Team",owner_name="a",owner_is_controller="false"} 1
kube_pod_owner{owner_kind="ReplicaSet",owner_name="web",owner_is_controller="true"} 1
kube_pod_resourceclaim_info{claim_name="gpu",resourceclaim_name="gpus-x",resourceclaim_template_name="gpus"} 1
kube_pod_resourceclaim_info{claim_name="nic",resourceclaim_name="nic-7",resourceclaim_template_name=""} 1
kube_pod_restart_policy{type="Always"} 1
kube_pod_runtimeclass_name_info{runtimeclass_name="kata"} 1
kube_pod_spec_volumes_persistentvolumeclaims_info{volume="data",persistentvolumeclaim="data-0",ephemeral="false"} 1
kube_pod_spec_volumes_persistentvolumeclaims_info{volume="tmp",persistentvolumeclaim="web-1-tmp",ephemeral="true"} 1
kube_pod_spec_volumes_persistentvolumeclaims_readonly{volume="data",persistentvolumeclaim="data-0",ephemeral="false"} 1
kube_pod_spec_volumes_persistentvolumeclaims_readonly{volume="tmp",persistentvolumeclaim="web-1-tmp",ephemeral="true"} 0
kube_pod_start_time{} 1.767225601e+09
kube_pod_status_phase{phase="Pending"} 0
kube_pod_status_phase{phase="Succeeded"} 0
kube_pod_status_phase{phase="Failed"} 0
kube_pod_status_phase{phase="Unknown"} 0
kube_pod_status_phase{phase="Running"} 1
kube_pod_status_qos_class{qos_class="BestEffort"} 0
kube_pod_status_qos_class{qos_class="Burstable"} 1
kube_pod_status_qos_class{qos_class="Guaranteed"} 0
kube_pod_status_ready{condition="true"} 1
kube_pod_status_ready{condition="false"} 0
kube_pod_status_ready{condition="unknown"} 0
kube_pod_status_ready_time{} 1.767225605e+09
kube_pod_status_initialized_time{} 1.767225603e+09
kube_pod_status_container_ready_time{} 1.767225604e+09
kube_pod_status_disruption_reason{reason="EvictionByEvictionAPI"} 1
kube_pod_status_scheduled{condition="true"} 1
kube_pod_status_scheduled{condition="false"} 0
kube_pod_status_scheduled{condition="unknown"} 0
kube_pod_status_scheduled_time{} 1.767225602e+09
kube_pod_tolerations{key="k",operator="Exists",value="",effect="NoExecute",toleration_seconds="300"} 1
kube_pod_service_account{service_account="web"} 1
kube_pod_scheduler{name="default-scheduler"} 1
"#;
    let identity = r#"namespace="shop",pod="web-1",uid="u1""#;
    let got: Vec<String> = lines::<Pod>(&web())
        .iter()
        .map(|line| line.replacen(&format!("{identity},"), "", 1).replacen(identity, "", 1))
        .collect();
    assert_eq!(got, want.trim().lines().collect::<Vec<_>>());
    assert!(lines::<Pod>(&web()).iter().all(|line| line.contains(&format!("{{{identity}"))));
}

#[test]
fn families_that_are_off_yield_nothing() {
    assert_eq!(render::<Pod>(&web(), &FamilySet::default()).unwrap(), [""; 0]);
}

#[test]
fn each_family_alone_yields_what_it_yields_among_all() {
    let all = render::<Pod>(&web(), &FamilySet::all(Pod::RESOURCE.families.len())).unwrap();
    let alone: Vec<String> = (0..Pod::RESOURCE.families.len())
        .flat_map(|index| render::<Pod>(&web(), &[index].into_iter().collect()).unwrap())
        .collect();
    assert_eq!(all, alone);
}

#[test]
fn node_selectors_are_sanitised_labels_and_there_even_when_empty() {
    let want = r#"kube_pod_nodeselectors{namespace="shop",pod="web-1",uid="u1",nodeselector_disk_type="ssd"} 1"#;
    assert_eq!(lines_of::<Pod>("kube_pod_nodeselectors", &web()), [want]);
    let bare = json!({"metadata": {"name": "a"}});
    let want = r#"kube_pod_nodeselectors{namespace="",pod="a",uid=""} 1"#;
    assert_eq!(lines_of::<Pod>("kube_pod_nodeselectors", &bare), [want]);
}

fn tails(family: &str, object: &Value) -> Vec<String> {
    let head = format!("{family}{{namespace=\"\",pod=\"a\",uid=\"\"");
    let lines = lines_of::<Pod>(family, object);
    lines.iter().map(|line| line.strip_prefix(&head).unwrap().trim_start_matches(',').to_owned()).collect()
}

#[test]
fn a_reason_counts_wherever_it_stands_and_unknown_ones_only_in_the_status() {
    let pod = json!({
        "metadata": {"name": "a"},
        "status": {
            "reason": "Evicted",
            "conditions": [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"},
                           {"type": "Ready", "status": "False", "reason": "Whatever"}],
            "containerStatuses": [{"name": "c", "state": {"terminated": {"exitCode": 1, "reason": "NodeLost"}}},
                                  {"name": "d", "lastState": {"terminated": {"exitCode": 1, "reason": "Shutdown"}}}],
            "initContainerStatuses": [{"name": "i", "state": {"terminated": {"exitCode": 1, "reason": "NodeAffinity"}}}],
        },
    });
    let reasons = [r#"reason="Evicted"} 1"#, r#"reason="NodeLost"} 1"#, r#"reason="SchedulingGated"} 1"#];
    assert_eq!(tails("kube_pod_status_reason", &pod), reasons);
    let pod = json!({"metadata": {"name": "a"}, "status": {"reason": "Tired"}});
    assert_eq!(tails("kube_pod_status_reason", &pod), [r#"reason="Other"} 1"#]);
}

#[test]
fn an_unknown_disruption_is_an_other_one() {
    let conditions = json!([{"type": "DisruptionTarget", "status": "True", "reason": "Quake"}]);
    let pod = json!({"metadata": {"name": "a"}, "status": {"conditions": conditions}});
    assert_eq!(tails("kube_pod_status_disruption_reason", &pod), [r#"reason="Other"} 1"#]);
}

#[test]
fn a_pod_without_node_says_so_and_since_when() {
    let condition = json!({"type": "PodScheduled", "status": "False", "lastTransitionTime": "2026-01-01T00:00:00Z"});
    let pod = json!({"metadata": {"name": "a"}, "status": {"conditions": [condition]}});
    assert_eq!(tails("kube_pod_status_unschedulable", &pod), ["} 1"]);
    assert_eq!(tails("kube_pod_status_unscheduled_time", &pod), ["} 1.7672256e+09"]);
    assert_eq!(tails("kube_pod_status_scheduled_time", &pod), [""; 0]);
}

#[test]
fn a_pod_completes_when_its_last_container_ends() {
    let ended = |at: &str| json!({"name": "c", "state": {"terminated": {"exitCode": 0, "finishedAt": at}}});
    let statuses = [ended("2026-01-01T00:00:00Z"), ended("2026-01-01T00:00:09Z"), ended("2026-01-01T00:00:01Z")];
    let pod = json!({"metadata": {"name": "a"}, "status": {"containerStatuses": statuses}});
    assert_eq!(tails("kube_pod_completion_time", &pod), ["} 1.767225609e+09"]);
    let pod = json!({"metadata": {"name": "a"}, "status": {"initContainerStatuses": statuses}});
    assert_eq!(tails("kube_pod_completion_time", &pod), [""; 0]);
}

#[test]
fn no_time_is_no_sample() {
    for none in [json!(null), json!("0001-01-01T00:00:00Z")] {
        let pod = json!({
            "metadata": {"name": "a", "creationTimestamp": none, "deletionTimestamp": none},
            "status": {
                "startTime": none,
                "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": none}],
                "containerStatuses": [
                    {"name": "c", "state": {"running": {"startedAt": none}}},
                    {"name": "d", "state": {"terminated": {"exitCode": 1, "startedAt": none, "finishedAt": none}},
                     "lastState": {"terminated": {"exitCode": 1, "finishedAt": none}}},
                ],
            },
        });
        let times = lines::<Pod>(&pod);
        let times: Vec<_> = times
            .iter()
            .filter(|l| ["_time{", "_created{", "_timestamp{", "_started{"].iter().any(|t| l.contains(t)))
            .collect();
        assert_eq!(times, [""; 0], "{none}");
    }
}

#[test]
fn a_toleration_that_stands_twice_is_one_sample() {
    let toleration = |n: usize| json!({"key": format!("k{n}"), "operator": "Exists"});
    for distinct in [3, 40] {
        let mut tolerations: Vec<Value> = (0..distinct).map(toleration).collect();
        tolerations.extend((0..distinct).map(toleration));
        tolerations.push(json!({"key": "k0", "operator": "Exists", "tolerationSeconds": 0}));
        let pod = json!({"metadata": {"name": "a"}, "spec": {"tolerations": tolerations}});
        let got = tails("kube_pod_tolerations", &pod);
        assert_eq!(got.len(), distinct + 1);
        assert_eq!(got[1], r#"key="k1",operator="Exists",value="",effect="",toleration_seconds=""} 1"#);
        assert_eq!(got[distinct], r#"key="k0",operator="Exists",value="",effect="",toleration_seconds="0"} 1"#);
    }
}

#[test]
fn a_claim_that_is_not_made_yet_has_no_name() {
    let claims = json!([{"name": "gpu", "resourceClaimTemplateName": "gpus"}]);
    let pod = json!({"metadata": {"name": "a"}, "spec": {"resourceClaims": claims}});
    let want = r#"claim_name="gpu",resourceclaim_name="",resourceclaim_template_name="gpus"} 1"#;
    assert_eq!(tails("kube_pod_resourceclaim_info", &pod), [want]);
}

#[test]
fn without_owner_there_is_an_owner_sample_that_says_so() {
    let pod = json!({"metadata": {"name": "a"}});
    assert_eq!(tails("kube_pod_owner", &pod), [r#"owner_kind="",owner_name="",owner_is_controller=""} 1"#]);
}
