//! Azure: the header, the version, the document.

use cluster_sim::metadata::{Machine, MetadataServer};
use http::Method;
use serde_json::json;

use super::support::{ask, get};

const HEADER: (&str, &str) = ("Metadata", "true");
const COMPUTE: &str = "/metadata/instance/compute?api-version=2021-02-01&format=json";

async fn service() -> MetadataServer {
    MetadataServer::builder(Machine::azure("02aab8a4-74ef-476e-8182-f6d2ba4166a6")).start().await.unwrap()
}

#[tokio::test]
async fn the_document_says_what_the_machine_is() {
    let service = service().await;
    let answer = get(&service, COMPUTE, &[HEADER]).await;
    assert_eq!((answer.code, answer.header("content-type")), (200, "application/json; charset=utf-8"));
    let compute = answer.json();
    for (field, value) in [
        ("/location", "westeurope"),
        ("/name", "aks-pool-12345678-vmss_0"),
        ("/vmId", "02aab8a4-74ef-476e-8182-f6d2ba4166a6"),
        ("/vmSize", "Standard_D16s_v5"),
        ("/subscriptionId", "8d10da13-8125-4ba9-a717-bf7490507b3d"),
        ("/resourceGroupName", "MC_sim_sim_westeurope"),
        ("/vmScaleSetName", "aks-pool-12345678-vmss"),
        ("/zone", "1"),
        ("/osType", "Linux"),
        ("/provider", "Microsoft.Compute"),
        ("/priority", "Regular"),
        ("/osProfile/computerName", "aks-pool-12345678-vmss000000"),
        (
            "/resourceId",
            "/subscriptions/8d10da13-8125-4ba9-a717-bf7490507b3d/resourceGroups/MC_sim_sim_westeurope/providers/\
             Microsoft.Compute/virtualMachineScaleSets/aks-pool-12345678-vmss/virtualMachines/0",
        ),
    ] {
        assert_eq!(compute.pointer(field), Some(&json!(value)), "{field}");
    }
    assert_eq!(
        compute["storageProfile"]["imageReference"],
        json!({
            "id": "", "publisher": "microsoft-aks", "offer": "aks", "sku": "aks-ubuntu-2204-gen2",
            "version": "202601.13.0",
        })
    );
    let instance = get(&service, "/metadata/instance?api-version=2023-07-01", &[HEADER]).await.json();
    assert_eq!(instance["compute"], compute);
    let address = &instance["network"]["interface"][0]["ipv4"]["ipAddress"][0]["privateIpAddress"];
    assert_eq!(address, "10.0.0.10");
}

#[tokio::test]
async fn a_machine_can_be_alone_and_from_an_image_of_ones_own() {
    let image = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/images/mine";
    let machine = Machine::azure("x").name("vm").scale_set("").resource_group("g").account("s").zone("").image(image);
    let service = MetadataServer::builder(machine).start().await.unwrap();
    let compute = get(&service, COMPUTE, &[HEADER]).await.json();
    assert_eq!((&compute["vmScaleSetName"], &compute["zone"]), (&json!(""), &json!("")));
    let id = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/vm";
    assert_eq!(compute["resourceId"], id);
    assert_eq!(compute["storageProfile"]["imageReference"]["id"], image);
    assert_eq!(compute["publisher"], "");
}

#[tokio::test]
async fn the_header_is_required_and_a_proxy_refused() {
    let service = service().await;
    for headers in [&[][..], &[("Metadata", "yes")], &[HEADER, ("X-Forwarded-For", "10.0.0.1")]] {
        let refused = get(&service, COMPUTE, headers).await;
        assert_eq!(refused.code, 400, "{headers:?}");
        assert!(refused.json()["error"].as_str().unwrap().starts_with("Bad request. "), "{headers:?}");
    }
    assert_eq!(get(&service, COMPUTE, &[("metadata", "True")]).await.code, 200);
    assert_eq!(ask(&service.url(), &Method::PUT, COMPUTE, &[HEADER]).await.unwrap().code, 405);
}

#[tokio::test]
async fn a_version_is_required_and_the_newest_are_named() {
    let service = service().await;
    for path in
        ["/metadata/instance", "/metadata/instance?api-version=", "/metadata/instance/compute?api-version=1999-01-01"]
    {
        let refused = get(&service, path, &[HEADER]).await;
        assert_eq!(refused.code, 400, "{path}");
        let newest = refused.json()["newest-versions"].clone();
        assert_eq!(newest.as_array().map(Vec::len), Some(3), "{path}");
        let version = newest[0].as_str().unwrap();
        let path = format!("/metadata/instance?api-version={version}");
        assert_eq!(get(&service, &path, &[HEADER]).await.code, 200);
    }
    let versions = get(&service, "/metadata/versions", &[HEADER]).await.json();
    assert!(versions["apiVersions"].as_array().unwrap().contains(&json!("2021-02-01")));
}

#[tokio::test]
async fn a_single_value_is_text() {
    let service = service().await;
    let path = |rest: &str| format!("/metadata/instance/{rest}&api-version=2021-02-01");
    let answer = get(&service, &path("compute/location?format=text"), &[HEADER]).await;
    assert_eq!(answer.told(), (200, "westeurope"));
    let address = "network/interface/0/ipv4/ipAddress/0/privateIpAddress?format=text";
    assert_eq!(get(&service, &path(address), &[HEADER]).await.told(), (200, "10.0.0.10"));
    assert_eq!(get(&service, &path("?format=text"), &[HEADER]).await.told(), (200, "compute/\nnetwork/"));
    assert_eq!(get(&service, &path("compute/location?format=json"), &[HEADER]).await.code, 400);
    assert_eq!(get(&service, &path("compute/nothing?format=text"), &[HEADER]).await.code, 404);
}

#[tokio::test]
async fn other_clouds_paths_are_unknown() {
    let service = service().await;
    for path in ["/", "/latest/meta-data/", "/computeMetadata/v1/instance/id", "/metadata/instances", "/metadata/"] {
        assert_eq!(get(&service, path, &[HEADER, ("Metadata-Flavor", "Google")]).await.code, 404, "{path}");
    }
}
