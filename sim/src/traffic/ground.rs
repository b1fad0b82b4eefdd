//! What traffic asks of the world around it, and what it tells the world.
//!
//! Knows no model: only the vocabulary between traffic and whoever hosts it. The host decides what
//! a network path, a process or a service time is; traffic decides what clients make of it.

use crate::traffic::stats::Cause;
use quorate_engine::time::{Span, Time};

/// One end of a network path. Numbers are the host's own and stay small: they index arrays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// Clients, and their resolvers, at a site.
    Client(u16),
    /// A machine.
    Host(u16),
    /// The name servers, and the health checkers, of a DNS provider.
    DnsProvider(u16),
}

/// A path in one direction, as it is at the moment of asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// Packets arrive.
    Open {
        /// After this long.
        one_way: Span,
    },
    /// Packets vanish: a partition, a loss, or a machine that is off.
    Blackhole,
}

/// A process that accepts connections on a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    /// The load balancer.
    LoadBalancer,
    /// The API server.
    Api,
    /// The ingress of workloads.
    Ingress,
}

/// What a health check asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// `/readyz` of an API server, which includes etcd: without a leader no server is ready.
    /// For an ingress: its readiness.
    Ready,
    /// `/readyz?exclude=etcd`: the server itself.
    ReadyWithoutEtcd,
    /// A TCP connection and no more.
    Connect,
}

/// What a health endpoint answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It is well.
    Ready,
    /// It says that it is not.
    Unready,
    /// It does not answer yet: `/readyz` reads through etcd, and waits while there is no leader.
    Silent,
}

/// A request under way. Stays unique: a slot is used again with the next generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestId {
    /// Where it is kept.
    pub slot: u32,
    /// Which user of that slot it is.
    pub generation: u32,
}

/// What a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RequestKind {
    /// A workload, through an ingress.
    Ingress,
    /// A read of the Kubernetes API.
    ApiRead,
    /// A write of the Kubernetes API: it goes through etcd.
    ApiWrite,
}

/// A request as the machine that serves it sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// Its number, for [`Traffic::served`](crate::traffic::Traffic::served).
    pub id: RequestId,
    /// Which population it comes from.
    pub population: u16,
    /// What it asks for.
    pub kind: RequestKind,
}

/// What becomes of a request at the machine that serves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Served {
    /// A good answer after this long.
    After(Span),
    /// An error answer after this long.
    Fails(Span),
    /// The host will call [`Traffic::served`](crate::traffic::Traffic::served), or never.
    Later,
}

/// A timer of traffic. The host keeps it in its queue and hands it back when it is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrafficEvent {
    /// The next request of a population begins.
    Arrival {
        /// Which population.
        population: u16,
        /// Its start that this timer belongs to; timers of earlier starts are void.
        start: u16,
    },
    /// The oldest open request of a population may be out of time.
    Deadline {
        /// Which population.
        population: u16,
    },
    /// A request goes on.
    Wake {
        /// Which request.
        request: RequestId,
    },
    /// A load balancer checks a backend.
    Check(BackendRef),
    /// The result of a failed or a slow check.
    Checked {
        /// Of which backend.
        backend: BackendRef,
        /// Whether the endpoint was silent, so that its last word counts.
        silent: bool,
    },
    /// A DNS provider checks an address.
    DnsCheck(AddressRef),
    /// The result of such a check.
    DnsChecked {
        /// Of which address.
        address: AddressRef,
        /// Whether it was good.
        ok: bool,
    },
    /// Changed records reach the name servers.
    DnsPublish {
        /// Which record set.
        record: u16,
    },
}

const _: () = assert!(size_of::<TrafficEvent>() <= 24);

/// A backend in the configuration of a load balancer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackendRef {
    /// The load balancer's machine.
    pub balancer: u16,
    /// The forwarded role.
    pub role: u16,
    /// The place in the configuration.
    pub slot: u16,
    /// Which user of that place.
    pub serial: u16,
}

/// An address in a record set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressRef {
    /// The record set.
    pub record: u16,
    /// The load balancer's machine.
    pub host: u16,
    /// Which stay of that machine in the set.
    pub serial: u16,
}

/// Something that a person reading the timeline wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrafficNote {
    /// Name servers no longer give out an address.
    AddressLeft {
        /// The record set.
        record: u16,
        /// The load balancer's machine.
        host: u16,
    },
    /// Name servers give out an address, for the first time or again.
    AddressEntered {
        /// The record set.
        record: u16,
        /// The load balancer's machine.
        host: u16,
    },
    /// All addresses are sick, so all are given out: an empty answer would help nobody.
    AllAddressesSick {
        /// The record set.
        record: u16,
    },
    /// A load balancer sends nothing to a backend any more.
    BackendDown {
        /// The load balancer's machine.
        balancer: u16,
        /// The forwarded role.
        role: u16,
        /// The backend's machine.
        host: u16,
    },
    /// A load balancer uses a backend again.
    BackendUp {
        /// The load balancer's machine.
        balancer: u16,
        /// The forwarded role.
        role: u16,
        /// The backend's machine.
        host: u16,
    },
    /// A load balancer has no backend left.
    NoBackend {
        /// The load balancer's machine.
        balancer: u16,
        /// The forwarded role.
        role: u16,
    },
    /// Requests of a population begin to fail.
    PopulationFails {
        /// Which population.
        population: u16,
        /// How the first one failed.
        cause: Cause,
    },
    /// Requests of a population succeed again; said once it has been calm for a while.
    PopulationRecovers {
        /// Which population.
        population: u16,
        /// When the last failed request ended.
        since: Time,
    },
}

/// The surroundings of traffic: a virtual clock, a network, machines.
///
/// Answers are for the moment of asking. Nothing here may call back into traffic.
pub trait Ground {
    /// What time it is.
    fn now(&self) -> Time;

    /// Hands `event` back after `delay`.
    fn after(&mut self, delay: Span, event: TrafficEvent);

    /// The path in one direction. Blackhole also where the machine at either end is off.
    fn path(&mut self, from: End, to: End) -> Path;

    /// Whether the process accepts connections. If not, and the path is open: refused by a reset.
    fn listens(&self, host: u16, what: Service) -> bool;

    /// Whether a listening process stands still: its kernel takes connections, nobody answers.
    fn stands_still(&self, _host: u16, _what: Service) -> bool {
        false
    }

    /// What the health endpoint of a listening process answers.
    fn health(&self, host: u16, what: Service, probe: Probe) -> Health;

    /// A request reaches the machine that serves it.
    fn serve(&mut self, request: Request, host: u16) -> Served;

    /// Something worth telling.
    fn note(&mut self, note: TrafficNote);

    /// There and back, if both directions are open. A host that knows it faster may say it itself.
    fn round_trip(&mut self, from: End, to: End) -> Option<Span> {
        match (self.path(from, to), self.path(to, from)) {
            (Path::Open { one_way: there }, Path::Open { one_way: back }) => Some(there + back),
            (Path::Blackhole, _) | (_, Path::Blackhole) => None,
        }
    }
}
