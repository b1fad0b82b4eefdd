//! Reports: folds over finished runs, for people and for machines.
//!
//! Everything here is pure and gives text; who asked for it, and where it goes, is not known.

pub mod html;
pub mod json;
pub mod junit;
mod summary;
mod tally;
mod timeline;
pub mod times;

#[cfg(test)]
mod sample;

pub use summary::summary;
pub use tally::{Distribution, ExpectationTally, RecoveryTally, Tally};
pub use timeline::{GOLDEN_LINES, MEASURED, timeline};

use crate::outcome::{Run, Unit, Verdict};
use quorate_engine::time::Span;

/// Everything that was run at once.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Campaign {
    /// The version of the program that ran it.
    pub version: String,
    /// One for each scenario, in the order they were asked for.
    pub suites: Vec<Suite>,
}

/// The runs of one scenario.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Suite {
    /// The scenario's file, as it was given: replay commands name it.
    pub file: String,
    /// The scenario's name.
    pub scenario: String,
    /// What it shows, in one sentence.
    pub title: String,
    /// Fingerprint of the cluster's manifest.
    pub manifest: u64,
    /// The directory of measured data, where one was given.
    pub data: Option<String>,
    /// In order of seed. Their notes and series may have been dropped.
    pub runs: Vec<Run>,
    /// Predicted beside measured; empty where nothing was measured.
    pub times: Vec<times::Row>,
    /// Runs worth looking at, with notes and series: see [`chosen`].
    pub shown: Vec<Run>,
}

impl Campaign {
    /// The worst verdict of all; a campaign without runs proves nothing.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let runs = self.suites.iter().flat_map(|suite| &suite.runs);
        let worst = runs.map(|run| run.verdict).max();
        worst.unwrap_or(Verdict::Invalid)
    }
}

impl Suite {
    /// The one line that shows a run again.
    #[must_use]
    pub fn replay(&self, seed: u64) -> String {
        let mut command = format!("quorate replay {} --seed {seed}", shell_word(&self.file));
        // A run on another rung than the model says so among its parameters.
        let run = self.runs.iter().find(|run| run.seed == seed);
        let parameters = run.map_or(&[][..], |run| &run.parameters);
        if let Some((_, rung)) = parameters.iter().find(|(name, _)| name == "rung") {
            command.push_str(&format!(" --rung {}", shell_word(rung)));
        }
        if let Some(dir) = &self.data {
            command.push_str(&format!(" --data {}", shell_word(dir)));
        }
        command
    }
}

/// Seeds worth looking at: the worst one, then the first that passed.
#[must_use]
pub fn chosen(runs: &[Run]) -> Vec<u64> {
    let mut seeds: Vec<u64> = Tally::of(runs).worst_seed.into_iter().collect();
    let good = runs.iter().find(|run| run.verdict.holds());
    seeds.extend(good.map(|run| run.seed));
    seeds.dedup();
    seeds
}

/// A measured value for people: `18.2s`, `99.91%`, `3`.
#[must_use]
pub fn shown_value(value: u64, unit: Unit) -> String {
    match unit {
        Unit::Ms => Span(value.saturating_mul(1_000_000)).to_string(),
        // Rounded down: 99.9999 % is not 100 %.
        Unit::Share => {
            let hundredths = value / 100;
            match (hundredths / 100, hundredths % 100) {
                (whole, 0) => format!("{whole}%"),
                (whole, part) => format!("{whole}.{part:02}%"),
            }
        }
        Unit::Count => value.to_string(),
        Unit::None => String::new(),
    }
}

/// Text that cannot steer a terminal nor break a line: control characters and those that
/// turn the direction of writing become `U+FFFD`.
#[must_use]
pub fn plain(text: &str) -> String {
    let steers = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars()
        .map(|c| if steers(c) { '\u{fffd}' } else { c })
        .collect()
}

/// One word of a POSIX shell, quoted where needed.
fn shell_word(text: &str) -> String {
    let text = plain(text);
    let bare = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%,=".contains(c);
    if !text.is_empty() && text.chars().all(bare) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_well_and_never_better_than_they_are() {
        assert_eq!(shown_value(18_240, Unit::Ms), "18.2s");
        assert_eq!(shown_value(1_000_000, Unit::Share), "100%");
        assert_eq!(shown_value(999_999, Unit::Share), "99.99%");
        assert_eq!(shown_value(995_000, Unit::Share), "99.50%");
        assert_eq!(shown_value(3, Unit::Count), "3");
    }

    #[test]
    fn replay_commands_survive_a_shell() {
        let suite = |file: &str| Suite {
            file: file.to_owned(),
            ..Suite::default()
        };
        assert_eq!(
            suite("a/b-1.yaml").replay(7),
            "quorate replay a/b-1.yaml --seed 7"
        );
        assert_eq!(
            suite("it's $(here).yaml").replay(7),
            r"quorate replay 'it'\''s $(here).yaml' --seed 7"
        );
        assert_eq!(suite("").replay(0), "quorate replay '' --seed 0");
    }

    #[test]
    fn hostile_text_cannot_steer_a_terminal() {
        assert_eq!(
            plain("a\x1b[2Jb\n\u{202e}c"),
            "a\u{fffd}[2Jb\u{fffd}\u{fffd}c"
        );
    }

    #[test]
    fn the_worst_run_and_a_good_one_are_worth_a_look() {
        let runs = [
            (1, Verdict::FailSlo),
            (2, Verdict::Pass),
            (3, Verdict::FailSafety),
        ];
        let runs = runs.map(|(seed, verdict)| sample::bare(seed, verdict));
        assert_eq!(chosen(&runs), [3, 2]);
        assert_eq!(chosen(&runs[1..2]), [2]);
        assert!(chosen(&[]).is_empty());
    }

    #[test]
    fn a_campaign_is_as_good_as_its_worst_run_and_nothing_is_no_pass() {
        let mut campaign = sample::campaign();
        assert_eq!(campaign.verdict(), Verdict::FailLiveness);
        campaign.suites.clear();
        assert_eq!(campaign.verdict(), Verdict::Invalid);
    }
}
