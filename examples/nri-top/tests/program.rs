//! The program on a simulated machine.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;

async fn listing(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_nri-top")).args(arguments).output();
    let output = timeout(Duration::from_mins(1), output).await.unwrap().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn containers_are_listed_with_their_pods_and_cgroups() {
    let listing: Value = serde_json::from_str(&listing(&["--sim", "--once", "--json"]).await).unwrap();
    let containers = listing["containers"].as_array().unwrap();
    let named = |name: &str| containers.iter().find(|container| container["container"] == name).unwrap();
    let proxy = named("proxy");
    assert_eq!((&proxy["namespace"], &proxy["pod"]), (&"shop".into(), &"web-7d9c6b5f4-x2x7k".into()));
    assert!(proxy["cgroup_id"].as_u64().unwrap() > 2 && proxy["pid"].as_u64().unwrap() > 1);
    let id = proxy["id"].as_str().unwrap();
    assert!(proxy["cgroup"].as_str().unwrap().ends_with(id));
    assert_ne!(proxy["cgroup_id"], named("coredns")["cgroup_id"]);
}

#[tokio::test]
async fn people_get_a_table() {
    let table = listing(&["--sim", "--once"]).await;
    let mut lines = table.lines();
    assert!(lines.next().unwrap().contains("SIMULATED"));
    assert_eq!(lines.next().unwrap().trim_end(), "containerd v2.3.0");
    let header: Vec<_> = lines.nth(2).unwrap().split_whitespace().collect();
    assert_eq!(header, ["NAMESPACE", "POD", "CONTAINER", "ID", "PID", "CGROUP", "AGE", "STATE"]);
    let cart: Vec<_> = table.lines().find(|line| line.contains("cart-0")).unwrap().split_whitespace().collect();
    assert_eq!((cart[0], cart[2], cart[7]), ("shop", "app", "live"));
}

#[tokio::test]
async fn without_a_runtime_it_says_so_and_lists_what_cgroups_tell() {
    let listing = listing(&["--once", "--socket", "/no/such/nri.sock"]).await;
    assert!(listing.contains("Names are not known: no connection to the runtime"), "{listing}");
}
