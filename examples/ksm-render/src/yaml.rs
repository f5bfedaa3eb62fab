//! YAML text → documents as JSON.

use std::thread;

use serde_json::Value;
use serde_saphyr::options::DuplicateKeyPolicy;

/// Nothing in Kubernetes is nested deeper by far.
const MAX_DEPTH: usize = 128;

/// The YAML reader needs up to 30 KB of stack per level of nesting, so it gets a stack that suffices.
const STACK: usize = 16 << 20;

/// The documents of a text, each with the number of its first line, from 1.
///
/// A line that begins with `---` or `...` ends a document wherever it stands, in a block of text too (YAML 1.2, 9.1.2),
/// so that a broken document can't take the next one along. Those of comments only are left out.
pub(crate) fn documents(text: &str) -> Vec<(usize, &str)> {
    let mut documents = Vec::new();
    let (mut begin, mut first_line, mut at) = (0, 1, 0);
    for (number, line) in text.split_inclusive('\n').enumerate() {
        if is_marker(line, "---") || is_marker(line, "...") {
            documents.push((first_line, begin..at));
            // What follows `---` on its line belongs to the document; `...` does not.
            begin = if line.starts_with('.') { at + line.len() } else { at };
            first_line = if line.starts_with('.') { number + 2 } else { number + 1 };
        }
        at += line.len();
    }
    documents.push((first_line, begin..at));
    let documents = documents.into_iter().map(|(line, range)| (line, text.get(range).unwrap_or_default()));
    documents.filter(|(_, document)| has_content(document)).collect()
}

fn is_marker(line: &str, marker: &str) -> bool {
    line.strip_prefix(marker).is_some_and(|after| after.is_empty() || after.starts_with(char::is_whitespace))
}

fn has_content(document: &str) -> bool {
    document.lines().any(|line| {
        let line = line.strip_prefix("---").unwrap_or(line).trim_start();
        !line.is_empty() && !line.starts_with('#') && !line.starts_with('%')
    })
}

/// A document as JSON; or what is wrong with it, and in which of its lines.
pub(crate) fn to_json(document: &str) -> Result<String, (String, usize)> {
    let outcome = thread::scope(|scope| {
        let reader = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, || read(document));
        reader.map(|reader| reader.join().unwrap_or_else(|_| Err(("the YAML reader panicked".to_owned(), 1))))
    });
    outcome.unwrap_or_else(|error| Err((format!("no thread for the YAML reader: {error}"), 1)))
}

fn read(document: &str) -> Result<String, (String, usize)> {
    let options = serde_saphyr::options! {
        // A list of a large cluster is large: what bounds it is the memory that its text takes already. Aliases, which
        // could make much of little, stay bounded.
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_events: usize::MAX,
            max_nodes: usize::MAX,
            max_total_scalar_bytes: usize::MAX,
        },
        // As JSON objects have it.
        duplicate_keys: DuplicateKeyPolicy::LastWins,
        emit_comments: false,
        with_snippet: false,
    };
    let value: Value = serde_saphyr::from_str_with_options(document, options).map_err(|error| {
        let line = error.location().map_or(1, |location| usize::try_from(location.line()).unwrap_or(1));
        let message = error.to_string();
        let first = message.lines().next().unwrap_or_default();
        // The reader counts lines from the begin of the document.
        (first.split(" at line ").next().unwrap_or(first).to_owned(), line)
    })?;
    Ok(value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_told_apart_by_their_markers() {
        let text = "# only a comment\n---\na: 1\n---\n# nothing\n--- {b: 2}\n...\nc: 3\n";
        assert_eq!(documents(text), [(2, "---\na: 1\n"), (6, "--- {b: 2}\n"), (8, "c: 3\n")]);
    }

    #[test]
    fn values_keep_their_types() {
        let json = to_json("a: '1'\nb: 1\nc: 2024-01-01T00:00:00Z\nd: 50%\ne: ~\nf: &x [1]\ng: *x").unwrap();
        assert_eq!(
            serde_json::from_str::<Value>(&json).unwrap(),
            serde_json::json!({"a": "1", "b": 1, "c": "2024-01-01T00:00:00Z", "d": "50%", "e": null, "f": [1], "g": [1]})
        );
    }

    #[test]
    fn faults_name_their_line() {
        assert_eq!(to_json("a: 1\nb: [1, 2\nc: }").unwrap_err().1, 3);
    }

    #[test]
    fn nesting_and_alias_bombs_are_refused() {
        assert!(to_json(&"[".repeat(100_000)).is_err());
        let block: Vec<String> = (0..2_000).map(|depth| format!("{}a:", " ".repeat(depth))).collect();
        assert!(to_json(&block.join("\n")).is_err());
        let mut bomb = vec!["a0: &a0 [x,x,x,x,x,x,x,x,x,x]".to_owned()];
        for n in 1..12 {
            let previous = vec![format!("*a{}", n - 1); 10].join(",");
            bomb.push(format!("a{n}: &a{n} [{previous}]"));
        }
        assert!(to_json(&bomb.join("\n")).is_err());
    }
}
