//! Clients without sockets, in paused time: every deadline passes at its very moment.

use std::time::Duration;

use cluster_sim::{Fault, Sim, Verb};
use futures::future::join_all;
use http::Method;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::support::{Answer, CONFIG_MAPS, Client, config_map, event};

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

async fn sim() -> (Sim, Client) {
    let sim = Sim::builder().objects(["a", "b"].map(config_map)).start().await.unwrap();
    let client = Client::in_memory(&sim);
    (sim, client)
}

#[tokio::test(start_paused = true)]
async fn a_day_of_two_hundred_clients_is_to_the_moment() {
    const CLIENTS: u64 = 200;
    let latency = Duration::from_millis(250);
    let sim = Sim::builder().objects([config_map("a")]).start().await.unwrap();
    sim.faults().add(Fault::on(Verb::Get).resource("configmaps").latency(latency));
    let started = Instant::now();
    let day = |nth: u64| {
        let maps: Api<ConfigMap> = Api::default_namespaced(sim.client_in_memory());
        async move {
            for hour in 0..24 {
                let due = started + HOUR * hour + Duration::from_secs(nth);
                sleep_until(due).await;
                maps.get("a").await.unwrap();
                assert_eq!(Instant::now(), due + latency);
            }
        }
    };
    join_all((0..CLIENTS).map(day)).await;
    assert_eq!(started.elapsed(), HOUR * 23 + Duration::from_secs(CLIENTS - 1) + latency);
    assert_eq!(sim.requests().count_status(Verb::Get, "configmaps", 200), 24 * CLIENTS);
}

#[tokio::test(start_paused = true)]
async fn no_time_passes_while_bytes_are_under_way() {
    let big = |nth: u32| {
        let mut object = config_map(&format!("c{nth:03}"));
        object["data"]["text"] = "x".repeat(20_000).into();
        object
    };
    let sim = Sim::builder().objects((0..100).map(big)).start().await.unwrap();
    let client = Client::in_memory(&sim);
    let list = timeout(Duration::from_millis(1), client.get(CONFIG_MAPS)).await.unwrap();
    assert_eq!(list.names().len(), 100);
}

#[tokio::test(start_paused = true)]
async fn a_hung_answer_meets_the_deadline_of_the_client() {
    let (sim, client) = sim().await;
    sim.faults().add(Fault::on(Verb::Get).count(1).latency(HOUR));
    let started = Instant::now();
    let path = format!("{CONFIG_MAPS}/a");
    timeout(Duration::from_secs(10), client.get(&path)).await.unwrap_err();
    assert_eq!(started.elapsed(), Duration::from_secs(10));
    assert_eq!(client.get(&path).await.code, 200);
    assert_eq!(started.elapsed(), Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn a_trickling_answer_takes_exactly_its_time() {
    let (sim, client) = sim().await;
    let whole = client.get(CONFIG_MAPS).await.body;
    sim.faults().add(Fault::on(Verb::List).trickle(whole.len().div_ceil(4), Duration::from_mins(5)));
    let started = Instant::now();
    assert_eq!(client.get(CONFIG_MAPS).await.body, whole);
    assert_eq!(started.elapsed(), Duration::from_mins(20));
}

#[tokio::test(start_paused = true)]
async fn bookmarks_come_every_minute_and_the_end_when_asked_for() {
    let (sim, client) = sim().await;
    let query =
        format!("watch=true&allowWatchBookmarks=true&timeoutSeconds=600&resourceVersion={}", sim.resource_version());
    let mut watch = client.watch(&format!("{CONFIG_MAPS}?{query}")).await;
    let started = Instant::now();
    for minute in 1..=9 {
        // Another resource's write is news to this watch, too, but by a bookmark alone.
        sim.upsert(serde_json::json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}})).unwrap();
        let (kind, object) = watch.next().await.unwrap().unwrap();
        assert_eq!(kind, "BOOKMARK");
        assert_eq!(object["metadata"]["resourceVersion"], sim.resource_version().to_string());
        assert_eq!(started.elapsed(), MINUTE * minute);
    }
    assert!(watch.next().await.unwrap().is_none());
    assert_eq!(started.elapsed(), MINUTE * 10);
}

#[tokio::test(start_paused = true)]
async fn objects_tell_the_time_of_the_test() {
    let (sim, client) = sim().await;
    let created = |answer: Answer| -> Timestamp {
        answer.json()["metadata"]["creationTimestamp"].as_str().unwrap().parse().unwrap()
    };
    let before = created(client.post(CONFIG_MAPS, config_map("c")).await);
    sleep(HOUR * 7).await;
    let after = created(client.post(CONFIG_MAPS, config_map("d")).await);
    assert_eq!(after.duration_since(before), SignedDuration::from_hours(7));
    assert_eq!(sim.now().as_second(), after.as_second());
}

#[tokio::test(start_paused = true)]
async fn changes_arrive_when_they_happen() {
    let (sim, client) = sim().await;
    let path = format!("{CONFIG_MAPS}?watch=true&timeoutSeconds=86400&resourceVersion={}", sim.resource_version());
    let mut watch = client.watch(&path).await;
    let started = Instant::now();
    let change = async {
        sleep(HOUR * 7).await;
        sim.upsert(config_map("c")).unwrap();
    };
    let (next, ()) = tokio::join!(watch.next_named(), change);
    assert_eq!((next, started.elapsed()), (event("ADDED", "c"), HOUR * 7));
}

#[tokio::test(start_paused = true)]
async fn faults_reset_pipes_too() {
    let (sim, client) = sim().await;
    sim.faults().add(Fault::on(Verb::Get).count(1).reset_before());
    let path = format!("{CONFIG_MAPS}/a");
    let error = client.open(Method::GET, &path, &[], Vec::new()).await.unwrap_err();
    assert!(is_reset(&error), "{error:?}");

    sim.faults().add(Fault::on(Verb::Watch).count(1).reset_mid_body());
    let mut watch = client.watch(&format!("{CONFIG_MAPS}?watch=true&fieldSelector=metadata.name%3Da")).await;
    let error = watch.next().await.unwrap_err();
    assert!(is_reset(&error), "{error:?}");
    assert_eq!(client.get(&path).await.code, 200);
}

#[tokio::test(start_paused = true)]
async fn a_restart_resets_pipes_and_a_shutdown_refuses_them() {
    let (sim, client) = sim().await;
    let watched = format!("{CONFIG_MAPS}?watch=true&resourceVersion={}", sim.resource_version());
    let mut watch = client.watch(&watched).await;
    sim.restart();
    let error = watch.next().await.unwrap_err();
    assert!(is_reset(&error), "{error:?}");
    assert_eq!(client.get(CONFIG_MAPS).await.names(), ["a", "b"]);

    let mut watch = client.watch(&watched).await;
    sim.shutdown().await;
    assert!(watch.next().await.is_err());
    let error = client.open(Method::GET, CONFIG_MAPS, &[], Vec::new()).await.unwrap_err();
    assert_eq!(io_kind(&error), Some(std::io::ErrorKind::ConnectionRefused), "{error:?}");
}

fn is_reset(error: &(dyn std::error::Error + 'static)) -> bool {
    io_kind(error) == Some(std::io::ErrorKind::ConnectionReset)
}

/// What the system would say, if an error is about a connection.
fn io_kind(error: &(dyn std::error::Error + 'static)) -> Option<std::io::ErrorKind> {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.filter_map(|cause| cause.downcast_ref::<std::io::Error>()).map(std::io::Error::kind).next()
}
