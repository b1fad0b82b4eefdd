//! The data of a chart as a table: beside each chart, and in its place where nothing can be drawn.
//!
//! Does not know how charts are drawn.

use super::number::number;
use super::{Cell, Chart, Column, Drawing, Place, Table};

/// Rows of a table beside a chart; a curve of more points is thinned, the CSV file has all.
const ROWS: usize = 40;

type Line = (String, Vec<(f64, f64)>);

impl Chart {
    /// Its data.
    #[must_use]
    pub fn table(&self) -> Table {
        match &self.drawing {
            Drawing::Bars { unit, parts, bars } => self.bars(unit, parts, bars),
            Drawing::Lines { x, y, lines, .. } => self.lines(x, y, lines),
            Drawing::Points { x, y, points } => self.points(x, y, points),
            Drawing::Map(places) => self.places(places),
        }
    }

    /// Its data, in so many rows as people read.
    pub(super) fn short_table(&self) -> Table {
        let mut table = self.table();
        let curve = matches!(self.drawing, Drawing::Lines { .. });
        let all = table.rows.len();
        if curve && all > ROWS {
            let kept = (0..ROWS).map(|at| at * (all - 1) / (ROWS - 1));
            table.rows = kept.map(|at| table.rows[at].clone()).collect();
            table.caption = format!("{} ({ROWS} of {all} points)", table.caption);
        }
        table
    }

    fn bars(&self, unit: &str, parts: &[String], bars: &[(String, Vec<f64>)]) -> Table {
        let mut columns = vec![Column::words("Name")];
        let headed = |part: &String| Column::figures(format!("{part} ({unit})"));
        columns.extend(parts.iter().map(headed));
        let summed = parts.len() > 1;
        columns.extend(summed.then(|| Column::figures(format!("All ({unit})"))));
        let mut table = Table::new(self.id, &self.caption, columns);
        for (name, values) in bars {
            let mut row = vec![Cell::text(name)];
            row.extend(values.iter().copied().map(figure));
            row.extend(summed.then(|| figure(values.iter().sum())));
            table.push(row);
        }
        table
    }

    fn lines(&self, x: &str, y: &str, lines: &[Line]) -> Table {
        let mut xs: Vec<f64> = lines
            .iter()
            .flat_map(|line| &line.1)
            .map(|at| at.0)
            .collect();
        xs.sort_by(f64::total_cmp);
        xs.dedup();
        let mut columns = vec![Column::figures(x)];
        let headed = |line: &Line| Column::figures(format!("{} ({y})", line.0));
        columns.extend(lines.iter().map(headed));
        let mut table = Table::new(self.id, &self.caption, columns);
        for at in xs {
            let mut row = vec![figure(at)];
            for (_, points) in lines {
                let here = points.iter().find(|point| point.0.total_cmp(&at).is_eq());
                row.push(here.map_or_else(|| Cell::text(""), |point| figure(point.1)));
            }
            table.push(row);
        }
        table
    }

    fn points(&self, x: &str, y: &str, points: &[(String, f64, f64, bool)]) -> Table {
        let columns = vec![
            Column::words("Name"),
            Column::figures(x),
            Column::figures(y),
            Column::words("Stands out"),
        ];
        let mut table = Table::new(self.id, &self.caption, columns);
        for (name, x, y, out) in points {
            let out = Cell::text(if *out { "yes" } else { "" });
            table.push(vec![Cell::text(name), figure(*x), figure(*y), out]);
        }
        table
    }

    fn places(&self, places: &[Place]) -> Table {
        let columns = ["Place", "What it is", "What stands there"].map(Column::words);
        let mut table = Table::new(self.id, &self.caption, columns.to_vec());
        for place in places {
            list(&mut table, "", place);
        }
        table
    }
}

fn list(table: &mut Table, above: &str, place: &Place) {
    let path = match above {
        "" => place.name.clone(),
        above => format!("{above} › {}", place.name),
    };
    table.push(vec![
        Cell::text(&path),
        Cell::text(&place.kind),
        Cell::text(place.marks.join(", ")),
    ]);
    for inner in &place.within {
        list(table, &path, inner);
    }
}

fn figure(value: f64) -> Cell {
    Cell::figure(value, number(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(table: &Table) -> Vec<String> {
        let text = |row: &Vec<Cell>| {
            let cells: Vec<&str> = row.iter().map(|cell| cell.text.as_str()).collect();
            cells.join("|")
        };
        table.rows.iter().map(text).collect()
    }

    fn chart(drawing: Drawing) -> Chart {
        Chart {
            id: "c",
            caption: "what it shows".to_owned(),
            drawing,
        }
    }

    #[test]
    fn bars_have_a_sum_where_there_are_parts() {
        let of = |parts: &[&str], values: &[f64]| {
            chart(Drawing::Bars {
                unit: "EUR".to_owned(),
                parts: parts.iter().map(|&part| part.to_owned()).collect(),
                bars: vec![("now".to_owned(), values.to_vec())],
            })
            .table()
        };
        assert_eq!(texts(&of(&["disks"], &[2.5])), ["now|2.5"]);
        let table = of(&["disks", "traffic"], &[2.5, 1.0]);
        assert_eq!(texts(&table), ["now|2.5|1|3.5"]);
        assert_eq!(table.columns[3].title, "All (EUR)");
    }

    #[test]
    fn lines_share_their_axis_and_leave_gaps() {
        let line = |name: &str, points: &[(f64, f64)]| (name.to_owned(), points.to_vec());
        let lines = Drawing::Lines {
            x: "s".to_owned(),
            y: "ms".to_owned(),
            lines: vec![
                line("a", &[(1.0, 10.0), (2.0, 20.0)]),
                line("b", &[(2.0, 30.0), (3.0, 40.0)]),
            ],
            log_y: false,
        };
        assert_eq!(texts(&chart(lines).table()), ["1|10|", "2|20|30", "3||40"]);
    }

    #[test]
    fn a_long_curve_is_thinned_but_for_its_ends() {
        let points = (0..1_000).map(|at| (f64::from(at), 0.0)).collect();
        let chart = chart(Drawing::Lines {
            x: "s".to_owned(),
            y: "ms".to_owned(),
            lines: vec![("a".to_owned(), points)],
            log_y: false,
        });
        let (all, short) = (chart.table(), chart.short_table());
        assert_eq!((all.rows.len(), short.rows.len()), (1_000, ROWS));
        assert_eq!(short.rows[0], all.rows[0]);
        assert_eq!(short.rows.last(), all.rows.last());
        assert!(
            short.caption.ends_with("(40 of 1000 points)"),
            "{}",
            short.caption
        );
    }

    #[test]
    fn places_have_their_path() {
        let node = Place {
            name: "n1".to_owned(),
            kind: "node".to_owned(),
            marks: vec!["etcd".to_owned(), "worker".to_owned()],
            within: Vec::new(),
        };
        let zone = Place {
            name: "z".to_owned(),
            kind: "zone".to_owned(),
            marks: Vec::new(),
            within: vec![node],
        };
        let table = chart(Drawing::Map(vec![zone])).table();
        assert_eq!(texts(&table), ["z|zone|", "z › n1|node|etcd, worker"]);
    }
}
