//! Random faults, requests and writes, many seeds: no promise breaks, and a healed cluster works.

use super::*;
use crate::kernel::Chain;
use quorate_engine::random::{Stream, hash_name};

/// Everything at once, from a stream: what goes wrong next, to whom, and when.
fn torment(options: Options, voters: usize, seed: u64) -> (Etcd, Flat, u64) {
    let mut flat = Flat::new(Span::from_ms(8), Span::from_ms(6));
    let mut etcd = Etcd::new(options, Seed(seed), voters);
    etcd.start_all(&mut flat);
    let mut draws: Stream = Seed(seed).stream("torment", "test");
    for write in 0..400 {
        let pick = |draws: &mut Stream, n: usize| MemberId(draws.below(n as u64) as u8);
        let n = etcd.members().count();
        let (one, other) = (pick(&mut draws, n), pick(&mut draws, n));
        let request = match draws.below(40) {
            0..2 => return_nothing(|| etcd.crash(&mut flat, one)),
            2..8 => return_nothing(|| etcd.start(&mut flat, one)),
            8..10 => return_nothing(|| flat.cut(one, other)),
            10 => return_nothing(|| flat.isolate(one, Members::first(n))),
            11..14 => return_nothing(|| flat.heal()),
            14 => return_nothing(|| etcd.pause(&mut flat, one)),
            15..18 => return_nothing(|| etcd.resume(&mut flat, one)),
            18 => return_nothing(|| etcd.stop(&mut flat, one)),
            19 if n < 12 => etcd
                .provision()
                .map(|m| Request::Change(Change::AddLearner(m))),
            20 => Some(Request::Change(Change::Promote(one))),
            21 if etcd.config().voters.len() > 3 => Some(Request::Change(Change::Remove(one))),
            22 => Some(Request::MoveLeader(one)),
            _ => None,
        };
        if let (Some(request), Some(leader)) = (request, etcd.leader()) {
            etcd.request(&mut flat, (leader, write), request, &always);
        }
        let _: Outcome = etcd.propose(&mut flat, other, write);
        let next = flat.now() + Span::from_ms(draws.below(600));
        flat.run(&mut etcd, next);
    }
    let mut chain = Chain::default();
    for (at, note) in &flat.notes {
        chain.add(hash_name(&format!("{note:?}")), at.0);
    }
    (etcd, flat, chain.hash())
}

fn return_nothing(act: impl FnOnce()) -> Option<Request> {
    act();
    None
}

#[test]
fn nothing_breaks_a_promise_and_a_healed_cluster_works() {
    let mut done = 0;
    for seed in 0..150 {
        let compacting = Options {
            snapshot_count: 40,
            catch_up_entries: 5,
            ..[V3_4, V3_5][seed as usize % 2]
        };
        let (mut etcd, mut flat, _) = torment(compacting, 3 + 2 * (seed as usize % 2), seed);
        assert!(
            etcd.violations().is_empty(),
            "seed {seed}: {:?}",
            etcd.violations()
        );
        flat.heal();
        etcd.members()
            .for_each(|member| etcd.resume(&mut flat, member));
        etcd.config()
            .all()
            .for_each(|member| etcd.start(&mut flat, member));
        let at = flat.now() + Span::from_secs(20);
        flat.run(&mut etcd, at);
        let leader = etcd
            .leader()
            .unwrap_or_else(|| panic!("seed {seed}: nobody leads"));
        etcd.propose(&mut flat, leader, 10_000).expect("it runs");
        let at = flat.now() + Span::from_secs(1);
        flat.run(&mut etcd, at);
        assert_eq!(completed(&flat, 10_000), Some(true), "seed {seed}");
        assert!(
            etcd.violations().is_empty(),
            "seed {seed}: {:?}",
            etcd.violations()
        );
        let ok =
            |(_, note): &&(Time, EtcdNote)| matches!(note, EtcdNote::Completed { ok: true, .. });
        done += flat.notes.iter().filter(ok).count();
    }
    assert!(done > 15_000, "{done} writes prove little");
}

#[test]
fn a_run_is_a_function_of_its_seed() {
    let hash = |seed| torment(V3_5, 5, seed).2;
    assert_eq!(hash(1), hash(1));
    assert_ne!(hash(1), hash(2));
}
