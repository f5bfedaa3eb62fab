//! The options of a request, as its query string and headers carry them.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::status::{Cause, Status};

/// A query string.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(query: &str) -> Self {
        Self(form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    /// The first value of a parameter; empty if absent.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(key, _)| key == name)
    }

    /// `true` and `1` and a bare name are true.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.has(name) && !matches!(self.get(name), "false" | "0")
    }

    pub(crate) fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, Status> {
        match self.get(name) {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| {
                Status::bad_request(format!("Invalid value for query parameter {name}: {text:?} is not a number"))
            }),
        }
    }

    pub(crate) fn dry_run(&self) -> Result<bool, Status> {
        match self.get("dryRun") {
            "" => Ok(false),
            "All" => Ok(true),
            other => Err(Status::bad_request(format!(
                "Invalid value: dryRun: Unsupported value: {other:?}: supported values: \"All\""
            ))),
        }
    }

    /// The resourceVersion a read asks for; 0 for any, `None` for the newest.
    pub(crate) fn version(&self) -> Result<Option<u64>, Status> {
        self.number("resourceVersion")
    }
}

/// How a list's resourceVersion is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VersionMatch {
    NotOlderThan,
    Exact,
}

/// Which state a list is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// The newest state.
    Newest,
    /// Any state; the limit is ignored, as a server's cache does.
    Any,
    /// A state at least this new.
    NotOlderThan(u64),
    /// Exactly this state.
    Exact(u64),
    /// The rest of a list.
    Continue(Token),
}

/// How many objects of which state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListOptions {
    pub(crate) reading: Reading,
    pub(crate) limit: Option<usize>,
}

impl ListOptions {
    pub(crate) fn parse(query: &Query) -> Result<Self, Status> {
        let limit =
            query.number::<i64>("limit")?.and_then(|limit| usize::try_from(limit).ok()).filter(|limit| *limit > 0);
        let version = query.version()?;
        let version_match = match query.get("resourceVersionMatch") {
            "" => None,
            "NotOlderThan" => Some(VersionMatch::NotOlderThan),
            "Exact" => Some(VersionMatch::Exact),
            other => {
                let why = "supported values: \"Exact\", \"NotOlderThan\"";
                return Err(Status::invalid_options(&[Cause::invalid("resourceVersionMatch", &other.into(), why)]));
            }
        };
        let refuse = |why: &str| Err(Status::invalid_options(&[Cause::forbidden("resourceVersionMatch", why)]));
        if query.has("sendInitialEvents") {
            let why = "sendInitialEvents is forbidden for list";
            return Err(Status::invalid_options(&[Cause::forbidden("sendInitialEvents", why)]));
        }
        let token = query.get("continue");
        if !token.is_empty() {
            if version_match.is_some() {
                return refuse("resourceVersionMatch is forbidden when continue is provided");
            }
            if version.is_some_and(|version| version > 0) {
                return Err(Status::bad_request("specifying resource version is not allowed when using continue"));
            }
            return Ok(Self { reading: Reading::Continue(Token::decode(token)?), limit });
        }
        let reading = match (version_match, version) {
            (Some(_), None) => {
                return refuse("resourceVersionMatch is forbidden unless resourceVersion is provided");
            }
            (Some(VersionMatch::Exact), Some(0)) => {
                return refuse("resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"");
            }
            (Some(VersionMatch::Exact), Some(version)) => Reading::Exact(version),
            (None, None) => Reading::Newest,
            (_, Some(0)) => Reading::Any,
            // Before resourceVersionMatch, a limited list at a version meant exactly that version.
            (None, Some(version)) if limit.is_some() => Reading::Exact(version),
            (_, Some(version)) => Reading::NotOlderThan(version),
        };
        let limit = if reading == Reading::Any { None } else { limit };
        Ok(Self { reading, limit })
    }
}

/// Where a watch starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// After this version.
    After(u64),
    /// With the present objects as synthetic ADDED events.
    Present,
    /// With the present objects, then a bookmark that says that they are complete.
    Streaming,
    /// With the next change.
    Next,
}

/// How a watch is to be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WatchOptions {
    pub(crate) start: Start,
    /// For `Streaming`: the state must be at least this new.
    pub(crate) not_older_than: u64,
    pub(crate) bookmarks: bool,
    pub(crate) timeout: Option<Duration>,
}

impl WatchOptions {
    pub(crate) fn parse(query: &Query, streaming_lists: bool) -> Result<Self, Status> {
        let version = query.version()?;
        let version_match = query.get("resourceVersionMatch");
        let mut causes = Vec::new();
        let initial_events = query.has("sendInitialEvents").then(|| query.flag("sendInitialEvents"));
        match initial_events {
            None if !version_match.is_empty() => causes.push(Cause::forbidden(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            )),
            Some(_) if !streaming_lists => causes.push(Cause::forbidden(
                "sendInitialEvents",
                "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled",
            )),
            Some(_) if version_match != "NotOlderThan" => causes.push(Cause::forbidden(
                "resourceVersionMatch",
                "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
            )),
            _ => {}
        }
        if !query.get("continue").is_empty() {
            causes.push(Cause::forbidden("continue", "continue is forbidden for watch"));
        }
        if !causes.is_empty() {
            return Err(Status::invalid_options(&causes));
        }
        let start = match (initial_events, version) {
            (Some(true), _) => Start::Streaming,
            (Some(false), None | Some(0)) => Start::Next,
            (None, None | Some(0)) => Start::Present,
            (_, Some(version)) => Start::After(version),
        };
        let timeout = query.number::<u64>("timeoutSeconds")?.filter(|seconds| *seconds > 0).map(Duration::from_secs);
        Ok(Self {
            start,
            not_older_than: version.unwrap_or_default(),
            bookmarks: query.flag("allowWatchBookmarks"),
            timeout,
        })
    }
}

/// A continue token: where the rest of a list begins, and in which state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Token {
    #[serde(rename = "v")]
    format: String,
    /// The state's version; -1 for the newest, of a token that replaces an expired one.
    #[serde(rename = "rv")]
    pub(crate) version: i64,
    /// The last key already sent.
    pub(crate) start: String,
    /// When the list began, in milliseconds since the server's start.
    #[serde(rename = "at")]
    pub(crate) began: u64,
    /// How many objects remain; unknown for lists with a selector.
    #[serde(rename = "left", skip_serializing_if = "Option::is_none", default)]
    pub(crate) remaining: Option<usize>,
}

const FORMAT: &str = "meta.k8s.io/v1";

impl Token {
    pub(crate) fn new(version: u64, start: &str, began: u64, remaining: Option<usize>) -> Self {
        let version = i64::try_from(version).unwrap_or(-1);
        Self { format: FORMAT.to_owned(), version, start: start.to_owned(), began, remaining }
    }

    /// Go on from the same place, in the newest state.
    pub(crate) fn at_newest(&self, now: u64) -> Self {
        Self { version: -1, began: now, remaining: None, ..self.clone() }
    }

    pub(crate) fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    fn decode(text: &str) -> Result<Self, Status> {
        let bad = |why: String| Status::bad_request(format!("continue key is not valid: {why}"));
        let json = URL_SAFE_NO_PAD.decode(text).map_err(|error| bad(error.to_string()))?;
        let token: Self = serde_json::from_slice(&json).map_err(|error| bad(error.to_string()))?;
        if token.format != FORMAT {
            return Err(bad("server does not recognize this encoded version".to_owned()));
        }
        Ok(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(query: &str) -> Result<Reading, u16> {
        ListOptions::parse(&Query::parse(query)).map(|options| options.reading).map_err(|status| status.code())
    }

    fn watch(query: &str, streaming: bool) -> Result<Start, u16> {
        WatchOptions::parse(&Query::parse(query), streaming)
            .map(|options| options.start)
            .map_err(|status| status.code())
    }

    #[test]
    fn lists() {
        assert_eq!(list(""), Ok(Reading::Newest));
        assert_eq!(list("resourceVersion=0"), Ok(Reading::Any));
        assert_eq!(list("resourceVersion=5"), Ok(Reading::NotOlderThan(5)));
        assert_eq!(list("resourceVersion=5&limit=2"), Ok(Reading::Exact(5)));
        assert_eq!(list("resourceVersion=5&limit=2&resourceVersionMatch=NotOlderThan"), Ok(Reading::NotOlderThan(5)));
        assert_eq!(list("resourceVersion=5&resourceVersionMatch=Exact"), Ok(Reading::Exact(5)));
        assert_eq!(list("resourceVersion=0&resourceVersionMatch=Exact"), Err(422));
        assert_eq!(list("resourceVersionMatch=Exact"), Err(422));
        assert_eq!(list("resourceVersionMatch=Sometimes&resourceVersion=1"), Err(422));
        assert_eq!(list("resourceVersion=x"), Err(400));
        assert_eq!(list("continue=x"), Err(400));
        let token = Token::new(7, "a/b", 3, Some(9));
        assert_eq!(list(&format!("continue={}", token.encode())), Ok(Reading::Continue(token.clone())));
        assert_eq!(list(&format!("resourceVersion=7&continue={}", token.encode())), Err(400));
    }

    #[test]
    fn watches() {
        assert_eq!(watch("", true), Ok(Start::Present));
        assert_eq!(watch("resourceVersion=0", true), Ok(Start::Present));
        assert_eq!(watch("resourceVersion=5", true), Ok(Start::After(5)));
        let streaming = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan";
        assert_eq!(watch(streaming, true), Ok(Start::Streaming));
        assert_eq!(watch(streaming, false), Err(422));
        assert_eq!(watch("sendInitialEvents=true", true), Err(422));
        assert_eq!(watch("sendInitialEvents=false&resourceVersionMatch=NotOlderThan", true), Ok(Start::Next));
        assert_eq!(watch("resourceVersionMatch=NotOlderThan&resourceVersion=1", true), Err(422));
    }
}
