//! Values that ksm-core leaves out (a quantity that does not parse) and says so by a tracing event: caught here, so
//! that they are told with the file and the document that they stand in.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

/// The values that were left out since the last [`take`](Self::take).
#[derive(Debug, Clone, Default)]
pub(crate) struct BadValues(Arc<Mutex<Vec<String>>>);

impl BadValues {
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<S: Subscriber> Layer<S> for BadValues {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() > Level::DEBUG || !event.metadata().target().starts_with("ksm_core") {
            return;
        }
        let mut told = Told::default();
        event.record(&mut told);
        if let Some(text) = told.text() {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(text);
        }
    }
}

#[derive(Debug, Default)]
struct Told {
    field: Option<String>,
    value: Option<String>,
    why: Option<String>,
}

impl Told {
    /// What such an event says; none where it is another one.
    fn text(self) -> Option<String> {
        Some(format!("{}: {:?} left out: {}", self.field?, self.value?, self.why?))
    }
}

impl Visit for Told {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "field" => self.field = Some(value.to_owned()),
            "value" => self.value = Some(value.to_owned()),
            _ => {}
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "why" {
            self.why = Some(format!("{value:?}"));
        }
    }
}
