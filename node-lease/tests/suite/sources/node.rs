//! Node objects → values.

use cluster_sim::metadata::Machine;
use cluster_sim::population::PopulationSpec;
use cluster_sim::{Deny, Sim, Verb};
use node_lease::source::node::NodeObject;
use node_lease::{Attribute, MetadataSource, SourceError};

use super::support::{missing, values};

#[tokio::test]
async fn a_node_tells_what_its_metadata_service_does_but_image_and_account() {
    let sim = Sim::builder().population(&PopulationSpec::new(3, 20)).start().await.unwrap();
    for node in sim.list("v1", "nodes").unwrap() {
        let name = node["metadata"]["name"].as_str().unwrap();
        let fetched = NodeObject::new(sim.client_in_memory(), name).fetch().await.unwrap();
        let machine = Machine::of_node(&node).unwrap();
        let told = [
            ("host.id", &*machine.id),
            ("host.name", &machine.host_name),
            ("host.type", &machine.instance_type),
            ("cloud.availability_zone", &machine.zone),
            ("cloud.provider", "aws"),
            ("cloud.region", &machine.region),
        ];
        assert_eq!(values(&fetched), told);
        assert_eq!(missing(&fetched), [Attribute::HostImageId, Attribute::AccountId]);
        assert!(fetched.is_complete());
    }
}

#[tokio::test]
async fn refusals_say_what_to_change() {
    let sim = Sim::builder().population(&PopulationSpec::new(1, 20)).start().await.unwrap();
    let error = NodeObject::new(sim.client_in_memory(), "nobody").fetch().await.unwrap_err();
    assert!(matches!(&error, SourceError::NoNode { node } if node == "nobody"), "{error}");
    assert!(error.to_string().contains("spec.nodeName"), "{error}");
    sim.deny(Deny::everything().verb(Verb::Get).resource("nodes"));
    let error = NodeObject::new(sim.client_in_memory(), "nobody").fetch().await.unwrap_err();
    assert!(matches!(&error, SourceError::Api(error) if error.code() == Some(403)), "{error}");
    let text = error.to_string();
    assert!(text.contains("get Node") && text.contains("grant that verb"), "{text}");
}
