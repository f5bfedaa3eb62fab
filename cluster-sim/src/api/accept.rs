//! Which form of the answer a client accepts.

use super::status::Status;

/// The forms that the server can answer in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Whole objects.
    Plain,
    /// `PartialObjectMetadata` and `PartialObjectMetadataList`.
    Metadata,
    /// `APIGroupDiscoveryList`.
    AggregatedDiscovery,
}

/// The first form of the `Accept` header that the server has. Tables are none of them: clients that ask for one offer
/// plain JSON as well.
pub(crate) fn negotiate(accept: &str) -> Result<Form, Status> {
    if accept.trim().is_empty() {
        return Ok(Form::Plain);
    }
    accept.split(',').find_map(offered).ok_or_else(Status::not_acceptable)
}

fn offered(media_range: &str) -> Option<Form> {
    let mut parts = media_range.split(';').map(str::trim);
    if !matches!(parts.next()?, "application/json" | "application/*" | "*/*") {
        return None;
    }
    let parameters: Vec<(&str, &str)> = parts.filter_map(|parameter| parameter.split_once('=')).collect();
    let parameter = |name: &str| parameters.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
    match (parameter("as"), parameter("g"), parameter("v")) {
        (None, ..) => Some(Form::Plain),
        (Some("PartialObjectMetadata" | "PartialObjectMetadataList"), Some("meta.k8s.io"), Some("v1")) => {
            Some(Form::Metadata)
        }
        (Some("APIGroupDiscoveryList"), Some("apidiscovery.k8s.io"), Some("v2")) => Some(Form::AggregatedDiscovery),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_known_form_wins() {
        for (accept, form) in [
            ("", Some(Form::Plain)),
            ("*/*", Some(Form::Plain)),
            ("application/json;as=Table;v=v1;g=meta.k8s.io,application/json", Some(Form::Plain)),
            ("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1", Some(Form::Metadata)),
            ("application/vnd.kubernetes.protobuf, application/json;q=0.5", Some(Form::Plain)),
            ("application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList", Some(Form::AggregatedDiscovery)),
            ("application/vnd.kubernetes.protobuf", None),
        ] {
            assert_eq!(negotiate(accept).ok(), form, "{accept}");
        }
    }
}
