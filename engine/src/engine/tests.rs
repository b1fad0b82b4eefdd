//! The loop as a whole is proven in the simulated world; here stand its corners.

mod ground;
mod lives;
mod signs;

use super::*;
use crate::exec::Guard;
use crate::quorum::Policy;
use crate::seam::{Call, Reply};
use crate::topology::tests::manifest;

fn task(manifest: Arc<Manifest>, mode: Mode) -> Task {
    let policy = Policy {
        declared: 0,
        scale_down: false,
        force: false,
    };
    let version = EtcdVersion::new(3, 6, 11);
    Task {
        manifest,
        mode,
        patience: Span::from_secs(300),
        limits: Limits::new(Guard { version, policy }),
        seed: Seed(1),
        uid: 7,
        agreed: None,
    }
}

fn engine(mode: Mode, journal: &[Entry]) -> Engine {
    let manifest = manifest(&[("cp", "a", 1, &["control-plane"])]);
    Engine::new(task(manifest, mode), journal)
}

fn handle(engine: &mut Engine, now: Time, event: Event) -> Vec<Effect> {
    let mut out = Vec::new();
    engine.handle(now, event, &mut out);
    out
}

/// Lives in a world that answers every call alike, until the engine ends.
fn live(engine: &mut Engine, answer: impl Fn(&Call) -> crate::seam::Outcome) -> Ending {
    let mut now = Time::ZERO;
    let mut effects = handle(engine, now, Event::Start);
    for _ in 0..1_000 {
        let mut next: Option<(Time, Event)> = None;
        for effect in std::mem::take(&mut effects) {
            match effect {
                Effect::Done(ending) => return ending,
                Effect::Call { id, call, .. } => {
                    next = Some((
                        now,
                        Event::Answer {
                            call: id,
                            outcome: answer(&call),
                        },
                    ));
                }
                Effect::WakeAt(at) if next.is_none() => next = Some((at, Event::Wake)),
                Effect::WakeAt(_) | Effect::Record(_) | Effect::Say(_) => {}
            }
        }
        let (at, event) = next.expect("an engine that has not ended waits for something");
        now = now.max(at);
        effects = handle(engine, now, event);
    }
    panic!("the engine does not end");
}

#[test]
fn the_identity_is_recorded_before_anything_is_asked() {
    let effects = handle(&mut engine(Mode::Apply, &[]), Time::ZERO, Event::Start);
    assert_eq!(effects[0], Effect::Record(Entry::Founded { uid: 7 }));
    assert!(
        effects
            .iter()
            .any(|effect| matches!(effect, Effect::Call { .. }))
    );
}

#[test]
fn an_apply_that_sees_nothing_gives_up_and_says_why() {
    let blind = |_: &Call| Err(Fault::new(FaultClass::Auth, "no such token"));
    let Ending::Incomplete(undone) = live(&mut engine(Mode::Apply, &[]), blind) else {
        panic!("nothing could be done")
    };
    let told = undone
        .iter()
        .any(|(_, fault)| fault.detail.contains("no such token"));
    assert!(told, "{undone:#?}");
}

#[test]
fn an_engine_cancelled_at_rest_ends_at_once_and_one_that_looks_ends_with_its_look() {
    let doubt = [
        Entry::Founded { uid: 7 },
        Entry::RunStarted {
            run: 1,
            plan: 1,
            steps: 1,
        },
        Entry::Started {
            run: 1,
            step: 0,
            resource: ResourceId::new("shop/cp/1"),
            verb: Verb::Create,
            key: Ledger::replay(&[Entry::Founded { uid: 7 }])
                .key(&ResourceId::new("shop/cp/1"), Verb::Create),
            attempt: 1,
        },
    ];
    let mut resting = engine(Mode::Apply, &doubt);
    let begins = handle(&mut resting, Time::ZERO, Event::Start);
    assert!(
        !begins
            .iter()
            .any(|effect| matches!(effect, Effect::Call { .. })),
        "it settles"
    );
    let ends = handle(&mut resting, Time::ZERO, Event::Cancel);
    assert_eq!(ends, [Effect::Done(Ending::Cancelled)]);

    let mut looking = engine(Mode::Apply, &[]);
    let effects = handle(&mut looking, Time::ZERO, Event::Start);
    let asked = effects.iter().find_map(|effect| match effect {
        Effect::Call { id, .. } => Some(*id),
        _ => None,
    });
    let waits = handle(&mut looking, Time::ZERO, Event::Cancel);
    assert!(
        !waits.contains(&Effect::Done(Ending::Cancelled)),
        "an answer is still to come"
    );
    let answer = Event::Answer {
        call: asked.unwrap(),
        outcome: Ok(Reply::List(Vec::new())),
    };
    assert!(handle(&mut looking, Time::ZERO, answer).contains(&Effect::Done(Ending::Cancelled)));
}
