//! Searches that must not hold up what was found.

use standin::{ContainerInstance, Fault, Instance};
use tokio::time::Instant;

use crate::{ID, OTHER, in_process::Process, s, standin};

#[tokio::test(start_paused = true)]
async fn disconnected_registration_is_handled_while_another_cluster_keeps_failing() {
    for fault in [Fault::on("ListContainerInstances").status(500), Fault::on("ListContainerInstances").throttle()] {
        let aws = standin().await;
        let home = aws.home();
        home.instance(Instance::new(ID));
        for n in 0..3 {
            home.container_instance(&format!("other-{n}"), ContainerInstance::new(OTHER));
        }
        let arn = home.container_instance("web", ContainerInstance::new(ID).agent_connected(false));
        aws.fault(fault.matching(|body| body["cluster"] == "other-1"));
        let process = Process::start(&aws, &[]).await;
        let started = Instant::now();
        let error = process.invoke(&home.interrupt(ID, "terminate")).await.unwrap_err();
        assert!(error.to_string().contains("other-1"), "{error}");
        assert!(started.elapsed() < s(65), "{:?}", started.elapsed());
        assert_eq!(home.status(&arn).as_deref(), Some("INACTIVE"));
        assert!(home.container_instances().iter().all(|of| of.ec2_instance_id != OTHER || of.status == "ACTIVE"));
    }
}

/// Neither the instance nor its cluster says whether AWS Batch owns it.
#[tokio::test(start_paused = true)]
async fn nothing_is_changed_while_neither_instance_nor_cluster_is_described() {
    let aws = standin().await;
    let home = aws.home();
    home.instance(Instance::new(ID).user_data("ECS_CLUSTER=web"));
    home.container_instance("web", ContainerInstance::new(ID));
    aws.fault(Fault::on("DescribeClusters").status(500));
    aws.fault(Fault::on("DescribeInstances").status(500));
    let process = Process::start(&aws, &[]).await;
    let error = process.invoke(&home.interrupt(ID, "terminate")).await.unwrap_err();
    assert!(error.to_string().contains("Describe"), "{error}");
    assert_eq!(aws.writes().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn tags_of_a_cluster_that_can_not_be_read_hold_up_nothing() {
    for fault in [Fault::on("DescribeClusters").status(500), Fault::on("DescribeClusters").throttle()] {
        let aws = standin().await;
        let home = aws.home();
        home.instance(Instance::new(ID).user_data("ECS_CLUSTER=web"));
        let arn = home.container_instance("web", ContainerInstance::new(ID));
        aws.fault(fault);
        let process = Process::start(&aws, &[]).await;
        let started = Instant::now();
        let answer = process.invoke(&home.interrupt(ID, "terminate")).await.unwrap();
        assert_eq!(answer["outcome"], "deregistered", "{answer}");
        assert!(started.elapsed() < s(10), "{:?}", started.elapsed());
        assert_eq!(home.status(&arn).as_deref(), Some("INACTIVE"));
    }
}
