//! The configuration file: each key stands for a flag.

use std::path::Path;

use example_host::files::read_text;
use serde_json::Value;

/// What is read at most.
const MAX_BYTES: usize = 1 << 20;

/// Each key's path, and the flag that says the same.
pub(crate) const KEYS: &[(&str, &str)] = &[
    ("parts", "parts"),
    ("nodeName", "node-name"),
    ("lease.namespace", "namespace"),
    ("lease.holder", "pod-name"),
    ("lease.source", "source"),
    ("lease.imdsEndpoint", "imds-endpoint"),
    ("lease.onStop", "on-stop"),
    ("lease.startJitter", "start-jitter"),
    ("containers.socket", "socket"),
    ("containers.counters", "counters"),
    ("containers.interval", "interval"),
    ("parquet.directory", "parquet"),
    ("parquet.slot", "slot"),
    ("parquet.fileSizeMiB", "file-size"),
    ("parquet.fileAge", "file-age"),
    ("kubelet.address", "kubelet-address"),
    ("kubelet.port", "kubelet-port"),
    ("kubelet.interval", "kubelet-interval"),
    ("kubelet.ca", "kubelet-ca"),
    ("kubelet.insecure", "kubelet-insecure"),
    ("kubelet.tokenFile", "kubelet-token-file"),
    ("serving.host", "host"),
    ("serving.port", "port"),
];

/// Flags with their values, of a file.
pub(crate) fn read(path: &Path) -> Result<Vec<(&'static str, String)>, String> {
    let text = read_text(path).map_err(|error| format!("{}: the file can't be read: {error}", path.display()))?;
    parse(&text).map_err(|problem| format!("{}: {problem}", path.display()))
}

/// Flags with their values, of a file's text.
pub(crate) fn parse(text: &str) -> Result<Vec<(&'static str, String)>, String> {
    if text.len() > MAX_BYTES {
        return Err(format!("it is longer than {MAX_BYTES} bytes"));
    }
    let value = if text.lines().all(|line| line.trim().is_empty() || line.trim().starts_with('#')) {
        Value::Null
    } else {
        serde_saphyr::from_str(text).map_err(|error| format!("this is no YAML: {error}"))?
    };
    let mut flags = Vec::new();
    let mut problems = Vec::new();
    walk("", &value, &mut flags, &mut problems);
    if problems.is_empty() { Ok(flags) } else { Err(problems.join("\n")) }
}

fn walk(path: &str, value: &Value, flags: &mut Vec<(&'static str, String)>, problems: &mut Vec<String>) {
    let entries = match value {
        Value::Object(entries) => entries,
        // A section whose keys are all comments.
        Value::Null => return,
        _ => return problems.push(format!("{path}: a map is wanted")),
    };
    for (name, value) in entries {
        let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        if let Some((_, flag)) = KEYS.iter().find(|(key, _)| *key == below) {
            match text_of(value) {
                Ok(Some(text)) => flags.push((flag, text)),
                Ok(None) => {}
                Err(wanted) => problems.push(format!("{below}: {wanted}")),
            }
        } else if KEYS.iter().any(|(key, _)| key.starts_with(&format!("{below}."))) {
            walk(&below, value, flags, problems);
        } else {
            let hint = nearest(&below).map(|key| format!(": did you mean {key:?}?")).unwrap_or_default();
            problems.push(format!("{below}: this key is not known{hint}"));
        }
    }
}

fn text_of(value: &Value) -> Result<Option<String>, &'static str> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.clone())),
        Value::Bool(_) | Value::Number(_) => Ok(Some(value.to_string())),
        Value::Array(items) => {
            let items: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
            items.map(|items| Some(items.join(","))).ok_or("a list of texts is wanted")
        }
        Value::Object(_) => Err("a single value or a list is wanted"),
    }
}

fn nearest(path: &str) -> Option<&'static str> {
    let near = KEYS.iter().map(|(key, _)| (strsim::jaro_winkler(key, path), *key));
    near.filter(|(likeness, _)| *likeness > 0.85).max_by(|one, other| one.0.total_cmp(&other.0)).map(|(_, key)| key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_are_not_known_are_refused_with_the_nearest() {
        let told = parse("kubelet:\n  intervall: 3s\nfoo: 1\n").unwrap_err();
        assert!(
            told.contains("kubelet.intervall: this key is not known: did you mean \"kubelet.interval\"?"),
            "{told}"
        );
        assert!(told.contains("foo: this key is not known"), "{told}");
        assert!(parse("kubelet: 3").unwrap_err().contains("a map is wanted"));
        assert!(parse("kubelet: {port: {a: 1}}").unwrap_err().contains("a single value"));
        assert!(parse("a: [").unwrap_err().contains("no YAML"));
    }

    #[test]
    fn an_empty_file_says_nothing() {
        for text in ["", "# all is as it is\n", "kubelet:\n", "parts:\n"] {
            assert_eq!(parse(text).unwrap(), [], "{text:?}");
        }
    }

    #[test]
    fn the_example_names_every_key() {
        let example = include_str!("../node-agent.yaml");
        let mut section = String::new();
        let mut named = Vec::new();
        for line in example.lines() {
            let line = line.strip_prefix('#').unwrap_or(line);
            let Some((key, _)) = line.split_once(':') else { continue };
            let indented = key.starts_with("  ");
            let key = key.trim();
            if !key.is_empty() && key.chars().all(char::is_alphanumeric) {
                if indented {
                    named.push(format!("{section}.{key}"));
                } else {
                    section = key.to_owned();
                    named.push(section.clone());
                }
            }
        }
        for (key, _) in KEYS {
            assert!(named.iter().any(|name| name == key), "{key} in {named:?}");
        }
        parse(example).unwrap();
    }
}
