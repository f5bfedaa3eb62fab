//! Whatever callers, kubelets and time do, the rules hold.

use std::collections::HashMap;
use std::time::Duration;

use kubelet_summary::{MissingReason, NodeOutcome, SummaryCache};
use proptest::prelude::*;

use super::script::{Act, Kubelets, TTL, node, pass};

const NAMES: [&str; 3] = ["a", "b", "c"];
const SLOW: Duration = Duration::from_secs(20);

#[derive(Debug, Clone)]
enum Step {
    Pass(Duration),
    Act(usize, Act),
    Get(usize),
    Within(usize, Duration),
    Many(Duration),
    Leave(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let time = prop_oneof![
        Just(Duration::from_nanos(1)),
        Just(TTL),
        Just(TTL - Duration::from_nanos(1)),
        (0..70_000u64).prop_map(Duration::from_millis),
    ];
    let act = prop_oneof![Just(Act::Answer), Just(Act::Fail), Just(Act::Slow(SLOW)), Just(Act::Hang)];
    prop_oneof![
        4 => time.prop_map(Step::Pass),
        2 => (0..3usize, act).prop_map(|(node, act)| Step::Act(node, act)),
        3 => (0..3usize).prop_map(Step::Get),
        1 => (0..3usize, (0..30u64).prop_map(Duration::from_secs)).prop_map(|(node, time)| Step::Within(node, time)),
        2 => (0..30u64).prop_map(|time| Step::Many(Duration::from_secs(time))),
        1 => (0..3usize).prop_map(Step::Leave),
    ]
}

fn check(outcome: &NodeOutcome) {
    match outcome {
        NodeOutcome::Fresh(document) => assert!(document.age < TTL, "{outcome:?}"),
        NodeOutcome::Stale { document, .. } => assert!((TTL..2 * TTL).contains(&document.age), "{outcome:?}"),
        NodeOutcome::Missing { last, reason } => {
            assert!(last.is_none_or(|age| age >= 2 * TTL), "{outcome:?}");
            let honest = matches!(
                reason,
                MissingReason::Failed { .. } | MissingReason::GateClosed { .. } | MissingReason::Deadline
            );
            assert!(honest, "{outcome:?}");
        }
    }
    if let Some(document) = outcome.document() {
        assert!(document.requested.elapsed() >= document.age);
    }
}

async fn play(steps: Vec<Step>, background: bool) {
    let kubelets = Kubelets::default();
    let builder = kubelets.cache().seed(3);
    let cache: SummaryCache = if background { builder.spawn().unwrap() } else { builder.build() };
    let all = NAMES.map(node);
    cache.retain(&all);
    for step in steps {
        match step {
            Step::Pass(time) => pass(time).await,
            Step::Act(node, act) => kubelets.act(NAMES[node], act),
            Step::Get(node) => check(&cache.get(&all[node]).await),
            Step::Within(node, deadline) => {
                let start = tokio::time::Instant::now();
                check(&cache.get_within(&all[node], deadline).await);
                assert!(start.elapsed() <= deadline + Duration::from_millis(1));
            }
            Step::Many(deadline) => {
                cache.get_many(&all, deadline).await.iter().for_each(|answer| check(&answer.outcome));
            }
            // A caller who asks, and goes away at once.
            Step::Leave(node) => drop(futures::poll!(Box::pin(cache.get(&all[node])))),
        }
    }
    let mut last = HashMap::new();
    for name in NAMES {
        for call in kubelets.calls_of(name) {
            let before = last.insert(name, call.at);
            assert!(before.is_none_or(|before| call.at - before >= TTL), "{name} was asked twice within a TTL");
        }
    }
    cache.shutdown().await;
    assert_eq!((kubelets.open(), cache.len()), (0, 0));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rules_hold_whatever_happens(steps in prop::collection::vec(step(), 1..40), background: bool) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(play(steps, background));
    }
}
