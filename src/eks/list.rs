//! Lists of objects, page by page.

use serde::{Deserialize, de::DeserializeOwned};
use tokio::time::timeout_at;

use super::api_server::ApiServer;
use crate::{
    aws::{self, calls::Calls, escape, operation::Operation},
    error::{Error, ErrorClass},
};

/// How often a list starts over whose continuation has expired.
const MAX_RESTARTS: u32 = 3;

#[derive(Deserialize)]
struct Page<T> {
    // Go writes an empty list as null.
    items: Option<Vec<T>>,
    #[serde(default)]
    metadata: PageMetadata,
}

#[derive(Default, Deserialize)]
struct PageMetadata {
    #[serde(rename = "continue")]
    next: Option<String>,
}

impl ApiServer {
    /// Reads all pages of a list, and keeps what `keep` returns of each object. The path has a query.
    pub(super) async fn list<T: DeserializeOwned, K>(
        &self,
        calls: &Calls,
        operation: Operation,
        path: &str,
        keep: impl Fn(T) -> Option<K>,
    ) -> Result<Vec<K>, Error> {
        let fails = |class, cause| Error::call(operation, &self.cluster, class, cause);
        let permits = timeout_at(calls.deadline(), self.permits_to_list()).await;
        let _permits = permits.map_err(|_| fails(ErrorClass::Unavailable, "other lists took until the deadline"))?;
        let (mut kept, mut next, mut restarts) = (Vec::new(), None::<String>, 0);
        loop {
            let page = match &next {
                None => path.to_owned(),
                Some(token) => format!("{path}&continue={}", escape(token)),
            };
            match self.get::<Page<T>>(calls, operation, page).await {
                Ok(Some(page)) => {
                    kept.extend(page.items.into_iter().flatten().filter_map(&keep));
                    next = aws::next(page.metadata.next);
                    if next.is_none() {
                        return Ok(kept);
                    }
                }
                Ok(None) => return Err(fails(ErrorClass::Rejected, "404: the API server knows no such list")),
                Err(error) if error.code() == Some("Expired") && next.is_some() && restarts < MAX_RESTARTS => {
                    (kept, next) = (Vec::new(), None);
                    restarts += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }
}
