//! A reader that can't see the API server → what it still knows, what it says, and how it heals.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cluster_sim::{Deny, Fault, Sim, Verb};
use futures::stream;
use jiff::SignedDuration;
use k8s_openapi::api::coordination::v1::Lease;
use kube::runtime::watcher::{self, Event};
use node_lease::source::Fixed;
use node_lease::{Attribute, CacheState, ExpiryPolicy, LeaseCache, LeaseCacheBuilder};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::support::*;

fn builder(sim: &Sim) -> LeaseCacheBuilder {
    LeaseCache::builder(sim.client_in_memory(), NAMESPACE).clock(clock(SignedDuration::ZERO))
}

async fn until_degraded(cache: &LeaseCache) -> String {
    timeout(HOUR, cache.wait_for(|state| matches!(state, CacheState::Degraded { .. }))).await.unwrap();
    let CacheState::Degraded { error, .. } = cache.status().state else { panic!("{:?}", cache.status()) };
    error
}

#[tokio::test(start_paused = true)]
async fn without_rights_it_is_empty_says_so_and_heals() {
    let sim = cluster(&[]).await;
    sim.create(cloudwatch_lease("a", "m", wall())).unwrap();
    sim.deny(Deny::everything().resource("leases"));
    let cache = builder(&sim).spawn();
    let error = until_degraded(&cache).await;
    assert!(error.contains("list Leases was answered 403") && error.contains("grant"), "{error}");
    assert!(cache.get("a").is_none() && !cache.status().synced);
    sleep(HOUR).await;
    let requests = sim.requests().total();
    assert!((120..=250).contains(&requests), "one in 15 to 30 s: {requests}");
    sim.allow_all();
    timeout(MINUTE, cache.synced()).await.unwrap();
    assert!(cache.get("a").is_some());
    assert_eq!(cache.status().state, CacheState::Synced);
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_comes_later_is_waited_for() {
    let sim = cluster(&[]).await;
    sim.create(cloudwatch_lease("a", "m", wall())).unwrap();
    let (client, asked) = (sim.client_in_memory(), Arc::new(AtomicUsize::new(0)));
    let counter = asked.clone();
    let connect = move || {
        let (client, times) = (client.clone(), counter.fetch_add(1, Ordering::Relaxed));
        async move { if times < 5 { Err("no configuration is there") } else { Ok(client) } }
    };
    let cache = LeaseCache::connecting(connect, NAMESPACE).clock(clock(SignedDuration::ZERO)).spawn();
    assert_eq!(until_degraded(&cache).await, "no client: no configuration is there");
    timeout(HOUR, cache.synced()).await.unwrap();
    assert_eq!(asked.load(Ordering::Relaxed), 6);
    assert!(cache.get("a").is_some());
}

#[tokio::test(start_paused = true)]
async fn in_an_outage_of_hours_nobody_can_renew_and_nobody_is_forgotten() {
    let sim = cluster(&["a", "b"]).await;
    let cache = builder(&sim).spawn();
    let start = |node: &str| {
        writer(&sim, Fixed(machine("m")), node, node).start_jitter(Duration::ZERO).build().unwrap().spawn().unwrap()
    };
    let (a, b) = (start("a"), start("b"));
    held(&a).await;
    held(&b).await;
    timeout(HOUR, cache.synced()).await.unwrap();
    sleep(MINUTE).await;
    sim.faults().add(Fault::on_any().reset_before());
    sim.restart();
    sleep(6 * HOUR).await;
    assert!(matches!(cache.status().state, CacheState::Degraded { .. }));
    assert!(cache.get("a").is_some() && cache.get("b").is_some());
    assert_eq!(cache.freshness("a").unwrap().remaining, None, "it is over, and known to be");
    // One of them died meanwhile.
    drop(b);
    sim.faults().clear();
    sleep(MINUTE).await;
    assert_eq!(cache.status().state, CacheState::Synced);
    assert!(cache.freshness("a").unwrap().remaining.is_some(), "renewed");
    assert!(cache.get("b").is_some(), "writers get two minutes");
    sleep(2 * MINUTE).await;
    assert!(cache.get("a").is_some() && cache.get("b").is_none());
}

#[tokio::test(start_paused = true)]
async fn an_outage_without_end_is_not_believed_for_ever() {
    for (grace, hours) in [(6 * HOUR, 6), (Duration::ZERO, 2)] {
        let sim = cluster(&[]).await;
        sim.create(cloudwatch_lease("a", "m", wall())).unwrap();
        let cache = builder(&sim).outage_grace(grace).spawn();
        timeout(HOUR, cache.synced()).await.unwrap();
        sim.faults().add(Fault::on_any().reset_before());
        sim.restart();
        sleep((HOUR * hours).checked_sub(MINUTE).unwrap()).await;
        assert!(cache.get("a").is_some(), "{grace:?}");
        sleep(2 * MINUTE).await;
        assert!(cache.get("a").is_none(), "{grace:?}");
        assert_eq!(cache.status().nodes, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_went_silent_is_noticed_and_begun_again() {
    let sim = cluster(&[]).await;
    let silent = sim.faults().add(Fault::on(Verb::Watch).resource("leases").silent_watch().count(1));
    let cache = builder(&sim).spawn();
    timeout(HOUR, cache.synced()).await.unwrap();
    settle().await;
    sim.create(cloudwatch_lease("a", "m", wall())).unwrap();
    let began = Instant::now();
    while cache.get("a").is_none() {
        sleep(SECOND).await;
    }
    assert_eq!(sim.faults().spoiled(silent), 1);
    assert!(began.elapsed() <= 6 * MINUTE + 5 * SECOND, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_watch_goes_on_from_where_it_was() {
    let sim = cluster(&[]).await;
    let cache = builder(&sim).spawn();
    timeout(HOUR, cache.synced()).await.unwrap();
    for reset in 0..10 {
        sim.restart();
        sim.create(cloudwatch_lease(&format!("n{reset}"), "m", wall())).unwrap();
        sleep(MINUTE).await;
    }
    assert_eq!(cache.nodes().len(), 10);
    assert_eq!(sim.requests().count(Verb::List, "leases"), 1);
    let version = |query: &str| {
        query.split('&').find_map(|part| part.strip_prefix("resourceVersion=")?.parse::<u64>().ok()).unwrap()
    };
    let watches = sim.requests().newest().into_iter().filter(|request| request.verb == Verb::Watch);
    let versions: Vec<u64> = watches.map(|watch| version(&watch.query)).collect();
    assert_eq!(versions.len(), 11);
    assert!(versions[10] > versions[1] + 5, "each goes on from what was seen: {versions:?}");
    // In a quiet day, watches are renewed and nothing else.
    sim.requests().clear();
    sleep(24 * HOUR).await;
    let watches = sim.requests().count(Verb::Watch, "leases");
    assert!((280..=310).contains(&watches), "one in 290 s: {watches}");
    assert_eq!(sim.requests().total(), watches);
}

#[tokio::test(start_paused = true)]
async fn watches_that_end_at_once_are_no_tight_loop() {
    let sim = cluster(&[]).await;
    sim.faults().add(Fault::on(Verb::Watch).resource("leases").truncate());
    let cache = builder(&sim).spawn();
    timeout(HOUR, cache.synced()).await.unwrap();
    sleep(HOUR).await;
    let requests = sim.requests().total();
    assert!(requests <= 300, "{requests}");
    drop(cache);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_asks_for_patience_gets_it() {
    let sim = cluster(&[]).await;
    sim.faults().add(Fault::on(Verb::List).resource("leases").status(429).retry_after(100).count(1));
    let cache = builder(&sim).spawn();
    let began = Instant::now();
    timeout(HOUR, cache.synced()).await.unwrap();
    assert!(began.elapsed() >= 100 * SECOND && began.elapsed() <= 125 * SECOND, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_the_hosts_is_as_good_as_an_own_watch() {
    let (send, receive) = mpsc::unbounded_channel::<Result<Event<Lease>, watcher::Error>>();
    let events = stream::unfold(receive, async |mut receive| Some((receive.recv().await?, receive)));
    let cache = LeaseCache::from_stream(events, NAMESPACE)
        .clock(clock(SignedDuration::ZERO))
        .expiry(ExpiryPolicy::default())
        .spawn();
    let lease = |node: &str, kind: &str| serde_json::from_value::<Lease>(cloudwatch_lease(node, kind, wall())).unwrap();
    let mut elsewhere = lease("evil", "m");
    elsewhere.metadata.namespace = Some("elsewhere".to_owned());
    let (a, b) = (Event::InitApply(lease("a", "m")), Event::InitApply(lease("b", "m")));
    for event in [Event::Init, a, b, Event::InitApply(elsewhere), Event::InitDone] {
        send.send(Ok(event)).unwrap();
    }
    timeout(HOUR, cache.synced()).await.unwrap();
    assert_eq!(cache.nodes().len(), 2);
    send.send(Ok(Event::Apply(lease("a", "n")))).unwrap();
    send.send(Ok(Event::Delete(lease("b", "m")))).unwrap();
    settle().await;
    assert_eq!(cache.get("a").unwrap().get(Attribute::HostType), Some("n"));
    assert!(cache.get("b").is_none());
    send.send(Err(watcher::Error::NoResourceVersion)).unwrap();
    until_degraded(&cache).await;
    // A relist without `a`.
    for event in [Event::Init, Event::InitApply(lease("c", "m")), Event::InitDone] {
        send.send(Ok(event)).unwrap();
    }
    settle().await;
    assert_eq!(cache.status().state, CacheState::Synced);
    assert_eq!(cache.nodes().iter().map(|(node, _)| node.to_string()).collect::<Vec<_>>(), ["c"]);
    drop(send);
    assert_eq!(until_degraded(&cache).await, "the host's stream of Leases ended");
    sleep(24 * HOUR).await;
    assert_eq!(cache.status().nodes, 0, "expiry goes on");
}

#[tokio::test(start_paused = true)]
async fn connections_that_break_every_minute_keep_nobody_who_is_dead() {
    let sim = cluster(&[]).await;
    sim.create(cloudwatch_lease("a", "m", wall())).unwrap();
    let cache = builder(&sim).spawn();
    timeout(HOUR, cache.synced()).await.unwrap();
    for _ in 0..3 * 60 {
        sleep(MINUTE).await;
        sim.restart();
    }
    assert!(cache.get("a").is_none());
    assert_eq!(cache.status().nodes, 0);
}

#[tokio::test(start_paused = true)]
async fn versions_that_are_always_too_old_are_no_tight_loop() {
    let sim = cluster(&[]).await;
    sim.faults().add(Fault::on(Verb::Watch).resource("leases").status(410));
    let cache = builder(&sim).spawn();
    timeout(HOUR, cache.synced()).await.unwrap();
    sleep(HOUR).await;
    let lists = sim.requests().count(Verb::List, "leases");
    assert!((100..=200).contains(&lists), "{lists}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_comes_is_not_waited_for_in_silence() {
    let connect = || std::future::pending::<Result<kube::Client, String>>();
    let cache = LeaseCache::connecting(connect, NAMESPACE).spawn();
    let began = Instant::now();
    assert_eq!(until_degraded(&cache).await, "no client: none within 30s");
    assert_eq!(began.elapsed(), 30 * SECOND);
}
