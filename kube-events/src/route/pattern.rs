//! A regular expression, or the few texts that it stands for.

use regex::{Regex, RegexBuilder};
use regex_syntax::hir::literal::{ExtractKind, Extractor};
use regex_syntax::hir::{Hir, HirKind, Look};

/// A pattern's program may take so many bytes.
const MAX_PROGRAM_BYTES: usize = 1 << 20;
/// Of so many texts at most a search for each is faster than one for all.
const MAX_TEXTS: usize = 16;

/// A pattern as it is written, ready to search. Most patterns of rules are words, with anchors or without
/// (`^kube-system$`, `Pod|Deployment`): comparing texts takes a small part of the time of a regular expression's engine.
#[derive(Debug)]
pub(super) enum Pattern {
    /// Any of these hits.
    Texts(Box<[Text]>),
    Regex(Regex),
}

/// A text without letters that stand for others.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Text {
    word: Box<str>,
    /// It begins where the whole does.
    start: bool,
    /// It ends where the whole does.
    end: bool,
}

impl Pattern {
    pub(super) fn compile(pattern: &str) -> Result<Self, regex::Error> {
        // What can't be parsed is the engine's to explain.
        if let Some(texts) = regex_syntax::parse(pattern).ok().and_then(|hir| texts(&hir)) {
            return Ok(Self::Texts(texts.into()));
        }
        RegexBuilder::new(pattern).size_limit(MAX_PROGRAM_BYTES).build().map(Self::Regex)
    }

    pub(super) fn is_match(&self, whole: &str) -> bool {
        match self {
            Self::Texts(texts) => texts.iter().any(|text| text.hits(whole)),
            Self::Regex(regex) => regex.is_match(whole),
        }
    }
}

impl Text {
    fn hits(&self, whole: &str) -> bool {
        match (self.start, self.end) {
            (true, true) => whole == &*self.word,
            (true, false) => whole.starts_with(&*self.word),
            (false, true) => whole.ends_with(&*self.word),
            (false, false) => whole.contains(&*self.word),
        }
    }
}

/// The texts that an expression stands for, if they are few.
fn texts(hir: &Hir) -> Option<Vec<Text>> {
    let branches = match hir.kind() {
        HirKind::Alternation(branches) => branches.as_slice(),
        HirKind::Capture(group) => return texts(&group.sub),
        _ => std::slice::from_ref(hir),
    };
    let mut all = Vec::new();
    for branch in branches {
        let (start, end, inner) = without_anchors(branch);
        // An anchor in the middle, or a boundary of words.
        if !inner.properties().look_set().is_empty() {
            return None;
        }
        let mut extractor = Extractor::new();
        extractor.kind(ExtractKind::Prefix).limit_total(MAX_TEXTS);
        let found = extractor.extract(&inner);
        // An exact text is a whole match, and not the begin of a longer one.
        let literals = found.literals().filter(|_| found.is_exact())?;
        for literal in literals {
            let word = std::str::from_utf8(literal.as_bytes()).ok()?.into();
            all.push(Text { word, start, end });
        }
    }
    (all.len() <= MAX_TEXTS).then_some(all)
}

/// Whether it is anchored at both ends, and what is between.
fn without_anchors(hir: &Hir) -> (bool, bool, Hir) {
    let mut parts = match hir.kind() {
        HirKind::Concat(parts) => parts.as_slice(),
        _ => std::slice::from_ref(hir),
    };
    let is = |part: &Hir, look| matches!(part.kind(), HirKind::Look(found) if *found == look);
    let (mut start, mut end) = (false, false);
    while let [first, rest @ ..] = parts
        && is(first, Look::Start)
    {
        (start, parts) = (true, rest);
    }
    while let [rest @ .., last] = parts
        && is(last, Look::End)
    {
        (end, parts) = (true, rest);
    }
    (start, end, Hir::concat(parts.to_vec()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_are_texts_and_all_else_is_an_expression() {
        for (pattern, wants) in [
            ("Pod", Some(1)),
            ("^Pod$", Some(1)),
            ("^$", Some(1)),
            ("$", Some(1)),
            ("Pod|Deployment|ReplicaSet", Some(3)),
            ("^(kube-system|kube-public|kube-node-lease)$", Some(3)),
            ("^(?:a|b)c", Some(2)),
            ("^a|b$", Some(2)),
            ("(a|^b)", Some(2)),
            ("x{3}", Some(1)),
            ("[ab]c", Some(2)),
            ("example\\.com", Some(1)),
            ("(?i)ab", Some(4)),
            ("é|ß", Some(2)),
            (".*", None),
            ("^kube-", Some(1)),
            ("^kube-.*", None),
            ("a+", None),
            ("\\bword\\b", None),
            ("a$b", None),
            ("(?m)^a$", None),
            ("[a-z]", None),
            ("(?i)failed|error", None),
            ("$^", None),
        ] {
            let found = match Pattern::compile(pattern).unwrap() {
                Pattern::Texts(texts) => Some(texts.len()),
                Pattern::Regex(_) => None,
            };
            assert_eq!(found, wants, "{pattern}");
        }
        // What can never hit.
        let never = Pattern::compile("[^\\s\\S]").unwrap();
        assert!(!never.is_match("") && !never.is_match("a"));
    }

    proptest! {
        /// Whatever is written, it hits what the engine says.
        #[test]
        fn it_hits_as_the_engine_does(
            pattern in r"(\^|\$|a|b|é|ab|\||\(|\(\?:|\)|\?|\*|\+|\.|\[ab\]|\[\^a\]|\{2\}|\(\?i\)|\(\?m\)|\\b|\\A|\\z){0,10}",
            wholes in prop::collection::vec("[abéAB\n]{0,6}", 1..20),
        ) {
            let engine = Regex::new(&pattern);
            let compiled = Pattern::compile(&pattern);
            prop_assert_eq!(engine.is_ok(), compiled.is_ok());
            if let (Ok(engine), Ok(compiled)) = (engine, compiled) {
                for whole in wholes.iter().map(String::as_str).chain(["", "a", "ab", "b\na"]) {
                    prop_assert_eq!(compiled.is_match(whole), engine.is_match(whole), "{} on {:?}", pattern, whole);
                }
            }
        }
    }
}
