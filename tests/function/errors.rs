//! Errors, and how they are reported.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use standin::{Cluster, ContainerInstance, Fault, Function, Instance};

use crate::{ID, OTHER, crowd, failed, function, handled, notice, notice_of, register, standin};

#[tokio::test]
async fn malformed_event_makes_no_call_and_names_the_field() {
    let aws = standin().await;
    register(&aws.home(), "web");
    let function = function(&aws, &[]).await;
    for (pointer, value, field) in [
        ("/detail/instance-id", json!(""), "detail.instance-id"),
        ("/detail/instance-id", json!("i-1234567890abcdef0' or ec2InstanceId != '"), "detail.instance-id"),
        ("/detail/instance-action", json!("reboot"), "detail.instance-action"),
        ("/account", json!("123"), "account"),
        ("/region", json!("us-east-2.example.com"), "region"),
        ("/time", json!("soon"), "time"),
    ] {
        let mut event = notice(ID, "terminate");
        *event.pointer_mut(pointer).unwrap() = value;
        let (error_type, message) = failed(&function, event).await;
        assert_eq!(error_type, "InvalidEvent");
        assert!(message.contains(field), "{message}");
    }
    for payload in ["", "not json", "[1]", "{}", "\"text\""] {
        let answer = function.invoke(payload.as_bytes().to_vec()).await.unwrap();
        assert_eq!(answer.error_type(), Some("InvalidEvent"), "{payload}: {answer:?}");
    }
    assert_eq!(aws.calls().len(), 0);
    // The process is not affected.
    assert_eq!(handled(&function, notice(ID, "terminate")).await["outcome"], "deregistered");
}

#[tokio::test]
async fn event_of_another_type_is_ignored_with_a_warning() {
    let aws = standin().await;
    let function = function(&aws, &[]).await;
    for (detail_type, detail, said) in [
        (
            "EC2 Spot Instance Request Fulfillment",
            json!({ "instance-id": ID }),
            "EC2 Spot Instance Request Fulfillment",
        ),
        ("EC2 Instance State-change Notification", json!({ "instance-id": ID, "state": "stopping" }), "State-change"),
        // These are off by default.
        ("EC2 Instance State-change Notification", json!({ "instance-id": ID, "state": "terminated" }), "terminated"),
        ("EC2 Instance Rebalance Recommendation", json!({ "instance-id": ID }), "rebalance"),
    ] {
        let mut event = notice(ID, "terminate");
        event["detail-type"] = detail_type.into();
        event["detail"] = detail;
        let answer = handled(&function, event).await;
        assert_eq!((&answer["outcome"], &answer["account"]), (&"ignored".into(), &"123456789012".into()), "{answer}");
        assert!(function.logs().iter().any(|line| line.contains("WARN") && line.contains(said)), "{said}");
    }
    assert_eq!(aws.calls().len(), 0);
}

#[tokio::test]
async fn access_denied_repeats_the_message_of_aws() {
    let words = "User: arn:aws:sts::123456789012:assumed-role/r/f is not authorized to perform: \
                 ecs:DeregisterContainerInstance on resource: arn:aws:ecs:us-east-2:123456789012:cluster/web";
    let aws = standin().await;
    let (arn, _) = register(&aws.home(), "web");
    let function = function(&aws, &[]).await;
    aws.fault(Fault::on("DeregisterContainerInstance").always().error(400, "AccessDeniedException", words));
    let (error_type, message) = failed(&function, notice(ID, "terminate")).await;
    assert_eq!(error_type, "AccessDenied");
    assert!(message.contains(words) && message.contains(&arn), "{message}");
    assert_eq!(aws.calls_to("DeregisterContainerInstance").len(), 1, "it would be denied again");
}

#[tokio::test]
async fn transient_errors_are_retried() {
    for fault in [
        Fault::on_any().times(6).throttle(),
        Fault::on_any().times(6).status(500),
        Fault::on_any().times(6).cut(),
        Fault::on_any().probability(0.3).throttle(),
    ] {
        let aws = standin().await;
        crowd(&aws.home(), 5);
        let (arn, _) = register(&aws.home(), "web");
        let function = function(&aws, &[]).await;
        aws.fault(fault);
        assert_eq!(handled(&function, notice(ID, "terminate")).await["outcome"], "deregistered");
        assert_eq!(aws.home().status(&arn).as_deref(), Some("INACTIVE"));
    }
}

#[tokio::test]
async fn retries_end_before_the_function_times_out() {
    let aws = standin().await;
    register(&aws.home(), "web");
    let function = Function::new(env!("CARGO_BIN_EXE_spot-interruption-handler"))
        .envs(aws.env())
        .timeout(Duration::from_secs(6))
        .start()
        .await
        .unwrap();
    function.ready().await.unwrap();
    for (fault, expected) in [
        (Fault::on("DeregisterContainerInstance").always().throttle(), "Throttled"),
        (Fault::on("DeregisterContainerInstance").always().status(503), "DeadlineExceeded"),
        (Fault::on("DeregisterContainerInstance").always().delay(Duration::from_mins(1)), "DeadlineExceeded"),
    ] {
        aws.forget_faults();
        aws.fault(fault);
        let started = Instant::now();
        let (error_type, message) = failed(&function, notice_of(ID, "terminate", Duration::from_secs(5))).await;
        assert_eq!(error_type, expected, "{message}");
        // The function has 6 s and reserves a quarter of them for its answer.
        assert!((2.0..5.0).contains(&started.elapsed().as_secs_f64()), "{:?}", started.elapsed());
    }
}

#[tokio::test]
async fn scan_goes_on_after_an_unreadable_cluster() {
    let aws = standin().await;
    crowd(&aws.home(), 5);
    let (arn, _) = register(&aws.home(), "web");
    let function = function(&aws, &[]).await;
    aws.fault(
        Fault::on("ListContainerInstances")
            .matching(|params| params["cluster"].as_str().is_some_and(|cluster| cluster.starts_with("crowd")))
            .always()
            .error(400, "AccessDeniedException", "not this one"),
    );
    assert_eq!(handled(&function, notice(ID, "terminate")).await["outcome"], "deregistered");
    assert_eq!(aws.home().status(&arn).as_deref(), Some("INACTIVE"));
}

#[tokio::test]
async fn unreadable_cluster_is_an_error_rather_than_not_found() {
    for clusters in [2, 8] {
        let aws = standin().await;
        crowd(&aws.home(), clusters);
        let function = function(&aws, &[]).await;
        aws.fault(
            Fault::on("ListContainerInstances").matching(|params| params["cluster"] == "crowd-1").always().error(
                400,
                "AccessDeniedException",
                "not this one",
            ),
        );
        let (error_type, message) = failed(&function, notice(ID, "terminate")).await;
        assert_eq!(error_type, "AccessDenied");
        assert!(message.contains("crowd-1"), "{message}");
    }
}

#[tokio::test]
async fn denied_list_of_clusters_is_an_error_rather_than_not_found() {
    let aws = standin().await;
    aws.fault(Fault::on("ListClusters").always().error(400, "AccessDeniedException", "no lists"));
    let function = function(&aws, &[]).await;
    let (error_type, message) = failed(&function, notice(ID, "terminate")).await;
    assert_eq!(error_type, "AccessDenied");
    assert!(message.contains("ListClusters"), "{message}");
}

#[tokio::test]
async fn secrets_in_user_data_are_not_logged_at_any_level() {
    let aws = standin().await;
    crowd(&aws.home(), 5);
    register(&aws.home(), "web");
    let secret = "hunter2-hunter2";
    let script = format!("#!/bin/sh\nexport DB_PASSWORD={secret}\necho ECS_CLUSTER=web > /etc/ecs/ecs.config\n");
    aws.home().instance(Instance::new(ID).user_data(script));
    let function = function(&aws, &[("AWS_LAMBDA_LOG_LEVEL", "TRACE"), ("RUST_LOG", "trace")]).await;
    aws.fault(Fault::on("DescribeInstanceAttribute").times(1).status(500));
    assert_eq!(handled(&function, notice(ID, "terminate")).await["outcome"], "deregistered");
    let logs = function.logs().join("\n");
    assert_eq!(aws.calls_to("DescribeInstanceAttribute").len(), 2);
    assert!(logs.contains("DEBUG"), "the level has an effect: {logs}");
    let encoded = "REJfUEFTU1dPUkQ"; // DB_PASSWORD, in base64
    for trace in
        [secret, "DB_PASSWORD", encoded, &aws.env().iter().find(|(k, _)| k == "AWS_SECRET_ACCESS_KEY").unwrap().1]
    {
        assert!(!logs.contains(trace), "{trace} in {logs}");
    }
}

#[tokio::test]
async fn failing_clusters_do_not_delay_the_search() {
    let of_crowd = |params: &Value| params["cluster"].as_str().is_some_and(|cluster| cluster.starts_with("crowd"));
    let aws = standin().await;
    crowd(&aws.home(), 12);
    let home = aws.home();
    for n in 0..12 {
        // These clusters are scanned first.
        home.container_instance(&format!("crowd-{n}"), ContainerInstance::new(format!("i-1{n:016x}")));
    }
    home.instance(Instance::new(ID).user_data("ECS_CLUSTER=crowd-3"));
    let arn = home.container_instance("web", ContainerInstance::new(ID));
    let function = function(&aws, &[]).await;
    aws.fault(Fault::on("ListContainerInstances").matching(of_crowd).always().status(500));
    let started = Instant::now();
    assert_eq!(handled(&function, notice(ID, "terminate")).await["outcome"], "deregistered");
    assert_eq!(home.status(&arn).as_deref(), Some("INACTIVE"));
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}

#[tokio::test]
async fn unreadable_cluster_outside_of_the_setting_is_no_error() {
    let aws = standin().await;
    aws.home().instance(Instance::new(ID).user_data("ECS_CLUSTER=other"));
    aws.home().cluster(Cluster::new("web")).cluster(Cluster::new("other"));
    let function = function(&aws, &[("CLUSTERS", "web")]).await;
    let of_other = |params: &Value| params["cluster"] == "other";
    aws.fault(Fault::on("ListContainerInstances").matching(of_other).always().error(
        400,
        "AccessDeniedException",
        "no",
    ));
    assert_eq!(handled(&function, notice(ID, "terminate")).await["outcome"], "not-found");
}

#[tokio::test]
async fn listed_but_not_described_is_read_again() {
    let aws = standin().await;
    let (arn, _) = register(&aws.home(), "web");
    let function = function(&aws, &[]).await;
    aws.fault(Fault::on("DescribeContainerInstances").times(1).failure("MISSING"));
    assert_eq!(handled(&function, notice(ID, "terminate")).await["outcome"], "deregistered");
    assert_eq!(aws.home().status(&arn).as_deref(), Some("INACTIVE"));
}

#[tokio::test]
async fn function_with_a_short_timeout_still_handles_the_notice() {
    let aws = standin().await;
    register(&aws.home(), "web");
    let function = Function::new(env!("CARGO_BIN_EXE_spot-interruption-handler"))
        .envs(aws.env())
        .timeout(Duration::from_secs(2))
        .start()
        .await
        .unwrap();
    assert_eq!(handled(&function, notice(ID, "terminate")).await["outcome"], "deregistered");
}

#[tokio::test]
async fn failure_is_logged_in_one_line() {
    let aws = standin().await;
    register(&aws.home(), "web");
    let function = function(&aws, &[]).await;
    aws.fault(Fault::on("DeregisterContainerInstance").always().error(400, "AccessDeniedException", "no"));
    failed(&function, notice(ID, "terminate")).await;
    let logs = function.logs();
    let [line] = &logs.iter().filter(|line| line.contains("ERROR")).collect::<Vec<_>>()[..] else { panic!("{logs:?}") };
    let line: Value = serde_json::from_str(line).unwrap();
    let fields = &line["fields"];
    assert_eq!((&fields["instanceId"], &fields["errorType"]), (&json!(ID), &json!("AccessDenied")), "{line}");
    assert!(fields["calls"].is_u64() && fields["secondsLeft"].is_u64(), "{line}");
    // Lambda treats a line without a timestamp as INFO, whatever its level.
    let time = line["timestamp"].as_str().unwrap();
    assert!(time.starts_with("20") && time.ends_with('Z'), "{time}");
}

#[tokio::test]
async fn clock_skew_is_corrected() {
    for ahead_s in [-86_400, -3_600, 600, 86_400] {
        let aws = standin().await;
        let (arn, _) = register(&aws.home(), "web");
        let function = function(&aws, &[]).await;
        aws.set_clock_ahead_s(ahead_s);
        assert_eq!(handled(&function, notice(ID, "terminate")).await["outcome"], "deregistered", "{ahead_s} s");
        assert_eq!(aws.home().status(&arn).as_deref(), Some("INACTIVE"));
        aws.forget_calls();
        handled(&function, notice(OTHER, "terminate")).await;
        assert!(aws.calls().iter().all(|call| call.error.is_none()), "it is corrected once");
    }
}

#[tokio::test]
async fn rejected_signature_is_renewed() {
    for (api, status, code) in [
        ("DeregisterContainerInstance", 400, "InvalidSignatureException"),
        ("ListContainerInstances", 400, "InvalidSignatureException"),
        ("ListContainerInstances", 400, "UnrecognizedClientException"),
        ("DescribeInstances", 400, "RequestExpired"),
        ("DescribeInstances", 401, "AuthFailure"),
    ] {
        let aws = standin().await;
        register(&aws.home(), "web");
        let function = function(&aws, &[]).await;
        aws.fault(Fault::on(api).times(1).error(status, code, "Signature expired"));
        assert_eq!(handled(&function, notice(ID, "terminate")).await["outcome"], "deregistered", "{api} {code}");
        assert!(aws.calls_to(api).len() >= 2);
    }
}

#[tokio::test]
async fn signature_that_is_always_rejected_is_tried_three_times() {
    let aws = standin().await;
    register(&aws.home(), "web");
    let function = function(&aws, &[]).await;
    let code = "InvalidSignatureException";
    aws.fault(Fault::on("DeregisterContainerInstance").always().error(400, code, "no"));
    let (error_type, message) = failed(&function, notice(ID, "terminate")).await;
    assert_eq!((error_type.as_str(), message.contains(code)), ("CallRejected", true));
    assert_eq!(aws.calls_to("DeregisterContainerInstance").len(), 3);
}
