//! The API from a terminal: requests with a token, answers or typed errors.

mod error;
mod pages;

use std::io::Write;
use std::net::IpAddr;
use std::time::Duration;

use reqwest::{Method, Url};
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use error::ClientError;

use crate::config::{Secret, Server};
use crate::data_dir;

/// How long a long answer may take.
const LONG: Duration = Duration::from_secs(3_600);

/// A server and the token to use there.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    token: Option<Secret>,
}

impl Client {
    /// The client that the options ask for; nothing is sent yet.
    pub fn new(server: &Server) -> Result<Client, ClientError> {
        let wrong = |reason: &str| ClientError::BadUrl {
            url: server.url.clone(),
            reason: reason.to_owned(),
        };
        let mut base = Url::parse(&server.url).map_err(|error| wrong(&error.to_string()))?;
        if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
            return Err(wrong("give http://HOST:PORT or https://HOST"));
        }
        // A base without the last slash would lose its last segment when paths are joined to it.
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let mut http = reqwest::Client::builder()
            .user_agent(concat!("neena/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(5))
            .timeout(Duration::from_secs(60))
            .redirect(reqwest::redirect::Policy::none());
        if is_this_machine(&base) {
            http = http.no_proxy();
        }
        let http = http.build().map_err(|error| wrong(&error.to_string()))?;
        let token = server
            .token
            .clone()
            .or_else(|| data_dir::token_of(&server.data.data_dir));
        Ok(Client { http, base, token })
    }

    /// Reads; `path` is relative to `/api/v1/`.
    pub async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, ClientError> {
        self.call(Method::GET, path, query, None).await
    }

    /// Makes something.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, ClientError> {
        self.call(Method::POST, path, &[], Some(body)).await
    }

    /// Changes something.
    pub async fn put(
        &self,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Value, ClientError> {
        self.call(Method::PUT, path, query, body).await
    }

    /// Copies a long answer as it arrives.
    pub async fn copy(
        &self,
        path: &str,
        query: &[(&str, &str)],
        out: &mut impl Write,
    ) -> anyhow::Result<()> {
        let mut request = self.http.get(self.url(path, query)?).timeout(LONG);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose());
        }
        let unreachable = |error: reqwest::Error| ClientError::unreachable(&self.base, &error);
        let mut response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        if !status.is_success() {
            let text = response.text().await.map_err(unreachable)?;
            let signed = self.token.is_some();
            return Err(ClientError::answered(status.as_u16(), &text, signed).into());
        }
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            out.write_all(&chunk)?;
        }
        Ok(out.flush()?)
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Value, ClientError> {
        let url = self.url(path, query)?;
        let mut request = self.http.request(method, url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose());
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let unreachable = |error: reqwest::Error| ClientError::unreachable(&self.base, &error);
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let text = response.text().await.map_err(unreachable)?;
        if status.is_success() {
            return serde_json::from_str(&text).map_err(|_| ClientError::Unexpected {
                status: status.as_u16(),
                body: error::shortened(&text),
            });
        }
        Err(ClientError::answered(
            status.as_u16(),
            &text,
            self.token.is_some(),
        ))
    }

    fn url(&self, path: &str, query: &[(&str, &str)]) -> Result<Url, ClientError> {
        let mut url =
            self.base
                .join(&format!("api/v1/{path}"))
                .map_err(|error| ClientError::BadUrl {
                    url: self.base.to_string(),
                    reason: error.to_string(),
                })?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(url)
    }
}

/// What the commands read of an answer.
pub fn read<T: DeserializeOwned>(answer: &Value) -> Result<T, ClientError> {
    T::deserialize(answer).map_err(|error| ClientError::Unexpected {
        status: 200,
        body: error.to_string(),
    })
}

/// Whether the server is this very machine: then no proxy stands in between.
fn is_this_machine(base: &Url) -> bool {
    let Some(host) = base.host_str() else {
        return false;
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
