//! Requests and looks at a real cluster: its API through entry points, its members through ssh.
//!
//! Everything of ours in the cluster is one namespace, made at the beginning and deleted at the end.

use crate::api::{Admin, Ask, connect, exchange, tls};
use crate::clients::{Asker, Kind, Population};
use crate::eyes::{Eyes, Status};
use quorate_engine::resource::ResourceId;
use quorate_hosts::{Hosts, Job, Runner, Ssh, Tunnel};
use quorate_sim::traffic::Cause;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::sync::Mutex;

/// The namespace of drills.
pub const NAMESPACE: &str = "quorate-drill";

/// Writes go to so many objects in turn, so that few of them meet.
const OBJECTS: u64 = 16;

/// How long a request of our own, outside any measurement, may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// A member that does not answer in this time is one that does not answer.
const LOOK: Duration = Duration::from_millis(400);

/// A new way through ssh to a member may take so long; meanwhile nothing is seen of it.
const REACH: Duration = Duration::from_secs(5);

/// A cluster's API as clients and we ourselves ask it.
pub struct Api {
    admin: Admin,
    /// Every address at which an API server may answer.
    entries: Vec<SocketAddr>,
    /// Tells this drill's writes from others'.
    key: String,
    /// Acknowledged writes: object and number.
    acknowledged: std::sync::Mutex<BTreeSet<(u64, String)>>,
    /// The entry point that answered us last.
    first: AtomicUsize,
}

impl Api {
    /// Through these entry points. `key` names the drill: letters and digits.
    #[must_use]
    pub fn new(admin: Admin, entries: Vec<SocketAddr>, key: String) -> Self {
        Self {
            admin,
            entries,
            key,
            acknowledged: std::sync::Mutex::default(),
            first: AtomicUsize::new(0),
        }
    }

    async fn once(&self, ask: &Ask<'_>) -> Result<(u16, Vec<u8>), String> {
        let mut entries = self.entries.clone();
        let first = self.first.load(Ordering::Relaxed) % entries.len().max(1);
        entries.rotate_left(first);
        let asked = self.admin.ask(&entries, Duration::from_secs(1), ask);
        let what = || format!("{} {}", ask.method, ask.path);
        let ended = tokio::time::timeout(PATIENCE, asked).await;
        if !matches!(ended, Ok(Ok((0..=499, _)))) {
            // One that takes connections and leads nowhere must not be asked again at once.
            self.first.fetch_add(1, Ordering::Relaxed);
        }
        match ended {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(cause)) => Err(format!("{}: {}", what(), cause.name())),
            Err(_) => Err(format!("{}: no answer within {PATIENCE:?}", what())),
        }
    }

    async fn post(&self, path: &str, body: String) -> Result<(), String> {
        let ask = Ask {
            method: "POST",
            path,
            body: Some(("application/json", body)),
        };
        match self.once(&ask).await? {
            (200..=299 | 409, _) => Ok(()),
            (status, body) => Err(refused(&ask, status, &body)),
        }
    }

    /// Makes the namespace and what requests read and change.
    ///
    /// # Errors
    /// What the API said.
    pub async fn prepare(&self) -> Result<(), String> {
        let body = format!(r#"{{"metadata":{{"name":"{NAMESPACE}"}}}}"#);
        self.post("/api/v1/namespaces", body).await?;
        for object in 0..OBJECTS {
            let path = format!("/api/v1/namespaces/{NAMESPACE}/configmaps");
            let name = self.name(object);
            self.post(&path, format!(r#"{{"metadata":{{"name":"{name}"}}}}"#))
                .await?;
        }
        Ok(())
    }

    /// Deletes the namespace; one that is not there is fine.
    ///
    /// # Errors
    /// What the API said.
    pub async fn clean(&self) -> Result<(), String> {
        let path = format!("/api/v1/namespaces/{NAMESPACE}");
        let ask = Ask {
            method: "DELETE",
            path: &path,
            body: None,
        };
        match self.once(&ask).await? {
            (200..=299 | 404 | 409, _) => Ok(()),
            (status, body) => Err(refused(&ask, status, &body)),
        }
    }

    /// How many acknowledged writes are not there any more; none if that cannot be read, or there
    /// were none.
    pub async fn lost(&self) -> Option<u64> {
        let acknowledged = self.acknowledged.lock();
        let acknowledged = acknowledged.unwrap_or_else(PoisonError::into_inner).clone();
        if acknowledged.is_empty() {
            return None;
        }
        let mut there = BTreeSet::new();
        for object in 0..OBJECTS {
            for key in self.written(object).await? {
                there.insert((object, key));
            }
        }
        Some(acknowledged.difference(&there).count() as u64)
    }

    async fn written(&self, object: u64) -> Option<Vec<String>> {
        let path = self.path(object);
        let ask = Ask {
            method: "GET",
            path: &path,
            body: None,
        };
        // After a fault some answers may still fail.
        for _ in 0..10 {
            match self.once(&ask).await {
                Ok((200, body)) => {
                    let value: serde_json::Value = serde_json::from_slice(&body).ok()?;
                    let data = value["data"].as_object();
                    return Some(data.map_or(Vec::new(), |data| data.keys().cloned().collect()));
                }
                Ok((404, _)) => return Some(Vec::new()),
                Ok(_) | Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
            }
        }
        None
    }

    fn name(&self, object: u64) -> String {
        format!("w-{}-{object}", self.key)
    }

    fn path(&self, object: u64) -> String {
        let name = self.name(object);
        format!("/api/v1/namespaces/{NAMESPACE}/configmaps/{name}")
    }

    async fn write(&self, clients: &Population, number: u64, order: &[SocketAddr]) -> Outcome {
        let object = number % OBJECTS;
        // Populations count each for themselves.
        let mut key: String = clients.name.clone();
        key.retain(|c| c.is_ascii_alphanumeric() || c == '-');
        let key = format!("{key}.{number}");
        let ask = Ask {
            method: "PATCH",
            path: &self.path(object),
            body: Some((
                "application/merge-patch+json",
                format!(r#"{{"data":{{"{key}":""}}}}"#),
            )),
        };
        let (status, _) = self.admin.ask(order, clients.connect_within, &ask).await?;
        judged(status)?;
        let known = self.acknowledged.lock();
        known
            .unwrap_or_else(PoisonError::into_inner)
            .insert((object, key));
        Ok(())
    }
}

type Outcome = Result<(), Cause>;

fn judged(status: u16) -> Outcome {
    match status {
        200..=299 => Ok(()),
        503 => Err(Cause::NoBackend),
        _ => Err(Cause::Error),
    }
}

fn refused(ask: &Ask<'_>, status: u16, body: &[u8]) -> String {
    let value: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let why = value
        .as_ref()
        .and_then(|value| value["message"].as_str())
        .unwrap_or_default();
    format!("{} {}: {status} {why}", ask.method, ask.path)
}

impl Asker for Api {
    async fn ask(&self, clients: &Population, number: u64, order: &[SocketAddr]) -> Outcome {
        match clients.kind {
            Kind::Write => self.write(clients, number, order).await,
            Kind::Read => {
                let ask = Ask {
                    method: "GET",
                    path: &self.path(number % OBJECTS),
                    body: None,
                };
                let (status, _) = self.admin.ask(order, clients.connect_within, &ask).await?;
                judged(status)
            }
            Kind::Ingress => {
                let stream = connect(order, clients.connect_within).await?;
                let request = "GET / HTTP/1.0\r\nHost: quorate-drill\r\n\r\n";
                match exchange(stream, request).await {
                    // A server behind TLS says 400 in plain words: somebody is there.
                    Ok((0..=499, _)) => Ok(()),
                    Ok((503, _)) => Err(Cause::NoBackend),
                    Ok(_) => Err(Cause::Error),
                    Err(cause) => Err(cause),
                }
            }
        }
    }
}

/// Eyes over ssh and the API.
pub struct Watcher<R = Ssh> {
    hosts: Arc<Hosts<R>>,
    api: Arc<Api>,
    ways: BTreeMap<ResourceId, Mutex<Option<Way>>>,
}

/// The way to a member.
struct Way {
    _tunnel: Tunnel,
    client: reqwest::Client,
}

impl<R: Runner + 'static> Watcher<R> {
    /// Looks at the members on these machines.
    #[must_use]
    pub fn new(hosts: Arc<Hosts<R>>, api: Arc<Api>, members: &[ResourceId]) -> Self {
        let way = |id: &ResourceId| (id.clone(), Mutex::new(None));
        Self {
            hosts,
            api,
            ways: members.iter().map(way).collect(),
        }
    }

    async fn way(&self, machine: &ResourceId) -> Result<Way, String> {
        let said = |fault: quorate_engine::seam::Fault| fault.to_string();
        let at = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 2379);
        let tunnel = self.hosts.tunnel(machine, &[], at).await.map_err(said)?;
        let script = "cd /etc/kubernetes/pki/etcd\nfor file in ca.crt healthcheck-client.crt \
             healthcheck-client.key; do cat \"$file\"; echo; echo --; done";
        let job = Job {
            title: "ask for a client's certificate of etcd",
            parts: vec![script],
            arguments: Vec::new(),
            input: None,
            limit: Duration::from_secs(10),
            mutates: false,
        };
        let output = self.hosts.run(machine, &[], job).await.map_err(said)?;
        let parts: Vec<&str> = output.stdout.split("\n--\n").collect();
        let [authority, certificate, key, ..] = parts[..] else {
            return Err(format!("{machine}: no certificates of etcd"));
        };
        let config = tls(authority.as_bytes(), certificate.as_bytes(), key.as_bytes())?;
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(config)
            .unix_socket(tunnel.socket())
            .timeout(LOOK)
            .build();
        let client = client.map_err(|error| error.to_string())?;
        Ok(Way {
            _tunnel: tunnel,
            client,
        })
    }

    /// What the member on a machine says: its version first.
    ///
    /// # Errors
    /// Why there is no way to it.
    pub async fn version(&self, machine: &ResourceId) -> Result<String, String> {
        let way = self.way(machine).await?;
        let value = status(&way.client).await;
        let value = value.ok_or_else(|| format!("{machine}: its etcd does not answer"))?;
        value["version"]
            .as_str()
            .map(str::to_owned)
            .ok_or_else(|| "no version".to_owned())
    }
}

async fn status(client: &reqwest::Client) -> Option<serde_json::Value> {
    let sent = client.post("https://127.0.0.1:2379/v3/maintenance/status");
    let answer = sent.body("{}").send().await.ok()?;
    let body = answer.error_for_status().ok()?.bytes().await.ok()?;
    serde_json::from_slice(&body).ok()
}

/// A number of etcd's gateway: 64 bits stand as text.
fn number(value: &serde_json::Value) -> u64 {
    let text = value.as_str().and_then(|text| text.parse().ok());
    text.or_else(|| value.as_u64()).unwrap_or(0)
}

impl<R: Runner + 'static> Eyes for Watcher<R> {
    async fn member(&self, machine: &ResourceId) -> Option<Status> {
        let mut way = self.ways.get(machine)?.lock().await;
        if way.is_none() {
            *way = tokio::time::timeout(REACH, self.way(machine))
                .await
                .ok()?
                .ok();
        }
        let found = status(&way.as_ref()?.client).await;
        let Some(value) = found else {
            // Whether the member is away or the way is, does not show: both are tried anew.
            *way = None;
            return None;
        };
        Some(Status {
            id: number(&value["header"]["member_id"]),
            leader: number(&value["leader"]),
            term: number(&value["header"]["raft_term"]).max(number(&value["raftTerm"])),
        })
    }

    async fn nodes(&self) -> Option<BTreeMap<String, bool>> {
        let ask = Ask {
            method: "GET",
            path: "/api/v1/nodes",
            body: None,
        };
        let (200, body) = self.api.once(&ask).await.ok()? else {
            return None;
        };
        let value: serde_json::Value = serde_json::from_slice(&body).ok()?;
        let node = |node: &serde_json::Value| {
            let conditions = node["status"]["conditions"].as_array()?;
            let ready = conditions.iter().find(|one| one["type"] == "Ready")?;
            let name = node["metadata"]["name"].as_str()?.to_owned();
            Some((name, ready["status"] == "True"))
        };
        Some(value["items"].as_array()?.iter().filter_map(node).collect())
    }
}
