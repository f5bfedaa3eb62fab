//! PersistentVolumes, PersistentVolumeClaims, StorageClasses and VolumeAttachments.

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::{StorageClass, VolumeAttachment};
use serde_json::{Value, json};

use super::{lines, lines_of};

#[test]
fn a_volume_yields_its_samples_with_labels_in_upstreams_order() {
    let volume = json!({
        "metadata": {"name": "pv", "creationTimestamp": "2026-01-01T00:00:00Z",
                     "deletionTimestamp": "2026-01-01T00:00:09Z"},
        "spec": {"capacity": {"storage": "1500m"}, "storageClassName": "fast", "volumeMode": "Block",
                 "persistentVolumeReclaimPolicy": "Retain", "accessModes": ["ReadWriteOnce"],
                 "claimRef": {"namespace": "shop", "name": "data"},
                 "csi": {"driver": "d", "volumeHandle": "h",
                         "volumeAttributes": {"mounter": "rbd", "mapOptions": "krbd:rxbounce", "other": "x"}}},
        "status": {"phase": "Released"},
    });
    let want = r#"
kube_persistentvolume_claim_ref{persistentvolume="pv",name="data",claim_namespace="shop"} 1
kube_persistentvolume_status_phase{persistentvolume="pv",phase="Pending"} 0
kube_persistentvolume_status_phase{persistentvolume="pv",phase="Available"} 0
kube_persistentvolume_status_phase{persistentvolume="pv",phase="Bound"} 0
kube_persistentvolume_status_phase{persistentvolume="pv",phase="Released"} 1
kube_persistentvolume_status_phase{persistentvolume="pv",phase="Failed"} 0
kube_persistentvolume_info{persistentvolume="pv",storageclass="fast",gce_persistent_disk_name="",ebs_volume_id="",azure_disk_name="",fc_wwids="",fc_lun="",fc_target_wwns="",iscsi_target_portal="",iscsi_iqn="",iscsi_lun="",iscsi_initiator_name="",nfs_server="",nfs_path="",csi_driver="d",csi_volume_handle="h",local_path="",local_fs="",host_path="",host_path_type="",reclaim_policy="Retain"} 1
kube_persistentvolume_capacity_bytes{persistentvolume="pv"} 2
kube_persistentvolume_created{persistentvolume="pv"} 1.7672256e+09
kube_persistentvolume_deletion_timestamp{persistentvolume="pv"} 1.767225609e+09
kube_persistentvolume_volume_mode{persistentvolume="pv",volumemode="Block"} 1
kube_persistentvolume_access_mode{persistentvolume="pv",access_mode="ReadWriteOnce"} 1
"#;
    assert_eq!(lines::<PersistentVolume>(&volume), want.trim().lines().collect::<Vec<_>>());
    let attributes = r#"kube_persistentvolume_csi_attributes{persistentvolume="pv",csi_mounter="rbd",csi_map_options="krbd:rxbounce"} 1"#;
    assert_eq!(lines_of::<PersistentVolume>("kube_persistentvolume_csi_attributes", &volume), [attributes]);
}

/// The labels of a volume's info that are not empty.
fn origin(spec: &Value) -> String {
    let volume = json!({"metadata": {"name": "pv"}, "spec": spec});
    let line = lines_of::<PersistentVolume>("kube_persistentvolume_info", &volume).pop().unwrap();
    let labels = line.split_once(',').unwrap().1.rsplit_once("\"}").unwrap().0;
    let told = labels.split("\",").filter(|label| !label.ends_with("=\""));
    told.map(|label| label.replace('"', "")).collect::<Vec<_>>().join(" ")
}

#[test]
fn each_source_of_a_volume_names_its_storage() {
    for (spec, told) in [
        (json!({"gcePersistentDisk": {"pdName": "d"}}), "gce_persistent_disk_name=d"),
        (json!({"awsElasticBlockStore": {"volumeID": "v"}}), "ebs_volume_id=v"),
        (json!({"azureDisk": {"diskName": "d", "diskURI": "u"}}), "azure_disk_name=d"),
        (json!({"fc": {"lun": 0, "targetWWNs": ["a", "b"]}}), "fc_lun=0 fc_target_wwns=a,b"),
        (json!({"fc": {"wwids": ["a", "b"]}}), "fc_wwids=a,b"),
        (
            json!({"iscsi": {"targetPortal": "p", "iqn": "i", "lun": 7}}),
            "iscsi_target_portal=p iscsi_iqn=i iscsi_lun=7",
        ),
        (json!({"nfs": {"server": "s", "path": "/p"}}), "nfs_server=s nfs_path=/p"),
        (json!({"local": {"path": "/p"}}), "local_path=/p"),
        (json!({"hostPath": {"path": "/p", "type": "File"}}), "host_path=/p host_path_type=File"),
        // One of several: the first in upstream's order.
        (
            json!({"hostPath": {"path": "/p"}, "csi": {"driver": "d", "volumeHandle": "h"}}),
            "csi_driver=d csi_volume_handle=h",
        ),
        (json!({"rbd": {"image": "i"}}), ""),
    ] {
        assert_eq!(origin(&spec), told, "{spec}");
    }
}

#[test]
fn a_volume_without_capacity_has_0_bytes_and_one_with_an_unreadable_one_no_sample() {
    let capacity = |capacity: Value| {
        let volume = json!({"metadata": {"name": "pv"}, "spec": {"capacity": capacity}});
        lines_of::<PersistentVolume>("kube_persistentvolume_capacity_bytes", &volume)
    };
    let zero = [r#"kube_persistentvolume_capacity_bytes{persistentvolume="pv"} 0"#];
    assert_eq!(capacity(json!(null)), zero);
    assert_eq!(capacity(json!({"other": "1"})), zero);
    assert!(capacity(json!({"storage": "much"})).is_empty());
}

#[test]
fn a_claim_yields_its_samples_with_labels_in_upstreams_order() {
    let claim = json!({
        "metadata": {"namespace": "shop", "name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1500m"}},
                 "storageClassName": "fast", "volumeName": "pv"},
        "status": {"phase": "Bound", "conditions": [{"type": "Resizing", "status": "True"}]},
    });
    let want = r#"
kube_persistentvolumeclaim_info{namespace="shop",persistentvolumeclaim="data",storageclass="fast",volumename="pv",volumemode=""} 1
kube_persistentvolumeclaim_status_phase{namespace="shop",persistentvolumeclaim="data",phase="Lost"} 0
kube_persistentvolumeclaim_status_phase{namespace="shop",persistentvolumeclaim="data",phase="Bound"} 1
kube_persistentvolumeclaim_status_phase{namespace="shop",persistentvolumeclaim="data",phase="Pending"} 0
kube_persistentvolumeclaim_resource_requests_storage_bytes{namespace="shop",persistentvolumeclaim="data"} 2
kube_persistentvolumeclaim_access_mode{namespace="shop",persistentvolumeclaim="data",access_mode="ReadWriteOnce"} 1
kube_persistentvolumeclaim_status_condition{namespace="shop",persistentvolumeclaim="data",condition="Resizing",status="true"} 1
kube_persistentvolumeclaim_status_condition{namespace="shop",persistentvolumeclaim="data",condition="Resizing",status="false"} 0
kube_persistentvolumeclaim_status_condition{namespace="shop",persistentvolumeclaim="data",condition="Resizing",status="unknown"} 0
"#;
    assert_eq!(lines::<PersistentVolumeClaim>(&claim), want.trim().lines().collect::<Vec<_>>());
}

#[test]
fn the_beta_annotation_names_a_claims_class_before_its_spec() {
    let class = |annotations: Value, class: Value| {
        let metadata = json!({"name": "data", "annotations": annotations});
        let claim = json!({"metadata": metadata, "spec": {"storageClassName": class}});
        let line = lines_of::<PersistentVolumeClaim>("kube_persistentvolumeclaim_info", &claim).pop().unwrap();
        line.split("storageclass=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
    };
    let annotated = |class: &str| json!({"volume.beta.kubernetes.io/storage-class": class});
    assert_eq!(class(annotated("old"), json!("new")), "old");
    assert_eq!(class(annotated(""), json!("new")), "");
    assert_eq!(class(json!({}), json!("new")), "new");
    assert_eq!(class(json!(null), json!(null)), "");
}

#[test]
fn what_no_controller_has_seen_is_in_no_phase_and_an_unknown_phase_is_none_of_the_known() {
    for status in [json!(null), json!({}), json!({"phase": ""})] {
        let object = json!({"metadata": {"name": "a"}, "status": status});
        assert!(lines_of::<PersistentVolume>("kube_persistentvolume_status_phase", &object).is_empty());
        assert!(lines_of::<PersistentVolumeClaim>("kube_persistentvolumeclaim_status_phase", &object).is_empty());
    }
    let object = json!({"metadata": {"name": "a"}, "status": {"phase": "Melting"}});
    let phases = lines_of::<PersistentVolume>("kube_persistentvolume_status_phase", &object);
    assert!(phases.len() == 5 && phases.iter().all(|line| line.ends_with("} 0")), "{phases:?}");
}

#[test]
fn a_storage_class_has_the_apis_defaults() {
    let class = json!({"metadata": {"name": "fast"}, "provisioner": "csi.example.com"});
    let want = r#"kube_storageclass_info{storageclass="fast",provisioner="csi.example.com",reclaim_policy="Delete",volume_binding_mode="Immediate"} 1"#;
    assert_eq!(lines::<StorageClass>(&class), [want]);
}

#[test]
fn an_attachment_shows_all_labels_and_metadata_without_an_allowlist() {
    let attachment = json!({
        "metadata": {"name": "va", "labels": {"app.kubernetes.io/name": "x", "B": "y"}},
        "spec": {"attacher": "a", "nodeName": "n", "source": {"inlineVolumeSpec": {}}},
        "status": {"attached": false, "attachmentMetadata": {"devicePath": "/dev/sdd", "device-path": "other"}},
    });
    let want = r#"
kube_volumeattachment_labels{volumeattachment="va",label_b="y",label_app_kubernetes_io_name="x"} 1
kube_volumeattachment_info{volumeattachment="va",attacher="a",node="n"} 1
kube_volumeattachment_status_attached{volumeattachment="va"} 0
kube_volumeattachment_status_attachment_metadata{volumeattachment="va",metadata_device_path_conflict1="other",metadata_device_path_conflict2="/dev/sdd"} 1
"#;
    assert_eq!(lines::<VolumeAttachment>(&attachment), want.trim().lines().collect::<Vec<_>>());
    let bare = [
        r#"kube_volumeattachment_labels{volumeattachment="va"} 1"#,
        r#"kube_volumeattachment_info{volumeattachment="va",attacher="",node=""} 1"#,
        r#"kube_volumeattachment_status_attached{volumeattachment="va"} 0"#,
        r#"kube_volumeattachment_status_attachment_metadata{volumeattachment="va"} 1"#,
    ];
    assert_eq!(lines::<VolumeAttachment>(&json!({"metadata": {"name": "va"}})), bare);
}
