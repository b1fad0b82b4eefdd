//! What every cloud over HTTP shares: one client, JSON both ways, the token kept out of sight, pages
//! read to the end, and the one taxonomy of faults.
//!
//! What differs between vendors is a [`Dialect`]: how a refusal and a next page look, and what a
//! code means. Knows no vendor, and neither retries nor sleeps.

mod fault;
mod rate;
#[cfg(test)]
mod tests;

pub use fault::{Meaning, Told};
pub use rate::Rate;

use crate::{Problem, Secret};
use fault::Stage;
use quorate_engine::seam::{Fault, FaultClass};
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Response, Url};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt;
use std::net::Ipv4Addr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Names and values of a query.
pub type Query = Vec<(String, String)>;

/// More pages than any listing of one cluster has: an API that never comes to an end is stopped.
const PAGES_MAX: usize = 1_000;

/// How one vendor speaks, as far as it differs from the others.
#[derive(Clone, Copy)]
pub struct Dialect {
    /// For people: `Hetzner Cloud`.
    pub vendor: &'static str,
    /// How the user gives a token that is accepted.
    pub token_fix: &'static str,
    /// Code and message of a refusal, from its body.
    pub refusal: fn(&Value) -> Option<Told>,
    /// What a code means; none: the status decides.
    pub meaning: fn(&str) -> Option<Meaning>,
    /// What to ask for the next page, from the body of this one; none at the last. Names that
    /// stand in the query already take the new value.
    pub next_page: fn(&Value) -> Option<Query>,
}

/// How long an answer may take. The engine's deadline stands above it. Connecting must be given less
/// time than the whole: only so is it known that nothing was sent.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Until connected, name resolution and TLS included.
    pub connect: Duration,
    /// From the beginning to the last byte of the answer.
    pub whole: Duration,
}

impl Default for Patience {
    /// 10 s to connect, 40 s in all: within the engine's deadline for a reading call (60 s), so
    /// that the cause of a time-out is still known.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            whole: Duration::from_secs(40),
        }
    }
}

/// One vendor's API at one address, with one token.
pub struct Api {
    client: Client,
    base: String,
    token: Secret,
    dialect: Dialect,
    rate: Mutex<Option<Rate>>,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Api({} at {})", self.dialect.vendor, self.base)
    }
}

impl Api {
    /// Makes a client; nothing is sent yet.
    ///
    /// # Errors
    /// An address that is none or would carry the token in clear over a network, a token that is
    /// no header, a machine without root certificates.
    pub fn new(
        endpoint: &str,
        token: Secret,
        dialect: Dialect,
        patience: Patience,
    ) -> Result<Self, Problem> {
        let base = endpoint.trim_end_matches('/').to_owned();
        let url = check_endpoint(&base)?;
        let mut headers = HeaderMap::new();
        let bearer = HeaderValue::from_str(&format!("Bearer {}", token.reveal()));
        let mut bearer = bearer.map_err(|_| Problem {
            what: format!(
                "the token for {} has characters no token has",
                dialect.vendor
            ),
            fix: dialect.token_fix.to_owned(),
        })?;
        bearer.set_sensitive(true);
        headers.insert(AUTHORIZATION, bearer);
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        // Somebody else in this process may have chosen first: then that choice stands.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = match is_here(&url) {
            // A proxy would be told the token in clear, and leads away from here.
            true => Client::builder().no_proxy(),
            false => Client::builder(),
        };
        let client = builder
            .user_agent(concat!("quorate/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            // A redirect would take the token, or a body with keys in it, elsewhere.
            .redirect(Policy::none())
            .connect_timeout(patience.connect)
            .timeout(patience.whole)
            .build()
            .map_err(|error| Problem {
                what: format!("no TLS client can be made: {}", fault::causes(&error)),
                fix: "install the system's root certificates (package ca-certificates)".to_owned(),
            })?;
        Ok(Self {
            client,
            base,
            token,
            dialect,
            rate: Mutex::new(None),
        })
    }

    /// What the last answer said of the rate limit.
    pub fn rate(&self) -> Option<Rate> {
        *self.rate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads one thing.
    ///
    /// # Errors
    /// Every class but unknown.
    pub async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, Fault> {
        let query = owned(query);
        self.send(Method::GET, path, &query, None).await
    }

    /// Reads a listing to its end: `field` of every page.
    ///
    /// # Errors
    /// Every class but unknown; invalid where the listing never ends or does not read.
    pub async fn list<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
        field: &str,
    ) -> Result<Vec<T>, Fault> {
        let (mut all, mut query) = (Vec::new(), owned(query));
        let mut asked = BTreeSet::from([query.clone()]);
        loop {
            let mut page = self.send(Method::GET, path, &query, None).await?;
            let next = (self.dialect.next_page)(&page);
            let Value::Array(items) = page[field].take() else {
                let said = format!("GET {path} answers without `{field}`");
                return Err(Fault::new(FaultClass::Invalid, self.unread(&said)));
            };
            for item in items {
                let read = serde_json::from_value(item);
                let said = |error| format!("`{field}` of GET {path}: {error}");
                all.push(read.map_err(|e| Fault::new(FaultClass::Invalid, self.unread(&said(e))))?);
            }
            let Some(next) = next else { return Ok(all) };
            query.retain(|(name, _)| next.iter().all(|(new, _)| new != name));
            query.extend(next);
            if asked.len() >= PAGES_MAX || !asked.insert(query.clone()) {
                let said = format!("GET {path} never comes to a last page");
                return Err(Fault::new(FaultClass::Invalid, self.unread(&said)));
            }
        }
    }

    /// Changes something.
    ///
    /// # Errors
    /// Every class; unknown where it may have been done.
    pub async fn change(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Fault> {
        assert_ne!(method, Method::GET, "reading changes nothing");
        self.send(method, path, &Vec::new(), body).await
    }

    /// The fault of a code that came with a good status, as in an action that failed.
    #[must_use]
    pub fn told(&self, told: &Told, about: &str) -> Fault {
        let meaning = (self.dialect.meaning)(&told.code);
        // Whatever failed later failed after its request was accepted.
        let class = meaning.map_or(FaultClass::Unknown, |meaning| meaning.class(true));
        Fault::new(class, self.seemly(&format!("{about}: {told}")))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        query: &Query,
        body: Option<&Value>,
    ) -> Result<Value, Fault> {
        let mutates = method != Method::GET;
        let what = format!("{method} {path}");
        let mut url = Url::parse(&format!("{}{path}", self.base)).expect("a checked address");
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut request = self.client.request(method, url);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request
            .send()
            .await
            .map_err(|error| self.lost(&what, mutates, error))?;
        self.note(response.headers());
        if response.status().is_success() {
            self.body(&what, mutates, response).await
        } else {
            Err(self.refused(&what, mutates, response).await)
        }
    }

    async fn body(&self, what: &str, mutates: bool, response: Response) -> Result<Value, Fault> {
        let bytes = response
            .bytes()
            .await
            .map_err(|error| self.lost(what, mutates, error))?;
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&bytes).map_err(|error| {
            let said = format!("{what} answers no JSON ({error}); is the endpoint right?");
            Fault::new(Stage::Sent.class(mutates), self.unread(&said))
        })
    }

    async fn refused(&self, what: &str, mutates: bool, response: Response) -> Fault {
        let status = response.status().as_u16();
        let retry_after = rate::retry_after(response.headers().get(RETRY_AFTER));
        // A refusal whose body does not come is a refusal all the same.
        let body = response.bytes().await.unwrap_or_default();
        let told = serde_json::from_slice(&body)
            .ok()
            .and_then(|body| (self.dialect.refusal)(&body));
        let meaning = told
            .as_ref()
            .and_then(|told| (self.dialect.meaning)(&told.code));
        let meaning = meaning.unwrap_or_else(|| Meaning::of_status(status));
        let mut detail = format!("{} answers {status} to {what}", self.dialect.vendor);
        if let Some(told) = &told {
            detail.push_str(&format!(": {told}"));
        }
        let class = meaning.class(mutates);
        if class == FaultClass::Auth {
            detail.push_str(&format!("; {}", self.dialect.token_fix));
        }
        if let Some(fix) = meaning.fix() {
            detail.push_str(&format!("; {fix}"));
        }
        let mut fault = Fault::new(class, self.seemly(&detail));
        if class == FaultClass::Retryable {
            let throttled = meaning == Meaning::Throttled;
            let earned = throttled.then(|| self.rate().map(Rate::earns)).flatten();
            fault.after = retry_after.or(earned);
        }
        fault
    }

    /// No answer, or not all of it.
    fn lost(&self, what: &str, mutates: bool, error: reqwest::Error) -> Fault {
        let stage = Stage::of(&error);
        let causes = fault::causes(&error.without_url());
        let detail = format!("{what} at {}: {causes}", self.base);
        Fault::new(stage.class(mutates), self.seemly(&detail))
    }

    fn note(&self, headers: &HeaderMap) {
        if let Some(rate) = Rate::read(headers) {
            *self.rate.lock().unwrap_or_else(PoisonError::into_inner) = Some(rate);
        }
    }

    fn unread(&self, said: &str) -> String {
        self.seemly(&format!("{}: {said}", self.dialect.vendor))
    }

    /// Text that may be shown: whatever the other side echoes, the token and private keys go no
    /// further than here.
    fn seemly(&self, text: &str) -> String {
        if text.contains("PRIVATE KEY") {
            return format!(
                "{}: an answer that echoes a private key",
                self.dialect.vendor
            );
        }
        let token = self.token.reveal();
        if token.is_empty() {
            return text.to_owned();
        }
        text.replace(token, "(token)")
    }
}

fn owned(query: &[(&str, &str)]) -> Query {
    let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    query.iter().map(pair).collect()
}

/// Whether an address leads to this machine.
fn is_here(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.parse::<Ipv4Addr>();
    host == "localhost" || host == "[::1]" || address.is_ok_and(|it| it.is_loopback())
}

/// An address, over TLS unless it leads to this machine.
fn check_endpoint(base: &str) -> Result<Url, Problem> {
    let url = Url::parse(base).ok().filter(|url| url.host().is_some());
    let wrong = |why: &str| Problem {
        what: format!("the endpoint `{base}` {why}"),
        fix: "give one like `https://host/path`; `http` only for this machine".to_owned(),
    };
    let url = url.ok_or_else(|| wrong("is no address"))?;
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_here(&url) => Ok(url),
        "http" => Err(wrong("would carry the token in clear over a network")),
        _ => Err(wrong("is neither https nor http")),
    }
}
