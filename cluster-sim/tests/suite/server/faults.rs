//! Fault → what the client sees.

use std::time::Duration;

use cluster_sim::{Fault, ObjectRef, Sim, Verb};
use futures::{FutureExt, StreamExt};
use http::Method;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::support::{CONFIG_MAPS, Client, config_map, event};

async fn sim() -> (Sim, Client) {
    let sim = Sim::builder().objects(["a", "b", "c"].map(config_map)).start().await.unwrap();
    let client = Client::new(&sim);
    (sim, client)
}

fn stored(sim: &Sim, name: &str) -> bool {
    sim.get(&ObjectRef::new("v1", "ConfigMap", name).within("default")).unwrap().is_some()
}

#[tokio::test]
async fn latency_answers_later() {
    let (sim, client) = sim().await;
    sim.faults().add(Fault::on(Verb::List).latency(Duration::from_millis(120)));
    let started = Instant::now();
    assert_eq!(client.get(CONFIG_MAPS).await.names(), ["a", "b", "c"]);
    assert!(started.elapsed() >= Duration::from_millis(120));
}

#[tokio::test]
async fn a_status_is_answered_instead() {
    let (sim, client) = sim().await;
    let id = sim.faults().add(Fault::on(Verb::Create).resource("configmaps").count(1).status(429).retry_after(7));
    let refused = client.post(CONFIG_MAPS, config_map("new")).await;
    assert_eq!(refused.failure(), (429, "TooManyRequests".to_owned()));
    assert_eq!(refused.headers["retry-after"], "7");
    assert_eq!(refused.json()["details"]["retryAfterSeconds"], 7);
    assert!(!stored(&sim, "new"));
    assert_eq!(client.post(CONFIG_MAPS, config_map("new")).await.code, 201);
    assert_eq!(sim.faults().spoiled(id), 1);
}

#[tokio::test]
async fn a_watch_is_told_gone_by_status() {
    let (sim, client) = sim().await;
    sim.faults().add(Fault::on(Verb::Watch).status(410));
    let answer = client.get(&format!("{CONFIG_MAPS}?watch=true&resourceVersion=1")).await;
    assert_eq!(answer.failure(), (410, "Expired".to_owned()));
}

#[tokio::test]
async fn a_reset_before_the_answer_does_nothing() {
    let (sim, client) = sim().await;
    sim.faults().add(Fault::on(Verb::Create).reset_before());
    let body = config_map("new").to_string().into_bytes();
    let headers = [("content-type", "application/json")];
    assert!(client.open(Method::POST, CONFIG_MAPS, &headers, body).await.is_err());
    assert!(!stored(&sim, "new"));
    let last = sim.requests().newest().pop().unwrap();
    assert_eq!((last.verb, last.status), (Verb::Create, None));
}

#[tokio::test]
async fn a_reset_within_the_body_comes_after_the_deed() {
    let (sim, client) = sim().await;
    sim.faults().add(Fault::on(Verb::Create).reset_mid_body());
    let body = config_map("new").to_string().into_bytes();
    let response = client.open(Method::POST, CONFIG_MAPS, &[("content-type", "application/json")], body).await;
    // Whether the head arrives before the reset is the network's choice; the whole body never does.
    if let Ok(response) = response {
        assert_eq!(response.status().as_u16(), 201);
        assert!(response.into_body().collect().await.is_err());
    }
    assert!(stored(&sim, "new"));
}

#[tokio::test]
async fn a_watch_is_reset_within_an_event() {
    let (sim, client) = sim().await;
    sim.faults().add(Fault::on(Verb::Watch).reset_mid_body());
    let path = format!("{CONFIG_MAPS}?watch=true");
    if let Ok(response) = client.open(Method::GET, &path, &[], Vec::new()).await {
        let pieces: Vec<_> = response.into_body().into_data_stream().collect().await;
        assert!(pieces.last().unwrap().is_err());
    }
}

#[tokio::test]
async fn a_truncated_answer_ends_properly() {
    let (sim, client) = sim().await;
    let whole = client.get(CONFIG_MAPS).await.body;
    sim.faults().add(Fault::on(Verb::List).truncate());
    let cut = client.get(CONFIG_MAPS).await;
    assert_eq!((cut.code, &cut.body), (200, &whole.slice(..whole.len() / 2)));
    assert!(serde_json::from_slice::<Value>(&cut.body).is_err());
}

#[tokio::test]
async fn a_trickling_answer_takes_its_time() {
    let (sim, client) = sim().await;
    let whole = client.get(CONFIG_MAPS).await.body;
    sim.faults().add(Fault::on(Verb::List).trickle(whole.len() / 4, Duration::from_millis(40)));
    let started = Instant::now();
    assert_eq!(client.get(CONFIG_MAPS).await.body, whole);
    assert!(started.elapsed() >= Duration::from_millis(160));
}

#[tokio::test]
async fn a_silent_watch_says_nothing_and_does_not_end() {
    let (sim, client) = sim().await;
    sim.faults().add(Fault::on(Verb::Watch).namespace("default").silent_watch());
    let query = format!("watch=true&resourceVersion={}&timeoutSeconds=1", sim.resource_version());
    let mut silent = client.watch(&format!("{CONFIG_MAPS}?{query}")).await;
    // A watch of all namespaces is none of the namespace: it tells the event and ends, when the silent one would have.
    let mut healthy = client.watch(&format!("/api/v1/configmaps?{query}")).await;
    sim.upsert(config_map("d")).unwrap();
    assert_eq!(healthy.next_named().await, event("ADDED", "d"));
    assert!(healthy.next().await.unwrap().is_none());
    assert!(silent.body.next().now_or_never().is_none());
}

#[tokio::test]
async fn a_running_watch_falls_silent() {
    let (sim, client) = sim().await;
    let query = format!("watch=true&resourceVersion={}&timeoutSeconds=1", sim.resource_version());
    let mut silent = client.watch(&format!("{CONFIG_MAPS}?{query}")).await;
    sim.upsert(config_map("heard")).unwrap();
    assert_eq!(silent.next_named().await, event("ADDED", "heard"));
    let id = sim.faults().add(Fault::on(Verb::Watch).namespace("default").silent_watch());
    sim.upsert(config_map("unheard")).unwrap();
    let mut healthy = client.watch(&format!("/api/v1/configmaps?{query}")).await;
    assert_eq!(healthy.next_named().await, event("ADDED", "heard"));
    assert_eq!(healthy.next_named().await, event("ADDED", "unheard"));
    sim.faults().remove(id);
    assert!(healthy.next().await.unwrap().is_none());
    assert!(silent.body.next().now_or_never().is_none());
}

#[tokio::test]
async fn stale_reads_show_a_moment_that_has_passed() {
    let (sim, client) = sim().await;
    let then = sim.resource_version();
    sim.faults().add(Fault::on(Verb::List).stale_reads());
    sim.faults().add(Fault::on(Verb::Get).stale_reads());
    sim.delete(&ObjectRef::new("v1", "ConfigMap", "a").within("default")).unwrap();
    sim.upsert(config_map("d")).unwrap();
    let mut changed = config_map("b");
    changed["data"] = json!({"a": "2"});
    sim.upsert(changed).unwrap();

    let list = client.get(CONFIG_MAPS).await;
    assert_eq!(list.names(), ["a", "b", "c"]);
    assert_eq!(list.json()["metadata"]["resourceVersion"], then.to_string());
    assert_eq!(client.get(&format!("{CONFIG_MAPS}/b")).await.json()["data"]["a"], "1");
    assert_eq!(client.get(&format!("{CONFIG_MAPS}/d")).await.code, 404);
    // What has passed since then is what a watch from there tells.
    let mut watch = client.watch(&format!("{CONFIG_MAPS}?watch=true&resourceVersion={then}")).await;
    assert_eq!(watch.next_named().await, event("DELETED", "a"));
    assert_eq!(watch.next_named().await, event("ADDED", "d"));
    sim.faults().clear();
    assert_eq!(client.get(CONFIG_MAPS).await.names(), ["b", "c", "d"]);
}

#[tokio::test]
async fn rules_keep_to_their_namespace_and_name() {
    let (sim, client) = sim().await;
    sim.faults().add(Fault::on(Verb::Get).resource("configmaps").namespace("default").name("a").status(503));
    assert_eq!(client.get(&format!("{CONFIG_MAPS}/a")).await.code, 503);
    assert_eq!(client.get(&format!("{CONFIG_MAPS}/b")).await.code, 200);
    sim.faults().clear();
    sim.faults().add(Fault::on(Verb::NonResource).status(500));
    assert_eq!(client.get("/version").await.code, 500);
    assert_eq!(client.get(CONFIG_MAPS).await.code, 200);
}

#[tokio::test]
async fn a_restart_drops_connections_and_keeps_the_state() {
    let (sim, client) = sim().await;
    let version = sim.resource_version();
    let mut watch = client.watch(&format!("{CONFIG_MAPS}?watch=true&resourceVersion={version}")).await;
    sim.restart();
    assert!(watch.next().await.is_err());
    let list = client.get(CONFIG_MAPS).await;
    assert_eq!(list.names(), ["a", "b", "c"]);
    assert_eq!(list.json()["metadata"]["resourceVersion"], version.to_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happens_after_a_restart_is_not_told_to_those_before_it() {
    let (sim, client) = sim().await;
    for number in 0..100 {
        let version = sim.resource_version();
        let mut watch = client.watch(&format!("{CONFIG_MAPS}?watch=true&resourceVersion={version}")).await;
        sim.restart();
        sim.upsert(config_map(&format!("after-{number}"))).unwrap();
        let told = watch.next().await;
        assert!(told.is_err(), "restart {number}: {told:?}");
    }
}
