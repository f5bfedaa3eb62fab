//! Where a node's metadata come from.
//!
//! | source | asks | needs |
//! |---|---|---|
//! | [`aws::Imds`] (feature `cloud`) | EC2's instance metadata service, version 2 | a hop limit of 2 in a pod without host network |
//! | [`gce::Gce`] (feature `cloud`) | Compute Engine's metadata server | |
//! | [`azure::Azure`] (feature `cloud`) | Azure's instance metadata service | |
//! | [`node::NodeObject`] | the Node in the API server: `providerID`, labels, addresses | `get` on `nodes` |
//! | [`Fixed`] | nothing: values that are given | |
//! | [`Layered`] | several, the first one's values first | |
//!
//! [`detect`](detect::Detector) (feature `cloud`) tells which cloud it is. A source of one's own implements
//! [`MetadataSource`].
//!
//! Nothing is fetched once and given up: what a source could not tell, it is asked for again, while what it could tell
//! is published already.

#[cfg(feature = "cloud")]
pub mod aws;
#[cfg(feature = "cloud")]
pub mod azure;
#[cfg(feature = "cloud")]
pub mod detect;
#[cfg(feature = "cloud")]
pub mod gce;
#[cfg(feature = "cloud")]
mod http;
pub mod node;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use k8s_openapi::serde_json;
use thiserror::Error;

use crate::api::ApiError;
use crate::metadata::{Attribute, NodeMetadata};

/// What a source tells: all that it could find out, and why the rest is missing.
#[derive(Debug, Default)]
pub struct Fetched {
    /// What is known. Values that the machine does not have (a zone where there are none) are missing without a
    /// problem.
    pub metadata: NodeMetadata,
    /// What could not be found out, and may be the next time.
    pub problems: Vec<SourceError>,
}

impl Fetched {
    /// All that there is to know.
    pub fn complete(metadata: NodeMetadata) -> Self {
        Self { metadata, problems: Vec::new() }
    }

    /// Whether asking again would tell no more.
    pub fn is_complete(&self) -> bool {
        self.problems.is_empty()
    }

    /// Notes what a part of the source answered.
    #[cfg(feature = "cloud")]
    fn note(&mut self, attribute: Attribute, answer: Result<Option<String>, SourceError>) {
        match answer {
            Ok(Some(value)) => self.take(attribute, &value),
            Ok(None) => {}
            Err(problem) => self.problems.push(problem),
        }
    }

    /// Takes a value; an empty one is nothing, a malformed one a problem.
    fn take(&mut self, attribute: Attribute, value: &str) {
        if self.metadata.set(attribute, value) == Err(crate::metadata::BadValue::Malformed) {
            self.problems.push(SourceError::BadValue { attribute });
        }
    }
}

/// Where a node's metadata come from.
///
/// ```
/// use futures::FutureExt;
/// use futures::future::BoxFuture;
/// use node_lease::{Attribute, Fetched, MetadataSource, NodeMetadata, SourceError};
///
/// struct Inventory;
///
/// impl MetadataSource for Inventory {
///     fn name(&self) -> &str {
///         "inventory"
///     }
///
///     fn fetch(&self) -> BoxFuture<'_, Result<Fetched, SourceError>> {
///         async { Ok(Fetched::complete(NodeMetadata::new().with(Attribute::HostType, "rack server"))) }.boxed()
///     }
/// }
/// ```
pub trait MetadataSource: Send + Sync + 'static {
    /// What it is called in messages.
    fn name(&self) -> &str;

    /// Asks for everything. An error means that nothing was found out. Whoever calls it bounds its time.
    fn fetch(&self) -> BoxFuture<'_, Result<Fetched, SourceError>>;
}

impl<S: MetadataSource + ?Sized> MetadataSource for Arc<S> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn fetch(&self) -> BoxFuture<'_, Result<Fetched, SourceError>> {
        (**self).fetch()
    }
}

/// Metadata that could not be fetched. All of them are tried again; the message says what to change.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The service could not be reached.
    #[error(
        "{what}: {url} can't be reached: {reason}; is this machine in that cloud, and may the pod reach link-local addresses?"
    )]
    Unreachable {
        /// What was asked for.
        what: &'static str,
        /// Where.
        url: String,
        /// Why not.
        reason: String,
    },
    /// No answer within its time.
    #[error("{what} was not answered within {after:?}")]
    Timeout {
        /// What was asked for.
        what: &'static str,
        /// The deadline.
        after: Duration,
    },
    /// The answer to a request for a token is lost on its way, while others arrive.
    #[error(
        "IMDS token request timed out while the plain GET answered 401: raise the instance's hop limit to 2 (HttpPutResponseHopLimit; 3 behind some overlay networks), or run the pod in the host's network"
    )]
    HopLimit,
    /// The service says that it is switched off for this machine.
    #[error(
        "{what} was answered 403: the instance's metadata service is disabled; enable it (HttpEndpoint), or use another source"
    )]
    Disabled {
        /// What was asked for.
        what: &'static str,
    },
    /// The environment says that it must not be asked.
    #[error("AWS_EC2_METADATA_DISABLED is set: unset it, or use another source")]
    DisabledByEnvironment,
    /// Only version 1 of the service answers.
    #[error(
        "IMDS gives no token ({reason}), and answers without one: allow version 2 on the instance, or ask for version 1 by `v1_fallback`"
    )]
    OnlyV1 {
        /// What became of the request for a token.
        reason: String,
    },
    /// The service answered with an error.
    #[error("{what} was answered {code}")]
    Status {
        /// What was asked for.
        what: &'static str,
        /// The HTTP status code.
        code: u16,
    },
    /// What answers is not this cloud's service.
    #[error("{what}: what answers is not {cloud}'s metadata service")]
    OtherCloud {
        /// What was asked for.
        what: &'static str,
        /// The cloud that was expected.
        cloud: &'static str,
    },
    /// The answer is longer than is allowed.
    #[error("{what}: the answer is longer than {limit} bytes")]
    TooLong {
        /// What was asked for.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// The answer broke off.
    #[error("{what}: the answer broke off: {reason}")]
    BrokenOff {
        /// What was asked for.
        what: &'static str,
        /// How.
        reason: String,
    },
    /// The answer is no text.
    #[error("{what}: the answer is not UTF-8")]
    NotUtf8 {
        /// What was asked for.
        what: &'static str,
    },
    /// The answer is no document of that form.
    #[error("{what}: the answer can't be read: {source}")]
    Decode {
        /// What was asked for.
        what: &'static str,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// A value has control characters, or is longer than any identifier.
    #[error("the value of {attribute} is malformed")]
    BadValue {
        /// Of what.
        attribute: Attribute,
    },
    /// An endpoint is no URL.
    #[error("{url:?} is no http:// URL: mend {from}")]
    BadEndpoint {
        /// What was given.
        url: String,
        /// Where.
        from: &'static str,
    },
    /// No HTTP client can be made.
    #[error("no HTTP client can be made: {reason}")]
    Client {
        /// Why.
        reason: String,
    },
    /// The API server did not give the Node.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// None of the clouds' services answers, and nothing else tells.
    #[error(
        "this machine's cloud can't be told: neither DMI, providerID nor a metadata service names one; choose a source"
    )]
    Undetected,
    /// A source of the host's failed.
    #[error("{0}")]
    Other(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Values that are known already: from flags, an inventory, or a test.
#[derive(Debug, Clone, Default)]
pub struct Fixed(pub NodeMetadata);

impl MetadataSource for Fixed {
    fn name(&self) -> &str {
        "fixed"
    }

    fn fetch(&self) -> BoxFuture<'_, Result<Fetched, SourceError>> {
        Box::pin(std::future::ready(Ok(Fetched::complete(self.0.clone()))))
    }
}

/// Several sources, asked at once: each fills in what those before it don't know. It fails only if all do; what one of
/// them could not tell is asked for again, even if another one filled it in.
///
/// ```no_run
/// use node_lease::source::{Fixed, Layered};
/// use node_lease::{Attribute, NodeMetadata};
///
/// # fn example(imds: impl node_lease::MetadataSource) {
/// let ours = Fixed(NodeMetadata::new().with(Attribute::AccountId, "team-a"));
/// let source = Layered::new().and(ours).and(imds);
/// # }
/// ```
#[derive(Clone, Default)]
pub struct Layered {
    sources: Vec<Arc<dyn MetadataSource>>,
}

impl fmt::Debug for Layered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.sources.iter().map(|source| source.name())).finish()
    }
}

impl Layered {
    /// No source yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// One more, for what those before it don't know.
    pub fn and(mut self, source: impl MetadataSource) -> Self {
        self.sources.push(Arc::new(source));
        self
    }
}

impl MetadataSource for Layered {
    fn name(&self) -> &str {
        "layered"
    }

    fn fetch(&self) -> BoxFuture<'_, Result<Fetched, SourceError>> {
        Box::pin(async {
            let (mut all, mut told) = (Fetched::default(), self.sources.is_empty());
            for answer in join_all(self.sources.iter().map(|source| source.fetch())).await {
                match answer {
                    Ok(fetched) => {
                        told = true;
                        all.metadata.fill(&fetched.metadata);
                        all.problems.extend(fetched.problems);
                    }
                    Err(error) => all.problems.push(error),
                }
            }
            // The first source is the one that matters most.
            if told { Ok(all) } else { Err(all.problems.swap_remove(0)) }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Broken;

    impl MetadataSource for Broken {
        fn name(&self) -> &str {
            "broken"
        }

        fn fetch(&self) -> BoxFuture<'_, Result<Fetched, SourceError>> {
            Box::pin(std::future::ready(Err(SourceError::HopLimit)))
        }
    }

    fn fixed(attribute: Attribute, value: &str) -> Fixed {
        Fixed(NodeMetadata::new().with(attribute, value))
    }

    #[tokio::test]
    async fn layers_fill_in_what_those_before_them_lack() {
        let layers = Layered::new()
            .and(fixed(Attribute::HostId, "first"))
            .and(Broken)
            .and(Fixed(NodeMetadata::new().with(Attribute::HostId, "second").with(Attribute::Region, "r")));
        let fetched = layers.fetch().await.unwrap();
        assert_eq!(format!("{:?}", fetched.metadata), r#"{"host.id": "first", "cloud.region": "r"}"#);
        assert!(matches!(fetched.problems[..], [SourceError::HopLimit]), "the broken one is asked again");
    }

    #[tokio::test]
    async fn layers_fail_only_together() {
        let error = Layered::new().and(Broken).and(Broken).fetch().await.unwrap_err();
        assert!(error.to_string().contains("hop limit to 2"), "{error}");
        assert!(Layered::new().fetch().await.unwrap().metadata.is_empty());
    }
}
