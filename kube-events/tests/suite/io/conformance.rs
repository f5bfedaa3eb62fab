//! The documented events: a cluster in the states that they describe → the lines of a file.

use cluster_sim::Sim;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams};
use kube_events::checkpoint::EventsApi;
use kube_events::pipeline::Pipeline;
use kube_events::sink::file::FileOptions;
use kube_events::sink::{Body, File, OutletOptions};
use kube_events::source::SourceOptions;
use serde_json::{Value, json};

use super::pipeline::{builder, is_ready};
use super::support::*;

/// What the three events of kubernetes-event-exporter's documentation are about, in the state in which they were told.
async fn state(sim: &Sim, object: &Value) {
    let is_terminating = object["deleted"] == true;
    let mut metadata = json!({"name": object["name"], "namespace": object["namespace"], "uid": object["uid"]});
    for key in ["labels", "annotations", "ownerReferences"] {
        if !object[key].is_null() {
            metadata[key] = object[key].clone();
        }
    }
    if is_terminating {
        metadata["finalizers"] = json!(["tests/waits"]);
    }
    let containers = json!([{"name": "c", "image": "i"}]);
    let spec = if object["kind"] == "Pod" {
        json!({"containers": containers})
    } else {
        json!({"replicas": 1, "selector": {"matchLabels": {"k8s-app": "kube-dns"}},
            "template": {"metadata": {"labels": {"k8s-app": "kube-dns"}}, "spec": {"containers": containers}}})
    };
    let (api_version, kind) = (&object["apiVersion"], &object["kind"]);
    sim.upsert(json!({"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec})).unwrap();
    if is_terminating {
        let (name, within) = (object["name"].as_str().unwrap(), object["namespace"].as_str().unwrap());
        let pods = Api::<Pod>::namespaced(sim.client_in_memory(), within);
        pods.delete(name, &DeleteParams::default()).await.unwrap();
    }
}

/// The event as a component writes it: nothing of what is to be looked up is in it.
fn written(documented: &Value) -> Value {
    let mut event = documented.clone();
    (event["apiVersion"], event["kind"]) = (json!("v1"), json!("Event"));
    let drop = |part: &mut Value, keys: &[&str]| {
        for key in keys {
            part.as_object_mut().unwrap().remove(*key);
        }
    };
    drop(&mut event, &["clusterName"]);
    drop(&mut event["metadata"], &["resourceVersion"]);
    drop(&mut event["involvedObject"], &["labels", "annotations", "ownerReferences", "deleted"]);
    event
}

#[tokio::test(start_paused = true)]
async fn the_documented_events_come_out_to_the_letter() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("../../data/enhanced_events.json")).unwrap();
    let documented: Vec<&Value> = cases.iter().map(|case| &case["event"]).collect();
    let sim = Sim::builder().objects([namespace("kube-system"), namespace("rnathani")]).start().await.unwrap();
    for event in &documented {
        state(&sim, &event["involvedObject"]).await;
        sim.upsert(written(event)).unwrap();
    }
    for api in [EventsApi::Core, EventsApi::Events] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events.log");
        let pipeline: Pipeline = builder(&sim)
            .api(api)
            .cluster_name("my-super-local-cluster")
            .source_options(SourceOptions { max_age: None, ..SourceOptions::default() })
            .receiver("file", File::new(FileOptions::new(&path), Body::json()), OutletOptions::default())
            .spawn()
            .await
            .unwrap();
        is_ready(&pipeline).await;
        pipeline.shutdown().await;
        let text = std::fs::read_to_string(&path).unwrap();
        let mut got: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(got.len(), 3, "{api}");
        for expected in &documented {
            let uid = &expected["metadata"]["uid"];
            let event = got.iter_mut().find(|event| &event["metadata"]["uid"] == uid).unwrap();
            // The version is the server's to give.
            let version = event["metadata"]["resourceVersion"].as_str().unwrap();
            assert!(version.parse::<u64>().unwrap() > 0);
            event["metadata"]["resourceVersion"] = expected["metadata"]["resourceVersion"].clone();
            assert_eq!(event, *expected, "{api}");
        }
    }
}
