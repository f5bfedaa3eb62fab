use std::time::Duration;

use kubelet_summary::query::{MissingNode, PodUsage};
use kubelet_summary::{PodSelector, Scope, UsageError};
use serde_json::json;
use tokio::time::sleep;

use super::support::{House, house, node, pod, settle, stats, words};

async fn ask(house: &House, scope: &Scope) -> Vec<String> {
    words(&house.summary.usage(scope).await.unwrap())
}

fn labelled(selector: &str) -> Scope {
    Scope::all().selector(selector.parse::<PodSelector>().unwrap())
}

#[tokio::test(start_paused = true)]
async fn only_nodes_with_pods_in_scope_are_asked() {
    let pods = [pod("a", "one", "1", "n1"), pod("a", "two", "2", "n2"), pod("b", "three", "3", "n3")];
    let house = house(pods, &["n1", "n2", "n3"]).await;
    house.kubelets.say("n1", vec![stats("a", "one", "1", 10), stats("c", "other", "9", 1)]);
    house.kubelets.say("n2", vec![stats("a", "two", "2", 20)]);
    house.kubelets.say("n3", vec![stats("b", "three", "3", 30)]);

    assert_eq!(ask(&house, &labelled("app=one")).await, ["one@n1=10"]);
    assert_eq!(house.kubelets.asked(), ["n1"]);
    assert_eq!(ask(&house, &Scope::all().namespace("a")).await, ["one@n1=10", "two@n2=20"]);
    // The first one is fresh still.
    assert_eq!(house.kubelets.asked(), ["n2"]);
    assert_eq!(ask(&house, &labelled("app=none")).await, [""; 0]);
    assert_eq!(ask(&house, &labelled("!app")).await, [""; 0]);
    assert!(house.kubelets.asked().is_empty());
    // By place, what a kubelet knows and the watch doesn't is told.
    assert_eq!(ask(&house, &Scope::all()).await, ["?other@n1", "one@n1=10", "three@n3=30", "two@n2=20"]);
    assert_eq!(ask(&house, &Scope::all().namespace("c").node("n1")).await, ["?other@n1"]);
}

#[tokio::test(start_paused = true)]
async fn a_part_is_an_answer_that_says_what_is_missing() {
    let mut unscheduled = pod("a", "waiting", "5", "");
    unscheduled["status"]["phase"] = json!("Pending");
    let pods = [
        pod("a", "one", "1", "n1"),
        pod("a", "new", "2", "n1"),
        pod("a", "far", "3", "down"),
        pod("a", "lost", "4", "removed"),
        unscheduled,
    ];
    let house = house(pods, &["n1", "down"]).await;
    house.kubelets.say("n1", vec![stats("a", "one", "1", 10)]);
    let usage = house.summary.usage(&Scope::all()).await.unwrap();
    assert_eq!(
        words(&usage),
        [
            "-down the kubelet is down",
            "-new unreported",
            "-removed it is not among the nodes that are watched",
            "-waiting unscheduled",
            "one@n1=10"
        ]
    );
    assert_eq!(house.kubelets.asked(), ["down", "n1"]);
    assert!(!usage.is_whole());
    assert_eq!(usage.missing.iter().map(|missing| missing.pods.len()).sum::<usize>(), 2);

    // A pod that runs nowhere lacks nothing.
    let waiting = house.summary.usage(&labelled("app=waiting")).await.unwrap();
    assert_eq!((words(&waiting), waiting.is_whole()), (vec!["-waiting unscheduled".to_owned()], true));

    // A node that there is not is named, too.
    let error = house.summary.usage(&Scope::all().node("typo")).await.unwrap_err();
    assert_eq!(error.to_string(), "no figures of node typo: node typo: it is not among the nodes that are watched");

    // Nothing at all is an error that says why.
    let error = house.summary.usage(&labelled("app in (far,new)")).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "no figures of app in (far,new): node down: the last attempt failed, and it is too early for another: the \
         kubelet is down; 1 pods unreported"
    );
    let UsageError::NoData { usage, .. } = error else { panic!("{error}") };
    assert_eq!(usage.absent.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn each_pods_figures_are_its_own_whatever_nodes_are_missing_between_those_that_answer() {
    // `b` and `d` are among no nodes, `c` is down; the pods come in no order of the nodes'.
    let nodes = ["e", "a", "c", "b", "d", "e", "b", "a", "d", "c"];
    let pods = (0..).zip(nodes).map(|(number, node)| pod("x", &format!("p{number}"), &format!("u{number}"), node));
    let house = house(pods.collect::<Vec<_>>(), &["a", "c", "e"]).await;
    let told = |node: &str| {
        let on = (0_u64..).zip(nodes).filter(|(_, on)| *on == node);
        on.map(|(number, _)| stats("x", &format!("p{number}"), &format!("u{number}"), number)).collect::<Vec<_>>()
    };
    for node in ["a", "e"] {
        house.kubelets.say(node, told(node));
    }
    let usage = house.summary.usage(&Scope::all()).await.unwrap();
    let figure = |pod: &PodUsage| {
        let memory = pod.stats().memory.working_set_bytes.get();
        format!("{}@{}={}", pod.pod().name(), pod.node(), memory.unwrap_or_default())
    };
    let mut figures: Vec<_> = usage.values.iter().map(figure).collect();
    figures.sort_unstable();
    assert_eq!(figures, ["p0@e=0", "p1@a=1", "p5@e=5", "p7@a=7"]);
    let names = |missing: &MissingNode| {
        let mut names: Vec<_> = missing.pods.iter().map(|pod| pod.name()).collect();
        names.sort_unstable();
        names.join(" ")
    };
    let missing: Vec<_> = usage.missing.iter().map(|missing| format!("{}: {}", missing.node, names(missing))).collect();
    assert_eq!(missing, ["b: p3 p6", "d: p4 p8", "c: p2 p9"]);
    assert!(usage.absent.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_oldest_part_is_the_answers_age() {
    let house = house([pod("a", "one", "1", "n1"), pod("a", "two", "2", "n2")], &["n1", "n2"]).await;
    for (name, uid, node) in [("one", "1", "n1"), ("two", "2", "n2")] {
        house.kubelets.say(node, vec![stats("a", name, uid, 10)]);
    }
    ask(&house, &labelled("app=one")).await;
    sleep(Duration::from_secs(30)).await;
    let usage = house.summary.usage(&Scope::all()).await.unwrap();
    assert_eq!(usage.age, Some(Duration::from_secs(30)));
    assert!(usage.is_whole());
    assert_eq!(usage.values.iter().find(|value| value.node() == "n2").unwrap().age(), Duration::ZERO);

    // A kubelet that fails is served from its stale document, which is said.
    house.kubelets.say("n1", None);
    sleep(Duration::from_secs(30)).await;
    let usage = house.summary.usage(&Scope::all()).await.unwrap();
    assert_eq!((usage.age, usage.is_whole()), (Some(Duration::from_mins(1)), false));
    let one = usage.values.iter().find(|value| value.node() == "n1").unwrap();
    assert!(!one.is_fresh());
    assert_eq!(one.stale_reason().unwrap().to_string(), "the kubelet is down");
    sleep(Duration::from_mins(1)).await;
    assert_eq!(ask(&house, &Scope::all()).await, ["-n1 the kubelet is down", "two@n2=10"]);
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_moved_or_was_made_anew_is_counted_once() {
    let house = house([pod("a", "web-0", "1", "n1")], &["n1", "n2"]).await;
    house.kubelets.say("n1", vec![stats("a", "web-0", "1", 10)]);
    house.kubelets.say("n2", vec![stats("a", "web-0", "2", 20)]);
    assert_eq!(ask(&house, &labelled("app=web-0")).await, ["web-0@n1=10"]);

    // Made anew on another node, under the same name; the old kubelet has not noticed.
    house.pods.apply(pod("a", "web-0", "2", "n2"));
    house.pods.delete(pod("a", "web-0", "1", "n1"));
    settle().await;
    assert_eq!(ask(&house, &labelled("app=web-0")).await, ["web-0@n2=20"]);
    assert_eq!(ask(&house, &Scope::all().node("n1").node("n2")).await, ["?web-0@n1", "web-0@n2=20"]);
    let total = house.summary.usage(&labelled("app")).await.unwrap().total();
    assert_eq!(total.memory_working_set_bytes.sum(), Some(20));
}

#[tokio::test(start_paused = true)]
async fn duplicates_in_a_document_and_static_pods() {
    let mut etcd = pod("kube-system", "etcd", "mirror-uid", "n1");
    etcd["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "5b0d1a9e5e0f5d8a4a4ac1ad0e36c4a7"});
    let house = house([pod("a", "one", "1", "n1"), etcd], &["n1"]).await;
    house.kubelets.say(
        "n1",
        vec![
            stats("a", "one", "1", 10),
            stats("a", "one", "1", 10),
            stats("kube-system", "etcd", "5b0d1a9e5e0f5d8a4a4ac1ad0e36c4a7", 30),
        ],
    );
    assert_eq!(ask(&house, &Scope::all()).await, ["etcd@n1=30", "one@n1=10"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_over_is_left_out_unless_it_is_asked_for() {
    let mut done = pod("a", "done", "2", "n2");
    done["status"]["phase"] = json!("Succeeded");
    let house = house([pod("a", "one", "1", "n1"), done], &["n1", "n2"]).await;
    house.kubelets.say("n1", vec![stats("a", "one", "1", 10)]);
    house.kubelets.say("n2", vec![]);
    assert_eq!(ask(&house, &Scope::all()).await, ["one@n1=10"]);
    assert_eq!(house.kubelets.asked(), ["n1"]);
    // One that left nothing is not missing.
    assert_eq!(ask(&house, &Scope::all().with_finished()).await, ["one@n1=10"]);
    house.kubelets.say("n2", vec![stats("a", "done", "2", 0)]);
    sleep(Duration::from_secs(55)).await;
    assert_eq!(ask(&house, &Scope::all().with_finished()).await, ["done@n2=0", "one@n1=10"]);
}

#[tokio::test(start_paused = true)]
async fn while_the_watch_fails_what_is_known_is_answered_with_its_age() {
    let house = house([pod("a", "one", "1", "n1")], &["n1"]).await;
    house.kubelets.say("n1", vec![stats("a", "one", "1", 10)]);
    house.pods.fail();
    settle().await;
    sleep(Duration::from_secs(90)).await;
    let usage = house.summary.usage(&Scope::all()).await.unwrap();
    assert_eq!(words(&usage), ["one@n1=10"]);
    assert_eq!((usage.behind, usage.is_whole()), (Some(Duration::from_secs(90)), false));
    house.pods.list([pod("a", "one", "1", "n1")]);
    settle().await;
    assert!(house.summary.usage(&Scope::all()).await.unwrap().is_whole());
}

#[tokio::test(start_paused = true)]
async fn nodes_that_go_or_move_are_asked_no_more_or_elsewhere() {
    let house = house([pod("a", "one", "1", "n1"), pod("a", "two", "2", "n2")], &["n1", "n2"]).await;
    for (name, uid, node) in [("one", "1", "n1"), ("two", "2", "n2")] {
        house.kubelets.say(node, vec![stats("a", name, uid, 10)]);
    }
    ask(&house, &Scope::all()).await;
    assert_eq!((house.kubelets.asked(), house.summary.cache().len()), (vec!["n1".into(), "n2".into()], 2));

    house.nodes.delete(node("n2"));
    let mut moved = node("n1");
    moved["status"] = json!({"addresses": [{"type": "InternalIP", "address": "10.0.0.9"}]});
    house.nodes.apply(moved);
    house.nodes.apply(node("n3"));
    settle().await;
    sleep(Duration::from_secs(56)).await;
    assert_eq!(house.summary.cache().known().len(), 2, "n1 and n3");
    assert_eq!(ask(&house, &Scope::all()).await, ["-n2 it is not among the nodes that are watched", "one@n1=10"]);
    assert_eq!(house.kubelets.asked(), ["n1@10.0.0.9"]);
}

#[tokio::test(start_paused = true)]
async fn of_two_pods_that_one_kubelets_uid_is_of_none_is_lost() {
    let mirror = |name: &str, uid: &str, started: &str| {
        let mut pod = pod("kube-system", name, uid, "n1");
        pod["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "file"});
        pod["status"]["startTime"] = json!(started);
        pod
    };
    let (old, new) = (mirror("old", "1", "2026-01-01T00:00:00Z"), mirror("new", "2", "2026-01-02T00:00:00Z"));
    for pods in [[old.clone(), new.clone()], [new, old]] {
        let house = house(pods, &["n1"]).await;
        house.kubelets.say("n1", vec![stats("kube-system", "etcd", "file", 10)]);
        assert_eq!(ask(&house, &Scope::all()).await, ["-old unreported", "new@n1=10"]);
        house.kubelets.say("n1", vec![]);
        sleep(Duration::from_mins(1)).await;
        let error = house.summary.usage(&Scope::all()).await.unwrap_err().to_string();
        assert!(error.contains("2 pods unreported"), "{error}");
    }
}
