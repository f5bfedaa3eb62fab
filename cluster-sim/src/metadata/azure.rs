//! Azure's face: the Instance Metadata Service.
//!
//! What it tells, and how it refuses, is what Microsoft documents under "Azure Instance Metadata Service for virtual
//! machines".

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::machine::Machine;
use super::tree;
use super::wire::{self, Ask};

/// The versions of the API, oldest first. What each tells differs in the real service; here all tell the same.
const VERSIONS: [&str; 31] = [
    "2017-03-01",
    "2017-04-02",
    "2017-08-01",
    "2017-10-01",
    "2017-12-01",
    "2018-02-01",
    "2018-04-02",
    "2018-10-01",
    "2019-02-01",
    "2019-03-11",
    "2019-04-30",
    "2019-06-01",
    "2019-06-04",
    "2019-08-01",
    "2019-08-15",
    "2019-11-01",
    "2020-06-01",
    "2020-07-15",
    "2020-09-01",
    "2020-10-01",
    "2020-12-01",
    "2021-01-01",
    "2021-02-01",
    "2021-03-01",
    "2021-05-01",
    "2021-10-01",
    "2021-11-01",
    "2021-11-15",
    "2021-12-13",
    "2023-07-01",
    "2023-11-15",
];

/// How many of the newest versions a refusal names.
const NAMED: usize = 3;

/// The whole of a request and its answer, but for what goes wrong on purpose.
pub(super) fn answer(ask: Ask<'_>, machine: &Machine) -> Response<Bytes> {
    let Some(path) = ask.path().strip_prefix("/metadata/") else {
        return error(StatusCode::NOT_FOUND);
    };
    if ask.is_forwarded() {
        return refusal("The request came through a proxy (X-Forwarded-For)");
    }
    if !ask.header("metadata").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return refusal("Required metadata header not specified");
    }
    if !ask.reads() {
        return error(StatusCode::METHOD_NOT_ALLOWED);
    }
    if path == "versions" {
        return document(StatusCode::OK, &json!({"apiVersions": VERSIONS}));
    }
    let Some(path) = path.strip_prefix("instance").filter(|path| path.is_empty() || path.starts_with('/')) else {
        return error(StatusCode::NOT_FOUND);
    };
    let version = ask.parameter("api-version");
    if !version.as_deref().is_some_and(|version| VERSIONS.contains(&version)) {
        return bad_version(version.is_some());
    }
    let instance = instance(machine);
    let Some(place) = tree::find(&instance, path.trim_matches('/')) else {
        return error(StatusCode::NOT_FOUND);
    };
    let format = ask.parameter("format").unwrap_or_else(|| "json".to_owned());
    match (format.as_str(), tree::listing(place)) {
        ("json", Some(_)) => document(StatusCode::OK, place),
        ("text", Some(listing)) => text(listing),
        ("text", None) => text(tree::text(place)),
        // A single value has no form but text, and must be asked for by it.
        _ => refusal("The requested format is not supported for this path"),
    }
}

/// The document of a failure.
pub(super) fn error(status: StatusCode) -> Response<Bytes> {
    document(status, &json!({"error": status.canonical_reason().unwrap_or("Unknown")}))
}

fn refusal(why: &str) -> Response<Bytes> {
    document(StatusCode::BAD_REQUEST, &json!({"error": format!("Bad request. {why}")}))
}

fn bad_version(is_given: bool) -> Response<Bytes> {
    let what = if is_given { "is invalid" } else { "was not specified in the request" };
    let newest: Vec<&str> = VERSIONS.into_iter().rev().take(NAMED).collect();
    let why = json!({
        "error": format!("Bad request. api-version {what}. For more information refer to aka.ms/azureimds"),
        "newest-versions": newest,
    });
    document(StatusCode::BAD_REQUEST, &why)
}

fn instance(machine: &Machine) -> Value {
    json!({"compute": compute(machine), "network": network(machine)})
}

fn compute(machine: &Machine) -> Value {
    let reference = image_reference(&machine.image);
    json!({
        "azEnvironment": "AzurePublicCloud",
        "customData": "",
        "evictionPolicy": if machine.spot { "Delete" } else { "" },
        "isHostCompatibilityLayerVm": "false",
        "licenseType": "",
        "location": machine.region,
        "name": machine.name,
        "offer": reference["offer"],
        "osProfile": {
            "adminUsername": "azureuser",
            "computerName": machine.host_name,
            "disablePasswordAuthentication": "true",
        },
        "osType": "Linux",
        "placementGroupId": "",
        "plan": {"name": "", "product": "", "publisher": ""},
        "platformFaultDomain": "0",
        "platformUpdateDomain": "0",
        "priority": if machine.spot { "Spot" } else { "Regular" },
        "provider": "Microsoft.Compute",
        "publicKeys": [],
        "publisher": reference["publisher"],
        "resourceGroupName": machine.resource_group,
        "resourceId": resource_id(machine),
        "sku": reference["sku"],
        "storageProfile": {"dataDisks": [], "imageReference": reference},
        "subscriptionId": machine.account,
        "tags": "",
        "tagsList": [],
        "userData": "",
        "version": reference["version"],
        "vmId": machine.id,
        "vmScaleSetName": machine.scale_set,
        "vmSize": machine.instance_type,
        "zone": machine.zone,
    })
}

/// An image of one's own has an id alone, one of the marketplace the four parts of its URN.
fn image_reference(image: &str) -> Value {
    if image.starts_with('/') {
        return json!({"id": image, "publisher": "", "offer": "", "sku": "", "version": ""});
    }
    let mut parts = image.splitn(4, ':');
    let [publisher, offer, sku, version] = std::array::from_fn(|_| parts.next().unwrap_or_default());
    json!({"id": "", "publisher": publisher, "offer": offer, "sku": sku, "version": version})
}

fn resource_id(machine: &Machine) -> String {
    let group = format!("/subscriptions/{}/resourceGroups/{}", machine.account, machine.resource_group);
    let number = machine.name.strip_prefix(machine.scale_set.as_str()).and_then(|rest| rest.strip_prefix('_'));
    match number {
        Some(number) if !machine.scale_set.is_empty() => format!(
            "{group}/providers/Microsoft.Compute/virtualMachineScaleSets/{}/virtualMachines/{number}",
            machine.scale_set
        ),
        _ => format!("{group}/providers/Microsoft.Compute/virtualMachines/{}", machine.name),
    }
}

fn network(machine: &Machine) -> Value {
    let [a, b, c, d] = machine.private_ip.octets();
    json!({"interface": [{
        "ipv4": {
            "ipAddress": [{"privateIpAddress": machine.private_ip.to_string(), "publicIpAddress": ""}],
            "subnet": [{"address": format!("{a}.{b}.0.0"), "prefix": "16"}],
        },
        "ipv6": {"ipAddress": []},
        "macAddress": format!("000D3A{b:02X}{c:02X}{d:02X}"),
    }]})
}

fn document(status: StatusCode, value: &Value) -> Response<Bytes> {
    wire::answer(status, "application/json; charset=utf-8", value.to_string())
}

fn text(text: String) -> Response<Bytes> {
    wire::answer(StatusCode::OK, "text/plain; charset=utf-8", text)
}
