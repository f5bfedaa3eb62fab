//! The rights that each way of access needs, as plain values: for a chart, a manifest, or a check at start.

/// One rule of a ClusterRole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rule {
    /// The API groups; `""` is the core group.
    pub api_groups: &'static [&'static str],
    /// The resources.
    pub resources: &'static [&'static str],
    /// The verbs.
    pub verbs: &'static [&'static str],
}

/// What `Direct` (feature `direct`) needs: the kubelet asks the API server whether the token may do this.
pub const DIRECT: &[Rule] = &[Rule { api_groups: &[""], resources: &["nodes/stats"], verbs: &["get"] }];

/// What [`NodeProxy`](crate::fetch::NodeProxy) needs.
///
/// It is a wide right: through the same proxy, a kubelet runs commands in its containers. `nodes/stats` alone is
/// answered 403 there.
pub const NODE_PROXY: &[Rule] = &[Rule { api_groups: &[""], resources: &["nodes/proxy"], verbs: &["get"] }];

/// What the read-only port needs: nothing. Whoever reaches it reads it, which is why it is off in most clusters.
pub const READ_ONLY_PORT: &[Rule] = &[];
