//! Small grammars of option values, and what helps with mistakes in them.

use std::time::Duration;

use jiff::SignedDuration;

/// A positive duration as Go writes it: `60s`, `1m30s`, `1.5h`. The error says what is wanted.
///
/// ```
/// use std::time::Duration;
/// use ksm_core::options::duration;
///
/// assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
/// assert!(duration("0s").is_err() && duration("soon").is_err());
/// ```
pub fn duration(text: &str) -> Result<Duration, &'static str> {
    let parsed = text.parse::<SignedDuration>().ok().and_then(|duration| Duration::try_from(duration).ok());
    match parsed {
        Some(duration) if !duration.is_zero() => Ok(duration),
        _ => Err("a duration is a positive time like 500ms, 60s or 1m30s"),
    }
}

/// The known word that a mistyped one resembles: a third of it may differ.
#[cfg(feature = "options-file")]
pub(super) fn nearest(word: &str, known: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    // A file may hold anything: what is far longer than every word resembles none, and costs nothing.
    let plausible = known.filter(|candidate| candidate.len().abs_diff(word.len()) <= candidate.len() / 3);
    let near = plausible.map(|candidate| (distance(word, candidate), candidate));
    near.filter(|(edits, candidate)| *edits <= candidate.len() / 3).min().map(|(_, candidate)| candidate)
}

/// How many letters must be put in, left out or changed to make one word of the other (Levenshtein).
#[cfg(feature = "options-file")]
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, y) in row.iter_mut().skip(1).zip(b.chars()) {
            let above = *cell;
            left = (diagonal + usize::from(x != y)).min(above + 1).min(left + 1);
            *cell = left;
            diagonal = above;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_gos() {
        assert_eq!(duration("1.5h"), Ok(Duration::from_mins(90)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert!(duration("-1s").is_err() && duration("5").is_err() && duration("").is_err());
    }

    #[cfg(feature = "options-file")]
    #[test]
    fn a_mistyped_word_finds_its_like_and_an_unlike_one_none() {
        let known = || ["resources", "namespaces", "namespaces_denylist", "node"].into_iter();
        for (word, like) in [
            ("resource", Some("resources")),
            ("namespace_denylist", Some("namespaces_denylist")),
            ("nodes", Some("node")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known()), like, "{word}");
        }
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
