//! Metadata as a tree: objects and arrays are its directories, everything else its leaves.

use serde_json::Value;

/// What is at a path of segments, as `placement/region`; the tree itself at the empty one.
pub(super) fn find<'a>(tree: &'a Value, path: &str) -> Option<&'a Value> {
    if path.is_empty() {
        return Some(tree);
    }
    path.split('/').try_fold(tree, |place, segment| match place {
        Value::Object(entries) => entries.get(segment),
        Value::Array(entries) => entries.get(segment.parse::<usize>().ok()?),
        _ => None,
    })
}

/// A directory's entries, one a line, those that are directories with a slash; `None` for a leaf.
pub(super) fn listing(place: &Value) -> Option<String> {
    let line = |name: &str, entry: &Value| format!("{name}{}", if is_directory(entry) { "/" } else { "" });
    let lines: Vec<String> = match place {
        Value::Object(entries) => entries.iter().map(|(name, entry)| line(name, entry)).collect(),
        Value::Array(entries) => entries.iter().enumerate().map(|(nth, entry)| line(&nth.to_string(), entry)).collect(),
        _ => return None,
    };
    Some(lines.join("\n"))
}

fn is_directory(place: &Value) -> bool {
    place.is_object() || place.is_array()
}

/// A leaf as text.
pub(super) fn text(leaf: &Value) -> String {
    match leaf {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_lead_through_directories_to_leaves() {
        let tree = json!({"a": {"b": [{"c": 1}], "d": "x"}});
        assert_eq!(find(&tree, ""), Some(&tree));
        assert_eq!(find(&tree, "a/b/0/c"), Some(&json!(1)));
        for none in ["a/b/1", "a/d/x", "/a", "a//d", "a/"] {
            assert_eq!(find(&tree, none), None, "{none}");
        }
        assert_eq!(listing(&tree["a"]).as_deref(), Some("b/\nd"));
        assert_eq!(listing(&tree["a"]["b"]).as_deref(), Some("0/"));
        assert_eq!(listing(&tree["a"]["d"]), None);
    }
}
