//! Random calls under random troubles: nothing panics, nothing is answered twice or late, and the
//! same seed gives the same run.

use super::super::{Down, Scope, Trouble};
use super::*;
use proptest::prelude::*;
use quorate_engine::random::Stream;

fn trouble(dice: &mut Stream) -> Trouble {
    match dice.below(10) {
        0 => Trouble::ControlDown(Down::Silent),
        1 => Trouble::ControlDown(Down::Unavailable),
        2 => Trouble::DataDown,
        3 => Trouble::Throttle { divisor: 500 },
        4 => Trouble::Errors { rate: 0.3 },
        5 => Trouble::LostReplies { rate: 0.3 },
        6 => Trouble::Quota { machines: 2 },
        7 => Trouble::StockOut,
        8 => Trouble::Rate {
            burst: 2,
            interval: Span::from_secs(5),
        },
        _ => Trouble::FailedBuilds { rate: 0.5 },
    }
}

fn random_call(dice: &mut Stream) -> Call {
    let (provider, _) = KINDS[dice.below(KINDS.len() as u64) as usize];
    let machine = machine_at(provider, dice.below(3) as u32);
    let verbs = [
        Verb::List,
        Verb::Describe,
        Verb::Create,
        Verb::Create,
        Verb::Update,
        Verb::Delete,
        Verb::Probe,
        Verb::Drain,
    ];
    let verb = verbs[dice.below(verbs.len() as u64) as usize];
    let resource = match dice.below(7) {
        0 => network_at(provider),
        1 | 2 => machine,
        3 => os(&machine),
        4 => peer(&machine),
        5 => worker(&machine),
        _ => balancer(&machine, "edge"),
    };
    let lane = if dice.chance(0.4) { "hosts" } else { provider };
    let mut call = call(lane, verb, &resource);
    call.key = Key(call.key.0 + dice.below(2));
    if dice.chance(0.1) {
        call.resource = None;
    }
    call
}

fn blow(world: &mut World, dice: &mut Stream) {
    let (provider, _) = KINDS[dice.below(8) as usize];
    let id = &machine_at(provider, dice.below(3) as u32).id;
    let World { cloud, sky, .. } = world;
    let _ = match dice.below(8) {
        0 => cloud.kill(sky, id),
        1 => cloud.stop(sky, id),
        2 | 3 => cloud.start(sky, id),
        4 => cloud.reboot(sky, id),
        5 => cloud.pause(sky, id),
        6 => cloud.resume(sky, id),
        _ => cloud.destroy(sky, id),
    };
}

/// A random run; what happened in it, as text.
fn run(seed: u64) -> String {
    let mut world = world(seed);
    let mut dice = Seed(seed).stream("fuzz", "dice");
    for nth in 0..3 {
        world.cloud.place(&mut world.sky, &own_host(nth, "box"));
    }
    for provider in ["htz", "aws", "azr", "dig", "lab"] {
        world.cloud.place(&mut world.sky, &network_at(provider));
        world.cloud.place(&mut world.sky, &machine_at(provider, 1));
    }
    let mut on = Vec::new();
    for _ in 0..150 {
        match dice.below(20) {
            0 => {
                let (provider, _) = KINDS[dice.below(KINDS.len() as u64) as usize];
                let scope = Scope::provider(provider);
                let scope = if dice.chance(0.5) {
                    scope
                } else {
                    scope.region("r1")
                };
                let trouble = trouble(&mut dice);
                on.push(world.cloud.inject(&mut world.sky, scope, trouble));
            }
            1 => {
                if let Some(id) = on.pop() {
                    world.cloud.lift(&mut world.sky, id);
                }
            }
            2 | 3 => blow(&mut world, &mut dice),
            4 => {
                let dark = machine_at("htz", dice.below(3) as u32).id.clone();
                if !world.sky.dark.remove(&dark) {
                    world.sky.dark.insert(dark);
                }
            }
            _ => {
                let patience = dice.between(Span::from_ms(1), Span::from_secs(200));
                world.put(random_call(&mut dice), patience);
            }
        }
        world.pass(dice.exponential(Span::from_secs(8)));
    }
    for id in on {
        world.cloud.lift(&mut world.sky, id);
    }
    for nth in 0..3 {
        for (provider, _) in KINDS {
            let id = &machine_at(provider, nth).id;
            world.cloud.resume(&mut world.sky, id);
        }
    }
    world.pass(Span::from_secs(1_000));
    settled(&world);
    format!("{:?} {:?}", world.sky.answers, world.sky.changes)
}

/// Every call was answered or counted as unheard, and nothing is left under way.
fn settled(world: &World) {
    assert_eq!(world.cloud.under_way(), 0);
    assert_eq!(world.cloud.tally().values().sum::<u64>(), world.calls);
    let unheard = |ended: &super::super::Ended| *ended == super::super::Ended::Unheard;
    let tally = world.cloud.tally().iter();
    let silent = tally.filter(|((_, _, ended), _)| unheard(ended));
    let silent: u64 = silent.map(|(_, count)| count).sum();
    assert_eq!(silent + world.sky.answers.len() as u64, world.calls);
    let mut addresses = BTreeSet::new();
    for machine in world.cloud.machines() {
        assert!(
            addresses.insert(machine.address),
            "two have {}",
            machine.address
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn anything_may_happen(seed in any::<u64>()) {
        prop_assert_eq!(run(seed), run(seed));
    }
}
