//! `quorate adopt`: a lost state is begun again from what carries the cluster's labels.

use crate::apply;
use crate::args::Adopt;
use crate::exit::Exit;
use crate::live::{self, World};
use crate::terminal;
use quorate_engine::journal::Entry;
use quorate_live::Store;
use quorate_providers::Owner;
use quorate_sim::report::plain;
use std::collections::BTreeSet;

/// Takes over the identity that is found at the providers; the next apply adopts what has it.
pub(crate) fn run(args: &Adopt) -> Exit {
    let manifest = match apply::wanted(&args.wanted) {
        Ok(manifest) => manifest,
        Err(exit) => return exit,
    };
    let cluster = &manifest.metadata.name;
    let world = match World::open(&manifest, None, args.wanted.live.agent.as_deref()) {
        Ok(world) => world,
        Err(problems) => {
            live::complain(&problems);
            return Exit::Failed;
        }
    };
    let found = match live::runtime().block_on(owners(&world, cluster)) {
        Ok(found) => found,
        Err(text) => return refuse(&text),
    };
    let uid = match choose(&found, args.uid.as_deref()) {
        Ok(uid) => uid,
        Err(text) => return refuse(&text),
    };
    let dir = live::state_dir(args.wanted.live.state.as_deref(), cluster);
    let begin = || {
        let mut store = Store::open(&dir, cluster, "quorate adopt")?;
        if !store.journal()?.is_empty() {
            return Ok(false);
        }
        store.append(&[Entry::Founded { uid }]).map(|()| true)
    };
    match begin() {
        Err(error) => refuse(&error.to_string()),
        Ok(false) => refuse(&format!(
            "there is a state in {}: nothing is lost",
            dir.display()
        )),
        Ok(true) => {
            terminal::print(&format!(
                "The state of {} begins again in {} with the identity {uid:016x}.\n\
                 Next: `quorate plan` shows what is adopted and what would change.\n",
                plain(cluster),
                dir.display()
            ));
            Exit::Fine
        }
    }
}

fn refuse(text: &str) -> Exit {
    terminal::eprint(&format!("error: {}\n", plain(text)));
    Exit::Failed
}

/// Every identity under which something of this name exists.
async fn owners(world: &World, cluster: &str) -> Result<BTreeSet<u64>, String> {
    let mut found = BTreeSet::new();
    for (name, adapter) in &world.adapters {
        let owners: Vec<Owner> = adapter
            .owners()
            .await
            .map_err(|fault| format!("provider {name}: {fault}"))?;
        let named = owners
            .into_iter()
            .filter(|owner| owner.cluster == cluster && owner.provider == **name);
        found.extend(named.map(|owner| owner.uid));
    }
    Ok(found)
}

fn choose(found: &BTreeSet<u64>, asked: Option<&str>) -> Result<u64, String> {
    let listed = || {
        let list: Vec<_> = found.iter().map(|uid| format!("{uid:016x}")).collect();
        list.join(", ")
    };
    if let Some(asked) = asked {
        let uid = u64::from_str_radix(asked, 16).ok();
        return uid
            .filter(|uid| found.contains(uid))
            .ok_or_else(|| format!("nothing has the identity {asked}; found: {}", listed()));
    }
    match found.iter().copied().collect::<Vec<_>>()[..] {
        [] => {
            Err("nothing at any provider carries the labels of a cluster of this name".to_owned())
        }
        [uid] => Ok(uid),
        _ => Err(format!(
            "several clusters have this name: choose one with `--uid`: {}",
            listed()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_identity_is_taken_and_several_are_asked_about() {
        let none = BTreeSet::new();
        let two = BTreeSet::from([7, 8]);
        assert!(choose(&none, None).is_err());
        assert_eq!(choose(&BTreeSet::from([7]), None), Ok(7));
        let error = choose(&two, None).unwrap_err();
        assert!(error.contains("0000000000000008"), "{error}");
        assert_eq!(choose(&two, Some("8")), Ok(8));
        assert!(choose(&two, Some("9")).is_err());
    }
}
