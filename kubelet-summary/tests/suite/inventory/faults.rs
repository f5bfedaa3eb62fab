use std::time::Duration;

use cluster_sim::{Fault, ObjectRef, Sim, Verb};
use kubelet_summary::Scope;
use kubelet_summary::inventory::{Inventory, Kind, NotReady};
use tokio::time::timeout;

use super::support::{labelled, names, node, pod};

async fn cluster() -> Sim {
    let sim = Sim::builder().start().await.unwrap();
    sim.upsert(node("n", "10.0.0.1")).unwrap();
    for (name, uid) in [("one", "1"), ("two", "2")] {
        sim.upsert(pod("a", name, uid, "n")).unwrap();
    }
    sim
}

fn one() -> ObjectRef {
    ObjectRef::new("v1", "Pod", "one").within("a")
}

#[tokio::test(start_paused = true)]
async fn a_forbidden_list_is_told_and_ends_well() {
    let sim = cluster().await;
    sim.faults().add(Fault::on(Verb::List).resource("pods").count(3).status(403));
    let inventory = Inventory::builder(sim.client_in_memory()).spawn();
    inventory.wait_for(|status| status.pods.failing.is_some()).await;
    let error = inventory.select(&labelled("!app")).unwrap_err();
    assert!(matches!(error, NotReady::Failing { kind: Kind::Pods, .. }), "{error}");
    assert!(error.to_string().contains("grant `list` and `watch`"), "{error}");
    inventory.ready().await.unwrap();
    assert_eq!(names(&inventory, &Scope::all()), ["a/one@n", "a/two@n"]);
    assert!(inventory.status().behind().is_none());
    sim.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_version_that_is_gone_costs_no_pod() {
    let sim = cluster().await;
    let inventory = Inventory::builder(sim.client_in_memory()).spawn();
    inventory.ready().await.unwrap();

    // The watch is told 410; the list after it takes its time, and what is known stays meanwhile.
    sim.faults().add(Fault::on(Verb::List).resource("pods").latency(Duration::from_secs(30)));
    sim.faults().add(Fault::on(Verb::Watch).resource("pods").count(1).status(410));
    sim.delete(&one()).unwrap();
    sim.upsert(pod("a", "three", "3", "n")).unwrap();
    sim.restart();
    sim.compact_now();
    inventory.wait_for(|status| status.pods.failing.is_some()).await;
    assert!(names(&inventory, &Scope::all()).contains(&"a/two@n".to_owned()));
    let expected = ["a/three@n", "a/two@n"];
    inventory.wait_for(|_| names(&inventory, &Scope::all()) == expected).await;
    sim.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_disconnect_during_a_list_never_empties_the_view() {
    let sim = cluster().await;
    let inventory = Inventory::builder(sim.client_in_memory()).spawn();
    inventory.ready().await.unwrap();
    sim.faults().add(Fault::on(Verb::Watch).resource("pods").count(1).status(410));
    sim.faults().add(Fault::on(Verb::List).resource("pods").count(3).reset_mid_body());
    sim.delete(&one()).unwrap();
    sim.restart();
    sim.compact_now();
    let mut seen = 0;
    inventory
        .wait_for(|_| {
            let names = names(&inventory, &Scope::all());
            assert!(names.contains(&"a/two@n".to_owned()), "{names:?}");
            seen += 1;
            names == ["a/two@n"]
        })
        .await;
    assert!(seen > 1);
    sim.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_known_is_answered_while_the_server_fails() {
    let sim = cluster().await;
    let inventory = Inventory::builder(sim.client_in_memory()).spawn();
    inventory.ready().await.unwrap();
    sim.faults().add(Fault::on_any().status(503));
    sim.restart();
    inventory.wait_for(|status| status.pods.failing.is_some() && status.nodes.failing.is_some()).await;
    tokio::time::sleep(Duration::from_mins(10)).await;
    assert_eq!(names(&inventory, &labelled("app=one")), ["a/one@n"]);
    let behind = inventory.status().behind().unwrap();
    assert!(behind >= Duration::from_mins(10) && behind < Duration::from_mins(11), "{behind:?}");

    sim.faults().clear();
    sim.upsert(pod("a", "three", "3", "n")).unwrap();
    sim.upsert(node("n", "10.0.0.2")).unwrap();
    inventory.wait_for(|status| status.behind().is_none() && status.known_pods == 3).await;
    timeout(Duration::from_secs(10), inventory.shutdown()).await.unwrap();
    sim.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn dropping_the_last_handle_stops_the_watches() {
    let sim = cluster().await;
    let inventory = Inventory::builder(sim.client_in_memory()).spawn();
    inventory.ready().await.unwrap();
    drop(inventory);
    let asked = sim.requests().total();
    tokio::time::sleep(Duration::from_hours(1)).await;
    assert_eq!(sim.requests().total(), asked);
    sim.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_quiet_watch_is_not_behind_for_ever() {
    let sim = cluster().await;
    let inventory = Inventory::builder(sim.client_in_memory()).spawn();
    inventory.ready().await.unwrap();
    sim.faults().add(Fault::on(Verb::Watch).resource("pods").count(3).status(503));
    sim.restart();
    inventory.wait_for(|status| status.pods.failing.is_some()).await;
    // Nothing changes in the cluster.
    let well = inventory.wait_for(|status| status.behind().is_none());
    timeout(Duration::from_mins(10), well).await.unwrap();
    sim.shutdown().await;
}
