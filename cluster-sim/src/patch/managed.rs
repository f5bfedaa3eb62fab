//! Who manages which field: the entries of `metadata.managedFields`.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::fields::FieldSet;
use super::schema::Schema;
use crate::object::Object;
use crate::object::strategy::rfc3339;

/// How many managers with updates are told apart; the oldest beyond share one entry, as upstream.
const UPDATE_MANAGERS: usize = 10;
const ANCIENT: &str = "ancient-changes";
/// The manager of what was there before anybody applied.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";
/// The longest manager name.
const NAME_LIMIT: usize = 128;

/// Metadata that nobody owns, since the server writes it or it names the object.
const UNOWNED: [&str; 9] = [
    "f:name",
    "f:namespace",
    "f:uid",
    "f:resourceVersion",
    "f:generation",
    "f:creationTimestamp",
    "f:deletionTimestamp",
    "f:deletionGracePeriodSeconds",
    "f:managedFields",
];

/// How a manager came to own its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Apply,
    Update,
}

/// Somebody who writes.
#[derive(Clone, Debug)]
pub(crate) struct Manager {
    /// The name the client gave itself; needed to apply.
    pub(crate) name: String,
    /// The name for want of one: the program in the user agent.
    agent: String,
    api_version: String,
    subresource: String,
}

/// One entry of `managedFields`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) manager: String,
    pub(crate) operation: Operation,
    pub(crate) api_version: String,
    pub(crate) subresource: String,
    pub(crate) time: String,
    pub(crate) fields: FieldSet,
}

impl Manager {
    pub(crate) fn new(field_manager: &str, user_agent: &str, api_version: &str, subresource: &str) -> Self {
        let agent = user_agent.split('/').next().unwrap_or_default();
        let agent = if agent.is_empty() { "unknown" } else { agent };
        Self {
            name: field_manager.chars().take(NAME_LIMIT).collect(),
            agent: agent.chars().take(NAME_LIMIT).collect(),
            api_version: api_version.to_owned(),
            subresource: subresource.to_owned(),
        }
    }

    fn entry(&self, operation: Operation, fields: FieldSet, now: Timestamp) -> Entry {
        Entry {
            manager: if self.name.is_empty() { self.agent.clone() } else { self.name.clone() },
            operation,
            api_version: self.api_version.clone(),
            subresource: self.subresource.clone(),
            time: rfc3339(now),
            fields,
        }
    }

    /// This manager's entry for what it has applied.
    pub(crate) fn applied(&self, fields: FieldSet, now: Timestamp) -> Entry {
        self.entry(Operation::Apply, fields, now)
    }

    /// Record that an update made `new` out of `old`: what it changed is this manager's, and nobody else's.
    pub(crate) fn track(&self, schema: Schema<'_>, old: &Object, new: &mut Object, now: Timestamp) {
        let mut entries = read(new);
        // Of an object that was written past the API nobody knows who wrote what, until somebody applies.
        let is_create = old.metadata.is_empty();
        if entries.is_empty() && !is_create {
            return;
        }
        let plain = plain(new);
        let changed = owned(FieldSet::changed(&self::plain(old), &plain, schema));
        let own = self.entry(Operation::Update, changed.clone(), now);
        for entry in entries.iter_mut().filter(|entry| !entry.is_same_manager(&own)) {
            entry.fields.subtract(&changed);
        }
        if !changed.is_empty() {
            match entries.iter_mut().find(|entry| entry.is_same_manager(&own)) {
                Some(entry) => {
                    entry.fields.add(&changed);
                    entry.time = own.time;
                }
                None => entries.push(own),
            }
        }
        write(new, entries, &plain, schema);
    }

    /// Record that `object` was created by applying `config`.
    pub(crate) fn record_apply(&self, schema: Schema<'_>, config: &Object, object: &mut Object, now: Timestamp) {
        let fields = owned(FieldSet::named_by(&plain(config), schema));
        let plain = plain(object);
        write(object, vec![self.applied(fields, now)], &plain, schema);
    }
}

impl Entry {
    pub(crate) fn is_same_manager(&self, other: &Self) -> bool {
        self.manager == other.manager && self.operation == other.operation && self.subresource == other.subresource
            // Updates in different versions are different entries; an apply moves to the newest version.
            && (self.operation == Operation::Apply || self.api_version == other.api_version)
    }

    /// As conflicts name a manager.
    pub(crate) fn describe(&self) -> String {
        let subresource = match self.subresource.as_str() {
            "" => String::new(),
            subresource => format!(" with subresource {subresource:?}"),
        };
        let update = match self.operation {
            Operation::Apply => String::new(),
            Operation::Update if self.time.is_empty() => format!(" using {}", self.api_version),
            Operation::Update => format!(" using {} at {}", self.api_version, self.time),
        };
        format!("conflict with {:?}{subresource}{update}", self.manager)
    }

    fn from_json(entry: &Value) -> Option<Self> {
        let text = |field: &str| entry.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        Some(Self {
            manager: text("manager"),
            operation: if text("operation") == "Apply" { Operation::Apply } else { Operation::Update },
            api_version: text("apiVersion"),
            subresource: text("subresource"),
            time: text("time"),
            fields: FieldSet::from_json(entry.get("fieldsV1")?),
        })
    }

    fn to_json(&self) -> Value {
        let mut entry = Map::new();
        let operation = if self.operation == Operation::Apply { "Apply" } else { "Update" };
        for (field, text) in [
            ("manager", self.manager.as_str()),
            ("operation", operation),
            ("apiVersion", &self.api_version),
            ("time", &self.time),
            ("fieldsType", "FieldsV1"),
            ("subresource", &self.subresource),
        ] {
            if !text.is_empty() {
                entry.insert(field.to_owned(), text.into());
            }
        }
        entry.insert("fieldsV1".into(), self.fields.to_json());
        Value::Object(entry)
    }
}

/// The entries of an object.
pub(crate) fn read(object: &Object) -> Vec<Entry> {
    let entries = object.metadata.get("managedFields").and_then(Value::as_array);
    entries.into_iter().flatten().filter_map(Entry::from_json).collect()
}

/// The entries of an object that is applied to; of one nobody is known to have written, everything is somebody's.
pub(crate) fn read_for_apply(object: &Object, schema: Schema<'_>, api_version: &str) -> Vec<Entry> {
    let entries = read(object);
    if !entries.is_empty() {
        return entries;
    }
    vec![Entry {
        manager: BEFORE_FIRST_APPLY.to_owned(),
        operation: Operation::Update,
        api_version: api_version.to_owned(),
        subresource: String::new(),
        time: object.meta("creationTimestamp").to_owned(),
        fields: owned(FieldSet::named_by(&plain(object), schema)),
    }]
}

/// Give an object its entries, without those of fields that it has not got.
pub(crate) fn write(object: &mut Object, mut entries: Vec<Entry>, plain: &Value, schema: Schema<'_>) {
    for entry in &mut entries {
        entry.fields.keep_existing(plain, schema);
    }
    entries.retain(|entry| !entry.fields.is_empty());
    merge_ancient(&mut entries);
    if entries.is_empty() {
        object.metadata.remove("managedFields");
    } else {
        object.set_meta("managedFields", entries.iter().map(Entry::to_json).collect::<Value>());
    }
}

fn merge_ancient(entries: &mut Vec<Entry>) {
    loop {
        let updates = entries.iter().enumerate().filter(|(_, entry)| {
            entry.operation == Operation::Update && entry.subresource.is_empty() && entry.manager != ANCIENT
        });
        let updates: Vec<_> = updates.collect();
        if updates.len() <= UPDATE_MANAGERS {
            return;
        }
        let Some(oldest) = updates.iter().min_by_key(|(_, entry)| entry.time.as_str()).map(|(index, _)| *index) else {
            return;
        };
        let mut old = entries.remove(oldest);
        match entries.iter_mut().find(|entry| entry.manager == ANCIENT && entry.api_version == old.api_version) {
            Some(ancient) => {
                ancient.fields.add(&old.fields);
                ancient.time = old.time;
            }
            None => {
                ANCIENT.clone_into(&mut old.manager);
                entries.push(old);
            }
        }
    }
}

/// An object as fields are told of it: with its metadata, without who manages it.
pub(crate) fn plain(object: &Object) -> Value {
    let mut metadata = object.metadata.clone();
    metadata.remove("managedFields");
    let mut fields = object.rest.clone();
    if !metadata.is_empty() {
        fields.insert("metadata".into(), Value::Object(metadata));
    }
    Value::Object(fields)
}

/// Only what can be owned.
pub(crate) fn owned(mut fields: FieldSet) -> FieldSet {
    for field in UNOWNED {
        fields.remove(&["f:metadata", field]);
    }
    if let Some(metadata) = fields.members.get_mut("f:metadata") {
        metadata.owned = false;
    }
    fields.members.retain(|_, below| !below.is_empty());
    // The object itself is nobody's field.
    fields.owned = false;
    fields
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ROOT: Schema<'_> = Schema::BuiltIn { parent: "", field: "", is_item: false };

    #[expect(clippy::needless_pass_by_value, reason = "json!(…) reads best where it is used")]
    fn config_map(data: Value) -> Object {
        Object::from_value(json!({"metadata": {"name": "a", "uid": "u"}, "data": data})).unwrap().1
    }

    fn manager(name: &str) -> Manager {
        Manager::new(name, "", "v1", "")
    }

    #[test]
    fn an_update_takes_what_it_changes() {
        let mut first = config_map(json!({"x": "1", "y": "1"}));
        manager("one").track(ROOT, &Object::default(), &mut first, Timestamp::UNIX_EPOCH);
        let mut second = config_map(json!({"x": "1", "y": "2"}));
        second.copy_meta("managedFields", &first);
        manager("two").track(ROOT, &first, &mut second, Timestamp::UNIX_EPOCH);
        let fields: Vec<_> = read(&second).into_iter().map(|entry| (entry.manager, entry.fields.to_json())).collect();
        assert_eq!(
            fields,
            [
                ("one".to_owned(), json!({"f:data": {".": {}, "f:x": {}}})),
                ("two".to_owned(), json!({"f:data": {"f:y": {}}}))
            ]
        );
    }

    #[test]
    fn the_agent_stands_in_for_a_name() {
        let mut object = config_map(json!({"x": "1"}));
        let agent = Manager::new("", "kubectl/v1.36 (linux)", "v1", "");
        agent.track(ROOT, &Object::default(), &mut object, Timestamp::UNIX_EPOCH);
        assert_eq!(
            object.metadata["managedFields"],
            json!([{"manager": "kubectl", "operation": "Update", "apiVersion": "v1", "time": "1970-01-01T00:00:00Z",
                "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {".": {}, "f:x": {}}}}])
        );
    }

    #[test]
    fn old_managers_share_an_entry() {
        let mut object = config_map(json!({}));
        manager("0").track(ROOT, &Object::default(), &mut object, Timestamp::UNIX_EPOCH);
        for n in 1..20 {
            let mut next = object.clone();
            next.rest["data"][n.to_string()] = "x".into();
            let at = Timestamp::from_second(n).unwrap();
            manager(&n.to_string()).track(ROOT, &object, &mut next, at);
            object = next;
        }
        let managers: Vec<String> = read(&object).into_iter().map(|entry| entry.manager).collect();
        assert_eq!(managers.len(), UPDATE_MANAGERS + 1);
        assert!(managers.contains(&ANCIENT.to_owned()));
    }
}
