//! What goes wrong on purpose, in paused time.

use std::time::Duration;

use cluster_sim::Sim;
use cluster_sim::kubelet::{KubeletFault, Way};
use futures::future::join_all;
use serde_json::Value;
use tokio::time::{Instant, advance, sleep, timeout};

use super::support::{
    Answer, NOW, START, SUMMARY, builder, get, number, of, pod, proxied, seconds, sim, summary, told, try_get,
};

const MINUTE: Duration = Duration::from_mins(1);

/// The summary of `a` through the API server, and directly.
async fn both(sim: &Sim) -> [Answer; 2] {
    let direct = sim.kubelet_client_in_memory_as("a", "system:admin");
    [get(&sim.client_in_memory_as("system:admin"), &proxied("a")).await, get(&direct, SUMMARY).await]
}

async fn spoiled(sim: &Sim, fault: KubeletFault) -> Value {
    let id = sim.kubelets().faults().add(fault);
    let [proxied, direct] = both(sim).await;
    assert_eq!((proxied.code, &proxied.body), (200, &direct.body));
    assert_eq!(sim.kubelets().faults().spoiled(id), 2);
    assert!(sim.kubelets().faults().remove(id));
    proxied.json()
}

#[tokio::test(start_paused = true)]
async fn answers_can_be_late_and_slow() {
    let sim = sim().await;
    let id = sim.kubelets().faults().add(KubeletFault::on("a").latency(MINUTE));
    let began = Instant::now();
    both(&sim).await;
    assert_eq!(began.elapsed(), MINUTE * 2);
    sim.kubelets().faults().remove(id);

    let whole = sim.kubelets().summary("a").unwrap();
    sim.kubelets().faults().add(KubeletFault::on("a").frozen().trickle(whole.len().div_ceil(10), MINUTE));
    let began = Instant::now();
    for answer in both(&sim).await {
        assert_eq!(answer.body, whole);
    }
    assert_eq!(began.elapsed(), MINUTE * 20);
}

#[tokio::test(start_paused = true)]
async fn a_kubelet_can_hang_while_another_answers() {
    let sim = sim().await;
    sim.kubelets().faults().add(KubeletFault::on("a").hang());
    let client = sim.client_in_memory();
    let (a, b) = (proxied("a"), proxied("b"));
    let (hung, fine) = tokio::join!(timeout(MINUTE, get(&client, &a)), get(&client, &b));
    assert!(hung.is_err() && fine.code == 200);
    let direct = sim.kubelet_client_in_memory_as("a", "system:admin");
    assert!(timeout(MINUTE, get(&direct, SUMMARY)).await.is_err());
    // Whoever gave up is gone.
    drop((client, direct));
    sleep(Duration::from_secs(1)).await;
    assert_eq!(sim.kubelets().requests().in_flight(), 0);
    let hung = sim.kubelets().requests().newest().iter().filter(|request| request.status.is_none()).count();
    assert_eq!(hung, 2);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_reached_is_503_through_the_api_server_and_a_reset_directly() {
    let sim = sim().await;
    for (fault, why) in [
        (KubeletFault::on("a").refuse(), "dial tcp a:10250: connect: connection refused"),
        (KubeletFault::on("a").reset(), "EOF"),
    ] {
        let id = sim.kubelets().faults().add(fault);
        let client = sim.client_in_memory();
        let answer = get(&client, &proxied("a")).await.failure();
        assert_eq!(answer, (503, format!("error trying to reach service: {why}")));
        let direct = sim.kubelet_client_in_memory_as("a", "system:admin");
        assert!(try_get(&direct, SUMMARY).await.is_err());
        sim.kubelets().faults().remove(id);
    }
    sim.kubelets().set_down("a", true);
    let client = sim.client_in_memory();
    assert_eq!(get(&client, &proxied("a")).await.code, 503);
    sim.kubelets().set_down("a", false);
    assert_eq!(get(&client, &proxied("a")).await.code, 200);
}

#[tokio::test(start_paused = true)]
async fn statuses_pass_through_the_api_server_as_they_are() {
    let sim = sim().await;
    for (code, text) in [(401, "Unauthorized"), (403, "Forbidden"), (500, "Internal Server Error\n")] {
        sim.kubelets().faults().add(KubeletFault::on("a").path(SUMMARY).count(2).status(code));
        for answer in both(&sim).await {
            assert_eq!((answer.code, answer.text()), (code, text));
        }
        for answer in both(&sim).await {
            assert_eq!(answer.code, 200, "only the first two");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn bodies_can_be_cut_huge_and_no_json() {
    let sim = sim().await;
    let whole = sim.kubelets().summary("a").unwrap();
    let faults = sim.kubelets().faults();
    let half = faults.add(KubeletFault::on("a").truncate());
    for answer in both(&sim).await {
        assert_eq!(answer.body, whole[..whole.len() / 2]);
    }
    faults.remove(half);

    let short = faults.add(KubeletFault::on("a").cut_short());
    assert!(try_get(&sim.client_in_memory(), &proxied("a")).await.is_err());
    assert!(try_get(&sim.kubelet_client_in_memory_as("a", "system:admin"), SUMMARY).await.is_err());
    faults.remove(short);

    let huge = faults.add(KubeletFault::on("a").huge(10_000_000));
    for answer in both(&sim).await {
        assert_eq!(answer.body.len(), 10_000_000 + whole.len());
        assert_eq!(answer.json()["node"]["nodeName"], "a");
    }
    faults.remove(huge);

    faults.add(KubeletFault::on("a").invalid_json());
    for answer in both(&sim).await {
        assert!(serde_json::from_slice::<Value>(&answer.body).is_err());
    }
}

/// Every value that has one of these names, at any depth.
fn named<'a>(value: &'a Value, names: &[&str], found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                if names.contains(&name.as_str()) {
                    found.push(member);
                }
                named(member, names, found);
            }
        }
        Value::Array(elements) => elements.iter().for_each(|element| named(element, names, found)),
        _ => {}
    }
}

#[tokio::test(start_paused = true)]
async fn documents_can_lack_times_arrays_and_pods() {
    let sim = sim().await;
    let timeless = spoiled(&sim, KubeletFault::on("a").null_times()).await;
    let mut times = Vec::new();
    named(&timeless, &["time", "startTime"], &mut times);
    assert!(times.len() > 30 && times.iter().all(|time| time.is_null()));

    let listless = spoiled(&sim, KubeletFault::on("a").null_arrays()).await;
    assert!(listless["pods"].is_null() && listless["node"]["systemContainers"].is_null());
    assert!(listless["node"]["network"]["interfaces"].is_null() && listless["node"]["network"]["name"].is_string());
    let empty = spoiled(&sim, KubeletFault::on("a").no_pods()).await;
    assert_eq!(empty["pods"], Value::Array(Vec::new()));
    assert!(empty["node"]["cpu"].is_object());

    let future = spoiled(&sim, KubeletFault::on("a").future_fields()).await;
    let (mut added, usual) = (Vec::new(), of(&future, "db").clone());
    named(&future, &["futureField"], &mut added);
    assert!(added.len() > 50 && usual["cpu"]["futureObject"]["nested"].is_array());
    assert_eq!(usual["cpu"]["usageNanoCores"], of(&told(&sim, "a"), "db")["cpu"]["usageNanoCores"]);
}

#[tokio::test(start_paused = true)]
async fn pods_can_be_there_twice_and_containers_after_their_end() {
    let mut job = pod("job", "a", START, &[("main", START)]);
    job["status"]["phase"] = "Succeeded".into();
    job["status"]["containerStatuses"][0]["state"] = serde_json::json!({"terminated": {"startedAt": START}});
    let mut web = pod("init", "a", START, &[("app", START)]);
    web["status"]["initContainerStatuses"] =
        serde_json::json!([{"name": "prepare", "state": {"terminated": {"startedAt": START}}}]);
    let sim = builder().objects([job, web]).start().await.unwrap();

    let twice = spoiled(&sim, KubeletFault::on("a").duplicate_pods()).await;
    let of_db: Vec<&Value> =
        twice["pods"].as_array().unwrap().iter().filter(|pod| pod["podRef"]["name"] == "db").collect();
    let [former, newest] = of_db.as_slice() else { panic!("{of_db:?}") };
    assert_eq!(former["podRef"], newest["podRef"]);
    assert_eq!(seconds(former, "/startTime") + 3600, seconds(newest, "/startTime"));
    assert!(former["containers"][0].get("cpu").is_none() && newest["containers"][0].get("cpu").is_some());

    let usual = told(&sim, "a");
    assert_eq!(
        (usual["pods"].as_array().unwrap().len(), of(&usual, "init")["containers"].as_array().unwrap().len()),
        (3, 1)
    );
    let ended = spoiled(&sim, KubeletFault::on("a").ended_containers()).await;
    assert_eq!(ended["pods"].as_array().unwrap().len(), 4);
    let containers = &of(&ended, "init")["containers"];
    assert_eq!((containers[0]["name"].as_str(), containers[1]["name"].as_str()), (Some("prepare"), Some("app")));
    for gone in [&containers[0], &of(&ended, "job")["containers"][0]] {
        assert!(gone.get("cpu").is_none() && gone.get("memory").is_none() && gone["rootfs"].is_object(), "{gone}");
    }
    assert!(of(&ended, "job").get("cpu").is_none());
}

#[tokio::test(start_paused = true)]
async fn time_can_stand_still_and_counters_begin_again() {
    let sim = sim().await;
    let frozen = sim.kubelets().faults().add(KubeletFault::on("a").frozen());
    let before = summary(&sim.client_in_memory(), "a").await;
    advance(Duration::from_hours(3)).await;
    assert_eq!(summary(&sim.client_in_memory(), "a").await, before);
    sim.kubelets().faults().remove(frozen);

    sim.kubelets().faults().add(KubeletFault::on("a").counters_reset());
    advance(MINUTE).await;
    let after = summary(&sim.client_in_memory(), "a").await;
    let (before, after) = (of(&before, "db"), of(&after, "db"));
    assert_eq!(before["startTime"], after["startTime"]);
    assert!(seconds(after, "/cpu/time") > seconds(before, "/cpu/time"));
    for counter in ["/cpu/usageCoreNanoSeconds", "/network/rxBytes", "/memory/pageFaults", "/cpu/psi/some/total"] {
        assert!(number(after, counter) < number(before, counter), "{counter}");
        assert!(number(after, counter) > 0, "{counter}");
    }
    assert!(number(after, "/ephemeral-storage/usedBytes") >= number(before, "/ephemeral-storage/usedBytes"));
}

#[tokio::test(start_paused = true)]
async fn requests_under_way_are_counted_until_their_end() {
    let sim = sim().await;
    sim.kubelets().faults().add(KubeletFault::on_any().latency(MINUTE));
    let client = sim.client_in_memory();
    let nodes = ["a", "a", "a", "b"];
    let paths = nodes.map(proxied);
    join_all(paths.iter().map(|path| get(&client, path))).await;
    let requests = sim.kubelets().requests();
    assert_eq!((requests.max_in_flight(), requests.max_in_flight_of("a"), requests.max_in_flight_of("b")), (4, 3, 1));
    assert_eq!((requests.in_flight(), requests.summaries("a"), requests.summaries_by("b", Way::Proxy)), (0, 3, 1));
    let first = requests.newest().remove(0);
    assert_eq!(Instant::now().duration_since(first.at), MINUTE);
    requests.clear();
    assert_eq!((requests.total(), requests.max_in_flight()), (0, 0));
    assert_eq!(sim.now().to_string(), "2026-01-03T00:01:00Z", "a minute after {NOW}");
}
