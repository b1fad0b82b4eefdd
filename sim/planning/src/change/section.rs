//! A change as people read it.

use super::{Change, Played};
use crate::failures::seconds;
use crate::page::{Block, Cell, Column, Section, Table, Tone};

/// Steps beyond these are counted, not shown: the plan has them all.
const SHOWN: usize = 60;

impl Change {
    /// As a section of the page.
    #[must_use]
    pub fn section(&self) -> Section {
        let mut blocks = vec![Block::Table(self.figures())];
        blocks.extend(self.problems.iter().cloned().map(Block::Caution));
        blocks.push(Block::Table(self.steps_table()));
        if self.steps.len() > SHOWN {
            let more = self.steps.len() - SHOWN;
            blocks.push(Block::Text(format!(
                "and {more} further steps: `quorate plan` has them."
            )));
        }
        for held in &self.held {
            blocks.push(Block::Text(format!("Left alone: {held}.")));
        }
        if let Some(played) = &self.played {
            blocks.push(Block::Heading("In the simulated world".to_owned()));
            blocks.push(Block::Table(played.table()));
        }
        Section {
            id: "change",
            title: "The change".to_owned(),
            lead: self.lead(),
            blocks,
        }
    }

    fn lead(&self) -> String {
        if self.steps.is_empty() {
            return "Nothing is to be done.".to_owned();
        }
        let slack = match self.least_slack {
            None => String::new(),
            Some(slack @ ..0) => {
                format!("; etcd is {} members short of a quorum on the way", -slack)
            }
            Some(0) => format!(
                "; for {} etcd bears no loss",
                seconds(self.bare_minutes * 60.0)
            ),
            Some(slack) => format!("; etcd bears the loss of {slack} at every step"),
        };
        format!(
            "{} steps, usually over after {}{slack}.",
            self.steps.len(),
            seconds(self.expected_minutes * 60.0)
        )
    }

    fn figures(&self) -> Table {
        let columns = vec![Column::words("what"), Column::figures("figure")];
        let mut table = Table::new("change", "What it takes and what it risks", columns);
        let mut row = |what: &str, cell: Cell| table.push(vec![Cell::text(what), cell]);
        let length = self.expected_minutes * 60.0;
        row("usual length", Cell::figure(length, seconds(length)));
        match self.least_slack {
            None => row("least slack of etcd", Cell::text("no etcd")),
            Some(slack) => {
                let tone = match slack {
                    ..0 => Tone::Bad,
                    0 => Tone::Warn,
                    _ => Tone::Good,
                };
                let cell = Cell::figure(slack as f64, slack.to_string());
                row("least slack of etcd", cell.toned(tone));
            }
        }
        let bare = self.bare_minutes * 60.0;
        row("time without slack", Cell::figure(bare, seconds(bare)));
        let risk = match self.quorum_risk {
            0.0 => "none".to_owned(),
            risk => format!("1 in {:.0}", 1.0 / risk),
        };
        row(
            "risk of losing the quorum on the way",
            Cell::figure(self.quorum_risk, risk),
        );
        let money = |amount: f64| format!("{amount:.2} {}", self.currency);
        let least = if self.unpriced > 0 { "at least " } else { "" };
        let double = self.double_running;
        row(
            "running both meanwhile",
            Cell::figure(double, format!("{least}{}", money(double))),
        );
        let (old, new) = self.monthly;
        row(
            "a month before",
            Cell::figure(old, format!("{least}{}", money(old))),
        );
        row(
            "a month after",
            Cell::figure(new, format!("{least}{}", money(new))),
        );
        table
    }

    fn steps_table(&self) -> Table {
        let columns = vec![
            Column::words("step"),
            Column::figures("begins"),
            Column::figures("lasts"),
            Column::figures("etcd slack"),
            Column::words("can be taken back"),
            Column::words("why"),
        ];
        let mut table = Table::new(
            "steps",
            "Steps that change something, as they begin",
            columns,
        );
        for step in self.steps.iter().take(SHOWN) {
            let slack = match step.slack {
                None => Cell::text("-"),
                Some(slack) => {
                    let tone = if slack <= 0 { Tone::Warn } else { Tone::Plain };
                    Cell::figure(slack as f64, slack.to_string()).toned(tone)
                }
            };
            table.push(vec![
                Cell::text(&step.title),
                Cell::figure(step.begins, seconds(step.begins * 60.0)),
                Cell::figure(step.lasts, seconds(step.lasts * 60.0)),
                slack,
                Cell::text(&step.reversible),
                Cell::text(&step.reason),
            ]);
        }
        table
    }
}

impl Played {
    fn table(&self) -> Table {
        let columns = vec![Column::words("what"), Column::figures("figure")];
        let caption = format!(
            "{} runs under live traffic, each with other luck",
            self.runs
        );
        let mut table = Table::new("played", caption, columns);
        let mut row = |what: String, cell: Cell| table.push(vec![Cell::text(what), cell]);
        let all = self.done == self.runs;
        let tone = if all { Tone::Good } else { Tone::Bad };
        let done = Cell::figure(self.done as f64, format!("{} of {}", self.done, self.runs));
        row("came to its end".to_owned(), done.toned(tone));
        for (what, times) in [
            ("it took", self.took),
            ("without a leader", self.leaderless),
        ] {
            if let Some(times) = times {
                let text = format!(
                    "{} / {} / {}",
                    seconds(times.p50),
                    seconds(times.p90),
                    seconds(times.p99)
                );
                row(
                    format!("{what} (median / 90 % / 99 %)"),
                    Cell::figure(times.p50, text),
                );
            }
        }
        for (name, bad, of) in &self.failed {
            let tone = if *bad == 0 { Tone::Good } else { Tone::Warn };
            let text = format!("{bad} of {of}");
            row(
                format!("failed requests through {name}"),
                Cell::figure(*bad as f64, text).toned(tone),
            );
        }
        let lost = self.lost_writes;
        let tone = if lost == 0 { Tone::Good } else { Tone::Bad };
        row(
            "lost writes".to_owned(),
            Cell::figure(lost as f64, lost.to_string()).toned(tone),
        );
        table
    }
}
