//! What the cluster says of itself, asked at one control plane.

use super::sight::active_peers;
use super::{Gateway, LOOK, Member, Status};
use crate::access::together::{Branch, all};
use crate::access::{Addresses, Way};
use crate::{Access, names};
use quorate_engine::resource::ResourceId;
use quorate_engine::seam::{Call, ClusterView, Fault, FaultClass, MemberView};
use quorate_hosts::Runner;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Instant;

/// Machines by mesh address.
pub(super) type Seats = BTreeMap<Ipv4Addr, ResourceId>;

/// Members, and what those say that answer.
pub(super) struct Membership {
    pub(super) members: Vec<Member>,
    /// By id, as far as they answer.
    pub(super) statuses: BTreeMap<u64, Status>,
    /// The one that was asked.
    pub(super) local: u64,
    /// As that one knows it.
    pub(super) leader: u64,
}

impl Membership {
    /// Answers, follows the same leader, and has no trouble of its own.
    pub(super) fn answers(&self, id: u64) -> bool {
        let own = |error: &String| {
            // Alarms of all members stand in every member's list, with the id of the one.
            !error.contains("alarm:") || error.contains(&format!("memberID:{id} "))
        };
        self.statuses
            .get(&id)
            .is_some_and(|status| status.leader == self.leader && !status.errors.iter().any(own))
    }
}

impl<R: Runner> Access<R> {
    /// What the cluster says of itself, asked at one control plane: etcd's members with their
    /// health, nodes, and pods that fit nowhere.
    ///
    /// # Errors
    /// `Retryable`: nobody answers, or there is no leader.
    pub(crate) async fn view(&self, call: &Call) -> Result<ClusterView, Fault> {
        let remembered = self.remembers();
        match self.heard(self.look(call).await) {
            // What was remembered may be all that is wrong.
            Err(fault) if remembered && fault.class == FaultClass::Retryable => {
                self.heard(self.look(call).await)
            }
            seen => seen,
        }
    }

    async fn look(&self, call: &Call) -> Result<ClusterView, Fault> {
        let addresses = &call.addresses;
        let way = self.way(addresses, None).await?;
        let (membership, kubernetes) =
            tokio::join!(self.membership(&way, addresses), self.kubernetes(addresses));
        let (membership, metrics) = membership?;
        let kubernetes = kubernetes?;
        let mut seats = kubernetes.seats;
        for peer in call.peers.iter() {
            seats.entry(peer.address).or_insert(peer.machine.clone());
        }
        let healthy = self.healthy(&membership, metrics.as_deref());
        let member = |member: &Member| MemberView {
            machine: machine_of(self.cluster(), member, &seats),
            learner: member.learner,
            started: !member.name.is_empty(),
            healthy: healthy.contains(&member.id),
            leader: member.id == membership.leader,
        };
        let mut members: Vec<_> = membership.members.iter().map(member).collect();
        members.sort_by(|a, b| a.machine.cmp(&b.machine));
        Ok(ClusterView {
            members,
            nodes: kubernetes.nodes,
            pending_pods: kubernetes.pending_pods,
            storage: kubernetes.storage,
        })
    }

    /// Members with their statuses, and on the first look the metrics of the one that is asked.
    async fn membership(
        &self,
        way: &Way,
        addresses: &Addresses,
    ) -> Result<(Membership, Option<String>), Fault> {
        let gateway = self.own_member(way, addresses).await?;
        let membership = self.members(way, addresses, &gateway).await?;
        let metrics = if self.with_sight(|sight| sight.is_new()) {
            let text = gateway.text("metrics", LOOK * 2).await;
            Some(text.map_err(|refusal| refusal.fault(false))?)
        } else {
            None
        };
        Ok((membership, metrics))
    }

    /// Members, each asked for its status by way of one control plane.
    pub(super) async fn members(
        &self,
        way: &Way,
        addresses: &Addresses,
        gateway: &Gateway,
    ) -> Result<Membership, Fault> {
        let (list, status) = tokio::join!(gateway.members(LOOK * 2), gateway.status(LOOK));
        let members = list.map_err(|refusal| refusal.fault(false))?;
        let status = status.map_err(|refusal| refusal.fault(false))?;
        if status.leader == 0 {
            return Err(Fault::new(FaultClass::Retryable, "no leader"));
        }
        let (local, leader) = (status.header.member_id, status.leader);
        let others = members.iter().filter(|member| member.id != local);
        let asked = others.filter_map(|member| {
            let (id, to) = (member.id, member.client()?);
            let ask = async move {
                let gateway = self.gateway(way, addresses, to).await.ok()?;
                Some((id, gateway.status(LOOK).await.ok()?))
            };
            // What its tunnel takes to open counts, too.
            let ask = async move { tokio::time::timeout(LOOK, ask).await.ok().flatten() };
            Some(Box::pin(ask) as Branch<'_, Option<(u64, Status)>>)
        });
        let answers = all(asked.collect()).await;
        let mut statuses: BTreeMap<_, _> = answers.into_iter().flatten().collect();
        // Somebody else may have moved to that address.
        statuses.retain(|id, status| status.header.member_id == *id);
        statuses.insert(local, status);
        Ok(Membership {
            members,
            statuses,
            local,
            leader,
        })
    }

    fn healthy(&self, membership: &Membership, metrics: Option<&str>) -> BTreeSet<u64> {
        let ids = membership.members.iter().map(|member| member.id);
        let answering: BTreeSet<_> = ids.filter(|id| membership.answers(*id)).collect();
        let connected = metrics.map(active_peers).unwrap_or_default();
        let now = Instant::now();
        let mut healthy = self.with_sight(|sight| sight.look(now, &answering, &connected));
        // etcd counts the member that is asked, however young it is.
        if answering.contains(&membership.local) {
            healthy.insert(membership.local);
        }
        healthy
    }
}

/// The machine of a member: by its name; one that was never started has none, and is where its
/// peers are to find it. Else a machine that nobody has, so that it can be spoken of.
pub(super) fn machine_of(cluster: &str, member: &Member, seats: &Seats) -> ResourceId {
    if let Some(machine) = names::machine(cluster, &member.name) {
        return machine;
    }
    let seat = member.peer().and_then(|address| seats.get(&address));
    match seat {
        Some(machine) if member.name.is_empty() => machine.clone(),
        Some(_) | None => ResourceId::new(format!("{cluster}/etcd-{:x}/0", member.id)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, peer: &str) -> Member {
        Member {
            id: 0xAB,
            name: name.to_owned(),
            peers: vec![peer.to_owned()],
            clients: Vec::new(),
            learner: false,
        }
    }

    #[test]
    fn every_member_is_on_some_machine() {
        let seat = ResourceId::new("shop/htz-cp/2");
        let seats = Seats::from([(Ipv4Addr::new(10, 88, 0, 2), seat)]);
        let machine = |name, peer| machine_of("shop", &member(name, peer), &seats).to_string();
        let (known, unknown) = ("https://10.88.0.2:2380", "https://10.88.0.9:2380");
        assert_eq!(machine("shop-htz-cp-1", unknown), "shop/htz-cp/1");
        assert_eq!(machine("", known), "shop/htz-cp/2");
        assert_eq!(machine("", unknown), "shop/etcd-ab/0");
        assert_eq!(machine("somebody", known), "shop/etcd-ab/0", "a stranger");
    }

    #[test]
    fn a_member_in_trouble_does_not_answer_and_others_do() {
        let status = |member_id, leader, errors: &[&str]| Status {
            header: super::super::gateway::Header {
                member_id,
                revision: 1,
            },
            leader,
            index: 7,
            learner: false,
            errors: errors.iter().map(|&e| e.to_owned()).collect(),
            version: "3.4.23".to_owned(),
        };
        let alarm = ["memberID:2 alarm:NOSPACE "];
        let membership = Membership {
            members: Vec::new(),
            statuses: BTreeMap::from([
                (1, status(1, 1, &alarm)),
                (2, status(2, 1, &alarm)),
                (3, status(3, 3, &[])),
                (4, status(4, 1, &["etcdserver: no leader"])),
            ]),
            local: 1,
            leader: 1,
        };
        let answering: Vec<_> = (1..=5).filter(|id| membership.answers(*id)).collect();
        assert_eq!(answering, [1]);
    }
}
