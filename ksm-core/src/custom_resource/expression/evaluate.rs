//! Expressions that are compiled once, and evaluated on parts of objects.

use std::collections::HashMap;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use cel::common::types::{CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, CelUInt};
use cel::common::value::Val;
use cel::objects::Key;
use cel::{Context, Env, Program};
use serde_json::Value;

use super::bound::{largest, text_size};
use crate::custom_resource::element::{Bad, Element};
use crate::custom_resource::error::Problem;

/// The longest expression that is read, in bytes.
const MAX_LENGTH: usize = 4096;

/// How deep brackets, choices and signs may stand in each other: the parser recurses as deep before it looks at depth.
const MAX_NESTING: usize = 32;

/// A compiled expression.
pub(in crate::custom_resource) struct Expression {
    program: Program,
    env: Arc<Env>,
    /// The largest data that it is evaluated on; see [`largest`].
    largest: u64,
    reads_object: bool,
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Expression").field("source", &self.program.source_info().source).finish_non_exhaustive()
    }
}

impl Expression {
    pub(in crate::custom_resource) fn compile(text: &str, field: String) -> Result<Self, Problem> {
        let refuse = |message: String| Problem::Expression { field, message };
        if text.len() > MAX_LENGTH {
            return Err(refuse(format!("it has more than {MAX_LENGTH} bytes: make it simpler")));
        }
        if nesting(text) > MAX_NESTING {
            return Err(refuse(format!("it nests deeper than {MAX_NESTING}: make it simpler")));
        }
        let env = Arc::new(Env::stdlib());
        let program = match parse(text, env.clone()) {
            Ok(program) => program,
            Err(message) => return Err(refuse(message)),
        };
        let largest = match largest(program.expression()) {
            Ok(largest) => largest,
            Err(message) => return Err(refuse(message)),
        };
        let reads_object = program.references().has_variable("object");
        Ok(Self { program, env, largest, reads_object })
    }
}

/// What the expressions of one object's walk share: the object, made readable once, by the first that reads it.
pub(in crate::custom_resource) struct Scope<'v> {
    object: &'v Value,
    readable: Option<Readable<'v>>,
}

struct Readable<'v> {
    context: Context<'v, 'v>,
    size: u64,
}

impl<'v> Scope<'v> {
    pub(in crate::custom_resource) fn new(object: &'v Value) -> Self {
        Self { object, readable: None }
    }

    /// The value of an expression, `self` being an element, and `key` its key or index.
    pub(in crate::custom_resource) fn evaluate(
        &mut self,
        expression: &Expression,
        element: &'v Value,
        place: Element<'_>,
    ) -> Result<Value, Bad> {
        let mut size = 1;
        let element = readable(element, &mut size);
        if expression.reads_object {
            let object = self.readable.get_or_insert_with(|| Readable::of(self.object, &expression.env));
            size += object.size;
            check_size(size, expression)?;
            let mut context = object.context.new_inner_scope();
            return run(&mut context, expression, element, place);
        }
        check_size(size, expression)?;
        run(&mut Context::with_env(expression.env.clone()), expression, element, place)
    }
}

impl<'v> Readable<'v> {
    fn of(object: &'v Value, env: &Arc<Env>) -> Self {
        let mut size = 0;
        let object = readable(object, &mut size);
        let mut context = Context::with_env(env.clone());
        context.add_variable_as_val("object", object);
        Self { context, size }
    }
}

fn check_size(size: u64, expression: &Expression) -> Result<(), Bad> {
    if size <= expression.largest {
        return Ok(());
    }
    Err(Bad::Expression(format!(
        "the object is too large for this expression: {size} values, not {}",
        expression.largest
    )))
}

fn run<'v>(
    context: &mut Context<'_, 'v>,
    expression: &Expression,
    element: Box<dyn Val + 'v>,
    place: Element<'_>,
) -> Result<Value, Bad> {
    let key: Box<dyn Val> = match place {
        Element::Whole => Box::new(CelNull),
        Element::Index(index) => Box::new(CelInt::from(i64::try_from(index).unwrap_or(i64::MAX))),
        Element::Key(key) => Box::new(CelString::from(key.to_owned())),
    };
    context.add_variable_as_val("self", element);
    context.add_variable_as_val("key", key);
    match no_panic(|| expression.program.execute(context)) {
        Ok(Ok(value)) => json(&value),
        Ok(Err(error)) => Err(Bad::Expression(error.to_string())),
        Err(()) => Err(Bad::Expression("the evaluation panicked".to_owned())),
    }
}

/// Parses on a thread of its own: the parser takes up to 150 KB of stack per bracket, and a host's threads have 2 MB.
fn parse(text: &str, env: Arc<Env>) -> Result<Program, String> {
    const STACK: usize = 32 << 20;
    let text = text.to_owned();
    let thread = std::thread::Builder::new().name("cel-parser".to_owned()).stack_size(STACK);
    let parser = thread.spawn(move || {
        env.compile(&text).map_err(|errors| {
            let told = errors.errors.iter().map(|error| format!("{}:{}: {}", error.pos.0, error.pos.1, error.msg));
            told.collect::<Vec<_>>().join("; ")
        })
    });
    let parser = parser.map_err(|error| format!("no thread to parse it on: {error}"))?;
    parser.join().unwrap_or_else(|_| Err("it can't be read: the parser panicked".to_owned()))
}

/// How deep a text nests at most, whatever of it stands in quotes.
fn nesting(text: &str) -> usize {
    let (mut open, mut deepest, mut prefixes) = (0_usize, 0, 0);
    for c in text.chars() {
        match c {
            '(' | '[' | '{' => open += 1,
            ')' | ']' | '}' => open = open.saturating_sub(1),
            '?' | '!' | '-' => prefixes += 1,
            _ => {}
        }
        deepest = deepest.max(open);
    }
    deepest.max(prefixes)
}

/// A panic of the interpreter must not cost more than the value that was asked for.
fn no_panic<T>(code: impl FnOnce() -> T) -> Result<T, ()> {
    std::panic::catch_unwind(AssertUnwindSafe(code)).map_err(drop)
}

/// JSON as CEL reads it, texts borrowed; `size` grows by what it holds.
fn readable<'v>(value: &'v Value, size: &mut u64) -> Box<dyn Val + 'v> {
    *size += 1;
    match value {
        Value::Null => Box::new(CelNull),
        Value::Bool(value) => Box::new(CelBool::from(*value)),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(value), _) => Box::new(CelInt::from(value)),
            (None, Some(value)) => Box::new(CelUInt::from(value)),
            (None, None) => Box::new(CelDouble::from(number.as_f64().unwrap_or(f64::NAN))),
        },
        Value::String(text) => {
            *size += text_size(text);
            Box::new(CelString::from(text.as_str()))
        }
        Value::Array(list) => {
            let elements: Vec<_> = list.iter().map(|element| readable(element, size)).collect();
            Box::new(CelList::from(elements))
        }
        Value::Object(map) => {
            let entries = map.iter().map(|(key, value)| (CelMapKey::from(key.as_str()), readable(value, size)));
            Box::new(CelMap::from(entries.collect::<HashMap<_, _>>()))
        }
    }
}

/// A number as JSON. Those that JSON has not become texts, which are read as numbers again.
fn number(value: f64) -> Value {
    if value.is_finite() { value.into() } else { value.to_string().into() }
}

/// What an expression gave, as JSON.
fn json(value: &cel::Value) -> Result<Value, Bad> {
    Ok(match value {
        cel::Value::Null => Value::Null,
        cel::Value::Bool(value) => (*value).into(),
        cel::Value::Int(value) => (*value).into(),
        cel::Value::UInt(value) => (*value).into(),
        cel::Value::Float(value) => number(*value),
        // As everywhere in these metrics: Unix seconds, and seconds.
        cel::Value::Timestamp(time) => number(time.timestamp() as f64 + f64::from(time.timestamp_subsec_nanos()) / 1e9),
        cel::Value::Duration(time) => number(time.num_seconds() as f64 + f64::from(time.subsec_nanos()) / 1e9),
        cel::Value::String(text) => text.as_str().into(),
        cel::Value::List(list) => Value::Array(list.iter().map(json).collect::<Result<_, _>>()?),
        cel::Value::Map(map) => {
            let name = |key: &Key| match key {
                Key::String(text) => text.as_str().to_owned(),
                Key::Int(value) => value.to_string(),
                Key::Uint(value) => value.to_string(),
                Key::Bool(value) => value.to_string(),
            };
            let entries = map.map.iter().map(|(key, value)| Ok((name(key), json(value)?)));
            Value::Object(entries.collect::<Result<_, Bad>>()?)
        }
        other => return Err(Bad::Expression(format!("a {} is no value for a metric", other.type_of()))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn evaluate(text: &str, object: &Value) -> Result<Value, String> {
        let expression = Expression::compile(text, "cel".to_owned()).map_err(|problem| problem.to_string())?;
        let mut scope = Scope::new(object);
        scope.evaluate(&expression, &object["self"], Element::Index(3)).map_err(|bad| bad.to_string())
    }

    #[test]
    fn expressions_read_the_element_its_key_and_the_object() {
        let object = json!({"self": {"a": [1, 2.5, "x", null, true], "b": "text"}, "n": 7});
        for (text, want) in [
            ("self.a[0] + object.n", json!(8)),
            ("self.a[1] * 2.0", json!(5.0)),
            ("key", json!(3)),
            ("self.a.filter(x, x == 'x' || x == true).size()", json!(2)),
            ("has(self.c) ? self.c : null", json!(null)),
            ("{'b': self.b, 'n': string(object.n)}", json!({"b": "text", "n": "7"})),
            ("1.0 / 0.0", json!("inf")),
            ("self.b.matches('^t.*t$')", json!(true)),
        ] {
            assert_eq!(evaluate(text, &object), Ok(want), "{text}");
        }
    }

    #[test]
    fn times_are_unix_seconds_and_spans_are_seconds() {
        let object = json!({"self": {"start": "2026-11-27T10:00:00Z", "end": "2026-11-27T10:01:30.5Z"}});
        for (text, want) in [
            ("timestamp(self.end) - timestamp(self.start)", json!(90.5)),
            ("timestamp(self.start) - timestamp(self.end)", json!(-90.5)),
            ("timestamp(self.start)", json!(1_795_773_600.0)),
            ("timestamp(self.start) + duration('1h')", json!(1_795_777_200.0)),
            ("timestamp(self.end) - timestamp(self.start) > duration('1m')", json!(true)),
            ("timestamp(self.start).getHours()", json!(10)),
        ] {
            assert_eq!(evaluate(text, &object), Ok(want), "{text}");
        }
        assert!(evaluate("timestamp('yesterday')", &object).is_err());
    }

    #[test]
    fn faults_of_expressions_say_where_and_why() {
        let object = json!({"self": {"a": 1}});
        assert!(evaluate("self.", &object).unwrap_err().starts_with("cel: 1:"));
        assert!(evaluate("self.b", &object).unwrap_err().contains('b'));
        assert!(evaluate("self.a / 0", &object).is_err());
        assert!(evaluate("nothing(self)", &object).unwrap_err().contains("nothing"));
        assert!(evaluate(&"1".repeat(5000), &object).unwrap_err().contains("4096"));
        for opening in ["(", "[", "{1:", "!", "-", "true?1:", "self.map(x,"] {
            assert!(evaluate(&opening.repeat(300), &object).unwrap_err().contains("nests deeper"), "{opening}");
        }
        // As deep as is taken, the parser and the interpreter must bear.
        let deep = format!("{}1{}", "(".repeat(MAX_NESTING), ")".repeat(MAX_NESTING));
        assert_eq!(evaluate(&deep, &object), Ok(json!(1)));
        assert_eq!(evaluate(&format!("1{}", " + 1".repeat(30)), &object), Ok(json!(31)));
    }

    #[test]
    fn objects_that_are_too_large_for_an_expression_are_refused() {
        let object = json!({"self": (0..3000).collect::<Vec<_>>()});
        assert_eq!(evaluate("self.all(x, x >= 0)", &object), Ok(json!(true)));
        let error = evaluate("self.all(x, self.exists(y, x == y))", &object).unwrap_err();
        assert!(error.contains("too large"), "{error}");
    }
}
