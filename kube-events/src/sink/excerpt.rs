//! What the other side says, for logs.

/// The most of an answer that is told.
const EXCERPT: usize = 300;

/// The beginning of what someone else has written, on one line.
pub(super) fn excerpt(text: &str) -> String {
    let mut words =
        text.split(|letter: char| letter.is_whitespace() || letter.is_control()).filter(|it| !it.is_empty());
    let mut out = String::new();
    while out.len() < EXCERPT
        && let Some(word) = words.next()
    {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    if out.len() > EXCERPT {
        out.truncate(out.floor_char_boundary(EXCERPT));
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_write_is_cut_and_put_on_one_line() {
        assert_eq!(excerpt(" a\r\n\tb\u{7} c "), "a b c");
        let long = excerpt(&"ö".repeat(1000));
        assert!(long.len() <= EXCERPT + '…'.len_utf8() && long.ends_with('…'), "{long}");
    }
}
