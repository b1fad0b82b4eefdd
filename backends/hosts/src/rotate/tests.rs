//! A rotation against a node and two peers made of plain data, with every step failing in every
//! way.

use super::*;

const OLD: MeshKey = MeshKey([1; 32]);
const NEW: MeshKey = MeshKey([2; 32]);

fn machine(n: u8) -> ResourceId {
    ResourceId::new(format!("shop/w/{n}"))
}

/// What a step does to the world, whatever is said about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Not done, and said so.
    Refused,
    /// Done, and nobody heard.
    DoneUnheard,
    /// Not done, and nobody heard.
    LostUnheard,
}

/// A node that knows its key, and peers that know which key has the node's address.
struct World {
    live: MeshKey,
    confirmed: bool,
    known: BTreeMap<ResourceId, (BTreeSet<MeshKey>, MeshKey)>,
    /// Machines that never answer.
    dead: BTreeSet<ResourceId>,
    /// Peers through which no handshake gets.
    deaf: BTreeSet<ResourceId>,
    fails: Option<(Act, Fate)>,
    trace: Vec<Act>,
}

impl World {
    fn new() -> Self {
        let knows = || ([OLD].into(), OLD);
        Self {
            live: OLD,
            confirmed: false,
            known: [(machine(2), knows()), (machine(3), knows())].into(),
            dead: BTreeSet::new(),
            deaf: BTreeSet::new(),
            fails: None,
            trace: Vec::new(),
        }
    }

    fn apply(&mut self, step: &Step) -> Answer {
        if step.act == Act::Ask && step.wait == DEAD_MAN && !self.confirmed {
            self.live = OLD;
        }
        let shaken = self.live == NEW && !self.deaf.contains(&step.at);
        if let Some((keys, address)) = self.known.get_mut(&step.at) {
            match step.act {
                Act::Announce => drop(keys.insert(NEW)),
                Act::Move => *address = NEW,
                Act::Drop => drop(keys.remove(&OLD)),
                Act::Back => {
                    *address = OLD;
                    keys.remove(&NEW);
                }
                Act::Check => return Answer::Shaken(shaken),
                act => panic!("{act:?} on a peer"),
            }
            return Answer::Done;
        }
        match step.act {
            Act::Make => return Answer::Key(NEW),
            Act::Ask => return Answer::Key(self.live),
            Act::Switch => self.live = NEW,
            Act::Confirm => self.confirmed = true,
            Act::Return => {
                assert!(!self.confirmed, "a confirmed key is not taken back");
                self.live = OLD;
            }
            act => panic!("{act:?} on the node"),
        }
        Answer::Done
    }

    fn answer(&mut self, step: &Step) -> Result<Answer, Fault> {
        self.trace.push(step.act);
        let fault = |class| Err(Fault::new(class, format!("{:?} failed", step.act)));
        if self.dead.contains(&step.at) {
            return fault(FaultClass::Retryable);
        }
        match self.fails {
            Some((act, fate)) if act == step.act => match fate {
                Fate::Refused => fault(FaultClass::Retryable),
                Fate::LostUnheard => fault(FaultClass::Unknown),
                Fate::DoneUnheard => {
                    self.apply(step);
                    fault(FaultClass::Unknown)
                }
            },
            _ => Ok(self.apply(step)),
        }
    }

    fn run(&mut self) -> Ending {
        let peers = self.known.keys().cloned().collect();
        let (mut rotation, mut steps) = Rotation::begin(&machine(1), OLD, peers);
        for _ in 0..100 {
            if let Some(ending) = rotation.ending() {
                return ending.clone();
            }
            let mut next = Vec::new();
            for step in steps {
                let answer = self.answer(&step);
                next.extend(rotation.answered(&step, answer));
            }
            steps = next;
        }
        panic!("it does not end: {:?}", self.trace);
    }

    /// The node's address is behind the key that it has, on every peer that answers.
    fn assert_reachable(&mut self, what: &str) {
        if !self.confirmed {
            // The dead man's switch.
            self.live = OLD;
        }
        for (peer, (keys, address)) in &self.known {
            if !self.dead.contains(peer) {
                assert_eq!(*address, self.live, "{what}: {peer}");
                assert!(keys.contains(&self.live), "{what}: {peer}");
            }
        }
    }
}

#[test]
fn a_key_is_rotated_in_order() {
    let mut world = World::new();
    let ending = Ending::Rotated {
        key: NEW,
        behind: Vec::new(),
    };
    assert_eq!(world.run(), ending);
    use Act::{Announce, Check, Confirm, Drop, Make, Move, Switch};
    let order = [
        Make, Announce, Announce, Switch, Move, Move, Check, Check, Confirm, Drop, Drop,
    ];
    assert_eq!(world.trace, order);
    world.assert_reachable("all well");
    assert!(world.known.values().all(|(keys, _)| *keys == [NEW].into()));
}

#[test]
fn every_failure_leaves_node_and_peers_with_the_same_key() {
    let acts = [
        Act::Make,
        Act::Announce,
        Act::Switch,
        Act::Move,
        Act::Check,
        Act::Confirm,
    ];
    for act in acts {
        for fate in [Fate::Refused, Fate::DoneUnheard, Fate::LostUnheard] {
            let mut world = World::new();
            world.fails = Some((act, fate));
            let ending = world.run();
            let what = format!("{act:?} {fate:?}");
            let done = fate == Fate::DoneUnheard && matches!(act, Act::Switch | Act::Confirm);
            assert_eq!(
                matches!(ending, Ending::Rotated { .. }),
                done,
                "{what}: {ending:?}"
            );
            assert!(
                done || matches!(ending, Ending::Kept { .. }),
                "{what}: {ending:?}"
            );
            world.assert_reachable(&what);
        }
    }
}

#[test]
fn failures_while_cleaning_up_change_nothing_any_more() {
    for fate in [Fate::Refused, Fate::LostUnheard] {
        let mut world = World::new();
        world.fails = Some((Act::Drop, fate));
        let Ending::Rotated { key, behind } = world.run() else {
            panic!("it was confirmed");
        };
        assert_eq!((key, behind.len()), (NEW, 2));
        world.assert_reachable("the old key is not forgotten");

        let mut world = World::new();
        world.deaf.insert(machine(2));
        world.fails = Some((Act::Return, fate));
        assert!(matches!(world.run(), Ending::Kept { .. }));
        world.assert_reachable("the dead man's switch returned it");
    }
}

#[test]
fn an_unreachable_peer_stands_in_nobodys_way() {
    let mut world = World::new();
    world.dead.insert(machine(3));
    let Ending::Rotated { key, behind } = world.run() else {
        panic!("the other one was told");
    };
    assert_eq!(key, NEW);
    assert_eq!(
        behind.into_iter().map(|(id, _)| id).collect::<Vec<_>>(),
        [machine(3)]
    );
    world.assert_reachable("one is away");

    world = World::new();
    world.dead.extend([machine(2), machine(3)]);
    assert!(matches!(world.run(), Ending::Kept { .. }));
    assert_eq!(world.live, OLD, "nobody could have checked it");
    assert!(!world.trace.contains(&Act::Switch));
}

#[test]
fn one_peer_without_a_handshake_takes_it_all_back() {
    let mut world = World::new();
    world.deaf.insert(machine(3));
    let Ending::Kept { why } = world.run() else {
        panic!("not everybody could shake hands");
    };
    assert!(why.detail.contains("shop/w/3"), "{why}");
    assert!(!world.trace.contains(&Act::Confirm));
    let checks = world.trace.iter().filter(|act| **act == Act::Check).count();
    assert_eq!(checks as u32, 2 * CHECKS);
    world.assert_reachable("taken back");
    assert!(world.known.values().all(|(keys, _)| *keys == [OLD].into()));
}

#[test]
fn a_node_that_falls_silent_is_asked_and_never_guessed() {
    // After the switch: it returns by itself, and the peers too.
    let (mut rotation, mut steps) = Rotation::begin(&machine(1), OLD, [machine(2)].into());
    let silent = || Err(Fault::new(FaultClass::Unknown, "silent"));
    let mut trace = Vec::new();
    while rotation.ending().is_none() {
        let step = steps.remove(0);
        trace.push(step.act);
        let answer = match step.act {
            Act::Make => Ok(Answer::Key(NEW)),
            Act::Check => Ok(Answer::Shaken(true)),
            Act::Confirm | Act::Ask => silent(),
            _ => Ok(Answer::Done),
        };
        steps = rotation.answered(&step, answer);
    }
    assert!(matches!(
        rotation.ending(),
        Some(Ending::Unsure { key: NEW, .. })
    ));
    assert_eq!(
        trace.iter().filter(|act| **act == Act::Ask).count() as u32,
        ASKS
    );
    // Both keys stay known on the peers until somebody knows.
    assert!(
        !trace.contains(&Act::Drop) && !trace.contains(&Act::Back),
        "{trace:?}"
    );
}

#[test]
fn a_node_alone_rotates_too() {
    let mut world = World::new();
    world.known.clear();
    assert!(matches!(world.run(), Ending::Rotated { key: NEW, .. }));
    assert_eq!(world.trace, [Act::Make, Act::Switch, Act::Confirm]);
}
