//! EC2: answers → values.

use cluster_sim::metadata::{Machine, MetadataFault, MetadataServer};
use node_lease::{Attribute, MetadataSource, SourceError};

use super::support::{DOCUMENT, HOST_NAME, documents, ec2, imds, missing, tokens, values};

#[tokio::test]
async fn all_eight_values() {
    let fetched = imds(&ec2().await.url()).fetch().await.unwrap();
    let all = [
        ("host.id", "i-0123456789abcdef0"),
        ("host.name", "ip-10-0-0-10.eu-central-1.compute.internal"),
        ("host.type", "m6i.4xlarge"),
        ("host.image.id", "ami-0f3c9c466bb525749"),
        ("cloud.availability_zone", "eu-central-1a"),
        ("cloud.provider", "aws"),
        ("cloud.region", "eu-central-1"),
        ("cloud.account.id", "111122223333"),
    ];
    assert_eq!(values(&fetched), all);
    assert!(fetched.is_complete());
}

#[tokio::test]
async fn by_ipv6() {
    let service = MetadataServer::builder(Machine::aws("i-6")).ipv6(true).start().await.unwrap();
    let fetched = imds(&service.ipv6_url().unwrap()).fetch().await.unwrap();
    assert_eq!(fetched.metadata.get(Attribute::HostId), Some("i-6"));
}

#[tokio::test]
async fn below_a_path() {
    let service = ec2().await;
    imds(&format!("{}/below", service.url())).fetch().await.unwrap_err();
    let paths: Vec<String> = service.requests().newest().into_iter().map(|request| request.path).collect();
    assert_eq!(paths, ["/below/latest/api/token"]);
}

#[tokio::test]
async fn what_an_instance_has_not_is_no_problem() {
    let service = ec2().await;
    service.faults().add(MetadataFault::on(HOST_NAME).status(404));
    let document = r#"{"instanceId": "i-1", "instanceType": "m6i.large", "imageId": null, "version": 7}"#;
    service.faults().add(MetadataFault::on(DOCUMENT).body(document));
    let fetched = imds(&service.url()).fetch().await.unwrap();
    assert_eq!(values(&fetched), [("host.id", "i-1"), ("host.type", "m6i.large"), ("cloud.provider", "aws")]);
    assert!(fetched.is_complete(), "{:?}", fetched.problems);
}

#[tokio::test]
async fn a_host_name_that_fails_is_missing_until_a_later_fetch() {
    let service = ec2().await;
    let source = imds(&service.url());
    let failures = [
        (MetadataFault::on(HOST_NAME).status(500), "IMDS host name was answered 500"),
        (MetadataFault::on(HOST_NAME).empty(), "IMDS host name: the answer is empty"),
        (MetadataFault::on(HOST_NAME).body(" \n"), "IMDS host name: the answer is empty"),
        (MetadataFault::on(HOST_NAME).not_utf8(), "IMDS host name: the answer is not UTF-8"),
        (MetadataFault::on(HOST_NAME).body("ip-10\0"), "the value of host.name has control characters"),
        (MetadataFault::on(HOST_NAME).cut_short(), "IMDS host name: the answer broke off"),
        (MetadataFault::on(HOST_NAME).reset(), "IMDS host name: the answer broke off"),
    ];
    for (fault, says) in failures {
        let fault = service.faults().add(fault);
        let partial = source.fetch().await.unwrap();
        assert_eq!(missing(&partial), [Attribute::HostName], "{says}");
        assert!(matches!(&partial.problems[..], [problem] if problem.to_string().contains(says)), "{partial:?}");
        service.faults().remove(fault);
        let whole = source.fetch().await.unwrap();
        assert!(whole.is_complete() && missing(&whole).is_empty(), "after {says}");
    }
    assert_eq!((tokens(&service), documents(&service)), (1, 14));
}

#[tokio::test]
async fn a_value_that_is_none_is_a_problem() {
    let service = ec2().await;
    let document = format!(r#"{{"instanceId": "i-1", "imageId": "{}"}}"#, "a".repeat(513));
    service.faults().add(MetadataFault::on(DOCUMENT).body(document));
    let fetched = imds(&service.url()).fetch().await.unwrap();
    assert!(matches!(fetched.problems[..], [SourceError::BadValue { attribute: Attribute::HostImageId }]));
    assert_eq!(fetched.metadata.get(Attribute::HostId), Some("i-1"));
}
