//! Creation at a provider: what is refused, what is there already, and what comes into being.
//!
//! Knows nothing of the request's travel: that is over when this begins.

use super::api::invalid;
use super::profile::{Idempotency, Profile};
use super::stock::{Life, Thing, external};
use super::trouble::{Place, Trouble};
use super::{Cloud, CloudEvent, Ground, Note};
use quorate_engine::manifest::ProviderKind;
use quorate_engine::resource::{Kind, Resource};
use quorate_engine::seam::{
    Call, Fault, FaultClass, Key, MachineState, Outcome, Reply, Seen, Verb,
};
use quorate_engine::time::Span;
use std::sync::Arc;

impl Cloud {
    pub(super) fn create(
        &mut self,
        ground: &mut dyn Ground,
        account: usize,
        call: &Call,
    ) -> Outcome {
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
        thing.fingerprint = wanted.spec.fingerprint_at(&call.addresses);
        let seen = thing.seen();
        if wanted.spec.kind() == Kind::RecordSet {
            self.publish(ground, serial);
        }
        Ok(Reply::Seen(seen))
    }

    /// The wanted resource, where this provider makes such things at all.
    pub(super) fn acceptable(&self, account: usize, call: &Call) -> Result<Arc<Resource>, Fault> {
        let bad = |detail: String| Err(Fault::new(FaultClass::Invalid, detail));
        let Some(wanted) = &call.resource else {
            return bad(format!("{} of {} says not of what", call.verb, call.target));
        };
        let (kind, provider) = (wanted.spec.kind(), self.accounts[account].account.kind);
        let can = match kind {
            Kind::RecordSet => provider.has_dns(),
            Kind::Machine if call.verb == Verb::Update => provider.has_machines(),
            Kind::Network | Kind::Firewall | Kind::Machine => {
                provider.has_machines() && provider != ProviderKind::Static
            }
            Kind::Host
            | Kind::Peer
            | Kind::Links
            | Kind::EtcdMember
            | Kind::ControlPlane
            | Kind::Worker
            | Kind::Balancer
            | Kind::ApiProxy
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
            return Some(self.same_token(serial, call, wanted));
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
    fn same_token(&self, serial: usize, call: &Call, wanted: &Resource) -> Outcome {
        let thing = &self.stock.things[serial];
        let print = wanted.spec.fingerprint_at(&call.addresses);
        if *thing.id() != wanted.id || thing.fingerprint != print {
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
        let have = open.machines;
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
        let lag = luck.between(Span::ZERO, lag_of(profile, kind));
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
            self.accounts[account].machines += 1;
            let build = Span((build.0 as f64 * slow) as u64);
            ground.after(
                build.max(Span::from_ms(1)),
                CloudEvent::Built(serial as u64),
            );
        }
        serial
    }
}

/// By how much reads may be behind. DNS services answer for what they have accepted.
pub(super) fn lag_of(profile: &Profile, kind: Kind) -> Span {
    if kind == Kind::RecordSet {
        Span::ZERO
    } else {
        profile.lag
    }
}
