//! Proxies of the environment → none is asked.

use std::process::Command;

use cluster_sim::metadata::Machine;
use node_lease::MetadataSource;
use node_lease::source::azure::Azure;
use node_lease::source::gce::Gce;

use super::canned::{Canned, answer};
use super::support::{PATIENCE, ec2, imds, service};

const VARIABLES: [&str; 4] = ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
const SERVICES: [&str; 3] = ["TEST_EC2", "TEST_GCE", "TEST_AZURE"];

#[tokio::test]
async fn no_proxy_is_asked() {
    let proxy = Canned::start(|_| answer("502 Bad Gateway", "", "")).await;
    let services = [ec2().await, service(Machine::gce("1")).await, service(Machine::azure("x")).await];
    // The environment of this process is that of all tests; a child has its own.
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--ignored", "--exact", "sources::proxies::in_an_environment_with_a_proxy"]);
    child.envs(VARIABLES.map(|name| (name, &proxy.url)));
    child.envs(SERVICES.into_iter().zip(&services).map(|(name, service)| (name, service.url())));
    for name in ["NO_PROXY", "no_proxy", "REQUEST_METHOD"] {
        child.env_remove(name);
    }
    let output = tokio::task::spawn_blocking(move || child.output()).await.unwrap().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains("1 passed"), "{told}");
    assert!(proxy.asked().is_empty(), "{:?}", proxy.asked());
    assert!(services.iter().all(|service| service.requests().total() > 0));
}

#[tokio::test]
#[ignore = "run by the test above, in an environment of its own"]
async fn in_an_environment_with_a_proxy() {
    let [ec2, gce, azure] = SERVICES.map(|name| std::env::var(name).unwrap());
    let sources: [Box<dyn MetadataSource>; 3] = [
        Box::new(imds(&ec2)),
        Box::new(Gce::at(&gce).unwrap().timeout(PATIENCE)),
        Box::new(Azure::at(&azure).unwrap().timeout(PATIENCE)),
    ];
    for source in sources {
        assert!(source.fetch().await.unwrap().is_complete());
    }
}
