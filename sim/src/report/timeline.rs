//! One run as a transcript that a person can follow: for replays and for golden files.
//!
//! Compaction: a transcript that is too long folds notes which are alike, in steps, until it fits.
//! A fold shows the first of them, how many there were, and when the last one came:
//! 1. neighbours on a track with equal text;
//! 2. notes on a track that differ in numbers only, between two phases or faults;
//! 3. the same, where names of resources may differ too, within a phase, faults included;
//! 4. of each track within a phase only the first kinds of notes, the rest counted.
//!
//! Phases are never folded.

use super::{plain, shown_value};
use crate::outcome::{Note, Run, Track, Unit};
use quorate_engine::time::Time;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The most lines of notes in a golden transcript, so that with its head and foot it stays at
/// about 80.
pub const GOLDEN_LINES: usize = 60;

/// What the names of parameters begin with that were measured, and not drawn.
pub const MEASURED: &str = "round trip ";

/// The transcript of a run, with at most `lines` lines of notes. Ends with a line break.
#[must_use]
pub fn timeline(run: &Run, lines: usize) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "scenario  {}", plain(&run.scenario));
    let _ = writeln!(out, "seed      {}", run.seed);
    let _ = writeln!(out, "verdict   {}", run.verdict);
    let _ = writeln!(out, "trace     {}", plain(&run.trace_hash));
    let _ = writeln!(
        out,
        "events    {} in {} of simulated time",
        run.events, run.simulated
    );
    // Without these the same seed is another run.
    for (name, value) in &run.parameters {
        if let Some(places) = name.strip_prefix(MEASURED) {
            let _ = writeln!(out, "measured  {}: {}", plain(places), plain(value));
        }
    }
    out.push('\n');
    for line in self::lines(&run.notes, lines) {
        let _ = writeln!(out, "{line}");
    }
    if !run.expectations.is_empty() {
        out.push('\n');
    }
    for held in &run.expectations {
        let measured = match (held.detail.as_str(), held.value, held.unit) {
            (detail, None, _) | (detail, _, Unit::None) => detail.to_owned(),
            ("", Some(value), unit) => shown_value(value, unit),
            (detail, Some(_), _) => detail.to_owned(),
        };
        let line = format!("{:<22}{}", held.verdict, plain(&held.name));
        let _ = match measured.as_str() {
            "" => writeln!(out, "{line}"),
            measured => writeln!(out, "{line}: {}", plain(measured)),
        };
    }
    out
}

/// Notes in at most `limit` lines of text; only the phases themselves may be more.
pub(super) fn lines(notes: &[Note], limit: usize) -> Vec<String> {
    compact(notes, limit).iter().map(Line::text).collect()
}

/// A note, or several that are alike.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line<'a> {
    first: &'a Note,
    count: usize,
    last: Time,
    /// It only counts notes that are not shown.
    rest: bool,
}

impl Line<'_> {
    /// `mm:ss.mmm  track   text`.
    fn text(&self) -> String {
        format!("{}  {:<7} {}", self.first.at, self.first.track, self.what())
    }

    fn what(&self) -> String {
        let Self {
            first,
            count,
            last,
            rest,
        } = self;
        match (rest, count) {
            (true, _) => format!("… {count} more of {} until {last}", first.track),
            (false, 1) => plain(&first.text),
            (false, _) => format!("{} (×{count}, until {last})", plain(&first.text)),
        }
    }
}

/// How alike two notes must be to be folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Likeness {
    /// Not at all: every note has its line.
    None,
    /// Neighbours on a track with equal text.
    Equal,
    /// Between two phases or faults, up to numbers.
    Numbers,
    /// Within a phase, up to numbers and names of resources.
    Names,
}

fn compact(notes: &[Note], limit: usize) -> Vec<Line<'_>> {
    let steps = [
        Likeness::None,
        Likeness::Equal,
        Likeness::Numbers,
        Likeness::Names,
    ];
    let mut folded = Vec::new();
    for likeness in steps {
        folded = fold(notes, likeness);
        if folded.len() <= limit {
            return folded;
        }
    }
    let mut kinds = 8;
    while kinds > 0 {
        let short = shorten(&folded, kinds);
        if short.len() <= limit {
            return short;
        }
        kinds -= 1;
    }
    shorten(&folded, 0)
}

fn fold(notes: &[Note], likeness: Likeness) -> Vec<Line<'_>> {
    let mut lines: Vec<Line<'_>> = Vec::with_capacity(notes.len());
    // Where the line of a track and shape stands that the next one like it goes to.
    let mut open: BTreeMap<(Track, String), usize> = BTreeMap::new();
    for note in notes {
        if note.track == Track::Phase || (note.track == Track::Fault && !folds_faults(likeness)) {
            open.clear();
            lines.push(single(note));
            continue;
        }
        let key = (note.track, shape(&note.text, likeness));
        match (likeness, open.get(&key)) {
            (Likeness::None, _) | (_, None) => {
                if likeness == Likeness::Equal {
                    open.retain(|(track, _), _| *track != note.track);
                }
                open.insert(key, lines.len());
                lines.push(single(note));
            }
            (_, Some(at)) => {
                let line = &mut lines[*at];
                line.count += 1;
                line.last = note.at;
            }
        }
    }
    lines
}

fn folds_faults(likeness: Likeness) -> bool {
    match likeness {
        Likeness::None | Likeness::Equal | Likeness::Numbers => false,
        Likeness::Names => true,
    }
}

fn single(note: &Note) -> Line<'_> {
    Line {
        first: note,
        count: 1,
        last: note.at,
        rest: false,
    }
}

/// What must be equal for two texts to be folded.
fn shape(text: &str, likeness: Likeness) -> String {
    let words = text.split(' ');
    let shaped: Vec<String> = words
        .map(|word| match likeness {
            Likeness::None | Likeness::Equal => word.to_owned(),
            Likeness::Names if word.contains('/') => "@".to_owned(),
            Likeness::Numbers | Likeness::Names => without_numbers(word),
        })
        .collect();
    shaped.join(" ")
}

fn without_numbers(word: &str) -> String {
    let mut shaped: String = word
        .chars()
        .map(|c| if c.is_ascii_digit() { '#' } else { c })
        .collect();
    while shaped.contains("##") {
        shaped = shaped.replace("##", "#");
    }
    shaped
}

/// Keeps the first `kinds` lines of each track in each phase, and counts the rest in one line.
fn shorten<'a>(lines: &[Line<'a>], kinds: usize) -> Vec<Line<'a>> {
    let mut short: Vec<Line<'a>> = Vec::new();
    let mut seen: BTreeMap<Track, (usize, Option<usize>)> = BTreeMap::new();
    for line in lines {
        if line.first.track == Track::Phase {
            seen.clear();
            short.push(line.clone());
            continue;
        }
        let (shown, rest) = seen.entry(line.first.track).or_default();
        match rest {
            _ if *shown < kinds => {
                *shown += 1;
                short.push(line.clone());
            }
            None if kinds == 0 => {}
            None => {
                // One line alone is better shown than counted.
                *rest = Some(short.len());
                short.push(line.clone());
            }
            Some(at) => {
                let rest = &mut short[*at];
                rest.rest = true;
                rest.count += line.count;
                rest.last = rest.last.max(line.last);
            }
        }
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Verdict;
    use crate::report::sample::{self, note};

    #[test]
    fn a_short_run_is_told_in_full() {
        insta::assert_snapshot!(timeline(
            &sample::outage(3, Verdict::FailLiveness),
            GOLDEN_LINES
        ));
    }

    /// A phase of a churning leader: every minute a fault, an election and two probes.
    fn churn(minutes: u64) -> Vec<Note> {
        let mut notes = vec![note(0, Track::Phase, "churn begins")];
        for minute in 0..minutes {
            let at = minute * 60_000;
            let victim = ["a/cp/1", "b/cp/1"][(minute % 2) as usize];
            notes.push(note(at, Track::Fault, format!("kill of {victim}")));
            notes.push(note(at + 1, Track::Client, "connection refused"));
            notes.push(note(at + 2, Track::Client, "connection refused"));
            notes.push(note(
                at + 3,
                Track::Etcd,
                format!("{victim} leads in term {minute}"),
            ));
        }
        notes
    }

    #[test]
    fn what_fits_is_left_alone() {
        let notes = churn(2);
        let lines = lines(&notes, notes.len());
        assert_eq!(lines.len(), notes.len());
        assert_eq!(lines[1], "00:00.000  fault   kill of a/cp/1");
    }

    #[test]
    fn equal_neighbours_fold_first() {
        let lines = lines(&churn(2), 8);
        assert_eq!(lines.len(), 7);
        assert_eq!(
            lines[2],
            "00:00.001  client  connection refused (×2, until 00:00.002)"
        );
    }

    #[test]
    fn numbers_fold_between_faults_only() {
        let mut notes = vec![note(0, Track::Fault, "one")];
        notes.extend((1..5).map(|n| note(n, Track::Etcd, format!("term {n}"))));
        notes.push(note(5, Track::Fault, "two"));
        notes.push(note(6, Track::Etcd, "term 5"));
        let lines = lines(&notes, 4);
        assert_eq!(lines.len(), 4);
        assert_eq!(lines[1], "00:00.001  etcd    term 1 (×4, until 00:00.004)");
    }

    #[test]
    fn a_long_churn_becomes_one_line_for_each_kind() {
        insta::assert_snapshot!(lines(&churn(30), 10).join("\n"), @r"
        00:00.000  phase   churn begins
        00:00.000  fault   kill of a/cp/1 (×30, until 29:00.000)
        00:00.001  client  connection refused (×60, until 29:00.002)
        00:00.003  etcd    a/cp/1 leads in term 0 (×30, until 29:00.003)
        ");
    }

    #[test]
    fn however_much_there_is_it_fits_and_nothing_is_lost_silently() {
        let mut notes = vec![note(0, Track::Phase, "noise begins")];
        let words = |n: u64| {
            "abcdefghij"
                .chars()
                .cycle()
                .skip(n as usize)
                .take(9)
                .collect()
        };
        notes.extend((0..900).map(|n| {
            let track = [Track::Etcd, Track::Kube][(n % 2) as usize];
            let text: String = words(n / 2);
            note(n, track, format!("{text}{}", "x".repeat(n as usize / 20)))
        }));
        let lines = compact(&notes, 12);
        assert!((4..=12).contains(&lines.len()), "{}", lines.len());
        assert!(lines.iter().filter(|line| line.rest).count() == 2);
        assert_eq!(
            lines.iter().map(|line| line.count).sum::<usize>(),
            notes.len()
        );
    }

    #[test]
    fn a_note_of_several_lines_stays_one_line() {
        let run = &sample::hostile().suites[0].runs[0];
        let text = timeline(run, GOLDEN_LINES);
        assert!(!text.contains("\nsecond line"), "{text}");
    }
}
