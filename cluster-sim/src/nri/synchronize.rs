//! The state of the node, in one message or in parts.

use prost::Message;
use tokio::time::{Instant, sleep_until};

use super::api::{Container, ContainerUpdate, PodSandbox, SynchronizeRequest, SynchronizeResponse};
use super::connection::MAX_DATA;
use super::peer::Peer;
use super::trouble::Trouble;

/// What exists when a plugin comes, in the parts in which it is sent. A container may be in another part than its pod.
pub type Parts = Vec<(Vec<PodSandbox>, Vec<Container>)>;

const METHOD: &str = "Synchronize";
/// Below so many things in a message, Go gives up.
const FEWEST: usize = 8;
/// How many parts without anything are sent before the rest of the time is waited out: about as many as Go sends in its
/// two seconds, and an end for clocks that don't move.
const EMPTY_PARTS: usize = 12_000;

/// Parts as they are given.
pub(super) async fn parts(peer: &Peer, parts: Parts) -> Result<SynchronizeResponse, Trouble> {
    let deadline = Instant::now() + peer.profile.request_timeout;
    let mut parts = parts.into_iter().peekable();
    loop {
        let (pods, containers) = parts.next().unwrap_or_default();
        let more = parts.peek().is_some();
        let answer = part(peer, &SynchronizeRequest { pods, containers, more }, deadline).await?;
        if !more {
            return Ok(answer);
        }
    }
}

async fn part(peer: &Peer, request: &SynchronizeRequest, deadline: Instant) -> Result<SynchronizeResponse, Trouble> {
    let answer: SynchronizeResponse = peer.call(METHOD, request, deadline).await?;
    if request.more && (!answer.more || !answer.update.is_empty()) {
        return Err(Trouble::NoSplitSync);
    }
    Ok(answer)
}

/// All at once if it fits, and else in parts as the adaptation makes them.
pub(super) async fn node(
    peer: &Peer,
    mut pods: &[PodSandbox],
    mut containers: &[Container],
) -> Result<Vec<ContainerUpdate>, Trouble> {
    let deadline = Instant::now() + peer.profile.request_timeout;
    let (mut some_pods, mut some_containers) = (pods.len(), containers.len());
    let endless = peer.profile.endless_parts && peer.version().sends_parts();
    let mut empty = 0;
    loop {
        let (now_pods, later_pods) = pods.split_at(some_pods.min(pods.len()));
        let (now_containers, later_containers) = containers.split_at(some_containers.min(containers.len()));
        let more = endless || !later_pods.is_empty() || !later_containers.is_empty();
        let request = SynchronizeRequest { pods: now_pods.to_vec(), containers: now_containers.to_vec(), more };
        let length = peer.envelope(METHOD, request.encode_to_vec().into(), deadline).len();
        if peer.version().sends_parts() && length > MAX_DATA {
            (some_pods, some_containers) = fewer(some_pods, some_containers, length)?;
            continue;
        }
        if more && now_pods.is_empty() && now_containers.is_empty() {
            empty += 1;
            if empty > EMPTY_PARTS {
                sleep_until(deadline).await;
                return Err(Trouble::Timeout);
            }
        }
        let answer = part(peer, &request, deadline).await?;
        if !more {
            return Ok(answer.update);
        }
        (pods, containers) = (later_pods, later_containers);
        (some_pods, some_containers) = (some_pods.min(pods.len()), some_containers.min(containers.len()));
    }
}

/// How many are tried after a message was too long. Each number is scaled down alone, so that one of few becomes 0, and
/// what is left of it is never sent.
fn fewer(pods: usize, containers: usize, length: usize) -> Result<(usize, usize), Trouble> {
    if pods + containers <= FEWEST {
        return Err(Trouble::MessageTooLong(length));
    }
    let factor = (MAX_DATA as f64 / length as f64).min(0.9);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a number that was one")]
    let scaled = |count: usize| (count as f64 * factor) as usize;
    match (scaled(pods), scaled(containers)) {
        (pods, containers) if pods + containers < FEWEST => Ok((FEWEST / 2, FEWEST / 2)),
        scaled => Ok(scaled),
    }
}
