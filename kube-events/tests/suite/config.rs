//! Configurations as kubernetes-event-exporter has them.

use kube_events::config::{Compression, Config, ConfigError, LogFormat, LogLevel, Mechanism, OnFull, Sink, Strictness};
use proptest::prelude::*;
use secrecy::ExposeSecret;

const FULL: &str = r#"
logLevel: warn
logFormat: json
maxEventAgeSeconds: 60
clusterName: prod-1
namespace: shop
kubeQPS: 60.5
kubeBurst: 500
metricsNamePrefix: event_exporter_
omitLookup: true
cacheSize: 2048
leaderElection:
  enabled: True
  leaderElectionID: mine
# ${NOT_SET_IN_A_COMMENT}
route:
  drop:
    - namespace: "^kube-"
  match:
    - receiver: everything
  routes:
    - match:
        - receiver: search
        - receiver: queue
      drop:
        - type: Normal
          minCount: 5
          apiVersion: "beta$"
    - match:
        - kind: "Pod|Deployment"
          labels: {version: dev}
          annotations: {team: "^a"}
          namespaceLabels: {env: prod}
          receiver: hook
        - receiver: logs
        - receiver: rfc
        - receiver: disk
        - receiver: tests
        - receiver: search2
        - receiver: collector
receivers:
  - name: everything
    stdout:
      deDot: true
  - name: disk
    file: {path: /tmp/dump, maxsize: 10, maxage: 7, maxbackups: 3, deDot: false}
  - name: hook
    webhook:
      endpoint: https://example.com:8443/x
      headers:
        X-API-KEY: "${HOOK_KEY}"
        X-Reason: "{{ .Reason }}"
      layout:
        region: us-west-2
        createdAt: "{{ .GetTimestampMs }}"
        details: {message: "{{ .Message }}", labels: "{{ toJson .InvolvedObject.Labels}}"}
      tls: {insecureSkipVerify: true, serverName: x, caFile: ca.pem, certFile: c.pem, keyFile: k.pem}
    delivery:
      queue: {events: 5000, onFull: dropNewest}
      batch: {events: 100, bytes: 1048576, wait: 500ms}
      retry: {for: 1h30m, backoff: 1, maxBackoff: 30s}
      spill: {path: /var/spill, bytes: 100000}
      timeout: 10s
  - name: search
    elasticsearch:
      hosts: ["http://localhost:9200"]
      index: kube-events
      indexFormat: "kube-events-{2006-01-02}"
      username: elastic
      password: "${HOOK_KEY}"
      apiKey: abc
      headers: {a: b}
      useEventID: true
      deDot: true
      layout:
      tls:
        insecureSkipVerify: false
  - name: search2
    opensearch: {hosts: ["http://localhost:9200"], index: plain, type: kube-event}
  - name: queue
    kafka:
      clientId: kubernetes
      topic: kube-event
      brokers: ["localhost:9092"]
      compressionCodec: snappy
      tls: {enable: false, certFile: a, keyFile: b, caFile: c}
      sasl: {enable: true, username: u, password: p, mechanism: sha512}
      layout: {kind: "{{ .InvolvedObject.Kind }}"}
  - name: logs
    loki:
      url: http://127.0.0.1:3100/loki/api/v1/push
      headers: {X-Scope-OrgID: tenant}
      streamLabels: {foo: bar, ns: "{{ .Namespace }}"}
  - name: rfc
    syslog: {network: tcp, address: "127.0.0.1:11514", tag: k8s.event}
  - name: tests
    inMemory: {}
  - name: collector
    otlp: {endpoint: "http://localhost:4317", protocol: grpc, compression: gzip, rich: true}
"#;

fn variable(name: &str) -> Option<String> {
    (name == "HOOK_KEY").then(|| "hush".to_owned())
}

fn strict(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Strictness::Strict, &variable)
}

fn sink<'a>(config: &'a Config, name: &str) -> &'a Sink {
    &config.receivers.iter().find(|receiver| receiver.name == name).unwrap().sink
}

#[test]
fn every_key_is_read() {
    let config = strict(FULL).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((config.log_level, config.log_format), (LogLevel::Warn, LogFormat::Json));
    assert_eq!((config.max_event_age_seconds, config.kube_burst, config.cache_size), (60, 500, 2048));
    assert!((config.kube_qps - 60.5).abs() < 1e-6 && config.omit_lookup && config.leader_election.enabled);
    assert_eq!((config.cluster_name.as_str(), config.namespace.as_str()), ("prod-1", "shop"));
    assert_eq!((config.leader_election.id.as_str(), config.metrics_name_prefix.as_str()), ("mine", "event_exporter_"));
    assert_eq!(config.warnings, []);
    assert_eq!(config.receivers.len(), 10);
    assert_eq!(config.route.routes[0].drop[0].min_count, 5);
    assert_eq!(config.route.routes[1].match_[0].namespace_labels["env"], "prod");
    let Sink::Webhook(hook) = sink(&config, "hook") else { panic!() };
    assert!(hook.headers["X-API-KEY"].is_fixed() && !hook.headers["X-Reason"].is_fixed());
    assert!(hook.tls.insecure_skip_verify && hook.tls.client.is_some());
    let delivery = &config.receivers[2].delivery;
    assert_eq!((delivery.queue_events.unwrap().get(), delivery.on_full), (5000, OnFull::DropNewest));
    assert_eq!((delivery.retry_for.unwrap().as_secs(), delivery.batch_wait.unwrap().as_millis()), (5400, 500));
    let Sink::Elasticsearch(search) = sink(&config, "search") else { panic!() };
    assert_eq!(search.password.as_ref().unwrap().expose_secret(), "hush");
    assert_eq!(search.index.render("2024-05-01T00:00:00Z".parse().unwrap()), "kube-events-2024-05-01");
    let Sink::Kafka(kafka) = sink(&config, "queue") else { panic!() };
    assert_eq!(kafka.compression, Compression::Snappy);
    assert!(kafka.tls.is_none() && kafka.sasl.as_ref().unwrap().mechanism == Mechanism::Sha512);
    let Sink::Otlp(otlp) = sink(&config, "collector") else { panic!() };
    assert!(otlp.grpc && otlp.gzip);
    assert!(!format!("{config:?}").contains("hush"), "secrets are not printed");
}

#[test]
fn nothing_is_defaults() {
    let config = strict("").unwrap();
    assert_eq!((config.max_event_age_seconds, config.kube_burst, config.cache_size), (5, 10, 1024));
    assert!((config.kube_qps - 5.0).abs() < f32::EPSILON);
    assert_eq!(config.leader_election.id, "kubernetes-event-exporter");
    assert_eq!(config.warnings.len(), 1);
    assert_eq!(strict("throttlePeriod: 9").unwrap().max_event_age_seconds, 9);
}

/// The problems, in any order, one of which must have each of the texts.
fn refused(text: &str, wants: &[&str]) {
    let error = strict(text).unwrap_err();
    for want in wants {
        assert!(error.problems.iter().any(|problem| problem.to_string().contains(want)), "{want}\n{error}");
    }
    assert_eq!(error.problems.len(), wants.len(), "{error}");
}

#[test]
fn all_problems_are_told_with_their_places() {
    let text = r#"loglevel: info
logFormat: xml
metricsNamePrefix: 9x
route:
  match:
    - recever: a
    - receiver: dumb
      namespace: "*test*"
  routes:
    - drops: []
receivers:
  - name: dump
    stdout: {dedot: true}
  - name: dump
    file: {}
  - name: both
    stdout: {}
    file: {path: x}
  - name: none
  - stdout: {layout: {a: "{{ .Mesage }}"}}
  - name: k
    kafka: {topic: t, brokers: [], compressionCodec: snapy}
  - name: w
    webhook: {endpoint: "example.com", headers: [1], tls: {certFile: x}}
    delivery: {queue: {events: 0}, retry: {for: soon}}
  - name: p
    webhok: {}
"#;
    refused(
        text,
        &[
            "loglevel (line 1): this key is not known; did you mean `logLevel`?",
            "logFormat (line 2): it is one of pretty, json",
            "metricsNamePrefix (line 3)",
            "route.match[0].recever (line 6): this key is not known; did you mean `receiver`?",
            "route.match[1].receiver (line 7): there is no receiver `dumb`; did you mean `dump`?",
            "route.match[1].namespace (line 8): `*test*` is no regular expression",
            "route.routes[0].drops (line 10): this key is not known; did you mean `drop`?",
            "receivers[0].stdout.dedot (line 13): this key is not known; did you mean `deDot`?",
            "receivers[1].name (line 14): there is a receiver `dump` already",
            "receivers[1].file.path (line 15): it must be given",
            "a receiver has one sink, this one has stdout, file",
            "receivers[3] (line 19): a receiver needs a sink",
            "receivers[4].name (line 20): it must be given",
            "receivers[4].stdout.layout.a (line 20): the template `{{ .Mesage }}` is not understood: there is no field `Mesage`; did you mean `Message`?",
            "receivers[5].kafka.brokers (line 22): at least one broker",
            "receivers[5].kafka.compressionCodec (line 22): it is one of none, snappy, gzip, lz4, zstd; did you mean `snappy`?",
            "receivers[6].webhook.endpoint (line 24): an address",
            "receivers[6].webhook.headers (line 24): a map is wanted, here is a list",
            "receivers[6].webhook.tls (line 24): `certFile` and `keyFile` come together",
            "receivers[6].delivery.queue.events (line 25): at least 1",
            "receivers[6].delivery.retry.for (line 25): a duration",
            "receivers[7] (line 26): a receiver needs a sink",
            "receivers[7].webhok (line 27): this key is not known; did you mean `webhook`?",
        ],
    );
}

#[test]
fn foreign_sinks_are_one_problem() {
    let text = "receivers: [{name: a, slack: {token: x}}, {name: b, opsgenie: {}}, {name: c, stdout: {}}]\nroute: {match: [{receiver: a}, {receiver: c}]}";
    refused(text, &["`a` (slack, receivers[0]), `b` (opsgenie, receivers[1])"]);
}

#[test]
fn broken_yaml_and_unset_variables() {
    refused("a: [1\nb: 2", &["this is no YAML"]);
    refused("route:\n  match: {{ .X }}\n", &["quote texts with `{{`"]);
    refused("clusterName: ${NO_SUCH}", &["line 1: the environment variable `NO_SUCH` is not set"]);
    refused("maxEventAgeSeconds: 5\nthrottlePeriod: 6", &["throttlePeriod (line 2)"]);
    refused("- a", &["a map is wanted, here is a list"]);
}

#[test]
fn as_the_origin_reads_it() {
    let text = r#"
kubeQps: 7
clusterName: "${NO_SUCH}"
route:
  routes:
    - drop: [{namespace: "*test*"}]
      match: [{receiver: pipe}]
receivers:
  - name: pipe
    webhook: {endpoint: "http://localhost:3000", streamName: applicationMetric}
"#;
    let config = Config::parse(text, Strictness::AsOrigin, &variable).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.warnings.len(), 4, "{:?}", config.warnings);
    assert_eq!(config.cluster_name, "");
    assert!(strict(text).unwrap_err().problems.len() == 4);
}

proptest! {
    #[test]
    fn any_text_is_a_configuration_or_an_error(text in "\\PC{0,80}") {
        let _ = strict(&text);
    }

    /// The full configuration with any piece cut out or doubled.
    #[test]
    fn any_mutilation_is_a_configuration_or_an_error(from in 0..FULL.len(), length in 0..200_usize, with in "[a-z:{}\\[\\]\"$ \n-]{0,5}") {
        let to = (from + length).min(FULL.len());
        let _ = strict(&format!("{}{with}{}", &FULL[..from], &FULL[to..]));
    }
}

#[test]
fn secrets_are_in_no_debug() {
    let yaml = r"
receivers:
  - {name: a, webhook: {endpoint: 'https://u:hush@a/hush?x=hush', headers: {A: hush}, layout: {token: hush, b: 'x {{ .Reason }} hush'}}}
  - {name: b, elasticsearch: {hosts: ['https://u:hush@a/'], index: x, password: hush, apiKey: hush, headers: {A: hush}}}
  - {name: c, loki: {url: 'https://u:hush@a/', headers: {A: hush}, streamLabels: {a: b}}}
  - {name: d, otlp: {endpoint: 'https://u:hush@a/', headers: {A: hush}}}
  - {name: e, kafka: {brokers: ['a:1'], topic: t, sasl: {enable: true, username: u, password: hush}}}
";
    let config = Config::parse(yaml, Strictness::Strict, &|_| None).unwrap();
    let told = format!("{config:?}");
    assert!(!told.contains("hush") && told.contains("https://a"), "{told}");
}
