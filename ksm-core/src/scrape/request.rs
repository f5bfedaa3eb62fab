//! What a scrape's request asks for.

use crate::engine::Query;

/// The resources that a URL's query names, as kube-state-metrics reads it: `resources=pods,nodes` and
/// `exclude_resources=leases`. Names that are not watched show nothing.
///
/// ```
/// let query = ksm_core::scrape::query(Some("resources=pods,%20nodes&resources=jobs&exclude_resources=jobs"));
/// assert_eq!(query.resources, ["pods", "nodes", "jobs"]);
/// assert_eq!(query.exclude, ["jobs"]);
/// ```
pub fn query(url_query: Option<&str>) -> Query {
    let mut query = Query::default();
    for (key, value) in form_urlencoded::parse(url_query.unwrap_or_default().as_bytes()) {
        let names = match key.as_ref() {
            "resources" => &mut query.resources,
            "exclude_resources" => &mut query.exclude,
            _ => continue,
        };
        names.extend(value.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned));
    }
    query
}

/// Whether an `Accept-Encoding` header admits gzip (RFC 9110, 12.5.3): by name, else by `*`, with a weight above 0.
///
/// ```
/// use ksm_core::scrape::accepts_gzip;
///
/// assert!(accepts_gzip(Some("deflate, gzip;q=0.5")));
/// assert!(!accepts_gzip(Some("gzip;q=0, *")));
/// assert!(!accepts_gzip(None));
/// ```
pub fn accepts_gzip(accept_encoding: Option<&str>) -> bool {
    let weight = |name: &str| {
        let codings = accept_encoding.unwrap_or_default().split(',');
        codings.map(|coding| coding.split_once(';').unwrap_or((coding, ""))).find_map(|(coding, parameters)| {
            let weight = parameters.trim().strip_prefix("q=").map_or(Some(1.0), |q| q.trim().parse::<f64>().ok());
            coding.trim().eq_ignore_ascii_case(name).then(|| weight.unwrap_or(0.0))
        })
    };
    weight("gzip").or_else(|| weight("x-gzip")).or_else(|| weight("*")).is_some_and(|weight| weight > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_accepted_by_name_or_by_star() {
        let cases = [
            ("gzip", true),
            ("GZIP;q=1.0, identity", true),
            ("br, *", true),
            ("*;q=0", false),
            ("identity", false),
            ("gzip; q=0.000", false),
            ("gzip;q=lots", false),
            ("", false),
        ];
        for (header, want) in cases {
            assert_eq!(accepts_gzip(Some(header)), want, "{header}");
        }
    }

    #[test]
    fn an_empty_query_admits_everything() {
        assert_eq!(query(None), Query::default());
        assert_eq!(query(Some("resources=&x=1")), Query::default());
    }
}
