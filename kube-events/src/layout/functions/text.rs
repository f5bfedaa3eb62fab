//! Functions on texts.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minijinja::value::Value;
use regex::{Regex, RegexBuilder};
use sha2::{Digest, Sha256};

use super::value::{elements, go_json, print, text};
use super::{ANY, Function, MAX_BYTES, Outcome, error, function};

pub(super) const FUNCTIONS: &[Function] = &[
    function("print", 0, ANY, |a| ok(a.iter().map(print).collect::<String>())),
    function("println", 0, ANY, |a| ok(a.iter().map(print).collect::<Vec<_>>().join(" ") + "\n")),
    function("printf", 1, ANY, |a| printf(&text(arg(a, 0)), a.get(1..).unwrap_or_default())),
    function("toString", 1, 1, |a| ok(text(arg(a, 0)))),
    function("toJson", 1, 1, |a| go_json(arg(a, 0), false).map(Value::from)),
    function("mustToJson", 1, 1, |a| go_json(arg(a, 0), false).map(Value::from)),
    function("toPrettyJson", 1, 1, |a| go_json(arg(a, 0), true).map(Value::from)),
    function("mustToPrettyJson", 1, 1, |a| go_json(arg(a, 0), true).map(Value::from)),
    function("toRawJson", 1, 1, |a| ok(super::to_json(arg(a, 0)).to_string())),
    function("quote", 0, ANY, |a| ok(each(a, quoted))),
    function("squote", 0, ANY, |a| ok(each(a, |text| format!("'{text}'")))),
    function("upper", 1, 1, |a| ok(text(arg(a, 0)).to_uppercase())),
    function("lower", 1, 1, |a| ok(text(arg(a, 0)).to_lowercase())),
    function("title", 1, 1, |a| ok(words(&text(arg(a, 0)), true))),
    function("untitle", 1, 1, |a| ok(words(&text(arg(a, 0)), false))),
    function("trim", 1, 1, |a| ok(text(arg(a, 0)).trim().to_owned())),
    function("trimAll", 2, 2, |a| ok(on(a, |cut, text| text.trim_matches(|c| cut.contains(c)).to_owned()))),
    function("trimPrefix", 2, 2, |a| ok(on(a, |cut, text| text.strip_prefix(cut).unwrap_or(text).to_owned()))),
    function("trimSuffix", 2, 2, |a| ok(on(a, |cut, text| text.strip_suffix(cut).unwrap_or(text).to_owned()))),
    function("nospace", 1, 1, |a| ok(text(arg(a, 0)).split_whitespace().collect::<String>())),
    function("replace", 3, 3, |a| {
        let (old, new, text) = (text(arg(a, 0)), text(arg(a, 1)), text(arg(a, 2)));
        room(text.matches(&old).count().saturating_mul(new.len()).saturating_add(text.len()))?;
        ok(text.replace(&old, &new))
    }),
    function("trunc", 2, 2, |a| trunc(arg(a, 0), &text(arg(a, 1)))),
    function("abbrev", 2, 2, |a| {
        let (width, text) = (arg(a, 0).as_usize().unwrap_or(0), text(arg(a, 1)));
        if width < 4 || text.chars().count() <= width {
            return ok(text);
        }
        ok(text.chars().take(width - 3).chain("...".chars()).collect::<String>())
    }),
    function("substr", 3, 3, |a| {
        let text = text(arg(a, 2));
        let end = arg(a, 1).as_usize().unwrap_or(text.len()).min(text.len());
        let start = arg(a, 0).as_usize().unwrap_or(0).min(end);
        let (start, end) = (text.floor_char_boundary(start), text.floor_char_boundary(end));
        ok(text.get(start..end).unwrap_or_default().to_owned())
    }),
    function("repeat", 2, 2, |a| {
        let (count, text) = (arg(a, 0).as_usize().unwrap_or(0), text(arg(a, 1)));
        room(text.len().saturating_mul(count))?;
        ok(text.repeat(count))
    }),
    function("contains", 2, 2, |a| Ok(Value::from(on(a, |part, text| text.contains(part))))),
    function("hasPrefix", 2, 2, |a| Ok(Value::from(on(a, |part, text| text.starts_with(part))))),
    function("hasSuffix", 2, 2, |a| Ok(Value::from(on(a, |part, text| text.ends_with(part))))),
    function("cat", 0, ANY, |a| ok(a.iter().map(text).filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" "))),
    function("indent", 2, 2, |a| indent(a, "")),
    function("nindent", 2, 2, |a| indent(a, "\n")),
    function("join", 2, 2, |a| ok(elements(arg(a, 1)).iter().map(text).collect::<Vec<_>>().join(&text(arg(a, 0))))),
    function("splitList", 2, 2, |a| Ok(on(a, |by, text| text.split(by).map(Value::from).collect()))),
    function("split", 2, 2, |a| {
        Ok(on(a, |by, text| Value::from_pairs(text.split(by).enumerate().map(|(at, part)| (format!("_{at}"), part)))))
    }),
    function("b64enc", 1, 1, |a| ok(STANDARD.encode(text(arg(a, 0))))),
    function("b64dec", 1, 1, |a| {
        let bytes = STANDARD.decode(text(arg(a, 0))).map_err(|problem| error(format!("`b64dec`: {problem}")))?;
        ok(String::from_utf8_lossy(&bytes).into_owned())
    }),
    function("sha256sum", 1, 1, |a| {
        let hash = Sha256::digest(text(arg(a, 0)));
        ok(hex(&hash))
    }),
    function("urlquery", 1, 1, |a| ok(urlquery(&text(arg(a, 0))))),
    function("html", 1, 1, |a| ok(html(&text(arg(a, 0))))),
    function("regexMatch", 2, 2, |a| Ok(Value::from(pattern(arg(a, 0))?.is_match(&text(arg(a, 1)))))),
    function("regexFind", 2, 2, |a| {
        let text = text(arg(a, 1));
        ok(pattern(arg(a, 0))?.find(&text).map_or_else(String::new, |found| found.as_str().to_owned()))
    }),
    function("regexReplaceAll", 3, 3, |a| {
        let (text, with) = (text(arg(a, 1)), text(arg(a, 2)));
        let pattern = pattern(arg(a, 0))?;
        // The groups that it names, all together, give no more than the text does, once for each `$`.
        let literal = pattern.find_iter(&text).count().saturating_mul(with.len());
        room(literal.saturating_add(text.len().saturating_mul(1 + with.matches('$').count())))?;
        ok(pattern.replace_all(&text, with.as_str()).into_owned())
    }),
];

const UNDEFINED: &Value = &Value::UNDEFINED;

pub(super) fn arg(arguments: &[Value], at: usize) -> &Value {
    arguments.get(at).unwrap_or(UNDEFINED)
}

#[expect(clippy::unnecessary_wraps, reason = "the functions' outcome")]
fn ok(text: String) -> Outcome {
    Ok(Value::from(text))
}

/// Before something long is made.
fn room(bytes: usize) -> Result<(), minijinja::Error> {
    if bytes > MAX_BYTES { Err(error(format!("a text of more than {MAX_BYTES} bytes"))) } else { Ok(()) }
}

fn on<T>(arguments: &[Value], call: impl FnOnce(&str, &str) -> T) -> T {
    call(&text(arg(arguments, 0)), &text(arg(arguments, 1)))
}

/// All that are there, with spaces between them.
fn each(arguments: &[Value], call: impl Fn(&str) -> String) -> String {
    let there = arguments.iter().filter(|value| !value.is_undefined() && !value.is_none());
    there.map(|value| call(&text(value))).collect::<Vec<_>>().join(" ")
}

fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // A String takes any text.
        let _ = write!(out, "{byte:02x}");
    }
    out
}

/// As Go's `%q`.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            '\0'..=' ' | '\u{7f}' if letter != ' ' => {
                out.push_str("\\x");
                out.push_str(&hex(&[u8::try_from(letter).unwrap_or_default()]));
            }
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

fn words(text: &str, upper: bool) -> String {
    let mut start = true;
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match (start, upper) {
            (true, true) => out.extend(letter.to_uppercase()),
            (true, false) => out.extend(letter.to_lowercase()),
            (false, _) => out.push(letter),
        }
        start = letter.is_whitespace();
    }
    out
}

/// The first so many bytes, or the last if it is negative.
fn trunc(count: &Value, text: &str) -> Outcome {
    let count = count.as_i64().ok_or_else(|| error("`trunc` takes a number and a text"))?;
    let bytes = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    if bytes >= text.len() {
        return ok(text.to_owned());
    }
    let part = if count < 0 {
        text.get(text.ceil_char_boundary(text.len() - bytes)..)
    } else {
        text.get(..text.floor_char_boundary(bytes))
    };
    ok(part.unwrap_or_default().to_owned())
}

fn indent(arguments: &[Value], before: &str) -> Outcome {
    let (spaces, text) = (arg(arguments, 0).as_usize().unwrap_or(0), text(arg(arguments, 1)));
    let lines = text.matches('\n').count() + 1;
    room(lines.saturating_mul(spaces).saturating_add(text.len()))?;
    let pad = " ".repeat(spaces);
    ok(format!("{before}{pad}{}", text.replace('\n', &format!("\n{pad}"))))
}

fn urlquery(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        b' ' => "+".to_owned(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}

fn html(text: &str) -> String {
    let letter = |letter: char| match letter {
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '&' => "&amp;".to_owned(),
        '"' => "&#34;".to_owned(),
        '\'' => "&#39;".to_owned(),
        other => other.to_string(),
    };
    text.chars().map(letter).collect()
}

fn pattern(value: &Value) -> Result<Regex, minijinja::Error> {
    let pattern = text(value);
    RegexBuilder::new(&pattern)
        .size_limit(MAX_BYTES)
        .build()
        .map_err(|_| error(format!("`{}` is no regular expression", pattern.chars().take(100).collect::<String>())))
}

/// The verbs `%s %v %d %q %x %t %f %%`, with flags `-`, `0`, `+`, a width and a precision.
fn printf(format: &str, arguments: &[Value]) -> Outcome {
    let mut out = String::new();
    let mut letters = format.chars().peekable();
    let mut arguments = arguments.iter();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            out.push(letter);
            continue;
        }
        let mut flags = String::new();
        while let Some(flag) = letters.next_if(|letter| "-+0 #".contains(*letter)) {
            flags.push(flag);
        }
        let mut digits = || {
            let mut digits = String::new();
            while let Some(digit) = letters.next_if(char::is_ascii_digit) {
                digits.push(digit);
            }
            digits
        };
        let width = digits().parse().unwrap_or(0);
        let precision = if letters.next_if_eq(&'.').is_some() {
            let mut digits = String::new();
            while let Some(digit) = letters.next_if(char::is_ascii_digit) {
                digits.push(digit);
            }
            Some(digits.parse().unwrap_or(0_usize))
        } else {
            None
        };
        room(width)?;
        room(precision.unwrap_or(0))?;
        let verb = letters.next().ok_or_else(|| error("`printf`: a format ends with `%`"))?;
        if verb == '%' {
            out.push('%');
            continue;
        }
        let value = arguments.next().ok_or_else(|| error("`printf`: there are more verbs than values"))?;
        let cut = |text: String| match precision {
            Some(precision) => text.chars().take(precision).collect(),
            None => text,
        };
        let integer = || value.as_i64().ok_or_else(|| error(format!("`printf`: `%{verb}` takes a number")));
        let shown = match verb {
            's' | 'v' => cut(print(value)),
            'q' => quoted(&print(value)),
            'd' => integer()?.to_string(),
            'x' if value.as_str().is_some() => hex(print(value).as_bytes()),
            'x' => format!("{:x}", integer()?),
            't' => value.is_true().to_string(),
            'f' => {
                let number = f64::try_from(value.clone()).map_err(|_| error("`printf`: `%f` takes a number"))?;
                format!("{number:.*}", precision.unwrap_or(6))
            }
            other => return Err(error(format!("`printf`: the verb `%{other}` is not known"))),
        };
        let shown = if flags.contains('+') && "df".contains(verb) && !shown.starts_with('-') {
            format!("+{shown}")
        } else {
            shown
        };
        let missing = " ".repeat(width.saturating_sub(shown.chars().count()));
        if flags.contains('-') {
            out.push_str(&shown);
            out.push_str(&missing);
        } else if flags.contains('0') && "dfx".contains(verb) {
            let (sign, digits) = shown.split_at(usize::from(shown.starts_with(['-', '+'])));
            out.push_str(sign);
            out.push_str(&missing.replace(' ', "0"));
            out.push_str(digits);
        } else {
            out.push_str(&missing);
            out.push_str(&shown);
        }
        room(out.len())?;
    }
    ok(out)
}
