//! Lists of objects, page by page.

use serde::{Deserialize, de::DeserializeOwned};

use super::{api_server::ApiServer, connection::escape};
use crate::{
    aws::{self, calls::Calls, operation::Operation},
    error::Error,
};

/// The most objects on a page, as for kubectl.
const PAGE: usize = 500;

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
    /// Reads all pages of a list; the path ends with its query. A list whose token has expired starts over.
    pub(super) async fn list<T: DeserializeOwned>(
        &self,
        calls: &Calls,
        operation: Operation,
        path: &str,
    ) -> Result<Vec<T>, Error> {
        let mut items = Vec::new();
        let mut next: Option<String> = None;
        loop {
            let page = match &next {
                None => format!("{path}limit={PAGE}"),
                Some(token) => format!("{path}limit={PAGE}&continue={}", escape(token)),
            };
            let page: Option<Page<T>> = match self.get(calls, operation, page).await {
                Err(error) if next.is_some() && error.code() == Some("Expired") => {
                    (items, next) = (Vec::new(), None);
                    continue;
                }
                page => page?,
            };
            let Some(page) = page else { return Ok(items) };
            items.extend(page.items.into_iter().flatten());
            next = aws::next(page.metadata.next);
            if next.is_none() {
                return Ok(items);
            }
        }
    }
}
