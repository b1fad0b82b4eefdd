//! A price as a section of a report. Knows no format.

use super::{Group, Line, Month, Price};
use crate::data::{Currency, Data};
use crate::page::{Block, Cell, Chart, Column, Drawing, Section, Table};
use std::collections::{BTreeMap, BTreeSet};

/// An amount as people read it.
fn money(amount: f64, currency: Currency) -> String {
    format!("{amount:.2} {currency}")
}

fn amount(line: Option<&Line>) -> Cell {
    match line {
        None => Cell::text("-"),
        Some(line) => match (line.amount, line.currency) {
            (Some(amount), Some(currency)) => Cell::figure(amount, money(amount, currency)),
            (None, _) | (_, None) => Cell::unknown("unknown"),
        },
    }
}

fn quantity(line: &Line) -> Cell {
    Cell::figure(line.quantity, format!("{:.1} {}", line.quantity, line.unit))
}

/// The dates of the rows behind a line.
fn dated(line: &Line) -> String {
    let dates: BTreeSet<&str> = line
        .rows
        .iter()
        .map(|row| row.source.date.as_ref().map_or("no date", |date| &date.0))
        .collect();
    let mut text = dates.into_iter().collect::<Vec<_>>().join(", ");
    if line.rows.iter().any(|row| !row.is_checked()) {
        text.push_str(" (unchecked)");
    }
    text
}

/// Lines of both months side by side.
struct Pairs<'a>(BTreeMap<(Group, &'a str, &'a str), [Option<&'a Line>; 2]>);

impl<'a> Pairs<'a> {
    fn of(price: &'a Price) -> Self {
        let mut pairs = BTreeMap::<_, [Option<&Line>; 2]>::new();
        let failover = price.failover.as_ref().map(|one| &one.month);
        for (at, month) in [Some(&price.normal), failover].into_iter().enumerate() {
            for line in month.into_iter().flat_map(|month| &month.lines) {
                let key = (line.group, line.provider.as_str(), line.what.as_str());
                pairs.entry(key).or_default()[at] = Some(line);
            }
        }
        Self(pairs)
    }

    fn either(pair: &[Option<&'a Line>; 2]) -> &'a Line {
        pair[0].or(pair[1]).expect("a pair has a line")
    }
}

impl Price {
    /// As a section; the data give the rate for the chart's one currency.
    #[must_use]
    pub fn section(&self, data: &Data) -> Section {
        let mut blocks = vec![Block::Table(self.table()), Block::Chart(self.chart(data))];
        let unknown: BTreeSet<_> = self.months().flat_map(|month| &month.unknown).collect();
        if !unknown.is_empty() {
            let parts = unknown
                .iter()
                .map(|one| format!("{} (needs {})", one.what, one.fix));
            let parts: Vec<String> = parts.collect();
            let text = format!("Not in these totals: {}.", parts.join("; "));
            blocks.push(Block::Caution(text));
        }
        blocks.push(Block::Heading("Traffic".to_owned()));
        blocks.push(Block::Table(self.egress()));
        blocks.push(Block::Text(
            "Answers go from pods over the mesh to an entry point, and from there to clients; \
             entry points share requests evenly. What comes in is free everywhere. Tiers of an \
             account are filled once a month by all its traffic together, and each line has its \
             share of the cost."
                .to_owned(),
        ));
        if !self.regimes.is_empty() {
            let text = self.regimes.join("; ");
            let text = format!("Traffic between providers may cost less on request: {text}.");
            blocks.push(Block::Text(text));
        }
        blocks.extend(self.cautions().into_iter().map(Block::Caution));
        Section {
            id: "price",
            title: "Price".to_owned(),
            lead: self.lead(),
            blocks,
        }
    }

    fn months(&self) -> impl Iterator<Item = &Month> {
        let failover = self.failover.as_ref().map(|one| &one.month);
        [Some(&self.normal), failover].into_iter().flatten()
    }

    /// `120.00 EUR`, or `at least` that if something is unknown.
    fn said(&self, month: &Month) -> String {
        let least = if month.unknown.is_empty() {
            ""
        } else {
            "at least "
        };
        format!("{least}{}", money(month.together, self.currency))
    }

    fn lead(&self) -> String {
        let normal = self.said(&self.normal);
        match &self.failover {
            None => format!("A normal month costs {normal}, without tax."),
            Some(failover) => format!(
                "A normal month costs {normal}; one in which {} is lost for {:.0} of its 730 \
                 hours {}. Both without tax.",
                failover.lost,
                failover.hours,
                self.said(&failover.month)
            ),
        }
    }

    fn failover_title(&self) -> String {
        self.failover.as_ref().map_or_else(
            || "Failover month".to_owned(),
            |failover| format!("Without {}", failover.lost),
        )
    }

    fn table(&self) -> Table {
        let columns = vec![
            Column::words("Item"),
            Column::words("Part"),
            Column::words("Provider"),
            Column::figures("Quantity"),
            Column::figures("Normal month"),
            Column::figures(self.failover_title()),
            Column::words("Price of"),
        ];
        let caption = "What a month costs, item by item, without tax".to_owned();
        let mut table = Table::new("price", caption, columns);
        for ((group, provider, what), pair) in &Pairs::of(self).0 {
            let line = Pairs::either(pair);
            table.push(vec![
                Cell::text(*what),
                Cell::text(group.word()),
                Cell::text(*provider),
                quantity(line),
                amount(pair[0]),
                amount(pair[1]),
                Cell::text(dated(line)),
            ]);
        }
        let currencies: BTreeSet<Currency> = self
            .months()
            .flat_map(|month| month.totals.keys().copied())
            .collect();
        for currency in &currencies {
            let total = |month: &Month| month.totals.get(currency).copied().unwrap_or(0.0);
            table.push(self.total(format!("Total in {currency}"), *currency, total));
        }
        if currencies.len() > 1 {
            let name = format!("Total, all in {}", self.currency);
            table.push(self.total(name, self.currency, |month| month.together));
        }
        table
    }

    fn total(&self, name: String, currency: Currency, of: impl Fn(&Month) -> f64) -> Vec<Cell> {
        let cell = |month: &Month| {
            let least = if month.unknown.is_empty() {
                ""
            } else {
                "at least "
            };
            let sum = of(month);
            Cell::figure(sum, format!("{least}{}", money(sum, currency)))
        };
        let failover = self.failover.as_ref();
        vec![
            Cell::text(name),
            Cell::text("total"),
            Cell::text(""),
            Cell::text(""),
            cell(&self.normal),
            failover.map_or_else(|| Cell::text("-"), |one| cell(&one.month)),
            Cell::text(""),
        ]
    }

    fn egress(&self) -> Table {
        let columns = vec![
            Column::words("Traffic"),
            Column::words("Provider"),
            Column::figures("GB, normal"),
            Column::words("By tier"),
            Column::figures("Normal month"),
            Column::figures(format!("GB, {}", self.failover_title().to_lowercase())),
            Column::figures(self.failover_title()),
            Column::words("Price of"),
        ];
        let caption = "Traffic that leaves a zone, by way and tier".to_owned();
        let mut table = Table::new("egress", caption, columns);
        for ((group, provider, what), pair) in &Pairs::of(self).0 {
            if *group != Group::Egress {
                continue;
            }
            let gb = |line: Option<&Line>| {
                line.map_or_else(
                    || Cell::text("-"),
                    |line| Cell::figure(line.quantity, format!("{:.1}", line.quantity)),
                )
            };
            table.push(vec![
                Cell::text(*what),
                Cell::text(*provider),
                gb(pair[0]),
                Cell::text(pair[0].map_or_else(String::new, tiers)),
                amount(pair[0]),
                gb(pair[1]),
                amount(pair[1]),
                Cell::text(dated(Pairs::either(pair))),
            ]);
        }
        table
    }

    fn chart(&self, data: &Data) -> Chart {
        let providers: BTreeSet<&str> = self
            .months()
            .flat_map(|month| &month.lines)
            .map(|line| line.provider.as_str())
            .collect();
        let mut bars = Vec::new();
        for provider in providers {
            let bar = |month: &Month| {
                let of = |group| month.of(provider, group, data, self.currency);
                Group::ALL.into_iter().map(of).collect::<Vec<f64>>()
            };
            bars.push((provider.to_owned(), bar(&self.normal)));
            if let Some(failover) = &self.failover {
                let name = format!("{provider}, without {}", failover.lost);
                bars.push((name, bar(&failover.month)));
            }
        }
        Chart {
            id: "price-by-provider",
            caption: "What is paid to whom, in a normal month and in one with a failover"
                .to_owned(),
            drawing: Drawing::Bars {
                unit: format!("{} a month", self.currency),
                parts: Group::ALL
                    .iter()
                    .map(|group| group.word().to_owned())
                    .collect(),
                bars,
            },
        }
    }

    fn cautions(&self) -> Vec<String> {
        let mut cautions = Vec::new();
        let mut lines = self.failover.iter().flat_map(|one| &one.month.lines);
        if lines.any(|line| line.what.starts_with(super::Purpose::Rebuild.word())) {
            cautions.push(
                "The failover month holds the traffic of one rebuild of every lost copy in full."
                    .to_owned(),
            );
        }
        let unchecked = self.used.iter().filter(|row| !row.is_checked()).count();
        if unchecked > 0 {
            cautions.push(format!(
                "{unchecked} of the {} rows behind these figures are from memory and unchecked: \
                 `quorate data show` names them, and files of `--data DIR` replace them.",
                self.used.len()
            ));
        }
        if !self.aged.is_empty() {
            let oldest = self.aged.iter().filter_map(|row| row.days).max();
            let oldest =
                oldest.map_or_else(String::new, |days| format!(", the oldest {days} days"));
            cautions.push(format!(
                "{} of them are older than {} days{oldest}, or of unknown age.",
                self.aged.len(),
                crate::data::STALE_DAYS
            ));
        }
        cautions
    }
}

/// `100 GB at 0, 52.4 GB at 0.09`.
fn tiers(line: &Line) -> String {
    let steps = line.steps.iter().map(|step| match step.per_gb {
        Some(price) => format!("{:.1} GB at {price:.4}", step.gb),
        None => format!("{:.1} GB beyond the last known tier", step.gb),
    });
    steps.collect::<Vec<_>>().join(", ")
}
