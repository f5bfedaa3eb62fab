//! A stored object: its JSON, serialised once, and the few facts that lists and watches need without decoding it.

use serde_json::Value;

use crate::object::Object;
use crate::object::shard::fnv1a;
use crate::resource::{EVENTS_GROUP, GroupResource, Resource};

/// A stored object at one version. Cheap to share, never changed.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) key: Box<str>,
    pub(crate) version: u64,
    /// Everything after `{"kind":…,"apiVersion":…,`: the metadata first, then the other fields, then `}`. What the
    /// head says depends on the version and form a client asks for.
    body: Box<[u8]>,
    /// The length of the metadata's own JSON within `body`.
    metadata_len: usize,
    /// `key NUL value NUL`, repeated.
    labels: Box<str>,
    /// The values of the resource's selectable fields, in its order, each followed by NUL.
    fields: Box<str>,
    /// The uids of the owners, each followed by NUL.
    owners: Box<str>,
    /// What shard selectors look at.
    uid_hash: u64,
}

const METADATA: &str = r#""metadata":"#;

impl Entry {
    /// Serialise `object` as version `version` of the object `key`.
    pub(crate) fn new(resource: &Resource, key: &str, mut object: Object, version: u64) -> Self {
        object.set_meta("resourceVersion", version.to_string());
        let (body, metadata_len) = serialise(&object);
        let uid_hash = fnv1a(object.meta("uid"));
        let mut labels = String::new();
        for (name, value) in object.entries("labels") {
            labels.push_str(name);
            labels.push('\0');
            labels.push_str(value);
            labels.push('\0');
        }
        let mut fields = String::new();
        for field in &resource.fields {
            match object.pointer(&field.pointer) {
                Some(Value::String(text)) => fields.push_str(text),
                Some(value) if !value.is_null() => fields.push_str(&value.to_string()),
                _ => fields.push_str(&field.absent),
            }
            fields.push('\0');
        }
        let mut owners = String::new();
        for uid in object.owner_uids() {
            owners.push_str(uid);
            owners.push('\0');
        }
        Self {
            key: key.into(),
            version,
            body,
            metadata_len,
            labels: labels.into_boxed_str(),
            fields: fields.into_boxed_str(),
            owners: owners.into_boxed_str(),
            uid_hash,
        }
    }

    /// The same object as it is told when it leaves a watch at `version`.
    pub(crate) fn reissued(&self, version: u64) -> Self {
        let mut object = self.object();
        object.set_meta("resourceVersion", version.to_string());
        let (body, metadata_len) = serialise(&object);
        Self {
            key: self.key.clone(),
            version,
            body,
            metadata_len,
            labels: self.labels.clone(),
            fields: self.fields.clone(),
            owners: self.owners.clone(),
            uid_hash: self.uid_hash,
        }
    }

    /// The namespace within the key; empty for cluster-scoped objects.
    pub(crate) fn namespace(&self) -> &str {
        self.key.split_once('/').map_or("", |(namespace, _)| namespace)
    }

    pub(crate) fn name(&self) -> &str {
        self.key.split_once('/').map_or(&*self.key, |(_, name)| name)
    }

    pub(crate) fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut parts = self.labels.split('\0');
        std::iter::from_fn(move || {
            let key = parts.next()?;
            Some((key, parts.next()?))
        })
    }

    /// The value of the resource's selectable field number `index`.
    pub(crate) fn field(&self, index: usize) -> &str {
        self.fields.split('\0').nth(index).unwrap_or_default()
    }

    /// The FNV-1a hash of the uid.
    pub(crate) fn uid_hash(&self) -> u64 {
        self.uid_hash
    }

    /// The uids of the owners.
    pub(crate) fn owners(&self) -> impl Iterator<Item = &str> {
        self.owners.split_terminator('\0')
    }

    /// Decode the object. What the store serialised itself decodes; anything else would be an empty object.
    pub(crate) fn object(&self) -> Object {
        let mut text = Vec::with_capacity(self.body.len() + 1);
        text.push(b'{');
        text.extend_from_slice(&self.body);
        let fields = serde_json::from_slice(&text).unwrap_or_default();
        Object::from_fields(fields).map(|(_, object)| object).unwrap_or_default()
    }

    /// The size of the object's JSON in bytes, without its head.
    pub(crate) fn len(&self) -> usize {
        self.body.len()
    }

    /// Append the object to `out` as `form` wants it.
    pub(crate) fn write(&self, form: &Form, out: &mut Vec<u8>) {
        if form.renames_fields {
            let object = crate::object::events::to_events_group(self.object());
            out.extend_from_slice(&form.head);
            out.extend_from_slice(&serialise(&object).0);
            return;
        }
        out.extend_from_slice(&form.head);
        if form.metadata_only {
            let end = METADATA.len() + self.metadata_len;
            out.extend_from_slice(self.body.get(..end).unwrap_or_default());
            out.push(b'}');
        } else {
            out.extend_from_slice(&self.body);
        }
    }
}

/// The body of an object, and the length of its metadata.
fn serialise(object: &Object) -> (Box<[u8]>, usize) {
    let mut body = METADATA.as_bytes().to_vec();
    append(&mut body, &object.metadata);
    let metadata_len = body.len() - METADATA.len();
    for (field, value) in &object.rest {
        body.push(b',');
        append(&mut body, field);
        body.push(b':');
        append(&mut body, value);
    }
    body.push(b'}');
    (body.into_boxed_slice(), metadata_len)
}

/// Append JSON. Values of strings, numbers and maps with string keys always serialise into memory.
fn append(out: &mut Vec<u8>, value: &impl serde::Serialize) {
    let written = serde_json::to_writer(&mut *out, value);
    debug_assert!(written.is_ok(), "JSON values serialise into memory");
}

/// How objects of one request are written: whole or metadata only, with which `apiVersion` and `kind`.
#[derive(Clone, Debug)]
pub(crate) struct Form {
    /// `{` and the `kind` and `apiVersion` members, if any, up to the next member.
    head: Vec<u8>,
    pub(crate) metadata_only: bool,
    /// The objects' fields have other names in this version (events.k8s.io).
    renames_fields: bool,
}

impl Form {
    /// An object as a get or a watch event shows it.
    pub(crate) fn single(resource: &Resource, version: &str, metadata_only: bool) -> Self {
        let (api_version, kind) = if metadata_only {
            (METADATA_VERSION.to_owned(), "PartialObjectMetadata".to_owned())
        } else {
            (resource.api_version(version), resource.kind.clone())
        };
        Self {
            head: format!(r#"{{"kind":{},"apiVersion":{},"#, Value::from(kind), Value::from(api_version)).into_bytes(),
            metadata_only,
            renames_fields: renames_fields(&resource.id) && !metadata_only,
        }
    }

    /// An object within a list. Like upstream, items of built-in kinds don't repeat what the list's kind says.
    pub(crate) fn item(resource: &Resource, version: &str, metadata_only: bool) -> Self {
        let mut form = Self::single(resource, version, metadata_only);
        if !resource.custom && !metadata_only {
            form.head = b"{".to_vec();
        }
        form
    }
}

fn renames_fields(id: &GroupResource) -> bool {
    id.group == EVENTS_GROUP
}

/// The `apiVersion` of metadata-only objects and lists.
pub(crate) const METADATA_VERSION: &str = "meta.k8s.io/v1";
