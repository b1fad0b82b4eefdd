//! What it takes for an address to be well: the question, not the asking.

use quorate_engine::time::Span;
use quorate_engine::units::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// How an address is asked whether it is well. Ask for something that only a working backend can
/// give: a load balancer takes connections also when there is nobody behind it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Check {
    /// What is spoken.
    pub protocol: Protocol,
    /// Where.
    pub port: u16,
    /// With `http` and `https`: what is fetched; by default `/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// With `http` and `https`: the host that is asked for; by default the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// With `http` and `https`: answers that are good; by default 200 to 399.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub status: Vec<u16>,
    /// With `https`: certificates in PEM of which one must have signed the server's; by default
    /// any certificate will do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// From the beginning of a check to that of the next.
    #[serde(default = "interval")]
    pub interval: Duration,
    /// How long a check may take.
    #[serde(default = "timeout")]
    pub timeout: Duration,
    /// Failures in a row until an address is sick, and successes until it is well again.
    #[serde(default = "threshold")]
    pub threshold: u8,
}

/// What a check speaks.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// A connection that is taken, and not closed at once: HAProxy closes it when no backend is
    /// left.
    Tcp,
    /// An answer to GET over HTTP/1.1.
    Http,
    /// The same over TLS.
    Https,
}

fn interval() -> Duration {
    Duration(Span::from_secs(10))
}

fn timeout() -> Duration {
    Duration(Span::from_secs(2))
}

fn threshold() -> u8 {
    3
}

impl Check {
    /// A check with the defaults.
    #[must_use]
    pub fn new(protocol: Protocol, port: u16) -> Self {
        Self {
            protocol,
            port,
            path: None,
            host: None,
            status: Vec::new(),
            ca: None,
            interval: interval(),
            timeout: timeout(),
            threshold: threshold(),
        }
    }

    /// How long a verdict counts: three checks may be late, and one may be under way.
    #[must_use]
    pub fn fresh(&self) -> Span {
        self.interval.0.times(3) + self.timeout.0
    }

    /// Whether this status says that all is well.
    #[must_use]
    pub fn takes(&self, status: u16) -> bool {
        if self.status.is_empty() {
            return (200..400).contains(&status);
        }
        self.status.contains(&status)
    }

    /// What is wrong with it, and how to mend it.
    #[must_use]
    pub fn mistake(&self) -> Option<(&'static str, &'static str)> {
        let plain = self.protocol == Protocol::Tcp;
        let spoken = self.path.is_some() || self.host.is_some() || !self.status.is_empty();
        let path = self.path.as_deref().unwrap_or("/");
        let status = |status: &u16| !(100..600).contains(status);
        if self.port == 0 {
            return Some(("port 0 is no port", "name the port of the load balancer"));
        }
        if self.interval.0 == Span::ZERO || self.timeout.0 == Span::ZERO {
            return Some(("no time is left", "give an interval and a timeout above 0"));
        }
        if self.threshold == 0 {
            return Some(("a threshold of 0 says nothing", "write 1 or more"));
        }
        if plain && spoken {
            let fix = "take out `path`, `host` and `status`, or use `http` or `https`";
            return Some(("tcp fetches nothing", fix));
        }
        if self.ca.is_some() && self.protocol != Protocol::Https {
            return Some(("there is no certificate without TLS", "use `https`"));
        }
        let visible = |c: char| c.is_ascii_graphic();
        if !path.starts_with('/') || !path.chars().all(visible) {
            return Some(("the path is none", "write it like `/readyz`"));
        }
        if self.status.iter().any(status) {
            return Some(("no status is like this", "write numbers from 100 to 599"));
        }
        None
    }
}

/// An address and what it is asked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Target {
    /// Who is asked.
    pub address: IpAddr,
    /// What.
    pub check: Check,
}

/// As other instances name it: the question without its rhythm.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = SocketAddr::new(self.address, self.check.port);
        let path = self.check.path.as_deref().unwrap_or("/");
        match self.check.protocol {
            Protocol::Tcp => write!(f, "tcp://{at}")?,
            Protocol::Http => write!(f, "http://{at}{path}")?,
            Protocol::Https => write!(f, "https://{at}{path}")?,
        }
        match &self.check.host {
            Some(host) => write!(f, " as {host}"),
            None => Ok(()),
        }
    }
}
