//! Making things at Hetzner, and bringing them to their specs.
//!
//! Each of them is safe to repeat: what is there is looked up first, and a name that is taken is
//! looked at before it is called somebody else's.

use super::wire::{Action, Firewall, Location, Network, Rule, Selector, Server, Thing};
use super::{HOST_KEY, Hetzner, PARTS, PER_PAGE, PROVIDER, Part, dialect};
use crate::first_boot;
use crate::host_key::HostKey;
use crate::labels::{self, Labels};
use ipnet::Ipv4Net;
use quorate_engine::random::hash_name;
use quorate_engine::resource::{Kind, Resource, ResourceId, Spec};
use quorate_engine::seam::{Call, Fault, FaultClass, Outcome, Reply};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Servers in one placement group, at most (vendor's documentation).
const GROUP_SIZE: u32 = 10;

/// Types of public keys that the API takes; others are delivered by the first boot alone.
const KEY_TYPES: [&str; 5] = [
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
];

/// What a firewall is applied to, by labels.
pub(super) fn selected(selector: &str) -> Value {
    json!({"type": "label_selector", "label_selector": {"selector": selector}})
}

fn invalid(detail: String) -> Fault {
    Fault::new(FaultClass::Invalid, detail)
}

impl Hetzner {
    pub(super) async fn create(&self, call: &Call) -> Outcome {
        let resource = call.resource.as_ref().expect("what is made has a spec");
        match &resource.spec {
            Spec::Network { region, cidr } => {
                let body = self.network_body(call, resource, region, *cidr).await?;
                self.make::<Network>(call, &body).await
            }
            Spec::Firewall { .. } => {
                let body = self.firewall_body(call, resource);
                self.make::<Firewall>(call, &body).await
            }
            Spec::Machine { .. } => {
                let body = self.server_body(call, resource).await?;
                match self.make::<Server>(call, &body).await {
                    Err(fault) if lacks_key(&fault) => Err(Fault {
                        class: FaultClass::Busy,
                        ..fault
                    }),
                    outcome => outcome,
                }
            }
            other => panic!("{} is not made at a provider of machines", other.kind()),
        }
    }

    /// Makes it. A name that is taken is looked at: the fruit of the same call is its answer.
    async fn make<T: Thing>(&self, call: &Call, body: &Value) -> Outcome {
        let path = format!("/{}", T::MANY);
        let answer = match self.api.change(Method::POST, &path, Some(body)).await {
            Ok(answer) => answer,
            Err(fault) if fault.class == FaultClass::Exists => {
                let found = self.find::<T>(&call.target).await?;
                let ours = found.filter(|(_, labels)| labels.key == call.key);
                return match ours {
                    Some((thing, labels)) => Ok(Reply::Seen(thing.seen(&labels))),
                    None => Err(fault),
                };
            }
            Err(fault) => return Err(fault),
        };
        self.check_actions(&answer)?;
        // Done, and the answer does not read: only asking shows what is there.
        let unread = |why: String| {
            let detail = format!("POST {path} answers what does not read: {why}");
            Fault::new(FaultClass::Unknown, detail)
        };
        let thing: T = serde_json::from_value(answer[T::ONE].clone())
            .map_err(|error| unread(error.to_string()))?;
        let labels = self.ours(thing.labels());
        let labels = labels.ok_or_else(|| unread("our labels are not on it".to_owned()))?;
        Ok(Reply::Seen(thing.seen(&labels)))
    }

    async fn network_body(
        &self,
        call: &Call,
        resource: &Resource,
        region: &str,
        cidr: Ipv4Net,
    ) -> Result<Value, Fault> {
        let zone = self.network_zone(region).await?;
        Ok(json!({
            "name": labels::name(&resource.id),
            "labels": self.mark(call, &resource.id, resource),
            "ip_range": cidr,
            "subnets": [subnet(&zone, cidr)],
        }))
    }

    async fn network_zone(&self, region: &str) -> Result<String, Fault> {
        let query = [("name", region)];
        let found: Vec<Location> = self.api.list("/locations", &query, "locations").await?;
        let location = found.into_iter().next();
        location
            .map(|location| location.network_zone)
            .ok_or_else(|| invalid(format!("Hetzner Cloud has no location `{region}`")))
    }

    fn firewall_body(&self, call: &Call, resource: &Resource) -> Value {
        json!({
            "name": labels::name(&resource.id),
            "labels": self.mark(call, &resource.id, resource),
            "rules": rules(&resource.spec),
            "apply_to": [selected(&self.covers(&resource.id))],
        })
    }

    /// The servers of a firewall: those of the same region and provider instance, as they say.
    fn covers(&self, firewall: &ResourceId) -> String {
        let name = labels::name(firewall);
        format!("{},{FIREWALL}=={name}", self.selector())
    }

    async fn server_body(&self, call: &Call, resource: &Resource) -> Result<Value, Fault> {
        let Spec::Machine {
            region,
            machine_type,
            image,
            spot,
            existing,
            ..
        } = &resource.spec
        else {
            panic!("{} is a machine", resource.id);
        };
        if *spot || existing.is_some() {
            let what = if *spot {
                "spot machines"
            } else {
                "machines that exist already"
            };
            return Err(invalid(format!(
                "{}: Hetzner Cloud has no {what}",
                resource.id
            )));
        }
        let (network, firewall) = (
            self.shared("network", region),
            self.shared("firewall", region),
        );
        let owned = self.part_marks(call, &network);
        let (in_network, behind, keys, group) = tokio::try_join!(
            self.find::<Network>(&network),
            self.find::<Firewall>(&firewall),
            self.keys(&owned),
            self.group(&resource.id, &owned),
        )?;
        let gone = |id| Fault::new(FaultClass::NotFound, format!("{id} is gone: run again"));
        let (in_network, _) = in_network.ok_or_else(|| gone(&network))?;
        let (behind, _) = behind.ok_or_else(|| gone(&firewall))?;
        let key = HostKey::fresh();
        let user_data = first_boot::user_data(&self.site.ssh_user, &self.site.ssh_keys, &key);
        let mut marks = self.mark(call, &resource.id, resource);
        marks.insert(HOST_KEY.to_owned(), key.label());
        marks.insert(FIREWALL.to_owned(), labels::name(&firewall));
        Ok(json!({
            "name": labels::name(&resource.id),
            "labels": marks,
            "server_type": machine_type,
            "image": image,
            "location": region,
            "networks": [in_network.id],
            // The selector covers it too, but only a moment after it is there.
            "firewalls": [{"firewall": behind.id}],
            "placement_group": group,
            "ssh_keys": keys,
            "user_data": user_data.reveal(),
            "start_after_create": true,
            // The mesh, and whom it serves, speak IPv4.
            "public_net": {"enable_ipv4": true, "enable_ipv6": false},
        }))
    }

    /// The network or firewall of a region of this provider instance.
    fn shared(&self, what: &str, region: &str) -> ResourceId {
        let (cluster, provider) = (&self.site.owner.cluster, &self.site.provider.name);
        ResourceId::new(format!("{cluster}/{what}.{provider}/{region}"))
    }

    /// The labels of what belongs to a region's network.
    fn part_marks(&self, call: &Call, network: &ResourceId) -> BTreeMap<String, String> {
        let labels = Labels {
            owner: self.site.owner.clone(),
            id: network.clone(),
            kind: Kind::Network,
            fingerprint: 0,
            key: call.key,
        };
        let mut pairs = labels.pairs();
        pairs.insert(PROVIDER.to_owned(), self.site.provider.name.clone());
        pairs
    }

    /// The names of the ssh keys that may log in; those that are missing are made.
    async fn keys(&self, marks: &BTreeMap<String, String>) -> Result<Vec<String>, Fault> {
        let wanted = self.site.ssh_keys.iter();
        let mut missing: Vec<String> = wanted.filter_map(|line| plain_key(line)).collect();
        let (mut names, mut refused) = (Vec::new(), None);
        // Two rounds: who makes the same key at the same time makes it for both.
        for _ in 0..2 {
            if missing.is_empty() {
                break;
            }
            let there: Vec<Part> = self.api.list("/ssh_keys", &[PER_PAGE], PARTS[0]).await?;
            let mut still = Vec::new();
            for key in missing {
                let same = |part: &&Part| plain_key(&part.public_key).as_ref() == Some(&key);
                if let Some(part) = there.iter().find(same) {
                    names.push(part.name.clone());
                    continue;
                }
                let Self { site, .. } = self;
                let name = format!("{}-{:016x}", site.owner.cluster, hash_name(&key));
                let body = json!({"name": name, "public_key": key, "labels": marks});
                match self
                    .api
                    .change(Method::POST, "/ssh_keys", Some(&body))
                    .await
                {
                    Ok(_) => names.push(name),
                    Err(fault) if fault.class == FaultClass::Exists => {
                        refused = Some(fault);
                        still.push(key);
                    }
                    Err(fault) => return Err(fault),
                }
            }
            missing = still;
        }
        match refused.filter(|_| !missing.is_empty()) {
            Some(fault) => Err(fault),
            None => Ok(names),
        }
    }

    /// The placement group of a machine, by its number in its pool; made if it is missing.
    async fn group(
        &self,
        machine: &ResourceId,
        marks: &BTreeMap<String, String>,
    ) -> Result<u64, Fault> {
        let name = group_name(machine);
        let body = json!({"name": name, "type": "spread", "labels": marks});
        let mut refused = None;
        for _ in 0..2 {
            let query = [("name", name.as_str())];
            let found: Vec<Part> = self.api.list("/placement_groups", &query, PARTS[1]).await?;
            if let Some(part) = found.first() {
                return match self.ours(&part.labels) {
                    Some(_) => Ok(part.id),
                    None => Err(Fault::new(
                        FaultClass::Exists,
                        format!("placement group {name} is somebody else's: rename or remove it"),
                    )),
                };
            }
            let made = self
                .api
                .change(Method::POST, "/placement_groups", Some(&body))
                .await;
            match made {
                Ok(answer) => {
                    let id = answer["placement_group"]["id"].as_u64();
                    let lost = "POST /placement_groups answers without an id";
                    return id.ok_or_else(|| Fault::new(FaultClass::Unknown, lost));
                }
                Err(fault) if fault.class == FaultClass::Exists => refused = Some(fault),
                Err(fault) => return Err(fault),
            }
        }
        Err(refused.expect("both rounds were refused"))
    }

    /// Brings what is there to its spec. The fingerprint is written last: what breaks off before
    /// is seen to be unfinished.
    pub(super) async fn update(&self, call: &Call) -> Outcome {
        let resource = call.resource.as_ref().expect("what is updated has a spec");
        match &resource.spec {
            Spec::Network { region, cidr } => {
                self.update_network(call, resource, region, *cidr).await
            }
            Spec::Firewall { .. } => self.update_firewall(call, resource).await,
            Spec::Machine { .. } => match self.find::<Server>(&resource.id).await? {
                None => Err(absent(&resource.id)),
                Some((_, labels)) if labels.fingerprint == resource.spec.fingerprint() => {
                    Ok(Reply::Done)
                }
                Some(_) => Err(invalid(format!(
                    "{}: a server is replaced, not changed: remove it from the manifest, apply, \
                     and add it again",
                    resource.id
                ))),
            },
            other => panic!("{} is not kept at a provider of machines", other.kind()),
        }
    }

    async fn update_network(
        &self,
        call: &Call,
        resource: &Resource,
        region: &str,
        cidr: Ipv4Net,
    ) -> Outcome {
        let Some((network, _)) = self.find::<Network>(&resource.id).await? else {
            let selector = format!("{},{}", self.selector(), id_selector(&resource.id));
            let left = tokio::try_join!(
                self.parts(PARTS[0], &selector),
                self.parts(PARTS[1], &selector)
            )?;
            // What is listed in a network's place is mended by making the network.
            return match left.0.is_empty() && left.1.is_empty() {
                true => Err(absent(&resource.id)),
                false => self.create(call).await,
            };
        };
        if network.ip_range != cidr.to_string() {
            return Err(invalid(format!(
                "{}: a network keeps its addresses ({}), and {cidr} is wanted: give the provider \
                 its old `networkCidr`, or remove the machines there first",
                resource.id, network.ip_range
            )));
        }
        let shows = network.shows();
        if shows.fields["cidr"] != cidr.to_string() {
            let zone = self.network_zone(region).await?;
            let path = format!("/networks/{}/actions/add_subnet", network.id);
            let body = subnet(&zone, cidr);
            let answer = self.api.change(Method::POST, &path, Some(&body)).await?;
            self.check_actions(&answer)?;
        }
        self.relabel(call, resource, &network).await
    }

    async fn update_firewall(&self, call: &Call, resource: &Resource) -> Outcome {
        let Some((firewall, _)) = self.find::<Firewall>(&resource.id).await? else {
            return Err(absent(&resource.id));
        };
        let path = |action: &str| format!("/firewalls/{}/actions/{action}", firewall.id);
        if firewall.rule_set() != wanted_rules(&resource.spec) {
            let body = json!({"rules": rules(&resource.spec)});
            let answer = self
                .api
                .change(Method::POST, &path("set_rules"), Some(&body))
                .await?;
            self.check_actions(&answer)?;
        }
        let covers = self.covers(&resource.id);
        let selector = Selector {
            selector: covers.clone(),
        };
        let applied = firewall.applied_to.iter();
        if !applied
            .filter_map(|to| to.label_selector.as_ref())
            .any(|it| *it == selector)
        {
            let body = json!({"apply_to": [selected(&covers)]});
            let apply = path("apply_to_resources");
            let answer = self.api.change(Method::POST, &apply, Some(&body)).await?;
            self.check_actions(&answer)?;
        }
        self.relabel(call, resource, &firewall).await
    }

    /// Writes the fingerprint. Labels of others, and the key of the making, stay.
    async fn relabel<T: Thing>(&self, call: &Call, resource: &Resource, thing: &T) -> Outcome {
        let mut marks = self.mark(call, &resource.id, resource);
        marks.remove(labels::KEY);
        let mut all = thing.labels().clone();
        all.extend(marks);
        if all != *thing.labels() {
            let path = format!("/{}/{}", T::MANY, thing.id());
            let body = json!({"labels": all});
            self.api.change(Method::PUT, &path, Some(&body)).await?;
        }
        Ok(Reply::Done)
    }

    /// An answer may bring actions that have failed already.
    pub(super) fn check_actions(&self, answer: &Value) -> Result<(), Fault> {
        let one = answer.get("action").into_iter();
        let many = ["actions", "next_actions"].into_iter();
        let many = many.filter_map(|field| answer[field].as_array()).flatten();
        for action in one.chain(many) {
            let Ok(action) = serde_json::from_value::<Action>(action.clone()) else {
                continue;
            };
            if let ("error", Some(error)) = (action.status.as_str(), action.error) {
                let about = format!("Hetzner Cloud: {} failed", action.command);
                return Err(self.api.told(&dialect::told(error), &about));
            }
        }
        Ok(())
    }
}

/// Names the firewall of a server, for the firewall's selector.
const FIREWALL: &str = "quorate.dev/firewall";

fn id_selector(id: &ResourceId) -> String {
    format!("{}=={}", labels::ID, id.as_str().replace('/', "_"))
}

fn subnet(zone: &str, cidr: Ipv4Net) -> Value {
    json!({"type": "cloud", "network_zone": zone, "ip_range": cidr})
}

fn wanted_rules(spec: &Spec) -> std::collections::BTreeSet<Rule> {
    let Spec::Firewall {
        mesh_port,
        public_ports,
        ..
    } = spec
    else {
        panic!("a {} has no rules", spec.kind());
    };
    Rule::wanted(*mesh_port, public_ports)
}

fn rules(spec: &Spec) -> Vec<Value> {
    wanted_rules(spec).iter().map(Rule::body).collect()
}

fn absent(id: &ResourceId) -> Fault {
    Fault::new(FaultClass::NotFound, format!("{id} is not there"))
}

/// A key went with its network between being looked up and being used: the next try makes it.
fn lacks_key(fault: &Fault) -> bool {
    let refused = matches!(fault.class, FaultClass::Invalid | FaultClass::NotFound);
    refused
        && ["ssh_key", "SSH key", "ssh key"]
            .iter()
            .any(|word| fault.detail.contains(word))
}

/// Type and key of a line of `authorized_keys`, without options and comment; none where the API
/// takes no such key.
fn plain_key(line: &str) -> Option<String> {
    let mut words = line.split_whitespace();
    let kind = words.find(|word| KEY_TYPES.contains(word))?;
    Some(format!("{kind} {}", words.next()?))
}

/// Ten machines of a pool, by their numbers, are kept on different hosts.
fn group_name(machine: &ResourceId) -> String {
    let path = machine.as_str();
    let (pool, number) = path.rsplit_once('/').unwrap_or((path, "1"));
    let number: u32 = number.parse().unwrap_or(1);
    let group = number.saturating_sub(1) / GROUP_SIZE + 1;
    format!("{}-spread{group}", labels::name(&ResourceId::new(pool)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_numbers_share_a_group() {
        let group = |path: &str| group_name(&ResourceId::new(path));
        assert_eq!(group("shop/htz-cp/1"), "shop-htz-cp-spread1");
        assert_eq!(group("shop/htz-cp/10"), "shop-htz-cp-spread1");
        assert_eq!(group("shop/htz-cp/11"), "shop-htz-cp-spread2");
        assert_eq!(group("shop/htz-cp/0"), "shop-htz-cp-spread1");
    }

    #[test]
    fn a_key_is_its_type_and_its_text() {
        let cases = [
            ("ssh-ed25519 AAAA me@home", Some("ssh-ed25519 AAAA")),
            (
                "from=\"10.0.0.1\",no-pty ssh-rsa BBBB",
                Some("ssh-rsa BBBB"),
            ),
            ("sk-ssh-ed25519@openssh.com CCCC", None),
            ("ssh-ed25519", None),
            ("", None),
        ];
        for (line, expected) in cases {
            assert_eq!(plain_key(line).as_deref(), expected, "{line}");
        }
    }

    #[test]
    fn a_vanished_key_is_waited_for_and_nothing_else_is() {
        let fault = |class, detail: &str| lacks_key(&Fault::new(class, detail));
        assert!(fault(FaultClass::NotFound, "SSH key not found"));
        assert!(fault(
            FaultClass::Invalid,
            "invalid input in field 'ssh_keys'"
        ));
        assert!(!fault(
            FaultClass::Invalid,
            "invalid input in field 'image'"
        ));
        assert!(!fault(FaultClass::Quota, "too many of ssh_keys"));
    }
}
