//! What each model stands on: its own view of the rest of the world.

use super::stage::{ORCHESTRATOR, Stage, State};
use super::{Cross, Happening};
use crate::cloud::{self, CloudEvent};
use crate::etcd::{self, Etcd, EtcdEvent, EtcdNote, MemberId};
use crate::kube::{self, DrainOutcome, Kube, KubeEvent, KubeNote, Seat, WorkloadId};
use crate::outcome::Track;
use crate::scenario::Process;
use crate::traffic::{
    self, End, Health, Path, Probe, Request, RequestKind, Served, Service, TrafficEvent,
    TrafficNote,
};
use quorate_engine::random::mix;
use quorate_engine::resource::{Resource, ResourceId};
use quorate_engine::seam::{CallId, Fault, FaultClass, Outcome};
use quorate_engine::time::{Span, Time};

/// How long an API server takes for a request that it answers from memory.
const API_READ: Span = Span::from_ms(2);

/// How long a workload takes for a request.
const INGRESS: Span = Span::from_ms(10);

pub(super) struct EtcdGround<'a> {
    pub(super) stage: &'a mut Stage,
}

impl etcd::Ground for EtcdGround<'_> {
    #[inline]
    fn now(&self) -> Time {
        self.stage.now()
    }

    #[inline]
    fn after(&mut self, delay: Span, event: EtcdEvent) {
        let founding = self.stage.foundings;
        self.stage.after(delay, Happening::Etcd(founding, event));
    }

    #[inline]
    fn carry(&mut self, from: MemberId, to: MemberId) -> Option<Span> {
        let (from, to) = (self.stage.host_of(from), self.stage.host_of(to));
        if !self.stage.runs(to) {
            return None;
        }
        let now = self.stage.queue.now();
        // Members speak over TCP.
        if self.stage.net.is_unheard(now, from, to) {
            return None;
        }
        self.stage.net.carry(now, from, to)
    }

    fn fsync(&mut self, member: MemberId) -> Span {
        self.stage.fsync(member)
    }

    fn note(&mut self, note: EtcdNote) {
        // Commits are many, and concern nobody else.
        if !matches!(note, EtcdNote::Committed { .. }) {
            self.stage.outbox.push_back(Cross::Etcd(note));
        }
    }
}

/// Whether the member on a host runs and knows a leader.
pub(super) fn led(etcd: Option<&Etcd>, stage: &Stage, host: u16) -> bool {
    let member = stage.host(host).and_then(|host| host.member);
    member
        .zip(etcd)
        .is_some_and(|(member, etcd)| etcd.status(member).healthy)
}

/// Whether a write from there to the API would succeed now.
pub(super) fn api_writable(etcd: Option<&Etcd>, stage: &Stage, from: Seat) -> bool {
    let able = |host: u16| stage.api_up(host) && led(etcd, stage, host);
    match from {
        // A node speaks through its kubelet.
        Seat::Node(node) if stage.state(node, Process::Kubelet) != State::Well => false,
        Seat::Node(node) => stage.api_hosts().any(|host| {
            let near = host == node || (stage.reaches(node, host) && stage.linked(node, host));
            able(host) && near
        }),
        Seat::ControlPlane(host) => able(host),
        Seat::Operator => stage
            .api_hosts()
            .any(|host| able(host) && stage.reaches(ORCHESTRATOR, host)),
    }
}

pub(super) struct TrafficGround<'a> {
    pub(super) stage: &'a mut Stage,
    pub(super) etcd: Option<&'a Etcd>,
    pub(super) kube: &'a Kube,
    /// Which workload answers behind a role, by role.
    pub(super) workloads: &'a [Option<WorkloadId>],
    /// Which role a population comes through.
    pub(super) roles: &'a [u16],
}

impl TrafficGround<'_> {
    fn endpoint(&self, end: End) -> u16 {
        match end {
            End::Client(site) => self.stage.sites[usize::from(site)],
            End::Host(host) => host,
            End::DnsProvider(provider) => self.stage.dns_providers[usize::from(provider)],
        }
    }

    /// kube-proxy of the node where a request enters picks one of the endpoints it knows.
    fn ingress(&mut self, request: Request, host: u16) -> Served {
        let role = self
            .roles
            .get(usize::from(request.population))
            .copied()
            .unwrap_or_default();
        let workload = self.workloads.get(usize::from(role)).copied().flatten();
        let Some(workload) = workload else {
            return Served::After(self.stage.service(INGRESS));
        };
        let endpoints = self.kube.endpoints(host, workload);
        if endpoints.is_empty() {
            return Served::Fails(Span::from_ms(1));
        }
        let pick = mix(u64::from(request.id.slot) << 32 | u64::from(request.id.generation));
        let pod = endpoints[(pick % endpoints.len() as u64) as usize];
        if !self
            .kube
            .serves(&KubeView { stage: self.stage }, workload, pod)
        {
            // The endpoint is stale: its machine is silent, or its kernel refuses.
            return if self.stage.runs(pod) {
                Served::Fails(Span::from_ms(1))
            } else {
                Served::Later
            };
        }
        if pod == host {
            return Served::After(self.stage.service(INGRESS));
        }
        let now = self.stage.now();
        let there = self.stage.net.carry(now, host, pod);
        let back = self.stage.net.carry(now, pod, host);
        match (there, back) {
            (Some(there), Some(back)) => Served::After(there + back + self.stage.service(INGRESS)),
            _ => Served::Later,
        }
    }
}

impl traffic::Ground for TrafficGround<'_> {
    #[inline]
    fn now(&self) -> Time {
        self.stage.now()
    }

    #[inline]
    fn after(&mut self, delay: Span, event: TrafficEvent) {
        self.stage.after(delay, Happening::Traffic(event));
    }

    fn path(&mut self, from: End, to: End) -> Path {
        let (source, target) = (self.endpoint(from), self.endpoint(to));
        let silent = |end: End| matches!(end, End::Host(host) if !self.stage.runs(host));
        if silent(to) || silent(from) {
            return Path::Blackhole;
        }
        let now = self.stage.now();
        match self.stage.net.carry(now, source, target) {
            Some(one_way) => Path::Open { one_way },
            None => Path::Blackhole,
        }
    }

    fn listens(&self, host: u16, what: Service) -> bool {
        match what {
            Service::LoadBalancer => {
                self.stage.runs(host) && self.stage.state(host, Process::Haproxy) != State::Dead
            }
            Service::Ingress => self.stage.runs(host),
            Service::Api => self.stage.api_listens(host),
        }
    }

    fn stands_still(&self, host: u16, what: Service) -> bool {
        let process = match what {
            Service::LoadBalancer => Process::Haproxy,
            Service::Api => Process::KubeApiserver,
            Service::Ingress => return false,
        };
        self.stage.state(host, process) == State::Still
    }

    fn health(&self, host: u16, what: Service, probe: Probe) -> Health {
        if self.stands_still(host, what) {
            return Health::Silent;
        }
        match (what, probe) {
            (Service::Api, Probe::Ready) if !led(self.etcd, self.stage, host) => Health::Silent,
            (Service::Api | Service::LoadBalancer | Service::Ingress, _) => Health::Ready,
        }
    }

    fn serve(&mut self, request: Request, host: u16) -> Served {
        let api = request.kind != RequestKind::Ingress;
        if api && self.stands_still(host, Service::Api) {
            return Served::Later;
        }
        match request.kind {
            RequestKind::Ingress => self.ingress(request, host),
            RequestKind::ApiRead => Served::After(self.stage.service(API_READ)),
            // The API server waits for its member, and its client for both.
            RequestKind::ApiWrite if self.stage.state(host, Process::Etcd) == State::Still => {
                Served::Later
            }
            RequestKind::ApiWrite => {
                self.stage.outbox.push_back(Cross::Write {
                    request: request.id,
                    host,
                });
                Served::Later
            }
        }
    }

    fn note(&mut self, note: TrafficNote) {
        self.stage.outbox.push_back(Cross::Traffic(note));
    }
}

/// The part of a ground that questions to the control loops need.
struct KubeView<'a> {
    stage: &'a Stage,
}

impl kube::Ground for KubeView<'_> {
    fn now(&self) -> Time {
        self.stage.now()
    }
    fn after(&mut self, _: Span, _: KubeEvent) {
        unreachable!("a question changes nothing")
    }
    fn api_writable(&mut self, _: Seat) -> bool {
        unreachable!("a question changes nothing")
    }
    fn host_alive(&self, host: u16) -> bool {
        self.stage.runs(host)
    }
    fn note(&mut self, _: KubeNote) {
        unreachable!("a question changes nothing")
    }
    fn drained(&mut self, _: u16, _: DrainOutcome) {
        unreachable!("a question changes nothing")
    }
}

pub(super) struct KubeGround<'a> {
    pub(super) stage: &'a mut Stage,
    pub(super) etcd: Option<&'a Etcd>,
}

impl kube::Ground for KubeGround<'_> {
    fn now(&self) -> Time {
        self.stage.now()
    }

    fn after(&mut self, delay: Span, event: KubeEvent) {
        self.stage.after(delay, Happening::Kube(event));
    }

    fn api_writable(&mut self, from: Seat) -> bool {
        api_writable(self.etcd, self.stage, from)
    }

    fn host_alive(&self, host: u16) -> bool {
        self.stage.runs(host)
    }

    fn note(&mut self, note: KubeNote) {
        self.stage.outbox.push_back(Cross::Kube(note));
    }

    fn drained(&mut self, host: u16, outcome: DrainOutcome) {
        self.stage
            .outbox
            .push_back(Cross::Drained { host, outcome });
    }
}

pub(super) struct CloudGround<'a> {
    pub(super) stage: &'a mut Stage,
    pub(super) etcd: Option<&'a Etcd>,
}

impl cloud::Ground for CloudGround<'_> {
    fn now(&self) -> Time {
        self.stage.now()
    }

    fn after(&mut self, delay: Span, event: CloudEvent) {
        self.stage.after(delay, Happening::Cloud(event));
    }

    fn answer(&mut self, call: CallId, outcome: Outcome) {
        self.stage.outbox.push_back(Cross::Answer { call, outcome });
    }

    fn reachable(&mut self, machine: &ResourceId) -> Option<Span> {
        let Some(host) = self.stage.find(machine) else {
            return Some(Span::from_ms(10)); // it boots, and nothing is known against its network
        };
        let now = self.stage.now();
        if !self.stage.net.is_open(now, host, ORCHESTRATOR) {
            return None;
        }
        self.stage.net.carry(now, ORCHESTRATOR, host)
    }

    fn admits(&mut self, machine: &ResourceId, resource: &Resource) -> Result<(), Fault> {
        let joins = matches!(resource.spec, quorate_engine::resource::Spec::Worker { .. });
        let host = self.stage.find(machine);
        let able = host.is_some_and(|host| api_writable(self.etcd, self.stage, Seat::Node(host)));
        if joins && !able {
            return Err(Fault::new(
                FaultClass::Retryable,
                "no API server answers the join",
            ));
        }
        Ok(())
    }

    fn changed(&mut self, change: cloud::Change) {
        self.stage.outbox.push_back(Cross::Cloud(change));
    }

    fn note(&mut self, note: cloud::Note) {
        match note {
            // The fault that switched it on has its own line.
            cloud::Note::Trouble { .. } => {}
            cloud::Note::Lost { ref call, .. } if !call.verb.mutates() => {}
            cloud::Note::Lost { .. } => self.stage.note(Track::Cloud, note.to_string()),
            cloud::Note::Duplicated { ref id } => {
                self.stage.outbox.push_back(Cross::Duplicated(id.clone()));
                self.stage.note(Track::Cloud, note.to_string());
            }
        }
    }
}
