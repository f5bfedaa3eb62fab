//! Google Compute Engine: the flavor, the tree, one document of it all.

use cluster_sim::metadata::{Machine, MetadataServer};
use http::Method;
use serde_json::json;

use super::support::{Answer, ask, get};

const FLAVOR: (&str, &str) = ("Metadata-Flavor", "Google");
const ROOT: &str = "/computeMetadata/v1";

async fn service() -> MetadataServer {
    let machine = Machine::gce("3141592653589793238").project_number(123).account("acme").cluster_name("prod");
    MetadataServer::builder(machine).start().await.unwrap()
}

async fn read(service: &MetadataServer, path: &str) -> Answer {
    get(service, &format!("{ROOT}{path}"), &[FLAVOR]).await
}

#[tokio::test]
async fn values_are_told_to_those_who_know_the_flavor() {
    let service = service().await;
    let path = format!("{ROOT}/instance/name");
    for headers in [
        &[][..],
        &[("Metadata-Flavor", "google")],
        &[("X-Google-Metadata-Request", "True")],
        &[FLAVOR, ("X-Forwarded-For", "10.0.0.1")],
    ] {
        let refused = get(&service, &path, headers).await;
        assert_eq!((refused.code, refused.header("metadata-flavor")), (403, "Google"), "{headers:?}");
    }
    let told = get(&service, &path, &[FLAVOR]).await;
    assert_eq!((told.told(), told.header("metadata-flavor")), ((200, "gke-sim-default-pool-0"), "Google"));
    assert_eq!(told.header("content-type"), "application/text");
    assert_eq!(ask(&service.url(), &Method::POST, &path, &[FLAVOR]).await.unwrap().code, 405);
}

#[tokio::test]
async fn the_root_tells_that_this_is_gce() {
    let service = service().await;
    let root = get(&service, "/", &[]).await;
    assert_eq!((root.told(), root.header("metadata-flavor")), ((200, "computeMetadata/"), "Google"));
    assert_eq!(get(&service, "/computeMetadata/", &[]).await.told(), (200, "v1/"));
}

#[tokio::test]
async fn zones_and_types_are_paths_in_the_project() {
    let service = service().await;
    for (path, text) in [
        ("/instance/id", "3141592653589793238"),
        ("/instance/hostname", "gke-sim-default-pool-0.europe-west3-a.c.sim-project.internal"),
        ("/instance/zone", "projects/123/zones/europe-west3-a"),
        ("/instance/machine-type", "projects/123/machineTypes/n2-standard-16"),
        ("/instance/image", "projects/gke-node-images/global/images/gke-1360-cos-121"),
        ("/instance/attributes/cluster-name", "prod"),
        ("/instance/attributes/cluster-location", "europe-west3"),
        ("/instance/network-interfaces/0/ip", "10.0.0.10"),
        ("/instance/network-interfaces/0/mac", "42:01:0a:00:00:0a"),
        ("/instance/scheduling/preemptible", "FALSE"),
        ("/project/project-id", "acme"),
        ("/project/numeric-project-id", "123"),
        ("/project/", "numeric-project-id\nproject-id"),
        ("/instance/network-interfaces/", "0/"),
        ("/", "instance/\nproject/"),
    ] {
        assert_eq!(read(&service, path).await.told(), (200, text), "{path}");
    }
}

#[tokio::test]
async fn a_directory_is_read_at_its_slash() {
    let service = service().await;
    for (asked, moved) in
        [("/project", "/project/"), ("/instance?recursive=true", "/instance/?recursive=true"), ("", "/")]
    {
        let answer = read(&service, asked).await;
        assert_eq!((answer.code, answer.header("location")), (301, format!("{ROOT}{moved}").as_str()), "{asked}");
    }
    for path in ["/instance/name/", "/instance/tags/x", "/instance//name", "beta1/instance/name"] {
        assert_eq!(read(&service, path).await.code, 404, "{path}");
    }
}

#[tokio::test]
async fn one_document_tells_it_all() {
    let service = service().await;
    let whole = read(&service, "/?recursive=true").await;
    assert_eq!(whole.header("content-type"), "application/json");
    assert_eq!(
        whole.json(),
        json!({
            "instance": {
                "attributes": {"cluster-location": "europe-west3", "cluster-name": "prod"},
                "hostname": "gke-sim-default-pool-0.europe-west3-a.c.sim-project.internal",
                "id": 3_141_592_653_589_793_238_u64,
                "image": "projects/gke-node-images/global/images/gke-1360-cos-121",
                "machineType": "projects/123/machineTypes/n2-standard-16",
                "name": "gke-sim-default-pool-0",
                "networkInterfaces": [{"ip": "10.0.0.10", "mac": "42:01:0a:00:00:0a"}],
                "scheduling": {"preemptible": "FALSE"},
                "zone": "projects/123/zones/europe-west3-a",
            },
            "project": {"numericProjectId": 123, "projectId": "acme"},
        })
    );
    let part = read(&service, "/project/?recursive=true&alt=text").await;
    assert_eq!(part.told(), (200, "numeric-project-id 123\nproject-id acme\n"));
    assert_eq!(read(&service, "/project/project-id?alt=json").await.json(), json!("acme"));
}

#[tokio::test]
async fn a_machine_of_no_cluster_has_no_attributes_of_one() {
    let service = MetadataServer::builder(Machine::gce("1").cluster_name("")).start().await.unwrap();
    assert_eq!(read(&service, "/instance/attributes/cluster-name").await.code, 404);
    assert_eq!(read(&service, "/instance/attributes/").await.told(), (200, ""));
}

#[tokio::test]
async fn other_clouds_paths_are_unknown() {
    let service = service().await;
    assert_eq!(ask(&service.url(), &Method::PUT, "/latest/api/token", &[]).await.unwrap().code, 404);
    for path in ["/latest/meta-data/", "/metadata/instance?api-version=2021-02-01"] {
        assert_eq!(get(&service, path, &[FLAVOR, ("Metadata", "true")]).await.code, 404, "{path}");
    }
}
