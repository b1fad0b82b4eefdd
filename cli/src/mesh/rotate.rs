//! `quorate mesh rotate`: another key for each machine, one after the other, while the mesh is in
//! use.
//!
//! A machine that does not shake hands with its new key takes the old one back by itself.

use crate::apply;
use crate::args::MeshRotate as Args;
use crate::exit::Exit;
use crate::live::{self, World};
use crate::terminal;
use quorate_engine::journal::{Entry, Ledger};
use quorate_engine::mesh::PeerFact;
use quorate_engine::resource::ResourceId;
use quorate_hosts::rotate::Ending;
use quorate_live::Store;
use quorate_sim::report::plain;

/// Rotates the keys that are asked for.
pub(crate) fn run(args: &Args) -> Exit {
    let manifest = match apply::wanted(&args.wanted) {
        Ok(manifest) => manifest,
        Err(exit) => return exit,
    };
    let cluster = &manifest.metadata.name;
    let dir = live::state_dir(args.wanted.live.state.as_deref(), cluster);
    let mut store = match Store::open(&dir, cluster, "quorate mesh rotate") {
        Ok(store) => store,
        Err(error) => return refuse(&error.to_string()),
    };
    let world = match World::open(&manifest, Some(&store), args.wanted.live.agent.as_deref()) {
        Ok(world) => world,
        Err(problems) => {
            live::complain(&problems);
            return Exit::Failed;
        }
    };
    let machines = match machines(&args.machines, &Ledger::replay(&world.journal)) {
        Ok(machines) => machines,
        Err(text) => return refuse(&text),
    };
    live::runtime().block_on(async {
        let mut all_well = true;
        for machine in &machines {
            match rotate(&world, &mut store, machine).await {
                Ok(well) => all_well &= well,
                Err(text) => return refuse(&text),
            }
        }
        terminal::eprint("Next: `quorate apply` brings the links of all machines up to date.\n");
        if all_well { Exit::Fine } else { Exit::Failed }
    })
}

fn refuse(text: &str) -> Exit {
    terminal::eprint(&format!("error: {}\n", plain(text)));
    Exit::Failed
}

/// The machines that are asked for, or all.
fn machines(asked: &[String], ledger: &Ledger) -> Result<Vec<ResourceId>, String> {
    if ledger.peers.is_empty() {
        return Err("there is no mesh yet: `quorate apply` makes one".to_owned());
    }
    if asked.is_empty() {
        return Ok(ledger.peers.keys().cloned().collect());
    }
    let asked: Vec<_> = asked.iter().map(ResourceId::new).collect();
    let unknown: Vec<_> = asked
        .iter()
        .filter(|id| !ledger.peers.contains_key(id))
        .map(ToString::to_string)
        .collect();
    if unknown.is_empty() {
        return Ok(asked);
    }
    let known: Vec<_> = ledger.peers.keys().map(ToString::to_string).collect();
    Err(format!(
        "no peer is called {}; there are: {}",
        unknown.join(", "),
        known.join(", ")
    ))
}

/// One machine's turn: true where it has another key now and everybody knows it.
async fn rotate(world: &World, store: &mut Store, machine: &ResourceId) -> Result<bool, String> {
    let journal = store.journal().map_err(|error| error.to_string())?;
    let ledger = Ledger::replay(&journal);
    let peers: Vec<PeerFact> = ledger.peers.values().cloned().collect();
    let public = peers
        .iter()
        .filter_map(|peer| Some((peer.machine.clone(), peer.public?)));
    let addresses: Vec<_> = public.collect();
    let (key, well, text) = match world.hosts.rotate(machine, &peers, &addresses).await {
        Ending::Rotated { key, behind } => {
            let mut text = format!("{machine}: has another key");
            for (peer, fault) in &behind {
                text.push_str(&format!("; {peer} does not know it yet: {fault}"));
            }
            (Some(key), behind.is_empty(), text)
        }
        Ending::Kept { why } => (None, false, format!("{machine}: keeps its key: {why}")),
        Ending::Unsure { why, .. } => {
            let text = format!("{machine}: fell silent over it; the next look tells: {why}");
            (None, false, text)
        }
    };
    if let Some(key) = key {
        let peer = PeerFact {
            key,
            ..ledger.peers[machine].clone()
        };
        let recorded = store.append(&[Entry::Met { peer }]);
        recorded.map_err(|error| error.to_string())?;
    }
    terminal::eprint(&format!("{}\n", plain(&text)));
    Ok(well)
}
