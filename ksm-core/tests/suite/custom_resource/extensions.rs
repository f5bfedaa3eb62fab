//! What kube-state-metrics has not.

use ksm_core::custom_resource::CustomResourceConfig;
use kube::core::GroupVersionKind;
use serde_json::json;

use super::{errors, lines, object_of, with_metrics};

fn gauge(fields: &str) -> String {
    format!("[{{name: m, each: {{type: gauge, gauge: {{{fields}}}}}}}]")
}

#[test]
fn lists_and_maps_are_aggregated() {
    let object = json!({"list": [{"n": 3}, {"n": "1k"}, {}, null], "flags": [true, false, true], "map": {"a": 1, "b": 2}, "none": []});
    for (fields, want) in [
        ("path: [list], aggregate: count", &["m{} 3"][..]),
        ("path: [list], valueFrom: [n], aggregate: count", &["m{} 2"]),
        ("path: [list], valueFrom: [n], aggregate: sum", &["m{} 1003"]),
        ("path: [list], valueFrom: [n], aggregate: min", &["m{} 3"]),
        ("path: [list], valueFrom: [n], aggregate: min, nilIsZero: true", &["m{} 0"]),
        ("path: [list], valueFrom: [n], aggregate: max", &["m{} 1000"]),
        ("path: [flags], aggregate: count", &["m{} 2"]),
        ("path: [map], aggregate: sum", &["m{} 3"]),
        ("path: [none], aggregate: sum", &["m{} 0"]),
        ("path: [none], aggregate: max", &[]),
        ("path: [missing], aggregate: count", &[]),
        ("path: [missing], aggregate: count, nilIsZero: true", &["m{} 0"]),
        // What can't be summed is no sum, and what is no list has no elements.
        ("path: [list], aggregate: sum", &[]),
        ("path: [list, '0', n], aggregate: sum", &[]),
    ] {
        assert_eq!(lines(&gauge(fields), object.clone()), want, "{fields}");
    }
}

#[test]
fn native_kinds_are_kinds_too() {
    let yaml = "spec: {resources: [{groupVersionKind: {group: '', version: v1, kind: Pod}, metricNamePrefix: pod,
                metrics: [{name: priority, each: {type: gauge, gauge: {path: [spec, priority]}}}]}]}";
    let config = CustomResourceConfig::from_yaml(yaml, "crs.yaml").unwrap();
    let pods = config.for_kind(&GroupVersionKind::gvk("", "v1", "Pod")).unwrap();
    assert_eq!((pods.plural(), pods.name()), ("pods", "pods"));
    assert_eq!(
        pods.sample_lines(&object_of(json!({"spec": {"priority": 5}}))),
        [r#"pod_priority{customresource_group="",customresource_kind="Pod",customresource_version="v1"} 5"#]
    );
}

#[cfg(feature = "cel")]
#[test]
fn expressions_give_values_states_and_labels() {
    for (metrics, want) in [
        (gauge("cel: size(object.spec.ports)"), &["m{} 2"][..]),
        (gauge("path: [spec, limits], cel: self.cpu"), &["m{} 0.25"]),
        (gauge("path: [spec, ports], cel: self * 2, labelsFromPath: {port: []}"), &[r#"m{port="80"} 160"#, r#"m{port="443"} 886"#]),
        (gauge("path: [spec, limits], cel: 'key.size()', labelFromKey: k"), &[r#"m{k="cpu"} 3"#, r#"m{k="memory"} 6"#]),
        (gauge("path: [status, conditions], aggregate: count, cel: 'self.status == \"True\"'"), &["m{} 1"]),
        (gauge("path: [spec, ports], aggregate: sum, cel: 'self + key'"), &["m{} 524"]),
        (gauge("cel: 'has(object.spec.none) ? 1 : null'"), &[]),
        (
            "[{name: m, each: {type: stateset, stateSet: {cel: 'object.status.phase.startsWith(\"Run\") ? \"up\" : \"down\"', labelName: s, list: [up, down]}}}]".to_owned(),
            &[r#"m{s="up"} 1"#, r#"m{s="down"} 0"#],
        ),
        (
            "[{name: m_info, each: {type: info, info: {path: [status, conditions], cel: '{\"type\": self.type, \"n\": key, \"none\": null}'}}}]".to_owned(),
            &[r#"m_info{n="0",type="Ready"} 1"#, r#"m_info{n="1",type="Synced"} 1"#],
        ),
        (
            "[{name: m_info, each: {type: info, info: {cel: 'object.spec.ports.map(p, {\"port\": p})'}}}]".to_owned(),
            &[r#"m_info{port="80"} 1"#, r#"m_info{port="443"} 1"#],
        ),
    ] {
        assert_eq!(lines(&metrics, super::example()), want, "{metrics}");
    }
}

#[cfg(feature = "cel")]
#[test]
fn a_failing_expression_costs_its_own_sample() {
    let metrics = "[{name: a, each: {type: gauge, gauge: {path: [spec, ports], cel: '1 / (self - 80)', labelsFromPath: {p: []}}}},
                    {name: b, each: {type: gauge, gauge: {path: [spec, replicas]}}}]";
    assert_eq!(lines(metrics, super::example()), [r#"a{p="443"} 0"#, "b{} 2"]);
}

#[cfg(feature = "cel")]
#[test]
fn expressions_are_checked_when_they_are_read() {
    let errors = errors(&with_metrics(
        "[{name: a, each: {type: gauge, gauge: {cel: 'self.'}}},\n {name: b, each: {type: gauge, gauge: {cel: 'foo.x'}}},\n {name: c, each: {type: gauge, gauge: {cel: '1', valueFrom: [a]}}}]",
    ));
    assert_eq!(errors.len(), 3, "{errors:#?}");
    assert!(errors[0].contains("spec.resources[0].metrics[0].each.gauge.cel: 1:"), "{errors:#?}");
    assert!(errors[1].starts_with("crs.yaml:2:") && errors[1].contains("no variable \"foo\""), "{errors:#?}");
    assert!(errors[2].contains("both `valueFrom` and `cel`"), "{errors:#?}");
}

#[cfg(not(feature = "cel"))]
#[test]
fn without_the_feature_an_expression_is_an_error_that_names_it() {
    let errors = errors(&with_metrics(&gauge("cel: '1'")));
    assert!(errors.len() == 1 && errors[0].contains("feature `cel`"), "{errors:#?}");
}
