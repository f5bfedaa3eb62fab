//! Who gets in, and what they may do.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use super::Sim;
use crate::access::Deny;
use crate::error::SimError;
use crate::rbac::{self, Right};
use crate::user::User;

impl Sim {
    /// Let only those do something whom roles allow it, or everybody everything; see
    /// [`SimBuilder::rbac`](crate::SimBuilder::rbac).
    pub fn set_rbac(&self, on: bool) -> Result<(), SimError> {
        if on {
            rbac::defaults::ensure(&mut self.state_mut())?;
        }
        self.inner.server.settings.rbac.store(on, Ordering::Relaxed);
        Ok(())
    }

    /// Every right to a resource that roles grant this user (`system:serviceaccount:NAMESPACE:NAME` is a service
    /// account), in any namespace; those left out that every cluster grants everybody. To be compared with
    /// [`Requests::rights_used`](crate::Requests::rights_used).
    pub fn rights_granted(&self, user: &str) -> BTreeSet<Right> {
        rbac::rights(&self.inner.server.store.state.read(), &User::named(user))
    }

    /// Take a right away.
    pub fn deny(&self, rule: Deny) {
        self.inner.server.access.write().denied.push(rule);
    }

    /// Give all rights back.
    pub fn allow_all(&self) {
        self.inner.server.access.write().denied.clear();
    }

    /// Know this bearer token as that user's, from now on. A server that was built without tokens still lets in whoever
    /// has none, as `system:admin`.
    pub fn add_token(&self, token: impl Into<String>, user: impl Into<String>) {
        self.inner.server.access.write().tokens.insert(token.into(), user.into());
    }

    /// Forget a bearer token: requests with it are answered 401 from now on. `false` if it was unknown.
    pub fn revoke_token(&self, token: &str) -> bool {
        let mut access = self.inner.server.access.write();
        let revoked = access.tokens.contains_key(token);
        if let Some(user) = access.tokens.get_mut(token) {
            // The entry stays, so that a server whose last token is revoked does not open to everybody.
            user.clear();
        }
        revoked
    }
}
