//! Configurations in the shapes that kubernetes-event-exporter documents → pipelines' parts.

use std::path::Path;

use kube_events::config::{Config, Sink, Strictness};
use serde_json::Value;

const DUMP: &str = include_str!("../data/configurations/dump.yaml");
const ROUTES: &str = include_str!("../data/configurations/routes.yaml");
const EVERY_KEY: &str = include_str!("../data/configurations/every_key.yaml");
const FOREIGN_SINKS: &str = include_str!("../data/configurations/foreign_sinks.yaml");

/// The keys that kubernetes-event-exporter reads (907ce91), by where they stand. `throttlePeriod` is another name of
/// `maxEventAgeSeconds`.
const KEYS: [(&str, &str); 15] = [
    (
        "",
        "logLevel logFormat maxEventAgeSeconds clusterName namespace leaderElection route receivers kubeQPS kubeBurst \
         metricsNamePrefix omitLookup cacheSize",
    ),
    ("/leaderElection", "enabled leaderElectionID"),
    ("/route", "drop match routes"),
    ("/route/drop/0", "labels annotations message apiVersion kind namespace reason type minCount component host"),
    ("/receivers/0/stdout", "deDot layout"),
    ("/receivers/1/file", "path layout maxsize maxage maxbackups deDot"),
    ("/receivers/2/webhook", "endpoint tls layout headers"),
    ("/receivers/2/webhook/tls", "insecureSkipVerify serverName caFile keyFile certFile"),
    (
        "/receivers/3/elasticsearch",
        "hosts username password cloudID apiKey headers useEventID deDot index indexFormat type tls layout",
    ),
    ("/receivers/4/opensearch", "hosts username password useEventID deDot index indexFormat type tls layout"),
    ("/receivers/5/kafka", "topic brokers layout clientId compressionCodec version tls sasl avro"),
    ("/receivers/5/kafka/tls", "enable caFile certFile keyFile insecureSkipVerify"),
    ("/receivers/5/kafka/sasl", "enable username password mechanism"),
    ("/receivers/6/loki", "layout streamLabels tls url headers"),
    ("/receivers/7/syslog", "network address tag"),
];

fn parse(text: &str, strictness: Strictness, directory: &Path) -> Config {
    let variable = |name: &str| match name {
        "DIRECTORY" => Some(directory.display().to_string()),
        "SEARCH_KEY" => Some("hush".to_owned()),
        _ => None,
    };
    Config::parse(text, strictness, &variable).unwrap_or_else(|error| panic!("{error}"))
}

/// Each receiver becomes a sink; Kafka's is another test's.
fn build(config: &Config) -> Vec<&'static str> {
    let sinks = config.receivers.iter().filter(|receiver| !matches!(receiver.sink, Sink::Kafka(_)));
    sinks
        .map(|receiver| receiver.build().unwrap_or_else(|error| panic!("{}: {error}", receiver.name)).sink.kind())
        .collect()
}

#[test]
fn the_file_has_every_key() {
    let file: Value = serde_saphyr::from_str(EVERY_KEY).unwrap();
    for (place, keys) in KEYS {
        let section = file.pointer(place).unwrap_or_else(|| panic!("{place}"));
        for key in keys.split_whitespace() {
            assert!(section.get(key).is_some(), "{place}/{key}");
        }
    }
}

#[cfg(feature = "http-sinks")]
#[test]
fn every_key_is_known_and_its_sinks_can_be_made() {
    let directory = tempfile::tempdir().unwrap();
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["hook.internal".to_owned()]).unwrap();
    std::fs::write(directory.path().join("certificate.pem"), cert.pem()).unwrap();
    std::fs::write(directory.path().join("key.pem"), signing_key.serialize_pem()).unwrap();
    let config = parse(EVERY_KEY, Strictness::Strict, directory.path());
    assert_eq!(config.warnings, []);
    let kinds = build(&config);
    assert_eq!(kinds, ["stdout", "file", "webhook", "elasticsearch", "elasticsearch", "loki", "syslog", "inMemory"]);
    // With a key that nobody knows beside each, all of these are told: none of the sections is skipped.
    for (place, keys) in KEYS {
        let mut file: Value = serde_saphyr::from_str(EVERY_KEY).unwrap();
        let section = file.pointer_mut(place).unwrap().as_object_mut().unwrap();
        section.insert("unheardOf".to_owned(), Value::Null);
        let text = file.to_string().replace("${DIRECTORY}", "/x").replace("${SEARCH_KEY}", "x");
        let error = Config::parse(&text, Strictness::Strict, &|_| None).unwrap_err();
        assert!(error.to_string().contains("unheardOf"), "{place} ({keys}): {error}");
    }
}

#[test]
fn the_least_that_is_useful() {
    let config = parse(DUMP, Strictness::Strict, Path::new("/"));
    assert_eq!((build(&config).as_slice(), config.warnings.len()), (["stdout"].as_slice(), 0));
    assert_eq!((config.cluster_name.as_str(), config.route.routes.len()), ("lab", 1));
}

#[cfg(feature = "http-sinks")]
#[test]
fn routes_are_as_the_origin_reads_them() {
    let config = parse(ROUTES, Strictness::AsOrigin, Path::new("/"));
    assert_eq!(build(&config), ["elasticsearch", "webhook", "syslog"]);
    let warnings: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
    for (n, what) in ["throttlePeriod", "*sandbox*", "*alpha*", "streamName"].iter().enumerate() {
        assert!(warnings.iter().any(|warning| warning.contains(what)), "{n}: {what} in {warnings:#?}");
    }
    assert_eq!(warnings.len(), 4, "{warnings:#?}");
    let error = Config::parse(ROUTES, Strictness::Strict, &|_| Some(String::new())).unwrap_err();
    assert_eq!(error.problems.len(), 3, "{error}");
}

#[test]
fn sinks_that_are_not_here_are_one_error_that_names_them() {
    for strictness in [Strictness::Strict, Strictness::AsOrigin] {
        let error = Config::parse(FOREIGN_SINKS, strictness, &|_| None).unwrap_err();
        assert_eq!(error.problems.len(), 1, "{error}");
        for sink in
            "opsgenie slack kinesis firehose sns sqs pubsub opscenter teams bigquery eventbridge pipe".split(' ')
        {
            assert!(error.to_string().contains(&format!("({sink}, receivers[")), "{sink}: {error}");
        }
    }
}

#[test]
fn a_schema_of_avro_is_refused_and_not_ignored() {
    let text = EVERY_KEY.replace("schemaID: \"\"", "schemaID: \"1\"");
    let error = Config::parse(&text, Strictness::AsOrigin, &|_| Some("x".to_owned())).unwrap_err();
    assert!(error.problems.len() == 1 && error.to_string().contains("Avro"), "{error}");
}
