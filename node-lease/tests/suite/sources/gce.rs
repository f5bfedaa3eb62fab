//! GCE: answers → values, faults → outcomes.

use cluster_sim::metadata::{Machine, MetadataFault, MetadataServer};
use node_lease::source::gce::Gce;
use node_lease::{Attribute, MetadataSource, SourceError};

use super::canned::{Canned, answer};
use super::support::{PATIENCE, SHORT, missing, service, values};

const PATHS: [(&str, &[Attribute]); 6] = [
    ("/computeMetadata/v1/instance/hostname", &[Attribute::HostName]),
    ("/computeMetadata/v1/instance/id", &[Attribute::HostId]),
    ("/computeMetadata/v1/instance/image", &[Attribute::HostImageId]),
    ("/computeMetadata/v1/instance/machine-type", &[Attribute::HostType]),
    ("/computeMetadata/v1/instance/zone", &[Attribute::AvailabilityZone, Attribute::Region]),
    ("/computeMetadata/v1/project/project-id", &[Attribute::AccountId]),
];

async fn instance() -> MetadataServer {
    service(Machine::gce("4520031799277581759")).await
}

fn gce(url: &str) -> Gce {
    Gce::at(url).unwrap().timeout(PATIENCE)
}

#[tokio::test]
async fn all_eight_values() {
    let fetched = gce(&instance().await.url()).fetch().await.unwrap();
    let all = [
        ("host.id", "4520031799277581759"),
        ("host.name", "gke-sim-default-pool-0.europe-west3-a.c.sim-project.internal"),
        ("host.type", "n2-standard-16"),
        ("host.image.id", "projects/gke-node-images/global/images/gke-1360-cos-121"),
        ("cloud.availability_zone", "europe-west3-a"),
        ("cloud.provider", "gcp"),
        ("cloud.region", "europe-west3"),
        ("cloud.account.id", "sim-project"),
    ];
    assert_eq!(values(&fetched), all);
    assert!(fetched.is_complete());
}

#[tokio::test]
async fn attributes_are_never_asked_for() {
    let service = instance().await;
    gce(&service.url()).fetch().await.unwrap();
    let mut asked: Vec<_> =
        service.requests().newest().into_iter().map(|request| (request.path, request.query)).collect();
    asked.sort_unstable();
    assert_eq!(asked, PATHS.map(|(path, _)| (path.to_owned(), String::new())));
}

#[tokio::test]
async fn what_is_not_there_is_no_problem() {
    let service = instance().await;
    for (path, attributes) in PATHS {
        let fault = service.faults().add(MetadataFault::on(path).status(404));
        let fetched = gce(&service.url()).fetch().await.unwrap();
        assert!(fetched.is_complete() && missing(&fetched) == attributes, "{path}: {fetched:?}");
        service.faults().remove(fault);
    }
}

#[tokio::test]
async fn a_path_that_fails_hides_no_other() {
    let service = instance().await;
    for (path, attributes) in PATHS {
        for fault in [MetadataFault::on(path).status(503), MetadataFault::on(path).cut_short()] {
            let fault = service.faults().add(fault);
            let fetched = gce(&service.url()).fetch().await.unwrap();
            assert_eq!((missing(&fetched), fetched.problems.len()), (attributes.to_vec(), 1), "{path}: {fetched:?}");
            service.faults().remove(fault);
        }
    }
}

#[tokio::test]
async fn a_path_that_hangs_hides_no_other() {
    let service = instance().await;
    service.faults().add(MetadataFault::on("/computeMetadata/v1/instance/zone").hang());
    let fetched = gce(&service.url()).timeout(SHORT).fetch().await.unwrap();
    assert_eq!(missing(&fetched), [Attribute::AvailabilityZone, Attribute::Region]);
    assert!(matches!(fetched.problems[..], [SourceError::Timeout { after: SHORT, .. }]), "{fetched:?}");
}

#[tokio::test]
async fn a_server_that_tells_nothing() {
    let service = instance().await;
    let source = gce(&service.url());
    let failing = service.faults().add(MetadataFault::on_any().status(503));
    let error = source.fetch().await.unwrap_err();
    assert!(matches!(error, SourceError::Status { code: 503, .. }), "{error}");
    service.faults().remove(failing);
    service.set_disabled(true);
    let error = source.fetch().await.unwrap_err();
    assert!(matches!(error, SourceError::Disabled { .. }), "{error}");
    service.set_disabled(false);
    assert!(source.fetch().await.unwrap().is_complete());
}

#[tokio::test]
async fn what_is_not_gce() {
    for machine in [Machine::aws("i-1"), Machine::azure("x")] {
        let error = gce(&service(machine).await.url()).fetch().await.unwrap_err();
        assert!(matches!(error, SourceError::OtherCloud { cloud: "GCE", .. }), "{error}");
    }
    let anything = Canned::start(|_| answer("200 OK", "", "welcome")).await;
    let error = gce(&anything.url).fetch().await.unwrap_err();
    assert!(matches!(error, SourceError::OtherCloud { cloud: "GCE", .. }), "{error}");
    let in_between = Canned::start(|_| answer("502 Bad Gateway", "", "")).await;
    let error = gce(&in_between.url).fetch().await.unwrap_err();
    assert!(matches!(error, SourceError::Status { code: 502, .. }), "{error}");
}
