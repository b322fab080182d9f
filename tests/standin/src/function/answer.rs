//! The results of an invocation.

use std::fmt;
use std::time::Duration;

use serde_json::Value;

/// The answer of a function.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Its response.
    Ok(Value),
    /// The error it reported.
    Err {
        /// `errorType`.
        error_type: String,
        /// `errorMessage`.
        error_message: String,
        /// The whole report.
        body: Value,
    },
}

impl Answer {
    pub(super) fn response(body: &[u8]) -> Self {
        Self::Ok(read(body))
    }

    pub(super) fn error(body: &[u8]) -> Self {
        let body = read(body);
        let field = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        Self::Err { error_type: field("errorType"), error_message: field("errorMessage"), body }
    }

    /// Whether the function answered with success.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        matches!(self, Self::Ok(_))
    }

    /// The JSON of the response or of the error.
    #[must_use]
    pub fn json(&self) -> &Value {
        match self {
            Self::Ok(body) | Self::Err { body, .. } => body,
        }
    }

    /// The error's type, if it is one.
    #[must_use]
    pub fn error_type(&self) -> Option<&str> {
        match self {
            Self::Ok(_) => None,
            Self::Err { error_type, .. } => Some(error_type),
        }
    }
}

/// The body as JSON, or as a string if it is not JSON.
fn read(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or_else(|_| String::from_utf8_lossy(body).into_owned().into())
}

/// The reason why there is no answer. The display form ends with the function's log.
#[derive(Clone, Debug, PartialEq)]
pub enum FunctionError {
    /// The process reported that it cannot start.
    Init {
        /// What it reported.
        answer: Answer,
        /// What it had written.
        log: Vec<String>,
    },
    /// The process did not ask for its first event in time.
    InitTimedOut {
        /// How long it had.
        after: Duration,
        /// What it had written.
        log: Vec<String>,
    },
    /// The process ended: before it was ready, or during an invocation (`Runtime.ExitError`).
    Exited {
        /// Its exit status in words.
        status: String,
        /// What it had written.
        log: Vec<String>,
    },
    /// The invocation took too long and the process was killed (`Sandbox.Timedout`).
    TimedOut {
        /// How long it had.
        after: Duration,
        /// What it had written.
        log: Vec<String>,
    },
}

impl FunctionError {
    /// The error's type as Lambda names it.
    #[must_use]
    pub fn error_type(&self) -> &'static str {
        match self {
            Self::Init { .. } => "Runtime.InitError",
            Self::Exited { .. } => "Runtime.ExitError",
            Self::InitTimedOut { .. } | Self::TimedOut { .. } => "Sandbox.Timedout",
        }
    }

    /// What the process had written, by line.
    #[must_use]
    pub fn log(&self) -> &[String] {
        match self {
            Self::Init { log, .. }
            | Self::InitTimedOut { log, .. }
            | Self::Exited { log, .. }
            | Self::TimedOut { log, .. } => log,
        }
    }
}

impl fmt::Display for FunctionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Init { answer, .. } => write!(f, "the function cannot start: {}", answer.json())?,
            Self::InitTimedOut { after, .. } => write!(f, "not ready after {:.2} seconds", after.as_secs_f64())?,
            Self::Exited { status, .. } => write!(f, "Runtime.ExitError: the process ended with {status}")?,
            Self::TimedOut { after, .. } => {
                write!(f, "Sandbox.Timedout: task timed out after {:.2} seconds", after.as_secs_f64())?;
            }
        }
        self.log().iter().try_for_each(|line| write!(f, "\n  {line}"))
    }
}

impl std::error::Error for FunctionError {}
