//! Nodes that are asked without a caller.

use std::time::Duration;

use kubelet_summary::fetch::AddressType;
use tokio::time::sleep;

use super::script::{Act, Kubelets, TTL, node, nodes, pass};

#[tokio::test(start_paused = true)]
async fn one_node_is_asked_at_once() {
    let kubelets = Kubelets::default();
    let cache = kubelets.cache().spawn().unwrap();
    cache.put(&node("n"));
    sleep(Duration::from_millis(20)).await;
    assert!(cache.peek("n").unwrap().is_fresh());
    // One that comes in later, too, and the first one is asked at its time.
    sleep(Duration::from_secs(7)).await;
    cache.put(&node("later"));
    sleep(Duration::from_millis(20)).await;
    assert!(cache.peek("later").unwrap().is_fresh());
    assert_eq!((kubelets.calls_of("n").len(), kubelets.calls_of("later").len()), (1, 1));
    sleep(TTL + TTL / 10).await;
    assert_eq!((kubelets.calls_of("n").len(), kubelets.calls_of("later").len()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn five_thousand_nodes_are_spread_over_a_ttl() {
    let (kubelets, all) = (Kubelets::default(), nodes(5_000));
    let cache = kubelets.cache().seed(1).spawn().unwrap();
    cache.retain(&all);
    let mut before = 0;
    for second in 0..165 {
        sleep(Duration::from_secs(1)).await;
        let asked = kubelets.calls() - before;
        before = kubelets.calls();
        // First requests are 100 a second; then each waits for its TTL, and has its place in it.
        let range = if (50..55).contains(&second) { 0..=0 } else { 30..=180 };
        assert!(range.contains(&asked), "{asked} in second {second}, about 91 on average");
    }
    sleep(Duration::from_secs(1)).await;
    for node in &all {
        let calls = kubelets.calls_of(&node.name);
        assert!((3..=4).contains(&calls.len()), "{} of {}", calls.len(), node.name);
        assert!(calls.windows(2).all(|pair| pair[1].at - pair[0].at >= TTL));
    }
    assert!(cache.known().iter().all(|answer| answer.outcome.age() < Some(TTL + Duration::from_millis(100))));
    cache.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn nodes_that_were_asked_at_once_part_again() {
    let (kubelets, all) = (Kubelets::default(), nodes(1_000));
    let cache = kubelets.cache().seed(1).spawn().unwrap();
    assert!(cache.get_many(&all, Duration::from_secs(1)).await.iter().all(|answer| answer.outcome.is_fresh()));
    sleep(13 * TTL).await;
    let (mut before, mut most) = (kubelets.calls(), 0);
    for _ in 0..55 {
        sleep(Duration::from_secs(1)).await;
        most = most.max(kubelets.calls() - before);
        before = kubelets.calls();
    }
    assert!(most < 45, "{most} a second, 18 on average");
}

#[tokio::test(start_paused = true)]
async fn nodes_come_and_go_and_move() {
    let kubelets = Kubelets::default();
    let cache = kubelets.cache().spawn().unwrap();
    cache.retain(&nodes(3));
    sleep(TTL + Duration::from_secs(1)).await;
    assert_eq!((kubelets.calls_of("node-2").is_empty(), cache.len()), (false, 3));
    // One goes, one comes, one moves.
    let moved = node("node-1").address(AddressType::InternalIp, "10.0.0.9");
    cache.retain(&[node("node-0"), moved, node("new")]);
    assert!(cache.peek("node-2").is_none() && cache.peek("node-1").unwrap().document().is_some());
    let before = kubelets.calls_of("node-2").len();
    sleep(2 * TTL).await;
    assert_eq!(kubelets.calls_of("node-2").len(), before);
    assert_eq!(kubelets.calls_of("node-1").last().unwrap().node.addresses[0].address, "10.0.0.9");
    assert!(cache.peek("new").unwrap().document().is_some());
    // One that comes back is a new node: its first attempt is free.
    assert!(cache.remove("new") && !cache.remove("new"));
    let before = kubelets.calls_of("new").len();
    cache.put(&node("new"));
    assert!(cache.get(&node("new")).await.is_fresh());
    assert_eq!(kubelets.calls_of("new").len(), before + 1);
}

#[tokio::test(start_paused = true)]
async fn a_removed_node_ends_its_attempt() {
    let kubelets = Kubelets::default();
    let cache = kubelets.cache().build();
    kubelets.act("n", Act::Hang);
    let waiting = tokio::spawn({
        let cache = cache.clone();
        async move { cache.get(&node("n")).await }
    });
    pass(Duration::from_secs(1)).await;
    assert_eq!(kubelets.open(), 1);
    cache.retain(&[]);
    assert_eq!(waiting.await.unwrap().reason().unwrap().to_string(), "the node was removed");
    assert_eq!((kubelets.open(), cache.len()), (0, 0));
    // An answer that was on its way belongs to nobody; the next node of that name starts anew.
    kubelets.act("n", Act::Answer);
    assert!(cache.get(&node("n")).await.is_fresh());
}

#[tokio::test(start_paused = true)]
async fn nodes_that_nobody_asks_for_are_forgotten() {
    let kubelets = Kubelets::default();
    let cache = kubelets.cache().build();
    cache.put(&node("named"));
    for number in 0..2_000 {
        cache.get(&node(&format!("passing-{number}"))).await;
        pass(Duration::from_secs(1)).await;
    }
    // Ten minutes' worth of them, and the one that the host named.
    assert!((600..=603).contains(&cache.len()), "{}", cache.len());
    assert!(cache.peek("named").is_some());
}
