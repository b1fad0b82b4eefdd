//! The simulated world: clouds, network, etcd, Kubernetes, entry points and clients around one
//! queue, with the orchestrator's engine among them.
//!
//! Reading order: this file (the loop), `stage` (what models share), `grounds` (what each model
//! sees of the others), `changes` (what one model's change means to others), `cluster` (kubeadm and
//! etcd for the orchestrator), `control` (the driver of the engine), `watch` (what is measured and
//! what must never happen), `faults` (what scenarios do to all of it).

mod changes;
mod cluster;
mod control;
mod faults;
mod grounds;
mod mesh;
mod processes;
mod setup;
mod stage;
mod tally;
mod watch;

pub use control::CrashPoint;
pub use faults::{Applied, FaultError};
pub use setup::{Site, WorldSettings};
pub use watch::{Invariant, Violation, Watch};

use crate::cloud::{self, Cloud, CloudEvent};
use crate::etcd::{Etcd, EtcdEvent, EtcdNote};
use crate::kube::{DrainOutcome, Kube, KubeEvent, KubeNote, WorkloadId};
use crate::outcome::Note;
use crate::scenario::Process;
use crate::traffic::{RequestId, Traffic, TrafficEvent, TrafficNote};
use control::{Control, ControlEvent};
use grounds::{CloudGround, EtcdGround, KubeGround, TrafficGround};
use quorate_engine::manifest::Manifest;
use quorate_engine::random::mix;
use quorate_engine::resource::ResourceId;
use quorate_engine::seam::{CallId, Outcome};
use quorate_engine::time::Time;
use stage::Stage;
use std::collections::BTreeMap;
use std::sync::Arc;
use tally::Tally;

/// Everything that can happen.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Happening {
    /// For the cluster that was founded after so many others.
    Etcd(u16, EtcdEvent),
    Traffic(TrafficEvent),
    Cloud(CloudEvent),
    Kube(KubeEvent),
    Control(ControlEvent),
    /// Something that was installed has started: host, boot.
    Boot(u16, u32),
    /// The API server of a host begins to serve: host, boot.
    ApiUp(u16, u32),
    /// A process that died is started again: host, which, boot.
    Respawn(u16, Process, u32),
    /// Name servers that died are there again: their provider's number.
    NamesBack(u16),
    /// A path of the network opens again after a handshake.
    PathsChanged,
    /// A connection between members that came up is usable now.
    Linked,
}

/// What one model did and others feel.
#[derive(Debug)]
pub(crate) enum Cross {
    Etcd(EtcdNote),
    Traffic(TrafficNote),
    Kube(KubeNote),
    Cloud(cloud::Change),
    Answer { call: CallId, outcome: Outcome },
    Write { request: RequestId, host: u16 },
    Drained { host: u16, outcome: DrainOutcome },
    Duplicated(ResourceId),
}

/// The world of one run.
pub struct World {
    stage: Stage,
    cloud: Cloud,
    etcd: Option<Etcd>,
    kube: Kube,
    traffic: Traffic,
    control: Control,
    watch: Watch,
    jobs: cluster::Jobs,
    manifest: Arc<Manifest>,
    /// Numbers of roles of load balancers, by `balancer/role`.
    roles: Vec<String>,
    /// The workload behind each role.
    role_workloads: Vec<Option<WorkloadId>>,
    /// The role each population comes through.
    population_roles: Vec<u16>,
    /// Record sets by id: number in the traffic model.
    records: BTreeMap<ResourceId, u16>,
    /// Numbers of DNS providers in the traffic model, by name.
    dns_numbers: BTreeMap<String, u16>,
    /// Writes under way in etcd: which request waits for each.
    writes: BTreeMap<u64, RequestId>,
    next_write: u64,
    /// Fingerprint of the installed storage.
    storage: Option<u64>,
    tally: Tally,
}

impl World {
    /// What time it is.
    #[must_use]
    pub fn now(&self) -> Time {
        self.stage.now()
    }

    /// Events so far.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.tally.total()
    }

    /// Events so far, by kind.
    pub fn events_by_kind(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.tally.by_kind()
    }

    /// The hash of everything that happened so far.
    #[must_use]
    pub fn trace_hash(&self) -> u64 {
        self.stage.chain.hash()
    }

    /// The timeline so far.
    #[must_use]
    pub fn notes(&self) -> &[Note] {
        &self.stage.notes
    }

    /// What is measured, and what must never happen and did.
    #[must_use]
    pub fn watch(&self) -> &Watch {
        &self.watch
    }

    /// The traffic.
    #[must_use]
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// The clouds, as they truly are.
    #[must_use]
    pub fn cloud(&self) -> &Cloud {
        &self.cloud
    }

    /// The control loops.
    #[must_use]
    pub fn kube(&self) -> &Kube {
        &self.kube
    }

    /// Lets time pass until `until`, or until `stop` says so after an event.
    pub fn run_until(&mut self, until: Time, mut stop: impl FnMut(&Self) -> bool) {
        while let Some(event) = self.stage.queue.pop_until(until) {
            self.happen(event);
            if stop(self) {
                return;
            }
        }
    }

    /// Lets time pass until `until`.
    pub fn run(&mut self, until: Time) {
        while let Some(event) = self.stage.queue.pop_until(until) {
            self.happen(event);
        }
    }

    fn happen(&mut self, event: Happening) {
        self.tally.add(&event);
        let now = self.stage.now();
        self.stage.chain.add(number(&event), now.0);
        let Self {
            stage,
            cloud,
            etcd,
            kube,
            traffic,
            ..
        } = self;
        match event {
            Happening::Etcd(founding, event) => {
                if founding == stage.foundings {
                    let etcd = etcd.as_mut().expect("its events come after it");
                    etcd.handle(&mut EtcdGround { stage }, event);
                }
            }
            Happening::Traffic(event) => {
                let mut ground = TrafficGround {
                    stage,
                    etcd: etcd.as_ref(),
                    kube,
                    workloads: &self.role_workloads,
                    roles: &self.population_roles,
                };
                traffic.handle(&mut ground, event);
            }
            Happening::Cloud(event) => {
                cloud.handle(
                    &mut CloudGround {
                        stage,
                        etcd: etcd.as_ref(),
                    },
                    event,
                );
            }
            Happening::Kube(event) => {
                kube.handle(
                    &mut KubeGround {
                        stage,
                        etcd: etcd.as_ref(),
                    },
                    event,
                );
                if event == KubeEvent::Publish {
                    self.paths_changed();
                }
            }
            Happening::Control(event) => self.on_control(event),
            Happening::Boot(host, boot) => self.on_boot(host, boot),
            Happening::ApiUp(host, boot) => {
                if self.stage.host(host).is_some_and(|host| host.boot == boot) {
                    self.paths_changed();
                }
            }
            Happening::Respawn(host, process, boot) => self.on_respawn(host, process, boot),
            Happening::NamesBack(provider) => {
                self.with_traffic(|traffic, ground| {
                    traffic.set_dns_planes(ground, provider, true, true);
                });
            }
            Happening::PathsChanged => self.paths_changed(),
            Happening::Linked => self.look_at_etcd(),
        }
        self.settle();
    }

    /// Hands on what models did to each other, until nothing is left.
    fn settle(&mut self) {
        while let Some(cross) = self.stage.outbox.pop_front() {
            match cross {
                Cross::Etcd(note) => self.on_etcd(note),
                Cross::Traffic(note) => self.on_traffic(note),
                Cross::Kube(note) => self.on_kube(note),
                Cross::Cloud(change) => self.on_change(change),
                Cross::Answer { call, outcome } => self.answered(call, outcome),
                Cross::Write { request, host } => self.write(request, host),
                Cross::Drained { host, outcome } => self.drained(host, outcome),
                Cross::Duplicated(id) => {
                    self.watch.violated(
                        Invariant::Owned,
                        self.stage.now(),
                        format!("{id} exists twice"),
                    );
                }
            }
        }
    }

    /// Runs `what` on the traffic model with its ground.
    fn with_traffic<T>(
        &mut self,
        what: impl FnOnce(&mut Traffic, &mut TrafficGround<'_>) -> T,
    ) -> T {
        let mut ground = TrafficGround {
            stage: &mut self.stage,
            etcd: self.etcd.as_ref(),
            kube: &self.kube,
            workloads: &self.role_workloads,
            roles: &self.population_roles,
        };
        what(&mut self.traffic, &mut ground)
    }

    fn with_kube<T>(&mut self, what: impl FnOnce(&mut Kube, &mut KubeGround<'_>) -> T) -> T {
        let mut ground = KubeGround {
            stage: &mut self.stage,
            etcd: self.etcd.as_ref(),
        };
        what(&mut self.kube, &mut ground)
    }

    fn with_cloud<T>(&mut self, what: impl FnOnce(&mut Cloud, &mut CloudGround<'_>) -> T) -> T {
        let mut ground = CloudGround {
            stage: &mut self.stage,
            etcd: self.etcd.as_ref(),
        };
        what(&mut self.cloud, &mut ground)
    }

    /// Runs `what` on etcd with its ground; none where there is no etcd yet.
    fn with_etcd<T>(
        &mut self,
        what: impl FnOnce(&mut Etcd, &mut EtcdGround<'_>) -> T,
    ) -> Option<T> {
        let etcd = self.etcd.as_mut()?;
        Some(what(
            etcd,
            &mut EtcdGround {
                stage: &mut self.stage,
            },
        ))
    }

    /// Tells the traffic model that paths, processes or health may have changed.
    fn paths_changed(&mut self) {
        self.with_traffic(|traffic, ground| traffic.changed(ground));
    }

    /// A write reaches the etcd member beside an API server.
    fn write(&mut self, request: RequestId, host: u16) {
        let write = self.next_write;
        self.next_write += 1;
        let member = self.stage.host(host).and_then(|host| host.member);
        let proposed = member.and_then(|member| {
            self.with_etcd(|etcd, ground| etcd.propose(ground, member, write).is_ok())
        });
        if proposed == Some(true) {
            self.writes.insert(write, request);
        } else {
            self.with_traffic(|traffic, ground| traffic.served(ground, request, false));
        }
    }
}

/// A number for the hash chain: the kind of event and what it is about.
fn number(event: &Happening) -> u64 {
    match event {
        Happening::Etcd(_, event) => etcd_number(*event),
        Happening::Traffic(event) => 2 << 60 ^ traffic_number(*event),
        Happening::Cloud(event) => 3 << 60 ^ event.number(),
        Happening::Kube(event) => 4 << 60 ^ kube_number(*event),
        Happening::Control(event) => 5 << 60 ^ event.number(),
        Happening::Boot(host, boot) => 6 << 60 ^ u64::from(*host) << 32 ^ u64::from(*boot),
        Happening::ApiUp(host, boot) => 7 << 60 ^ u64::from(*host) << 32 ^ u64::from(*boot),
        Happening::PathsChanged => 8 << 60,
        Happening::Linked => 9 << 60,
        Happening::Respawn(host, process, boot) => {
            let which = *process as u64;
            10 << 60 ^ u64::from(*host) << 32 ^ which << 24 ^ u64::from(*boot)
        }
        Happening::NamesBack(provider) => 11 << 60 ^ u64::from(*provider),
    }
}

fn etcd_number(event: EtcdEvent) -> u64 {
    let life = |tag: u64, life: crate::etcd::Life| {
        tag << 56 ^ u64::from(life.member.0) << 16 ^ u64::from(life.number)
    };
    match event {
        EtcdEvent::Tick(of) => life(1, of),
        EtcdEvent::Written(of) => life(2, of),
        EtcdEvent::Probe(of) => life(3, of),
        EtcdEvent::Dial { from, to } => 4 << 56 ^ u64::from(from.0) << 8 ^ u64::from(to.0),
        EtcdEvent::Deliver { life, message } => {
            let ends = u64::from(message.from.0) << 8 ^ u64::from(message.to.0);
            5 << 56 ^ u64::from(life) << 40 ^ ends << 24 ^ mix(u64::from(message.term)) >> 40
        }
    }
}

fn traffic_number(event: TrafficEvent) -> u64 {
    let request = |id: RequestId| u64::from(id.slot) << 24 ^ u64::from(id.generation);
    match event {
        TrafficEvent::Arrival { population, start } => {
            1 << 52 ^ u64::from(population) << 16 ^ u64::from(start)
        }
        TrafficEvent::Deadline { population } => 2 << 52 ^ u64::from(population),
        TrafficEvent::Wake { request: id } => 3 << 52 ^ request(id),
        TrafficEvent::Check(at) => 4 << 52 ^ u64::from(at.balancer) << 16 ^ u64::from(at.slot),
        TrafficEvent::Checked { backend, silent } => {
            5 << 52 ^ u64::from(backend.balancer) << 16 ^ u64::from(silent)
        }
        TrafficEvent::DnsCheck(at) => 6 << 52 ^ u64::from(at.record) << 16 ^ u64::from(at.host),
        TrafficEvent::DnsChecked { address, ok } => {
            7 << 52 ^ u64::from(address.host) << 16 ^ u64::from(ok)
        }
        TrafficEvent::DnsPublish { record } => 8 << 52 ^ u64::from(record),
    }
}

fn kube_number(event: KubeEvent) -> u64 {
    match event {
        KubeEvent::Lease { host, epoch } => 1 << 52 ^ u64::from(host) << 32 ^ u64::from(epoch),
        KubeEvent::Monitor => 2 << 52,
        KubeEvent::Election => 3 << 52,
        KubeEvent::Sync => 4 << 52,
        KubeEvent::Publish => 5 << 52,
        KubeEvent::Taint { zone } => 6 << 52 ^ u64::from(zone),
        KubeEvent::Evict { pod, epoch } => 7 << 52 ^ u64::from(pod.0) << 16 ^ u64::from(epoch),
        KubeEvent::Started { pod, start } => 8 << 52 ^ u64::from(pod.0) << 16 ^ u64::from(start),
        KubeEvent::Stopped { pod } => 9 << 52 ^ u64::from(pod.0),
        KubeEvent::ForceDetach {
            workload,
            slot,
            epoch,
        } => 10 << 52 ^ u64::from(workload.0) << 32 ^ u64::from(slot) << 16 ^ u64::from(epoch),
        KubeEvent::Drain { host, epoch } => 11 << 52 ^ u64::from(host) << 32 ^ u64::from(epoch),
        KubeEvent::Collect { host, epoch } => 12 << 52 ^ u64::from(host) << 32 ^ u64::from(epoch),
    }
}
