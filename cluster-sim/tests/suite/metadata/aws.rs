//! EC2: tokens, the identity document, the tree of metadata.

use std::net::Ipv4Addr;
use std::time::Duration;

use cluster_sim::metadata::{Machine, MetadataServer};
use http::Method;
use serde_json::json;

use super::support::{TOKEN, TOKEN_PATH, TTL, ask, get, get_by_token, put_token};

const ID: &str = "/latest/meta-data/instance-id";

async fn service() -> MetadataServer {
    MetadataServer::builder(Machine::aws("i-0123456789abcdef0")).start().await.unwrap()
}

#[tokio::test]
async fn a_token_opens_what_is_closed_without_one() {
    let service = service().await;
    let token = put_token(&service, "60").await;
    assert_eq!((token.code, token.header(TTL), token.header("server")), (200, "60", "EC2ws"));
    assert_eq!(get(&service, ID, &[(TOKEN, token.text())]).await.told(), (200, "i-0123456789abcdef0"));
    assert_eq!(get(&service, ID, &[]).await.code, 401);
    assert_eq!(get(&service, ID, &[(TOKEN, "made-up")]).await.code, 401);
    assert_eq!(get(&service, ID, &[(TOKEN, "")]).await.code, 401);
    assert_ne!(put_token(&service, "60").await.text(), token.text());
}

#[tokio::test]
async fn a_token_is_for_a_second_to_six_hours() {
    let service = service().await;
    for ttl in ["0", "21601", "-1", "1.5", "soon", ""] {
        assert_eq!(put_token(&service, ttl).await.code, 400, "{ttl}");
    }
    let unasked = ask(&service.url(), &Method::PUT, TOKEN_PATH, &[]).await.unwrap();
    assert_eq!(unasked.code, 400);
    for ttl in ["1", "21600"] {
        assert_eq!(put_token(&service, ttl).await.header(TTL), ttl);
    }
    assert_eq!(service.live_tokens(), 2);
}

#[tokio::test]
async fn tokens_are_put_and_not_through_a_proxy() {
    let service = service().await;
    let (url, ttl) = (service.url(), (TTL, "60"));
    for method in [Method::GET, Method::POST, Method::DELETE] {
        let refused = ask(&url, &method, TOKEN_PATH, &[ttl]).await.unwrap();
        assert_eq!((refused.code, refused.header("allow")), (405, "OPTIONS, PUT"), "{method}");
    }
    let forwarded = ask(&url, &Method::PUT, TOKEN_PATH, &[ttl, ("X-Forwarded-For", "10.0.0.1")]).await.unwrap();
    assert_eq!(forwarded.code, 403);
    assert_eq!(service.live_tokens(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_token_ends_when_its_time_is_over() {
    let service = service().await;
    let (short, long) = (put_token(&service, "60").await, put_token(&service, "120").await);
    tokio::time::advance(Duration::from_secs(59)).await;
    let answer = get(&service, ID, &[(TOKEN, short.text())]).await;
    assert_eq!((answer.code, answer.header(TTL)), (200, "1"));
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(get(&service, ID, &[(TOKEN, short.text())]).await.code, 401);
    assert_eq!(get(&service, ID, &[(TOKEN, long.text())]).await.code, 200);

    service.expire_tokens_in(Duration::from_secs(10));
    assert_eq!(get(&service, ID, &[(TOKEN, long.text())]).await.header(TTL), "10");
    tokio::time::advance(Duration::from_secs(10)).await;
    assert_eq!(get(&service, ID, &[(TOKEN, long.text())]).await.code, 401);
}

#[tokio::test]
async fn rotated_tokens_are_unknown() {
    let service = service().await;
    let token = put_token(&service, "21600").await;
    service.rotate_tokens();
    assert_eq!(get(&service, ID, &[(TOKEN, token.text())]).await.code, 401);
    assert_eq!(get_by_token(&service, ID).await.code, 200);
}

#[tokio::test]
async fn version_1_asks_for_no_token_but_refuses_a_wrong_one() {
    let machine = Machine::aws("i-0123456789abcdef0");
    let service = MetadataServer::builder(machine).v1_allowed(true).start().await.unwrap();
    assert_eq!(get(&service, ID, &[]).await.told(), (200, "i-0123456789abcdef0"));
    assert_eq!(get(&service, ID, &[(TOKEN, "made-up")]).await.code, 401);
    assert_eq!(get(&service, ID, &[]).await.header(TTL), "");
    service.set_v1_allowed(false);
    assert_eq!(get(&service, ID, &[]).await.code, 401);
}

#[tokio::test]
async fn the_identity_document_says_what_the_machine_is() {
    let machine = Machine::aws("i-0123456789abcdef0")
        .instance_type("c7g.large")
        .architecture("arm64")
        .image("ami-1")
        .zone("us-west-2b")
        .account("999988887777")
        .private_ip(Ipv4Addr::new(10, 1, 2, 3))
        .launched("2026-01-02T03:04:05Z".parse().unwrap());
    let service = MetadataServer::builder(machine).start().await.unwrap();
    let document = get_by_token(&service, "/latest/dynamic/instance-identity/document").await;
    assert_eq!(
        document.json(),
        json!({
            "accountId": "999988887777",
            "architecture": "arm64",
            "availabilityZone": "us-west-2b",
            "billingProducts": null,
            "devpayProductCodes": null,
            "imageId": "ami-1",
            "instanceId": "i-0123456789abcdef0",
            "instanceType": "c7g.large",
            "kernelId": null,
            "marketplaceProductCodes": null,
            "pendingTime": "2026-01-02T03:04:05Z",
            "privateIp": "10.1.2.3",
            "ramdiskId": null,
            "region": "us-west-2",
            "version": "2017-09-30",
        })
    );
    service.set_machine(Machine::aws("i-1"));
    let document = get_by_token(&service, "/latest/dynamic/instance-identity/document").await.json();
    assert_eq!((&document["instanceId"], &document["architecture"]), (&json!("i-1"), &json!("x86_64")));
}

#[tokio::test]
async fn metadata_is_a_tree_of_directories_and_values() {
    let machine = Machine::aws("i-0").host_name("ip-10-0-0-10.eu-central-1.compute.internal").spot(true);
    let service = MetadataServer::builder(machine).start().await.unwrap();
    for (path, text) in [
        ("/latest/meta-data/ami-id", "ami-0f3c9c466bb525749"),
        ("/latest/meta-data/hostname", "ip-10-0-0-10.eu-central-1.compute.internal"),
        ("/latest/meta-data/local-hostname", "ip-10-0-0-10.eu-central-1.compute.internal"),
        ("/latest/meta-data/instance-type", "m6i.4xlarge"),
        ("/latest/meta-data/instance-life-cycle", "spot"),
        ("/latest/meta-data/local-ipv4", "10.0.0.10"),
        ("/latest/meta-data/mac", "0a:58:0a:00:00:0a"),
        ("/latest/meta-data/placement/availability-zone", "eu-central-1a"),
        ("/latest/meta-data/placement/availability-zone-id", "euc1-az1"),
        ("/latest/meta-data/placement/region", "eu-central-1"),
        ("/latest/meta-data/placement/", "availability-zone\navailability-zone-id\nregion"),
        ("/latest/dynamic/instance-identity/", "document"),
        ("/latest/", "dynamic/\nmeta-data/"),
        ("/", "latest/"),
    ] {
        assert_eq!(get_by_token(&service, path).await.told(), (200, text), "{path}");
    }
    let listing = get_by_token(&service, "/latest/meta-data/").await;
    assert!(listing.text().lines().any(|line| line == "placement/"), "{}", listing.text());
    assert_eq!(get_by_token(&service, "/latest/meta-data").await.text(), listing.text());
    for path in
        ["/latest/meta-data/tags/instance", "/latest/meta-data/instance-id/", "/latest/api", "/metadata/instance"]
    {
        assert_eq!(get_by_token(&service, path).await.code, 404, "{path}");
    }
}

#[tokio::test]
async fn a_host_name_can_be_missing() {
    let service = MetadataServer::builder(Machine::aws("i-0").host_name("")).start().await.unwrap();
    assert_eq!(get_by_token(&service, "/latest/meta-data/hostname").await.told(), (200, ""));
}

#[tokio::test]
async fn other_clouds_paths_are_closed_then_unknown() {
    let service = service().await;
    let path = "/computeMetadata/v1/instance/id";
    assert_eq!(get(&service, path, &[("Metadata-Flavor", "Google")]).await.code, 401);
    assert_eq!(get_by_token(&service, path).await.code, 404);
    assert_eq!(get_by_token(&service, path).await.header("metadata-flavor"), "");
}

#[tokio::test]
async fn beyond_the_hop_limit_tokens_never_arrive_and_the_rest_does() {
    let service = MetadataServer::builder(Machine::aws("i-0")).hop_limit_too_low(true).start().await.unwrap();
    let requests = service.requests().clone();
    let put = {
        let service = service.clone();
        tokio::spawn(async move { put_token(&service, "60").await })
    };
    super::support::until(async || requests.count(&Method::PUT, TOKEN_PATH) == 1).await;
    assert_eq!(get(&service, ID, &[]).await.code, 401);
    assert_eq!(requests.newest().first().unwrap().status, None);
    assert!(!put.is_finished());
    assert_eq!(service.live_tokens(), 0);
    put.abort();
    service.set_hop_limit_too_low(false);
    assert_eq!(get_by_token(&service, ID).await.code, 200);
}
