//! A provider's API: what a request does there, by the rules of its profile.
//!
//! Every request is carried out at one instant, so that of two at once one is first. Knows nothing
//! of what a machine does once it runs.

use super::creation::lag_of;
use super::limit::Bucket;
use super::stock::{Installed, Life, Stock, Thing, cluster};
use super::trouble::{Down, Place, Trouble};
use super::{CONNECT_TIMEOUT, Change, Cloud, CloudEvent, Counted, Ground};
use quorate_engine::resource::{Kind, Spec};
use quorate_engine::seam::{Call, Fault, FaultClass, Lane, Outcome, Reply, Verb};
use quorate_engine::time::Span;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What was drawn for one request, always all of it: switching one trouble leaves the others'
/// draws.
struct Luck {
    lost: f64,
    done: bool,
    error: f64,
}

impl Cloud {
    /// A request leaves for a provider.
    pub(super) fn send(&mut self, ground: &mut dyn Ground, number: u64, name: &str) {
        let profile = self.accounts[self.account(name)].profile;
        let flight = self.flights.get_mut(&number).expect("it was just made");
        let latency = profile.request.draw(&mut flight.luck);
        flight.leg = Span(latency.0 / 2).max(Span::from_ms(1));
        ground.after(flight.leg, CloudEvent::Arrive(number));
    }

    /// A request is at the provider's door.
    pub(super) fn arrive(&mut self, ground: &mut dyn Ground, number: u64, name: &str) {
        let account = self.account(name);
        let flight = self.flights.get_mut(&number).expect("it is under way");
        let luck = Luck {
            lost: flight.luck.unit(),
            done: flight.luck.chance(0.5),
            error: flight.luck.unit(),
        };
        let (call, leg) = (Arc::clone(&flight.call), flight.leg);
        match self.down(account, &call) {
            Some(Down::Silent) => {
                let rest = CONNECT_TIMEOUT - leg;
                return self.fail(ground, number, rest, "connection timed out");
            }
            Some(Down::Unavailable) => {
                let fault = Fault::new(FaultClass::Retryable, "503 service unavailable");
                return self.reply(ground, number, leg, Err(fault));
            }
            None => {}
        }
        if self.bitten(
            account,
            &call,
            |trouble| matches!(trouble, Trouble::LostReplies { rate } if luck.lost < rate),
        ) {
            if !luck.done {
                return self.lose(ground, number, false);
            }
            self.flights.get_mut(&number).expect("it is under way").lost = true;
        }
        let outcome = match self.limited(ground, account, &call) {
            Some(fault) => Err(fault),
            None if self.bitten(
                account,
                &call,
                |trouble| matches!(trouble, Trouble::Errors { rate } if luck.error < rate),
            ) =>
            {
                let detail = "500 internal server error";
                Err(Fault::new(FaultClass::Retryable, detail))
            }
            None => self.carry_out(ground, account, &call),
        };
        self.reply(ground, number, leg, outcome);
    }

    /// Whether an answer cannot come back because the API has gone silent.
    pub(super) fn cut_off(&mut self, call: &Call) -> bool {
        match &call.lane {
            Lane::Provider(name) => {
                let account = self.account(name);
                self.down(account, call) == Some(Down::Silent)
            }
            Lane::Hosts | Lane::Cluster => false,
        }
    }

    /// Whether and how the API is down for this request. A list is complete or it is none: it needs
    /// every place in which something of the cluster is.
    fn down(&mut self, account: usize, call: &Call) -> Option<Down> {
        let mut places = BTreeSet::from([place(&self.stock, account, call)]);
        if call.verb == Verb::List {
            let of_cluster = |thing: &&Thing| {
                thing.account == account
                    && thing.exists()
                    && cluster(thing.id()) == cluster(&call.target)
            };
            let owned = self.stock.things.iter().filter(of_cluster);
            places.extend(owned.map(|thing| Place::of(&thing.resource.spec)));
        }
        let name = self.accounts[account].account.name.as_str();
        let mut all = places.into_iter();
        all.find_map(|place| self.troubles.down(name, place))
    }

    pub(super) fn bitten(
        &mut self,
        account: usize,
        call: &Call,
        bites: impl Fn(Trouble) -> bool,
    ) -> bool {
        let name = self.accounts[account].account.name.as_str();
        let place = place(&self.stock, account, call);
        let pick = |trouble| bites(trouble).then_some(());
        self.troubles.strongest(name, place, pick).is_some()
    }

    /// The refusal, where too much was asked.
    fn limited(&mut self, ground: &dyn Ground, account: usize, call: &Call) -> Option<Fault> {
        let now = ground.now();
        let name = self.accounts[account].account.name.as_str();
        let at = place(&self.stock, account, call);
        let divisor = self.troubles.divisor(name, at);
        let imposed = self.troubles.rate(name, at);
        let open = &self.accounts[account];
        let cost = if call.verb == Verb::List {
            let listed = |thing: &&Thing| thing.account == account && thing.shown(now);
            let count = self.stock.things.iter().filter(listed).count() as u32;
            count.div_ceil(open.profile.page).max(1)
        } else {
            1
        };
        let records = self.of_records(account, call);
        let open = &mut self.accounts[account];
        let mine = |counted| match counted {
            Counted::Any => true,
            Counted::Records => records,
            Counted::Reads => !records && !call.verb.mutates(),
            Counted::Writes => !records && matches!(call.verb, Verb::Create | Verb::Update),
            Counted::Deletes => !records && call.verb == Verb::Delete,
        };
        let buckets = || open.buckets.iter().filter(|bucket| mine(bucket.counted()));
        let waits = buckets().map(|bucket| bucket.wait(now, cost, divisor));
        let wait = waits.max().unwrap_or(Span::ZERO);
        open.squeezed = imposed.map(|limit| match open.squeezed.take() {
            Some(bucket) => bucket.under(limit),
            None => Bucket::new(limit),
        });
        let squeeze = open
            .squeezed
            .as_ref()
            .map(|bucket| bucket.wait(now, cost, 1));
        if wait > Span::ZERO {
            open.shut_until = open.shut_until.max(now + open.profile.penalty);
        }
        let wait = wait
            .max(open.shut_until.since(now))
            .max(squeeze.unwrap_or_default());
        if wait == Span::ZERO {
            if let Some(bucket) = &mut open.squeezed {
                bucket.take(now, cost, 1);
            }
            for bucket in open.buckets.iter_mut().filter(|b| mine(b.counted())) {
                bucket.take(now, cost, divisor);
            }
            return None;
        }
        let mut fault = Fault::new(FaultClass::Retryable, "429 too many requests");
        fault.after = Some(wait);
        Some(fault)
    }

    fn of_records(&self, account: usize, call: &Call) -> bool {
        let kind = call.resource.as_ref().map(|wanted| wanted.spec.kind());
        let known = self.stock.living(account, &call.target);
        let kind = kind.or(known.map(|serial| self.stock.things[serial].kind));
        kind == Some(Kind::RecordSet)
    }

    fn carry_out(&mut self, ground: &mut dyn Ground, account: usize, call: &Call) -> Outcome {
        let now = ground.now();
        match call.verb {
            Verb::List => {
                let mine = |thing: &&Thing| {
                    thing.account == account
                        && thing.shown(now)
                        && cluster(thing.id()) == cluster(&call.target)
                };
                let all = self.stock.things.iter().filter(mine);
                Ok(Reply::List(all.map(Thing::seen).collect()))
            }
            Verb::Describe => Ok(match self.stock.shown(account, &call.target, now) {
                Some(serial) => Reply::Seen(self.stock.things[serial].seen()),
                None => Reply::Absent,
            }),
            Verb::Create => self.create(ground, account, call),
            Verb::Update => self.update(ground, account, call),
            Verb::Delete => self.delete(ground, account, call),
            Verb::Probe
            | Verb::Cluster
            | Verb::Init
            | Verb::AddLearner
            | Verb::Promote
            | Verb::MoveLeader
            | Verb::RemoveMember
            | Verb::Drain => invalid(format!("a provider cannot {}", call.verb)),
        }
    }

    pub(super) fn update(
        &mut self,
        ground: &mut dyn Ground,
        account: usize,
        call: &Call,
    ) -> Outcome {
        let wanted = self.acceptable(account, call)?;
        let now = ground.now();
        let shown = self.stock.living(account, &call.target);
        let Some(serial) = shown.filter(|&serial| self.stock.things[serial].shown(now)) else {
            return Err(Fault::new(FaultClass::NotFound, "404 not found"));
        };
        if !changes_in_place(&self.stock.things[serial].resource.spec, &wanted.spec) {
            return invalid(format!(
                "{} cannot be changed like this in place",
                wanted.id
            ));
        }
        let thing = &mut self.stock.things[serial];
        let told = Installed::new(&wanted, call, None);
        let same = thing.fingerprint == told.fingerprint && thing.addresses == told.addresses;
        thing.resource = wanted;
        thing.fingerprint = told.fingerprint;
        thing.addresses = told.addresses;
        let (kind, off) = (thing.kind, thing.life == Life::Stopped);
        if kind == Kind::RecordSet && !same {
            self.publish(ground, serial);
        }
        if kind == Kind::Machine && off {
            self.power_on(ground, serial);
        }
        Ok(Reply::Done)
    }

    /// Everything that carries the id and is to be seen goes: a request finds things by their
    /// label.
    fn delete(&mut self, ground: &mut dyn Ground, account: usize, call: &Call) -> Outcome {
        let now = ground.now();
        let mut found = self.stock.of(&call.target).to_vec();
        found.retain(|&serial| {
            let thing = &self.stock.things[serial];
            thing.account == account && thing.lives() && thing.shown(now)
        });
        for &serial in &found {
            let thing = &self.stock.things[serial];
            if !thing.is_ours() {
                return invalid(format!("{} was there before and stays", call.target));
            }
            if self.stock.in_use(thing) {
                return Err(Fault::new(FaultClass::Busy, "409 machines still use it"));
            }
        }
        for serial in found {
            let kind = self.stock.things[serial].kind;
            if kind == Kind::Machine {
                self.retire(ground, serial);
                continue;
            }
            self.end(ground, serial);
            if kind == Kind::RecordSet {
                let id = call.target.clone();
                ground.changed(Change::RecordsGone { id });
            }
        }
        Ok(Reply::Done)
    }

    /// It is gone; reads may show it a little longer.
    pub(super) fn end(&mut self, ground: &dyn Ground, serial: usize) {
        let thing = &self.stock.things[serial];
        assert!(thing.exists(), "{} ends once", thing.id());
        let (account, id) = (thing.account, thing.id().clone());
        let mut luck = self.luck(account, &id, serial as u64, "linger");
        let profile = self.accounts[account].profile;
        let now = ground.now();
        let thing = &mut self.stock.things[serial];
        let lag = luck.between(Span::ZERO, lag_of(profile, thing.kind));
        if thing.kind == Kind::Machine {
            self.accounts[account].machines -= 1;
        }
        thing.life = Life::Gone;
        thing.gone_at = Some(now);
        thing.shown_until = now + lag;
    }

    /// Sends a record set to the name servers.
    pub(super) fn publish(&mut self, ground: &mut dyn Ground, serial: usize) {
        let thing = &mut self.stock.things[serial];
        thing.revision += 1;
        let (account, id) = (thing.account, thing.id().clone());
        let revision = thing.revision;
        let mut luck = self.luck(account, &id, u64::from(revision), "publish");
        let delay = self.accounts[account].profile.publish.draw(&mut luck);
        ground.after(delay, CloudEvent::Published(serial as u64, revision));
    }

    /// Name servers have a version of a record set. Of two versions the later one counts.
    pub(super) fn published(&mut self, ground: &mut dyn Ground, serial: usize, revision: u32) {
        let thing = &mut self.stock.things[serial];
        if thing.life == Life::Gone || revision != thing.revision {
            return;
        }
        assert!(thing.published < revision, "a version is published once");
        thing.published = revision;
        ground.changed(self.records(serial));
    }

    /// What name servers answer, in the order in which the record set names its machines.
    pub(super) fn records(&self, serial: usize) -> Change {
        let thing = &self.stock.things[serial];
        let Spec::RecordSet { machines, .. } = &thing.resource.spec else {
            panic!("{} is a record set", thing.id());
        };
        let address = |id| thing.addresses.iter().find(|(of, _)| of == id).cloned();
        Change::Records {
            resource: Arc::clone(&thing.resource),
            addresses: machines.iter().filter_map(address).collect(),
        }
    }
}

/// Where the call's target is, or is to be.
fn place<'a>(stock: &'a Stock, account: usize, call: &'a Call) -> Place<'a> {
    let known = || {
        let serial = stock.living(account, &call.target)?;
        Some(Place::of(&stock.things[serial].resource.spec))
    };
    let wanted = call.resource.as_ref().map(|wanted| Place::of(&wanted.spec));
    wanted.or_else(known).unwrap_or_default()
}

/// Whether a provider can make one out of the other without replacing it.
fn changes_in_place(is: &Spec, wanted: &Spec) -> bool {
    let place = Place::of(is) == Place::of(wanted);
    match (is, wanted) {
        (
            Spec::Machine { image, spot, .. },
            Spec::Machine {
                image: i, spot: s, ..
            },
        ) => place && image == i && spot == s,
        (Spec::Network { cidr, .. }, Spec::Network { cidr: c, .. }) => place && cidr == c,
        (Spec::Firewall { .. }, Spec::Firewall { .. }) => place,
        (
            Spec::RecordSet { zone, name, .. },
            Spec::RecordSet {
                zone: z, name: n, ..
            },
        ) => zone == z && name == n,
        _ => false,
    }
}

pub(super) fn invalid(detail: String) -> Outcome {
    Err(Fault::new(FaultClass::Invalid, detail))
}
