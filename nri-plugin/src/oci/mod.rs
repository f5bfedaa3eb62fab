//! Messages to and from the types of the OCI runtime specification, and adjustments applied to them.
//!
//! Conversions are `From` where nothing can go wrong and `TryFrom` otherwise, both ways, from references:
//!
//! ```
//! use nri_plugin::api;
//! use oci_spec::runtime;
//!
//! let mount = api::Mount::bind("/a", "/b").read_only();
//! let oci = runtime::Mount::try_from(&mount)?;
//! assert_eq!(oci.options().as_deref(), Some(&["rbind".to_owned(), "ro".to_owned()][..]));
//! assert_eq!(api::Mount::try_from(&oci)?, mount);
//! # Ok::<(), nri_plugin::oci::ConversionError>(())
//! ```
//!
//! | OCI | NRI |
//! |---|---|
//! | `Mount`, `Hook`, `Hooks`, `User`, `PosixRlimit` | the same, `PosixRlimit` |
//! | process environment | [`env_from_oci`], [`env_to_oci`] |
//! | `LinuxDevice`, `LinuxDeviceCgroup`, `LinuxNamespace`, `LinuxNetDevice` | the same |
//! | `LinuxResources`, `LinuxMemory`, `LinuxCpu`, `LinuxPids`, `LinuxHugepageLimit` | the same, `HugepageLimit` |
//! | `LinuxSeccomp`, `LinuxSyscall`, `LinuxSeccompArg` | the same |
//! | `LinuxIOPriority`, `Scheduler`, `LinuxMemoryPolicy`, `LinuxIntelRdt` | `LinuxIoPriority`, `LinuxScheduler`, `LinuxMemoryPolicy`, `LinuxRdt` |
//!
//! What one side has and the other lacks is left out, and [`LeftOut`] names it. Two differences have no meaning in either
//! and are not kept: an empty list or text of OCI comes back as an absent one, and so does a zero of a scheduler or of a
//! second seccomp value. A CDI device has no equal in OCI.
//!
//! [`apply_adjustment`] and [`apply_update`] do to a specification what a runtime does to it.

mod apply;
mod device;
mod error;
mod left_out;
mod process;
mod resources;
mod schedule;
mod seccomp;
mod update;

pub use self::apply::{Applied, Propagation, Unresolved, apply_adjustment};
pub use self::error::ConversionError;
pub use self::left_out::LeftOut;
pub use self::process::{env_from_oci, env_to_oci};
pub use self::update::{AppliedUpdate, apply_update};

use std::path::Path;

use oci_spec::OciSpecError;

use crate::adjust::removal::is_marked;

/// A text of a message, whose empty texts are absent ones.
fn text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// A list of a message, whose empty lists are absent ones.
fn list<T: Clone>(list: &[T]) -> Option<Vec<T>> {
    (!list.is_empty()).then(|| list.to_vec())
}

/// Each of a list, which is absent if it is empty.
fn each<'a, T, U>(
    list: &'a [T],
    convert: impl FnMut(&'a T) -> Result<U, ConversionError>,
) -> Result<Option<Vec<U>>, ConversionError> {
    if list.is_empty() { Ok(None) } else { list.iter().map(convert).collect::<Result<_, _>>().map(Some) }
}

/// A path for a message, which has texts.
fn path(field: &'static str, path: &Path) -> Result<String, ConversionError> {
    path.to_str().map(str::to_owned).ok_or_else(|| ConversionError::NotUtf8 { field, path: path.to_owned() })
}

/// A value that `oci-spec` does not build. It has types that only its builders make.
fn refused(field: &'static str) -> impl Fn(OciSpecError) -> ConversionError {
    move |error| ConversionError::Refused { field, reason: error.to_string() }
}

/// A name that is none of a removal.
fn present(field: &'static str, name: &str) -> Result<(), ConversionError> {
    if is_marked(name) { Err(ConversionError::Removal { field, name: name.to_owned() }) } else { Ok(()) }
}
