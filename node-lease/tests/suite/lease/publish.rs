//! Metadata → a Lease, and the Lease over the hours.

use cluster_sim::{Deny, Fault, Verb};
use jiff::{SignedDuration, Timestamp};
use node_lease::source::Fixed;
use node_lease::writer::Mode;
use node_lease::{Attribute, Contract, ContractError, LeaseWriter, NodeMetadata, Owner, WriterError, WriterState};
use serde_json::{Value, json};
use tokio::time::{Instant, advance, sleep};

use super::support::*;

fn renewed(lease: &Value) -> Timestamp {
    lease["spec"]["renewTime"].as_str().unwrap().parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_lease_has_what_a_reader_of_the_cloudwatch_agent_wants() {
    let sim = cluster(&["n"]).await;
    let uid = sim.get(&cluster_sim::ObjectRef::new("v1", "Node", "n")).unwrap().unwrap()["metadata"]["uid"].clone();
    let handle = writer(&sim, Fixed(machine("m6i.large")), "n", "pod-a").build().unwrap().spawn().unwrap();
    held(&handle).await;
    let lease = lease(&sim, "n").unwrap();
    assert_eq!(
        lease["metadata"]["annotations"],
        json!({
            "cwagent.amazonaws.com/host.id": "host_id",
            "cwagent.amazonaws.com/host.name": "host_name",
            "cwagent.amazonaws.com/host.type": "m6i.large",
            "cwagent.amazonaws.com/host.image.id": "host_image_id",
            "cwagent.amazonaws.com/cloud.availability_zone": "cloud_availability_zone",
            "cwagent.amazonaws.com/cloud.provider": "cloud_provider",
            "cwagent.amazonaws.com/cloud.region": "cloud_region",
            "cwagent.amazonaws.com/cloud.account.id": "cloud_account_id",
            "cwagent.amazonaws.com/schema.version": "1",
        })
    );
    assert_eq!(lease["metadata"]["labels"], json!({"app.kubernetes.io/component": "node-metadata"}));
    assert_eq!(
        lease["metadata"]["ownerReferences"],
        json!([{"apiVersion": "v1", "kind": "Node", "name": "n", "uid": uid}])
    );
    assert_eq!(lease["spec"]["holderIdentity"], "pod-a");
    assert_eq!(lease["spec"]["leaseDurationSeconds"], 7200);
    let off = renewed(&lease).duration_since(wall());
    assert!(off >= SignedDuration::ZERO && off <= SignedDuration::from_secs(30), "{off:?}");
    assert_eq!(handle.status().renewed, Some(renewed(&lease)));
    assert_eq!(handle.status().mode, Mode::Apply);
}

#[tokio::test(start_paused = true)]
async fn the_first_request_waits_a_random_part_of_thirty_seconds() {
    let sim = cluster(&["n"]).await;
    let mut waits = Vec::new();
    for seed in 0..20 {
        let began = Instant::now();
        let writer = writer(&sim, Fixed(machine("m")), "n", "pod-a").seed(seed).build().unwrap();
        let handle = writer.spawn().unwrap();
        held(&handle).await;
        waits.push(began.elapsed());
        handle.shutdown().await;
    }
    assert!(waits.iter().all(|wait| *wait <= 30 * SECOND), "{waits:?}");
    let early = waits.iter().filter(|wait| **wait < 15 * SECOND).count();
    assert!((4..=16).contains(&early), "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn it_is_renewed_about_every_hour_with_one_request() {
    let sim = cluster(&["n"]).await;
    let handle = writer(&sim, Fixed(machine("m")), "n", "pod-a").build().unwrap().spawn().unwrap();
    held(&handle).await;
    sim.requests().clear();
    sleep(100 * HOUR).await;
    let renewals = sim.requests().count(Verb::Patch, "leases");
    assert!((92..=110).contains(&renewals), "{renewals}");
    assert_eq!(sim.requests().total(), renewals, "no other requests");
    let times: Vec<Instant> = sim.requests().newest().iter().map(|request| request.at).collect();
    let pauses: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(pauses.iter().all(|pause| *pause >= 54 * MINUTE && *pause <= 66 * MINUTE), "{pauses:?}");
    assert!(pauses.windows(2).any(|pair| pair[0] != pair[1]), "the pauses are random");
    let age = wall() + SignedDuration::from_hours(100) - renewed(&lease(&sim, "n").unwrap());
    assert!(age.total(jiff::Unit::Minute).unwrap() <= 67.0, "{age:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_known_is_published_and_completed_later() {
    let sim = cluster(&["n"]).await;
    let partial = NodeMetadata::new().with(Attribute::HostId, "i-1");
    let script = Script::new([
        Answer::Failure,
        Answer::Hang,
        Answer::Partial(partial),
        Answer::Failure,
        Answer::Metadata(machine("m")),
    ]);
    let handle = writer(&sim, script.clone(), "n", "pod-a").build().unwrap().spawn().unwrap();
    until(&handle, |state| *state == WriterState::NoMetadata).await;
    assert_eq!(lease(&sim, "n"), None);
    assert!(handle.status().problems[0].starts_with("script was answered 500"), "{:?}", handle.status());
    held(&handle).await;
    assert_eq!(lease(&sim, "n").unwrap()["metadata"]["annotations"]["cwagent.amazonaws.com/host.id"], "i-1");
    assert_eq!(lease(&sim, "n").unwrap()["metadata"]["annotations"].get("cwagent.amazonaws.com/host.name"), None);
    while script.asked.lock().len() < 5 {
        advance(SECOND).await;
        settle().await;
    }
    assert_eq!(lease(&sim, "n").unwrap()["metadata"]["annotations"]["cwagent.amazonaws.com/host.name"], "host_name");
    assert_eq!(sim.requests().count(Verb::Patch, "leases"), 2, "a failure in between wrote nothing");
    let asked = script.asked.lock().clone();
    // 5 s, doubled each time, of which at least half; the one that hung took its 30 s too.
    assert!(asked[1] - asked[0] >= 5 * SECOND / 2 && asked[1] - asked[0] <= 5 * SECOND);
    assert!(asked[2] - asked[1] >= 35 * SECOND && asked[2] - asked[1] <= 40 * SECOND);
    assert!(asked[4] - asked[3] >= 20 * SECOND && asked[4] - asked[3] <= 40 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_source_is_asked_again_before_each_renewal_and_never_forgets() {
    let sim = cluster(&["n"]).await;
    let script = Script::new([
        Answer::Metadata(machine("m6i.large")),
        Answer::Metadata(NodeMetadata::new().with(Attribute::HostImageId, "ami-2")),
        Answer::Failure,
    ]);
    let handle = writer(&sim, script, "n", "pod-a").build().unwrap().spawn().unwrap();
    held(&handle).await;
    sleep(2 * HOUR + 30 * MINUTE).await;
    let annotations = lease(&sim, "n").unwrap()["metadata"]["annotations"].clone();
    assert_eq!(annotations["cwagent.amazonaws.com/host.image.id"], "ami-2");
    assert_eq!(annotations["cwagent.amazonaws.com/host.type"], "m6i.large");
}

#[tokio::test(start_paused = true)]
async fn annotations_and_labels_of_others_survive() {
    for forbidden in [None, Some(Verb::Patch)] {
        let sim = cluster(&["n"]).await;
        if let Some(verb) = forbidden {
            sim.deny(Deny::everything().verb(verb).resource("leases"));
        }
        let mut theirs = cloudwatch_lease("n", "old.type", wall() - SignedDuration::from_hours(1));
        theirs["metadata"]["annotations"]["example.com/team"] = "a".into();
        theirs["metadata"]["annotations"]["cwagent.amazonaws.com/host.serial"] = "s".into();
        theirs["metadata"]["labels"] = json!({"team": "a"});
        sim.create(theirs).unwrap();
        let handle = writer(&sim, Fixed(machine("new.type")), "n", "pod-a").build().unwrap().spawn().unwrap();
        held(&handle).await;
        sleep(3 * HOUR).await;
        let lease = lease(&sim, "n").unwrap();
        let annotation = |key: &str| lease["metadata"]["annotations"][key].as_str().unwrap_or_default().to_owned();
        assert_eq!(annotation("example.com/team"), "a");
        assert_eq!(annotation("cwagent.amazonaws.com/host.serial"), "s");
        assert_eq!(annotation("cwagent.amazonaws.com/host.type"), "new.type");
        assert_eq!(lease["metadata"]["labels"]["team"], "a");
        assert_eq!(lease["metadata"]["labels"]["app.kubernetes.io/component"], "node-metadata");
        assert_eq!(lease["spec"]["holderIdentity"], "pod-a");
    }
}

#[tokio::test(start_paused = true)]
async fn what_others_write_between_two_renewals_survives() {
    for forbidden in [None, Some(Verb::Patch)] {
        let sim = cluster(&["n"]).await;
        if let Some(verb) = forbidden {
            sim.deny(Deny::everything().verb(verb).resource("leases"));
        }
        let handle = writer(&sim, Fixed(machine("m")), "n", "pod-a").build().unwrap().spawn().unwrap();
        held(&handle).await;
        let mut changed = lease(&sim, "n").unwrap();
        changed["metadata"]["annotations"]["example.com/note"] = "mine".into();
        sim.update(changed).unwrap();
        let before = renewed(&lease(&sim, "n").unwrap());
        sleep(HOUR + 10 * MINUTE).await;
        let lease = lease(&sim, "n").unwrap();
        assert_eq!(lease["metadata"]["annotations"]["example.com/note"], "mine");
        assert!(renewed(&lease) > before, "it was renewed all the same");
        assert_eq!(handle.status().state, WriterState::Held);
    }
}

#[tokio::test(start_paused = true)]
async fn an_owner_is_looked_up_once_given_or_left_out() {
    let sim = cluster(&["n"]).await;
    let owners = |lease: Option<Value>| lease.unwrap()["metadata"]["ownerReferences"].clone();
    for (owner, want) in [(Owner::None, Value::Null), (Owner::NodeUid("u".to_owned()), json!("u"))] {
        let writer = writer(&sim, Fixed(machine("m")), "n", "pod-a").owner(owner).build().unwrap();
        let handle = writer.spawn().unwrap();
        held(&handle).await;
        assert_eq!(owners(lease(&sim, "n")).get(0).map_or(Value::Null, |owner| owner["uid"].clone()), want);
        assert_eq!(sim.requests().count(Verb::Get, "nodes"), 0);
        handle.shutdown().await;
    }
    // A server that is busy is asked again soon.
    let busy = sim.faults().add(Fault::on(Verb::Get).resource("nodes").status(503).count(2));
    let handle = writer(&sim, Fixed(machine("m")), "n", "pod-a").build().unwrap().spawn().unwrap();
    held(&handle).await;
    assert_eq!(owners(lease(&sim, "n")), Value::Null);
    sleep(6 * MINUTE).await;
    assert_eq!(owners(lease(&sim, "n"))[0]["name"], "n");
    handle.shutdown().await;
    sim.faults().remove(busy);
    sim.requests().clear();
    // Without the right to read it there is no owner, until there is.
    sim.deny(Deny::everything().verb(Verb::Get).resource("nodes"));
    let handle = writer(&sim, Fixed(machine("m")), "n", "pod-a").build().unwrap().spawn().unwrap();
    held(&handle).await;
    assert_eq!(owners(lease(&sim, "n")), Value::Null);
    sim.allow_all();
    sleep(5 * HOUR).await;
    assert_eq!(owners(lease(&sim, "n"))[0]["name"], "n");
    assert_eq!(sim.requests().count(Verb::Get, "nodes"), 2);
}

#[tokio::test(start_paused = true)]
async fn the_lease_of_a_node_that_was_made_anew_is_the_new_ones() {
    let sim = cluster(&["n"]).await;
    let handle = writer(&sim, Fixed(machine("m")), "n", "pod-a").build().unwrap().spawn().unwrap();
    held(&handle).await;
    // The node goes, its Lease is collected, and a node of the same name comes.
    let node = cluster_sim::ObjectRef::new("v1", "Node", "n");
    sim.delete(&node).unwrap();
    sim.delete(&reference("n")).unwrap();
    sim.create(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}})).unwrap();
    sleep(HOUR + 10 * MINUTE).await;
    let uid = sim.get(&node).unwrap().unwrap()["metadata"]["uid"].clone();
    assert_eq!(lease(&sim, "n").unwrap()["metadata"]["ownerReferences"][0]["uid"], uid);
    assert_eq!(handle.status().state, WriterState::Held);
}

#[tokio::test(start_paused = true)]
async fn another_contract_is_kept_to() {
    let sim = cluster(&["n"]).await;
    let contract = Contract::new("acme-", "acme.example/").unwrap().times(10 * MINUTE, 4 * MINUTE).unwrap();
    let writer =
        writer(&sim, Fixed(machine("m")), "n", "pod-a").contract(contract.label("a/b", "c").unwrap()).build().unwrap();
    assert_eq!(writer.lease_name(), "acme-n");
    let handle = writer.spawn().unwrap();
    held(&handle).await;
    let name = cluster_sim::ObjectRef::new("coordination.k8s.io/v1", "Lease", "acme-n").within(NAMESPACE);
    let lease = sim.get(&name).unwrap().unwrap();
    assert_eq!(lease["metadata"]["annotations"]["acme.example/host.type"], "m");
    assert_eq!(lease["metadata"]["labels"], json!({"a/b": "c"}));
    assert_eq!(lease["spec"]["leaseDurationSeconds"], 600);
    sim.requests().clear();
    sleep(HOUR).await;
    let renewals = sim.requests().count(Verb::Patch, "leases");
    assert!((13..=17).contains(&renewals), "{renewals}");
}

#[tokio::test(start_paused = true)]
async fn what_can_not_be_is_refused_before_anything_is_asked() {
    let sim = cluster(&[]).await;
    let build = |node: &str, namespace: &str, pod: &str| {
        LeaseWriter::builder(sim.client_in_memory(), Fixed::default(), node, namespace, pod).build().map(drop)
    };
    let long = build(&"n".repeat(240), NAMESPACE, "pod").unwrap_err();
    assert!(matches!(long, WriterError::Contract(ContractError::NameTooLong { .. })), "{long}");
    assert!(matches!(build("UPPER", NAMESPACE, "pod"), Err(WriterError::Contract(ContractError::BadName { .. }))));
    for namespace in ["", "A", "a.b"] {
        assert_eq!(build("n", namespace, "pod"), Err(WriterError::BadNamespace { namespace: namespace.to_owned() }));
    }
    let owner = Owner::NodeUid(String::new());
    let uid = writer(&sim, Fixed::default(), "n", "pod").owner(owner).build().map(drop);
    assert_eq!(uid, Err(WriterError::NoNodeUid));
    assert_eq!(build("n", NAMESPACE, ""), Err(WriterError::NoHolder));
    let backoff = writer(&sim, Fixed::default(), "n", "pod").backoff(2 * SECOND, SECOND).build().map(drop);
    assert!(matches!(backoff, Err(WriterError::BadBackoff { .. })));
    let writer = writer(&sim, Fixed::default(), "n", "pod").build().unwrap();
    let _running = writer.spawn().unwrap();
    assert_eq!(writer.spawn().map(drop), Err(WriterError::AlreadyStarted));
    assert_eq!(sim.requests().total(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_knows_nothing_is_asked_with_growing_pauses() {
    let sim = cluster(&["n"]).await;
    let script = Script::new([Answer::Metadata(NodeMetadata::new())]);
    let handle = writer(&sim, script.clone(), "n", "pod-a").build().unwrap().spawn().unwrap();
    sleep(10 * HOUR).await;
    let asked = script.asked.lock().len();
    assert!((40..=65).contains(&asked), "at last one in about 15 minutes: {asked}");
    assert_eq!(handle.status().state, WriterState::NoMetadata);
    assert_eq!(sim.requests().total(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_successor_that_knows_less_takes_over_what_its_predecessor_knew() {
    for forbidden in [None, Some(Verb::Patch)] {
        let sim = cluster(&["n"]).await;
        if let Some(verb) = forbidden {
            sim.deny(Deny::everything().verb(verb).resource("leases"));
        }
        let mut known = machine("m");
        known.set_other("rack", "r7").unwrap();
        let old = writer(&sim, Fixed(known), "n", "pod-a").build().unwrap().spawn().unwrap();
        held(&old).await;
        let before = lease(&sim, "n").unwrap();
        drop(old);
        // The new one can't read the Node either.
        sim.deny(Deny::everything().verb(Verb::Get).resource("nodes"));
        let partial = NodeMetadata::new().with(Attribute::HostId, "host_id").with(Attribute::HostType, "n");
        let script = Script::new([Answer::Partial(partial)]);
        let new = writer(&sim, script, "n", "pod-b").build().unwrap().spawn().unwrap();
        held(&new).await;
        let after = lease(&sim, "n").unwrap();
        assert_eq!(after["spec"]["holderIdentity"], "pod-b");
        let annotation = |key: &str| after["metadata"]["annotations"][format!("cwagent.amazonaws.com/{key}")].clone();
        assert_eq!(annotation("host.type"), "n");
        assert_eq!(annotation("host.image.id"), "host_image_id");
        assert_eq!(annotation("rack"), "r7");
        assert_eq!(after["metadata"]["ownerReferences"], before["metadata"]["ownerReferences"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_successor_on_another_machine_takes_nothing_over() {
    let sim = cluster(&["n"]).await;
    sim.create(cloudwatch_lease("n", "m", wall())).unwrap();
    let script = Script::new([Answer::Partial(NodeMetadata::new().with(Attribute::HostId, "i-other"))]);
    let handle = writer(&sim, script, "n", "pod-b").build().unwrap().spawn().unwrap();
    held(&handle).await;
    let annotations = lease(&sim, "n").unwrap()["metadata"]["annotations"].clone();
    assert_eq!(annotations["cwagent.amazonaws.com/host.id"], "i-other");
    assert_eq!(handle.status().metadata, NodeMetadata::new().with(Attribute::HostId, "i-other"));
}

#[tokio::test(start_paused = true)]
async fn without_its_node_there_is_no_lease() {
    let sim = cluster(&[]).await;
    let handle = writer(&sim, Fixed(machine("m")), "n", "pod-a").build().unwrap().spawn().unwrap();
    until(&handle, |state| matches!(state, WriterState::Failing { .. })).await;
    assert_eq!(lease(&sim, "n"), None);
    sim.create(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}})).unwrap();
    held(&handle).await;
}
