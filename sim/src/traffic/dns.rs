//! Authoritative DNS: record sets, their health checks, and the provider that keeps them.
//!
//! An address stands for a load balancer. Knows nothing of resolvers and of their caches: it gives
//! the published answer, and whether anyone is there to give it. The control plane of a provider
//! (records change) and its data plane (queries are answered) fail separately.

use crate::traffic::balancer::Balancers;
use crate::traffic::ground::{AddressRef, End, Ground, Service, TrafficEvent, TrafficNote};
use quorate_engine::manifest::DnsCheck;
use quorate_engine::random::Seed;
use quorate_engine::time::Span;
use std::collections::BTreeMap;

/// The most addresses in one answer. A DNS message of 512 bytes holds 28; who plans a name with
/// more than this hears so before it comes here.
pub const MAX_ADDRESSES: usize = 32;

/// The addresses of one answer, in the order of the zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Answer {
    count: u8,
    hosts: [u16; MAX_ADDRESSES],
}

impl Answer {
    /// An answer with these addresses.
    ///
    /// # Panics
    /// If there are more than [`MAX_ADDRESSES`].
    #[must_use]
    pub fn of(hosts: impl IntoIterator<Item = u16>) -> Self {
        let mut answer = Self::default();
        for host in hosts {
            assert!(answer.len() < MAX_ADDRESSES, "too many addresses in a name");
            answer.hosts[answer.len()] = host;
            answer.count += 1;
        }
        answer
    }

    /// How many addresses.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::from(self.count)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The addresses.
    #[must_use]
    pub fn hosts(&self) -> &[u16] {
        &self.hosts[..self.len()]
    }

    /// The addresses, to be put in another order.
    pub(crate) fn hosts_mut(&mut self) -> &mut [u16] {
        let len = self.len();
        &mut self.hosts[..len]
    }
}

/// How deep a DNS health check looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DnsProbe {
    /// A TCP handshake with the load balancer: proves nothing about what is behind it.
    Handshake,
    /// Through to the load balancer's own opinion: has this role a backend that is up?
    LiveBackend {
        /// The role.
        role: u16,
    },
}

/// How a record set is kept and watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordSettings {
    /// The provider that keeps it.
    pub provider: u16,
    /// How long resolvers may keep an answer.
    pub ttl: Span,
    /// The health check, if there is one.
    pub check: Option<DnsCheck>,
    /// How deep it looks.
    pub probe: DnsProbe,
    /// From a change to the moment when all name servers answer with it.
    pub publish_delay: Span,
    /// Each load balancer has an IPv6 address besides its IPv4 address.
    pub dual_stack: bool,
}

#[derive(Debug)]
struct Address {
    host: u16,
    serial: u16,
    healthy: bool,
    /// Results in a row that speak against `healthy`.
    streak: u8,
}

#[derive(Debug)]
struct RecordSet {
    settings: RecordSettings,
    addresses: Vec<Address>,
    published: Answer,
    publication: Publication,
    all_sick: bool,
    serial: u16,
}

/// Where a change is on its way to the name servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Publication {
    None,
    Coming,
    /// It came while the control plane was down.
    Held,
}

impl RecordSet {
    /// The healthy addresses; all of them where none is healthy.
    fn to_publish(&self) -> Answer {
        let some_well = self.addresses.iter().any(|address| address.healthy);
        let given = self
            .addresses
            .iter()
            .filter(|address| address.healthy || !some_well);
        Answer::of(given.map(|address| address.host))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Planes {
    control: bool,
    data: bool,
    /// Queries are taken, and not answered yet.
    still: bool,
}

const ALL_UP: Planes = Planes {
    control: true,
    data: true,
    still: false,
};

/// All zones of all providers.
#[derive(Debug)]
pub(crate) struct Dns {
    seed: Seed,
    records: Vec<RecordSet>,
    planes: BTreeMap<u16, Planes>,
}

impl Dns {
    pub(crate) fn new(seed: Seed) -> Self {
        Self {
            seed,
            records: Vec::new(),
            planes: BTreeMap::new(),
        }
    }

    /// A new record set; it answers at once.
    pub(crate) fn add(
        &mut self,
        ground: &mut impl Ground,
        settings: RecordSettings,
        hosts: &[u16],
    ) -> u16 {
        let record = self.records.len() as u16;
        self.records.push(RecordSet {
            settings,
            addresses: Vec::new(),
            published: Answer::default(),
            publication: Publication::None,
            all_sick: false,
            serial: 0,
        });
        self.change(ground, record, hosts);
        self.records[usize::from(record)].published = Answer::of(hosts.iter().copied());
        record
    }

    /// Gives a record set these addresses: at the name servers after the publish delay.
    pub(crate) fn set(&mut self, ground: &mut impl Ground, record: u16, hosts: &[u16]) {
        self.change(ground, record, hosts);
        self.publish_later(ground, record);
    }

    fn change(&mut self, ground: &mut impl Ground, record: u16, hosts: &[u16]) {
        let set = &mut self.records[usize::from(record)];
        set.addresses
            .retain(|address| hosts.contains(&address.host));
        for &host in hosts {
            if set.addresses.iter().any(|address| address.host == host) {
                continue;
            }
            set.serial = set.serial.wrapping_add(1);
            let serial = set.serial;
            set.addresses.push(Address {
                host,
                serial,
                healthy: true,
                streak: 0,
            });
            if let Some(check) = set.settings.check {
                let key = u64::from(record) << 16 | u64::from(serial);
                let mut stream = self.seed.stream_of(key, "dns-check-phase");
                let phase = Span(stream.below(check.interval.0.0));
                let address = AddressRef {
                    record,
                    host,
                    serial,
                };
                ground.after(phase, TrafficEvent::DnsCheck(address));
            }
        }
    }

    fn publish_later(&mut self, ground: &mut impl Ground, record: u16) {
        let set = &mut self.records[usize::from(record)];
        if set.publication == Publication::None {
            set.publication = Publication::Coming;
            let delay = set.settings.publish_delay;
            ground.after(delay, TrafficEvent::DnsPublish { record });
        }
    }

    /// The publish delay is over. Where the control plane is down, it waits for that to return.
    pub(crate) fn publish(&mut self, ground: &mut impl Ground, record: u16) {
        let set = &mut self.records[usize::from(record)];
        assert!(
            set.publication == Publication::Coming,
            "a publication that nobody asked for"
        );
        let planes = self.planes.get(&set.settings.provider);
        if !planes.unwrap_or(&ALL_UP).control {
            set.publication = Publication::Held;
            return;
        }
        set.publication = Publication::None;
        let before = set.published;
        let after = set.to_publish();
        set.published = after;
        let all_sick = set.addresses.iter().all(|address| !address.healthy);
        if all_sick && !set.all_sick && !after.is_empty() {
            ground.note(TrafficNote::AllAddressesSick { record });
        }
        set.all_sick = all_sick;
        for &host in before.hosts() {
            if !after.hosts().contains(&host) {
                ground.note(TrafficNote::AddressLeft { record, host });
            }
        }
        for &host in after.hosts() {
            if !before.hosts().contains(&host) {
                ground.note(TrafficNote::AddressEntered { record, host });
            }
        }
    }

    /// The name servers of a provider stand still, or go on.
    pub(crate) fn set_still(&mut self, provider: u16, still: bool) {
        self.planes.entry(provider).or_insert(ALL_UP).still = still;
    }

    /// Whether the name servers of a record take queries and answer none.
    pub(crate) fn stands_still(&self, record: u16) -> bool {
        let set = &self.records[usize::from(record)];
        self.planes
            .get(&set.settings.provider)
            .is_some_and(|planes| planes.still)
    }

    /// The planes of a provider go down or come back.
    pub(crate) fn set_planes(
        &mut self,
        ground: &mut impl Ground,
        provider: u16,
        control: bool,
        data: bool,
    ) {
        let before = self.planes.insert(
            provider,
            Planes {
                control,
                data,
                still: false,
            },
        );
        if control && !before.unwrap_or(ALL_UP).control {
            for record in 0..self.records.len() {
                let set = &mut self.records[record];
                let held = set.publication == Publication::Held;
                if held && set.settings.provider == provider {
                    set.publication = Publication::None;
                    self.publish_later(ground, record as u16);
                }
            }
        }
    }

    /// Whether the name servers of the record's provider answer queries.
    pub(crate) fn answers(&self, record: u16) -> bool {
        let provider = self.records[usize::from(record)].settings.provider;
        self.planes.get(&provider).unwrap_or(&ALL_UP).data
    }

    /// What the name servers answer, and how long it may be kept.
    pub(crate) fn published(&self, record: u16) -> (Answer, Span) {
        let set = &self.records[usize::from(record)];
        (set.published, set.settings.ttl)
    }

    /// Whether the name has IPv6 addresses too.
    pub(crate) fn is_dual_stack(&self, record: u16) -> bool {
        self.records[usize::from(record)].settings.dual_stack
    }

    /// The provider that keeps a record set.
    pub(crate) fn provider(&self, record: u16) -> u16 {
        self.records[usize::from(record)].settings.provider
    }

    fn current(&mut self, at: AddressRef) -> Option<(&RecordSettings, &mut Address)> {
        let set = &mut self.records[usize::from(at.record)];
        let mut addresses = set.addresses.iter_mut();
        let address = addresses.find(|address| address.serial == at.serial)?;
        Some((&set.settings, address))
    }

    /// A check begins.
    pub(crate) fn check(
        &mut self,
        ground: &mut impl Ground,
        balancers: &Balancers,
        at: AddressRef,
    ) {
        let Some((settings, address)) = self.current(at) else {
            return;
        };
        let check = settings
            .check
            .expect("only checked records have check timers");
        let timeout = check.timeout.0;
        ground.after(check.interval.0, TrafficEvent::DnsCheck(at));
        let trip = ground.round_trip(End::DnsProvider(settings.provider), End::Host(at.host));
        let (ok, takes) = match trip {
            Some(trip) if trip <= timeout => {
                let listens = ground.listens(at.host, Service::LoadBalancer);
                let still = ground.stands_still(at.host, Service::LoadBalancer);
                let ok = listens
                    && match settings.probe {
                        DnsProbe::Handshake => true,
                        DnsProbe::LiveBackend { role } => {
                            !still && balancers.has_live(at.host, role)
                        }
                    };
                (ok, if ok || !still { trip } else { timeout })
            }
            Some(_) | None => (false, timeout),
        };
        if ok == address.healthy {
            // It confirms what is believed: only a streak against it ends, and that cannot wait
            // for the answer's way back to matter.
            address.streak = 0;
        } else {
            ground.after(takes, TrafficEvent::DnsChecked { address: at, ok });
        }
    }

    /// A result that speaks against what is believed of an address.
    pub(crate) fn checked(&mut self, ground: &mut impl Ground, at: AddressRef, ok: bool) {
        let Some((settings, address)) = self.current(at) else {
            return;
        };
        let threshold = settings.check.map_or(u8::MAX, |check| check.threshold);
        if ok == address.healthy {
            return;
        }
        address.streak += 1;
        if address.streak < threshold {
            return;
        }
        address.streak = 0;
        address.healthy = ok;
        self.publish_later(ground, at.record);
    }
}
