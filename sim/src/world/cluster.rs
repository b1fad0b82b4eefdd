//! The cluster's own lane: kubeadm and etcd, as the orchestrator uses them.
//!
//! Every request goes to some control plane that is reached and whose member knows a leader; it
//! takes its time there, and its answer comes back only while the path is open. What etcd's server
//! itself would refuse is judged by the engine's own rules for its version.

mod founding;
mod members;
mod rules;
mod view;

use super::control::ControlEvent;
use super::grounds::led;
use super::stage::ORCHESTRATOR;
use super::{Happening, World};
use crate::etcd::MemberId;
use crate::kube::DrainOutcome;
use quorate_engine::resource::{Kind, ResourceId, Spec};
use quorate_engine::seam::{Call, CallId, Fault, FaultClass, Outcome, Reply, Verb};
use quorate_engine::time::Span;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How long the orchestrator tries to connect to an API server before it tries another.
const CONNECT: Span = Span::from_secs(5);

/// From a member that was added to its running process: `kubeadm join`, image there already.
const JOIN: Span = Span::from_secs(8);

/// A request of the cluster's lane under way.
#[derive(Debug, Clone)]
pub(super) struct Job {
    id: CallId,
    life: u32,
    call: Arc<Call>,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It travels.
    Arrive,
    /// Something on a machine takes its time.
    Finish,
    /// etcd decides.
    Decide,
    /// The process of a member that was added starts.
    Start(MemberId),
}

/// Requests under way.
#[derive(Debug, Clone, Default)]
pub(super) struct Jobs {
    next: u64,
    open: BTreeMap<u64, Job>,
    /// Which request waits for the drain of a host.
    drains: BTreeMap<u16, u64>,
}

impl World {
    /// Takes a call for the cluster's lane.
    pub(super) fn cluster_call(&mut self, id: CallId, call: &Arc<Call>) {
        let number = self.jobs.next;
        self.jobs.next += 1;
        let life = self.control.life();
        let job = Job {
            id,
            life,
            call: Arc::clone(call),
            stage: Stage::Arrive,
        };
        self.jobs.open.insert(number, job);
        let travel = self.way_there(call).unwrap_or(CONNECT);
        self.later(number, travel);
    }

    fn later(&mut self, number: u64, delay: Span) {
        self.stage
            .after(delay, Happening::Control(ControlEvent::Work(number)));
    }

    /// One way to whoever serves the call.
    fn way_there(&mut self, call: &Call) -> Option<Span> {
        let host = match call.verb {
            Verb::Init => self.stage.find(&call.target.machine()),
            _ => self.via(None),
        }?;
        let now = self.stage.now();
        self.stage.net.carry(now, ORCHESTRATOR, host)
    }

    /// A control plane that is reached and whose member knows a leader, other than `not`.
    fn via(&self, not: Option<u16>) -> Option<u16> {
        let able = |host: &u16| {
            Some(*host) != not
                && self.orchestrator_reaches(*host)
                && self.stage.api_up(*host)
                && led(self.etcd.as_ref(), &self.stage, *host)
        };
        self.stage.api_hosts().find(able)
    }

    /// A request has come to its next point.
    pub(super) fn work(&mut self, number: u64) {
        let Some(job) = self.jobs.open.get(&number).cloned() else {
            return;
        };
        match job.stage {
            Stage::Arrive => self.arrived(number, &job.call),
            Stage::Finish => self.finished(number, &job.call),
            Stage::Start(member) => self.member_starts(number, member),
            Stage::Decide => {}
        }
    }

    /// Sends the answer, if its way is open and somebody still waits for it.
    fn reply(&mut self, number: u64, outcome: Outcome) {
        let Some(job) = self.jobs.open.remove(&number) else {
            return;
        };
        if job.life == self.control.life() {
            self.answered(job.id, outcome);
        }
    }

    fn refuse(&mut self, number: u64, class: FaultClass, why: &str) {
        self.reply(number, Err(Fault::new(class, why)));
    }

    fn wait(&mut self, number: u64, stage: Stage, delay: Span) {
        if let Some(job) = self.jobs.open.get_mut(&number) {
            job.stage = stage;
            self.later(number, delay);
        }
    }

    fn arrived(&mut self, number: u64, call: &Arc<Call>) {
        if call.verb == Verb::Init {
            return self.init_arrived(number, call);
        }
        let Some(via) = self.via(None) else {
            return self.refuse(number, FaultClass::Retryable, "no API server answers");
        };
        let machine = call.target.machine();
        match call.verb {
            Verb::Cluster => {
                let view = self.cluster_view(via);
                self.reply(number, Ok(Reply::Cluster(view)));
            }
            Verb::AddLearner => self.add_learner(number, &machine),
            Verb::Promote | Verb::RemoveMember | Verb::MoveLeader => {
                self.change_membership(number, call.verb, &machine);
            }
            Verb::Drain => self.drain(number, &machine),
            Verb::Create | Verb::Update | Verb::Delete => {
                let takes = self.takes(call);
                self.restart(call, takes);
                self.wait(number, Stage::Finish, takes);
            }
            Verb::List | Verb::Describe | Verb::Probe | Verb::Init => {
                panic!("{} {} is not for the cluster", call.verb, call.target)
            }
        }
    }

    /// What another version or another timing of a control plane takes down for a while: its member
    /// ends politely, its API server is away, and both start anew before the work is done.
    fn restart(&mut self, call: &Call, takes: Span) {
        let machine = call.target.machine();
        let Some(wanted) = call.resource.as_ref().filter(|_| call.verb == Verb::Update) else {
            return;
        };
        // Whoever comes while kubeadm is still at work waits for it, and finds all done.
        let at_work = self.jobs.open.values().any(|job| {
            let same = job.call.verb == Verb::Update && job.call.target.machine() == machine;
            same && job.stage == Stage::Finish
        });
        let other = |version: &String| self.version_on(&machine) != *version;
        let renews = matches!(wanted.spec, Spec::EtcdMember { .. })
            || matches!(&wanted.spec, Spec::ControlPlane { version, .. } if other(version));
        let Some(host) = self
            .stage
            .find(&machine)
            .filter(|host| self.stage.runs(*host))
        else {
            return;
        };
        if !renews || at_work {
            return;
        }
        let state = self.stage.host(host).expect("it runs");
        let (member, boot) = (state.member, state.boot);
        if let Some(member) = member {
            self.with_etcd(|etcd, ground| etcd.stop(ground, member));
        }
        let back = self.stage.now() + takes;
        if let Some(from) = &mut self.stage.host_mut(host).api_from {
            *from = back;
        }
        self.refresh_balancers();
        self.paths_changed();
        let starts = Span(takes.0 / 2);
        self.stage.after(starts, Happening::Boot(host, boot));
    }

    /// How long work in the cluster takes: lognormal around the usual.
    fn takes(&self, call: &Call) -> Span {
        let kind = call.resource.as_ref().map(|resource| resource.spec.kind());
        let median = match (call.verb, kind) {
            (Verb::Init, _) => Span::from_secs(22),
            (Verb::Delete, _) => Span::from_ms(300),
            (_, Some(Kind::StoragePool)) => Span::from_secs(45),
            (_, _) => Span::from_secs(15),
        };
        let mut luck = self.stage.seed.stream_of(call.key.0, "kubeadm");
        luck.lognormal(median, 0.2)
    }

    fn init_arrived(&mut self, number: u64, call: &Arc<Call>) {
        let host = self.stage.find(&call.target.machine());
        if !host.is_some_and(|host| self.orchestrator_reaches(host)) {
            return self.refuse(number, FaultClass::Retryable, "no ssh");
        }
        let takes = self.takes(call);
        self.wait(number, Stage::Finish, takes);
    }

    fn finished(&mut self, number: u64, call: &Arc<Call>) {
        let machine = call.target.machine();
        let host = self.stage.find(&machine);
        let cluster_wide = matches!(
            call.resource.as_ref().map(|resource| resource.spec.kind()),
            Some(Kind::StoragePool)
        );
        if call.verb != Verb::Delete && !cluster_wide && !host.is_some_and(|h| self.stage.runs(h)) {
            self.jobs.open.remove(&number); // the connection broke: nobody will answer
            return;
        }
        match call.verb {
            Verb::Init => self.init(call),
            Verb::Delete => self.forget(&machine, call),
            Verb::Create | Verb::Update => self.install(call),
            Verb::List
            | Verb::Describe
            | Verb::Probe
            | Verb::Cluster
            | Verb::AddLearner
            | Verb::Promote
            | Verb::MoveLeader
            | Verb::RemoveMember
            | Verb::Drain => panic!("{} has no end of this kind", call.verb),
        }
        self.reply(number, Ok(Reply::Done));
    }

    fn serve_api(&mut self, machine: &ResourceId, host: u16) {
        self.stage.host_mut(host).api_from = Some(self.stage.now());
        let node = self.node_spec(machine, Vec::new(), true);
        self.with_kube(|kube, ground| kube.add_node(ground, host, &node));
        self.refresh_balancers();
        self.paths_changed();
    }

    fn install(&mut self, call: &Call) {
        let resource = call.resource.as_ref().expect("what is made has a spec");
        let machine = call.target.machine();
        match &resource.spec {
            Spec::StoragePool { .. } => self.storage = Some(resource.spec.fingerprint()),
            Spec::ControlPlane { .. } => {
                self.cloud.mark_installed(&machine, Arc::clone(resource));
                let host = self.stage.find(&machine).expect("it runs");
                self.serve_api(&machine, host);
            }
            Spec::EtcdMember { .. } => {
                self.cloud.mark_installed(&machine, Arc::clone(resource));
            }
            Spec::Network { .. }
            | Spec::Firewall { .. }
            | Spec::Machine { .. }
            | Spec::Host { .. }
            | Spec::Peer { .. }
            | Spec::Links { .. }
            | Spec::Worker { .. }
            | Spec::Balancer { .. }
            | Spec::ApiProxy { .. }
            | Spec::RecordSet { .. } => panic!("{} is not for the cluster", resource.id),
        }
    }

    /// Removes a node from the cluster, with what ran on it for the cluster.
    fn forget(&mut self, machine: &ResourceId, call: &Call) {
        let hosts: Vec<u16> = self.hosts_of(machine);
        for host in hosts {
            self.with_kube(|kube, ground| kube.remove_node(ground, host));
            self.stage.host_mut(host).api_from = None;
        }
        self.cloud.unmark_installed(machine, &call.target);
        self.paths_changed();
    }

    /// Every host that ever was this machine.
    fn hosts_of(&self, machine: &ResourceId) -> Vec<u16> {
        let is = |(_, host): &(usize, &Option<super::stage::Host>)| {
            host.as_ref().is_some_and(|host| host.machine == *machine)
        };
        self.stage
            .hosts
            .iter()
            .enumerate()
            .filter(is)
            .map(|(n, _)| n as u16)
            .collect()
    }

    fn drain(&mut self, number: u64, machine: &ResourceId) {
        let Some(host) = self.stage.find(machine) else {
            return self.reply(number, Ok(Reply::Done));
        };
        if let Some(job) = self.jobs.open.get_mut(&number) {
            job.stage = Stage::Decide;
        }
        self.jobs.drains.insert(host, number);
        self.with_kube(|kube, ground| kube.drain(ground, host));
    }

    pub(super) fn drained(&mut self, host: u16, outcome: DrainOutcome) {
        let Some(number) = self.jobs.drains.remove(&host) else {
            return;
        };
        match outcome {
            DrainOutcome::Done => self.reply(number, Ok(Reply::Done)),
            DrainOutcome::Stuck => {
                self.refuse(
                    number,
                    FaultClass::Busy,
                    "disruption budgets allow no eviction",
                );
            }
        }
    }
}
