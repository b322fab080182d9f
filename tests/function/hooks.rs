//! Instances that wait in a lifecycle hook, with a queue over the wire.

use std::{sync::Arc, time::Duration};

use standin::{
    AutoScalingGroup, ContainerInstance, EventSourceMapping, Function, Instance, LifecycleHook, Pool, Queue, Task,
};
use tokio::time::sleep;

use crate::{ID, standin};

#[tokio::test]
async fn instance_is_looked_at_again_until_it_is_empty() {
    let aws = standin().await;
    let home = aws.home();
    let hook = LifecycleHook::new("drain").heartbeat_timeout(Duration::from_mins(5));
    home.instance(Instance::new(ID).asg("web-spot"));
    home.auto_scaling_group(AutoScalingGroup::new("web-spot").desired(1).hook(hook));
    let arn = home.container_instance("web", ContainerInstance::new(ID));
    home.task(&arn, Task::standalone("job").finishes_after(Duration::from_secs(3))).unwrap();

    let function =
        Function::new(env!("CARGO_BIN_EXE_spot-interruption-handler")).envs(aws.env()).env("LIFECYCLE_HOOKS", "drain");
    let pool = Arc::new(Pool::new(function));
    let queue = Queue::new(&home, "events", Duration::from_mins(2), 1_000);
    queue.send(&home.begin_termination(ID).unwrap().to_string());
    let mapping = EventSourceMapping { batch_size: 10, window: Duration::ZERO, concurrency: 2 };
    let mapping = tokio::spawn(mapping.run(queue.clone(), Arc::clone(&pool)));
    for _ in 0..400 {
        if queue.is_empty() {
            break;
        }
        sleep(Duration::from_millis(50)).await;
    }
    mapping.abort();
    assert!(queue.is_empty(), "{:?}", queue.figures());
    assert_eq!(home.lifecycle_state(ID), None);
    assert_eq!((pool.figures().invocations, queue.figures().redelivered), (2, 1));
    let [again] = &aws.calls_to("ChangeMessageVisibility")[..] else { panic!("{:?}", aws.calls_by_api()) };
    assert_eq!((&again.params["VisibilityTimeout"], again.is_ok()), (&4.into(), true));
    let [completed] = &aws.calls_to("CompleteLifecycleAction")[..] else { panic!("{:?}", aws.calls_by_api()) };
    assert_eq!(completed.params["LifecycleActionResult"], "CONTINUE");
}
