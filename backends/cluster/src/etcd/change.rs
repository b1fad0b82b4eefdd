//! Changes of membership. What etcd itself refuses comes back as [`FaultClass::Refused`] with its
//! own words; a request that was carried out before is answered as done.

use super::view::{Membership, Seats, machine_of};
use super::{Gateway, LOOK, Member, Refusal};
use crate::Access;
use crate::access::{Addresses, Way};
use quorate_engine::resource::ResourceId;
use quorate_engine::seam::{Call, Fault, FaultClass, Outcome, Reply};
use quorate_hosts::Runner;

impl<R: Runner> Access<R> {
    /// Makes a learner a voter.
    ///
    /// # Errors
    /// `NotFound`: it is no member. `Busy`: it has not caught up yet. `Refused`: etcd's own rules.
    pub(crate) async fn promote(&self, call: &Call, machine: &ResourceId) -> Outcome {
        self.heard(self.make_voter(&call.addresses, machine).await)
    }

    async fn make_voter(&self, addresses: &Addresses, machine: &ResourceId) -> Outcome {
        let way = self.elsewhere(addresses, machine).await?;
        let gateway = self.own_member(&way, addresses).await?;
        let members = list(&gateway).await?;
        let Some(member) = self.member_of(machine, &members, addresses).await? else {
            return Err(no_member(machine));
        };
        if !member.learner {
            return Ok(Reply::Done);
        }
        self.snapshot_before(&gateway).await?;
        match gateway.promote(member.id).await {
            Ok(()) => Ok(Reply::Done),
            Err(refusal) if is_voter(&refusal) => Ok(Reply::Done),
            Err(refusal) => Err(refusal.fault(true)),
        }
    }

    /// Hands leadership to another voter, if this machine's member has it: to the one that has most
    /// of the log.
    ///
    /// # Errors
    /// `NotFound`: it is no member. `Refused`: nobody can take over.
    pub(crate) async fn move_leader(&self, call: &Call, machine: &ResourceId) -> Outcome {
        self.heard(self.hand_over(&call.addresses, machine).await)
    }

    async fn hand_over(&self, addresses: &Addresses, machine: &ResourceId) -> Outcome {
        let way = self.elsewhere(addresses, machine).await?;
        let gateway = self.own_member(&way, addresses).await?;
        let membership = self.members(&way, addresses, &gateway).await?;
        let found = self
            .member_of(machine, &membership.members, addresses)
            .await?;
        let Some(member) = found else {
            return Err(no_member(machine));
        };
        if membership.leader != member.id {
            return Ok(Reply::Done);
        }
        let (Some(to), Some(at)) = (successor(&membership, member.id), member.client()) else {
            return Err(Fault::new(FaultClass::Refused, "nobody can take over"));
        };
        // Only the leader itself hands over.
        let leader = self.gateway(&way, addresses, at).await?;
        match leader.transfer(to).await {
            Ok(()) => Ok(Reply::Done),
            // It was the leader a moment ago: whether it still is, the next look says.
            Err(Refusal::Said { words, .. }) if words.contains("not leader") => {
                Err(Fault::new(FaultClass::Retryable, words))
            }
            Err(refusal) => Err(refusal.fault(true)),
        }
    }

    /// Removes a machine's member, asked for at another one. Absent is success.
    ///
    /// # Errors
    /// `Refused`: etcd's own rules. `Retryable`: no other control plane answers.
    pub(crate) async fn remove_member(&self, call: &Call, machine: &ResourceId) -> Outcome {
        self.heard(self.remove(&call.addresses, machine).await)
    }

    async fn remove(&self, addresses: &Addresses, machine: &ResourceId) -> Outcome {
        let way = self.way(addresses, Some(machine)).await?;
        let gateway = self.own_member(&way, addresses).await?;
        let members = list(&gateway).await?;
        let Some(member) = self.member_of(machine, &members, addresses).await? else {
            return Ok(Reply::Done);
        };
        self.take_out(&gateway, member).await?;
        Ok(Reply::Done)
    }

    /// Removes a machine's member if it was never started: what a join that broke off leaves, and
    /// what keeps etcd from taking in another one.
    pub(crate) async fn remove_unstarted(
        &self,
        addresses: &Addresses,
        machine: &ResourceId,
    ) -> Result<(), Fault> {
        let way = self.way(addresses, Some(machine)).await?;
        let gateway = self.own_member(&way, addresses).await?;
        let members = list(&gateway).await?;
        if members.iter().all(|member| !member.name.is_empty()) {
            return Ok(());
        }
        let seats = self.kubernetes(addresses).await?.seats;
        let theirs = |member: &&Member| {
            member.name.is_empty() && machine_of(self.cluster(), member, &seats) == *machine
        };
        match members.iter().find(theirs) {
            Some(member) => self.take_out(&gateway, member).await,
            None => Ok(()),
        }
    }

    async fn take_out(&self, gateway: &Gateway, member: &Member) -> Result<(), Fault> {
        let asked = gateway.status(LOOK).await.map_err(|e| e.fault(false))?;
        if asked.header.member_id == member.id {
            let what = "the member to be removed is the one that answers: nobody else does";
            return Err(Fault::new(FaultClass::Retryable, what));
        }
        self.snapshot_before(gateway).await?;
        match gateway.remove(member.id).await {
            Ok(()) => Ok(()),
            Err(refusal) if refusal.is_absent() => Ok(()),
            Err(refusal) => Err(refusal.fault(true)),
        }
    }

    /// A control plane other than this one; it itself where nobody else answers.
    async fn elsewhere(&self, addresses: &Addresses, machine: &ResourceId) -> Result<Way, Fault> {
        match self.way(addresses, Some(machine)).await {
            Ok(way) => Ok(way),
            Err(_) => self.way(addresses, None).await,
        }
    }

    /// The member of a machine: by name, or, of those that were never started, by address.
    async fn member_of<'a>(
        &self,
        machine: &ResourceId,
        members: &'a [Member],
        addresses: &Addresses,
    ) -> Result<Option<&'a Member>, Fault> {
        let on = |seats: &Seats| {
            let theirs = |m: &&'a Member| machine_of(self.cluster(), m, seats) == *machine;
            let mut theirs: Vec<_> = members.iter().filter(theirs).collect();
            // What has no vote costs nothing to lose.
            theirs.sort_by_key(|member| (!member.learner, member.id));
            theirs.first().copied()
        };
        let found = on(&Seats::new());
        if found.is_some() || members.iter().all(|member| !member.name.is_empty()) {
            return Ok(found);
        }
        Ok(on(&self.kubernetes(addresses).await?.seats))
    }
}

async fn list(gateway: &Gateway) -> Result<Vec<Member>, Fault> {
    gateway.members(LOOK * 2).await.map_err(|e| e.fault(false))
}

fn no_member(machine: &ResourceId) -> Fault {
    Fault::new(
        FaultClass::NotFound,
        format!("{machine} has no member of etcd"),
    )
}

/// Somebody promoted it before.
fn is_voter(refusal: &Refusal) -> bool {
    let Refusal::Said { words, .. } = refusal else {
        return false;
    };
    words.ends_with("can only promote a learner member")
}

/// The voter that has most of the log; the smallest id among equals.
fn successor(membership: &Membership, leader: u64) -> Option<u64> {
    let voters = membership.members.iter().filter(|member| !member.learner);
    let able = voters.filter(|member| member.id != leader && membership.answers(member.id));
    let rank = |id: u64| (membership.statuses[&id].index, std::cmp::Reverse(id));
    able.map(|member| member.id).max_by_key(|id| rank(*id))
}
