//! The word that was perhaps meant.

/// The known word that a mistyped one resembles: two letters or a third of it may differ, whatever their case.
pub(crate) fn nearest<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let word = word.to_lowercase();
    let slack = |candidate: &str| 2.max(candidate.len() / 3);
    // A file may hold anything: what is far longer than every word resembles none, and costs nothing.
    let plausible = known.filter(|candidate| candidate.len().abs_diff(word.len()) <= slack(candidate));
    let near = plausible.map(|candidate| (strsim::levenshtein(&word, &candidate.to_lowercase()), candidate));
    // A word of one or two letters resembles all others.
    near.filter(|(edits, candidate)| *edits <= slack(candidate) && *edits < word.chars().count())
        .min()
        .map(|(_, candidate)| candidate)
}

/// The end of a message about an unknown word: nothing, or a question.
pub(crate) fn did_you_mean<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> String {
    nearest(word, known).map_or_else(String::new, |near| format!("; did you mean `{near}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_word_finds_its_like_and_an_unlike_one_none() {
        let known = || ["receiver", "reason", "kind", "minCount"].into_iter();
        let table =
            [("reciever", Some("receiver")), ("mincount", Some("minCount")), ("kinds", Some("kind")), ("x", None)];
        for (word, like) in table {
            assert_eq!(nearest(word, known()), like, "{word}");
        }
        assert_eq!(did_you_mean("colour", known()), "");
        assert_eq!(did_you_mean("Reasons", known()), "; did you mean `reason`?");
    }
}
