//! The configuration file, which is kubernetes-event-exporter's.
//!
//! All that is wrong is told at once, each with its path and its line: keys and receivers that are not known, patterns
//! and templates that are none, receivers without a sink or with two, sinks that are not here.

mod build;
mod env;
mod read;
mod sinks;
mod yaml;

use std::collections::{HashMap, HashSet};
use std::fmt;

pub use build::Built;
pub use sinks::{
    Compression, Delivery, File, Kafka, Loki, Mechanism, OnFull, Otlp, Receiver, Sasl, Search, Shape, Sink, Syslog,
    Tls, Webhook,
};

use read::{Problems, Section};
use yaml::Node;

use crate::route::{InvalidPatterns, Route, Router, Rule};

/// What is read at most, before and after variables are put in.
const MAX_BYTES: usize = 1 << 20;

/// So many problems are told.
const MAX_PROBLEMS: usize = 100;

/// One thing that is wrong, or likely is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where: `route.routes[1].match[0].receiver`; empty for the whole file.
    pub path: String,
    /// The line, from 1, after variables were put in.
    pub line: Option<u64>,
    /// What, and what to do.
    pub problem: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.path.as_str(), self.line) {
            ("", None) => {}
            ("", Some(line)) => write!(f, "line {line}: ")?,
            (path, None) => write!(f, "{path}: ")?,
            (path, Some(line)) => write!(f, "{path} (line {line}): ")?,
        }
        f.write_str(&self.problem)
    }
}

/// A configuration that can't be used: all that is wrong with it (or its first hundred problems).
#[derive(Debug, Clone, thiserror::Error)]
#[error("the configuration is not usable:\n{}", .problems.iter().map(|problem| format!("- {problem}")).collect::<Vec<_>>().join("\n"))]
pub struct ConfigError {
    /// At least one.
    pub problems: Vec<Problem>,
}

/// How strictly a configuration is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Strictness {
    /// Unknown keys, patterns that are none and variables that aren't set are refused.
    #[default]
    Strict,
    /// They are warnings, and mean what they mean to kubernetes-event-exporter: nothing, no hit, an empty text.
    AsOrigin,
}

/// How much is logged: the names of kubernetes-event-exporter; `fatal` and `panic` are errors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogLevel {
    /// `trace`.
    Trace,
    /// `debug`.
    Debug,
    /// `info`, the default.
    #[default]
    Info,
    /// `warn`.
    Warn,
    /// `error`, `fatal` or `panic`.
    Error,
    /// `disabled`.
    Off,
}

/// How logs are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// `pretty`, the default.
    #[default]
    Pretty,
    /// `json`.
    Json,
}

/// `leaderElection`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaderElection {
    /// `enabled`.
    pub enabled: bool,
    /// `leaderElectionID`: the Lease's name; `kubernetes-event-exporter` where none is given.
    pub id: String,
}

/// A configuration, checked.
///
/// ```
/// use kube_events::config::{Config, Strictness};
///
/// let yaml = r#"
/// clusterName: prod
/// route:
///   routes:
///     - match:
///         - receiver: dump
///     - drop: [{type: Normal}]
///       match: [{kind: "Pod|Node", receiver: alerts}]
/// receivers:
///   - name: dump
///     stdout: {}
///   - name: alerts
///     webhook:
///       endpoint: https://example.com/hook
///       headers: {Authorization: "Bearer ${TOKEN}"}
///       layout: {text: "{{ .Reason }}: {{ .Message }}"}
/// "#;
/// let config = Config::parse(yaml, Strictness::Strict, &|name| (name == "TOKEN").then(|| "secret".to_owned()))?;
/// assert_eq!(config.cluster_name, "prod");
/// assert_eq!(config.receivers.len(), 2);
/// # Ok::<(), kube_events::config::ConfigError>(())
/// ```
#[derive(Debug)]
pub struct Config {
    /// `logLevel`.
    pub log_level: LogLevel,
    /// `logFormat`.
    pub log_format: LogFormat,
    /// `maxEventAgeSeconds`, or `throttlePeriod`, its former name; 5 where it isn't given.
    pub max_event_age_seconds: u64,
    /// `clusterName`.
    pub cluster_name: String,
    /// `namespace` whose events are read; empty: all.
    pub namespace: String,
    /// `leaderElection`.
    pub leader_election: LeaderElection,
    /// `kubeQPS`: requests per second; 5 where it isn't given.
    pub kube_qps: f32,
    /// `kubeBurst`: requests at once; 10 where it isn't given.
    pub kube_burst: u32,
    /// `metricsNamePrefix`; empty, or ends with `_`.
    pub metrics_name_prefix: String,
    /// `omitLookup`: objects are not looked up.
    pub omit_lookup: bool,
    /// `cacheSize`: objects that are remembered; 1024 where it isn't given.
    pub cache_size: usize,
    /// `route`, as it is written.
    pub route: Route,
    /// `route`, ready: its receivers are positions in [`receivers`](Self::receivers).
    pub router: Router,
    /// `receivers`.
    pub receivers: Vec<Receiver>,
    /// What is likely meant otherwise.
    pub warnings: Vec<Problem>,
}

impl Config {
    /// Reads a configuration. `variable` gives the environment's variables.
    pub fn parse(
        text: &str,
        strictness: Strictness,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let fail = |problem: Problem| ConfigError { problems: vec![problem] };
        let too_long = || {
            let problem = format!("it is longer than {MAX_BYTES} bytes");
            fail(Problem { path: String::new(), line: None, problem })
        };
        if text.len() > MAX_BYTES {
            return Err(too_long());
        }
        let (text, unset) = env::expand(text, variable);
        if text.len() > MAX_BYTES {
            return Err(too_long());
        }
        let node = Node::parse(&text).map_err(fail)?;
        let mut problems = Problems { lenient: strictness == Strictness::AsOrigin, ..Problems::default() };
        if problems.lenient { &mut problems.warnings } else { &mut problems.errors }.extend(unset);
        let config = read(&node, &mut problems);
        let mut lines = HashMap::new();
        node.lines("", &mut lines);
        let Problems { errors: problems, warnings, .. } = problems;
        let placed = |list: Vec<Problem>| list.into_iter().map(|problem| place(problem, &lines)).collect();
        match config {
            Some(config) if problems.is_empty() => Ok(Self { warnings: placed(warnings), ..config }),
            _ => {
                let mut problems: Vec<Problem> = placed(problems);
                problems.truncate(MAX_PROBLEMS);
                Err(ConfigError { problems })
            }
        }
    }
}

/// With the line of its path, or of what that is in.
fn place(mut problem: Problem, lines: &HashMap<String, u64>) -> Problem {
    let mut path = problem.path.as_str();
    while problem.line.is_none() && !path.is_empty() {
        problem.line = lines.get(path).copied().filter(|line| *line > 0);
        path = path.rfind(['.', '[']).and_then(|at| path.get(..at)).unwrap_or_default();
    }
    problem
}

fn read(node: &Node, problems: &mut Problems) -> Option<Config> {
    let mut top = Section::of(node, String::new(), problems);
    let levels = [
        ("", LogLevel::Info),
        ("trace", LogLevel::Trace),
        ("debug", LogLevel::Debug),
        ("info", LogLevel::Info),
        ("warn", LogLevel::Warn),
        ("error", LogLevel::Error),
        ("fatal", LogLevel::Error),
        ("panic", LogLevel::Error),
        ("disabled", LogLevel::Off),
    ];
    let formats = [("", LogFormat::Pretty), ("pretty", LogFormat::Pretty), ("json", LogFormat::Json)];
    let log_level = top.choice("logLevel", &levels, problems).unwrap_or_default();
    let log_format = top.choice("logFormat", &formats, problems).unwrap_or_default();
    let max_event_age_seconds = age(&mut top, problems);
    let cluster_name = top.text("clusterName", problems);
    let namespace = top.text("namespace", problems);
    let leader_election = leader_election(&mut top, problems);
    // Zero is as good as nothing for these.
    let kube_qps = top.float("kubeQPS", problems).filter(|qps| *qps > 0.0).unwrap_or(5.0);
    let kube_burst = top.integer("kubeBurst", problems).filter(|burst| *burst > 0).unwrap_or(10);
    let metrics_name_prefix = prefix(&mut top, problems);
    let omit_lookup = top.boolean("omitLookup", problems);
    let cache_size = top.integer("cacheSize", problems).filter(|size| *size > 0).unwrap_or(1024);
    let (names, receivers) = receivers(&mut top, problems);
    if !top.has("route") {
        problems.warn("route", "there is no route: nothing is sent to anyone");
    }
    let route = top.take("route").unwrap_or(Node::nothing());
    let route = self::route(route, "route".to_owned(), problems);
    top.finish(problems);
    let invalid = if problems.lenient { InvalidPatterns::NeverHit } else { InvalidPatterns::Refuse };
    let router = match Router::compile_with(&route, &names, invalid) {
        Ok(router) => router,
        Err(error) => {
            for problem in error.problems {
                problems.add(problem.path, problem.problem);
            }
            return None;
        }
    };
    for warning in router.warnings() {
        problems.warn(warning.path.as_str(), warning.problem.as_str());
    }
    for unused in router.unused() {
        let name = names.get(unused.0).map(String::as_str).unwrap_or_default();
        problems.warn(format!("receivers[{}]", unused.0), format!("no rule sends to `{name}`"));
    }
    Some(Config {
        log_level,
        log_format,
        max_event_age_seconds,
        cluster_name,
        namespace,
        leader_election,
        kube_qps,
        kube_burst,
        metrics_name_prefix,
        omit_lookup,
        cache_size,
        route,
        router,
        receivers,
        warnings: Vec::new(),
    })
}

fn age(top: &mut Section<'_>, problems: &mut Problems) -> u64 {
    let age = top.integer("maxEventAgeSeconds", problems).filter(|age| *age > 0);
    let former = top.integer("throttlePeriod", problems).filter(|age| *age > 0);
    if age.is_some() && former.is_some() {
        problems
            .add("throttlePeriod", "it is the former name of `maxEventAgeSeconds`, which is given too: leave it out");
    } else if former.is_some() {
        problems.warn("throttlePeriod", "it is called `maxEventAgeSeconds` now");
    }
    age.or(former).unwrap_or(5)
}

fn leader_election(top: &mut Section<'_>, problems: &mut Problems) -> LeaderElection {
    let mut section = top.section("leaderElection", problems);
    let (enabled, id) = (section.boolean("enabled", problems), section.text("leaderElectionID", problems));
    section.finish(problems);
    LeaderElection { enabled, id: if id.is_empty() { "kubernetes-event-exporter".to_owned() } else { id } }
}

/// `^[a-zA-Z][a-zA-Z0-9_:]*_$`, or nothing.
fn prefix(top: &mut Section<'_>, problems: &mut Problems) -> String {
    let prefix = top.text("metricsNamePrefix", problems);
    let word = prefix.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '_' | ':'));
    let valid = word && prefix.starts_with(|first: char| first.is_ascii_alphabetic()) && prefix.ends_with('_');
    if !prefix.is_empty() && !valid {
        let problem = "it begins with a letter, has letters, digits, `_` and `:`, and ends with `_`";
        problems.add("metricsNamePrefix", problem);
    }
    prefix
}

/// All names, and the receivers that are usable; if there are no problems, these are as many.
fn receivers(top: &mut Section<'_>, problems: &mut Problems) -> (Vec<String>, Vec<Receiver>) {
    let (mut names, mut receivers, mut foreign) = (Vec::new(), Vec::new(), Vec::new());
    let mut seen = HashSet::new();
    for (at, node) in top.list("receivers", problems).iter().enumerate() {
        let path = format!("receivers[{at}]");
        let name = match sinks::receiver(node, path.clone(), problems) {
            sinks::Read::Receiver(receiver) => {
                let name = receiver.name.clone();
                receivers.push(*receiver);
                name
            }
            sinks::Read::Foreign(name, sink) => {
                foreign.push(format!("`{name}` ({sink}, {path})"));
                name
            }
            sinks::Read::Broken(name) => name,
        };
        if !name.is_empty() && !seen.insert(name.clone()) {
            problems.add(format!("{path}.name"), format!("there is a receiver `{name}` already"));
        }
        names.push(name);
    }
    if !foreign.is_empty() {
        let problem = format!(
            "these receivers have sinks that are not here: {}; there are {}: change them, or remove them and the rules that name them",
            foreign.join(", "),
            sinks::KNOWN.join(", "),
        );
        problems.add("receivers", problem);
    }
    (names, receivers)
}

fn route(node: &Node, path: String, problems: &mut Problems) -> Route {
    let mut section = Section::of(node, path, problems);
    let mut rules = |section: &mut Section<'_>, key: &'static str| {
        let path = section.at(key);
        let nodes = section.list(key, problems).iter().enumerate();
        nodes.map(|(at, node)| rule(node, format!("{path}[{at}]"), problems)).collect()
    };
    let (drop, match_) = (rules(&mut section, "drop"), rules(&mut section, "match"));
    let path = section.at("routes");
    let nodes = section.list("routes", problems).iter().enumerate();
    // As deep as the reader of YAML lets it be.
    let routes = nodes.map(|(at, node)| route(node, format!("{path}[{at}]"), problems)).collect();
    section.finish(problems);
    Route { drop, match_, routes }
}

fn rule(node: &Node, path: String, problems: &mut Problems) -> Rule {
    let mut section = Section::of(node, path, problems);
    let rule = Rule {
        message: section.text("message", problems),
        api_version: section.text("apiVersion", problems),
        kind: section.text("kind", problems),
        namespace: section.text("namespace", problems),
        reason: section.text("reason", problems),
        type_: section.text("type", problems),
        component: section.text("component", problems),
        host: section.text("host", problems),
        labels: section.map("labels", problems),
        annotations: section.map("annotations", problems),
        namespace_labels: section.map("namespaceLabels", problems),
        min_count: section.integer("minCount", problems).unwrap_or(0),
        receiver: section.text("receiver", problems),
    };
    section.finish(problems);
    rule
}
