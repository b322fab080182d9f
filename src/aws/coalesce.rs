//! Coalescing: callers that ask for the same kind of thing at the same time share a call.
//!
//! The first caller starts a task. The task waits until every caller that is ready has joined, then makes one call for
//! all of them. Each caller gets its own answer. The task is aborted when no caller waits for it any more.

use std::{
    collections::{BTreeMap, HashMap},
    hash::Hash,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    sync::oneshot,
    task::{AbortHandle, yield_now},
    time::{sleep, timeout_at},
};

use super::{calls::Calls, operation::Operation};
use crate::{
    error::{Error, ErrorClass},
    lock::lock,
};

/// How long after its deadline a caller waits for the error of the call, which has the same deadline, 50 ms.
const GRACE: Duration = Duration::from_millis(50);

/// Look-ups or changes by key. Keys of the same group can share a call.
pub(crate) struct Coalesced<G, K, V> {
    operation: Operation,
    /// The most keys in one call.
    size: usize,
    /// How long the first caller waits for others to join.
    linger: Duration,
    /// If set, the first caller waits only while this count is not zero.
    linger_while_any: Option<Arc<AtomicUsize>>,
    /// Whether a caller may join while the call is in flight.
    is_shared: bool,
    batches: Batches<G, K, V>,
}

type Batches<G, K, V> = Arc<Mutex<HashMap<G, Arc<Mutex<Batch<K, V>>>>>>;

struct Batch<K, V> {
    calls: Calls,
    waiters: BTreeMap<K, Vec<Waiter<V>>>,
    task: Weak<TaskHandle>,
}

struct Waiter<V> {
    calls: Calls,
    answer: oneshot::Sender<Reply<V>>,
}

/// `None` asks the caller to start over: it would have retried for longer than the batch did.
type Reply<V> = Option<Result<V, Error>>;

/// The task of a batch, held by all callers that wait for it; aborted on drop.
struct TaskHandle(AbortHandle);

impl Drop for TaskHandle {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<G, K, V> Coalesced<G, K, V>
where
    G: Clone + Eq + Hash + Send + Sync + 'static,
    K: Clone + Ord + Hash + Send + Sync + 'static,
    V: Clone + Default + Send + Sync + 'static,
{
    /// One call for up to `size` keys. The operation is named in errors without an answer.
    pub(crate) fn new(operation: Operation, size: usize) -> Self {
        Self {
            operation,
            size,
            linger: Duration::ZERO,
            linger_while_any: None,
            is_shared: false,
            batches: Arc::default(),
        }
    }

    /// The first caller waits this long for others to join.
    pub(crate) fn lingering(self, linger: Duration) -> Self {
        Self { linger, ..self }
    }

    /// Like [`Coalesced::lingering`], but only while there are others that may join.
    pub(crate) fn lingering_while_any(self, linger: Duration, others: &Arc<AtomicUsize>) -> Self {
        Self { linger, linger_while_any: Some(Arc::clone(others)), ..self }
    }

    /// Returns what `load` finds for a key; the default if it finds nothing.
    ///
    /// `load` receives the context, the group and the keys of all callers. Its calls have the strictest limits of all
    /// callers; callers with more time start over after a transient error. Fails, too, if this caller's deadline has
    /// passed.
    pub(crate) async fn get<C, L, F>(&self, context: &C, calls: &Calls, group: &G, key: K, load: L) -> Result<V, Error>
    where
        C: Clone + Send + Sync + 'static,
        L: Fn(C, Calls, G, Vec<K>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<HashMap<K, V>, Error>> + Send + 'static,
    {
        let load = move |context, calls, group, open: OpenBatch<G, K, V>| load(context, calls, group, open.close());
        self.get_open(context, calls, group, key, load).await
    }

    /// Like [`Coalesced::get`], but others may join until `load` closes the batch, such as while it waits for a token.
    pub(crate) async fn get_open<C, L, F>(
        &self,
        context: &C,
        calls: &Calls,
        group: &G,
        key: K,
        load: L,
    ) -> Result<V, Error>
    where
        C: Clone + Send + Sync + 'static,
        L: Fn(C, Calls, G, OpenBatch<G, K, V>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<HashMap<K, V>, Error>> + Send + 'static,
    {
        loop {
            let (answer, _task) = self.ask(context, calls, group, &key, &load);
            match timeout_at(calls.deadline() + GRACE, answer).await {
                Ok(Ok(Some(answer))) => return answer,
                Ok(Ok(None)) => {}
                Ok(Err(_)) | Err(_) => {
                    return Err(Error::call(
                        self.operation,
                        "several resources",
                        ErrorClass::Unavailable,
                        "the shared call was not answered before the deadline",
                    ));
                }
            }
        }
    }

    fn ask<C, L, F>(
        &self,
        context: &C,
        calls: &Calls,
        group: &G,
        key: &K,
        load: &L,
    ) -> (oneshot::Receiver<Reply<V>>, Arc<TaskHandle>)
    where
        C: Clone + Send + Sync + 'static,
        L: Fn(C, Calls, G, OpenBatch<G, K, V>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<HashMap<K, V>, Error>> + Send + 'static,
    {
        let (answer, receiver) = oneshot::channel();
        let waiter = Waiter { calls: calls.clone(), answer };
        let mut batches = lock(&self.batches);
        if let Some(batch) = batches.get(group) {
            let mut batch = lock(batch);
            if let Some(task) = batch.task.upgrade()
                && (batch.waiters.len() < self.size || batch.waiters.contains_key(key))
            {
                batch.calls.tighten(calls);
                batch.waiters.entry(key.clone()).or_default().push(waiter);
                return (receiver, task);
            }
        }
        let waiters = BTreeMap::from([(key.clone(), vec![waiter])]);
        let batch = Arc::new(Mutex::new(Batch { calls: calls.clone(), waiters, task: Weak::new() }));
        batches.insert(group.clone(), Arc::clone(&batch));
        let lingers = self.linger_while_any.as_ref().is_none_or(|others| others.load(Relaxed) > 0);
        let linger = if lingers { self.linger } else { Duration::ZERO };
        let open = OpenBatch {
            batches: Arc::clone(&self.batches),
            group: group.clone(),
            batch: Arc::clone(&batch),
            is_shared: self.is_shared,
        };
        let (context, of, load) = (context.clone(), group.clone(), load.clone());
        let load = move |calls, open| load(context.clone(), calls, of.clone(), open);
        let run = run(open, linger, load);
        let task = Arc::new(TaskHandle(tokio::spawn(run).abort_handle()));
        lock(&batch).task = Arc::downgrade(&task);
        (receiver, task)
    }
}

impl<G, V> Coalesced<G, (), V>
where
    G: Clone + Eq + Hash + Send + Sync + 'static,
    V: Clone + Default + Send + Sync + 'static,
{
    /// One call for all callers that ask for the same thing while it is in flight.
    pub(crate) fn shared(operation: Operation) -> Self {
        Self { is_shared: true, ..Self::new(operation, 1) }
    }

    /// Whether a call that a caller may join is in flight.
    pub(crate) fn is_under_way(&self, group: &G) -> bool {
        lock(&self.batches).get(group).is_some_and(|batch| lock(batch).task.strong_count() > 0)
    }

    /// Like [`Coalesced::get`], for groups without keys.
    pub(crate) async fn get_one<C, L, F>(&self, context: &C, calls: &Calls, group: &G, load: L) -> Result<V, Error>
    where
        C: Clone + Send + Sync + 'static,
        L: Fn(C, Calls, G) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<V, Error>> + Send + 'static,
    {
        let load = move |context, calls, group, _| {
            let load = load(context, calls, group);
            async { Ok(HashMap::from([((), load.await?)])) }
        };
        self.get(context, calls, group, (), load).await
    }
}

impl<G, K, V> std::fmt::Debug for Coalesced<G, K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Coalesced({})", self.operation)
    }
}

/// A batch that others may join until it is closed.
#[derive(Clone)]
pub(crate) struct OpenBatch<G, K, V> {
    batches: Batches<G, K, V>,
    group: G,
    batch: Arc<Mutex<Batch<K, V>>>,
    is_shared: bool,
}

impl<G: Clone + Eq + Hash, K: Clone + Ord, V> OpenBatch<G, K, V> {
    /// Closes the batch, unless its call is shared, and returns its keys.
    pub(crate) fn close(&self) -> Vec<K> {
        if !self.is_shared {
            self.end();
        }
        lock(&self.batch).waiters.keys().cloned().collect()
    }

    /// Nobody may join any more.
    fn end(&self) {
        let mut batches = lock(&self.batches);
        if batches.get(&self.group).is_some_and(|current| Arc::ptr_eq(current, &self.batch)) {
            batches.remove(&self.group);
        }
    }
}

async fn run<G, K, V, L, F>(open: OpenBatch<G, K, V>, linger: Duration, load: L)
where
    G: Clone + Eq + Hash,
    K: Clone + Ord + Hash,
    V: Clone + Default,
    L: Fn(Calls, OpenBatch<G, K, V>) -> F,
    F: Future<Output = Result<HashMap<K, V>, Error>>,
{
    if linger.is_zero() {
        yield_now().await;
    } else {
        sleep(linger).await;
    }
    let calls = lock(&open.batch).calls.clone();
    let answers = load(calls.clone(), open.clone()).await;
    open.end();
    let waiters = std::mem::take(&mut lock(&open.batch).waiters);
    for (key, waiters) in waiters {
        for waiter in waiters {
            let answer = match &answers {
                Ok(answers) => Some(Ok(answers.get(&key).cloned().unwrap_or_default())),
                Err(error) if error.is_transient() && waiter.calls.retries_longer_than(&calls) => None,
                Err(error) => Some(Err(error.clone())),
            };
            // A caller that has stopped waiting needs no answer.
            let _ = waiter.answer.send(answer);
        }
    }
}

/// Makes a call for several keys. A call that AWS rejects is made again for each half of its keys, since one key, or
/// their number, may be the reason.
pub(crate) async fn bisecting<K, T, F>(keys: Vec<K>, call: impl Fn(Vec<K>) -> F) -> Vec<(Vec<K>, Result<T, Error>)>
where
    K: Clone,
    F: Future<Output = Result<T, Error>>,
{
    let (mut open, mut answers) = (vec![keys], Vec::new());
    while let Some(mut keys) = open.pop() {
        match call(keys.clone()).await {
            Err(error) if keys.len() > 1 && error.may_concern_one_key() => {
                let other = keys.split_off(keys.len() / 2);
                open.extend([keys, other]);
            }
            answer => answers.push((keys, answer)),
        }
    }
    answers
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;
    use tokio::time::{Instant, timeout};

    use super::*;
    use crate::aws::deadline::Deadline;

    const OPERATION: Operation = Operation::DescribeInstances;

    /// The keys of each call.
    type Log = Arc<Mutex<Vec<Vec<u32>>>>;

    fn calls(seconds: u64) -> Calls {
        Calls::new(Deadline::after(Duration::from_secs(seconds)), Arc::default(), None, Arc::default())
    }

    fn rejected() -> Error {
        Error::call(OPERATION, "x", ErrorClass::Rejected, "no")
    }

    /// Doubles each key, after a second.
    fn double<G>(log: &Log) -> impl Fn((), Calls, G, Vec<u32>) -> Doubling + Clone + Send + Sync + 'static {
        let log = Arc::clone(log);
        move |(), _, _, mut keys| {
            keys.sort_unstable();
            lock(&log).push(keys.clone());
            Box::pin(async move {
                sleep(Duration::from_secs(1)).await;
                Ok(keys.into_iter().map(|key| (key, 2 * key)).collect())
            })
        }
    }

    type Doubling = std::pin::Pin<Box<dyn Future<Output = Result<HashMap<u32, u32>, Error>> + Send>>;

    fn made(log: &Log) -> Vec<Vec<u32>> {
        let mut made = lock(log).clone();
        made.sort();
        made
    }

    #[tokio::test(start_paused = true)]
    async fn concurrent_callers_share_one_call_per_group_and_size() {
        let (coalesced, log) = (Coalesced::new(OPERATION, 3), Log::default());
        let ask = async |(group, key)| coalesced.get(&(), &calls(60), &group, key, double(&log)).await.unwrap();
        let asked = [("a", 1), ("a", 2), ("b", 3), ("a", 4), ("a", 2), ("a", 5)];
        assert_eq!(join_all(asked.map(ask)).await, [2, 4, 6, 8, 4, 10]);
        assert_eq!(made(&log), [vec![1, 2, 4], vec![3], vec![5]]);
    }

    #[tokio::test(start_paused = true)]
    async fn later_caller_joins_the_call_in_flight_only_if_it_is_shared() {
        for (is_shared, expected) in [(false, 2), (true, 1)] {
            let (coalesced, log) = (Coalesced { is_shared, ..Coalesced::new(OPERATION, 9) }, Log::default());
            let ask = async |after: u64| {
                sleep(Duration::from_millis(after)).await;
                coalesced.get(&(), &calls(60), &(), 1, double(&log)).await.unwrap()
            };
            assert_eq!(join_all([0, 500].map(ask)).await, [2, 2]);
            assert_eq!(made(&log).len(), expected, "shared: {is_shared}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn lingering_caller_waits_for_others() {
        let coalesced = Coalesced::new(OPERATION, 9).lingering(Duration::from_millis(200));
        let log = Log::default();
        let ask = async |key: u32| {
            sleep(Duration::from_millis(u64::from(key))).await;
            coalesced.get(&(), &calls(60), &(), key, double(&log)).await.unwrap()
        };
        join_all([0, 150, 250].map(ask)).await;
        assert_eq!(made(&log), [vec![0, 150], vec![250]]);
    }

    #[tokio::test(start_paused = true)]
    async fn cancelled_caller_does_not_affect_the_others() {
        let (coalesced, log) = (Coalesced::new(OPERATION, 9), Log::default());
        let ask = async |(key, patience): (u32, u64)| {
            let calls = calls(60);
            let asked = coalesced.get(&(), &calls, &(), key, double(&log));
            timeout(Duration::from_millis(patience), asked).await.ok().map(Result::unwrap)
        };
        // The caller that is cancelled first had started the call.
        assert_eq!(join_all([(1, 500), (2, 5_000), (3, 0)].map(ask)).await, [None, Some(4), None]);
        assert_eq!(made(&log), [[1, 2, 3]]);
    }

    #[tokio::test(start_paused = true)]
    async fn call_without_waiting_callers_is_aborted() {
        let coalesced: Coalesced<(), u32, u32> = Coalesced::new(OPERATION, 9);
        let ended = Arc::new(Mutex::new(0));
        let counted = Arc::clone(&ended);
        let load = move |(), _, (), _| {
            let counted = Arc::clone(&counted);
            async move {
                sleep(Duration::from_secs(1)).await;
                *lock(&counted) += 1;
                Ok(HashMap::new())
            }
        };
        let calls = calls(60);
        let asked = coalesced.get(&(), &calls, &(), 1, load.clone());
        assert!(timeout(Duration::from_millis(500), asked).await.is_err());
        sleep(Duration::from_secs(5)).await;
        assert_eq!(*lock(&ended), 0);
        coalesced.get(&(), &calls, &(), 1, load).await.unwrap();
        assert_eq!(*lock(&ended), 1, "the next caller starts its own call");
    }

    #[tokio::test(start_paused = true)]
    async fn error_reaches_all_callers_and_is_not_cached() {
        let coalesced: Coalesced<(), u32, u32> = Coalesced::new(OPERATION, 9);
        let ask = async |key| coalesced.get(&(), &calls(60), &(), key, |(), _, (), _| async { Err(rejected()) }).await;
        assert!(join_all([1, 2].map(ask)).await.iter().all(Result::is_err));
        let log = Log::default();
        assert_eq!(coalesced.get(&(), &calls(60), &(), 1, double(&log)).await.unwrap(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn panicking_call_fails_all_callers_at_once() {
        let coalesced: Coalesced<(), u32, u32> = Coalesced::new(OPERATION, 9);
        let load = |(), _: Calls, (), keys: Vec<u32>| async move {
            if keys.is_empty() { Ok(HashMap::new()) } else { panic!() }
        };
        let ask = async |key| coalesced.get(&(), &calls(60), &(), key, load).await;
        let started = Instant::now();
        assert!(join_all([1, 2].map(ask)).await.iter().all(Result::is_err));
        assert!(started.elapsed() < Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn caller_with_more_time_starts_over() {
        let coalesced: Coalesced<(), u32, u32> = Coalesced::new(OPERATION, 9);
        let started = Instant::now();
        // Calls are throttled for 20 s.
        let load = move |(), calls: Calls, (), keys: Vec<u32>| async move {
            let opens = started + Duration::from_secs(20);
            tokio::time::sleep_until(opens.min(calls.deadline())).await;
            if Instant::now() < opens {
                return Err(Error::call(OPERATION, "x", ErrorClass::Throttled, "no"));
            }
            Ok(keys.into_iter().map(|key| (key, key)).collect())
        };
        let ask = async |(key, seconds)| {
            let answer = coalesced.get(&(), &calls(seconds), &(), key, load).await;
            (answer.map_err(|error| error.error_type()), started.elapsed().as_secs())
        };
        let answers = join_all([(1, 5), (2, 10), (3, 60), (4, 90)].map(ask)).await;
        assert_eq!(answers[..2], [(Err("Throttled"), 5), (Err("Throttled"), 10)]);
        assert_eq!(answers[2..], [(Ok(3), 20), (Ok(4), 20)]);
    }

    #[tokio::test(start_paused = true)]
    async fn open_batch_may_be_joined_until_it_is_closed() {
        let (coalesced, log) = (Coalesced::new(OPERATION, 9), Log::default());
        let double = double(&log);
        // A token comes after a second.
        let load = move |(), calls: Calls, (), open: OpenBatch<(), u32, u32>| {
            let double = double.clone();
            async move {
                sleep(Duration::from_secs(1)).await;
                double((), calls, (), open.close()).await
            }
        };
        let ask = async |(key, after)| {
            sleep(Duration::from_millis(after)).await;
            coalesced.get_open(&(), &calls(60), &(), key, load.clone()).await.unwrap()
        };
        assert_eq!(join_all([(1, 0), (2, 900), (3, 1_100)].map(ask)).await, [2, 4, 6]);
        assert_eq!(made(&log), [vec![1, 2], vec![3]]);
    }

    #[tokio::test]
    async fn rejected_key_fails_alone() {
        let made = Mutex::new(0);
        let call = |keys: Vec<u32>| {
            *lock(&made) += 1;
            async move { if keys.contains(&7) { Err(rejected()) } else { Ok(keys.len()) } }
        };
        let answers = bisecting((0..10).collect(), call).await;
        let failed: Vec<_> =
            answers.iter().filter(|(_, answer)| answer.is_err()).map(|(keys, _)| keys.clone()).collect();
        assert_eq!(failed, [[7]]);
        assert_eq!(answers.iter().filter_map(|(_, answer)| answer.as_ref().ok()).sum::<usize>(), 9);
        assert!(*lock(&made) <= 9, "{}", lock(&made));
    }
}
