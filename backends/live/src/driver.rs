//! The driver of the engine in the real world: the other half of the seam's contract, asserted.
//!
//! One event at a time: the engine is told, everything it wants recorded becomes durable in one
//! transaction together with the line of the trace, and only then is the rest carried out, in
//! order. So the journal and the trace never disagree, and no call is made that is not announced.
//!
//! Decisions:
//! - A call is a task of its own, given up at its deadline: its future is dropped, the engine hears
//!   `unknown outcome: no answer in time`, and whatever comes later is not listened to.
//! - A panic in a port is our bug: the driver stops where it stands, notes it in the run's record,
//!   and passes the panic on. The call stands in the journal as announced and in doubt, so the next
//!   run looks for what it may have made. Going on would hide the bug behind retries.
//! - A state that cannot be written ends the run at once: what is not recorded is not done.
//! - The first interrupt or termination cancels: nothing more begins, what runs ends and is
//!   recorded. The second stops at once, and the next run adopts what this one left.
//!
//! Reading order: this file (the loop), `contract` (what the engine has to keep), `keep` (what is
//! written down), `port` (who answers calls), `flight` (calls under way), `clock`, `observe` (what
//! people get to see), `signal`. Knows no provider.

mod clock;
mod contract;
mod flight;
mod keep;
mod observe;
mod port;
mod signal;

pub use observe::{InFlight, News, Observer, Quiet};
pub use port::{Port, Ports};
pub use signal::{Signal, Signals, process_signals};

use crate::store::{Store, StoreError};
use crate::trace::TaskForm;
use clock::Clock;
use contract::{Contract, assert_changes_nothing};
use flight::{Flights, Landed};
use keep::Keeping;
use quorate_engine::engine::{Engine, Mode, Task};
use quorate_engine::journal::{Entry, Ledger};
use quorate_engine::manifest::ProviderKind;
use quorate_engine::seam::{Effect, Ending, Event, Fault, FaultClass, Lane};
use quorate_engine::time::Time;
use std::collections::BTreeSet;

/// Why a run did not come to an ending of its own.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// The state cannot be written: nothing more was begun.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Stopped at once on request.
    #[error(
        "stopped at once{}; run it again: the next run looks for what these calls may have done",
        list(.in_flight)
    )]
    Stopped {
        /// Calls whose answers were not waited for, `create shop/cp/1`.
        in_flight: Vec<String>,
    },
    /// The manifest needs something that nobody here can do.
    #[error("nothing here can talk to {lane}: {fix}")]
    NoPort {
        /// To whom.
        lane: Lane,
        /// What to do about it.
        fix: &'static str,
    },
}

fn list(in_flight: &[String]) -> String {
    if in_flight.is_empty() {
        return String::new();
    }
    format!(" with calls under way: {}", in_flight.join(", "))
}

/// How a run ended.
#[derive(Debug)]
pub struct Ended {
    /// As the engine says.
    pub ending: Ending,
    /// The engine, with what it saw last.
    pub engine: Engine,
}

/// Carries out a task to its end. The engine is made here, from the store's journal, so that the
/// two cannot disagree.
///
/// # Errors
/// If the state cannot be written, a port is missing, or it was stopped at once on request.
///
/// # Panics
/// Where the engine breaks the contract of the seam, and where a port panics.
pub async fn drive(
    task: Task,
    store: &mut Store,
    ports: &Ports,
    observer: &mut dyn Observer,
    signals: &mut Signals,
) -> Result<Ended, DriveError> {
    check_ports(&task, ports)?;
    let (form, task) = TaskForm::of(&task);
    let mode = task.mode;
    let engine = Engine::new(task, &store.journal()?);
    let clock = Clock::after(store.latest()?);
    let run = store.begin_run(form)?;
    let keeping = Keeping::of_run(store, run);
    let driver = Driver::new((engine, mode), clock, Some(keeping), ports, observer);
    driver.run(signals).await
}

/// Looks at the world once, and writes nothing down: whoever else works on the cluster meanwhile
/// is not disturbed. The engine of the answer has seen it.
///
/// # Errors
/// As with [`drive`].
///
/// # Panics
/// As with [`drive`].
pub async fn look(
    task: Task,
    journal: &[Entry],
    ports: &Ports,
    observer: &mut dyn Observer,
    signals: &mut Signals,
) -> Result<Ended, DriveError> {
    check_ports(&task, ports)?;
    let mode = Mode::Look;
    let engine = Engine::new(Task { mode, ..task }, journal);
    let driver = Driver::new((engine, mode), Clock::after(0), None, ports, observer);
    driver.run(signals).await
}

fn check_ports(task: &Task, ports: &Ports) -> Result<(), DriveError> {
    let spec = &task.manifest.spec;
    let asked = spec.providers.iter().filter(|provider| {
        provider.kind != ProviderKind::Static && !ports.providers.contains_key(&*provider.name)
    });
    if let Some(provider) = asked.into_iter().next() {
        return Err(DriveError::NoPort {
            lane: Lane::Provider(provider.name.as_str().into()),
            fix: "there is no adapter for providers of this type",
        });
    }
    if spec.kubernetes.is_some() && ports.cluster.is_none() {
        return Err(DriveError::NoPort {
            lane: Lane::Cluster,
            fix: "whoever starts the driver gives it a port to the cluster",
        });
    }
    Ok(())
}

struct Driver<'a> {
    engine: Engine,
    clock: Clock,
    /// None for a look, which leaves no trace.
    keeping: Option<Keeping<'a>>,
    flights: Flights,
    wakes: BTreeSet<Time>,
    contract: Contract,
    cancelled: bool,
    mode: Mode,
    ports: &'a Ports,
    observer: &'a mut dyn Observer,
}

impl<'a> Driver<'a> {
    fn new(
        (engine, mode): (Engine, Mode),
        clock: Clock,
        keeping: Option<Keeping<'a>>,
        ports: &'a Ports,
        observer: &'a mut dyn Observer,
    ) -> Self {
        Self {
            engine,
            clock,
            keeping,
            flights: Flights::default(),
            wakes: BTreeSet::new(),
            contract: Contract::default(),
            cancelled: false,
            mode,
            ports,
            observer,
        }
    }

    async fn run(mut self, signals: &mut Signals) -> Result<Ended, DriveError> {
        let mut ending = self.tell(Event::Start)?;
        let mut listening = true;
        loop {
            if let Some(ending) = ending {
                self.assert_ended();
                let engine = self.engine;
                return Ok(Ended { ending, engine });
            }
            let due = self.due();
            assert!(
                due.is_some() || !self.flights.is_empty(),
                "an engine that has not ended waits for something"
            );
            let sleep = self.clock.sleep_until(due);
            tokio::select! {
                biased;
                signal = signals.recv(), if listening => match signal {
                    Some(signal) => ending = self.signalled(signal)?,
                    None => listening = false,
                },
                landed = self.flights.land(), if !self.flights.is_empty() => {
                    ending = self.landed(landed)?;
                }
                () = sleep => ending = self.alarm()?,
            }
        }
    }

    /// When something is due next.
    fn due(&self) -> Option<Time> {
        let wake = self.wakes.first().copied();
        wake.into_iter().chain(self.flights.deadline()).min()
    }

    fn signalled(&mut self, signal: Signal) -> Result<Option<Ending>, DriveError> {
        let now = self.clock.now();
        let first = !std::mem::replace(&mut self.cancelled, true);
        self.observer.see(now, News::Signal { signal, first });
        if first {
            return Ok(self.tell(Event::Cancel)?);
        }
        let in_flight = self.flights.titles();
        self.stop("stopped at once on request")?;
        Err(DriveError::Stopped { in_flight })
    }

    /// The run ends before the engine does.
    fn stop(&mut self, why: &str) -> Result<(), StoreError> {
        let keeping = self.keeping.as_mut();
        keeping.map_or(Ok(()), |keeping| keeping.stop(why))
    }

    /// A call came back.
    fn landed(&mut self, landed: Landed) -> Result<Option<Ending>, DriveError> {
        let now = self.clock.now();
        match landed {
            Landed::Late => Ok(None),
            Landed::Answered(flight, outcome) => {
                self.observer.see(now, News::Answered(&flight, &outcome));
                if let Some(keeping) = &mut self.keeping {
                    keeping.saw(&flight.call, &outcome);
                }
                let call = flight.id;
                Ok(self.tell(Event::Answer { call, outcome })?)
            }
            Landed::Panicked(flight, panic) => {
                let title = flight.title();
                self.stop(&format!("our bug: the port panicked over `{title}`"))?;
                std::panic::resume_unwind(panic)
            }
        }
    }

    /// A deadline or an instant that was asked for has come.
    fn alarm(&mut self) -> Result<Option<Ending>, DriveError> {
        let now = self.clock.now();
        if let Some(flight) = self.flights.expire(now) {
            let fault = Fault::new(FaultClass::Unknown, "no answer in time");
            let outcome = Err(fault);
            self.observer.see(now, News::Answered(&flight, &outcome));
            let call = flight.id;
            return Ok(self.tell(Event::Answer { call, outcome })?);
        }
        let before = self.wakes.len();
        self.wakes.retain(|at| *at > now);
        if self.wakes.len() == before {
            return Ok(None);
        }
        Ok(self.tell(Event::Wake)?)
    }

    /// Something happens to the engine; what it wants is done, in order.
    fn tell(&mut self, event: Event) -> Result<Option<Ending>, StoreError> {
        let now = self.clock.now();
        let mut effects = Vec::new();
        self.engine.handle(now, event.clone(), &mut effects);
        self.contract.check(now, &effects);
        match &mut self.keeping {
            Some(keeping) => keeping.save(now, &event, &effects)?,
            None => assert_changes_nothing(&effects),
        }
        self.show_plan(now, &effects);
        let mut ending = None;
        for effect in effects {
            match effect {
                Effect::Record(entry) => self.observer.see(now, News::Recorded(&entry)),
                Effect::Call { id, call, deadline } => {
                    let port = self.ports.of(&call.lane);
                    let flight = InFlight::new(id, call, now, deadline);
                    self.observer.see(now, News::Called(&flight));
                    self.flights.start(flight, port);
                }
                Effect::WakeAt(at) => {
                    self.wakes.insert(at);
                }
                Effect::Say(notice) => self.observer.see(now, News::Notice(&notice)),
                Effect::Done(how) => ending = Some(how),
            }
        }
        let flights: Vec<&InFlight> = self.flights.iter().collect();
        self.observer.see(now, News::InFlight(&flights));
        Ok(ending)
    }

    /// Shows a plan that begins to be carried out.
    fn show_plan(&mut self, now: Time, effects: &[Effect]) {
        let begun = effects.iter().find_map(|effect| match effect {
            Effect::Record(Entry::RunStarted { plan, .. }) => Some(*plan),
            Effect::Record(_)
            | Effect::Call { .. }
            | Effect::WakeAt(_)
            | Effect::Say(_)
            | Effect::Done(_) => None,
        });
        let Some(fingerprint) = begun else { return };
        // What the engine would do about what it has just seen is what it has begun. Only a pool
        // that changes its size at this very instant may make a difference: then none is shown.
        let preview = self.engine.preview(self.mode).ok();
        let plan = preview.map(|preview| preview.plan);
        if let Some(plan) = plan.filter(|plan| plan.fingerprint() == fingerprint) {
            self.observer.see(now, News::Plan(&plan));
        }
    }

    /// Rules 2 and 4 of the seam at the end of an engine's life.
    fn assert_ended(&self) {
        assert!(self.flights.is_empty(), "every call was answered");
        let Some(keeping) = &self.keeping else {
            return;
        };
        assert_eq!(
            *self.engine.ledger(),
            Ledger::replay(&keeping.journal()),
            "a living engine and one that recovers agree"
        );
    }
}
