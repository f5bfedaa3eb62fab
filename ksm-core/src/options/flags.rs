//! The flags as fields.

use std::collections::BTreeMap;

use super::allowlist::key_allowlists;
use super::error::{Errors, Given, OptionError, OptionErrors};
use super::list::{comma_list, resources};
use crate::engine::{Settings, builtin_names};
use crate::filter::FamilyFilter;
use crate::labels::KeyAllowList;
use crate::watch::ListSemantic;

/// Which resources and families are shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[cfg_attr(feature = "clap", derive(clap::Args), command(next_help_heading = "What is shown"))]
pub struct FilterFlags {
    /// Resources, comma-separated: pods,nodes,deployments
    #[cfg_attr(feature = "clap", arg(long, value_name = "LIST"))]
    pub resources: Vec<String>,
    /// Show only metrics whose names match one of these regular expressions, comma-separated
    #[cfg_attr(feature = "clap", arg(long, value_name = "LIST"))]
    pub metric_allowlist: Vec<String>,
    /// Show no metrics whose names match one of these regular expressions, comma-separated
    #[cfg_attr(feature = "clap", arg(long, value_name = "LIST"))]
    pub metric_denylist: Vec<String>,
    /// Show also these metrics that are off by default: regular expressions, comma-separated
    #[cfg_attr(feature = "clap", arg(long, value_name = "LIST"))]
    pub metric_opt_in_list: Vec<String>,
    /// Kubernetes labels to show, by resource: `pods=[app,app.kubernetes.io/*],nodes=[*],*=[team]`
    #[cfg_attr(feature = "clap", arg(long, value_name = "LISTS", overrides_with = "metric_labels_allowlist"))]
    pub metric_labels_allowlist: Option<String>,
    /// Kubernetes annotations to show, by resource, as above
    #[cfg_attr(feature = "clap", arg(long, value_name = "LISTS", overrides_with = "metric_annotations_allowlist"))]
    pub metric_annotations_allowlist: Option<String>,
}

/// What [`FilterFlags`] say.
#[derive(Debug, Clone)]
pub struct Selection {
    /// The resources; `None` where none is named, so that the host's default applies.
    pub resources: Option<Vec<String>>,
    /// Families and allowlists, without any scope.
    pub settings: Settings,
}

impl FilterFlags {
    /// Reads the flags, and reports all that is wrong at once. `custom` names the host's own resources.
    pub fn resolve(&self, custom: &[&str]) -> Result<Selection, OptionErrors> {
        let known = known(custom);
        let mut all = Errors::default();
        let mut lists = |flag, value: Option<&str>| all.note(key_allowlists(flag, value.unwrap_or_default(), &known));
        let labels = lists("metric-labels-allowlist", self.metric_labels_allowlist.as_deref());
        let annotations = lists("metric-annotations-allowlist", self.metric_annotations_allowlist.as_deref());
        let lists = Lists {
            resources: ("resources".into(), comma_list(&self.resources)),
            allow: ("metric-allowlist".into(), comma_list(&self.metric_allowlist)),
            deny: ("metric-denylist".into(), comma_list(&self.metric_denylist)),
            opt_in: ("metric-opt-in-list".into(), comma_list(&self.metric_opt_in_list)),
        };
        lists.resolve(&known, labels, annotations, all)
    }
}

/// All resources that an option may name.
pub(super) fn known<'a>(custom: &[&'a str]) -> Vec<&'a str> {
    builtin_names().into_iter().chain(custom.iter().copied()).collect()
}

/// Lists of names, each with where it was given.
pub(super) struct Lists {
    pub(super) resources: (Given, Vec<String>),
    pub(super) allow: (Given, Vec<String>),
    pub(super) deny: (Given, Vec<String>),
    pub(super) opt_in: (Given, Vec<String>),
}

type AllowListsByResource = BTreeMap<String, KeyAllowList>;

impl Lists {
    /// Reads the lists; `errors` are those that were found elsewhere.
    pub(super) fn resolve(
        self,
        known: &[&str],
        labels: AllowListsByResource,
        annotations: AllowListsByResource,
        mut errors: Errors,
    ) -> Result<Selection, OptionErrors> {
        let names = errors.note(resources(self.resources.0, &self.resources.1, known));
        for (given, patterns) in [&self.allow, &self.deny, &self.opt_in] {
            // Each list by itself, so that the error names it.
            if let Err(source) = FamilyFilter::new(patterns, &[], &[]) {
                errors.0.push(OptionError::Filter { given: given.clone(), source });
            }
        }
        if !self.allow.1.is_empty() && !self.deny.1.is_empty() {
            errors.0.push(OptionError::Exclusive { first: self.allow.0, second: self.deny.0 });
        }
        // What is wrong with it was noted above.
        let families = FamilyFilter::new(&self.allow.1, &self.deny.1, &self.opt_in.1).unwrap_or_default();
        errors.finish(Selection {
            resources: (!names.is_empty()).then_some(names),
            settings: Settings { families, labels, annotations, ..Settings::default() },
        })
    }
}

/// Which objects are watched, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[cfg_attr(feature = "clap", derive(clap::Args), command(next_help_heading = "What is watched"))]
pub struct ScopeFlags {
    /// Namespaces to watch, comma-separated; all if there are none
    #[cfg_attr(feature = "clap", arg(long, value_name = "LIST"))]
    pub namespaces: Vec<String>,
    /// Namespaces to leave out, comma-separated
    #[cfg_attr(feature = "clap", arg(long, value_name = "LIST"))]
    pub namespaces_denylist: Vec<String>,
    /// Watch only the pods of this node
    #[cfg_attr(feature = "clap", arg(long, value_name = "NAME", overrides_with = "node"))]
    pub node: Option<String>,
    /// Watch only pods that are on no node yet
    #[cfg_attr(feature = "clap", arg(long, num_args = 0..=1, require_equals = true, default_value = "false",
        default_missing_value = "true", value_name = "BOOL", overrides_with = "track_unscheduled_pods",
        action = clap::ArgAction::Set))]
    pub track_unscheduled_pods: bool,
    /// List from the API server's cache: cheaper for it, and possibly old
    #[cfg_attr(feature = "clap", arg(long, num_args = 0..=1, require_equals = true, default_value = "false",
        default_missing_value = "true", value_name = "BOOL", overrides_with = "use_apiserver_cache",
        action = clap::ArgAction::Set))]
    pub use_apiserver_cache: bool,
}

impl ScopeFlags {
    /// Writes the scopes into settings.
    pub fn apply(&self, settings: &mut Settings) -> Result<(), OptionErrors> {
        self.apply_given(settings, Given::from)
    }

    /// The same, with where each option was given.
    pub(super) fn apply_given(
        &self,
        settings: &mut Settings,
        given: impl Fn(&'static str) -> Given,
    ) -> Result<(), OptionErrors> {
        let node = self.node.as_deref().map(str::trim).filter(|node| !node.is_empty());
        if node.is_some() && self.track_unscheduled_pods {
            let error = OptionError::Exclusive { first: given("node"), second: given("track-unscheduled-pods") };
            return Err(OptionErrors(vec![error]));
        }
        settings.namespaces = comma_list(&self.namespaces);
        settings.namespaces_denylist = comma_list(&self.namespaces_denylist);
        settings.node = node.map(str::to_owned);
        settings.unscheduled_pods = self.track_unscheduled_pods;
        Ok(())
    }

    /// Which state a list shows.
    pub fn list_semantic(&self) -> ListSemantic {
        if self.use_apiserver_cache { ListSemantic::Any } else { ListSemantic::MostRecent }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let flags = FilterFlags {
            resources: vec!["namespaces,cats".into()],
            metric_allowlist: vec!["a".into()],
            metric_denylist: vec!["b,(".into()],
            metric_labels_allowlist: Some("namespaces".into()),
            metric_annotations_allowlist: Some("dogs=[*]".into()),
            ..FilterFlags::default()
        };
        let text = flags.resolve(&[]).unwrap_err().to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 5, "{text}");
        assert!(lines[0].starts_with("--metric-labels-allowlist: expected `=` at character 11"));
        assert!(lines[1].starts_with("--metric-annotations-allowlist: there is no resource \"dogs\""));
        assert!(lines[2].starts_with("--resources: there is no resource \"cats\": use one of "));
        assert!(lines[3].starts_with("--metric-denylist: \"(\" is no regular expression: "));
        assert_eq!(lines[4], "--metric-allowlist and --metric-denylist exclude each other: give one of them");
    }

    #[test]
    fn a_hosts_own_resource_is_known() {
        let flags = FilterFlags { resources: vec!["widgets".into()], ..FilterFlags::default() };
        assert_eq!(flags.resolve(&["widgets"]).unwrap().resources.unwrap(), ["widgets"]);
        assert!(FilterFlags::default().resolve(&[]).unwrap().resources.is_none());
    }

    #[test]
    fn one_node_and_no_node_exclude_each_other() {
        let mut settings = Settings::default();
        let flags = ScopeFlags { node: Some("n".into()), track_unscheduled_pods: true, ..ScopeFlags::default() };
        assert!(flags.apply(&mut settings).is_err());
        let empty = ScopeFlags { node: Some(String::new()), namespaces: vec![String::new()], ..ScopeFlags::default() };
        empty.apply(&mut settings).unwrap();
        assert_eq!((settings.node, settings.namespaces.len()), (None, 0));
    }
}
