//! Whose a cgroup is: labels by cgroup id, from whoever knows.
//!
//! The kernel tells of a cgroup before anyone can say whose it is, and goes on telling of it after it is gone. So samples
//! of a cgroup that is not known yet wait for a time ([`Join`]); and a resolver that may take its time is asked on a
//! thread of its own ([`Background`]).

mod background;
mod join;
mod labels;

use std::sync::Arc;

pub use self::background::{Background, BackgroundConfig, BackgroundStats};
pub use self::join::{Join, JoinConfig, JoinStats};
pub use self::labels::{Interner, Labels};
use crate::sample::CgroupId;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// It is a container's, or another's that has a name.
    Known(Arc<Labels>),
    /// It is nobody's: a system service's, a slice's. Its samples go out at once, with the id alone.
    Unknown,
    /// Not known yet: to be asked again.
    Later,
}

/// Tells whose a cgroup is.
///
/// It is asked where samples pass, once in a while for each cgroup: an answer comes from memory, without waiting for
/// anything. One that can't promise that is put behind a [`Background`].
pub trait Resolver: Send + Sync {
    /// Whose a cgroup is now.
    fn lookup(&self, cgroup: CgroupId) -> Lookup;
}

impl<R: Resolver + ?Sized> Resolver for Arc<R> {
    fn lookup(&self, cgroup: CgroupId) -> Lookup {
        (**self).lookup(cgroup)
    }
}

/// Knows no cgroup: samples keep their ids alone.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nobody;

impl Resolver for Nobody {
    fn lookup(&self, _: CgroupId) -> Lookup {
        Lookup::Unknown
    }
}
