//! Hetzner's things as its API shows them, as far as we look at them.
//!
//! Lenient: the API grows and loses fields (in 2026 `datacenter` went), so whatever can be missing
//! without harm may be missing.

use crate::labels::Labels;
use quorate_engine::resource::Kind;
use quorate_engine::seam::{MachineState, Seen};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// The public half of a machine's host key, which is too long for hexadecimal digits.
pub(super) const HOST_KEY: &str = "quorate.dev/host-key";
/// The provider instance: two of them may be the same account.
pub(super) const PROVIDER: &str = "quorate.dev/provider";

/// From everywhere.
const ANYWHERE: [&str; 2] = ["0.0.0.0/0", "::/0"];
const SSH: u16 = 22;

/// A thing with an id, a name and labels: one that the engine knows by a resource id.
pub(super) trait Thing: DeserializeOwned {
    /// What the engine calls it.
    const KIND: Kind;
    /// Its collection, in paths and answers.
    const MANY: &'static str;
    /// One of them, in answers.
    const ONE: &'static str;

    fn id(&self) -> u64;
    fn labels(&self) -> &BTreeMap<String, String>;
    fn state(&self) -> MachineState;
    /// Public address, private address, and the fields of its spec.
    fn shows(&self) -> Shows;

    /// As the engine sees it.
    fn seen(&self, labels: &Labels) -> Seen {
        let shows = self.shows();
        let host_key = self.labels().get(HOST_KEY);
        Seen {
            id: labels.id.clone(),
            kind: Self::KIND,
            external: self.id().to_string(),
            fingerprint: labels.fingerprint,
            state: self.state(),
            address: shows.public,
            private: shows.private,
            host_key: host_key.and_then(|label| crate::host_key::from_label(label)),
            fields: shows.fields,
        }
    }
}

/// What a thing shows of itself.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Shows {
    pub(super) public: Option<Ipv4Addr>,
    pub(super) private: Option<Ipv4Addr>,
    pub(super) fields: BTreeMap<String, String>,
}

/// A name in an answer, of an image, a type, a location.
#[derive(Debug, Deserialize)]
pub(super) struct Named {
    #[serde(default)]
    pub(super) id: u64,
    pub(super) name: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Server {
    pub(super) id: u64,
    pub(super) name: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    status: String,
    #[serde(default)]
    locked: bool,
    #[serde(default)]
    public_net: PublicNet,
    #[serde(default)]
    private_net: Vec<PrivateNet>,
    server_type: Option<Named>,
    image: Option<Named>,
    location: Option<Named>,
}

#[derive(Debug, Default, Deserialize)]
struct PublicNet {
    ipv4: Option<Address>,
}

#[derive(Debug, Deserialize)]
struct Address {
    ip: Ipv4Addr,
}

#[derive(Debug, Deserialize)]
struct PrivateNet {
    ip: Option<Ipv4Addr>,
}

impl Server {
    /// It goes: nothing is left to be done, only to be waited for.
    pub(super) fn is_going(&self) -> bool {
        self.status == "deleting"
    }
}

impl Thing for Server {
    const KIND: Kind = Kind::Machine;
    const MANY: &'static str = "servers";
    const ONE: &'static str = "server";

    fn id(&self) -> u64 {
        self.id
    }

    fn labels(&self) -> &BTreeMap<String, String> {
        &self.labels
    }

    fn state(&self) -> MachineState {
        match self.status.as_str() {
            // The last actions of its making lock it: the address in the network comes with them.
            "running" if self.locked && self.private_net.is_empty() => MachineState::Building,
            "running" => MachineState::Running,
            // Off between being made and being started, while an action still holds it.
            "off" | "stopping" if self.locked => MachineState::Building,
            // A server that goes is as good as stopped; nobody is to wait until it runs.
            "off" | "stopping" | "deleting" => MachineState::Stopped,
            // initializing, starting, rebuilding, migrating; unknown while its host is silent.
            _ => MachineState::Building,
        }
    }

    fn shows(&self) -> Shows {
        let name = |named: &Option<Named>| {
            let named = named.as_ref()?;
            // A snapshot has no name: manifests call it by its id.
            Some(named.name.clone().unwrap_or_else(|| named.id.to_string()))
        };
        let fields = [
            ("region", name(&self.location)),
            ("machine_type", name(&self.server_type)),
            ("image", name(&self.image)),
        ];
        let fields = fields.into_iter();
        Shows {
            public: self.public_net.ipv4.as_ref().map(|address| address.ip),
            private: self.private_net.iter().find_map(|net| net.ip),
            fields: fields
                .filter_map(|(name, value)| Some((name.to_owned(), value?)))
                .collect(),
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Network {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) ip_range: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) subnets: Vec<Subnet>,
    #[serde(default)]
    pub(super) servers: Vec<u64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Subnet {
    #[serde(rename = "type", default)]
    pub(super) kind: String,
    pub(super) ip_range: Option<String>,
}

impl Thing for Network {
    const KIND: Kind = Kind::Network;
    const MANY: &'static str = "networks";
    const ONE: &'static str = "network";

    fn id(&self) -> u64 {
        self.id
    }

    fn labels(&self) -> &BTreeMap<String, String> {
        &self.labels
    }

    fn state(&self) -> MachineState {
        MachineState::Running
    }

    /// Its addresses are those of its subnet: without one, machines get none.
    fn shows(&self) -> Shows {
        let mut cloud = self.subnets.iter().filter(|subnet| subnet.kind == "cloud");
        let cidr = cloud.find_map(|subnet| subnet.ip_range.clone());
        let cidr = cidr.unwrap_or_else(|| "no subnet".to_owned());
        Shows {
            fields: BTreeMap::from([("cidr".to_owned(), cidr)]),
            ..Shows::default()
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Firewall {
    pub(super) id: u64,
    pub(super) name: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) rules: Vec<Rule>,
    #[serde(default)]
    pub(super) applied_to: Vec<Applied>,
}

/// What a firewall is applied to.
#[derive(Debug, Deserialize)]
pub(super) struct Applied {
    pub(super) server: Option<Value>,
    pub(super) label_selector: Option<Selector>,
    /// The servers a selector finds.
    #[serde(default)]
    pub(super) applied_to_resources: Vec<Value>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Selector {
    pub(super) selector: String,
}

/// A rule, comparable: what we ask for and what is there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(super) struct Rule {
    direction: String,
    protocol: String,
    port: Option<String>,
    #[serde(default)]
    source_ips: BTreeSet<String>,
    description: Option<String>,
}

impl Rule {
    fn open(protocol: &str, port: Option<u16>, description: &str) -> Self {
        Self {
            direction: "in".to_owned(),
            protocol: protocol.to_owned(),
            port: port.map(|port| port.to_string()),
            source_ips: ANYWHERE.map(str::to_owned).into(),
            description: Some(description.to_owned()),
        }
    }

    /// Everything that is let in; what is not listed is dropped, and what goes out is free.
    pub(super) fn wanted(mesh_port: u16, public_ports: &[u16]) -> BTreeSet<Self> {
        let public = public_ports.iter().filter(|port| **port != SSH);
        let shared = public_ports.contains(&SSH);
        let ssh = if shared { "ssh, public" } else { "ssh" };
        let fixed = [
            Self::open("tcp", Some(SSH), ssh),
            Self::open("icmp", None, "ping and path MTU"),
            Self::open("udp", Some(mesh_port), "mesh"),
        ];
        let public = public.map(|port| Self::open("tcp", Some(*port), "public"));
        fixed.into_iter().chain(public).collect()
    }

    pub(super) fn body(&self) -> Value {
        let mut body = json!({
            "direction": self.direction,
            "protocol": self.protocol,
            "source_ips": self.source_ips,
            "description": self.description,
        });
        if let Some(port) = &self.port {
            body["port"] = json!(port);
        }
        body
    }
}

impl Firewall {
    /// Its rules, in an order in which they can be compared.
    pub(super) fn rule_set(&self) -> BTreeSet<Rule> {
        self.rules.iter().cloned().collect()
    }
}

impl Thing for Firewall {
    const KIND: Kind = Kind::Firewall;
    const MANY: &'static str = "firewalls";
    const ONE: &'static str = "firewall";

    fn id(&self) -> u64 {
        self.id
    }

    fn labels(&self) -> &BTreeMap<String, String> {
        &self.labels
    }

    fn state(&self) -> MachineState {
        MachineState::Running
    }

    /// The ports of the rules that are there. Where the rules are not those which follow from
    /// these ports (a source was narrowed, ssh closed), that is said where a port should stand, so
    /// that it differs from every spec.
    fn shows(&self) -> Shows {
        let ports = |protocol: &str| {
            let rules = self.rules.iter();
            let open = rules.filter(|rule| rule.direction == "in" && rule.protocol == protocol);
            let ports = open.filter(|rule| {
                let ssh = rule.port.as_deref() == Some("22");
                let public = rule.description.as_deref().unwrap_or("public");
                !ssh || protocol != "tcp" || public.contains("public")
            });
            ports
                .filter_map(|rule| rule.port.clone())
                .collect::<BTreeSet<_>>()
        };
        let numbers = |ports: &BTreeSet<String>| {
            let numbers = ports.iter().map(|port| port.parse().ok());
            let mut numbers = numbers.collect::<Option<Vec<u16>>>()?;
            numbers.sort_unstable();
            Some(numbers)
        };
        let (mesh, public) = (ports("udp"), ports("tcp"));
        let mesh_text = mesh.iter().cloned().collect::<Vec<_>>().join(",");
        let mut public_text = match numbers(&public) {
            Some(numbers) => json!(numbers).to_string(),
            None => json!(public).to_string(),
        };
        let regular = match (numbers(&mesh).as_deref(), numbers(&public)) {
            (Some([mesh]), Some(public)) => self.rule_set() == Rule::wanted(*mesh, &public),
            _ => false,
        };
        if !regular {
            public_text.push_str(" by other rules");
        }
        Shows {
            fields: BTreeMap::from([
                ("mesh_port".to_owned(), mesh_text),
                ("public_ports".to_owned(), public_text),
            ]),
            ..Shows::default()
        }
    }
}

/// What a machine needs besides, and the engine does not know: ssh keys and placement groups.
#[derive(Debug, Deserialize)]
pub(super) struct Part {
    pub(super) id: u64,
    pub(super) name: String,
    #[serde(default)]
    pub(super) labels: BTreeMap<String, String>,
    /// Of an ssh key.
    #[serde(default)]
    pub(super) public_key: String,
}

/// A location of servers.
#[derive(Debug, Deserialize)]
pub(super) struct Location {
    pub(super) name: String,
    pub(super) network_zone: String,
}

/// A type of server.
#[derive(Debug, Deserialize)]
pub(super) struct ServerType {
    pub(super) name: String,
    pub(super) architecture: Option<String>,
    #[serde(default)]
    pub(super) locations: Vec<Offer>,
}

/// A type at a location.
#[derive(Debug, Deserialize)]
pub(super) struct Offer {
    pub(super) name: String,
    /// Missing before April 2026.
    pub(super) available: Option<bool>,
    pub(super) deprecation: Option<Deprecation>,
}

/// When something is taken out of the market.
#[derive(Debug, Deserialize)]
pub(super) struct Deprecation {
    pub(super) unavailable_after: String,
}

/// An image.
#[derive(Debug, Deserialize)]
pub(super) struct Image {
    pub(super) architecture: Option<String>,
    pub(super) status: Option<String>,
}

/// What runs on in the background.
#[derive(Debug, Deserialize)]
pub(super) struct Action {
    #[serde(default)]
    pub(super) command: String,
    #[serde(default)]
    pub(super) status: String,
    pub(super) error: Option<ErrorBody>,
}

/// Why something is not done.
#[derive(Debug, Deserialize)]
pub(super) struct ErrorBody {
    pub(super) code: String,
    #[serde(default)]
    pub(super) message: String,
}
