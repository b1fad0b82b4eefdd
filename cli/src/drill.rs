//! `quorate drill`: a scenario on real machines, judged as in simulation, and everything undone.
//!
//! Settles what may be touched before anything is: machines of the lab, or those that a file names.

mod entries;
mod paths;
mod report;

use crate::args::{Drill as Args, Ground};
use crate::diagnostics;
use crate::exit::Exit;
use crate::input::{self, Checked, ScenarioInput};
use crate::live::{self, World};
use crate::measured::Measured;
use crate::terminal;
use quorate_drill::act::{Domain, Process};
use quorate_drill::api::Admin;
use quorate_drill::cast::{Cast, Member, Seen, local_libvirt};
use quorate_drill::eyes::Eyes as _;
use quorate_drill::hands::{Ended, Promises, guarded, undo_all};
use quorate_drill::lab::{Lab, owned, process_of};
use quorate_drill::play::Drill;
use quorate_drill::real::{Api, Watcher};
use quorate_drill::undo::Undoing;
use quorate_engine::journal::Ledger;
use quorate_engine::manifest::{Manifest, Role};
use quorate_engine::resource::ResourceId;
use quorate_engine::time::Span;
use quorate_engine::topology::{Roster, Topology};
use quorate_live::{Signals, Store, process_signals};
use quorate_sim::outcome::Run;
use quorate_sim::report::plain;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// How long a cluster may take to be whole again after a drill.
const WHOLE: Duration = Duration::from_secs(300);

/// Carries a drill out, or undoes what one has left.
pub(crate) fn run(args: &Args) -> Exit {
    let done = match (&args.file, args.undo) {
        (Some(file), false) => drilled(args, file),
        (_, true) => undone(args),
        (None, false) => unreachable!("the command line asks for a scenario, or for --undo"),
    };
    done.unwrap_or_else(|text| {
        if !text.is_empty() {
            terminal::eprint(&format!("error: {}\n", plain(&text)));
        }
        Exit::Failed
    })
}

/// What a drill works on.
struct Ready {
    manifest: Arc<Manifest>,
    dir: PathBuf,
    cast: Arc<Cast>,
    hands: Arc<Lab>,
    world: World,
    uid: u64,
}

fn ready(manifest: &Arc<Manifest>, args: &Args) -> Result<Ready, String> {
    let cluster = &manifest.metadata.name;
    let dir = live::state_dir(args.live.state.as_deref(), cluster);
    let store = live::remembered(&dir).map_err(|error| error.to_string())?;
    let absent = || format!("no state in {}: nothing was made from it", dir.display());
    let store = store.ok_or_else(absent)?;
    let world = World::open(manifest, Some(&store), args.live.agent.as_deref());
    let world = world.map_err(|problems| {
        live::complain(&problems);
        String::new()
    })?;
    let uid = Ledger::replay(&world.journal).uid.ok_or_else(absent)?;
    Ok(Ready {
        cast: Arc::new(cast(manifest, &store, &world)?),
        hands: Arc::new(Lab::new(Arc::clone(&world.hosts), manifest.spec.ssh.port)),
        manifest: Arc::clone(manifest),
        dir,
        world,
        uid,
    })
}

fn cast(manifest: &Arc<Manifest>, store: &Store, world: &World) -> Result<Cast, String> {
    let inventory = store.inventory().map_err(|error| error.to_string())?;
    let ledger = Ledger::replay(&world.journal);
    let roster = Roster {
        existing: inventory.keys().cloned().collect(),
        addresses: ledger.addresses,
        ..Roster::default()
    };
    let topology = Topology::resolve(manifest, &roster).map_err(|error| error.to_string())?;
    let seen: Seen = inventory
        .iter()
        .map(|(id, machine)| (id.clone(), (machine.public, machine.private)))
        .collect();
    Ok(Cast::new(&topology, &seen, |id, provider| {
        let (uri, container) = local_libvirt(manifest, provider)?;
        let name = id.as_str().replace('/', "-");
        Some(Domain {
            uri,
            name,
            container,
        })
    }))
}

/// Machines that may not be touched, each with the reason.
fn forbidden<'a>(
    members: &'a [Member],
    lab: &BTreeSet<ResourceId>,
    on: Ground,
    meant: &BTreeSet<String>,
) -> Vec<&'a Member> {
    let free = |member: &&Member| {
        let named = on == Ground::Real && meant.contains(member.id.as_str());
        !lab.contains(&member.id) && !named
    };
    members.iter().filter(free).collect()
}

/// Refuses unless every machine of the cluster is the lab's, or is meant by name.
async fn allowed(ready: &Ready, args: &Args) -> Result<(), String> {
    let mut lab = BTreeSet::new();
    for member in &ready.cast.members {
        if let Some(domain) = &member.domain
            && owned(domain, ready.uid, member.id.as_str()).await?
        {
            lab.insert(member.id.clone());
        }
    }
    let meant = match &args.yes_i_mean {
        Some(file) => input::text(file)?,
        None => String::new(),
    };
    let meant = meant.lines().map(|line| line.trim().to_owned()).collect();
    let bad = forbidden(&ready.cast.members, &lab, args.on, &meant);
    if bad.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = bad.iter().map(|member| member.id.as_str()).collect();
    Err(format!(
        "not made by this cluster at a libvirt of this host: {}; nothing was touched. Whoever means \
         them says `--on real --yes-i-mean FILE`, with these names in FILE, one on each line",
        names.join(", ")
    ))
}

fn scenario(args: &Args, file: &Path) -> Result<ScenarioInput, String> {
    let said = |checked: Vec<Checked>| {
        terminal::eprint(&diagnostics::rendered(
            &checked,
            terminal::stderr_coloured(),
        ));
        String::new()
    };
    let dir = args.live.data.as_deref();
    let data = Measured::read(dir).map_err(|bad| said(vec![bad]))?;
    let mut input = input::scenario(file, &data).map_err(said)?;
    if let Some(other) = &args.manifest {
        let other = crate::apply::manifest(other, None, dir).map_err(|_| String::new())?;
        let path = input.document.value.manifest.clone();
        input.manifests.insert(path, (*other).clone());
    }
    Ok(input)
}

fn drilled(args: &Args, file: &Path) -> Result<Exit, String> {
    let input = scenario(args, file)?;
    let reports = report::Files::open(args)?;
    let manifest = Arc::new(input.manifests[&input.document.value.manifest].clone());
    let ready = ready(&manifest, args)?;
    let runtime = live::runtime();
    let done = runtime.block_on(carried_out(args, &input, &ready))?;
    if done.runs.is_empty() {
        return Ok(Exit::Stopped);
    }
    let predicted = report::predicted(&input, done.version.as_deref(), &done.paths, args);
    let exit = reports.write(&input, done.runs, &predicted)?;
    Ok(if done.stopped { Exit::Stopped } else { exit })
}

/// What drills came to.
struct Carried {
    runs: Vec<Run>,
    /// etcd's.
    version: Option<String>,
    paths: paths::Paths,
    /// Somebody asked to stop.
    stopped: bool,
}

/// All drills, one after the other.
async fn carried_out(args: &Args, input: &ScenarioInput, ready: &Ready) -> Result<Carried, String> {
    let mut signals = process_signals().map_err(|error| error.to_string())?;
    allowed(ready, args).await?;
    let promises = promises(&ready.dir)?;
    heal_former(ready, &promises).await?;
    let dns = dns(&args.dns_pid)?;
    let kubeconfig = args.kubeconfig.as_deref();
    let kubeconfig = kubeconfig.ok_or("give the administrator's `--kubeconfig FILE`")?;
    let admin = Admin::read(kubeconfig)?;
    let scenario = &input.document.value;
    let (populations, how) = entries::populations(scenario, &ready.manifest, &ready.cast).await?;
    let key = format!("{:x}", std::process::id());
    let doors = entries::api(&ready.manifest, &ready.cast);
    let api = Arc::new(Api::new(admin, doors, key.clone()));
    let planes = ready.cast.with(Role::ControlPlane);
    let members: Vec<ResourceId> = planes.map(|member| member.id.clone()).collect();
    let hosts = Arc::clone(&ready.world.hosts);
    let eyes = Arc::new(Watcher::new(hosts, Arc::clone(&api), &members));
    let version = match members.first() {
        Some(first) => Some(eyes.version(first).await?),
        None => None,
    };
    prepared(&api).await?;
    let doors = entries::api(&ready.manifest, &ready.cast);
    let mut paths = paths::measured(&ready.world.hosts, &ready.cast, &doors).await;
    let populations = Arc::new(populations);
    let mut runs = Vec::new();
    let mut stopped = false;
    for number in 0..args.repeat {
        whole(&eyes, &members).await?;
        let drill = Drill {
            scenario: scenario.clone(),
            cast: Arc::clone(&ready.cast),
            hands: Arc::clone(&ready.hands),
            eyes: Arc::clone(&eyes),
            asker: Arc::clone(&api),
            populations: Arc::clone(&populations),
            promises: Arc::clone(&promises),
            dns: dns.clone(),
            seed: args.seed + number,
            key: format!("{key}_{number}"),
            settle: Span::from_secs(args.settle),
            parameters: parameters(version.as_deref(), &how, &paths),
        };
        match one(ready, &promises, drill, &api, &mut signals).await? {
            Some((mut run, steady)) => {
                let name =
                    |span: Span| ("a request while all was well".to_owned(), span.to_string());
                run.parameters.extend(steady.map(name));
                paths.request = steady.or(paths.request);
                runs.push(run);
            }
            None => {
                stopped = true;
                break;
            }
        }
    }
    cleaned(&api).await;
    checked(ready).await?;
    Ok(Carried {
        runs,
        version,
        paths,
        stopped,
    })
}

async fn cleaned(api: &Api) {
    if let Err(text) = api.clean().await {
        let text = plain(&text);
        terminal::eprint(&format!("warning: the namespace is left: {text}\n"));
    }
}

fn parameters(
    version: Option<&str>,
    how: &[String],
    paths: &paths::Paths,
) -> Vec<(String, String)> {
    let mut all = vec![("on".to_owned(), "real machines".to_owned())];
    all.extend(version.map(|version| ("etcd".to_owned(), version.to_owned())));
    all.extend(how.iter().map(|text| ("clients".to_owned(), text.clone())));
    all.extend(paths.between.iter().map(|path| {
        let [near, far] = &path.between;
        (format!("round trip {near} - {far}"), path.rtt.0.to_string())
    }));
    let here = paths.here.map(|here| here.to_string());
    all.extend(here.map(|here| ("round trip from here to entry points".to_owned(), here)));
    all.push((
        "orchestrator".to_owned(),
        "none was run by the drill".to_owned(),
    ));
    all
}

/// One drill, and everything of it undone; what a request took before it. None: somebody asked to
/// stop.
async fn one(
    ready: &Ready,
    promises: &Promises,
    drill: Drill<Lab, Watcher, Api>,
    api: &Arc<Api>,
    signals: &mut Signals,
) -> Result<Option<(Run, Option<Span>)>, String> {
    let api = Arc::clone(api);
    let work = async move {
        let record = drill.play(api.lost()).await;
        (record.run(), record.steady)
    };
    let stop = async {
        signals.recv().await;
    };
    let (ended, left) = guarded(&ready.hands, promises, work, stop).await;
    if !left.is_empty() {
        return Err(format!(
            "not undone: {}; try `quorate drill --undo`",
            left.join("; ")
        ));
    }
    match ended {
        Ended::Done(done) => Ok(Some(done)),
        Ended::Stopped => Ok(None),
        Ended::Broke(text) => Err(format!("our own fault, and everything is undone: {text}")),
    }
}

fn promises(dir: &Path) -> Result<Promises, String> {
    let list = Undoing::open(dir).map_err(|error| error.to_string())?;
    Ok(Arc::new(Mutex::new(list)))
}

/// Undoes what a drill that was killed has left.
async fn heal_former(ready: &Ready, promises: &Promises) -> Result<usize, String> {
    let count = promises.lock().await.open_promises().len();
    if count > 0 {
        terminal::eprint(&format!(
            "a former drill left {count} faults: undoing them\n"
        ));
    }
    let left = undo_all(&ready.hands, promises).await;
    match left.is_empty() {
        true => Ok(count),
        false => Err(format!("not undone: {}", left.join("; "))),
    }
}

/// Makes the namespace; a former one may still be on its way out.
async fn prepared(api: &Api) -> Result<(), String> {
    let begun = Instant::now();
    loop {
        match api.prepare().await {
            Err(_) if begun.elapsed() < Duration::from_secs(60) => {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            ended => return ended,
        }
    }
}

/// Waits until every member follows one leader and every node is Ready.
async fn whole(eyes: &Watcher, members: &[ResourceId]) -> Result<(), String> {
    let begun = Instant::now();
    loop {
        let mut leaders = BTreeSet::new();
        for machine in members {
            leaders.insert(eyes.member(machine).await.map_or(0, |status| status.leader));
        }
        let nodes = eyes.nodes().await;
        let ready = nodes
            .as_ref()
            .is_some_and(|nodes| nodes.values().all(|ready| *ready));
        if ready && leaders.len() == 1 && !leaders.contains(&0) {
            return Ok(());
        }
        if begun.elapsed() > WHOLE {
            return Err(format!(
                "the cluster is not whole after {} s: leaders {leaders:?}, nodes {nodes:?}",
                WHOLE.as_secs()
            ));
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Every machine answers, and nothing of a drill is left there.
async fn checked(ready: &Ready) -> Result<(), String> {
    let mut trouble = Vec::new();
    for member in &ready.cast.members {
        let begun = Instant::now();
        let left = loop {
            match ready.hands.left(&member.id).await {
                Err(_) if begun.elapsed() < Duration::from_secs(60) => {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                ended => break ended,
            }
        };
        match left {
            Ok(text) if text.is_empty() => {}
            Ok(text) => trouble.push(format!("{}: left behind: {text}", member.label)),
            Err(text) => trouble.push(format!("{}: {text}", member.label)),
        }
    }
    match trouble.is_empty() {
        true => Ok(()),
        false => Err(format!("after the drill: {}", trouble.join("; "))),
    }
}

fn dns(pids: &[u32]) -> Result<Vec<Process>, String> {
    let process = |pid: &u32| process_of(*pid).ok_or_else(|| format!("there is no process {pid}"));
    pids.iter().map(process).collect()
}

/// Undoes what a drill has left, and nothing else.
fn undone(args: &Args) -> Result<Exit, String> {
    let dir = args.live.state.as_deref();
    let manifest = match (&args.file, &args.manifest, dir) {
        (_, Some(file), _) => crate::apply::manifest(file, None, args.live.data.as_deref())
            .map_err(|_| String::new())?,
        (Some(file), ..) => {
            let input = scenario(args, file)?;
            Arc::new(input.manifests[&input.document.value.manifest].clone())
        }
        (None, None, Some(dir)) => {
            let store = Store::view(dir).map_err(|error| error.to_string())?;
            let last = live::last_manifest(&store)?;
            Arc::new(last.ok_or_else(|| format!("no run stands in {}", dir.display()))?)
        }
        (None, None, None) => return Err("give the scenario, or `--state DIR`".to_owned()),
    };
    let ready = ready(&manifest, args)?;
    live::runtime().block_on(async {
        let promises = promises(&ready.dir)?;
        let count = heal_former(&ready, &promises).await?;
        if let Some(kubeconfig) = &args.kubeconfig {
            let admin = Admin::read(kubeconfig)?;
            let doors = entries::api(&ready.manifest, &ready.cast);
            Api::new(admin, doors, String::new()).clean().await?;
        }
        checked(&ready).await?;
        terminal::print(&format!(
            "{count} faults undone; nothing of a drill is left\n"
        ));
        Ok(Exit::Fine)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::net::Ipv4Addr;

    fn member(id: &str) -> Member {
        Member {
            id: ResourceId::new(id),
            label: id.to_owned(),
            node: id.to_owned(),
            pool: String::new(),
            provider: String::new(),
            region: String::new(),
            zone: String::new(),
            roles: Vec::new(),
            labels: BTreeMap::new(),
            public: None,
            private: None,
            mesh: Ipv4Addr::LOCALHOST,
            domain: None,
        }
    }

    #[test]
    fn nothing_is_touched_that_is_neither_the_lab_s_nor_meant() {
        let members = [member("q/a/1"), member("q/b/1"), member("q/c/1")];
        let lab: BTreeSet<ResourceId> = [ResourceId::new("q/a/1")].into();
        let meant: BTreeSet<String> = ["q/b/1".to_owned(), "q/c".to_owned()].into();
        let ids = |on, meant: &BTreeSet<String>| -> Vec<String> {
            let bad = forbidden(&members, &lab, on, meant);
            bad.iter().map(|member| member.id.to_string()).collect()
        };
        assert_eq!(ids(Ground::Lab, &meant), ["q/b/1", "q/c/1"]);
        assert_eq!(ids(Ground::Real, &meant), ["q/c/1"]);
        assert_eq!(ids(Ground::Real, &BTreeSet::new()), ["q/b/1", "q/c/1"]);
    }
}
