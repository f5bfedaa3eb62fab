//! Users and passwords, as bcrypt hashes.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

/// Hashing is slow by design: this many at a time, so that wrong passwords don't take all of the processor.
const AT_A_TIME: usize = 2;

/// Of an unknown user's password, so that the answer takes as long as for a known one.
const NOBODY: &str = "$2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi";

/// Who may come in.
pub(crate) struct Passwords {
    /// User to bcrypt hash.
    users: BTreeMap<String, String>,
    /// Users whose last password was right, with a keyed hash of it: a scrape every few seconds need not hash again.
    right: Mutex<BTreeMap<String, (u64, u64)>>,
    keys: (RandomState, RandomState),
    permits: Semaphore,
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passwords").field("users", &self.users.len()).finish_non_exhaustive()
    }
}

impl Passwords {
    pub(crate) fn new(users: BTreeMap<String, String>) -> Self {
        let keys = (RandomState::new(), RandomState::new());
        Self { users, right: Mutex::default(), keys, permits: Semaphore::new(AT_A_TIME) }
    }

    /// Whether a request names a user and its password.
    pub(crate) async fn admit(self: Arc<Self>, headers: &HeaderMap) -> bool {
        let Some((user, password)) = credentials(headers) else { return false };
        let digest = (self.keys.0.hash_one(&password), self.keys.1.hash_one(&password));
        if self.right.lock().get(&user) == Some(&digest) {
            return true;
        }
        let Ok(_permit) = self.permits.acquire().await else { return false };
        let known = self.users.get(&user).cloned();
        let is_known = known.is_some();
        let hash = known.unwrap_or_else(|| NOBODY.to_owned());
        let verified = tokio::task::spawn_blocking(move || bcrypt::verify(password, &hash).unwrap_or(false)).await;
        let right = verified.unwrap_or(false) && is_known;
        if right {
            // Users are those of the file: bounded.
            self.right.lock().insert(user, digest);
        }
        right
    }
}

fn credentials(headers: &HeaderMap) -> Option<(String, String)> {
    let (scheme, encoded) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    text.split_once(':').map(|(user, password)| (user.to_owned(), password.to_owned()))
}
