//! The fates of the containers of an interrupted instance.

use standin::{Container, Ending, Fate, Service, Task, TaskDefinition};

use crate::paused::{ID, Paused, pass, seconds};

/// An instance with one task behind a load balancer, the only task of its service.
async fn interrupted(definition: TaskDefinition) -> (Paused, String) {
    let paused = Paused::start().await;
    paused.home.service("web", Service::new("web", 1).load_balancer(seconds(10)).task_definition("web"));
    paused.home.task_definition(definition);
    let task = paused.put(1, &Task::of_service("web")).remove(0);
    paused.home.interrupt(ID, "terminate");
    (paused, task)
}

fn web(container: Container) -> TaskDefinition {
    TaskDefinition::new("web").container(container)
}

impl Paused {
    fn fate(&self) -> Fate {
        self.home.fates().remove(0)
    }
}

#[tokio::test(start_paused = true)]
async fn untouched_container_dies_with_traffic() {
    let (paused, task) = interrupted(web(Container::new("nginx"))).await;
    let fate = paused.fate();
    assert_eq!((fate.ended, fate.ending, fate.is_graceful()), (None, Ending::InstanceEnded, false));
    pass(130.0).await;
    let fate = paused.fate();
    assert_eq!((fate.instance.as_str(), fate.task.as_str(), fate.group.as_str()), (ID, task.as_str(), "service:web"));
    assert_eq!((fate.container.as_str(), fate.stop_timeout), ("nginx", seconds(30)));
    assert_eq!((fate.sigterm, fate.ended, fate.ending), (None, Some(seconds(120)), Ending::InstanceEnded));
    assert_eq!((fate.had(), fate.with_traffic, fate.is_graceful()), (seconds(0), true, false));
}

#[tokio::test(start_paused = true)]
async fn drained_container_ends_without_traffic() {
    let (paused, _) = interrupted(web(Container::new("nginx").exits_after(seconds(4)))).await;
    paused.drain().await;
    pass(130.0).await;
    // The replacement is healthy after 20 seconds, the target is deregistered for 10, and the agent takes one.
    let fate = paused.fate();
    assert_eq!((fate.sigterm, fate.ended, fate.ending), (Some(seconds(31)), Some(seconds(35)), Ending::Exited));
    assert_eq!((fate.had(), fate.with_traffic, fate.is_graceful()), (seconds(4), false, true));
}

#[tokio::test(start_paused = true)]
async fn requests_continue_for_some_seconds_after_stop_task() {
    for (exits_after, with_traffic) in [(4, true), (5, false)] {
        let (paused, task) = interrupted(web(Container::new("nginx").exits_after(seconds(exits_after)))).await;
        paused.stop(&task).await;
        pass(60.0).await;
        let fate = paused.fate();
        assert_eq!((fate.with_traffic, fate.is_graceful(), fate.sigterm), (with_traffic, true, Some(seconds(1))));
    }
}

#[tokio::test(start_paused = true)]
async fn only_a_whole_stop_timeout_is_graceful() {
    for (stopped_at, ending, had, is_graceful) in
        [(29.0, Ending::Killed, 90, true), (31.0, Ending::InstanceEnded, 88, false)]
    {
        let (paused, task) = interrupted(web(Container::new("nginx").ignores_sigterm().stop_timeout(90))).await;
        pass(stopped_at).await;
        paused.stop(&task).await;
        pass(130.0).await;
        let fate = paused.fate();
        assert_eq!((fate.ending, fate.had(), fate.is_graceful()), (ending, seconds(had), is_graceful));
        assert!(!fate.with_traffic);
    }
}

#[tokio::test(start_paused = true)]
async fn sigterm_at_once_is_graceful_if_the_notice_is_too_short() {
    for (stop_timeout, stopped_at, is_graceful) in [(121, 4.0, true), (116, 4.0, true), (121, 5.0, false)] {
        let (paused, task) =
            interrupted(web(Container::new("nginx").ignores_sigterm().stop_timeout(stop_timeout))).await;
        pass(stopped_at).await;
        paused.stop(&task).await;
        assert!(!paused.fate().is_graceful());
        pass(130.0).await;
        assert_eq!(
            (paused.fate().ending, paused.fate().is_graceful()),
            (Ending::InstanceEnded, is_graceful),
            "{stopped_at}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn forced_deregistration_sends_no_sigterm() {
    for awsvpc in [false, true] {
        let definition = web(Container::new("nginx"));
        let (paused, _) = interrupted(if awsvpc { definition.awsvpc() } else { definition }).await;
        pass(10.0).await;
        paused.deregister().await;
        assert!(paused.statuses().is_empty());
        pass(120.0).await;
        let fate = paused.fate();
        assert_eq!((fate.sigterm, fate.ended, fate.ending), (None, Some(seconds(120)), Ending::InstanceEnded));
        // Its network interface was deleted while it received requests.
        assert_eq!(fate.with_traffic, awsvpc);
        assert_eq!(paused.times("target deregistered"), [10.0]);
    }
}

#[tokio::test(start_paused = true)]
async fn container_with_sigterm_continues_to_its_end_after_a_deregistration() {
    for (after, ended, ending) in [(0.5, 120, Ending::InstanceEnded), (1.5, 31, Ending::Killed)] {
        let (paused, task) = interrupted(web(Container::new("nginx").ignores_sigterm())).await;
        paused.stop(&task).await;
        pass(after).await;
        paused.deregister().await;
        pass(130.0).await;
        let fate = paused.fate();
        assert_eq!((fate.ended, fate.ending, fate.with_traffic), (Some(seconds(ended)), ending, false));
    }
}

#[tokio::test(start_paused = true)]
async fn container_that_ended_before_the_notice_has_no_fate() {
    let paused = Paused::start().await;
    let tasks = paused.put(3, &Task::standalone("job"));
    paused.put(1, &Task::standalone("short").finishes_after(seconds(60)));
    paused.home.change_task(&tasks[0], |task| "STOPPED".clone_into(&mut task.last_status));
    paused.stop(&tasks[1]).await;
    pass(10.0).await;
    paused.home.interrupt(ID, "terminate");
    pass(120.0).await;
    let fates = paused.home.fates();
    assert_eq!(fates.iter().map(|fate| fate.ending).collect::<Vec<_>>(), [Ending::InstanceEnded, Ending::Exited]);
    assert!(fates[1].is_graceful() && fates[1].sigterm.is_none());
}

#[tokio::test(start_paused = true)]
async fn history_lists_changes_in_order() {
    let (paused, task) = interrupted(web(Container::new("nginx"))).await;
    paused.drain().await;
    pass(20.0).await;
    paused.stop(&task).await;
    pass(100.0).await;
    let name = format!("web {}", &task.rsplit('/').next().unwrap()[..8]);
    let lines: Vec<_> = paused
        .home
        .history()
        .into_iter()
        .map(|moment| format!("{:>5.1} {}: {}", moment.at.as_secs_f64(), moment.subject, moment.what))
        .collect();
    let expected = [
        format!("  0.0 {ID}: notice: terminate in 120 s"),
        format!("  0.0 {ID}: DRAINING in web"),
        "  0.0 web: replacement started".to_owned(),
        " 20.0 web: replacement healthy".to_owned(),
        format!(" 20.0 {name}: stopped by the scheduler"),
        format!(" 20.0 {name}: target deregistered"),
        format!(" 20.0 {name}: StopTask: Spot interruption"),
        format!(" 21.0 {name}: SIGTERM"),
        format!(" 22.0 {name}: nginx exited"),
        format!(" 23.0 {name}: STOPPED"),
        format!("120.0 {ID}: terminated by EC2"),
    ];
    assert_eq!(lines, expected);
}
