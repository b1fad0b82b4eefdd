//! Planning: from a manifest to a checked plan, for a cluster that does not exist yet and for one
//! that is as desired. Prints one line for one size; `bench/plan` runs each in its own process,
//! because the peak of memory is a process's.
//!
//! The cluster: three control planes and three load balancers in three clouds, workers in all of
//! them; reading the manifest's text is not counted, all else from manifest to checked plan is.

use quorate_bench::{median, peak_rss_bytes};
use quorate_engine::check::check;
use quorate_engine::engine::etcd_version;
use quorate_engine::graph::Desired;
use quorate_engine::manifest::{Manifest, Role};
use quorate_engine::mesh::{MeshKey, PeerFact, Reach, links_print, table_print};
use quorate_engine::observed::Observed;
use quorate_engine::plan::{Plan, plan};
use quorate_engine::quorum::Policy;
use quorate_engine::resource::{Kind, ResourceId};
use quorate_engine::seam::{ClusterView, HostView, Key, MachineState, MemberView, NodeView, Seen};
use quorate_engine::topology::{Node, Roster, Topology};
use serde_json::json;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Runs at least, and for how long at least.
const RUNS: usize = 3;
const WALL: Duration = Duration::from_millis(500);
/// Nodes that are no workers.
const OTHERS: u32 = 6;
const CLOUDS: [(&str, &str, &str); 3] = [
    ("htz", "hetzner", "fsn1"),
    ("aws", "aws", "eu-central-1"),
    ("gcp", "gcp", "europe-west3"),
];

fn manifest(nodes: u32) -> Arc<Manifest> {
    let workers = nodes - OTHERS;
    let cloud = |(name, kind, _): &(&str, &str, &str)| json!({"name": name, "type": kind});
    let mut providers: Vec<_> = CLOUDS.iter().map(cloud).collect();
    providers.push(json!({"name": "cf", "type": "cloudflare"}));
    let mut pools = Vec::new();
    for (index, (name, _, region)) in CLOUDS.iter().enumerate() {
        let share = (workers + index as u32) / CLOUDS.len() as u32;
        for (role, count) in [
            ("control-plane", 1),
            ("load-balancer", 1),
            ("worker", share),
        ] {
            pools.push(json!({
                "name": format!("{role}-{name}"), "provider": name, "region": region,
                "count": count, "machineType": "medium", "image": "debian-12", "roles": [role]
            }));
        }
    }
    let entries: Vec<_> = CLOUDS
        .iter()
        .map(|cloud| format!("load-balancer-{}", cloud.0))
        .collect();
    let role =
        |name: &str, kind: &str, port: u16| json!({"name": name, "kind": kind, "port": port});
    let balancer = |name: &str, role| json!({"name": name, "pools": &entries, "roles": [role]});
    let record = |name: &str| {
        json!({"provider": "cf", "zone": "example.com", "hostname": name, "loadBalancer": name,
               "ttl": "60s"})
    };
    let manifest = json!({
        "apiVersion": "quorate.dev/v1", "kind": "Cluster", "metadata": {"name": "shop"},
        "spec": {
            "kubernetes": {"version": "1.35.2"}, "providers": providers, "nodePools": pools,
            "mesh": {"cidr": "10.64.0.0/12"},
            "loadBalancers": [balancer("api", role("api", "api", 6443)),
                              balancer("web", role("https", "ingress", 443))],
            "dns": [record("api"), record("web")],
            "storage": {"engine": "longhorn", "replicas": 3, "spread": "provider"},
        }
    });
    Arc::new(serde_json::from_value(manifest).expect("a valid manifest"))
}

/// Resolves, plans and checks, as the engine does with what it has seen.
fn planned(manifest: &Arc<Manifest>, roster: &Roster, seen: &Observed) -> (Desired, Plan) {
    let topology = Topology::resolve(manifest, roster).expect("the mesh is large enough");
    let desired = Desired::of(Arc::new(topology));
    let plan = plan(&desired, seen);
    let policy = Policy {
        declared: desired.topology.with(Role::ControlPlane).count() as u32,
        scale_down: false,
        force: false,
    };
    let problems = check(&plan, seen, etcd_version(manifest), &policy);
    assert!(problems.is_empty(), "an unsound plan: {problems:?}");
    (desired, plan)
}

/// What would be seen of a cluster that is as desired.
fn built(desired: &Desired) -> Observed {
    let mut seen = Observed::default();
    let topology = &desired.topology;
    let address =
        |node: &Node| Ipv4Addr::from(0xCB00_0000 + u32::from(node.mesh_address) % 0xFF_FFFF);
    let public: BTreeMap<&ResourceId, Ipv4Addr> = topology
        .nodes
        .iter()
        .map(|node| (&node.id, address(node)))
        .collect();
    for provider in &topology.manifest.spec.providers {
        seen.providers.insert(provider.name.clone(), Ok(Vec::new()));
    }
    let mut cluster = ClusterView::default();
    for node in &topology.nodes {
        seen.hosts.insert(node.id.clone(), Ok(HostView::default()));
        seen.history.prepared.insert(node.id.clone());
        let control_plane = node.is(Role::ControlPlane);
        if control_plane {
            cluster.members.push(MemberView {
                machine: node.id.clone(),
                learner: false,
                started: true,
                healthy: true,
                leader: cluster.members.is_empty(),
            });
        }
        if control_plane || node.is(Role::Worker) {
            cluster.nodes.push(NodeView {
                machine: node.id.clone(),
                ready: true,
                schedulable: true,
                control_plane,
                version: String::new(),
                pods: 10,
                load_permille: 500,
            });
        }
    }
    seen.history.founded = true;
    seen.history.founder = cluster.members.first().map(|member| member.machine.clone());
    seen.cluster = Some(Ok(cluster));
    show_resources(desired, &public, &mut seen);
    seen
}

/// Shows each resource where it would be seen: listed, on its machine, or in the cluster.
fn show_resources(
    desired: &Desired,
    public: &BTreeMap<&ResourceId, Ipv4Addr>,
    seen: &mut Observed,
) {
    for resource in desired.resources() {
        let machine = resource.id.machine();
        let key = MeshKey::simulated(&machine, Key(1));
        let reach = Reach::default();
        if let Some(peer) = PeerFact::new(&machine, &resource.spec, key, reach) {
            seen.history.peers.insert(machine, peer);
        }
    }
    let table = table_print(&seen.history.peers);
    for resource in desired.resources() {
        let kind = resource.spec.kind();
        let referred = resource.spec.refers_to().iter();
        let addresses: Vec<_> = referred.map(|id| (id.clone(), public[id])).collect();
        let machine = resource.id.machine();
        let fingerprint = match kind {
            Kind::Links => links_print(resource.spec.fingerprint(), table, &machine),
            _ => resource.spec.fingerprint_at(&addresses),
        };
        if kind.at_provider() {
            let list = seen
                .providers
                .get_mut(&resource.provider)
                .expect("it was asked");
            list.as_mut().expect("it answered").push(Seen {
                id: resource.id.clone(),
                kind,
                external: String::new(),
                fingerprint,
                state: MachineState::Running,
                address: public.get(&resource.id).copied(),
                private: None,
                host_key: None,
                fields: BTreeMap::new(),
            });
        } else if kind == Kind::StoragePool {
            let cluster = seen.cluster.as_mut().expect("it was asked");
            cluster.as_mut().expect("it answered").storage = Some(fingerprint);
        } else {
            let host = seen
                .hosts
                .get_mut(&resource.id.machine())
                .expect("its host answers");
            host.as_mut()
                .expect("it answers")
                .installed
                .push((kind, fingerprint));
        }
    }
}

/// Median wall time of enough runs, in seconds.
fn timed(mut what: impl FnMut()) -> f64 {
    let begun = Instant::now();
    let mut runs = Vec::new();
    while runs.len() < RUNS || begun.elapsed() < WALL {
        let start = Instant::now();
        what();
        runs.push(start.elapsed().as_secs_f64());
    }
    median(runs)
}

fn run(nodes: u32) -> String {
    let manifest = manifest(nodes);
    let nothing = Observed::default();
    let (desired, plan) = planned(&manifest, &Roster::default(), &nothing);
    assert_eq!(desired.topology.nodes.len(), nodes as usize);
    let steps = plan.steps.len();
    drop(plan);
    let first_s = timed(|| {
        let (_, plan) = planned(&manifest, &Roster::default(), &nothing);
        assert_eq!(plan.steps.len(), steps, "the same manifest, another plan");
    });
    let first_rss = peak_rss_bytes();
    let seen = built(&desired);
    let roster = Roster {
        existing: seen.history.prepared.clone(),
        addresses: desired.topology.allocated.iter().cloned().collect(),
        ..Roster::default()
    };
    let again_s = timed(|| {
        let (_, plan) = planned(&manifest, &roster, &seen);
        assert!(
            plan.is_empty(),
            "{} steps in a world as desired",
            plan.steps.len()
        );
    });
    let resources = desired.resources().count();
    format!(
        "{nodes} {resources} {steps} {first_s:.6} {first_rss} {again_s:.6} {}",
        peak_rss_bytes()
    )
}

fn main() -> ExitCode {
    let nodes = std::env::args().nth(1).and_then(|text| text.parse().ok());
    match nodes {
        Some(nodes @ 9..=1_000_000) => {
            println!("{}", run(nodes));
            ExitCode::SUCCESS
        }
        Some(_) | None => {
            eprintln!("expected: the number of nodes, 9 to 1000000");
            ExitCode::FAILURE
        }
    }
}
