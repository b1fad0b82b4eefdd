//! Many seeds on many threads; what comes out does not depend on how many.

use crate::world::Prepared;
use quorate_sim::outcome::{Run, Series, Verdict};
use quorate_sim::report::{Suite, chosen};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Runs a scenario with every seed, and once more with those worth looking at: their hashes must
/// be equal. `progress` is called after each run.
pub(crate) fn suite(
    prepared: &Prepared,
    seeds: &[u64],
    jobs: usize,
    progress: &(dyn Fn(&Run) + Sync),
) -> Suite {
    let mut runs = runs(seeds, jobs, |seed| {
        let run = (prepared.run)(seed);
        progress(&run);
        // A campaign keeps figures; notes and series of thousands of runs would not fit.
        Run {
            notes: Vec::new(),
            series: Series::default(),
            ..run
        }
    });
    let again = self::runs(&chosen(&runs), jobs, &prepared.run);
    let shown = again
        .into_iter()
        .map(|again| proven(&mut runs, again))
        .collect();
    Suite {
        file: prepared.file.clone(),
        data: prepared.data.clone(),
        scenario: prepared.scenario.clone(),
        title: prepared.title.clone(),
        manifest: prepared.manifest,
        runs,
        times: Vec::new(),
        shown,
    }
}

/// One seed run twice: its run, nondeterministic where the two differ.
pub(crate) fn twice(prepared: &Prepared, seed: u64) -> Run {
    let first = (prepared.run)(seed);
    proven(&mut [first], (prepared.run)(seed))
}

/// Compares a run with an earlier one of the same seed, and marks both where they differ.
fn proven(runs: &mut [Run], mut again: Run) -> Run {
    let first = runs.iter_mut().find(|run| run.seed == again.seed);
    let first = first.expect("only seeds that were run are run again");
    if first.trace_hash != again.trace_hash {
        first.verdict = Verdict::Nondeterministic;
        again.verdict = Verdict::Nondeterministic;
    }
    again
}

/// Runs every seed, at most `jobs` at once. In the order of `seeds`.
fn runs(seeds: &[u64], jobs: usize, run: impl Fn(u64) -> Run + Sync) -> Vec<Run> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, Run)>> = Mutex::new(Vec::with_capacity(seeds.len()));
    std::thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, seeds.len().max(1)) {
            scope.spawn(|| {
                while let Some((place, seed)) = take(seeds, &next) {
                    let run = run(seed);
                    assert_eq!(run.seed, seed, "a run names another seed");
                    done.lock().expect("no run panicked").push((place, run));
                }
            });
        }
    });
    let mut done = done.into_inner().expect("no run panicked");
    assert_eq!(done.len(), seeds.len(), "every seed is run once");
    done.sort_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, run)| run).collect()
}

fn take(seeds: &[u64], next: &AtomicUsize) -> Option<(usize, u64)> {
    let place = next.fetch_add(1, Ordering::Relaxed);
    seeds.get(place).map(|seed| (place, *seed))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use quorate_engine::time::Span;
    use std::sync::atomic::AtomicU64;

    /// A world of which every third seed is bad.
    pub(crate) fn run(seed: u64) -> Run {
        let verdict = if seed.is_multiple_of(3) {
            Verdict::FailSlo
        } else {
            Verdict::Pass
        };
        Run {
            scenario: "thirds".to_owned(),
            seed,
            verdict,
            trace_hash: format!("{seed:016x}"),
            events: seed,
            simulated: Span::from_secs(1),
            expectations: Vec::new(),
            recoveries: Vec::new(),
            parameters: vec![("p".to_owned(), seed.to_string())],
            notes: Vec::new(),
            series: Series::default(),
        }
    }

    pub(crate) fn prepared(run: impl Fn(u64) -> Run + Send + Sync + 'static) -> Prepared {
        Prepared {
            file: "thirds.yaml".to_owned(),
            scenario: "thirds".to_owned(),
            title: String::new(),
            seeds: 10,
            manifest: 1,
            data: None,
            run: Box::new(run),
        }
    }

    #[test]
    fn the_number_of_threads_changes_nothing() {
        let seeds: Vec<u64> = (1..=50).collect();
        let one = suite(&prepared(run), &seeds, 1, &|_| {});
        let many = suite(&prepared(run), &seeds, 7, &|_| {});
        assert_eq!(one, many);
        assert_eq!(
            one.runs.iter().map(|run| run.seed).collect::<Vec<_>>(),
            seeds
        );
        assert_eq!(
            one.shown.iter().map(|run| run.seed).collect::<Vec<_>>(),
            [3, 1]
        );
    }

    #[test]
    fn progress_hears_of_every_run_once() {
        let sum = AtomicU64::new(0);
        let seeds: Vec<u64> = (1..=20).collect();
        suite(&prepared(run), &seeds, 4, &|run| {
            sum.fetch_add(run.seed, Ordering::Relaxed);
        });
        assert_eq!(sum.into_inner(), 210);
    }

    #[test]
    fn a_world_with_moods_is_found_out() {
        let mood = AtomicU64::new(0);
        let moody = prepared(move |seed| Run {
            trace_hash: mood.fetch_add(1, Ordering::Relaxed).to_string(),
            ..run(seed)
        });
        let suite = suite(&moody, &[1, 2], 1, &|_| {});
        assert_eq!(suite.runs[0].verdict, Verdict::Nondeterministic);
        assert_eq!(suite.shown[0].verdict, Verdict::Nondeterministic);
        assert_eq!(suite.runs[1].verdict, Verdict::Pass);
        assert_eq!(twice(&moody, 1).verdict, Verdict::Nondeterministic);
        assert_eq!(twice(&prepared(run), 1).verdict, Verdict::Pass);
    }
}
