//! What a section of a report shows: figures, tables and charts, whoever prints them.
//!
//! Sections make these from their results; [`html()`], [`markdown()`], [`csv()`] and the
//! terminal's [`summary()`] are folds over them, and have a file each. Knows neither what the figures
//! mean nor any format.

mod chart;
mod charted;
mod html;
mod map;
mod markdown;
mod number;
mod sheets;
pub mod terminal;

pub use html::html;
pub use markdown::markdown;
pub use sheets::csv;
pub use terminal::summary;

use quorate_sim::report::plain;
use serde::Serialize;
use std::collections::BTreeSet;

/// A whole report, ready to be printed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Page {
    /// What it is about: the cluster's name.
    pub title: String,
    /// One line below it.
    pub subtitle: String,
    /// Of the program.
    pub version: String,
    /// What it was made of: manifests with their fingerprints, the seed, dates of the data.
    pub made_of: Vec<(String, String)>,
    /// Its sections, in order.
    pub sections: Vec<Section>,
}

/// One section of a report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Section {
    /// A short name that links and files use: `failures`, `price`.
    pub id: &'static str,
    /// Its heading.
    pub title: String,
    /// What it came to, in one or two sentences.
    pub lead: String,
    /// What it shows, in order.
    pub blocks: Vec<Block>,
}

/// A part of a section.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum Block {
    /// A heading inside the section.
    Heading(String),
    /// A paragraph.
    Text(String),
    /// What the reader has to know to use the figures: a limit, a missing price, old data.
    Caution(String),
    /// Something to be copied as it stands: a patch, a command.
    Code(String),
    /// A table.
    Table(Table),
    /// A chart.
    Chart(Chart),
}

/// A table. Every row has as many cells as there are columns.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Table {
    /// A short name, unique in the report: the name of its CSV file.
    pub id: &'static str,
    /// What it shows, in one line.
    pub caption: String,
    /// Its columns.
    pub columns: Vec<Column>,
    /// Its rows; the first cell of each names it.
    pub rows: Vec<Vec<Cell>>,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Column {
    /// Its heading.
    pub title: String,
    /// Figures stand to the right.
    pub numeric: bool,
}

/// A cell: what is shown, and by what rows are put in order.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cell {
    /// What people read, without a sign for its tone: each form sets its own.
    pub text: String,
    /// By this rows are sorted, and this a CSV file holds; by default the text.
    pub value: Option<f64>,
    /// How good it is. Never by colour alone: every form has a sign or a word for it.
    pub tone: Tone,
}

/// How good a cell's content is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tone {
    /// Neither.
    #[default]
    Plain,
    /// As it should be.
    Good,
    /// It goes on, with less than there should be.
    Warn,
    /// It does not go on.
    Bad,
    /// Nobody knows.
    Unknown,
}

/// A chart. Its data can also be read: each form sets a table beside it or a text for screen readers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Chart {
    /// A short name, unique in the report.
    pub id: &'static str,
    /// What it shows, in one line.
    pub caption: String,
    /// What is drawn.
    pub drawing: Drawing,
}

/// What a chart draws.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum Drawing {
    /// A bar for each name, made of parts that add up.
    Bars {
        /// What the length of a bar is.
        unit: String,
        /// Names of the parts, the same for every bar.
        parts: Vec<String>,
        /// Name and parts of each bar.
        bars: Vec<(String, Vec<f64>)>,
    },
    /// Lines over a common axis.
    Lines {
        /// What the horizontal axis is.
        x: String,
        /// What the vertical axis is.
        y: String,
        /// Name and points of each line, by growing x.
        lines: Vec<(String, Vec<(f64, f64)>)>,
        /// The vertical axis is logarithmic.
        log_y: bool,
    },
    /// Points with names, as on a Pareto front.
    Points {
        /// What the horizontal axis is.
        x: String,
        /// What the vertical axis is.
        y: String,
        /// Name, place, and whether it stands out, of each point.
        points: Vec<(String, f64, f64, bool)>,
    },
    /// Places inside places, with what stands in each: the map of failure domains.
    Map(Vec<Place>),
}

/// A place of a map.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// Its name.
    pub name: String,
    /// What it is: `provider`, `region`, `zone`, `node`.
    pub kind: String,
    /// What stands there: `etcd`, `worker`, `load balancer`.
    pub marks: Vec<String>,
    /// Places in it.
    pub within: Vec<Place>,
}

/// Text of several lines, each as [`plain`] makes it.
fn plain_lines(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(plain).collect();
    lines.join("\n")
}

impl Page {
    /// Its tables, in order.
    fn tables(&self) -> impl Iterator<Item = &Table> {
        let blocks = self.sections.iter().flat_map(|section| &section.blocks);
        blocks.filter_map(|block| match block {
            Block::Table(table) => Some(table),
            Block::Heading(_)
            | Block::Text(_)
            | Block::Caution(_)
            | Block::Code(_)
            | Block::Chart(_) => None,
        })
    }

    fn charts(&self) -> impl Iterator<Item = &Chart> {
        let blocks = self.sections.iter().flat_map(|section| &section.blocks);
        blocks.filter_map(|block| match block {
            Block::Chart(chart) => Some(chart),
            Block::Heading(_)
            | Block::Text(_)
            | Block::Caution(_)
            | Block::Code(_)
            | Block::Table(_) => None,
        })
    }

    /// Every form relies on this.
    ///
    /// # Panics
    /// If a short name is no short name or is there twice, or a row is not whole.
    fn assert_sound(&self) {
        unique("section", self.sections.iter().map(|section| section.id));
        unique("table", self.tables().map(|table| table.id));
        unique("chart", self.charts().map(|chart| chart.id));
        for table in self.tables() {
            for row in &table.rows {
                table.assert_whole(row);
            }
        }
        for chart in self.charts() {
            if let Drawing::Bars { parts, bars, .. } = &chart.drawing {
                let whole = bars.iter().all(|(_, values)| values.len() == parts.len());
                assert!(whole, "every bar of {} has all parts", chart.id);
            }
        }
    }
}

/// Short names become links and names of files.
fn unique(what: &str, ids: impl Iterator<Item = &'static str>) {
    let mut seen = BTreeSet::new();
    for id in ids {
        let short = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        assert!(
            !id.is_empty() && id.chars().all(short),
            "{id:?} is a short name of a {what}: lower case, digits, hyphens"
        );
        assert!(seen.insert(id), "the {what} {id} is there once");
    }
}

impl Tone {
    /// Stands before what has it; empty for [`Tone::Plain`].
    #[must_use]
    pub fn sign(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Good => "✓",
            Self::Warn => "!",
            Self::Bad => "✗",
            Self::Unknown => "?",
        }
    }

    /// The same for ears; empty for [`Tone::Plain`].
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Good => "good",
            Self::Warn => "warning",
            Self::Bad => "bad",
            Self::Unknown => "unknown",
        }
    }
}

impl Column {
    /// A column of words.
    pub fn words(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            numeric: false,
        }
    }

    /// A column of figures.
    pub fn figures(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            numeric: true,
        }
    }
}

impl Cell {
    /// Words.
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            value: None,
            tone: Tone::Plain,
        }
    }

    /// A figure, and how it is written.
    pub fn figure(value: f64, text: impl Into<String>) -> Self {
        Self {
            value: Some(value),
            ..Self::text(text)
        }
    }

    /// What nobody knows: said, and never zero.
    pub fn unknown(text: impl Into<String>) -> Self {
        Self::text(text).toned(Tone::Unknown)
    }

    /// The same with another tone.
    #[must_use]
    pub fn toned(self, tone: Tone) -> Self {
        Self { tone, ..self }
    }
}

impl Table {
    /// A table without rows.
    pub fn new(id: &'static str, caption: impl Into<String>, columns: Vec<Column>) -> Self {
        Self {
            id,
            caption: caption.into(),
            columns,
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    ///
    /// # Panics
    /// If it has another number of cells than the table has columns.
    pub fn push(&mut self, row: Vec<Cell>) {
        self.assert_whole(&row);
        self.rows.push(row);
    }

    fn assert_whole(&self, row: &[Cell]) {
        let (cells, columns) = (row.len(), self.columns.len());
        assert_eq!(cells, columns, "a row of {} is whole", self.id);
    }
}
