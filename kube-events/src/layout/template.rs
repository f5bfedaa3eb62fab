//! One text.

use std::fmt;
use std::io;
use std::sync::{Arc, LazyLock};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior};

use super::{functions, go, scope};
use crate::event::{EnhancedEvent, Event, ObjectMetadata};

/// A template is written by a person.
const MAX_SOURCE_BYTES: usize = 32 << 10;
/// What it may give.
const MAX_OUTPUT_BYTES: usize = 1 << 20;
/// How many steps it may take.
const FUEL: u64 = 50_000;
const NAME: &str = "layout";

/// A text that is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// It can't be put into minijinja's words.
    #[error("the template `{template}` is not understood: {problem}")]
    Go {
        /// Its beginning.
        template: String,
        /// What isn't understood.
        problem: String,
    },
    /// Minijinja doesn't take it.
    #[error("the minijinja template `{template}` is not understood: {problem}")]
    Jinja {
        /// Its beginning.
        template: String,
        /// What isn't understood.
        problem: String,
    },
    /// It is too long.
    #[error("a template of {bytes} bytes is longer than {MAX_SOURCE_BYTES}: shorten it")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
}

/// A template that an event can't be put into.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RenderError {
    /// A function didn't take what the event has, or the template took more than 50,000 steps.
    #[error("the template `{template}` can't be filled in: {source}")]
    Template {
        /// Its beginning.
        template: String,
        /// Why.
        source: minijinja::Error,
    },
    /// It gave too much.
    #[error("the template `{template}` gives more than {MAX_OUTPUT_BYTES} bytes")]
    TooLong {
        /// Its beginning.
        template: String,
    },
}

/// A text that may be a template.
///
/// ```
/// use std::sync::Arc;
/// use kube_events::event::{EnhancedEvent, Event, ObjectMetadata};
/// use kube_events::layout::Template;
///
/// let event = Event { reason: "BackOff".to_owned(), ..Event::default() };
/// let event = EnhancedEvent::new(event, Arc::new(ObjectMetadata::unknown()));
/// assert_eq!(Template::compile("why: {{ .Reason }}")?.render(&event)?, "why: BackOff");
/// assert_eq!(Template::compile("why: {{ event.reason|lower }}")?.render(&event)?, "why: backoff");
/// assert!(Template::compile("why: {{ .Raeson }}").is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Template {
    text: Arc<str>,
    environment: Option<Arc<Environment<'static>>>,
}

impl fmt::Debug for Template {
    /// Without the text, which may hold a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Template").field("is_fixed", &self.is_fixed()).finish_non_exhaustive()
    }
}

static BASE: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    let mut syntax = SyntaxConfig::builder();
    syntax.keep_trailing_newline(true);
    // The default words are valid; if they weren't, a trailing end of line were lost, and no more.
    if let Ok(syntax) = syntax.build() {
        environment.set_syntax(syntax);
    }
    // What an event lacks is empty, as it is to Go.
    environment.set_undefined_behavior(UndefinedBehavior::Lenient);
    environment.set_fuel(Some(FUEL));
    functions::add_to(&mut environment);
    environment
});

/// An event on which a template of minijinja's is tried, so that what it names and isn't there is found early.
static SAMPLE: LazyLock<Value> = LazyLock::new(|| {
    let event = EnhancedEvent::new(Event::default(), Arc::new(ObjectMetadata::unknown()));
    scope::Scope::of(&event)
});

impl Template {
    /// Reads a text.
    pub fn compile(text: &str) -> Result<Self, TemplateError> {
        if text.len() > MAX_SOURCE_BYTES {
            return Err(TemplateError::TooLong { bytes: text.len() });
        }
        let jinja = text.contains("{%") || text.contains("{#") || go::names_event(text);
        let environment = if jinja {
            let problem = |problem: String| TemplateError::Jinja { template: short(text), problem };
            Some(compile(text.to_owned()).and_then(try_out).map_err(problem)?)
        } else if text.contains("{{") {
            let problem = |problem: String| TemplateError::Go { template: short(text), problem };
            Some(go::translate(text).and_then(compile).map_err(problem)?)
        } else {
            None
        };
        Ok(Self { text: text.into(), environment: environment.map(Arc::new) })
    }

    /// Whether it gives the same text for each event.
    pub fn is_fixed(&self) -> bool {
        self.environment.is_none()
    }

    /// The text, if it is the same for each event.
    pub fn fixed(&self) -> Option<&str> {
        self.is_fixed().then_some(&*self.text)
    }

    /// The text of an event.
    pub fn render(&self, event: &EnhancedEvent) -> Result<String, RenderError> {
        if self.is_fixed() { Ok(self.text.to_string()) } else { self.render_scope(&scope::Scope::of(event)) }
    }

    pub(super) fn render_scope(&self, event: &Value) -> Result<String, RenderError> {
        let Some(environment) = &self.environment else { return Ok(self.text.to_string()) };
        let mut out = Bounded::default();
        let failed = |source| RenderError::Template { template: short(&self.text), source };
        let template = environment.get_template(NAME).map_err(failed)?;
        let context: Value = Value::from_pairs([("event", event.clone())]);
        match template.render_captured_to(context, &mut out) {
            _ if out.full => Err(RenderError::TooLong { template: short(&self.text) }),
            Ok(_) => Ok(String::from_utf8_lossy(&out.bytes).into_owned()),
            Err(source) => Err(failed(source)),
        }
    }
}

fn short(text: &str) -> String {
    let short: String = text.chars().take(80).collect();
    if short.len() < text.len() { short + "…" } else { short }
}

fn compile(source: String) -> Result<Environment<'static>, String> {
    let mut environment = BASE.clone();
    environment.add_template_owned(NAME, source).map_err(|error| describe(&error))?;
    Ok(environment)
}

fn try_out(environment: Environment<'static>) -> Result<Environment<'static>, String> {
    let template = environment.get_template(NAME).map_err(|error| describe(&error))?;
    let globals: Vec<&str> = environment.globals().map(|(name, _)| name).chain(["event", "loop", "self"]).collect();
    let mut unknown: Vec<String> = template.undeclared_variables(false).into_iter().collect();
    unknown.retain(|name| !globals.contains(&name.as_str()));
    unknown.sort();
    if let Some(name) = unknown.first() {
        return Err(format!("there is no `{name}`"));
    }
    let context: Value = Value::from_pairs([("event", SAMPLE.clone())]);
    // An empty event may lack what a function needs; names are there or not whatever the event.
    let names =
        [ErrorKind::UnknownFilter, ErrorKind::UnknownTest, ErrorKind::UnknownFunction, ErrorKind::UnknownMethod];
    match template.render_captured_to(context, Bounded::default()) {
        Err(error) if names.contains(&error.kind()) => return Err(describe(&error)),
        Ok(_) | Err(_) => {}
    }
    Ok(environment)
}

fn describe(error: &minijinja::Error) -> String {
    error.detail().map_or_else(|| error.kind().to_string(), |detail| format!("{}: {detail}", error.kind()))
}

/// A buffer that takes so much and no more.
#[derive(Default)]
struct Bounded {
    bytes: Vec<u8>,
    full: bool,
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > MAX_OUTPUT_BYTES {
            self.full = true;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
