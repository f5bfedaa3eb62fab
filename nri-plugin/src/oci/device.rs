//! Devices, namespaces and network devices.

use std::path::PathBuf;

use oci_spec::runtime as oci;
use oci_spec::runtime::LinuxNamespaceType as Type;

use super::error::ConversionError;
use super::{path, present, text};
use crate::adjust::Namespace;
use crate::api;

fn device_type(field: &'static str, name: &str) -> Result<oci::LinuxDeviceType, ConversionError> {
    name.parse().map_err(|_| ConversionError::Unknown { field, value: name.to_owned() })
}

impl TryFrom<&api::LinuxDevice> for oci::LinuxDevice {
    type Error = ConversionError;

    fn try_from(device: &api::LinuxDevice) -> Result<Self, ConversionError> {
        present("the device", &device.path)?;
        let mut oci = Self::default();
        oci.set_path(PathBuf::from(&device.path))
            .set_typ(device_type("the type of a device", &device.r#type)?)
            .set_major(device.major)
            .set_minor(device.minor)
            .set_file_mode(device.file_mode.map(u32::from))
            .set_uid(device.uid.map(u32::from))
            .set_gid(device.gid.map(u32::from));
        Ok(oci)
    }
}

impl TryFrom<&oci::LinuxDevice> for api::LinuxDevice {
    type Error = ConversionError;

    fn try_from(oci: &oci::LinuxDevice) -> Result<Self, ConversionError> {
        Ok(Self {
            path: path("the path of a device", oci.path())?,
            r#type: oci.typ().as_str().to_owned(),
            major: oci.major(),
            minor: oci.minor(),
            file_mode: oci.file_mode().map(Into::into),
            uid: oci.uid().map(Into::into),
            gid: oci.gid().map(Into::into),
        })
    }
}

impl TryFrom<&api::LinuxDeviceCgroup> for oci::LinuxDeviceCgroup {
    type Error = ConversionError;

    fn try_from(rule: &api::LinuxDeviceCgroup) -> Result<Self, ConversionError> {
        let kind =
            (!rule.r#type.is_empty()).then(|| device_type("the type of a device rule", &rule.r#type)).transpose()?;
        let mut oci = Self::default();
        oci.set_allow(rule.allow)
            .set_typ(kind)
            .set_major(rule.major.map(i64::from))
            .set_minor(rule.minor.map(i64::from))
            .set_access(text(&rule.access));
        Ok(oci)
    }
}

impl From<&oci::LinuxDeviceCgroup> for api::LinuxDeviceCgroup {
    fn from(oci: &oci::LinuxDeviceCgroup) -> Self {
        Self {
            allow: oci.allow(),
            r#type: oci.typ().map_or_else(String::new, |kind| kind.as_str().to_owned()),
            major: oci.major().map(Into::into),
            minor: oci.minor().map(Into::into),
            access: oci.access().clone().unwrap_or_default(),
        }
    }
}

/// By the names of the configuration: those that `oci-spec` prints are the kernel's, such as `mnt`.
pub(super) fn namespace_type(name: &str) -> Result<Type, ConversionError> {
    let unknown = |_| ConversionError::Unknown { field: "a namespace", value: name.to_owned() };
    Ok(match name.parse().map_err(unknown)? {
        Namespace::Cgroup => Type::Cgroup,
        Namespace::Ipc => Type::Ipc,
        Namespace::Mount => Type::Mount,
        Namespace::Network => Type::Network,
        Namespace::Pid => Type::Pid,
        Namespace::Time => Type::Time,
        Namespace::User => Type::User,
        Namespace::Uts => Type::Uts,
    })
}

impl TryFrom<&api::LinuxNamespace> for oci::LinuxNamespace {
    type Error = ConversionError;

    fn try_from(namespace: &api::LinuxNamespace) -> Result<Self, ConversionError> {
        present("the namespace", &namespace.r#type)?;
        let mut oci = Self::default();
        oci.set_typ(namespace_type(&namespace.r#type)?).set_path(text(&namespace.path).map(PathBuf::from));
        Ok(oci)
    }
}

impl TryFrom<&oci::LinuxNamespace> for api::LinuxNamespace {
    type Error = ConversionError;

    fn try_from(oci: &oci::LinuxNamespace) -> Result<Self, ConversionError> {
        let kind = match oci.typ() {
            Type::Cgroup => Namespace::Cgroup,
            Type::Ipc => Namespace::Ipc,
            Type::Mount => Namespace::Mount,
            Type::Network => Namespace::Network,
            Type::Pid => Namespace::Pid,
            Type::Time => Namespace::Time,
            Type::User => Namespace::User,
            Type::Uts => Namespace::Uts,
        };
        let path = oci.path().as_ref().map(|namespace| path("the path of a namespace", namespace)).transpose()?;
        Ok(Self { r#type: kind.into(), path: path.unwrap_or_default() })
    }
}

impl From<&api::LinuxNetDevice> for oci::LinuxNetDevice {
    fn from(device: &api::LinuxNetDevice) -> Self {
        let mut oci = Self::default();
        oci.set_name(text(&device.name));
        oci
    }
}

impl From<&oci::LinuxNetDevice> for api::LinuxNetDevice {
    fn from(oci: &oci::LinuxNetDevice) -> Self {
        Self { name: oci.name().clone().unwrap_or_default() }
    }
}
