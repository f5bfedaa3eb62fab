//! The tree in minijinja's words.
//!
//! `.` is a variable of its own in each block (`event` outside of all), and variables are attributes of one namespace:
//! so they can be set within loops. Each text outside of actions becomes a literal, so that nothing in it is taken for
//! an action of minijinja's.

use std::fmt::Write as _;

use super::parse::{Base, Node, Operand, Pipeline, parse};
use super::schema::{Type, field};
use crate::layout::functions;

/// What the translation of a template says.
pub(in crate::layout) fn translate(text: &str) -> Result<String, String> {
    let nodes = parse(text)?;
    let mut translator = Translator { out: String::new(), scope: Vec::new(), blocks: 0, variables: 0 };
    let root = Dot { name: "event".to_owned(), type_: Type::Event };
    translator.nodes(&nodes, &root)?;
    let namespace = if translator.variables > 0 { "{% set ns = namespace() %}" } else { "" };
    Ok(format!("{namespace}{}", translator.out))
}

/// A text as minijinja writes one: as JSON does.
pub(super) fn literal(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[derive(Clone)]
struct Dot {
    name: String,
    type_: Type,
}

type Typed = (String, Type);

struct Translator {
    out: String,
    /// Go's name, and ours with its type.
    scope: Vec<(String, Typed)>,
    blocks: usize,
    variables: usize,
}

impl Translator {
    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        // A String takes any text.
        let _ = self.out.write_fmt(text);
    }

    fn nodes(&mut self, nodes: &[Node], dot: &Dot) -> Result<(), String> {
        let before = self.scope.len();
        for node in nodes {
            self.node(node, dot)?;
        }
        self.scope.truncate(before);
        Ok(())
    }

    fn node(&mut self, node: &Node, dot: &Dot) -> Result<(), String> {
        let before = self.scope.len();
        match node {
            Node::Text(text) => self.put(format_args!("{{{{ {} }}}}", literal(text))),
            Node::Print(pipeline) => {
                let value = self.pipeline(pipeline, dot)?;
                if pipeline.variables.is_empty() {
                    self.put(format_args!("{{{{ go_print({}) }}}}", value.0));
                } else {
                    // It lives to the end of the block that it stands in.
                    return self.set(pipeline, &value);
                }
            }
            Node::If(head, body, other) => {
                let value = self.head(head, dot)?;
                self.put(format_args!("{{% if {} %}}", value.0));
                self.nodes(body, dot)?;
                self.other(other, dot)?;
                self.put(format_args!("{{% endif %}}"));
            }
            Node::With(head, body, other) => {
                let (value, type_) = self.head(head, dot)?;
                let inner = self.dot(type_);
                self.put(format_args!("{{% with {} = {value} %}}{{% if {} %}}", inner.name, inner.name));
                self.nodes(body, &inner)?;
                self.other(other, dot)?;
                self.put(format_args!("{{% endif %}}{{% endwith %}}"));
            }
            Node::Range(head, body, other) => {
                let (value, type_) = self.pipeline(head, dot)?;
                let element = match type_ {
                    Type::Owners => Type::Owner,
                    Type::Map => Type::Scalar,
                    Type::Any => Type::Any,
                    _ => return Err("`range` is over a value that has no elements".to_owned()),
                };
                let inner = self.dot(element);
                let key = format!("k{}", self.blocks);
                self.put(format_args!("{{% for {key}, {} in go_pairs({value}) %}}", inner.name));
                let values = [(key, Type::Scalar), (inner.name.clone(), element)];
                // One variable is the element, two are key and element.
                let values = values.iter().skip(2_usize.saturating_sub(head.variables.len()));
                for (name, value) in head.variables.iter().zip(values) {
                    self.set_one(name, value, head.declares)?;
                }
                self.nodes(body, &inner)?;
                self.scope.truncate(before);
                self.other(other, dot)?;
                self.put(format_args!("{{% endfor %}}"));
            }
        }
        self.scope.truncate(before);
        Ok(())
    }

    fn other(&mut self, nodes: &[Node], dot: &Dot) -> Result<(), String> {
        if nodes.is_empty() {
            return Ok(());
        }
        self.put(format_args!("{{% else %}}"));
        self.nodes(nodes, dot)
    }

    fn dot(&mut self, type_: Type) -> Dot {
        self.blocks += 1;
        Dot { name: format!("d{}", self.blocks), type_ }
    }

    /// What a block asks; its variables are set before it.
    fn head(&mut self, head: &Pipeline, dot: &Dot) -> Result<Typed, String> {
        let value = self.pipeline(head, dot)?;
        if head.variables.is_empty() {
            return Ok(value);
        }
        self.set(head, &value)?;
        let variable = head.variables.first().and_then(|name| self.variable(name));
        Ok(variable.unwrap_or(value))
    }

    fn set(&mut self, pipeline: &Pipeline, value: &Typed) -> Result<(), String> {
        pipeline.variables.iter().try_for_each(|name| self.set_one(name, value, pipeline.declares))
    }

    fn set_one(&mut self, name: &str, value: &Typed, declares: bool) -> Result<(), String> {
        let target = if declares {
            self.variables += 1;
            let target = format!("ns.v{}", self.variables);
            self.scope.push((name.to_owned(), (target.clone(), value.1)));
            target
        } else {
            let known = self.scope.iter_mut().rev().find(|(known, _)| known == name);
            let (_, (target, type_)) = known.ok_or_else(|| format!("there is no variable `${name}`"))?;
            if *type_ != value.1 {
                *type_ = Type::Any;
            }
            target.clone()
        };
        self.put(format_args!("{{% set {target} = {} %}}", value.0));
        Ok(())
    }

    fn variable(&self, name: &str) -> Option<Typed> {
        let known = self.scope.iter().rev().find(|(known, _)| known == name);
        known.map(|(_, typed)| typed.clone())
    }

    fn pipeline(&self, pipeline: &Pipeline, dot: &Dot) -> Result<Typed, String> {
        let mut piped = None;
        for command in &pipeline.commands {
            piped = Some(self.command(command, piped, dot)?);
        }
        piped.ok_or_else(|| "a value is missing".to_owned())
    }

    fn command(&self, operands: &[Operand], piped: Option<Typed>, dot: &Dot) -> Result<Typed, String> {
        let (first, rest) = operands.split_first().ok_or("a value is missing")?;
        let rest = rest.iter().map(|operand| self.operand(operand, dot)).collect::<Result<Vec<_>, _>>()?;
        let arguments: Vec<Typed> = rest.into_iter().chain(piped).collect();
        if let (Base::Function(name), []) = (&first.base, &*first.fields) {
            return call(name, &arguments);
        }
        // The one method that has an argument.
        if let Some((last, fields)) = first.fields.split_last().filter(|(last, _)| *last == "Format") {
            let (base, type_) = self.fields(&first.base, fields, dot)?;
            return match (type_, arguments.as_slice()) {
                (Type::Time, [(layout, _)]) => Ok((format!("go_date({layout}, {base})"), Type::Scalar)),
                _ => Err(format!("`{last}` is asked of no time, or without a layout")),
            };
        }
        if arguments.is_empty() {
            self.operand(first, dot)
        } else {
            Err("what is no function has arguments".to_owned())
        }
    }

    fn operand(&self, operand: &Operand, dot: &Dot) -> Result<Typed, String> {
        self.fields(&operand.base, &operand.fields, dot)
    }

    fn fields(&self, base: &Base, fields: &[String], dot: &Dot) -> Result<Typed, String> {
        let base = match base {
            Base::Dot => (dot.name.clone(), dot.type_),
            Base::Variable(name) if name.is_empty() => ("event".to_owned(), Type::Event),
            Base::Variable(name) => self.variable(name).ok_or_else(|| format!("there is no variable `${name}`"))?,
            Base::Function(name) => call(name, &[])?,
            Base::Text(text) => (literal(text), Type::Scalar),
            Base::Int(number) if *number < 0 => (format!("({number})"), Type::Scalar),
            Base::Int(number) => (number.to_string(), Type::Scalar),
            Base::Float(number) => (format!("({number:?})"), Type::Scalar),
            Base::Bool(value) => (value.to_string(), Type::Scalar),
            Base::Nil => ("none".to_owned(), Type::Any),
            Base::Pipeline(pipeline) => {
                let (value, type_) = self.pipeline(pipeline, dot)?;
                (format!("({value})"), type_)
            }
        };
        fields.iter().try_fold(base, |(base, type_), name| field(&base, type_, name))
    }
}

fn call(name: &str, arguments: &[Typed]) -> Result<Typed, String> {
    functions::check(name, arguments.len())?;
    let type_ = match (name, arguments.first().map(|(_, type_)| *type_)) {
        ("index" | "first" | "last", Some(Type::Owners)) => Type::Owner,
        _ => Type::Any,
    };
    let arguments: Vec<&str> = arguments.iter().map(|(value, _)| value.as_str()).collect();
    Ok((format!("go_{name}({})", arguments.join(", ")), type_))
}

#[cfg(test)]
mod tests {
    use super::translate;

    #[test]
    fn words() {
        let table = [
            ("", ""),
            ("a{%b", r#"{{ "a{%b" }}"#),
            ("{{ .Message }}", "{{ go_print(event.message) }}"),
            ("{{.InvolvedObject.Labels.app}}", r#"{{ go_print(event.involvedObject.labels["app"]) }}"#),
            ("{{ .Name | upper }}", "{{ go_print(go_upper(event.metadata.name)) }}"),
            (
                "{{ with .InvolvedObject }}{{ .Name }}{{ $.Name }}{{ end }}",
                "{% with d1 = event.involvedObject %}{% if d1 %}{{ go_print(d1.name) }}{{ go_print(event.metadata.name) }}\
                 {% endif %}{% endwith %}",
            ),
            (
                "{{ $x := .Count }}{{ $x }}",
                "{% set ns = namespace() %}{% set ns.v1 = event.count %}{{ go_print(ns.v1) }}",
            ),
        ];
        for (go, want) in table {
            assert_eq!(translate(go).as_deref(), Ok(want), "{go}");
        }
    }

    #[test]
    fn what_is_not_translated_is_told() {
        let table = [
            ("{{ .Mesage }}", "there is no field `Mesage`; did you mean `Message`?"),
            ("{{ .InvolvedObject.Nam }}", "did you mean `Name`"),
            ("{{ .Message.Foo }}", "has no fields"),
            ("{{ uper .Message }}", "there is no function `uper`; did you mean `upper`?"),
            ("{{ upper }}", "`upper` takes 1 argument, here are 0"),
            ("{{ upper .Message .Reason }}", "`upper` takes 1 argument, here are 2"),
            ("{{ .Message", "no end"),
            ("{{ }}", "empty"),
            ("{{ if .Message }}", "`if` has no `end`"),
            ("{{ end }}", "ends nothing"),
            ("{{ else }}", "belongs to nothing"),
            ("{{ template \"x\" }}", "not translated"),
            ("{{ $x }}", "no variable `$x`"),
            ("{{ if true }}{{ $x := 1 }}{{ end }}{{ $x }}", "no variable `$x`"),
            ("{{ (.Message }}", "not closed"),
            ("{{ .Message) }}", "closes nothing"),
            ("{{ .Message .Reason }}", "no function has arguments"),
            ("{{ \"a }}", "text has no end"),
            ("{{ range .Message }}{{ end }}", "no elements"),
            ("{{ .Message | }}", "missing"),
            ("{{ env \"HOME\" }}", "no function `env`"),
        ];
        for (go, want) in table {
            let error = translate(go).unwrap_err();
            assert!(error.contains(want), "{go}: {error}");
        }
        assert!(translate(&format!("{{{{ {}1 }}}}", "(".repeat(10_000))).is_err());
        assert!(translate(&"{{ if true }}".repeat(10_000)).is_err());
    }
}
