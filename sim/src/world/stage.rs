//! What all models of the world share: the clock, the queue, the network, hosts, and the trace.
//!
//! Models do not call each other. What one does that others feel goes into [`Stage::outbox`] and is
//! handed on between two events.

use super::mesh::MeshEnd;
use super::processes::Processes;
use super::{Cross, Happening};
use crate::etcd::MemberId;
use crate::kernel::{Chain, Queue};
use crate::net::{Endpoint, Net, Place};
use crate::outcome::{Note, Track};
use crate::scenario::Process;
use quorate_engine::catalog::Distances;
use quorate_engine::manifest::Distance;
use quorate_engine::random::{Seed, Stream, hash_name};
use quorate_engine::resource::ResourceId;
use quorate_engine::time::{Span, Time};
use std::collections::{BTreeMap, VecDeque};

/// The endpoint of the orchestrator.
pub(crate) const ORCHESTRATOR: u16 = 0;

/// How a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum State {
    /// It runs.
    #[default]
    Well,
    /// It is gone: the kernel refuses whoever wants to speak to it.
    Dead,
    /// It stands still: the kernel takes connections for it, and nobody answers them.
    Still,
}

/// A machine, as the models that run on it see it. Its number is its endpoint's.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    pub(crate) machine: ResourceId,
    /// `control-htz/1`: the id without the cluster's name.
    pub(crate) label: String,
    pub(crate) place: Place,
    pub(crate) alive: bool,
    pub(crate) paused: bool,
    /// From when on the API server on it serves; none where there is none.
    pub(crate) api_from: Option<Time>,
    /// Its end of the mesh.
    pub(crate) mesh: MeshEnd,
    /// The member on it.
    pub(crate) member: Option<MemberId>,
    /// Counts boots: timers of earlier ones are void.
    pub(crate) boot: u32,
    /// Processes that a fault has touched.
    pub(crate) processes: Processes,
}

impl Host {
    /// Whether its processes run.
    pub(crate) fn runs(&self) -> bool {
        self.alive && !self.paused
    }
}

/// What all models share.
pub(crate) struct Stage {
    pub(crate) seed: Seed,
    pub(crate) queue: Queue<Happening>,
    pub(crate) chain: Chain,
    pub(crate) net: Net,
    /// By endpoint; none for endpoints that are no machines.
    pub(crate) hosts: Vec<Option<Host>>,
    /// The present machine of each id.
    pub(crate) by_machine: BTreeMap<ResourceId, u16>,
    /// Endpoints of client sites and of DNS providers, by their numbers in the traffic model.
    pub(crate) sites: Vec<u16>,
    pub(crate) dns_providers: Vec<u16>,
    pub(crate) outbox: VecDeque<Cross>,
    pub(crate) notes: Vec<Note>,
    /// Whose host a member is on, by number.
    pub(crate) members: Vec<u16>,
    /// How many clusters there were before this one: what is due for one of them is void.
    pub(crate) foundings: u16,
    disks: Vec<Stream>,
    services: Stream,
    /// Median of a synced write on a member's disk.
    fsync_median: Span,
}

impl Stage {
    pub(crate) fn new(seed: Seed, measured: &[Distance], orchestrator: Endpoint) -> Self {
        let mut net = Net::new(seed, Distances::of(measured));
        // Another network makes another run, even where nothing of it is ever used.
        let mut chain = Chain::default();
        for row in measured {
            chain.add(hash_name(&row.line()), 0);
        }
        net.add(orchestrator);
        // Between a good SSD (below 1 ms) and a busy shared disk (4.5 ms, measured by fdatasync).
        let fsync_median = seed
            .stream("disk", "median")
            .between(Span::from_us(500), Span::from_us(4_500));
        Self {
            seed,
            queue: Queue::default(),
            chain,
            net,
            hosts: vec![None],
            by_machine: BTreeMap::new(),
            sites: Vec::new(),
            dns_providers: Vec::new(),
            outbox: VecDeque::new(),
            notes: Vec::new(),
            members: Vec::new(),
            foundings: 0,
            disks: Vec::new(),
            services: seed.stream("service", "time"),
            fsync_median,
        }
    }

    pub(crate) fn now(&self) -> Time {
        self.queue.now()
    }

    pub(crate) fn fsync_median(&self) -> Span {
        self.fsync_median
    }

    pub(crate) fn after(&mut self, delay: Span, event: Happening) {
        self.queue.after(delay, event);
    }

    /// Adds a line to the timeline, and its words to the chain.
    pub(crate) fn note(&mut self, track: Track, text: impl Into<String>) {
        let text = text.into();
        self.chain
            .add(quorate_engine::random::hash_name(&text), self.now().0);
        self.notes.push(Note {
            at: self.now(),
            track,
            text,
        });
    }

    /// Adds an endpoint that is no machine.
    pub(crate) fn add_endpoint(&mut self, endpoint: Endpoint) -> u16 {
        self.hosts.push(None);
        let number = self.net.add(endpoint);
        assert_eq!(
            usize::from(number) + 1,
            self.hosts.len(),
            "endpoints are numbered alike"
        );
        number
    }

    /// Adds a machine, or a new machine in the place of a former one.
    pub(crate) fn add_host(&mut self, machine: &ResourceId, place: Place, behind_nat: bool) -> u16 {
        let number = self.net.add(Endpoint {
            name: format!("{machine}#{}", self.hosts.len()),
            place: Some(place.clone()),
            distance: Span::ZERO,
            meshed: true,
            behind_nat,
        });
        self.hosts.push(Some(Host {
            machine: machine.clone(),
            label: label(machine),
            place,
            alive: true,
            paused: false,
            api_from: None,
            mesh: MeshEnd::default(),
            member: None,
            boot: 0,
            processes: Processes::default(),
        }));
        assert_eq!(
            usize::from(number) + 1,
            self.hosts.len(),
            "endpoints are numbered alike"
        );
        self.by_machine.insert(machine.clone(), number);
        number
    }

    pub(crate) fn host(&self, number: u16) -> Option<&Host> {
        self.hosts.get(usize::from(number))?.as_ref()
    }

    pub(crate) fn host_mut(&mut self, number: u16) -> &mut Host {
        let host = self
            .hosts
            .get_mut(usize::from(number))
            .and_then(Option::as_mut);
        host.unwrap_or_else(|| panic!("endpoint {number} is a machine"))
    }

    /// The machine of this id, if there ever was one.
    pub(crate) fn find(&self, machine: &ResourceId) -> Option<u16> {
        self.by_machine.get(machine).copied()
    }

    pub(crate) fn runs(&self, host: u16) -> bool {
        self.host(host).is_some_and(Host::runs)
    }

    pub(crate) fn label(&self, host: u16) -> &str {
        self.host(host).map_or("?", |host| &host.label)
    }

    /// Whether the API server on a host serves.
    pub(crate) fn api_up(&self, host: u16) -> bool {
        self.api_listens(host) && self.state(host, Process::KubeApiserver) == State::Well
    }

    /// Whether the API server on a host takes connections.
    pub(crate) fn api_listens(&self, host: u16) -> bool {
        let begun = |host: &Host| host.runs() && host.api_from.is_some_and(|at| at <= self.now());
        self.host(host).is_some_and(begun)
            && self.state(host, Process::KubeApiserver) != State::Dead
    }

    /// How a process on a host is.
    pub(crate) fn state(&self, host: u16, process: Process) -> State {
        self.host(host)
            .map_or(State::Well, |host| host.processes.state(process))
    }

    /// Hosts with an API server, running or not.
    pub(crate) fn api_hosts(&self) -> impl Iterator<Item = u16> + '_ {
        let has = |(_, host): &(usize, &Option<Host>)| {
            host.as_ref().is_some_and(|host| host.api_from.is_some())
        };
        self.hosts
            .iter()
            .enumerate()
            .filter(has)
            .map(|(number, _)| number as u16)
    }

    /// Packets pass both ways and the machine runs.
    pub(crate) fn reaches(&self, from: u16, to: u16) -> bool {
        let now = self.now();
        self.runs(to) && self.net.is_open(now, from, to) && self.net.is_open(now, to, from)
    }

    /// A member gets a host and a disk.
    pub(crate) fn seat_member(&mut self, member: MemberId, host: u16) {
        let at = member.at();
        if self.members.len() <= at {
            self.members.resize(at + 1, 0);
        }
        self.members[at] = host;
        while self.disks.len() <= at {
            let disk = self.seed.stream_of(self.disks.len() as u64, "fsync");
            self.disks.push(disk);
        }
        self.host_mut(host).member = Some(member);
    }

    /// The cluster whose members these were is gone; another one begins.
    pub(crate) fn forget_members(&mut self) {
        self.foundings += 1;
        self.members.clear();
        for host in self.hosts.iter_mut().flatten() {
            host.member = None;
        }
    }

    pub(crate) fn host_of(&self, member: MemberId) -> u16 {
        self.members[member.at()]
    }

    /// How long a synced write takes: lognormal, p99 about four medians.
    pub(crate) fn fsync(&mut self, member: MemberId) -> Span {
        self.disks[member.at()].lognormal(self.fsync_median, 0.6)
    }

    /// How long a process takes to answer: exponential around a mean.
    pub(crate) fn service(&mut self, mean: Span) -> Span {
        Span(mean.0 / 2 + self.services.below(mean.0))
    }
}

/// An id without the cluster's name.
pub(crate) fn label(machine: &ResourceId) -> String {
    let text = machine.as_str();
    text.split_once('/')
        .map_or(text, |(_, rest)| rest)
        .to_owned()
}
