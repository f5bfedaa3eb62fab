//! Which objects a shard takes, and what of a watch goes past the filter.

use futures::channel::mpsc;
use http_body_util::StreamBody;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use ksm_core::decode::{Head, HeadFields, PathTree, decode_list_if};
use ksm_core::shard::{fnv1a_64, jump_hash};
use ksm_core::{Ksm, ResourceStatus, Shard, Sharding};
use serde::Deserialize;
use serde_json::{Value, json};

const CASES: &str = include_str!("../../data/shards.jsonl");

#[derive(Deserialize)]
struct Case {
    id: String,
    level: String,
    uid: Option<String>,
    total_shards: u32,
    fnv1a64: Option<String>,
    ordinal: Option<u32>,
    #[serde(default)]
    shard: u32,
    event_type: Option<String>,
    #[serde(default)]
    want_forwarded: bool,
    list_metadata: Option<Value>,
    want_list_metadata: Option<Value>,
}

fn cases(level: &str) -> Vec<Case> {
    let cases = CASES.lines().map(|line| serde_json::from_str::<Case>(line).expect("a case per line"));
    let cases: Vec<Case> = cases.filter(|case| case.level == level).collect();
    assert!(!cases.is_empty(), "{level}");
    cases
}

#[test]
fn uids_are_on_the_shards_where_upstream_has_them() {
    for case in cases("ordinal") {
        let uid = case.uid.expect("a uid");
        let hash = fnv1a_64(&uid);
        assert_eq!(Some(format!("{hash:016x}")), case.fnv1a64, "{}", case.id);
        assert_eq!(Some(jump_hash(hash, case.total_shards)), case.ordinal, "{}", case.id);
        let meta = ObjectMeta { uid: Some(uid), ..ObjectMeta::default() };
        for ordinal in 0..case.total_shards {
            let sharding = Sharding::new(Shard::new(ordinal, case.total_shards).unwrap());
            assert_eq!(sharding.owns(&meta), Some(ordinal) == case.ordinal, "{}: shard {ordinal}", case.id);
        }
    }
}

/// What an instance makes of a watch that tells one event.
async fn after_event(case: &Case, type_first: bool) -> ResourceStatus {
    let kind = case.event_type.as_deref().expect("an event");
    let object = match kind {
        "ERROR" => json!({"kind": "Status", "code": 500, "message": "no"}),
        _ => json!({"metadata": {"name": case.uid, "uid": case.uid, "resourceVersion": "7"}}),
    };
    let (kind, object) = (format!("\"type\":\"{kind}\""), format!("\"object\":{object}"));
    let line = if type_first { format!("{{{kind},{object}}}\n") } else { format!("{{{object},{kind}}}\n") };
    let (done, mut asked_again) = mpsc::unbounded();
    let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
        let uri = request.uri().to_string();
        // The second watch says that the first has been read to its end.
        let body = if !uri.contains("watch=") {
            r#"{"metadata":{"resourceVersion":"1"},"items":[]}"#.to_owned()
        } else if uri.contains("resourceVersion=1&") || uri.ends_with("resourceVersion=1") {
            if done.unbounded_send(()).is_err() { String::new() } else { line.clone() }
        } else {
            let _ = done.unbounded_send(());
            String::new()
        };
        let frame = hyper::body::Frame::data(bytes::Bytes::from(body));
        let body = StreamBody::new(futures::stream::iter([Ok::<_, std::convert::Infallible>(frame)]));
        async move { Ok::<_, std::convert::Infallible>(http::Response::new(body)) }
    });
    let sharding = Sharding::new(Shard::new(case.shard, case.total_shards).expect("a shard"));
    let builder = Ksm::builder().client(kube::Client::new(service, "default")).sharding(sharding);
    let ksm = builder.resources(["namespaces"]).and_then(ksm_core::KsmBuilder::spawn).expect("an instance");
    for _ in 0..2 {
        futures::StreamExt::next(&mut asked_again).await.expect("it watches on");
    }
    let status = ksm.status().remove(0);
    ksm.shutdown().await;
    status
}

#[tokio::test(start_paused = true)]
async fn only_what_is_about_objects_is_filtered() {
    let both = |case| [true, false].map(|type_first| (case, type_first));
    for (case, type_first) in cases("watch_event").iter().flat_map(both) {
        let status = after_event(case, type_first).await;
        let kind = case.event_type.as_deref().unwrap_or_default();
        assert_eq!(status.not_owned, u64::from(!case.want_forwarded), "{}", case.id);
        // An object without identity can't be told apart: upstream makes an error of it, here it is skipped and counted.
        let skipped = case.uid.is_none() && matches!(kind, "ADDED" | "MODIFIED" | "DELETED");
        assert_eq!(status.skipped, u64::from(skipped), "{}", case.id);
        assert_eq!(status.errors > 0, kind == "ERROR", "{}: {status:?}", case.id);
        let objects = usize::from(case.want_forwarded && case.uid.is_some() && matches!(kind, "ADDED" | "MODIFIED"));
        assert_eq!(status.store.map(|store| store.objects), Some(objects), "{}", case.id);
    }
}

#[test]
fn a_filtered_list_keeps_what_it_says_of_itself() {
    for case in cases("list_metadata") {
        let body = json!({"metadata": case.list_metadata, "items": [{"metadata": {"uid": "a"}}]}).to_string();
        let nobody = |text: &str| Head::of_object(text, HeadFields::default()).is_none();
        let list = decode_list_if(body.as_bytes(), &PathTree::default(), nobody, |_: Value| {}, |_, _| {}).unwrap();
        assert_eq!(list.objects, 0);
        assert_eq!(serde_json::to_value(list.metadata).ok(), case.want_list_metadata, "{}", case.id);
    }
}
