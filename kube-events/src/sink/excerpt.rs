//! What may be told in logs: of what the other side says, and of its address.

/// The most of an answer that is told.
#[cfg(any(feature = "http-sinks", feature = "kafka"))]
const EXCERPT: usize = 300;

/// The beginning of what someone else has written, on one line.
#[cfg(any(feature = "http-sinks", feature = "kafka"))]
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

/// An address without what may be secret in it: a user, a path (of hooks, mostly), a query.
#[cfg(any(feature = "config", feature = "http-sinks"))]
pub(crate) fn address(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    if scheme.is_empty() { host.to_owned() } else { format!("{scheme}://{host}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(any(feature = "config", feature = "http-sinks"))]
    #[test]
    fn addresses_are_told_without_secrets() {
        let cases = [
            ("https://user:pass@example.com:8443/hook?token=hush", "https://example.com:8443"),
            ("http://example.com?token=hush", "http://example.com"),
            ("http://a@b@[::1]:80#hush", "http://[::1]:80"),
            ("user:hush@example.com", "example.com"),
            ("", ""),
        ];
        for (url, want) in cases {
            assert_eq!(address(url), want);
        }
    }

    #[cfg(any(feature = "http-sinks", feature = "kafka"))]
    #[test]
    fn what_others_write_is_cut_and_put_on_one_line() {
        assert_eq!(excerpt(" a\r\n\tb\u{7} c "), "a b c");
        let long = excerpt(&"ö".repeat(1000));
        assert!(long.len() <= EXCERPT + '…'.len_utf8() && long.ends_with('…'), "{long}");
    }
}
