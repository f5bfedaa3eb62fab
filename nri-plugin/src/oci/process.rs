//! What a process has: environment, mounts, hooks, limits, its user.

use std::path::PathBuf;

use oci_spec::runtime as oci;

use super::error::ConversionError;
use super::{list, path, present, refused, text};
use crate::api;

/// `NAME=value`, each parted at its first `=`; one without any has an empty value.
pub fn env_from_oci<T: AsRef<str>>(env: &[T]) -> Vec<api::KeyValue> {
    let pair = |entry: &T| {
        let (key, value) = entry.as_ref().split_once('=').unwrap_or((entry.as_ref(), ""));
        api::KeyValue { key: key.to_owned(), value: value.to_owned() }
    };
    env.iter().map(pair).collect()
}

/// `NAME=value` for each. A removal is an error, and so is a name with a `=`, as it would come back as another.
pub fn env_to_oci(env: &[api::KeyValue]) -> Result<Vec<String>, ConversionError> {
    env.iter().map(variable).collect()
}

pub(super) fn variable(pair: &api::KeyValue) -> Result<String, ConversionError> {
    present("the environment variable", &pair.key)?;
    if pair.key.contains('=') {
        return Err(ConversionError::Unknown { field: "the name of an environment variable", value: pair.key.clone() });
    }
    Ok(format!("{}={}", pair.key, pair.value))
}

impl TryFrom<&api::Mount> for oci::Mount {
    type Error = ConversionError;

    fn try_from(mount: &api::Mount) -> Result<Self, ConversionError> {
        present("the mount", &mount.destination)?;
        let mut oci = Self::default();
        oci.set_destination(PathBuf::from(&mount.destination))
            .set_typ(text(&mount.r#type))
            .set_source(text(&mount.source).map(PathBuf::from))
            .set_options(list(&mount.options));
        Ok(oci)
    }
}

impl TryFrom<&oci::Mount> for api::Mount {
    type Error = ConversionError;

    fn try_from(oci: &oci::Mount) -> Result<Self, ConversionError> {
        let source = oci.source().as_ref().map(|source| path("the source of a mount", source)).transpose()?;
        Ok(Self {
            destination: path("the destination of a mount", oci.destination())?,
            r#type: oci.typ().clone().unwrap_or_default(),
            source: source.unwrap_or_default(),
            options: oci.options().clone().unwrap_or_default(),
        })
    }
}

impl From<&api::Hook> for oci::Hook {
    fn from(hook: &api::Hook) -> Self {
        let mut oci = Self::default();
        oci.set_path(PathBuf::from(&hook.path))
            .set_args(list(&hook.args))
            .set_env(list(&hook.env))
            .set_timeout(hook.timeout.map(i64::from));
        oci
    }
}

impl TryFrom<&oci::Hook> for api::Hook {
    type Error = ConversionError;

    fn try_from(oci: &oci::Hook) -> Result<Self, ConversionError> {
        Ok(Self {
            path: path("the path of a hook", oci.path())?,
            args: oci.args().clone().unwrap_or_default(),
            env: oci.env().clone().unwrap_or_default(),
            timeout: oci.timeout().map(Into::into),
        })
    }
}

impl From<&api::Hooks> for oci::Hooks {
    #[allow(deprecated, reason = "runtimes still run prestart hooks")]
    fn from(hooks: &api::Hooks) -> Self {
        let list = |hooks: &[api::Hook]| (!hooks.is_empty()).then(|| hooks.iter().map(Into::into).collect::<Vec<_>>());
        let mut oci = Self::default();
        oci.set_prestart(list(&hooks.prestart))
            .set_create_runtime(list(&hooks.create_runtime))
            .set_create_container(list(&hooks.create_container))
            .set_start_container(list(&hooks.start_container))
            .set_poststart(list(&hooks.poststart))
            .set_poststop(list(&hooks.poststop));
        oci
    }
}

impl TryFrom<&oci::Hooks> for api::Hooks {
    type Error = ConversionError;

    #[allow(deprecated, reason = "runtimes still run prestart hooks")]
    fn try_from(oci: &oci::Hooks) -> Result<Self, ConversionError> {
        let list = |hooks: &Option<Vec<oci::Hook>>| -> Result<Vec<api::Hook>, ConversionError> {
            hooks.iter().flatten().map(TryInto::try_into).collect()
        };
        Ok(Self {
            prestart: list(oci.prestart())?,
            create_runtime: list(oci.create_runtime())?,
            create_container: list(oci.create_container())?,
            start_container: list(oci.start_container())?,
            poststart: list(oci.poststart())?,
            poststop: list(oci.poststop())?,
        })
    }
}

impl From<&api::User> for oci::User {
    fn from(user: &api::User) -> Self {
        let mut oci = Self::default();
        oci.set_uid(user.uid).set_gid(user.gid).set_additional_gids(list(&user.additional_gids));
        oci
    }
}

impl From<&oci::User> for api::User {
    fn from(oci: &oci::User) -> Self {
        let additional_gids = oci.additional_gids().clone().unwrap_or_default();
        Self { uid: oci.uid(), gid: oci.gid(), additional_gids }
    }
}

impl TryFrom<&api::PosixRlimit> for oci::PosixRlimit {
    type Error = ConversionError;

    fn try_from(limit: &api::PosixRlimit) -> Result<Self, ConversionError> {
        let unknown = |_| ConversionError::Unknown { field: "a resource limit", value: limit.r#type.clone() };
        let kind: oci::PosixRlimitType = limit.r#type.parse().map_err(unknown)?;
        let built = oci::PosixRlimitBuilder::default().typ(kind).hard(limit.hard).soft(limit.soft).build();
        built.map_err(refused("a resource limit"))
    }
}

impl From<&oci::PosixRlimit> for api::PosixRlimit {
    fn from(oci: &oci::PosixRlimit) -> Self {
        Self { r#type: oci.typ().to_string(), hard: oci.hard(), soft: oci.soft() }
    }
}
