//! Azure: answers → values, faults → outcomes.

use cluster_sim::metadata::{Machine, MetadataFault};
use node_lease::source::azure::Azure;
use node_lease::{Attribute, Fetched, MetadataSource, SourceError};

use super::canned::{Canned, answer};
use super::support::{PATIENCE, service, values};

fn azure(url: &str) -> Azure {
    Azure::at(url).unwrap().timeout(PATIENCE)
}

async fn fetch(machine: Machine) -> Result<Fetched, SourceError> {
    azure(&service(machine).await.url()).fetch().await
}

fn machine() -> Machine {
    Machine::azure("02aab8a4-74ef-476e-8182-f6d2ba4166a6")
}

#[tokio::test]
async fn all_eight_values() {
    let fetched = fetch(machine()).await.unwrap();
    let all = [
        ("host.id", "02aab8a4-74ef-476e-8182-f6d2ba4166a6"),
        ("host.name", "aks-pool-12345678-vmss_0"),
        ("host.type", "Standard_D16s_v5"),
        ("host.image.id", "microsoft-aks:aks:aks-ubuntu-2204-gen2:202601.13.0"),
        ("cloud.availability_zone", "westeurope-1"),
        ("cloud.provider", "azure"),
        ("cloud.region", "westeurope"),
        ("cloud.account.id", "8d10da13-8125-4ba9-a717-bf7490507b3d"),
    ];
    assert_eq!(values(&fetched), all);
    assert!(fetched.is_complete());
}

#[tokio::test]
async fn zones_are_written_as_kubernetes_does() {
    for (region, number, zone) in
        [("westeurope", "3", Some("westeurope-3")), ("EastUS2", "1", Some("eastus2-1")), ("northcentralus", "", None)]
    {
        let fetched = fetch(machine().region(region).zone(number)).await.unwrap();
        assert_eq!(fetched.metadata.get(Attribute::AvailabilityZone), zone);
        assert_eq!(fetched.metadata.get(Attribute::Region), Some(&*region.to_ascii_lowercase()));
        assert!(fetched.is_complete());
    }
}

#[tokio::test]
async fn images_of_ones_own_have_an_id() {
    let own = "/subscriptions/8d10da13/resourceGroups/images/providers/Microsoft.Compute/images/node-1";
    let fetched = fetch(machine().image(own)).await.unwrap();
    assert_eq!(fetched.metadata.get(Attribute::HostImageId), Some(own));
}

#[tokio::test]
async fn what_a_machine_has_not_is_no_problem() {
    let service = service(machine()).await;
    for rest in ["", r#", "zone": null, "storageProfile": {"imageReference": {"id": null}}, "vmSize": 7"#] {
        let document = format!(r#"{{"vmId": "x", "location": "westeurope"{rest}}}"#);
        let fault = service.faults().add(MetadataFault::on_any().body(document));
        let fetched = azure(&service.url()).fetch().await.unwrap();
        let told = [("host.id", "x"), ("cloud.provider", "azure"), ("cloud.region", "westeurope")];
        assert_eq!(values(&fetched), told);
        assert!(fetched.is_complete());
        service.faults().remove(fault);
    }
}

#[tokio::test]
async fn refusals() {
    let service = service(machine()).await;
    for (code, says) in
        [(400, "metadata service?"), (405, "metadata service?"), (429, "asked again"), (500, "asked again")]
    {
        let fault = service.faults().add(MetadataFault::on_any().status(code));
        let error = azure(&service.url()).fetch().await.unwrap_err();
        assert!(matches!(error, SourceError::Status { code: told, .. } if told == code), "{error}");
        assert!(error.to_string().contains(says), "{error}");
        service.faults().remove(fault);
    }
    service.set_disabled(true);
    let error = azure(&service.url()).fetch().await.unwrap_err();
    assert!(matches!(error, SourceError::Disabled { .. }), "{error}");
}

#[tokio::test]
async fn what_is_not_azure() {
    for machine in [Machine::aws("i-1"), Machine::gce("1")] {
        let error = fetch(machine).await.unwrap_err();
        assert!(matches!(error, SourceError::OtherCloud { cloud: "Azure", .. }), "{error}");
    }
    let anything = Canned::start(|_| answer("200 OK", "", "{}")).await;
    let error = azure(&anything.url).fetch().await.unwrap_err();
    assert!(matches!(error, SourceError::OtherCloud { cloud: "Azure", .. }), "{error}");
}
