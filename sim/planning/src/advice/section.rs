//! Advice as people read it.

use super::{Advice, Point, Proposal};
use crate::page::{Block, Cell, Chart, Column, Drawing, Section, Table, Tone};

impl Advice {
    /// As a section of the page.
    #[must_use]
    pub fn section(&self) -> Section {
        let mut blocks = vec![Block::Table(self.proposals_table())];
        for (at, proposal) in self.proposals.iter().enumerate() {
            blocks.push(Block::Heading(format!("Proposal {}", at + 1)));
            blocks.extend(proposal.blocks());
        }
        blocks.push(Block::Heading("What availability costs".to_owned()));
        blocks.push(Block::Chart(self.front_chart()));
        blocks.push(Block::Table(self.front_table()));
        Section {
            id: "advice",
            title: "Advice".to_owned(),
            lead: self.lead(),
            blocks,
        }
    }

    fn lead(&self) -> String {
        let looked = format!("{} designs were looked at", self.looked_at);
        match (self.proposals.first(), self.now.missed, self.reachable) {
            (None, 0, _) => format!("The design meets its objectives; {looked}, none is better."),
            (None, _, _) => format!("Nothing nearer to the objectives was found; {looked}."),
            (Some(first), 0, _) => format!(
                "The design meets its objectives. {} would save or better something; {looked}.",
                capital(&first.point.changes.join(", and "))
            ),
            (Some(first), _, true) => format!(
                "Cheapest that meets every objective: {}, for {:+.2} {} a month; {looked}.",
                first.point.changes.join(", and "),
                first.point.monthly - self.now.monthly,
                self.currency
            ),
            (Some(first), _, false) => format!(
                "No change that was looked at meets every objective. Nearest: {}; {looked}.",
                first.point.changes.join(", and ")
            ),
        }
    }

    fn row(&self, name: String, point: &Point) -> Vec<Cell> {
        let least = if point.unpriced > 0 { "at least " } else { "" };
        let more = point.monthly - self.now.monthly;
        let missed = match point.missed {
            0 => Cell::figure(0.0, "all met").toned(Tone::Good),
            missed => Cell::figure(missed as f64, format!("{missed} missed")).toned(Tone::Bad),
        };
        vec![
            Cell::text(name),
            Cell::text(match point.changes.is_empty() {
                true => "as it is".to_owned(),
                false => point.changes.join("; "),
            }),
            Cell::figure(
                point.monthly,
                format!("{least}{:.2} {}", point.monthly, self.currency),
            ),
            Cell::figure(more, format!("{more:+.2}")),
            Cell::figure(
                point.minutes_per_year,
                format!("{:.1} min", point.minutes_per_year),
            ),
            missed,
        ]
    }

    fn columns() -> Vec<Column> {
        vec![
            Column::words("design"),
            Column::words("changes"),
            Column::figures("a month"),
            Column::figures("more"),
            Column::figures("down a year"),
            Column::words("objectives"),
        ]
    }

    fn proposals_table(&self) -> Table {
        let caption = "What could be changed, the cheapest that meets most first";
        let mut table = Table::new("advice", caption, Self::columns());
        table.push(self.row("now".to_owned(), &self.now));
        for (at, proposal) in self.proposals.iter().enumerate() {
            table.push(self.row(format!("proposal {}", at + 1), &proposal.point));
        }
        table
    }

    fn front_table(&self) -> Table {
        let caption = "Designs that nothing else beats in both price and availability";
        let mut table = Table::new("front", caption, Self::columns());
        for (at, point) in self.front.iter().enumerate() {
            table.push(self.row(format!("{}", at + 1), point));
        }
        table
    }

    fn front_chart(&self) -> Chart {
        let point = |(at, point): (usize, &Point)| {
            let now = point.changes.is_empty();
            let name = if now {
                "now".to_owned()
            } else {
                format!("{}", at + 1)
            };
            (name, point.monthly, point.minutes_per_year, now)
        };
        let mut points: Vec<_> = self.front.iter().enumerate().map(point).collect();
        if !points.iter().any(|point| point.3) {
            let now = &self.now;
            points.push(("now".to_owned(), now.monthly, now.minutes_per_year, true));
        }
        Chart {
            id: "front-chart",
            caption: "Price against time without service".to_owned(),
            drawing: Drawing::Points {
                x: format!("{} a month", self.currency),
                y: "minutes a year".to_owned(),
                points,
            },
        }
    }
}

impl Proposal {
    fn blocks(&self) -> Vec<Block> {
        let changes = capital(&self.point.changes.join("; "));
        let claims: usize = self.proofs.iter().map(|proof| proof.claims).sum();
        let losses = self.proofs.len();
        let mut blocks = vec![
            Block::Text(format!("{changes}.")),
            Block::Text(format!(
                "The planner leads there in {} steps, usually over after {:.0} min, and its checker \
                 finds nothing against them. {claims} claims about {losses} losses were compared \
                 with the simulated world.",
                self.steps, self.minutes
            )),
        ];
        let differences = self.proofs.iter().flat_map(|proof| &proof.differences);
        blocks.extend(differences.cloned().map(Block::Caution));
        blocks.extend(self.warnings.iter().cloned().map(Block::Caution));
        let patch = serde_json::to_string_pretty(&self.patch).expect("a patch is plain data");
        blocks.push(Block::Text(
            "As a JSON Patch (RFC 6902) of the manifest:".to_owned(),
        ));
        blocks.push(Block::Code(patch));
        blocks
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    first.unwrap_or_default() + letters.as_str()
}
