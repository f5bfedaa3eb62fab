//! What the fields and methods of the Go types are called here.

use crate::suggest::did_you_mean;

/// The type of a value, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Event,
    Meta,
    Involved,
    Reference,
    Source,
    Series,
    Owner,
    Owners,
    /// Of texts.
    Map,
    Time,
    /// A text, a number, a boolean.
    Scalar,
    Any,
}

/// One field: Go's name, ours (empty: the same value, whose type embeds the other), its type.
type Row = (&'static str, &'static str, Type);

const EVENT: &[Row] = &[
    ("Event", "", Type::Event),
    ("ObjectMeta", "metadata", Type::Meta),
    ("ClusterName", "clusterName", Type::Scalar),
    ("InvolvedObject", "involvedObject", Type::Involved),
    ("Reason", "reason", Type::Scalar),
    ("Message", "message", Type::Scalar),
    ("Source", "source", Type::Source),
    ("FirstTimestamp", "firstTimestamp", Type::Time),
    ("LastTimestamp", "lastTimestamp", Type::Time),
    ("Count", "count", Type::Scalar),
    ("Type", "type", Type::Scalar),
    ("EventTime", "eventTime", Type::Time),
    ("Series", "series", Type::Series),
    ("Action", "action", Type::Scalar),
    ("Related", "related", Type::Reference),
    ("ReportingController", "reportingComponent", Type::Scalar),
    ("ReportingInstance", "reportingInstance", Type::Scalar),
    ("GetTimestampMs", "firstSeenMs", Type::Scalar),
    ("GetTimestampISO8601", "firstSeen", Type::Scalar),
    ("DeDot", "deDot", Type::Event),
    // What the type of an event that a watch gives has, and leaves empty.
    ("Kind", "kind", Type::Scalar),
    ("APIVersion", "apiVersion", Type::Scalar),
];

const META: &[Row] = &[
    ("Name", "name", Type::Scalar),
    ("GenerateName", "generateName", Type::Scalar),
    ("Namespace", "namespace", Type::Scalar),
    ("SelfLink", "selfLink", Type::Scalar),
    ("UID", "uid", Type::Scalar),
    ("ResourceVersion", "resourceVersion", Type::Scalar),
    ("Generation", "generation", Type::Scalar),
    ("CreationTimestamp", "creationTimestamp", Type::Time),
    ("Labels", "labels", Type::Map),
    ("Annotations", "annotations", Type::Map),
    ("OwnerReferences", "ownerReferences", Type::Owners),
    ("Finalizers", "finalizers", Type::Any),
];

const REFERENCE: &[Row] = &[
    ("Kind", "kind", Type::Scalar),
    ("Namespace", "namespace", Type::Scalar),
    ("Name", "name", Type::Scalar),
    ("UID", "uid", Type::Scalar),
    ("APIVersion", "apiVersion", Type::Scalar),
    ("ResourceVersion", "resourceVersion", Type::Scalar),
    ("FieldPath", "fieldPath", Type::Scalar),
];

const INVOLVED: &[Row] = &[
    ("ObjectReference", "", Type::Involved),
    ("Labels", "labels", Type::Map),
    ("Annotations", "annotations", Type::Map),
    ("OwnerReferences", "ownerReferences", Type::Owners),
    ("Deleted", "deleted", Type::Scalar),
];

const SOURCE: &[Row] = &[("Component", "component", Type::Scalar), ("Host", "host", Type::Scalar)];

const SERIES: &[Row] = &[("Count", "count", Type::Scalar), ("LastObservedTime", "lastObservedTime", Type::Time)];

const OWNER: &[Row] = &[
    ("APIVersion", "apiVersion", Type::Scalar),
    ("Kind", "kind", Type::Scalar),
    ("Name", "name", Type::Scalar),
    ("UID", "uid", Type::Scalar),
    ("Controller", "controller", Type::Scalar),
    ("BlockOwnerDeletion", "blockOwnerDeletion", Type::Scalar),
];

const TIME: &[Row] = &[
    ("Time", "", Type::Time),
    ("UTC", "", Type::Time),
    ("Local", "", Type::Time),
    ("Unix", "unix", Type::Scalar),
    ("UnixMilli", "unixMilli", Type::Scalar),
    ("UnixNano", "unixNano", Type::Scalar),
    ("IsZero", "isZero", Type::Scalar),
];

/// The expression of a field of an expression.
pub(super) fn field(base: &str, type_: Type, name: &str) -> Result<(String, Type), String> {
    let find = |rows: &'static [Row]| rows.iter().find(|(go, _, _)| *go == name);
    let (own, embedded, through): (_, &[Row], _) = match type_ {
        Type::Event => (EVENT, META, "metadata."),
        Type::Meta => (META, &[], ""),
        Type::Involved => (INVOLVED, REFERENCE, ""),
        Type::Reference => (REFERENCE, &[], ""),
        Type::Source => (SOURCE, &[], ""),
        Type::Series => (SERIES, &[], ""),
        Type::Owner => (OWNER, &[], ""),
        Type::Time => (TIME, &[], ""),
        // A key, as a text of JSON's is one of minijinja's.
        Type::Map => return Ok((format!("{base}[{}]", super::translate::literal(name)), Type::Scalar)),
        Type::Any => return Ok((format!("go_field({base}, {})", super::translate::literal(name)), Type::Any)),
        Type::Owners | Type::Scalar => return Err(format!("`{name}` is asked of a value that has no fields")),
    };
    let row = find(own).map(|row| ("", row)).or_else(|| find(embedded).map(|row| (through, row)));
    match row {
        Some((_, (_, "", type_))) => Ok((base.to_owned(), *type_)),
        Some((through, (_, ours, type_))) => Ok((format!("{base}.{through}{ours}"), *type_)),
        None => {
            let hint = did_you_mean(name, own.iter().chain(embedded).map(|(go, _, _)| *go));
            Err(format!("there is no field `{name}`{hint}"))
        }
    }
}
