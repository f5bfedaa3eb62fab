//! `volumeattachments`

use k8s_openapi::api::storage::v1::{VolumeAttachment, VolumeAttachmentSpec, VolumeAttachmentStatus};

use super::{Text, instant, part};
use crate::family::{Family, family_table};
use crate::resource::Resource;
use crate::samples::Samples;

pub(super) const RESOURCE: Resource<VolumeAttachment> = Resource {
    name: "volumeattachments",
    families: FAMILIES,
    collect,
    unread: &["metadata.managedFields", "spec.source.inlineVolumeSpec", "status.attachError", "status.detachError"],
};

family_table! {
    FAMILIES {
        LABELS = Family::gauge("kube_volumeattachment_labels", "Labels of the VolumeAttachment as labels: all of them.");
        INFO = Family::gauge("kube_volumeattachment_info", "Attacher and node of the VolumeAttachment.");
        CREATED = Family::gauge(
            "kube_volumeattachment_created", "When the VolumeAttachment was created, in Unix seconds.");
        SPEC_SOURCE_PERSISTENTVOLUME = Family::gauge(
            "kube_volumeattachment_spec_source_persistentvolume", "The PersistentVolume that is to be attached.");
        STATUS_ATTACHED = Family::gauge("kube_volumeattachment_status_attached", "1 for a volume that is attached.");
        STATUS_ATTACHMENT_METADATA = Family::gauge(
            "kube_volumeattachment_status_attachment_metadata", "What the attacher tells of the volume, as labels.");
    }
}

fn collect(attachment: &VolumeAttachment, s: &mut Samples<'_>) {
    let meta = &attachment.metadata;
    let spec = part::<VolumeAttachmentSpec>(&attachment.spec);
    let status = part::<VolumeAttachmentStatus>(&attachment.status);
    s.identity(&[("volumeattachment", meta.name.text())]);
    s.put_map(LABELS, "label", meta.labels.as_ref(), |_| true);
    s.put(INFO, &[("attacher", spec.attacher.text()), ("node", spec.node_name.text())], 1.0);
    s.put_time(CREATED, &[], instant(meta.creation_timestamp.as_ref()));
    if let Some(volume) = &spec.source.persistent_volume_name {
        s.put_unique(SPEC_SOURCE_PERSISTENTVOLUME, &[("volumename", volume)], 1.0);
    }
    s.put_bool(STATUS_ATTACHED, &[], status.attached);
    s.put_map(STATUS_ATTACHMENT_METADATA, "metadata", status.attachment_metadata.as_ref(), |_| true);
}
