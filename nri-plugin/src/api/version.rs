//! What a runtime says of itself, and what follows from it.

use std::str::FromStr;

use super::{ConfigureRequest, EventMask};

/// A version, read leniently: `v1.7.24`, `1.7.24~ds1`, `2.1.9+unknown`, `1.34` all are some.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// The first number.
    pub major: u32,
    /// The second.
    pub minor: u32,
    /// The third, or 0.
    pub patch: u32,
}

impl Version {
    /// A version by its numbers.
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self { major, minor, patch }
    }
}

/// The text does not begin with two numbers and a point between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no version begins so")]
pub struct NoVersion;

impl FromStr for Version {
    type Err = NoVersion;

    fn from_str(text: &str) -> Result<Self, NoVersion> {
        let text = text.trim().trim_start_matches('v');
        let mut numbers = text.splitn(3, '.').map(|part| {
            let end = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
            (part.get(..end).and_then(|digits| digits.parse().ok()), end == part.len())
        });
        let (Some((Some(major), true)), Some((Some(minor), ended))) = (numbers.next(), numbers.next()) else {
            return Err(NoVersion);
        };
        // "2.2-dev.5" has no patch level.
        let patch = if ended { numbers.next().and_then(|(patch, _)| patch).unwrap_or(0) } else { 0 };
        Ok(Self { major, minor, patch })
    }
}

/// The runtime, as it told in `Configure`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuntimeInfo {
    /// `containerd` or `cri-o`, say.
    pub name: String,
    /// Its version, in its own words.
    pub version: String,
    /// Its version of NRI; `None` before NRI 0.12.
    pub nri_version: Option<String>,
}

impl RuntimeInfo {
    /// The events that it knows. A plugin that asks for another one is disconnected without a word.
    ///
    /// NRI before 0.12 does not tell its version, so the runtime's own is looked at: containerd has had NRI 0.10 since
    /// 2.2, CRI-O since 1.34. Of a runtime that is neither, the fewest are expected.
    pub fn known_events(&self) -> EventMask {
        let since_0_10 = if let Some(nri) = &self.nri_version {
            // Whatever it is: older ones say nothing.
            nri.parse().map_or(true, |version: Version| version >= Version::new(0, 10, 0))
        } else {
            let first = match self.name.to_ascii_lowercase().as_str() {
                "containerd" => Some(Version::new(2, 2, 0)),
                "cri-o" | "crio" => Some(Version::new(1, 34, 0)),
                _ => None,
            };
            self.version.parse().is_ok_and(|version: Version| first.is_some_and(|first| version >= first))
        };
        if since_0_10 { EventMask::ALL } else { EventMask::BEFORE_0_10 }
    }

    /// Whether `UpdateContainers` may be called while the runtime waits for the answer to an event. Before NRI 0.12.1
    /// both wait for one lock of the runtime, and the node's pods with them.
    pub fn takes_updates_during_events(&self) -> bool {
        let version = self.nri_version.as_ref().and_then(|nri| nri.parse::<Version>().ok());
        version.is_some_and(|version| version >= Version::new(0, 12, 1))
    }
}

impl From<&ConfigureRequest> for RuntimeInfo {
    fn from(request: &ConfigureRequest) -> Self {
        Self {
            name: request.runtime_name.clone(),
            version: request.runtime_version.clone(),
            nri_version: (!request.nri_version.is_empty()).then(|| request.nri_version.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_distributions_write_them() {
        for (text, version) in [
            ("v2.3.4", Version::new(2, 3, 4)),
            ("1.7.24~ds1", Version::new(1, 7, 24)),
            ("2.1.9+unknown", Version::new(2, 1, 9)),
            ("v1.7.23-k3s2", Version::new(1, 7, 23)),
            ("1.34", Version::new(1, 34, 0)),
            ("2.2-dev.5", Version::new(2, 2, 0)),
            ("0.12.2", Version::new(0, 12, 2)),
        ] {
            assert_eq!(text.parse(), Ok(version), "{text}");
        }
        for text in ["", "v", "devel", "2", "2~.1", "-1.2", "99999999999.1"] {
            assert_eq!(text.parse::<Version>(), Err(NoVersion), "{text}");
        }
    }

    #[test]
    fn a_runtime_knows_the_events_of_its_time() {
        let events = |name: &str, version: &str, nri: Option<&str>| {
            let nri_version = nri.map(str::to_owned);
            RuntimeInfo { name: name.to_owned(), version: version.to_owned(), nri_version }.known_events()
        };
        for (name, version, nri) in [
            ("containerd", "v2.3.0", Some("0.12.0")),
            ("containerd", "v2.3.0", Some("devel")),
            ("containerd", "2.2.0", None),
            ("cri-o", "1.34.0", None),
        ] {
            assert_eq!(events(name, version, nri), EventMask::ALL, "{name} {version}");
        }
        for (name, version, nri) in [
            ("containerd", "1.7.24~ds1", None),
            ("containerd", "2.1.9+unknown", None),
            ("containerd", "2.1.9+unknown", Some("v0.8.0")),
            ("cri-o", "1.33.5", None),
            ("other", "9.9.9", None),
            ("containerd", "devel", None),
        ] {
            assert_eq!(events(name, version, nri), EventMask::BEFORE_0_10, "{name} {version}");
        }
    }
}
