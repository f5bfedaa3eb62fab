//! Which labels samples have, and which rule wins.

use serde_json::json;

use super::{example, lines, lines_of};

const FOO: &str = "groupVersionKind: {group: myteam.io, version: v1, kind: Foo}, metricNamePrefix: ''";

#[test]
fn each_wins_over_metric_and_metric_over_resource_whatever_stands_in_the_identity() {
    let config = format!(
        "spec: {{resources: [{{{FOO}, commonLabels: {{a: r, b: r, c: r, d: r, customresource_kind: mine}},
           metrics: [
             {{name: all, commonLabels: {{b: m, c: m}}, each: {{type: gauge, gauge: {{path: [spec, replicas], labelsFromPath: {{}}}}}}}},
             {{name: each, commonLabels: {{b: m}}, each: {{type: gauge, gauge: {{path: [status, conditions, '0'], valueFrom: [status], labelsFromPath: {{c: [type]}}}}}}}},
           ]}}]}}"
    );
    let mut lines = lines_of(&config, example());
    lines.sort();
    lines.dedup();
    // The map's other keys have no `status`, and the parent gives `c`.
    assert_eq!(lines, [r#"all{a="r",d="r",b="m",c="m"} 2"#, r#"each{a="r",d="r",b="m",c="Ready"} 1"#]);
}

#[test]
fn wildcards_copy_maps_and_named_labels_win_over_them() {
    let config = format!(
        "spec: {{resources: [{{{FOO}, labelsFromPath: {{'*': [metadata, labels], app: [metadata, name], 'l_*': [metadata, labels], '**': [metadata, labels], '*x': [spec, limits]}},
           metrics: [{{name: m, each: {{type: gauge, gauge: {{path: [spec, replicas]}}}}}}]}}]}}"
    );
    let mut labels: Vec<String> = lines_of(&config, example())[0].split(['{', '}', ',']).map(str::to_owned).collect();
    labels.sort();
    assert_eq!(
        labels,
        [
            " 2",
            r#"_a_b_c="d""#,
            r#"_app="web""#,
            r#"a_b_c="d""#,
            r#"app="foo""#,
            r#"cpu="250m""#,
            r#"l_a_b_c="d""#,
            r#"l_app="web""#,
            "m",
            r#"memory="5Gi""#,
        ]
    );
}

#[test]
fn a_wildcard_of_a_metric_may_replace_what_the_resource_names() {
    let config = format!(
        "spec: {{resources: [{{{FOO}, commonLabels: {{app: constant, other: constant}},
           metrics: [{{name: a, labelsFromPath: {{'*': [metadata, labels]}}, each: {{type: gauge, gauge: {{path: [spec, replicas]}}}}}},
                     {{name: b, each: {{type: gauge, gauge: {{path: [spec, replicas]}}}}}}]}}]}}"
    );
    assert_eq!(
        lines_of(&config, example()),
        [r#"a{a_b_c="d",app="web",other="constant"} 2"#, r#"b{app="constant",other="constant"} 2"#]
    );
}

#[test]
fn names_that_would_break_the_exposition_are_mended() {
    let object = json!({"metadata": {"labels": {"5g/zone": "a", "": "b", "größe": "c"}}, "v": 1});
    let metrics = "[{name: m, labelsFromPath: {'*': [metadata, labels]}, each: {type: gauge, gauge: {path: [v]}}}]";
    assert_eq!(lines(metrics, object), [r#"m{_="b",_5g_zone="a",gr__e="c"} 1"#]);
}

#[test]
fn a_map_yields_its_keys_its_elements_labels_and_its_own() {
    let object = json!({"m": {"a": {"n": 1, "l": "inner"}, "b": {"n": 2}, "l": {"n": 3}}});
    let metrics = "[{name: m, each: {type: gauge, gauge: {path: [m], valueFrom: [n], labelFromKey: key, labelsFromPath: {l: [l]}}}}]";
    assert_eq!(
        lines(metrics, object),
        // `l` is looked up in the parent too, where it is a map.
        [r#"m{key="a",l="map[n:3]"} 1"#, r#"m{key="b",l="map[n:3]"} 2"#, r#"m{key="l",l="map[n:3]"} 3"#]
    );
}

#[test]
fn an_info_of_a_map_is_told_of_the_map_and_of_its_entries() {
    let object = json!({"m": {"name": "x", "part": {"name": "y"}}});
    let metrics =
        "[{name: m_info, each: {type: info, info: {path: [m], labelFromKey: key, labelsFromPath: {name: [name]}}}}]";
    assert_eq!(
        lines(metrics, object),
        [r#"m_info{key="name"} 1"#, r#"m_info{key="part",name="y"} 1"#, r#"m_info{name="x"} 1"#]
    );
}

#[test]
fn samples_with_the_same_labels_are_one_and_the_meant_one_stays() {
    // With `nilIsZero`, each other key of the map would yield a zero.
    let metrics = "[{name: m, each: {type: gauge, gauge: {path: [metadata], valueFrom: [created], nilIsZero: true}}}]";
    assert_eq!(lines(metrics, json!({"metadata": {"a": 1, "created": "7", "z": 1}})), ["m{} 7"]);
    assert_eq!(lines(metrics, json!({"metadata": {"a": 1}})), ["m{} 0"]);
    let list = "[{name: m, each: {type: gauge, gauge: {path: [list], valueFrom: [x], nilIsZero: true}}}]";
    assert_eq!(lines(list, json!({"list": [{}, {}, {"x": 5}]})), ["m{} 0"]);
}

#[test]
fn two_metrics_of_one_name_feed_one_family() {
    let metrics = "[{name: limit, help: Limits., commonLabels: {resource: cpu}, each: {type: gauge, gauge: {path: [spec, limits, cpu]}}},
                    {name: other, each: {type: gauge, gauge: {path: [spec, replicas]}}},
                    {name: limit, commonLabels: {resource: memory}, each: {type: gauge, gauge: {path: [spec, limits, memory]}}}]";
    assert_eq!(
        lines(metrics, example()),
        [r#"limit{resource="cpu"} 0.25"#, r#"limit{resource="memory"} 5.36870912e+09"#, "other{} 2"]
    );
}
