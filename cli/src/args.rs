//! The command line: words and their meaning, nothing done yet.

mod data;
mod drill;
mod etcd;
mod report;

pub(crate) use data::{Data, DataShow, DataUpdate};
pub(crate) use drill::{Drill, Ground, Replay};
pub(crate) use etcd::{Etcd, EtcdRestore, EtcdSnapshot, EtcdSnapshots, Measure, MeasureRtt};
pub(crate) use report::Report;

use crate::exit::TABLE;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;

/// One Kubernetes cluster across several clouds, and proof that it stays quorate.
#[derive(Debug, Parser)]
#[command(name = "quorate", version, after_help = TABLE, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Look for mistakes in manifests and scenarios: all of them at once.
    #[command(after_help = TABLE)]
    Check(Check),
    /// Print the JSON Schema of a document, for editors.
    #[command(after_help = TABLE)]
    Schema(Schema),
    /// Show the steps that lead from what exists to what the manifest wants.
    #[command(after_help = TABLE)]
    Plan(Plan),
    /// Make the real world as the manifest wants it: show the plan, ask, carry it out.
    #[command(after_help = TABLE)]
    Apply(Apply),
    /// Keep the real world as the manifest wants it, for good: a service.
    #[command(after_help = TABLE)]
    Run(Run),
    /// Remove everything of a cluster from the real world; needs nothing of the cluster itself.
    #[command(after_help = TABLE)]
    Destroy(Destroy),
    /// What is desired, what is there, and where they differ.
    #[command(after_help = TABLE)]
    Status(Status),
    /// Look at the state that is kept of a cluster, and move it.
    #[command(subcommand, after_help = TABLE)]
    State(State),
    /// Take over what a lost state knew: everything that carries the cluster's labels.
    #[command(after_help = TABLE)]
    Adopt(Adopt),
    /// Forget a machine that is dead for good, or only its ssh host key.
    #[command(after_help = TABLE)]
    Forget(Forget),
    /// Print the administrator's credentials for the cluster's API, or write them to a file.
    #[command(after_help = TABLE)]
    Kubeconfig(Kubeconfig),
    /// Print the Kubernetes objects that a manifest means: placement, budgets, storage classes.
    ///
    /// Workloads are somebody else's, so only what follows from the manifest is printed of them, to
    /// be merged into what is deployed, in its namespace: `quorate objects FILE --only workloads |
    /// kubectl apply --server-side --namespace NS -f -`; a kubectl before 1.25 needs
    /// `--validate=false`, too. Storage is installed by `quorate apply`; its objects are printed for
    /// review.
    #[command(after_help = TABLE)]
    Objects(Objects),
    /// etcd: snapshots, and the way back from a lost quorum.
    #[command(subcommand, after_help = TABLE)]
    Etcd(Etcd),
    /// Measure what the catalogue only estimates.
    #[command(subcommand, after_help = TABLE)]
    Measure(Measure),
    /// The mesh: the userspace WireGuard agent, and keys.
    #[command(subcommand, after_help = TABLE)]
    Mesh(Mesh),
    /// Quorate's own authoritative name server.
    #[command(subcommand)]
    Dns(Dns),
    /// Run scenarios with many seeds in the simulated world, and say what held.
    #[command(after_help = TABLE)]
    Chaos(Chaos),
    /// Play a scenario on real machines, judge it as in simulation, and undo everything.
    #[command(after_help = TABLE)]
    Drill(Drill),
    /// Run one seed of a scenario, or real runs again, and tell what happened, line by line.
    #[command(after_help = TABLE)]
    Replay(Replay),
    /// What a design can take, at what capacity, how available it is and what it costs.
    #[command(after_help = TABLE)]
    Report(Report),
    /// What reports assume, prices above all: show it, check and renew rows of your own.
    #[command(subcommand, after_help = TABLE)]
    Data(Data),
    /// The simulated world, for those who talk to the real one.
    #[command(subcommand)]
    Sim(Sim),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Sim {
    /// Serve a simulated cloud behind its vendor's own wire protocol, on loopback, until Ctrl-C.
    #[command(after_help = TABLE)]
    Serve(Serve),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Dns {
    /// Serve zones over UDP and TCP, giving out only addresses that are well, until Ctrl-C.
    #[command(after_help = TABLE)]
    Serve(DnsServe),
}

#[derive(Debug, Args)]
pub(crate) struct DnsServe {
    /// Where to listen, over UDP and TCP; may be given several times
    #[arg(long, required = true, value_name = "ADDR:PORT")]
    pub(crate) listen: Vec<SocketAddr>,
    /// Zones, records and checks (JSON or YAML; its schema: `quorate schema dns`); read again when
    /// it changes, and on SIGHUP
    #[arg(long, value_name = "FILE", conflicts_with_all = ["zone", "records", "ns"])]
    pub(crate) config: Option<PathBuf>,
    /// A zone without a file
    #[arg(long, value_name = "ZONE", required_unless_present = "config")]
    pub(crate) zone: Option<String>,
    /// A record in it: `www A 192.0.2.1`, with a TTL at its end if it is to have its own
    #[arg(
        long = "record",
        value_name = "NAME TYPE VALUE [TTL]",
        requires = "zone"
    )]
    pub(crate) records: Vec<String>,
    /// A name server of it
    #[arg(long, value_name = "NAME", requires = "zone")]
    pub(crate) ns: Vec<String>,
    /// With --zone: answers a second over UDP to one network; 0 is any number
    #[arg(long, value_name = "N", conflicts_with = "config")]
    pub(crate) rate: Option<u32>,
    /// Where zones, health and metrics can be read over HTTP
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) status: Option<SocketAddr>,
    /// Tasks that answer UDP on each address; by default one for each core
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) workers: Option<u16>,
    /// Say what happens as JSON, a line each
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Manifests, scenarios or Claudie InputManifests; `-` is the standard input
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Which cluster, where a file has several
    #[arg(long, value_name = "NAME")]
    pub(crate) cluster: Option<String>,
    /// Take round trips from the rtt.csv in there, as `quorate measure rtt` writes it
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Print the diagnostics as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Objects {
    /// The manifest; `-` is the standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Which cluster, where the file has several
    #[arg(long, value_name = "NAME")]
    pub(crate) cluster: Option<String>,
    /// Only these
    #[arg(long, value_enum)]
    pub(crate) only: Option<ObjectsOf>,
    /// Print them as one List in JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ObjectsOf {
    /// Our part of Deployments and StatefulSets, and PodDisruptionBudgets
    Workloads,
    /// Storage classes, and with Rook Ceph's cluster and pools
    Storage,
}

#[derive(Debug, Args)]
pub(crate) struct Schema {
    /// Of which document
    #[arg(value_enum)]
    pub(crate) of: SchemaOf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaOf {
    /// A cluster's manifest
    Manifest,
    /// A chaos scenario
    Scenario,
    /// The configuration of the name server
    Dns,
    /// What `quorate report --json` writes
    Report,
}

#[derive(Debug, Args)]
pub(crate) struct Plan {
    /// The manifest; `-` is the standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Plan from this saved observation, not from the real world
    #[arg(long, value_name = "FILE")]
    pub(crate) observed: Option<PathBuf>,
    /// Plan from a world where nothing exists; asks nobody
    #[arg(long, conflicts_with_all = ["observed", "state"])]
    pub(crate) offline: bool,
    #[command(flatten)]
    pub(crate) live: Live,
    /// Which cluster, where the file has several
    #[arg(long, value_name = "NAME")]
    pub(crate) cluster: Option<String>,
    /// Print the plan as JSON
    #[arg(long, conflicts_with = "dot")]
    pub(crate) json: bool,
    /// Print the plan as a graph for Graphviz
    #[arg(long)]
    pub(crate) dot: bool,
    /// Show every step and every dependency, however many there are
    #[arg(long)]
    pub(crate) full: bool,
}

/// What every command of the real world takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct Live {
    /// Where the state is kept; by default ./.quorate/CLUSTER
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// The quorate program for machines whose kernel has no WireGuard; by default this one
    #[arg(long, value_name = "FILE")]
    pub(crate) agent: Option<PathBuf>,
    /// Take round trips from the rtt.csv in there, as `quorate measure rtt` writes it
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
}

/// A cluster as a manifest wants it, in the real world.
#[derive(Debug, Clone, Args)]
pub(crate) struct Wanted {
    /// The manifest; `-` is the standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) live: Live,
    /// Which cluster, where the file has several
    #[arg(long, value_name = "NAME")]
    pub(crate) cluster: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Apply {
    #[command(flatten)]
    pub(crate) wanted: Wanted,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
    /// Carry out this plan, saved by `quorate plan --json`, or nothing if it is stale
    #[arg(long, value_name = "FILE")]
    pub(crate) plan: Option<PathBuf>,
    /// Let changes of etcd's membership go against our own rules; never against etcd's
    #[arg(long)]
    pub(crate) force_quorum: bool,
    /// Print how it ended as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Do not show what is under way
    #[arg(long)]
    pub(crate) no_progress: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) wanted: Wanted,
    /// Between two looks at a world that is as it should be
    #[arg(long, value_name = "SECONDS", default_value_t = 30,
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) interval: u64,
    /// How long a prepared machine may be silent before it is replaced
    #[arg(long, value_name = "SECONDS", default_value_t = 600,
          value_parser = clap::value_parser!(u64).range(30..=604_800))]
    pub(crate) patience: u64,
    /// Where /metrics, /healthz and /readyz are served; port 0 is any that is free
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9466")]
    pub(crate) listen: SocketAddr,
    /// Print a systemd unit for this command line, and do nothing else
    #[arg(long)]
    pub(crate) unit: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Kubeconfig {
    #[command(flatten)]
    pub(crate) wanted: Wanted,
    /// Write them there, readable for you only
    #[arg(long, value_name = "FILE")]
    pub(crate) to: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Destroy {
    /// The manifest; without it, the one of the last run that stands in the state
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) live: Live,
    /// Which cluster, where the file has several
    #[arg(long, value_name = "NAME")]
    pub(crate) cluster: Option<String>,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
    /// Print how it ended as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Do not show what is under way
    #[arg(long)]
    pub(crate) no_progress: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Status {
    #[command(flatten)]
    pub(crate) wanted: Wanted,
    /// Leave out the health of the mesh, which asks every machine once more
    #[arg(long)]
    pub(crate) no_mesh: bool,
    /// Print it as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StateDir {
    /// The state's directory
    #[arg(long, value_name = "DIR")]
    pub(crate) state: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum State {
    /// Runs, machines and mesh, as they are remembered
    Show {
        #[command(flatten)]
        dir: StateDir,
        /// Print it as JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the whole state as one JSON document
    Export {
        #[command(flatten)]
        dir: StateDir,
    },
    /// Put an exported document in the place of the state
    Import {
        #[command(flatten)]
        dir: StateDir,
        /// The document; `-` is the standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Even if it is older, or of another lineage
        #[arg(long)]
        force: bool,
    },
    /// Say who holds the state; a dead process holds nothing
    Unlock {
        #[command(flatten)]
        dir: StateDir,
        /// Take the lock's note away although its process lives
        #[arg(long)]
        force: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Adopt {
    #[command(flatten)]
    pub(crate) wanted: Wanted,
    /// The identity to take over, where several clusters have had the name: 16 hexadecimal digits
    #[arg(long, value_name = "UID")]
    pub(crate) uid: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Forget {
    /// The machine, as `quorate status` names it
    #[arg(value_name = "MACHINE")]
    pub(crate) machine: String,
    #[command(flatten)]
    pub(crate) dir: StateDir,
    /// Why, for whoever reads the journal later
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) reason: String,
    /// Forget only its ssh host key, because it was reinstalled: the next one is trusted and kept
    #[arg(long, conflicts_with_all = ["reason", "force"])]
    pub(crate) host_key: bool,
    /// Without looking whether it answers, or its provider has it
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Mesh {
    /// Be the data plane of a WireGuard interface until told to stop
    Run(MeshRun),
    /// Give machines another key, one after the other, while the mesh is in use
    Rotate(MeshRotate),
}

#[derive(Debug, Args)]
pub(crate) struct MeshRotate {
    #[command(flatten)]
    pub(crate) wanted: Wanted,
    /// Only these, as `quorate status` names them; by default all
    #[arg(value_name = "MACHINE")]
    pub(crate) machines: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct MeshRun {
    /// The interface to make
    #[arg(long, value_name = "NAME", default_value = "quorate0")]
    pub(crate) interface: String,
    /// The largest packet inside, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 1420)]
    pub(crate) mtu: u16,
    /// Threads; by default one for each processor
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<usize>,
}

// What a scenario is run on: models of everything, or the real name server with load balancers and
// clients. No documentation of its own: it would turn help into a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Rung {
    Model,
    Wire,
}

#[derive(Debug, Args)]
pub(crate) struct Chaos {
    /// Scenarios; `-` is the standard input
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Models of everything, or the real name server in a simulated network, where scenarios fit
    #[arg(long, value_enum, default_value = "model")]
    pub(crate) rung: Rung,
    /// Run seeds 1 to N; by default as many as the scenario says
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) seeds: Option<u64>,
    /// Run this seed only
    #[arg(long, value_name = "S", conflicts_with = "seeds")]
    pub(crate) seed: Option<u64>,
    /// Runs at the same time; by default one for each processor
    #[arg(long, value_name = "J", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) jobs: Option<u16>,
    /// Take round trips from the rtt.csv in there, as `quorate measure rtt` writes it
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Write a report of every run as JSON; `-` is the standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Write a JUnit report; `-` is the standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    /// Write a page with timelines of the worst and of a good run; `-` is the standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Do not show how far the runs are
    #[arg(long)]
    pub(crate) no_progress: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Whose protocol
    #[arg(long, value_enum)]
    pub(crate) provider: Served,
    /// Where to listen; port 0 is any that is free
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub(crate) listen: SocketAddr,
    /// The only token that is accepted; by default any is
    #[arg(long, value_name = "T")]
    pub(crate) token: Option<String>,
    /// How many times as fast as real time it lives
    #[arg(long, value_name = "X", default_value = "1", value_parser = speed)]
    pub(crate) speed: f64,
    /// The seed of all that is drawn
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub(crate) seed: u64,
    /// What goes wrong (YAML or JSON); more at run time through `/_quorate/faults`
    #[arg(long, value_name = "FILE")]
    pub(crate) faults: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Served {
    /// Hetzner Cloud
    Hetzner,
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if (0.001..=10_000.0).contains(&speed) => Ok(speed),
        Ok(_) | Err(_) => Err("write a number from 0.001 to 10000".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
