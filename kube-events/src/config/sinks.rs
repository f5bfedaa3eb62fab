//! Receivers and the options of their sinks.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use super::read::{Problems, Section};
use super::yaml::Node;
use crate::layout::{IndexFormat, Layout, Template};
use crate::sink::excerpt::address;

/// The keys of sinks that there are.
pub(super) const KNOWN: [&str; 10] =
    ["stdout", "file", "webhook", "inMemory", "elasticsearch", "opensearch", "loki", "kafka", "syslog", "otlp"];

/// The keys of kubernetes-event-exporter's other sinks.
pub(super) const FOREIGN: [&str; 13] = [
    "kinesis",
    "firehose",
    "opsgenie",
    "sqs",
    "sns",
    "slack",
    "pubsub",
    "opscenter",
    "teams",
    "bigquery",
    "eventbridge",
    "pipe",
    "email",
];

/// One receiver.
#[derive(Debug, Clone)]
pub struct Receiver {
    /// The name that rules send to.
    pub name: String,
    /// Where it sends to.
    pub sink: Sink,
    /// What it sends.
    pub shape: Shape,
    /// How it sends.
    pub delivery: Delivery,
}

/// What a receiver sends: keys of the sink itself. All sinks have all three.
#[derive(Debug, Clone, Default)]
pub struct Shape {
    /// `layout`: what is made of an event, instead of its JSON.
    pub layout: Option<Layout>,
    /// `deDot`: dots in the keys of labels and annotations become underscores.
    pub de_dot: bool,
    /// `rich`: the JSON that says more ([`EnhancedEvent::rich`](crate::event::EnhancedEvent::rich)).
    pub rich: bool,
}

/// `delivery` of a receiver: how it sends. What isn't given is up to the pipeline.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Delivery {
    /// `queue.events`: how many events wait at most.
    pub queue_events: Option<NonZeroUsize>,
    /// `queue.onFull`: what goes when one more comes: `dropOldest` (the default), `dropNewest`, or with `block` none.
    pub on_full: OnFull,
    /// `batch.events`: how many events go together at most.
    pub batch_events: Option<NonZeroUsize>,
    /// `batch.bytes`: how many bytes go together at most.
    pub batch_bytes: Option<NonZeroUsize>,
    /// `batch.wait`: how long a batch waits to be full.
    pub batch_wait: Option<Duration>,
    /// `retry.for`: how long a batch is tried again.
    pub retry_for: Option<Duration>,
    /// `retry.backoff`: the first pause.
    pub retry_backoff: Option<Duration>,
    /// `retry.maxBackoff`: the longest pause.
    pub retry_max_backoff: Option<Duration>,
    /// `spill.path`: the directory for what finds no room in the queue.
    pub spill_path: Option<PathBuf>,
    /// `spill.bytes`: how many bytes it may take.
    pub spill_bytes: Option<u64>,
    /// `timeout`: how long one try may take.
    pub timeout: Option<Duration>,
}

/// What goes when a queue is full.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnFull {
    /// The event that waits longest.
    #[default]
    DropOldest,
    /// The event that comes.
    DropNewest,
    /// None: the source waits, and with it all receivers for what comes later
    /// ([`OverflowPolicy::Block`](crate::sink::OverflowPolicy::Block)).
    Block,
}

/// Where a receiver sends to.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Sink {
    /// `stdout`: a line each.
    Stdout,
    /// `inMemory`: for tests.
    InMemory,
    /// `file`.
    File(File),
    /// `webhook`.
    Webhook(Webhook),
    /// `elasticsearch`.
    Elasticsearch(Search),
    /// `opensearch`.
    OpenSearch(Search),
    /// `loki`.
    Loki(Loki),
    /// `kafka`.
    Kafka(Kafka),
    /// `syslog`.
    Syslog(Syslog),
    /// `otlp`.
    Otlp(Otlp),
}

/// `tls` of a sink.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// `insecureSkipVerify`.
    pub insecure_skip_verify: bool,
    /// `serverName`: the name in the certificate, if it isn't the host's. Empty: the host's.
    pub server_name: String,
    /// `caFile`.
    pub ca_file: Option<PathBuf>,
    /// `certFile` and `keyFile`, which come together.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// Options of `file`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// `path`.
    pub path: PathBuf,
    /// `maxsize`: megabytes until it is rotated; 0: 100.
    pub max_size: u64,
    /// `maxage`: days that a rotated file is kept; 0: for ever.
    pub max_age: u64,
    /// `maxbackups`: how many rotated files are kept; 0: all.
    pub max_backups: usize,
}

/// Options of `webhook`.
#[derive(Clone)]
pub struct Webhook {
    /// `endpoint`.
    pub endpoint: String,
    /// `headers`, whose values are templates.
    pub headers: BTreeMap<String, Template>,
    /// `tls`.
    pub tls: Tls,
}

impl fmt::Debug for Webhook {
    /// Without what may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook").field("endpoint", &address(&self.endpoint)).finish_non_exhaustive()
    }
}

/// Options of `elasticsearch` and `opensearch`.
#[derive(Clone)]
pub struct Search {
    /// `hosts`.
    pub hosts: Vec<String>,
    /// `username`.
    pub username: String,
    /// `password`.
    pub password: Option<SecretString>,
    /// `cloudID` (Elasticsearch).
    pub cloud_id: String,
    /// `apiKey` (Elasticsearch).
    pub api_key: Option<SecretString>,
    /// `headers` (Elasticsearch), which are fixed.
    pub headers: BTreeMap<String, SecretString>,
    /// `useEventID`: the document's id is the event's UID, so that its next state replaces it.
    pub use_event_id: bool,
    /// `indexFormat`, else `index`.
    pub index: IndexFormat,
    /// `type`, for servers before version 7; empty: none.
    pub type_: String,
    /// `tls`.
    pub tls: Tls,
}

impl fmt::Debug for Search {
    /// Without what may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<_> = self.hosts.iter().map(|host| address(host)).collect();
        f.debug_struct("Search").field("hosts", &hosts).finish_non_exhaustive()
    }
}

/// Options of `loki`.
#[derive(Clone)]
pub struct Loki {
    /// `url`.
    pub url: String,
    /// `streamLabels`. Templates are our addition: mind how many streams they make.
    pub stream_labels: BTreeMap<String, Template>,
    /// `headers`, whose values are templates.
    pub headers: BTreeMap<String, Template>,
    /// `tls`.
    pub tls: Tls,
}

impl fmt::Debug for Loki {
    /// Without what may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loki").field("url", &address(&self.url)).finish_non_exhaustive()
    }
}

/// Options of `kafka`.
#[derive(Debug, Clone)]
pub struct Kafka {
    /// `topic`.
    pub topic: String,
    /// `brokers`.
    pub brokers: Vec<String>,
    /// `clientId`.
    pub client_id: String,
    /// `compressionCodec`.
    pub compression: Compression,
    /// `version` of the brokers, as kubernetes-event-exporter wants it. It is of no effect here: each broker is asked.
    pub version: String,
    /// `tls`, where its `enable` is true.
    pub tls: Option<Tls>,
    /// `sasl`, where its `enable` is true.
    pub sasl: Option<Sasl>,
}

/// How Kafka's batches are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// `none`.
    None,
    /// `snappy`.
    Snappy,
    /// `gzip`.
    Gzip,
    /// `lz4`.
    Lz4,
    /// `zstd`.
    Zstd,
}

/// Options of `sasl`.
#[derive(Debug, Clone)]
pub struct Sasl {
    /// `username`.
    pub username: String,
    /// `password`.
    pub password: Option<SecretString>,
    /// `mechanism`.
    pub mechanism: Mechanism,
}

/// How a user shows who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// `plain`.
    Plain,
    /// `sha256`: SCRAM-SHA-256.
    Sha256,
    /// `sha512`: SCRAM-SHA-512.
    Sha512,
}

/// Options of `syslog`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Syslog {
    /// `network`: `tcp`, `udp`, `unix`, `unixgram` (also with a version of IP); empty: the local one.
    pub network: String,
    /// `address`.
    pub address: String,
    /// `tag`.
    pub tag: String,
}

/// Options of `otlp`, our addition.
#[derive(Clone)]
pub struct Otlp {
    /// `endpoint`.
    pub endpoint: String,
    /// `protocol`: `http/protobuf` (the default) or `grpc`.
    pub grpc: bool,
    /// `compression`: `none` (the default) or `gzip`.
    pub gzip: bool,
    /// `headers`, which are fixed.
    pub headers: BTreeMap<String, SecretString>,
    /// `resourceAttributes`, whose values are fixed.
    pub resource_attributes: BTreeMap<String, String>,
    /// `tls`.
    pub tls: Tls,
}

impl fmt::Debug for Otlp {
    /// Without what may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Otlp").field("endpoint", &address(&self.endpoint)).finish_non_exhaustive()
    }
}

pub(super) enum Read {
    Receiver(Box<Receiver>),
    /// It has a sink that isn't here.
    Foreign(String, &'static str),
    /// It has a name, and problems that are told.
    Broken(String),
}

pub(super) fn receiver(node: &Node, path: String, problems: &mut Problems) -> Read {
    let before = problems.errors.len();
    let mut section = Section::of(node, path, problems);
    let name = section.required("name", problems);
    let foreign = FOREIGN.into_iter().find(|sink| section.has(sink));
    let sinks: Vec<&str> = section.keys().filter(|key| KNOWN.contains(key) || FOREIGN.contains(key)).collect();
    match sinks.as_slice() {
        [_] => {}
        [] if problems.errors.len() > before => {}
        [] => problems.add(section.path.clone(), format!("a receiver needs a sink: one of {}", KNOWN.join(", "))),
        several => {
            let several = several.join(", ");
            problems
                .add(section.path.clone(), format!("a receiver has one sink, this one has {several}: make several"));
        }
    }
    if let Some(foreign) = foreign {
        return Read::Foreign(name, foreign);
    }
    let mut delivery = section.section("delivery", problems);
    let delivery = self::delivery(&mut delivery, problems).finish_with(delivery, problems);
    let mut found = None;
    for key in KNOWN {
        if !section.has(key) {
            // Known all the same.
            section.take(key);
            continue;
        }
        let mut options = section.section(key, problems);
        let sink = sink(key, &mut options, problems);
        let shape = Shape {
            layout: options.layout("layout", problems),
            de_dot: options.boolean("deDot", problems),
            rich: options.boolean("rich", problems),
        };
        if shape.rich && shape.layout.is_some() {
            problems.add(options.at("rich"), "a layout says all that is sent: leave `rich` out");
        }
        options.finish(problems);
        found = found.or(Some((sink, shape)));
    }
    section.finish(problems);
    match found {
        Some((sink, shape)) if problems.errors.len() == before => {
            Read::Receiver(Box::new(Receiver { name, sink, shape, delivery }))
        }
        _ => Read::Broken(name),
    }
}

impl Delivery {
    fn finish_with(self, section: Section<'_>, problems: &mut Problems) -> Self {
        section.finish(problems);
        self
    }
}

fn delivery(section: &mut Section<'_>, problems: &mut Problems) -> Delivery {
    let mut queue = section.section("queue", problems);
    let mut batch = section.section("batch", problems);
    let mut retry = section.section("retry", problems);
    let mut spill = section.section("spill", problems);
    let words = [("dropOldest", OnFull::DropOldest), ("dropNewest", OnFull::DropNewest), ("block", OnFull::Block)];
    let delivery = Delivery {
        queue_events: at_least_one(&mut queue, "events", problems),
        on_full: queue.choice("onFull", &words, problems).unwrap_or_default(),
        batch_events: at_least_one(&mut batch, "events", problems),
        batch_bytes: at_least_one(&mut batch, "bytes", problems),
        batch_wait: batch.duration("wait", problems),
        retry_for: retry.duration("for", problems),
        retry_backoff: retry.duration("backoff", problems),
        retry_max_backoff: retry.duration("maxBackoff", problems),
        spill_path: path(&spill.text("path", problems)),
        spill_bytes: spill.integer("bytes", problems),
        timeout: section.duration("timeout", problems),
    };
    if delivery.spill_bytes.is_some() != delivery.spill_path.is_some() {
        problems.add(spill.path.clone(), "`path` and `bytes` come together");
    }
    for section in [queue, batch, retry, spill] {
        section.finish(problems);
    }
    delivery
}

fn at_least_one(section: &mut Section<'_>, key: &'static str, problems: &mut Problems) -> Option<NonZeroUsize> {
    let number = section.integer::<usize>(key, problems)?;
    if number == 0 {
        problems.add(section.at(key), "at least 1 is wanted");
    }
    NonZeroUsize::new(number)
}

fn sink(key: &str, options: &mut Section<'_>, problems: &mut Problems) -> Sink {
    match key {
        "stdout" => Sink::Stdout,
        "inMemory" => Sink::InMemory,
        "file" => Sink::File(File {
            path: options.required("path", problems).into(),
            max_size: options.integer("maxsize", problems).unwrap_or(0),
            max_age: options.integer("maxage", problems).unwrap_or(0),
            max_backups: options.integer("maxbackups", problems).unwrap_or(0),
        }),
        "webhook" => Sink::Webhook(Webhook {
            endpoint: url("endpoint", options, problems),
            headers: options.templates("headers", problems),
            tls: tls(options, problems),
        }),
        "elasticsearch" => Sink::Elasticsearch(search(true, options, problems)),
        "opensearch" => Sink::OpenSearch(search(false, options, problems)),
        "loki" => Sink::Loki(Loki {
            url: url("url", options, problems),
            stream_labels: options.templates("streamLabels", problems),
            headers: options.templates("headers", problems),
            tls: tls(options, problems),
        }),
        "kafka" => Sink::Kafka(kafka(options, problems)),
        "syslog" => {
            let networks = ["", "tcp", "tcp4", "tcp6", "udp", "udp4", "udp6", "unix", "unixgram"];
            let network = options.choice("network", &networks.map(|network| (network, network)), problems);
            let network = network.unwrap_or_default().to_owned();
            let address = if network.is_empty() {
                options.text("address", problems)
            } else {
                options.required("address", problems)
            };
            Sink::Syslog(Syslog { network, address, tag: options.text("tag", problems) })
        }
        _ => Sink::Otlp(Otlp {
            endpoint: url("endpoint", options, problems),
            grpc: options.choice("protocol", &[("http/protobuf", false), ("grpc", true)], problems).unwrap_or(false),
            gzip: options.choice("compression", &[("none", false), ("gzip", true)], problems).unwrap_or(false),
            headers: secrets("headers", options, problems),
            resource_attributes: options.map("resourceAttributes", problems),
            tls: tls(options, problems),
        }),
    }
}

fn search(elastic: bool, options: &mut Section<'_>, problems: &mut Problems) -> Search {
    let (index, format) = (options.text("index", problems), options.text("indexFormat", problems));
    if index.is_empty() && format.is_empty() {
        problems.add(options.path.clone(), "`index` or `indexFormat` must be given");
    }
    let index = if format.is_empty() { index.as_str() } else { format.as_str() };
    let hosts = options.texts("hosts", problems);
    for (at, host) in hosts.iter().enumerate() {
        check_url(host, &format!("{}[{at}]", options.at("hosts")), problems);
    }
    let cloud_id = if elastic { options.text("cloudID", problems) } else { String::new() };
    if hosts.is_empty() && cloud_id.is_empty() {
        problems.add(options.at("hosts"), "at least one host must be given");
    }
    Search {
        hosts,
        cloud_id,
        username: options.text("username", problems),
        password: options.secret("password", problems),
        api_key: if elastic { options.secret("apiKey", problems) } else { None },
        headers: if elastic { secrets("headers", options, problems) } else { BTreeMap::new() },
        use_event_id: options.boolean("useEventID", problems),
        index: IndexFormat::new(index),
        type_: options.text("type", problems),
        tls: tls(options, problems),
    }
}

fn kafka(options: &mut Section<'_>, problems: &mut Problems) -> Kafka {
    let brokers = options.texts("brokers", problems);
    if brokers.is_empty() {
        problems.add(options.at("brokers"), "at least one broker must be given");
    }
    let codecs = [
        ("none", Compression::None),
        ("snappy", Compression::Snappy),
        ("gzip", Compression::Gzip),
        ("lz4", Compression::Lz4),
        ("zstd", Compression::Zstd),
    ];
    let mut tls = options.section("tls", problems);
    let enabled = tls.boolean("enable", problems);
    let files = tls_options(&mut tls, problems);
    tls.finish(problems);
    let mut sasl = options.section("sasl", problems);
    let sasl_enabled = sasl.boolean("enable", problems);
    let mechanisms = [("plain", Mechanism::Plain), ("sha256", Mechanism::Sha256), ("sha512", Mechanism::Sha512)];
    let sasl_options = Sasl {
        username: sasl.text("username", problems),
        password: sasl.secret("password", problems),
        mechanism: sasl.choice("mechanism", &mechanisms, problems).unwrap_or(Mechanism::Plain),
    };
    sasl.finish(problems);
    let mut avro = options.section("avro", problems);
    if !avro.text("schemaID", problems).is_empty() || !avro.text("schema", problems).is_empty() {
        problems.add(avro.path.clone(), "Avro is not written: remove it, JSON is sent");
    }
    avro.finish(problems);
    Kafka {
        topic: options.required("topic", problems),
        brokers,
        client_id: options.text("clientId", problems),
        compression: options.choice("compressionCodec", &codecs, problems).unwrap_or(Compression::None),
        version: options.text("version", problems),
        tls: enabled.then_some(files),
        sasl: sasl_enabled.then_some(sasl_options),
    }
}

fn tls(options: &mut Section<'_>, problems: &mut Problems) -> Tls {
    let mut section = options.section("tls", problems);
    let tls = tls_options(&mut section, problems);
    section.finish(problems);
    tls
}

fn tls_options(section: &mut Section<'_>, problems: &mut Problems) -> Tls {
    let certificate = path(&section.text("certFile", problems));
    let key = path(&section.text("keyFile", problems));
    if certificate.is_some() != key.is_some() {
        problems.add(section.path.clone(), "`certFile` and `keyFile` come together");
    }
    Tls {
        insecure_skip_verify: section.boolean("insecureSkipVerify", problems),
        server_name: section.text("serverName", problems),
        ca_file: path(&section.text("caFile", problems)),
        client: certificate.zip(key),
    }
}

fn path(text: &str) -> Option<PathBuf> {
    (!text.is_empty()).then(|| text.into())
}

fn secrets(key: &'static str, options: &mut Section<'_>, problems: &mut Problems) -> BTreeMap<String, SecretString> {
    options.map(key, problems).into_iter().map(|(key, value)| (key, value.into())).collect()
}

fn url(key: &'static str, options: &mut Section<'_>, problems: &mut Problems) -> String {
    let url = options.required(key, problems);
    if !url.is_empty() {
        check_url(&url, &options.at(key), problems);
    }
    url
}

fn check_url(url: &str, path: &str, problems: &mut Problems) {
    let host = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    if host.is_none_or(str::is_empty) {
        problems.add(path, "an address that begins with `http://` or `https://` is wanted");
    }
}
