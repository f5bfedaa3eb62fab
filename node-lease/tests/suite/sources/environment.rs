//! Variables → where is asked.

use node_lease::source::LINK_LOCAL;
use node_lease::source::aws::{ENDPOINT_IPV6, Imds};
use node_lease::source::azure::Azure;
use node_lease::source::gce::Gce;
use node_lease::{MetadataSource, SourceError};

use super::support::{PATIENCE, ec2};

const ENDPOINT: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
const MODE: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE";
const DISABLED: &str = "AWS_EC2_METADATA_DISABLED";

fn lookup(variables: &[(&str, &str)]) -> impl Fn(&str) -> Option<String> {
    move |name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
}

fn imds(variables: &[(&str, &str)]) -> Result<Imds, SourceError> {
    Imds::from_variables(lookup(variables))
}

#[test]
fn ec2s_endpoint() {
    let table: [(&[(&str, &str)], &str); 8] = [
        (&[], LINK_LOCAL),
        (&[(ENDPOINT, ""), (MODE, "")], LINK_LOCAL),
        (&[(MODE, "IPv4")], LINK_LOCAL),
        (&[(MODE, "ipv6")], ENDPOINT_IPV6),
        (&[(ENDPOINT, "http://127.0.0.1:1338")], "http://127.0.0.1:1338"),
        (&[(ENDPOINT, "http://imds.example/a")], "http://imds.example/a"),
        (&[(ENDPOINT, "http://[::1]:80"), (MODE, "IPv4")], "http://[::1]:80"),
        (&[(ENDPOINT, "http://127.0.0.1:1"), (MODE, "nonsense")], "http://127.0.0.1:1"),
    ];
    for (variables, endpoint) in table {
        let source = format!("{:?}", imds(variables).unwrap());
        assert!(source.contains(&format!("base: \"{endpoint}/\"")), "{variables:?}: {source}");
    }
}

#[test]
fn what_is_no_endpoint_is_said_with_its_variable() {
    let table = [
        (MODE, "IPv5", "must be IPv4 or IPv6"),
        (ENDPOINT, "169.254.169.254", "must be an http:// URL"),
        (ENDPOINT, "https://127.0.0.1", "must be an http:// URL"),
        (ENDPOINT, "http://", "must be an http:// URL"),
        (ENDPOINT, "http://user:password@127.0.0.1", "must be an http:// URL"),
        (ENDPOINT, "http://127.0.0.1?a", "must be an http:// URL"),
        (ENDPOINT, "http://127.0.0.1#a", "must be an http:// URL"),
    ];
    for (variable, value, says) in table {
        let error = imds(&[(variable, value)]).unwrap_err();
        assert!(matches!(error, SourceError::BadEndpoint { .. }), "{error}");
        assert_eq!(error.to_string(), format!("{variable} is {value:?}, and {says}"));
    }
    let own = Azure::at("nowhere").unwrap_err();
    assert_eq!(own.to_string(), "the endpoint is \"nowhere\", and must be an http:// URL");
}

#[tokio::test]
async fn a_service_that_must_not_be_asked_is_not() {
    let service = ec2().await;
    let source = |disabled| imds(&[(ENDPOINT, &service.url()), (DISABLED, disabled)]).unwrap().timeout(PATIENCE);
    let error = source("True").fetch().await.unwrap_err();
    assert!(matches!(error, SourceError::DisabledByEnvironment), "{error}");
    assert!(error.to_string().contains("unset it"), "{error}");
    assert_eq!(service.requests().total(), 0);
    for on in ["false", "", "1"] {
        assert!(source(on).fetch().await.unwrap().is_complete(), "{on:?}");
    }
}

#[test]
fn gces_host() {
    for (host, endpoint) in [("", LINK_LOCAL), ("127.0.0.1:8080", "http://127.0.0.1:8080"), ("md", "http://md")] {
        let source = format!("{:?}", Gce::from_variables(lookup(&[("GCE_METADATA_HOST", host)])).unwrap());
        assert!(source.contains(&format!("base: \"{endpoint}/\"")), "{host}: {source}");
    }
    for bad in ["http://127.0.0.1", "a b"] {
        let error = Gce::from_variables(lookup(&[("GCE_METADATA_HOST", bad)])).unwrap_err();
        assert!(error.to_string().starts_with("GCE_METADATA_HOST is "), "{error}");
    }
}
