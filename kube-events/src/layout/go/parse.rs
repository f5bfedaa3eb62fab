//! Actions as a tree.

use super::lex::{Part, Token, split};

/// Brackets within brackets, blocks within blocks.
const MAX_DEPTH: usize = 32;

#[derive(Debug)]
pub(super) enum Node {
    Text(String),
    Print(Pipeline),
    If(Pipeline, Vec<Node>, Vec<Node>),
    With(Pipeline, Vec<Node>, Vec<Node>),
    Range(Pipeline, Vec<Node>, Vec<Node>),
}

#[derive(Debug)]
pub(super) struct Pipeline {
    pub(super) variables: Vec<String>,
    /// `:=` rather than `=`.
    pub(super) declares: bool,
    pub(super) commands: Vec<Vec<Operand>>,
}

/// A value and the fields of it.
#[derive(Debug)]
pub(super) struct Operand {
    pub(super) base: Base,
    pub(super) fields: Vec<String>,
}

#[derive(Debug)]
pub(super) enum Base {
    Dot,
    Variable(String),
    Function(String),
    Text(String),
    Int(i64),
    Float(f64),
    Bool(bool),
    Nil,
    Pipeline(Pipeline),
}

/// What ends a list of nodes.
#[derive(Debug, PartialEq)]
enum Stop {
    Eof,
    Closed,
    Else(Vec<Token>),
}

pub(super) fn parse(text: &str) -> Result<Vec<Node>, String> {
    let parts = split(text)?;
    let mut parts = parts.into_iter();
    match list(&mut parts, 0)? {
        (nodes, Stop::Eof) => Ok(nodes),
        (_, Stop::Closed) => Err("`end` ends nothing".to_owned()),
        (_, Stop::Else(_)) => Err("`else` belongs to nothing".to_owned()),
    }
}

type Parts = std::vec::IntoIter<Part>;

fn list(parts: &mut Parts, depth: usize) -> Result<(Vec<Node>, Stop), String> {
    if depth > MAX_DEPTH {
        return Err(format!("blocks are nested more than {MAX_DEPTH} times"));
    }
    let mut nodes = Vec::new();
    while let Some(part) = parts.next() {
        let tokens = match part {
            Part::Text(text) => {
                nodes.push(Node::Text(text));
                continue;
            }
            Part::Action(tokens) => tokens,
        };
        let keyword = match tokens.first() {
            Some(Token::Ident(word)) => word.as_str(),
            Some(_) => "",
            None => return Err("an action is empty".to_owned()),
        };
        let rest = || tokens.get(1..).unwrap_or_default().to_vec();
        match keyword {
            "end" if tokens.len() == 1 => return Ok((nodes, Stop::Closed)),
            "else" => return Ok((nodes, Stop::Else(rest()))),
            "if" | "with" | "range" => nodes.push(block(keyword, rest(), parts, depth)?),
            "define" | "template" | "block" | "break" | "continue" => {
                return Err(format!("`{keyword}` is not translated"));
            }
            _ => nodes.push(Node::Print(pipeline(tokens, 2)?)),
        }
    }
    Ok((nodes, Stop::Eof))
}

fn block(keyword: &str, head: Vec<Token>, parts: &mut Parts, depth: usize) -> Result<Node, String> {
    let head = pipeline(head, if keyword == "range" { 2 } else { 1 })?;
    let (body, end) = list(parts, depth + 1)?;
    let no_end = || format!("`{keyword}` has no `end`");
    let other = match end {
        Stop::Closed => Vec::new(),
        Stop::Eof => return Err(no_end()),
        Stop::Else(tokens) => match tokens.split_first() {
            None => match list(parts, depth + 1)? {
                (other, Stop::Closed) => other,
                _ => return Err(no_end()),
            },
            // `else if` and `else with` are a block in the other branch that shares its end.
            Some((Token::Ident(word), rest)) if word == "if" || word == "with" => {
                vec![block(word, rest.to_vec(), parts, depth + 1)?]
            }
            Some(_) => return Err("after `else` there may be `if` or `with`".to_owned()),
        },
    };
    Ok(match keyword {
        "if" => Node::If(head, body, other),
        "with" => Node::With(head, body, other),
        _ => Node::Range(head, body, other),
    })
}

/// All of the tokens, with up to so many variables before them.
fn pipeline(tokens: Vec<Token>, variables: usize) -> Result<Pipeline, String> {
    let mut tokens = tokens.into_iter().peekable();
    let pipeline = read(&mut tokens, 0)?;
    match tokens.next() {
        Some(Token::Close) => Err("`)` closes nothing".to_owned()),
        Some(_) => Err("a pipeline goes on after its end".to_owned()),
        None if pipeline.variables.len() > variables => Err("only `range` sets two variables".to_owned()),
        None => Ok(pipeline),
    }
}

type Tokens = std::iter::Peekable<std::vec::IntoIter<Token>>;

fn read(tokens: &mut Tokens, depth: usize) -> Result<Pipeline, String> {
    if depth > MAX_DEPTH {
        return Err(format!("brackets are nested more than {MAX_DEPTH} times"));
    }
    let (variables, declares) = variables(tokens)?;
    let mut commands = vec![Vec::new()];
    loop {
        let mut push = |operand: Operand| {
            if let Some(command) = commands.last_mut() {
                command.push(operand);
            }
        };
        match tokens.peek() {
            None | Some(Token::Close) => break,
            Some(Token::Pipe) => {
                tokens.next();
                commands.push(Vec::new());
            }
            Some(_) => push(operand(tokens, depth)?),
        }
    }
    if commands.iter().any(Vec::is_empty) {
        return Err("a value is missing".to_owned());
    }
    Ok(Pipeline { variables, declares, commands })
}

/// `$a :=`, `$a, $b :=`, `$a =`.
fn variables(tokens: &mut Tokens) -> Result<(Vec<String>, bool), String> {
    let mut ahead = tokens.clone();
    let mut names = Vec::new();
    while let Some(Token::Variable(name)) = ahead.next() {
        names.push(name);
        match ahead.next() {
            Some(Token::Comma) => {}
            Some(token @ (Token::Declare | Token::Assign)) => {
                if names.iter().any(String::is_empty) {
                    return Err("`$` can't be set".to_owned());
                }
                *tokens = ahead;
                return Ok((names, token == Token::Declare));
            }
            _ => break,
        }
    }
    Ok((Vec::new(), true))
}

fn operand(tokens: &mut Tokens, depth: usize) -> Result<Operand, String> {
    let mut fields = Vec::new();
    let base = match tokens.next() {
        Some(Token::Dot) => Base::Dot,
        Some(Token::Field(name, _)) => {
            fields.push(name);
            Base::Dot
        }
        Some(Token::Variable(name)) => Base::Variable(name),
        Some(Token::Ident(name)) => match name.as_str() {
            "true" => Base::Bool(true),
            "false" => Base::Bool(false),
            "nil" => Base::Nil,
            _ => Base::Function(name),
        },
        Some(Token::Text(text)) => Base::Text(text),
        Some(Token::Int(number)) => Base::Int(number),
        Some(Token::Float(number)) => Base::Float(number),
        Some(Token::Open) => {
            let inner = read(tokens, depth + 1)?;
            if !inner.variables.is_empty() {
                return Err("variables are not set within brackets".to_owned());
            }
            if tokens.next() != Some(Token::Close) {
                return Err("`(` is not closed".to_owned());
            }
            Base::Pipeline(inner)
        }
        Some(Token::Comma | Token::Declare | Token::Assign | Token::Pipe | Token::Close) | None => {
            return Err("a value is missing".to_owned());
        }
    };
    while let Some(Token::Field(_, true)) = tokens.peek() {
        if let Some(Token::Field(name, _)) = tokens.next() {
            fields.push(name);
        }
    }
    Ok(Operand { base, fields })
}
