//! How a family appears in a format: its name and type there, and its header.
//!
//! Samples always have the family's own name: dashboards know it. What differs is what the header says. OpenMetrics
//! binds types to names, labels and values (a counter `a` has samples `a_total` that are numbers from 0 on); a family
//! that can't keep that appears under a type that promises less, and stays valid.

use hashbrown::HashSet;

use super::Format;
use super::source::Source;
use crate::family::{Family, MetricType};
use crate::store::{has_label, unmarked};
use crate::value::escape_help;

/// The type that a header names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Gauge,
    Counter,
    Info,
    StateSet,
    /// No promise at all.
    Unknown,
}

/// A family's header in one format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Form {
    pub(super) name: String,
    pub(super) kind: Kind,
}

impl Form {
    /// The family under its own name, by a type that any samples of it keep.
    fn plain(family: &Family) -> Self {
        let kind = if family.kind == MetricType::Counter { Kind::Unknown } else { Kind::Gauge };
        Self { name: family.name.to_string(), kind }
    }
}

/// The forms of some families of different names.
pub(super) fn forms<'a>(format: Format, families: impl Iterator<Item = &'a Family> + Clone) -> Vec<Form> {
    match format {
        Format::Text | Format::Protobuf => families
            .map(|family| match family.kind {
                MetricType::Counter => Form { name: family.name.to_string(), kind: Kind::Counter },
                _ => Form::plain(family),
            })
            .collect(),
        Format::OpenMetrics => openmetrics(families),
    }
}

/// A counter or info is named without its suffix, and claims names beyond that of its samples: where one of those is
/// another family's, or the suffix is missing, it stays plain.
fn openmetrics<'a>(families: impl Iterator<Item = &'a Family> + Clone) -> Vec<Form> {
    let mut taken: HashSet<String> = families.clone().map(|family| family.name.to_string()).collect();
    let mut form = |family: &Family| {
        let (suffix, claims, kind) = match family.kind {
            MetricType::Gauge => return Form::plain(family),
            MetricType::StateSet => return Form { name: family.name.to_string(), kind: Kind::StateSet },
            MetricType::Counter => ("_total", ["", "_created"].as_slice(), Kind::Counter),
            MetricType::Info => ("_info", [""].as_slice(), Kind::Info),
        };
        let Some(stem) = family.name.strip_suffix(suffix).filter(|stem| !stem.is_empty()) else {
            return Form::plain(family);
        };
        let claimed: Vec<String> = claims.iter().map(|claim| format!("{stem}{claim}")).collect();
        if claimed.iter().any(|name| taken.contains(name)) {
            return Form::plain(family);
        }
        taken.extend(claimed);
        Form { name: stem.to_owned(), kind }
    };
    families.map(&mut form).collect()
}

/// The form that OpenMetrics allows for these samples: their own, or the plain one.
pub(super) fn kept(form: &Form, family: &Family, sources: &[Source]) -> Form {
    if form.kind == Kind::Gauge || sources.iter().all(|source| keep(form, source)) {
        form.clone()
    } else {
        Form::plain(family)
    }
}

fn keep(form: &Form, source: &Source) -> bool {
    // Most lines repeat: each is looked at once.
    let mut seen = HashSet::new();
    (0..source.snapshot.chunk_count()).all(|chunk| {
        source.snapshot.runs(source.family, chunk).all(|run| {
            let known = run.shared_id().is_some_and(|id| !seen.insert(id));
            known || run.lines().all(|line| keeps(form, line))
        })
    })
}

/// Whether a line may stand under that type (OpenMetrics 1.0.0, "Metric Types").
fn keeps(form: &Form, line: &[u8]) -> bool {
    let value = line.rsplit(|byte| *byte == b' ').next().unwrap_or_default().trim_ascii_end();
    match form.kind {
        Kind::Gauge | Kind::Unknown => true,
        Kind::Counter => value != b"NaN" && !value.starts_with(b"-"),
        Kind::Info => value == b"1",
        Kind::StateSet => matches!(value, b"0" | b"1") && has_label(unmarked(line), form.name.as_bytes()),
    }
}

/// The `# HELP` and `# TYPE` lines of a family in a text format.
pub(super) fn write_header(out: &mut Vec<u8>, format: Format, form: &Form, help: &str) {
    let kind = match (form.kind, format) {
        (Kind::Gauge, _) => "gauge",
        (Kind::Counter, _) => "counter",
        (Kind::Info, _) => "info",
        (Kind::StateSet, _) => "stateset",
        (Kind::Unknown, Format::OpenMetrics) => "unknown",
        (Kind::Unknown, _) => "untyped",
    };
    out.extend_from_slice(format!("# HELP {} ", form.name).as_bytes());
    if format == Format::OpenMetrics && help.contains('"') {
        // OpenMetrics escapes quotes in help texts too.
        let mut parts = help.split('"');
        escape_help(out, parts.next().unwrap_or_default());
        for part in parts {
            out.extend_from_slice(b"\\\"");
            escape_help(out, part);
        }
    } else {
        escape_help(out, help);
    }
    out.extend_from_slice(format!("\n# TYPE {} {kind}\n", form.name).as_bytes());
}

/// Whether the formats take that name as it is: `[a-zA-Z_:][a-zA-Z0-9_:]*`.
pub(super) fn is_metric_name(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':';
    name.bytes().all(inner) && !name.is_empty() && !name.starts_with(|first: char| first.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    type Families<'a> = &'a [(&'a str, MetricType)];

    fn header(format: Format, family: &Family) -> String {
        let form = forms(format, std::iter::once(family)).remove(0);
        let mut out = Vec::new();
        write_header(&mut out, format, &form, &family.help_text());
        String::from_utf8(out).unwrap()
    }

    /// Name and type of each family, as `a_total:counter`.
    fn named(families: Families<'_>) -> Vec<(String, Kind)> {
        let families: Vec<Family> =
            families.iter().map(|(name, kind)| Family::dynamic(*name, "Helps.", *kind)).collect();
        forms(Format::OpenMetrics, families.iter()).into_iter().map(|form| (form.name, form.kind)).collect()
    }

    #[test]
    fn counter_headers_drop_total_in_openmetrics_only() {
        let family = Family::counter("a_total", "Counts \"a\".\n");
        assert_eq!(header(Format::Text, &family), "# HELP a_total [ALPHA] Counts \"a\".\\n\n# TYPE a_total counter\n");
        assert_eq!(header(Format::OpenMetrics, &family), "# HELP a [ALPHA] Counts \\\"a\\\".\\n\n# TYPE a counter\n");
    }

    #[test]
    fn text_knows_no_info_and_no_stateset() {
        let info = Family::dynamic("a_info", "Says a.", MetricType::Info);
        assert!(header(Format::Text, &info).ends_with("# TYPE a_info gauge\n"));
        assert!(header(Format::OpenMetrics, &info).ends_with("# TYPE a info\n"));
        let states = Family::dynamic("a", "Says a.", MetricType::StateSet);
        assert!(header(Format::Text, &states).ends_with("# TYPE a gauge\n"));
        assert!(header(Format::OpenMetrics, &states).ends_with("# TYPE a stateset\n"));
    }

    #[test]
    fn a_name_without_its_types_suffix_stays_and_the_type_goes() {
        use MetricType::{Counter, Info};
        let got = named(&[("restarts", Counter), ("version", Info), ("_total", Counter), ("_info", Info)]);
        let want =
            [("restarts", Kind::Unknown), ("version", Kind::Gauge), ("_total", Kind::Unknown), ("_info", Kind::Gauge)];
        assert_eq!(got, want.map(|(name, kind)| (name.to_owned(), kind)));
        let counter = Family::counter("restarts", "Counts.");
        assert!(header(Format::Text, &counter).ends_with("# TYPE restarts counter\n"));
        assert!(header(Format::OpenMetrics, &counter).ends_with("# TYPE restarts unknown\n"));
    }

    #[test]
    fn names_that_would_clash_stay_apart() {
        use MetricType::{Counter, Gauge, Info, StateSet};
        let cases: [(Families<'_>, &[(&str, Kind)]); 5] = [
            (&[("a_info", Info), ("a", Gauge)], &[("a_info", Kind::Gauge), ("a", Kind::Gauge)]),
            (&[("a", Gauge), ("a_total", Counter)], &[("a", Kind::Gauge), ("a_total", Kind::Unknown)]),
            (&[("a_total", Counter), ("a_info", Info)], &[("a", Kind::Counter), ("a_info", Kind::Gauge)]),
            (&[("a_total", Counter), ("a_created", Gauge)], &[("a_total", Kind::Unknown), ("a_created", Kind::Gauge)]),
            (&[("a_info", Info), ("a", StateSet)], &[("a_info", Kind::Gauge), ("a", Kind::StateSet)]),
        ];
        for (families, want) in cases {
            let want: Vec<_> = want.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect();
            assert_eq!(named(families), want);
        }
    }

    #[test]
    fn a_line_must_keep_what_its_type_promises() {
        let keeps = |kind, line: &str| keeps(&Form { name: "phase".to_owned(), kind }, line.as_bytes());
        assert!(keeps(Kind::StateSet, ",phase=\"a\"} 1\n"));
        assert!(keeps(Kind::StateSet, "\u{1},phase=\"a\"} 0\n"));
        assert!(!keeps(Kind::StateSet, ",phase=\"a\"} 2\n"));
        assert!(!keeps(Kind::StateSet, ",state=\"phase=\\\"a\\\"\"} 1\n"));
        assert!(keeps(Kind::Info, "} 1\n"));
        assert!(!keeps(Kind::Info, ",a=\"b 1\"} 3\n"));
        assert!(keeps(Kind::Counter, "} +Inf\n"));
        assert!(!keeps(Kind::Counter, "} NaN\n"));
        assert!(!keeps(Kind::Counter, "} -1\n"));
    }

    #[test]
    fn metric_names_have_letters_digits_underscores_and_colons() {
        for name in ["a", "_", ":a9"] {
            assert!(is_metric_name(name), "{name}");
        }
        for name in ["", "9a", "a b", "a-b", "größe", "a\n"] {
            assert!(!is_metric_name(name), "{name}");
        }
    }
}
