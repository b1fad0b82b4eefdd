//! Random faults and operations: the books always balance, and everything heals.

use super::pod::Phase;
use super::*;
use quorate_engine::random::Stream;

/// All that is counted step by step equals what a look at every pod finds.
fn audit(bed: &Bed) {
    let kube = &bed.kube;
    for (at, state) in kube.workloads.iter().enumerate() {
        let pods = || state.pods.iter().map(|id| &kube.pods[id]);
        let live = || pods().filter(|pod| !pod.terminating);
        let ready = live().filter(|pod| pod.ready).count() as u32;
        let pending = live().filter(|pod| pod.host.is_none()).count() as u32;
        let unready = live().count() as u32 - ready - pending;
        let counts = Counts {
            desired: state.spec.replicas,
            ready,
            pending,
            unready,
        };
        assert_eq!(state.counts, counts);
        for (host, node) in kube.nodes.iter().enumerate() {
            let Some(node) = node else { continue };
            let here = || pods().filter(|pod| pod.host == Some(host as u16));
            let placed = here().filter(|pod| !pod.terminating).count();
            let running = here().filter(|pod| pod.phase == Phase::Running).count();
            assert_eq!(node.placed[at] as usize, placed);
            assert_eq!(node.running[at] as usize, running);
        }
    }
    for node in kube.nodes.iter().flatten() {
        let of = |id: &PodId| {
            kube.workloads[usize::from(kube.pods[id].workload.0)]
                .spec
                .requests
        };
        let cpu: u64 = node.pods.iter().map(|id| of(id).cpu.0).sum();
        assert_eq!(node.free_cpu + cpu, node.capacity.cpu.0);
    }
}

/// One volume is never mounted by running containers of two nodes, unless force made it so.
fn no_volume_is_shared(bed: &Bed) {
    let mut users: BTreeMap<(WorkloadId, u32), u16> = BTreeMap::new();
    for pod in bed.kube.pods.values() {
        let alive = pod.host.filter(|host| bed.ground.host_alive(*host));
        if let (Phase::Running, Some(host), Some(volume)) = (pod.phase, alive, pod.volume()) {
            let other = users.insert(volume, host);
            assert!(other.is_none_or(|other| other == host), "{volume:?}");
        }
    }
}

/// Does something; whether it may take a volume from a container that runs.
fn disturb(bed: &mut Bed, draw: &mut Stream) -> bool {
    let host = draw.below(9) as u16;
    let workload = WorkloadId(draw.below(2) as u16);
    let zone = if host < 6 { "a" } else { "b" };
    match draw.below(13) {
        0 | 1 => bed.kill(host),
        2 | 3 if bed.ground.dead.contains(&host) => bed.boot(host),
        2 | 3 => {}
        4 => drop(bed.ground.cut.insert(host)),
        5 => drop(bed.ground.cut.remove(&host)),
        6 => bed.ground.quorum = !bed.ground.quorum,
        7 => bed
            .kube
            .scale(&mut bed.ground, workload, draw.below(9) as u32),
        8 => drop(bed.kube.drain(&mut bed.ground, host)),
        9 => bed.kube.remove_node(&mut bed.ground, host),
        10 if host >= 3 => bed.add(host, zone, false),
        10 => bed.add(host, &format!("cp{host}"), true),
        11 => {
            bed.kube.out_of_service(&mut bed.ground, host);
            return true;
        }
        // A pause: alive again without a boot.
        _ => drop(bed.ground.dead.remove(&host)),
    }
    false
}

#[test]
fn whatever_happens_the_books_balance_and_everything_heals() {
    for seed in 0..150 {
        let mut bed = bed(seed, &[("a", 3), ("b", 3)]);
        bed.deploy(spec("web", 6));
        let data = spec("db", 3);
        bed.deploy(WorkloadSpec { data: true, ..data });
        let mut draw = Seed(seed).stream("chaos", "test");
        let mut forced = false;
        for _ in 0..60 {
            forced |= disturb(&mut bed, &mut draw);
            bed.run(draw.exponential(secs(40)));
            audit(&bed);
            let force = |note: &KubeNote| matches!(note, KubeNote::ForceDetached { .. });
            forced |= !bed.times(force).is_empty();
            if !forced {
                no_volume_is_shared(&bed);
            }
        }
        heal(&mut bed);
        bed.run(secs(1_500));
        audit(&bed);
        no_volume_is_shared(&bed);
        for workload in [WorkloadId(0), WorkloadId(1)] {
            let counts = bed.kube.counts(workload);
            assert_eq!(counts.ready, counts.desired, "seed {seed} {counts:?}");
            assert_eq!(bed.serving(workload), counts.desired, "seed {seed}");
            let hosts = bed.kube.ready_hosts(workload);
            assert!((0..9).all(|via| bed.kube.endpoints(via, workload) == hosts));
        }
    }
}

fn heal(bed: &mut Bed) {
    bed.ground.quorum = true;
    bed.ground.cut.clear();
    for host in 0..9 {
        if bed.ground.dead.contains(&host) {
            bed.boot(host);
        }
        let zone = if host < 6 { "a" } else { "b" };
        if host < 3 {
            bed.add(host, &format!("cp{host}"), true);
        } else {
            bed.add(host, zone, false);
        }
    }
}
