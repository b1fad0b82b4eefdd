//! `quorate data`: what reports assume, shown, checked and renewed.

use crate::args::{Data as Command, DataShow, DataUpdate};
use crate::exit::Exit;
use crate::input;
use crate::terminal;
use quorate_engine::manifest::ProviderKind;
use quorate_planning::data::{
    Aged, Change, Data, Date, Mistake, Row, STALE_DAYS, Table, Tables, VendorList, vendor_rows,
};
use quorate_sim::report::plain;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Longer sources are cut in tables for people; `--csv` and `--json` have them whole.
const LONGEST_CELL: usize = 44;

/// Carries out a command on the data.
pub(crate) fn run(command: &Command) -> Exit {
    let done = match command {
        Command::Check { dir, json } => check(dir.as_deref(), *json),
        Command::Show(args) => show(args),
        Command::UpdateFrom(args) => update(args),
    };
    match done {
        Ok(exit) => exit,
        Err(text) => {
            terminal::eprint(&text);
            Exit::Failed
        }
    }
}

fn error(text: impl std::fmt::Display) -> String {
    format!("error: {}\n", plain(&text.to_string()))
}

fn listed(mistakes: &[Mistake]) -> String {
    let mut out = String::new();
    for mistake in mistakes {
        out.push_str(&error(mistake));
    }
    let count = match mistakes.len() {
        1 => "1 mistake".to_owned(),
        many => format!("{many} mistakes"),
    };
    let _ = writeln!(out, "{count}");
    out
}

fn files(dir: Option<&Path>) -> Result<Vec<(String, String)>, String> {
    dir.map_or_else(|| Ok(Vec::new()), input::tables)
        .map_err(error)
}

/// The day of the calendar.
pub(crate) fn today() -> Date {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let ms = since.map_or(0, |since| since.as_millis() as u64);
    let text = crate::state::date(ms);
    let day = text.get(..10).and_then(Date::parse);
    day.expect("a time begins with its day")
}

/// The tables, with those of a directory in the place of ours. Says what is wrong with them.
pub(crate) fn load(dir: Option<&Path>) -> Result<Data, Exit> {
    let loaded = files(dir).and_then(|files| Data::with(&files).map_err(|found| listed(&found)));
    loaded.map_err(|text| {
        terminal::eprint(&text);
        Exit::Failed
    })
}

fn check(dir: Option<&Path>, as_json: bool) -> Result<Exit, String> {
    let files = files(dir)?;
    let (tables, mistakes) = match Tables::with(&files) {
        Ok(tables) => (tables, Vec::new()),
        Err(mistakes) => (Tables::built_in(), mistakes),
    };
    let today = today();
    let stale = tables.data().stale(&today, STALE_DAYS);
    if as_json {
        let report = json!({
            "today": today, "files": files.iter().map(|(name, _)| name).collect::<Vec<_>>(),
            "mistakes": mistakes, "staleAfterDays": STALE_DAYS, "stale": stale,
        });
        terminal::print(&format!("{report:#}\n"));
    } else if mistakes.is_empty() {
        terminal::print(&overview(&tables, &stale));
    } else {
        terminal::print(&listed(&mistakes));
    }
    Ok(if mistakes.is_empty() {
        Exit::Fine
    } else {
        Exit::Failed
    })
}

/// A line for each table, and a word on what has grown old.
fn overview(tables: &Tables, stale: &[Aged]) -> String {
    let mut lines =
        vec![["table", "rows", "yours", "unchecked", "old", "newest"].map(str::to_owned)];
    for table in Table::ALL {
        let rows: Vec<&Row> = tables.rows(table).collect();
        let ours = table.file();
        let evidence = table.column("evidence");
        let dated = match table {
            Table::Incidents => table.column("start"),
            Table::Assumptions | Table::Egress | Table::Machines | Table::Prices | Table::Rates => {
                table.column("date")
            }
        };
        let newest = rows.iter().map(|row| row.cells[dated].as_str()).max();
        let count = |of: &dyn Fn(&Row) -> bool| rows.iter().filter(|row| of(row)).count();
        lines.push([
            table.name().to_owned(),
            rows.len().to_string(),
            count(&|row| row.file != ours).to_string(),
            count(&|row| row.cells[evidence] == "general knowledge").to_string(),
            stale
                .iter()
                .filter(|aged| aged.row.table == table)
                .count()
                .to_string(),
            newest.map_or_else(String::new, |date| date.chars().take(10).collect()),
        ]);
    }
    let lines: Vec<Vec<String>> = lines.into_iter().map(Vec::from).collect();
    let mut out = aligned(&lines);
    let _ = writeln!(
        out,
        "\nold: prices and rates of more than {STALE_DAYS} days ago; unchecked: from memory"
    );
    let unknown = stale.iter().filter(|aged| aged.days.is_none()).count();
    let days = stale.iter().filter_map(|aged| aged.days).max();
    if let Some(days) = days {
        let _ = writeln!(
            out,
            "{} rows are old, the oldest by {days} days",
            stale.len() - unknown
        );
    }
    if unknown > 0 {
        let _ = writeln!(out, "{unknown} rows say no date");
    }
    out
}

/// Columns side by side, the last one as long as it is.
fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let width = |at: usize| lines.iter().map(|line| line[at].chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|at| width(at).unwrap_or(0)).collect();
    let mut out = String::new();
    for line in lines {
        let mut text = String::new();
        for (cell, width) in line.iter().zip(widths.iter().copied()) {
            if width > 0 {
                let _ = write!(text, "{cell:<width$}  ");
            }
        }
        out.push_str(text.trim_end());
        out.push('\n');
    }
    out
}

fn show(args: &DataShow) -> Result<Exit, String> {
    let files = files(args.data.as_deref())?;
    let tables = Tables::with(&files).map_err(|mistakes| listed(&mistakes))?;
    let Some(table) = args.table else {
        let stale = tables.data().stale(&today(), STALE_DAYS);
        terminal::print(&overview(&tables, &stale));
        return Ok(Exit::Fine);
    };
    let mut rows: Vec<&Row> = tables.rows(table).collect();
    if let Some(provider) = &args.provider {
        let column = table
            .columns()
            .iter()
            .position(|column| *column == "provider");
        let at = column.ok_or_else(|| error(format!("{} has no providers", table.file())))?;
        rows.retain(|row| row.cells[at].eq_ignore_ascii_case(provider));
    }
    let text = if args.csv {
        Tables::csv(table, rows.into_iter())
    } else if args.json {
        let objects: Vec<Value> = rows.iter().map(|row| object(table, row)).collect();
        format!("{:#}\n", Value::Array(objects))
    } else {
        readable(table, &rows)
    };
    terminal::print(&text);
    Ok(Exit::Fine)
}

fn object(table: Table, row: &Row) -> Value {
    let cells = table.columns().iter().zip(&row.cells);
    let cells = cells.map(|(column, cell)| ((*column).to_owned(), json!(cell)));
    Value::Object(cells.collect::<Map<_, _>>())
}

/// For people: what a table's every row leaves empty is left out, long cells are cut.
fn readable(table: Table, rows: &[&Row]) -> String {
    let filled = |at: &usize| rows.iter().any(|row| !row.cells[*at].is_empty());
    let columns: Vec<usize> = (0..table.columns().len()).filter(filled).collect();
    let header = columns.iter().map(|at| table.columns()[*at].to_owned());
    let mut lines = vec![header.collect::<Vec<_>>()];
    for row in rows {
        lines.push(columns.iter().map(|at| cut(&row.cells[*at])).collect());
    }
    let count = match rows.len() {
        1 => "1 row".to_owned(),
        many => format!("{many} rows"),
    };
    format!("{}\n{count} of {}\n", aligned(&lines), table.file())
}

fn cut(cell: &str) -> String {
    let cell = plain(cell);
    if cell.chars().count() <= LONGEST_CELL {
        return cell;
    }
    let head: String = cell.chars().take(LONGEST_CELL - 1).collect();
    format!("{head}…")
}

fn update(args: &DataUpdate) -> Result<Exit, String> {
    let text = input::text(&args.file).map_err(error)?;
    let name = args.file.display().to_string();
    let known = if args.data.exists() {
        files(Some(&args.data))?
    } else {
        Vec::new()
    };
    let tables = Tables::with(&known).map_err(|mistakes| listed(&mistakes))?;
    let (table, rows) = match &args.provider {
        Some(provider) => (
            Table::Machines,
            listed_prices(args, provider, &text, &tables)?,
        ),
        None => {
            let stem = args
                .file
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            let table = args.table.or_else(|| Table::named(stem));
            let table = table.ok_or_else(|| {
                error(format!(
                    "{name} has no table's name: say which it is with --table"
                ))
            })?;
            let rows = Tables::read(table, &name, &text);
            (table, rows.map_err(|mistakes| listed(&mistakes))?)
        }
    };
    let changes = tables.changes(table, &rows);
    if changes.is_empty() {
        terminal::print(&format!(
            "{} rows, and none of them changes anything\n",
            rows.len()
        ));
        return Ok(Exit::Fine);
    }
    let mut out = String::new();
    for change in &changes {
        let _ = writeln!(out, "  {}", plain(&told(table, change)));
    }
    let _ = writeln!(
        out,
        "{} changes of {} rows in {}",
        changes.len(),
        rows.len(),
        table.file()
    );
    terminal::print(&out);
    if !args.yes && !agreed() {
        return Ok(Exit::Stopped);
    }
    let new = changes.into_iter().filter_map(|change| change.new);
    let taken: Vec<Row> = match table {
        // A tariff is replaced as a whole, so all of it has to be there.
        Table::Egress => rows,
        Table::Assumptions | Table::Incidents | Table::Machines | Table::Prices | Table::Rates => {
            new.collect()
        }
    };
    let path = args.data.join(table.file());
    save(&path, table, &known, taken)?;
    terminal::print(&format!("{} is written\n", path.display()));
    Ok(Exit::Fine)
}

/// Puts rows among those of one's own, and never one of ours.
fn save(
    path: &Path,
    table: Table,
    known: &[(String, String)],
    rows: Vec<Row>,
) -> Result<(), String> {
    let mut kept = Tables::none();
    if let Some((file, text)) = known.iter().find(|(file, _)| Path::new(file) == path) {
        let own = Tables::read(table, file, text).map_err(|mistakes| listed(&mistakes))?;
        kept.replace(table, own);
    }
    kept.replace(table, rows);
    write(path, &Tables::csv(table, kept.rows(table)))
        .map_err(|why| error(format!("{} cannot be written: {why}", path.display())))
}

/// Rows of a vendor's generated list.
fn listed_prices(
    args: &DataUpdate,
    provider: &str,
    text: &str,
    tables: &Tables,
) -> Result<Vec<Row>, String> {
    let kind: ProviderKind = serde_json::from_value(json!(provider)).map_err(error)?;
    let date = args.date.as_deref().unwrap_or_default();
    if Date::parse(date).is_none() {
        return Err(error(format!(
            "`{date}` is not a date: write it like 2026-07-20"
        )));
    }
    let list = VendorList {
        provider: kind,
        text,
        date,
        source: args.source.as_deref().unwrap_or_default(),
    };
    let rows = vendor_rows(&list, tables).ok_or_else(|| {
        error(format!(
            "{} holds no prices by region and machine type: give a generated list of the \
             Karpenter provider for {provider}",
            args.file.display()
        ))
    })?;
    // What it says must be good rows of ours, as any others.
    let text = Tables::csv(Table::Machines, rows.iter());
    let name = args.file.display().to_string();
    Tables::read(Table::Machines, &name, &text).map_err(|mistakes| listed(&mistakes))
}

/// `aws eu-central-1 m5.large: price 0.115 -> 0.118, date 2025 -> 2026-07-20`.
fn told(table: Table, change: &Change) -> String {
    let key = |row: &Row| {
        let parts = row.key(table);
        let parts: Vec<&str> = parts
            .iter()
            .map(String::as_str)
            .filter(|p| !p.is_empty())
            .collect();
        parts.join(" ")
    };
    match (&change.old, &change.new) {
        (Some(old), Some(new)) => {
            let cells = old.cells.iter().zip(&new.cells).zip(table.columns());
            let differ = cells.filter(|((old, new), _)| old != new);
            let differ = differ.map(|((old, new), column)| {
                let named = |cell: &str| {
                    if cell.is_empty() {
                        "nothing".to_owned()
                    } else {
                        cut(cell)
                    }
                };
                format!("{column} {} -> {}", named(old), named(new))
            });
            format!("{}: {}", key(new), differ.collect::<Vec<_>>().join(", "))
        }
        (None, Some(new)) => {
            let values: BTreeMap<&str, &String> =
                table.columns().iter().copied().zip(&new.cells).collect();
            let shown = ["price", "value", "rate", "minutes"]
                .into_iter()
                .find_map(|column| values.get(column).map(|cell| format!(", {column} {cell}")));
            format!("{}: new{}", key(new), shown.unwrap_or_default())
        }
        (Some(old), None) => format!("{}: goes", key(old)),
        (None, None) => panic!("a change has an old row or a new one"),
    }
}

/// Whether somebody says yes. Nobody there to ask is a no that says how to say yes.
fn agreed() -> bool {
    if !std::io::stdin().is_terminal() {
        terminal::eprint("There is nobody to ask: give `--yes` to go on without.\n");
        return false;
    }
    terminal::eprint("\nWrite this? [yes/no] ");
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    read.is_ok() && matches!(line.trim(), "yes" | "y")
}

/// Into a new file that takes the place of an old one: it is there in full, or not at all.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let directory = path.parent().map(PathBuf::from).unwrap_or_default();
    std::fs::create_dir_all(&directory)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = directory.join(format!(".{name}.{}", std::process::id()));
    let written = std::fs::File::create_new(&beside).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&beside, path)
    });
    if written.is_err() {
        drop(std::fs::remove_file(&beside));
    }
    written
}
