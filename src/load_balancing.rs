//! Stub.
use crate::{aws::calls::Calls, error::Error};
use aws_config::SdkConfig;
#[derive(Clone, Debug)]
pub(crate) struct LoadBalancing;
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) id: String,
    pub(crate) port: Option<u16>,
}
impl LoadBalancing {
    pub(crate) fn new(_: &SdkConfig) -> Self {
        Self
    }
    pub(crate) async fn deregister(
        &self,
        _: &Calls,
        _: &str,
        t: impl IntoIterator<Item = Target>,
    ) -> Result<(), Error> {
        for t in t {
            drop((t.id, t.port));
        }
        Ok(())
    }
}
