//! A function's process, started and invoked as Lambda does.

mod answer;
mod environment;
mod pool;
mod runtime_api;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tempfile::NamedTempFile;
use tokio::net::TcpListener;
use tokio::process::Command;

pub use answer::{Answer, FunctionError};
pub use environment::{Environment, Event};
pub use pool::{Pool, PoolFigures, Retries, Undelivered};
pub(crate) use runtime_api::RuntimeApi;

use crate::arn;
use crate::cpu_share::CpuShare;
use crate::standin::{ACCOUNT, REGION};

/// A function: a binary, its environment variables and its limits.
#[derive(Clone, Debug)]
pub struct Function {
    program: PathBuf,
    args: Vec<String>,
    name: String,
    account: String,
    env: BTreeMap<String, String>,
    timeout: Duration,
    init_timeout: Duration,
    cpu_share: Option<CpuShare>,
}

impl Function {
    /// A function with a timeout of 60 seconds and 10 seconds to start.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            name: "spot-interruption-handler".to_owned(),
            account: ACCOUNT.to_owned(),
            env: BTreeMap::new(),
            timeout: Duration::from_mins(1),
            init_timeout: Duration::from_secs(10),
            cpu_share: None,
        }
    }

    /// Adds an argument, for a program that wraps the function's binary.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Sets the function's name.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets the account in the function's ARN.
    #[must_use]
    pub fn account(mut self, account: impl Into<String>) -> Self {
        self.account = account.into();
        self
    }

    /// Sets an environment variable; the process gets no others, but for `PATH` and Lambda's own.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }

    /// Sets several environment variables.
    #[must_use]
    pub fn envs<K: Into<String>, V: Into<String>>(self, vars: impl IntoIterator<Item = (K, V)>) -> Self {
        vars.into_iter().fold(self, |function, (name, value)| function.env(name, value))
    }

    /// Sets how long an invocation may take.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets how long the process may take until it asks for its first event.
    #[must_use]
    pub fn init_timeout(mut self, timeout: Duration) -> Self {
        self.init_timeout = timeout;
        self
    }

    /// Limits the process once it is ready: while it starts, Lambda gives it a whole core.
    #[must_use]
    pub fn cpu_share(mut self, share: CpuShare) -> Self {
        self.cpu_share = Some(share);
        self
    }

    /// Starts the process; it need not be ready yet.
    ///
    /// # Errors
    ///
    /// When the program cannot be started.
    pub async fn start(self) -> io::Result<Environment> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?.to_string();
        let log = NamedTempFile::with_prefix("standin-")?;
        let output = log.reopen()?;
        let mut command = Command::new(&self.program);
        command
            .args(&self.args)
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .envs(self.lambda_env(&address))
            .envs(&self.env)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .kill_on_drop(true);
        let api = RuntimeApi::new(self.arn(), self.timeout, Instant::now());
        let child = command.spawn()?;
        let limits = (self.init_timeout, self.timeout);
        Ok(Environment::new(listener, api, child, log, limits, self.cpu_share))
    }

    fn lambda_env(&self, address: &str) -> [(&'static str, String); 8] {
        [
            ("AWS_LAMBDA_RUNTIME_API", address.to_owned()),
            ("AWS_LAMBDA_FUNCTION_NAME", self.name.clone()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128".to_owned()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
            ("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{}", self.name)),
            ("AWS_LAMBDA_LOG_STREAM_NAME", format!("2026/01/01/[$LATEST]{}", arn::hex(32))),
            ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand".to_owned()),
            ("_HANDLER", "bootstrap".to_owned()),
        ]
    }

    fn arn(&self) -> String {
        let region = self.env.get("AWS_REGION").map_or(REGION, String::as_str);
        arn::arn("lambda", region, &self.account, &format!("function:{}", self.name))
    }
}
