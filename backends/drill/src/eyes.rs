//! Who leads etcd and which nodes are Ready, watched from outside while faults are on.
//!
//! A leader counts from when a quorum of members says so, itself among them. One that a fault has
//! silenced leads nobody from that instant, whatever others still believe.

use crate::cast::Cast;
use crate::clients::Clock;
use quorate_engine::manifest::Role;
use quorate_engine::quorum::quorum;
use quorate_engine::resource::ResourceId;
use quorate_engine::time::{Span, Time};
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;

/// Between two looks at a member: the error of the instant of an election.
const LOOK: Duration = Duration::from_millis(20);

/// Between two looks at nodes, whose conditions are seconds late anyway.
const LOOK_AT_NODES: Duration = Duration::from_millis(500);

/// What a member said longer ago counts no more.
const STALE: Span = Span::from_secs(1);

/// What an etcd member says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// Its id.
    pub id: u64,
    /// The id of the member that it follows; zero: none.
    pub leader: u64,
    /// Its term.
    pub term: u64,
}

/// Looks at a cluster.
pub trait Eyes: Send + Sync + 'static {
    /// What the member on a machine says; none if it does not answer.
    fn member(&self, machine: &ResourceId) -> impl Future<Output = Option<Status>> + Send;

    /// Which nodes are Ready; none if nobody answers.
    fn nodes(&self) -> impl Future<Output = Option<BTreeMap<String, bool>>> + Send;
}

/// What was seen, in order of time.
#[derive(Debug, Clone, Default)]
pub struct Sight {
    /// Who led with a quorum behind it, from when on: machines' labels.
    pub leader: Vec<(Time, Option<String>)>,
    /// Members and healthy ones, from when on.
    pub quorum: Vec<(Time, u32, u32)>,
    /// When another leader, or the same one anew, was there.
    pub elections: Vec<Time>,
    /// Nodes that became Ready or not: machines' labels.
    pub readiness: Vec<(Time, String, bool)>,
    members: BTreeMap<ResourceId, Seen>,
    ready: BTreeMap<String, bool>,
    silenced: Vec<ResourceId>,
    last: Option<(u64, u64)>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    /// Of all times: ids do not change.
    id: Option<u64>,
    said: Option<(Time, Status)>,
}

impl Sight {
    /// The machine whose member leads.
    #[must_use]
    pub fn leads(&self, cast: &Cast) -> Option<ResourceId> {
        let label = self.leader.last()?.1.as_ref()?;
        let found = cast.members.iter().find(|member| member.label == *label);
        found.map(|member| member.id.clone())
    }

    /// Members that were ever met, by machine.
    #[must_use]
    pub fn met(&self) -> Vec<ResourceId> {
        let met = self.members.iter().filter(|(_, seen)| seen.id.is_some());
        met.map(|(machine, _)| machine.clone()).collect()
    }

    /// A member said something, or nothing.
    pub fn hear(&mut self, at: Time, machine: &ResourceId, said: Option<Status>, cast: &Cast) {
        let seen = self.members.entry(machine.clone()).or_default();
        seen.id = said.map(|status| status.id).or(seen.id);
        seen.said = said.map(|status| (at, status));
        self.look(at, cast);
    }

    /// From now on nobody hears these machines.
    pub fn silence(&mut self, at: Time, machines: &[ResourceId], cast: &Cast) {
        self.silenced.extend_from_slice(machines);
        self.look(at, cast);
    }

    /// These machines may be heard again.
    pub fn unsilence(&mut self, at: Time, machines: &[ResourceId], cast: &Cast) {
        for machine in machines {
            let place = self.silenced.iter().position(|known| known == machine);
            self.silenced.remove(place.expect("it was silenced"));
            // What it said before is not what it says now.
            if let Some(seen) = self.members.get_mut(machine) {
                seen.said = None;
            }
        }
        self.look(at, cast);
    }

    /// Nodes said how they are.
    pub fn see_nodes(&mut self, at: Time, nodes: &BTreeMap<String, bool>, cast: &Cast) {
        for (node, ready) in nodes {
            if self.ready.insert(node.clone(), *ready) != Some(*ready) {
                let label = cast.named(node).map_or(node, |member| &member.label);
                self.readiness.push((at, label.clone(), *ready));
            }
        }
    }

    fn look(&mut self, at: Time, cast: &Cast) {
        let heard: BTreeMap<&ResourceId, Status> = self
            .members
            .iter()
            .filter(|(machine, _)| !self.silenced.contains(machine))
            .filter_map(|(machine, seen)| {
                let (when, status) = seen.said?;
                (at.since(when) <= STALE).then_some((machine, status))
            })
            .collect();
        let voters = self
            .members
            .values()
            .filter(|seen| seen.id.is_some())
            .count() as u32;
        let leads = heard.iter().find(|(_, own)| {
            let follows = |other: &&Status| other.leader == own.id && other.term == own.term;
            let behind = heard.values().filter(follows).count() as u32;
            own.leader == own.id && behind >= quorum(voters.max(1))
        });
        let found = leads.map(|(machine, status)| ((*machine).clone(), *status));
        let label = found.as_ref().and_then(|(machine, _)| cast.get(machine));
        let label = label.map(|member| member.label.clone());
        if let Some((_, status)) = found {
            let now = (status.id, status.term);
            if self.last.is_some_and(|last| last != now) {
                self.elections.push(at);
            }
            self.last = Some(now);
        }
        if self.leader.last().map(|(_, known)| known) != Some(&label) {
            self.leader.push((at, label));
        }
        let healthy = heard.len() as u32;
        let known = self
            .quorum
            .last()
            .map(|(_, voters, healthy)| (*voters, *healthy));
        if known != Some((voters, healthy)) {
            self.quorum.push((at, voters, healthy));
        }
    }
}

/// A sight that is shared with whoever looks.
#[derive(Debug, Clone, Default)]
pub struct Watched(Arc<Mutex<Sight>>);

impl Watched {
    /// What was seen so far.
    pub fn sight(&self) -> MutexGuard<'_, Sight> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks until it is dropped.
pub async fn watch<E: Eyes>(eyes: &Arc<E>, cast: &Arc<Cast>, clock: Clock, watched: &Watched) {
    let mut looking = JoinSet::new();
    for member in cast.with(Role::ControlPlane) {
        let (eyes, cast, watched) = (Arc::clone(eyes), Arc::clone(cast), watched.clone());
        let machine = member.id.clone();
        looking.spawn(async move {
            loop {
                let said = eyes.member(&machine).await;
                watched.sight().hear(clock.now(), &machine, said, &cast);
                tokio::time::sleep(LOOK).await;
            }
        });
    }
    let (eyes, cast, watched) = (Arc::clone(eyes), Arc::clone(cast), watched.clone());
    looking.spawn(async move {
        loop {
            if let Some(nodes) = eyes.nodes().await {
                watched.sight().see_nodes(clock.now(), &nodes, &cast);
            }
            tokio::time::sleep(LOOK_AT_NODES).await;
        }
    });
    while looking.join_next().await.is_some() {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cast::tests::cast;

    fn at(ms: u64) -> Time {
        Time::ZERO + Span::from_ms(ms)
    }

    fn machine(letter: char) -> ResourceId {
        ResourceId::new(format!("q/cp-{letter}/1"))
    }

    fn says(id: u64, leader: u64, term: u64) -> Option<Status> {
        Some(Status { id, leader, term })
    }

    #[test]
    fn a_leader_that_was_silenced_leads_nobody_from_that_instant() {
        let cast = cast();
        let mut sight = Sight::default();
        for (letter, id) in [('a', 1), ('b', 2), ('c', 3)] {
            sight.hear(at(id), &machine(letter), says(id, 1, 4), &cast);
        }
        assert_eq!(sight.leads(&cast), Some(machine('a')));
        sight.silence(at(1_000), &[machine('a')], &cast);
        assert_eq!(sight.leader.last(), Some(&(at(1_000), None)));
        // The others still believe in it, and then no more.
        sight.hear(at(1_100), &machine('b'), says(2, 1, 4), &cast);
        sight.hear(at(1_900), &machine('b'), says(2, 2, 5), &cast);
        assert_eq!(sight.leads(&cast), None, "one of three is no quorum");
        sight.hear(at(2_300), &machine('c'), says(3, 2, 5), &cast);
        let label = Some("cp-b/1".to_owned());
        assert_eq!(sight.leader.last(), Some(&(at(2_300), label)));
        assert_eq!(sight.elections, [at(2_300)], "the first is not counted");
        sight.unsilence(at(9_000), &[machine('a')], &cast);
        sight.hear(at(9_100), &machine('a'), says(1, 2, 5), &cast);
        sight.hear(at(9_100), &machine('b'), says(2, 2, 5), &cast);
        assert_eq!(sight.leads(&cast), Some(machine('b')));
        assert_eq!(sight.met().len(), 3);
    }

    #[test]
    fn what_was_said_long_ago_counts_no_more() {
        let cast = cast();
        let mut sight = Sight::default();
        for (letter, id) in [('a', 1), ('b', 2), ('c', 3)] {
            sight.hear(at(0), &machine(letter), says(id, 1, 4), &cast);
        }
        sight.hear(at(1_500), &machine('a'), says(1, 1, 4), &cast);
        assert_eq!(sight.leads(&cast), None);
        let last = sight.quorum.last().copied();
        assert_eq!(last, Some((at(1_500), 3, 1)));
    }

    #[test]
    fn nodes_are_told_when_they_change() {
        let cast = cast();
        let mut sight = Sight::default();
        let nodes = |ready| BTreeMap::from([("q-w-a-1".to_owned(), ready)]);
        for (ms, ready) in [(0, true), (500, true), (40_000, false), (90_000, true)] {
            sight.see_nodes(at(ms), &nodes(ready), &cast);
        }
        let node = || "w-a/1".to_owned();
        let expected = [
            (at(0), node(), true),
            (at(40_000), node(), false),
            (at(90_000), node(), true),
        ];
        assert_eq!(sight.readiness, expected);
    }
}
