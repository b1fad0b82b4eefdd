//! What a section of a report shows: figures, tables and charts, whoever prints them.
//!
//! Sections make these from their results; `html`, `md`, `csv` and the terminal's summary are folds
//! over them. Knows neither what the figures mean nor any format.

use serde::Serialize;

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
    /// What people read.
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
        assert_eq!(
            row.len(),
            self.columns.len(),
            "a row of {} is whole",
            self.id
        );
        self.rows.push(row);
    }
}
