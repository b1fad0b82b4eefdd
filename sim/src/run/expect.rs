//! What was measured, against what was expected.

use super::evidence::{Evidence, Measured, Played, leaderless};
use super::play::Play;
use crate::outcome::{Held, Run, Unit, Verdict};
use crate::scenario::{Amount, Expectation, Measure, Scenario};
use crate::traffic::Stats;
use crate::traffic::stats::CALM;
use crate::world::Invariant;
use quorate_engine::time::{Span, Time};
use quorate_engine::units::{Duration, Percent};

/// Failures within this time after an election count as its own: clients were still waiting.
const SETTLE: Span = Span::from_secs(2);

/// Everything that was to hold, in the order of the report.
pub(super) fn all(play: &Play<'_>) -> Vec<Held> {
    let mut held: Vec<Held> = play.validity().into_iter().collect();
    held.extend(safety(play));
    if play.phases.is_empty() {
        return held;
    }
    held.extend(expectations(play));
    held
}

/// What a scenario expects, judged by what was measured, wherever that was: phases that are
/// unavailable by design first, then the expectations in their order.
#[must_use]
pub fn expectations(play: &dyn Evidence) -> Vec<Held> {
    let mut held = by_design(play);
    let all = play.scenario().expect.iter();
    held.extend(all.map(|expected| judge(play, expected)));
    held
}

/// The invariants that are always on.
fn safety(play: &Play<'_>) -> Vec<Held> {
    let all = [
        (
            Invariant::Raft,
            "one leader per term, no acknowledged write lost",
        ),
        (Invariant::Guard, "the quorum guard is never violated"),
        (
            Invariant::Owned,
            "no orphan and no duplicate at any provider",
        ),
        (
            Invariant::Mesh,
            "every two machines have a tunnel once converged",
        ),
        (
            Invariant::Plan,
            "every plan is sound, and a converged world plans empty",
        ),
    ];
    let row = |(invariant, name): (Invariant, &str)| {
        let broken = play
            .world
            .watch()
            .violations()
            .iter()
            .filter(|v| v.invariant == invariant);
        let texts: Vec<String> = broken
            .map(|v| format!("{}: {}", Time(v.at.since(play.zero).0), v.text))
            .collect();
        Held {
            name: format!("safety: {name}"),
            verdict: if texts.is_empty() {
                Verdict::Pass
            } else {
                Verdict::FailSafety
            },
            detail: texts.join("; "),
            value: None,
            unit: Unit::None,
        }
    };
    all.into_iter().map(row).collect()
}

/// Phases in which the cluster is known not to serve writes: they hold exactly if etcd was
/// without a leader for most of the time.
fn by_design(play: &dyn Evidence) -> Vec<Held> {
    let marked = play
        .scenario()
        .phases
        .iter()
        .zip(play.phases())
        .filter(|(p, _)| p.unavailable_by_design);
    let row = |played: &Played| {
        let gaps = leaderless(play.leader(), played.from, played.to);
        let lost: u64 = gaps.iter().map(|(from, to)| to.since(*from).0).sum();
        let whole = played.to.since(played.from).0;
        let unavailable = lost * 2 > whole;
        let untried = play.untried(&played.name);
        let measured = format!("no leader for {} of {}", Span(lost), Span(whole));
        Held {
            name: format!("no quorum in \"{}\", as designed", played.name),
            verdict: match (unavailable, &untried) {
                (true, _) => Verdict::UnavailableByDesign,
                (false, Some(_)) => Verdict::Skipped,
                (false, None) => Verdict::Invalid,
            },
            detail: untried.unwrap_or(measured),
            value: Some(Span(lost).as_ms()),
            unit: Unit::Ms,
        }
    };
    marked.map(|(_, played)| row(played)).collect()
}

fn judge(play: &dyn Evidence, expected: &Expectation) -> Held {
    if let Some(reason) = play.unmeasured(expected) {
        return Held {
            name: name(expected),
            verdict: Verdict::Skipped,
            detail: reason,
            value: None,
            unit: Unit::None,
        };
    }
    let measured = measure(play, expected);
    let at_most = expected
        .at_most
        .as_ref()
        .and_then(|amount| bound(expected.measure, amount));
    let at_least = expected
        .at_least
        .as_ref()
        .and_then(|amount| bound(expected.measure, amount));
    let within = |value: u64| {
        at_most.is_none_or(|most| value <= most) && at_least.is_none_or(|least| value >= least)
    };
    // What never came about is later than any bound.
    let holds = measured.value.map_or(at_most.is_none(), within);
    Held {
        name: name(expected),
        verdict: if holds {
            Verdict::Pass
        } else {
            class(expected.measure)
        },
        detail: measured.detail,
        value: measured.value,
        unit: measured.unit,
    }
}

/// What a run of the scenario says of its first expectation about this measure of this; none where
/// the scenario has none, or the run did not come to it.
#[must_use]
pub fn held<'a>(
    run: &'a Run,
    scenario: &Scenario,
    measure: Measure,
    of: Option<&str>,
) -> Option<&'a Held> {
    let is = |one: &&Expectation| one.measure == measure && one.of.as_deref() == of;
    let name = name(scenario.expect.iter().find(is)?);
    run.expectations.iter().find(|held| held.name == name)
}

fn name(expected: &Expectation) -> String {
    let mut name = match expected.measure {
        Measure::Leaderless => "longest time without a leader",
        Measure::Converged => "converged after the last fault",
        Measure::Availability => "availability",
        Measure::Recovery => "recovery",
        Measure::FailedOutsideElections => "requests failed outside elections",
        Measure::LostWrites => "acknowledged writes lost",
        Measure::Replaced => "machines replaced",
        Measure::Machines => "machines",
        Measure::Voters => "voters",
        Measure::Elections => "elections",
        Measure::Crashes => "crashes of the orchestrator",
        Measure::Diagnosed => "the checker warns:",
        Measure::PodsMissing => "longest time with pods missing",
        Measure::FailedCalls => "failed calls",
    }
    .to_owned();
    if let Some(of) = &expected.of {
        let link = if expected.measure == Measure::Diagnosed {
            " "
        } else {
            " of "
        };
        name.push_str(&format!("{link}{of}"));
    }
    if let Some(phase) = &expected.phase {
        name.push_str(&format!(" in \"{phase}\""));
    }
    let show = |amount: &Amount| match amount {
        Amount::Count(count) => count.to_string(),
        Amount::Text(text) => text.clone(),
    };
    if let Some(least) = &expected.at_least {
        name.push_str(&format!(" >= {}", show(least)));
    }
    if let Some(most) = &expected.at_most {
        name.push_str(&format!(" <= {}", show(most)));
    }
    name
}

/// How bad it is if a measure is out of bounds.
fn class(measure: Measure) -> Verdict {
    match measure {
        Measure::LostWrites | Measure::Replaced => Verdict::FailSafety,
        Measure::Leaderless | Measure::Converged | Measure::Machines | Measure::Voters => {
            Verdict::FailLiveness
        }
        Measure::Availability
        | Measure::Recovery
        | Measure::FailedOutsideElections
        | Measure::PodsMissing
        | Measure::Diagnosed => Verdict::FailSlo,
        // What must have happened for the run to say anything.
        Measure::Elections | Measure::Crashes | Measure::FailedCalls => Verdict::Invalid,
    }
}

/// A bound in the unit of its measure; none where it is written in another, which the scenario's
/// check reports.
pub(super) fn bound(measure: Measure, amount: &Amount) -> Option<u64> {
    match (measure, amount) {
        (
            Measure::Leaderless | Measure::Converged | Measure::Recovery | Measure::PodsMissing,
            Amount::Text(text),
        ) => text
            .parse::<Duration>()
            .ok()
            .map(|duration| duration.0.as_ms()),
        (
            Measure::Leaderless | Measure::Converged | Measure::Recovery | Measure::PodsMissing,
            Amount::Count(0),
        ) => Some(0),
        (Measure::Availability, Amount::Text(text)) => {
            text.parse::<Percent>().ok().map(|percent| percent.0)
        }
        (
            Measure::FailedOutsideElections
            | Measure::LostWrites
            | Measure::Replaced
            | Measure::Machines
            | Measure::Voters
            | Measure::Elections
            | Measure::Crashes
            | Measure::Diagnosed
            | Measure::FailedCalls,
            Amount::Count(count),
        ) => Some(*count),
        _ => None,
    }
}

fn measure(play: &dyn Evidence, expected: &Expectation) -> Measured {
    let (from, to) = interval(play, expected);
    let of = expected.of.as_deref().unwrap_or_default();
    match expected.measure {
        Measure::Leaderless => {
            let gaps = leaderless(play.leader(), from, to);
            let spans = gaps.iter().map(|(begin, end)| end.since(*begin));
            let longest = spans.max().unwrap_or_default();
            Measured::ms(longest, format!("{} gaps", gaps.len()))
        }
        Measure::Availability => availability(play, of, from, to),
        Measure::Recovery => recovery(play, of, from, to),
        Measure::FailedOutsideElections => outside_elections(play, of, from, to),
        Measure::Machines => at_end(play, expected, |played| played.machines.get(of)),
        Measure::Voters => at_end(play, expected, |played| played.voters.get(of)),
        Measure::FailedCalls => {
            let before = play.phases().iter().rev().find(|played| played.to <= from);
            let before = before
                .and_then(|played| played.failed_calls.get(of))
                .copied();
            let after = at_end(play, expected, |played| played.failed_calls.get(of)).value;
            Measured::count(after.unwrap_or(0) - before.unwrap_or(0), "")
        }
        Measure::Elections => {
            let within = |at: &&Time| **at >= from && **at <= to;
            let all = play.elections().iter().filter(within);
            Measured::count(all.count() as u64, "")
        }
        Measure::Converged
        | Measure::LostWrites
        | Measure::Replaced
        | Measure::Crashes
        | Measure::Diagnosed
        | Measure::PodsMissing => play.world_measure(expected, from, to),
    }
}

/// The phase that is meant, or all of them.
fn interval(play: &dyn Evidence, expected: &Expectation) -> (Time, Time) {
    let named = |played: &&Played| Some(&played.name) == expected.phase.as_ref();
    let end = play.phases().last().map_or(play.zero(), |played| played.to);
    play.phases()
        .iter()
        .find(named)
        .map_or((play.zero(), end), |played| (played.from, played.to))
}

fn at_end(
    play: &dyn Evidence,
    expected: &Expectation,
    get: impl Fn(&Played) -> Option<&u64>,
) -> Measured {
    let named = |played: &&Played| Some(&played.name) == expected.phase.as_ref();
    let played = play.phases().iter().find(named).or(play.phases().last());
    Measured::count(played.and_then(get).copied().unwrap_or(0), "")
}

fn population(play: &dyn Evidence, name: &str) -> Option<u16> {
    let names = play.populations();
    names
        .iter()
        .position(|known| known == name)
        .map(|number| number as u16)
}

fn availability(play: &dyn Evidence, of: &str, from: Time, to: Time) -> Measured {
    let (mut ok, mut ended) = (0, 0);
    for number in 0..play.populations().len() as u16 {
        if of.is_empty() || play.populations()[usize::from(number)] == of {
            let (good, all) = play.stats(number).between(from, to);
            ok += good;
            ended += all;
        }
    }
    let share = (ended > 0).then(|| ok * 1_000_000 / ended);
    let failed = ended - ok;
    Measured {
        value: share,
        unit: Unit::Share,
        detail: format!("{failed} of {ended} failed"),
    }
}

fn recovery(play: &dyn Evidence, of: &str, from: Time, to: Time) -> Measured {
    let Some(number) = population(play, of) else {
        return Measured {
            value: None,
            unit: Unit::Ms,
            detail: format!("no clients called {of}"),
        };
    };
    let stats = play.stats(number);
    let mut worst = (Span::ZERO, String::new());
    for (index, injected) in play.injected().iter().enumerate() {
        if injected.from < from || injected.from > to {
            continue;
        }
        let next = play.injected()[index + 1..]
            .iter()
            .find(|next| next.from > injected.from);
        let until = next
            .map_or(to, |next| next.from)
            .max(injected.from + Span(1));
        let span = hurt(stats, injected.from, until).0;
        if span > worst.0 {
            worst = (span, injected.label.clone());
        }
    }
    Measured::ms(worst.0, worst.1)
}

fn outside_elections(play: &dyn Evidence, of: &str, from: Time, to: Time) -> Measured {
    let Some(number) = population(play, of) else {
        return Measured::count(0, format!("no clients called {of}"));
    };
    let gaps = leaderless(play.leader(), play.zero(), to);
    // A leader that hands over leaves no gap, and drops what it was just proposing.
    let changes = play.elections().iter();
    let gaps = gaps.iter().copied();
    let gaps: Vec<(Time, Time)> = gaps.chain(changes.map(|at| (*at, *at))).collect();
    let excused = |start: Time, end: Time| {
        gaps.iter()
            .any(|(begin, stop)| start <= *stop + SETTLE && end >= *begin)
    };
    let stats = play.stats(number);
    let failed = stats
        .failures
        .iter()
        .filter(|f| f.start >= from && f.start < to);
    let outside: Vec<Time> = failed
        .filter(|f| !excused(f.start, f.end))
        .map(|f| f.start)
        .collect();
    let first = outside.first().map(|at| Time(at.since(play.zero()).0));
    let detail = first.map_or(String::new(), |at| format!("the first began at {at}"));
    Measured::count(outside.len() as u64, detail)
}

/// The first failure may come later than that: resolvers remember a name for one TTL, and a
/// request may wait for its whole time-out.
const FUSE: Span = Span::from_secs(120);

/// How long clients were hurt from `from` on, and how many of their requests failed: those under
/// way then or begun later, up to the first calm (what fails after that has another cause, such as
/// the return of what was lost), and before `until`, when something else went
/// wrong.
pub(super) fn hurt(stats: &Stats, from: Time, until: Time) -> (Span, u64) {
    let (mut last, mut count) = (from, 0);
    // In order of their ends, so that a calm is a gap between two of them.
    for failure in stats
        .failures
        .iter()
        .filter(|f| f.end > from && f.end <= until)
    {
        if failure.end.since(last) > if count == 0 { FUSE } else { CALM } {
            break;
        }
        last = failure.end;
        count += 1;
    }
    (last.since(from), count)
}
