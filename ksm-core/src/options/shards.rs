//! Which shard: by numbers, or by a pod of a StatefulSet.

use super::error::{Given, OptionError, OptionErrors};
use crate::shard::Shard;

/// Which part of the objects is shown.
///
/// ```
/// use ksm_core::Shard;
/// use ksm_core::options::{ShardChoice, ShardFlags};
///
/// let flags = ShardFlags { shard: 1, total_shards: 3, ..ShardFlags::default() };
/// assert_eq!(flags.resolve()?, ShardChoice::Fixed(Shard::new(1, 3)?));
/// let errors = ShardFlags { shard: 3, total_shards: 3, ..ShardFlags::default() }.resolve().unwrap_err();
/// assert!(errors.to_string().starts_with("--shard: shard 3 of 3 does not exist"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "clap", derive(clap::Args), command(next_help_heading = "Sharding"))]
pub struct ShardFlags {
    /// This instance's number among the shards, from 0
    #[cfg_attr(feature = "clap", arg(long, default_value_t = 0, value_name = "NUMBER", overrides_with = "shard"))]
    pub shard: u32,
    /// How many shards there are
    #[cfg_attr(
        feature = "clap",
        arg(long, default_value_t = 1, value_name = "NUMBER", overrides_with = "total_shards")
    )]
    pub total_shards: u32,
    /// The pod that this runs in, of a StatefulSet that says the number and the total; wins over the two above
    #[cfg_attr(feature = "clap", arg(long, value_name = "NAME", overrides_with = "pod"))]
    pub pod: Option<String>,
    /// That pod's namespace
    #[cfg_attr(feature = "clap", arg(long, value_name = "NAME", overrides_with = "pod_namespace"))]
    pub pod_namespace: Option<String>,
}

impl Default for ShardFlags {
    fn default() -> Self {
        Self { shard: 0, total_shards: 1, pod: None, pod_namespace: None }
    }
}

/// What [`ShardFlags`] say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShardChoice {
    /// This one; [`Shard::ALL`] where nothing is said.
    Fixed(Shard),
    /// By the number of a pod, and the replicas of its StatefulSet: see [`AutoShard`](crate::shard::auto::AutoShard).
    ByPod {
        /// The pod's namespace.
        namespace: String,
        /// The pod's name.
        pod: String,
    },
}

impl ShardFlags {
    /// Checks the flags. As in kube-state-metrics, a pod wins over numbers.
    pub fn resolve(&self) -> Result<ShardChoice, OptionErrors> {
        self.resolve_given(Given::from)
    }

    pub(super) fn resolve_given(&self, given: impl Fn(&'static str) -> Given) -> Result<ShardChoice, OptionErrors> {
        let named = |name: &Option<String>| name.clone().filter(|name| !name.is_empty());
        let choice = match (named(&self.pod_namespace), named(&self.pod)) {
            (Some(namespace), Some(pod)) => Ok(ShardChoice::ByPod { namespace, pod }),
            (None, Some(_)) => Err(OptionError::Needs { given: given("pod"), needs: "--pod-namespace" }),
            (Some(_), None) => Err(OptionError::Needs { given: given("pod-namespace"), needs: "--pod" }),
            (None, None) => Shard::new(self.shard, self.total_shards)
                .map(ShardChoice::Fixed)
                .map_err(|source| OptionError::Shard { given: given("shard"), source }),
        };
        choice.map_err(|error| OptionErrors(vec![error]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_wins_over_numbers_and_needs_its_namespace() {
        let flags = |pod: &str, namespace: &str| ShardFlags {
            shard: 9,
            pod: Some(pod.into()),
            pod_namespace: Some(namespace.into()),
            ..ShardFlags::default()
        };
        let by_pod = ShardChoice::ByPod { namespace: "n".into(), pod: "ksm-1".into() };
        assert_eq!(flags("ksm-1", "n").resolve().unwrap(), by_pod);
        let told = |pod, namespace| flags(pod, namespace).resolve().unwrap_err().to_string();
        assert_eq!(told("ksm-1", ""), "--pod needs --pod-namespace");
        assert_eq!(told("", "n"), "--pod-namespace needs --pod");
        assert!(told("", "").starts_with("--shard: shard 9 of 1 does not exist"));
    }
}
