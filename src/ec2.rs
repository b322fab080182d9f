//! Amazon EC2: the description and user data of instances.

pub mod instance;
pub(crate) mod network_interface;

use std::{collections::HashMap, sync::Arc};

use aws_config::SdkConfig;

use self::instance::Instance;
use crate::{
    aws::{
        calls::Calls,
        coalesce::Coalesced,
        operation::Operation,
        query::{
            Client, Parameters, Service,
            answer::{List, Record},
        },
    },
    error::Error,
    identifier::InstanceId,
    interrupted_task::NetworkInterface,
};

/// The most values of one filter.
pub(crate) const FILTER_VALUES: usize = 200;

/// The most instances on a page: "`DescribeInstances`" in the Amazon EC2 API Reference.
const PAGE_SIZE: &str = "1000";

const SERVICE: Service = Service { id: "EC2", name: "ec2", version: "2016-11-15" };

const USER_DATA: List = List::new("userData", &["value"]);

const INSTANCES: Listing<Described> =
    Listing { operation: Operation::DescribeInstances, list: &instance::LIST, read: described };

/// An instance that EC2 describes.
type Described = (InstanceId, Arc<Instance>);

/// A call that lists something.
struct Listing<T> {
    operation: Operation,
    list: &'static List,
    read: fn(&Record) -> Option<T>,
}

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
            client: Client::new(sdk, &SERVICE),
            instances: Arc::new(instances),
            network_interfaces: Arc::new(network_interfaces),
        }
    }

    /// Describes an instance; `None` if EC2 no longer knows it.
    pub(crate) async fn instance(&self, calls: &Calls, id: &InstanceId) -> Result<Option<Arc<Instance>>, Error> {
        self.instances.get(self, calls, &(), id.clone(), Self::describe).await
    }

    /// Describes an instance again if EC2 did not answer the first time, when there was an alternative.
    pub(crate) async fn instance_again(
        &self,
        calls: &Calls,
        id: &InstanceId,
        described: Result<Option<Arc<Instance>>, Error>,
    ) -> Result<Option<Arc<Instance>>, Error> {
        match described {
            Err(error) if error.is_transient() => self.instance(calls, id).await,
            described => described,
        }
    }

    async fn describe(
        self,
        calls: Calls,
        (): (),
        ids: Vec<InstanceId>,
    ) -> Result<HashMap<InstanceId, Option<Arc<Instance>>>, Error> {
        let resource = format!("{} instances", ids.len());
        // By filter: in a request by ids, one unknown instance fails the whole call.
        let parameters = filtered(all(), 1, "instance-id", ids.iter().map(InstanceId::as_str));
        let found = self.list(&calls, &resource, &INSTANCES, &parameters, usize::MAX).await;
        let (found, _) = found.inspect_err(|error| tracing::warn!(%error, "instances could not be described"))?;
        Ok(found.into_iter().map(|(id, instance)| (id, Some(instance))).collect())
    }

    /// Lists the running Spot Instances, at most this many. Returns whether these are all.
    pub(crate) async fn running_spot_instances(
        &self,
        calls: &Calls,
        most: usize,
    ) -> Result<(Vec<Described>, bool), Error> {
        let parameters = filtered(all().with("MaxResults", PAGE_SIZE), 1, "instance-lifecycle", ["spot"]);
        let parameters = filtered(parameters, 2, "instance-state-name", ["running"]);
        self.list(calls, "Spot Instances", &INSTANCES, &parameters, most).await
    }

    /// Reads an instance's user data, in base64; empty if it has none. User data contains secrets.
    pub(crate) async fn user_data(&self, calls: &Calls, id: &InstanceId) -> Result<String, Error> {
        let parameters = Parameters::default().with("InstanceId", id.as_str()).with("Attribute", "userData");
        let found = self.client.call(calls, Operation::DescribeInstanceAttribute, id, &parameters, &USER_DATA).await?;
        Ok(found.first().and_then(|user_data| user_data.text("value")).unwrap_or_default())
    }

    /// Reads the pages of a list, up to this many members. Returns whether these are all.
    async fn list<T>(
        &self,
        calls: &Calls,
        resource: &str,
        listing: &Listing<T>,
        parameters: &Parameters,
        most: usize,
    ) -> Result<(Vec<T>, bool), Error> {
        let Listing { operation, list, read } = listing;
        let mut found = Vec::new();
        let mut of_page = parameters.clone();
        loop {
            let attempt = || self.client.attempt(*operation, &resource, &of_page, list);
            let page = calls.repeat(*operation, &resource, attempt).await?;
            found.extend(page.members.iter().filter_map(read));
            if found.len() > most || found.len() == most && page.next_token.is_some() {
                found.truncate(most);
                return Ok((found, false));
            }
            match page.next_token {
                Some(token) => of_page = parameters.clone().with("NextToken", &token),
                None => return Ok((found, true)),
            }
        }
    }
}

/// An account may hide what AWS services manage, which are the instances to leave alone.
fn all() -> Parameters {
    Parameters::default().with("IncludeManagedResources", "true")
}

fn filtered<'a>(of: Parameters, n: u8, name: &str, values: impl IntoIterator<Item = &'a str>) -> Parameters {
    of.with(&format!("Filter.{n}.Name"), name).with_list(&format!("Filter.{n}.Value"), values)
}

fn described(record: &Record) -> Option<Described> {
    Some((record.get("instanceId")?.to_owned().try_into().ok()?, Arc::new(Instance::new(record))))
}
