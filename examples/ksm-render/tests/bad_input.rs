//! Fault → what is told of it, and what is rendered all the same.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use support::{Output, render_input, samples};

fn namespace(name: &str) -> String {
    format!(r#"{{"apiVersion":"v1","kind":"Namespace","metadata":{{"name":"{name}"}},"status":{{"phase":"Active"}}}}"#)
}

fn run(input: impl AsRef<[u8]>) -> Output {
    render_input(
        &["--metric-allowlist", "namespace_status_phase,pod_info,pod_container_resource_limits"],
        input.as_ref(),
    )
}

/// The namespaces that are rendered.
fn names(output: &Output) -> Vec<String> {
    let active = samples(&output.stdout).filter_map(|line| line.strip_suffix("\",phase=\"Active\"} 1"));
    active.map(|line| line.trim_start_matches("kube_namespace_status_phase{namespace=\"").to_owned()).collect()
}

#[test]
fn a_broken_line_costs_itself_and_is_named() {
    let output = run(format!("{}\n{{\"kind\": oops\n{}\n", namespace("a"), namespace("b")));
    assert_eq!(names(&output), ["a", "b"]);
    assert_eq!(output.code, 1);
    assert_eq!(output.stderr, "ksm-render: standard input:2: document 2: broken JSON in line 2: expected value\n");
}

#[test]
fn a_cut_list_shows_its_whole_objects() {
    let output = run(format!("{{\"kind\":\"List\",\"items\":[\n{},\n{},\n{{\"api", namespace("a"), namespace("b")));
    assert_eq!((names(&output), output.code), (vec!["a".to_owned(), "b".to_owned()], 1));
    assert!(output.stderr.contains("document 1: broken JSON in line 4: EOF"), "{}", output.stderr);
}

#[test]
fn a_wrong_field_is_named_with_its_path_and_line() {
    let pod = "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\"},\n\
               \"spec\":{\"containers\":[{\"name\":\"x\"},\n{\"name\":\"y\",\"image\":5}]}}";
    let output = run(format!("{}\n{pod}\n{}", namespace("a"), namespace("b")));
    assert_eq!((names(&output).len(), output.code), (2, 1));
    let place = "ksm-render: standard input:4: document 2: Pod: spec.containers[1].image: ";
    assert!(output.stderr.starts_with(place), "{}", output.stderr);
}

#[test]
fn faults_in_lists_name_the_item() {
    let output = run(format!(
        "{{\"kind\":\"List\",\"items\":[{},{{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":5}},null,7,\
         {{\"metadata\":{{}}}},{}]}}",
        namespace("a"),
        namespace("b")
    ));
    assert_eq!((names(&output).len(), output.code), (2, 1));
    let told: Vec<&str> = output.stderr.lines().collect();
    for (line, part) in told.iter().zip([
        "item 2: Namespace: metadata: invalid type",
        "item 3: null instead of an object",
        "item 4: invalid type: integer `7`",
        "item 5: kind: missing",
    ]) {
        assert!(line.contains(part), "{part} in {line}");
    }
    assert_eq!(told.len(), 4);
}

#[test]
fn a_broken_yaml_document_costs_itself() {
    let good = |name: &str| {
        format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\nstatus: {{phase: Active}}\n")
    };
    let output = run(format!("{}---\nkind: [\n---\n{}", good("a"), good("b")));
    assert_eq!((names(&output).len(), output.code), (2, 1));
    assert!(output.stderr.contains("document 2: broken YAML in line"), "{}", output.stderr);
}

#[test]
fn unknown_kinds_are_counted_and_no_fault() {
    let widget = r#"{"apiVersion":"example.com/v1","kind":"Widget"}"#;
    let output = run(format!("{widget}\n{}\n{widget}\n{}", namespace("a"), widget.replace("Widget", "Gadget")));
    assert_eq!((names(&output).len(), output.code), (1, 0));
    assert_eq!(
        output.stderr,
        "ksm-render: 1 object of unknown kind example.com/v1 Gadget left out\n\
         ksm-render: 2 objects of unknown kind example.com/v1 Widget left out\n"
    );
}

#[test]
fn a_kind_that_was_not_asked_for_is_left_out_silently() {
    let output = render_input(&["--resources", "pods"], namespace("a").as_bytes());
    assert_eq!((output.stdout.as_str(), output.stderr.as_str(), output.code), ("", "", 0));
}

#[test]
fn objects_without_uid_and_name_are_rendered_each() {
    let nameless = namespace("").replace("\"name\":\"\"", "");
    assert_eq!(names(&run(format!("{nameless}\n{nameless}"))).len(), 2);
}

#[test]
fn null_lists_are_empty_lists() {
    let output = run(r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","labels":null,"ownerReferences":null},
            "spec":{"containers":null,"tolerations":null},"status":{"conditions":null,"containerStatuses":null}}"#);
    assert!(output.stdout.contains("kube_pod_info{namespace=\"\",pod=\"p\""), "{}", output.stderr);
    assert_eq!((output.stderr.as_str(), output.code), ("", 0));
}

#[test]
fn bytes_that_are_no_utf8_are_replaced_and_told() {
    let mut input = namespace("a").into_bytes();
    input.extend_from_slice(b"\n{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"x\xffy\"},\"status\":{\"phase\":\"Active\"}}");
    let output = run(input);
    assert_eq!((names(&output), output.code), (vec!["a".to_owned(), "x\u{fffd}y".to_owned()], 1));
    assert!(output.stderr.starts_with("ksm-render: standard input:2: bytes that are no UTF-8"), "{}", output.stderr);
}

#[test]
fn a_quantity_that_does_not_parse_costs_its_sample() {
    let output = run(r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},
            "spec":{"containers":[{"name":"c","resources":{"limits":{"cpu":"lots","memory":"1Ki"}}}]}}"#);
    let limits: Vec<&str> = samples(&output.stdout).filter(|line| line.contains("resource_limits")).collect();
    assert_eq!(limits.len(), 1);
    assert!(limits[0].ends_with("resource=\"memory\",unit=\"byte\"} 1024"), "{limits:?}");
    assert!(output.code == 1 && output.stderr.contains("document 1: Pod: cpu: \"lots\" left out"), "{}", output.stderr);
}

#[test]
fn a_huge_annotation_costs_nobody_anything() {
    let huge = format!(
        r#"{{"apiVersion":"v1","kind":"Namespace","metadata":{{"name":"h","annotations":{{"a":"{}"}}}},"status":{{"phase":"Active"}}}}"#,
        "x".repeat(20 << 20)
    );
    let output = run(format!("{huge}\n{}", namespace("b")));
    assert_eq!((names(&output).len(), output.code), (2, 0), "{}", output.stderr);
    let shown = render_input(&["--metric-annotations-allowlist", "namespaces=[*]"], huge.as_bytes());
    assert_eq!((names(&shown).len(), shown.code), (1, 1));
    assert!(shown.stderr.contains("namespaces: 1 samples left out"), "{}", shown.stderr);
}

#[test]
fn deep_nesting_is_refused_or_passed_by_and_costs_nobody_else() {
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let deep_label = namespace("x").replace("\"metadata\":{", &format!("\"metadata\":{{\"labels\":{deep},"));
    let deep_elsewhere = namespace("b").replace("\"metadata\":{", &format!("\"unknown\":{deep},\"metadata\":{{"));
    let output = run(format!("{}\n{deep_label}\n{deep_elsewhere}", namespace("a")));
    assert_eq!((names(&output), output.code), (vec!["a".to_owned(), "b".to_owned()], 1));
    assert!(output.stderr.contains("document 2: Namespace: metadata.labels: "), "{}", output.stderr);
    let lists = run("{\"kind\":\"List\",\"items\":[".repeat(50_000));
    assert_eq!(lists.code, 1);
    let yaml = run(format!("- {}", "- ".repeat(50_000)));
    assert_eq!(yaml.code, 1);
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let output = render_input(&["no/such/file.json", "-"], namespace("a").as_bytes());
    assert_eq!((names(&output).len(), output.code), (1, 1));
    assert!(output.stderr.starts_with("ksm-render: no/such/file.json: can't be read: "), "{}", output.stderr);
}
