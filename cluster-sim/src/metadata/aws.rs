//! EC2's face: the instance metadata service of versions 1 and 2.
//!
//! What it tells, and how it refuses, is what Amazon documents under "Use the Instance Metadata Service to access
//! instance metadata" and "Instance identity documents".

use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, HeaderValue, SERVER};
use http::{HeaderName, Method, Response, StatusCode};
use serde_json::{Value, json};

use super::machine::Machine;
use super::tokens::Tokens;
use super::tree;
use super::wire::{self, Ask};

const TOKEN_PATH: &str = "/latest/api/token";
const TOKEN: &str = "x-aws-ec2-metadata-token";
const TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";
/// How many seconds a token may be asked for; six hours at most.
const TTLS: std::ops::RangeInclusive<u64> = 1..=21_600;

/// The whole of a request and its answer, but for what goes wrong on purpose.
pub(super) fn answer(ask: Ask<'_>, machine: &Machine, tokens: &Tokens, v1_allowed: bool) -> Response<Bytes> {
    if ask.path() == TOKEN_PATH {
        return token(ask, tokens);
    }
    let left = match ask.header(TOKEN).map(|token| tokens.left(token)) {
        Some(Some(left)) => Some(left),
        None if v1_allowed => None,
        Some(None) | None => return error(StatusCode::UNAUTHORIZED),
    };
    if !ask.reads() {
        return error(StatusCode::METHOD_NOT_ALLOWED);
    }
    let mut answer = match read(ask.path(), machine) {
        Some(text) => text_answer(text),
        None => error(StatusCode::NOT_FOUND),
    };
    if let Some(left) = left {
        set_ttl(&mut answer, left);
    }
    answer
}

/// Is it the answer to this request that does not reach a container beyond the hop limit?
pub(super) fn is_beyond_hop_limit(ask: Ask<'_>) -> bool {
    ask.path() == TOKEN_PATH && ask.method() == Method::PUT
}

/// The page of a failure.
pub(super) fn error(status: StatusCode) -> Response<Bytes> {
    dressed(wire::answer(status, "text/html", wire::page(status)))
}

fn token(ask: Ask<'_>, tokens: &Tokens) -> Response<Bytes> {
    if ask.method() != Method::PUT {
        let mut refusal = error(StatusCode::METHOD_NOT_ALLOWED);
        refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("OPTIONS, PUT"));
        return refusal;
    }
    if ask.is_forwarded() {
        return error(StatusCode::FORBIDDEN);
    }
    let seconds = ask.header(TTL).and_then(|seconds| seconds.parse().ok()).filter(|seconds| TTLS.contains(seconds));
    let Some(ttl) = seconds.map(Duration::from_secs) else {
        return error(StatusCode::BAD_REQUEST);
    };
    let mut answer = text_answer(tokens.issue(ttl));
    set_ttl(&mut answer, ttl);
    answer
}

/// The text at a path: a leaf's value, or a directory's listing with or without its slash.
fn read(path: &str, machine: &Machine) -> Option<String> {
    let tree = json!({"latest": {
        "dynamic": {"instance-identity": {"document": format!("{:#}", document(machine))}},
        "meta-data": meta_data(machine),
    }});
    let path = path.strip_prefix('/')?;
    let (path, slash) = path.strip_suffix('/').map_or((path, false), |path| (path, true));
    let place = tree::find(&tree, path)?;
    tree::listing(place).or_else(|| (!slash).then(|| tree::text(place)))
}

fn meta_data(machine: &Machine) -> Value {
    json!({
        "ami-id": machine.image,
        "hostname": machine.host_name,
        "instance-id": machine.id,
        "instance-life-cycle": if machine.spot { "spot" } else { "on-demand" },
        "instance-type": machine.instance_type,
        "local-hostname": machine.host_name,
        "local-ipv4": machine.private_ip.to_string(),
        "mac": mac(machine),
        "placement": {
            "availability-zone": machine.zone,
            "availability-zone-id": zone_id(machine),
            "region": machine.region,
        },
    })
}

fn document(machine: &Machine) -> Value {
    json!({
        "accountId": machine.account,
        "architecture": if machine.architecture == "amd64" { "x86_64" } else { &machine.architecture },
        "availabilityZone": machine.zone,
        "billingProducts": null,
        "devpayProductCodes": null,
        "marketplaceProductCodes": null,
        "imageId": machine.image,
        "instanceId": machine.id,
        "instanceType": machine.instance_type,
        "kernelId": null,
        "pendingTime": machine.launched.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "privateIp": machine.private_ip.to_string(),
        "ramdiskId": null,
        "region": machine.region,
        "version": "2017-09-30",
    })
}

/// A hardware address that follows from the machine's address.
fn mac(machine: &Machine) -> String {
    let [a, b, c, d] = machine.private_ip.octets();
    format!("0a:58:{a:02x}:{b:02x}:{c:02x}:{d:02x}")
}

/// The zone's name that is the same for all accounts: `euc1-az1` for `eu-central-1a`, if `a` is the first for everyone.
fn zone_id(machine: &Machine) -> String {
    let region = machine.region.split('-').map(|word| match word {
        "gov" => "g",
        "central" => "c",
        "north" => "n",
        "northeast" => "ne",
        "east" => "e",
        "southeast" => "se",
        "south" => "s",
        "southwest" => "sw",
        "west" => "w",
        "northwest" => "nw",
        other => other,
    });
    let nth = machine.zone.bytes().last().map_or(0, |letter| letter.wrapping_sub(b'a') % 26 + 1);
    format!("{}-az{nth}", region.collect::<String>())
}

fn text_answer(text: String) -> Response<Bytes> {
    dressed(wire::answer(StatusCode::OK, "text/plain", text))
}

/// Clients of old know the service by this header.
fn dressed(mut answer: Response<Bytes>) -> Response<Bytes> {
    answer.headers_mut().insert(SERVER, HeaderValue::from_static("EC2ws"));
    answer
}

fn set_ttl(answer: &mut Response<Bytes>, left: Duration) {
    answer.headers_mut().insert(HeaderName::from_static(TTL), left.as_secs().into());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zone_ids_abbreviate_their_region() {
        for (zone, id) in [
            ("us-east-1a", "use1-az1"),
            ("eu-central-1b", "euc1-az2"),
            ("ap-southeast-2c", "apse2-az3"),
            ("us-gov-west-1a", "usgw1-az1"),
        ] {
            assert_eq!(zone_id(&Machine::aws("i-0").zone(zone)), id);
        }
    }
}
