//! Many instances in a batch, many tasks on an instance.

use standin::{Quotas, Standin, Task};
use tokio::time::sleep;

use crate::{EVACUATE, assert_all_well, batch, evacuate, fleet, in_process::Process, register, s, standalone, start};

#[tokio::test(start_paused = true)]
async fn a_hundred_instances_in_one_batch_take_at_most_8_calls_each() {
    for clusters in [1, 5, 20] {
        let aws = start(Standin::builder().quotas(Quotas::aws())).await;
        let home = aws.home();
        let ids: Vec<_> = (0..100).map(|n| format!("i-{n:017x}")).collect();
        for (cluster, ids) in ids.chunks(100 / clusters).enumerate() {
            fleet::instances(&home, &format!("cluster-{cluster}"), ids);
        }
        let process = Process::start(&aws, EVACUATE).await;
        let notices: Vec<_> = ids.iter().map(|id| home.interrupt(id, "terminate")).collect();
        let answer = process.invoke(&batch(&notices)).await.unwrap();
        assert_eq!(answer["batchItemFailures"].as_array().unwrap().len(), 0, "{answer}");
        sleep(s(121)).await;
        assert_all_well(&aws, &format!("{clusters} clusters"));
        assert!(ids.iter().all(|id| home.registered(id) == 0));
        assert!(aws.calls().len() <= 800, "{} calls: {:?}", aws.calls().len(), aws.calls_by_api());
    }
}

#[tokio::test(start_paused = true)]
async fn five_hundred_tasks_on_one_instance() {
    let aws = start(Standin::builder().quotas(Quotas::aws())).await;
    register(&aws, (0..500).map(|n| if n % 2 == 0 { standalone("report") } else { Task::of_service("search") }));
    evacuate(&aws, EVACUATE).await;
    assert_all_well(&aws, "500 tasks");
    assert_eq!(aws.home().fates().len(), 500);
}
