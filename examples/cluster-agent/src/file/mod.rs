//! The configuration file: each key stands for a flag, and what is wrong is told with its place, all at once.

mod keys;

use std::path::Path;

use example_host::config::{Content, Entry, Faults, Node, document, text_of};
use ksm_core::joins::{LabelJoin, LabelJoins};

use self::keys::{JOINS, KEYS};
use crate::events::export::Export;

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
        Self::parse(&text_of(path)?, &path.display().to_string())
    }

    pub(crate) fn parse(text: &str, origin: &str) -> Result<Self, Vec<String>> {
        let (mut found, mut export) = (LabelJoins::new(), None);
        let flags = KEYS.entries(&document(text, origin)?, origin, |key, place, node, faults| match key {
            JOINS => joins(node, &mut found, faults),
            _ => export = read_export(node, text, origin, place.line(), faults),
        })?;
        Ok(Self { flags, joins: found, export })
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

fn joins(node: &Node, joins: &mut LabelJoins, faults: &mut Faults<'_>) {
    let entries = match &node.content {
        Content::Null => return,
        Content::Map(entries) => entries,
        _ => return faults.add(node.place, JOINS, format!("a map of families is wanted, here is {}", node.kind())),
    };
    for (family, _, node) in entries {
        let mut wrong = |problem: &str| faults.add(node.place, &format!("{JOINS}.{family}"), problem);
        match serde_json::from_value(node.to_json()) {
            Ok(LabelJoin { labels_to_match, .. }) if labels_to_match.is_empty() => {
                wrong("name the labels whose values must be equal: `labels_to_match`");
            }
            Ok(LabelJoin { labels_to_get, get_all_labels: false, .. }) if labels_to_get.is_empty() => {
                wrong("name the labels to give: `labels_to_get`");
            }
            Ok(join) => {
                joins.insert(family.clone(), join);
            }
            Err(error) => wrong(&error.to_string()),
        }
    }
}

fn read_export(node: &Node, text: &str, origin: &str, line: u64, faults: &mut Faults<'_>) -> Option<Export> {
    if matches!(node.content, Content::Null) {
        return None;
    }
    let want = node.to_json();
    // Its own reader tells lines: what is before and after it is made empty.
    let cut = cut(text, line).filter(|cut| Node::parse(cut).is_ok_and(|node| node.to_json() == want));
    let (text, is_placed) = match cut {
        Some(text) => (text, true),
        // Where it is written in another way, its paths must do.
        None => (want.to_string(), false),
    };
    match Export::read(text, origin, is_placed) {
        Ok(export) => Some(export),
        Err(problems) => {
            faults.extend(problems);
            None
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
        let missing: Vec<&str> = KEYS.flags.iter().map(|key| key.path).filter(|key| !named.contains(key)).collect();
        assert!(missing.is_empty(), "{missing:?}");
        assert_eq!((file.joins.len(), file.export.as_ref().unwrap().config.receivers.len()), (3, 2));
        let flags = crate::flags::Given::none().with(&file).unwrap();
        // What is said to hold without a key does.
        let none = crate::flags::Given::none().with(&File::default()).unwrap();
        assert_eq!((flags.usage.interval, flags.usage.concurrency), (none.usage.interval, none.usage.concurrency));
        assert_eq!((flags.usage.wanted, flags.usage.via), (none.usage.wanted, none.usage.via));
        assert_eq!((flags.events.wanted, flags.events.series), (none.events.wanted, none.events.series));
        assert_eq!((flags.push.wanted, flags.push.interval), (none.push.wanted, none.push.interval));
        assert_eq!((flags.host, flags.shards.total_shards), (none.host, none.shards.total_shards));
    }
}
