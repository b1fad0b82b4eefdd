//! The cluster's own lane: kubeadm and etcd, as the orchestrator uses them.
//!
//! Every request goes to some control plane that is reached and whose member knows a leader; it
//! takes its time there, and its answer comes back only while the path is open. What etcd's server
//! itself would refuse is judged by the engine's own rules for its version.

use super::control::ControlEvent;
use super::grounds::led;
use super::stage::ORCHESTRATOR;
use super::watch::Invariant;
use super::{Happening, World};
use crate::etcd::{
    Change, Etcd, MemberId, Options, Outcome as EtcdOutcome, Refusal as EtcdRefusal, Request,
    Version, View,
};
use crate::kube::DrainOutcome;
use quorate_engine::engine::etcd_version;
use quorate_engine::plan::MemberChange;
use quorate_engine::quorum::{self, EtcdVersion, Link, Standing, etcd_judges};
use quorate_engine::resource::{Kind, Resource, ResourceId, Spec};
use quorate_engine::seam::{
    Call, CallId, ClusterView, Fault, FaultClass, MemberView, NodeView, Outcome, Reply, Verb,
};
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
                && self.sees(*host)
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
                self.wait(number, Stage::Finish, takes);
            }
            Verb::List | Verb::Describe | Verb::Probe | Verb::Init => {
                panic!("{} {} is not for the cluster", call.verb, call.target)
            }
        }
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

    /// `kubeadm init`. Idempotent: a cluster that this machine founded stays.
    fn init(&mut self, call: &Call) {
        let machine = call.target.machine();
        let host = self.stage.find(&machine).expect("it was reached");
        if self.etcd.is_some() {
            return;
        }
        let version = etcd_version(&self.manifest);
        let options = self.etcd_options(version, call.resource.as_deref());
        let etcd = Etcd::new(options, self.stage.seed, 1);
        let member = etcd.members().next().expect("one member founds");
        self.stage.seat_member(member, host);
        self.etcd = Some(etcd);
        self.with_etcd(|etcd, ground| etcd.start(ground, member));
        let resource = call.resource.as_ref().expect("what founds has a spec");
        self.cloud.mark_installed(&machine, Arc::clone(resource));
        let version = self.manifest.spec.kubernetes.version.clone();
        let control_plane = Resource {
            id: machine.child("control-plane"),
            provider: resource.provider.clone(),
            spec: Spec::ControlPlane { version },
        };
        self.cloud.mark_installed(&machine, Arc::new(control_plane));
        self.serve_api(&machine, host);
    }

    fn etcd_options(&self, version: EtcdVersion, resource: Option<&Resource>) -> Options {
        let mut options = Options::of(Version::new(version.minor, version.patch));
        if let Some(Spec::EtcdMember {
            heartbeat_ms,
            election_ms,
        }) = resource.map(|r| &r.spec)
        {
            options.heartbeat_ms = *heartbeat_ms;
            options.election_ms = *election_ms;
        }
        options
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
            | Spec::Worker { .. }
            | Spec::Balancer { .. }
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

    fn add_learner(&mut self, number: u64, machine: &ResourceId) {
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
        let Some(member) = self.etcd.as_mut().and_then(Etcd::provision) else {
            return self.refuse(number, FaultClass::Invalid, "this run has no member left");
        };
        self.stage.seat_member(member, host);
        self.request(number, Request::Change(Change::AddLearner(member)), None);
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

    fn change_membership(&mut self, number: u64, verb: Verb, machine: &ResourceId) {
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

    fn machines_by_member(&self) -> Vec<ResourceId> {
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

    pub(super) fn etcd_answered(&mut self, number: u64, outcome: EtcdOutcome) {
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

    fn member_starts(&mut self, number: u64, member: MemberId) {
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

    /// What the cluster says of itself, asked at one control plane.
    fn cluster_view(&mut self, via: u16) -> ClusterView {
        ClusterView {
            members: self.member_views(via),
            nodes: self.node_views(),
            pending_pods: self.pending_pods(),
            storage: self.storage,
        }
    }

    fn member_views(&self, via: u16) -> Vec<MemberView> {
        let (Some(etcd), Some(at)) = (&self.etcd, self.stage.host(via).and_then(|h| h.member))
        else {
            return Vec::new();
        };
        let now = self.stage.now();
        let view = etcd.view(at, at, now);
        let leader = etcd.status(at).leader;
        let machines = self.machines_by_member();
        let member = |m: MemberId| {
            let learner = view.config.learners.contains(m);
            // A learner counts once it answers a health check: it is linked, and knows its leader.
            let near = match learner {
                true => etcd.linked(at, m, now) && etcd.status(m).healthy,
                false => view.connected.contains(m),
            };
            MemberView {
                machine: machines[m.at()].clone(),
                learner,
                started: etcd.started().contains(m),
                healthy: near,
                leader: leader == Some(m),
            }
        };
        view.config.all().map(member).collect()
    }

    fn node_views(&self) -> Vec<NodeView> {
        let mut nodes: BTreeMap<ResourceId, NodeView> = BTreeMap::new();
        for status in self.kube.views() {
            let Some(host) = self.stage.host(status.host) else {
                continue;
            };
            let current = self.stage.find(&host.machine) == Some(status.host);
            let view = NodeView {
                machine: host.machine.clone(),
                ready: status.ready,
                schedulable: status.schedulable,
                control_plane: status.control_plane,
                pods: status.pods,
                load_permille: status.load_permille,
            };
            if current || !nodes.contains_key(&host.machine) {
                nodes.insert(host.machine.clone(), view);
            }
        }
        nodes.into_values().collect()
    }
}

/// The engine's rules for etcd's server, as the model of etcd wants them.
struct Rules {
    version: EtcdVersion,
    machines: Vec<ResourceId>,
}

impl Rules {
    fn judge(&self, change: Change, view: &View) -> EtcdOutcome {
        let target = change.member();
        let standing = |m: MemberId| Standing {
            machine: &self.machines[m.at()],
            learner: view.config.learners.contains(m),
            started: view.started.contains(m) || view.config.learners.contains(m),
            link: match () {
                () if view.connected.contains(m) => Link::Settled,
                () if m == target && view.target_linked => Link::Fresh,
                () => Link::Down,
            },
        };
        let members: Vec<Standing<'_>> = view.config.all().map(standing).collect();
        let machine = self.machines[target.at()].clone();
        let change = match change {
            Change::AddLearner(_) | Change::AddVoter(_) => MemberChange::AddLearner(machine),
            Change::Promote(_) => MemberChange::Promote(machine),
            Change::Remove(_) => MemberChange::Remove(machine),
        };
        etcd_judges(&change, &members, self.version).map_err(|refusal| match refusal {
            quorum::Refusal::LearnerInFlight { .. } => EtcdRefusal::TooManyLearners,
            quorum::Refusal::TooFewStarted { .. } => EtcdRefusal::NotEnoughStarted,
            _ => EtcdRefusal::Unhealthy,
        })
    }
}

/// What a refusal of etcd means for the orchestrator.
fn fault(refusal: EtcdRefusal) -> Fault {
    let class = match refusal {
        EtcdRefusal::NoAnswer => FaultClass::Retryable,
        EtcdRefusal::Exists | EtcdRefusal::NotLearner => FaultClass::Exists,
        EtcdRefusal::NotFound => FaultClass::NotFound,
        EtcdRefusal::LearnerNotReady => FaultClass::Busy,
        EtcdRefusal::TooManyLearners
        | EtcdRefusal::Unhealthy
        | EtcdRefusal::NotEnoughStarted
        | EtcdRefusal::NotLeader
        | EtcdRefusal::BadTransferee
        | EtcdRefusal::Policy => FaultClass::Refused,
        EtcdRefusal::TimedOut => FaultClass::Unknown,
    };
    Fault::new(class, refusal.to_string())
}
