//! `ListTasks`, `DescribeTasks` and `StopTask`. Each read is attempted once: the evacuation repeats it.

use std::collections::HashMap;

use aws_sdk_ecs::types::{self, DesiredStatus, TaskField};
use futures_util::future::{join_all, try_join_all};

use super::{
    Ecs, ItemAnswer,
    limits::PAGE,
    none_failed,
    task::{Listed, Task},
};
use crate::{
    aws::{calls::Calls, coalesce::bisecting, next, operation::Operation},
    error::Error,
    identifier::{ClusterName, ContainerInstanceArn, TaskArn},
};

/// A container instance, with the number of tasks that ECS counts on it.
type CountedInstance = (ContainerInstanceArn, usize);

/// The tasks of each container instance.
type TasksByInstance = HashMap<CountedInstance, ItemAnswer<Vec<Listed>>>;

impl Ecs {
    /// The running tasks of a container instance.
    pub(crate) async fn tasks_on(
        &self,
        calls: &Calls,
        cluster: &ClusterName,
        arn: &ContainerInstanceArn,
        counted: usize,
    ) -> Result<Vec<Listed>, Error> {
        let instance = (arn.clone(), counted);
        self.coalesced
            .tasks_on
            .get(self, calls, cluster, instance, Self::list_instances)
            .await?
            .unwrap_or(Ok(Vec::new()))
    }

    /// The tasks of a container instance that are being stopped, or have stopped.
    pub(crate) async fn stopping_tasks_on(
        &self,
        calls: &Calls,
        cluster: &ClusterName,
        arn: &ContainerInstanceArn,
    ) -> Result<Vec<TaskArn>, Error> {
        self.list_tasks(calls, cluster, Some(arn), DesiredStatus::Stopped).await
    }

    /// Describes a task; `None` if it is no longer known, since it stopped more than an hour ago.
    pub(crate) async fn task(
        &self,
        calls: &Calls,
        cluster: &ClusterName,
        arn: &TaskArn,
    ) -> Result<Option<Task>, Error> {
        let load = |ecs: Self, calls: Calls, cluster, arns| async move {
            let described = ecs.describe_tasks(&calls, &cluster, arns).await?;
            Ok(described.into_iter().map(|(arn, task)| (arn, Some(task))).collect())
        };
        self.coalesced.tasks.get(self, &calls.once(), cluster, arn.clone(), load).await
    }

    /// Stops a task: its containers get SIGTERM, and SIGKILL after their stop timeouts.
    pub(crate) async fn stop_task(
        &self,
        calls: &Calls,
        cluster: &ClusterName,
        task: &TaskArn,
        reason: &str,
    ) -> Result<(), Error> {
        let request = self.client.stop_task().cluster(cluster.as_str()).task(task.as_str()).reason(reason);
        calls.make(Operation::StopTask, task, || request.clone().send()).await.map(drop)
    }

    async fn list_instances(
        self,
        calls: Calls,
        cluster: ClusterName,
        instances: Vec<CountedInstance>,
    ) -> Result<TasksByInstance, Error> {
        if !self.lists_whole_cluster(&cluster, &instances) {
            return Ok(self.list_each(&calls, &cluster, instances).await);
        }
        // All of many pages have to come. If one does not, the tasks of each container instance are listed from then
        // on.
        let listed = self.list_cluster(&calls, &cluster, instances).await;
        listed.inspect_err(|_| self.cache.set_lists_by_instance(cluster))
    }

    /// Whether listing the tasks of the whole cluster takes no more calls than listing those of each container
    /// instance.
    fn lists_whole_cluster(&self, cluster: &ClusterName, instances: &[CountedInstance]) -> bool {
        let pages = |tasks: usize| tasks.div_ceil(PAGE);
        let each = instances.len() + pages(instances.iter().map(|(_, counted)| counted).sum());
        let known = self.cache.clusters();
        let tasks = known.as_ref().and_then(|known| known.get(cluster)).map(|cluster| cluster.tasks);
        tasks.is_some_and(|tasks| pages(tasks) <= each / 2) && !self.cache.lists_by_instance(cluster)
    }

    async fn list_cluster(
        &self,
        calls: &Calls,
        cluster: &ClusterName,
        instances: Vec<CountedInstance>,
    ) -> Result<TasksByInstance, Error> {
        let listed = self.list_tasks(calls, cluster, None, DesiredStatus::Running).await?;
        let pages = listed.chunks(PAGE).map(|arns| self.describe_tasks(calls, cluster, arns.to_vec()));
        let mut by_instance: HashMap<_, Vec<_>> = HashMap::new();
        for (arn, task) in try_join_all(pages).await?.into_iter().flatten() {
            by_instance.entry(task.container_instance.clone()).or_default().push((arn, Some(task)));
        }
        let of = |instance: CountedInstance| {
            let tasks = by_instance.remove(instance.0.as_str()).unwrap_or_default();
            (instance, Some(Ok(tasks)))
        };
        Ok(instances.into_iter().map(of).collect())
    }

    async fn list_each(
        &self,
        calls: &Calls,
        cluster: &ClusterName,
        instances: Vec<CountedInstance>,
    ) -> TasksByInstance {
        let list =
            async |(arn, _): &CountedInstance| self.list_tasks(calls, cluster, Some(arn), DesiredStatus::Running).await;
        let listed = join_all(instances.iter().map(list)).await;
        let arns: Vec<_> = listed.iter().flatten().flatten().cloned().collect();
        let pages = arns.chunks(PAGE).map(|arns| self.describe_tasks(calls, cluster, arns.to_vec()));
        // A task that can't be described is listed at least.
        let tasks: HashMap<_, _> = join_all(pages).await.into_iter().flatten().flatten().collect();
        let with_tasks = |instance: &CountedInstance, arns: Vec<TaskArn>| {
            let described = arns.into_iter().map(|arn| (arn.clone(), tasks.get(&arn).cloned()));
            // The proof that a task may be stopped is its own description, not the list.
            let is_on_it = |task: &Task| task.container_instance == instance.0.as_str();
            described.filter(|(_, task)| task.as_ref().is_none_or(is_on_it)).collect()
        };
        let listed = instances.into_iter().zip(listed).map(|(instance, listed)| {
            let listed = listed.map(|arns| with_tasks(&instance, arns));
            (instance, Some(listed))
        });
        listed.collect()
    }

    async fn list_tasks(
        &self,
        calls: &Calls,
        cluster: &ClusterName,
        container_instance: Option<&ContainerInstanceArn>,
        desired: DesiredStatus,
    ) -> Result<Vec<TaskArn>, Error> {
        let mut request = self
            .client
            .list_tasks()
            .cluster(cluster.as_str())
            .set_container_instance(container_instance.map(ToString::to_string))
            .desired_status(desired);
        let resource = container_instance.map_or(cluster.as_str(), ContainerInstanceArn::as_str);
        let mut arns = Vec::new();
        loop {
            // Each page has a time limit of its own: there may be many pages.
            let page = calls.once().make(Operation::ListTasks, resource, || request.clone().send()).await?;
            let listed = page.task_arns.unwrap_or_default();
            arns.extend(listed.into_iter().filter_map(|arn| TaskArn::try_from(arn).ok()));
            match next(page.next_token) {
                Some(token) => request = request.next_token(token),
                None => return Ok(arns),
            }
        }
    }

    async fn describe_tasks(
        &self,
        calls: &Calls,
        cluster: &ClusterName,
        arns: Vec<TaskArn>,
    ) -> Result<HashMap<TaskArn, Task>, Error> {
        let describe = async |arns| self.describe_together(&calls.once(), cluster, arns, None).await;
        let mut tasks = HashMap::with_capacity(arns.len());
        for (_, described) in bisecting(arns, describe).await {
            let described = described?.into_iter().filter_map(Task::new);
            tasks.extend(described.map(|task| (task.arn.clone(), task)));
        }
        Ok(tasks)
    }

    /// Describes tasks in one call.
    pub(super) async fn describe_together(
        &self,
        calls: &Calls,
        cluster: &ClusterName,
        arns: Vec<TaskArn>,
        include: Option<Vec<TaskField>>,
    ) -> Result<Vec<types::Task>, Error> {
        const OPERATION: Operation = Operation::DescribeTasks;
        let arns = arns.iter().map(ToString::to_string).collect();
        let request = self.client.describe_tasks().cluster(cluster.as_str()).set_tasks(Some(arns));
        let request = request.set_include(include);
        let answer = calls.make(OPERATION, cluster, || request.clone().send()).await?;
        none_failed(OPERATION, cluster.as_str(), answer.failures(), &["MISSING"])?;
        Ok(answer.tasks.unwrap_or_default())
    }
}
