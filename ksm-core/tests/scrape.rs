//! Request → response, body and all.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::BodyExt;
use k8s_openapi::api::core::v1::{Namespace, Node};
use ksm_core::scrape::{Encoding, ScrapeBody, Scraper};
use ksm_core::{Ksm, ResourceBuilder};
use kube::runtime::watcher::Event;
use serde_json::json;

fn namespace(n: usize) -> Namespace {
    let object =
        json!({"metadata": {"name": format!("namespace-{n}"), "uid": n.to_string()}, "status": {"phase": "Active"}});
    serde_json::from_value(object).unwrap()
}

/// Some namespaces and a node, listed and then quiet.
async fn ksm(namespaces: usize) -> Arc<Ksm> {
    let listed = (0..namespaces).map(|n| Event::InitApply(namespace(n)));
    let events: Vec<Event<Namespace>> = [Event::Init].into_iter().chain(listed).chain([Event::InitDone]).collect();
    let node: Node = serde_json::from_value(json!({"metadata": {"name": "n", "uid": "n"}})).unwrap();
    let nodes = [Event::Init, Event::InitApply(node), Event::InitDone];
    let quiet = || futures::stream::pending::<Result<Event<Namespace>, String>>();
    let quiet_nodes = futures::stream::pending::<Result<Event<Node>, String>>();
    let ksm = Ksm::builder()
        .resource(
            ResourceBuilder::<Namespace>::builtin()
                .stream(futures::stream::iter(events.into_iter().map(Ok)).chain(quiet())),
        )
        .resource(ResourceBuilder::<Node>::builtin().stream(futures::stream::iter(nodes.map(Ok)).chain(quiet_nodes)))
        .spawn()
        .unwrap();
    tokio::time::timeout(Duration::from_mins(1), ksm.synced()).await.expect("streams are read");
    Arc::new(ksm)
}

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
}

async fn bytes(response: Response<ScrapeBody>) -> Vec<u8> {
    response.into_body().collect().await.unwrap().to_bytes().to_vec()
}

fn gunzip(bytes: &[u8]) -> String {
    let mut text = String::new();
    flate2::read::GzDecoder::new(bytes).read_to_string(&mut text).unwrap();
    text
}

fn header<'a>(response: &'a Response<ScrapeBody>, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn the_format_is_the_one_that_is_accepted() {
    let scraper = Scraper::new(ksm(2).await);
    let plain = scraper.respond(&HeaderMap::new(), None);
    assert_eq!(header(&plain, "content-type"), "text/plain; version=0.0.4; charset=utf-8");
    assert!(!String::from_utf8(bytes(plain).await).unwrap().contains("# EOF"));
    let open = scraper.respond(&headers(&[("accept", "application/openmetrics-text")]), None);
    assert_eq!(header(&open, "content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(String::from_utf8(bytes(open).await).unwrap().ends_with("# EOF\n"));
}

#[tokio::test]
async fn gzip_says_the_same_in_every_encoding() {
    let ksm = ksm(5_000).await;
    let accepts = headers(&[("accept-encoding", "gzip")]);
    let plain = Scraper::new(ksm.clone()).respond(&accepts, None);
    assert_eq!(header(&plain, "content-encoding"), "", "off unless it is switched on");
    let plain = String::from_utf8(bytes(plain).await).unwrap();
    assert!(plain.len() > 500_000, "several blocks: {}", plain.len());
    for encoding in [Encoding::Gzip, Encoding::GzipCached] {
        let scraper = Scraper::new(ksm.clone()).encoding(encoding);
        for round in 0..2 {
            let response = scraper.respond(&accepts, None);
            assert_eq!(header(&response, "content-encoding"), "gzip");
            assert_eq!(header(&response, "vary"), "accept, accept-encoding");
            let compressed = bytes(response).await;
            assert!(compressed.len() < plain.len() / 5);
            assert!(gunzip(&compressed) == plain, "{encoding:?}, round {round}");
        }
        let refused = scraper.respond(&headers(&[("accept-encoding", "gzip;q=0")]), None);
        assert_eq!(header(&refused, "content-encoding"), "");
    }
}

#[tokio::test]
async fn a_query_picks_resources() {
    let scraper = Scraper::new(ksm(1).await);
    let shown = async |query: &str| {
        let text = String::from_utf8(bytes(scraper.respond(&HeaderMap::new(), Some(query))).await).unwrap();
        (text.contains("kube_namespace_status_phase{"), text.contains("kube_node_info{"))
    };
    assert_eq!(shown("").await, (true, true));
    assert_eq!(shown("resources=nodes").await, (false, true));
    assert_eq!(shown("exclude_resources=nodes").await, (true, false));
    assert_eq!(shown("resources=cats").await, (false, false));
}

#[tokio::test]
async fn too_many_scrapes_at_once_are_told_to_come_back() {
    let scraper = Scraper::new(ksm(1).await).max_concurrent(1);
    let first = scraper.respond(&HeaderMap::new(), None);
    let second = scraper.respond(&HeaderMap::new(), None);
    assert_eq!((second.status(), header(&second, "retry-after")), (StatusCode::SERVICE_UNAVAILABLE, "1"));
    assert!(String::from_utf8(bytes(second).await).unwrap().contains("1 scrapes are being answered"));
    // A client that goes away gives its place back.
    drop(first);
    assert_eq!(scraper.respond(&HeaderMap::new(), None).status(), StatusCode::OK);
}
