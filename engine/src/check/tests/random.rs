//! Random clusters, random losses, random orders: a plan is sound, its end is what was asked for,
//! and from there nothing is left to do.

use super::{THREE_CLOUDS, carry_out, desired, empty, titles};
use crate::check::check;
use crate::graph::Desired;
use crate::manifest::{self, Manifest, Role};
use crate::observed::Observed;
use crate::plan::{Plan, plan};
use crate::quorum::{EtcdVersion, Policy, quorum, slack};
use crate::random::Seed;
use crate::resource::{Kind, ResourceId};
use crate::seam::{Fault, FaultClass, MachineState};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

/// Providers of the random clusters: name, type, region, machine type.
const PLACES: [[&str; 4]; 4] = [
    ["htz", "hetzner", "fsn1", "cx33"],
    ["aws", "aws", "eu-central-1", "t3.large"],
    ["gcp", "gcp", "europe-west3", "e2-standard-2"],
    ["az", "azure", "germanywestcentral", "Standard_D2s_v5"],
];

/// One version for each of etcd's two rules for adding a member.
const VERSIONS: [EtcdVersion; 2] = [EtcdVersion::new(3, 5, 9), EtcdVersion::new(3, 6, 11)];

/// How many nodes of each role stand at each place.
#[derive(Debug, Clone)]
struct Shape {
    control: [u32; 4],
    workers: [u32; 4],
    balancers: [u32; 4],
    storage: bool,
}

fn shapes() -> impl Strategy<Value = Shape> {
    let control = prop::array::uniform4(0u32..=3).prop_filter("one to seven members", |n| {
        (1..=7).contains(&n.iter().sum::<u32>())
    });
    let others = (
        prop::array::uniform4(0u32..=2),
        prop::array::uniform4(0u32..=2),
    );
    (control, others, any::<bool>()).prop_map(|(control, (workers, balancers), storage)| Shape {
        control,
        workers,
        balancers,
        storage,
    })
}

impl Shape {
    fn manifest(&self) -> Arc<Manifest> {
        let text = self.text();
        let loaded = manifest::load(text.as_bytes(), None);
        let found = loaded.diagnostics;
        Arc::new(
            loaded
                .manifest
                .unwrap_or_else(|| panic!("{found:#?}\n{text}")),
        )
    }

    fn text(&self) -> String {
        let mut text =
            "apiVersion: quorate.dev/v1\nkind: Cluster\nmetadata: { name: shop }\nspec:\n  \
            kubernetes: { version: 1.35.2, cni: { name: cilium, mtu: auto }, \
            podCidr: 10.244.0.0/16, serviceCidr: 10.96.0.0/12 }\n  providers:\n"
                .to_owned();
        for (index, [name, kind, ..]) in PLACES.iter().enumerate() {
            let row = format!(
                "  - {{ name: {name}, type: {kind}, credentials: {{ env: TOKEN }}, \
                 networkCidr: 10.{}.0.0/16 }}\n",
                10 + index
            );
            text.push_str(&row);
        }
        text.push_str("  - { name: cf, type: cloudflare, credentials: { env: TOKEN } }\n");
        text.push_str("  nodePools:\n");
        let roles = [
            ("control-plane", self.control),
            ("worker", self.workers),
            ("load-balancer", self.balancers),
        ];
        let mut balancing = Vec::new();
        for (role, counts) in roles {
            for (count, [name, _, region, machine]) in counts.into_iter().zip(PLACES) {
                if count == 0 {
                    continue;
                }
                let pool = format!("{}-{name}", &role[..4]);
                let _ = writeln!(
                    text,
                    "  - {{ name: {pool}, provider: {name}, region: {region}, machineType: \
                     {machine}, image: ubuntu, count: {count}, roles: [{role}] }}"
                );
                if role == "load-balancer" {
                    balancing.push(pool);
                }
            }
        }
        text.push_str("  mesh: { cidr: 10.88.0.0/16, port: 51820, mtu: auto, keepalive: 25s }\n");
        if !balancing.is_empty() {
            let _ = writeln!(
                text,
                "  loadBalancers:\n  - {{ name: api, pools: [{}], roles: [{{ name: api, kind: \
                 api, port: 6443 }}] }}\n  dns:\n  - {{ provider: cf, zone: example.com, \
                 hostname: api, loadBalancer: api, ttl: 60s }}",
                balancing.join(", ")
            );
        }
        if self.storage {
            text.push_str("  storage: { engine: longhorn, replicas: 1, spread: provider }\n");
        }
        text
    }
}

/// What a controller asks for beyond etcd's rules.
fn policy(manifest: &Arc<Manifest>, seen: &Observed) -> Policy {
    let declared = desired(manifest).topology.with(Role::ControlPlane).count() as u32;
    let members = seen.cluster().map_or(&[][..], |cluster| &cluster.members);
    Policy {
        declared,
        scale_down: declared < slack(members).voters,
        force: false,
    }
}

/// Carries a number of steps of a plan out, in a random order that its dependencies allow. etcd
/// keeps a quorum all the time.
fn carried_out(plan: &Plan, desired: &Desired, seen: &mut Observed, seed: u64, steps: usize) {
    let mut luck = Seed(seed).stream("plan", "order");
    let mut done = BTreeSet::new();
    while done.len() < steps {
        let free: Vec<usize> = (0..plan.steps.len())
            .filter(|at| !done.contains(&(*at as u32)))
            .filter(|at| {
                let step = &plan.steps[*at];
                let mut before = step.after.iter().chain(&step.settled);
                before.all(|dep| done.contains(dep))
            })
            .collect();
        let next = free[luck.below(free.len() as u64) as usize];
        carry_out(&plan.steps[next], desired, seen);
        done.insert(next as u32);
        if let Some(cluster) = seen.cluster() {
            let slack = slack(&cluster.members);
            let title = plan.steps[next].title();
            assert!(slack.healthy >= quorum(slack.voters), "{title}: {slack:?}");
        }
    }
}

/// Plans, checks, carries out in some order.
fn round(
    manifest: &Arc<Manifest>,
    seen: &mut Observed,
    version: EtcdVersion,
    seed: u64,
) -> Result<Plan, TestCaseError> {
    let desired = desired(manifest);
    let plan = plan(&desired, seen);
    let problems = check(&plan, seen, version, &policy(manifest, seen));
    prop_assert_eq!(problems, [], "{:#?}", titles(&plan));
    carried_out(&plan, &desired, seen, seed, plan.steps.len());
    Ok(plan)
}

/// Nothing is left to do, and the truth is what was asked for.
fn settled(manifest: &Arc<Manifest>, seen: &Observed) -> Result<(), TestCaseError> {
    let desired = desired(manifest);
    let left = plan(&desired, seen);
    prop_assert_eq!(titles(&left), Vec::<String>::new());
    prop_assert_eq!(left.held, []);
    let listed: BTreeSet<ResourceId> = seen.listed().map(|(_, seen)| seen.id.clone()).collect();
    let ours = desired.resources().filter(|r| r.spec.kind().at_provider());
    let wanted: BTreeSet<ResourceId> = ours.map(|r| r.id.clone()).collect();
    prop_assert_eq!(listed, wanted, "no more and no less than was asked for");
    let members = &seen.cluster().expect("there is a cluster").members;
    let voters: BTreeSet<&ResourceId> = members.iter().map(|m| &m.machine).collect();
    let wanted: BTreeSet<_> = desired
        .topology
        .with(Role::ControlPlane)
        .map(|node| &node.id)
        .collect();
    prop_assert_eq!(voters, wanted);
    prop_assert!(members.iter().all(|member| !member.learner));
    Ok(())
}

/// How a machine is lost: not listed any more, shown as stopped, or silent beyond the patience.
fn lose(seen: &mut Observed, machine: &ResourceId, how: u8) {
    for list in seen.providers.values_mut().flatten() {
        match how % 3 {
            0 => list.retain(|other| other.id != *machine),
            1 => list
                .iter_mut()
                .filter(|other| other.id == *machine)
                .for_each(|other| other.state = MachineState::Stopped),
            _ => {}
        }
    }
    if how % 3 == 2 {
        seen.history.lost.insert(machine.clone());
    }
    let silent = Fault::new(FaultClass::Retryable, "no ssh");
    seen.hosts.insert(machine.clone(), Err(silent));
    let Some(Ok(cluster)) = &mut seen.cluster else {
        return;
    };
    for member in &mut cluster.members {
        if member.machine == *machine {
            (member.healthy, member.leader) = (false, false);
        }
    }
    for node in &mut cluster.nodes {
        node.ready &= node.machine != *machine;
    }
}

fn machines(seen: &Observed) -> Vec<ResourceId> {
    let machines = seen.listed().filter(|(_, seen)| seen.kind == Kind::Machine);
    machines.map(|(_, seen)| seen.id.clone()).collect()
}

/// A leader among the healthy, if they are enough; else a cluster that does not answer.
fn elect(seen: &mut Observed) {
    let Some(Ok(cluster)) = &mut seen.cluster else {
        return;
    };
    let slack = slack(&cluster.members);
    if slack.healthy < quorum(slack.voters) {
        seen.cluster = Some(Err(Fault::new(FaultClass::Retryable, "no leader")));
        return;
    }
    if !cluster.members.iter().any(|member| member.leader) {
        let healthy = cluster.members.iter_mut().find(|member| member.healthy);
        healthy.expect("a quorum is healthy").leader = true;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_graph_of_any_manifest_is_closed_and_ordered(shape in shapes()) {
        let desired = desired(&shape.manifest());
        let mut built = BTreeSet::new();
        let mut open: Vec<ResourceId> = desired.resources().map(|r| r.id.clone()).collect();
        while !open.is_empty() {
            let before = open.len();
            open.retain(|id| {
                let free = desired.needs(id).into_iter().all(|need| built.contains(need));
                if free {
                    built.insert(id.clone());
                }
                !free
            });
            prop_assert!(open.len() < before, "a cycle, or a need that is nowhere: {:?}", open);
        }
    }

    #[test]
    fn any_cluster_is_built_in_any_order(shape in shapes(), seed: u64, version in 0usize..2) {
        let manifest = shape.manifest();
        let mut seen = empty(&manifest);
        round(&manifest, &mut seen, VERSIONS[version], seed)?;
        settled(&manifest, &seen)?;
    }

    #[test]
    fn any_cluster_becomes_any_other(
        from in shapes(),
        to in shapes(),
        seed: u64,
        version in 0usize..2,
    ) {
        let (from, to) = (from.manifest(), to.manifest());
        let mut seen = empty(&from);
        round(&from, &mut seen, VERSIONS[version], seed)?;
        for turn in 0..2 {
            round(&to, &mut seen, VERSIONS[version], seed ^ turn)?;
        }
        settled(&to, &seen)?;
    }

    #[test]
    fn a_build_cut_off_anywhere_becomes_any_other_cluster(
        from in shapes(),
        to in shapes(),
        seed: u64,
        cut: prop::sample::Index,
        version in 0usize..2,
    ) {
        let (from, to) = (from.manifest(), to.manifest());
        let mut seen = empty(&from);
        let begun = plan(&desired(&from), &seen);
        carried_out(&begun, &desired(&from), &mut seen, seed, cut.index(begun.steps.len()));
        for turn in 0..3 {
            round(&to, &mut seen, VERSIONS[version], seed ^ turn)?;
        }
        settled(&to, &seen)?;
    }

    #[test]
    fn lost_machines_are_made_again_while_a_quorum_lives(
        shape in shapes(),
        lost in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        seed: u64,
        version in 0usize..2,
    ) {
        let (manifest, version) = (shape.manifest(), VERSIONS[version]);
        let mut seen = empty(&manifest);
        round(&manifest, &mut seen, version, seed)?;
        let all = machines(&seen);
        for (which, how) in lost {
            lose(&mut seen, which.get(&all), how);
        }
        elect(&mut seen);
        if seen.cluster().is_none() {
            let plan = plan(&desired(&manifest), &seen);
            prop_assert_eq!(check(&plan, &seen, version, &policy(&manifest, &seen)), []);
            let changes = plan.steps.iter().filter(|step| step.change.is_some()).count();
            prop_assert_eq!(changes, 0, "without a quorum nobody touches the membership");
            return Ok(());
        }
        for turn in 0..4 {
            round(&manifest, &mut seen, version, seed ^ turn)?;
        }
        let left = plan(&desired(&manifest), &seen);
        if left.held.is_empty() {
            settled(&manifest, &seen)?;
        }
        prop_assert_eq!(titles(&left), Vec::<String>::new(), "what is held is left alone");
    }
}

#[test]
fn the_random_manifests_look_like_real_ones() {
    let loaded = manifest::load(THREE_CLOUDS.as_bytes(), None);
    let real = desired(&Arc::new(loaded.manifest.expect("it is sound")));
    let kinds = |desired: &Desired| -> BTreeSet<Kind> {
        desired.resources().map(|r| r.spec.kind()).collect()
    };
    let shape = Shape {
        control: [1; 4],
        workers: [1; 4],
        balancers: [1; 4],
        storage: true,
    };
    let random = desired(&shape.manifest());
    assert_eq!(kinds(&random), kinds(&real));
}
