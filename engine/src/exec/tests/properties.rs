//! Random plans, random faults, crashes: what must hold whatever happens.

use super::world::{Fate, World};
use super::{executor, founded, limits, machine, plan, provider, step};
use crate::exec::Summary;
use crate::journal::{Entry, Ledger};
use crate::plan::{Plan, Step};
use crate::random::Seed;
use crate::seam::{Call, Fault, FaultClass, Lane, Notice, Verb};
use crate::time::{Span, Time};
use proptest::prelude::*;
use std::sync::Arc;

/// A plan of creations: for each step its lane and, as bits, the earlier steps it needs (the lower
/// half) and those whose end it waits for (the upper half).
fn graph(shape: &[(u8, u32)]) -> Arc<Plan> {
    let steps = shape.iter().enumerate().map(|(index, (lane, bits))| {
        let lane = match lane % 3 {
            0 => provider("htz"),
            1 => provider("aws"),
            _ => Lane::Hosts,
        };
        let after: Vec<u32> = (0..index as u32).filter(|b| bits >> b & 1 == 1).collect();
        let waits = |b: &u32| bits >> (b + 16) & 1 == 1 && bits >> b & 1 == 0;
        let mut step = step(machine(index), Verb::Create, lane, &after);
        step.settled = (0..index as u32).filter(waits).collect();
        step.expected = Span::from_secs(u64::from(bits % 60));
        step
    });
    plan(steps.collect())
}

/// Fates drawn by call, in per cent of trouble; `hard`: some faults are final.
pub(super) fn fates(seed: u64, trouble: u64, hard: bool) -> impl FnMut(&Call, usize) -> Fate {
    move |call, nth| {
        let entity = call.target.number() ^ nth as u64;
        let mut draw = Seed(seed).stream_of(entity, &call.verb.to_string());
        let span = draw.between(Span::from_ms(20), Span::from_secs(4));
        if draw.below(100) >= trouble {
            return Fate::Fine(span);
        }
        let classes = [
            FaultClass::Retryable,
            FaultClass::Retryable,
            FaultClass::Busy,
            FaultClass::Capacity,
            FaultClass::Quota,
            FaultClass::Invalid,
        ];
        let choices = if hard { 8 } else { 6 };
        match draw.below(choices) {
            0 => Fate::Lost,
            1 => Fate::DoneAndLost(span),
            choice => {
                let mut fault = Fault::new(classes[choice as usize - 2], "drawn");
                if draw.chance(0.3) {
                    fault.after = Some(draw.between(Span::from_ms(1), Span::from_secs(20)));
                }
                Fate::Fault(span, fault)
            }
        }
    }
}

/// Every step ended once, and was skipped exactly where something before it failed.
fn check_ends(plan: &Plan, world: &World, summary: &Summary) -> Result<(), TestCaseError> {
    let finished = |title: &str| {
        let hit = |n: &&Notice| matches!(n, Notice::Finished { step, .. } if step == title);
        world.said.iter().filter(hit).count()
    };
    let failed = |title: &str| summary.failed.iter().filter(|(t, _)| t == title).count();
    let mut good: Vec<bool> = Vec::new();
    let mut skipped = 0;
    for step in &plan.steps {
        let title = step.title();
        let (done, bad) = (finished(&title), failed(&title));
        prop_assert!(done + bad <= 1, "{} ended twice", title);
        let free = step.after.iter().all(|before| good[*before as usize]);
        if !summary.cancelled {
            prop_assert_eq!(
                done + bad == 1,
                free,
                "{} skipped exactly if blocked",
                title
            );
        }
        if done + bad == 0 {
            skipped += 1;
            prop_assert_eq!(
                world.count(&step.resource, Verb::Create),
                0,
                "skipped: {}",
                title
            );
        }
        good.push(done == 1);
    }
    let doubts = Ledger::replay(&world.journal).in_flight;
    for (step, good) in plan.steps.iter().zip(&good) {
        let doubted = doubts.contains_key(&step.resource);
        prop_assert!(
            !(*good && doubted),
            "{} is done and in doubt",
            step.resource
        );
    }
    prop_assert_eq!(summary.skipped, skipped);
    prop_assert_eq!(
        summary.done as usize,
        good.iter().filter(|good| **good).count()
    );
    let total = summary.done as usize + summary.failed.len() + summary.skipped as usize;
    prop_assert_eq!(total, plan.steps.len());
    Ok(())
}

fn shapes() -> impl Strategy<Value = Vec<(u8, u32)>> {
    prop::collection::vec((any::<u8>(), any::<u32>()), 1..14)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_step_ends_once_and_in_order(
        shape in shapes(),
        seed: u64,
        trouble in 0u64..70,
        cancel in prop::option::of(0u64..60),
    ) {
        let (plan, limits) = (graph(&shape), limits());
        let mut world = World::new(fates(seed, trouble, true));
        world.cancel_at = cancel.map(|secs| Time(1_000_000_000) + Span::from_secs(secs));
        let mut executor = executor(&plan, &limits, seed, &founded());
        prop_assert!(world.drive(&mut executor, &plan, &limits, None));
        let summary = executor.finished().expect("driven to its end");
        check_ends(&plan, &world, summary)?;
        for step in &plan.steps {
            let copies = world.copies.get(&step.resource).map_or(0, Vec::len);
            prop_assert!(copies <= 1, "{} copies of {}", copies, step.resource);
        }
        let ended = matches!(
            world.journal.last(),
            Some(Entry::RunEnded { done, .. }) if *done == summary.done
        );
        prop_assert!(ended, "the run's end is recorded");
    }

    #[test]
    fn equal_inputs_give_equal_effects(shape in shapes(), seed: u64, trouble in 0u64..70) {
        let (plan, limits) = (graph(&shape), limits());
        let run = || {
            let mut world = World::new(fates(seed, trouble, true));
            let mut executor = executor(&plan, &limits, seed, &founded());
            world.drive(&mut executor, &plan, &limits, None);
            world.effects
        };
        prop_assert!(run() == run());
    }

    /// Faults are none of them final, so a later run can always complete the work. Without keys
    /// (`keyed` false) only asking first keeps copies away.
    #[test]
    fn a_crash_at_any_entry_leaves_one_of_each(
        shape in prop::collection::vec((any::<u8>(), any::<u32>()), 1..7),
        seed: u64,
        trouble in 0u64..40,
        keyed: bool,
    ) {
        let (whole, limits) = (graph(&shape), limits());
        let length = {
            let mut world = World::new(fates(seed, trouble, false));
            let mut executor = executor(&whole, &limits, seed, &founded());
            world.drive(&mut executor, &whole, &limits, None);
            world.journal.len()
        };
        for crash in 2..=length {
            let mut world = World::new(fates(seed, trouble, false));
            world.keyed = keyed;
            world.lag = Span::from_secs(5);
            let mut crash = Some(crash);
            let mut plan = Arc::clone(&whole);
            for _ in 0..20 {
                let ledger = Ledger::replay(&world.journal);
                let mut executor = executor(&plan, &limits, seed, &ledger);
                world.drive(&mut executor, &plan, &limits, crash.take());
                recover(&mut world);
                plan = rest(&whole, &world);
                if plan.is_empty() {
                    break;
                }
            }
            prop_assert!(plan.is_empty(), "the work comes to an end");
            for step in &whole.steps {
                let copies = world.copies.get(&step.resource).map_or(0, Vec::len);
                prop_assert_eq!(copies, 1, "copies of {} after {:?}", &step.resource, crash);
            }
        }
    }
}

/// What a controller does first after a crash: what is seen is adopted.
fn recover(world: &mut World) {
    let ledger = Ledger::replay(&world.journal);
    let entries = ledger.adoptions(|id| world.shows(id));
    world.journal.extend(entries);
}

/// The steps whose resources a read does not show, with their dependencies among themselves.
fn rest(whole: &Plan, world: &World) -> Arc<Plan> {
    let mut place: Vec<Option<u32>> = Vec::new();
    let mut steps: Vec<Step> = Vec::new();
    for step in &whole.steps {
        if world.shows(&step.resource) {
            place.push(None);
            continue;
        }
        place.push(Some(steps.len() as u32));
        let mut step = step.clone();
        for list in [&mut step.after, &mut step.settled] {
            *list = list.iter().filter_map(|b| place[*b as usize]).collect();
        }
        steps.push(step);
    }
    plan(steps)
}
