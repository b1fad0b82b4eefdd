//! A world of a few maps behind the driver's ports: providers with machines, and hosts on them.
//!
//! It makes whatever it is asked for as often as it is asked, but for repeated keys: duplicates
//! show. A request that was sent is carried out even if nobody waits for the answer any more.

use quorate_engine::engine::{Mode, Task};
use quorate_engine::exec::{Guard, Limits};
use quorate_engine::journal::Entry;
use quorate_engine::manifest::Manifest;
use quorate_engine::mesh::{MeshKey, links_print, table_of, table_print};
use quorate_engine::quorum::{EtcdVersion, Policy};
use quorate_engine::random::Seed;
use quorate_engine::resource::{Kind, ResourceId};
use quorate_engine::seam::{
    Call, Ending, Fault, FaultClass, HostView, Key, Lane, MachineState, Outcome, Reply, Seen, Verb,
};
use quorate_engine::time::{Span, Time};
use quorate_live::{DriveError, Ended, News, Ports, Quiet, Signals, Store, drive, look};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long a machine builds after its creation was answered.
const BUILD: Duration = Duration::from_secs(7);

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Done and answered.
    Fine,
    /// Not done, and answered with this.
    Fault(FaultClass),
    /// Done, and never answered.
    DoneAndLost,
    /// Neither done nor answered.
    Hangs,
    /// The adapter has a bug.
    Panics,
}

type Fates = Box<dyn FnMut(&Call, u32) -> Fate + Send>;

struct Thing {
    seen: Seen,
    provider: String,
    ready: Duration,
    copies: u32,
}

/// What there is.
pub(crate) struct World {
    fates: Fates,
    /// Time that passed before this life of the driver, and when that began.
    base: Duration,
    epoch: Option<Instant>,
    sent: Vec<(Duration, Arc<Call>)>,
    done: BTreeSet<Key>,
    things: BTreeMap<ResourceId, Thing>,
    installed: BTreeMap<ResourceId, BTreeMap<Kind, u64>>,
    keys: BTreeMap<ResourceId, MeshKey>,
    tries: BTreeMap<(ResourceId, Verb), u32>,
    /// Every call, with when it was made.
    pub(crate) calls: Vec<(Duration, Arc<Call>)>,
    /// Calls whose futures were dropped before they answered.
    pub(crate) dropped: u32,
    /// The file in which every change has to be announced by the time it is asked for.
    pub(crate) announced: Option<PathBuf>,
}

pub(crate) type Shared = Arc<Mutex<World>>;

/// A world where calls go as `fates` says, by call and number of the try, from 1.
pub(crate) fn world(fates: impl FnMut(&Call, u32) -> Fate + Send + 'static) -> Shared {
    Arc::new(Mutex::new(World {
        fates: Box::new(fates),
        base: Duration::ZERO,
        epoch: None,
        sent: Vec::new(),
        done: BTreeSet::new(),
        things: BTreeMap::new(),
        installed: BTreeMap::new(),
        keys: BTreeMap::new(),
        tries: BTreeMap::new(),
        calls: Vec::new(),
        dropped: 0,
        announced: None,
    }))
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World")
            .field("calls", &self.calls)
            .finish_non_exhaustive()
    }
}

impl World {
    fn now(&self) -> Duration {
        let epoch = self.epoch.expect("the world is entered first");
        self.base + epoch.elapsed()
    }

    /// Another life of the driver begins, in a runtime of its own.
    fn enter(&mut self) {
        self.epoch = Some(Instant::now());
    }

    /// It ended; ten seconds pass.
    fn leave(&mut self, lived: Duration) {
        self.base += lived + Duration::from_secs(10);
        self.epoch = None;
        let base = self.base;
        self.happen(base);
    }

    /// Everything that was sent and is due is carried out.
    fn happen(&mut self, now: Duration) {
        let (due, later) = self.sent.drain(..).partition(|(at, _)| *at <= now);
        self.sent = later;
        let mut due: Vec<(Duration, Arc<Call>)> = due;
        due.sort_by_key(|(at, _)| *at);
        for (at, call) in due {
            self.carry_out(at, &call);
        }
    }

    fn carry_out(&mut self, at: Duration, call: &Call) {
        if !self.done.insert(call.key) {
            return;
        }
        let machine = call.target.machine();
        match (&call.lane, call.verb) {
            (Lane::Provider(name), Verb::Create) => {
                let seen = self.seen(call);
                let thing = self.things.entry(call.target.clone()).or_insert(Thing {
                    seen,
                    provider: name.to_string(),
                    ready: at + BUILD,
                    copies: 0,
                });
                thing.copies += 1;
            }
            (Lane::Provider(_), Verb::Delete) => {
                self.things.remove(&call.target);
                if call.target == machine {
                    self.installed.remove(&machine);
                    self.keys.remove(&machine);
                }
            }
            (Lane::Hosts, Verb::Create | Verb::Update) => {
                let resource = call.resource.as_ref().expect("what to make");
                let own = resource.spec.fingerprint();
                let print = match call.kind {
                    Kind::Links => links_print(own, table_print(&table_of(&call.peers)), &machine),
                    _ => own,
                };
                if call.kind == Kind::Peer {
                    let key = MeshKey::simulated(&machine, call.key);
                    self.keys.entry(machine.clone()).or_insert(key);
                }
                let on = self.installed.entry(machine).or_default();
                on.insert(call.kind, print);
            }
            (Lane::Hosts, Verb::Delete) => {
                let on = self.installed.entry(machine).or_default();
                on.remove(&call.kind);
                assert_ne!(
                    call.kind,
                    Kind::Host,
                    "machines that are made are not reset"
                );
            }
            (lane, verb) => panic!("nobody asks {lane} to {verb} here"),
        }
    }

    fn seen(&self, call: &Call) -> Seen {
        let resource = call.resource.as_ref().expect("what to make");
        let number = self.things.len() as u8 + 1;
        let machine = call.kind == Kind::Machine;
        Seen {
            id: call.target.clone(),
            kind: call.kind,
            external: format!("i-{}", call.key),
            fingerprint: resource.spec.fingerprint_at(&call.addresses),
            state: MachineState::Building,
            address: machine.then(|| Ipv4Addr::new(192, 0, 2, number)),
            private: machine.then(|| Ipv4Addr::new(10, 0, 0, number)),
            host_key: machine.then(|| format!("ssh-ed25519 {}", call.key)),
            fields: BTreeMap::new(),
        }
    }

    fn shown(&self, thing: &Thing) -> Seen {
        let mut seen = thing.seen.clone();
        if thing.ready <= self.now() {
            seen.state = MachineState::Running;
        }
        seen
    }

    fn answer(&self, call: &Call) -> Outcome {
        let machine = call.target.machine();
        Ok(match (&call.lane, call.verb) {
            (Lane::Provider(name), Verb::List) => {
                let ours = self
                    .things
                    .values()
                    .filter(|thing| *thing.provider == **name);
                Reply::List(ours.map(|thing| self.shown(thing)).collect())
            }
            (Lane::Provider(_), Verb::Create | Verb::Describe) => {
                match self.things.get(&call.target) {
                    Some(thing) => Reply::Seen(self.shown(thing)),
                    None => Reply::Absent,
                }
            }
            (Lane::Hosts, _) if !self.things.contains_key(&machine) => {
                return Err(Fault::new(FaultClass::Retryable, "no route to host"));
            }
            (Lane::Hosts, Verb::Probe) => Reply::Host(self.view(&machine)),
            (Lane::Hosts, Verb::Create | Verb::Update) if call.kind == Kind::Peer => {
                Reply::Host(self.view(&machine))
            }
            (Lane::Provider(_) | Lane::Hosts | Lane::Cluster, _) => Reply::Done,
        })
    }

    fn view(&self, machine: &ResourceId) -> HostView {
        let on = self.installed.get(machine);
        HostView {
            installed: on.map_or_else(Vec::new, |on| on.iter().map(|(k, v)| (*k, *v)).collect()),
            mesh_key: self.keys.get(machine).copied(),
        }
    }

    /// What is at providers: how many copies of each thing.
    pub(crate) fn copies(&self) -> BTreeMap<String, u32> {
        let copies = |(id, thing): (&ResourceId, &Thing)| (id.to_string(), thing.copies);
        self.things.iter().map(copies).collect()
    }

    /// How many things are installed on machines.
    pub(crate) fn installed(&self) -> usize {
        self.installed.values().map(BTreeMap::len).sum()
    }

    /// Somebody else destroys a machine.
    pub(crate) fn lose(&mut self, machine: &str) {
        let machine = ResourceId::new(machine);
        self.things.remove(&machine).expect("it is there");
        self.installed.remove(&machine);
        self.keys.remove(&machine);
    }
}

/// Notes whether a call's future was dropped before it answered.
struct Waits(Shared, bool);

impl Drop for Waits {
    fn drop(&mut self) {
        if !self.1 && !std::thread::panicking() {
            self.0.lock().unwrap().dropped += 1;
        }
    }
}

async fn request(world: Shared, call: Arc<Call>) -> Outcome {
    let mut waits = Waits(Arc::clone(&world), false);
    let ms = Duration::from_millis;
    let (fate, name) = {
        let mut world = world.lock().unwrap();
        let now = world.now();
        world.happen(now);
        let tries = world
            .tries
            .entry((call.target.clone(), call.verb))
            .or_default();
        *tries += 1;
        let nth = *tries;
        let fate = (world.fates)(&call, nth);
        world.calls.push((now, Arc::clone(&call)));
        let acts = matches!(fate, Fate::Fine | Fate::DoneAndLost);
        if acts && call.verb.mutates() {
            world.sent.push((now + ms(200), Arc::clone(&call)));
        }
        (fate, format!("{} {}", call.verb, call.target))
    };
    sleep(ms(300)).await;
    match fate {
        Fate::Fine | Fate::Fault(_) => {}
        Fate::DoneAndLost | Fate::Hangs => std::future::pending().await,
        // Without the hook that prints: it is meant to happen.
        Fate::Panics => std::panic::resume_unwind(Box::new(format!("a bug over {name}"))),
    }
    let mut world = world.lock().unwrap();
    let now = world.now();
    world.happen(now);
    waits.1 = true;
    match fate {
        Fate::Fault(class) => Err(Fault::new(class, "the world says so")),
        _ => world.answer(&call),
    }
}

/// In memory where the system has such a place: nothing here depends on a disk, and thousands of
/// synced writes do take their time.
pub(crate) fn tempdir() -> std::io::Result<tempfile::TempDir> {
    match tempfile::tempdir_in("/dev/shm") {
        Ok(dir) => Ok(dir),
        Err(_) => tempfile::tempdir(),
    }
}

/// What the file says at the instant of a call, read by somebody else's connection.
fn assert_announced(file: &Path, call: &Call) {
    let last = "SELECT entry FROM journal WHERE entry ->> '$.resource' = ?1
                ORDER BY seq DESC LIMIT 1";
    let entry: String = rusqlite::Connection::open(file)
        .unwrap()
        .query_row(last, [call.target.as_str()], |row| row.get(0))
        .unwrap();
    match serde_json::from_str(&entry).unwrap() {
        Entry::Started { verb, key, .. } => assert_eq!((verb, key), (call.verb, call.key)),
        other => panic!("{} {} is not announced: {other:?}", call.verb, call.target),
    }
}

pub(crate) fn ports(world: &Shared) -> Ports {
    let world = Arc::clone(world);
    let port: quorate_live::Port = Arc::new(move |call| {
        let announced = world.lock().unwrap().announced.clone();
        if let Some(file) = announced.filter(|_| call.verb.mutates()) {
            assert_announced(&file, &call);
        }
        Box::pin(request(Arc::clone(&world), call))
    });
    let names: [Arc<str>; 2] = ["a".into(), "b".into()];
    Ports {
        providers: names
            .into_iter()
            .map(|name| (name, Arc::clone(&port)))
            .collect(),
        hosts: port,
        cluster: None,
    }
}

/// Four machines at two providers, without Kubernetes.
pub(crate) fn manifest() -> Arc<Manifest> {
    let pool = |name: &str, provider: &str| {
        json!({"name": name, "provider": provider, "region": "fsn1", "count": 2,
               "machineType": "cx33", "image": "debian-12"})
    };
    let credentials = json!({"env": "QLIVE_TOKEN"});
    let text = json!({
        "apiVersion": "quorate.dev/v1", "kind": "Cluster", "metadata": {"name": "shop"},
        "spec": {
            "providers": [
                {"name": "a", "type": "hetzner", "credentials": credentials},
                {"name": "b", "type": "hetzner", "credentials": credentials},
            ],
            "nodePools": [pool("left", "a"), pool("right", "b")],
        }
    });
    Arc::new(serde_json::from_value(text).expect("a valid manifest"))
}

pub(crate) fn task(manifest: Arc<Manifest>, mode: Mode) -> Task {
    let policy = Policy {
        declared: 0,
        scale_down: false,
        force: false,
    };
    Task {
        manifest,
        mode,
        patience: Span::from_secs(300),
        limits: Limits::new(Guard {
            version: EtcdVersion::NEWEST,
            policy,
        }),
        seed: Seed(11),
        uid: 7,
        agreed: None,
    }
}

/// What killed the driver.
pub(crate) type Killed = Box<dyn std::any::Any + Send>;

/// One life of the driver, in a runtime of its own whose time is virtual. What `observer` throws
/// kills it where it stands: the runtime goes, and everything in it.
pub(crate) fn live(
    dir: &Path,
    world: &Shared,
    mode: Mode,
    mut observer: impl FnMut(Time, News<'_>) + Send,
    signals: Option<Signals>,
) -> Result<Result<Ending, DriveError>, Killed> {
    let life = || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            world.lock().unwrap().enter();
            let mut store = Store::open(dir, "shop", "quorate test").expect("a state");
            let mut signals = signals.unwrap_or_else(|| tokio::sync::mpsc::unbounded_channel().1);
            let mut observe = |now, news: News<'_>| observer(now, news);
            let ports = ports(world);
            let task = task(manifest(), mode);
            let work = drive(task, &mut store, &ports, &mut observe, &mut signals);
            let work = tokio::time::timeout(Duration::from_secs(36_000), work);
            let ended = work.await.expect("it ends in ten hours");
            ended.map(|ended| ended.ending)
        })
    };
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(life));
    let mut world = world.lock().unwrap();
    world.leave(Duration::from_secs(3_600));
    ended
}

/// A look at the world, by somebody who has no state.
pub(crate) fn looks(world: &Shared, journal: &[Entry]) -> Ended {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        world.lock().unwrap().enter();
        let mut signals = tokio::sync::mpsc::unbounded_channel().1;
        let task = task(manifest(), Mode::Apply);
        let ports = ports(world);
        let mut quiet = Quiet;
        let work = look(task, journal, &ports, &mut quiet, &mut signals);
        work.await.expect("a look")
    })
}

/// The same, for a life that ends by itself.
pub(crate) fn run(dir: &Path, world: &Shared, mode: Mode) -> Result<Ending, DriveError> {
    live(dir, world, mode, |_, _| {}, None).unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Everything that the manifest wants, once.
pub(crate) fn assert_complete(world: &Shared) {
    let world = world.lock().unwrap();
    let copies = world.copies();
    for (id, count) in &copies {
        assert_eq!(*count, 1, "{id} exists once");
    }
    for machine in ["shop/left/1", "shop/left/2", "shop/right/1", "shop/right/2"] {
        assert!(
            copies.contains_key(machine),
            "{machine} is there: {copies:?}"
        );
    }
    assert_eq!(
        copies.len(),
        8,
        "four machines, two networks, two firewalls: {copies:?}"
    );
    assert_eq!(world.installed(), 12, "a host, a peer and links on each");
}
