//! Objects of any kind, as the JSON that they are.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::{ApiResource, DynamicResourceScope};
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

/// An object of a kind that is known at run time only: whole, as JSON, so that every path reaches into it.
///
/// ```
/// use ksm_core::custom_resource::Object;
///
/// let object: Object = serde_json::from_str(
///     r#"{"apiVersion":"example.com/v1","kind":"Foo","metadata":{"name":"a"},"spec":{"replicas":2}}"#,
/// )?;
/// assert_eq!(object.metadata.name.as_deref(), Some("a"));
/// assert_eq!(object.value["spec"]["replicas"], 2);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// The object's metadata, for the store and for hooks; without managed fields, which stand in `value` only.
    pub metadata: ObjectMeta,
    /// The whole object, metadata included.
    pub value: Value,
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const MANAGED: &str = "managedFields";
        let mut value = Value::deserialize(deserializer)?;
        if !value.is_object() {
            return Err(de::Error::custom("an object is expected"));
        }
        let metadata = match value.get_mut("metadata") {
            None | Some(Value::Null) => ObjectMeta::default(),
            Some(json) => {
                // Managed fields are often most of an object, and no hook wants them typed.
                let managed = json.as_object_mut().and_then(|fields| fields.remove(MANAGED));
                let metadata = ObjectMeta::deserialize(&*json).map_err(de::Error::custom)?;
                if let (Some(fields), Some(managed)) = (json.as_object_mut(), managed) {
                    fields.insert(MANAGED.to_owned(), managed);
                }
                metadata
            }
        };
        Ok(Self { metadata, value })
    }
}

impl kube::Resource for Object {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(dt: &ApiResource) -> Cow<'_, str> {
        dt.kind.as_str().into()
    }

    fn group(dt: &ApiResource) -> Cow<'_, str> {
        dt.group.as_str().into()
    }

    fn version(dt: &ApiResource) -> Cow<'_, str> {
        dt.version.as_str().into()
    }

    fn api_version(dt: &ApiResource) -> Cow<'_, str> {
        dt.api_version.as_str().into()
    }

    fn plural(dt: &ApiResource) -> Cow<'_, str> {
        dt.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn managed_fields_stay_in_the_json_only() {
        let object: Object =
            serde_json::from_str(r#"{"metadata":{"uid":"u","managedFields":[{"manager":"kubectl"}]}}"#).unwrap();
        assert_eq!((object.metadata.uid.as_deref(), &object.metadata.managed_fields), (Some("u"), &None));
        assert_eq!(object.value["metadata"]["managedFields"][0]["manager"], "kubectl");
    }

    #[test]
    fn what_is_no_object_or_has_impossible_metadata_is_an_error() {
        for json in ["[]", "5", "null", r#"{"metadata":5}"#, r#"{"metadata":{"name":{}}}"#] {
            assert!(serde_json::from_str::<Object>(json).is_err(), "{json}");
        }
        assert!(serde_json::from_str::<Object>(r#"{"metadata":null}"#).is_ok());
    }
}
