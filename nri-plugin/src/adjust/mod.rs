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
//! In a plugin, by what a user wrote on the pod:
//!
//! ```
//! use nri_plugin::adjust::effective_annotation;
//! use nri_plugin::api::{Container, CreateContainerResponse, Mount, PodSandbox};
//! use nri_plugin::{Adjustment, Answer, Plugin};
//!
//! struct Models;
//!
//! impl Plugin for Models {
//!     async fn create_container(&self, pod: PodSandbox, container: Container) -> Answer<CreateContainerResponse> {
//!         let Some(model) = effective_annotation(&pod, "models.example.com", &container.name) else {
//!             return Ok(CreateContainerResponse::default());
//!         };
//!         let mount = Mount::bind(format!("/var/lib/models/{model}"), "/model").read_only();
//!         Ok(Adjustment::new().mount(mount).replace_env("MODEL", model).cpuset_cpus("0-3").respond()?)
//!     }
//! }
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
//! - An update that answers an event loses its device rules and its limit of processes.
//!
//! An update can't be of the container that is being created: that fails its creation. What a runtime's version does not
//! know it skips without a word:
//!
//! | since NRI | what |
//! |---|---|
//! | 0.4 | resource limits |
//! | 0.7 | CDI devices, the OOM score, the limit of processes |
//! | 0.10 | arguments, the priority for input and output, seccomp, namespaces |
//! | 0.11 | sysctls, network devices, the scheduler, the methods `rdt_clos_id` to `remove_rdt` |
//! | 0.12 | the memory policy |

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
