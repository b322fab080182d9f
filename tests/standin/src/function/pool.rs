//! A pool of execution environments, one for each concurrent invocation.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::Semaphore;

use super::{Answer, Environment, Event, Function, FunctionError};

/// Lambda's quota of concurrent executions for an account and Region. It is reached without delay: an account gains
/// 1,000 of them every 10 seconds.
const CONCURRENCY: usize = 1_000;

/// The delays before an asynchronous invocation that failed is retried: one minute, then two minutes.
const PAUSES: [Duration; 2] = [Duration::from_mins(1), Duration::from_mins(2)];

/// A function as Lambda runs it: an idle environment takes the next event, and where none is idle another is started.
pub struct Pool {
    function: Function,
    concurrency: Semaphore,
    state: Mutex<PoolState>,
}

#[derive(Default)]
struct PoolState {
    /// The one used last is used next, as on Lambda.
    idle: Vec<Arc<Environment>>,
    busy: Vec<Weak<Environment>>,
    figures: PoolFigures,
}

/// The figures of a [`Pool`].
#[derive(Clone, Debug, Default)]
pub struct PoolFigures {
    /// Invocations that were started.
    pub invocations: usize,
    /// Invocations in flight.
    pub in_flight: usize,
    /// Environments that were started.
    pub cold_starts: usize,
    /// The time that invocations took in all.
    pub billed: Duration,
    /// Errors by their type, those of the function and those of Lambda about it.
    pub errors: BTreeMap<String, usize>,
    /// Asynchronous invocations that were given up.
    pub undelivered: usize,
    /// The most memory that one of the processes held when it had answered, in kB; 0 where there is no `/proc`.
    pub peak_memory_kb: u64,
}

/// `EventInvokeConfig`: for how long an asynchronous invocation is retried.
#[derive(Clone, Copy, Debug)]
pub struct Retries {
    /// `MaximumRetryAttempts`, 0 to 2.
    pub attempts: usize,
    /// `MaximumEventAgeInSeconds`; an event that is older is given up.
    pub max_age: Duration,
}

/// An event that was given up and goes to the on-failure destination.
#[derive(Clone, Debug)]
pub struct Undelivered {
    /// The last error's type.
    pub error_type: String,
}

impl Pool {
    /// A pool without an environment yet.
    #[must_use]
    pub fn new(function: Function) -> Self {
        Self { function, concurrency: Semaphore::new(CONCURRENCY), state: Mutex::default() }
    }

    /// Invokes the function and waits for its answer.
    ///
    /// # Errors
    ///
    /// When the process does not start, ends before it answers or takes too long. It is not used again.
    pub async fn invoke(&self, event: impl Into<Event>) -> Result<Answer, FunctionError> {
        // It is never closed.
        let _permit = self.concurrency.acquire().await;
        let idle = self.begin();
        let result = self.run(idle, event.into()).await;
        let error_type = match &result {
            Ok(answer) => answer.error_type(),
            Err(error) => Some(error.error_type()),
        };
        let mut state = self.lock();
        state.figures.in_flight -= 1;
        if let Some(error_type) = error_type {
            *state.figures.errors.entry(error_type.to_owned()).or_default() += 1;
        }
        result
    }

    /// Invokes the function asynchronously: again after an error, until that is given up.
    ///
    /// # Errors
    ///
    /// When it is given up.
    pub async fn deliver(&self, event: impl Into<Event>, retries: Retries) -> Result<Answer, Undelivered> {
        let event = event.into();
        let given_up = SystemTime::now() + retries.max_age;
        let mut pauses = PAUSES.into_iter().take(retries.attempts);
        loop {
            let error_type = match self.invoke(event.clone()).await {
                Ok(Answer::Err { error_type, .. }) => error_type,
                Ok(answer) => return Ok(answer),
                Err(error) => error.error_type().to_owned(),
            };
            match pauses.next() {
                Some(pause) if SystemTime::now() + pause < given_up => tokio::time::sleep(pause).await,
                _ => {
                    self.lock().figures.undelivered += 1;
                    return Err(Undelivered { error_type });
                }
            }
        }
    }

    /// Kills a process in the middle of its invocation; `false` where there is none.
    pub fn kill_one(&self) -> bool {
        let mut state = self.lock();
        let busy = state.busy.pop().and_then(|busy| busy.upgrade());
        busy.as_ref().inspect(|busy| busy.kill()).is_some()
    }

    /// What has been done so far.
    #[must_use]
    pub fn figures(&self) -> PoolFigures {
        self.lock().figures.clone()
    }

    fn begin(&self) -> Option<Arc<Environment>> {
        let mut state = self.lock();
        let idle = state.idle.pop();
        state.figures.invocations += 1;
        state.figures.in_flight += 1;
        state.figures.cold_starts += usize::from(idle.is_none());
        idle
    }

    async fn run(&self, idle: Option<Arc<Environment>>, event: Event) -> Result<Answer, FunctionError> {
        let environment = match idle {
            Some(idle) => idle,
            None => self.start().await?,
        };
        self.lock().busy.push(Arc::downgrade(&environment));
        environment.ready().await?;
        let started = Instant::now();
        let answer = environment.invoke(event).await;
        let mut state = self.lock();
        state.figures.billed += started.elapsed();
        state.busy.retain(|busy| !std::ptr::eq(busy.as_ptr(), &raw const *environment));
        let answer = answer?;
        state.figures.peak_memory_kb =
            state.figures.peak_memory_kb.max(environment.peak_memory_kb().unwrap_or_default());
        state.idle.push(environment);
        Ok(answer)
    }

    async fn start(&self) -> Result<Arc<Environment>, FunctionError> {
        let started = self.function.clone().start().await;
        started.map(Arc::new).map_err(|error| FunctionError::Exited { status: error.to_string(), log: Vec::new() })
    }

    fn lock(&self) -> MutexGuard<'_, PoolState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
