//! The options file: the keys of kube-state-metrics' `--config`, each with its place.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use super::error::{Errors, Given, OptionError, OptionErrors};
use super::list::comma_list;
use super::text::duration;
use crate::yaml::{Content, Key, Node, Place, nearest};

/// An options file as kube-state-metrics has it. A key that is not there is `None`.
///
/// Keys are those of kube-state-metrics; where it spells a key otherwise than its flag, the flag's spelling in snake
/// case is taken too (`use_api_server_cache`, `use_apiserver_cache`). Lists are lists, maps with empty values (as
/// kube-state-metrics wants its sets), or comma-separated text.
///
/// ```
/// use ksm_core::options::{FilterFlags, OptionsFile};
///
/// let file = OptionsFile::from_yaml("resources: [namespaces]\nmetric_denylist:\n  _created$: {}\n", "options.yaml")?;
/// let selection = file.selection(&FilterFlags::default(), &[])?;
/// assert_eq!(selection.resources.unwrap(), ["namespaces"]);
/// assert!(!selection.settings.families.admits("kube_namespace_created"));
///
/// let errors = OptionsFile::from_yaml("resource: [pods]\nport: high\n", "options.yaml").unwrap_err();
/// assert_eq!(
///     errors.to_string(),
///     "options.yaml:1:1: resource: there is no such option: did you mean \"resources\"?\n\
///      options.yaml:2:7: port: expected a port from 0 to 65535, found \"high\"",
/// );
/// # Ok::<(), ksm_core::options::OptionErrors>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OptionsFile {
    places: BTreeMap<&'static str, Given>,
    /// The resources to watch; never empty.
    pub resources: Option<Vec<String>>,
    /// Patterns of metrics to show; never empty.
    pub metric_allowlist: Option<Vec<String>>,
    /// Patterns of metrics not to show; never empty.
    pub metric_denylist: Option<Vec<String>>,
    /// Patterns of metrics to show that are off by default; never empty.
    pub metric_opt_in_list: Option<Vec<String>>,
    /// Kubernetes labels to show, by resource; never empty.
    pub metric_labels_allowlist: Option<BTreeMap<String, Vec<String>>>,
    /// Kubernetes annotations to show, by resource; never empty.
    pub metric_annotations_allowlist: Option<BTreeMap<String, Vec<String>>>,
    /// Namespaces to watch; empty: all.
    pub namespaces: Option<Vec<String>>,
    /// Namespaces to leave out.
    pub namespaces_denylist: Option<Vec<String>>,
    /// The node whose pods are watched.
    pub node: Option<String>,
    /// Watch only pods that are on no node yet.
    pub track_unscheduled_pods: Option<bool>,
    /// List from the API server's cache.
    pub use_apiserver_cache: Option<bool>,
    /// The most objects of a resource that a list takes in; 0: all.
    pub object_limit: Option<u64>,
    /// This instance's shard, from 0.
    pub shard: Option<u32>,
    /// How many shards there are.
    pub total_shards: Option<u32>,
    /// The pod that the program runs in.
    pub pod: Option<String>,
    /// That pod's namespace.
    pub pod_namespace: Option<String>,
    /// CustomResourceStateMetrics, as YAML.
    pub custom_resource_state_config: Option<String>,
    /// The file of CustomResourceStateMetrics.
    pub custom_resource_state_config_file: Option<String>,
    /// Watch no built-in resources.
    pub custom_resource_state_only: Option<bool>,
    /// Start without that file where it is not there yet.
    pub continue_without_custom_resource_state_config_file: Option<bool>,
    /// Start without this file where it is not there yet.
    pub continue_without_config: Option<bool>,
    /// The API server's URL.
    pub apiserver: Option<String>,
    /// The kubeconfig file.
    pub kubeconfig: Option<String>,
    /// Where to serve the cluster's metrics.
    pub host: Option<String>,
    /// The port of the cluster's metrics.
    pub port: Option<u16>,
    /// Where to serve the program's own metrics.
    pub telemetry_host: Option<String>,
    /// The port of the program's own metrics.
    pub telemetry_port: Option<u16>,
    /// The file of TLS settings.
    pub tls_config: Option<String>,
    /// Ask the API server who may scrape.
    pub auth_filter: Option<bool>,
    /// Compress answers.
    pub enable_gzip_encoding: Option<bool>,
    /// For a request to come in.
    pub server_read_timeout: Option<Duration>,
    /// For an answer to go out.
    pub server_write_timeout: Option<Duration>,
    /// Between two requests.
    pub server_idle_timeout: Option<Duration>,
    /// For a request's head to come in.
    pub server_read_header_timeout: Option<Duration>,
}

/// Each key under its flag, with other spellings: kube-state-metrics' own (`metric_labels_allowlist` is
/// `labels_allow_list` there) and older ones.
const KEYS: &[(&str, &[&str])] = &[
    ("resources", &["resources"]),
    ("metric-allowlist", &["metric_allowlist"]),
    ("metric-denylist", &["metric_denylist"]),
    ("metric-opt-in-list", &["metric_opt_in_list"]),
    ("metric-labels-allowlist", &["labels_allow_list", "metric_labels_allowlist"]),
    ("metric-annotations-allowlist", &["annotations_allow_list", "metric_annotations_allowlist"]),
    ("namespaces", &["namespaces"]),
    ("namespaces-denylist", &["namespaces_denylist"]),
    ("node", &["node"]),
    ("track-unscheduled-pods", &["track_unscheduled_pods"]),
    ("use-apiserver-cache", &["use_api_server_cache", "use_apiserver_cache"]),
    ("object-limit", &["object_limit"]),
    ("shard", &["shard"]),
    ("total-shards", &["total_shards"]),
    ("pod", &["pod"]),
    ("pod-namespace", &["namespace", "pod_namespace"]),
    ("custom-resource-state-config", &["custom_resource_config", "custom_resource_state_config"]),
    ("custom-resource-state-config-file", &["custom_resource_state_config_file", "custom_resource_config_file"]),
    ("custom-resource-state-only", &["custom_resources_only", "custom_resource_state_only"]),
    ("continue-without-custom-resource-state-config-file", &["continue_without_custom_resource_state_config_file"]),
    ("continue-without-config", &["continue_without_config"]),
    ("apiserver", &["apiserver"]),
    ("kubeconfig", &["kubeconfig"]),
    ("host", &["host"]),
    ("port", &["port"]),
    ("telemetry-host", &["telemetry_host"]),
    ("telemetry-port", &["telemetry_port"]),
    ("tls-config", &["tls_config"]),
    ("auth-filter", &["auth_filter"]),
    ("enable-gzip-encoding", &["enable_gzip_encoding"]),
    ("server-read-timeout", &["server_read_timeout"]),
    ("server-write-timeout", &["server_write_timeout"]),
    ("server-idle-timeout", &["server_idle_timeout"]),
    ("server-read-header-timeout", &["server_read_header_timeout"]),
];

/// Keys of kube-state-metrics that say nothing here.
const UNSUPPORTED: &[(&str, &str)] = &[
    ("auto-gomemlimit", "it is about Go's memory: leave it out"),
    ("auto-gomemlimit-ratio", "it is about Go's memory: leave it out"),
    ("config", "the file can't name another: leave it out"),
    ("help", "it is a flag: leave it out"),
];

impl OptionsFile {
    /// Reads a file's text; JSON is YAML too. `file` is its name for messages. Reports all that is wrong at once.
    pub fn from_yaml(text: &str, file: &str) -> Result<Self, OptionErrors> {
        let entries = entries(text, file)?;
        let mut read = Self::default();
        let mut errors = Errors::default();
        let mut spellings: BTreeMap<&'static str, &'static str> = BTreeMap::new();
        for (key, value) in entries {
            let given = |place: &Place| Given::Key {
                file: file.to_owned(),
                line: place.line,
                column: place.column,
                key: key.text.clone(),
            };
            if let Some((_, instead)) = UNSUPPORTED.iter().find(|(name, _)| *name == key.text) {
                errors.0.push(OptionError::Unsupported { given: given(&key.place), instead });
                continue;
            }
            let spelling = |(flag, keys): &(&'static str, &[&'static str])| {
                keys.iter().find(|known| **known == key.text).map(|known| (*flag, *known))
            };
            let Some((flag, spelling)) = KEYS.iter().find_map(spelling) else {
                let nearest = nearest(&key.text, KEYS.iter().flat_map(|(_, keys)| keys.iter().copied()));
                errors.0.push(OptionError::UnknownKey { given: given(&key.place), nearest });
                continue;
            };
            if let Some(first) = spellings.insert(flag, spelling) {
                errors.0.push(OptionError::Repeated { given: given(&key.place), key: first });
                continue;
            }
            if matches!(value.content, Content::Null) {
                continue;
            }
            let given = given(&value.place);
            match read.set(flag, value) {
                Ok(()) => {
                    read.places.insert(flag, given);
                }
                Err(Wrong { expected, found }) => errors.0.push(OptionError::Value { given, expected, found }),
            }
        }
        errors.finish(read)
    }

    /// Where an option was given: the key's place where the file has it, else the flag.
    pub fn given(&self, flag: &str) -> Given {
        self.places.get(flag).cloned().unwrap_or_else(|| flag.into())
    }

    /// The flags whose options the file gives.
    pub fn flags(&self) -> impl Iterator<Item = &'static str> {
        self.places.keys().copied()
    }

    fn set(&mut self, flag: &str, value: Node) -> Result<(), Wrong> {
        match flag {
            "resources" => self.resources = some_names(value)?,
            "metric-allowlist" => self.metric_allowlist = some_names(value)?,
            "metric-denylist" => self.metric_denylist = some_names(value)?,
            "metric-opt-in-list" => self.metric_opt_in_list = some_names(value)?,
            "metric-labels-allowlist" => self.metric_labels_allowlist = lists(value)?,
            "metric-annotations-allowlist" => self.metric_annotations_allowlist = lists(value)?,
            "namespaces" => self.namespaces = Some(names(value)?),
            "namespaces-denylist" => self.namespaces_denylist = Some(names(value)?),
            "node" => self.node = Some(text(value)?),
            "track-unscheduled-pods" => self.track_unscheduled_pods = Some(boolean(&value)?),
            "use-apiserver-cache" => self.use_apiserver_cache = Some(boolean(&value)?),
            "object-limit" => self.object_limit = Some(integer(&value, "a number of objects from 0")?),
            "shard" => self.shard = Some(integer(&value, "a shard's number from 0")?),
            "total-shards" => self.total_shards = Some(integer(&value, "a number of shards")?),
            "pod" => self.pod = Some(text(value)?),
            "pod-namespace" => self.pod_namespace = Some(text(value)?),
            "custom-resource-state-config" => self.custom_resource_state_config = Some(text(value)?),
            "custom-resource-state-config-file" => self.custom_resource_state_config_file = Some(text(value)?),
            "custom-resource-state-only" => self.custom_resource_state_only = Some(boolean(&value)?),
            "continue-without-custom-resource-state-config-file" => {
                self.continue_without_custom_resource_state_config_file = Some(boolean(&value)?);
            }
            "continue-without-config" => self.continue_without_config = Some(boolean(&value)?),
            "apiserver" => self.apiserver = Some(text(value)?),
            "kubeconfig" => self.kubeconfig = Some(text(value)?),
            "host" => self.host = Some(text(value)?),
            "port" => self.port = Some(integer(&value, "a port from 0 to 65535")?),
            "telemetry-host" => self.telemetry_host = Some(text(value)?),
            "telemetry-port" => self.telemetry_port = Some(integer(&value, "a port from 0 to 65535")?),
            "tls-config" => self.tls_config = Some(text(value)?),
            "auth-filter" => self.auth_filter = Some(boolean(&value)?),
            "enable-gzip-encoding" => self.enable_gzip_encoding = Some(boolean(&value)?),
            "server-read-timeout" => self.server_read_timeout = Some(timeout(&value)?),
            "server-write-timeout" => self.server_write_timeout = Some(timeout(&value)?),
            "server-idle-timeout" => self.server_idle_timeout = Some(timeout(&value)?),
            "server-read-header-timeout" => self.server_read_header_timeout = Some(timeout(&value)?),
            _ => return Err(Wrong { expected: "a key of this file", found: flag.to_owned() }),
        }
        Ok(())
    }
}

/// A value that is not what its key takes.
struct Wrong {
    expected: &'static str,
    found: String,
}

fn wrong<T>(expected: &'static str, value: &Node) -> Result<T, Wrong> {
    Err(Wrong { expected, found: value.describe() })
}

/// The entries of a file's one map; none where the file is empty.
fn entries(text: &str, file: &str) -> Result<Vec<(Key, Node)>, OptionErrors> {
    let at = |place: &Place, problem| {
        let (line, column) = (place.line.max(1), place.column.max(1));
        OptionErrors(vec![OptionError::Yaml { file: file.to_owned(), line, column, problem }])
    };
    let root = Node::parse(text, &Arc::from(file)).map_err(|error| at(&error.place, error.problem))?;
    match root.content {
        Content::Null => Ok(Vec::new()),
        Content::Map(entries) => Ok(entries),
        _ => Err(at(&root.place, format!("expected a map of options, found {}", root.describe()))),
    }
}

/// Text; what YAML takes for a number or a truth is text where text is wanted.
fn text(value: Node) -> Result<String, Wrong> {
    match value.content {
        Content::Bool(text) | Content::Number(text) | Content::Text(text) => Ok(text),
        _ => wrong("text", &value),
    }
}

fn boolean(value: &Node) -> Result<bool, Wrong> {
    let word = match &value.content {
        // YAML 1.1's words, which Go's reader takes for a bool, may be text.
        Content::Bool(text) | Content::Text(text) => text.to_ascii_lowercase(),
        _ => String::new(),
    };
    match word.as_str() {
        "yes" | "on" | "y" | "true" => Ok(true),
        "no" | "off" | "n" | "false" => Ok(false),
        _ => wrong("true or false", value),
    }
}

fn integer<T: FromStr>(value: &Node, expected: &'static str) -> Result<T, Wrong> {
    match &value.content {
        Content::Number(written) => written.parse().or_else(|_| wrong(expected, value)),
        _ => wrong(expected, value),
    }
}

/// As Go writes a duration, or nanoseconds, as Go reads a number.
fn timeout(value: &Node) -> Result<Duration, Wrong> {
    const EXPECTED: &str = "a positive time like 500ms, 60s or 1m30s";
    match &value.content {
        Content::Text(text) => duration(text).or_else(|_| wrong(EXPECTED, value)),
        Content::Number(written) => match written.parse() {
            Ok(nanoseconds) if nanoseconds > 0 => Ok(Duration::from_nanos(nanoseconds)),
            _ => wrong(EXPECTED, value),
        },
        _ => wrong(EXPECTED, value),
    }
}

fn names(value: Node) -> Result<Vec<String>, Wrong> {
    match value.content {
        Content::Text(text) => Ok(comma_list(&[text])),
        Content::List(items) => items.into_iter().map(text).collect(),
        // kube-state-metrics' sets: `pods: {}`.
        Content::Map(entries) => entries.into_iter().map(name_of_set).collect(),
        _ => wrong("a list of names", &value),
    }
}

fn name_of_set((name, value): (Key, Node)) -> Result<String, Wrong> {
    let is_empty = match &value.content {
        Content::Null => true,
        Content::Map(entries) => entries.is_empty(),
        _ => false,
    };
    if is_empty { Ok(name.text) } else { wrong("names without values, as `pods: {}`", &value) }
}

/// An empty set is none: kube-state-metrics goes by its flag then.
fn some_names(value: Node) -> Result<Option<Vec<String>>, Wrong> {
    names(value).map(|names| (!names.is_empty()).then_some(names))
}

fn lists(value: Node) -> Result<Option<BTreeMap<String, Vec<String>>>, Wrong> {
    const EXPECTED: &str = "a map of lists, as `pods: [app, team]`";
    let keys = |value: Node| match value.content {
        Content::Null => Ok(Vec::new()),
        Content::List(_) => names(value),
        _ => wrong(EXPECTED, &value),
    };
    let Content::Map(entries) = value.content else { return wrong(EXPECTED, &value) };
    let lists: Result<BTreeMap<_, _>, Wrong> =
        entries.into_iter().map(|(resource, value)| Ok((resource.text, keys(value)?))).collect();
    lists.map(|lists| (!lists.is_empty()).then_some(lists))
}
