//! What Kubernetes takes as names.

/// The longest DNS subdomain, in bytes.
pub(crate) const MAX_SUBDOMAIN: usize = 253;

/// What a label's value is, and its key's name.
pub(crate) fn is_label_text(text: &str) -> bool {
    let ends = [text.bytes().next(), text.bytes().next_back()];
    text.len() <= 63
        && ends.iter().all(|end| end.is_some_and(|c| c.is_ascii_alphanumeric()))
        && text.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_.".contains(&c))
}

/// What a namespace's name is.
pub(crate) fn is_label(name: &str) -> bool {
    name.len() <= 63 && !name.contains('.') && is_subdomain(name)
}

/// RFC 1123: what names of nodes and Leases are.
pub(crate) fn is_subdomain(name: &str) -> bool {
    let is_word = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.len() <= MAX_SUBDOMAIN
        && name.split('.').all(|part| {
            let bytes = part.as_bytes();
            bytes.first().is_some_and(|c| is_word(*c))
                && bytes.last().is_some_and(|c| is_word(*c))
                && bytes.iter().all(|c| is_word(*c) || *c == b'-')
        })
}
