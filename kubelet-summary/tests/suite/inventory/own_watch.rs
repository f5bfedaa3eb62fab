use cluster_sim::population::PopulationSpec;
use cluster_sim::{ObjectRef, Sim};
use kubelet_summary::Scope;
use kubelet_summary::inventory::Inventory;

use super::support::{names, node, pod};

#[tokio::test]
async fn a_whole_cluster_is_known() {
    let sim = Sim::builder().population(&PopulationSpec::new(5, 700)).start().await.unwrap();
    let inventory = Inventory::builder(sim.client()).spawn();
    inventory.ready().await.unwrap();
    let status = inventory.status();
    assert_eq!((status.known_pods, status.known_nodes), (700, 5));
    // Each pod is known as it is there: labels, owner and node.
    for value in sim.list("v1", "pods").unwrap() {
        let text = |path: &str| value.pointer(path).and_then(|text| text.as_str());
        let known = inventory.pod(&text("/metadata/uid").unwrap().into()).unwrap();
        assert_eq!((Some(known.name()), known.node()), (text("/metadata/name"), text("/spec/nodeName")));
        let labels = value.pointer("/metadata/labels").and_then(|labels| labels.as_object());
        assert_eq!(known.labels().len(), labels.map_or(0, serde_json::Map::len));
        for (key, label) in labels.into_iter().flatten() {
            assert_eq!(known.label(key), label.as_str());
        }
        assert_eq!(known.owner().map(|(kind, _)| kind), text("/metadata/ownerReferences/0/kind"));
    }
    inventory.shutdown().await;
    sim.shutdown().await;
}

#[tokio::test]
async fn its_own_watches_can_be_narrower() {
    let sim = Sim::builder().start().await.unwrap();
    for (namespace, name, place) in [("a", "one", "n"), ("b", "two", "n"), ("b", "three", "m"), ("c", "four", "n")] {
        sim.upsert(pod(namespace, name, name, place)).unwrap();
    }
    let of = async |inventory: Inventory| {
        inventory.ready().await.unwrap();
        let names = names(&inventory, &Scope::all());
        (names, inventory.covers("b"), inventory.covers("d"))
    };
    let builder = || Inventory::builder(sim.client());
    assert_eq!(
        of(builder().namespaces(["a", "b", "a"]).spawn()).await,
        (vec!["a/one@n".into(), "b/three@m".into(), "b/two@n".into()], true, false)
    );
    assert_eq!(
        of(builder().pod_labels("app in (one,two)".parse().unwrap()).spawn()).await,
        (vec!["a/one@n".into(), "b/two@n".into()], false, false)
    );
    assert_eq!(of(builder().pod_fields("spec.nodeName=m").spawn()).await, (vec!["b/three@m".into()], false, false));
    sim.shutdown().await;
}

#[tokio::test]
async fn changes_are_seen() {
    let sim = Sim::builder().start().await.unwrap();
    sim.upsert(node("n", "10.0.0.1")).unwrap();
    sim.upsert(pod("a", "one", "1", "n")).unwrap();
    let inventory = Inventory::builder(sim.client()).spawn();
    inventory.ready().await.unwrap();
    sim.upsert(pod("a", "two", "2", "n")).unwrap();
    sim.delete(&ObjectRef::new("v1", "Pod", "one").within("a")).unwrap();
    sim.upsert(pod("a", "three", "3", "n")).unwrap();
    let all = Scope::all();
    inventory.wait_for(|_| names(&inventory, &all) == ["a/three@n", "a/two@n"]).await;
    sim.upsert(node("n", "10.0.0.2")).unwrap();
    let address = || inventory.node("n").unwrap().unwrap().target.addresses[0].address.clone();
    inventory.wait_for(|_| address() == "10.0.0.2").await;
    sim.shutdown().await;
}
