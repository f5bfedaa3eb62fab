//! What an event is sent as: templates and fixed values, nested as JSON is.
//!
//! A text with `{{` is a template. Go's templates, as kubernetes-event-exporter has them, are translated
//! (`{{ .InvolvedObject.Name }}`, `{{ toJson .InvolvedObject.Labels }}`, `if`, `with`, `range`, variables, and the
//! functions of sprig that layouts use); what can't be translated is a problem when the layout is read. A text that
//! has `{%` or `{#`, or names `event` in an action, is a template of [minijinja](https://docs.rs/minijinja)'s, where
//! `event` has the names of the event's JSON, and `timestamp`, `timestampMs`, `firstSeen`, `firstSeenMs`, `total`,
//! `fingerprint`, `namespaceLabels`, `occurrence` besides. Nothing is escaped.

mod dates;
mod functions;
mod go;
mod scope;
mod template;

use std::fmt::{self, Write as _};

use serde_json::{Map, Value};

pub use dates::IndexFormat;
pub use template::{RenderError, Template, TemplateError};

use crate::event::EnhancedEvent;

/// Values within values.
const MAX_DEPTH: usize = 32;

/// A template with its place in a layout.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct LayoutProblem {
    /// Where in the layout: `details.labels[0]`.
    pub path: String,
    /// What, and what to do.
    pub problem: String,
}

/// A layout.
///
/// Keys are fixed; texts are templates, and give texts; other values are fixed. (Kubernetes-event-exporter makes null
/// of a number or a boolean here.)
///
/// ```
/// use std::sync::Arc;
/// use kube_events::event::{EnhancedEvent, Event, ObjectMetadata};
/// use kube_events::layout::Layout;
///
/// let layout = serde_json::json!({"kind": "kube-event", "version": 1, "details": {"why": "{{ .Reason | upper }}"}});
/// let layout = Layout::compile(&layout).map_err(|problems| format!("{problems:?}"))?;
/// let event = Event { reason: "BackOff".to_owned(), ..Event::default() };
/// let event = EnhancedEvent::new(event, Arc::new(ObjectMetadata::unknown()));
/// let want = serde_json::json!({"kind": "kube-event", "version": 1, "details": {"why": "BACKOFF"}});
/// assert_eq!(layout.render(&event)?, want);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Layout(Node);

impl fmt::Debug for Layout {
    /// Without its texts, which may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layout").finish_non_exhaustive()
    }
}

#[derive(Clone)]
enum Node {
    Fixed(Value),
    Template(Box<Template>),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl Layout {
    /// Reads a layout: tells all that is wrong with it.
    pub fn compile(layout: &Value) -> Result<Self, Vec<LayoutProblem>> {
        let mut problems = Vec::new();
        let node = compile(layout, &mut String::new(), 0, &mut problems);
        if problems.is_empty() { Ok(Self(node)) } else { Err(problems) }
    }

    /// The JSON of an event.
    pub fn render(&self, event: &EnhancedEvent) -> Result<Value, RenderError> {
        self.0.render(&scope::Scope::of(event))
    }
}

impl Node {
    fn render(&self, scope: &minijinja::Value) -> Result<Value, RenderError> {
        Ok(match self {
            Self::Fixed(value) => value.clone(),
            Self::Template(template) => Value::String(template.render_scope(scope)?),
            Self::List(nodes) => Value::Array(nodes.iter().map(|node| node.render(scope)).collect::<Result<_, _>>()?),
            Self::Map(nodes) => {
                let entry = |(key, node): &(String, Self)| Ok((key.clone(), node.render(scope)?));
                Value::Object(nodes.iter().map(entry).collect::<Result<Map<_, _>, RenderError>>()?)
            }
        })
    }
}

fn compile(layout: &Value, path: &mut String, depth: usize, problems: &mut Vec<LayoutProblem>) -> Node {
    let before = path.len();
    if depth > MAX_DEPTH {
        problems.push(LayoutProblem { path: path.clone(), problem: format!("nested more than {MAX_DEPTH} times") });
        return Node::Fixed(Value::Null);
    }
    match layout {
        Value::String(text) => match Template::compile(text) {
            Ok(template) if template.is_fixed() => Node::Fixed(layout.clone()),
            Ok(template) => Node::Template(Box::new(template)),
            Err(error) => {
                problems.push(LayoutProblem { path: path.clone(), problem: error.to_string() });
                Node::Fixed(Value::Null)
            }
        },
        Value::Array(list) => {
            let mut nodes = Vec::with_capacity(list.len());
            for (at, value) in list.iter().enumerate() {
                // A String takes any text.
                let _ = write!(path, "[{at}]");
                nodes.push(compile(value, path, depth + 1, problems));
                path.truncate(before);
            }
            Node::List(nodes)
        }
        Value::Object(map) => {
            let mut nodes = Vec::with_capacity(map.len());
            for (key, value) in map {
                if before > 0 {
                    path.push('.');
                }
                path.push_str(key);
                nodes.push((key.clone(), compile(value, path, depth + 1, problems)));
                path.truncate(before);
            }
            Node::Map(nodes)
        }
        other => Node::Fixed(other.clone()),
    }
}
