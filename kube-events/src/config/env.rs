//! `${NAME}` anywhere in the file.

use super::Problem;

/// The text with variables put in, and the problems: variables that aren't set.
///
/// - `${NAME}` is replaced; one that isn't set is a problem, and empty.
/// - `$NAME` is replaced if it is set, else left as it is, outside of `{{ }}`, where it is a template's own.
/// - A line that is a comment is left alone.
pub(super) fn expand(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> (String, Vec<Problem>) {
    let mut out = String::with_capacity(text.len());
    let mut problems = Vec::new();
    for (number, line) in (1_u64..).zip(text.split_inclusive('\n')) {
        if line.trim_start().starts_with('#') {
            out.push_str(line);
            continue;
        }
        let mut rest = line;
        let mut in_action = false;
        while let Some(at) = rest.find(['$', '{', '}']) {
            let (before, from) = rest.split_at(at);
            out.push_str(before);
            if let Some(after) = from.strip_prefix("${") {
                let name = after.split_once('}').filter(|(name, _)| is_name(name));
                if let Some((name, after)) = name {
                    let value = variable(name);
                    if value.is_none() {
                        let problem = format!("the environment variable `{name}` is not set");
                        problems.push(Problem { path: String::new(), line: Some(number), problem });
                    }
                    out.push_str(&value.unwrap_or_default());
                    rest = after;
                    continue;
                }
            } else if let Some(after) = from.strip_prefix('$').filter(|_| !in_action) {
                let length = after.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
                let (name, after) = after.split_at(length.unwrap_or(after.len()));
                if let Some(value) = Some(name).filter(|name| is_name(name)).and_then(variable) {
                    out.push_str(&value);
                    rest = after;
                    continue;
                }
            } else if from.starts_with("{{") {
                in_action = true;
            } else if from.starts_with("}}") {
                in_action = false;
            }
            // `$`, `{` and `}` are one byte each.
            let (letter, after) = from.split_at(1);
            out.push_str(letter);
            rest = after;
        }
        out.push_str(rest);
    }
    (out, problems)
}

fn is_name(name: &str) -> bool {
    let mut letters = name.chars();
    letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

#[cfg(test)]
mod tests {
    use super::expand;

    #[test]
    fn variables() {
        let variable = |name: &str| match name {
            "KEY" => Some("se:cret".to_owned()),
            "n" => Some("7".to_owned()),
            _ => None,
        };
        let table = [
            ("a: ${KEY}", "a: se:cret", 0),
            ("a: $KEY!", "a: se:cret!", 0),
            ("a: $$n ${n}${n}", "a: $7 77", 0),
            ("a: ^x$", "a: ^x$", 0),
            ("a: ^x$|y$other", "a: ^x$|y$other", 0),
            ("a: ${MISSING}x", "a: x", 1),
            ("a: ${KEY", "a: ${KEY", 0),
            ("a: ${}", "a: ${}", 0),
            ("a: {{ $n }} $n ${n} {{ ${n} }}", "a: {{ $n }} 7 7 {{ 7 }}", 0),
            ("  # ${MISSING} $n\nb: ü${n}", "  # ${MISSING} $n\nb: ü7", 0),
        ];
        for (text, want, problems) in table {
            let (out, found) = expand(text, &variable);
            assert_eq!((out.as_str(), found.len()), (want, problems), "{text}");
        }
        assert_eq!(expand("\n\na: ${X}", &variable).1[0].line, Some(3));
    }
}
