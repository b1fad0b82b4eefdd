//! The checker finds what the planner must never do; and the planner does none of it.

use super::*;
use crate::graph::Desired;
use crate::manifest::{self, Manifest};
use crate::mesh::{MeshKey, PeerFact, Reach, links_print, table_print};
use crate::plan::plan;
use crate::seam::{ClusterView, HostView, Key, MachineState, NodeView, Seen};
use crate::topology::{Roster, Topology};
use std::sync::Arc;

mod random;
mod surge;
mod timing;

const THREE_CLOUDS: &str = include_str!("../../../scenarios/manifests/three-clouds.yaml");

fn three_clouds() -> Arc<Manifest> {
    let loaded = manifest::load(THREE_CLOUDS.as_bytes(), None);
    Arc::new(
        loaded
            .manifest
            .unwrap_or_else(|| panic!("{:#?}", loaded.diagnostics)),
    )
}

fn desired(manifest: &Arc<Manifest>) -> Desired {
    Desired::of(Arc::new(
        Topology::resolve(manifest, &Roster::default()).unwrap(),
    ))
}

fn empty(manifest: &Manifest) -> Observed {
    let mut seen = Observed::default();
    for provider in &manifest.spec.providers {
        seen.providers.insert(provider.name.clone(), Ok(Vec::new()));
    }
    seen
}

/// The world after one step succeeded: a model of the world that knows no time.
fn carry_out(step: &Step, desired: &Desired, seen: &mut Observed) {
    let machine = step.resource.machine();
    match (step.verb, &step.lane) {
        (Verb::Create | Verb::Update, Lane::Provider(name)) => {
            let spec = &step.desired.as_ref().unwrap().spec;
            let addresses: Vec<_> = seen.addresses().into_iter().collect();
            let fingerprint = spec.fingerprint_at(&addresses);
            if step.kind == Kind::Machine {
                seen.hosts.remove(&machine);
            }
            let list = seen.providers.get_mut(&**name).unwrap().as_mut().unwrap();
            list.retain(|other| other.id != step.resource);
            if step.kind == Kind::Machine {
                seen.history.prepared.remove(&step.resource);
            }
            let number = list.len() as u8 + 1 + name.len() as u8 * 16;
            list.push(Seen {
                id: step.resource.clone(),
                kind: step.kind,
                external: step.resource.to_string(),
                fingerprint,
                state: MachineState::Running,
                address: Some([198, 51, name.as_bytes()[0], number].into()),
                private: None,
                host_key: None,
                fields: std::collections::BTreeMap::new(),
            });
        }
        (Verb::Delete, Lane::Provider(name)) => {
            let list = seen.providers.get_mut(&**name).unwrap().as_mut().unwrap();
            list.retain(|other| other.id != step.resource);
            seen.hosts.remove(&machine);
            if step.kind == Kind::Machine {
                seen.history.prepared.remove(&machine);
                seen.history.peers.remove(&machine);
                relink(desired, seen);
            }
        }
        (Verb::Create | Verb::Update, Lane::Hosts) => {
            let spec = &step.desired.as_ref().unwrap().spec;
            install(seen, &machine, step.kind, spec.fingerprint());
            if step.kind == Kind::Peer {
                let key = MeshKey::simulated(&machine, Key(seen.history.peers.len() as u64));
                let peer = PeerFact::new(&machine, spec, key, Reach::default()).unwrap();
                seen.history.peers.insert(machine.clone(), peer);
            }
            if matches!(step.kind, Kind::Peer | Kind::Links) {
                relink(desired, seen);
            }
            if step.kind == Kind::Host {
                seen.history.prepared.insert(machine.clone());
            }
            if step.kind == Kind::Worker {
                join(seen, &machine, false);
                runs_version(seen, &machine, desired);
            }
        }
        (verb, _) => in_cluster(verb, step, desired, seen),
    }
}

/// The executor tells every machine that has links of each change of the mesh.
fn relink(desired: &Desired, seen: &mut Observed) {
    let table = table_print(&seen.history.peers);
    for (machine, host) in &mut seen.hosts {
        let links = desired.get(&machine.child("links"));
        let (Ok(host), Some(links)) = (host, links) else {
            continue;
        };
        let print = links_print(links.spec.fingerprint(), table, machine);
        let installed = host.installed.iter_mut();
        for (_, old) in installed.filter(|(kind, _)| *kind == Kind::Links) {
            *old = print;
        }
    }
}

fn install(seen: &mut Observed, machine: &ResourceId, kind: Kind, print: u64) {
    let host = seen
        .hosts
        .entry(machine.clone())
        .or_insert_with(|| Ok(HostView::default()));
    let installed = &mut host.as_mut().unwrap().installed;
    installed.retain(|(other, _)| *other != kind);
    installed.push((kind, print));
}

fn join(seen: &mut Observed, machine: &ResourceId, control_plane: bool) {
    let cluster = seen.cluster.as_mut().unwrap().as_mut().unwrap();
    if cluster.nodes.iter().any(|node| node.machine == *machine) {
        return;
    }
    cluster.nodes.push(NodeView {
        machine: machine.clone(),
        ready: true,
        schedulable: true,
        control_plane,
        version: String::new(),
        pods: 0,
        load_permille: 0,
    });
}

/// The kubelet of a machine has the version that is wanted.
fn runs_version(seen: &mut Observed, machine: &ResourceId, desired: &Desired) {
    let kubernetes = desired.topology.manifest.spec.kubernetes.as_ref();
    let version = format!("v{}", kubernetes.expect("a node of Kubernetes").version);
    let cluster = seen.cluster.as_mut().unwrap().as_mut().unwrap();
    let nodes = cluster.nodes.iter_mut();
    nodes
        .filter(|node| node.machine == *machine)
        .for_each(|node| node.version.clone_from(&version));
}

fn in_cluster(verb: Verb, step: &Step, desired: &Desired, seen: &mut Observed) {
    let machine = step.resource.machine();
    let print = |name: &str| {
        desired
            .get(&machine.child(name))
            .unwrap()
            .spec
            .fingerprint()
    };
    match (verb, step.kind) {
        (Verb::Init, _) => {
            seen.history.founded = true;
            let members = vec![member(machine.clone(), true)];
            seen.cluster = Some(Ok(ClusterView {
                members,
                ..ClusterView::default()
            }));
            join(seen, &machine, true);
            install(seen, &machine, Kind::EtcdMember, print("etcd"));
        }
        (Verb::Create | Verb::Update, Kind::ControlPlane) => {
            install(seen, &machine, Kind::ControlPlane, print("control-plane"));
            join(seen, &machine, true);
            runs_version(seen, &machine, desired);
        }
        (Verb::Update, Kind::EtcdMember) => {
            install(seen, &machine, Kind::EtcdMember, print("etcd"));
        }
        (Verb::Create, Kind::StoragePool) => {
            let print = step.desired.as_ref().unwrap().spec.fingerprint();
            seen.cluster.as_mut().unwrap().as_mut().unwrap().storage = Some(print);
        }
        (Verb::Delete, _) => {
            let cluster = seen.cluster.as_mut().unwrap().as_mut().unwrap();
            cluster.nodes.retain(|node| node.machine != machine);
        }
        _ => {
            if verb == Verb::AddLearner {
                install(seen, &machine, Kind::EtcdMember, print("etcd"));
            }
            if let Some(change) = &step.change {
                project(
                    change,
                    &mut seen.cluster.as_mut().unwrap().as_mut().unwrap().members,
                );
            }
        }
    }
}

const VERSION: EtcdVersion = EtcdVersion::new(3, 6, 11);
const POLICY: Policy = Policy {
    declared: 3,
    scale_down: false,
    force: false,
};

fn built(manifest: &Arc<Manifest>) -> Observed {
    let mut seen = empty(manifest);
    run(&desired(manifest), &mut seen);
    seen
}

/// Plans, checks and carries out; what comes out is the plan.
fn run(desired: &Desired, seen: &mut Observed) -> Plan {
    let plan = plan(desired, seen);
    assert_eq!(check(&plan, seen, VERSION, &POLICY), []);
    for step in &plan.steps {
        carry_out(step, desired, seen);
    }
    plan
}

#[test]
fn a_cluster_that_was_built_needs_nothing_more() {
    let manifest = three_clouds();
    let mut seen = empty(&manifest);
    let first = run(&desired(&manifest), &mut seen);
    assert!(first.steps.len() > 60, "{}", first.steps.len());
    let second = plan(&desired(&manifest), &seen);
    assert_eq!(titles(&second), Vec::<String>::new());
    assert_eq!(second.held, []);
}

#[test]
fn every_prefix_of_a_build_leads_to_the_same_world() {
    let manifest = three_clouds();
    let desired = desired(&manifest);
    let whole = plan(&desired, &empty(&manifest));
    let end = built(&manifest);
    for cut in 0..whole.steps.len() {
        let mut seen = empty(&manifest);
        for step in &whole.steps[..cut] {
            carry_out(step, &desired, &mut seen);
        }
        run(&desired, &mut seen);
        assert_eq!(
            titles(&plan(&desired, &seen)),
            Vec::<String>::new(),
            "cut at {cut}"
        );
        assert_eq!(seen.cluster().unwrap().members.len(), 3, "cut at {cut}");
        let ids = |seen: &Observed| {
            seen.listed()
                .map(|(_, seen)| seen.id.clone())
                .collect::<BTreeSet<_>>()
        };
        assert_eq!(ids(&seen), ids(&end), "cut at {cut}");
    }
}

fn plan_of(desired: &Desired, seen: &Observed) -> Plan {
    plan(desired, seen)
}

fn titles(plan: &Plan) -> Vec<String> {
    plan.steps.iter().map(Step::title).collect()
}

#[test]
fn a_lost_control_plane_leaves_etcd_before_it_is_made_again() {
    let manifest = three_clouds();
    let desired = desired(&manifest);
    let mut seen = built(&manifest);
    let lost = ResourceId::new("shop/control-gcp/1");
    seen.providers
        .get_mut("gcp")
        .unwrap()
        .as_mut()
        .unwrap()
        .retain(|m| m.id != lost);
    seen.hosts.insert(
        lost.clone(),
        Err(crate::seam::Fault::new(
            crate::seam::FaultClass::Retryable,
            "no ssh",
        )),
    );
    let cluster = seen.cluster.as_mut().unwrap().as_mut().unwrap();
    cluster
        .members
        .iter_mut()
        .filter(|m| m.machine == lost)
        .for_each(|m| m.healthy = false);
    cluster
        .nodes
        .iter_mut()
        .filter(|n| n.machine == lost)
        .for_each(|n| n.ready = false);
    let plan = run(&desired, &mut seen);
    let titles = titles(&plan);
    let at = |title: &str| {
        titles
            .iter()
            .position(|t| t == title)
            .unwrap_or_else(|| panic!("{title}: {titles:#?}"))
    };
    assert!(at("remove-member shop/control-gcp/1/etcd") < at("create shop/control-gcp/1"));
    assert!(at("create shop/control-gcp/1") < at("add-learner shop/control-gcp/1/etcd"));
    assert_eq!(
        plan.steps[0].slack.map(|s| (s.voters, s.healthy)),
        Some((2, 2))
    );
}

fn with_version(manifest: &Arc<Manifest>, version: &str) -> Arc<Manifest> {
    let mut manifest = Manifest::clone(manifest);
    manifest.spec.kubernetes.as_mut().unwrap().version = version.to_owned();
    Arc::new(manifest)
}

#[test]
fn an_upgrade_goes_one_control_plane_at_a_time_and_then_through_the_workers() {
    let old = three_clouds();
    let version = old.spec.kubernetes.as_ref().unwrap().version.clone();
    let (major, minor) = version.split_once('.').unwrap();
    let minor: u32 = minor.split('.').next().unwrap().parse().unwrap();
    let new = with_version(&old, &format!("{major}.{}.0", minor + 1));
    let mut seen = built(&old);
    let plan = run(&desired(&new), &mut seen);
    let find = |verb: Verb, kind: Kind| {
        let steps = plan.steps.iter().enumerate();
        let fits = steps.filter(|(_, step)| step.verb == verb && step.kind == kind);
        fits.map(|(at, _)| at as u32).collect::<Vec<_>>()
    };
    let planes = find(Verb::Update, Kind::ControlPlane);
    assert_eq!(planes.len(), 3, "{:#?}", titles(&plan));
    let later = |at: u32, before: u32| plan.steps[at as usize].after.contains(&before);
    for pair in planes.windows(2) {
        let hand_over = find(Verb::MoveLeader, Kind::EtcdMember);
        let between = hand_over.iter().find(|at| later(pair[1], **at));
        assert!(later(*between.unwrap(), pair[0]), "{:#?}", titles(&plan));
    }
    let judged = |at: &u32| {
        let change = plan.steps[*at as usize].change.as_ref();
        matches!(change, Some(MemberChange::Restart(_)))
    };
    assert!(
        planes.iter().all(judged),
        "the quorum guard sees each of them"
    );
    let (drains, workers) = (
        find(Verb::Drain, Kind::Worker),
        find(Verb::Update, Kind::Worker),
    );
    assert_eq!(drains.len(), workers.len());
    assert!(drains.iter().all(|at| later(*at, planes[2])));
    assert!(
        workers
            .iter()
            .all(|at| drains.iter().any(|drain| later(*at, *drain))),
        "no worker changes before its pods are away"
    );
    assert_eq!(
        titles(&plan_of(&desired(&new), &seen)),
        Vec::<String>::new()
    );
    // Two minor versions at once, or back: nothing of it is done, and why is said.
    for version in [format!("{major}.{}.0", minor + 3), version] {
        let plan = plan_of(&desired(&with_version(&old, &version)), &seen);
        assert_eq!(titles(&plan), Vec::<String>::new(), "{version}");
        assert!(
            plan.held
                .iter()
                .any(|held| held.reason.contains("control planes run"))
        );
    }
}

#[test]
fn control_planes_are_left_as_they_are_while_a_member_is_away() {
    let old = three_clouds();
    let mut seen = built(&old);
    let mut manifest = Manifest::clone(&old);
    let kubernetes = manifest.spec.kubernetes.as_mut().unwrap();
    kubernetes.cert_sans.push("kube.example.com".to_owned());
    let manifest = Arc::new(manifest);
    let cluster = seen.cluster.as_mut().unwrap().as_mut().unwrap();
    cluster.members[1].healthy = false;
    let plan = plan(&desired(&manifest), &seen);
    let touched = plan
        .steps
        .iter()
        .any(|step| step.kind == Kind::ControlPlane);
    assert!(!touched, "{:#?}", titles(&plan));
    assert!(plan.held.iter().any(|held| held.reason.contains("healthy")));
}

#[test]
fn a_provider_whose_api_errs_is_left_alone() {
    let manifest = three_clouds();
    let desired = desired(&manifest);
    let mut seen = built(&manifest);
    let fault = crate::seam::Fault::new(crate::seam::FaultClass::Retryable, "503");
    seen.providers.insert("aws".to_owned(), Err(fault.clone()));
    let machines: Vec<_> = seen
        .hosts
        .keys()
        .filter(|id| id.as_str().contains("aws"))
        .cloned()
        .collect();
    assert_eq!(
        titles(&plan(&desired, &seen)),
        Vec::<String>::new(),
        "they still answer"
    );
    for machine in machines {
        seen.hosts.insert(machine, Err(fault.clone()));
    }
    let plan = plan(&desired, &seen);
    assert_eq!(titles(&plan), Vec::<String>::new());
    assert!(
        plan.held
            .iter()
            .any(|held| held.reason.contains("the API of aws")),
        "{:?}",
        plan.held
    );
}

#[test]
fn a_migration_takes_the_new_member_in_before_the_old_one_leaves() {
    let manifest = three_clouds();
    let mut seen = built(&manifest);
    let mut moved = (*manifest).clone();
    for pool in &mut moved.spec.node_pools {
        if pool.name == "control-gcp" {
            pool.name = "control-new".to_owned();
        }
    }
    let moved = Arc::new(moved);
    let plan = run(&desired(&moved), &mut seen);
    let titles = titles(&plan);
    let at = |title: &str| titles.iter().position(|t| t == title).expect(title);
    assert!(at("promote shop/control-new/1/etcd") < at("move-leader shop/control-gcp/1/etcd"));
    assert!(at("remove-member shop/control-gcp/1/etcd") < at("delete shop/control-gcp/1"));
    let slacks: Vec<_> = plan.steps.iter().filter_map(|step| step.slack).collect();
    assert!(
        slacks.iter().all(|slack| slack.tolerance() >= 1),
        "{slacks:?}"
    );
    assert_eq!(
        self::titles(&super::super::plan::plan(&desired(&moved), &seen)),
        [""; 0]
    );
}

/// Spoils a good plan in one way, and expects the checker to say so.
fn spoiled(expected: &str, spoil: impl FnOnce(&mut Plan, &mut Observed)) {
    let manifest = three_clouds();
    let mut seen = empty(&manifest);
    let mut plan = plan(&desired(&manifest), &seen);
    spoil(&mut plan, &mut seen);
    let problems = check(&plan, &seen, VERSION, &POLICY);
    let found = problems
        .iter()
        .any(|problem| problem.text.contains(expected));
    assert!(found, "expected `{expected}` in {problems:#?}");
}

fn find(plan: &Plan, verb: Verb, kind: Kind) -> usize {
    plan.steps
        .iter()
        .position(|step| step.verb == verb && step.kind == kind)
        .unwrap()
}

#[test]
fn a_spoiled_plan_is_found_out() {
    spoiled("which is not before it", |plan, _| {
        plan.steps[3].after.push(9)
    });
    spoiled("does not wait for", |plan, _| {
        let peer = find(plan, Verb::Create, Kind::Peer);
        plan.steps[peer].after.clear();
    });
    spoiled("which nothing makes", |plan, _| {
        let host = find(plan, Verb::Create, Kind::Host);
        plan.steps[host].verb = Verb::Delete;
    });
    spoiled("stands twice", |plan, _| {
        let again = plan.steps[0].clone();
        plan.steps.push(again);
    });
    spoiled("may run beside", |plan, _| {
        let add = find(plan, Verb::AddLearner, Kind::EtcdMember);
        plan.steps[add].after.clear();
        plan.steps[add].settled.clear();
    });
    spoiled("founded a second time", |_, seen| {
        seen.history.founded = true
    });
    spoiled("which did not answer", |_, seen| {
        let fault = crate::seam::Fault::new(crate::seam::FaultClass::Retryable, "503");
        seen.providers.insert("htz".to_owned(), Err(fault));
    });
    spoiled("still a learner", |plan, _| {
        let promote = find(plan, Verb::Promote, Kind::EtcdMember);
        plan.steps[promote].change = None;
    });
    spoiled("nobody lists it", |plan, _| {
        let create = find(plan, Verb::Create, Kind::Machine);
        plan.steps[create].verb = Verb::Delete;
    });
}

#[test]
fn a_machine_that_has_to_stay_is_no_reason_to_tell_the_others() {
    let manifest = three_clouds();
    let desired = desired(&manifest);
    let mut seen = built(&manifest);
    let list = seen.providers.get_mut("htz").unwrap().as_mut().unwrap();
    let machine = list.iter().find(|seen| seen.kind == Kind::Machine);
    let mut stray = machine.expect("it was built").clone();
    stray.id = ResourceId::new("shop/workers-htz/99");
    list.push(stray.clone());
    let told = |plan: &Plan| {
        let dormant = |step: &&Step| step.until == Some(crate::plan::Until::Outdated);
        plan.steps.iter().filter(dormant).count()
    };
    let leaves = plan(&desired, &seen);
    assert_eq!(told(&leaves), desired.topology.nodes.len());
    seen.cluster = Some(Err(crate::seam::Fault::new(
        crate::seam::FaultClass::Retryable,
        "refused",
    )));
    let stays = plan(&desired, &seen);
    assert_eq!(
        titles(&stays),
        [""; 0],
        "else it would be complete again and again"
    );
    assert!(stays.held.iter().any(|held| held.resource == stray.id));
}
