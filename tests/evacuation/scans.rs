//! Large scans for batches that two processes receive at the same time.

use standin::{ContainerInstance, Instance, Quotas, Standin};
use tokio::time::Instant;

use crate::{batch, in_process::Process, start};

const CLUSTERS: usize = 100;

/// Each process has to read every cluster, and both share a quota that takes 15 s for that. The second process lets the
/// first one finish.
#[tokio::test(start_paused = true)]
async fn second_process_lets_the_first_scan_finish() {
    let mut early = Vec::new();
    for seed in 0..12 {
        let aws = start(Standin::builder().quotas(Quotas::aws())).await;
        let home = aws.home();
        let ids: Vec<_> = (0..10 * CLUSTERS).map(|n| format!("i-{n:017x}")).collect();
        for (n, id) in ids.iter().enumerate() {
            home.instance(Instance::new(id));
            home.container_instance(&format!("cluster-{}", n % CLUSTERS), ContainerInstance::new(id));
        }
        fastrand::seed(seed);
        let started = Instant::now();
        let (one, other) = ids.split_at(ids.len() / 2);
        let drain = async |ids: &[String]| {
            let process = Process::start(&aws, &[("STRATEGY", "drain")]).await;
            let notices: Vec<_> = ids.iter().map(|id| home.interrupt(id, "terminate")).collect();
            let answer = process.invoke(&batch(&notices)).await.unwrap();
            assert_eq!(answer["batchItemFailures"].as_array().unwrap().len(), 0, "seed {seed}: {answer}");
            started.elapsed().as_secs_f64()
        };
        let (one, other) = tokio::join!(drain(one), drain(other));
        assert!(home.container_instances().iter().all(|found| found.status == "DRAINING"), "seed {seed}");
        assert!(one.max(other) < 20.0, "seed {seed}: {one} {other}");
        early.extend((one.min(other) < 10.0).then_some(seed));
    }
    // Processes that start within a few milliseconds of each other share the quota, as all would without the queue.
    assert!(early.len() >= 11, "only with the seeds {early:?}");
}
