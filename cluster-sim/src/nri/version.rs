//! What a version of NRI knows, and how a runtime of it behaves.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

use super::api::Event;

/// A version of NRI whose rules a runtime keeps. Between two of these nothing changed that a plugin could notice by the
/// rules here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// CRI-O 1.26.
    V0_2,
    /// containerd 1.7.16 to 1.7.25, CRI-O 1.31: the last that send the state of a node in one message.
    V0_6,
    /// containerd 1.7.26 and later, 2.0 and 2.1: parts of the state, and limits of time that are told.
    V0_8,
    /// containerd 2.2, CRI-O 1.34 to 1.36: events 12 to 14.
    V0_10,
    /// containerd 2.3: a call of its own for each event, with `StateChange` as the fallback.
    V0_12,
    /// The newest of the adaptation: an update that a plugin asks for within an event is done at once (since 0.12.1),
    /// containers have images (0.12.2), and a plugin says what becomes of a request that it does not answer (0.12.5).
    V0_12_5,
}

impl Version {
    /// All of them, oldest first.
    pub const ALL: [Self; 6] = [Self::V0_2, Self::V0_6, Self::V0_8, Self::V0_10, Self::V0_12, Self::V0_12_5];

    /// The events that are known, as a mask: those before `LAST`. A bit beyond them ends the connection.
    pub const fn known(self) -> i32 {
        match self {
            Self::V0_2 | Self::V0_6 | Self::V0_8 => 0x7ff,
            Self::V0_10 | Self::V0_12 | Self::V0_12_5 => 0x3fff,
        }
    }

    /// Whether the state of the node comes in parts, and limits of time are told: since 0.7.
    pub fn sends_parts(self) -> bool {
        self >= Self::V0_8
    }

    /// Whether each event has a call of its own: since 0.12.
    pub fn has_own_calls(self) -> bool {
        self >= Self::V0_12
    }

    /// Whether an update that a plugin asks for is done while an event is on its way: since 0.12.1.
    pub fn updates_during_events(self) -> bool {
        self >= Self::V0_12_5
    }

    /// Whether a plugin says what becomes of a request that it does not answer: since 0.12.5.
    pub fn has_failure_policies(self) -> bool {
        self >= Self::V0_12_5
    }

    /// The longest payload of a frame that is written: 16 MiB up to 0.6, which longer messages exceed; 4 MiB and a header
    /// since, into which longer ones are cut.
    pub fn longest_frame(self) -> usize {
        if self.sends_parts() { (4 << 20) + 10 } else { 1 << 24 }
    }

    /// The method that brings an event.
    pub fn method(self, event: Event) -> &'static str {
        if event.has_answer() || self.has_own_calls() { event.name() } else { "StateChange" }
    }
}

/// `0.12`, say.
impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V0_2 => "0.2",
            Self::V0_6 => "0.6",
            Self::V0_8 => "0.8",
            Self::V0_10 => "0.10",
            Self::V0_12 => "0.12",
            Self::V0_12_5 => "0.12.5",
        })
    }
}

/// No runtime of this version is simulated.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is none of the versions 0.2, 0.6, 0.8, 0.10, 0.12 and 0.12.5")]
pub struct UnknownVersion(pub String);

impl FromStr for Version {
    type Err = UnknownVersion;

    fn from_str(text: &str) -> Result<Self, UnknownVersion> {
        let known = Self::ALL.into_iter().find(|version| version.to_string() == text);
        known.ok_or_else(|| UnknownVersion(text.to_owned()))
    }
}

/// How a runtime behaves: its version of NRI, the names and limits that it tells.
///
/// ```
/// use std::time::Duration;
///
/// use cluster_sim::nri::{Profile, Version};
///
/// let slow = Profile::new(Version::V0_8).request_timeout(Duration::from_secs(10)).runtime("containerd", "2.0.5-k3s1");
/// # assert_eq!(slow.version(), Version::V0_8);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    pub(super) version: Version,
    pub(super) name: Cow<'static, str>,
    pub(super) release: Cow<'static, str>,
    pub(super) registration_timeout: Duration,
    pub(super) request_timeout: Duration,
    pub(super) early_reply: bool,
    pub(super) silent: bool,
    pub(super) endless_parts: bool,
}

impl Profile {
    /// As a runtime of this version behaves, with the limits that runtimes have by default.
    pub fn new(version: Version) -> Self {
        let (name, release) = match version {
            Version::V0_2 => ("cri-o", "1.26.0"),
            Version::V0_6 => ("containerd", "1.7.24~ds1"),
            Version::V0_8 => ("containerd", "2.1.9+unknown"),
            Version::V0_10 => ("containerd", "v2.2.0"),
            Version::V0_12 => ("containerd", "v2.3.0"),
            Version::V0_12_5 => ("containerd", "v2.4.0"),
        };
        Self {
            version,
            name: Cow::Borrowed(name),
            release: Cow::Borrowed(release),
            registration_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(2),
            early_reply: false,
            silent: false,
            endless_parts: false,
        }
    }

    /// Its version of NRI.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The name and version that it says it has.
    pub fn runtime(self, name: impl Into<Cow<'static, str>>, version: impl Into<Cow<'static, str>>) -> Self {
        Self { name: name.into(), release: version.into(), ..self }
    }

    /// How long a plugin that has connected may take to register; 5 s by default.
    pub fn registration_timeout(self, registration_timeout: Duration) -> Self {
        Self { registration_timeout, ..self }
    }

    /// How long a plugin may take for an answer, and for the whole synchronization; 2 s by default.
    pub fn request_timeout(self, request_timeout: Duration) -> Self {
        Self { request_timeout, ..self }
    }

    /// Whether the registration is answered before the plugin is configured. By default it is answered after that, as it
    /// may be: Go does both at once.
    pub fn early_reply(self, early_reply: bool) -> Self {
        Self { early_reply, ..self }
    }

    /// Whether calls leave out how long the runtime waits.
    pub fn silent(self, silent: bool) -> Self {
        Self { silent, ..self }
    }

    /// Whether the synchronization never comes to its last part: the adaptation's bug, which a node with one pod and
    /// twelve containers of 500 KB brings out as well. Parts without anything follow, until time is over.
    pub fn endless_parts(self, endless_parts: bool) -> Self {
        Self { endless_parts, ..self }
    }

    /// The version of NRI that it tells; none before 0.12.
    pub(super) fn nri_version(&self) -> String {
        let version = match self.version {
            Version::V0_12 => "v0.12.0",
            Version::V0_12_5 => "v0.12.5",
            _ => "",
        };
        version.to_owned()
    }

    /// A limit of time as it is told: not before 0.7.
    pub(super) fn told(&self, limit: Duration) -> i64 {
        if self.version.sends_parts() { i64::try_from(limit.as_millis()).unwrap_or(i64::MAX) } else { 0 }
    }
}

impl From<Version> for Profile {
    fn from(version: Version) -> Self {
        Self::new(version)
    }
}
