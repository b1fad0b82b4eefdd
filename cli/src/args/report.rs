//! Words of `quorate report`.

use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct Report {
    /// The manifest, or two to compare; `-` is the standard input
    #[arg(required = true, num_args = 1..=2, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Of two manifests: look at the change from the first to the second
    #[arg(long)]
    pub(crate) change: bool,
    /// Runs of the change in the simulated world; 0 is none
    #[arg(long, value_name = "N", default_value_t = 5, requires = "change")]
    pub(crate) seeds: u64,
    /// Search for the cheapest change of the manifest that meets what it asks for
    #[arg(long)]
    pub(crate) advice: bool,
    /// Lose every failure domain in the simulated world, too, and compare
    #[arg(long)]
    pub(crate) simulate: bool,
    /// Print this section whole: failures, availability, capacity, distance, price ...
    #[arg(long, value_name = "NAME")]
    pub(crate) section: Option<String>,
    /// Write a self-contained page; `-` is the standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Write Markdown
    #[arg(long, value_name = "FILE")]
    pub(crate) md: Option<PathBuf>,
    /// Write JSON; its schema: `quorate schema report`
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Write each table as a CSV file into this directory
    #[arg(long, value_name = "DIR")]
    pub(crate) csv: Option<PathBuf>,
    /// The directory with your tables, whose rows take the place of ours
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// The seed of all that is drawn
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Which cluster, where a file has several
    #[arg(long, value_name = "NAME")]
    pub(crate) cluster: Option<String>,
    /// Show no progress
    #[arg(long)]
    pub(crate) no_progress: bool,
}
