//! An execution environment: a process that handles one event at a time.

use std::fs;
use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde_json::Value;
use tempfile::NamedTempFile;
use tokio::net::TcpListener;
use tokio::process::Child;
use tokio::sync::{Mutex, Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::{Answer, FunctionError, RuntimeApi};
use crate::cpu_share::{Cgroup, CpuShare};

/// A started function. The process is killed on drop.
pub struct Environment {
    api: Arc<RuntimeApi>,
    pid: Option<u32>,
    log: NamedTempFile,
    init_timeout: Duration,
    timeout: Duration,
    invocation: Mutex<()>,
    cpu_share: Option<CpuShare>,
    /// What limits the process once it is ready.
    cgroup: OnceLock<Option<Cgroup>>,
    kill: Arc<Notify>,
    exit: watch::Receiver<Option<String>>,
    tasks: [AbortHandle; 2],
}

impl Environment {
    pub(super) fn new(
        listener: TcpListener,
        api: Arc<RuntimeApi>,
        child: Child,
        log: NamedTempFile,
        (init_timeout, timeout): (Duration, Duration),
        cpu_share: Option<CpuShare>,
    ) -> Self {
        let kill = Arc::new(Notify::new());
        let (exited, exit) = watch::channel(None);
        let pid = child.id();
        let tasks = [
            tokio::spawn(api.clone().run(listener)).abort_handle(),
            tokio::spawn(watch_over(child, kill.clone(), exited)).abort_handle(),
        ];
        let (invocation, cgroup) = (Mutex::default(), OnceLock::new());
        Self { api, pid, log, init_timeout, timeout, invocation, cpu_share, cgroup, kill, exit, tasks }
    }

    /// Waits until the process has asked for its first event, and returns how long that took from its start.
    ///
    /// # Errors
    ///
    /// When the process ends first, reports that it cannot start, or takes too long.
    pub async fn ready(&self) -> Result<Duration, FunctionError> {
        let mut first_request = self.api.first_request();
        let ready = async {
            let first = first_request.wait_for(Option::is_some).await;
            first.ok().and_then(|first| *first).unwrap_or_default()
        };
        match timeout(self.init_timeout, self.unless_exited(ready)).await {
            Ok(Ok(first_request)) => {
                self.cgroup.get_or_init(|| self.cpu_share?.hold(self.pid?).ok());
                Ok(first_request)
            }
            Ok(Err(status)) => Err(match self.api.init_error() {
                Some(answer) => FunctionError::Init { answer, log: self.logs() },
                None => self.exited(status),
            }),
            Err(_) => {
                self.kill();
                Err(FunctionError::InitTimedOut { after: self.init_timeout, log: self.logs() })
            }
        }
    }

    /// Sends an event to the function and waits for its answer. Concurrent invocations are queued.
    ///
    /// # Errors
    ///
    /// When the process does not start, ends before it answers, or takes longer than its timeout, after which it is
    /// killed.
    pub async fn invoke(&self, event: impl Into<Event>) -> Result<Answer, FunctionError> {
        let _turn = self.invocation.lock().await;
        self.ready().await?;
        let answer = self.api.queue(event.into().0);
        match timeout(self.timeout, self.unless_exited(answer)).await {
            Ok(Ok(Ok(answer))) => Ok(answer),
            Ok(Ok(Err(_))) => Err(self.exited("no answer".to_owned())),
            Ok(Err(status)) => Err(self.exited(status)),
            Err(_) => {
                self.kill();
                Err(FunctionError::TimedOut { after: self.timeout, log: self.logs() })
            }
        }
    }

    /// The lines that the process has written to its output and error streams so far.
    #[must_use]
    pub fn logs(&self) -> Vec<String> {
        let bytes = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect()
    }

    /// The process's id.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.pid
    }

    /// The most memory that the process has held so far, in kB; `None` when it is gone, and where there is no `/proc`.
    #[must_use]
    pub fn peak_memory_kb(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid?)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.split_whitespace().next()?.parse().ok()
    }

    /// Kills the process, whatever it is doing.
    pub fn kill(&self) {
        self.kill.notify_one();
    }

    /// How the process ended, once it has.
    #[must_use]
    pub fn exit_status(&self) -> Option<String> {
        self.exit.borrow().clone()
    }

    /// From the start of the process to its first request for an event, once there was one.
    #[must_use]
    pub fn first_request_after(&self) -> Option<Duration> {
        *self.api.first_request().borrow()
    }

    /// The future's output, or how the process ended if it ends first.
    async fn unless_exited<T>(&self, future: impl Future<Output = T>) -> Result<T, String> {
        let mut exit = self.exit.clone();
        tokio::select! {
            biased;
            output = future => Ok(output),
            status = exit.wait_for(Option::is_some) => {
                Err(status.ok().and_then(|status| status.clone()).unwrap_or_default())
            }
        }
    }

    fn exited(&self, status: String) -> FunctionError {
        FunctionError::Exited { status, log: self.logs() }
    }
}

impl Drop for Environment {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

async fn watch_over(mut child: Child, kill: Arc<Notify>, exited: watch::Sender<Option<String>>) {
    let status = tokio::select! {
        status = child.wait() => status,
        () = kill.notified() => {
            let _ = child.start_kill();
            child.wait().await
        }
    };
    exited.send_replace(Some(match status {
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    }));
}

/// An event's bytes.
#[derive(Clone, Debug)]
pub struct Event(Vec<u8>);

impl From<&Value> for Event {
    fn from(event: &Value) -> Self {
        Self(event.to_string().into_bytes())
    }
}

impl From<Value> for Event {
    fn from(event: Value) -> Self {
        Self::from(&event)
    }
}

impl From<Vec<u8>> for Event {
    fn from(event: Vec<u8>) -> Self {
        Self(event)
    }
}

impl From<&Vec<u8>> for Event {
    fn from(event: &Vec<u8>) -> Self {
        Self(event.clone())
    }
}

impl From<&[u8]> for Event {
    fn from(event: &[u8]) -> Self {
        Self(event.to_vec())
    }
}

impl<const N: usize> From<&[u8; N]> for Event {
    fn from(event: &[u8; N]) -> Self {
        Self(event.to_vec())
    }
}

impl From<&str> for Event {
    fn from(event: &str) -> Self {
        Self(event.as_bytes().to_vec())
    }
}

impl From<&String> for Event {
    fn from(event: &String) -> Self {
        Self::from(event.as_str())
    }
}
