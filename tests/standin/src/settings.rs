//! The behaviour of the stand-in.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::{Duration, SystemTime};

use crate::quota::Quotas;
use crate::standin::{REGION, Standin};
use crate::timestamp::compact;

/// The settings for all accounts and Regions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) latency: Duration,
    pub(crate) quotas: Quotas,
    pub(crate) settle: Duration,
    pub(crate) lists_lag: Duration,
    pub(crate) counts_lag: Duration,
    pub(crate) page_sizes: BTreeMap<String, usize>,
    pub(crate) sparse_pages: bool,
    pub(crate) max_filter_values: Option<usize>,
    pub(crate) deregistered_error: Option<(String, String)>,
    pub(crate) redrain_failure: Option<String>,
    pub(crate) role_lifetime: Option<Duration>,
    pub(crate) failures_bind_tokens: bool,
    pub(crate) clock_ahead_s: i64,
    /// The actions that simulations deny; `None` if nobody may simulate.
    pub(crate) simulated_denials: Option<BTreeSet<String>>,
    /// The actions of which they say that an organization's policy denies them.
    pub(crate) organization_denials: BTreeSet<String>,
}

/// How far apart a signature's time and AWS's may be, 5 minutes.
const SKEW: Duration = Duration::from_mins(5);

impl Settings {
    /// The time by AWS's clock.
    pub(crate) fn now(&self) -> SystemTime {
        let (now, off) = (SystemTime::now(), Duration::from_secs(self.clock_ahead_s.unsigned_abs()));
        if self.clock_ahead_s < 0 { now - off } else { now + off }
    }

    /// Whether a signature's time differs too much from AWS's.
    pub(crate) fn is_skewed(&self, signed: Option<&str>) -> bool {
        let (earliest, latest) = (compact(self.now() - SKEW), compact(self.now() + SKEW));
        signed.is_some_and(|signed| signed < earliest.as_str() || signed > latest.as_str())
    }
}

/// Sets up a [`Standin`].
#[derive(Clone, Debug)]
pub struct Builder {
    pub(crate) settings: Settings,
    pub(crate) port: u16,
    pub(crate) tls: bool,
    pub(crate) region: String,
    pub(crate) open: Option<String>,
    pub(crate) speed: f64,
}

impl Default for Builder {
    fn default() -> Self {
        Self { settings: Settings::default(), port: 0, tls: false, region: REGION.to_owned(), open: None, speed: 1.0 }
    }
}

impl Builder {
    /// Listens on this port of 127.0.0.1; by default on any free one.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Speaks HTTPS, with a certificate authority of its own, whose certificate is in `SSL_CERT_FILE` of [`Standin::env`].
    #[must_use]
    pub fn tls(mut self, tls: bool) -> Self {
        self.tls = tls;
        self
    }

    /// The Region of [`Standin::home`] and of `AWS_REGION`; us-east-2 by default.
    #[must_use]
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = region.into();
        self
    }

    /// Accepts unknown access keys, as those of this account; by default they are refused.
    #[must_use]
    pub fn unknown_keys_are(mut self, account: impl Into<String>) -> Self {
        self.open = Some(account.into());
        self
    }

    /// The number of seconds that pass in the world in a real second; 1 by default. Changes in the world and
    /// [`settle`](Self::settle) follow the world's time; latency, quotas and the call log follow real time.
    #[must_use]
    pub fn speed(mut self, speed: f64) -> Self {
        self.speed = speed;
        self
    }

    /// Adds this much time to every call.
    #[must_use]
    pub fn latency(mut self, latency: Duration) -> Self {
        self.settings.latency = latency;
        self
    }

    /// Sets the request quotas; by default there are none.
    #[must_use]
    pub fn quotas(mut self, quotas: Quotas) -> Self {
        self.settings.quotas = quotas;
        self
    }

    /// Lists and descriptions show a change of status only after this time.
    #[must_use]
    pub fn settle(mut self, settle: Duration) -> Self {
        self.settings.settle = settle;
        self
    }

    /// `ListTasks` shows a task only so long after it was placed.
    #[must_use]
    pub fn lists_lag(mut self, lag: Duration) -> Self {
        self.settings.lists_lag = lag;
        self
    }

    /// The counts of `DescribeContainerInstances` show a task only so long after it was placed; answers to changes show it
    /// at once.
    #[must_use]
    pub fn counts_lag(mut self, lag: Duration) -> Self {
        self.settings.counts_lag = lag;
        self
    }

    /// Pages of this API hold no more than this, whatever was asked for.
    #[must_use]
    pub fn page_size(mut self, api: impl Into<String>, size: usize) -> Self {
        self.settings.page_sizes.insert(api.into(), size);
        self
    }

    /// `ListContainerInstances` cuts its pages before it filters them, so that a page can be short or empty although
    /// more follow.
    #[must_use]
    pub fn sparse_pages(mut self, sparse: bool) -> Self {
        self.settings.sparse_pages = sparse;
        self
    }

    /// `ListContainerInstances` rejects a filter with a longer list than this.
    #[must_use]
    pub fn max_filter_values(mut self, max: usize) -> Self {
        self.settings.max_filter_values = Some(max);
        self
    }

    /// The error of `DeregisterContainerInstance` for a container instance that is already deregistered. `{id}` in the
    /// message stands for its id.
    #[must_use]
    pub fn deregistered_error(mut self, code: impl Into<String>, message: impl Into<String>) -> Self {
        self.settings.deregistered_error = Some((code.into(), message.into()));
        self
    }

    /// Draining one that already drains is a failure with this reason; by default it is a success.
    #[must_use]
    pub fn redrain_failure(mut self, reason: impl Into<String>) -> Self {
        self.settings.redrain_failure = Some(reason.into());
        self
    }

    /// A client token of `RunTask` also stands for an answer without tasks: under the same token, the same `failures` are
    /// answered again. By default only a task binds a token; AWS does not say.
    #[must_use]
    pub fn failures_bind_tokens(mut self, bind: bool) -> Self {
        self.settings.failures_bind_tokens = bind;
        self
    }

    /// Credentials of assumed roles expire after this time, however long was asked for.
    #[must_use]
    pub fn role_lifetime(mut self, lifetime: Duration) -> Self {
        self.settings.role_lifetime = Some(lifetime);
        self
    }

    /// Starts to listen.
    ///
    /// # Errors
    ///
    /// When the port is taken or no certificate can be made.
    pub async fn start(self) -> io::Result<Standin> {
        Standin::start(self).await
    }
}
