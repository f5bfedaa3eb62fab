//! What the flags and the options file say together.

use std::path::PathBuf;

use example_host::cluster::ClusterFlags;
use example_host::server::Timeouts;
use ksm_core::options::{OptionError, OptionErrors, OptionsFile, Selection, ShardChoice};
use ksm_core::{ListSemantic, Shard};

use crate::flags::Flags;

/// All options, checked.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) cluster: ClusterFlags,
    /// Resources, families, allowlists and scopes.
    pub(crate) selection: Selection,
    pub(crate) custom: Custom,
    pub(crate) shard: ShardChoice,
    pub(crate) fixed: Fixed,
}

/// Where metrics of custom resources are described.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Custom {
    /// The text, and where it was given.
    pub(crate) inline: Option<(String, String)>,
    pub(crate) file: Option<PathBuf>,
    /// Whether the file may be missing.
    pub(crate) may_be_missing: bool,
}

/// Options that hold from start to end.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fixed {
    pub(crate) kubeconfig: Option<PathBuf>,
    pub(crate) apiserver: Option<String>,
    pub(crate) semantic: ListSemantic,
    pub(crate) object_limit: Option<u64>,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) telemetry_host: String,
    pub(crate) telemetry_port: u16,
    pub(crate) tls_config: Option<PathBuf>,
    pub(crate) auth_filter: bool,
    pub(crate) gzip: bool,
    pub(crate) timeouts: Timeouts,
}

impl Options {
    /// Combines flags and file; reports all that is wrong at once.
    pub(crate) fn resolve(flags: &Flags, file: &OptionsFile) -> Result<Self, OptionErrors> {
        let mut errors = Vec::new();
        let mut selection = file.selection(&flags.filter, &[]).unwrap_or_else(|found| {
            errors.extend(found.0);
            Selection { resources: None, settings: ksm_core::Settings::default() }
        });
        if let Err(found) = file.apply_scopes(&flags.scopes, selection.resources.as_deref(), &mut selection.settings) {
            errors.extend(found.0);
        }
        let shard = file.shard_choice(&flags.shards).unwrap_or_else(|found| {
            errors.extend(found.0);
            ShardChoice::Fixed(Shard::ALL)
        });
        let custom = custom(flags, file);
        if file.custom_resource_state_only.unwrap_or(flags.custom.custom_resource_state_only) {
            // As in kube-state-metrics, whatever the resources are: its charts always name some.
            selection.resources = Some(Vec::new());
            if custom.inline.is_none() && custom.file.is_none() {
                let needs = "--custom-resource-state-config-file, or there is nothing to show";
                errors.push(OptionError::Needs { given: file.given("custom-resource-state-only"), needs });
            }
        }
        if !errors.is_empty() {
            return Err(OptionErrors(errors));
        }
        let cluster = flags.cluster.overridden(file.kubeconfig.as_deref(), file.apiserver.as_deref());
        let serving = &flags.serving;
        let named = |path: &Option<String>| path.clone().filter(|path| !path.is_empty());
        let text = |own: &Option<String>, flag: &str| own.clone().unwrap_or_else(|| flag.to_owned());
        // No request that is answered has more than a head.
        let read = file.server_read_timeout.unwrap_or(serving.server_read_timeout);
        let read_header = file.server_read_header_timeout.unwrap_or(serving.server_read_header_timeout);
        let fixed = Fixed {
            kubeconfig: cluster.kubeconfig().map(ToOwned::to_owned),
            apiserver: cluster.apiserver().map(ToOwned::to_owned),
            semantic: file.scopes(&flags.scopes).list_semantic(),
            object_limit: Some(file.object_limit.unwrap_or(flags.object_limit)).filter(|limit| *limit > 0),
            host: text(&file.host, &serving.host),
            port: file.port.unwrap_or(serving.port),
            telemetry_host: text(&file.telemetry_host, &serving.telemetry_host),
            telemetry_port: file.telemetry_port.unwrap_or(serving.telemetry_port),
            tls_config: named(&file.tls_config).or_else(|| named(&serving.tls_config)).map(PathBuf::from),
            auth_filter: file.auth_filter.unwrap_or(serving.auth_filter),
            gzip: file.enable_gzip_encoding.unwrap_or(serving.enable_gzip_encoding),
            timeouts: Timeouts {
                read_header: read_header.min(read),
                write: file.server_write_timeout.unwrap_or(serving.server_write_timeout),
                idle: file.server_idle_timeout.unwrap_or(serving.server_idle_timeout),
            },
        };
        Ok(Self { cluster, selection, custom, shard, fixed })
    }
}

fn custom(flags: &Flags, file: &OptionsFile) -> Custom {
    let flags = &flags.custom;
    let given = |own: &Option<String>, flag: &Option<String>| {
        own.clone().or_else(|| flag.clone()).filter(|text| !text.trim().is_empty())
    };
    let inline = given(&file.custom_resource_state_config, &flags.custom_resource_state_config);
    let optional = file.continue_without_custom_resource_state_config_file;
    Custom {
        inline: inline.map(|text| (text, file.given("custom-resource-state-config").to_string())),
        file: given(&file.custom_resource_state_config_file, &flags.custom_resource_state_config_file)
            .map(PathBuf::from),
        may_be_missing: optional.unwrap_or(flags.continue_without_custom_resource_state_config_file),
    }
}

impl Fixed {
    /// The flags whose options differ.
    pub(crate) fn differing(&self, other: &Self) -> Vec<&'static str> {
        let differs = [
            ("kubeconfig", self.kubeconfig != other.kubeconfig),
            ("apiserver", self.apiserver != other.apiserver),
            ("use-apiserver-cache", self.semantic != other.semantic),
            ("object-limit", self.object_limit != other.object_limit),
            ("host", self.host != other.host),
            ("port", self.port != other.port),
            ("telemetry-host", self.telemetry_host != other.telemetry_host),
            ("telemetry-port", self.telemetry_port != other.telemetry_port),
            ("tls-config", self.tls_config != other.tls_config),
            ("auth-filter", self.auth_filter != other.auth_filter),
            ("enable-gzip-encoding", self.gzip != other.gzip),
            ("server-read-header-timeout", self.timeouts.read_header != other.timeouts.read_header),
            ("server-write-timeout", self.timeouts.write != other.timeouts.write),
            ("server-idle-timeout", self.timeouts.idle != other.timeouts.idle),
        ];
        differs.into_iter().filter(|(_, differs)| *differs).map(|(flag, _)| flag).collect()
    }
}
