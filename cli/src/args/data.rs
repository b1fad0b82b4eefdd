//! Words of `quorate data`.

use crate::exit::TABLE;
use clap::{Args, Subcommand};
use quorate_planning::data::Table;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum Data {
    /// Look for mistakes in tables of your own, and for rows that have grown old
    #[command(after_help = TABLE)]
    Check {
        /// The directory with your tables; without it, only what comes with the program
        #[arg(value_name = "DIR")]
        dir: Option<PathBuf>,
        /// Print it as JSON
        #[arg(long)]
        json: bool,
    },
    /// Show a table with the source and date of each row; without a name, all tables in short
    #[command(after_help = TABLE)]
    Show(DataShow),
    /// Take rows from a file into your tables: show what changes, ask, write
    #[command(after_help = TABLE)]
    UpdateFrom(DataUpdate),
}

#[derive(Debug, Args)]
pub(crate) struct DataShow {
    /// assumptions, egress, incidents, machines, prices or rates
    #[arg(value_name = "TABLE", value_parser = table)]
    pub(crate) table: Option<Table>,
    /// Only rows of this provider
    #[arg(long, value_name = "TYPE", requires = "table")]
    pub(crate) provider: Option<String>,
    /// The directory with your tables, whose rows take the place of ours
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Print it as JSON
    #[arg(long, conflicts_with = "csv", requires = "table")]
    pub(crate) json: bool,
    /// Print it as a table that can be changed and used again
    #[arg(long, requires = "table")]
    pub(crate) csv: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DataUpdate {
    /// Rows in our format; or, with --provider, a price list as the Karpenter providers for AWS,
    /// Azure and GCP generate it; `-` is the standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Which table it is, where its name does not say
    #[arg(long, value_name = "TABLE", value_parser = table, conflicts_with = "provider")]
    pub(crate) table: Option<Table>,
    /// Whose price list it is
    #[arg(long, value_name = "TYPE", requires_all = ["date", "source"])]
    pub(crate) provider: Option<String>,
    /// The date of the price list: 2026-07-20
    #[arg(long, value_name = "DATE", requires = "provider")]
    pub(crate) date: Option<String>,
    /// Where the price list comes from
    #[arg(long, value_name = "TEXT", requires = "provider")]
    pub(crate) source: Option<String>,
    /// The directory with your tables; it is made if it is missing
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
}

fn table(text: &str) -> Result<Table, String> {
    Table::named(text).ok_or_else(|| {
        let names: Vec<&str> = Table::ALL.into_iter().map(Table::name).collect();
        format!("write one of {}", names.join(", "))
    })
}
