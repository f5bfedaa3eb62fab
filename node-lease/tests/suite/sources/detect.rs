//! Firmware, `providerID` and answers → the cloud.

use cluster_sim::metadata::{Machine, MetadataFault, MetadataServer};
use node_lease::source::aws::Imds;
use node_lease::source::azure::Azure;
use node_lease::source::detect::{Cloud, Detected, Detector, Evidence};
use node_lease::source::gce::Gce;
use node_lease::{Attribute, SourceError};

use super::canned::{Canned, answer};
use super::support::{PATIENCE, SHORT, ec2, imds, pass, service, until};

/// Where all three clouds' services are at one address, as in their machines, and the firmware tells nothing.
fn at(url: &str) -> Detector {
    between(imds(url), url)
}

fn between(aws: Imds, url: &str) -> Detector {
    let (gce, azure) = (Gce::at(url).unwrap().timeout(PATIENCE), Azure::at(url).unwrap().timeout(PATIENCE));
    Detector::between(aws, gce, azure).dmi("/nonexistent").timeout(PATIENCE)
}

#[tokio::test]
async fn each_cloud_is_known_by_its_face() {
    let machines =
        [(Machine::aws("i-1"), Cloud::Aws), (Machine::gce("1"), Cloud::Gce), (Machine::azure("x"), Cloud::Azure)];
    for (machine, cloud) in machines {
        let (id, service) = (machine.id.clone(), service(machine).await);
        let detected = at(&service.url()).detect().await.unwrap();
        assert_eq!((detected.cloud, detected.by), (cloud, Evidence::Service));
        let fetched = detected.source.fetch().await.unwrap();
        assert_eq!(fetched.metadata.get(Attribute::HostId), Some(&*id), "{cloud}");
    }
}

#[tokio::test]
async fn firmware_says_more_than_a_provider_id_and_that_more_than_services() {
    let service = service(Machine::gce("1")).await;
    let firmware = tempfile::tempdir().unwrap();
    std::fs::write(firmware.path().join("sys_vendor"), "Amazon EC2\n").unwrap();
    let detector = at(&service.url()).provider_id("azure:///subscriptions/11-22/x");
    let found = |detected: Detected| (detected.cloud, detected.by);
    let by_dmi = detector.clone().dmi(firmware.path()).detect().await.unwrap();
    assert_eq!(found(by_dmi), (Cloud::Aws, Evidence::Dmi));
    assert_eq!(found(detector.detect().await.unwrap()), (Cloud::Azure, Evidence::ProviderId));
    assert_eq!(service.requests().total(), 0, "nothing was asked");
    let unknown = detector.provider_id("kind://docker/kind/kind-worker").detect().await.unwrap();
    assert_eq!(found(unknown), (Cloud::Gce, Evidence::Service));
}

#[tokio::test]
async fn ec2_is_known_beyond_its_hop_limit() {
    let detect = async |v1_allowed| {
        let service = ec2().await;
        service.set_hop_limit_too_low(true);
        service.set_v1_allowed(v1_allowed);
        at(&service.url()).timeout(SHORT).detect().await.unwrap().cloud
    };
    assert_eq!(tokio::join!(detect(false), detect(true)), (Cloud::Aws, Cloud::Aws));
}

#[tokio::test]
async fn ec2_is_known_by_a_token_that_is_lost_where_one_is_demanded() {
    // What becomes of the request for a token, and of the one without.
    let detect = async |token: &'static str, plain: &'static str| {
        let answer = move |line: &str| if line.starts_with("PUT") { token.to_owned() } else { answer(plain, "", "") };
        let service = Canned::start(answer).await;
        at(&service.url).timeout(SHORT).detect().await
    };
    let (demanded, open, broken) = tokio::join!(
        detect("", "401 Unauthorized"),
        detect("", "200 OK"),
        detect("no HTTP\r\n\r\n", "401 Unauthorized"),
    );
    assert_eq!(demanded.unwrap().cloud, Cloud::Aws);
    assert!(matches!(open, Err(SourceError::Undetected)), "{open:?}");
    assert!(matches!(broken, Err(SourceError::Undetected)), "{broken:?}");
}

#[tokio::test]
async fn silent_services_are_waited_for_at_the_same_time() {
    let service = ec2().await;
    service.faults().add(MetadataFault::on_any().hang());
    let detector = at(&service.url());
    let detected = tokio::spawn(async move { detector.detect().await });
    // None of them has an answer, and all are there.
    until("all are asked", || service.requests().total() == 4).await;
    pass(PATIENCE).await;
    let error = detected.await.unwrap().unwrap_err();
    assert!(matches!(error, SourceError::Undetected), "{error}");
    assert!(error.to_string().contains("choose a source"), "{error}");
    assert_eq!(service.requests().total(), 4, "nothing is asked twice");
}

#[tokio::test]
async fn no_service_at_all() {
    let service = ec2().await;
    service.stop_listening().await;
    assert!(matches!(at(&service.url()).detect().await, Err(SourceError::Undetected)));
}

#[tokio::test]
async fn what_answers_everything_alike_is_no_cloud() {
    let everything = [
        ("200 OK", ""),
        ("200 OK", "{}"),
        ("200 OK", "<html>Welcome</html>"),
        ("401 Unauthorized", ""),
        ("403 Forbidden", r#"{"vmId": "x"}"#),
        ("404 Not Found", "{}"),
    ];
    for (status, body) in everything {
        let service = Canned::start(move |_| answer(status, "", body)).await;
        let detected = at(&service.url).detect().await;
        assert!(matches!(detected, Err(SourceError::Undetected)), "{status} {body}: {detected:?}");
        assert_eq!(service.asked().len(), 4);
    }
}

#[tokio::test]
async fn services_are_asked_where_the_environment_says_or_not_at_all() {
    let (ec2, nowhere) = (ec2().await, MetadataServer::builder(Machine::azure("x")).start().await.unwrap());
    nowhere.stop_listening().await;
    let aws = |disabled: &str| {
        let variables =
            [("AWS_EC2_METADATA_SERVICE_ENDPOINT", ec2.url()), ("AWS_EC2_METADATA_DISABLED", disabled.to_owned())];
        Imds::from_variables(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone()))
    };
    let forbidden = between(aws("true").unwrap(), &nowhere.url()).detect().await;
    assert!(matches!(forbidden, Err(SourceError::Undetected)), "{forbidden:?}");
    assert_eq!(ec2.requests().total(), 0);
    let detected = between(aws("").unwrap(), &nowhere.url()).detect().await.unwrap();
    assert_eq!(detected.cloud, Cloud::Aws);
}
