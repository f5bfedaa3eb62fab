//! What is in a document, and how it grows.

use std::time::Duration;

use cluster_sim::population::PopulationSpec;
use cluster_sim::{ObjectRef, Sim};
use serde_json::{Value, json};
use tokio::time::advance;

use super::support::{NOW, START, builder, names, node, number, of, pod, seconds, sim, told};

const DAY: u64 = 86_400;

#[tokio::test]
async fn it_tells_of_the_pods_bound_to_the_node() {
    let document = told(&sim().await, "a");
    let web = of(&document, "web");
    assert_eq!(web["podRef"], json!({"name": "web", "namespace": "default", "uid": "uid-of-web"}));
    assert_eq!(names(&web["containers"]), ["app", "proxy"]);
    assert_eq!(
        (&web["startTime"], &web["containers"][1]["startTime"]),
        (&json!(START), &json!("2026-01-02T00:00:07Z"))
    );
    assert_eq!(document["pods"].as_array().unwrap().len(), 2);
    assert_eq!(names(&document["node"]["systemContainers"]), ["kubelet", "runtime", "pods"]);
    assert_eq!(number(&document, "/node/fs/capacityBytes"), 50 << 30);
    assert_eq!(
        number(&document, "/node/swap/swapAvailableBytes") + number(&document, "/node/swap/swapUsageBytes"),
        1 << 30
    );
    for member in ["imageFs", "containerFs"] {
        assert_eq!(number(&document["node"]["runtime"], &format!("/{member}/capacityBytes")), 50 << 30);
    }
    assert!(number(&document, "/node/rlimit/curproc") > 180 && number(&document, "/node/rlimit/maxpid") > 0);
    assert_eq!(names(&document["node"]["network"]["interfaces"]), ["eth0", "ens6"]);
    assert_eq!(web["network"]["name"], "eth0");
    assert_eq!(web["network"]["rxBytes"], web["network"]["interfaces"][0]["rxBytes"]);
}

#[tokio::test(start_paused = true)]
async fn counters_grow_from_the_start_by_the_rate_that_is_told() {
    let sim = sim().await;
    let containers = |document: &Value| -> Vec<Value> {
        let pods = document["pods"].as_array().unwrap();
        pods.iter().flat_map(|pod| pod["containers"].as_array().unwrap().clone()).collect()
    };
    let exact = |thing: &Value| {
        let since = seconds(thing, "/cpu/time") - seconds(thing, "/startTime");
        let (rate, counter) = (number(thing, "/cpu/usageNanoCores"), number(thing, "/cpu/usageCoreNanoSeconds"));
        assert!(rate > 0 && counter == rate * since, "{thing}");
        since
    };
    let before = told(&sim, "a");
    advance(Duration::from_secs(DAY)).await;
    let after = told(&sim, "a");
    for (before, after) in containers(&before).iter().zip(&containers(&after)) {
        let grown = exact(after) - exact(before);
        assert!((DAY - 15..=DAY + 15).contains(&grown), "{grown}");
        assert_eq!(before["cpu"]["usageNanoCores"], after["cpu"]["usageNanoCores"]);
        for counter in ["/memory/pageFaults", "/rootfs/usedBytes", "/cpu/psi/some/total"] {
            assert!(number(after, counter) > number(before, counter), "{counter} of {after}");
        }
        assert_ne!(number(after, "/logs/usedBytes"), number(before, "/logs/usedBytes"), "rotated, or more");
    }
    exact(&after["node"]);
    let (before, after) = (of(&before, "web"), of(&after, "web"));
    for counter in ["/network/rxBytes", "/network/txBytes", "/ephemeral-storage/usedBytes", "/memory/pageFaults"] {
        assert!(number(after, counter) > number(before, counter), "{counter}");
    }
    let parts: u64 = containers(&json!({"pods": [after]})).iter().map(|part| number(part, "/cpu/usageNanoCores")).sum();
    assert_eq!(number(after, "/cpu/usageNanoCores"), parts + 1000);
}

#[tokio::test(start_paused = true)]
async fn a_sample_stays_until_the_next_is_taken() {
    let sim = sim().await;
    let cpu = |document: &Value| of(document, "db")["containers"][0]["cpu"]["time"].clone();
    let (mut seen, mut changes) = (cpu(&told(&sim, "a")), Vec::new());
    for second in 1..=120_u64 {
        advance(Duration::from_secs(1)).await;
        let now = cpu(&told(&sim, "a"));
        if now != seen {
            changes.push(second);
            seen = now;
        }
    }
    let gaps: Vec<u64> = changes.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!((10..=15).contains(&gaps[0]) && gaps.iter().all(|gap| *gap == gaps[0]), "{changes:?}");

    sim.kubelets().set_housekeeping(Some(Duration::from_secs(30)));
    let before = told(&sim, "a");
    advance(Duration::from_secs(29)).await;
    assert_eq!(of(&told(&sim, "a"), "db"), of(&before, "db"));
    advance(Duration::from_secs(1)).await;
    assert_eq!(seconds(of(&told(&sim, "a"), "db"), "/cpu/time"), seconds(of(&before, "db"), "/cpu/time") + 30);
}

/// Whatever is of the same time in both is the same in both; how many are.
fn same_where_unchanged(before: &Value, after: &Value) -> usize {
    match (before, after) {
        (Value::Object(one), Value::Object(other))
            if one.get("time").is_some_and(|at| other.get("time") == Some(at)) =>
        {
            assert_eq!(one, other);
            1
        }
        (Value::Object(one), Value::Object(other)) => {
            one.iter().filter_map(|(name, member)| Some(same_where_unchanged(member, other.get(name)?))).sum()
        }
        (Value::Array(one), Value::Array(other)) => {
            one.iter().zip(other).map(|(one, other)| same_where_unchanged(one, other)).sum()
        }
        _ => 0,
    }
}

#[tokio::test(start_paused = true)]
async fn what_has_the_time_of_before_is_what_it_was_before() {
    let sim = builder().objects([with_volumes()]).start().await.unwrap();
    let mut before = told(&sim, "a");
    for _ in 0..180 {
        advance(Duration::from_secs(1)).await;
        let now = told(&sim, "a");
        assert!(same_where_unchanged(&before, &now) > 0);
        before = now;
    }
    advance(Duration::from_mins(1)).await;
    assert_eq!(same_where_unchanged(&before, &told(&sim, "a")), 0);
}

fn with_volumes() -> Value {
    let mut pod = pod("store", "a", START, &[("app", START), ("side", START)]);
    pod["spec"]["volumes"] = json!([
        {"name": "work", "emptyDir": {}},
        {"name": "shm", "emptyDir": {"medium": "Memory"}},
        {"name": "config", "configMap": {"name": "config"}},
        {"name": "token", "projected": {"sources": []}},
        {"name": "keys", "secret": {"secretName": "keys"}},
        {"name": "host", "hostPath": {"path": "/var"}},
        {"name": "data", "persistentVolumeClaim": {"claimName": "data-store"}},
        {"name": "scratch", "ephemeral": {"volumeClaimTemplate": {}}},
    ]);
    pod
}

#[tokio::test(start_paused = true)]
async fn volumes_are_of_the_pods_spec_and_the_local_ones_count_as_ephemeral_storage() {
    let claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data-store", "namespace": "default"},
        "spec": {"resources": {"requests": {"storage": "5Gi"}}}, "status": {"capacity": {"storage": "8Gi"}},
    });
    let sim = builder().objects([claim, with_volumes()]).start().await.unwrap();
    let document = told(&sim, "a");
    let store = of(&document, "store");
    let volumes = store["volume"].as_array().unwrap();
    let volume = |name: &str| volumes.iter().find(|volume| volume["name"] == name).unwrap();
    assert_eq!(names(&store["volume"]), ["work", "shm", "config", "token", "keys", "data", "scratch"]);
    assert_eq!(volume("data")["pvcRef"], json!({"name": "data-store", "namespace": "default"}));
    assert_eq!(volume("scratch")["pvcRef"]["name"], "store-scratch");
    assert_eq!(volumes.iter().filter(|volume| volume.get("pvcRef").is_some()).count(), 2);
    assert_eq!(number(volume("data"), "/capacityBytes"), 8 << 30);
    assert_eq!(number(volume("scratch"), "/capacityBytes"), 10 << 30);
    assert_eq!(number(volume("work"), "/capacityBytes"), 50 << 30);
    let data = volume("data");
    assert_eq!(number(data, "/availableBytes") + number(data, "/usedBytes"), 8 << 30);
    assert_eq!(number(data, "/inodesFree") + number(data, "/inodesUsed"), number(data, "/inodes"));

    let containers = store["containers"].as_array().unwrap();
    for figure in ["usedBytes", "inodesUsed"] {
        let part = |thing: &Value, place: &str| number(thing, &format!("{place}/{figure}"));
        let files: u64 = containers.iter().map(|one| part(one, "/rootfs") + part(one, "/logs")).sum();
        let local = part(volume("work"), "") + part(volume("config"), "");
        assert_eq!(part(store, "/ephemeral-storage"), files + local, "{figure}");
    }
    let time = seconds(volume("work"), "/time");
    assert_eq!((seconds(store, "/startTime") + DAY - time) % 60, 0);
    let before = volume("work").clone();
    advance(Duration::from_secs(59)).await;
    assert_eq!(of(&told(&sim, "a"), "store")["volume"][0]["usedBytes"], before["usedBytes"]);
    advance(Duration::from_mins(10)).await;
    let after = of(&told(&sim, "a"), "store")["volume"][0].clone();
    assert!(seconds(&after, "/time") == time + 600 && number(&after, "/usedBytes") > number(&before, "/usedBytes"));
}

#[tokio::test(start_paused = true)]
async fn gauges_of_memory_add_up() {
    let mut limited = pod("limited", "b", START, &[("app", START)]);
    limited["spec"]["containers"][0]["resources"] = json!({"limits": {"memory": "10Mi"}});
    let document = told(&builder().objects([limited]).start().await.unwrap(), "b");
    let app = &of(&document, "limited")["containers"][0];
    assert_eq!(number(app, "/memory/availableBytes") + number(app, "/memory/workingSetBytes"), 10 << 20);
    assert!(number(app, "/memory/usageBytes") <= 10 << 20);
    let memory = |thing: &Value| number(thing, "/memory/workingSetBytes");
    assert_eq!(memory(of(&document, "limited")), memory(app) + (512 << 10));
    let system = &document["node"]["systemContainers"][2];
    assert_eq!((system["name"].as_str(), memory(system)), (Some("pods"), memory(of(&document, "limited"))));
    assert_eq!(number(&document, "/node/memory/availableBytes") + memory(&document["node"]), 16 << 30);
}

#[tokio::test(start_paused = true)]
async fn a_restarted_container_counts_from_its_new_start() {
    let sim = sim().await;
    let before = told(&sim, "a");
    let mut web = sim.get(&ObjectRef::new("v1", "Pod", "web").within("default")).unwrap().unwrap();
    let status = &mut web["status"]["containerStatuses"][0];
    (status["restartCount"], status["state"]["running"]["startedAt"]) = (1.into(), NOW.into());
    sim.upsert(web).unwrap();
    let now = told(&sim, "a");
    let app = &of(&now, "web")["containers"][0];
    assert_eq!((&app["startTime"], number(app, "/cpu/usageCoreNanoSeconds")), (&json!(NOW), 0));
    assert_eq!(app["cpu"].get("usageNanoCores"), None, "a rate takes two samples");
    assert_eq!(of(&now, "web")["containers"][1], of(&before, "web")["containers"][1]);
    assert_eq!(of(&now, "web")["network"], of(&before, "web")["network"]);
    assert_eq!(of(&now, "web")["cpu"], of(&before, "web")["cpu"], "the pod's counter outlives its containers");

    advance(Duration::from_secs(90)).await;
    let later = told(&sim, "a");
    let app = &of(&later, "web")["containers"][0];
    let since = seconds(app, "/cpu/time") - seconds(app, "/startTime");
    assert!((75..=90).contains(&since));
    assert_eq!(number(app, "/cpu/usageCoreNanoSeconds"), number(app, "/cpu/usageNanoCores") * since);
}

#[tokio::test(start_paused = true)]
async fn a_recreated_pod_is_another_one() {
    let sim = sim().await;
    let before = told(&sim, "a");
    sim.delete(&ObjectRef::new("v1", "Pod", "db").within("default")).unwrap();
    assert_eq!(told(&sim, "a")["pods"].as_array().unwrap().len(), 1);
    let mut again = pod("db", "a", NOW, &[("db", NOW)]);
    again["metadata"]["uid"] = "another".into();
    sim.upsert(again).unwrap();
    advance(Duration::from_mins(1)).await;
    let now = told(&sim, "a");
    assert_eq!(of(&now, "db")["podRef"]["uid"], "another");
    assert!(
        number(of(&now, "db"), "/cpu/usageCoreNanoSeconds") < number(of(&before, "db"), "/cpu/usageCoreNanoSeconds")
    );
    assert_ne!(of(&now, "db")["cpu"]["usageNanoCores"], of(&before, "db")["cpu"]["usageNanoCores"]);
}

#[tokio::test(start_paused = true)]
async fn pods_without_sandbox_and_pods_that_have_ended_are_left_out() {
    let changed = |name: &str, phase: &str, statuses: Value| {
        let mut pod = pod(name, "b", START, &[("app", START)]);
        (pod["status"]["phase"], pod["status"]["containerStatuses"]) = (phase.into(), statuses);
        pod
    };
    let mut unscheduled = changed("unscheduled", "Pending", json!(null));
    unscheduled["status"]["podIP"] = json!(null);
    let waiting = json!([{"name": "app", "state": {"waiting": {"reason": "ImagePullBackOff"}}}]);
    let mut at_host = changed("at-host", "Running", json!(null));
    at_host["spec"]["hostNetwork"] = true.into();
    let pods = [
        unscheduled,
        changed("pulling", "Pending", waiting),
        changed("done", "Succeeded", json!([{"name": "app", "state": {"terminated": {"startedAt": START}}}])),
        at_host,
    ];
    let document = told(&builder().objects(pods).start().await.unwrap(), "b");
    let listed: Vec<_> =
        document["pods"].as_array().unwrap().iter().map(|pod| pod["podRef"]["name"].as_str()).collect();
    assert_eq!(listed, [Some("at-host"), Some("pulling")]);
    assert_eq!(of(&document, "pulling")["containers"], json!(null));
    assert_eq!(names(&of(&document, "at-host")["containers"]), ["app"]);
    assert_eq!(of(&document, "at-host").get("network"), None);
    assert!(of(&document, "pulling").get("network").is_some());
}

#[tokio::test(start_paused = true)]
async fn the_light_form_has_cpu_and_memory_alone() {
    let sim = builder().objects([with_volumes()]).start().await.unwrap();
    let light: Value = serde_json::from_slice(&sim.kubelets().light_summary("a").unwrap()).unwrap();
    let (full, members) =
        (told(&sim, "a"), |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>());
    assert_eq!(members(&light["node"]), ["cpu", "memory", "nodeName", "startTime", "swap", "systemContainers"]);
    let store = of(&light, "store");
    assert_eq!(members(store), ["containers", "cpu", "memory", "podRef", "startTime", "swap"]);
    assert_eq!(members(&store["containers"][0]), ["cpu", "memory", "name", "startTime", "swap"]);
    assert_eq!((&store["cpu"], &store["memory"]), (&of(&full, "store")["cpu"], &of(&full, "store")["memory"]));
}

#[tokio::test(start_paused = true)]
async fn pressure_is_told_since_1_34_or_as_it_is_set() {
    let mut old = node("old");
    old["status"]["nodeInfo"]["kubeletVersion"] = "v1.33.4-eks-1".into();
    let sim = builder().objects([old]).start().await.unwrap();
    let has = |node: &str| {
        let node = told(&sim, node)["node"].clone();
        let io = node.get("io").is_some();
        assert_eq!((node["cpu"].get("psi").is_some(), node["memory"].get("psi").is_some()), (io, io));
        io
    };
    assert_eq!((has("a"), has("old")), (true, false));
    let psi = told(&sim, "a")["node"]["cpu"]["psi"].clone();
    assert!(number(&psi, "/some/total") >= number(&psi, "/full/total"));
    assert!(["avg10", "avg60", "avg300"].iter().all(|average| psi["some"][average].is_number()));
    sim.kubelets().set_psi(Some(true));
    assert!(has("old"));
    sim.kubelets().set_psi(Some(false));
    assert!(!has("a"));
}

#[tokio::test(start_paused = true)]
async fn equal_seeds_and_moments_give_equal_bytes() {
    let spec = PopulationSpec::new(2, 40);
    let start = async || Sim::builder().now(NOW.parse().unwrap()).population(&spec).start().await.unwrap();
    let (one, other) = (start().await, start().await);
    for node in one.list("v1", "nodes").unwrap() {
        let name = node["metadata"]["name"].as_str().unwrap();
        let document = one.kubelets().summary(name).unwrap();
        assert_eq!(document, other.kubelets().summary(name).unwrap());
        other.kubelets().set_seed(1);
        assert_ne!(document, other.kubelets().summary(name).unwrap());
        other.kubelets().set_seed(0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_node_has_most_of_a_megabyte() {
    let full = (0..110).map(|nth| {
        let mut pod = with_volumes();
        (pod["metadata"]["name"], pod["metadata"]["uid"]) = (format!("pod-{nth}").into(), format!("uid-{nth}").into());
        pod["spec"]["volumes"].as_array_mut().unwrap().truncate(4);
        pod
    });
    let sim = builder().objects(full).start().await.unwrap();
    let size = sim.kubelets().summary("a").unwrap().len();
    assert!((700_000..1_000_000).contains(&size), "{size}");
}

#[tokio::test(start_paused = true)]
async fn pods_that_move_or_cannot_be_read_are_followed() {
    let sim = sim().await;
    let count = |node: &str| told(&sim, node)["pods"].as_array().unwrap().len();
    assert_eq!((count("a"), count("b")), (2, 0));
    sim.upsert(pod("db", "b", START, &[("db", START)])).unwrap();
    assert_eq!((count("a"), count("b")), (1, 1));
    // What is forgotten is found again.
    for nth in 0..3 {
        sim.upsert(pod(&format!("new-{nth}"), "b", START, &[("app", START)])).unwrap();
    }
    sim.compact_now();
    assert_eq!((count("a"), count("b")), (1, 4));
    let mut broken = pod("db", "b", START, &[]);
    broken["status"]["containerStatuses"] = "none".into();
    sim.upsert(broken).unwrap();
    assert_eq!(count("b"), 3);
}
