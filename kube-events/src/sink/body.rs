//! What of an event is sent.

use std::fmt;

use crate::event::EnhancedEvent;
#[cfg(feature = "layout")]
use crate::layout::{Layout, Template};

use super::EncodeError;

/// The form in which a sink sends an event: its JSON, the JSON that says more, or a layout's.
///
/// ```
/// use std::sync::Arc;
/// use kube_events::event::{EnhancedEvent, Event, ObjectMetadata};
/// use kube_events::sink::Body;
///
/// let event = Event { reason: "Killing".to_owned(), ..Event::default() };
/// let event = EnhancedEvent::new(event, Arc::new(ObjectMetadata::unknown()));
/// let json: serde_json::Value = serde_json::from_slice(&Body::rich().de_dot(true).encode(&event)?)?;
/// assert_eq!(json["involvedObject"]["deletionState"], "unknown");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Body {
    form: Form,
    de_dot: bool,
}

#[derive(Debug, Clone, Default)]
enum Form {
    #[default]
    Json,
    Rich,
    #[cfg(feature = "layout")]
    Layout(Box<Layout>),
}

impl Body {
    /// The JSON of kubernetes-event-exporter: the default.
    pub fn json() -> Self {
        Self::default()
    }

    /// The JSON that says more ([`EnhancedEvent::rich`]).
    pub fn rich() -> Self {
        Self { form: Form::Rich, de_dot: false }
    }

    /// What a layout gives. Feature `layout`.
    #[cfg(feature = "layout")]
    pub fn layout(layout: Layout) -> Self {
        Self { form: Form::Layout(Box::new(layout)), de_dot: false }
    }

    /// Whether dots in the keys of labels and annotations become underscores ([`EnhancedEvent::de_dot`]); not by
    /// default.
    pub fn de_dot(self, de_dot: bool) -> Self {
        Self { de_dot, ..self }
    }

    /// Whether it is the JSON of kubernetes-event-exporter.
    #[cfg(feature = "otlp")]
    pub(crate) fn is_plain(&self) -> bool {
        matches!(self.form, Form::Json)
    }

    /// One line of JSON, without its end.
    pub fn encode(&self, event: &EnhancedEvent) -> Result<Vec<u8>, EncodeError> {
        if self.de_dot { self.form.encode(&event.de_dot()) } else { self.form.encode(event) }
    }
}

impl Form {
    fn encode(&self, event: &EnhancedEvent) -> Result<Vec<u8>, EncodeError> {
        let failed = |error: serde_json::Error| EncodeError(error.into());
        match self {
            Self::Json => serde_json::to_vec(event).map_err(failed),
            Self::Rich => serde_json::to_vec(&event.rich()).map_err(failed),
            #[cfg(feature = "layout")]
            Self::Layout(layout) => {
                let rendered = layout.render(event).map_err(|error| EncodeError(error.into()))?;
                serde_json::to_vec(&rendered).map_err(failed)
            }
        }
    }
}

/// A text for each event, as in a header or a label: fixed, or with the feature `layout` a template.
#[derive(Clone)]
pub struct Text(Kind);

#[derive(Clone)]
enum Kind {
    Fixed(String),
    #[cfg(feature = "layout")]
    Template(Template),
}

impl fmt::Debug for Text {
    /// Without the text, which may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Text").field("is_fixed", &self.as_fixed().is_some()).finish_non_exhaustive()
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(Kind::Fixed(text.to_owned()))
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(Kind::Fixed(text))
    }
}

#[cfg(feature = "layout")]
impl From<Template> for Text {
    fn from(template: Template) -> Self {
        match template.fixed() {
            Some(text) => text.into(),
            None => Self(Kind::Template(template)),
        }
    }
}

impl Text {
    /// The text, if it is the same for each event.
    pub fn as_fixed(&self) -> Option<&str> {
        match &self.0 {
            Kind::Fixed(text) => Some(text),
            #[cfg(feature = "layout")]
            Kind::Template(_) => None,
        }
    }

    /// The text of an event.
    pub fn render(&self, event: &EnhancedEvent) -> Result<String, EncodeError> {
        // Without layouts there is nothing that could depend on it.
        let _ = event;
        match &self.0 {
            Kind::Fixed(text) => Ok(text.clone()),
            #[cfg(feature = "layout")]
            Kind::Template(template) => template.render(event).map_err(|error| EncodeError(error.into())),
        }
    }
}
