//! etcd's JSON gateway: the same requests as over gRPC, `POST` with JSON, numbers of 64 bits as
//! text. The paths are those of etcd 3.4 and newer
//! (<https://etcd.io/docs/v3.6/dev-guide/api_grpc_gateway/>).
//!
//! Knows the words of one member; not what they mean for the cluster.

use crate::access::Credentials;
use quorate_engine::resource::ResourceId;
use quorate_engine::seam::{Fault, FaultClass};
use quorate_hosts::Tunnel;
use serde::de::{DeserializeOwned, Deserializer};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

/// etcd decides within its own 7 s (5 s and two elections, `server/config`'s `ReqTimeout`).
const CHANGE: Duration = Duration::from_secs(12);

/// The gateway of one member, through a tunnel.
pub(crate) struct Gateway {
    client: reqwest::Client,
    /// The member's own address stands in its certificate.
    to: SocketAddrV4,
    via: ResourceId,
    /// It is open while somebody has it.
    _tunnel: Arc<Tunnel>,
}

/// Why there is no good answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// etcd refused: gRPC's code, and its words.
    Said { code: i64, words: String },
    /// It was not asked.
    NotAsked(String),
    /// It was asked, and there is no answer.
    NoAnswer(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Said { words, .. } => f.write_str(words),
            Self::NotAsked(why) | Self::NoAnswer(why) => write!(f, "etcd does not answer: {why}"),
        }
    }
}

impl Refusal {
    /// What to do about it. `mutates`: whether somebody has to look what became of it.
    pub(crate) fn fault(&self, mutates: bool) -> Fault {
        let unsure = if mutates {
            FaultClass::Unknown
        } else {
            FaultClass::Retryable
        };
        let class = match self {
            Self::NotAsked(_) => FaultClass::Retryable,
            Self::NoAnswer(_) => unsure,
            Self::Said { code, words } => class(*code, words).unwrap_or(unsure),
        };
        Fault::new(class, self.to_string())
    }

    /// Whether etcd knows no such member.
    pub(crate) fn is_absent(&self) -> bool {
        matches!(self, Self::Said { code: 5, .. })
    }
}

/// gRPC's codes (<https://grpc.io/docs/guides/status-codes/>), and etcd's own words where one code
/// means several things (`api/v3rpc/rpctypes/error.go`). None: nobody knows whether it was done.
fn class(code: i64, words: &str) -> Option<FaultClass> {
    let says = |text: &str| words.contains(text);
    if says("in sync with leader") {
        return Some(FaultClass::Busy);
    }
    if says("unhealthy cluster") || says("not enough started members") {
        return Some(FaultClass::Refused);
    }
    if says("no leader") || says("not capable") {
        return Some(FaultClass::Retryable);
    }
    match code {
        3 => Some(FaultClass::Invalid),
        5 => Some(FaultClass::NotFound),
        6 => Some(FaultClass::Exists),
        7 | 16 => Some(FaultClass::Auth),
        8 => Some(FaultClass::Retryable),
        9 => Some(FaultClass::Refused),
        _ => None,
    }
}

/// A number of 64 bits: text in JSON, and absent where it is 0.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(serde::de::Error::custom)
}

/// A member, as etcd lists it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Member {
    #[serde(rename = "ID", deserialize_with = "number")]
    pub(crate) id: u64,
    /// Empty: it was never started.
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default, rename = "peerURLs")]
    pub(crate) peers: Vec<String>,
    #[serde(default, rename = "clientURLs")]
    pub(crate) clients: Vec<String>,
    #[serde(default, rename = "isLearner")]
    pub(crate) learner: bool,
}

impl Member {
    /// Where clients reach it: its mesh address.
    pub(crate) fn client(&self) -> Option<SocketAddrV4> {
        self.clients.iter().find_map(|url| address(url))
    }

    /// Where its peers reach it: its mesh address.
    pub(crate) fn peer(&self) -> Option<Ipv4Addr> {
        self.peers.iter().find_map(|url| Some(*address(url)?.ip()))
    }
}

/// The address of `https://10.88.0.1:2379`.
fn address(url: &str) -> Option<SocketAddrV4> {
    url.split_once("://")?.1.trim_end_matches('/').parse().ok()
}

/// What a member says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Status {
    pub(crate) header: Header,
    /// 0: it knows none.
    #[serde(default, deserialize_with = "number")]
    pub(crate) leader: u64,
    #[serde(default, rename = "raftIndex", deserialize_with = "number")]
    pub(crate) index: u64,
    #[serde(default)]
    pub(crate) errors: Vec<String>,
    #[serde(default, rename = "isLearner")]
    pub(crate) learner: bool,
    #[serde(default)]
    pub(crate) version: String,
}

/// Stands in every answer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Header {
    #[serde(deserialize_with = "number")]
    pub(crate) member_id: u64,
    #[serde(default, deserialize_with = "number")]
    pub(crate) revision: u64,
}

#[derive(Deserialize)]
struct Members {
    #[serde(default)]
    members: Vec<Member>,
}

#[derive(Deserialize)]
struct Trouble {
    #[serde(default)]
    code: i64,
    #[serde(default)]
    message: String,
    #[serde(default)]
    error: String,
}

impl Gateway {
    pub(crate) fn new(
        tunnel: Arc<Tunnel>,
        to: SocketAddrV4,
        via: &ResourceId,
        credentials: &Credentials,
    ) -> Result<Self, Fault> {
        // What the parser has to say could quote a key.
        let unreadable = |_| {
            let what = format!("{via}: its etcd client certificate is unreadable");
            Fault::new(FaultClass::Invalid, what)
        };
        let ca = reqwest::Certificate::from_pem_bundle(&credentials.etcd_ca).map_err(unreadable)?;
        let identity =
            reqwest::Identity::from_pem(&credentials.etcd_identity).map_err(unreadable)?;
        let client = reqwest::Client::builder()
            .unix_socket(tunnel.socket())
            .no_proxy()
            .tls_certs_only(ca)
            .identity(identity)
            .http1_only()
            .connect_timeout(Duration::from_secs(5))
            .build()
            .map_err(unreadable)?;
        Ok(Self {
            client,
            to,
            via: via.clone(),
            _tunnel: tunnel,
        })
    }

    /// All members, as a majority knows them where etcd can say so (3.5 and newer; older ones
    /// ignore the wish).
    pub(crate) async fn members(&self, limit: Duration) -> Result<Vec<Member>, Refusal> {
        let wish = json!({"linearizable": true});
        let answer: Members = self.post("cluster/member/list", &wish, limit).await?;
        Ok(answer.members)
    }

    pub(crate) async fn status(&self, limit: Duration) -> Result<Status, Refusal> {
        self.post("maintenance/status", &json!({}), limit).await
    }

    pub(crate) async fn promote(&self, member: u64) -> Result<(), Refusal> {
        self.change("cluster/member/promote", json!({"ID": member.to_string()}))
            .await
    }

    pub(crate) async fn remove(&self, member: u64) -> Result<(), Refusal> {
        self.change("cluster/member/remove", json!({"ID": member.to_string()}))
            .await
    }

    /// Only the leader does it.
    pub(crate) async fn transfer(&self, to: u64) -> Result<(), Refusal> {
        let body = json!({"targetID": to.to_string()});
        self.change("maintenance/transfer-leadership", body).await
    }

    async fn change(&self, path: &str, body: Value) -> Result<(), Refusal> {
        self.post::<Value>(path, &body, CHANGE).await.map(drop)
    }

    /// A path that is answered with text.
    pub(crate) async fn text(&self, path: &str, limit: Duration) -> Result<String, Refusal> {
        let url = format!("https://{}/{path}", self.to);
        let answer = self.client.get(url).timeout(limit).send().await;
        let answer = answer.map_err(|error| self.broken(&error))?;
        answer.text().await.map_err(|error| self.broken(&error))
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &Value,
        limit: Duration,
    ) -> Result<T, Refusal> {
        let answer = self.open(path, body, limit).await?;
        let bytes = answer.bytes().await.map_err(|error| self.broken(&error))?;
        serde_json::from_slice(&bytes)
            .map_err(|error| Refusal::NoAnswer(format!("{}: {error}", self.to)))
    }

    /// An answer that is good, and still to be read.
    pub(super) async fn open(
        &self,
        path: &str,
        body: &Value,
        limit: Duration,
    ) -> Result<reqwest::Response, Refusal> {
        let url = format!("https://{}/v3/{path}", self.to);
        let asked = self.client.post(url).json(body).timeout(limit).send();
        let answer = asked.await.map_err(|error| self.broken(&error))?;
        let http = answer.status();
        if http.is_success() {
            return Ok(answer);
        }
        let text = answer.text().await.map_err(|error| self.broken(&error))?;
        let trouble: Option<Trouble> = serde_json::from_str(&text).ok();
        let trouble = trouble.unwrap_or(Trouble {
            code: 2,
            message: String::new(),
            error: format!("{}: HTTP {http}", self.to),
        });
        let words = [trouble.message, trouble.error];
        let words = words.into_iter().find(|words| !words.is_empty());
        Err(Refusal::Said {
            code: trouble.code,
            words: words.unwrap_or_else(|| format!("{}: HTTP {http}", self.to)),
        })
    }

    pub(super) fn broken(&self, error: &reqwest::Error) -> Refusal {
        let mut why: &dyn std::error::Error = error;
        while let Some(source) = why.source() {
            why = source;
        }
        let text = format!("{} by way of {}: {why}", self.to, self.via);
        if error.is_connect() {
            Refusal::NotAsked(text)
        } else {
            Refusal::NoAnswer(text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_read_as_etcd_writes_them() {
        let text = r#"{"header":{"cluster_id":"4","member_id":"17","raft_term":"2"},"members":[
            {"ID":"1456013218028169","peerURLs":["https://10.88.0.2:2380"],"isLearner":true},
            {"ID":"17174312720584679057","name":"shop-cp-1","peerURLs":["https://10.88.0.1:2380"],
             "clientURLs":["https://10.88.0.1:2379"]}]}"#;
        let members = serde_json::from_str::<Members>(text).unwrap().members;
        assert_eq!(members[0].id, 1_456_013_218_028_169);
        assert!(members[0].learner && members[0].name.is_empty());
        assert_eq!(members[0].client(), None);
        assert_eq!(members[0].peer(), Some(Ipv4Addr::new(10, 88, 0, 2)));
        assert_eq!(members[1].client(), "10.88.0.1:2379".parse().ok());
    }

    #[test]
    fn a_status_without_a_leader_says_so() {
        let text = r#"{"header":{"cluster_id":"4","member_id":"17","raft_term":"2"},
            "version":"3.4.23","raftIndex":"4","errors":["etcdserver: no leader"]}"#;
        let status: Status = serde_json::from_str(text).unwrap();
        assert_eq!((status.leader, status.index), (0, 4));
        assert_eq!(status.errors.len(), 1);
    }

    #[test]
    fn words_of_etcd_have_a_class() {
        use FaultClass::{Auth, Busy, Invalid, NotFound, Refused, Retryable, Unknown};
        for (code, words, class) in [
            (14, "etcdserver: unhealthy cluster", Refused),
            (
                9,
                "etcdserver: re-configuration failed due to not enough started members",
                Refused,
            ),
            (
                9,
                "etcdserver: too many learner members in cluster",
                Refused,
            ),
            (9, "etcdserver: not leader", Refused),
            (9, "etcdserver: bad leader transferee", Refused),
            (
                9,
                "etcdserver: can only promote a learner member which is in sync with leader",
                Busy,
            ),
            (5, "etcdserver: member not found", NotFound),
            (14, "etcdserver: no leader", Retryable),
            (14, "etcdserver: request timed out", Unknown),
            (14, "etcdserver: leader changed", Unknown),
            (7, "etcdserver: permission denied", Auth),
            (3, "etcdserver: given member URLs are invalid", Invalid),
        ] {
            let words = words.to_owned();
            let fault = Refusal::Said { code, words }.fault(true);
            assert_eq!(fault.class, class, "{fault}");
        }
    }

    #[test]
    fn what_was_never_asked_may_be_asked_again() {
        let class = |refusal: &Refusal, mutates| refusal.fault(mutates).class;
        let never = Refusal::NotAsked("refused".to_owned());
        assert_eq!(class(&never, true), FaultClass::Retryable);
        let lost = Refusal::NoAnswer("closed".to_owned());
        assert_eq!(class(&lost, true), FaultClass::Unknown);
        assert_eq!(class(&lost, false), FaultClass::Retryable);
    }
}
