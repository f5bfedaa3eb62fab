//! Comma-separated lists.

use super::error::{Given, OptionError};

/// The entries of `a, b,c`: without the white space around them (newlines too, as multi-line YAML brings them), and
/// without empty ones. A flag that is given several times adds up.
///
/// ```
/// assert_eq!(ksm_core::options::comma_list(&["a, b,\n c,", "d"]), ["a", "b", "c", "d"]);
/// ```
pub fn comma_list<S: AsRef<str>>(values: &[S]) -> Vec<String> {
    let entries = values.iter().flat_map(|value| value.as_ref().split(',')).map(str::trim);
    entries.filter(|entry| !entry.is_empty()).map(str::to_owned).collect()
}

/// The resources of `pods,nodes`, each once. `known` are all that there are.
pub fn resources<S: AsRef<str>>(
    given: impl Into<Given>,
    values: &[S],
    known: &[&str],
) -> Result<Vec<String>, Vec<OptionError>> {
    let given = given.into();
    let mut names: Vec<String> = Vec::new();
    let mut errors = Vec::new();
    for name in comma_list(values) {
        if !known.contains(&name.as_str()) {
            errors.push(unknown(&given, name, known));
        } else if !names.contains(&name) {
            names.push(name);
        }
    }
    if errors.is_empty() { Ok(names) } else { Err(errors) }
}

pub(super) fn unknown(given: &Given, name: String, known: &[&str]) -> OptionError {
    OptionError::UnknownResource { given: given.clone(), name, known: known.join(", ") }
}
