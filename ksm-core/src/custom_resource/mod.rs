//! CustomResourceStateMetrics: families for any kind, described in YAML (feature `custom-resource-state`).
//!
//! The schema, names, labels and values are kube-state-metrics' (v2.20). This part is pure: configuration →
//! [`CustomResourceConfig`], and for a kind that somebody watches, [`ResourceMetrics`], which turns an [`Object`] into
//! samples.
//!
//! # The schema
//!
//! ```yaml
//! kind: CustomResourceStateMetrics
//! spec:
//!   resources:
//!     - groupVersionKind: {group: example.com, version: v1, kind: Foo}  # version and kind: `*` or empty for all
//!       resourcePlural: foos          # where discovery can't tell it
//!       metricNamePrefix: my_foo      # without it kube_customresource; "" for none
//!       commonLabels: {team: web}
//!       labelsFromPath: {name: [metadata, name], "label_*": [metadata, labels]}
//!       errorLogV: 5                  # from 5, faults are logged at trace level, else at debug
//!       metrics:
//!         - name: ready
//!           help: Whether the Foo is ready.
//!           commonLabels: {}          # as of the resource; win over them
//!           labelsFromPath: {}
//!           each:
//!             type: Gauge             # Gauge, StateSet or Info, in any case
//!             gauge:
//!               path: [status, conditions]
//!               valueFrom: [status]
//!               labelsFromPath: {type: [type]}
//! ```
//!
//! | `each` | keys | what it yields |
//! |---|---|---|
//! | `gauge` | `path`, `valueFrom`, `labelsFromPath`, `labelFromKey`, `nilIsZero` | a sample for each element of a list or map, or for the one value; see [`to_number`] |
//! | `stateSet` | `path`, `valueFrom`, `labelsFromPath`, `labelName`, `list` | a sample for each state, 1 for the one that the value is |
//! | `info` | `path`, `labelsFromPath`, `labelFromKey` | 1 with labels; without labels of its own, nothing |
//!
//! Paths are described at [`Path`]. A key of `labelsFromPath` that ends in `*` copies a whole map, with what stands
//! before the `*` as prefix. Labels of `each` win over those of the metric, and these over those of the resource.
//! Every sample has `customresource_group`, `customresource_kind` and `customresource_version`.
//!
//! # Our extensions
//!
//! kube-state-metrics knows none of these:
//!
//! - `aggregate: count`, `sum`, `min` or `max` in `gauge` makes one sample of a list or map: of the numbers that
//!   `valueFrom` or `cel` give for each element. `count` counts the elements for which they give anything but `false`.
//! - `cel: "expression"` in place of `valueFrom` in `gauge` and `stateSet` gives the value by the Common Expression
//!   Language; in `info` it gives a map of labels, or a list of such maps. `self` is the element, `object` the whole
//!   object, `key` the element's key or index. A map at `path` is one element, unless `labelFromKey` is set. A
//!   `timestamp` is a number of Unix seconds, a `duration` one of seconds. Needs the feature `cel`. How much an
//!   expression can cost is told when it is compiled; objects that would take too many steps count as bad values.
//! - Native kinds can be named too; the core group is `group: ""`.
//! - `37.5%` is a number.
//!
//! # What differs on purpose
//!
//! | kube-state-metrics | here |
//! |---|---|
//! | unknown keys are passed by | errors, with line, column and the nearest key |
//! | of two entries for one kind, the later replaces the earlier | they are united; a family in both is an error |
//! | two samples of one family with the same labels are both written | the first is kept, the others are counted |

mod compile;
mod config;
mod element;
mod error;
mod expression;
mod fields;
mod kind;
mod labels;
mod metric;
mod number;
mod object;
mod path;
mod resource;
mod seen;
mod text;
mod walk;

pub use config::{CustomResource, CustomResourceConfig};
pub use error::{ConfigError, ConfigErrors, Place, Problem};
pub use kind::KindPattern;
pub use number::{NumberError, to_number};
pub use object::Object;
pub use path::{Path, PathError};
pub use resource::ResourceMetrics;
