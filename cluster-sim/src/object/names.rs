//! What names, label keys and label values may look like
//! ([rules](https://kubernetes.io/docs/concepts/overview/working-with-objects/names/)).

use crate::kinds::NameRule;

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or \
    '.', and must start and end with an alphanumeric character (e.g. 'example.com')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must \
    start and end with an alphanumeric character (e.g. 'my-name', or '123-abc')";
const DNS_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an \
    alphabetic character, and end with an alphanumeric character (e.g. 'my-name', or 'abc-123')";
const QUALIFIED: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end \
    with an alphanumeric character (e.g. 'MyName', or 'my.name', or '123-abc')";
const VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and \
    must start and end with an alphanumeric character (e.g. 'MyValue', or 'my_value', or '12345')";

/// Is `name` an object name by `rule`? What is wrong with it otherwise.
pub(crate) fn object_name(rule: NameRule, name: &str) -> Result<(), String> {
    match rule {
        NameRule::Subdomain => subdomain(name),
        NameRule::Label => limited(name, 63).and_then(|()| check(is_label(name), LABEL)),
        NameRule::Dns1035 => limited(name, 63)
            .and_then(|()| check(is_label(name) && name.starts_with(|c: char| c.is_ascii_lowercase()), DNS_1035)),
        NameRule::PathSegment => match name {
            "." | ".." => Err(format!("may not be '{name}'")),
            _ if name.contains('/') => Err("may not contain '/'".to_owned()),
            _ if name.contains('%') => Err("may not contain '%'".to_owned()),
            _ => limited(name, 253),
        },
    }
}

fn subdomain(name: &str) -> Result<(), String> {
    limited(name, 253)?;
    check(name.split('.').all(is_label), SUBDOMAIN)
}

/// Is `key` a label or annotation key: a name of at most 63 characters, with an optional DNS prefix?
pub(crate) fn label_key(key: &str) -> Result<(), String> {
    let name = match key.split_once('/') {
        Some((prefix, name)) => {
            subdomain(prefix).map_err(|why| format!("prefix part {why}"))?;
            name
        }
        None => key,
    };
    limited(name, 63)?;
    check(is_word(name), QUALIFIED)
}

/// Is `value` a label value?
pub(crate) fn label_value(value: &str) -> Result<(), String> {
    limited(value, 63)?;
    check(value.is_empty() || is_word(value), VALUE)
}

fn check(holds: bool, otherwise: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise.to_owned()) }
}

fn limited(text: &str, limit: usize) -> Result<(), String> {
    if text.len() > limit { Err(format!("must be no more than {limit} characters")) } else { Ok(()) }
}

fn is_label(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !text.is_empty() && text.chars().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

fn is_word(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let edge = |c: char| c.is_ascii_alphanumeric();
    text.starts_with(edge) && text.ends_with(edge) && text.chars().all(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_by_rule() {
        for (rule, name, valid) in [
            (NameRule::Subdomain, "a.b-c.1", true),
            (NameRule::Subdomain, "A", false),
            (NameRule::Subdomain, "a..b", false),
            (NameRule::Subdomain, "-a", false),
            (NameRule::Label, "1a", true),
            (NameRule::Label, "a.b", false),
            (NameRule::Dns1035, "1a", false),
            (NameRule::PathSegment, "system:node", true),
            (NameRule::PathSegment, "a/b", false),
        ] {
            assert_eq!(object_name(rule, name).is_ok(), valid, "{rule:?} {name}");
        }
        assert!(object_name(NameRule::Subdomain, &"a".repeat(253)).is_ok());
        assert!(object_name(NameRule::Subdomain, &"a".repeat(254)).is_err());
    }

    #[test]
    fn label_keys_and_values() {
        assert!(label_key("app.kubernetes.io/name").is_ok());
        assert!(label_key("/name").is_err());
        assert!(label_key("a/b/c").is_err());
        assert!(label_value("").is_ok());
        assert!(label_value("_a").is_err());
        assert!(label_value(&"a".repeat(64)).is_err());
    }
}
