//! Request → response, body and all.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::BodyExt;
use k8s_openapi::api::core::v1::{Namespace, Node};
use ksm_core::scrape::{Encoding, ScrapeBody, Scraper};
use ksm_core::{Format, Ksm, Query, ResourceBuilder};
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

/// What Prometheus 3 sends where it wants native histograms.
const PROMETHEUS: &str = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;\
                          escaping=allow-utf-8;q=0.7,application/openmetrics-text;version=1.0.0;q=0.6,*/*;q=0.2";

#[tokio::test]
async fn every_format_is_the_same_bare_and_compressed() {
    let ksm = ksm(3_000).await;
    for accept in ["text/plain", "application/openmetrics-text", PROMETHEUS] {
        let plain = Scraper::new(ksm.clone()).respond(&headers(&[("accept", accept)]), None);
        let content_type = header(&plain, "content-type").to_owned();
        let plain = bytes(plain).await;
        assert!(plain == ksm.exposition(&Query::default(), Format::negotiate(Some(accept))).to_bytes(), "{accept}");
        for encoding in [Encoding::Gzip, Encoding::GzipCached] {
            let accepts = headers(&[("accept", accept), ("accept-encoding", "gzip")]);
            let response = Scraper::new(ksm.clone()).encoding(encoding).respond(&accepts, None);
            assert_eq!(header(&response, "content-type"), content_type);
            assert_eq!(header(&response, "content-encoding"), "gzip");
            let mut unpacked = Vec::new();
            flate2::read::GzDecoder::new(bytes(response).await.as_slice()).read_to_end(&mut unpacked).unwrap();
            assert!(unpacked == plain, "{accept} by {encoding:?}");
        }
    }
}

#[cfg(feature = "zstd")]
#[tokio::test]
async fn zstd_is_sent_where_it_is_offered_and_wanted() {
    let ksm = ksm(3_000).await;
    let coding = |scraper: &Scraper, accepts: &'static str| {
        let response = scraper.respond(&headers(&[("accept-encoding", accepts)]), None);
        header(&response, "content-encoding").to_owned()
    };
    let plain = Scraper::new(ksm.clone());
    assert_eq!(coding(&plain, "zstd, gzip"), "");
    let scraper = Scraper::new(ksm.clone()).encoding(Encoding::GzipCached).zstd(true);
    assert_eq!(coding(&scraper, "gzip, zstd"), "zstd");
    assert_eq!(coding(&scraper, "gzip, zstd;q=0.5"), "gzip");
    assert_eq!(coding(&Scraper::new(ksm.clone()).zstd(true), "gzip"), "");
    let response = scraper.respond(&headers(&[("accept-encoding", "zstd")]), None);
    assert_eq!(header(&response, "vary"), "accept, accept-encoding");
    let unpacked = zstd::decode_all(bytes(response).await.as_slice()).unwrap();
    assert!(unpacked == bytes(plain.respond(&HeaderMap::new(), None)).await);
}

#[tokio::test]
async fn headers_in_several_lines_are_one_list() {
    let scraper = Scraper::new(ksm(1).await).encoding(Encoding::Gzip);
    let mut accepts = HeaderMap::new();
    accepts.append("accept", HeaderValue::from_static("text/plain;q=0.1"));
    accepts.append("accept", HeaderValue::from_static("application/openmetrics-text"));
    accepts.append("accept-encoding", HeaderValue::from_static("br"));
    accepts.append("accept-encoding", HeaderValue::from_static("gzip"));
    let response = scraper.respond(&accepts, None);
    assert!(header(&response, "content-type").starts_with("application/openmetrics-text"));
    assert_eq!(header(&response, "content-encoding"), "gzip");
}

#[tokio::test]
async fn a_query_picks_series_in_every_encoding() {
    let ksm = ksm(300).await;
    // Encoded as a browser does it, and as it comes from a shell.
    let queries = [
        "match%5B%5D=%7Bnamespace%3D~%22namespace-1.%22%7D&namespace=namespace-12,namespace-7,x",
        "match[]={namespace=\"namespace-12\"}",
    ];
    for query in queries {
        for (encoding, accepts) in [
            (Encoding::Plain, ""),
            (Encoding::Gzip, "gzip"),
            (Encoding::GzipCached, "gzip"),
            (Encoding::GzipCached, ""),
        ] {
            let scraper = Scraper::new(ksm.clone()).encoding(encoding);
            // Whatever a cache keeps of one scrape is no part of the other.
            let accepts = headers(&[("accept-encoding", accepts)]);
            let whole = bytes(scraper.respond(&accepts, None)).await;
            let part = bytes(scraper.respond(&accepts, Some(query))).await;
            let again = bytes(scraper.respond(&accepts, None)).await;
            assert!(whole == again);
            let text = if part.starts_with(&[0x1f, 0x8b]) { gunzip(&part) } else { String::from_utf8(part).unwrap() };
            let phases = text.lines().filter(|line| line.starts_with("kube_namespace_status_phase{")).count();
            assert_eq!((phases, text.contains("kube_node_info{")), (2, false), "{encoding:?}: {text}");
        }
    }
}

#[tokio::test]
async fn a_bad_selector_is_answered_by_what_is_wrong_with_it() {
    let scraper = Scraper::new(ksm(1).await);
    let response = scraper.respond(&HeaderMap::new(), Some("resources=nodes&match[]={pod=~%22(%22}"));
    assert_eq!(
        (response.status(), header(&response, "content-type")),
        (StatusCode::BAD_REQUEST, "text/plain; charset=utf-8")
    );
    let told = String::from_utf8(bytes(response).await).unwrap();
    let begin = "match[]: series selector `{pod=~\"(\"}`, character 7: no regular expression of RE2's dialect: ";
    assert!(told.starts_with(begin) && told.contains("unclosed group"), "{told}");
}

#[tokio::test]
async fn a_head_request_gets_the_head_of_the_answer() {
    let scraper = Scraper::new(ksm(1).await).encoding(Encoding::Gzip);
    let accepts = headers(&[("accept", PROMETHEUS), ("accept-encoding", "gzip")]);
    for (query, status) in [(None, StatusCode::OK), (Some("match[]=}"), StatusCode::BAD_REQUEST)] {
        let (head, get) = (scraper.head(&accepts, query), scraper.respond(&accepts, query));
        assert_eq!((head.status(), head.headers()), (status, get.headers()));
        assert_eq!(bytes(head).await, b"");
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
