//! Same node for every pod: the placing here, and the simulated scheduler with all its loops.

use super::*;
use proptest::prelude::*;
use quorate_engine::manifest::Workload;
use quorate_engine::random::{Seed, Stream};
use quorate_engine::time::{Span, Time};
use quorate_sim::kernel::Queue;
use quorate_sim::kube::{
    DrainOutcome, Ground, Kube, KubeEvent, KubeNote, NodeSpec, Seat, WorkloadSpec,
};

/// A ground on which only the dead do not work.
#[derive(Default)]
struct Firm {
    queue: Queue<KubeEvent>,
    dead: BTreeSet<u16>,
}

impl Ground for Firm {
    fn now(&self) -> Time {
        self.queue.now()
    }
    fn after(&mut self, delay: Span, event: KubeEvent) {
        self.queue.after(delay, event);
    }
    fn api_writable(&mut self, from: Seat) -> bool {
        match from {
            Seat::Node(host) | Seat::ControlPlane(host) => !self.dead.contains(&host),
            Seat::Operator => true,
        }
    }
    fn host_alive(&self, host: u16) -> bool {
        !self.dead.contains(&host)
    }
    fn note(&mut self, _: KubeNote) {}
    fn drained(&mut self, host: u16, _: DrainOutcome) {
        panic!("nobody drains {host}");
    }
}

struct Loops {
    kube: Kube,
    firm: Firm,
}

impl Loops {
    fn of(design: &Design) -> Self {
        let mut made = Self {
            kube: Kube::new(Settings::of_minor(35), Seed(1)),
            firm: Firm::default(),
        };
        for (at, node) in design.nodes().iter().enumerate() {
            let spec = NodeSpec {
                name: node.id.as_str().to_owned(),
                provider: node.provider.clone(),
                region: node.region.clone(),
                zone: node.zone.clone(),
                control_plane: node.is(Role::ControlPlane),
                worker: node.is(Role::Worker),
                capacity: NodeSpec::allocatable(node.capacity),
                taints: design.manifest.spec.node_pools[node.pool].taints.clone(),
            };
            made.kube.add_node(&mut made.firm, at as u16, &spec);
        }
        for workload in &design.manifest.spec.workloads {
            let spec = WorkloadSpec::from(workload);
            made.kube.deploy(&mut made.firm, spec);
        }
        made.kube.settle(&mut made.firm);
        made
    }

    fn run(&mut self, seconds: u64) {
        let until = self.firm.now() + Span::from_secs(seconds);
        while let Some(event) = self.firm.queue.pop_until(until) {
            self.kube.handle(&mut self.firm, event);
        }
    }

    /// All that are to be lost take nothing more; then each goes, and its pods are deleted.
    fn lose(&mut self, lost: &Lost) {
        for node in &lost.nodes {
            self.kube.cordon(*node as u16);
        }
        for node in &lost.nodes {
            let host = *node as u16;
            self.firm.dead.insert(host);
            self.run(80);
            self.kube.out_of_service(&mut self.firm, host);
            self.run(100);
        }
    }

    fn nodes_of(&self, workload: &Workload) -> BTreeMap<usize, u32> {
        let id = self.kube.workload(&workload.name).expect("deployed");
        let mut nodes = BTreeMap::new();
        for host in self.kube.ready_hosts(id) {
            *nodes.entry(usize::from(host)).or_default() += 1;
        }
        nodes
    }
}

pub(super) fn one_of<'a>(stream: &mut Stream, of: &[&'a str]) -> &'a str {
    of[stream.below(of.len() as u64) as usize]
}

fn any_workload(stream: &mut Stream, at: usize) -> Value {
    let mut workload = json!({
        "name": format!("w{at}"), "replicas": stream.below(9),
        "requests": {"cpu": format!("{}m", 100 + stream.below(20) * 100),
                     "memory": format!("{}Mi", 64 + stream.below(40) * 100)},
    });
    if stream.below(3) == 0 {
        workload["prefer"] = json!({"provider": one_of(stream, &["a", "b", "elsewhere"])});
    }
    if stream.below(2) == 0 {
        workload["spread"] = json!({
            "across": one_of(stream, &["node", "zone", "region", "provider"]),
            "maxSkew": 1 + stream.below(3),
            "whenUnsatisfiable": one_of(stream, &["DoNotSchedule", "ScheduleAnyway"]),
        });
    }
    if stream.below(3) == 0 {
        workload["data"] = json!({"size": "10Gi"});
    }
    workload
}

fn any_design(seed: u64) -> (Design, Lost) {
    let mut stream = Seed(seed).stream("design", "draw");
    let names = ["w0", "w1", "w2", "w3", "w4"];
    let pools = 1 + stream.below(5) as usize;
    let pools: Vec<PoolOf<'_>> = names[..pools]
        .iter()
        .map(|name| {
            let provider = one_of(&mut stream, &["a", "b", "c"]);
            let region = one_of(&mut stream, &["fsn1", "nbg1"]);
            let count = 1 + stream.below(3) as u32;
            let cores = 1 + stream.below(8) as u32;
            let effects = ["", "", "", "", "PreferNoSchedule", "NoSchedule"];
            let effect = Some(one_of(&mut stream, &effects)).filter(|effect| !effect.is_empty());
            (*name, provider, region, count, cores, effect)
        })
        .collect();
    let workloads: Vec<Value> = (0..1 + stream.below(4) as usize)
        .map(|at| any_workload(&mut stream, at))
        .collect();
    let design = design(&pools, &json!(workloads), &Value::Null);
    let workers: Vec<usize> = design.with(Role::Worker).collect();
    let nodes = workers.into_iter().filter(|_| stream.below(3) == 0);
    let nodes = nodes.collect();
    let dns = BTreeSet::new();
    (design, Lost { nodes, dns })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn every_pod_is_where_the_simulated_scheduler_puts_it(seed in any::<u64>()) {
        let (design, lost) = any_design(seed);
        let mut loops = Loops::of(&design);
        let before = settled(&design, &Lost::default());
        for (at, workload) in design.manifest.spec.workloads.iter().enumerate() {
            let here = before.nodes_of(at);
            prop_assert_eq!(&here, &loops.nodes_of(workload), "before, {}", &workload.name);
            let placed: u32 = here.values().sum();
            let tally = before.tally(at);
            prop_assert_eq!(tally.running + tally.without_data, placed);
            prop_assert_eq!(tally.pending, workload.replicas - placed);
        }
        let after = before.after(&design, &lost);
        if before.pending() == 0 {
            let mut trial = Trial::of(&before);
            for again in [false, true] {
                let missed = trial.miss(&lost.nodes).is_some();
                prop_assert_eq!(missed, after.pending() > 0, "tried again: {}", again);
            }
        }
        loops.run(60);
        loops.lose(&lost);
        for (at, workload) in design.manifest.spec.workloads.iter().enumerate() {
            let here = after.nodes_of(at);
            prop_assert_eq!(here, loops.nodes_of(workload), "after, {}", &workload.name);
        }
        let pods = before.pods.iter().flatten().zip(after.pods.iter().flatten());
        for (was, is) in pods {
            let stays = was.is_some_and(|node| lost.leaves(node));
            prop_assert!(!stays || was == is, "nothing that runs is moved");
        }
    }
}
