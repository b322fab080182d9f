//! `ListTasks` and `DescribeTasks`

use aws_sdk_ecs::types::{self, DesiredStatus};

use crate::{
    aws::{Calls, Regional, next, none_failed},
    ecs::{ClusterName, ContainerInstanceArn, TaskArn},
    error::Error,
};

/// The most tasks that `ListTasks` gives in a page and `DescribeTasks` takes.
pub(super) const PAGE: usize = 100;

/// A task, as far as stopping it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Task {
    pub(super) arn: TaskArn,
    /// Where it runs.
    pub(super) container_instance: ContainerInstanceArn,
    pub(super) progress: Progress,
    /// The ARN of its task definition.
    pub(super) definition: String,
    /// The service that it belongs to; a standalone task belongs to none.
    pub(super) service: Option<String>,
}

/// How far a task is on its way to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Nobody stops it.
    Running,
    /// ECS stops it, and waits for its load balancer: its containers have not been told.
    Deactivating,
    /// Its containers have been told.
    Stopping,
    /// It is over.
    Stopped,
}

/// Lists tasks of a cluster, of one container instance or of all; each page is asked for once.
pub(super) async fn list(
    aws: &Regional,
    calls: &Calls,
    cluster: &ClusterName,
    container_instance: Option<&ContainerInstanceArn>,
    desired: DesiredStatus,
) -> Result<Vec<TaskArn>, Error> {
    let mut request = aws
        .ecs
        .list_tasks()
        .cluster(cluster.as_str())
        .set_container_instance(container_instance.map(ToString::to_string))
        .desired_status(desired);
    let about = container_instance.map_or(cluster.as_str(), ContainerInstanceArn::as_str);
    let mut arns = Vec::new();
    loop {
        // Each page has its time: there may be many.
        let page = calls.once().make("ListTasks", about, || request.clone().send()).await?;
        arns.extend(page.task_arns.unwrap_or_default().into_iter().filter_map(|arn| arn.try_into().ok()));
        match next(page.next_token) {
            Some(token) => request = request.next_token(token),
            None => return Ok(arns),
        }
    }
}

/// Describes tasks; those that are no longer known are left out: they stopped more than an hour ago.
pub(super) async fn describe(
    aws: &Regional,
    calls: &Calls,
    cluster: &ClusterName,
    arns: &[TaskArn],
) -> Result<Vec<Task>, Error> {
    let mut tasks = Vec::with_capacity(arns.len());
    for arns in arns.chunks(PAGE) {
        let arns = arns.iter().map(ToString::to_string).collect();
        let request = aws.ecs.describe_tasks().cluster(cluster.as_str()).set_tasks(Some(arns));
        let answer = calls.make("DescribeTasks", cluster, || request.clone().send()).await?;
        none_failed("DescribeTasks", cluster.as_str(), answer.failures(), &["MISSING"])?;
        tasks.extend(answer.tasks.unwrap_or_default().into_iter().filter_map(task));
    }
    Ok(tasks)
}

/// Nothing without ARNs of the right form: such a task can't be stopped, or is on no container instance.
fn task(described: types::Task) -> Option<Task> {
    Some(Task {
        arn: described.task_arn?.try_into().ok()?,
        container_instance: described.container_instance_arn?.try_into().ok()?,
        progress: match (described.desired_status.as_deref(), described.last_status.as_deref()) {
            (_, Some("STOPPED" | "DELETED")) => Progress::Stopped,
            (_, Some("DEACTIVATING")) => Progress::Deactivating,
            (Some("STOPPED"), _) | (_, Some("STOPPING" | "DEPROVISIONING")) => Progress::Stopping,
            _ => Progress::Running,
        },
        definition: described.task_definition_arn.unwrap_or_default(),
        service: described.group.as_deref().and_then(|group| group.strip_prefix("service:")).map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_a_task_is() {
        for (desired, last, expected) in [
            ("RUNNING", "PROVISIONING", Progress::Running),
            ("RUNNING", "RUNNING", Progress::Running),
            ("STOPPED", "RUNNING", Progress::Stopping),
            ("STOPPED", "DEACTIVATING", Progress::Deactivating),
            ("STOPPED", "STOPPING", Progress::Stopping),
            // Its container ended by itself.
            ("RUNNING", "DEPROVISIONING", Progress::Stopping),
            ("STOPPED", "STOPPED", Progress::Stopped),
        ] {
            let arn = |kind| format!("arn:aws:ecs:us-east-1:123456789012:{kind}/web/1");
            let described = types::Task::builder()
                .task_arn(arn("task"))
                .container_instance_arn(arn("container-instance"))
                .desired_status(desired)
                .last_status(last)
                .build();
            assert_eq!(task(described).map(|task| task.progress), Some(expected), "{desired} {last}");
        }
    }
}
