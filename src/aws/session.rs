//! The session of an assumed role: its credentials, for as long as AWS accepts them.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use aws_credential_types::{Credentials, provider};
use tokio::{sync::Mutex, time::Instant};

/// How long before they expire credentials are renewed, 10 s, as in the SDK.
const RENEW_BEFORE: Duration = Duration::from_secs(10);

/// The shortest and the longest session, 15 minutes and 12 hours: "`AssumeRole`" in the AWS STS API Reference. An
/// expiry outside of these limits shows that a clock is off.
const SHORTEST: Duration = Duration::from_mins(15);
const LONGEST: Duration = Duration::from_hours(12);

/// A session that all clients for an account share.
#[derive(Clone, Debug, Default)]
pub(crate) struct Session(Arc<Mutex<Option<CachedCredentials>>>);

#[derive(Debug)]
struct CachedCredentials {
    credentials: Credentials,
    /// On both clocks. The wall clock measures the lifetime, since it goes on while a process is frozen.
    started: (Instant, SystemTime),
}

impl Session {
    pub(super) async fn is_current(&self) -> bool {
        self.0.lock().await.as_ref().is_some_and(CachedCredentials::is_current)
    }

    /// Returns the credentials, from a new session if none is current.
    pub(super) async fn credentials(&self, assume: impl Future<Output = provider::Result>) -> provider::Result {
        // Locked while the role is assumed: concurrent callers find the new credentials.
        let mut cached = self.0.lock().await;
        if let Some(cached) = cached.as_ref().filter(|cached| cached.is_current()) {
            return Ok(cached.credentials.clone());
        }
        let started = (Instant::now(), SystemTime::now());
        let credentials = assume.await?;
        Ok(cached.insert(CachedCredentials { credentials, started }).credentials.clone())
    }

    /// Ends the session if it had started by this time: AWS no longer accepts it.
    pub(super) async fn end(&self, used: Instant) {
        self.0.lock().await.take_if(|cached| cached.started.0 <= used);
    }
}

impl CachedCredentials {
    fn is_current(&self) -> bool {
        let Some(expiry) = self.credentials.expiry() else { return true };
        let lifetime = expiry.duration_since(self.started.1).ok().filter(|lifetime| *lifetime <= LONGEST);
        // A clock that was set back gives no age.
        let age = self.started.1.elapsed().unwrap_or_default();
        age + RENEW_BEFORE < lifetime.unwrap_or(SHORTEST)
    }
}
