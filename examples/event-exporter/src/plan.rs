//! What `--check` says: what the configuration does.

use std::fmt::Write as _;

use example_host::checkpoint::Place;
use kube_events::config::{Config, Sink};
use kube_events::route::{Route, Rule};

use crate::configuration::Configuration;
use crate::flags::DeliveryFlags;
use crate::identity::Own;

/// All of it, as lines.
pub(crate) fn plan(configuration: &Configuration, delivery: &DeliveryFlags, own: &Own) -> String {
    let Configuration { config, file } = configuration;
    let mut out = String::new();
    let mut line = |name: &str, value: String| {
        // A String takes any text, here and below.
        let _ = writeln!(out, "{name:<14}{value}");
    };
    let file = file
        .as_ref()
        .map_or_else(|| "none: all events go to standard output".to_owned(), |file| file.display().to_string());
    line("configuration", file);
    line("cluster name", if config.cluster_name.is_empty() { "none".to_owned() } else { config.cluster_name.clone() });
    let from = if config.namespace.is_empty() {
        "all namespaces".to_owned()
    } else {
        format!("the namespace {}", config.namespace)
    };
    line("events", format!("of {from}; at a fresh start those of the last {} s", config.max_event_age_seconds));
    line("objects", objects(config));
    line(
        "election",
        if config.leader_election.enabled {
            format!("by the Lease {}/{}", own.namespace, config.leader_election.id)
        } else {
            "none: this is the only one".to_owned()
        },
    );
    line("checkpoint", checkpoint(delivery, own));
    let _ = writeln!(out, "\nreceivers");
    for receiver in &config.receivers {
        let _ = writeln!(out, "  {}: {}", receiver.name, sink(&receiver.sink));
    }
    let _ = writeln!(out, "\nroutes");
    route(&config.route, 1, &mut out);
    out
}

/// What is likely meant otherwise.
pub(crate) fn warnings(configuration: &Configuration, delivery: &DeliveryFlags) -> Vec<String> {
    let config = &configuration.config;
    let mut warnings: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
    for receiver in &config.receivers {
        if matches!(receiver.sink, Sink::InMemory) {
            warnings.push(format!(
                "the receiver {} is `inMemory`: nobody reads what it keeps, it is thrown away",
                receiver.name
            ));
        }
    }
    if config.leader_election.enabled && !matches!(delivery.checkpoint, Some(Place::ConfigMap { .. })) {
        let told = "leaderElection: without a checkpoint that all share, what happens while the lead changes hands may be \
                    missed or told twice: give --checkpoint configmap:NAME";
        warnings.push(told.to_owned());
    }
    warnings
}

fn objects(config: &Config) -> String {
    if config.omit_lookup {
        return "not looked up (omitLookup)".to_owned();
    }
    let (rate, burst, size) = (config.kube_qps, config.kube_burst, config.cache_size);
    format!("looked up, {rate} reads per second after a burst of {burst}; {size} are remembered")
}

fn checkpoint(delivery: &DeliveryFlags, own: &Own) -> String {
    match &delivery.checkpoint {
        None => "none: what happens between two runs is missed".to_owned(),
        Some(Place::File(path)) => format!("the file {}", path.display()),
        Some(Place::ConfigMap { namespace, name }) => {
            format!("the ConfigMap {}/{name}", namespace.as_ref().unwrap_or(&own.namespace))
        }
    }
}

/// Where it sends to, without what may be secret: paths and queries of URLs are.
fn sink(sink: &Sink) -> String {
    match sink {
        Sink::Stdout => "standard output".to_owned(),
        Sink::InMemory => "inMemory".to_owned(),
        Sink::File(file) => format!("the file {}", file.path.display()),
        Sink::Webhook(webhook) => format!("webhook at {}", origin(&webhook.endpoint)),
        Sink::Elasticsearch(search) => format!("elasticsearch at {}", origins(&search.hosts)),
        Sink::OpenSearch(search) => format!("opensearch at {}", origins(&search.hosts)),
        Sink::Loki(loki) => format!("loki at {}", origin(&loki.url)),
        Sink::Kafka(kafka) => format!("kafka, topic {}, at {}", kafka.topic, kafka.brokers.join(", ")),
        Sink::Syslog(syslog) => format!("syslog by {} at {}", syslog.network, syslog.address),
        Sink::Otlp(otlp) => format!("otlp at {}", origin(&otlp.endpoint)),
        _ => "another sink".to_owned(),
    }
}

fn origins(urls: &[String]) -> String {
    urls.iter().map(|url| origin(url)).collect::<Vec<_>>().join(", ")
}

/// `https://user:secret@host:1/path?key=secret` → `https://host:1`
fn origin(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    if scheme.is_empty() { host.to_owned() } else { format!("{scheme}://{host}") }
}

fn route(route: &Route, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    for dropped in &route.drop {
        let _ = writeln!(out, "{indent}drop {}", rule(dropped));
    }
    for matched in &route.match_ {
        let to = if matched.receiver.is_empty() { "go on".to_owned() } else { format!("send to {}", matched.receiver) };
        let _ = writeln!(out, "{indent}{} → {to}", rule(matched));
    }
    if route.drop.is_empty() && route.match_.is_empty() && route.routes.is_empty() {
        let _ = writeln!(out, "{indent}nothing is sent");
    }
    for (at, inner) in route.routes.iter().enumerate() {
        let all = if route.match_.is_empty() { "" } else { ", if all of these hit" };
        let _ = writeln!(out, "{indent}route {}{all}", at + 1);
        self::route(inner, depth + 1, out);
    }
}

/// What must hit.
fn rule(rule: &Rule) -> String {
    let texts = [
        ("message", &rule.message),
        ("apiVersion", &rule.api_version),
        ("kind", &rule.kind),
        ("namespace", &rule.namespace),
        ("reason", &rule.reason),
        ("type", &rule.type_),
        ("component", &rule.component),
        ("host", &rule.host),
    ];
    let mut parts: Vec<String> =
        texts.iter().filter(|(_, text)| !text.is_empty()).map(|(name, text)| format!("{name} ~ {text:?}")).collect();
    let maps =
        [("label", &rule.labels), ("annotation", &rule.annotations), ("namespace's label", &rule.namespace_labels)];
    for (name, map) in maps {
        parts.extend(map.iter().map(|(key, text)| format!("{name} {key} ~ {text:?}")));
    }
    if rule.min_count > 0 {
        parts.push(format!("count ≥ {}", rule.min_count));
    }
    if parts.is_empty() { "all".to_owned() } else { parts.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_told_without_their_secrets() {
        assert_eq!(origin("https://user:secret@host:1/path?key=secret"), "https://host:1");
        assert_eq!(origin("http://host?x@y"), "http://host");
        assert_eq!(origin("host/x"), "host");
    }
}
