//! Changes of etcd's membership: asked for by the orchestrator, decided by etcd.

use super::rules::{Rules, fault};
use super::{JOIN, Stage, World};
use crate::etcd::{
    Change, Etcd, MemberId, Outcome as EtcdOutcome, Refusal as EtcdRefusal, Request, View,
};
use crate::world::watch::Invariant;
use quorate_engine::engine::etcd_version;
use quorate_engine::quorum;
use quorate_engine::resource::ResourceId;
use quorate_engine::seam::{FaultClass, Reply, Verb};
use std::sync::Arc;

impl World {
    pub(super) fn add_learner(&mut self, number: u64, machine: &ResourceId) {
        let Some(host) = self
            .stage
            .find(machine)
            .filter(|host| self.stage.runs(*host))
        else {
            return self.refuse(number, FaultClass::Retryable, "no ssh");
        };
        if let Some(member) = self.member_on(host) {
            return self.wait(number, Stage::Start(member), JOIN);
        }
        if let Some(apart) = self.apart_from(host) {
            let why = format!("no tunnel to {apart} yet");
            return self.refuse(number, FaultClass::Busy, &why);
        }
        let Some(member) = self.etcd.as_mut().and_then(Etcd::provision) else {
            return self.refuse(number, FaultClass::Invalid, "this run has no member left");
        };
        self.stage.seat_member(member, host);
        self.request(number, Request::Change(Change::AddLearner(member)), None);
    }

    /// A voter that runs, is reached, and has no tunnel to the host.
    fn apart_from(&self, host: u16) -> Option<&str> {
        let voters = self.etcd.as_ref()?.config().voters;
        let mut seats = voters.map(|member| self.stage.host_of(member));
        let apart = seats
            .find(|seat| self.orchestrator_reaches(*seat) && !self.stage.linked(host, *seat))?;
        Some(&self.stage.host(apart)?.label)
    }

    /// The member on a host that is part of the configuration.
    fn member_on(&self, host: u16) -> Option<MemberId> {
        let member = self.stage.host(host)?.member?;
        self.etcd
            .as_ref()?
            .config()
            .all()
            .contains(member)
            .then_some(member)
    }

    /// The member of a machine that is part of the configuration, on whichever host it was.
    fn member_of(&self, machine: &ResourceId) -> Option<MemberId> {
        let hosts = self.hosts_of(machine);
        let etcd = self.etcd.as_ref()?;
        let mut members = etcd
            .config()
            .all()
            .filter(|m| hosts.contains(&self.stage.host_of(*m)));
        members.next()
    }

    pub(super) fn change_membership(&mut self, number: u64, verb: Verb, machine: &ResourceId) {
        let Some(member) = self.member_of(machine) else {
            let class = FaultClass::NotFound;
            return self.refuse(number, class, "it is no member");
        };
        let host = self.stage.host_of(member);
        match verb {
            Verb::Promote => self.request(number, Request::Change(Change::Promote(member)), None),
            Verb::RemoveMember => {
                self.request(number, Request::Change(Change::Remove(member)), Some(host));
            }
            Verb::MoveLeader => {
                let etcd = self.etcd.as_ref().expect("it has members");
                if etcd.leader() != Some(member) {
                    return self.reply(number, Ok(Reply::Done));
                }
                let now = self.stage.now();
                let near = etcd.view(member, member, now).connected;
                let mut able = near.filter(|other| *other != member);
                match able.next() {
                    Some(to) => self.request(number, Request::MoveLeader(to), None),
                    None => self.refuse(number, FaultClass::Refused, "nobody can take over"),
                }
            }
            _ => panic!("{verb} is no change of membership"),
        }
    }

    /// Asks etcd: the leader itself where only that can decide, else any member but `not`.
    fn request(&mut self, number: u64, request: Request, not: Option<u16>) {
        let leader = self.etcd.as_ref().and_then(Etcd::leader);
        let at = match request {
            Request::MoveLeader(_) => leader,
            Request::Change(_) => self.via(not).and_then(|host| self.stage.host(host)?.member),
        };
        let Some(at) = at else {
            return self.refuse(number, FaultClass::Retryable, "no member answers");
        };
        if let Some(job) = self.jobs.open.get_mut(&number) {
            job.stage = Stage::Decide;
        }
        self.guard_truth(request);
        let version = etcd_version(&self.manifest);
        let rules = Rules {
            version,
            machines: self.machines_by_member(),
        };
        let judge = |change: Change, view: &View| rules.judge(change, view);
        self.with_etcd(|etcd, ground| etcd.request(ground, (at, number), request, &judge));
    }

    pub(super) fn machines_by_member(&self) -> Vec<ResourceId> {
        let machine = |host: &u16| {
            self.stage
                .host(*host)
                .map_or_else(|| ResourceId::new(""), |h| h.machine.clone())
        };
        self.stage.members.iter().map(machine).collect()
    }

    /// The invariant of the guard, judged on the truth: no change is asked for that leaves fewer
    /// than a quorum of running voters where there was one.
    fn guard_truth(&mut self, request: Request) {
        let Request::Change(change) = request else {
            return;
        };
        let Some(etcd) = &self.etcd else { return };
        let config = etcd.config();
        let running = |members: crate::etcd::Members| {
            members.filter(|m| etcd.status(*m).healthy).count() as u32
        };
        let after = match change {
            Change::Remove(member) => config.voters.without(member),
            Change::Promote(member) | Change::AddVoter(member) => config.voters.with(member),
            Change::AddLearner(_) => config.voters,
        };
        let (had, has) = (running(config.voters), running(after));
        let held = had >= quorum::quorum(config.voters.len() as u32);
        let holds = has >= quorum::quorum(after.len() as u32);
        if held && !holds {
            let text = format!("{change:?} leaves {has} of {} voters healthy", after.len());
            self.watch
                .violated(Invariant::Guard, self.stage.now(), text);
        }
    }

    pub(in crate::world) fn etcd_answered(&mut self, number: u64, outcome: EtcdOutcome) {
        let Some(job) = self.jobs.open.get(&number).cloned() else {
            return;
        };
        let machine = job.call.target.machine();
        match (job.call.verb, outcome) {
            (Verb::AddLearner, Ok(()) | Err(EtcdRefusal::Exists)) => {
                let host = self.stage.find(&machine);
                if let Some(member) = host.and_then(|host| self.stage.host(host)?.member) {
                    self.wait(number, Stage::Start(member), JOIN);
                }
            }
            (Verb::RemoveMember, Ok(())) => {
                self.retire_member(&machine);
                self.reply(number, Ok(Reply::Done));
            }
            (_, Ok(())) => self.reply(number, Ok(Reply::Done)),
            (_, Err(refusal)) => self.reply(number, Err(fault(refusal))),
        }
    }

    /// A member that was removed exits.
    fn retire_member(&mut self, machine: &ResourceId) {
        for host in self.hosts_of(machine) {
            let Some(member) = self.stage.host_mut(host).member.take() else {
                continue;
            };
            self.with_etcd(|etcd, ground| etcd.crash(ground, member));
        }
        self.cloud.unmark_installed(machine, &machine.child("etcd"));
    }

    pub(super) fn member_starts(&mut self, number: u64, member: MemberId) {
        let host = self.stage.host_of(member);
        if !self.stage.runs(host) {
            self.jobs.open.remove(&number); // the connection broke: nobody will answer
            return;
        }
        self.with_etcd(|etcd, ground| etcd.start(ground, member));
        let call = self.jobs.open.get(&number).map(|job| Arc::clone(&job.call));
        if let Some(resource) = call.and_then(|call| call.resource.clone()) {
            let machine = self.stage.host(host).expect("it runs").machine.clone();
            self.cloud.mark_installed(&machine, resource);
        }
        self.reply(number, Ok(Reply::Done));
    }
}
