//! Availability as a section of a report. Shows results; computes none.

use super::{Availability, Subject, SubjectKind};
use crate::page::{Block, Cell, Chart, Column, Drawing, Section, Table, Tone};
use std::collections::BTreeSet;

/// Cut sets shown of each subject.
const SETS: usize = 5;
/// Causes that have a part of their own in the chart.
const CAUSES: usize = 6;
/// Assumptions shown.
const SWINGS: usize = 12;

impl Subject {
    /// `ingress web/https`.
    fn title(&self) -> String {
        match self.kind {
            SubjectKind::Quorum | SubjectKind::Api => self.name.clone(),
            SubjectKind::Ingress => format!("ingress {}", self.name),
            SubjectKind::Workload => format!("workload {}", self.name),
            SubjectKind::Volume => format!("volume of {}", self.name),
        }
    }

    /// What its downtime is made of, in a sentence; none: nothing is known of it.
    #[must_use]
    pub fn words(&self) -> Option<String> {
        let first = self.causes.first()?;
        let percent = |share: f64| format!("{:.0} %", 100.0 * share);
        let mut words = format!("{} of the downtime is {}", percent(first.share), first.name);
        if let Some(second) = self.causes.get(1).filter(|cause| cause.share >= 0.01) {
            words += &format!(", {} is {}", percent(second.share), second.name);
        }
        Some(words)
    }
}

impl Availability {
    /// Its section.
    #[must_use]
    pub fn section(&self) -> Section {
        let mut blocks = vec![Block::Table(self.subjects_table())];
        let sentences = self.subjects.iter().filter_map(|subject| {
            let words = subject.words()?;
            Some(format!("{}: {words}.", subject.title()))
        });
        blocks.extend(sentences.map(Block::Text));
        blocks.push(Block::Chart(self.causes_chart()));
        blocks.push(Block::Heading(
            "Smallest combinations of failures".to_owned(),
        ));
        blocks.push(Block::Table(self.sets_table()));
        if let Some(subject) = self.headline() {
            blocks.push(Block::Heading("What the figures hang on".to_owned()));
            blocks.push(Block::Table(sensitivity_table(subject)));
            blocks.push(Block::Chart(tornado(subject)));
        }
        blocks.push(Block::Text(self.rule.clone()));
        blocks.extend(self.cautions().into_iter().map(Block::Caution));
        Section {
            id: "availability",
            title: "Availability".to_owned(),
            lead: self.lead(),
            blocks,
        }
    }

    /// The subject that users notice: the worst entry point, else the worst of the others.
    fn headline(&self) -> Option<&Subject> {
        let by_downtime =
            |a: &&Subject, b: &&Subject| a.unavailability.total_cmp(&b.unavailability);
        let of = |kind| {
            self.subjects
                .iter()
                .filter(move |s| s.kind == kind)
                .max_by(by_downtime)
        };
        let kinds = [
            SubjectKind::Ingress,
            SubjectKind::Workload,
            SubjectKind::Api,
        ];
        let found = kinds.into_iter().find_map(of);
        found.or_else(|| self.subjects.iter().max_by(by_downtime))
    }

    fn lead(&self) -> String {
        let Some(subject) = self.headline() else {
            return "There is nothing here that could be up or down.".to_owned();
        };
        let mut lead = format!(
            "{} is up {} of the time: {} a year without it",
            subject.title(),
            subject.claim.words,
            minutes(subject.minutes_per_year)
        );
        if let Some(range) = subject.range {
            let ends = [minutes(range.p5), minutes(range.p95)];
            lead += &format!(
                " ({} to {} over what the assumptions may be)",
                ends[0], ends[1]
            );
        }
        lead += ".";
        if let Some(words) = subject.words() {
            lead += &format!(" {words}.");
        }
        lead
    }

    fn subjects_table(&self) -> Table {
        let caption = "How long each part is down in a year, how often, and for how long";
        let columns = vec![
            Column::words("Part"),
            Column::words("Claim"),
            Column::figures("Down a year"),
            Column::figures("5 %"),
            Column::figures("95 %"),
            Column::figures("Nines"),
            Column::figures("Outages a year"),
            Column::figures("Mean outage"),
            Column::figures("p50"),
            Column::figures("p90"),
            Column::figures("p99"),
        ];
        let mut table = Table::new("availability", caption, columns);
        for subject in &self.subjects {
            let range = subject.range;
            let spread = subject.simulated.as_ref().and_then(|seen| seen.minutes);
            let length = |value: Option<f64>| value.map_or_else(unknown, time);
            let down = match subject.interval {
                Some(_) => format!("at most {}", minutes(subject.minutes_per_year)),
                None => minutes(subject.minutes_per_year),
            };
            let rare = |rate: f64| Cell::figure(rate, significant(rate));
            let tone = match subject.claim.at_least {
                Some(_) => Tone::Plain,
                None => Tone::Bad,
            };
            table.push(vec![
                Cell::text(subject.title()),
                Cell::text(subject.claim.words.clone()).toned(tone),
                Cell::figure(subject.minutes_per_year, down),
                length(range.map(|range| range.p5)),
                length(range.map(|range| range.p95)),
                subject
                    .nines
                    .map_or_else(unknown, |n| Cell::figure(n, format!("{n:.1}"))),
                subject.per_year.map_or_else(unknown, rare),
                length(subject.mean_minutes),
                length(spread.map(|spread| spread.p50.value)),
                length(spread.map(|spread| spread.p90.value)),
                length(spread.map(|spread| spread.p99.value)),
            ]);
        }
        table
    }

    fn sets_table(&self) -> Table {
        let caption = "What has to fail together, and its share of the downtime";
        let columns = vec![
            Column::words("Part"),
            Column::words("Fail together"),
            Column::figures("Share of downtime"),
            Column::figures("Complete, a year"),
        ];
        let mut table = Table::new("cut-sets", caption, columns);
        for subject in &self.subjects {
            for set in subject.cut_sets.iter().take(SETS) {
                let share = set.fussell_vesely;
                table.push(vec![
                    Cell::text(subject.title()),
                    Cell::text(set.events.join(" + ")),
                    Cell::figure(share, format!("{:.1} %", 100.0 * share)),
                    time(set.probability * crate::algebra::YEAR_MINUTES),
                ]);
            }
        }
        table
    }

    fn causes_chart(&self) -> Chart {
        let mut parts: Vec<String> = Vec::new();
        let mut causes: Vec<_> = self
            .subjects
            .iter()
            .flat_map(|s| {
                s.causes
                    .iter()
                    .map(|c| (c.share * s.minutes_per_year, &c.name))
            })
            .collect();
        causes.sort_by(|a, b| b.0.total_cmp(&a.0));
        for (_, name) in causes {
            if parts.len() < CAUSES && !parts.contains(name) {
                parts.push(name.clone());
            }
        }
        let bars = self
            .subjects
            .iter()
            .filter(|subject| !subject.causes.is_empty());
        let bars = bars.map(|subject| {
            let share = |name: &String| subject.causes.iter().find(|cause| cause.name == *name);
            let mut shares: Vec<f64> = parts
                .iter()
                .map(|name| share(name).map_or(0.0, |cause| cause.share))
                .collect();
            shares.push((1.0 - shares.iter().sum::<f64>()).max(0.0));
            let minutes = shares.iter().map(|share| share * subject.minutes_per_year);
            (subject.title(), minutes.collect())
        });
        let bars = bars.collect();
        parts.push("everything else".to_owned());
        Chart {
            id: "availability-causes",
            caption: "Minutes of downtime a year, by what is down".to_owned(),
            drawing: Drawing::Bars {
                unit: "minutes a year".to_owned(),
                parts,
                bars,
            },
        }
    }

    fn cautions(&self) -> Vec<String> {
        let mut cautions = vec![
            "Not counted: mistakes of people and of upgrades, faults of the software itself, the \
             time until a failure is noticed and clients go elsewhere, and networks between \
             providers."
                .to_owned(),
            "Published outages weigh by their graded impact, a partial one less than a full one: \
             the weight is the chance that it takes what one has there."
                .to_owned(),
        ];
        for subject in &self.subjects {
            let title = subject.title();
            cautions.extend(subject.note.iter().map(|note| format!("{title}: {note}.")));
            if let Some(interval) = subject.interval {
                let year = crate::algebra::YEAR_MINUTES;
                cautions.push(format!(
                    "{title}: too large for an exact solution; proven are {} to {} a year.",
                    minutes(interval.low * year),
                    minutes(interval.high * year)
                ));
            }
        }
        let held = self
            .subjects
            .iter()
            .filter(|subject| subject.claim.held_back);
        let held: BTreeSet<String> = held.map(Subject::title).collect();
        if !held.is_empty() {
            let held: Vec<String> = held.into_iter().collect();
            cautions.push(format!(
                "More nines would follow from the assumptions than the evidence holds: {}.",
                held.join(", ")
            ));
        }
        cautions
    }
}

fn sensitivity_table(subject: &Subject) -> Table {
    let title = subject.title();
    let caption = format!("Minutes a year of {title} at both ends of each assumption");
    let columns = vec![
        Column::words("Assumption"),
        Column::figures("Low end"),
        Column::figures("High end"),
        Column::figures("Down a year at low"),
        Column::figures("Down a year at high"),
    ];
    let mut table = Table::new("sensitivity", caption, columns);
    for swing in subject.sensitivity.iter().take(SWINGS) {
        let plain = |value: f64| Cell::figure(value, significant(value));
        table.push(vec![
            Cell::text(swing.name.clone()),
            plain(swing.low),
            plain(swing.high),
            time(swing.minutes_at_low),
            time(swing.minutes_at_high),
        ]);
    }
    table
}

fn tornado(subject: &Subject) -> Chart {
    let swings = subject.sensitivity.iter().take(SWINGS);
    let bars = swings.map(|swing| {
        let (low, high) = (swing.minutes_at_low, swing.minutes_at_high);
        (swing.name.clone(), vec![low.min(high), (high - low).abs()])
    });
    Chart {
        id: "availability-sensitivity",
        caption: format!(
            "Minutes a year of {} over each assumption's range",
            subject.title()
        ),
        drawing: Drawing::Bars {
            unit: "minutes a year".to_owned(),
            parts: vec![
                "at the better end".to_owned(),
                "more at the worse end".to_owned(),
            ],
            bars: bars.collect(),
        },
    }
}

fn unknown() -> Cell {
    Cell::unknown("not known")
}

fn time(value: f64) -> Cell {
    Cell::figure(value, minutes(value))
}

/// Minutes as people say them.
fn minutes(value: f64) -> String {
    match value {
        _ if value <= 0.0 => "0".to_owned(),
        _ if value < 1.0 / 60.0 => "below 1 s".to_owned(),
        _ if value < 1.0 => format!("{:.0} s", value * 60.0),
        _ if value < 10.0 => format!("{value:.1} min"),
        _ if value < 120.0 => format!("{value:.0} min"),
        _ if value < 2_880.0 => format!("{:.1} h", value / 60.0),
        _ => format!("{:.1} d", value / 1_440.0),
    }
}

/// Two significant digits.
fn significant(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let digits = 1 - libm::floor(libm::log10(value.abs())) as i32;
    match digits {
        ..=0 => format!("{value:.0}"),
        1..=5 => format!("{value:.*}", digits as usize),
        _ => format!("{value:.1e}"),
    }
}
