//! A provider's API: what a request does there, by the rules of its profile.
//!
//! Every request is carried out at one instant, so that of two at once one is first. Knows nothing
//! of what a machine does once it runs.

use super::profile::Idempotency;
use super::stock::{Installed, Life, Stock, Thing, cluster, external};
use super::trouble::{Down, Place, Trouble};
use super::{CONNECT_TIMEOUT, Change, Cloud, CloudEvent, Counted, Ground, Note};
use quorate_engine::manifest::ProviderKind;
use quorate_engine::resource::{Kind, Resource, Spec};
use quorate_engine::seam::{
    Call, Fault, FaultClass, Key, Lane, MachineState, Outcome, Reply, Seen, Verb,
};
use quorate_engine::time::Span;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What was drawn for one request, always all of it: switching one trouble leaves the others' draws.
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

    fn bitten(&mut self, account: usize, call: &Call, bites: impl Fn(Trouble) -> bool) -> bool {
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
        let mut wait = waits.max().unwrap_or(Span::ZERO);
        if wait > Span::ZERO {
            wait = wait.max(open.profile.penalty);
            open.shut_until = open.shut_until.max(now + open.profile.penalty);
        }
        wait = wait.max(open.shut_until.since(now));
        if wait == Span::ZERO {
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

    fn create(&mut self, ground: &mut dyn Ground, account: usize, call: &Call) -> Outcome {
        let wanted = self.acceptable(account, call)?;
        if let Some(outcome) = self.repeated(ground, account, call, &wanted) {
            return outcome;
        }
        if wanted.spec.kind() == Kind::Machine
            && let Some(fault) = self.refusal(ground, account, call, &wanted)
        {
            return Err(fault);
        }
        if self.stock.living(account, &wanted.id).is_some() {
            let id = wanted.id.clone();
            ground.note(Note::Duplicated { id });
        }
        let serial = self.make(ground, account, &wanted, Some(call.key));
        let thing = &mut self.stock.things[serial];
        thing.addresses.clone_from(&call.addresses);
        let seen = thing.seen();
        if wanted.spec.kind() == Kind::RecordSet {
            self.publish(ground, serial);
        }
        Ok(Reply::Seen(seen))
    }

    /// The wanted resource, where this provider makes such things at all.
    fn acceptable(&self, account: usize, call: &Call) -> Result<Arc<Resource>, Fault> {
        let bad = |detail: String| Err(Fault::new(FaultClass::Invalid, detail));
        let Some(wanted) = &call.resource else {
            return bad(format!("{} of {} says not of what", call.verb, call.target));
        };
        let (kind, provider) = (wanted.spec.kind(), self.accounts[account].account.kind);
        let can = match kind {
            Kind::RecordSet => provider.has_dns(),
            Kind::Network | Kind::Firewall | Kind::Machine => {
                provider.has_machines() && provider != ProviderKind::Static
            }
            Kind::Host
            | Kind::Peer
            | Kind::EtcdMember
            | Kind::ControlPlane
            | Kind::Worker
            | Kind::Balancer
            | Kind::StoragePool => false,
        };
        if !can {
            return bad(format!("{} has no {kind} to give", call.lane));
        }
        if wanted.id != call.target {
            return bad(format!("{} is not {}", wanted.id, call.target));
        }
        Ok(Arc::clone(wanted))
    }

    /// What a creation meets that was made before, by the provider's idempotency.
    fn repeated(
        &mut self,
        ground: &mut dyn Ground,
        account: usize,
        call: &Call,
        wanted: &Resource,
    ) -> Option<Outcome> {
        let profile = self.accounts[account].profile;
        let rule = if wanted.spec.kind() == Kind::RecordSet {
            profile.records
        } else {
            profile.idempotency
        };
        let by_token = match rule {
            Idempotency::Token | Idempotency::TokenAndName => self.stock.by_key(account, call.key),
            Idempotency::Name | Idempotency::Put | Idempotency::None => None,
        };
        if let Some(serial) = by_token {
            return Some(self.same_token(serial, wanted));
        }
        let (living, leaving) = (
            self.stock.living(account, &wanted.id),
            self.stock.leaving(account, &wanted.id),
        );
        let busy = || Err(Fault::new(FaultClass::Busy, "409 it is being deleted"));
        match (rule, living, leaving) {
            (Idempotency::None | Idempotency::Token, _, _) | (_, None, None) => None,
            (Idempotency::Put, Some(_), _) => Some(self.update(ground, account, call).map(|_| {
                let serial = self.stock.living(account, &wanted.id).expect("still there");
                Reply::Seen(self.stock.things[serial].seen())
            })),
            (Idempotency::Name | Idempotency::TokenAndName, Some(_), _) => {
                let detail = format!("409 the name {} is taken", wanted.id);
                Some(Err(Fault::new(FaultClass::Exists, detail)))
            }
            (_, None, Some(_)) => Some(busy()),
        }
    }

    /// The token of an earlier request. A terminated machine is still the answer to its token, and
    /// will not come up.
    fn same_token(&self, serial: usize, wanted: &Resource) -> Outcome {
        let thing = &self.stock.things[serial];
        if *thing.id() != wanted.id || thing.fingerprint != wanted.spec.fingerprint() {
            return invalid("the token was used with other parameters".to_owned());
        }
        let state = match thing.lives() {
            true => thing.seen().state,
            false => MachineState::Error,
        };
        Ok(Reply::Seen(Seen {
            state,
            ..thing.seen()
        }))
    }

    /// Why there can be no such machine now.
    fn refusal(
        &mut self,
        ground: &dyn Ground,
        account: usize,
        call: &Call,
        wanted: &Resource,
    ) -> Option<Fault> {
        let open = &self.accounts[account];
        let have = self.stock.machines(account);
        let over = open.account.quota.is_some_and(|quota| have >= quota);
        let needs = open.profile.network;
        let short = |trouble| matches!(trouble, Trouble::Quota { machines } if have >= machines);
        if over || self.bitten(account, call, short) {
            let detail = format!("403 the account has {have} machines and may have no more");
            return Some(Fault::new(FaultClass::Quota, detail));
        }
        if self.bitten(account, call, |trouble| trouble == Trouble::StockOut) {
            let at = Place::of(&wanted.spec);
            let detail = format!("no {} left in {} {}", at.machine_type, at.region, at.zone);
            return Some(Fault::new(FaultClass::Capacity, detail.trim_end()));
        }
        let network = self.stock.network_for(account, wanted);
        match network.map(|serial| &self.stock.things[serial]) {
            None if needs => Some(Fault::new(FaultClass::NotFound, "there is no network")),
            Some(network) if needs && !network.shown(ground.now()) => {
                let detail = "the network is not to be seen yet";
                Some(Fault::new(FaultClass::Busy, detail))
            }
            None | Some(_) => None,
        }
    }

    fn update(&mut self, ground: &mut dyn Ground, account: usize, call: &Call) -> Outcome {
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
        let told = Installed::new(Arc::clone(&wanted), call.addresses.clone());
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

    /// Everything that carries the id and is to be seen goes: a request finds things by their label.
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

    /// Makes a thing, past all refusals.
    pub(super) fn make(
        &mut self,
        ground: &mut dyn Ground,
        account: usize,
        wanted: &Arc<Resource>,
        key: Option<Key>,
    ) -> usize {
        let profile = self.accounts[account].profile;
        let nth = self.stock.of(&wanted.id).len();
        let mut luck = self.luck(account, &wanted.id, nth as u64, "create");
        let (now, kind) = (ground.now(), wanted.spec.kind());
        let build = profile.build.draw(&mut luck);
        let lag = luck.between(Span::ZERO, profile.lag);
        let unlucky = luck.unit();
        let name = self.accounts[account].account.name.as_str();
        let at = Place::of(&wanted.spec);
        let is_machine = kind == Kind::Machine;
        let (mut doomed, mut slow) = (false, 1.0);
        if is_machine {
            let fails = |t| matches!(t, Trouble::FailedBuilds { rate } if unlucky < rate);
            let fails = |trouble| fails(trouble).then_some(());
            doomed = self.troubles.strongest(name, at, fails).is_some();
            slow = self.troubles.slowness(name, at);
        }
        let external = external(profile.prefix, account, &wanted.id, nth);
        let mut thing = Thing::new(account, wanted, external, now);
        thing.shown_from = now + lag;
        if is_machine {
            thing.life = Life::Building;
            thing.doomed = doomed;
            thing.address = Some(self.stock.allocate(account, &wanted.id));
        }
        let serial = self.stock.add(thing, key);
        if is_machine {
            let build = Span((build.0 as f64 * slow) as u64);
            ground.after(
                build.max(Span::from_ms(1)),
                CloudEvent::Built(serial as u64),
            );
        }
        serial
    }

    /// It is gone; reads may show it a little longer.
    pub(super) fn end(&mut self, ground: &dyn Ground, serial: usize) {
        let thing = &self.stock.things[serial];
        assert!(thing.exists(), "{} ends once", thing.id());
        let (account, id) = (thing.account, thing.id().clone());
        let mut luck = self.luck(account, &id, serial as u64, "linger");
        let lag = luck.between(Span::ZERO, self.accounts[account].profile.lag);
        let now = ground.now();
        let thing = &mut self.stock.things[serial];
        thing.life = Life::Gone;
        thing.gone_at = Some(now);
        thing.shown_until = now + lag;
    }

    /// Sends a record set to the name servers.
    fn publish(&mut self, ground: &mut dyn Ground, serial: usize) {
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

fn invalid(detail: String) -> Outcome {
    Err(Fault::new(FaultClass::Invalid, detail))
}
