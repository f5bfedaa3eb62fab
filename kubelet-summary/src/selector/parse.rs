//! kubectl's syntax of label selectors → expressions.
//!
//! The grammar is `apimachinery/pkg/labels`: requirements with commas between them, each a key alone, `!key`, or a key
//! with `=`, `==`, `!=`, `in (…)` or `notin (…)`. A value may be empty, in a set too.

use std::collections::BTreeSet;

use kube::core::Expression;

use super::SelectorError;

/// The longest selector: URLs of common servers and clients end before.
const MAX_LEN: usize = 64 << 10;

pub(super) fn expressions(text: &str) -> Result<Vec<Expression>, SelectorError> {
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
    fn selector(&mut self) -> Result<Vec<Expression>, SelectorError> {
        let mut all = Vec::new();
        self.skip_space();
        if self.rest().is_empty() {
            return Ok(all);
        }
        loop {
            all.push(self.expression()?);
            self.skip_space();
            if self.rest().is_empty() {
                return Ok(all);
            }
            if !self.take(",") {
                return Err(self.unexpected("`,` or an operator: `=`, `==`, `!=`, `in` or `notin`"));
            }
        }
    }

    fn expression(&mut self) -> Result<Expression, SelectorError> {
        self.skip_space();
        if self.take("!") {
            return Ok(Expression::DoesNotExist(self.key("a label key")?));
        }
        let key = self.key("a label key or `!`")?;
        self.skip_space();
        for (operator, equal) in [("==", true), ("=", true), ("!=", false)] {
            if self.take(operator) {
                let value = self.value()?;
                return Ok(if equal { Expression::Equal(key, value) } else { Expression::NotEqual(key, value) });
            }
        }
        let begin = self.at;
        match self.word() {
            "in" => Ok(Expression::In(key, self.values()?)),
            "notin" => Ok(Expression::NotIn(key, self.values()?)),
            "" if self.rest().starts_with(['<', '>']) => {
                Err(self.unexpected("an operator that compares no numbers: `=`, `==`, `!=`, `in` or `notin`"))
            }
            "" => Ok(Expression::Exists(key)),
            _ => {
                self.at = begin;
                Err(self.unexpected("`,` or an operator: `=`, `==`, `!=`, `in` or `notin`"))
            }
        }
    }

    fn key(&mut self, expected: &'static str) -> Result<String, SelectorError> {
        self.skip_space();
        match self.word() {
            "" => Err(self.unexpected(expected)),
            word => key(word.to_owned()),
        }
    }

    fn value(&mut self) -> Result<String, SelectorError> {
        self.skip_space();
        value(self.word().to_owned())
    }

    fn values(&mut self) -> Result<BTreeSet<String>, SelectorError> {
        self.skip_space();
        if !self.take("(") {
            return Err(self.unexpected("`(`"));
        }
        let mut values = BTreeSet::new();
        loop {
            values.insert(self.value()?);
            self.skip_space();
            if self.take(")") {
                return Ok(values);
            }
            if !self.take(",") {
                return Err(self.unexpected("`,` or `)`"));
            }
        }
    }

    /// All up to a space or a character that means something; empty where there is nothing.
    fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c: char| is_space(c) || "=!(),<>".contains(c)).unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).unwrap_or_default()
    }

    fn take(&mut self, wanted: &str) -> bool {
        let there = self.rest().starts_with(wanted);
        if there {
            self.at += wanted.len();
        }
        there
    }

    fn skip_space(&mut self) {
        self.at = self.text.len() - self.rest().trim_start_matches(is_space).len();
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn unexpected(&mut self, expected: &'static str) -> SelectorError {
        let at = self.text.get(..self.at).unwrap_or_default().chars().count() + 1;
        let next = self.rest().chars().next();
        let found = match (self.word(), next) {
            (_, None) => "the end".to_owned(),
            ("", Some(character)) => format!("`{character}`"),
            (word, _) => format!("`{word}`"),
        };
        SelectorError::Syntax { selector: self.text.to_owned(), at, expected, found }
    }
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

/// A key, if a label can have it: `[prefix/]name`.
pub(super) fn key(key: String) -> Result<String, SelectorError> {
    let (prefix, name) = key.split_once('/').map_or((None, key.as_str()), |(prefix, name)| (Some(prefix), name));
    let dns = |part: &str| {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        !part.is_empty() && part.chars().all(inner) && !part.starts_with('-') && !part.ends_with('-')
    };
    let good_prefix = prefix.is_none_or(|prefix| prefix.len() <= 253 && prefix.split('.').all(dns));
    if good_prefix && is_name(name) { Ok(key) } else { Err(SelectorError::Key { key }) }
}

/// A value, if a label can have it.
pub(super) fn value(value: String) -> Result<String, SelectorError> {
    if value.is_empty() || is_name(&value) { Ok(value) } else { Err(SelectorError::Value { value }) }
}

fn is_name(text: &str) -> bool {
    let ends = |c: char| c.is_ascii_alphanumeric();
    let inner = |c: char| ends(c) || matches!(c, '-' | '_' | '.');
    text.len() <= 63 && text.starts_with(ends) && text.ends_with(ends) && text.chars().all(inner)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spaces_mean_nothing_and_operators_can_be_names() {
        let show = |text: &str| expressions(text).unwrap().iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(show(" a  in ( b , c ) , ! d ,e = f\t,g!=h "), ["a in (b,c)", "!d", "e=f", "g!=h"]);
        assert_eq!(show("in,notin in (in),a=notin"), ["in", "notin in (in)", "a=notin"]);
        assert_eq!(show("a=,b"), ["a=", "b"]);
        assert_eq!(show("app.kubernetes.io/name in (a)"), ["app.kubernetes.io/name in (a)"]);
        assert_eq!(show("  "), [""; 0]);
    }

    #[test]
    fn faults_are_named_with_their_place() {
        let cases = [
            (",", "character 1: expected a label key or `!`, found `,`"),
            ("a=b,", "character 5: expected a label key or `!`, found the end"),
            ("!", "character 2: expected a label key, found the end"),
            ("!a=b", "character 3: expected `,` or an operator: `=`, `==`, `!=`, `in` or `notin`, found `=`"),
            ("a b", "character 3: expected `,` or an operator: `=`, `==`, `!=`, `in` or `notin`, found `b`"),
            ("a=b c", "character 5: expected `,` or an operator: `=`, `==`, `!=`, `in` or `notin`, found `c`"),
            ("a in b", "character 6: expected `(`, found `b`"),
            ("a in (b", "character 8: expected `,` or `)`, found the end"),
            ("a in (b c)", "character 9: expected `,` or `)`, found `c`"),
            (
                "a>1",
                "character 2: expected an operator that compares no numbers: `=`, `==`, `!=`, `in` or `notin`, found `>`",
            ),
            ("a=b)", "character 4: expected `,` or an operator: `=`, `==`, `!=`, `in` or `notin`, found `)`"),
            ("(a)", "character 1: expected a label key or `!`, found `(`"),
        ];
        for (text, wanted) in cases {
            let error = expressions(text).expect_err(text).to_string();
            assert_eq!(error, format!("label selector `{text}`, {wanted}"));
        }
        for bad in ["ä=1", "-a=1", "a/b/c", "/a", "A.b/c", "a./b", &"a".repeat(64)] {
            assert!(matches!(expressions(bad), Err(SelectorError::Key { .. })), "{bad}");
        }
        for bad in ["a=-", "a=b/c", "a in (b,ö)", &format!("a={}", "b".repeat(64))] {
            assert!(matches!(expressions(bad), Err(SelectorError::Value { .. })), "{bad}");
        }
        assert!(matches!(expressions(&" ".repeat(MAX_LEN + 1)), Err(SelectorError::TooLong { .. })));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[ab!=(),<>inot /.-]{0,30}") {
            let _ = expressions(&text);
        }
    }
}
