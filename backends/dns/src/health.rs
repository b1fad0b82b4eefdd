//! Who is well, by what several vantage points say.
//!
//! Each looks for itself and changes its mind only after a threshold of equal results in a row. An
//! address is sick when more than half of those who looked lately say so. Time comes in as an
//! argument; who looks, and how views travel, is not known here.

pub use crate::check::Target;

use quorate_engine::time::Time;
use serde::Serialize;
use std::collections::BTreeMap;

/// What one vantage point thinks of one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opinion {
    /// It does not answer as it should.
    pub sick: bool,
    /// When it was looked at last.
    pub at: Time,
}

/// An address has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Notice {
    /// It leaves all answers.
    Sick {
        /// What was asked of it.
        target: String,
        /// Vantage points that say so, of how many that looked lately.
        votes: (usize, usize),
    },
    /// It is back.
    Well {
        /// What was asked of it.
        target: String,
    },
    /// Every address of a record set is sick: all are given out.
    AllSick {
        /// Name and type.
        records: String,
    },
    /// Some address of a record set is well again: only those that are, are given out.
    SomeWell {
        /// Name and type.
        records: String,
    },
}

#[derive(Debug, Clone, Default)]
struct Patient {
    own: Option<Opinion>,
    /// Results in a row that speak against what is thought now.
    against: u8,
    others: BTreeMap<String, Opinion>,
    sick: bool,
}

/// How an address is, for people and for other instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Condition {
    /// What this instance has seen itself; none before its first look.
    pub own: Option<Opinion>,
    /// Left out of answers.
    pub sick: bool,
    /// Vantage points that say that it is sick, and all that looked lately.
    pub votes: (usize, usize),
}

/// Everything that is watched.
#[derive(Debug, Clone, Default)]
pub struct Health {
    patients: BTreeMap<Target, Patient>,
}

impl Health {
    /// Watches exactly these from now on. What is known of those among them stays known; who is new
    /// is taken to be well.
    pub fn watch<'a>(&mut self, targets: impl IntoIterator<Item = &'a Target>) {
        let mut known = std::mem::take(&mut self.patients);
        for target in targets {
            let patient = known.remove(target).unwrap_or_default();
            self.patients.insert(target.clone(), patient);
        }
    }

    /// A check by this instance has ended.
    pub fn observe(&mut self, now: Time, target: &Target, well: bool) -> Option<Notice> {
        let patient = self.patients.get_mut(target)?;
        let sick = patient.own.is_some_and(|own| own.sick);
        patient.against = if well == sick { patient.against + 1 } else { 0 };
        let turned = patient.against >= target.check.threshold;
        if turned {
            patient.against = 0;
        }
        let own = Opinion {
            sick: sick != turned,
            at: now,
        };
        assert!(
            patient.own.is_none_or(|last| last.at <= now),
            "time goes on"
        );
        patient.own = Some(own);
        self.judge(now, target)
    }

    /// Another instance says what it has seen itself. What it heard from others is not for telling:
    /// a rumour would keep itself alive.
    pub fn hear(
        &mut self,
        now: Time,
        peer: &str,
        target: &Target,
        said: Opinion,
    ) -> Option<Notice> {
        let patient = self.patients.get_mut(target)?;
        let at = said.at.min(now);
        // An instance has another name after each start: those of the past are forgotten.
        let fresh = target.check.fresh();
        patient
            .others
            .retain(|_, other| now.since(other.at) <= fresh);
        patient
            .others
            .insert(peer.to_owned(), Opinion { at, ..said });
        self.judge(now, target)
    }

    /// Old opinions stop counting.
    pub fn age(&mut self, now: Time) -> Vec<Notice> {
        let targets: Vec<_> = self.patients.keys().cloned().collect();
        let judged = targets.iter().filter_map(|target| self.judge(now, target));
        judged.collect()
    }

    /// Whether an address is left out of answers.
    #[must_use]
    pub fn is_sick(&self, target: &Target) -> bool {
        self.patients
            .get(target)
            .is_some_and(|patient| patient.sick)
    }

    /// How an address is.
    #[must_use]
    pub fn condition(&self, now: Time, target: &Target) -> Option<Condition> {
        let patient = self.patients.get(target)?;
        Some(Condition {
            own: patient.own,
            sick: patient.sick,
            votes: votes(now, target, patient),
        })
    }

    fn judge(&mut self, now: Time, target: &Target) -> Option<Notice> {
        let patient = self.patients.get_mut(target)?;
        let (against, all) = votes(now, target, patient);
        // Nobody has looked lately: what was known last is the best there is.
        let sick = if all == 0 {
            patient.sick
        } else {
            against * 2 > all
        };
        if sick == patient.sick {
            return None;
        }
        patient.sick = sick;
        let name = target.to_string();
        Some(if sick {
            Notice::Sick {
                target: name,
                votes: (against, all),
            }
        } else {
            Notice::Well { target: name }
        })
    }
}

fn votes(now: Time, target: &Target, patient: &Patient) -> (usize, usize) {
    let lately = |opinion: &&Opinion| now.since(opinion.at) <= target.check.fresh();
    let all = patient.own.iter().chain(patient.others.values());
    let counted: Vec<_> = all.filter(lately).collect();
    let against = counted.iter().filter(|opinion| opinion.sick).count();
    (against, counted.len())
}

#[cfg(test)]
mod tests;
