//! The options file and the flags as one.
//!
//! As in kube-state-metrics, what the file says wins over a flag; an empty set or a key without a value says nothing.

use std::collections::BTreeMap;

use super::allowlist::{checked, key_allowlists};
use super::error::{Errors, OptionError, OptionErrors};
use super::file::OptionsFile;
use super::flags::{FilterFlags, Lists, ScopeFlags, Selection, known};
use super::list::comma_list;
use super::shards::{ShardChoice, ShardFlags};
use crate::engine::Settings;
use crate::labels::KeyAllowList;

impl OptionsFile {
    /// Resources, families and allowlists by this file, and by the flags for what it leaves out. `custom` names the
    /// host's own resources. Reports all that is wrong at once.
    pub fn selection(&self, flags: &FilterFlags, custom: &[&str]) -> Result<Selection, OptionErrors> {
        let known = known(custom);
        let mut errors = Errors::default();
        let mut keys = |flag, map: Option<&BTreeMap<String, Vec<String>>>, text: Option<&str>| match map {
            Some(map) => self.allowlists(flag, map, &known, &mut errors),
            None => errors.note(key_allowlists(flag, text.unwrap_or_default(), &known)),
        };
        let labels = keys(
            "metric-labels-allowlist",
            self.metric_labels_allowlist.as_ref(),
            flags.metric_labels_allowlist.as_deref(),
        );
        let annotations = keys(
            "metric-annotations-allowlist",
            self.metric_annotations_allowlist.as_ref(),
            flags.metric_annotations_allowlist.as_deref(),
        );
        let list = |flag, own: &Option<Vec<String>>, values: &[String]| {
            (self.given(flag), own.clone().unwrap_or_else(|| comma_list(values)))
        };
        let lists = Lists {
            resources: list("resources", &self.resources, &flags.resources),
            allow: list("metric-allowlist", &self.metric_allowlist, &flags.metric_allowlist),
            deny: list("metric-denylist", &self.metric_denylist, &flags.metric_denylist),
            opt_in: list("metric-opt-in-list", &self.metric_opt_in_list, &flags.metric_opt_in_list),
        };
        lists.resolve(&known, labels, annotations, errors)
    }

    fn allowlists(
        &self,
        flag: &str,
        map: &BTreeMap<String, Vec<String>>,
        known: &[&str],
        errors: &mut Errors,
    ) -> BTreeMap<String, KeyAllowList> {
        let given = self.given(flag);
        let mut read = |(resource, keys): (&String, &Vec<String>)| {
            (resource.clone(), checked(&given, resource, keys, known, &mut errors.0))
        };
        map.iter().map(&mut read).collect()
    }

    /// The scopes by this file, and by the flags for what it leaves out.
    pub fn scopes(&self, flags: &ScopeFlags) -> ScopeFlags {
        ScopeFlags {
            namespaces: self.namespaces.clone().unwrap_or_else(|| flags.namespaces.clone()),
            namespaces_denylist: self.namespaces_denylist.clone().unwrap_or_else(|| flags.namespaces_denylist.clone()),
            node: self.node.clone().or_else(|| flags.node.clone()),
            track_unscheduled_pods: self.track_unscheduled_pods.unwrap_or(flags.track_unscheduled_pods),
            use_apiserver_cache: self.use_apiserver_cache.unwrap_or(flags.use_apiserver_cache),
        }
    }

    /// The shard by this file, and by the flags for what it leaves out.
    pub fn shard_choice(&self, flags: &ShardFlags) -> Result<ShardChoice, OptionErrors> {
        let merged = ShardFlags {
            shard: self.shard.unwrap_or(flags.shard),
            total_shards: self.total_shards.unwrap_or(flags.total_shards),
            pod: self.pod.clone().or_else(|| flags.pod.clone()),
            pod_namespace: self.pod_namespace.clone().or_else(|| flags.pod_namespace.clone()),
        };
        merged.resolve_given(|flag| self.given(flag))
    }

    /// Writes the scopes of this file and the flags into settings, and checks them.
    ///
    /// `--node` with resources other than pods is refused, as in kube-state-metrics: every node's instance would show
    /// them.
    pub fn apply_scopes(
        &self,
        flags: &ScopeFlags,
        resources: Option<&[String]>,
        settings: &mut Settings,
    ) -> Result<(), OptionErrors> {
        let mut errors = Errors::default();
        errors.note(self.scopes(flags).apply_given(settings, |flag| self.given(flag)).map_err(|errors| errors.0));
        if settings.node.is_some() && resources.is_some_and(|names| names.iter().any(|name| name != "pods")) {
            let needs = "--resources pods: other resources are on no node, and each node's instance would show them";
            errors.0.push(OptionError::Needs { given: self.given("node"), needs });
        }
        errors.finish(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::options::Given;

    fn read(text: &str) -> OptionsFile {
        OptionsFile::from_yaml(text, "o.yaml").unwrap()
    }

    fn errors(text: &str) -> Vec<String> {
        let errors = OptionsFile::from_yaml(text, "o.yaml").unwrap_err();
        errors.0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_file_wins_and_the_flags_fill_in() {
        let file = read("resources: {pods: {}, nodes: null}\nmetric_denylist: {}\nnode:\nnamespaces: []\nshard: 1\n");
        let flags = FilterFlags {
            resources: vec!["leases".into()],
            metric_denylist: vec!["_info$".into()],
            ..FilterFlags::default()
        };
        let selection = file.selection(&flags, &[]).unwrap();
        assert_eq!(selection.resources.unwrap(), ["pods", "nodes"]);
        assert!(!selection.settings.families.admits("kube_pod_info"), "an empty set says nothing");
        let flags = ScopeFlags { namespaces: vec!["a".into()], node: Some("n".into()), ..ScopeFlags::default() };
        let scopes = file.scopes(&flags);
        assert_eq!((scopes.namespaces.len(), scopes.node.as_deref()), (0, Some("n")));
        assert_eq!(file.shard, Some(1));
        assert_eq!(file.flags().collect::<Vec<_>>(), ["metric-denylist", "namespaces", "resources", "shard"]);
    }

    #[test]
    fn upstreams_files_are_read_as_there() {
        let mut run = 0;
        for line in include_str!("../../tests/data/parsers.jsonl").lines() {
            let case: serde_json::Value = serde_json::from_str(line).unwrap();
            if case["level"] != "yaml" {
                continue;
            }
            run += 1;
            for key in ["labels_allow_list", "annotations_allow_list"] {
                let lines = case["input"].as_str().unwrap().lines();
                let text: Vec<String> = lines.map(|line| format!("  {line}\n")).collect();
                let file = read(&format!("{key}:\n{}", text.concat()));
                let selection = file.selection(&FilterFlags::default(), &[]);
                assert_eq!(selection.is_err(), case["want_error"] == true, "{}", case["id"]);
                let Ok(Selection { settings, .. }) = selection else { continue };
                let read = if key == "labels_allow_list" { settings.labels } else { settings.annotations };
                for (resource, keys) in case["want"].as_object().unwrap() {
                    let keys: Vec<String> = serde_json::from_value(keys.clone()).unwrap();
                    assert_eq!(read[resource], KeyAllowList::parse(&keys).0, "{}", case["id"]);
                }
            }
        }
        assert!(run > 1);
    }

    #[test]
    fn values_are_read_as_gos_reader_reads_them() {
        let file = read(
            "server_read_timeout: 1m30s\nserver_idle_timeout: 5000000000\nauth_filter: yes\nnode: 12\nport: 0\n\
             namespaces: a, b\nuse_apiserver_cache: true\nlabels_allow_list:\n  pods: [app, 'a/*']\n  nodes: [007, 1.10, on]\n",
        );
        assert_eq!(file.server_read_timeout, Some(Duration::from_secs(90)));
        assert_eq!(file.server_idle_timeout, Some(Duration::from_secs(5)));
        assert_eq!((file.auth_filter, file.node.as_deref(), file.port), (Some(true), Some("12"), Some(0)));
        assert_eq!((file.namespaces.unwrap().len(), file.use_apiserver_cache), (2, Some(true)));
        let labels = file.metric_labels_allowlist.unwrap();
        assert_eq!(
            (&labels["pods"][..], &labels["nodes"][..]),
            (&["app", "a/*"].map(String::from)[..], &["007", "1.10", "on"].map(String::from)[..])
        );
        assert_eq!(read("# nothing\n"), OptionsFile::default());
        assert_eq!(read(r#"{"resources": ["pods"]}"#).resources.unwrap(), ["pods"]);
    }

    #[test]
    fn all_that_is_wrong_is_told_with_its_place() {
        assert_eq!(
            errors(
                "resorces: [pods]\nport: 70000\nauth_filter: maybe\nresources:\n  pods: 1\nserver_read_timeout: 0\n\
                 labels_allow_list: [pods]\nauto-gomemlimit: true\nuse_api_server_cache: true\n\
                 use_apiserver_cache: true\nshard: -1\nnode: [a]\nobject_limit: -1\n"
            ),
            [
                "o.yaml:1:1: resorces: there is no such option: did you mean \"resources\"?",
                "o.yaml:2:7: port: expected a port from 0 to 65535, found 70000",
                "o.yaml:3:14: auth_filter: expected true or false, found \"maybe\"",
                "o.yaml:5:3: resources: expected names without values, as `pods: {}`, found 1",
                "o.yaml:6:22: server_read_timeout: expected a positive time like 500ms, 60s or 1m30s, found 0",
                "o.yaml:7:20: labels_allow_list: expected a map of lists, as `pods: [app, team]`, found a list",
                "o.yaml:8:1: auto-gomemlimit is not supported: it is about Go's memory: leave it out",
                "o.yaml:10:1: use_apiserver_cache is \"use_api_server_cache\" again: keep one of them",
                "o.yaml:11:8: shard: expected a shard's number from 0, found -1",
                "o.yaml:12:7: node: expected text, found a list",
                "o.yaml:13:15: object_limit: expected a number of objects from 0, found -1",
            ]
        );
    }

    #[test]
    fn what_is_no_yaml_or_no_map_is_told_with_its_place() {
        for text in ["resources: [pods\nport: 1\n", "a: b: c\n", "x: &a [*a]\n", "resources: [a]\nresources: [b]\n"] {
            let errors = errors(text);
            assert!(errors.len() == 1 && errors[0].starts_with("o.yaml:"), "{text}: {errors:?}");
        }
        assert_eq!(errors("- pods\n"), ["o.yaml:1:1: expected a map of options, found a list"]);
        let deep = format!("node: {}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(errors(&deep).len(), 1);
    }

    #[test]
    fn contradictions_name_flag_and_key() {
        let file = read("metric_denylist: [b]\nnode: n\nlabels_allow_list:\n  cats: [a]\n  pods: ['a*b*c']\n");
        let flags = FilterFlags { metric_allowlist: vec!["a".into()], ..FilterFlags::default() };
        let text = file.selection(&flags, &[]).unwrap_err().to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("o.yaml:4:3: labels_allow_list: there is no resource \"cats\""), "{text}");
        assert!(lines[1].starts_with("o.yaml:4:3: labels_allow_list: pods: key pattern \"a*b*c\""), "{text}");
        assert_eq!(
            lines[2],
            "--metric-allowlist and o.yaml:1:18: metric_denylist exclude each other: give one of them"
        );
        let flags = ScopeFlags { track_unscheduled_pods: true, ..ScopeFlags::default() };
        let mut settings = Settings::default();
        let error = file.apply_scopes(&flags, None, &mut settings).unwrap_err().to_string();
        assert!(error.starts_with("o.yaml:2:7: node and --track-unscheduled-pods exclude each other"), "{error}");
        let resources = ["pods".to_owned(), "nodes".to_owned()];
        let error = file.apply_scopes(&ScopeFlags::default(), Some(&resources), &mut settings).unwrap_err();
        assert!(error.to_string().starts_with("o.yaml:2:7: node needs --resources pods: "), "{error}");
        file.apply_scopes(&ScopeFlags::default(), Some(&resources[..1]), &mut settings).unwrap();
        assert_eq!(settings.node.as_deref(), Some("n"));
        assert_eq!(file.given("shard"), Given::Flag("shard".into()));
        let flags = ShardFlags { total_shards: 2, ..ShardFlags::default() };
        let error = read("shard: 2\n").shard_choice(&flags).unwrap_err().to_string();
        assert!(error.starts_with("o.yaml:1:8: shard: shard 2 of 2 does not exist"), "{error}");
        let choice = read("shard: 1\nnamespace: n\n").shard_choice(&flags).unwrap_err().to_string();
        assert_eq!(choice, "o.yaml:2:12: namespace needs --pod");
    }
}
