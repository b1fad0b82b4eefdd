//! The words of `quorate drill` and `quorate replay`.

use super::{Live, Rung};
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// Which machines a drill may touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Ground {
    /// Those that the cluster's state made at a libvirt of this host
    Lab,
    /// Those, and whichever `--yes-i-mean` names
    Real,
}

#[derive(Debug, Args)]
pub(crate) struct Drill {
    /// The scenario
    #[arg(value_name = "FILE", required_unless_present = "undo")]
    pub(crate) file: Option<PathBuf>,
    /// Which machines may be touched; the drill refuses where the cluster has any other
    #[arg(long, value_enum, default_value = "lab")]
    pub(crate) on: Ground,
    /// Machines that are not the lab's and may be touched: ids, one on each line
    #[arg(long, value_name = "FILE")]
    pub(crate) yes_i_mean: Option<PathBuf>,
    /// The administrator's kubeconfig, with a client's certificate
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// The cluster's manifest, in the place of the one that the scenario names
    #[arg(long, value_name = "FILE")]
    pub(crate) manifest: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) live: Live,
    /// So many drills, one after the other
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u64).range(1..=1_000))]
    pub(crate) repeat: u64,
    /// The seed of the first: whom faults pick and when requests begin; the next has the next
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Seeds of the simulated runs that predict; 0: none
    #[arg(long, value_name = "N", default_value_t = 200,
          value_parser = clap::value_parser!(u64).range(0..=1_000_000))]
    pub(crate) predict: u64,
    /// Clients are watched so long before the first phase
    #[arg(long, value_name = "SECONDS", default_value_t = 10,
          value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub(crate) settle: u64,
    /// A DNS server of ours on this host, for `dns.outage`
    #[arg(long, value_name = "PID")]
    pub(crate) dns_pid: Vec<u32>,
    /// Undo what a drill that was killed has left, and nothing else
    #[arg(long)]
    pub(crate) undo: bool,
    /// Write a report as JSON, with the times predicted and measured
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Write a JUnit report
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    /// Write a page with timelines
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// The scenario; `-` is the standard input
    #[arg(
        value_name = "FILE",
        required_unless_present = "journal",
        requires = "seed"
    )]
    pub(crate) file: Option<PathBuf>,
    /// The seed
    #[arg(long, value_name = "S", requires = "file")]
    pub(crate) seed: Option<u64>,
    /// Where it was run, as with `chaos`
    #[arg(long, value_enum, default_value = "model")]
    pub(crate) rung: Rung,
    /// Not a scenario: the real runs that stand in this state, decided again
    #[arg(long, value_name = "DIR", conflicts_with_all = ["file", "seed"])]
    pub(crate) journal: Option<PathBuf>,
    /// Take round trips from the rtt.csv in there, as `quorate measure rtt` writes it
    #[arg(long, value_name = "DIR", requires = "file")]
    pub(crate) data: Option<PathBuf>,
    /// Fold notes that are alike until at most N lines remain
    #[arg(long, value_name = "N")]
    pub(crate) lines: Option<usize>,
}
