//! The two text formats: they differ in headers, in names of counters, and in how they end.

use crate::family::{Family, MetricType};
use crate::value::escape_help;

/// An exposition format.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Format {
    /// Prometheus text format 0.0.4.
    #[default]
    Text,
    /// OpenMetrics 1.0.0 text format.
    OpenMetrics,
}

impl Format {
    /// The format that an `Accept` header asks for: OpenMetrics where it has at least the weight of plain text, else
    /// text.
    ///
    /// ```
    /// use ksm_core::Format;
    ///
    /// let prometheus = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.2";
    /// assert_eq!(Format::negotiate(Some(prometheus)), Format::OpenMetrics);
    /// assert_eq!(Format::negotiate(Some("*/*")), Format::Text);
    /// assert_eq!(Format::negotiate(None), Format::Text);
    /// ```
    pub fn negotiate(accept: Option<&str>) -> Self {
        let ranges = || accept.into_iter().flat_map(|accept| accept.split(',')).map(MediaRange::parse);
        let weight = |name: &str| {
            ranges().filter(|range| range.name.eq_ignore_ascii_case(name)).map(|range| range.weight).fold(0.0, f64::max)
        };
        let open = ranges()
            .filter(|range| range.name.eq_ignore_ascii_case("application/openmetrics-text") && range.is_known_version())
            .map(|range| range.weight)
            .fold(0.0, f64::max);
        if open > 0.0 && open >= weight("text/plain") { Self::OpenMetrics } else { Self::Text }
    }

    /// The `Content-Type` of an answer.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// The `# HELP` and `# TYPE` lines of a family.
    pub(super) fn header(self, family: &Family) -> Vec<u8> {
        let name: &str = &family.name;
        let (name, kind) = match (self, family.kind) {
            (Self::Text, MetricType::Counter) => (name, "counter"),
            (Self::Text, _) | (Self::OpenMetrics, MetricType::Gauge | MetricType::StateSet) => (name, "gauge"),
            // OpenMetrics names the family without the suffix that its samples carry.
            (Self::OpenMetrics, MetricType::Counter) => (name.strip_suffix("_total").unwrap_or(name), "counter"),
            (Self::OpenMetrics, MetricType::Info) => match name.strip_suffix("_info") {
                Some(stem) => (stem, "info"),
                None => (name, "gauge"),
            },
        };
        let mut header = format!("# HELP {name} ").into_bytes();
        match self {
            Self::Text => escape_help(&mut header, &family.help_text()),
            Self::OpenMetrics => {
                // OpenMetrics escapes quotes in help texts too.
                escape_help(&mut header, &family.help_text().replace('"', "\u{0}"));
                header = String::from_utf8_lossy(&header).replace('\u{0}', "\\\"").into_bytes();
            }
        }
        header.extend_from_slice(format!("\n# TYPE {name} {kind}\n").as_bytes());
        header
    }

    /// What an exposition ends with.
    pub(super) const fn trailer(self) -> &'static [u8] {
        match self {
            Self::Text => b"",
            Self::OpenMetrics => b"# EOF\n",
        }
    }
}

struct MediaRange<'a> {
    name: &'a str,
    version: Option<&'a str>,
    weight: f64,
}

impl<'a> MediaRange<'a> {
    fn parse(text: &'a str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let mut range = Self { name: parts.next().unwrap_or_default(), version: None, weight: 1.0 };
        for (key, value) in parts.filter_map(|part| part.split_once('=')) {
            match key.trim() {
                "q" => range.weight = value.trim().parse().unwrap_or(0.0),
                "version" => range.version = Some(value.trim().trim_matches('"')),
                _ => {}
            }
        }
        range
    }

    fn is_known_version(&self) -> bool {
        matches!(self.version, None | Some("0.0.1" | "1.0.0"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(format: Format, family: &Family) -> String {
        String::from_utf8(format.header(family)).unwrap()
    }

    #[test]
    fn counter_headers_drop_total_in_openmetrics_only() {
        let family = Family::counter("a_total", "Counts \"a\".\n");
        assert_eq!(header(Format::Text, &family), "# HELP a_total [ALPHA] Counts \"a\".\\n\n# TYPE a_total counter\n");
        assert_eq!(header(Format::OpenMetrics, &family), "# HELP a [ALPHA] Counts \\\"a\\\".\\n\n# TYPE a counter\n");
    }

    #[test]
    fn text_knows_no_info() {
        let family = Family::dynamic("a_info", "Says a.", MetricType::Info);
        assert!(header(Format::Text, &family).ends_with("# TYPE a_info gauge\n"));
        assert!(header(Format::OpenMetrics, &family).ends_with("# TYPE a info\n"));
    }

    #[test]
    fn weights_decide_between_formats() {
        let cases = [
            ("text/plain;q=0.9, application/openmetrics-text;q=0.5", Format::Text),
            ("application/openmetrics-text; version=\"1.0.0\"", Format::OpenMetrics),
            ("application/openmetrics-text; version=9.0.0, text/plain;q=0.1", Format::Text),
            ("application/openmetrics-text;q=0", Format::Text),
            (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
                Format::Text,
            ),
        ];
        for (accept, want) in cases {
            assert_eq!(Format::negotiate(Some(accept)), want, "{accept}");
        }
    }
}
