//! What templates can call: Go's own functions, and those of sprig that layouts use, by their names and with their
//! order of arguments (what is piped comes last).

mod data;
mod text;
mod value;

use minijinja::value::{Rest, Value};
use minijinja::{Environment, Error, ErrorKind};

pub(super) use value::to_json;

use crate::suggest::did_you_mean;

/// What one call may give.
const MAX_BYTES: usize = 256 << 10;
/// How many elements.
const MAX_ELEMENTS: usize = 10_000;

type Outcome = Result<Value, Error>;

/// A function with the least and the most arguments that it takes.
struct Function {
    name: &'static str,
    least: usize,
    most: usize,
    call: fn(&[Value]) -> Outcome,
}

const fn function(name: &'static str, least: usize, most: usize, call: fn(&[Value]) -> Outcome) -> Function {
    Function { name, least, most, call }
}

/// Any number of arguments.
const ANY: usize = usize::MAX;

fn all() -> impl Iterator<Item = &'static Function> {
    text::FUNCTIONS.iter().chain(data::FUNCTIONS)
}

/// Whether there is such a function that takes so many arguments.
pub(super) fn check(name: &str, arguments: usize) -> Result<(), String> {
    let Some(function) = all().find(|function| function.name == name) else {
        let hint = did_you_mean(name, all().map(|function| function.name));
        return Err(format!("there is no function `{name}`{hint}"));
    };
    let Function { least, most, .. } = *function;
    if (least..=most).contains(&arguments) {
        return Ok(());
    }
    let count = match (least, most) {
        (1, 1) => "1 argument".to_owned(),
        (_, ANY) => format!("{least} arguments or more"),
        _ if least == most => format!("{least} arguments"),
        _ => format!("{least} to {most} arguments"),
    };
    Err(format!("`{name}` takes {count}, here are {arguments}"))
}

/// Minijinja's own words, which keep their meaning.
const OWN_FUNCTIONS: [&str; 7] = ["and", "or", "not", "range", "dict", "debug", "namespace"];
const OWN_FILTERS: [&str; 42] = [
    "safe",
    "escape",
    "e",
    "lower",
    "upper",
    "title",
    "capitalize",
    "replace",
    "length",
    "count",
    "dictsort",
    "items",
    "reverse",
    "trim",
    "join",
    "split",
    "lines",
    "default",
    "d",
    "round",
    "abs",
    "int",
    "float",
    "attr",
    "first",
    "last",
    "min",
    "max",
    "sort",
    "list",
    "string",
    "bool",
    "batch",
    "slice",
    "sum",
    "indent",
    "select",
    "reject",
    "unique",
    "map",
    "groupby",
    "format",
];

/// Adds all functions: as `go_upper` for what was translated, and as `upper` (and as filters, which get what is piped
/// first, and hand it on last) for what was written for minijinja.
pub(super) fn add_to(environment: &mut Environment<'_>) {
    for function in all() {
        let Function { name, call, .. } = *function;
        let checked = move |arguments: &[Value]| {
            check(name, arguments.len()).map_err(|problem| Error::new(ErrorKind::InvalidOperation, problem))?;
            call(arguments).and_then(|value| bounded(name, value))
        };
        let plain = move |arguments: Rest<Value>| checked(&arguments);
        environment.add_function(format!("go_{name}"), plain);
        if !OWN_FUNCTIONS.contains(&name) {
            environment.add_function(name, plain);
        }
        if !OWN_FILTERS.contains(&name) {
            environment.add_filter(name, move |piped: Value, arguments: Rest<Value>| {
                let arguments: Vec<Value> = arguments.iter().cloned().chain([piped]).collect();
                checked(&arguments)
            });
        }
    }
    environment.add_filter("tojson", |value: Value| value::go_json(&value, false));
    environment.add_function("go_field", |base: Value, name: String| value::field(&base, &name));
    environment.add_function("go_pairs", |base: Value| value::pairs(&base));
}

fn bounded(name: &str, value: Value) -> Outcome {
    let bytes = value.as_str().map_or(0, str::len);
    if bytes > MAX_BYTES || value.len().is_some_and(|length| bytes == 0 && length > MAX_ELEMENTS) {
        return Err(error(format!("`{name}` gives more than {MAX_BYTES} bytes or {MAX_ELEMENTS} elements")));
    }
    Ok(value)
}

fn error(problem: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidOperation, problem)
}
