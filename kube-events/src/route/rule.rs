//! One rule, ready to judge events.

use super::Rule;
use super::pattern::Pattern;
use crate::event::{EnhancedEvent, StringMap};

/// Text fields of an event, the short ones first: what a rule decides by is mostly one of these.
#[derive(Debug, Clone, Copy)]
enum Field {
    Type,
    Reason,
    Kind,
    Namespace,
    Component,
    ApiVersion,
    Host,
    Message,
}

#[derive(Debug, Clone, Copy)]
enum Map {
    Labels,
    Annotations,
    NamespaceLabels,
}

#[derive(Debug)]
pub(super) struct CompiledRule {
    texts: Vec<(Field, Pattern)>,
    maps: Vec<(Map, Box<str>, Pattern)>,
    min_count: u32,
    /// It has a pattern that is none.
    never: bool,
}

/// A pattern that is none: the field that has it, and why.
pub(super) struct InvalidPattern {
    pub(super) field: String,
    pub(super) problem: String,
}

fn compile(pattern: &str) -> Result<Pattern, String> {
    Pattern::compile(pattern).map_err(|error| {
        let hint = match pattern.strip_prefix('*') {
            Some(rest) => format!(
                "; a leading `*` repeats nothing: for \"anywhere\", leave it out (`{}`)",
                rest.trim_end_matches('*')
            ),
            None => String::new(),
        };
        let problem = match &error {
            regex::Error::CompiledTooBig(_) => "it is too big".to_owned(),
            // The last line of several says what is wrong; those above draw the place.
            other => other.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned(),
        };
        format!("`{}` is no regular expression: {problem}{hint}", pattern.chars().take(200).collect::<String>())
    })
}

impl CompiledRule {
    pub(super) fn of(rule: &Rule) -> (Self, Vec<InvalidPattern>) {
        let mut invalid = Vec::new();
        let mut checked = |field: String, pattern: &str| match compile(pattern) {
            Ok(pattern) => Some(pattern),
            Err(problem) => {
                invalid.push(InvalidPattern { field, problem });
                None
            }
        };
        let texts = [
            (Field::Type, "type", &rule.type_),
            (Field::Reason, "reason", &rule.reason),
            (Field::Kind, "kind", &rule.kind),
            (Field::Namespace, "namespace", &rule.namespace),
            (Field::Component, "component", &rule.component),
            (Field::ApiVersion, "apiVersion", &rule.api_version),
            (Field::Host, "host", &rule.host),
            (Field::Message, "message", &rule.message),
        ];
        let given = texts.into_iter().filter(|(_, _, pattern)| !pattern.is_empty());
        let texts =
            given.filter_map(|(field, name, pattern)| Some((field, checked(name.to_owned(), pattern)?))).collect();
        let maps = [
            (Map::Labels, "labels", &rule.labels),
            (Map::Annotations, "annotations", &rule.annotations),
            (Map::NamespaceLabels, "namespaceLabels", &rule.namespace_labels),
        ];
        let entries =
            maps.into_iter().flat_map(|(map, name, entries)| entries.iter().map(move |entry| (map, name, entry)));
        let maps = entries
            .filter_map(|(map, name, (key, pattern))| {
                Some((map, key.as_str().into(), checked(format!("{name}.{key}"), pattern)?))
            })
            .collect();
        let never = !invalid.is_empty();
        (Self { texts, maps, min_count: rule.min_count, never }, invalid)
    }

    pub(super) fn hits(&self, event: &EnhancedEvent) -> bool {
        !self.never
            && (self.min_count == 0 || event.count() >= self.min_count)
            && self.maps.iter().all(|(map, key, pattern)| {
                map.of(event).and_then(|map| map.get(&**key)).is_some_and(|value| pattern.is_match(value))
            })
            && self.texts.iter().all(|(field, pattern)| pattern.is_match(field.of(event)))
    }
}

impl Field {
    fn of(self, event: &EnhancedEvent) -> &str {
        let event = &*event.event;
        match self {
            Self::Type => &event.type_,
            Self::Reason => &event.reason,
            Self::Kind => &event.involved_object.kind,
            Self::Namespace => &event.metadata.namespace,
            Self::Component => &event.source.component,
            Self::ApiVersion => &event.involved_object.api_version,
            Self::Host => &event.source.host,
            Self::Message => &event.message,
        }
    }
}

impl Map {
    fn of(self, event: &EnhancedEvent) -> Option<&StringMap> {
        match self {
            Self::Labels => Some(&event.object.labels),
            Self::Annotations => Some(&event.object.annotations),
            Self::NamespaceLabels => event.namespace_labels.as_deref(),
        }
    }
}
