//! Adjustments of containers that are about to be created, and updates of those that exist.
//!
//! [`Adjustment`] and [`Update`] are builders of their own rather than methods of the messages. A message takes whatever
//! is written into it; runtimes refuse the whole container for a key that is set twice (a plugin conflicts with itself
//! as with another), drop what is empty, and hand on what the kernel refuses later, where no plugin is named. A builder
//! has one place to see to that: what is said last about a key is what counts, plain values go in without wrappers, and
//! the one `?` at the end tells the first thing that can't be. The parts, such as [`Mount`](crate::api::Mount) or
//! [`Hook`](crate::api::Hook), are the messages, with constructors.
//!
//! ```
//! use nri_plugin::Adjustment;
//! use nri_plugin::adjust::{HookPoint, Rlimit};
//! use nri_plugin::api::{Hook, Mount};
//!
//! let response = Adjustment::new()
//!     .env("OMP_NUM_THREADS", "4")
//!     .remove_env("LD_PRELOAD")
//!     .mount(Mount::bind("/var/lib/models", "/models").read_only())
//!     .hook(HookPoint::CreateRuntime, Hook::new("/opt/bin/pin"))
//!     .rlimit(Rlimit::Memlock, 0, u64::MAX)
//!     .cpuset_cpus("0-3")
//!     .memory_limit(512 << 20)
//!     .respond()?;
//! assert!(response.adjust.is_some());
//!
//! let error = Adjustment::new().env("A=B", "C").respond().unwrap_err();
//! assert!(error.to_string().starts_with("an environment variable can't be named \"A=B\""));
//! # Ok::<(), nri_plugin::BadAdjustment>(())
//! ```
//!
//! # Conflicts, removals, and which runtime heeds what
//!
//! Two plugins that set one thing fail the creation of the container. What can be removed ([`removal`]) can be replaced
//! without a conflict: remove it, then set it, or use the `replace_…` methods. Arguments have
//! [`override_args`](Adjustment::override_args), Intel RDT has [`remove_rdt`](Adjustment::remove_rdt). Nothing else can be
//! taken over from another plugin. Hooks never conflict.
//!
//! The runtime's side of NRI 0.12 (containerd's and CRI-O's are the same code) has gaps that no plugin can fill:
//!
//! - Removals of variables and devices undo what an earlier plugin set; what the container has of its own stays.
//! - Of memory, an adjustment's limit is applied, and the limit with swap is set to the same; reservation, swap and the
//!   others are not.
//! - An update's device rules are dropped, and its limit of processes unless the request had one.
//! - [`memory_policy`](Adjustment::memory_policy) needs NRI 0.12, the scheduler, sysctls, network devices and RDT 0.11,
//!   arguments, the priority for input and output, seccomp and namespaces 0.10; older runtimes skip what they do not
//!   know, without a word.

mod adjustment;
mod annotation;
mod check;
mod error;
mod kinds;
mod linux;
mod optional;
mod parts;
pub mod removal;
mod resources;
mod seccomp;
mod strip;
mod update;

pub use self::adjustment::Adjustment;
pub use self::annotation::{REQUIRED_PLUGINS, effective_annotation};
pub use self::error::BadAdjustment;
pub use self::kinds::{DeviceKind, HookPoint, Namespace, Rlimit, SeccompAction, SeccompOperator, UnknownName};
pub use self::update::Update;
