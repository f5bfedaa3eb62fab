//! Event and layout in, JSON out.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube_events::event::{EnhancedEvent, Event, Limits};
use kube_events::layout::{Layout, Template};
use proptest::prelude::*;
use serde_json::json;

fn event() -> EnhancedEvent {
    let event = json!({
        "metadata": {"name": "web-0.1", "namespace": "shop", "uid": "u-1", "resourceVersion": "7"},
        "involvedObject": {"kind": "Pod", "namespace": "shop", "name": "web-0", "uid": "o-1", "apiVersion": "v1"},
        "reason": "BackOff", "type": "Warning", "message": "Back-off \"web\" <again>\nand again", "count": 4,
        "source": {"component": "kubelet", "host": "node-1"},
        "firstTimestamp": "2024-05-01T10:00:00Z", "lastTimestamp": "2024-05-01T10:00:09Z",
    });
    let object: ObjectMeta = serde_json::from_value(json!({
        "labels": {"app": "web", "app.kubernetes.io/name": "shop-web"},
        "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "r", "controller": true}],
    }))
    .unwrap();
    let event = Event::from_json(event.to_string().as_bytes(), &Limits::default()).unwrap();
    EnhancedEvent::new(event, Arc::new(object.into())).with_cluster_name("prod".into())
}

fn render(template: &str) -> String {
    let template = Template::compile(template).unwrap_or_else(|error| panic!("{template}: {error}"));
    template.render(&event()).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn go_templates() {
    let table = [
        ("plain {text} %", "plain {text} %"),
        ("{{ .Reason }} for {{ .InvolvedObject.Namespace }}/{{.InvolvedObject.Name}}!\n", "BackOff for shop/web-0!\n"),
        ("{{ .UID }} {{ .Name }} {{ .Namespace }} {{ .Count }} {{ .ClusterName }}", "u-1 web-0.1 shop 4 prod"),
        ("{{ .GetTimestampMs }}", "1714557600000"),
        ("{{ .GetTimestampISO8601 }}", "2024-05-01T10:00:00.000Z"),
        ("{{ .Source.Component }}@{{ .Source.Host }}", "kubelet@node-1"),
        ("{{ toJson .InvolvedObject.Labels}}", r#"{"app":"web","app.kubernetes.io/name":"shop-web"}"#),
        ("{{ .InvolvedObject.Labels.app }} {{ .InvolvedObject.Labels.none }}", "web <no value>"),
        (r#"{{ index .InvolvedObject.Labels "app.kubernetes.io/name" }}{{ index .Labels "x" }}."#, "shop-web."),
        ("{{ .Message | quote }}", r#""Back-off \"web\" <again>\nand again""#),
        ("{{ .Message | toJson }}", r#""Back-off \"web\" \u003cagain\u003e\nand again""#),
        (r#"{{ .InvolvedObject.Labels.none | default "nobody" | upper }}"#, "NOBODY"),
        (r#"{{ default "x" .Reason | lower }} {{ trunc 4 .Reason }} {{ trunc -3 .Reason }}"#, "backoff Back Off"),
        (r#"{{ if eq .Type "Warning" }}w{{ else }}n{{ end }}"#, "w"),
        (r#"{{ if eq .Type "x" "Normal" }}n{{ else if gt .Count 3 }}many{{ else }}few{{ end }}"#, "many"),
        ("{{ if and .InvolvedObject.Labels (not .Annotations) }}y{{ end }}", "y"),
        ("{{ with .InvolvedObject }}{{ .Kind }} {{ $.Kind }}{{ end }}", "Pod "),
        ("{{ with .Series }}{{ .Count }}{{ else }}none{{ end }}", "none"),
        ("{{ range .InvolvedObject.OwnerReferences }}{{ .Kind }}/{{ .Name }} {{ end }}", "ReplicaSet/web "),
        (
            "{{ range $k, $v := .InvolvedObject.Labels }}{{ $k }}={{ $v }};{{ end }}",
            "app=web;app.kubernetes.io/name=shop-web;",
        ),
        ("{{ range .Labels }}x{{ else }}empty{{ end }}", "empty"),
        ("{{ $n := 0 }}{{ range .InvolvedObject.Labels }}{{ $n = add $n 1 }}{{ end }}{{ $n }}", "2"),
        ("{{ (index .InvolvedObject.OwnerReferences 0).Name }}", "web"),
        (r#"{{ printf "%s/%-5s|%03d|%q|%.2f%%" .Namespace .Name .Count "a" 1.5 }}"#, "shop/web-0.1|004|\"a\"|1.50%"),
        (r#"{{ replace "o" "0" .Namespace }}{{ contains "ack" .Reason }}{{ hasPrefix "x" .Reason }}"#, "sh0ptruefalse"),
        (
            r#"{{ b64enc .Reason }} {{ b64enc .Reason | b64dec }} {{ sha256sum "" | trunc 8 }}"#,
            "QmFja09mZg== BackOff e3b0c442",
        ),
        (r#"{{ "a\nb" | nindent 2 }}{{ trim "  x " }}"#, "\n  a\n  bx"),
        (r#"{{ join "," (list "a" .Type 3) }} {{ len .Reason }} {{ ternary "a" "b" false }}"#, "a,Warning,3 7 b"),
        (
            r#"{{ .LastTimestamp.Format "2006-01-02" }} {{ date "15:04" .LastTimestamp.Time }} {{ .LastTimestamp.Unix }}"#,
            "2024-05-01 10:00 1714557609",
        ),
        ("{{ .LastTimestamp }}", "2024-05-01 10:00:09 +0000 UTC"),
        ("a {{- /* c */ -}} b {{- .Type -}} c", "abWarningc"),
        ("{{ `{{ x }}` }} {{ .InvolvedObject.Deleted }}", "{{ x }} false"),
        ("{{ dict \"a\" 1 \"b\" .Type | toJson }}", r#"{"a":1,"b":"Warning"}"#),
        (r#"{{ regexReplaceAll "[^a-z]+" .Reason "-" }}{{ regexMatch "^B" .Reason }}"#, "-ack-fftrue"),
    ];
    for (template, want) in table {
        assert_eq!(render(template), want, "{template}");
    }
    let pretty = render("<pre>{{ toPrettyJson . }}</pre>");
    let json = pretty.strip_prefix("<pre>").unwrap().strip_suffix("</pre>").unwrap();
    let value: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!(value, serde_json::to_value(event()).unwrap());
    assert!(json.starts_with("{\n  \"") && json.contains("\\u003cagain\\u003e"));
    assert!(render("{{ now | date \"2006\" }}").parse::<u32>().unwrap() > 2000);
    assert!(render("{{ toJson .DeDot }}").contains("app_kubernetes_io/name"));
}

#[test]
fn minijinja_templates() {
    let table = [
        ("{{ event.reason|lower }} {{ event.involvedObject.labels['app'] }} {{ event.total }}", "backoff web 4"),
        (
            "{% if event.type == 'Warning' %}w{% endif %}{% for key in event.involvedObject.labels %}{{ key }},{% endfor %}",
            "wapp,app.kubernetes.io/name,",
        ),
        ("{{ event.message|toJson }}", r#""Back-off \"web\" \u003cagain\u003e\nand again""#),
        (
            "{{ event.reason|trunc(4) }} {{ trunc(4, event.reason) }} {{ event.involvedObject.deletionState }}",
            "Back Back no",
        ),
        (
            "{{ event.timestamp }} {{ event.timestampMs }} {{ event.lastTimestamp }}",
            "2024-05-01T10:00:09Z 1714557609000 2024-05-01T10:00:09Z",
        ),
        ("{{ event.involvedObject.topController.name }}\n", "web\n"),
    ];
    for (template, want) in table {
        assert_eq!(render(template), want, "{template}");
    }
    for (template, part) in [
        ("{{ event.reason|uper }}", "filter"),
        ("{{ evnt.reason }} {{ event }}", "there is no `evnt`"),
        ("{% if event %}", "syntax"),
        ("{{ event.reason.foo() }}", "method"),
    ] {
        let error = Template::compile(template).unwrap_err().to_string();
        assert!(error.contains(part), "{template}: {error}");
    }
}

#[test]
fn layouts_nest_and_keep_what_is_no_text() {
    let layout = json!({
        "eventType": "kube-event", "createdAt": "{{ .GetTimestampMs }}", "version": 2, "debug": false, "none": null,
        "details": {"message": "{{ .Message }}", "count": "{{ .Count }}", "tags": ["sre", "{{ .Type }}", {"k": 1.5}]},
    });
    let want = json!({
        "eventType": "kube-event", "createdAt": "1714557600000", "version": 2, "debug": false, "none": null,
        "details": {"message": "Back-off \"web\" <again>\nand again", "count": "4", "tags": ["sre", "Warning", {"k": 1.5}]},
    });
    assert_eq!(Layout::compile(&layout).unwrap().render(&event()).unwrap(), want);
    let broken = json!({"a": "{{ .Foo }}", "b": [{"c": "ok"}, {"c": "{{ nope }}"}], "d": "{{ end }}"});
    let problems = Layout::compile(&broken).unwrap_err();
    let paths: Vec<_> = problems.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(paths, ["a", "b[1].c", "d"]);
    let deep = (0..1000).fold(json!("x"), |inner, _| json!([inner]));
    assert!(Layout::compile(&deep).is_err());
    std::mem::forget(deep);
}

#[test]
fn work_is_bounded() {
    for template in [
        "{% for a in range(9000) %}{% for b in range(9000) %}{% endfor %}{% endfor %}",
        "{{ range until 9000 }}{{ range until 9000 }}x{{ end }}{{ end }}",
        "{{ repeat 10000000 .Message }}",
        "{{ $x := .Message }}{{ range until 9000 }}{{ $x = cat $x $x }}{{ end }}",
        "{{ range until 9000 }}{{ repeat 2000 \"x\" }}{{ end }}",
        "{{ printf \"%999999999d\" 1 }}",
        "{{ index (splitList \"-\" .Name) 99 }}",
        "{{ div 1 0 }}",
    ] {
        let result = Template::compile(template).unwrap().render(&event());
        assert!(result.is_err(), "{template}");
    }
    assert!(Template::compile(&"x".repeat(100_000)).is_err());
}

proptest! {
    #[test]
    fn any_text_is_a_template_or_an_error(text in "\\PC{0,60}") {
        if let Ok(template) = Template::compile(&text) {
            let _ = template.render(&event());
        }
    }

    #[test]
    fn any_mix_of_words_is_a_template_or_an_error(
        words in proptest::collection::vec(proptest::sample::select(vec![
            "{{", "}}", "{{-", "-}}", "if", "else", "end", "range", "with", "$x", ":=", "=", ".Message", ".Labels", ".", "|",
            "(", ")", "\"a\"", "`", "\"", "1", "-1", "index", "toJson", "printf", "trunc", "{%", "%}", "event", "é", "\\",
        ]), 0..16)
    ) {
        if let Ok(template) = Template::compile(&words.join(" ")) {
            let _ = template.render(&event());
        }
    }
}
