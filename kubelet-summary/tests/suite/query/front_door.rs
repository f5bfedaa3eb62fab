use std::time::Duration;

use futures::StreamExt;
use kubelet_summary::backoff::Backoff;
use kubelet_summary::inventory::NotReady;
use kubelet_summary::{BuildError, KubeletSummary, Mode, Scope, SummaryChange, UsageError};
use tokio::time::{Instant, sleep, timeout};

use super::support::{house, house_of, node, pod, settle, stats, words};

#[tokio::test(start_paused = true)]
async fn a_workload_that_fails_is_left_alone_for_a_while() {
    let house = house_of(|builder| builder.backoff(Backoff::default()));
    let scope = Scope::all().namespace("a");
    let ask = async || house.summary.usage(&scope).await;
    // No list has come yet: that is no failure, and costs nobody anything.
    for _ in 0..20 {
        assert!(matches!(ask().await, Err(UsageError::NotReady(NotReady::NotListed(_)))));
    }
    // It can't be had.
    house.pods.fail();
    settle().await;
    for seconds in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
        assert!(matches!(ask().await, Err(UsageError::NotReady(NotReady::Failing { .. }))));
        let Err(UsageError::BackingOff { left, .. }) = ask().await else { panic!("it is too early") };
        assert_eq!(left, Duration::from_secs(seconds));
        // Another question is another matter.
        assert!(matches!(
            house.summary.usage(&Scope::all()).await,
            Err(UsageError::NotReady(_) | UsageError::BackingOff { .. })
        ));
        sleep(left).await;
    }
    house.pods.list([pod("a", "one", "1", "n1")]);
    house.nodes.list([node("n1")]);
    house.summary.ready().await.unwrap();
    let error = ask().await.unwrap_err();
    assert!(matches!(error, UsageError::NoData { .. }), "{error}");

    house.kubelets.say("n1", vec![stats("a", "one", "1", 10)]);
    sleep(Duration::from_mins(5)).await;
    assert_eq!(words(&ask().await.unwrap()), ["one@n1=10"]);
    // After a success, the next failure's pause is the first one again.
    house.kubelets.say("n1", None);
    sleep(Duration::from_secs(110)).await;
    assert!(matches!(ask().await, Err(UsageError::NoData { .. })));
    let Err(UsageError::BackingOff { left, .. }) = ask().await else { panic!("it is too early") };
    assert_eq!(left, Duration::from_secs(1));

    // Neither is the end a failure.
    sleep(left).await;
    house.summary.shutdown().await;
    for _ in 0..3 {
        assert!(matches!(ask().await, Err(UsageError::NotReady(NotReady::Stopped))));
    }
}

#[tokio::test(start_paused = true)]
async fn pods_that_their_kubelet_does_not_know_yet_are_no_failure() {
    let house = house_of(|builder| builder.backoff(Backoff::default()));
    house.pods.list([pod("a", "one", "1", "n1")]);
    house.nodes.list([node("n1")]);
    house.summary.ready().await.unwrap();
    house.kubelets.say("n1", vec![]);
    let scope = Scope::all().namespace("a");
    for _ in 0..20 {
        let error = house.summary.usage(&scope).await.unwrap_err();
        assert!(matches!(error, UsageError::NoData { .. }) && !error.is_failure(), "{error}");
        sleep(Duration::from_secs(5)).await;
    }
    house.kubelets.say("n1", vec![stats("a", "one", "1", 10)]);
    sleep(Duration::from_secs(55)).await;
    assert_eq!(words(&house.summary.usage(&scope).await.unwrap()), ["one@n1=10"]);
}

#[tokio::test(start_paused = true)]
async fn one_of_a_hundred_nodes_that_hangs_hides_no_other() {
    let house = house_of(|builder| builder.deadline(Duration::from_secs(5)));
    let names: Vec<String> = (0..100).map(|number| format!("n{number:02}")).collect();
    house.nodes.list(names.iter().map(|name| node(name)));
    house.pods.list(names.iter().map(|name| pod("a", &format!("on-{name}"), name, name)));
    house.summary.ready().await.unwrap();
    for name in &names {
        house.kubelets.say(name, vec![stats("a", &format!("on-{name}"), name, 10)]);
    }
    house.kubelets.hang("n42");
    for _ in 0..3 {
        let began = Instant::now();
        let usage = house.summary.usage(&Scope::all().namespace("a")).await.unwrap();
        assert!(began.elapsed() <= Duration::from_secs(5), "{:?}", began.elapsed());
        let missing: Vec<(&str, String)> =
            usage.missing.iter().map(|missing| (&*missing.node, missing.reason.to_string())).collect();
        assert_eq!(usage.values.len(), 99);
        assert!(matches!(&*missing, [("n42", reason)] if reason.contains("deadline")), "{missing:?}");
    }
    house.summary.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn in_the_background_questions_find_fresh_documents() {
    let house = house_of(|builder| builder.mode(Mode::Background).ttl(Duration::from_secs(20)));
    let mut changes = house.summary.subscribe();
    house.kubelets.say("n1", vec![stats("a", "one", "1", 10)]);
    house.pods.list([pod("a", "one", "1", "n1")]);
    house.nodes.list([node("n1")]);
    let SummaryChange::Attempted(answer) = changes.next().await.unwrap() else { panic!("n1 was asked") };
    assert_eq!((&*answer.node, answer.outcome.is_fresh()), ("n1", true));
    house.kubelets.asked();
    let usage = house.summary.usage(&Scope::all()).await.unwrap();
    assert_eq!(words(&usage), ["one@n1=10"]);
    assert!(house.kubelets.asked().is_empty());
    assert_eq!(house.summary.nodes().await.unwrap().len(), 1);
    assert!(house.summary.node("n1").await.unwrap().unwrap().is_fresh());
    assert!(house.summary.node("n2").await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_everything() {
    let house = house([pod("a", "one", "1", "n1")], &["n1"]).await;
    house.kubelets.say("n1", vec![stats("a", "one", "1", 10)]);
    let changes = house.summary.subscribe();
    assert_eq!(words(&house.summary.usage(&Scope::all()).await.unwrap()), ["one@n1=10"]);
    timeout(Duration::from_secs(10), house.summary.shutdown()).await.unwrap();
    timeout(Duration::from_secs(10), house.summary.shutdown()).await.unwrap();
    assert!(matches!(house.summary.usage(&Scope::all()).await, Err(UsageError::NotReady(NotReady::Stopped))));
    assert_eq!(house.summary.ready().await, Err(NotReady::Stopped));
    let all: Vec<_> = timeout(Duration::from_secs(1), changes.collect()).await.unwrap();
    assert!(all.len() <= 2, "{all:?}");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_handle_leaves_nothing_behind() {
    let house = house_of(|builder| builder.mode(Mode::Background).ttl(Duration::from_secs(20)));
    house.nodes.list([node("n1")]);
    house.pods.list([]);
    house.summary.ready().await.unwrap();
    sleep(Duration::from_mins(1)).await;
    assert!(!house.kubelets.asked().is_empty());
    drop(house.summary);
    settle().await;
    house.kubelets.asked();
    sleep(Duration::from_hours(1)).await;
    assert!(house.kubelets.asked().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_hung_kubelet_costs_no_more_than_the_deadline() {
    use futures::FutureExt;
    use futures::future::BoxFuture;
    use kubelet_summary::Summary;
    use kubelet_summary::fetch::{FetchError, Fetcher, NodeTarget};

    struct Hung(super::support::Kubelets);

    impl Fetcher for Hung {
        fn fetch<'a>(&'a self, node: &'a NodeTarget) -> BoxFuture<'a, Result<Summary, FetchError>> {
            if &*node.name == "hung" { std::future::pending().boxed() } else { self.0.fetch(node) }
        }
    }

    let kubelets = super::support::Kubelets::default();
    kubelets.say("n1", vec![stats("a", "one", "1", 10)]);
    let house = house_of(|builder| builder.fetcher(Hung(kubelets)).deadline(Duration::from_secs(3)));
    house.pods.list([pod("a", "one", "1", "n1"), pod("a", "two", "2", "hung")]);
    house.nodes.list([node("n1"), node("hung")]);
    house.summary.ready().await.unwrap();
    let began = Instant::now();
    let usage = house.summary.usage(&Scope::all()).await.unwrap();
    assert_eq!(words(&usage), ["-hung no answer within the call's deadline; the attempt goes on", "one@n1=10"]);
    assert_eq!(began.elapsed().as_secs(), 3);
}

#[tokio::test]
async fn without_a_way_to_kubelets_there_is_nothing_to_start() {
    use kubelet_summary::inventory::{NodeRecord, PodRecord};
    let (pods, nodes) = (futures::stream::pending(), futures::stream::pending());
    let builder = KubeletSummary::from_streams::<PodRecord, NodeRecord>(pods, nodes);
    assert!(matches!(builder.spawn().unwrap_err(), BuildError::NoFetcher));
}

#[tokio::test]
async fn rates_without_documents_to_compare_are_refused() {
    use kubelet_summary::inventory::{NodeRecord, PodRecord};
    let builder = || {
        let (pods, nodes) = (futures::stream::pending(), futures::stream::pending());
        KubeletSummary::from_streams::<PodRecord, NodeRecord>(pods, nodes)
            .fetcher(super::support::Kubelets::default())
            .ttl(Duration::ZERO)
    };
    let error = builder().rates(true).spawn().unwrap_err();
    assert!(matches!(error, BuildError::RatesWithoutTtl), "{error}");
    builder().spawn().unwrap();
}

#[tokio::test(start_paused = true)]
async fn rates_follow_the_documents_and_leave_with_their_nodes() {
    use kubelet_summary::rates::Counter;

    let house = house_of(|builder| builder.rates(true));
    let document = |second: u32, nanos: u64| {
        let mut document = stats("a", "one", "1", 10);
        document["cpu"] =
            serde_json::json!({"time": format!("2026-01-01T00:{second:02}:00Z"), "usageCoreNanoSeconds": nanos});
        vec![document]
    };
    house.pods.list([pod("a", "one", "1", "n1")]);
    house.nodes.list([node("n1")]);
    house.summary.ready().await.unwrap();
    house.kubelets.say("n1", document(0, 0));
    let usage = house.summary.usage(&Scope::all()).await.unwrap();
    assert_eq!(house.summary.pod_rate(&usage.values[0], Counter::CpuSeconds), None, "one sample");

    house.kubelets.say("n1", document(1, 30_000_000_000));
    sleep(Duration::from_mins(1)).await;
    let usage = house.summary.usage(&Scope::all()).await.unwrap();
    // At once, whoever feeds it.
    let rate = house.summary.pod_rate(&usage.values[0], Counter::CpuSeconds).unwrap();
    assert!((rate.per_second - 0.5).abs() < 1e-9, "{rate:?}");
    settle().await;
    assert_eq!(house.summary.pod_rate(&usage.values[0], Counter::CpuSeconds), Some(rate));

    // The node's clock is set back by most of what has passed: its counter gained a minute in what seems a second.
    let mut late = document(1, 90_000_000_000);
    late[0]["cpu"]["time"] = "2026-01-01T00:01:01Z".into();
    house.kubelets.say("n1", late);
    sleep(Duration::from_mins(1)).await;
    let usage = house.summary.usage(&Scope::all()).await.unwrap();
    assert_eq!(house.summary.pod_rate(&usage.values[0], Counter::CpuSeconds), None);

    house.nodes.delete(node("n1"));
    settle().await;
    sleep(Duration::from_secs(1)).await;
    settle().await;
    assert_eq!(house.summary.rates("n1", |_| ()), None);
}
