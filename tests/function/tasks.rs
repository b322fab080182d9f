//! Interrupted tasks, with processes as Lambda starts them.

use std::time::Duration;

use serde_json::json;
use standin::{Cluster, Container, FargateTask, Fault, Task, TaskDefinition};
use tokio::time::sleep;

use crate::{standin, start};

/// A process dies when it has sent `RunTask`, and others get the same events.
#[tokio::test]
async fn task_runs_again_once_although_a_process_dies_after_it_was_started() {
    let aws = standin().await;
    let home = aws.home();
    home.cluster(Cluster::new("web").capacity_provider("FARGATE_SPOT"));
    let container = Container::new("app").exits_after(Duration::ZERO).sigterm_exit_code(143);
    home.task_definition(TaskDefinition::new("job").container(container).awsvpc());
    let task = Task::standalone("job").task_definition("job").tag("spot-interruption-handler:run-again", "true");
    let task = home.fargate_task("web", FargateTask::new(task));
    let settings = [("RUN_AGAIN", "tagged")];
    let [dying, second, third] =
        [start(&aws, &settings).await, start(&aws, &settings).await, start(&aws, &settings).await];
    // The task is started, and the answer does not come in time.
    aws.fault(Fault::on("RunTask").times(1).delay(Duration::from_mins(1)).after_effect());
    let events = home.interrupt_task(&task);
    let kill = async {
        while home.tasks_of("web").len() < 2 {
            sleep(Duration::from_millis(20)).await;
        }
        dying.kill();
        // Lambda invokes the function again, and other events come meanwhile.
        let answers = tokio::join!(second.invoke(&events[0]), third.invoke(&events[1]));
        [answers.0, answers.1, second.invoke(&events[2]).await, third.invoke(&events[3]).await]
    };
    let (killed, answers) = tokio::join!(dying.invoke(&events[0]), kill);
    assert!(killed.is_err());
    for answer in answers {
        let answer = answer.unwrap();
        let answer = answer.json();
        let new = &home.tasks_of("web")[1].arn;
        assert_eq!(answer["task"]["newTaskArn"], json!(new), "{answer}");
    }
    assert_eq!(home.tasks_of("web").len(), 2);
}
