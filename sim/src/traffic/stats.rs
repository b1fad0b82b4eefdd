//! What clients lived through: counts, latencies, failures with their instants, outages.
//!
//! Knows only requests that have ended. Failures are kept one by one, so that the question "how
//! long did it hurt" has an exact answer for any fault and any operating system.

use crate::traffic::connect::Os;
use hdrhistogram::Histogram;
use quorate_engine::time::{Span, Time};

/// Why a request failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// The name did not resolve.
    Dns,
    /// No address accepted a connection in time.
    ConnectTimeout,
    /// The last address refused the connection.
    Refused,
    /// The load balancer had no backend that was up (503 in HTTP mode; closed in TCP mode).
    NoBackend,
    /// The load balancer could not connect to any backend that it tried.
    BackendUnreachable,
    /// The connection was reset under the request.
    Reset,
    /// The server answered with an error.
    Error,
    /// The client's patience ended first.
    Timeout,
}

impl Cause {
    /// All of them, in the order of their discriminants.
    pub const ALL: [Self; 8] = [
        Self::Dns,
        Self::ConnectTimeout,
        Self::Refused,
        Self::NoBackend,
        Self::BackendUnreachable,
        Self::Reset,
        Self::Error,
        Self::Timeout,
    ];

    /// A short name for reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::ConnectTimeout => "connect-timeout",
            Self::Refused => "refused",
            Self::NoBackend => "no-backend",
            Self::BackendUnreachable => "backend-unreachable",
            Self::Reset => "reset",
            Self::Error => "error",
            Self::Timeout => "timeout",
        }
    }
}

/// A request that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failed {
    /// When it began.
    pub start: Time,
    /// When the client knew.
    pub end: Time,
    /// The client's system.
    pub os: Os,
    /// Why.
    pub cause: Cause,
}

/// Requests that began in one second of the run, once they have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Second {
    /// Good ones.
    pub ok: u32,
    /// Failed ones.
    pub failed: u32,
}

/// Failed requests without a calm between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    /// When the first of them began.
    pub start: Time,
    /// When the last of them ended.
    pub end: Time,
    /// How many.
    pub failed: u64,
}

impl Outage {
    /// From the first failure's beginning to the last one's end.
    #[must_use]
    pub fn length(&self) -> Span {
        self.end.since(self.start)
    }
}

/// An instant of which somebody wants to know when service was there again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    at: Time,
    first_success: Option<Time>,
}

/// How long without a failure until a population counts as recovered.
pub const CALM: Span = Span::from_secs(30);

/// What the requests of one population came to.
#[derive(Debug, Clone)]
pub struct Stats {
    /// Requests that began.
    pub begun: u64,
    /// Requests that succeeded.
    pub ok: u64,
    /// Requests that failed, by cause in the order of [`Cause::ALL`].
    pub failed_by_cause: [u64; Cause::ALL.len()],
    /// From the beginning to the good answer, in microseconds.
    pub latency_us: Histogram<u64>,
    /// By second of beginning, from the start of the run.
    pub seconds: Vec<Second>,
    /// The failures, in order of their ends.
    pub failures: Vec<Failed>,
    marks: Vec<Mark>,
    open_marks: usize,
    failing: bool,
}

/// A turn in the fortunes of a population.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fortune {
    Same,
    Fails,
    Recovers { since: Time },
}

impl Default for Stats {
    fn default() -> Self {
        const HOUR_US: u64 = 3_600_000_000;
        let latency_us = Histogram::new_with_bounds(1, HOUR_US, 2);
        Self {
            begun: 0,
            ok: 0,
            failed_by_cause: [0; Cause::ALL.len()],
            latency_us: latency_us.expect("1 us to 1 h in two digits are valid bounds"),
            seconds: Vec::new(),
            failures: Vec::new(),
            marks: Vec::new(),
            open_marks: 0,
            failing: false,
        }
    }
}

impl Stats {
    fn second(&mut self, start: Time) -> &mut Second {
        let second = start.since(Time::ZERO).as_secs() as usize;
        if self.seconds.len() <= second {
            self.seconds.resize(second + 1, Second::default());
        }
        &mut self.seconds[second]
    }

    pub(crate) fn succeed(&mut self, start: Time, end: Time) -> Fortune {
        self.ok += 1;
        self.latency_us
            .saturating_record((end.since(start).0 / 1_000).max(1));
        self.second(start).ok += 1;
        if self.open_marks > 0 {
            for mark in &mut self.marks {
                if mark.first_success.is_none() && start >= mark.at {
                    mark.first_success = Some(end);
                    self.open_marks -= 1;
                }
            }
        }
        let last = self.failures.last().map_or(Time::ZERO, |failed| failed.end);
        if self.failing && start >= last + CALM {
            self.failing = false;
            return Fortune::Recovers { since: last };
        }
        Fortune::Same
    }

    pub(crate) fn fail(&mut self, failed: Failed) -> Fortune {
        let last = self.failures.last().map_or(Time::ZERO, |last| last.end);
        assert!(last <= failed.end, "failures end in the order of time");
        self.failed_by_cause[failed.cause as usize] += 1;
        self.second(failed.start).failed += 1;
        self.failures.push(failed);
        if self.failing {
            return Fortune::Same;
        }
        self.failing = true;
        Fortune::Fails
    }

    /// Counts a request that was made elsewhere than in a simulated world. Requests come in the
    /// order of their ends.
    ///
    /// # Panics
    /// If a failure ends before the one before it.
    pub fn count(&mut self, start: Time, end: Time, outcome: Result<(), Cause>) {
        self.begun += 1;
        match outcome {
            Ok(()) => self.succeed(start, end),
            Err(cause) => self.fail(Failed {
                start,
                end,
                os: Os::Linux,
                cause,
            }),
        };
    }

    /// An instant of which somebody will want to know when service was there again.
    pub fn mark(&mut self, at: Time) {
        self.open_marks += 1;
        self.marks.push(Mark {
            at,
            first_success: None,
        });
    }

    /// Requests that failed.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failed_by_cause.iter().sum()
    }

    /// From `fault` to the end of the last failed request that was under way at the fault or
    /// began after it, and began before `until`; of one system or of all. `None`: nothing failed.
    #[must_use]
    pub fn clean_after(&self, fault: Time, until: Time, os: Option<Os>) -> Option<Span> {
        let hurt = self.failures.iter().rev();
        hurt.filter(|failed| failed.end > fault && failed.start < until)
            .find(|failed| os.is_none_or(|os| failed.os == os))
            .map(|failed| failed.end.since(fault))
    }

    /// From a marked instant to the first good answer to a request that began after it.
    #[must_use]
    pub fn first_success_after(&self, mark: Time) -> Option<Span> {
        let mark = self.marks.iter().find(|known| known.at == mark)?;
        Some(mark.first_success?.since(mark.at))
    }

    /// Failures grouped into outages: those nearer to each other than `calm` are one.
    #[must_use]
    pub fn outages(&self, calm: Span) -> Vec<Outage> {
        let mut failures = self.failures.clone();
        failures.sort_by_key(|failed| (failed.start, failed.end));
        let mut outages: Vec<Outage> = Vec::new();
        for failed in failures {
            match outages.last_mut() {
                Some(outage) if failed.start < outage.end + calm => {
                    outage.end = outage.end.max(failed.end);
                    outage.failed += 1;
                }
                Some(_) | None => outages.push(Outage {
                    start: failed.start,
                    end: failed.end,
                    failed: 1,
                }),
            }
        }
        outages
    }

    /// Good and ended requests among those that began in `[from, to)`, by whole seconds.
    #[must_use]
    pub fn between(&self, from: Time, to: Time) -> (u64, u64) {
        let second = |time: Time| time.since(Time::ZERO).as_secs() as usize;
        let end = second(to).min(self.seconds.len());
        let part = &self.seconds[second(from).min(end)..end];
        part.iter().fold((0, 0), |(ok, all), second| {
            let good = u64::from(second.ok);
            (ok + good, all + good + u64::from(second.failed))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Time {
        Time::ZERO + Span::from_ms(ms)
    }

    fn failed(start_ms: u64, end_ms: u64, os: Os) -> Failed {
        Failed {
            start: at(start_ms),
            end: at(end_ms),
            os,
            cause: Cause::Timeout,
        }
    }

    #[test]
    fn outages_are_failures_without_a_calm_between_them() {
        let mut stats = Stats::default();
        for (start, end) in [(9_000, 9_100), (1_000, 10_000), (20_000, 21_000)] {
            stats.fail(failed(start, end, Os::Linux));
        }
        let found: Vec<_> = stats
            .outages(Span::from_secs(5))
            .iter()
            .map(|outage| (outage.start, outage.end, outage.failed))
            .collect();
        let expected = [(at(1_000), at(10_000), 2), (at(20_000), at(21_000), 1)];
        assert_eq!(found, expected);
        assert_eq!(stats.outages(Span::from_secs(11)).len(), 1);
    }

    #[test]
    fn clean_is_the_end_of_the_last_failure_of_those_who_are_asked_about() {
        let mut stats = Stats::default();
        stats.fail(failed(100, 900, Os::Ios));
        stats.fail(failed(1_500, 3_000, Os::Linux));
        stats.fail(failed(2_000, 2_000 + 5_000, Os::Windows));
        let clean = |fault, until, os| stats.clean_after(at(fault), at(until), os);
        assert_eq!(clean(1_000, 9_000, None), Some(Span::from_ms(6_000)));
        assert_eq!(
            clean(1_000, 9_000, Some(Os::Linux)),
            Some(Span::from_ms(2_000))
        );
        assert_eq!(
            clean(1_000, 9_000, Some(Os::Ios)),
            None,
            "it was before the fault"
        );
        assert_eq!(clean(1_000, 1_900, None), Some(Span::from_ms(2_000)));
    }

    #[test]
    fn a_population_recovers_after_a_calm_and_marks_see_the_first_success() {
        let mut stats = Stats::default();
        stats.mark(at(1_000));
        assert_eq!(stats.fail(failed(1_000, 2_000, Os::Linux)), Fortune::Fails);
        assert_eq!(stats.succeed(at(900), at(2_100)), Fortune::Same);
        assert_eq!(
            stats.first_success_after(at(1_000)),
            None,
            "it began before"
        );
        assert_eq!(stats.succeed(at(2_100), at(2_200)), Fortune::Same);
        assert_eq!(
            stats.first_success_after(at(1_000)),
            Some(Span::from_ms(1_200))
        );
        let recovered = Fortune::Recovers { since: at(2_000) };
        assert_eq!(stats.succeed(at(33_000), at(33_100)), recovered);
        assert_eq!(stats.between(at(0), at(40_000)), (3, 4));
    }
}
