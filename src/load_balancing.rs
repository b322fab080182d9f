//! Elastic Load Balancing: targets that are taken out of their target groups.

mod target_groups;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use aws_config::SdkConfig;
use futures_util::future::join_all;

use crate::{
    aws::{
        calls::Calls,
        coalesce::{Coalesced, OpenBatch, bisecting},
        operation::Operation,
        query::{Client, Parameters, Service, answer::List},
    },
    error::Error,
};

/// The most targets in a `DeregisterTargets` call, 200, as the AWS Load Balancer Controller has it. AWS documents no
/// limit.
const TARGETS: usize = 200;

/// How long the first target of a call waits for others, 100 ms: those of a batch of events are found within that time.
const LINGER: Duration = Duration::from_millis(100);

/// The error codes for a call of which one target may be wrong.
const WRONG: [&str; 2] = ["InvalidTarget", "ValidationError"];

const SERVICE: Service =
    Service { id: "Elastic Load Balancing v2", name: "elasticloadbalancing", version: "2015-12-01" };

/// Elastic Load Balancing in one account and Region.
#[derive(Clone, Debug)]
pub(crate) struct LoadBalancing {
    client: Client,
    deregistrations: Arc<Coalesced<String, Target, Option<Outcome>>>,
    descriptions: Arc<Coalesced<String, (), bool>>,
    /// Whether target groups have IPv6 addresses, by ARN. That never changes.
    are_ipv6: Arc<Mutex<HashMap<String, bool>>>,
}

/// A target of a target group.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Target {
    /// An instance's id, or an IP address.
    pub(crate) id: String,
    /// Without it, a target that has another port than its target group stays in it, and the call succeeds.
    pub(crate) port: u16,
}

/// What became of one target.
type Outcome = Result<(), Error>;

type Batch = OpenBatch<String, Target, Option<Outcome>>;

impl LoadBalancing {
    pub(crate) fn new(sdk: &SdkConfig) -> Self {
        let deregistrations = Arc::new(Coalesced::new(Operation::DeregisterTargets, TARGETS).lingering(LINGER));
        let descriptions = Arc::new(Coalesced::shared(Operation::DescribeTargetGroups));
        Self { client: Client::new(sdk, &SERVICE), deregistrations, descriptions, are_ipv6: Arc::default() }
    }

    /// Takes targets out of a target group. A target that is not in it is no error.
    pub(crate) async fn deregister(
        &self,
        calls: &Calls,
        target_group_arn: &str,
        targets: impl IntoIterator<Item = Target>,
    ) -> Result<(), Error> {
        let group = target_group_arn.to_owned();
        let one = |target| self.deregistrations.get_open(self, calls, &group, target, Self::deregister_together);
        let outcomes = join_all(targets.into_iter().map(one)).await;
        outcomes.into_iter().try_for_each(|outcome| outcome?.unwrap_or(Ok(())))
    }

    /// Targets may join until the call is sent, which may take long: the quota is four calls a second.
    async fn deregister_together(
        self,
        calls: Calls,
        group: String,
        batch: Batch,
    ) -> Result<HashMap<Target, Option<Outcome>>, Error> {
        let attempt = || async { self.attempt(&group, &batch.close()).await };
        let operation = Operation::DeregisterTargets;
        let done = calls.repeat(operation, &group, attempt).await;
        let mut targets = batch.close();
        let is_one_wrong = |error: &Error| targets.len() > 1 && error.code().is_some_and(|code| WRONG.contains(&code));
        if !done.as_ref().is_err_and(is_one_wrong) {
            return done.map(|()| HashMap::new());
        }
        let others = targets.split_off(targets.len() / 2);
        let (this, calls, of) = (&self, &calls, &group);
        let repeat =
            |targets: Vec<Target>| async move { calls.repeat(operation, of, || this.attempt(of, &targets)).await };
        let mut outcomes = Vec::new();
        for half in [targets, others] {
            outcomes.extend(bisecting(half, repeat).await);
        }
        let each = |(targets, outcome): (Vec<Target>, Outcome)| {
            targets.into_iter().map(move |target| (target, Some(outcome.clone())))
        };
        Ok(outcomes.into_iter().flat_map(each).collect())
    }

    async fn attempt(&self, group: &str, targets: &[Target]) -> Result<(), Error> {
        let parameters = Parameters::default().with("TargetGroupArn", group);
        let parameters = (1..).zip(targets).fold(parameters, |parameters, (n, target)| {
            let name = |field: &str| format!("Targets.member.{n}.{field}");
            parameters.with(&name("Id"), &target.id).with(&name("Port"), &target.port.to_string())
        });
        self.client.attempt(Operation::DeregisterTargets, &group, &parameters, &List::NONE).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use standin::{Fault, Quotas, Standin, TargetGroup};
    use tokio::time::{Instant, sleep, sleep_until};

    use super::*;
    use crate::{aws, aws::deadline::Deadline, aws::token_bucket::TokenBuckets, direct};

    /// A process with clients and token buckets of its own.
    async fn process(aws: &Arc<Standin>) -> (LoadBalancing, Arc<TokenBuckets>) {
        (LoadBalancing::new(&aws::load(direct::loader(aws)).await), Arc::default())
    }

    fn calls(buckets: &Arc<TokenBuckets>) -> Calls {
        Calls::new(Deadline::after(Duration::from_secs(110)), Arc::clone(buckets), None, Arc::default()).retrying_soon()
    }

    fn target(n: usize) -> Target {
        Target { id: format!("10.0.{}.{}", n / 100, n % 100), port: 8_080 }
    }

    fn groups(aws: &Standin, groups: usize, targets: usize) -> Vec<String> {
        let home = aws.home();
        let names = (0..groups).map(|n| format!("web-{n}"));
        let arns = names.map(|name| home.target_group(TargetGroup::new(name))).collect();
        for n in 0..targets {
            home.register_target(&format!("web-{}", n % groups), &target(n).id, 8_080);
        }
        arns
    }

    fn remaining(aws: &Standin, group: &str) -> usize {
        aws.home().targets(group).iter().filter(|target| !target.draining).count()
    }

    #[tokio::test(start_paused = true)]
    async fn targets_of_a_group_share_a_call_and_fail_alone() {
        let aws = Arc::new(Standin::builder().start().await.unwrap());
        let arn = groups(&aws, 1, 10).remove(0);
        let (client, buckets) = process(&aws).await;
        let calls = calls(&buckets);
        let one = |n| client.deregister(&calls, &arn, [target(n)]);
        assert!(join_all((0..5).map(one)).await.iter().all(Result::is_ok));
        assert_eq!((aws.calls_to("DeregisterTargets").len(), remaining(&aws, "web-0")), (1, 5));
        let wrong = Target { id: "i-1234567890abcdef0".to_owned(), port: 8_080 };
        let (answers, failed) =
            tokio::join!(join_all((5..10).map(one)), client.deregister(&calls, &arn, [target(0), wrong]));
        assert!(answers.iter().all(Result::is_ok));
        assert_eq!(failed.unwrap_err().code(), Some("InvalidTarget"));
        assert_eq!(remaining(&aws, "web-0"), 0);
        let error = client.deregister(&calls, &format!("{arn}x"), [target(0)]).await.unwrap_err();
        assert_eq!(error.code(), Some("TargetGroupNotFound"));
        aws.forget_calls();
        let wrong = |id: &str| Target { id: id.to_owned(), port: 8_080 };
        assert!(client.deregister(&calls, &format!("{arn}x"), (0..9).map(target)).await.is_err());
        assert!(client.deregister(&calls, &arn, [wrong("x")]).await.is_err());
        assert_eq!(aws.calls().len(), 2, "a call is only divided if that may help");
    }

    #[tokio::test(start_paused = true)]
    async fn throttled_call_is_retried() {
        let aws = Arc::new(Standin::builder().start().await.unwrap());
        let arn = groups(&aws, 1, 100).remove(0);
        aws.fault(Fault::on("DeregisterTargets").times(3).throttle());
        let (client, buckets) = process(&aws).await;
        let calls = calls(&buckets);
        let one = async |n: usize| {
            sleep(Duration::from_millis(u64::try_from(n).unwrap())).await;
            client.deregister(&calls, &arn, [target(n)]).await
        };
        assert!(join_all((0..100).map(one)).await.iter().all(Result::is_ok));
        assert_eq!(remaining(&aws, "web-0"), 0);
    }

    /// 400 targets of 20 groups in 5 s. Two processes that do not know of each other take what arrives within a second,
    /// and go on when that is done.
    #[tokio::test(start_paused = true)]
    async fn wave_takes_few_calls() {
        const WINDOW: Duration = Duration::from_secs(1);
        let seed = fastrand::u64(..);
        fastrand::seed(seed);
        let aws = Arc::new(Standin::builder().quotas(Quotas::aws()).start().await.unwrap());
        aws.set_latency(Duration::from_millis(10));
        let arns = groups(&aws, 20, 400);
        let processes = [process(&aws).await, process(&aws).await];
        let started = Instant::now();
        let mut arrivals: Vec<_> =
            (0..400).map(|n| (started + Duration::from_secs(5).mul_f64(fastrand::f64()), n)).collect();
        arrivals.sort_unstable_by(|one, other| other.cmp(one));
        let arrivals = Mutex::new(arrivals);
        let next = || arrivals.lock().unwrap().last().map(|(at, _)| *at);
        let work = async |(client, buckets): &(LoadBalancing, Arc<TokenBuckets>)| {
            while let Some(first) = next() {
                sleep_until(first + WINDOW).await;
                let batch =
                    arrivals.lock().unwrap().extract_if(.., |(at, _)| *at <= Instant::now()).collect::<Vec<_>>();
                let calls = calls(buckets);
                let one = |(_, n): (Instant, usize)| client.deregister(&calls, &arns[n % 20], [target(n)]);
                assert!(join_all(batch.into_iter().map(one)).await.iter().all(Result::is_ok));
            }
        };
        join_all(processes.iter().map(work)).await;
        let took = started.elapsed();
        for n in 0..20 {
            assert_eq!(remaining(&aws, &format!("web-{n}")), 0);
        }
        let made = aws.calls_to("DeregisterTargets");
        let admitted = u32::try_from(made.iter().filter(|call| !call.is_throttled()).count()).unwrap();
        // The quota admits 20 calls at once and 4 a second.
        let bound = WINDOW + Duration::from_millis(250) * admitted.saturating_sub(20);
        assert!(took <= bound.mul_f64(1.1), "{took:?}, and {bound:?} for {admitted} calls; seed {seed}");
        assert!(admitted <= 86 && made.len() <= 140, "{admitted} of {}, seed {seed}", made.len());
    }
}
