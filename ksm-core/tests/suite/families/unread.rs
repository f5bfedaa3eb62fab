//! What a resource calls unread is read by none of its families, and is there to be read.

use ksm_core::families::{BuiltinVisitor, for_each_builtin};
use ksm_core::{Builtin, FamilySet};
use serde_json::{Value, json};

use super::{lines, objects, render};

fn remove(value: &mut Value, path: &[&str]) {
    match (value, path) {
        (Value::Array(items), _) => items.iter_mut().for_each(|item| remove(item, path)),
        (Value::Object(fields), [last]) => {
            fields.remove(*last);
        }
        (Value::Object(fields), [first, rest @ ..]) => {
            if let Some(inner) = fields.get_mut(*first) {
                remove(inner, rest);
            }
        }
        _ => {}
    }
}

struct Removal {
    object: Value,
    compared: usize,
}

impl BuiltinVisitor for Removal {
    fn visit<K: Builtin>(&mut self) {
        if self.object["kind"] != K::kind(&()).as_ref() {
            return;
        }
        let families = FamilySet::all(K::RESOURCE.families.len());
        let whole = render::<K>(&self.object, &families).expect("the object decodes");
        for path in K::RESOURCE.unread {
            remove(&mut self.object, &path.split('.').collect::<Vec<_>>());
        }
        let pruned = render::<K>(&self.object, &families).expect("the pruned object decodes");
        assert_eq!(whole, pruned, "{}", self.object);
        self.compared += 1;
    }
}

/// What each kind yields where its annotations are not decoded, unless it says that its families read them.
struct Annotations {
    object: Value,
    read: usize,
}

impl BuiltinVisitor for Annotations {
    fn visit<K: Builtin>(&mut self) {
        if self.object["kind"] != K::kind(&()).as_ref() {
            return;
        }
        self.object["metadata"]["annotations"] =
            json!({"kubernetes.io/ingress.class": "a", "volume.beta.kubernetes.io/storage-class": "b"});
        let with = lines::<K>(&self.object);
        remove(&mut self.object, &["metadata", "annotations"]);
        let same = with == lines::<K>(&self.object);
        assert_eq!(same, !K::READS_ANNOTATIONS, "{}", self.object);
        self.read += usize::from(!same);
    }
}

#[test]
fn only_kinds_that_say_so_read_annotations() {
    let mut read = 0;
    for object in objects() {
        let mut annotations = Annotations { object, read: 0 };
        for_each_builtin(&mut annotations);
        read += annotations.read;
    }
    assert!(read > 5, "Ingresses and PersistentVolumeClaims: {read}");
}

/// What a kind yields of its metadata alone.
struct Metadata {
    object: Value,
    compared: usize,
}

impl BuiltinVisitor for Metadata {
    fn visit<K: Builtin>(&mut self) {
        if self.object["kind"] == K::kind(&()).as_ref() && K::METADATA_ONLY {
            let families = FamilySet::all(K::RESOURCE.families.len());
            let metadata = json!({"metadata": self.object["metadata"]});
            assert_eq!(render::<K>(&self.object, &families).unwrap(), render::<K>(&metadata, &families).unwrap());
            self.compared += 1;
        }
    }
}

#[test]
fn kinds_whose_metadata_is_all_that_is_read_yield_the_same_without_the_rest() {
    let rest = json!({"data": {"a": "b"}, "binaryData": {"a": "eA=="}, "immutable": true, "rules": [{"verbs": ["get"]}],
                      "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]}});
    let mut compared = 0;
    for mut object in objects() {
        for (field, value) in rest.as_object().unwrap() {
            object[field] = value.clone();
        }
        let mut metadata = Metadata { object, compared: 0 };
        for_each_builtin(&mut metadata);
        compared += metadata.compared;
    }
    assert_eq!(compared, 3, "a ConfigMap, a Role and a ClusterRole");
}

#[test]
fn samples_are_the_same_without_what_is_unread() {
    let mut compared = 0;
    for object in objects() {
        let mut removal = Removal { object, compared: 0 };
        for_each_builtin(&mut removal);
        compared += removal.compared;
    }
    assert!(compared > 130, "objects of our kinds were compared: {compared}");
}

/// `leaf` at a path, each step on the way within a list or not, by the bits of `lists`.
fn wrapped(path: &[&str], lists: u32, leaf: Value) -> Value {
    path.iter().enumerate().rev().fold(leaf, |inner, (step, name)| {
        let object = json!({ *name: inner });
        if step > 0 && lists & (1 << step) != 0 { json!([object]) } else { object }
    })
}

struct PathCheck;

impl BuiltinVisitor for PathCheck {
    fn visit<K: Builtin>(&mut self) {
        let decodes = |object: &Value| K::deserialize(object).is_ok();
        for path in K::RESOURCE.unread {
            let steps: Vec<&str> = path.split('.').collect();
            // A field that the type knows refuses some values; one that it does not know is ignored, whatever it is.
            let is_field = (0..1 << steps.len()).any(|lists| {
                let leaves = [json!(true), json!(1), json!("x"), json!([]), json!({})];
                decodes(&wrapped(&steps, lists, Value::Null))
                    && leaves.iter().any(|leaf| !decodes(&wrapped(&steps, lists, leaf.clone())))
            });
            assert!(is_field, "{}: {path} names no field", K::RESOURCE.name);
        }
        let mut sorted = K::RESOURCE.unread.to_vec();
        sorted.dedup();
        assert_eq!(sorted, K::RESOURCE.unread, "each path once");
        assert!(K::RESOURCE.unread.contains(&"metadata.managedFields"), "{}", K::RESOURCE.name);
    }
}

#[test]
fn unread_paths_name_fields_of_their_kind() {
    for_each_builtin(&mut PathCheck);
}
