//! How a plugin comes to life: who it is, and where its connection to the runtime comes from.
//!
//! | | external plugin | launched by the runtime |
//! |---|---|---|
//! | connection | dials the runtime's socket, and again after the runtime's restart | an open descriptor, whose number is in `NRI_PLUGIN_SOCKET`; there is one |
//! | name and index | what its author or its user says | `NRI_PLUGIN_NAME` and `NRI_PLUGIN_IDX`, or its file's name, `NN-name` |
//! | configuration | empty | the text of `NN-name.conf` or `name.conf` |
//!
//! [`Launch::detect`] finds out which it is. The order of sources is that of Go's stub: what the author says goes before
//! the environment for name and index, and after it for the connection; the file's name comes last.

mod endpoint;

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use thiserror::Error;

pub use self::endpoint::{DEFAULT_SOCKET, Dial, Endpoint};
use crate::plugin::{BadIdentity, Identity};

/// The variable with the plugin's name.
const NAME: &str = "NRI_PLUGIN_NAME";
/// The variable with the plugin's index.
const INDEX: &str = "NRI_PLUGIN_IDX";
/// The variable with the number of the open descriptor.
const SOCKET: &str = "NRI_PLUGIN_SOCKET";

/// A plugin can't be launched so. Nothing was connected.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LaunchError {
    /// Nothing tells the index.
    #[error(
        "the plugin has no index: give two digits, set NRI_PLUGIN_IDX, or name the program's file NN-name, as in \
         10-{program}"
    )]
    NoIndex {
        /// The program's name.
        program: String,
    },
    /// Nothing tells the name.
    #[error("the plugin has no name: give one, set NRI_PLUGIN_NAME, or name the program's file NN-name")]
    NoName,
    /// The name or the index can't be.
    #[error("{source} (it comes from {origin})")]
    Identity {
        /// Where it was taken from.
        origin: &'static str,
        /// What is wrong with it.
        source: BadIdentity,
    },
    /// The environment names a descriptor that can't be one.
    #[error(
        "NRI_PLUGIN_SOCKET is {0:?}, and not the number of an open descriptor: unset it, unless a runtime launches the \
         plugin"
    )]
    Descriptor(String),
}

/// What a plugin's author, or user, says of it; all of it may be left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// The name; goes before the environment's.
    pub name: Option<String>,
    /// The two digits of the index; goes before the environment's.
    pub index: Option<String>,
    /// The runtime's socket; [`DEFAULT_SOCKET`] by default. A connection that the runtime has opened goes before it.
    pub socket: Option<PathBuf>,
}

/// What a process was given by whoever started it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    /// `NRI_PLUGIN_NAME`.
    pub name: Option<OsString>,
    /// `NRI_PLUGIN_IDX`.
    pub index: Option<OsString>,
    /// `NRI_PLUGIN_SOCKET`.
    pub socket: Option<OsString>,
    /// The program, as it was called.
    pub program: Option<PathBuf>,
}

impl Environment {
    /// That of this process. An empty variable is none.
    pub fn of_process() -> Self {
        let variable = |name| env::var_os(name).filter(|value| !value.is_empty());
        Self {
            name: variable(NAME),
            index: variable(INDEX),
            socket: variable(SOCKET),
            program: env::args_os().next().map(PathBuf::from),
        }
    }
}

/// Who a plugin is, and where its connection comes from.
///
/// ```
/// use nri_plugin::launch::{Endpoint, Environment, Launch, Options};
///
/// let options = Options { index: Some("10".to_owned()), name: Some("starts".to_owned()), ..Options::default() };
/// let external = Launch::resolve(&options, &Environment::default())?;
/// assert_eq!(external.endpoint, Endpoint::Socket("/var/run/nri/nri.sock".into()));
///
/// // What a runtime gives to a plugin that it starts.
/// let environment = Environment {
///     name: Some("starts".into()),
///     index: Some("20".into()),
///     socket: Some("3".into()),
///     program: Some("/opt/nri/plugins/20-starts".into()),
/// };
/// let launched = Launch::resolve(&Options::default(), &environment)?;
/// assert_eq!((launched.identity.index(), launched.endpoint), ("20", Endpoint::Inherited(3)));
/// # Ok::<(), nri_plugin::launch::LaunchError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// Name and index.
    pub identity: Identity,
    /// Where the connection comes from.
    pub endpoint: Endpoint,
}

impl Launch {
    /// From what the author says and what this process was given.
    pub fn detect(options: &Options) -> Result<Self, LaunchError> {
        Self::resolve(options, &Environment::of_process())
    }

    /// The same of any environment.
    pub fn resolve(options: &Options, environment: &Environment) -> Result<Self, LaunchError> {
        let endpoint = match &environment.socket {
            Some(socket) => Endpoint::Inherited(descriptor(socket)?),
            None => Endpoint::Socket(options.socket.clone().unwrap_or_else(|| DEFAULT_SOCKET.into())),
        };
        Ok(Self { identity: identity(options, environment)?, endpoint })
    }
}

fn descriptor(text: &OsString) -> Result<i32, LaunchError> {
    let text = text.to_string_lossy();
    // 0, 1 and 2 are the standard streams.
    text.parse().ok().filter(|number| *number > 2).ok_or_else(|| LaunchError::Descriptor(text.into_owned()))
}

/// A text, and where it comes from.
type Told = (String, &'static str);

fn identity(options: &Options, environment: &Environment) -> Result<Identity, LaunchError> {
    let said = |option: &Option<String>| option.clone().map(|text| (text, "the plugin's options"));
    let given = |variable: &Option<OsString>, name| variable.as_ref().map(|text| (lossy(text), name));
    let program = environment.program.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy());
    let program = program.as_deref().unwrap_or_default();
    let (by_index, by_name) = file_name(program);
    let index = said(&options.index).or_else(|| given(&environment.index, INDEX)).or(by_index);
    let name = said(&options.name).or_else(|| given(&environment.name, NAME));
    // A file's name without an index is the plugin's own, as with Go's stub.
    let name = name.or(by_name).or_else(|| Some((program.to_owned(), FILE)).filter(|(name, _)| !name.is_empty()));
    let (index, index_origin) = index.ok_or_else(|| LaunchError::NoIndex { program: program.to_owned() })?;
    let (name, name_origin) = name.ok_or(LaunchError::NoName)?;
    Identity::new(index, name).map_err(|source| {
        let origin = if matches!(source, BadIdentity::Index(_)) { index_origin } else { name_origin };
        LaunchError::Identity { origin, source }
    })
}

const FILE: &str = "the name of the program's file";

/// `NN-name`: both, or neither.
fn file_name(program: &str) -> (Option<Told>, Option<Told>) {
    let parts = program.split_once('-').filter(|(index, name)| Identity::new(*index, *name).is_ok());
    let told = |text: &str| Some((text.to_owned(), FILE));
    parts.map_or((None, None), |(index, name)| (told(index), told(name)))
}

fn lossy(text: &OsString) -> String {
    text.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(index: Option<&str>, name: Option<&str>) -> Options {
        Options { name: name.map(str::to_owned), index: index.map(str::to_owned), socket: None }
    }

    fn environment(index: Option<&str>, name: Option<&str>, program: &str) -> Environment {
        Environment {
            name: name.map(OsString::from),
            index: index.map(OsString::from),
            socket: None,
            program: Some(program.into()),
        }
    }

    #[test]
    fn options_go_before_the_environment_and_that_before_the_files_name() {
        for (said, given, expected) in [
            ((Some("01"), Some("said")), (Some("02"), Some("given"), "/bin/03-file"), ("01", "said")),
            ((None, None), (Some("02"), Some("given"), "/bin/03-file"), ("02", "given")),
            ((None, None), (None, None, "/bin/03-file-a"), ("03", "file-a")),
            ((Some("01"), None), (None, None, "/bin/file"), ("01", "file")),
            ((Some("01"), None), (None, None, "03-file"), ("01", "file")),
            ((None, Some("said")), (Some("02"), None, "03-file"), ("02", "said")),
            // No index: the name is all of it.
            ((Some("01"), None), (None, None, "3-file"), ("01", "3-file")),
        ] {
            let environment = environment(given.0, given.1, given.2);
            let launch = Launch::resolve(&options(said.0, said.1), &environment).unwrap();
            assert_eq!((launch.identity.index(), launch.identity.name()), expected, "{said:?} {given:?}");
        }
    }

    #[test]
    fn what_is_missing_or_wrong_is_named_with_where_it_comes_from() {
        let none = options(None, None);
        let error = |options: &Options, environment: &Environment| {
            Launch::resolve(options, environment).unwrap_err().to_string()
        };
        let missing = error(&none, &environment(None, None, "/bin/starts"));
        assert!(missing.contains("10-starts"), "{missing}");
        assert_eq!(Launch::resolve(&options(Some("10"), None), &Environment::default()), Err(LaunchError::NoName));
        let wrong = error(&none, &environment(Some("1"), Some("a"), "/bin/starts"));
        assert!(wrong.contains("\"1\"") && wrong.contains("NRI_PLUGIN_IDX"), "{wrong}");
        let wrong = error(&options(Some("10"), Some("a/b")), &environment(Some("10"), None, "/bin/starts"));
        assert!(wrong.contains("\"a/b\"") && wrong.contains("options"), "{wrong}");
    }

    #[test]
    fn an_open_connection_goes_before_a_path_and_has_to_be_a_number() {
        let mut options = options(Some("10"), Some("a"));
        options.socket = Some("/run/other.sock".into());
        let mut environment = Environment::default();
        let endpoint = |environment: &Environment| Launch::resolve(&options, environment).map(|launch| launch.endpoint);
        assert_eq!(endpoint(&environment), Ok(Endpoint::Socket("/run/other.sock".into())));
        environment.socket = Some("3".into());
        assert_eq!(endpoint(&environment), Ok(Endpoint::Inherited(3)));
        for text in ["", "three", "-1", "0", "2", "3 "] {
            environment.socket = Some(text.into());
            assert_eq!(endpoint(&environment), Err(LaunchError::Descriptor(text.to_owned())));
        }
    }
}
