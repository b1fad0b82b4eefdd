//! `quorate etcd restore`: the way back from a lost quorum, said step by step before it is gone.
//!
//! What was decided is on disk before anything is touched, and each step that is done after it: a
//! second run of the command goes on where the first was cut off. What is done on machines is
//! `quorate-cluster`'s; how the others join again is the engine's.

mod choice;

use crate::apply;
use crate::args::EtcdRestore;
use crate::exit::Exit;
use crate::live::{self, World};
use crate::terminal;
use choice::{Given, Wish, choose};
use quorate_cluster::{Cluster, KEPT, Recovery, Remains, RestoreStep, Snapshots, Stored};
use quorate_engine::manifest::{Manifest, Role};
use quorate_engine::resource::ResourceId;
use quorate_engine::seam::{Fault, FaultClass};
use quorate_live::{Store, draw};
use quorate_sim::report::plain;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Between two tries of a step, and how many: etcd may take its grace of 30 s to end.
const AGAIN: Duration = Duration::from_secs(5);
const TRIES: u32 = 6;

/// Until the first control plane serves: images are there, the database is loaded.
const SERVES: Duration = Duration::from_secs(300);

/// Restores, or goes on with it.
pub(crate) fn run(args: &EtcdRestore) -> Exit {
    match restored(args) {
        Ok(Exit::Fine) if !args.no_join => {
            say("\nThe other control planes join again:\n");
            apply::go_on(&args.wanted)
        }
        Ok(exit) => exit,
        Err(text) => {
            if !text.is_empty() {
                say(&format!("error: {}\n", plain(&text)));
            }
            Exit::Failed
        }
    }
}

fn say(text: &str) {
    terminal::eprint(text);
}

/// What a restoration works with.
struct Ground {
    cluster: Arc<Cluster>,
    addresses: Vec<(ResourceId, Ipv4Addr)>,
    /// Control planes with their mesh addresses.
    planes: BTreeMap<ResourceId, Ipv4Addr>,
    state: PathBuf,
    name: String,
}

fn restored(args: &EtcdRestore) -> Result<Exit, String> {
    let manifest = apply::wanted(&args.wanted).map_err(|_| String::new())?;
    let name = manifest.metadata.name.clone();
    let dir = live::state_dir(args.wanted.live.state.as_deref(), &name);
    // Held to the end: nobody else acts on this cluster meanwhile.
    let store = Store::open(&dir, &name, "quorate etcd restore").map_err(|e| e.to_string())?;
    let agent = args.wanted.live.agent.as_deref();
    let world = World::open(&manifest, Some(&store), agent).map_err(|problems| {
        live::complain(&problems);
        String::new()
    })?;
    let Some(cluster) = world.cluster.clone() else {
        return Err("the manifest has no `spec.kubernetes`".to_owned());
    };
    let ground = Ground {
        cluster,
        addresses: world.addresses(&store),
        planes: planes(&manifest, &world),
        state: dir,
        name,
    };
    live::runtime().block_on(ground.restore(args))
}

/// Machines of the mesh whose pool is one of control planes.
fn planes(manifest: &Manifest, world: &World) -> BTreeMap<ResourceId, Ipv4Addr> {
    let pools = &manifest.spec.node_pools;
    let plane = |machine: &ResourceId| {
        let pool = machine.as_str().split('/').nth(1);
        let mut pools = pools
            .iter()
            .filter(|known| Some(known.name.as_str()) == pool);
        pools.any(|pool| pool.roles.contains(&Role::ControlPlane))
    };
    let peers = world.peers().into_iter();
    let peers = peers.filter(|peer| plane(&peer.machine));
    peers.map(|peer| (peer.machine, peer.address)).collect()
}

impl Ground {
    async fn restore(&self, args: &EtcdRestore) -> Result<Exit, String> {
        let under_way = Recovery::under_way(&self.state);
        let file = Recovery::file(&self.state);
        let under_way = under_way.map_err(|error| format!("{}: {error}", file.display()))?;
        let mut recovery = match under_way {
            Some(recovery) => self.resumed(args, recovery)?,
            None => self.decided(args).await?,
        };
        let begun = recovery.done > 0;
        say(&script(&recovery));
        let question = if begun {
            "Go on with it?"
        } else {
            "What was written since is lost for good. Begin?"
        };
        if !args.yes && !apply::ask::insisted(question) {
            say("Nothing was changed.\n");
            return Ok(Exit::Stopped);
        }
        let unwritten = |error: std::io::Error| format!("{}: {error}", file.display());
        recovery.save(&self.state).map_err(unwritten)?;
        for (index, step) in recovery.steps().iter().enumerate().skip(recovery.done) {
            say(&format!("{:>2}  {step} ...\n", index + 1));
            self.carry_out(&recovery, step).await?;
            recovery.advance(&self.state).map_err(unwritten)?;
        }
        self.await_service(&recovery).await?;
        let kept = recovery.close(&self.state).map_err(unwritten)?;
        say(&format!(
            "{} serves again, alone. Former data are kept on the machines in {KEPT}/{}, and what \
             was done in {}\n",
            recovery.onto,
            recovery.id,
            kept.display()
        ));
        Ok(Exit::Fine)
    }

    /// One that was begun before is gone on with as it was decided.
    fn resumed(&self, args: &EtcdRestore, recovery: Recovery) -> Result<Recovery, String> {
        if recovery.cluster != self.name {
            return Err(format!(
                "the restoration is of the cluster {}",
                recovery.cluster
            ));
        }
        let given = args.snapshot.is_some() || args.survivor.is_some() || args.onto.is_some();
        if given {
            let file = Recovery::file(&self.state);
            let undo = if recovery.done == 0 {
                format!(
                    "; nothing was touched yet: remove {} to decide anew",
                    file.display()
                )
            } else {
                String::new()
            };
            return Err(format!(
                "a restoration onto {} is under way: give the command without --snapshot, \
                 --survivor and --onto to go on with it{undo}",
                recovery.onto
            ));
        }
        say("A restoration was begun before, and goes on as it was decided.\n");
        Ok(recovery)
    }

    /// Looks what is left, says it, and decides.
    async fn decided(&self, args: &EtcdRestore) -> Result<Recovery, String> {
        if self.planes.is_empty() {
            return Err("no control plane is known: `quorate adopt` finds what is lost".to_owned());
        }
        let machines: Vec<_> = self.planes.keys().cloned().collect();
        say(&format!(
            "cluster {}: looking at {} control planes\n",
            self.name,
            machines.len()
        ));
        let found = self.cluster.survey(&self.addresses, &machines).await;
        say(&found.iter().map(shown).collect::<String>());
        let snapshots = self.snapshots(args.snapshot.as_deref())?;
        for one in &snapshots {
            let state = one.damage.as_deref().unwrap_or("whole");
            say(&format!(
                "  {}: {:.0}, revision {}, {}, {}\n",
                one.path.display(),
                one.taken,
                one.revision,
                crate::cluster::size(one.bytes),
                plain(state)
            ));
        }
        let wish = Wish {
            snapshot: args.snapshot.is_some(),
            survivor: args.survivor.as_deref(),
            onto: args.onto.as_deref(),
            gone: &args.gone,
            despite_quorum: args.despite_quorum,
        };
        let given = Given {
            found: &found,
            snapshot: snapshots.iter().rev().find(|one| one.damage.is_none()),
        };
        let chosen = choose(&given, &wish)?;
        say(&format!("\n{}\n", plain(&chosen.loss)));
        let reached = |machine: &ResourceId| !chosen.gone.contains(machine);
        let planes = self.planes.clone().into_iter();
        Ok(Recovery {
            id: format!("{:016x}", draw()),
            cluster: self.name.clone(),
            source: chosen.source,
            revision: chosen.revision,
            onto: chosen.onto,
            planes: planes.filter(|(machine, _)| reached(machine)).collect(),
            gone: chosen.gone,
            done: 0,
        })
    }

    /// The one that was given, or all that are kept here; the oldest first. Each is read whole.
    fn snapshots(&self, given: Option<&Path>) -> Result<Vec<Stored>, String> {
        let Some(path) = given else {
            let kept = Snapshots::new(live::snapshots(&self.state), 1).list(&self.name);
            return match kept {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
                kept => kept.map_err(|error| format!("snapshots: {error}")),
            };
        };
        let path = std::path::absolute(path).map_err(|error| error.to_string())?;
        let one = Stored::at(&self.name, &path).map_err(|e| format!("{}: {e}", path.display()))?;
        match &one.damage {
            None => Ok(vec![one]),
            Some(why) => Err(format!("{} cannot be restored: {why}", path.display())),
        }
    }

    async fn carry_out(&self, recovery: &Recovery, step: &RestoreStep) -> Result<(), String> {
        let mesh = recovery.planes[&step.machine];
        let id = &recovery.id;
        let mut left = TRIES;
        loop {
            left -= 1;
            let fault = match self.cluster.restore(&self.addresses, step, id, mesh).await {
                Ok(()) => return Ok(()),
                Err(fault) => fault,
            };
            if left == 0 || !passes(&fault) {
                return Err(format!(
                    "{step}: {fault}; mend that and give the command again: it goes on here"
                ));
            }
            say(&format!(
                "    {}; once more in {} s\n",
                plain(&fault.to_string()),
                AGAIN.as_secs()
            ));
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Until the first control plane serves the API.
    async fn await_service(&self, recovery: &Recovery) -> Result<(), String> {
        say(&format!("    {} is to serve the API ...\n", recovery.onto));
        let only = |(machine, _): &&(ResourceId, Ipv4Addr)| *machine == recovery.onto;
        let only: Vec<_> = self.addresses.iter().filter(only).cloned().collect();
        let served = async {
            while !self.cluster.serves(&only).await {
                tokio::time::sleep(AGAIN).await;
            }
        };
        tokio::time::timeout(SERVES, served).await.map_err(|_| {
            format!(
                "{} does not serve the API after {} s: see the logs of its containers, and give \
                 the command again",
                recovery.onto,
                SERVES.as_secs()
            )
        })
    }
}

/// Whether trying again may help.
fn passes(fault: &Fault) -> bool {
    matches!(
        fault.class,
        FaultClass::Busy | FaultClass::Retryable | FaultClass::Unknown
    )
}

/// One control plane as it was found.
fn shown(one: &Remains) -> String {
    let what = match &one.member {
        Err(why) => format!("NOT REACHED: {}", plain(why)),
        Ok(member) => {
            let runs = match (member.runs, member.leader) {
                (true, true) => "runs, and has a leader",
                (true, false) => "runs, without a leader",
                (false, _) => "does not run",
            };
            match member.revision {
                Some(revision) => format!("etcd {runs}; its disk has revision {revision}"),
                None => format!("etcd {runs}; nothing is known of its disk"),
            }
        }
    };
    format!("  {}: {what}\n", one.machine)
}

/// All steps, with those that are done.
fn script(recovery: &Recovery) -> String {
    let mut text = String::from("\nThe steps:\n");
    for (index, step) in recovery.steps().iter().enumerate() {
        let done = if index < recovery.done { "done" } else { "" };
        text.push_str(&format!("{:>2}  {done:<4}  {step}\n", index + 1));
    }
    if !recovery.gone.is_empty() {
        let gone: Vec<_> = recovery.gone.iter().map(ResourceId::as_str).collect();
        text.push_str(&format!(
            "Never to come back with its old data: {}\n",
            gone.join(", ")
        ));
    }
    text
}
