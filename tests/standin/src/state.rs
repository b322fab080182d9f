//! The state of the stand-in, behind one mutex.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde_json::Value;

use crate::account::{Accounts, Principal, Refusal};
use crate::call::{Call, is_write};
use crate::clock::{self, Clock};
use crate::error::ApiError;
use crate::fault::{Effect, Fault};
use crate::kubernetes::ClusterId;
use crate::queue::{self, Queues};
use crate::quota::{Bucket, Meter};
use crate::request::{AwsService, Body, Request};
use crate::resources::Resources;
use crate::settings::Settings;
use crate::{arn, autoscaling, ec2, ecs, eks, elb, events, iam, sts};

/// The state of the stand-in.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) settings: Settings,
    pub(crate) clock: Clock,
    pub(crate) accounts: Accounts,
    pub(crate) faults: Vec<Fault>,
    pub(crate) calls: Vec<Call>,
    /// Entries that were put on event buses.
    pub(crate) events: Vec<Value>,
    pub(crate) queues: Queues,
    pub(crate) meter: Meter,
    /// The clusters that listen at a port, or did.
    pub(crate) endpoints: BTreeMap<u16, ClusterId>,
    resources: BTreeMap<(String, String), Resources>,
}

/// The items that a fault makes fail: one, or all if `None`; and the reason.
pub(crate) type Failure = (Option<String>, String);

/// The context of one call.
pub(crate) struct CallContext<'a> {
    pub(crate) resources: &'a mut Resources,
    pub(crate) settings: &'a Settings,
    pub(crate) account: &'a str,
    pub(crate) region: &'a str,
    pub(crate) clock: Clock,
    pub(crate) now: Instant,
    pub(crate) failure: Option<Failure>,
}

impl CallContext<'_> {
    pub(crate) fn arn(&self, service: &str, resource: &str) -> String {
        arn::arn(service, self.region, self.account, resource)
    }

    /// The reason why a fault makes this item fail, if it does.
    pub(crate) fn injected(&self, item: &str) -> Option<String> {
        let (only, reason) = self.failure.as_ref()?;
        only.as_deref().is_none_or(|only| only == item).then(|| reason.clone())
    }
}

/// The state, shared by connections and handles.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shared(Arc<Mutex<State>>);

impl Shared {
    pub(crate) fn new(state: State) -> Self {
        Self(Arc::new(Mutex::new(state)))
    }

    /// Locks the state; a test that panicked while it held the lock does not matter to the others.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    pub(crate) fn new(settings: Settings, clock: Clock, accounts: Accounts) -> Self {
        Self { settings, clock, accounts, ..Self::default() }
    }

    /// An account's resources in a Region, as they are by now, to be changed.
    pub(crate) fn resources_of(&mut self, account: &str, region: &str) -> &mut Resources {
        resources_of(&mut self.resources, self.clock, account, region).change()
    }

    /// The context of a call by the account itself.
    pub(crate) fn context<'a>(&'a mut self, account: &'a str, region: &'a str) -> CallContext<'a> {
        let resources = resources_of(&mut self.resources, self.clock, account, region);
        let (now, clock, settings) = (resources.now, self.clock, &self.settings);
        CallContext { resources, settings, account, region, clock, now, failure: None }
    }

    /// Closes the endpoints of all EKS clusters.
    pub(crate) fn close_endpoints(&mut self) {
        let clusters = self.resources.values_mut().flat_map(|resources| resources.eks.values_mut());
        clusters.for_each(|cluster| cluster.endpoint.close());
    }

    /// The caller, and the effect of a fault; an error if the call is rejected before that.
    pub(crate) fn admit(&mut self, request: &Request) -> (String, Result<(Principal, Effect), ApiError>) {
        if self.settings.is_skewed(request.signed.as_deref()) {
            return (String::new(), Err(request.service.refused(Refusal::Skewed)));
        }
        let token = request.session_token.as_deref();
        let principal = match self.accounts.principal(&request.access_key, token, self.settings.now()) {
            Ok(principal) => principal,
            Err(refusal) => return (String::new(), Err(request.service.refused(refusal))),
        };
        let account = principal.account.clone();
        let admitted = self.within_quota(request, &account).map(|()| {
            let effect = self
                .faults
                .iter_mut()
                .find_map(|fault| fault.apply(&request.api, &request.params, &request.region, &account));
            (principal, effect.unwrap_or_default())
        });
        (account, admitted)
    }

    fn within_quota(&mut self, request: &Request, account: &str) -> Result<(), ApiError> {
        let own = Bucket::of(request.service, &request.api, &request.params);
        let quotas = &self.settings.quotas;
        for bucket in [Bucket::of_all(request.service), own].into_iter().flatten() {
            if !self.meter.take(quotas, account, &request.region, bucket, clock::now()) {
                return Err(request.service.throttled());
            }
        }
        Ok(())
    }

    /// Performs a request.
    pub(crate) fn perform(
        &mut self,
        request: &Request,
        caller: &Principal,
        failure: Option<Failure>,
    ) -> Result<Body, ApiError> {
        if request.service == AwsService::Sts {
            return sts::call(&mut self.accounts, &self.settings, caller, request).map(Body::Xml);
        }
        if request.service == AwsService::Events {
            return events::call(&mut self.events, &request.api, &request.params, failure.as_ref()).map(Body::Json);
        }
        if request.service == AwsService::Sqs {
            return queue::call(&self.queues, request).map(Body::Json);
        }
        let resources = resources_of(&mut self.resources, self.clock, &caller.account, &request.region);
        let resources = if is_write(&request.api) { resources.change() } else { resources };
        let mut context = CallContext {
            now: resources.now,
            resources,
            clock: self.clock,
            settings: &self.settings,
            account: &caller.account,
            region: &request.region,
            failure,
        };
        match request.service {
            AwsService::Ecs => ecs::call(&mut context, &request.api, &request.params).map(Body::Json),
            AwsService::AutoScaling => autoscaling::call(&mut context, &request.api, &request.params).map(Body::Xml),
            AwsService::Iam => iam::call(&self.settings, &request.api, &request.params).map(Body::Xml),
            AwsService::Elb => elb::call(&mut context, &request.api, &request.params).map(Body::Xml),
            AwsService::Eks => eks::call(&context, &request.api, &request.params).map(Body::Json),
            _ => ec2::call(&context, &request.api, &request.params).map(Body::Xml),
        }
    }
}

fn resources_of<'a>(
    resources: &'a mut BTreeMap<(String, String), Resources>,
    clock: Clock,
    account: &str,
    region: &str,
) -> &'a mut Resources {
    let key = (account.to_owned(), region.to_owned());
    let resources = resources.entry(key).or_insert_with(|| Resources::new(clock.started()));
    resources.advance(clock.now());
    resources
}
