//! The handle: listening, stopping, counting.

use std::io::ErrorKind;

use cluster_sim::SimError;
use cluster_sim::metadata::{Machine, MetadataServer};
use http::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::support::{TOKEN, TOKEN_PATH, ask, get, put_token, until};

const ID: &str = "/latest/meta-data/instance-id";

async fn service() -> MetadataServer {
    MetadataServer::builder(Machine::aws("i-0")).start().await.unwrap()
}

async fn refusal(url: &str) -> Option<ErrorKind> {
    TcpStream::connect(url.strip_prefix("http://").unwrap()).await.err().map(|error| error.kind())
}

#[tokio::test]
async fn it_listens_on_ipv6_where_asked_to() {
    let service = MetadataServer::builder(Machine::aws("i-0")).ipv6(true).start().await.unwrap();
    let ipv6 = service.ipv6_url().unwrap();
    assert!(ipv6.starts_with("http://[::1]:"), "{ipv6}");
    let token = put_token(&service, "60").await;
    let answer = ask(&ipv6, &Method::GET, ID, &[(TOKEN, token.text())]).await.unwrap();
    assert_eq!(answer.told(), (200, "i-0"));
    service.stop_listening().await;
    assert_eq!(refusal(&ipv6).await, Some(ErrorKind::ConnectionRefused));
    assert_eq!(self::service().await.ipv6_url(), None);
}

#[tokio::test]
async fn a_port_is_taken_once() {
    let service = service().await;
    let port = service.url().rsplit_once(':').unwrap().1.parse().unwrap();
    let taken = MetadataServer::builder(Machine::aws("i-0")).port(port).start().await.unwrap_err();
    assert!(matches!(taken, SimError::MetadataListen { .. }), "{taken}");
    assert!(taken.to_string().contains(&format!("127.0.0.1:{port}")), "{taken}");
}

#[tokio::test]
async fn it_refuses_connections_until_it_starts_again_on_the_same_port() {
    let service = service().await;
    let url = service.url();
    let token = put_token(&service, "60").await;
    let mut idle = TcpStream::connect(url.strip_prefix("http://").unwrap()).await.unwrap();
    idle.write_all(format!("GET {ID} HTTP/1.1\r\nHost: metadata\r\n\r\n").as_bytes()).await.unwrap();
    idle.read_exact(&mut [0; 12]).await.unwrap();

    service.stop_listening().await;
    service.stop_listening().await;
    assert_eq!(refusal(&url).await, Some(ErrorKind::ConnectionRefused));
    let end = idle.read_to_end(&mut Vec::new()).await;
    assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);

    service.start_again().await.unwrap();
    service.start_again().await.unwrap();
    assert_eq!(service.url(), url);
    assert_eq!(get(&service, ID, &[(TOKEN, token.text())]).await.code, 200);
}

#[tokio::test]
async fn a_shutdown_ends_everything_and_can_be_repeated() {
    let service = service().await;
    let again = service.clone();
    service.shutdown().await;
    again.shutdown().await;
    assert_eq!(refusal(&service.url()).await, Some(ErrorKind::ConnectionRefused));
}

#[tokio::test]
async fn the_last_handle_stops_the_service() {
    let service = service().await;
    let (url, clone) = (service.url(), service.clone());
    drop(service);
    assert_eq!(put_token(&clone, "60").await.code, 200);
    drop(clone);
    until(async || refusal(&url).await.is_some()).await;
}

#[tokio::test]
async fn another_machine_can_be_of_another_cloud() {
    let service = service().await;
    service.set_machine(Machine::gce("1"));
    let answer = get(&service, "/computeMetadata/v1/instance/id", &[("Metadata-Flavor", "Google")]).await;
    assert_eq!(answer.told(), (200, "1"));
    assert_eq!(service.machine().id, "1");
}

#[tokio::test]
async fn requests_are_counted_by_method_path_and_status() {
    let service = service().await;
    let token = put_token(&service, "60").await;
    let headers = [(TOKEN, token.text()), ("User-Agent", "agent/1")];
    ask(&service.url(), &Method::HEAD, ID, &headers).await.unwrap();
    get(&service, &format!("{ID}?a=b"), &headers).await;
    get(&service, ID, &[]).await;
    let requests = service.requests();
    assert_eq!(requests.count(&Method::PUT, TOKEN_PATH), 1);
    assert_eq!(requests.count(&Method::GET, ID), 2);
    assert_eq!(requests.count_status(&Method::GET, ID, 401), 1);
    assert_eq!(requests.count_status(&Method::HEAD, ID, 200), 1);
    assert_eq!(requests.total(), 4);
    let newest = requests.newest();
    let by_query = &newest[2];
    assert_eq!((by_query.path.as_str(), by_query.query.as_str(), by_query.user_agent.as_str()), (ID, "a=b", "agent/1"));
    assert!(newest.is_sorted_by_key(|request| request.at));
    requests.clear();
    assert_eq!(requests.total(), 0);
}
