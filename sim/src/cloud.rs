//! The clouds of the simulated world: what answers calls to providers and to machines.
//!
//! A state machine like the engine: calls and events come in, answers and changes go out through
//! [`Ground`]. Every request travels, is carried out at one instant, and its answer travels back;
//! each of the three can fail. Knows nothing of etcd, Kubernetes or packets: the world is told
//! which machines are up and what is installed on them, and does the rest.
//!
//! Deadlines are the driver's: an answer that would come at or after its call's deadline is not
//! given.

mod api;
mod creation;
mod host;
mod limit;
mod machine;
mod profile;
mod stock;
#[cfg(test)]
mod tests;
mod trouble;
mod truth;

pub use limit::{Bucket, Counted, Limit};
pub use machine::MachineFact;
pub use profile::{Idempotency, Lasts, Profile, containers, profile};
pub use stock::Power;
pub use trouble::{Down, Scope, Trouble, TroubleId};
pub use truth::{Ended, Owned};

use quorate_engine::manifest::ProviderKind;
use quorate_engine::random::{Seed, Stream, hash_name, mix};
use quorate_engine::resource::{Kind, Resource, ResourceId};
use quorate_engine::seam::{Call, CallId, Fault, FaultClass, Lane, Outcome, Verb};
use quorate_engine::time::{Span, Time};
use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;
use std::sync::Arc;
use stock::Stock;
use trouble::Troubles;

/// What the clouds stand on: the rest of the world.
pub trait Ground {
    /// The present instant.
    fn now(&self) -> Time;
    /// Hand `event` to [`Cloud::handle`] after `delay`, which is never zero.
    fn after(&mut self, delay: Span, event: CloudEvent);
    /// A call is answered, before its deadline and never twice.
    fn answer(&mut self, call: CallId, outcome: Outcome);
    /// One-way delay from the orchestrator to the machine, now; none where packets do not arrive.
    fn reachable(&mut self, machine: &ResourceId) -> Option<Span>;
    /// Whether a resource can be put on its machine, as far as the cluster has a say: a worker
    /// joins only where an API server answers. Asked when the work would end.
    fn admits(&mut self, machine: &ResourceId, resource: &Resource) -> Result<(), Fault> {
        let _ = (machine, resource);
        Ok(())
    }
    /// Something changed that the rest of the world feels.
    fn changed(&mut self, change: Change);
    /// Something happened that a trace should show.
    fn note(&mut self, note: Note);
}

/// What the rest of the world feels.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A machine has booted: ssh answers, and what is installed there starts.
    MachineUp {
        /// Which.
        machine: ResourceId,
        /// Its public address.
        address: Ipv4Addr,
    },
    /// A machine is off; its disk is kept.
    MachineDown {
        /// Which.
        machine: ResourceId,
        /// At once, without a chance to say goodbye.
        hard: bool,
    },
    /// A machine stands still and keeps its memory.
    MachinePaused {
        /// Which.
        machine: ResourceId,
    },
    /// It goes on.
    MachineResumed {
        /// Which.
        machine: ResourceId,
    },
    /// A spot machine will be taken back.
    Reclaimed {
        /// Which.
        machine: ResourceId,
        /// In so much time.
        notice: Span,
    },
    /// A machine is gone with its disk.
    MachineGone {
        /// Which.
        machine: ResourceId,
    },
    /// Something was put on a machine, or was brought to its spec.
    Installed {
        /// Where.
        machine: ResourceId,
        /// What.
        resource: Arc<Resource>,
        /// Public addresses it was told.
        addresses: Vec<(ResourceId, Ipv4Addr)>,
    },
    /// Something was taken off a machine.
    Uninstalled {
        /// Where.
        machine: ResourceId,
        /// What kind.
        kind: Kind,
        /// What.
        resource: ResourceId,
    },
    /// Name servers now answer with these addresses.
    Records {
        /// The record set.
        resource: Arc<Resource>,
        /// In the order of its machines.
        addresses: Vec<(ResourceId, Ipv4Addr)>,
    },
    /// Name servers do not know the name any more.
    RecordsGone {
        /// The record set.
        id: ResourceId,
    },
}

/// What a trace should show of the clouds.
#[derive(Debug, Clone, PartialEq)]
pub enum Note {
    /// An answer will never be heard.
    Lost {
        /// The request.
        call: Arc<Call>,
        /// Whether it was carried out.
        done: bool,
    },
    /// A second resource with the same id was made.
    Duplicated {
        /// Its id.
        id: ResourceId,
    },
    /// A trouble begins or ends.
    Trouble {
        /// Where.
        scope: Scope,
        /// What.
        trouble: Trouble,
        /// Begins; else ends.
        on: bool,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost { call, done } => {
                let how = if *done { "" } else { " not" };
                write!(
                    f,
                    "{}: {} {} was{how} carried out and its answer is lost",
                    call.lane, call.verb, call.target
                )
            }
            Self::Duplicated { id } => write!(f, "{id} now exists twice"),
            Self::Trouble { scope, trouble, on } => {
                let how = if *on { "begins" } else { "ends" };
                write!(f, "{scope}: {trouble} {how}")
            }
        }
    }
}

/// What the clouds asked [`Ground::after`] to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CloudEvent {
    /// A request has reached the other side.
    Arrive(u64),
    /// The work on a machine that a request began has come to its end.
    Worked(u64),
    /// An answer has come back.
    Reply(u64),
    /// A machine is built.
    Built(u64),
    /// A machine has booted for the nth time.
    Booted(u64, u32),
    /// A machine is gone.
    Deleted(u64),
    /// The nth version of a record set has reached the name servers.
    Published(u64, u32),
    /// The notice of a spot machine is over.
    Reclaim(u64),
}

impl CloudEvent {
    /// A number for the hash chain of a run: equal only for equal events.
    #[must_use]
    pub fn number(self) -> u64 {
        let (tag, a, b) = match self {
            Self::Arrive(n) => (1, n, 0),
            Self::Worked(n) => (2, n, 0),
            Self::Reply(n) => (3, n, 0),
            Self::Built(n) => (4, n, 0),
            Self::Booted(n, boot) => (5, n, boot),
            Self::Deleted(n) => (6, n, 0),
            Self::Published(n, revision) => (7, n, revision),
            Self::Reclaim(n) => (8, n, 0),
        };
        (tag << 56) ^ (u64::from(b) << 40) ^ a
    }
}

/// An account at a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The provider instance's name.
    pub name: String,
    /// What it is.
    pub kind: ProviderKind,
    /// How many machines it may have; none: as many as it likes.
    pub quota: Option<u32>,
    /// Its machines are containers of one host, and boot as fast.
    pub containers: bool,
}

#[derive(Debug, Clone)]
struct Open {
    account: Account,
    profile: &'static Profile,
    buckets: Vec<Bucket>,
    /// The bucket of a limit that a trouble imposes; it goes with the trouble.
    squeezed: Option<Bucket>,
    /// Refused until then, for having exceeded a limit.
    shut_until: Time,
    /// Machines that exist, whatever their state: what a quota counts.
    machines: u32,
}

impl Open {
    fn new(account: Account) -> Self {
        let profile = profile(account.kind, account.containers);
        Self {
            account,
            profile,
            buckets: profile.limits.iter().copied().map(Bucket::new).collect(),
            squeezed: None,
            shut_until: Time::ZERO,
            machines: 0,
        }
    }
}

/// A request under way.
#[derive(Debug, Clone)]
struct Flight {
    /// Nobody, after the orchestrator died.
    caller: Option<CallId>,
    call: Arc<Call>,
    deadline: Time,
    luck: Stream,
    /// Half a round trip.
    leg: Span,
    /// The answer, once there is one.
    outcome: Option<Outcome>,
    /// The other side never got it: the answer is the caller's own and cannot be lost.
    local: bool,
    /// The answer will be lost.
    lost: bool,
    /// The machine that works on it, and its boot.
    machine: Option<(usize, u32)>,
}

/// The clouds.
#[derive(Debug, Clone)]
pub struct Cloud {
    seed: Seed,
    accounts: Vec<Open>,
    stock: Stock,
    troubles: Troubles,
    flights: BTreeMap<u64, Flight>,
    launched: u64,
    /// How often each thing was asked of each resource: its next draws.
    asked: BTreeMap<(u64, u64, Verb), u64>,
    tally: BTreeMap<(Lane, Verb, Ended), u64>,
}

/// How long a TCP connection is tried before it is given up; the adapters' own setting.
pub const CONNECT_TIMEOUT: Span = Span::from_secs(10);

impl Cloud {
    /// Clouds in which nothing exists yet.
    #[must_use]
    pub fn new(seed: Seed, accounts: impl IntoIterator<Item = Account>) -> Self {
        Self {
            seed,
            accounts: accounts.into_iter().map(Open::new).collect(),
            stock: Stock::default(),
            troubles: Troubles::default(),
            flights: BTreeMap::new(),
            launched: 0,
            asked: BTreeMap::new(),
            tally: BTreeMap::new(),
        }
    }

    /// Opens another account, where none of this name is open.
    pub fn open_account(&mut self, account: Account) {
        if self
            .accounts
            .iter()
            .all(|open| open.account.name != account.name)
        {
            self.accounts.push(Open::new(account));
        }
    }

    /// Takes a call to a provider or to a machine. It is answered through [`Ground::answer`] before
    /// its deadline, or never: then it is for the driver to say [`FaultClass::Unknown`].
    ///
    /// # Panics
    /// If the call is for the cluster's own lane, or for a provider that is not there.
    pub fn call(&mut self, ground: &mut dyn Ground, id: CallId, call: Arc<Call>, deadline: Time) {
        assert!(deadline >= ground.now(), "the deadline of {id:?} is over");
        let (lane, target) = (lane_number(&call.lane), call.target.number());
        let nth = self.asked.entry((lane, target, call.verb)).or_insert(0);
        *nth += 1;
        let entity = mix(mix(lane ^ target) ^ ((call.verb as u64) << 48) ^ *nth);
        let number = self.launched;
        self.launched += 1;
        let flight = Flight {
            caller: Some(id),
            call: Arc::clone(&call),
            deadline,
            luck: self.seed.stream_of(entity, "call"),
            leg: Span::from_ms(1),
            outcome: None,
            local: false,
            lost: false,
            machine: None,
        };
        self.flights.insert(number, flight);
        match &call.lane {
            Lane::Provider(name) => self.send(ground, number, name),
            Lane::Hosts => self.connect(ground, number),
            Lane::Cluster => panic!("{} {} is not for the clouds", call.verb, call.target),
        }
    }

    /// Something that was asked of [`Ground::after`] has come.
    pub fn handle(&mut self, ground: &mut dyn Ground, event: CloudEvent) {
        match event {
            CloudEvent::Arrive(number) => {
                let call = Arc::clone(&self.flights[&number].call);
                match &call.lane {
                    Lane::Provider(name) => self.arrive(ground, number, name),
                    Lane::Hosts => self.begin_work(ground, number),
                    Lane::Cluster => unreachable!("refused by Cloud::call"),
                }
            }
            CloudEvent::Worked(number) => self.end_work(ground, number),
            CloudEvent::Reply(number) => self.deliver(ground, number),
            CloudEvent::Built(serial) => self.built(ground, serial as usize),
            CloudEvent::Booted(serial, boot) => self.booted(ground, serial as usize, boot),
            CloudEvent::Deleted(serial) => self.deleted(ground, serial as usize),
            CloudEvent::Published(serial, revision) => {
                self.published(ground, serial as usize, revision);
            }
            CloudEvent::Reclaim(serial) => self.vanish(ground, serial as usize),
        }
    }

    /// The orchestrator died: what it sent is carried out, and nobody hears the answers.
    pub fn forget_callers(&mut self) {
        for flight in self.flights.values_mut() {
            flight.caller = None;
        }
    }

    /// Switches a trouble on.
    ///
    /// # Panics
    /// If there is no such provider.
    pub fn inject(&mut self, ground: &mut dyn Ground, scope: Scope, trouble: Trouble) -> TroubleId {
        self.account(&scope.provider);
        ground.note(Note::Trouble {
            scope: scope.clone(),
            trouble,
            on: true,
        });
        self.troubles.begin(scope, trouble)
    }

    /// Switches a trouble off; false where it was off.
    pub fn lift(&mut self, ground: &mut dyn Ground, id: TroubleId) -> bool {
        let Some((scope, trouble)) = self.troubles.end(id) else {
            return false;
        };
        ground.note(Note::Trouble {
            scope: scope.clone(),
            trouble,
            on: false,
        });
        true
    }

    /// How often a trouble made a difference; also after its end.
    #[must_use]
    pub fn hits(&self, id: TroubleId) -> u64 {
        self.troubles.hits(id)
    }

    fn account(&self, name: &str) -> usize {
        let found = self.accounts.iter().position(|o| o.account.name == name);
        found.unwrap_or_else(|| panic!("no provider is called {name}"))
    }

    /// Draws for one thing: `nth` tells apart those that have one id, one after the other.
    fn luck(&self, account: usize, id: &ResourceId, nth: u64, purpose: &str) -> Stream {
        let provider = hash_name(&self.accounts[account].account.name);
        self.seed
            .stream_of(mix(mix(provider ^ id.number()) ^ nth), purpose)
    }

    /// Ends a request with an answer that is still to travel for `delay`.
    fn reply(&mut self, ground: &mut dyn Ground, number: u64, delay: Span, outcome: Outcome) {
        let flight = self.flights.get_mut(&number).expect("it is under way");
        assert!(flight.outcome.is_none(), "one answer for each request");
        flight.outcome = Some(outcome);
        ground.after(delay.max(Span::from_ms(1)), CloudEvent::Reply(number));
    }

    /// A request that was never received: the caller finds out by itself.
    fn fail(&mut self, ground: &mut dyn Ground, number: u64, delay: Span, detail: &str) {
        let flight = self.flights.get_mut(&number).expect("it is under way");
        flight.local = true;
        let fault = Fault::new(FaultClass::Retryable, detail);
        self.reply(ground, number, delay, Err(fault));
    }

    /// No answer will ever come.
    fn lose(&mut self, ground: &mut dyn Ground, number: u64, done: bool) {
        let flight = self.flights.remove(&number).expect("it is under way");
        self.count(&flight.call, Ended::Unheard);
        let call = flight.call;
        ground.note(Note::Lost { call, done });
    }

    fn deliver(&mut self, ground: &mut dyn Ground, number: u64) {
        let flight = &self.flights[&number];
        let (call, local) = (Arc::clone(&flight.call), flight.local);
        let late = ground.now() >= flight.deadline;
        let done = matches!(flight.outcome, Some(Ok(_)));
        let deaf = late || flight.lost || (!local && self.cut_off(&call));
        let heard = self.flights[&number].caller.filter(|_| !deaf);
        let Some(caller) = heard else {
            return self.lose(ground, number, done);
        };
        let flight = self.flights.remove(&number).expect("it is under way");
        let outcome = flight.outcome.expect("an answer travels");
        let ended = match &outcome {
            Ok(_) => Ended::Good,
            Err(fault) => Ended::Bad(fault.class),
        };
        self.count(&flight.call, ended);
        ground.answer(caller, outcome);
    }

    fn count(&mut self, call: &Call, ended: Ended) {
        let key = (call.lane.clone(), call.verb, ended);
        *self.tally.entry(key).or_insert(0) += 1;
    }
}

fn lane_number(lane: &Lane) -> u64 {
    match lane {
        Lane::Provider(name) => hash_name(name),
        Lane::Hosts => 1,
        Lane::Cluster => 2,
    }
}
