//! Amazon EC2: the description and user data of instances.

pub mod instance;
pub(crate) mod network_interface;

use std::{collections::HashMap, sync::Arc};

use aws_config::SdkConfig;
use aws_sdk_ec2::{
    Client,
    types::{Filter, InstanceAttributeName},
};

use self::instance::Instance;
use crate::{
    aws::{calls::Calls, coalesce::Coalesced, next, operation::Operation},
    error::Error,
    identifier::InstanceId,
    interrupted_task::NetworkInterface,
};

/// The most values of one filter.
const FILTER_VALUES: usize = 200;

/// The most instances on a page: "`DescribeInstances`" in the Amazon EC2 API Reference.
const PAGE: i32 = 1_000;

/// Descriptions of instances; `None` for an instance that EC2 does not know.
type Instances = HashMap<InstanceId, Option<Arc<Instance>>>;

/// Amazon EC2 in one account and Region.
#[derive(Clone, Debug)]
pub(crate) struct Ec2 {
    client: Client,
    instances: Arc<Coalesced<(), InstanceId, Option<Arc<Instance>>>>,
    network_interfaces: Arc<Coalesced<(), String, Option<NetworkInterface>>>,
}

impl Ec2 {
    pub(crate) fn new(sdk: &SdkConfig) -> Self {
        let instances = Coalesced::new(Operation::DescribeInstances, FILTER_VALUES);
        let network_interfaces = Coalesced::new(Operation::DescribeNetworkInterfaces, FILTER_VALUES);
        Self {
            client: Client::new(sdk),
            instances: Arc::new(instances),
            network_interfaces: Arc::new(network_interfaces),
        }
    }

    /// Describes an instance; `None` if EC2 no longer knows it.
    pub(crate) async fn instance(&self, calls: &Calls, id: &InstanceId) -> Result<Option<Arc<Instance>>, Error> {
        self.instances.get(&self.client, calls, &(), id.clone(), describe).await
    }

    /// Lists the running Spot Instances, at most this many. Returns whether these are all.
    pub(crate) async fn running_spot_instances(
        &self,
        calls: &Calls,
        most: usize,
    ) -> Result<(Vec<(InstanceId, Arc<Instance>)>, bool), Error> {
        let filter = |name: &str, value: &str| Filter::builder().name(name).values(value).build();
        let mut request = self
            .client
            .describe_instances()
            .filters(filter("instance-lifecycle", "spot"))
            .filters(filter("instance-state-name", "running"))
            .include_managed_resources(true)
            .max_results(PAGE);
        let mut instances = Vec::new();
        loop {
            let page = calls.make(Operation::DescribeInstances, "Spot Instances", || request.clone().send()).await?;
            let described =
                page.reservations.unwrap_or_default().into_iter().flat_map(|r| r.instances.unwrap_or_default());
            instances.extend(described.filter_map(|described| {
                let instance = Instance::new(&described);
                Some((described.instance_id?.try_into().ok()?, Arc::new(instance)))
            }));
            let token = next(page.next_token);
            if instances.len() > most || instances.len() == most && token.is_some() {
                instances.truncate(most);
                return Ok((instances, false));
            }
            match token {
                Some(token) => request = request.next_token(token),
                None => return Ok((instances, true)),
            }
        }
    }

    /// Reads an instance's user data, in base64; empty if it has none. User data contains secrets.
    pub(crate) async fn user_data(&self, calls: &Calls, id: &InstanceId) -> Result<String, Error> {
        let request = self
            .client
            .describe_instance_attribute()
            .instance_id(id.as_str())
            .attribute(InstanceAttributeName::UserData);
        let answer = calls.make(Operation::DescribeInstanceAttribute, id, || request.clone().send()).await?;
        Ok(answer.user_data.and_then(|attribute| attribute.value).unwrap_or_default())
    }
}

async fn describe(client: Client, calls: Calls, (): (), ids: Vec<InstanceId>) -> Result<Instances, Error> {
    let resource = format!("{} instances", ids.len());
    // By filter: in a request by ids, one unknown instance fails the whole call.
    let ids = ids.iter().map(ToString::to_string).collect();
    let filter = Filter::builder().name("instance-id").set_values(Some(ids)).build();
    // An account may hide instances that AWS services manage, which are the ones to leave alone.
    let mut request = client.describe_instances().filters(filter).include_managed_resources(true);
    let mut instances = HashMap::new();
    loop {
        let page = calls.make(Operation::DescribeInstances, &resource, || request.clone().send()).await;
        let page = page.inspect_err(|error| tracing::warn!(%error, "instances could not be described"))?;
        let described = page.reservations.unwrap_or_default().into_iter().flat_map(|r| r.instances.unwrap_or_default());
        instances.extend(described.filter_map(|described| {
            let instance = Instance::new(&described);
            Some((described.instance_id?.try_into().ok()?, Some(Arc::new(instance))))
        }));
        match next(page.next_token) {
            Some(token) => request = request.next_token(token),
            None => return Ok(instances),
        }
    }
}
