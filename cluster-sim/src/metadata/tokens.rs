//! The session tokens of EC2's second version.

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use tokio::time::Instant;
use uuid::Uuid;

/// How many tokens are known at a time; one more, and the one that would end first goes.
const KEPT: usize = 1024;

/// Tokens and when they end.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    live: Mutex<HashMap<String, Instant>>,
}

impl Tokens {
    /// A new token that holds for so long.
    pub(super) fn issue(&self, ttl: Duration) -> String {
        let now = Instant::now();
        let mut live = self.live.lock();
        live.retain(|_, end| *end > now);
        if live.len() >= KEPT {
            let first = live.iter().min_by_key(|(_, end)| **end).map(|(token, _)| token.clone());
            first.map(|token| live.remove(&token));
        }
        let random = [Uuid::new_v4(), Uuid::new_v4()].map(Uuid::into_bytes);
        let token = STANDARD.encode(random.as_flattened());
        live.insert(token.clone(), now + ttl);
        token
    }

    /// How long a token still holds; `None` if it is unknown or has ended.
    pub(super) fn left(&self, token: &str) -> Option<Duration> {
        let end = self.live.lock().get(token).copied()?;
        end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    }

    /// Know none of the tokens any more.
    pub(super) fn forget(&self) {
        self.live.lock().clear();
    }

    /// Let the tokens of now end that soon, whatever they were promised.
    pub(super) fn end_in(&self, time: Duration) {
        let latest = Instant::now() + time;
        for end in self.live.lock().values_mut() {
            *end = latest.min(*end);
        }
    }

    /// How many tokens hold.
    pub(super) fn count(&self) -> usize {
        let now = Instant::now();
        self.live.lock().values().filter(|end| **end > now).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_token_ends_by_itself() {
        let tokens = Tokens::default();
        let (short, long) = (tokens.issue(Duration::from_secs(1)), tokens.issue(Duration::from_mins(1)));
        assert_eq!(tokens.left(&long), Some(Duration::from_mins(1)));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(tokens.left(&short), None);
        assert_eq!(tokens.left(&long), Some(Duration::from_secs(59)));
        assert_eq!(tokens.left("made up"), None);
        tokens.end_in(Duration::from_mins(10));
        assert_eq!(tokens.left(&long), Some(Duration::from_secs(59)));
        tokens.end_in(Duration::from_secs(2));
        assert_eq!(tokens.left(&long), Some(Duration::from_secs(2)));
        tokens.forget();
        assert_eq!(tokens.left(&long), None);
    }

    #[tokio::test(start_paused = true)]
    async fn tokens_are_bounded_and_ended_ones_are_pruned() {
        let tokens = Tokens::default();
        let first = tokens.issue(Duration::from_secs(10));
        let newer: Vec<String> = (0..KEPT).map(|_| tokens.issue(Duration::from_secs(20))).collect();
        assert_eq!(tokens.live.lock().len(), KEPT);
        assert_eq!(tokens.left(&first), None);
        assert!(newer.iter().all(|token| tokens.left(token).is_some()));
        tokio::time::advance(Duration::from_secs(20)).await;
        assert_eq!(tokens.count(), 0);
        tokens.issue(Duration::from_secs(1));
        assert_eq!(tokens.live.lock().len(), 1);
    }
}
