//! Links while a plan is carried out: whoever is met or parts is told to all others, with few calls.

use super::properties::fates;
use super::world::{Fate, World, fault};
use super::{executor, founded, limits, machine, plan, provider, step};
use crate::exec::{Limits, Summary};
use crate::journal::{Entry, Ledger};
use crate::mesh::{MeshKey, PeerFact, Reach, Table, table_of};
use crate::plan::{Plan, Step, Until};
use crate::resource::{Kind, Resource, ResourceId, Spec};
use crate::seam::{Call, FaultClass, Key, Lane, Notice, Verb};
use crate::time::{Span, Time};
use proptest::prelude::*;
use std::net::Ipv4Addr;
use std::sync::Arc;

const BEGUN: Time = Time(1_000_000_000);

fn after_secs(secs: u64) -> Time {
    BEGUN + Span::from_secs(secs)
}

fn peer_spec(number: usize, underlay: &str) -> Spec {
    Spec::Peer {
        address: Ipv4Addr::new(10, 88, 0, number as u8 + 1),
        port: 51_820,
        mtu: 1_420,
        underlay: underlay.to_owned(),
        dial_out: false,
        pods: None,
    }
}

fn resource(id: ResourceId, spec: Spec) -> Option<Arc<Resource>> {
    Some(Arc::new(Resource {
        id,
        provider: String::new(),
        spec,
    }))
}

fn peer(number: usize, verb: Verb, underlay: &str, after: &[u32]) -> Step {
    let id = machine(number).child("peer");
    let mut step = step(id.clone(), verb, Lane::Hosts, after);
    step.kind = Kind::Peer;
    step.desired = resource(id, peer_spec(number, underlay));
    step
}

fn links(number: usize, verb: Verb, after: &[u32]) -> Step {
    let id = machine(number).child("links");
    let mut step = step(id.clone(), verb, Lane::Hosts, after);
    step.kind = Kind::Links;
    step.desired = resource(id, Spec::Links { keepalive_s: 25 });
    step
}

fn dormant(number: usize, after: &[u32]) -> Step {
    let mut step = links(number, Verb::Update, after);
    step.until = Some(Until::Outdated);
    step
}

fn host_delete(number: usize) -> Step {
    let mut step = step(
        machine(number).child("host"),
        Verb::Delete,
        Lane::Hosts,
        &[],
    );
    step.kind = Kind::Host;
    step
}

/// A world of machines with mesh addresses; the first `met` of them are peers already.
fn world(count: usize, met: usize, fates: impl FnMut(&Call, usize) -> Fate + 'static) -> World {
    let mut world = World::new(fates);
    for number in 0..count {
        let address = Ipv4Addr::new(10, 88, 0, number as u8 + 1);
        let machine = machine(number);
        world.journal.push(Entry::Allocated { machine, address });
    }
    for number in 0..met {
        let id = machine(number);
        let key = MeshKey::simulated(&id, Key(7));
        world.keys.insert(id.clone(), key);
        let made = (Key(number as u64), BEGUN);
        world.copies.insert(id.clone(), vec![made]);
        world.copies.insert(id.child("host"), vec![made]);
        let spec = peer_spec(number, "before");
        let peer = PeerFact::new(&id, &spec, key, Reach::default()).expect("a peer's spec");
        world.journal.push(Entry::Met { peer });
    }
    world
}

fn wide() -> Limits {
    let mut limits = limits();
    limits.hosts.in_flight = 16;
    limits
}

fn drive(world: &mut World, plan: &Arc<Plan>) -> Summary {
    let mut executor = executor(plan, &wide(), 1, &founded());
    assert!(world.drive(&mut executor, plan, &wide(), None));
    executor.finished().expect("driven to its end").clone()
}

fn known(world: &World) -> Table {
    Ledger::replay(&world.journal).peers
}

/// What a machine's links were last made from; none if it was not told anything.
fn told(world: &World, number: usize) -> Option<Table> {
    let target = machine(number).child("links");
    let last = world
        .calls
        .iter()
        .rfind(|made| made.call.target == target)?;
    Some(table_of(&last.call.peers))
}

fn calls(world: &World, number: usize, from: Time) -> usize {
    let target = machine(number).child("links");
    let of = |made: &&super::world::Made| made.call.target == target && made.at >= from;
    world.calls.iter().filter(of).count()
}

/// The peers of these machines take so many milliseconds; everything else takes 100.
fn slow_peers(times: &'static [(usize, u64)]) -> impl FnMut(&Call, usize) -> Fate {
    move |call, _| {
        let is = |number: usize| call.target == machine(number).child("peer");
        let slow = times.iter().find(|(number, _)| is(*number));
        Fate::Fine(Span::from_ms(slow.map_or(100, |(_, ms)| *ms)))
    }
}

#[test]
fn who_is_late_is_told_to_all_that_were_done_before() {
    let mut steps: Vec<_> = (0..3).map(|n| peer(n, Verb::Create, "a", &[])).collect();
    steps.extend((0..3).map(|n| links(n, Verb::Create, &[n as u32])));
    let mut world = world(3, 0, slow_peers(&[(2, 60_000)]));
    let summary = drive(&mut world, &plan(steps));
    assert_eq!(summary.to_string(), "6 done");
    assert_eq!(known(&world).len(), 3);
    for number in 0..3 {
        assert_eq!(told(&world, number), Some(known(&world)), "{number}");
        assert_eq!(calls(&world, number, after_secs(60)), 1, "{number}");
    }
    for number in 0..2 {
        let early = calls(&world, number, BEGUN) - 1;
        assert!((1..=2).contains(&early), "{number} did not wait: {early}");
    }
}

#[test]
fn links_that_are_as_they_should_be_cost_nothing_until_the_mesh_changes() {
    let other = step(machine(9), Verb::Create, provider("htz"), &[]);
    let still = plan(vec![dormant(0, &[]), dormant(1, &[]), other]);
    let mut world = world(3, 2, slow_peers(&[]));
    assert_eq!(drive(&mut world, &still).to_string(), "3 done");
    assert_eq!((told(&world, 0), told(&world, 1)), (None, None));

    let grows = plan(vec![
        peer(2, Verb::Create, "a", &[]),
        dormant(0, &[]),
        dormant(1, &[]),
    ]);
    let ledger = Ledger::replay(&world.journal);
    let mut executor = executor(&grows, &wide(), 1, &ledger);
    assert!(world.drive(&mut executor, &grows, &wide(), None));
    assert_eq!(known(&world).len(), 3);
    for number in 0..2 {
        assert_eq!(told(&world, number), Some(known(&world)), "{number}");
        assert_eq!(calls(&world, number, BEGUN), 1, "{number}");
    }
}

#[test]
fn a_dormant_step_that_waits_for_its_own_peer_hears_of_what_changed_meanwhile() {
    let plan = plan(vec![
        peer(0, Verb::Update, "elsewhere", &[]),
        dormant(0, &[0]),
        dormant(1, &[]),
    ]);
    let mut world = world(2, 2, slow_peers(&[]));
    assert_eq!(drive(&mut world, &plan).to_string(), "3 done");
    assert_eq!(known(&world)[&machine(0)].underlay, "elsewhere");
    for number in 0..2 {
        assert_eq!(told(&world, number), Some(known(&world)), "{number}");
    }
}

#[test]
fn a_peer_that_is_made_again_as_it_was_is_no_news() {
    let plan = plan(vec![peer(0, Verb::Update, "before", &[]), dormant(1, &[])]);
    let mut world = world(2, 2, slow_peers(&[]));
    let before = world
        .journal
        .iter()
        .filter(|e| matches!(e, Entry::Met { .. }))
        .count();
    drive(&mut world, &plan);
    let after = world
        .journal
        .iter()
        .filter(|e| matches!(e, Entry::Met { .. }))
        .count();
    assert_eq!((before, after, told(&world, 1)), (2, 2, None));
}

#[test]
fn peers_that_come_together_cost_one_call() {
    let times = &[(1, 100), (2, 400), (3, 700), (4, 1_050), (5, 30_000)];
    let mut steps: Vec<_> = (1..6).map(|n| peer(n, Verb::Create, "a", &[])).collect();
    steps.push(dormant(0, &[]));
    let mut world = world(6, 1, slow_peers(times));
    drive(&mut world, &plan(steps));
    assert_eq!(calls(&world, 0, BEGUN), 2, "four together, and one later");
    assert_eq!(told(&world, 0), Some(known(&world)));
    let first = world
        .calls
        .iter()
        .find(|made| made.call.kind == Kind::Links);
    let first = first.expect("it was told");
    assert_eq!(first.call.peers.len(), 5);
    assert_eq!(
        first.at.since(BEGUN),
        Span::from_ms(1_100),
        "a second of gathering"
    );
}

#[test]
fn who_parts_is_taken_out_of_all_links() {
    let mut machine_delete = step(machine(2), Verb::Delete, provider("htz"), &[]);
    machine_delete.kind = Kind::Machine;
    for delete in [machine_delete, host_delete(2)] {
        let title = delete.title();
        for there in [true, false] {
            let plan = plan(vec![delete.clone(), dormant(0, &[]), dormant(1, &[])]);
            let mut world = world(3, 3, slow_peers(&[]));
            if !there {
                // It is gone already: absent is success.
                world.copies.remove(&delete.resource);
            }
            assert_eq!(drive(&mut world, &plan).to_string(), "3 done");
            let rest: Vec<_> = known(&world).into_keys().collect();
            assert_eq!(rest, [0, 1].map(machine), "{title}");
            for number in 0..2 {
                assert_eq!(
                    told(&world, number),
                    Some(known(&world)),
                    "{title}: {number}"
                );
                assert_eq!(calls(&world, number, BEGUN), 1, "{title}: {number}");
            }
        }
    }
}

/// A peer and its links, on which others wait, and a peer that comes after ten seconds.
fn awaited() -> Arc<Plan> {
    let mut settled = step(machine(4), Verb::Create, provider("htz"), &[]);
    settled.settled = vec![1];
    plan(vec![
        peer(0, Verb::Create, "a", &[]),
        links(0, Verb::Create, &[0]),
        step(machine(3), Verb::Create, provider("htz"), &[1]),
        settled,
        peer(1, Verb::Create, "a", &[]),
        step(machine(5), Verb::Create, provider("htz"), &[1, 4]),
    ])
}

fn awaited_fates(first: Option<FaultClass>, later: Option<FaultClass>) -> World {
    let mut told = 0;
    world(2, 0, move |call, _| {
        let late = call.target == machine(1).child("peer");
        if call.kind != Kind::Links {
            return Fate::Fine(Span::from_ms(if late { 10_000 } else { 100 }));
        }
        told += 1;
        let class = if told == 1 { first } else { None };
        let class = class.or(if call.peers.len() > 1 { later } else { None });
        class.map_or(Fate::Fine(Span::from_ms(400)), fault)
    })
}

#[test]
fn links_that_fail_the_second_time_take_nobody_with_them() {
    let mut world = awaited_fates(None, Some(FaultClass::Invalid));
    let summary = drive(&mut world, &awaited());
    let failed: Vec<_> = summary.failed.iter().map(|(title, _)| &**title).collect();
    assert_eq!(failed, ["create shop/cp/0/links"]);
    assert_eq!((summary.done, summary.skipped), (5, 0));
    for number in 3..6 {
        assert_eq!(world.count(&machine(number), Verb::Create), 1, "{number}");
    }
}

#[test]
fn links_that_are_done_twice_let_nobody_go_twice() {
    let mut world = awaited_fates(None, None);
    let summary = drive(&mut world, &awaited());
    assert_eq!(summary.to_string(), "6 done");
    assert_eq!(calls(&world, 0, BEGUN), 2);
    let begun = Notice::Started {
        step: "create shop/cp/0/links".to_owned(),
    };
    let times = world.said.iter().filter(|said| **said == begun).count();
    assert_eq!(times, 2, "its clock starts anew");
}

#[test]
fn a_cancellation_ends_links_that_wait_or_are_under_way_again() {
    // The late peer is met at 10 s, and the links are made again from 11 s to 11.4 s.
    for (cancel_ms, done, skipped) in [(10_500, 5, 1), (11_200, 6, 0)] {
        // Trouble of the first time is over, and not what ends it.
        let mut world = awaited_fates(Some(FaultClass::Retryable), None);
        world.cancel_at = Some(BEGUN + Span::from_ms(cancel_ms));
        let summary = drive(&mut world, &awaited());
        assert!(summary.cancelled);
        assert_eq!(summary.failed, [], "{cancel_ms}");
        assert_eq!(
            (summary.done, summary.skipped),
            (done, skipped),
            "{cancel_ms}"
        );
        let last = world.journal.last();
        assert!(matches!(last, Some(Entry::RunEnded { .. })), "{last:?}");
    }
}

#[test]
fn the_journal_knows_every_peer_as_it_was_made() {
    let mut wait = step(machine(0), Verb::Describe, provider("htz"), &[0]);
    wait.until = Some(Until::Running);
    let plan = plan(vec![
        step(machine(0), Verb::Create, provider("htz"), &[]),
        wait,
        peer(0, Verb::Create, "a", &[1]),
        peer(1, Verb::Create, "b", &[]),
    ]);
    let mut world = world(2, 0, slow_peers(&[]));
    assert!(drive(&mut world, &plan).complete());
    let text: Vec<_> = world.journal.iter().map(serde_json::to_string).collect();
    let read = text
        .into_iter()
        .map(|line| serde_json::from_str(&line.expect("plain data")));
    let entries: Vec<Entry> = read.collect::<Result<_, _>>().expect("what was written");
    let peers = Ledger::replay(&entries).peers;
    for number in 0..2 {
        assert_eq!(peers[&machine(number)].key, world.keys[&machine(number)]);
    }
    let public = Ipv4Addr::new(203, 0, 113, (machine(0).number() % 250) as u8);
    assert_eq!(
        peers[&machine(0)].public,
        Some(public),
        "as it was seen to be reached"
    );
    assert_eq!(peers[&machine(1)].public, None);
}

/// A plan over machines, of which some are there: each is made, changed, left alone, or removed.
fn random_plan(shape: &[(u8, bool)], met: usize) -> Arc<Plan> {
    let mut steps: Vec<Step> = Vec::new();
    for (number, (choice, chained)) in shape.iter().enumerate() {
        let before: Vec<u32> = match steps.len() as u32 {
            0 => Vec::new(),
            count if *chained => vec![count - 1],
            _ => Vec::new(),
        };
        let at = steps.len() as u32;
        match (number < met, choice % 4) {
            (false, _) => {
                steps.push(peer(number, Verb::Create, "a", &before));
                steps.push(links(number, Verb::Create, &[at]));
            }
            (true, 0) => steps.push(dormant(number, &before)),
            (true, 1) => {
                steps.push(peer(number, Verb::Update, "other", &before));
                steps.push(dormant(number, &[at]));
            }
            (true, 2) => {
                let mut delete = step(machine(number), Verb::Delete, provider("htz"), &before);
                delete.kind = Kind::Machine;
                steps.push(delete);
            }
            (true, _) => steps.push(links(number, Verb::Update, &before)),
        }
    }
    plan(steps)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn links_that_are_done_were_last_told_the_final_mesh(
        shape in prop::collection::vec(any::<(u8, bool)>(), 1..9),
        met in 0usize..9,
        seed: u64,
        trouble in 0u64..60,
        cancel in prop::option::weighted(0.2, 0u64..30),
    ) {
        let met = met.min(shape.len());
        let plan = random_plan(&shape, met);
        let mut world = world(shape.len(), met, fates(seed, trouble, true));
        world.cancel_at = cancel.map(after_secs);
        let before = known(&world);
        let mut executor = executor(&plan, &limits(), seed, &founded());
        prop_assert!(world.drive(&mut executor, &plan, &limits(), None));
        let summary = executor.finished().expect("driven to its end").clone();
        let total = summary.done as usize + summary.failed.len() + summary.skipped as usize;
        prop_assert_eq!(total, plan.steps.len());
        let known = known(&world);
        for (id, peer) in &known {
            let made = world.keys.get(id);
            prop_assert!(made.is_none_or(|key| *key == peer.key), "{}", id);
        }
        if summary.cancelled {
            return Ok(());
        }
        // Links that fail when they are made again have let others go before.
        let mut passed: Vec<bool> = Vec::new();
        for step in &plan.steps {
            let title = step.title();
            let finished = |n: &Notice| matches!(n, Notice::Finished { step, .. } if *step == title);
            let free = step.after.iter().all(|before| passed[*before as usize]);
            let good = step.until == Some(Until::Outdated) || world.said.iter().any(finished);
            passed.push(free && good);
            let failed = summary.failed.iter().any(|(failed, _)| *failed == title);
            if step.kind != Kind::Links || !free || !good || failed {
                continue;
            }
            let of = |n: &usize| step.resource == machine(*n).child("links");
            let number = (0..shape.len()).find(of).expect("one of ours");
            let told = told(&world, number).unwrap_or_else(|| before.clone());
            prop_assert_eq!(told, known.clone(), "{}", title);
        }
    }
}
