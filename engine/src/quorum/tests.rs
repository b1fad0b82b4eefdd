//! The guard against the table of etcd's rules, and against every short history.

use super::*;
use proptest::prelude::*;

const OLD: EtcdVersion = EtcdVersion::new(3, 5, 29);
const NEW: EtcdVersion = EtcdVersion::new(3, 5, 30);
const LAX: Policy = Policy {
    declared: 0,
    scale_down: true,
    force: false,
};

fn id(number: u32) -> ResourceId {
    ResourceId::new(format!("shop/cp/{number}"))
}

fn member(number: u32, healthy: bool) -> MemberView {
    MemberView {
        machine: id(number),
        learner: false,
        started: true,
        healthy,
        leader: false,
    }
}

fn learner(number: u32, healthy: bool) -> MemberView {
    MemberView {
        learner: true,
        ..member(number, healthy)
    }
}

/// `n` voters, the first `h` healthy, the first leading.
fn cluster(n: u32, h: u32) -> Vec<MemberView> {
    let mut view: Vec<MemberView> = (0..n).map(|i| member(i, i < h)).collect();
    view[0].leader = true;
    view
}

fn policy(declared: u32) -> Policy {
    Policy {
        declared,
        scale_down: false,
        force: false,
    }
}

/// n voters, h connected; adding under the old and the new rule; voters, healthy ones and tolerance
/// after removing a healthy and a dead one. `None`: refused, or there is nothing to remove.
type Row = (
    u32,
    u32,
    bool,
    bool,
    Option<(u32, u32, i64)>,
    Option<(u32, u32, i64)>,
);

const TABLE: [Row; 17] = [
    (1, 1, true, true, None, None),
    (2, 2, true, true, Some((1, 1, 0)), None),
    (2, 1, false, false, None, None),
    (3, 3, true, true, Some((2, 2, 0)), None),
    (3, 2, false, false, None, Some((2, 2, 0))),
    (4, 4, true, true, Some((3, 3, 1)), None),
    (4, 3, false, true, Some((3, 2, 0)), Some((3, 3, 1))),
    (5, 5, true, true, Some((4, 4, 1)), None),
    (5, 4, false, true, Some((4, 3, 0)), Some((4, 4, 1))),
    (5, 3, false, false, None, Some((4, 3, 0))),
    (6, 6, true, true, Some((5, 5, 2)), None),
    (6, 5, false, true, Some((5, 4, 1)), Some((5, 5, 2))),
    (6, 4, false, true, Some((5, 3, 0)), Some((5, 4, 1))),
    (7, 7, true, true, Some((6, 6, 2)), None),
    (7, 6, false, true, Some((6, 5, 1)), Some((6, 6, 2))),
    (7, 5, false, true, Some((6, 4, 0)), Some((6, 5, 1))),
    (7, 4, false, false, None, Some((6, 4, 0))),
];

#[test]
fn the_table_of_etcds_rules_holds() {
    for (n, h, add_old, add_new, remove_healthy, remove_dead) in TABLE {
        let view = cluster(n, h);
        let add = MemberChange::AddLearner(id(99));
        for (version, expected) in [(OLD, add_old), (NEW, add_new)] {
            assert_eq!(
                etcd_allows(&add, &view, version).is_ok(),
                expected,
                "add {n}/{h}"
            );
            let judged = judge(&add, &view, version, &LAX);
            assert_eq!(judged.is_ok(), expected, "add {n}/{h}: {judged:?}");
            // A leader would be refused by policy: the last healthy one only leads alone.
            let mut removals = vec![(id(h - 1), remove_healthy)];
            if h < n {
                removals.push((id(n - 1), remove_dead));
            }
            for (who, expected) in removals {
                let change = MemberChange::Remove(who);
                let allowed = etcd_allows(&change, &view, version).is_ok();
                assert_eq!(allowed, expected.is_some(), "{change:?} of {n}/{h}");
                let after = judge(&change, &view, version, &LAX).ok().map(|a| a.after);
                let after = after.map(|s| (s.voters, s.healthy, s.tolerance()));
                if !(n == 2 && h == 1) {
                    assert_eq!(after, expected, "{change:?} of {n}/{h}");
                }
            }
        }
    }
}

#[test]
fn refusals_say_what_would_help() {
    let mut three = cluster(3, 3);
    let text = |change, view: &[MemberView], version, policy: &Policy| match judge(
        &change, view, version, policy,
    ) {
        Ok(allowed) => format!("allowed, {} after", allowed.after),
        Err(refusal) => refusal.to_string(),
    };
    let shown = [
        text(MemberChange::Remove(id(0)), &three, NEW, &policy(3)),
        text(MemberChange::Remove(id(2)), &three, NEW, &policy(3)),
        text(MemberChange::Remove(id(1)), &cluster(2, 2), NEW, &policy(3)),
        text(MemberChange::Remove(id(0)), &cluster(1, 1), NEW, &LAX),
        text(
            MemberChange::AddLearner(id(9)),
            &cluster(5, 4),
            OLD,
            &policy(5),
        ),
        text(
            MemberChange::AddLearner(id(3)),
            &cluster(3, 2),
            NEW,
            &policy(3),
        ),
        text(MemberChange::Promote(id(3)), &three, NEW, &policy(3)),
        text(MemberChange::Remove(id(1)), &cluster(3, 2), NEW, &policy(3)),
        text(MemberChange::Remove(id(1)), &cluster(3, 1), NEW, &policy(3)),
        text(
            MemberChange::MoveLeader(id(0)),
            &cluster(1, 1),
            NEW,
            &policy(1),
        ),
        {
            three.push(learner(3, false));
            text(MemberChange::AddLearner(id(4)), &three, NEW, &policy(3))
        },
        text(MemberChange::Promote(id(3)), &three, NEW, &policy(3)),
        text(MemberChange::Remove(id(3)), &three, NEW, &policy(3)),
    ];
    insta::assert_snapshot!(shown.join("\n"), @r"
    shop/cp/0 leads: move leadership to another voter first, or writes stop for a while
    allowed, 2/2, tolerates 0 after
    removing shop/cp/1 leaves 1 of the 3 voters that the manifest declares: add a member first, or ask for a scale-down
    shop/cp/0 is the last voter: removing it destroys the data; add another one first
    etcd 3.5.29 adds a member only while every voter is connected, and 4 of 5 are: remove a dead one first, or wait for it
    with the joiner there are 4 voters and a quorum is 3, but only 2 are healthy until it has joined: remove a dead one first, or wait for it
    shop/cp/3 is not a member: add it as a learner first
    without shop/cp/1 1 of 2 voters would be healthy and a quorum is 2: bring another member back first
    1 of 3 voters are healthy and a quorum is 2: no change can be decided; bring members back, or restore from a snapshot
    no healthy voter besides shop/cp/0 can lead (1 of 1 healthy): add one
    shop/cp/3 is still a learner and etcd 3.5.30 holds one: promote or remove it first
    shop/cp/3 is not healthy: as a voter it would make 3 of 4, quorum 3; wait until it has caught up, or remove it
    allowed, 3/3, tolerates 1 after
    ");
}

#[test]
fn a_member_that_just_came_back_can_neither_count_nor_leave_freely() {
    let ids = [id(0), id(1), id(2)];
    let members = |last| {
        [Link::Settled, Link::Settled, last]
            .iter()
            .zip(&ids)
            .map(|(link, machine)| Standing {
                machine,
                learner: false,
                started: true,
                link: *link,
            })
            .collect::<Vec<_>>()
    };
    let leave = MemberChange::Remove(id(2));
    assert!(etcd_judges(&leave, &members(Link::Down), NEW).is_ok());
    assert!(matches!(
        etcd_judges(&leave, &members(Link::Fresh), NEW),
        Err(Refusal::QuorumWouldBreak { .. })
    ));
    assert!(etcd_judges(&leave, &members(Link::Settled), NEW).is_ok());
}

#[test]
fn members_that_never_started_do_not_count_as_started() {
    let mut view = cluster(3, 3);
    view[1].started = false;
    view[2].started = false;
    let refused = etcd_allows(&MemberChange::Remove(id(0)), &view, NEW);
    assert!(matches!(
        refused,
        Err(Refusal::TooFewStarted {
            started: 0,
            needed: 2,
            ..
        })
    ));
    view.push(learner(3, true));
    let refused = etcd_allows(&MemberChange::Promote(id(3)), &view, NEW);
    assert!(matches!(
        refused,
        Err(Refusal::TooFewStarted {
            started: 2,
            needed: 3,
            ..
        })
    ));
    view[1].started = true;
    assert!(etcd_allows(&MemberChange::Promote(id(3)), &view, NEW).is_ok());
}

#[test]
fn force_overrides_policy_and_says_so_but_never_etcd() {
    let forced = |declared| Policy {
        force: true,
        ..policy(declared)
    };
    let remove = |view: &[MemberView], who, policy| {
        judge(&MemberChange::Remove(id(who)), view, NEW, &policy)
    };
    let allowed = remove(&cluster(2, 2), 1, forced(3)).expect("forced");
    assert!(matches!(
        allowed.forced,
        Some(Refusal::BelowDeclared { .. })
    ));
    let allowed = remove(&cluster(3, 3), 0, forced(3)).expect("forced");
    assert!(matches!(allowed.forced, Some(Refusal::Leads { .. })));
    assert_eq!(
        remove(&cluster(3, 3), 2, forced(3)).expect("fine").forced,
        None
    );
    assert!(
        remove(&cluster(3, 2), 1, forced(3)).is_err(),
        "etcd's own rule"
    );
    assert!(
        remove(&cluster(1, 1), 0, forced(3)).is_err(),
        "the last voter"
    );
}

#[test]
fn what_is_so_already_is_allowed_and_changes_nothing() {
    let mut view = cluster(3, 3);
    view.push(learner(3, true));
    let now = slack(&view);
    for (change, done) in [
        (MemberChange::AddLearner(id(1)), true),
        (MemberChange::AddLearner(id(3)), true),
        (MemberChange::Promote(id(1)), true),
        (MemberChange::Promote(id(3)), false),
        (MemberChange::MoveLeader(id(0)), false),
        (MemberChange::MoveLeader(id(1)), true),
        (MemberChange::Remove(id(9)), true),
        (MemberChange::Remove(id(3)), false),
    ] {
        assert_eq!(already(&change, &view), done, "{change:?}");
        let allowed = judge(&change, &view, NEW, &policy(3)).expect("allowed");
        if done {
            assert_eq!(allowed.after, now, "{change:?}");
        }
    }
    view[3].started = false;
    assert!(!already(&MemberChange::AddLearner(id(3)), &view));
}

/// Wherever a quorum is left and something is dead or missing, some repair is allowed.
#[test]
fn repair_never_comes_to_a_dead_end() {
    for version in [OLD, NEW] {
        for declared in 1..=9 {
            for n in 1..=9u32 {
                for h in quorum(n)..=n {
                    let view = cluster(n, h);
                    let can = |change| judge(&change, &view, version, &policy(declared)).is_ok();
                    let bury = h < n && can(MemberChange::Remove(id(n - 1)));
                    let grow = can(MemberChange::AddLearner(id(99)));
                    let wanted = h < n || n < declared;
                    assert!(
                        !wanted || bury || grow,
                        "{version} declared {declared}: {n}/{h}"
                    );
                }
            }
        }
    }
}

fn change_of(kind: u8, who: u32) -> MemberChange {
    match kind % 6 {
        0 => MemberChange::AddLearner(id(who)),
        1 => MemberChange::Promote(id(who)),
        2 => MemberChange::MoveLeader(id(who)),
        3 => MemberChange::Restart(id(who)),
        _ => MemberChange::Remove(id(who)),
    }
}

/// Makes a change as etcd would; a joiner has the health that its machine has.
fn make(change: &MemberChange, view: &mut Vec<MemberView>, healthy: bool) {
    match change {
        MemberChange::AddLearner(id) if view.iter().all(|m| m.machine != *id) => {
            view.push(MemberView {
                machine: id.clone(),
                learner: true,
                started: true,
                healthy,
                leader: false,
            });
        }
        MemberChange::AddLearner(_) => {}
        MemberChange::Promote(id) => {
            let member = view.iter_mut().find(|m| m.machine == *id);
            member.expect("only members are promoted").learner = false;
        }
        MemberChange::MoveLeader(id) => {
            let next = view
                .iter()
                .position(|m| m.healthy && !m.learner && m.machine != *id)
                .expect("a successor");
            for (at, member) in view.iter_mut().enumerate() {
                member.leader = at == next;
            }
        }
        MemberChange::Remove(id) => view.retain(|m| m.machine != *id),
        MemberChange::Restart(_) => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_allowed_history_loses_quorum(
        n in 1u32..8,
        dead in 0u32..4,
        declared in 1u32..8,
        scale_down: bool,
        new: bool,
        steps in prop::collection::vec((any::<u8>(), 0u32..10, any::<bool>()), 1..40),
    ) {
        let healthy = n.saturating_sub(dead).max(quorum(n));
        let mut view = cluster(n, healthy);
        let policy = Policy { declared, scale_down, force: false };
        let version = if new { NEW } else { OLD };
        for (kind, who, alive) in steps {
            let change = change_of(kind, who);
            let (before, members) = (slack(&view), view.len());
            let Ok(allowed) = judge(&change, &view, version, &policy) else { continue };
            let led = view.iter().any(|m| m.leader && m.machine == *machine(&change));
            make(&change, &mut view, alive);
            prop_assert_eq!(allowed.after, slack(&view), "the slack announced");
            prop_assert!(slack(&view).tolerance() >= 0, "{:?} took quorum", change);
            prop_assert!(!(led && matches!(change, MemberChange::Remove(_))), "a leader left");
            prop_assert!(view.iter().filter(|m| m.learner).count() <= 1, "two learners");
            let after = slack(&view);
            let joined = after.voters == before.voters && view.len() > members;
            prop_assert!(
                !joined || before.voters == 1 || before.healthy >= quorum(before.voters + 1),
                "a joiner is covered"
            );
            let shrunk = after.voters < before.voters;
            prop_assert!(
                !shrunk || scale_down || after.voters + 1 >= declared
                    || after.healthy == before.healthy,
                "a healthy voter left below the declared size"
            );
        }
    }
}
