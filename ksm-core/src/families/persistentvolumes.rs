//! `persistentvolumes`

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeSpec, PersistentVolumeStatus};

use super::amounts::amount;
use super::{Items, Text, instant, part};
use crate::family::{Family, family_table};
use crate::resource::Resource;
use crate::samples::Samples;
use crate::value::Quantity;

const NAME: &str = "persistentvolumes";
const PHASES: [&str; 5] = ["Pending", "Available", "Bound", "Released", "Failed"];

pub(super) const RESOURCE: Resource<PersistentVolume> = Resource {
    name: NAME,
    families: FAMILIES,
    collect,
    unread: &[
        "metadata.managedFields",
        "spec.azureFile",
        "spec.cephfs",
        "spec.cinder",
        "spec.flexVolume",
        "spec.flocker",
        "spec.glusterfs",
        "spec.iscsi.portals",
        "spec.mountOptions",
        "spec.nodeAffinity",
        "spec.photonPersistentDisk",
        "spec.portworxVolume",
        "spec.quobyte",
        "spec.rbd",
        "spec.scaleIO",
        "spec.storageos",
        "spec.vsphereVolume",
    ],
};

family_table! {
    FAMILIES {
        CLAIM_REF = Family::gauge(
            "kube_persistentvolume_claim_ref", "The PersistentVolumeClaim that the PersistentVolume is bound to.")
            .stable();
        ANNOTATIONS = Family::gauge(
            "kube_persistentvolume_annotations", "Annotations of the PersistentVolume as labels.")
            .needs_annotation_allowlist();
        LABELS = Family::gauge("kube_persistentvolume_labels", "Labels of the PersistentVolume as labels.")
            .stable().needs_label_allowlist();
        STATUS_PHASE = Family::gauge(
            "kube_persistentvolume_status_phase", "The phase of the PersistentVolume: 1 for the one it is in.")
            .stable();
        INFO = Family::gauge(
            "kube_persistentvolume_info",
            "Storage class and reclaim policy of the PersistentVolume, and what its storage is called at its source.")
            .stable();
        CAPACITY_BYTES = Family::gauge(
            "kube_persistentvolume_capacity_bytes", "How much storage the PersistentVolume has, in bytes.").stable();
        CREATED = Family::gauge(
            "kube_persistentvolume_created", "When the PersistentVolume was created, in Unix seconds.");
        DELETION_TIMESTAMP = Family::gauge(
            "kube_persistentvolume_deletion_timestamp", "When the PersistentVolume is to be deleted, in Unix seconds.");
        CSI_ATTRIBUTES = Family::gauge(
            "kube_persistentvolume_csi_attributes", "Mounter and map options that a CSI volume's attributes name.")
            .opt_in();
        VOLUME_MODE = Family::gauge("kube_persistentvolume_volume_mode", "The volume mode of the PersistentVolume.");
        ACCESS_MODE = Family::gauge(
            "kube_persistentvolume_access_mode", "Each access mode of the PersistentVolume.");
    }
}

fn collect(volume: &PersistentVolume, s: &mut Samples<'_>) {
    let meta = &volume.metadata;
    let spec = part::<PersistentVolumeSpec>(&volume.spec);
    let status = part::<PersistentVolumeStatus>(&volume.status);
    s.identity(&[("persistentvolume", meta.name.text())]);
    if let Some(claim) = &spec.claim_ref {
        let labels = [("name", claim.name.text()), ("claim_namespace", claim.namespace.text())];
        s.put_unique(CLAIM_REF, &labels, 1.0);
    }
    s.put_annotations(ANNOTATIONS, meta.annotations.as_ref());
    s.put_labels(LABELS, meta.labels.as_ref());
    // A volume that no controller has seen yet is in no phase.
    if !status.phase.text().is_empty() {
        s.put_states(STATUS_PHASE, "phase", &PHASES, status.phase.text());
    }
    if s.wants(INFO) {
        put_info(s, &spec);
    }
    if s.wants(CAPACITY_BYTES) {
        put_capacity(s, &spec);
    }
    s.put_time(CREATED, &[], instant(meta.creation_timestamp.as_ref()));
    s.put_time(DELETION_TIMESTAMP, &[], instant(meta.deletion_timestamp.as_ref()));
    if let Some(csi) = &spec.csi {
        let attribute = |name| csi.volume_attributes.as_ref().and_then(|all| all.get(name)).map_or("", String::as_str);
        let labels = [("csi_mounter", attribute("mounter")), ("csi_map_options", attribute("mapOptions"))];
        s.put(CSI_ATTRIBUTES, &labels, 1.0);
    }
    s.put(VOLUME_MODE, &[("volumemode", spec.volume_mode.as_deref().unwrap_or("Filesystem"))], 1.0);
    for mode in spec.access_modes.items() {
        s.put(ACCESS_MODE, &[("access_mode", mode)], 1.0);
    }
}

/// A volume that does not say what it holds has 0 bytes, as upstream counts.
fn put_capacity(s: &mut Samples<'_>, spec: &PersistentVolumeSpec) {
    const STORAGE: &str = "storage";

    match spec.capacity.as_ref().filter(|capacity| capacity.contains_key(STORAGE)) {
        None => s.put(CAPACITY_BYTES, &[], 0.0),
        capacity => s.put_some(CAPACITY_BYTES, &[], amount(capacity, STORAGE, NAME).map(Quantity::value)),
    }
}

/// What the storage of a volume is called at its source: the labels of the one source that the volume has are set, all
/// others are empty.
#[derive(Default)]
struct Origin<'a> {
    gce_persistent_disk_name: &'a str,
    ebs_volume_id: &'a str,
    azure_disk_name: &'a str,
    fc_wwids: String,
    fc_lun: Option<i32>,
    fc_target_wwns: String,
    iscsi_target_portal: &'a str,
    iscsi_iqn: &'a str,
    iscsi_lun: Option<i32>,
    iscsi_initiator_name: &'a str,
    nfs_server: &'a str,
    nfs_path: &'a str,
    csi_driver: &'a str,
    csi_volume_handle: &'a str,
    local_path: &'a str,
    local_fs: &'a str,
    host_path: &'a str,
    host_path_type: &'a str,
}

impl<'a> Origin<'a> {
    /// Where a volume has several sources, the first in this order counts, as upstream has it.
    fn of(spec: &'a PersistentVolumeSpec) -> Self {
        let mut origin = Self::default();
        if let Some(disk) = &spec.gce_persistent_disk {
            origin.gce_persistent_disk_name = disk.pd_name.text();
        } else if let Some(disk) = &spec.aws_elastic_block_store {
            origin.ebs_volume_id = disk.volume_id.text();
        } else if let Some(disk) = &spec.azure_disk {
            origin.azure_disk_name = disk.disk_name.text();
        } else if let Some(channel) = &spec.fc {
            origin.fc_lun = channel.lun;
            origin.fc_target_wwns = channel.target_wwns.items().join(",");
            origin.fc_wwids = channel.wwids.items().join(",");
        } else if let Some(iscsi) = &spec.iscsi {
            origin.iscsi_target_portal = iscsi.target_portal.text();
            origin.iscsi_iqn = iscsi.iqn.text();
            origin.iscsi_lun = Some(iscsi.lun);
            origin.iscsi_initiator_name = iscsi.initiator_name.text();
        } else if let Some(nfs) = &spec.nfs {
            origin.nfs_server = nfs.server.text();
            origin.nfs_path = nfs.path.text();
        } else if let Some(csi) = &spec.csi {
            origin.csi_driver = csi.driver.text();
            origin.csi_volume_handle = csi.volume_handle.text();
        } else if let Some(local) = &spec.local {
            origin.local_path = local.path.text();
            origin.local_fs = local.fs_type.text();
        } else if let Some(host) = &spec.host_path {
            origin.host_path = host.path.text();
            origin.host_path_type = host.type_.text();
        }
        origin
    }
}

fn put_info(s: &mut Samples<'_>, spec: &PersistentVolumeSpec) {
    let origin = Origin::of(spec);
    let (mut fc_digits, mut iscsi_digits) = (itoa::Buffer::new(), itoa::Buffer::new());
    let labels = [
        ("storageclass", spec.storage_class_name.text()),
        ("gce_persistent_disk_name", origin.gce_persistent_disk_name),
        ("ebs_volume_id", origin.ebs_volume_id),
        ("azure_disk_name", origin.azure_disk_name),
        ("fc_wwids", &origin.fc_wwids),
        ("fc_lun", origin.fc_lun.map_or("", |lun| fc_digits.format(lun))),
        ("fc_target_wwns", &origin.fc_target_wwns),
        ("iscsi_target_portal", origin.iscsi_target_portal),
        ("iscsi_iqn", origin.iscsi_iqn),
        ("iscsi_lun", origin.iscsi_lun.map_or("", |lun| iscsi_digits.format(lun))),
        ("iscsi_initiator_name", origin.iscsi_initiator_name),
        ("nfs_server", origin.nfs_server),
        ("nfs_path", origin.nfs_path),
        ("csi_driver", origin.csi_driver),
        ("csi_volume_handle", origin.csi_volume_handle),
        ("local_path", origin.local_path),
        ("local_fs", origin.local_fs),
        ("host_path", origin.host_path),
        ("host_path_type", origin.host_path_type),
        ("reclaim_policy", spec.persistent_volume_reclaim_policy.text()),
    ];
    s.put_unique(INFO, &labels, 1.0);
}
