//! Members wake only for ticks that matter, and count all of them.

use super::*;
use std::collections::BTreeMap;

#[test]
fn a_follower_sleeps_while_it_hears_its_leader() {
    let (mut etcd, mut flat, leader) = elected(V3_5, 3, 1);
    let mut ticks: BTreeMap<u8, u32> = BTreeMap::new();
    while let Some(event) = flat.next(secs(110)) {
        if let EtcdEvent::Tick(life) = event {
            *ticks.entry(life.member.0).or_default() += 1;
        }
        etcd.handle(&mut flat, event);
    }
    for (member, ticks) in ticks {
        if member == leader.0 {
            assert_eq!(ticks, 1_000, "the leader wakes for each tick of 100 ms");
        } else {
            // Its time-outs are 10 to 19 ticks, and so are the pauses between two looks.
            assert!((50..=112).contains(&ticks), "{ticks} ticks in 100 s");
        }
    }
}

#[test]
fn whoever_campaigns_does_so_at_a_tick_of_its_clock() {
    let (mut etcd, mut flat, _) = elected(V3_5, 5, 3);
    // A pause does not shift the clock, and frozen time does not count.
    for round in 1..30 {
        let at = secs(10 + 20 * round);
        flat.run(&mut etcd, at);
        let leader = etcd.leader().expect("20 s elect");
        etcd.pause(&mut flat, leader);
        flat.run(&mut etcd, at + Span::from_ms(3_333));
        etcd.resume(&mut flat, leader);
    }
    let mut phases: BTreeMap<u8, Vec<u64>> = BTreeMap::new();
    for (at, note) in &flat.notes {
        if let EtcdNote::Campaigns {
            member, pre: true, ..
        } = note
        {
            phases.entry(member.0).or_default().push(at.0 % 100_000_000);
        }
    }
    assert!(
        phases.values().map(Vec::len).sum::<usize>() >= 29,
        "each pause costs an election"
    );
    for (member, phases) in phases {
        assert!(
            phases.iter().all(|phase| *phase == phases[0]),
            "{member}: {phases:?}"
        );
    }
}

#[test]
fn a_follower_that_hears_nothing_more_campaigns_after_its_time_out() {
    for seed in 0..50 {
        let (mut etcd, mut flat, leader) = elected(V3_5, 3, seed);
        let cut_at = flat.now();
        flat.isolate(leader, Members::first(3));
        let campaigns = |note: &EtcdNote| matches!(note, EtcdNote::Campaigns { pre: true, .. });
        let first = flat
            .run_until(&mut etcd, secs(60), campaigns)
            .expect("somebody stands");
        // The last heartbeat came up to a period and a trip before the cut, or a trip after it;
        // the time-out is 10 to 19 ticks of which the first may be short.
        let silence = first.since(cut_at);
        assert!(
            (Span::from_ms(790)..=Span::from_ms(1_905)).contains(&silence),
            "{silence}"
        );
    }
}
