//! AWS IAM: whether a role may make calls, without making them.

use std::{collections::BTreeSet, time::Duration};

use aws_config::SdkConfig;

use crate::{
    aws::{
        self,
        calls::Calls,
        operation::Operation,
        query::{Client, Parameters, Service, answer::List},
    },
    error::Error,
    identifier::Region,
};

const SERVICE: Service = Service { id: "IAM", name: "iam", version: "2010-05-08" };

const LIST: List = List::new("*/EvaluationResults/member", &["EvalActionName", "EvalDecision", BY_ORGANIZATION]);

const BY_ORGANIZATION: &str = "OrganizationsDecisionDetail/AllowedByOrganizations";

/// The endpoints of IAM, one for each partition, and the Regions that requests to them are signed for: "AWS Identity
/// and Access Management endpoints and quotas" in the AWS General Reference.
const ENDPOINTS: [(&str, &str, &str); 3] = [
    ("cn-", "https://iam.cn-north-1.amazonaws.com.cn", "cn-north-1"),
    ("us-gov-", "https://iam.us-gov.amazonaws.com", "us-gov-west-1"),
    ("", "https://iam.amazonaws.com", "us-east-1"),
];

/// The time after which a call that is not answered is given up, 3 s.
const UNREACHABLE_AFTER: Duration = Duration::from_secs(3);

/// AWS IAM in one account.
#[derive(Clone, Debug)]
pub(crate) struct Iam(Client);

/// Calls of a role that are simulated: the actions, on one resource.
#[derive(Clone, Debug)]
pub(crate) struct Simulation<'a> {
    pub(crate) role_arn: &'a str,
    pub(crate) actions: &'a [&'a str],
    pub(crate) resource: &'a str,
    /// The values of condition keys.
    pub(crate) context: &'a [(&'a str, &'a str)],
}

/// What a simulation denies.
#[derive(Debug, Default)]
pub(crate) struct Denied {
    pub(crate) by_role: BTreeSet<String>,
    /// A simulation does not know all conditions of service control policies, and denies too much.
    pub(crate) by_organization: BTreeSet<String>,
}

impl Iam {
    pub(crate) fn new(sdk: &SdkConfig, region: &Region) -> Self {
        let endpoint = ENDPOINTS.iter().find(|(prefix, ..)| region.as_str().starts_with(prefix));
        let Some((_, url, signed_for)) = endpoint else { return Self(Client::new(sdk, &SERVICE)) };
        let signed_for = Region::try_from((*signed_for).to_owned());
        let mut sdk = signed_for.map_or_else(|_| sdk.clone(), |region| aws::in_region(sdk, &region));
        if sdk.endpoint_url().is_none() {
            sdk = sdk.to_builder().endpoint_url(*url).build();
        }
        Self(Client::new(&sdk, &SERVICE))
    }

    /// The actions that a role is not allowed; an error if the simulation itself is not allowed.
    pub(crate) async fn denied(&self, calls: &Calls, of: &Simulation<'_>) -> Result<Denied, Error> {
        let Simulation { role_arn, actions, resource, context } = of;
        let parameters = Parameters::default()
            .with("PolicySourceArn", role_arn)
            .with_list("ActionNames.member", actions.iter().copied())
            .with_list("ResourceArns.member", [*resource]);
        let parameters = (1..).zip(*context).fold(parameters, |parameters, (n, (key, value))| {
            let name = |field: &str| format!("ContextEntries.member.{n}.{field}");
            parameters
                .with(&name("ContextKeyName"), key)
                .with(&name("ContextKeyType"), "string")
                .with(&name("ContextKeyValues.member.1"), value)
        });
        // IAM is outside of the Region, and a function in a VPC may not reach it.
        let calls = &calls.retrying_for(UNREACHABLE_AFTER);
        let results = self.0.call(calls, Operation::SimulatePrincipalPolicy, role_arn, &parameters, &LIST).await?;
        let mut denied = Denied::default();
        for result in results.iter().filter(|result| result.get("EvalDecision") != Some("allowed")) {
            let by = match result.get(BY_ORGANIZATION) {
                Some("false") => &mut denied.by_organization,
                _ => &mut denied.by_role,
            };
            by.extend(result.text("EvalActionName"));
        }
        Ok(denied)
    }
}
