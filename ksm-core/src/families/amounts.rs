//! Amounts of resources (`cpu`, `memory`, `nvidia.com/gpu`): which are exposed, and in which unit.

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity as QuantityText;

use super::bad_value;
use crate::family::FamilyIndex;
use crate::labels::sanitized;
use crate::samples::{Label, Samples};
use crate::value::Quantity;

/// Whose amounts they are: nodes and containers differ in what they count and how they round.
#[derive(Clone, Copy)]
pub(super) enum Holder {
    /// All amounts to the thousandth; `pods` is one of them.
    Node,
    /// Cores to the thousandth, all else in whole units, rounded up.
    Container,
}

type Amounts = BTreeMap<String, QuantityText>;

/// Calls `put` with the resource's name as a label value, its unit, and the amount.
pub(super) fn for_each_amount(
    holder: Holder,
    amounts: Option<&Amounts>,
    resource: &'static str,
    mut put: impl FnMut(&str, &str, f64),
) {
    for (name, text) in amounts.into_iter().flatten() {
        let (label, [unit, other_unit]) = match name.as_str() {
            "cpu" => ("cpu".into(), [Some("core"), None]),
            "memory" => ("memory".into(), [Some("byte"), None]),
            "storage" => ("storage".into(), [Some("byte"), None]),
            "ephemeral-storage" => ("ephemeral_storage".into(), [Some("byte"), None]),
            "pods" => ("pods".into(), [matches!(holder, Holder::Node).then_some("integer"), None]),
            other => (sanitized(other), [bytes_unit(other), is_extended(other).then_some("integer")]),
        };
        let label: Cow<'_, str> = label;
        if unit.or(other_unit).is_none() {
            continue;
        }
        match Quantity::parse(&text.0) {
            Ok(quantity) => {
                let value = match holder {
                    Holder::Container if name != "cpu" => quantity.value(),
                    _ => quantity.amount(),
                };
                for unit in [unit, other_unit].into_iter().flatten() {
                    put(&label, unit, value);
                }
            }
            Err(why) => bad_value(resource, name, &text.0, &why),
        }
    }
}

/// Puts all amounts to the thousandth, under the names that the object gives them: quotas and ranges name more than
/// resources (`count/deployments.apps`, `requests.cpu`).
pub(super) fn put_raw_amounts(
    s: &mut Samples<'_>,
    family: FamilyIndex,
    amounts: Option<&Amounts>,
    labels: &[Label<'_>],
    resource: &'static str,
) {
    if !s.wants(family) {
        return;
    }
    let mut all: [Label<'_>; 4] = [("", ""); 4];
    let count = labels.len().min(all.len() - 1);
    for (slot, label) in all.iter_mut().skip(1).zip(labels) {
        *slot = *label;
    }
    for (name, text) in amounts.into_iter().flatten() {
        all[0] = ("resource", name);
        match Quantity::parse(&text.0) {
            Ok(quantity) => s.put(family, all.get(..=count).unwrap_or_default(), quantity.amount()),
            Err(why) => bad_value(resource, name, &text.0, &why),
        }
    }
}

/// The amount of one resource, where there is one that can be read.
pub(super) fn amount(amounts: Option<&Amounts>, name: &str, resource: &'static str) -> Option<Quantity> {
    let text = amounts?.get(name)?;
    Quantity::parse(&text.0).inspect_err(|why| bad_value(resource, name, &text.0, why)).ok()
}

fn bytes_unit(name: &str) -> Option<&'static str> {
    (name.starts_with("hugepages-") || name.starts_with("attachable-volumes-")).then_some("byte")
}

/// Whether a resource is of somebody else's making (`nvidia.com/gpu`), by apimachinery's `IsExtendedResourceName`:
/// within a domain other than Kubernetes' own, and fit for a quota, where `requests.` stands before it.
fn is_extended(name: &str) -> bool {
    const QUOTA_PREFIX: &str = "requests.";

    let Some((domain, local)) = name.split_once('/') else { return false };
    !name.contains("kubernetes.io/")
        && !name.starts_with(QUOTA_PREFIX)
        && QUOTA_PREFIX.len() + domain.len() <= 253
        && domain.split('.').all(is_dns_label)
        && is_qualified_local(local)
}

/// Lower-case letters, digits and inner hyphens. Within a subdomain a label may be longer than 63.
fn is_dns_label(label: &str) -> bool {
    let bytes = label.as_bytes();
    let is_alphanumeric = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    bytes.iter().all(|b| is_alphanumeric(b) || *b == b'-')
        && bytes.first().is_some_and(is_alphanumeric)
        && bytes.last().is_some_and(is_alphanumeric)
}

fn is_qualified_local(local: &str) -> bool {
    let bytes = local.as_bytes();
    bytes.len() <= 63
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exposed(holder: Holder, name: &str, text: &str) -> Vec<(String, String, f64)> {
        let amounts = BTreeMap::from([(name.to_owned(), QuantityText(text.to_owned()))]);
        let mut exposed = Vec::new();
        for_each_amount(holder, Some(&amounts), "pods", |label, unit, value| {
            exposed.push((label.to_owned(), unit.to_owned(), value));
        });
        exposed
    }

    fn one(label: &str, unit: &str, value: f64) -> Vec<(String, String, f64)> {
        vec![(label.to_owned(), unit.to_owned(), value)]
    }

    #[test]
    fn names_choose_units() {
        use Holder::{Container, Node};
        assert_eq!(exposed(Container, "cpu", "250m"), one("cpu", "core", 0.25));
        assert_eq!(exposed(Container, "ephemeral-storage", "1Ki"), one("ephemeral_storage", "byte", 1024.0));
        assert_eq!(exposed(Container, "hugepages-2Mi", "4Mi"), one("hugepages_2Mi", "byte", 4_194_304.0));
        assert_eq!(
            exposed(Container, "attachable-volumes-aws-ebs", "39"),
            one("attachable_volumes_aws_ebs", "byte", 39.0)
        );
        assert_eq!(exposed(Container, "nvidia.com/gpu", "2"), one("nvidia_com_gpu", "integer", 2.0));
        assert_eq!(exposed(Node, "pods", "110"), one("pods", "integer", 110.0));
        assert_eq!(exposed(Container, "pods", "110"), []);
    }

    #[test]
    fn only_nodes_keep_thousandths_of_what_is_not_cpu() {
        assert_eq!(exposed(Holder::Node, "memory", "1500m"), one("memory", "byte", 1.5));
        assert_eq!(exposed(Holder::Container, "memory", "1500m"), one("memory", "byte", 2.0));
    }

    #[test]
    fn what_is_both_pages_and_extended_counts_as_both() {
        let both = exposed(Holder::Container, "hugepages-x.com/y", "1");
        assert_eq!(both.iter().map(|(_, unit, _)| unit.as_str()).collect::<Vec<_>>(), ["byte", "integer"]);
    }

    #[test]
    fn extended_names_are_qualified_names_outside_kubernetes_domain() {
        for name in ["a/b", "nvidia.com/gpu", "x-y.z9/A_b.c-d", "hugepages-x.com/y"] {
            assert!(is_extended(name), "{name}");
        }
        let long = format!("{}/x", "a".repeat(245));
        for name in [
            "gpu",
            "kubernetes.io/x",
            "sub.kubernetes.io/x",
            "requests.nvidia.com/gpu",
            "/x",
            "a/",
            "a/b/c",
            "A.com/b",
            "-a.com/b",
            "a..b/c",
            "a/-b",
            "a/b ",
            "ä/b",
            &long,
        ] {
            assert!(!is_extended(name), "{name}");
        }
        assert!(is_extended(&long[1..]), "requests. and 244 letters are 253");
        assert!(!is_extended(&format!("a/{}", "b".repeat(64))));
    }

    #[test]
    fn what_is_no_quantity_is_left_out() {
        assert_eq!(exposed(Holder::Container, "cpu", "many"), []);
    }
}
