//! Shard selectors (KEP-5866): ranges of the FNV-1a hash of a uid or namespace.

use crate::store::entry::Entry;

/// The end of the hash space, which only an end can be.
const END: u128 = 1 << 64;

/// One or more `shardRange(field, 'start', 'end')`, joined by `||`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ShardSelector {
    text: String,
    field: Field,
    ranges: Vec<(u128, u128)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Uid,
    Namespace,
}

impl ShardSelector {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let terms: Vec<(Field, u128, u128)> = text.split("||").map(parse_range).collect::<Result<_, _>>()?;
        let Some((field, ..)) = terms.first().copied() else { return Err("empty shard selector".to_owned()) };
        if terms.iter().any(|(other, ..)| *other != field) {
            return Err("all shard ranges must use the same field".to_owned());
        }
        Ok(Self {
            text: text.to_owned(),
            field,
            ranges: terms.into_iter().map(|(_, start, end)| (start, end)).collect(),
        })
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn matches(&self, entry: &Entry) -> bool {
        let hash = match self.field {
            Field::Uid => entry.uid_hash(),
            Field::Namespace => fnv1a(entry.namespace()),
        };
        self.ranges.iter().any(|(start, end)| (*start..*end).contains(&u128::from(hash)))
    }
}

fn parse_range(term: &str) -> Result<(Field, u128, u128), String> {
    let call = term.trim().strip_prefix("shardRange(").and_then(|rest| rest.strip_suffix(')'));
    let call = call.ok_or_else(|| format!("{term:?}: only shardRange() and || are allowed"))?;
    let [field, start, end] = call.split(',').map(str::trim).collect::<Vec<_>>()[..] else {
        return Err("shardRange() requires exactly 3 arguments".to_owned());
    };
    let field = match field {
        "object.metadata.uid" => Field::Uid,
        "object.metadata.namespace" => Field::Namespace,
        other => {
            return Err(format!(
                "unsupported field path {other:?}; supported: object.metadata.uid, object.metadata.namespace"
            ));
        }
    };
    let (start, end) = (parse_bound(start)?, parse_bound(end)?);
    if start >= end {
        return Err(format!("shard range start {start:#x} must be less than end {end:#x}"));
    }
    Ok((field, start, end))
}

/// `'0x'` and sixteen digits in lower case, or 2^64.
fn parse_bound(literal: &str) -> Result<u128, String> {
    let digits = literal.strip_prefix("'0x").and_then(|rest| rest.strip_suffix('\''));
    let digits = digits.ok_or_else(|| format!("{literal} must be a string literal with '0x' prefix"))?;
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let bound = u128::from_str_radix(digits, 16).ok().filter(|_| digits.bytes().all(is_digit));
    match (digits.len(), bound) {
        (16, Some(bound)) => Ok(bound),
        (17, Some(END)) => Ok(END),
        _ => Err(format!("{literal} must be a 0x-prefixed 16-digit hex value")),
    }
}

/// FNV-1a, 64 bits.
pub(crate) fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::object::Object;
    use crate::resource::Registry;

    #[test]
    fn ranges_match_by_the_hash_of_their_field() {
        let registry = Registry::with_built_ins();
        let metadata = json!({"name": "a", "namespace": "test_uid", "uid": "abc-1"});
        let (_, object) = Object::from_value(json!({"metadata": metadata})).unwrap();
        let pod = Entry::new(registry.get("", "pods").unwrap(), "test_uid/a", object, 1);
        // The hashes are 6403e52d76c28e39 and 0ec242443e038614.
        for (selector, expected) in [
            ("shardRange(object.metadata.uid, '0x6403e52d76c28e39', '0x6403e52d76c28e3a')", true),
            ("shardRange(object.metadata.uid,'0x0000000000000000','0x6403e52d76c28e39')", false),
            ("shardRange(object.metadata.uid, '0x6403e52d76c28e3a', '0x10000000000000000')", false),
            ("shardRange(object.metadata.namespace, '0x0ec242443e038614', '0x0ec242443e038615')", true),
            (
                "shardRange(object.metadata.uid, '0x0000000000000000', '0x0000000000000001') || shardRange(object.metadata.uid, '0x6000000000000000', '0x7000000000000000')",
                true,
            ),
        ] {
            assert_eq!(ShardSelector::parse(selector).unwrap().matches(&pod), expected, "{selector}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let range = |start: &str, end: &str| format!("shardRange(object.metadata.uid, {start}, {end})");
        let (low, high) = ("'0x0000000000000000'", "'0x8000000000000000'");
        for bad in [
            String::new(),
            "hash(object.metadata.uid)".to_owned(),
            range(high, low),
            range(low, low),
            range("'0x0'", high),
            range(low, "'0x800000000000000G'"),
            range(low, "'0x20000000000000000'"),
            range(low, "0x8000000000000000"),
            format!("shardRange(metadata.uid, {low}, {high})"),
            format!("{} || shardRange(object.metadata.namespace, {low}, {high})", range(low, high)),
        ] {
            assert!(ShardSelector::parse(&bad).is_err(), "{bad}");
        }
    }
}
