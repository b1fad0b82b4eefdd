//! The words of `quorate etcd` and `quorate measure`.

use super::Wanted;
use crate::exit::TABLE;
use crate::measured::DIRECTORY;
use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum Etcd {
    /// Take a snapshot, check it, and keep it here; one is also taken before each change of
    /// membership
    #[command(after_help = TABLE)]
    Snapshot(EtcdSnapshot),
    /// List the snapshots that are kept here, each read from end to end
    #[command(after_help = TABLE)]
    Snapshots(EtcdSnapshots),
    /// Bring back a cluster whose quorum is lost for good, from a snapshot or from a disk that
    /// survived; goes on where it was cut off
    #[command(after_help = TABLE)]
    Restore(EtcdRestore),
}

#[derive(Debug, Args)]
pub(crate) struct EtcdSnapshot {
    #[command(flatten)]
    pub(crate) wanted: Wanted,
    /// The folder; by default `snapshots` in the state's directory
    #[arg(long, value_name = "DIR")]
    pub(crate) to: Option<PathBuf>,
    /// How many of this cluster to keep there; by default as the manifest says
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) keep: Option<u16>,
}

#[derive(Debug, Args)]
pub(crate) struct EtcdSnapshots {
    #[command(flatten)]
    pub(crate) wanted: Wanted,
    /// The folder; by default `snapshots` in the state's directory
    #[arg(long, value_name = "DIR")]
    pub(crate) from: Option<PathBuf>,
    /// Print them as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct EtcdRestore {
    #[command(flatten)]
    pub(crate) wanted: Wanted,
    /// The snapshot; by default the newest good one of the cluster that is kept here, unless a disk
    /// that survived is ahead of it
    #[arg(long, value_name = "FILE")]
    pub(crate) snapshot: Option<PathBuf>,
    /// No snapshot: what a control plane that survived has on its disk
    #[arg(long, value_name = "MACHINE", conflicts_with = "snapshot")]
    pub(crate) survivor: Option<String>,
    /// The control plane that begins anew; by default the first that is reached, or the survivor
    #[arg(long, value_name = "MACHINE", conflicts_with = "survivor")]
    pub(crate) onto: Option<String>,
    /// A control plane that is not reached and never comes back with its old data: it is destroyed,
    /// or cut off for good
    #[arg(long, value_name = "MACHINE")]
    pub(crate) gone: Vec<String>,
    /// Although the cluster has a quorum: throw away what it has written since
    #[arg(long)]
    pub(crate) despite_quorum: bool,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
    /// Stop once the first control plane serves; `quorate apply` lets the others join later
    #[arg(long)]
    pub(crate) no_join: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Measure {
    /// Measure round trips between all nodes over the mesh, and write them where `--data` of other
    /// commands finds them
    #[command(after_help = TABLE)]
    Rtt(MeasureRtt),
}

#[derive(Debug, Args)]
pub(crate) struct MeasureRtt {
    /// The manifest; `-` is the standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Which cluster, where the file has several
    #[arg(long, value_name = "NAME")]
    pub(crate) cluster: Option<String>,
    /// Where the state is kept; by default ./.quorate/CLUSTER
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// The directory whose rtt.csv is written; rows of other places stay
    #[arg(long, value_name = "DIR", default_value = DIRECTORY)]
    pub(crate) data: PathBuf,
    /// Samples of each pair of nodes, in each direction
    #[arg(long, value_name = "N", default_value_t = 100,
          value_parser = clap::value_parser!(u32).range(100..=10_000))]
    pub(crate) samples: u32,
    /// Do not show how far it is
    #[arg(long)]
    pub(crate) no_progress: bool,
}
