//! What runs, what is done, what goes wrong: a line each, and at a terminal the calls under way
//! below them.

use crate::terminal;
use indicatif::{ProgressBar, ProgressStyle};
use quorate_engine::seam::Notice;
use quorate_engine::time::{Span, Time};
use quorate_live::{InFlight, News, Observer};
use quorate_sim::report::plain;
use std::fmt::Write as _;
use std::time::Duration;

/// Calls under way that are named; the others are counted.
const NAMED: usize = 6;

/// Shows a run.
pub(super) struct Progress {
    /// At a terminal.
    bar: Option<ProgressBar>,
    /// Tell at all.
    tells: bool,
    began: Option<Time>,
    steps: usize,
    done: usize,
}

impl Progress {
    pub(super) fn new(tells: bool, steps: usize) -> Self {
        let bar = (tells && terminal::watched()).then(|| {
            let bar = ProgressBar::new_spinner();
            let style = ProgressStyle::with_template("{spinner} {elapsed} {msg}");
            bar.set_style(style.expect("the template is ours"));
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        Self {
            bar,
            tells,
            began: None,
            steps,
            done: 0,
        }
    }

    /// Takes the moving part away.
    pub(super) fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    fn line(&self, now: Time, text: &str) {
        if !self.tells {
            return;
        }
        let since = self.began.map_or(Span::ZERO, |began| now.since(began));
        let seconds = since.as_ms() as f64 / 1e3;
        let line = format!("{seconds:>7.1} s  {}", plain(text));
        match &self.bar {
            Some(bar) => bar.println(line),
            None => terminal::eprint(&format!("{line}\n")),
        }
    }

    fn notice(&mut self, now: Time, notice: &Notice) {
        match notice {
            Notice::Planned { steps, held } => {
                self.steps = self.done + *steps as usize;
                for held in held {
                    self.line(now, &format!("left alone: {held}"));
                }
            }
            Notice::Started { .. } | Notice::Converged => {}
            Notice::Finished { step, took } => {
                if !is_read(step) {
                    self.done += 1;
                    self.line(now, &format!("{step}  {took}"));
                }
            }
            Notice::Retrying { step, fault, after } => {
                self.line(now, &format!("{step} waits {after}: {fault}"));
            }
            Notice::Forced { step, refusal } => {
                self.line(now, &format!("{step} is FORCED against: {refusal}"));
            }
            Notice::Failed { step, fault } => self.line(now, &format!("{step} FAILED: {fault}")),
            Notice::Scaled { pool, size, reason } => {
                self.line(now, &format!("{pool} to {size} nodes: {reason}"));
            }
            Notice::Refused { problems } => {
                let list = problems.join("; ");
                self.line(now, &format!("the plan is refused: {list}"));
            }
        }
    }

    fn under_way(&self, now: Time, calls: &[&InFlight]) {
        let Some(bar) = &self.bar else { return };
        let mut text = format!("{} of {} steps done", self.done, self.steps.max(self.done));
        for call in calls.iter().take(NAMED) {
            let (since, usual) = (now.since(call.since), call.expected);
            let title = plain(&call.title());
            let _ = write!(text, "\n    {title} ({since} of about {usual})");
        }
        if calls.len() > NAMED {
            let _ = write!(text, "\n    and {} more", calls.len() - NAMED);
        }
        bar.set_message(text);
    }
}

/// Whether a step, by its title, changes nothing.
pub(crate) fn is_read(step: &str) -> bool {
    let reads = ["list ", "probe ", "read ", "await "];
    reads.iter().any(|verb| step.starts_with(verb))
}

impl Observer for Progress {
    fn see(&mut self, now: Time, news: News<'_>) {
        self.began.get_or_insert(now);
        match news {
            News::Notice(notice) => self.notice(now, notice),
            News::InFlight(calls) => self.under_way(now, calls),
            News::Signal { signal, first } => {
                let what = if first {
                    "nothing more is begun, what runs is waited for; again to stop at once"
                } else {
                    "stopping at once"
                };
                self.line(now, &format!("{signal}: {what}"));
            }
            News::Plan(_) | News::Recorded(_) | News::Called(_) | News::Answered(..) => {}
        }
    }
}
