//! Seccomp policies from plain values.

use super::kinds::{SeccompAction, SeccompOperator};
use crate::api::{LinuxSeccomp, LinuxSeccompArg, LinuxSyscall};

/// ```
/// use nri_plugin::adjust::{SeccompAction, SeccompOperator};
/// use nri_plugin::api::{LinuxSeccomp, LinuxSyscall};
///
/// // All but user namespaces: clone(CLONE_NEWUSER) fails with EPERM.
/// let rule = LinuxSyscall::new(SeccompAction::Errno, ["clone"])
///     .with_errno(1)
///     .when(0, SeccompOperator::MaskedEq, 0x1000_0000, 0x1000_0000);
/// let policy = LinuxSeccomp::new(SeccompAction::Allow).with_rule(rule);
/// assert_eq!(policy.default_action, "SCMP_ACT_ALLOW");
/// ```
impl LinuxSeccomp {
    /// A policy that does this with every system call that no rule is about.
    pub fn new(default_action: SeccompAction) -> Self {
        Self { default_action: default_action.into(), ..Self::default() }
    }

    /// The errno of the default action.
    pub fn with_default_errno(mut self, errno: u32) -> Self {
        self.default_errno = Some(errno.into());
        self
    }

    /// Further architectures, such as `SCMP_ARCH_X86_64`; without any it is the node's.
    pub fn with_architectures<T: Into<String>>(mut self, architectures: impl IntoIterator<Item = T>) -> Self {
        self.architectures.extend(architectures.into_iter().map(Into::into));
        self
    }

    /// Further flags of `seccomp(2)`, such as `SECCOMP_FILTER_FLAG_LOG`.
    pub fn with_flags<T: Into<String>>(mut self, flags: impl IntoIterator<Item = T>) -> Self {
        self.flags.extend(flags.into_iter().map(Into::into));
        self
    }

    /// The socket of the process that decides for [`SeccompAction::Notify`], and what it is told.
    pub fn with_listener(mut self, path: impl Into<String>, metadata: impl Into<String>) -> Self {
        (self.listener_path, self.listener_metadata) = (path.into(), metadata.into());
        self
    }

    /// A further rule.
    pub fn with_rule(mut self, rule: LinuxSyscall) -> Self {
        self.syscalls.push(rule);
        self
    }
}

impl LinuxSyscall {
    /// Does this with the system calls of these names.
    pub fn new<T: Into<String>>(action: SeccompAction, names: impl IntoIterator<Item = T>) -> Self {
        Self { names: names.into_iter().map(Into::into).collect(), action: action.into(), ..Self::default() }
    }

    /// The errno that the call fails with.
    pub fn with_errno(mut self, errno: u32) -> Self {
        self.errno_ret = Some(errno.into());
        self
    }

    /// Only if the argument of this index (0 to 5) compares so. `second` is for [`SeccompOperator::MaskedEq`] alone: the
    /// value of the masked argument.
    pub fn when(mut self, index: u32, operator: SeccompOperator, value: u64, second: u64) -> Self {
        self.args.push(LinuxSeccompArg { index, value, value_two: second, op: operator.into() });
        self
    }
}
