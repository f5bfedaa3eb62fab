//! A text as its parts: what stands outside of `{{ }}`, and the tokens within.

/// A word of an action.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// `.` alone.
    Dot,
    /// `.Name`; `true` where it follows what is before it without a space, and so is a field of that.
    Field(String, bool),
    /// `$name`; empty for `$`.
    Variable(String),
    /// A name.
    Ident(String),
    Text(String),
    Int(i64),
    Float(f64),
    Pipe,
    Open,
    Close,
    Comma,
    /// `:=`
    Declare,
    /// `=`
    Assign,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Part {
    Text(String),
    Action(Vec<Token>),
}

/// Whether an action uses a name `event`, which Go's templates don't know and minijinja's do.
pub(in crate::layout) fn names_event(text: &str) -> bool {
    let actions = text.split("{{").skip(1).map(|action| action.split_once("}}").map_or(action, |(action, _)| action));
    actions.into_iter().any(|action| {
        let mut quote = None;
        let mut before = ' ';
        action.char_indices().any(|(at, letter)| {
            let begins = quote.is_none() && !is_word(before) && !matches!(before, '.' | '$');
            let after = action.get(at..).and_then(|rest| rest.strip_prefix("event"));
            let found = begins && after.is_some_and(|after| !after.starts_with(is_word));
            match quote {
                Some(open) if open == letter && before != '\\' => quote = None,
                None if matches!(letter, '"' | '\'' | '`') => quote = Some(letter),
                _ => {}
            }
            before = letter;
            found
        })
    })
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

pub(super) fn split(text: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    let mut trim = false;
    loop {
        let (before, action) = match rest.split_once("{{") {
            Some((before, action)) => (before, Some(action)),
            None => (rest, None),
        };
        let before = if trim { before.trim_start() } else { before };
        let left = action.and_then(|action| action.strip_prefix('-')).filter(|rest| rest.starts_with(is_space));
        let before = if left.is_some() { before.trim_end() } else { before };
        if !before.is_empty() {
            parts.push(Part::Text(before.to_owned()));
        }
        let Some(action) = left.or(action) else { return Ok(parts) };
        let comment = action.trim_start().strip_prefix("/*");
        let (tokens, after) = match comment {
            Some(comment) => {
                let (_, after) = comment.split_once("*/").ok_or("a comment has no end `*/`")?;
                (None, end(after.trim_start()).ok_or("a comment is not all of its action")?)
            }
            None => tokens(action).map(|(tokens, after)| (Some(tokens), after))?,
        };
        trim = after.1;
        rest = after.0;
        parts.extend(tokens.map(Part::Action));
    }
}

fn is_space(letter: char) -> bool {
    matches!(letter, ' ' | '\t' | '\r' | '\n')
}

/// What follows `}}` or `-}}`, and whether it was the latter.
fn end(text: &str) -> Option<(&str, bool)> {
    text.strip_prefix("}}").map(|after| (after, false)).or_else(|| text.strip_prefix("-}}").map(|after| (after, true)))
}

type Rest<'a> = (&'a str, bool);

fn tokens(mut text: &str) -> Result<(Vec<Token>, Rest<'_>), String> {
    let mut tokens = Vec::new();
    let mut spaced = true;
    loop {
        let trimmed = text.trim_start_matches(is_space);
        spaced |= trimmed.len() < text.len();
        text = trimmed;
        // `-}}` needs a space before it, or it were a number's sign.
        if let Some(after) = end(text).filter(|(_, trim)| !trim || spaced) {
            return Ok((tokens, after));
        }
        let Some(first) = text.chars().next() else { return Err("an action has no end `}}`".to_owned()) };
        let (token, after) = token(first, text, spaced)?;
        tokens.push(token);
        text = after;
        spaced = false;
    }
}

fn token(first: char, text: &str, spaced: bool) -> Result<(Token, &str), String> {
    let skip = |bytes: usize| text.get(bytes..).unwrap_or_default();
    let word = |text: &str| -> usize {
        text.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(text.len())
    };
    let single = |token: Token| Ok((token, skip(1)));
    match first {
        '|' => single(Token::Pipe),
        '(' => single(Token::Open),
        ')' => single(Token::Close),
        ',' => single(Token::Comma),
        '=' => single(Token::Assign),
        ':' if text.starts_with(":=") => Ok((Token::Declare, skip(2))),
        '"' => quoted(text),
        '`' => {
            let (raw, after) = skip(1).split_once('`').ok_or("a raw text has no end")?;
            Ok((Token::Text(raw.to_owned()), after))
        }
        '.' if !skip(1).starts_with(|letter: char| letter.is_ascii_digit()) => {
            let length = word(skip(1));
            let name = skip(1).get(..length).unwrap_or_default();
            let token = if name.is_empty() { Token::Dot } else { Token::Field(name.to_owned(), !spaced) };
            Ok((token, skip(1 + length)))
        }
        '$' => {
            let length = word(skip(1));
            Ok((Token::Variable(skip(1).get(..length).unwrap_or_default().to_owned()), skip(1 + length)))
        }
        '+' | '-' | '.' | '0'..='9' => number(text),
        letter if letter.is_alphabetic() || letter == '_' => {
            let length = word(text);
            Ok((Token::Ident(text.get(..length).unwrap_or_default().to_owned()), skip(length)))
        }
        other => Err(format!("`{other}` has no meaning in an action")),
    }
}

fn number(text: &str) -> Result<(Token, &str), String> {
    let length = text.find(|letter: char| !letter.is_alphanumeric() && !matches!(letter, '+' | '-' | '.' | '_'));
    let (digits, after) = text.split_at(length.unwrap_or(text.len()));
    let plain = digits.replace('_', "");
    let hex = plain.strip_prefix("0x").and_then(|hex| i64::from_str_radix(hex, 16).ok());
    let token = hex.or_else(|| plain.parse().ok()).map(Token::Int);
    let float = || plain.parse().ok().filter(|float: &f64| float.is_finite()).map(Token::Float);
    token.or_else(float).map(|token| (token, after)).ok_or_else(|| format!("`{digits}` is no number"))
}

/// An interpreted text of Go's.
fn quoted(text: &str) -> Result<(Token, &str), String> {
    let mut value = String::new();
    let mut letters = text.char_indices().skip(1);
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Ok((Token::Text(value), text.get(at + 1..).unwrap_or_default())),
            '\n' => break,
            '\\' => {
                let (_, escape) = letters.next().ok_or("a text has no end")?;
                let mut code = |digits: usize| {
                    let hex: String = letters.by_ref().take(digits).map(|(_, letter)| letter).collect();
                    u32::from_str_radix(&hex, 16).ok().and_then(char::from_u32)
                };
                let letter = match escape {
                    'n' => Some('\n'),
                    't' => Some('\t'),
                    'r' => Some('\r'),
                    '\\' | '"' | '\'' => Some(escape),
                    'x' => code(2),
                    'u' => code(4),
                    'U' => code(8),
                    _ => None,
                };
                value.push(letter.ok_or_else(|| format!("`\\{escape}` stands for nothing in a text"))?);
            }
            other => value.push(other),
        }
    }
    Err("a text has no end".to_owned())
}
