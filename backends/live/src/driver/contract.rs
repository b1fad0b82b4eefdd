//! The engine's half of the seam's contract, as assertions: what an engine wants has to be such
//! that it can be carried out. The simulated driver asserts the same.
//!
//! Sees effects only, never the engine's own state.

use quorate_engine::journal::Entry;
use quorate_engine::resource::ResourceId;
use quorate_engine::seam::{Call, Effect, Key, Notice, Verb};
use quorate_engine::time::Time;
use std::collections::BTreeMap;

/// Events that an engine may need from one convergence to the next. The largest simulated cluster
/// needs some thousands; an engine that asks for more turns on the spot.
const EVENTS_MAX: u64 = 1_000_000;

/// What an engine has done so far, as far as the contract goes.
#[derive(Debug, Default)]
pub(super) struct Contract {
    now: Time,
    /// The number of the last call; 0 before the first.
    last_call: u64,
    /// What the journal said last of a resource: a call that is announced, or nothing open.
    said: BTreeMap<ResourceId, Option<(Verb, Key)>>,
    /// Since the engine last had nothing to do.
    events: u64,
    done: bool,
}

impl Contract {
    /// Whether what the engine wants after one event can be carried out.
    pub(super) fn check(&mut self, now: Time, effects: &[Effect]) {
        assert!(now >= self.now, "time does not go back");
        self.now = now;
        self.events += 1;
        assert!(
            self.events <= EVENTS_MAX,
            "the engine makes no progress in {EVENTS_MAX} events"
        );
        for effect in effects {
            assert!(!self.done, "an engine that is done wants nothing more");
            match effect {
                Effect::Record(entry) => self.note(entry),
                Effect::Call { id, call, deadline } => {
                    let title = || format!("{} {}", call.verb, call.target);
                    assert!(*deadline > now, "a call has time: {}", title());
                    assert!(id.0 > self.last_call, "calls are numbered: {}", title());
                    self.last_call = id.0;
                    assert!(
                        self.is_recorded(call),
                        "{} was called before it was recorded",
                        title()
                    );
                }
                Effect::WakeAt(at) => assert!(*at >= now, "a wake-up is never in the past"),
                Effect::Say(Notice::Converged) => self.events = 0,
                Effect::Say(_) => {}
                Effect::Done(_) => self.done = true,
            }
        }
    }

    fn note(&mut self, entry: &Entry) {
        let said = match entry {
            Entry::Started {
                resource,
                verb,
                key,
                ..
            } => (resource, Some((*verb, *key))),
            Entry::Finished { resource, .. } | Entry::Adopted { resource, .. } => (resource, None),
            Entry::Founded { .. }
            | Entry::RunStarted { .. }
            | Entry::Allocated { .. }
            | Entry::Met { .. }
            | Entry::Parted { .. }
            | Entry::Forgotten { .. }
            | Entry::Destroyed
            | Entry::RunEnded { .. } => return,
        };
        self.said.insert(said.0.clone(), said.1);
    }

    /// Rule 1 of the seam: the intent of a mutating call stands in the journal before the call, as
    /// the last thing that was said of its target. What an earlier run said does not count: a call
    /// that is repeated is announced again.
    fn is_recorded(&self, call: &Call) -> bool {
        let said = self.said.get(&call.target);
        !call.verb.mutates() || said == Some(&Some((call.verb, call.key)))
    }
}

/// A look leaves the journal as it is.
pub(super) fn assert_changes_nothing(effects: &[Effect]) {
    for effect in effects {
        let changes = match effect {
            Effect::Record(_) => true,
            Effect::Call { call, .. } => call.verb.mutates(),
            Effect::WakeAt(_) | Effect::Say(_) | Effect::Done(_) => false,
        };
        assert!(!changes, "a look changes nothing: {effect:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_engine::resource::Kind;
    use quorate_engine::seam::{CallId, Ending, Lane};
    use std::sync::Arc;

    fn call(id: u64, verb: Verb, deadline: u64) -> Effect {
        let call = Call {
            lane: Lane::Hosts,
            verb,
            target: ResourceId::new("shop/w/1/host"),
            kind: Kind::Host,
            resource: None,
            key: Key(5),
            addresses: Vec::new(),
            peers: Arc::default(),
        };
        Effect::Call {
            id: CallId(id),
            call: Arc::new(call),
            deadline: Time(deadline),
        }
    }

    fn started(key: u64) -> Effect {
        Effect::Record(Entry::Started {
            run: 1,
            step: 0,
            resource: ResourceId::new("shop/w/1/host"),
            verb: Verb::Create,
            key: Key(key),
            attempt: 1,
        })
    }

    fn finished() -> Effect {
        Effect::Record(Entry::Finished {
            run: 1,
            step: 0,
            resource: ResourceId::new("shop/w/1/host"),
            verb: Verb::Create,
            outcome: Ok(()),
        })
    }

    /// Whether effects at 10 ns keep the contract, after what came before them.
    fn keeps(before: &[Effect], effects: &[Effect]) -> bool {
        let mut contract = Contract::default();
        contract.check(Time(10), before);
        let check = std::panic::AssertUnwindSafe(|| contract.check(Time(10), effects));
        std::panic::catch_unwind(check).is_ok()
    }

    #[test]
    fn every_rule_is_asserted() {
        let (create, read) = (call(1, Verb::Create, 11), call(1, Verb::Probe, 11));
        let done = Effect::Done(Ending::Cancelled);
        let kept: [(&[Effect], &[Effect]); 5] = [
            (&[], &[started(5), create.clone()]),
            (&[started(5)], std::slice::from_ref(&create)),
            (&[], std::slice::from_ref(&read)),
            (&[], &[Effect::WakeAt(Time(10)), done.clone()]),
            (
                &[started(5), create.clone()],
                &[finished(), started(5), call(2, Verb::Create, 11)],
            ),
        ];
        for (before, effects) in kept {
            assert!(keeps(before, effects), "{before:?} {effects:?}");
        }
        let broken: [(&[Effect], &[Effect]); 8] = [
            (&[], &[create.clone(), started(5)]),
            (&[], &[started(6), create.clone()]),
            (&[started(5)], &[finished(), create.clone()]),
            (&[], &[call(1, Verb::Probe, 10)]),
            (std::slice::from_ref(&read), &[call(1, Verb::Probe, 11)]),
            (&[], &[Effect::WakeAt(Time(9))]),
            (&[], &[done.clone(), read.clone()]),
            (&[done], &[Effect::WakeAt(Time(11))]),
        ];
        for (before, effects) in broken {
            assert!(!keeps(before, effects), "{before:?} {effects:?}");
        }
        let mut contract = Contract::default();
        contract.check(Time(10), &[]);
        let back = std::panic::AssertUnwindSafe(|| contract.check(Time(9), &[]));
        assert!(std::panic::catch_unwind(back).is_err());
    }
}
