//! Google Compute Engine's face: the metadata server, version 1.
//!
//! What it tells, and how it refuses, is what Google documents under "View and query VM metadata" and "Predefined
//! metadata keys".

use bytes::Bytes;
use http::header::{HeaderValue, LOCATION, SERVER};
use http::{Response, StatusCode};
use serde_json::{Map, Value, json};

use super::machine::Machine;
use super::tree;
use super::wire::{self, Ask};

const ROOT: &str = "/computeMetadata/v1";
const FLAVOR: &str = "metadata-flavor";

/// The whole of a request and its answer, but for what goes wrong on purpose.
pub(super) fn answer(ask: Ask<'_>, machine: &Machine) -> Response<Bytes> {
    let Some(path) = ask.path().strip_prefix(ROOT).filter(|path| path.is_empty() || path.starts_with('/')) else {
        return match ask.path() {
            // Where a client looks whether this is GCE at all.
            "/" => text("computeMetadata/".to_owned()),
            "/computeMetadata/" => text("v1/".to_owned()),
            _ => error(StatusCode::NOT_FOUND),
        };
    };
    if ask.is_forwarded() || ask.header(FLAVOR) != Some("Google") {
        return error(StatusCode::FORBIDDEN);
    }
    if !ask.reads() {
        return error(StatusCode::METHOD_NOT_ALLOWED);
    }
    let tree = tree(machine);
    let (path, slash) = path.strip_suffix('/').map_or((path, false), |path| (path, true));
    let Some(place) = tree::find(&tree, path.trim_start_matches('/')) else {
        return error(StatusCode::NOT_FOUND);
    };
    match (tree::listing(place), slash) {
        (Some(listing), true) => directory(ask, place, listing),
        (None, false) if ask.parameter("alt").as_deref() == Some("json") => json_text(place),
        (None, false) => text(tree::text(place)),
        (Some(_), false) => moved(ask),
        (None, true) => error(StatusCode::NOT_FOUND),
    }
}

/// The page of a failure.
pub(super) fn error(status: StatusCode) -> Response<Bytes> {
    dressed(wire::answer(status, "text/html; charset=UTF-8", wire::page(status)))
}

fn directory(ask: Ask<'_>, place: &Value, listing: String) -> Response<Bytes> {
    if !ask.parameter("recursive").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return text(listing);
    }
    if ask.parameter("alt").as_deref() == Some("text") {
        return text(leaves(place, ""));
    }
    json_text(&camel_cased(place))
}

/// A directory is read at its path with a slash.
fn moved(ask: Ask<'_>) -> Response<Bytes> {
    let query = ask.0.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut answer = error(StatusCode::MOVED_PERMANENTLY);
    // What came as a path can go as one.
    if let Ok(location) = HeaderValue::try_from(format!("{}/{query}", ask.path())) {
        answer.headers_mut().insert(LOCATION, location);
    }
    answer
}

fn tree(machine: &Machine) -> Value {
    let project = machine.project_number;
    let mut attributes = Map::new();
    if !machine.cluster_name.is_empty() {
        attributes.insert("cluster-location".to_owned(), machine.region.clone().into());
        attributes.insert("cluster-name".to_owned(), machine.cluster_name.clone().into());
    }
    json!({
        "instance": {
            "attributes": attributes,
            "hostname": machine.host_name,
            "id": machine.id.parse::<u64>().map_or_else(|_| json!(machine.id), Value::from),
            "image": machine.image,
            "machine-type": format!("projects/{project}/machineTypes/{}", machine.instance_type),
            "name": machine.name,
            "network-interfaces": [{"ip": machine.private_ip.to_string(), "mac": mac(machine)}],
            "scheduling": {"preemptible": if machine.spot { "TRUE" } else { "FALSE" }},
            "zone": format!("projects/{project}/zones/{}", machine.zone),
        },
        "project": {"numeric-project-id": project, "project-id": machine.account},
    })
}

/// GCE makes a machine's hardware address of its network address.
fn mac(machine: &Machine) -> String {
    let [a, b, c, d] = machine.private_ip.octets();
    format!("42:01:{a:02x}:{b:02x}:{c:02x}:{d:02x}")
}

/// A directory as one JSON document has it: `machine-type` is `machineType` there, but attributes keep their names.
fn camel_cased(place: &Value) -> Value {
    match place {
        Value::Object(entries) => {
            let renamed = entries.iter().map(|(name, entry)| {
                let entry = if name == "attributes" { entry.clone() } else { camel_cased(entry) };
                (camel_case(name), entry)
            });
            Value::Object(renamed.collect())
        }
        Value::Array(entries) => entries.iter().map(camel_cased).collect(),
        leaf => leaf.clone(),
    }
}

fn camel_case(name: &str) -> String {
    let mut words = name.split('-');
    let mut camel = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        camel.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    camel
}

/// All leaves at and below a place, each on a line: its path, a space, its value.
fn leaves(place: &Value, path: &str) -> String {
    let step = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
    match place {
        Value::Object(entries) => entries.iter().map(|(name, entry)| leaves(entry, &step(name))).collect(),
        Value::Array(entries) => {
            (0_usize..).zip(entries).map(|(nth, entry)| leaves(entry, &step(&nth.to_string()))).collect()
        }
        leaf => format!("{path} {}\n", tree::text(leaf)),
    }
}

fn text(text: String) -> Response<Bytes> {
    dressed(wire::answer(StatusCode::OK, "application/text", text))
}

fn json_text(value: &Value) -> Response<Bytes> {
    dressed(wire::answer(StatusCode::OK, "application/json", value.to_string()))
}

/// Clients know the server by the flavor, on failures too.
fn dressed(mut answer: Response<Bytes>) -> Response<Bytes> {
    answer.headers_mut().insert(FLAVOR, HeaderValue::from_static("Google"));
    answer.headers_mut().insert(SERVER, HeaderValue::from_static("Metadata Server for VM"));
    answer
}
