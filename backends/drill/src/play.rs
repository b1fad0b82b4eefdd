//! Phases, faults and their ends over real time, as the simulator plays them.
//!
//! Undoes what it did when a fault is over. That everything is undone however it ends is not its
//! matter: it runs under `hands::guarded`.

use crate::act::Process;
use crate::cast::Cast;
use crate::clients::{Asker, Clock, Log, Population, send};
use crate::eyes::{Eyes, Watched, watch};
use crate::hands::{self, Hands, Promises, Refused};
use crate::plan::{Moment, plan, verb};
use crate::record::{Record, Untried, note, stats, steady};

use quorate_engine::random::{Seed, Stream};
use quorate_engine::resource::ResourceId;
use quorate_engine::time::{Span, Time};
use quorate_sim::outcome::{Note, Track};
use quorate_sim::run::{Injected, Played};
use quorate_sim::scenario::{Condition, Fault, Phase, Pick, Scenario};
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// How often a condition is looked at.
const LOOK: Span = Span::from_ms(100);

/// How long a fault that means the leader waits until there is one: two elections.
const ELECTED: Span = Span::from_secs(5);

/// Everything that a drill needs.
pub struct Drill<H, E, A> {
    /// What is played.
    pub scenario: Scenario,
    /// Who there is.
    pub cast: Arc<Cast>,
    /// Strikes and heals.
    pub hands: Arc<H>,
    /// Looks at the cluster.
    pub eyes: Arc<E>,
    /// Sends requests.
    pub asker: Arc<A>,
    /// Who sends them.
    pub populations: Arc<Vec<Population>>,
    /// What is still to be undone.
    pub promises: Promises,
    /// DNS servers of ours on this host.
    pub dns: Vec<Process>,
    /// The seed of picks and arrivals.
    pub seed: u64,
    /// Names this drill on all machines: letters and digits.
    pub key: String,
    /// How long clients are watched before the first phase.
    pub settle: Span,
    /// For the report.
    pub parameters: Vec<(String, String)>,
}

/// A fault that is on.
struct On {
    struck: hands::Struck,
    silenced: Vec<ResourceId>,
    injected: usize,
    end: Time,
}

struct Due {
    at: Time,
    fault: usize,
    nth: u64,
}

struct Stage<'a, H, E, A> {
    drill: &'a Drill<H, E, A>,
    clock: Clock,
    watched: Watched,
    phases: Vec<Played>,
    injected: Vec<Injected>,
    untried: Vec<Untried>,
    invalid: Vec<String>,
    notes: Vec<Note>,
    on: Vec<On>,
}

impl<H: Hands, E: Eyes, A: Asker> Drill<H, E, A> {
    /// Plays it. `lost` says at the end how many acknowledged writes are not there.
    pub async fn play(&self, lost: impl Future<Output = Option<u64>> + Send) -> Record {
        let clock = Clock::start();
        let watched = Watched::default();
        let log = Log::default();
        let (over, stop) = tokio::sync::watch::channel(false);
        let mut stage = Stage {
            drill: self,
            clock,
            watched: watched.clone(),
            phases: Vec::new(),
            injected: Vec::new(),
            untried: Vec::new(),
            invalid: Vec::new(),
            notes: Vec::new(),
            on: Vec::new(),
        };
        let played = async {
            let zero = stage.settle(&log).await;
            if stage.invalid.is_empty() {
                for index in 0..self.scenario.phases.len() {
                    stage.phase(index).await;
                }
            }
            over.send_replace(true);
            zero
        };
        let sent = send(
            &self.asker,
            &self.populations,
            self.seed,
            clock,
            &log,
            &stop,
        );
        let looked = watch(&self.eyes, &self.cast, clock, &watched);
        let both = async { tokio::join!(played, sent).0 };
        let zero = tokio::select! {
            zero = both => zero,
            () = looked => unreachable!("who looks does so until dropped"),
        };
        let marks: Vec<Time> = stage
            .injected
            .iter()
            .map(|injected| injected.from)
            .collect();
        let sight = watched.sight().clone();
        let mut record = Record {
            scenario: self.scenario.clone(),
            seed: self.seed,
            zero,
            phases: stage.phases,
            injected: stage.injected,
            untried: stage.untried,
            invalid: stage.invalid,
            populations: self.populations.iter().map(|p| p.name.clone()).collect(),
            stats: stats(self.populations.len(), &log.all(), &marks),
            sight,
            steady: steady(&log.all(), zero),
            lost: lost.await,
            parameters: self.parameters.clone(),
            notes: stage.notes,
        };
        record.tell_sight();
        record
    }
}

impl<H: Hands, E: Eyes, A: Asker> Stage<'_, H, E, A> {
    fn note(&mut self, track: Track, text: impl Into<String>) {
        self.notes.push(note(self.clock.now(), track, text));
    }

    /// Watches the steady state; when the first phase begins.
    async fn settle(&mut self, log: &Log) -> Time {
        tokio::time::sleep(Duration::from_nanos(self.drill.settle.0)).await;
        let populations = &self.drill.populations;
        // By entry point, one may be down before: by the name clients find another.
        for (number, clients) in populations.iter().enumerate() {
            let all = log.all();
            let own = all.iter().filter(|request| request.population == number);
            // What began at once met caches that were cold.
            let own: Vec<_> = own
                .filter(|r| r.start >= Time(self.drill.settle.0 / 4))
                .collect();
            let ok = own.iter().filter(|request| request.outcome.is_ok()).count();
            if own.is_empty() || ok * 100 < own.len() * 99 {
                let (name, all) = (&clients.name, own.len());
                self.invalid.push(format!(
                    "steady state: {ok} of {all} requests of {name} succeeded before the first \
                     phase, and 99% are needed"
                ));
            }
        }
        self.clock.now()
    }

    async fn phase(&mut self, index: usize) {
        let drill = self.drill;
        let phase = &drill.scenario.phases[index];
        let from = self.clock.now();
        let to = from + phase.lasts.0;
        self.note(Track::Phase, phase.name.clone());
        for change in &phase.changes {
            let what = change.apply.as_deref().map_or("scale", |_| "apply");
            self.untried.push(Untried {
                phase: index,
                what: what.to_owned(),
                reason: "a drill changes nothing on purpose".to_owned(),
                failed: false,
            });
        }
        let mut due = schedule(drill.seed, phase, index, from, to);
        let mut waiting: Vec<usize> = (0..phase.faults.len())
            .filter(|number| phase.faults[*number].when.is_some())
            .collect();
        loop {
            let next_due = due.iter().map(|due| due.at).min();
            let next_end = self.on.iter().map(|on| on.end).min();
            let look = (!waiting.is_empty()).then(|| self.clock.now() + LOOK);
            let next = [next_due, next_end, look].into_iter().flatten().min();
            let next = next.unwrap_or(to).min(to);
            self.sleep_until(next).await;
            if next >= to {
                break;
            }
            self.end_due(self.clock.now()).await;
            self.conditions(index, &mut waiting, &mut due);
            let now = self.clock.now();
            let (begin, later) = due.into_iter().partition(|due| due.at <= now);
            due = later;
            let begin: Vec<Due> = begin;
            for one in begin {
                self.begin(index, one, to).await;
            }
        }
        for number in waiting {
            self.untried(index, number, "its condition never held", false);
        }
        self.end_due(Time(u64::MAX)).await;
        self.close(index, from, to);
    }

    async fn sleep_until(&self, at: Time) {
        let span = at.since(self.clock.now());
        tokio::time::sleep(Duration::from_nanos(span.0)).await;
    }

    fn conditions(&mut self, index: usize, waiting: &mut Vec<usize>, due: &mut Vec<Due>) {
        let phase = &self.drill.scenario.phases[index];
        let now = self.clock.now();
        let leaderless = self
            .watched
            .sight()
            .leader
            .last()
            .is_some_and(|(_, l)| l.is_none());
        let mut hopeless = Vec::new();
        waiting.retain(|number| {
            let fault = &phase.faults[*number];
            let holds = match fault.when.expect("it waits for something") {
                Condition::Converged => true,
                Condition::Leaderless => leaderless,
                Condition::Changing | Condition::LearnerInFlight => {
                    hopeless.push(*number);
                    return false;
                }
            };
            if holds {
                let at = now + fault.at.0;
                due.push(Due {
                    at,
                    fault: *number,
                    nth: 0,
                });
            }
            !holds
        });
        for number in hopeless {
            self.untried(index, number, "a drill runs no orchestrator", false);
        }
    }

    fn untried(&mut self, phase: usize, fault: usize, reason: &str, failed: bool) {
        let name = verb(self.drill.scenario.phases[phase].faults[fault].verb);
        self.note(Track::Fault, format!("not tried: {name}: {reason}"));
        self.untried.push(Untried {
            phase,
            what: name,
            reason: reason.to_owned(),
            failed,
        });
    }

    async fn begin(&mut self, index: usize, due: Due, to: Time) {
        let drill = self.drill;
        let fault = &drill.scenario.phases[index].faults[due.fault];
        let leader = self.leader(fault, to).await;
        let now = self.clock.now();
        let end = fault.lasts.map_or(to, |lasts| (now + lasts.0).min(to));
        let (key, number) = (&drill.key, self.injected.len());
        let moment = Moment {
            cast: &drill.cast,
            leader: leader.as_ref(),
            dns: &drill.dns,
            lasts: end.since(now),
            key: format!("{key}_{number}"),
        };
        let mut luck = luck(drill.seed, index, due.fault, due.nth);
        let planned = match plan(fault, &moment, &mut luck) {
            Ok(planned) => planned,
            Err(reason) => return self.untried(index, due.fault, &reason, false),
        };
        let struck = hands::strike(&drill.hands, &drill.promises, &planned.acts).await;
        let struck = match struck {
            Ok(struck) => struck,
            Err(Refused::Cannot(why)) => return self.untried(index, due.fault, &why, false),
            Err(Refused::Failed(why)) => return self.untried(index, due.fault, &why, true),
        };
        let from = self.clock.at(struck.from);
        self.watched
            .sight()
            .silence(from, &planned.silenced, &drill.cast);
        self.notes
            .push(note(from, Track::Fault, planned.label.clone()));
        let over_at_once = planned.acts.iter().all(crate::act::Act::is_over_at_once);
        self.on.push(On {
            struck,
            silenced: planned.silenced,
            injected: self.injected.len(),
            // Whoever restarts speaks for itself again as soon as it is back.
            end: if over_at_once { self.clock.now() } else { end },
        });
        self.injected.push(Injected {
            phase: index,
            fault: due.fault,
            label: planned.label,
            from,
            to: end,
        });
    }

    /// Who leads etcd. A fault that means the leader waits for an election that is under way.
    async fn leader(&self, fault: &Fault, to: Time) -> Option<ResourceId> {
        let sides = fault.between.iter().chain(&fault.target);
        let meant = sides.into_iter().any(|side| side.pick == Pick::Leader);
        let until = (self.clock.now() + ELECTED).min(to);
        loop {
            let leader = self.watched.sight().leads(&self.drill.cast);
            if leader.is_some() || !meant || self.clock.now() >= until {
                return leader;
            }
            self.sleep_until(self.clock.now() + LOOK).await;
        }
    }

    /// Ends what is over, all at once.
    async fn end_due(&mut self, now: Time) {
        let (over, on) = std::mem::take(&mut self.on)
            .into_iter()
            .partition(|on| on.end <= now);
        self.on = on;
        let over: Vec<On> = over;
        for one in over {
            let at = self.clock.now();
            let drill = self.drill;
            let trouble = hands::undo(&drill.hands, &drill.promises, &one.struck.promises).await;
            let label = self.injected[one.injected].label.clone();
            for text in trouble {
                self.invalid.push(format!("{label}: not undone: {text}"));
            }
            self.injected[one.injected].to = at.max(self.injected[one.injected].from);
            let back = self.clock.now();
            self.watched
                .sight()
                .unsilence(back, &one.silenced, &drill.cast);
            self.notes
                .push(note(at, Track::Fault, format!("over: {label}")));
        }
    }

    fn close(&mut self, index: usize, from: Time, to: Time) {
        let phase = &self.drill.scenario.phases[index];
        let mut voters: BTreeMap<String, u64> = BTreeMap::new();
        for machine in self.watched.sight().met() {
            if let Some(member) = self.drill.cast.get(&machine) {
                *voters.entry(member.provider.clone()).or_default() += 1;
            }
        }
        self.phases.push(Played {
            name: phase.name.clone(),
            from,
            to: to.max(self.clock.now()),
            machines: BTreeMap::new(),
            voters,
            failed_calls: BTreeMap::new(),
        });
    }
}

/// The stream that picks whom a fault hits, as in simulation.
fn luck(seed: u64, phase: usize, fault: usize, nth: u64) -> Stream {
    Seed(seed).stream(&format!("{phase}/{fault}/{nth}"), "fault-target")
}

/// When each fault of a phase begins, as in simulation; conditional ones come later.
fn schedule(seed: u64, phase: &Phase, index: usize, from: Time, to: Time) -> Vec<Due> {
    let mut due = Vec::new();
    for (number, fault) in phase.faults.iter().enumerate() {
        if fault.when.is_some() {
            continue;
        }
        let mut at = from + fault.at.0;
        let mut nth = 0;
        let mut gaps = Seed(seed).stream(&format!("{index}/{number}"), "fault-gaps");
        while at < to {
            due.push(Due {
                at,
                fault: number,
                nth,
            });
            nth += 1;
            let Some(every) = fault.every else { break };
            at += match fault.poisson {
                true => gaps.exponential(every.0).max(Span::from_ms(1)),
                false => every.0,
            };
        }
    }
    due.sort_by_key(|due| (due.at, due.fault));
    due
}

#[cfg(test)]
mod tests;
