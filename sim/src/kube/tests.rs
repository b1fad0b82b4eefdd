//! Tests of the control loops against the numbers of Kubernetes, on a small ground of their own.

mod chaos;
mod controllers;
mod lifecycle;
mod placement;

use super::*;
use crate::kernel::{Chain, Queue};
use quorate_engine::manifest::Resources;
use quorate_engine::units::{Bytes, Cpu};

/// A ground on which everything works unless a test breaks it.
struct Ground1 {
    queue: Queue<KubeEvent>,
    dead: BTreeSet<u16>,
    /// Cannot see the API.
    cut: BTreeSet<u16>,
    quorum: bool,
    notes: Vec<(Time, KubeNote)>,
    drained: Vec<(Time, u16, DrainOutcome)>,
}

impl Ground for Ground1 {
    fn now(&self) -> Time {
        self.queue.now()
    }
    fn after(&mut self, delay: Span, event: KubeEvent) {
        self.queue.after(delay, event);
    }
    fn api_writable(&mut self, from: Seat) -> bool {
        self.quorum
            && match from {
                Seat::Node(host) | Seat::ControlPlane(host) => !self.cut.contains(&host),
                Seat::Operator => true,
            }
    }
    fn host_alive(&self, host: u16) -> bool {
        !self.dead.contains(&host)
    }
    fn note(&mut self, note: KubeNote) {
        self.notes.push((self.queue.now(), note));
    }
    fn drained(&mut self, host: u16, outcome: DrainOutcome) {
        self.drained.push((self.queue.now(), host, outcome));
    }
}

struct Bed {
    kube: Kube,
    ground: Ground1,
    events: u64,
}

/// Zones with the names of their workers: host 0 to 2 are the control plane, workers follow.
fn bed(seed: u64, zones: &[(&str, u16)]) -> Bed {
    let mut bed = Bed {
        kube: Kube::new(Settings::of_minor(30), Seed(seed)),
        ground: Ground1 {
            queue: Queue::default(),
            dead: BTreeSet::new(),
            cut: BTreeSet::new(),
            quorum: true,
            notes: Vec::new(),
            drained: Vec::new(),
        },
        events: 0,
    };
    for host in 0..3 {
        bed.add(host, &format!("cp{host}"), true);
    }
    let mut host = 3;
    for (zone, workers) in zones {
        for _ in 0..*workers {
            bed.add(host, zone, false);
            host += 1;
        }
    }
    bed
}

fn spec(name: &str, replicas: u32) -> WorkloadSpec {
    WorkloadSpec {
        name: name.to_owned(),
        replicas,
        requests: Resources {
            cpu: Cpu(1_000),
            memory: Bytes(1 << 30),
        },
        data: false,
        prefer: None,
        spread: None,
        min_available: None,
        toleration: None,
    }
}

fn secs(n: u64) -> Span {
    Span::from_secs(n)
}

impl Bed {
    fn add(&mut self, host: u16, zone: &str, control_plane: bool) {
        let spec = NodeSpec {
            name: format!("{host:05}"),
            provider: zone.to_owned(),
            region: zone.to_owned(),
            zone: format!("{zone}-1"),
            control_plane,
            worker: !control_plane,
            capacity: Resources {
                cpu: Cpu(4_000),
                memory: Bytes(8 << 30),
            },
            taints: Vec::new(),
        };
        self.kube.add_node(&mut self.ground, host, &spec);
    }

    fn deploy(&mut self, spec: WorkloadSpec) -> WorkloadId {
        let id = self.kube.deploy(&mut self.ground, spec);
        self.kube.settle(&mut self.ground);
        id
    }

    fn run(&mut self, span: Span) {
        let until = self.ground.now() + span;
        while let Some(event) = self.ground.queue.pop_until(until) {
            self.events += 1;
            self.kube.handle(&mut self.ground, event);
        }
    }

    /// Runs until something holds; how long that took. Panics after an hour.
    fn until(&mut self, holds: impl Fn(&Self) -> bool) -> Span {
        let from = self.ground.now();
        while !holds(self) {
            assert!(self.ground.now().since(from) < secs(3_600), "never");
            self.run(Span::from_ms(100));
        }
        self.ground.now().since(from)
    }

    fn kill(&mut self, host: u16) {
        self.ground.dead.insert(host);
    }

    fn boot(&mut self, host: u16) {
        self.ground.dead.remove(&host);
        self.kube.host_started(&mut self.ground, host);
    }

    /// When notes that a test looks for were made.
    fn times(&self, wanted: impl Fn(&KubeNote) -> bool) -> Vec<Time> {
        let notes = self.ground.notes.iter();
        notes
            .filter(|(_, note)| wanted(note))
            .map(|(at, _)| *at)
            .collect()
    }

    fn evictions(&self) -> Vec<Time> {
        self.times(|note| matches!(note, KubeNote::Evicted { .. }))
    }

    fn taints(&self) -> Vec<Time> {
        self.times(|note| matches!(note, KubeNote::Tainted { on: true, .. }))
    }

    fn ready(&self, host: u16) -> bool {
        let views = self.kube.views();
        views.iter().any(|view| view.host == host && view.ready)
    }

    fn serving(&self, workload: WorkloadId) -> u32 {
        self.kube.running(&self.ground, workload)
    }
}

#[test]
fn an_idle_cluster_of_ten_costs_few_events_and_changes_nothing() {
    let mut bed = bed(1, &[("a", 3), ("b", 4)]);
    let web = bed.deploy(spec("web", 6));
    let notes = bed.ground.notes.len();
    bed.run(secs(3_600));
    assert!(bed.events <= 3 * 3_600, "{} events", bed.events);
    assert_eq!(bed.ground.notes.len(), notes);
    assert_eq!(bed.kube.series(web).len(), 1);
    assert_eq!(bed.serving(web), 6);
}

#[test]
fn equal_seeds_give_equal_runs() {
    let chain = |seed| {
        let mut bed = bed(seed, &[("a", 3), ("b", 4)]);
        let web = bed.deploy(spec("web", 6));
        bed.run(secs(20));
        bed.kill(3);
        bed.kill(0);
        bed.run(secs(500));
        bed.boot(3);
        bed.kube.scale(&mut bed.ground, web, 9);
        bed.run(secs(100));
        let mut chain = Chain::default();
        for (at, note) in &bed.ground.notes {
            chain.add(
                quorate_engine::random::hash_name(&format!("{note:?}")),
                at.0,
            );
        }
        (chain.hash(), bed.events)
    };
    assert_eq!(chain(7), chain(7));
    assert_ne!(chain(7), chain(8));
}
