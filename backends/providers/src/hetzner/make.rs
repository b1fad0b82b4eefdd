//! Making things at Hetzner, and bringing them to their specs.
//!
//! Each of them is safe to repeat: what is there is looked up first, and a name that is taken is
//! looked at before it is called somebody else's.

use super::parts::lacks_key;
use super::wire::{Action, Firewall, Location, Network, Rule, Selector, Server, Thing};
use super::{HOST_KEY, Hetzner, PARTS, dialect};
use crate::first_boot;
use crate::host_key::HostKey;
use crate::labels;
use ipnet::Ipv4Net;
use quorate_engine::resource::{Resource, ResourceId, Spec};
use quorate_engine::seam::{Call, Fault, FaultClass, Outcome, Reply};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;

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
        let (in_network, behind) = tokio::try_join!(
            self.find::<Network>(&network),
            self.find::<Firewall>(&firewall),
        )?;
        let (Some((in_network, _)), Some((behind, _))) = (in_network, behind) else {
            return Err(self.homeless(&resource.id).await?);
        };
        let owned = self.part_marks(call, &network);
        let (keys, group) = tokio::try_join!(self.keys(&owned), self.group(&resource.id, &owned))?;
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

    /// Why a machine without network or firewall cannot be made. They may be missing because all
    /// names here are somebody else's: then its own is.
    async fn homeless(&self, id: &ResourceId) -> Result<Fault, Fault> {
        let name = labels::name(id);
        let taken = self.named::<Server>(&name).await?;
        if taken.is_some_and(|server| self.ours(server.labels()).is_none()) {
            let detail = format!("the name {name} is taken by a server of somebody else");
            return Ok(Fault::new(FaultClass::Exists, detail));
        }
        let detail = format!("{id}: its network or its firewall is gone: run again");
        Ok(Fault::new(FaultClass::NotFound, detail))
    }

    /// The network or firewall of a region of this provider instance.
    fn shared(&self, what: &str, region: &str) -> ResourceId {
        let (cluster, provider) = (&self.site.owner.cluster, &self.site.provider.name);
        ResourceId::new(format!("{cluster}/{what}.{provider}/{region}"))
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
            let selector = self.selector_of(&resource.id);
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

fn subnet(zone: &str, cidr: Ipv4Net) -> Value {
    json!({"type": "cloud", "network_zone": zone, "ip_range": cidr})
}

fn wanted_rules(spec: &Spec) -> BTreeSet<Rule> {
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
