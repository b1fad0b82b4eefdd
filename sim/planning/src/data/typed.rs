//! Rows as values, and what is wrong with a cell.

use super::{
    Assumption, Currency, Data, Date, Destination, EgressPrice, Evidence, Incident, Item,
    MONTH_HOURS, MachinePrice, Meter, Mistake, OtherPrice, Row, Source, Table, Tables,
};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

/// Bytes of a GiB in GB (10⁹ bytes).
const GIB: f64 = 1.073_741_824;

/// A row under the eyes of someone who wants values of its cells.
struct Cells<'a> {
    table: Table,
    row: &'a Row,
    mistakes: Vec<Mistake>,
}

impl<'a> Cells<'a> {
    fn of(table: Table, row: &'a Row) -> Self {
        Self {
            table,
            row,
            mistakes: Vec::new(),
        }
    }

    fn cell(&self, column: &str) -> &'a str {
        &self.row.cells[self.table.column(column)]
    }

    fn wrong(&mut self, column: &str, message: impl Into<String>, fix: impl Into<String>) {
        self.mistakes.push(Mistake {
            file: self.row.file.clone(),
            line: self.row.line,
            column: Some(column.to_owned()),
            message: message.into(),
            fix: fix.into(),
        });
    }

    fn some(&self, column: &str) -> Option<String> {
        let cell = self.cell(column);
        (!cell.is_empty()).then(|| cell.to_owned())
    }

    fn text(&mut self, column: &str) -> String {
        let cell = self.cell(column);
        if cell.is_empty() {
            self.wrong(column, "is empty", format!("say the row's {column}"));
        }
        cell.to_owned()
    }

    /// A number that is at least zero.
    fn optional(&mut self, column: &str) -> Option<f64> {
        let cell = self.cell(column);
        if cell.is_empty() {
            return None;
        }
        match cell.parse::<f64>() {
            Ok(number) if number.is_finite() && number >= 0.0 => Some(number),
            Ok(_) => {
                self.wrong(
                    column,
                    format!("`{cell}` is below zero or without end"),
                    "write a number from 0 on",
                );
                None
            }
            Err(_) => {
                self.wrong(
                    column,
                    format!("`{cell}` is not a number"),
                    "write it with a decimal point and without spaces or units, like `0.0416`",
                );
                None
            }
        }
    }

    fn number(&mut self, column: &str) -> f64 {
        if self.cell(column).is_empty() {
            self.wrong(column, "is empty", "write a number, like `0.0416`");
        }
        self.optional(column).unwrap_or(0.0)
    }

    /// One of a set of words; `instead` where it is none, and that is said.
    fn word<T: DeserializeOwned>(&mut self, column: &str, instead: T) -> T {
        let cell = self.cell(column);
        match serde_json::from_value(serde_json::Value::String(cell.to_owned())) {
            Ok(word) => word,
            Err(error) => {
                let said = error.to_string();
                let choices = said
                    .split_once(", expected ")
                    .map_or("", |(_, after)| after);
                self.wrong(
                    column,
                    format!("`{cell}` is not known here"),
                    format!("write {choices}"),
                );
                instead
            }
        }
    }

    fn date(&mut self) -> Option<Date> {
        let cell = self.cell("date");
        let date = Date::parse(cell);
        if date.is_none() && !cell.is_empty() {
            self.wrong(
                "date",
                format!("`{cell}` is not a date"),
                "write `2026-08-03`, `2026-08` or `2026`",
            );
        }
        date
    }

    fn source(&mut self) -> Source {
        Source {
            source: self.text("source"),
            date: self.date(),
            evidence: self.word("evidence", Evidence::GeneralKnowledge),
        }
    }

    /// By how much a price has to be multiplied to be one for a month, or for a GB.
    fn per(&mut self, choices: &[(&str, f64)]) -> f64 {
        let cell = self.cell("per");
        if let Some((_, factor)) = choices.iter().find(|(word, _)| *word == cell) {
            return *factor;
        }
        let words: Vec<String> = choices
            .iter()
            .map(|(word, _)| format!("`{word}`"))
            .collect();
        self.wrong(
            "per",
            format!("`{cell}` is not known here"),
            format!("write {}", words.join(" or ")),
        );
        1.0
    }
}

const OF_TIME: [(&str, f64); 2] = [("hour", MONTH_HOURS), ("month", 1.0)];

fn machine(cells: &mut Cells<'_>) -> MachinePrice {
    let factor = cells.per(&OF_TIME);
    MachinePrice {
        provider: cells.word("provider", quorate_engine::manifest::ProviderKind::Static),
        region: cells.some("region"),
        machine_type: cells.text("machine_type"),
        monthly: cells.number("price") * factor,
        spot_monthly: cells.optional("spot_price").map(|price| price * factor),
        currency: cells.word("currency", Currency::Usd),
        source: cells.source(),
    }
}

fn egress(cells: &mut Cells<'_>) -> EgressPrice {
    let unit = 1.0 / cells.per(&[("GB", 1.0), ("GiB", 1.0 / GIB)]);
    let to = cells.word("to", Destination::Internet);
    let to_region = cells.some("to_region");
    if to_region.is_some() && !matches!(to, Destination::Region | Destination::Continent) {
        cells.wrong(
            "to_region",
            "is only for traffic inside the provider",
            "leave it empty, or write `region` or `continent` as `to`",
        );
    }
    if cells.cell("price").is_empty() && to != Destination::OtherProvider {
        cells.wrong(
            "price",
            "is empty",
            "write a number, like `0.09`, or leave the row out",
        );
    }
    let tier_from_gb = cells.number("tier_from") * unit;
    let tier_to_gb = cells.optional("tier_to").map(|bound| bound * unit);
    if tier_to_gb.is_some_and(|end| end <= tier_from_gb) {
        cells.wrong(
            "tier_to",
            "is not beyond `tier_from`",
            "write where the tier ends, or nothing",
        );
    }
    EgressPrice {
        provider: cells.word("provider", quorate_engine::manifest::ProviderKind::Static),
        from: cells.some("from"),
        to,
        to_region,
        tier_from_gb,
        tier_to_gb,
        tiers_per: cells.word("tiers_per", Meter::Account),
        per_gb: cells.optional("price").map(|price| price / unit),
        currency: cells.word("currency", Currency::Usd),
        notes: cells.cell("notes").to_owned(),
        source: cells.source(),
    }
}

fn other(cells: &mut Cells<'_>) -> OtherPrice {
    let item = cells.word("item", Item::Address);
    let factor = match item {
        Item::Address | Item::Zone => cells.per(&OF_TIME),
        Item::Disk => cells.per(&[("GB-month", 1.0), ("GiB-month", 1.0 / GIB)]),
    };
    OtherPrice {
        provider: cells.word("provider", quorate_engine::manifest::ProviderKind::Static),
        region: cells.some("region"),
        item,
        monthly: cells.number("price") * factor,
        currency: cells.word("currency", Currency::Usd),
        source: cells.source(),
    }
}

fn assumption(cells: &mut Cells<'_>) -> Assumption {
    let row = Assumption {
        key: cells.text("key"),
        value: cells.number("value"),
        low: cells.number("low"),
        high: cells.number("high"),
        unit: cells.text("unit"),
        meaning: cells.text("meaning"),
        source: cells.source(),
    };
    if cells.mistakes.is_empty() && !(row.low <= row.value && row.value <= row.high) {
        cells.wrong(
            "value",
            "does not lie between `low` and `high`",
            "write the range it may well lie in",
        );
    }
    row
}

fn incident(cells: &mut Cells<'_>) -> Incident {
    let text = cells.text("start");
    let start = Date::of_time(&text);
    if start.is_none() && !text.is_empty() {
        cells.wrong(
            "start",
            format!("`{text}` is not a time"),
            "write `2019-06-02T18:45:00Z` or `2019-06-02`",
        );
    }
    let start = start.unwrap_or(Date(text));
    Incident {
        minutes: cells.optional("minutes"),
        provider: cells.text("provider"),
        scope_kind: cells.text("scope_kind"),
        scope: cells.text("scope"),
        fault_class: cells.text("fault_class"),
        control_plane_impact: cells.text("control_plane_impact"),
        data_plane_impact: cells.text("data_plane_impact"),
        source: Source {
            source: cells.text("source"),
            date: Some(start.clone()),
            evidence: cells.word("evidence", Evidence::GeneralKnowledge),
        },
        start,
    }
}

fn rate(cells: &mut Cells<'_>) -> (f64, Source) {
    for (column, word) in [("base", "EUR"), ("quote", "USD")] {
        if cells.cell(column) != word {
            let cell = cells.cell(column);
            cells.wrong(
                column,
                format!("`{cell}` is not known here"),
                format!("write `{word}`"),
            );
        }
    }
    let rate = cells.number("rate");
    if rate <= 0.0 && cells.mistakes.is_empty() {
        cells.wrong("rate", "is zero", "write how many dollars a euro is worth");
    }
    (rate, cells.source())
}

/// What is wrong with a row.
pub(super) fn check(table: Table, row: &Row, mistakes: &mut Vec<Mistake>) {
    let mut cells = Cells::of(table, row);
    match table {
        Table::Assumptions => drop(assumption(&mut cells)),
        Table::Egress => drop(egress(&mut cells)),
        Table::Incidents => drop(incident(&mut cells)),
        Table::Machines => drop(machine(&mut cells)),
        Table::Prices => drop(other(&mut cells)),
        Table::Rates => drop(rate(&mut cells)),
    }
    mistakes.append(&mut cells.mistakes);
}

/// Tiers of a tariff begin at zero, and each where the one before it ends.
pub(super) fn check_tiers(table: Table, rows: &[Row], mistakes: &mut Vec<Mistake>) {
    if table != Table::Egress {
        return;
    }
    let mut tariffs: BTreeMap<Vec<String>, Vec<(EgressPrice, &Row)>> = BTreeMap::new();
    for row in rows {
        let mut key = row.key(table);
        key.pop();
        let price = egress(&mut Cells::of(table, row));
        tariffs.entry(key).or_default().push((price, row));
    }
    for tiers in tariffs.values_mut() {
        tiers.sort_by(|a, b| a.0.tier_from_gb.total_cmp(&b.0.tier_from_gb));
        let mut end = Some(0.0);
        for (price, row) in tiers.iter() {
            let mut cells = Cells::of(table, row);
            if end != Some(price.tier_from_gb) {
                cells.wrong(
                    "tier_from",
                    "is not where the tier before it ends",
                    "begin the first tier at 0 and each other one at the end of the one before",
                );
            }
            let (first, _) = &tiers[0];
            if (price.currency, price.tiers_per) != (first.currency, first.tiers_per) {
                cells.wrong(
                    "currency",
                    "or `tiers_per` differs from the first tier's",
                    "keep both the same in all tiers of a tariff",
                );
            }
            end = price.tier_to_gb;
            mistakes.append(&mut cells.mistakes);
        }
    }
}

/// Every row as a value.
pub(super) fn data(tables: &Tables) -> Data {
    fn all<T>(tables: &Tables, table: Table, read: fn(&mut Cells<'_>) -> T) -> Vec<T> {
        let one = |row| {
            let mut cells = Cells::of(table, row);
            let value = read(&mut cells);
            assert!(
                cells.mistakes.is_empty(),
                "rows are checked when they come in"
            );
            value
        };
        tables.rows(table).map(one).collect()
    }
    let mut rates = all(tables, Table::Rates, rate);
    let mut incidents = all(tables, Table::Incidents, incident);
    incidents.sort_by(|a, b| a.start.cmp(&b.start));
    let mut egress = all(tables, Table::Egress, egress);
    egress.sort_by(|a, b| a.tier_from_gb.total_cmp(&b.tier_from_gb));
    Data {
        assumptions: all(tables, Table::Assumptions, assumption),
        incidents,
        machines: all(tables, Table::Machines, machine),
        egress,
        others: all(tables, Table::Prices, other),
        dollars_for_euro: rates.pop().expect("the table of rates has one row"),
    }
}
