//! What a scrape's request asks for.

use http::header::{HeaderMap, HeaderName};
use thiserror::Error;

use crate::exposition::weight;
use crate::selector::{Query, SelectorError};

/// Conditions of all selectors of a query together: each is asked of every object, and takes memory while it is read.
const MAX_CONDITIONS: usize = 128;

/// A URL's query that can't be answered.
#[derive(Debug, Error)]
pub enum QueryError {
    /// A `match[]` that is no series selector.
    #[error("match[]: {0}")]
    Selector(#[from] SelectorError),
    /// More conditions than any sensible reader has.
    #[error("match[]: {conditions} conditions in all selectors together: at most {limit} are taken")]
    TooManyConditions {
        /// How many there are.
        conditions: usize,
        /// How many there may be.
        limit: usize,
    },
}

/// What a URL's query asks for.
///
/// | key | meaning |
/// |---|---|
/// | `resources=pods,nodes` | only these resources; unknown names show nothing |
/// | `exclude_resources=leases` | but not these |
/// | `namespace=a,b` | only samples whose label `namespace` is one of these |
/// | `match[]=kube_pod_info{node="n"}` | only series that one of these [selectors](crate::SeriesSelector) admits |
///
/// Each may be repeated; empty ones say nothing. Other keys are passed over, as kube-state-metrics does.
///
/// ```
/// let query = ksm_core::scrape::query(Some("resources=pods,%20nodes&exclude_resources=jobs&namespace=a&namespace=b"))?;
/// assert_eq!(query.resources, ["pods", "nodes"]);
/// assert_eq!(query.exclude, ["jobs"]);
/// assert_eq!(query.namespaces, ["a", "b"]);
///
/// let error = ksm_core::scrape::query(Some("match[]={pod~%22a%22}")).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "match[]: series selector `{pod~\"a\"}`, character 5: expected `=`, `!=`, `=~` or `!~`, found `~`"
/// );
/// # Ok::<(), ksm_core::scrape::QueryError>(())
/// ```
pub fn query(url_query: Option<&str>) -> Result<Query, QueryError> {
    let mut query = Query::default();
    for (key, value) in form_urlencoded::parse(url_query.unwrap_or_default().as_bytes()) {
        let names = match key.as_ref() {
            "resources" => &mut query.resources,
            "exclude_resources" => &mut query.exclude,
            "namespace" => &mut query.namespaces,
            "match[]" if !value.trim().is_empty() => {
                query.series.push(value.parse()?);
                continue;
            }
            _ => continue,
        };
        names.extend(value.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned));
    }
    let conditions = query.series.iter().map(|selector| selector.len().max(1)).sum();
    if conditions > MAX_CONDITIONS {
        return Err(QueryError::TooManyConditions { conditions, limit: MAX_CONDITIONS });
    }
    Ok(query)
}

/// How a body is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Identity,
    Gzip,
    #[cfg(feature = "zstd")]
    Zstd,
}

impl Coding {
    /// As headers and metrics name it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            #[cfg(feature = "zstd")]
            Self::Zstd => "zstd",
        }
    }

    /// The coding that an `Accept-Encoding` header asks for (RFC 9110, 12.5.3), of those that are offered: the one of
    /// the greatest weight; among equals, the one that is offered first. Identity where none is accepted, or where it is
    /// named with a greater weight itself.
    pub(super) fn negotiate(accept_encoding: &str, offered: &[Self]) -> Self {
        let weight_of = |name: &str| {
            let codings = accept_encoding.split(',').map(|coding| coding.split_once(';').unwrap_or((coding, "")));
            codings.filter(|(coding, _)| coding.trim().eq_ignore_ascii_case(name)).find_map(|(_, parameter)| {
                let parameter = parameter.trim();
                if parameter.is_empty() {
                    return Some(1.0);
                }
                let (key, value) = parameter.split_once('=')?;
                key.trim().eq_ignore_ascii_case("q").then(|| weight(value))
            })
        };
        let mut best = (Self::Identity, weight_of("identity").unwrap_or(0.0));
        let mut undecided = true;
        for coding in offered {
            // `x-gzip` is gzip's old name.
            let alias = if *coding == Self::Gzip { weight_of("x-gzip") } else { None };
            let weight = weight_of(coding.name()).or(alias).or_else(|| weight_of("*")).unwrap_or(0.0);
            if weight > best.1 || (undecided && weight > 0.0 && weight >= best.1) {
                best = (*coding, weight);
                undecided = false;
            }
        }
        best.0
    }
}

/// All values of a header that may be given in several lines.
pub(super) fn joined(headers: &HeaderMap, name: HeaderName) -> String {
    let values: Vec<&str> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    values.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_accepted_by_name_or_by_star() {
        let cases = [
            ("gzip", true),
            ("GZIP;q=1.0, identity", true),
            ("GZIP; Q=0.5", true),
            ("deflate, x-gzip;q=0.5", true),
            ("br, *", true),
            ("*;q=0", false),
            ("gzip;q=0, *", false),
            ("identity", false),
            ("gzip;q=0.4, identity;q=0.5", false),
            ("gzip; q=0.000", false),
            ("gzip;q=lots", false),
            ("gzip;q=7", false),
            ("", false),
        ];
        for (header, want) in cases {
            assert_eq!(Coding::negotiate(header, &[Coding::Gzip]) == Coding::Gzip, want, "{header}");
            assert_eq!(Coding::negotiate(header, &[]), Coding::Identity);
        }
    }

    #[cfg(feature = "zstd")]
    #[test]
    fn zstd_wins_among_equals() {
        let cases = [
            ("gzip, zstd", Coding::Zstd),
            ("*", Coding::Zstd),
            ("gzip;q=0.9, zstd;q=0.8", Coding::Gzip),
            ("zstd;q=0, *", Coding::Gzip),
            ("gzip", Coding::Gzip),
            ("identity;q=0.9, zstd;q=0.1", Coding::Identity),
        ];
        for (header, want) in cases {
            assert_eq!(Coding::negotiate(header, &[Coding::Zstd, Coding::Gzip]), want, "{header}");
        }
    }

    #[test]
    fn an_empty_query_admits_everything() {
        assert_eq!(query(None).unwrap(), Query::default());
        assert_eq!(query(Some("resources=&x=1&namespace=,&match[]=&match=a")).unwrap(), Query::default());
    }

    #[test]
    fn selectors_are_bounded_in_all() {
        let many = |count: usize| vec!["match%5B%5D=%7Ba%3D%221%22%2Cb%3D~%222%22%7D"; count].join("&");
        assert_eq!(query(Some(&many(64))).unwrap().series.len(), 64);
        let error = query(Some(&many(65))).unwrap_err();
        assert_eq!(error.to_string(), "match[]: 130 conditions in all selectors together: at most 128 are taken");
    }
}
