//! The formats, and which of them a client asks for.

/// An exposition format.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Format {
    /// Prometheus text format 0.0.4.
    #[default]
    Text,
    /// OpenMetrics 1.0.0 text format.
    OpenMetrics,
    /// Prometheus' protobuf format: `io.prometheus.client.MetricFamily` messages, each after its length.
    Protobuf,
}

/// In the order of our preference, where a client has none.
const FORMATS: [Format; 3] = [Format::Text, Format::OpenMetrics, Format::Protobuf];

impl Format {
    /// The format that an `Accept` header asks for (RFC 9110, 12.5.1): the one of the greatest weight; among equals,
    /// the one that is named first. Text where nothing fits, as exporters answer.
    ///
    /// Text is always version 0.0.4, which is valid text 1.0.0 too: names need no quotes here.
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
        let ranges: Vec<MediaRange<'_>> = accept.unwrap_or_default().split(',').map(MediaRange::parse).collect();
        let mut best = (Self::Text, 0.0, usize::MAX);
        for format in FORMATS {
            // The most specific range says how a format is wanted: `*/*` does not bring back what has weight 0.
            let fits = |range: &MediaRange<'_>| range.fit(format);
            let Some(fit) = ranges.iter().filter_map(fits).max() else { continue };
            for (place, range) in ranges.iter().enumerate().filter(|(_, range)| fits(range) == Some(fit)) {
                let (_, weight, before) = best;
                if range.weight > weight || (range.weight > 0.0 && range.weight >= weight && place < before) {
                    best = (format, range.weight, place);
                }
            }
        }
        best.0
    }

    /// The `Content-Type` of an answer.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
        }
    }

    /// What an exposition ends with.
    pub(super) const fn trailer(self) -> &'static [u8] {
        match self {
            Self::Text | Self::Protobuf => b"",
            Self::OpenMetrics => b"# EOF\n",
        }
    }
}

/// How closely a range names a format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    Anything,
    Type,
    Exact,
}

struct MediaRange<'a> {
    name: &'a str,
    version: Option<&'a str>,
    proto: Option<&'a str>,
    encoding: Option<&'a str>,
    weight: f64,
}

impl<'a> MediaRange<'a> {
    fn parse(text: &'a str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let mut range = Self { name, version: None, proto: None, encoding: None, weight: 1.0 };
        for (key, value) in parts.filter_map(|part| part.split_once('=')) {
            let value = value.trim().trim_matches('"');
            match key.trim().to_ascii_lowercase().as_str() {
                "q" => range.weight = weight(value),
                "version" => range.version = Some(value),
                "proto" => range.proto = Some(value),
                "encoding" => range.encoding = Some(value),
                // `escaping` says how names are written that need quotes: there are none.
                _ => {}
            }
        }
        range
    }

    fn fit(&self, format: Format) -> Option<Fit> {
        let is = |name: &str| self.name.eq_ignore_ascii_case(name);
        if is("*/*") {
            return Some(Fit::Anything);
        }
        let (media_type, whole) = match format {
            Format::Text => ("text/*", is("text/plain") && matches!(self.version, None | Some("0.0.4" | "1.0.0"))),
            Format::OpenMetrics => (
                "application/*",
                is("application/openmetrics-text") && matches!(self.version, None | Some("0.0.1" | "1.0.0")),
            ),
            Format::Protobuf => (
                "application/*",
                is("application/vnd.google.protobuf")
                    && self.proto == Some("io.prometheus.client.MetricFamily")
                    && self.encoding == Some("delimited"),
            ),
        };
        if whole { Some(Fit::Exact) } else { is(media_type).then_some(Fit::Type) }
    }
}

/// A weight of content negotiation (RFC 9110, 12.4.2), between 0 and 1; what is none is 0.
pub(crate) fn weight(text: &str) -> f64 {
    text.trim().parse::<f64>().ok().filter(|weight| (0.0..=1.0).contains(weight)).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROTOBUF: &str = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";

    #[test]
    fn weights_decide_then_the_order() {
        let cases = [
            ("text/plain;q=0.9, application/openmetrics-text;q=0.5", Format::Text),
            ("application/openmetrics-text; version=\"1.0.0\"", Format::OpenMetrics),
            ("application/openmetrics-text; version=9.0.0, text/plain;q=0.1", Format::Text),
            ("application/openmetrics-text;q=0", Format::Text),
            ("application/openmetrics-text, text/plain", Format::OpenMetrics),
            ("text/plain, application/openmetrics-text", Format::Text),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Format::Text),
            ("application/*", Format::OpenMetrics),
            ("text/*;q=0.4, application/openmetrics-text;q=0.5", Format::OpenMetrics),
            ("text/plain;q=0, */*", Format::OpenMetrics),
            ("Application/OpenMetrics-Text;Q=0.5,text/plain;q=0.4", Format::OpenMetrics),
            ("application/openmetrics-text;q=nonsense,text/plain;q=0.1", Format::Text),
            ("image/png", Format::Text),
            ("", Format::Text),
            (";;=,,q=1", Format::Text),
        ];
        for (accept, want) in cases {
            assert_eq!(Format::negotiate(Some(accept)), want, "{accept}");
        }
    }

    #[test]
    fn protobuf_must_be_of_the_known_message_and_delimited() {
        assert_eq!(Format::negotiate(Some(PROTOBUF)), Format::Protobuf);
        for part in [";proto=io.prometheus.client.MetricFamily", ";encoding=delimited"] {
            assert_eq!(Format::negotiate(Some(&PROTOBUF.replace(part, ""))), Format::Text, "without {part}");
        }
        assert_eq!(Format::negotiate(Some(&PROTOBUF.replace("delimited", "text"))), Format::Text);
    }

    /// As Prometheus 2.47 and 3.x send it, with and without native histograms.
    #[test]
    fn what_prometheus_sends_gets_what_it_wants_most() {
        let cases = [
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                 text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
                    .to_owned(),
                Format::OpenMetrics,
            ),
            (
                format!(
                    "{PROTOBUF},application/openmetrics-text;version=1.0.0;q=0.8,\
                     application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
                ),
                Format::Protobuf,
            ),
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                 application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
                 text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
                    .to_owned(),
                Format::OpenMetrics,
            ),
            (
                format!(
                    "{PROTOBUF};escaping=allow-utf-8;q=0.7,\
                     application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                     text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
                ),
                Format::Protobuf,
            ),
            ("text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,*/*;q=0.2".to_owned(), Format::Text),
        ];
        for (accept, want) in cases {
            assert_eq!(Format::negotiate(Some(&accept)), want, "{accept}");
        }
    }
}
