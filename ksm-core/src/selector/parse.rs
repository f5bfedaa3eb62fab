//! Text to matchers.

use regex::{Regex, RegexBuilder};

use super::{Matcher, NAME, SelectorError, Test};

/// The longest selector: URLs of common servers and clients end before.
const MAX_LEN: usize = 16 << 10;

/// Bytes that a compiled pattern may take, and again that matching may cache: alternatives of thousands of names fit.
const MAX_PATTERN: usize = 512 << 10;

/// The matchers of a selector; the metric's name is one on [`NAME`].
pub(super) fn matchers(text: &str) -> Result<Vec<Matcher>, SelectorError> {
    if text.len() > MAX_LEN {
        return Err(SelectorError::TooLong { bytes: text.len(), limit: MAX_LEN });
    }
    Parser { text, at: 0 }.selector()
}

struct Parser<'a> {
    text: &'a str,
    /// Byte offset of what comes next.
    at: usize,
}

impl<'a> Parser<'a> {
    fn selector(&mut self) -> Result<Vec<Matcher>, SelectorError> {
        let mut matchers = Vec::new();
        self.skip_space();
        let name = self.word(true);
        if !name.is_empty() {
            matchers.push(named(name));
            self.skip_space();
        }
        if self.take('{') {
            self.braces(&mut matchers)?;
            self.skip_space();
        } else if name.is_empty() {
            return Err(self.unexpected("a metric's name or `{`"));
        }
        if self.rest().is_empty() { Ok(matchers) } else { Err(self.unexpected("nothing more")) }
    }

    fn braces(&mut self, matchers: &mut Vec<Matcher>) -> Result<(), SelectorError> {
        loop {
            self.skip_space();
            if self.take('}') {
                return Ok(());
            }
            let begin = self.at;
            let matcher = self.matcher()?;
            // A bare name in braces is `__name__="…"`; several tests of the name by operators are no contradiction.
            let is_name = |matcher: &Matcher| matcher.label == NAME && matches!(matcher.test, Test::Equal(_));
            if is_name(&matcher) && matchers.iter().any(is_name) {
                return Err(SelectorError::NameTwice { selector: self.text.to_owned(), at: self.character(begin) });
            }
            matchers.push(matcher);
            self.skip_space();
            if !self.take(',') && self.peek() != Some('}') {
                return Err(self.unexpected("`,` or `}`"));
            }
        }
    }

    fn matcher(&mut self) -> Result<Matcher, SelectorError> {
        let label = if self.at_quote() {
            // Prometheus 3 writes names that way: `{"kube_pod_info", "pod"="web"}`.
            let quoted = self.quoted()?;
            self.skip_space();
            if matches!(self.peek(), None | Some(',' | '}')) {
                return Ok(named(&quoted));
            }
            quoted
        } else {
            let label = self.word(false);
            if label.is_empty() {
                return Err(self.unexpected("a label's name or `}`"));
            }
            label.to_owned()
        };
        self.skip_space();
        let operators = ["=~", "!~", "!=", "="];
        let Some(operator) = operators.into_iter().find(|operator| self.rest().starts_with(operator)) else {
            return Err(self.unexpected("`=`, `!=`, `=~` or `!~`"));
        };
        self.at += operator.len();
        self.skip_space();
        let begin = self.at;
        if !self.at_quote() {
            return Err(self.unexpected("a quoted value"));
        }
        let value = self.quoted()?;
        let test = match operator {
            "=" => Test::Equal(value),
            "!=" => Test::NotEqual(value),
            "=~" => Test::Matching(self.pattern(&value, begin)?),
            _ => Test::NotMatching(self.pattern(&value, begin)?),
        };
        Ok(Matcher { label, test })
    }

    fn pattern(&self, pattern: &str, begin: usize) -> Result<Regex, SelectorError> {
        let compile = |text: &str| RegexBuilder::new(text).size_limit(MAX_PATTERN).dfa_size_limit(MAX_PATTERN).build();
        // By itself first, so that `a)|(b` does not close the group that anchors it.
        compile(pattern).and_then(|_| compile(&format!("^(?s:{pattern})$"))).map_err(|source| SelectorError::Pattern {
            selector: self.text.to_owned(),
            at: self.character(begin),
            source: Box::new(source),
        })
    }

    /// A value in double, single or back quotes; the first two know Go's escapes.
    fn quoted(&mut self) -> Result<String, SelectorError> {
        let Some(quote) = self.next() else { return Err(self.unexpected("a quote")) };
        let mut value = String::new();
        loop {
            match self.next() {
                None => return Err(self.unexpected("a closing quote")),
                Some(c) if c == quote => return Ok(value),
                Some('\\') if quote != '`' => value.push(self.escape()?),
                Some(c) => value.push(c),
            }
        }
    }

    fn escape(&mut self) -> Result<char, SelectorError> {
        let begin = self.at;
        let escaped = match self.next() {
            Some('n') => Some('\n'),
            Some('t') => Some('\t'),
            Some('r') => Some('\r'),
            Some('a') => Some('\u{7}'),
            Some('b') => Some('\u{8}'),
            Some('f') => Some('\u{c}'),
            Some('v') => Some('\u{b}'),
            Some(same @ ('\\' | '"' | '\'')) => Some(same),
            Some('x') => self.code_point(2),
            Some('u') => self.code_point(4),
            Some('U') => self.code_point(8),
            _ => None,
        };
        escaped.ok_or_else(|| {
            self.at = begin;
            self.unexpected("an escape: one of n t r a b f v \\ \" ' or x, u, U with 2, 4, 8 hexadecimal digits")
        })
    }

    fn code_point(&mut self, digits: usize) -> Option<char> {
        let code = u32::from_str_radix(self.rest().get(..digits)?, 16).ok()?;
        self.at += digits;
        char::from_u32(code)
    }

    /// The name of a metric (which may have colons) or of a label; empty where there is none.
    fn word(&mut self, colons: bool) -> &'a str {
        let rest = self.rest();
        let inner = |c: char| c.is_ascii_alphanumeric() || c == '_' || (colons && c == ':');
        let len = rest.find(|c| !inner(c)).unwrap_or(rest.len());
        let word = rest.get(..len).unwrap_or_default();
        if word.starts_with(|c: char| c.is_ascii_digit()) {
            return "";
        }
        self.at += len;
        word
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn take(&mut self, wanted: char) -> bool {
        let there = self.peek() == Some(wanted);
        if there {
            self.at += wanted.len_utf8();
        }
        there
    }

    fn at_quote(&self) -> bool {
        matches!(self.peek(), Some('"' | '\'' | '`'))
    }

    fn skip_space(&mut self) {
        self.at = self.text.len() - self.rest().trim_start_matches([' ', '\t', '\n', '\r']).len();
    }

    /// Bytes to characters, from 1 on.
    fn character(&self, at: usize) -> usize {
        self.text.get(..at).unwrap_or_default().chars().count() + 1
    }

    fn unexpected(&self, expected: &'static str) -> SelectorError {
        SelectorError::Syntax {
            selector: self.text.to_owned(),
            at: self.character(self.at),
            expected,
            found: self.peek().map_or_else(|| "the end".to_owned(), |c| format!("`{c}`")),
        }
    }
}

fn named(name: &str) -> Matcher {
    Matcher { label: NAME.to_owned(), test: Test::Equal(name.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Parsed<'a> = &'a [(&'a str, &'static str, &'a str)];

    /// Label, operator and operand of each matcher.
    fn parsed(text: &str) -> Vec<(String, &'static str, String)> {
        let operator = |matcher: Matcher| match matcher.test {
            Test::Equal(value) => (matcher.label, "=", value),
            Test::NotEqual(value) => (matcher.label, "!=", value),
            Test::OneOf(values) => (matcher.label, "in", values.join(",")),
            Test::Matching(regex) => (matcher.label, "=~", regex.to_string()),
            Test::NotMatching(regex) => (matcher.label, "!~", regex.to_string()),
        };
        matchers(text).unwrap_or_else(|error| panic!("{error}")).into_iter().map(operator).collect()
    }

    fn owned(wanted: Parsed<'_>) -> Vec<(String, &'static str, String)> {
        wanted.iter().map(|(label, operator, value)| ((*label).to_owned(), *operator, (*value).to_owned())).collect()
    }

    #[test]
    fn every_form_is_read() {
        let cases: [(&str, Parsed<'_>); 9] = [
            ("up:sum", &[("__name__", "=", "up:sum")]),
            (" up { } ", &[("__name__", "=", "up")]),
            ("{}", &[]),
            (r#"up{a="1",b!='2',}"#, &[("__name__", "=", "up"), ("a", "=", "1"), ("b", "!=", "2")]),
            ("{a=~`x\\d`,\n b!~\"y\"}", &[("a", "=~", "^(?s:x\\d)$"), ("b", "!~", "^(?s:y)$")]),
            (r#"{"kube_pod_info", "pod"="x"}"#, &[("__name__", "=", "kube_pod_info"), ("pod", "=", "x")]),
            (r#"{__name__=~"a.*",__name__!="ab"}"#, &[("__name__", "=~", "^(?s:a.*)$"), ("__name__", "!=", "ab")]),
            (r#"{a="\"\\\n\x41\u00e4\U0001F600'"}"#, &[("a", "=", "\"\\\nAä😀'")]),
            (r"{a='größe{}=,'}", &[("a", "=", "größe{}=,")]),
        ];
        for (text, wanted) in cases {
            assert_eq!(parsed(text), owned(wanted), "{text}");
        }
    }

    #[test]
    fn faults_are_named_with_their_place() {
        let cases = [
            ("", "character 1: expected a metric's name or `{`, found the end"),
            ("1up", "character 1: expected a metric's name or `{`, found `1`"),
            ("up x", "character 4: expected nothing more, found `x`"),
            ("{a=\"1\"", "character 7: expected `,` or `}`, found the end"),
            ("{a=\"1\" b=\"2\"}", "character 8: expected `,` or `}`, found `b`"),
            ("{,}", "character 2: expected a label's name or `}`, found `,`"),
            ("{a:b=\"1\"}", "character 3: expected `=`, `!=`, `=~` or `!~`, found `:`"),
            ("{a>\"1\"}", "character 3: expected `=`, `!=`, `=~` or `!~`, found `>`"),
            ("{ä=\"1\"}", "character 2: expected a label's name or `}`, found `ä`"),
            ("{a=1}", "character 4: expected a quoted value, found `1`"),
            ("{a=\"ü", "character 6: expected a closing quote, found the end"),
            (
                "{a=\"\\d\"}",
                "character 6: expected an escape: one of n t r a b f v \\ \" ' or x, u, U with 2, 4, 8 hexadecimal digits, found `d`",
            ),
            ("{a=\"\\ud800\"}", "character 6: expected an escape"),
            ("up{__name__=\"x\"}", "character 4: the metric's name is given a second time"),
            ("{a=~\"(\"}", "character 5: no regular expression of RE2's dialect: regex parse error"),
            ("{a=~\"x)|(y\"}", "character 5: no regular expression"),
            ("{a=~\"(?=x)\"}", "character 5: no regular expression"),
            ("{a=~\"(a{1000}){1000}\"}", "character 5: no regular expression"),
        ];
        for (text, wanted) in cases {
            let error = matchers(text).map(|_| ()).expect_err(text).to_string();
            assert!(error.starts_with(&format!("series selector `{text}`, {wanted}")), "{text}: {error}");
        }
        let long = format!("{{a=\"{}\"}}", "x".repeat(MAX_LEN));
        assert!(matches!(matchers(&long), Err(SelectorError::TooLong { .. })));
    }

    #[test]
    fn patterns_match_the_whole_value_newlines_too() {
        let admits = |text: &str, value: &str| matchers(text).unwrap()[0].admits(value);
        assert!(admits("{a=~\"web|db\"}", "db"));
        assert!(!admits("{a=~\"web|db\"}", "mydb"));
        assert!(!admits("{a=~\"web|db\"}", "webs"));
        assert!(admits("{a=~\"x.y\"}", "x\ny"));
        assert!(admits("{a!~\"x\"}", ""));
        assert!(!admits("{a=~\"x+\"}", ""));
    }

    proptest! {
        #[test]
        fn prop_any_text_is_read_or_refused(text in "[a{}=~!\"'`,\\\\ xuU0-9ä(*\n]{0,40}") {
            let _ = matchers(&text);
        }
    }
}
