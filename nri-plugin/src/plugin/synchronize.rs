//! The state of a node, which comes in parts.

use crate::api::{Container, PodSandbox, SynchronizeRequest};
use crate::ttrpc::{Code, Status};

/// Bounds for the state that a runtime sends when a plugin joins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncLimits {
    /// The most pods and containers together; 100 000 by default.
    pub items: usize,
    /// The most bytes of all messages together; 256 MiB by default.
    pub bytes: usize,
}

impl Default for SyncLimits {
    fn default() -> Self {
        Self { items: 100_000, bytes: 256 << 20 }
    }
}

/// All pods and all containers.
pub(super) type State = (Vec<PodSandbox>, Vec<Container>);

/// Collects parts until the last one.
///
/// Pods and containers are cut apart without regard to each other, so nothing can be joined before. A runtime may send
/// parts that are empty for as long as it waits, thousands in a second (NRI 0.8 to 0.12): they leave nothing here.
#[derive(Debug, Default)]
pub(super) struct Parts {
    pods: Vec<PodSandbox>,
    containers: Vec<Container>,
    bytes: usize,
}

impl Parts {
    /// Takes a part of that many bytes; the whole if it is the last.
    pub(super) fn add(
        &mut self,
        part: SynchronizeRequest,
        bytes: usize,
        limits: &SyncLimits,
    ) -> Result<Option<State>, Status> {
        let SynchronizeRequest { pods, containers, more } = part;
        if !(pods.is_empty() && containers.is_empty()) {
            self.bytes = self.bytes.saturating_add(bytes);
        }
        self.pods.extend(pods);
        self.containers.extend(containers);
        let items = self.pods.len() + self.containers.len();
        if items > limits.items || self.bytes > limits.bytes {
            let refused = format!(
                "the state of the node is too much: {items} pods and containers of {} bytes, {} of {} are the most",
                self.bytes, limits.items, limits.bytes
            );
            *self = Self::default();
            return Err(Status::new(Code::ResourceExhausted, refused));
        }
        if more {
            return Ok(None);
        }
        let Self { pods, containers, .. } = std::mem::take(self);
        Ok(Some((pods, containers)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(pods: usize, containers: usize, more: bool) -> SynchronizeRequest {
        SynchronizeRequest {
            pods: vec![PodSandbox::default(); pods],
            containers: vec![Container::default(); containers],
            more,
        }
    }

    #[test]
    fn the_whole_is_there_with_the_last_part_and_the_next_series_begins_anew() {
        let (mut parts, limits) = (Parts::default(), SyncLimits::default());
        for series in [[(2, 8), (2, 8), (2, 2)], [(0, 1), (0, 1), (1, 0)]] {
            let [first, second, last] = series;
            assert_eq!(parts.add(part(first.0, first.1, true), 9, &limits), Ok(None));
            assert_eq!(parts.add(part(second.0, second.1, true), 9, &limits), Ok(None));
            let (pods, containers) = parts.add(part(last.0, last.1, false), 9, &limits).unwrap().unwrap();
            assert_eq!(pods.len(), first.0 + second.0 + last.0);
            assert_eq!(containers.len(), first.1 + second.1 + last.1);
        }
        assert_eq!(parts.bytes, 0);
    }

    #[test]
    fn empty_parts_leave_nothing() {
        let (mut parts, limits) = (Parts::default(), SyncLimits { items: 1, bytes: 10 });
        for _ in 0..12_000 {
            assert_eq!(parts.add(part(0, 0, true), 2, &limits), Ok(None));
        }
        assert_eq!((parts.pods.capacity(), parts.containers.capacity(), parts.bytes), (0, 0, 0));
    }

    #[test]
    fn too_much_is_refused_and_forgotten() {
        let limits = SyncLimits { items: 10, bytes: 100 };
        for (size, bytes) in [(6, 1), (1, 51)] {
            let mut parts = Parts::default();
            assert_eq!(parts.add(part(size, 0, true), bytes, &limits), Ok(None));
            assert!(parts.add(part(0, size, true), bytes, &limits).unwrap_err().is(Code::ResourceExhausted));
            assert_eq!((parts.pods.capacity(), parts.bytes), (0, 0));
        }
    }
}
