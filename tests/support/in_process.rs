//! The function in this process, with clients that reach the stand-in without sockets, so that time can be paused and
//! two minutes pass in an instant.

use std::sync::Arc;

use aws_smithy_runtime_api::client::http::SharedHttpConnector;
use lambda_runtime::{Context, LambdaEvent};
use serde_json::Value;
use spot_interruption_handler::{
    config::Config,
    error::Error,
    handle,
    scope::{Connect, Scopes},
    warm_up,
};
use standin::Standin;

#[path = "direct.rs"]
mod direct;

use direct::{Direct, loader};

/// A process of the function, with the state that it keeps from one event to the next.
pub(crate) struct Process {
    scopes: Scopes,
    config: Config,
}

impl Process {
    /// Starts a process with these environment variables, as `main` does.
    pub(crate) async fn start(standin: &Arc<Standin>, settings: &[(&str, &str)]) -> Self {
        let variable = |name: &str| settings.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        let config = Config::read(variable).unwrap_or_else(|error| unreachable!("{error}"));
        let direct = Direct(Arc::clone(standin));
        let connect = Connect::new(move |_| Ok(SharedHttpConnector::new(direct.clone())));
        let scopes = Scopes::load(loader(standin), connect).await;
        warm_up(&scopes, &config).await;
        Self { scopes, config }
    }

    /// Sends it an event, and returns its answer. The invocation has no timeout; only the notice limits it.
    pub(crate) async fn invoke(&self, event: &Value) -> Result<Value, Error> {
        self.invoke_in(event, Context::default()).await
    }

    /// Like [`Process::invoke`], with Lambda's data on the invocation.
    pub(crate) async fn invoke_in(&self, event: &Value, context: Context) -> Result<Value, Error> {
        let payload = serde_json::from_value(event.clone()).unwrap_or_else(|error| unreachable!("{error}"));
        let answer = handle(&self.scopes, &self.config, LambdaEvent::new(payload, context)).await?;
        Ok(serde_json::to_value(answer).unwrap_or_default())
    }
}
