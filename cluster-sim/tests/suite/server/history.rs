//! What the server forgets, and how it says so.

use std::time::Duration;

use cluster_sim::Sim;
use futures::StreamExt;
use serde_json::json;

use super::support::{CONFIG_MAPS, Client, config_map, event};

#[tokio::test]
async fn what_is_compacted_is_gone() {
    let sim = Sim::builder().objects(["a", "b", "c"].map(config_map)).start().await.unwrap();
    let client = Client::new(&sim);
    let then = sim.resource_version();
    let first = client.get(&format!("{CONFIG_MAPS}?limit=1")).await.json();
    let token = first["metadata"]["continue"].as_str().unwrap();
    let mut running = client.watch(&format!("{CONFIG_MAPS}?watch=true&resourceVersion={then}")).await;
    sim.upsert(config_map("bb")).unwrap();
    sim.compact_now();

    let exact = client.get(&format!("{CONFIG_MAPS}?resourceVersion={then}&resourceVersionMatch=Exact")).await;
    assert_eq!(exact.failure(), (410, "Expired".to_owned()));
    let path = format!("{CONFIG_MAPS}?watch=true&resourceVersion={then}");
    let mut watch = client.watch(&path).await;
    let (kind, status) = watch.next().await.unwrap().unwrap();
    assert_eq!((kind.as_str(), &status["code"], &status["reason"]), ("ERROR", &json!(410), &json!("Expired")));
    assert!(status["message"].as_str().unwrap().starts_with("too old resource version"), "{status}");
    assert!(watch.next().await.unwrap().is_none());
    sim.set_expired_watch_as_status(true);
    assert_eq!(client.get(&path).await.failure(), (410, "Expired".to_owned()));

    // An expired token comes with a fresh one, which goes on in the present.
    let expired = client.get(&format!("{CONFIG_MAPS}?limit=1&continue={token}")).await;
    assert_eq!(expired.failure(), (410, "Expired".to_owned()));
    let fresh = expired.json()["metadata"]["continue"].as_str().unwrap().to_owned();
    let rest = client.get(&format!("{CONFIG_MAPS}?continue={fresh}")).await;
    assert_eq!(rest.names(), ["b", "bb", "c"]);

    assert_eq!(running.next_named().await, event("ADDED", "bb"));
    sim.upsert(config_map("d")).unwrap();
    assert_eq!(running.next_named().await, event("ADDED", "d"));
}

#[tokio::test]
async fn the_window_is_as_wide_as_it_was_built() {
    let sim = Sim::builder().history(2).start().await.unwrap();
    let client = Client::new(&sim);
    let start = sim.resource_version();
    for name in ["a", "b", "c"] {
        sim.upsert(config_map(name)).unwrap();
    }
    let at = |version: u64| format!("{CONFIG_MAPS}?watch=true&resourceVersion={version}");
    assert_eq!(client.watch(&at(start)).await.next_named().await.0, "ERROR");
    assert_eq!(client.watch(&at(start + 1)).await.next_named().await, event("ADDED", "b"));
}

#[tokio::test]
async fn page_tokens_grow_old() {
    let builder = Sim::builder().page_token_ttl(Duration::ZERO).objects(["a", "b"].map(config_map));
    let sim = builder.start().await.unwrap();
    let client = Client::new(&sim);
    let first = client.get(&format!("{CONFIG_MAPS}?limit=1")).await.json();
    let token = first["metadata"]["continue"].as_str().unwrap();
    let expired = client.get(&format!("{CONFIG_MAPS}?limit=1&continue={token}")).await;
    assert_eq!(expired.failure(), (410, "Expired".to_owned()));
}

#[tokio::test]
async fn a_watch_that_reads_too_slowly_ends() {
    let sim = Sim::builder().watch_queue(2).start().await.unwrap();
    let client = Client::new(&sim);
    let version = sim.resource_version();
    let mut watch = client.watch(&format!("{CONFIG_MAPS}?watch=true&resourceVersion={version}")).await;
    // The watch's task cannot run in between on this one thread.
    for name in ["a", "b", "c", "d"] {
        sim.upsert(config_map(name)).unwrap();
    }
    assert_eq!(watch.next_named().await, event("ADDED", "a"));
    assert_eq!(watch.next_named().await, event("ADDED", "b"));
    assert!(watch.next().await.unwrap().is_none());
}

#[tokio::test]
async fn bookmarks_come_when_there_is_news() {
    let sim = Sim::builder().bookmark_interval(Duration::from_millis(20)).start().await.unwrap();
    let client = Client::new(&sim);
    let version = sim.resource_version();
    let query = format!("watch=true&allowWatchBookmarks=true&timeoutSeconds=1&resourceVersion={version}");
    let mut quiet = client.watch(&format!("{CONFIG_MAPS}?{query}")).await;
    assert!(quiet.next().await.unwrap().is_none(), "nothing has moved");

    let mut watch = client.watch(&format!("{CONFIG_MAPS}?{query}")).await;
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "default"}});
    sim.upsert(pod).unwrap();
    let (kind, object) = watch.next().await.unwrap().unwrap();
    assert_eq!(
        (kind.as_str(), &object["metadata"]),
        ("BOOKMARK", &json!({"resourceVersion": (version + 1).to_string()}))
    );
    assert!(watch.next().await.unwrap().is_none());
}

#[tokio::test]
async fn without_streaming_lists_they_are_refused() {
    let sim = Sim::builder().streaming_lists(false).objects([config_map("a")]).start().await.unwrap();
    let client = Client::new(&sim);
    let path = format!(
        "{CONFIG_MAPS}?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    );
    let refused = client.get(&path).await;
    assert_eq!(refused.failure(), (422, "Invalid".to_owned()));
    assert_eq!(refused.json()["details"]["causes"][0]["field"], "sendInitialEvents");
    sim.set_streaming_lists(true);
    let mut watch = client.watch(&path).await;
    assert_eq!(watch.next_named().await, event("ADDED", "a"));
    assert_eq!(watch.next().await.unwrap().unwrap().0, "BOOKMARK");
}

#[tokio::test]
async fn kube_rs_reflects_through_both_kinds_of_list() {
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::runtime::watcher::{self, Config, Event};

    let sim = Sim::builder().objects((0..25).map(|n| config_map(&format!("c{n:02}")))).start().await.unwrap();
    for config in [Config::default().page_size(10), Config::default().streaming_lists()] {
        let api: kube::Api<ConfigMap> = kube::Api::all(sim.client());
        let mut events = Box::pin(watcher::watcher(api, config));
        let mut seen = 0;
        loop {
            match events.next().await.unwrap().unwrap() {
                Event::InitApply(_) => seen += 1,
                Event::InitDone => break,
                Event::Init => {}
                other => panic!("{other:?} before the list was complete"),
            }
        }
        assert_eq!(seen, 25);
    }
}
