//! Seccomp policies, whose names the messages have as texts.

use std::path::PathBuf;
use std::str::FromStr;

use oci_spec::runtime as oci;

use super::error::ConversionError;
use super::{each, path, refused, text};
use crate::api;

fn known<T: FromStr>(field: &'static str, name: &str) -> Result<T, ConversionError> {
    name.parse().map_err(|_| ConversionError::Unknown { field, value: name.to_owned() })
}

impl TryFrom<&api::LinuxSeccomp> for oci::LinuxSeccomp {
    type Error = ConversionError;

    fn try_from(policy: &api::LinuxSeccomp) -> Result<Self, ConversionError> {
        let mut oci = Self::default();
        oci.set_default_action(known("a seccomp action", &policy.default_action)?)
            .set_default_errno_ret(policy.default_errno.map(u32::from))
            .set_architectures(each(&policy.architectures, |name| known("a seccomp architecture", name))?)
            .set_flags(each(&policy.flags, |name| known("a seccomp flag", name))?)
            .set_listener_path(text(&policy.listener_path).map(PathBuf::from))
            .set_listener_metadata(text(&policy.listener_metadata))
            .set_syscalls(each(&policy.syscalls, TryInto::try_into)?);
        Ok(oci)
    }
}

impl TryFrom<&oci::LinuxSeccomp> for api::LinuxSeccomp {
    type Error = ConversionError;

    fn try_from(oci: &oci::LinuxSeccomp) -> Result<Self, ConversionError> {
        let listener = oci.listener_path().as_ref().map(|socket| path("the seccomp listener", socket)).transpose()?;
        Ok(Self {
            default_action: oci.default_action().to_string(),
            default_errno: oci.default_errno_ret().map(Into::into),
            architectures: oci.architectures().iter().flatten().map(ToString::to_string).collect(),
            flags: oci.flags().iter().flatten().map(ToString::to_string).collect(),
            listener_path: listener.unwrap_or_default(),
            listener_metadata: oci.listener_metadata().clone().unwrap_or_default(),
            syscalls: oci.syscalls().iter().flatten().map(TryInto::try_into).collect::<Result<_, _>>()?,
        })
    }
}

impl TryFrom<&api::LinuxSyscall> for oci::LinuxSyscall {
    type Error = ConversionError;

    fn try_from(rule: &api::LinuxSyscall) -> Result<Self, ConversionError> {
        let mut oci = Self::default();
        oci.set_names(rule.names.clone())
            .set_action(known("a seccomp action", &rule.action)?)
            .set_errno_ret(rule.errno_ret.map(u32::from))
            .set_args(each(&rule.args, TryInto::try_into)?);
        Ok(oci)
    }
}

impl TryFrom<&oci::LinuxSyscall> for api::LinuxSyscall {
    type Error = ConversionError;

    fn try_from(oci: &oci::LinuxSyscall) -> Result<Self, ConversionError> {
        Ok(Self {
            names: oci.names().clone(),
            action: oci.action().to_string(),
            errno_ret: oci.errno_ret().map(Into::into),
            args: oci.args().iter().flatten().map(TryInto::try_into).collect::<Result<_, _>>()?,
        })
    }
}

fn index(value: i128) -> ConversionError {
    ConversionError::OutOfRange { field: "the index of a seccomp argument", value, least: 0, most: u32::MAX.into() }
}

impl TryFrom<&api::LinuxSeccompArg> for oci::LinuxSeccompArg {
    type Error = ConversionError;

    fn try_from(condition: &api::LinuxSeccompArg) -> Result<Self, ConversionError> {
        let mut oci = oci::LinuxSeccompArgBuilder::default()
            .index(usize::try_from(condition.index).map_err(|_| index(condition.index.into()))?)
            .value(condition.value)
            .op(known::<oci::LinuxSeccompOperator>("a seccomp operator", &condition.op)?);
        if condition.value_two != 0 {
            oci = oci.value_two(condition.value_two);
        }
        oci.build().map_err(refused("a seccomp argument"))
    }
}

impl TryFrom<&oci::LinuxSeccompArg> for api::LinuxSeccompArg {
    type Error = ConversionError;

    fn try_from(oci: &oci::LinuxSeccompArg) -> Result<Self, ConversionError> {
        // A usize has 64 bits at most.
        let too_large = |_| index(i128::try_from(oci.index()).unwrap_or(i128::MAX));
        Ok(Self {
            index: u32::try_from(oci.index()).map_err(too_large)?,
            value: oci.value(),
            value_two: oci.value_two().unwrap_or_default(),
            op: oci.op().to_string(),
        })
    }
}
