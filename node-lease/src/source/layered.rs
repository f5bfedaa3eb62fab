//! Sources that need no service: values that are given, and several sources as one.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use tokio::time::timeout;

use super::{Fetched, MetadataSource, SourceError};
use crate::metadata::NodeMetadata;

/// What one source of several may take: less than a writer waits for all of them.
const DEADLINE: Duration = Duration::from_secs(20);

/// Values that are known already: from flags, an inventory, or a test.
#[derive(Debug, Clone, Default)]
pub struct Fixed(pub NodeMetadata);

impl MetadataSource for Fixed {
    fn name(&self) -> &'static str {
        "fixed"
    }

    fn fetch(&self) -> BoxFuture<'_, Result<Fetched, SourceError>> {
        Box::pin(std::future::ready(Ok(Fetched::complete(self.0.clone()))))
    }
}

/// Several sources, asked at once: each fills in what those before it don't know. One that has not answered after 20 s
/// holds up the others no longer. It fails only if nothing is found out, with the first source's problem; what one of
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
        f.debug_list().entries(self.sources.iter().map(MetadataSource::name)).finish()
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

async fn ask(source: &Arc<dyn MetadataSource>) -> Result<Fetched, SourceError> {
    let late = Err(SourceError::Timeout { what: "metadata source", after: DEADLINE });
    timeout(DEADLINE, source.fetch()).await.unwrap_or(late)
}

impl MetadataSource for Layered {
    fn name(&self) -> &'static str {
        "layered"
    }

    fn fetch(&self) -> BoxFuture<'_, Result<Fetched, SourceError>> {
        Box::pin(async {
            let mut all = Fetched::default();
            for answer in join_all(self.sources.iter().map(ask)).await {
                match answer {
                    Ok(fetched) => {
                        all.metadata.fill(&fetched.metadata);
                        all.problems.extend(fetched.problems);
                    }
                    Err(error) => all.problems.push(error),
                }
            }
            all.if_anything()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::Attribute;

    enum Broken {
        Failing,
        Hanging,
    }

    impl MetadataSource for Broken {
        fn name(&self) -> &'static str {
            "broken"
        }

        fn fetch(&self) -> BoxFuture<'_, Result<Fetched, SourceError>> {
            match self {
                Self::Failing => Box::pin(std::future::ready(Err(SourceError::HopLimit))),
                Self::Hanging => Box::pin(std::future::pending()),
            }
        }
    }

    fn fixed(attribute: Attribute, value: &str) -> Fixed {
        Fixed(NodeMetadata::new().with(attribute, value))
    }

    #[tokio::test]
    async fn layers_fill_in_what_those_before_them_lack() {
        let layers = Layered::new()
            .and(fixed(Attribute::HostId, "first"))
            .and(Broken::Failing)
            .and(Fixed(NodeMetadata::new().with(Attribute::HostId, "second").with(Attribute::Region, "r")));
        let fetched = layers.fetch().await.unwrap();
        assert_eq!(format!("{:?}", fetched.metadata), r#"{"host.id": "first", "cloud.region": "r"}"#);
        assert!(matches!(fetched.problems[..], [SourceError::HopLimit]), "the broken one is asked again");
    }

    #[tokio::test(start_paused = true)]
    async fn a_layer_that_hangs_does_not_hide_the_others() {
        let layers = Layered::new().and(Broken::Hanging).and(fixed(Attribute::Region, "r"));
        let fetched = layers.fetch().await.unwrap();
        assert_eq!(fetched.metadata.get(Attribute::Region), Some("r"));
        assert!(matches!(fetched.problems[..], [SourceError::Timeout { after: DEADLINE, .. }]));
    }

    #[tokio::test(start_paused = true)]
    async fn layers_fail_only_together() {
        let nothing = || Fixed(NodeMetadata::new());
        let layers = Layered::new().and(nothing()).and(Broken::Failing).and(Broken::Hanging);
        let error = layers.fetch().await.unwrap_err();
        assert!(error.to_string().contains("hop limit to 2"), "{error}");
        assert!(Layered::new().and(nothing()).fetch().await.unwrap().metadata.is_empty(), "there is nothing to know");
    }
}
