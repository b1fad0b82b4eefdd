//! Hetzner Cloud: networks, firewalls and servers, over its API v1.
//!
//! Names are unique in a project, so creation is idempotent by name: what is taken by the same
//! call is its fruit, what is taken by something without our labels is somebody else's. Creation
//! and deletion go on in actions after the answer; the engine asks how far they are.
//!
//! # ssh keys and placement groups
//!
//! A server needs two more things that the engine does not know. ssh keys are given as resources,
//! because a server made without any gets a root password, which is mailed about and has to be
//! changed at the first login. Pools are spread by placement groups, of ten servers at most. Both
//! are looked up and made on demand when a server is made, repeatably; they carry the labels of the
//! network of their region, and go when it goes, just before it. Where the network went by other
//! hands, what is left of it is listed in its place, so that a sweep finds it. A key that the
//! project has already is used as it is.
//!
//! Does not know DNS zones of the same API, and neither waits nor retries.

mod dialect;
mod make;
mod parts;
mod preflight;
#[cfg(test)]
mod tests;
mod wire;

use crate::http::{Api, Patience};
use crate::labels::{self, Labels};
use crate::{Owner, Pending, Problem, Provider, Secret, Site};
use quorate_engine::exec::LaneLimit;
use quorate_engine::resource::{Kind, Resource, ResourceId};
use quorate_engine::seam::{Call, Fault, FaultClass, MachineState, Outcome, Reply, Seen, Verb};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use wire::{Firewall, HOST_KEY, Network, Part, Server, Thing};

/// The vendor's own address.
const ENDPOINT: &str = "https://api.hetzner.cloud/v1";

/// The most that the API gives at once.
const PER_PAGE: (&str, &str) = ("per_page", "50");

/// The ids of what belongs to a region and is neither network nor firewall.
const PARTS: [&str; 2] = ["ssh_keys", "placement_groups"];

/// A project at Hetzner Cloud.
#[derive(Debug)]
pub struct Hetzner {
    site: Site,
    api: Api,
}

impl Hetzner {
    /// For a project, by its token. The manifest's endpoint stands above `endpoint`, and both
    /// above the vendor's.
    ///
    /// # Errors
    /// A token that is missing or no token, an endpoint that is no address.
    pub fn new(site: Site, endpoint: Option<String>) -> Result<Self, Problem> {
        Self::with_patience(site, endpoint, Patience::default())
    }

    /// The same with other time-outs.
    ///
    /// # Errors
    /// See [`Self::new`].
    pub fn with_patience(
        site: Site,
        endpoint: Option<String>,
        patience: Patience,
    ) -> Result<Self, Problem> {
        let token = site.secret.as_ref().map(|secret| secret.reveal().trim());
        let Some(token) = token.filter(|token| !token.is_empty()) else {
            return Err(Problem {
                what: format!("{}: no token for Hetzner Cloud", site.provider.name),
                fix: dialect::TOKEN_FIX.to_owned(),
            });
        };
        let given = site.provider.endpoint.clone().or(endpoint);
        let endpoint = given.unwrap_or_else(|| ENDPOINT.to_owned());
        let api = Api::new(&endpoint, Secret::new(token), dialect::DIALECT, patience)?;
        Ok(Self { site, api })
    }

    /// What finds things of this cluster.
    fn selector(&self) -> String {
        let Owner { cluster, uid, .. } = &self.site.owner;
        format!("{}=={uid:016x},{}=={cluster}", labels::UID, labels::CLUSTER)
    }

    /// What finds things that carry this id.
    fn selector_of(&self, id: &ResourceId) -> String {
        let text = id.as_str().replace('/', "_");
        format!("{},{}=={text}", self.selector(), labels::ID)
    }

    /// What finds things of this cluster at this provider instance: two instances may be one
    /// project.
    fn selector_here(&self) -> String {
        format!(
            "{},{}=={}",
            self.selector(),
            labels::PROVIDER,
            self.site.owner.provider
        )
    }

    /// The labels of a thing, if it is this cluster's.
    fn ours(&self, labels: &BTreeMap<String, String>) -> Option<Labels> {
        Labels::read(labels).filter(|labels| labels.owner == self.site.owner)
    }

    /// The labels of a thing to be made.
    fn mark(&self, call: &Call, id: &ResourceId, resource: &Resource) -> BTreeMap<String, String> {
        let labels = Labels {
            owner: self.site.owner.clone(),
            id: id.clone(),
            kind: resource.spec.kind(),
            fingerprint: resource.spec.fingerprint_at(&call.addresses),
            key: call.key,
        };
        labels.pairs()
    }

    /// The thing with this name, whoever's it is.
    async fn named<T: Thing>(&self, name: &str) -> Result<Option<T>, Fault> {
        let path = format!("/{}", T::MANY);
        let found: Vec<T> = self.api.list(&path, &[("name", name)], T::MANY).await?;
        Ok(found.into_iter().next())
    }

    /// The thing with this id, if it is there and ours. It is found by its labels: a name can be
    /// changed by other hands, and what is ours has to go all the same.
    async fn find<T: Thing>(&self, id: &ResourceId) -> Result<Option<(T, Labels)>, Fault> {
        let selector = self.selector_of(id);
        let query = [("label_selector", selector.as_str()), PER_PAGE];
        let path = format!("/{}", T::MANY);
        let found: Vec<T> = self.api.list(&path, &query, T::MANY).await?;
        Ok(found.into_iter().find_map(|thing| {
            let labels = self.ours(thing.labels())?;
            (labels.id == *id).then_some((thing, labels))
        }))
    }

    async fn describe<T: Thing>(&self, id: &ResourceId) -> Outcome {
        let found = self.find::<T>(id).await?;
        Ok(found.map_or(Reply::Absent, |(thing, labels)| {
            Reply::Seen(thing.seen(&labels))
        }))
    }

    /// Everything of one kind that is ours and at this provider instance.
    async fn all<T: Thing>(&self) -> Result<Vec<Seen>, Fault> {
        let selector = self.selector_here();
        let query = [("label_selector", selector.as_str()), PER_PAGE];
        let path = format!("/{}", T::MANY);
        let things: Vec<T> = self.api.list(&path, &query, T::MANY).await?;
        let seen = |thing: &T| Some(thing.seen(&self.ours(thing.labels())?));
        Ok(things.iter().filter_map(seen).collect())
    }

    /// ssh keys or placement groups that are ours.
    async fn parts(&self, many: &str, selector: &str) -> Result<Vec<Part>, Fault> {
        let query = [("label_selector", selector), PER_PAGE];
        self.api.list(&format!("/{many}"), &query, many).await
    }

    async fn list(&self) -> Outcome {
        let here = self.selector_here();
        let (servers, mut networks, firewalls, keys, groups) = tokio::try_join!(
            self.all::<Server>(),
            self.all::<Network>(),
            self.all::<Firewall>(),
            self.parts(PARTS[0], &here),
            self.parts(PARTS[1], &here),
        )?;
        let mut known: BTreeSet<_> = networks.iter().map(|seen| seen.id.clone()).collect();
        for (many, part) in labelled(keys, groups) {
            if let Some(labels) = self.ours(&part.labels)
                && known.insert(labels.id.clone())
            {
                networks.push(remnant(labels, &format!("{many}/{}", part.id)));
            }
        }
        let mut all = networks;
        all.extend(firewalls);
        all.extend(servers);
        Ok(Reply::List(all))
    }

    async fn delete_server(&self, id: &ResourceId) -> Outcome {
        let Some((server, _)) = self.find::<Server>(id).await? else {
            return Ok(Reply::Done);
        };
        if !server.is_going() {
            self.remove("servers", server.id).await?;
        }
        Ok(Reply::Done)
    }

    /// A firewall that a selector still holds cannot go; one that servers still hold must not.
    async fn delete_firewall(&self, id: &ResourceId) -> Outcome {
        let Some((firewall, _)) = self.find::<Firewall>(id).await? else {
            return Ok(Reply::Done);
        };
        let applied = &firewall.applied_to;
        if applied
            .iter()
            .any(|to| to.server.is_some() || !to.applied_to_resources.is_empty())
        {
            return Err(in_use(id));
        }
        let selectors = applied.iter().filter_map(|to| to.label_selector.as_ref());
        let selectors: Vec<Value> = selectors.map(|it| make::selected(&it.selector)).collect();
        if !selectors.is_empty() {
            let path = format!("/firewalls/{}/actions/remove_from_resources", firewall.id);
            let body = json!({ "remove_from": selectors });
            let answer = self.api.change(Method::POST, &path, Some(&body)).await?;
            self.check_actions(&answer)?;
        }
        self.remove("firewalls", firewall.id).await?;
        Ok(Reply::Done)
    }

    /// Deleting a network would detach its servers: it goes after them. What belongs to it goes
    /// before it, so that nothing is left that no list shows.
    async fn delete_network(&self, id: &ResourceId) -> Outcome {
        let found = self.find::<Network>(id).await?;
        if found
            .as_ref()
            .is_some_and(|(network, _)| !network.servers.is_empty())
        {
            return Err(in_use(id));
        }
        let selector = self.selector_of(id);
        let (keys, groups) = tokio::try_join!(
            self.parts(PARTS[0], &selector),
            self.parts(PARTS[1], &selector)
        )?;
        for (many, part) in labelled(keys, groups) {
            if self
                .ours(&part.labels)
                .is_some_and(|labels| labels.id == *id)
            {
                self.remove(many, part.id).await?;
            }
        }
        if let Some((network, _)) = found {
            self.remove("networks", network.id).await?;
        }
        Ok(Reply::Done)
    }

    /// Removes one thing by the provider's id. Absent is success.
    async fn remove(&self, many: &str, id: u64) -> Result<(), Fault> {
        let path = format!("/{many}/{id}");
        match self.api.change(Method::DELETE, &path, None).await {
            Ok(answer) => self.check_actions(&answer),
            Err(fault) if fault.class == FaultClass::NotFound => Ok(()),
            Err(fault) => Err(fault),
        }
    }

    async fn answer(&self, call: &Call) -> Outcome {
        let id = &call.target;
        match (call.verb, call.kind) {
            (Verb::List, _) => self.list().await,
            (Verb::Describe, Kind::Network) => self.describe::<Network>(id).await,
            (Verb::Describe, Kind::Firewall) => self.describe::<Firewall>(id).await,
            (Verb::Describe, Kind::Machine) => self.describe::<Server>(id).await,
            (Verb::Create, Kind::Network | Kind::Firewall | Kind::Machine) => {
                self.create(call).await
            }
            (Verb::Update, Kind::Network | Kind::Firewall | Kind::Machine) => {
                self.update(call).await
            }
            (Verb::Delete, Kind::Network) => self.delete_network(id).await,
            (Verb::Delete, Kind::Firewall) => self.delete_firewall(id).await,
            (Verb::Delete, Kind::Machine) => self.delete_server(id).await,
            (verb, kind) => Err(Fault::new(
                FaultClass::Invalid,
                format!("{verb} of a {kind} is not for Hetzner Cloud"),
            )),
        }
    }

    async fn everybody(&self) -> Result<Vec<Owner>, Fault> {
        let selector = [("label_selector", labels::UID), PER_PAGE];
        let mut owners = BTreeSet::new();
        for many in ["servers", "networks", "firewalls", PARTS[0], PARTS[1]] {
            let path = format!("/{many}");
            let things: Vec<Part> = self.api.list(&path, &selector, many).await?;
            let labels = things
                .iter()
                .filter_map(|thing| Labels::read(&thing.labels));
            owners.extend(labels.map(|labels| labels.owner));
        }
        Ok(owners.into_iter().collect())
    }
}

impl Provider for Hetzner {
    fn call<'a>(&'a self, call: &'a Call) -> Pending<'a, Outcome> {
        Box::pin(self.answer(call))
    }

    fn preflight<'a>(&'a self, wanted: &'a [Arc<Resource>]) -> Pending<'a, Vec<Problem>> {
        Box::pin(self.problems(wanted))
    }

    fn owners(&self) -> Pending<'_, Result<Vec<Owner>, Fault>> {
        Box::pin(self.everybody())
    }

    fn limit(&self) -> Option<LaneLimit> {
        Some(dialect::limit(self.api.rate()))
    }
}

fn labelled(keys: Vec<Part>, groups: Vec<Part>) -> impl Iterator<Item = (&'static str, Part)> {
    let keys = keys.into_iter().map(|part| (PARTS[0], part));
    keys.chain(groups.into_iter().map(|part| (PARTS[1], part)))
}

/// What stands for a network of which only ssh keys or placement groups are left.
fn remnant(labels: Labels, external: &str) -> Seen {
    Seen {
        id: labels.id,
        kind: Kind::Network,
        external: external.to_owned(),
        // No spec has it: it is to be brought to its spec, or to go.
        fingerprint: 0,
        state: MachineState::Error,
        address: None,
        private: None,
        host_key: None,
        fields: BTreeMap::new(),
    }
}

fn in_use(id: &ResourceId) -> Fault {
    Fault::new(FaultClass::Busy, format!("{id} still has servers"))
}
