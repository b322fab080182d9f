//! Request quotas: token buckets per account and Region.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::Value;

use crate::call::is_write;
use crate::request::AwsService;

/// The APIs that draw on one quota together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bucket {
    /// `ListClusters`, `DescribeClusters`.
    ClusterRead,
    /// `ListContainerInstances`, `DescribeContainerInstances`, `ListTasks`, `DescribeTasks`.
    ClusterResourceRead,
    /// `DeregisterContainerInstance`, `UpdateContainerInstancesState`, `StopTask`, `RunTask`, `PutAttributes`,
    /// `DeleteAttributes`.
    ClusterResourceModify,
    /// `DescribeCapacityProviders`.
    CapacityProviderRead,
    /// `DescribeServices`, `ListServices`.
    ServiceRead,
    /// `DescribeTaskDefinition`.
    TaskDefinitionRead,
    /// EC2's non-mutating APIs: `DescribeInstances` with a filter or ids, `DescribeInstanceAttribute`, `DescribeTags`,
    /// `DescribeNetworkInterfaces`.
    Ec2Read,
    /// `DescribeInstances` without a filter or ids.
    Ec2UnfilteredRead,
    /// `DescribeCluster` of EKS, whose quota is not published.
    EksClusterRead,
    /// `DeregisterTargets` of Elastic Load Balancing.
    ElbModify,
    /// `DescribeTargetHealth` of Elastic Load Balancing.
    ElbRead,
    /// All calls of Elastic Load Balancing together, beside the buckets of their own.
    ElbAll,
    /// All calls of Auto Scaling, whose quota is not published.
    AutoScaling,
}

impl Bucket {
    pub(crate) fn of(service: AwsService, api: &str, params: &Value) -> Option<Self> {
        match (service, api) {
            (AwsService::Ecs, "ListClusters" | "DescribeClusters") => Some(Self::ClusterRead),
            (
                AwsService::Ecs,
                "ListContainerInstances" | "DescribeContainerInstances" | "ListTasks" | "DescribeTasks",
            ) => Some(Self::ClusterResourceRead),
            (AwsService::Ecs, api) if is_write(api) => Some(Self::ClusterResourceModify),
            (AwsService::Ecs, "DescribeCapacityProviders") => Some(Self::CapacityProviderRead),
            (AwsService::Ecs, "DescribeServices" | "ListServices") => Some(Self::ServiceRead),
            (AwsService::Ecs, "DescribeTaskDefinition") => Some(Self::TaskDefinitionRead),
            (AwsService::Ec2, "DescribeInstances") if !is_filtered(params) => Some(Self::Ec2UnfilteredRead),
            (AwsService::Ec2, _) => Some(Self::Ec2Read),
            (AwsService::Eks, "DescribeCluster") => Some(Self::EksClusterRead),
            (AwsService::Elb, api) if is_write(api) => Some(Self::ElbModify),
            (AwsService::Elb, _) => Some(Self::ElbRead),
            (AwsService::AutoScaling, _) => Some(Self::AutoScaling),
            _ => None,
        }
    }

    /// The bucket that all calls of a service draw on as well.
    pub(crate) fn of_all(service: AwsService) -> Option<Self> {
        (service == AwsService::Elb).then_some(Self::ElbAll)
    }
}

fn is_filtered(params: &Value) -> bool {
    params
        .as_object()
        .is_some_and(|query| query.keys().any(|key| key.starts_with("Filter.") || key.starts_with("InstanceId.")))
}

/// How many calls each [`Bucket`] allows: a burst, then a number per second.
#[derive(Clone, Debug, Default)]
pub struct Quotas(BTreeMap<Bucket, (f64, f64)>);

impl Quotas {
    /// No limits.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// AWS's documented defaults.
    #[must_use]
    pub fn aws() -> Self {
        Self::none()
            .set(Bucket::ClusterRead, 50, 20.0)
            .set(Bucket::ClusterResourceRead, 100, 20.0)
            .set(Bucket::ClusterResourceModify, 100, 40.0)
            .set(Bucket::CapacityProviderRead, 50, 20.0)
            .set(Bucket::ServiceRead, 100, 20.0)
            .set(Bucket::TaskDefinitionRead, 50, 20.0)
            .set(Bucket::Ec2Read, 100, 20.0)
            .set(Bucket::Ec2UnfilteredRead, 50, 10.0)
            .set(Bucket::ElbModify, 20, 4.0)
            .set(Bucket::ElbRead, 40, 10.0)
            .set(Bucket::ElbAll, 40, 10.0)
    }

    /// Sets one bucket, whatever it was.
    #[must_use]
    pub fn set(mut self, bucket: Bucket, burst: u32, per_second: f64) -> Self {
        self.0.insert(bucket, (f64::from(burst), per_second));
        self
    }

    /// The same quotas, scaled by a factor.
    #[must_use]
    pub fn times(mut self, factor: f64) -> Self {
        self.0
            .values_mut()
            .for_each(|(burst, per_second)| (*burst, *per_second) = (*burst * factor, *per_second * factor));
        self
    }

    /// Burst and calls per second of a bucket; `None` where it is not limited.
    #[must_use]
    pub fn get(&self, bucket: Bucket) -> Option<(f64, f64)> {
        self.0.get(&bucket).copied()
    }
}

/// The tokens left, by account, Region and bucket.
#[derive(Debug, Default)]
pub(crate) struct Meter(BTreeMap<(String, String, Bucket), (f64, Instant)>);

impl Meter {
    /// Takes a token; `false` means that the call is throttled.
    pub(crate) fn take(&mut self, quotas: &Quotas, account: &str, region: &str, bucket: Bucket, now: Instant) -> bool {
        let Some((burst, per_second)) = quotas.get(bucket) else {
            return true;
        };
        let key = (account.to_owned(), region.to_owned(), bucket);
        let (tokens, since) = self.0.entry(key).or_insert((burst, now));
        let refill = now.saturating_duration_since(*since).as_secs_f64() * per_second;
        *tokens = (*tokens + refill).min(burst);
        *since = now;
        if *tokens < 1.0 {
            return false;
        }
        *tokens -= 1.0;
        true
    }

    /// Fills every bucket again.
    pub(crate) fn refill(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_bucket_empties_and_refills_for_each_account_and_region() {
        let quotas = Quotas::aws();
        let mut meter = Meter::default();
        let start = Instant::now();
        let mut take = |account, region, at| {
            meter.take(&quotas, account, region, Bucket::ClusterRead, start + Duration::from_millis(at))
        };
        assert_eq!((0..80).filter(|_| take("1", "a", 0)).count(), 50);
        assert!(take("2", "a", 0));
        assert!(take("1", "b", 0));
        assert_eq!((0..80).filter(|_| take("1", "a", 1_001)).count(), 20);
        assert_eq!((0..80).filter(|_| take("1", "a", 60_000)).count(), 50);
    }

    #[test]
    fn unfiltered_reads_have_a_bucket_of_their_own() {
        let of = |params| Bucket::of(AwsService::Ec2, "DescribeInstances", &params);
        assert_eq!(of(serde_json::json!({})), Some(Bucket::Ec2UnfilteredRead));
        assert_eq!(of(serde_json::json!({"Filter.1.Name": "instance-id"})), Some(Bucket::Ec2Read));
        assert_eq!(of(serde_json::json!({"InstanceId.1": "i-1"})), Some(Bucket::Ec2Read));
    }
}
