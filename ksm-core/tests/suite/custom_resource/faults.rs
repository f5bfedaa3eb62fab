//! What is wrong with configurations and objects, and what it costs.

use ksm_core::custom_resource::CustomResourceConfig;
use kube::core::GroupVersionKind;
use serde_json::json;

use super::{errors, example, lines, with_metrics};

#[test]
fn all_faults_of_a_file_are_told_at_once_with_their_places() {
    let yaml = "
kind: CustomResourceStateMetrics
spec:
  resources:
    - groupVersionKind: {version: v1, kind: Foo}
      labelFromPath: {name: [metadata, name]}
      commonLabels: {app.kubernetes.io/name: x}
      errorLogV: many
      metrics:
        - name: a-b
          each: {type: Gauge, gauge: {path: status}}
        - each: {type: Counter}
        - name: c
          each:
            type: stateset
            stateSet: {path: [status, '[Ready]'], valueForm: [x], list: [a, [b]]}
        - name: d
          each: {type: gauge, gauge: {nilIsZero: maybe, aggregate: mean, labelFromKey: 'a-b'}}
  extra: 1
";
    let want = [
        "crs.yaml:5:25: spec.resources[0].groupVersionKind.group is missing: name it; the core group (Pod, Node, …) is \"\"",
        "crs.yaml:6:7: unknown key `labelFromPath` in spec.resources[0]: did you mean `labelsFromPath`?",
        "crs.yaml:7:46: spec.resources[0].commonLabels.app.kubernetes.io/name can't be \"app.kubernetes.io/name\": use letters, digits and `_`, and begin with no digit",
        "crs.yaml:8:18: spec.resources[0].errorLogV can't be \"many\": write a whole number from 0",
        "crs.yaml:10:17: spec.resources[0].metrics[0].name can't be \"kube_customresource_a-b\": use letters, digits, `_` and `:`, and begin with no digit",
        "crs.yaml:11:45: spec.resources[0].metrics[0].each.gauge.path is a single value, but a list like [status, phase] is wanted",
        "crs.yaml:12:11: spec.resources[0].metrics[1].name is missing: name the metric",
        "crs.yaml:12:24: spec.resources[0].metrics[1].each.type can't be \"Counter\": it is Gauge, StateSet or Info",
        "crs.yaml:16:30: spec.resources[0].metrics[2].each.stateSet.path: path segment \"[Ready]\" looks up nothing: write it like \"[type=Ready]\"",
        "crs.yaml:16:51: unknown key `valueForm` in spec.resources[0].metrics[2].each.stateSet: did you mean `valueFrom`?",
        "crs.yaml:18:50: spec.resources[0].metrics[3].each.gauge.nilIsZero can't be \"maybe\": write true or false",
        "crs.yaml:18:68: spec.resources[0].metrics[3].each.gauge.aggregate can't be \"mean\": it is count, sum, min or max",
        "crs.yaml:18:88: spec.resources[0].metrics[3].each.gauge.labelFromKey can't be \"a-b\": use letters, digits and `_`, and begin with no digit",
        "crs.yaml:19:3: unknown key `extra` in spec: known are resources",
    ];
    assert_eq!(errors(yaml), want);
}

#[test]
fn what_is_no_configuration_is_an_error() {
    for (text, want) in [
        ("[]", "the configuration is a list, but a map is wanted"),
        ("spec: {resources: 5}", "spec.resources is a single value, but a list is wanted"),
        ("spec: {resources: [5]}", "spec.resources[0] is a single value, but a map is wanted"),
        ("spec: {resources: [{}]}", "spec.resources[0].groupVersionKind is missing"),
        ("spec: {resources: [{groupVersionKind: {group: '*'}}]}", "name one group"),
        ("spec: {resources: [{groupVersionKind: {group: ''}}]}", "name the kind"),
        ("spec: [", "crs.yaml:1"),
        ("a: 1\n---\nb: 2", "crs.yaml"),
    ] {
        let errors = errors(text);
        assert!(errors[0].contains(want), "{text}: {errors:#?}");
    }
    for (metric, want) in [
        ("{name: a}", "each is missing"),
        ("{name: a, each: {gauge: {}}}", "each.type is missing"),
        ("{name: a, each: {type: gauge}}", "each.gauge is missing"),
        ("{name: a, each: {type: stateset, stateSet: {list: [x]}}}", "labelName is missing"),
        (
            "{name: a, each: {type: gauge, gauge: {aggregate: sum, labelFromKey: k}}}",
            "both `aggregate` and `labelFromKey`",
        ),
        ("{name: a, labelsFromPath: {x: [[y]]}, each: {type: gauge, gauge: {}}}", "labelsFromPath.x is a list"),
    ] {
        let errors = errors(&with_metrics(&format!("[{metric}]")));
        assert!(errors.len() == 1 && errors[0].contains(want), "{metric}: {errors:#?}");
    }
}

#[test]
fn what_is_only_suspicious_is_a_warning() {
    let yaml = with_metrics(
        "[{name: a, each: {type: info, info: {}, gauge: {}}}, {name: b, each: {type: gauge, gauge: {value: [x]}}}]",
    );
    let config = CustomResourceConfig::from_yaml(&yaml, "crs.yaml").unwrap();
    let warnings: Vec<String> = config.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(warnings.len(), 3, "{warnings:#?}");
    for (at, want) in ["`type`", "`_info`", "`valueFrom`"].into_iter().enumerate() {
        assert!(warnings.iter().any(|warning| warning.contains(want)), "{at}: {warnings:#?}");
    }
    for empty in ["", "{}", "spec: {}", "spec: {resources: []}"] {
        assert_eq!(CustomResourceConfig::from_yaml(empty, "crs.yaml").unwrap().resources().len(), 0, "{empty}");
    }
}

#[test]
fn entries_for_one_kind_are_united_unless_they_share_a_family() {
    let entry = |version: &str, name: &str| {
        format!(
            "spec:\n  resources:\n  - groupVersionKind: {{group: g, version: '{version}', kind: K}}\n    labelsFromPath: {{{name}_of: [metadata, name]}}\n    metrics:\n    - name: {name}\n      each: {{type: gauge, gauge: {{path: [x]}}}}\n"
        )
    };
    let kind = GroupVersionKind::gvk("g", "v1", "K");
    let (a, b, any) = (entry("v1", "a"), entry("v1", "b"), entry("*", "a"));
    let config = CustomResourceConfig::from_sources([(a.as_str(), "a.yaml"), (b.as_str(), "b.yaml")]).unwrap();
    let lines =
        config.for_kind(&kind).unwrap().sample_lines(&super::object_of(json!({"metadata": {"name": "o"}, "x": 1})));
    assert!(
        lines.len() == 2 && lines[0].ends_with(r#"a_of="o"} 1"#) && lines[1].ends_with(r#"b_of="o"} 1"#),
        "{lines:?}"
    );
    assert!(config.for_kind(&GroupVersionKind::gvk("g", "v2", "K")).is_none());

    let errors =
        CustomResourceConfig::from_sources([(a.as_str(), "a.yaml"), (any.as_str(), "b.yaml")]).map(drop).unwrap_err();
    assert_eq!(errors.0.len(), 1);
    let message = errors.to_string();
    assert!(
        message.starts_with("b.yaml:6:13: the family kube_customresource_a is there already, at a.yaml:6:13"),
        "{message}"
    );
    // Kinds that can't be the same may have families of one name.
    let other = entry("v2", "a");
    assert!(CustomResourceConfig::from_sources([(a.as_str(), "a.yaml"), (other.as_str(), "b.yaml")]).is_ok());
}

#[test]
fn one_family_has_one_type() {
    let errors = errors(&with_metrics(
        "[{name: a_info, each: {type: gauge, gauge: {}}},\n {name: a_info, each: {type: info, info: {}}}]",
    ));
    assert!(
        errors.len() == 1 && errors[0].starts_with("crs.yaml:2:9: ") && errors[0].contains("at crs.yaml:1:122"),
        "{errors:?}"
    );
}

#[test]
fn what_cannot_be_read_costs_its_own_sample() {
    let metrics = "[{name: bad, each: {type: gauge, gauge: {path: [status, phase]}}},
                    {name: gone, each: {type: gauge, gauge: {path: [status, gone]}}},
                    {name: mixed, each: {type: gauge, gauge: {path: [status, conditions], valueFrom: [lastTransitionTime], labelsFromPath: {type: [type]}}}},
                    {name: text, each: {type: stateset, stateSet: {path: [spec, replicas], labelName: s, list: ['2']}}},
                    {name: good, each: {type: gauge, gauge: {path: [spec, replicas]}}}]";
    assert_eq!(lines(metrics, example()), [r#"mixed{type="Ready"} 1.6563744e+09"#, "good{} 2"]);
}

#[test]
fn values_are_texts_as_they_are_written() {
    // YAML reads these as numbers and booleans; a path and a state mean their text.
    let metrics = "[{name: m, commonLabels: {version: 1.10, on: yes}, each: {type: stateset, stateSet: {path: [list, -1], labelName: s, list: [True, 1.0, 'x']}}}]";
    assert_eq!(
        lines(metrics, json!({"list": ["a", "True"]})),
        [
            r#"m{on="yes",s="True",version="1.10"} 1"#,
            r#"m{on="yes",s="1.0",version="1.10"} 0"#,
            r#"m{on="yes",s="x",version="1.10"} 0"#
        ]
    );
}
