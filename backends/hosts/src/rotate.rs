//! Another mesh key for a node, while the mesh is in use: which step comes next.
//!
//! The new key is made aside on the node; its peers learn it beside the old one; the node switches
//! under a dead man's switch that takes the old key back unless confirmed; the peers move the
//! addresses; handshakes with the new key are seen on every peer that could be told; then it is
//! confirmed, and the old key destroyed. Whatever fails before leads back to the old key, and no
//! unreachable peer stands in the way.
//!
//! A pure state machine: knows no script, clock or connection.

mod drive;

use quorate_engine::mesh::MeshKey;
use quorate_engine::resource::ResourceId;
use quorate_engine::seam::{Fault, FaultClass};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The node takes the old key back after this, unless the new one is confirmed.
pub const DEAD_MAN: Duration = Duration::from_secs(60);

/// How often a peer is asked for a handshake with the new key, once a second: two attempts of
/// WireGuard, which repeats an unanswered one after 5 s (Rekey-Timeout), fit in.
const CHECKS: u32 = 15;

/// How often the node is asked which key it has, when that is not known.
const ASKS: u32 = 4;

/// Something to be done on a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Act {
    /// Node: make a key aside. Answered by [`Answer::Key`].
    Make,
    /// Peer: know the new key, without addresses behind it.
    Announce,
    /// Node: use the new key, under the dead man's switch.
    Switch,
    /// Peer: the addresses are behind the new key now.
    Move,
    /// Peer: was there a handshake with the new key? Answered by [`Answer::Shaken`].
    Check,
    /// Node: keep the new key, destroy the old one.
    Confirm,
    /// Peer: forget the old key.
    Drop,
    /// Node: use the old key again.
    Return,
    /// Peer: the addresses are behind the old key again; forget the new one.
    Back,
    /// Node: which key do you use? Answered by [`Answer::Key`].
    Ask,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// On which machine.
    pub at: ResourceId,
    /// What.
    pub act: Act,
    /// Not before this has passed.
    pub wait: Duration,
}

/// A good answer to a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It is done.
    Done,
    /// A public key.
    Key(MeshKey),
    /// Whether there was a handshake.
    Shaken(bool),
}

/// How a rotation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// The node has this key for good, and the old one is destroyed.
    Rotated {
        /// To be recorded; the links of all peers are to be set anew.
        key: MeshKey,
        /// Peers that do not know it yet, with the reason.
        behind: Vec<(ResourceId, Fault)>,
    },
    /// The node has its old key, or takes it back by itself within [`DEAD_MAN`].
    Kept {
        /// What failed.
        why: Fault,
    },
    /// The node fell silent as the new key was to be confirmed: a probe of it will tell which of
    /// the two it has.
    Unsure {
        /// The key that it may have.
        key: MeshKey,
        /// What failed.
        why: Fault,
    },
}

/// Where a rotation stands.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    Making,
    Announcing,
    Switching,
    /// Whether it has switched is not known.
    Switched {
        asked: u32,
        why: Fault,
    },
    Moving,
    Checking {
        asked: u32,
    },
    Confirming,
    /// Whether it is confirmed is not known.
    Confirmed {
        asked: u32,
        why: Fault,
    },
    Dropping,
    Returning {
        why: Fault,
    },
    Backing {
        why: Fault,
    },
    Ended(Ending),
}

/// The rotation of one node's key.
#[derive(Debug, Clone)]
pub struct Rotation {
    node: ResourceId,
    old: MeshKey,
    new: Option<MeshKey>,
    /// Peers that have heard of the new key.
    told: BTreeSet<ResourceId>,
    behind: BTreeMap<ResourceId, Fault>,
    /// Peers whose answer to the phase's step is still to come.
    open: BTreeSet<ResourceId>,
    /// The first trouble of the phase, once all have answered.
    trouble: Option<Fault>,
    phase: Phase,
}

impl Rotation {
    /// Of `node`, which has the key `old` and tunnels to `peers`; with the first steps.
    #[must_use]
    pub fn begin(
        node: &ResourceId,
        old: MeshKey,
        peers: BTreeSet<ResourceId>,
    ) -> (Self, Vec<Step>) {
        assert!(!peers.contains(node), "nobody is a peer of itself");
        let rotation = Self {
            node: node.clone(),
            old,
            new: None,
            told: peers,
            behind: BTreeMap::new(),
            open: BTreeSet::new(),
            trouble: None,
            phase: Phase::Making,
        };
        let steps = rotation.node(Act::Make, Duration::ZERO);
        (rotation, steps)
    }

    /// The new key, once it is made.
    #[must_use]
    pub fn new_key(&self) -> Option<MeshKey> {
        self.new
    }

    /// How it ended, once it has.
    #[must_use]
    pub fn ending(&self) -> Option<&Ending> {
        match &self.phase {
            Phase::Ended(ending) => Some(ending),
            Phase::Making
            | Phase::Announcing
            | Phase::Switching
            | Phase::Switched { .. }
            | Phase::Moving
            | Phase::Checking { .. }
            | Phase::Confirming
            | Phase::Confirmed { .. }
            | Phase::Dropping
            | Phase::Returning { .. }
            | Phase::Backing { .. } => None,
        }
    }

    /// A step was answered: what is to be done now, all at the same time. Nothing: others are
    /// still to answer, or it has ended.
    ///
    /// # Panics
    /// If the step is not one of those that are open.
    pub fn answered(&mut self, step: &Step, answer: Result<Answer, Fault>) -> Vec<Step> {
        let on_node = step.at == self.node;
        assert!(
            on_node || self.open.remove(&step.at),
            "{step:?} was not asked for"
        );
        match (self.phase.clone(), step.act) {
            (Phase::Making, Act::Make) => self.made(answer),
            (Phase::Announcing, Act::Announce) => self.announced(step, answer),
            (Phase::Switching, Act::Switch) => self.switched(answer),
            (Phase::Switched { asked, why }, Act::Ask) => self.has_switched(asked, why, answer),
            (Phase::Moving, Act::Move) => self.moved(answer),
            (Phase::Checking { asked }, Act::Check) => self.checked(step, asked, answer),
            (Phase::Confirming, Act::Confirm) => self.confirmed(answer),
            (Phase::Confirmed { asked, why }, Act::Ask) => self.has_confirmed(asked, why, answer),
            (Phase::Dropping, Act::Drop) => self.dropped(step, answer),
            // The dead man's switch does it if this did not.
            (Phase::Returning { why }, Act::Return) => self.back(why),
            // What is left of the new key at a peer goes when its links are set anew.
            (Phase::Backing { why }, Act::Back) => self.kept_when_all_are(why),
            (phase, act) => panic!("{act:?} is no step of {phase:?}"),
        }
    }

    fn made(&mut self, answer: Result<Answer, Fault>) -> Vec<Step> {
        match answer {
            Ok(Answer::Key(key)) => {
                assert_ne!(key, self.old, "a new key is a new one");
                self.new = Some(key);
                if self.told.is_empty() {
                    return self.switch();
                }
                self.phase = Phase::Announcing;
                self.all(Act::Announce, Duration::ZERO)
            }
            Ok(Answer::Done | Answer::Shaken(_)) => panic!("a key was asked for"),
            Err(why) => self.end(Ending::Kept { why }),
        }
    }

    fn announced(&mut self, step: &Step, answer: Result<Answer, Fault>) -> Vec<Step> {
        if let Err(fault) = answer {
            self.told.remove(&step.at);
            self.behind.insert(step.at.clone(), fault);
        }
        if !self.open.is_empty() {
            return Vec::new();
        }
        if let Some(why) = self.behind.values().next()
            && self.told.is_empty()
        {
            // Nobody could check the new key: it is not worth the risk.
            let why = why.clone();
            return self.end(Ending::Kept { why });
        }
        self.switch()
    }

    fn switch(&mut self) -> Vec<Step> {
        self.phase = Phase::Switching;
        self.node(Act::Switch, Duration::ZERO)
    }

    fn switched(&mut self, answer: Result<Answer, Fault>) -> Vec<Step> {
        match answer {
            Ok(_) => self.move_on(),
            Err(why) if why.class == FaultClass::Unknown => {
                self.phase = Phase::Switched { asked: 1, why };
                self.node(Act::Ask, Duration::ZERO)
            }
            // It may have failed half way.
            Err(why) => self.give_up(why),
        }
    }

    fn has_switched(&mut self, asked: u32, why: Fault, answer: Result<Answer, Fault>) -> Vec<Step> {
        match answer {
            Ok(Answer::Key(key)) if Some(key) == self.new => self.move_on(),
            Ok(_) => self.give_up(why),
            Err(_) if asked < ASKS => {
                self.phase = Phase::Switched {
                    asked: asked + 1,
                    why,
                };
                self.node(Act::Ask, Duration::from_secs(2))
            }
            Err(_) => self.give_up(why),
        }
    }

    fn move_on(&mut self) -> Vec<Step> {
        if self.told.is_empty() {
            return self.confirm();
        }
        self.phase = Phase::Moving;
        self.trouble = None;
        self.all(Act::Move, Duration::ZERO)
    }

    fn moved(&mut self, answer: Result<Answer, Fault>) -> Vec<Step> {
        if let Err(fault) = answer {
            self.trouble.get_or_insert(fault);
        }
        if !self.open.is_empty() {
            return Vec::new();
        }
        match self.trouble.take() {
            Some(why) => self.give_up(why),
            None => {
                self.phase = Phase::Checking { asked: 1 };
                self.all(Act::Check, Duration::ZERO)
            }
        }
    }

    fn checked(&mut self, step: &Step, asked: u32, answer: Result<Answer, Fault>) -> Vec<Step> {
        if answer != Ok(Answer::Shaken(true)) {
            let what = format!("{}: no handshake with the new key", step.at);
            let why = answer
                .err()
                .unwrap_or_else(|| Fault::new(FaultClass::Retryable, what));
            self.trouble.get_or_insert(why);
        }
        if !self.open.is_empty() {
            return Vec::new();
        }
        match self.trouble.take() {
            None => self.confirm(),
            Some(_) if asked < CHECKS => {
                self.phase = Phase::Checking { asked: asked + 1 };
                self.all(Act::Check, Duration::from_secs(1))
            }
            Some(why) => self.give_up(why),
        }
    }

    fn confirm(&mut self) -> Vec<Step> {
        self.phase = Phase::Confirming;
        self.node(Act::Confirm, Duration::ZERO)
    }

    fn confirmed(&mut self, answer: Result<Answer, Fault>) -> Vec<Step> {
        match answer {
            Ok(_) => self.drop_old(),
            Err(why) => {
                // Either it is, or the dead man's switch has the last word.
                self.phase = Phase::Confirmed { asked: 1, why };
                self.node(Act::Ask, DEAD_MAN)
            }
        }
    }

    fn has_confirmed(
        &mut self,
        asked: u32,
        why: Fault,
        answer: Result<Answer, Fault>,
    ) -> Vec<Step> {
        match answer {
            Ok(Answer::Key(key)) if Some(key) == self.new => self.drop_old(),
            Ok(_) => self.back(why),
            Err(_) if asked < ASKS => {
                self.phase = Phase::Confirmed {
                    asked: asked + 1,
                    why,
                };
                self.node(Act::Ask, Duration::from_secs(10))
            }
            Err(_) => {
                let key = self.new.expect("it was made");
                self.end(Ending::Unsure { key, why })
            }
        }
    }

    fn drop_old(&mut self) -> Vec<Step> {
        self.phase = Phase::Dropping;
        if self.told.is_empty() {
            return self.rotated();
        }
        self.all(Act::Drop, Duration::ZERO)
    }

    fn dropped(&mut self, step: &Step, answer: Result<Answer, Fault>) -> Vec<Step> {
        if let Err(fault) = answer {
            self.behind.insert(step.at.clone(), fault);
        }
        if self.open.is_empty() {
            self.rotated()
        } else {
            Vec::new()
        }
    }

    fn rotated(&mut self) -> Vec<Step> {
        let key = self.new.expect("it was made");
        let behind = std::mem::take(&mut self.behind).into_iter().collect();
        self.end(Ending::Rotated { key, behind })
    }

    fn give_up(&mut self, why: Fault) -> Vec<Step> {
        self.phase = Phase::Returning { why };
        self.node(Act::Return, Duration::ZERO)
    }

    fn back(&mut self, why: Fault) -> Vec<Step> {
        if self.told.is_empty() {
            return self.end(Ending::Kept { why });
        }
        self.phase = Phase::Backing { why };
        self.all(Act::Back, Duration::ZERO)
    }

    fn kept_when_all_are(&mut self, why: Fault) -> Vec<Step> {
        if self.open.is_empty() {
            self.end(Ending::Kept { why })
        } else {
            Vec::new()
        }
    }

    fn end(&mut self, ending: Ending) -> Vec<Step> {
        assert!(self.open.is_empty(), "nothing is open at the end");
        self.phase = Phase::Ended(ending);
        Vec::new()
    }

    fn node(&self, act: Act, wait: Duration) -> Vec<Step> {
        vec![Step {
            at: self.node.clone(),
            act,
            wait,
        }]
    }

    /// The same step on every peer that was told.
    fn all(&mut self, act: Act, wait: Duration) -> Vec<Step> {
        assert!(self.open.is_empty(), "one phase after the other");
        self.open = self.told.clone();
        let step = |at: &ResourceId| Step {
            at: at.clone(),
            act,
            wait,
        };
        self.told.iter().map(step).collect()
    }
}

#[cfg(test)]
mod tests;
