//! Lists longer than one page.

use serde_json::Value;

use super::{Client, ClientError};

/// The largest page the API gives.
const PAGE: usize = 1000;

impl Client {
    /// Every entry of a list, page by page.
    pub async fn all(&self, path: &str) -> Result<Vec<Value>, ClientError> {
        let mut entries = Vec::new();
        loop {
            let skip = entries.len().to_string();
            let query = [("skip", skip.as_str()), ("limit", "1000")];
            let page = match self.get(path, &query).await? {
                Value::Array(page) => page,
                other => {
                    let body = super::error::shortened(&other.to_string());
                    return Err(ClientError::Unexpected { status: 200, body });
                }
            };
            let last = page.len() < PAGE;
            entries.extend(page);
            if last {
                return Ok(entries);
            }
        }
    }
}
