//! Rules that whole runs cannot show, because here appends always reach to the end of a log.

use super::*;
use crate::etcd::log::Write;
use crate::etcd::member_id::Members;
use quorate_engine::random::Seed;

const ME: MemberId = MemberId(0);
const OLD: MemberId = MemberId(1);
const THIRD: MemberId = MemberId(2);

fn member() -> (Member, Entries) {
    let config = Config {
        voters: Members::first(3),
        learners: Members::NONE,
    };
    let tuning = Tuning {
        pace: Pace::etcd(10),
        pre_vote: false,
        check_quorum: true,
        fresh_wait: true,
    };
    let draws = Seed(1).stream("m0", "test");
    (Member::new(ME, tuning, config, draws), Entries::new(config))
}

/// The leader of term 1 hands over one write, which it may have `committed`.
fn one_entry(member: &mut Member, entries: &mut Entries, commit: Index) -> Vec<Message> {
    let tip = entries.follow(GENESIS, 1, Payload::Write(Write::new(1)), OLD);
    let append = Message {
        from: OLD,
        to: ME,
        term: 1,
        body: Body::Append {
            prev: 0,
            prev_term: 0,
            commit,
            tip: Some(tip),
        },
    };
    let mut out = Vec::new();
    member.step(&append, entries, &mut out);
    out
}

#[test]
fn an_entry_of_an_old_term_is_not_committed_by_counting() {
    let (mut member, mut entries) = member();
    let mut out = one_entry(&mut member, &mut entries, 0);
    let written = member.to_write();
    member.persisted(&written, &mut entries, &mut out);
    while member.role() != Role::Candidate {
        member.tick(&mut entries, &mut out);
    }
    let answer = |body| Message {
        from: THIRD,
        to: ME,
        term: 2,
        body,
    };
    member.step(
        &answer(Body::VoteAnswer { granted: true }),
        &mut entries,
        &mut out,
    );
    assert_eq!(member.role(), Role::Leader);
    let written = member.to_write();
    member.persisted(&written, &mut entries, &mut out);
    // A majority holds entry 1, of term 1; only entry 2, of this term, may commit both.
    member.step(&answer(Body::Appended { last: 1 }), &mut entries, &mut out);
    assert_eq!(member.committed(), 0);
    member.step(&answer(Body::Appended { last: 2 }), &mut entries, &mut out);
    assert_eq!(member.committed(), 2);
}

#[test]
fn nothing_is_applied_before_it_is_on_disk() {
    let (mut member, mut entries) = member();
    let mut out = one_entry(&mut member, &mut entries, 1);
    assert_eq!(member.committed(), 1);
    assert!(member.unsynced() && member.apply_next(&mut entries, &mut out).is_none());
    let written = member.to_write();
    member.persisted(&written, &mut entries, &mut out);
    assert!(!member.unsynced() && member.apply_next(&mut entries, &mut out).is_some());
}

#[test]
fn a_commit_beyond_the_log_is_ruin_and_is_not_answered() {
    let (mut member, mut entries) = member();
    let mut out = Vec::new();
    let heartbeat = Message {
        from: OLD,
        to: ME,
        term: 1,
        body: Body::Heartbeat { commit: 5 },
    };
    member.step(&heartbeat, &mut entries, &mut out);
    assert_eq!(member.ruined(), Some(Ruined { commit: 5, last: 0 }));
    assert!(out.is_empty());
}
