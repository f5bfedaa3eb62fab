//! The configuration file: each key stands for a flag, and what is wrong is told with its place, all at once.

mod keys;
mod tree;

use std::path::Path;

use example_host::files::read_text;
use ksm_core::joins::{LabelJoin, LabelJoins};

pub(crate) use self::keys::Takes;
use self::keys::{EXPORT, JOINS, KEYS, Key, Shape, paths};
use self::tree::{Content, Node};
use crate::events::export::Export;

/// What is read at most.
const MAX_BYTES: usize = 1 << 20;

/// A value of the file as the flag that says the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The flag's name.
    pub(crate) flag: &'static str,
    /// The flag's value.
    pub(crate) value: String,
    /// The key's path.
    pub(crate) key: &'static str,
    /// File, line and column.
    pub(crate) place: String,
    pub(crate) takes: Takes,
}

/// A file, read. Nothing is in the default one.
#[derive(Debug, Clone, Default)]
pub(crate) struct File {
    pub(crate) flags: Vec<Entry>,
    /// Labels of other objects for series.
    pub(crate) joins: LabelJoins,
    /// Where events are sent.
    pub(crate) export: Option<Export>,
}

impl File {
    /// Reads a file; a line for each fault.
    pub(crate) fn read(path: &Path) -> Result<Self, Vec<String>> {
        let origin = path.display().to_string();
        let text = read_text(path).map_err(|error| vec![format!("{origin}: the file can't be read: {error}")])?;
        Self::parse(&text, &origin)
    }

    pub(crate) fn parse(text: &str, origin: &str) -> Result<Self, Vec<String>> {
        if text.len() > MAX_BYTES {
            return Err(vec![format!("{origin}: it is longer than {MAX_BYTES} bytes")]);
        }
        let node = Node::parse(text).map_err(|(place, problem)| match place {
            Some(place) => vec![format!("{origin}:{place}: this is no YAML: {problem}")],
            None => vec![format!("{origin}: this is no YAML: {problem}")],
        })?;
        let mut reader = Reader { text, origin, file: Self::default(), problems: Vec::new() };
        reader.map("", &node);
        if reader.problems.is_empty() { Ok(reader.file) } else { Err(reader.problems) }
    }

    /// A message about a flag, as one about the key that gave it.
    pub(crate) fn placed(&self, message: String) -> String {
        let entry = self.flags.iter().find_map(|entry| {
            let rest = message.strip_prefix("--")?.strip_prefix(entry.flag)?;
            rest.strip_prefix(':').map(|rest| (entry, rest))
        });
        match entry {
            Some((entry, rest)) => format!("{}: {}:{rest}", entry.place, entry.key),
            None => message,
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    origin: &'a str,
    file: File,
    problems: Vec<String>,
}

impl Reader<'_> {
    fn wrong(&mut self, node: &Node, path: &str, problem: &str) {
        let at = format!("{}:{}", self.origin, node.place);
        self.problems.push(if path.is_empty() {
            format!("{at}: {problem}")
        } else {
            format!("{at}: {path}: {problem}")
        });
    }

    /// Reads a map of keys whose paths begin with `path`.
    fn map(&mut self, path: &str, node: &Node) {
        let entries = match &node.content {
            Content::Map(entries) => entries,
            // A section whose keys are all comments.
            Content::Null => return,
            _ => return self.wrong(node, path, &format!("a map is wanted, here is {}", node.kind())),
        };
        for (name, place, node) in entries {
            let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            if let Some(key) = KEYS.iter().find(|key| key.path == below) {
                self.value(key, node);
            } else if below == JOINS {
                self.joins(node);
            } else if below == EXPORT {
                self.export(node, place.line());
            } else if paths().any(|known| known.starts_with(&format!("{below}."))) {
                self.map(&below, node);
            } else {
                let hint = nearest(name, path).map(|known| format!(": did you mean {known:?}?")).unwrap_or_default();
                self.problems.push(format!("{}:{place}: {below}: this key is not known{hint}", self.origin));
            }
        }
    }

    fn value(&mut self, key: &Key, node: &Node) {
        let value = match (key.shape, &node.content) {
            // As if it were not there.
            (_, Content::Null) => return,
            (Shape::One, _) => node.scalar().ok_or("a single value is wanted"),
            (Shape::List, _) => list(node).map(|list| list.join(",")).ok_or("a list of single values is wanted"),
            (Shape::Lists, Content::Map(entries)) => {
                let lists =
                    entries.iter().map(|(resource, _, node)| Some(format!("{resource}=[{}]", list(node)?.join(","))));
                lists.collect::<Option<Vec<_>>>().map(|lists| lists.join(",")).ok_or("lists by resource are wanted")
            }
            (Shape::Lists, _) => Err("lists by resource are wanted"),
        };
        match value {
            Ok(value) => self.file.flags.push(Entry {
                flag: key.flag,
                value,
                key: key.path,
                place: format!("{}:{}", self.origin, node.place),
                takes: key.takes,
            }),
            Err(wanted) => self.wrong(node, key.path, &format!("{wanted}, here is {}", node.kind())),
        }
    }

    fn joins(&mut self, node: &Node) {
        if matches!(node.content, Content::Null) {
            return;
        }
        let Content::Map(entries) = &node.content else {
            return self.wrong(node, JOINS, &format!("a map of families is wanted, here is {}", node.kind()));
        };
        for (family, _, node) in entries {
            match serde_json::from_value(node.to_json()) {
                Ok(LabelJoin { labels_to_match, .. }) if labels_to_match.is_empty() => {
                    self.wrong(
                        node,
                        &format!("{JOINS}.{family}"),
                        "name the labels whose values must be equal: `labels_to_match`",
                    );
                }
                Ok(LabelJoin { labels_to_get, get_all_labels: false, .. }) if labels_to_get.is_empty() => {
                    self.wrong(node, &format!("{JOINS}.{family}"), "name the labels to give: `labels_to_get`");
                }
                Ok(join) => {
                    self.file.joins.insert(family.clone(), join);
                }
                Err(error) => self.wrong(node, &format!("{JOINS}.{family}"), &error.to_string()),
            }
        }
    }

    fn export(&mut self, node: &Node, line: u64) {
        if matches!(node.content, Content::Null) {
            return;
        }
        let want = node.to_json();
        // Its own reader tells lines: what is before and after it is made empty.
        let cut = cut(self.text, line).filter(|cut| Node::parse(cut).is_ok_and(|node| node.to_json() == want));
        let (text, is_placed) = match cut {
            Some(text) => (text, true),
            // Where it is written in another way, its paths must do.
            None => (want.to_string(), false),
        };
        match Export::read(text, self.origin, is_placed) {
            Ok(export) => self.file.export = Some(export),
            Err(problems) => self.problems.extend(problems),
        }
    }
}

/// What stands under the key of that line, in its lines; all others are empty.
fn cut(text: &str, line: u64) -> Option<String> {
    let key = usize::try_from(line).ok()?.checked_sub(1)?;
    let indent = |line: &str| line.len() - line.trim_start().len();
    let depth = indent(text.lines().nth(key)?);
    let mut out = String::with_capacity(text.len());
    let mut inside = false;
    for (number, line) in text.lines().enumerate() {
        let blank = line.trim().is_empty() || line.trim_start().starts_with('#');
        if number > key && !blank && indent(line) <= depth {
            inside = false;
        }
        if inside {
            out.push_str(line);
        } else if number == key {
            inside = true;
            let (before, after) = line.split_once(':')?;
            out.extend(std::iter::repeat_n(' ', before.len() + 1));
            out.push_str(after);
        }
        out.push('\n');
    }
    Some(out)
}

fn list(node: &Node) -> Option<Vec<String>> {
    match &node.content {
        Content::List(list) => list.iter().map(Node::scalar).collect(),
        _ => None,
    }
}

/// The key that a mistyped one resembles, among those at its place.
fn nearest(name: &str, path: &str) -> Option<String> {
    let below = |known: &'static str| {
        let rest = if path.is_empty() { known } else { known.strip_prefix(path)?.strip_prefix('.')? };
        rest.split('.').next()
    };
    let near = paths()
        .filter_map(below)
        .map(|known| (strsim::levenshtein(&name.to_lowercase(), &known.to_lowercase()), known));
    near.filter(|(edits, known)| *edits <= 2.max(known.len() / 3)).min().map(|(_, known)| known.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<String> {
        File::parse(text, "a.yaml").unwrap_err()
    }

    #[test]
    fn values_become_flags() {
        let text = "metrics:\n  labels: {pods: [app, 'team'], nodes: ['*']}\n  resources: [pods]\nusage:\n  enabled: false\nserve:\n";
        let file = File::parse(text, "a.yaml").unwrap();
        let flags: Vec<(&str, &str)> = file.flags.iter().map(|entry| (entry.flag, entry.value.as_str())).collect();
        let want =
            [("metric-labels-allowlist", "pods=[app,team],nodes=[*]"), ("resources", "pods"), ("usage", "false")];
        assert_eq!(flags, want);
        assert_eq!(file.flags[1].place, "a.yaml:3:14");
        assert!(File::parse("", "a.yaml").unwrap().flags.is_empty());
    }

    #[test]
    fn what_is_not_known_is_told_with_its_place_and_all_at_once() {
        let told = faults("serve:\n  prot: 1\nusage: 3\nmetric: {}\nscope:\n  namespaces: a\n  node: [b]\n");
        let want = [
            "a.yaml:2:3: serve.prot: this key is not known: did you mean \"port\"?",
            "a.yaml:3:8: usage: a map is wanted, here is a single value",
            "a.yaml:4:1: metric: this key is not known: did you mean \"metrics\"?",
            "a.yaml:6:15: scope.namespaces: a list of single values is wanted, here is a single value",
            "a.yaml:7:9: scope.node: a single value is wanted, here is a list",
        ];
        assert_eq!(told, want);
        assert_eq!(faults("zzzzzzzzzzzz: 1\n"), ["a.yaml:1:1: zzzzzzzzzzzz: this key is not known"]);
        assert!(faults("a: [")[0].starts_with("a.yaml:1"), "{:?}", faults("a: ["));
        assert!(faults("serve: {port: 1, port: 2}")[0].contains("port"), "{:?}", faults("serve: {port: 1, port: 2}"));
    }

    #[test]
    fn messages_about_flags_become_messages_about_keys() {
        let file = File::parse("metrics:\n  deny: ['(']\n", "a.yaml").unwrap();
        let placed = file.placed("--metric-denylist: \"(\" is no regular expression".to_owned());
        assert_eq!(placed, "a.yaml:2:9: metrics.deny: \"(\" is no regular expression");
        let other = "--metric-allowlist: x".to_owned();
        assert_eq!(file.placed(other.clone()), other);
    }

    #[test]
    fn joins_are_read_and_their_faults_placed() {
        let text = "joins:\n  kube_pod_info: {labels_to_match: [pod], labels_to_get: [node]}\n";
        assert_eq!(File::parse(text, "a.yaml").unwrap().joins["kube_pod_info"].labels_to_get, ["node"]);
        let told = faults("joins:\n  kube_pod_info: {labels_to_mach: [pod]}\n");
        assert!(faults("joins:\n  f: {labels_to_match: [pod]}\n")[0].contains("`labels_to_get`"));
        assert!(told[0].starts_with("a.yaml:2:18: joins.kube_pod_info: unknown field `labels_to_mach`"), "{told:?}");
    }

    #[test]
    fn the_export_is_read_by_its_own_reader_in_its_own_lines() {
        let head = "# a comment\nserve: {port: 1}\nevents:\n  series: 5\n  export:\n";
        let block = "    route: {match: [{receiver: a}]}\n    receivers:\n    # another\n    - name: a\n      stdout: {colour: red}\n";
        let told = faults(&format!("{head}{block}usage: {{}}\n"));
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with("a.yaml:10: events.export.receivers[0].stdout.colour: "), "{told:?}");
        let flow =
            "events: {export: {route: {match: [{receiver: a}]}, receivers: [{name: a, stdout: {colour: red}}]}}\n";
        let told = faults(flow);
        assert!(told[0].starts_with("a.yaml: events.export.receivers[0].stdout.colour: "), "{told:?}");
        let good = format!("{head}{}\nusage: {{}}\n", block.replace("colour: red", "deDot: true"));
        let file = File::parse(&good, "a.yaml").unwrap();
        assert_eq!(file.export.unwrap().config.receivers[0].name, "a");
        assert_eq!(file.flags.len(), 2);
    }

    const EXAMPLE: &str = include_str!("../../cluster-agent.yaml");

    /// The example with its keys in force: of two that exclude each other, the first.
    fn in_force() -> String {
        let is_key = |text: &str| {
            let key = text.trim_start().trim_start_matches("- ").split(':').next().unwrap_or_default();
            key.starts_with(|first: char| first.is_ascii_lowercase())
                && key.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
        };
        let line = |line: &str| match line.split_once("  # ") {
            Some((indent, rest)) if is_key(rest) && rest.contains(':') && !rest.starts_with("proxy:") => {
                format!("{indent}  {rest}\n")
            }
            _ => format!("{line}\n"),
        };
        EXAMPLE.lines().map(line).collect()
    }

    #[test]
    fn the_example_is_what_holds_without_it() {
        let file = File::parse(EXAMPLE, "example").unwrap();
        assert!(file.flags.is_empty() && file.joins.is_empty() && file.export.is_none());
    }

    #[test]
    fn the_example_has_every_key_and_each_of_them_is_right() {
        let text = in_force();
        let file = File::parse(&text, "example").unwrap_or_else(|problems| panic!("{problems:?} in {text}"));
        let named: Vec<&str> = file.flags.iter().map(|entry| entry.key).collect();
        let missing: Vec<&str> = KEYS.iter().map(|key| key.path).filter(|key| !named.contains(key)).collect();
        assert!(missing.is_empty(), "{missing:?}");
        assert_eq!((file.joins.len(), file.export.as_ref().unwrap().config.receivers.len()), (3, 2));
        let flags = crate::flags::Given::default().with(&file).unwrap();
        // What is said to hold without a key does.
        let none = crate::flags::Given::default().with(&File::default()).unwrap();
        assert_eq!((flags.usage.interval, flags.usage.concurrency), (none.usage.interval, none.usage.concurrency));
        assert_eq!((flags.usage.wanted, flags.usage.via), (none.usage.wanted, none.usage.via));
        assert_eq!((flags.events.wanted, flags.events.series), (none.events.wanted, none.events.series));
        assert_eq!((flags.push.wanted, flags.push.interval), (none.push.wanted, none.push.interval));
        assert_eq!((flags.host, flags.shards.total_shards), (none.host, none.shards.total_shards));
    }
}
