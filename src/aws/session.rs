//! The session of an assumed role: its credentials, for as long as AWS accepts them.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use aws_credential_types::{Credentials, provider};
use tokio::{sync::Mutex, time::Instant};

/// How long before their end credentials are renewed, as the SDK does it itself.
const RENEWED: Duration = Duration::from_secs(10);

/// The shortest and the longest session that there are, 15 minutes and 12 hours: "`AssumeRole`" in the AWS STS API
/// Reference. An end outside of that is one by a clock that is off.
const SHORTEST: Duration = Duration::from_mins(15);
const LONGEST: Duration = Duration::from_hours(12);

/// A session that all clients for an account share.
#[derive(Clone, Debug, Default)]
pub(crate) struct Session(Arc<Mutex<Option<Kept>>>);

#[derive(Debug)]
struct Kept {
    credentials: Credentials,
    /// On both clocks: the one for the lifetime, which goes on while a process is frozen.
    begun: (Instant, SystemTime),
}

impl Session {
    pub(super) async fn is_current(&self) -> bool {
        self.0.lock().await.as_ref().is_some_and(Kept::is_current)
    }

    /// The credentials, from a new session if there is none.
    pub(super) async fn credentials(&self, assume: impl Future<Output = provider::Result>) -> provider::Result {
        // Locked for as long as it takes: who comes meanwhile finds them.
        let mut kept = self.0.lock().await;
        if let Some(kept) = kept.as_ref().filter(|kept| kept.is_current()) {
            return Ok(kept.credentials.clone());
        }
        let begun = (Instant::now(), SystemTime::now());
        let credentials = assume.await?;
        Ok(kept.insert(Kept { credentials, begun }).credentials.clone())
    }

    /// Ends it, if it had begun by then: AWS does not accept it any more.
    pub(super) async fn end(&self, used: Instant) {
        self.0.lock().await.take_if(|kept| kept.begun.0 <= used);
    }
}

impl Kept {
    fn is_current(&self) -> bool {
        let Some(expiry) = self.credentials.expiry() else { return true };
        let lifetime = expiry.duration_since(self.begun.1).ok().filter(|lifetime| *lifetime <= LONGEST);
        // A clock that was set back says nothing.
        let age = self.begun.1.elapsed().unwrap_or_default();
        age + RENEWED < lifetime.unwrap_or(SHORTEST)
    }
}
