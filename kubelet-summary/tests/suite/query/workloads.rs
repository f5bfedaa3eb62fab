//! Workloads, their pods and containers → sums of what they use.

use kubelet_summary::query::Figures;
use kubelet_summary::resources::{ContainerKind, Resources};
use kubelet_summary::storage::Attribution;
use kubelet_summary::{Parts, PodSelector, Scope, Summary};
use serde_json::json;

use super::support::{house, pod, stats, words};

fn owned(name: &str, uid: &str, kind: &str, owner: &str, hash: Option<&str>) -> serde_json::Value {
    let mut pod = pod("shop", name, uid, "n1");
    pod["metadata"]["ownerReferences"] = json!([{"controller": true, "kind": kind, "name": owner}]);
    if let Some(hash) = hash {
        pod["metadata"]["labels"]["pod-template-hash"] = json!(hash);
    }
    pod
}

#[tokio::test(start_paused = true)]
async fn workloads_are_summed_up_across_their_replica_sets() {
    let pods = [
        owned("web-1-a", "1", "ReplicaSet", "web-1", Some("1")),
        owned("web-2-a", "2", "ReplicaSet", "web-2", Some("2")),
        owned("db-0", "3", "StatefulSet", "db", None),
        pod("shop", "alone", "4", "n1"),
    ];
    let house = house(pods, &["n1"]).await;
    let names = ["web-1-a", "web-2-a", "db-0", "alone"];
    let documents = names.iter().zip(1_u64..).map(|(name, number)| stats("shop", name, &number.to_string(), number));
    house.kubelets.say("n1", documents.collect::<Vec<_>>());

    let ask = async |scope: Scope| house.summary.usage(&scope).await.unwrap();
    assert_eq!(words(&ask(Scope::all().owner("Deployment", "web")).await), ["web-1-a@n1=1", "web-2-a@n1=2"]);
    assert_eq!(words(&ask(Scope::all().owner("ReplicaSet", "web-2")).await), ["web-2-a@n1=2"]);
    assert_eq!(words(&ask(Scope::all().owner("StatefulSet", "db")).await), ["db-0@n1=3"]);

    let usage = ask(Scope::all()).await;
    let sums = usage.by_workload().into_iter().map(|(key, sum)| {
        let (memory, limit) = (sum.memory_working_set_bytes, sum.limits.memory);
        format!("{key}: {} of {}, at most {}, {} pods", memory.sum, limit.sum >> 20, memory.max, sum.parts)
    });
    assert_eq!(
        sums.collect::<Vec<_>>(),
        [
            "Deployment shop/web: 3 of 256, at most 2, 2 pods",
            "Pod shop/alone: 4 of 128, at most 4, 1 pods",
            "StatefulSet shop/db: 3 of 128, at most 3, 1 pods",
        ]
    );
    let total = usage.total();
    assert_eq!((total.parts, total.memory_working_set_bytes.sum()), (4, Some(10)));
    // Nothing holds the CPU, and nobody knows of swap: neither is zero.
    assert_eq!((total.limits.cpu.of, total.swap_bytes.sum(), total.swap_bytes.of), (0, None, 0));
    assert_eq!(total.requests.cpu.sum(), Some(400_000_000));
    assert_eq!((total.of_all(total.limits.memory), total.of_all(total.limits.cpu)), (Some(512 << 20), None));
    let none = ask(Scope::all().owner("Deployment", "no-such")).await.total();
    assert_eq!((none.parts, none.of_all(none.limits.memory)), (0, None));
}

#[tokio::test(start_paused = true)]
async fn containers_have_what_they_ask_for_beside_what_they_use() {
    let mut web = pod("shop", "web", "1", "n1");
    web["spec"]["initContainers"] = json!([
        {"name": "setup"},
        {"name": "mesh", "restartPolicy": "Always", "resources": {"limits": {"memory": "32Mi"}}},
    ]);
    let house = house([web], &["n1"]).await;
    let mut document = stats("shop", "web", "1", 50);
    let others = [json!({"name": "mesh", "memory": {"workingSetBytes": 5}}), json!({"name": "debugger"})];
    document["containers"].as_array_mut().unwrap().extend(others);
    house.kubelets.say("n1", vec![document]);

    let usage = house.summary.usage(&Scope::all().selector("app=web".parse::<PodSelector>().unwrap())).await.unwrap();
    let value = &usage.values[0];
    let containers = value.containers();
    let told: Vec<_> = containers
        .iter()
        .map(|container| {
            (container.name, container.kind, container.figures().memory_working_set_bytes, container.limits.memory)
        })
        .collect();
    assert_eq!(
        told,
        [
            ("setup", Some(ContainerKind::Init), None, None),
            ("mesh", Some(ContainerKind::Sidecar), Some(5), Some(32 << 20)),
            ("main", Some(ContainerKind::Main), Some(50), Some(128 << 20)),
            ("debugger", None, None, None),
        ]
    );
    assert_eq!(containers[2].figures().ephemeral_storage_bytes, Some(5));
    assert_eq!(value.limits(), Resources { memory: Some(160 << 20), ..Resources::default() });
    assert_eq!(value.figures().ephemeral_storage_bytes, Some(7));
    let spread = value.storage(Attribution::EvenSplit).unwrap();
    assert_eq!(spread.containers.iter().map(|container| container.attributed_bytes).collect::<Vec<_>>(), [3, 2, 2]);
    assert_eq!(value.stats().memory.time.unwrap().to_string(), "2026-01-01T00:00:00Z");

    let by_name = usage.by_container();
    assert_eq!(by_name.keys().collect::<Vec<_>>(), ["debugger", "main", "mesh"]);
    assert_eq!(by_name["mesh"].memory_working_set_bytes.sum(), Some(5));
}

#[test]
fn claims_and_pressure_are_figures_too() {
    let psi = |total: u64| json!({"some": {"total": total}, "full": {"total": 1}});
    let document = json!({"pods": [{
        "podRef": {"name": "db", "namespace": "shop", "uid": "1"},
        "cpu": {"time": "2026-01-01T00:00:00Z", "psi": psi(10)}, "memory": {"psi": psi(20)}, "io": {"psi": psi(30)},
        "volume": [
            {"name": "data", "usedBytes": 100, "pvcRef": {"name": "data-db-0", "namespace": "shop"}},
            {"name": "more", "usedBytes": 7, "pvcRef": {"name": "more-db-0", "namespace": "shop"}},
            {"name": "unknown", "pvcRef": {"name": "new", "namespace": "shop"}},
            {"name": "tmp", "usedBytes": 1000},
        ],
        "containers": [{"name": "main", "io": {"psi": psi(29)}}],
    }, {"podRef": {"name": "web", "namespace": "shop", "uid": "2"}, "volume": [{"name": "tmp", "usedBytes": 1000}]}]});
    let read = |parts| Summary::from_slice_keeping(document.to_string().as_bytes(), parts).unwrap().summary;
    let waits =
        |of: &Figures| [of.cpu_waiting_nano_seconds, of.memory_waiting_nano_seconds, of.io_waiting_nano_seconds];
    let all = read(Parts::ALL);
    let [db, web] = [&all.pods[0], &all.pods[1]].map(Figures::of_pod);
    assert_eq!((db.claim_bytes, web.claim_bytes), (Some(107), None));
    assert_eq!((waits(&db), waits(&web)), ([Some(10), Some(20), Some(30)], [None; 3]));
    let main = Figures::of_container(&all.pods[0].containers[0]);
    assert_eq!((main.claim_bytes, waits(&main)), (None, [None, None, Some(29)]));
    assert_eq!(waits(&Figures::of_pod(&read(Parts::USAGE).pods[0])), [None; 3]);
}
