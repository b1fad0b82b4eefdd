//! Exact packing against trying everything.

use super::loops::one_of;
use super::*;
use proptest::prelude::*;
use quorate_engine::random::Seed;

/// Every pod on every node, in turn.
fn by_trying(site: &Site, room: &Room) -> bool {
    let asks = site.asks.iter().enumerate();
    let pods: Vec<usize> = asks
        .flat_map(|(at, ask)| (0..ask.replicas).map(move |_| at))
        .collect();
    let mut on = vec![0usize; pods.len()];
    loop {
        if holds_all(site, room, &pods, &on) {
            return true;
        }
        let Some(turn) = on.iter().position(|node| node + 1 < site.nodes.len()) else {
            return false;
        };
        on[turn] += 1;
        on[..turn].fill(0);
    }
}

fn holds_all(site: &Site, room: &Room, pods: &[usize], on: &[usize]) -> bool {
    let mut free = room.free.clone();
    let mut counts = vec![vec![0u32; site.nodes.len()]; site.asks.len()];
    for (workload, node) in pods.iter().zip(on) {
        let pod = site.asks[*workload].pod;
        let left = free[*node]
            .0
            .checked_sub(pod.0)
            .zip(free[*node].1.checked_sub(pod.1));
        let Some(left) = left.filter(|_| room.open[*node]) else {
            return false;
        };
        free[*node] = left;
        counts[*workload][*node] += 1;
    }
    site.asks.iter().zip(&counts).all(|(ask, counts)| {
        let Some(spread) = ask.strict() else {
            return true;
        };
        let mut places = BTreeMap::<usize, u32>::new();
        for (at, node) in site
            .nodes
            .iter()
            .enumerate()
            .filter(|(at, _)| room.open[*at])
        {
            *places
                .entry(node.labels[spread.across as usize])
                .or_default() += counts[at];
        }
        let most = places.values().max().copied().unwrap_or(0);
        let fewest = places.values().min().copied().unwrap_or(0);
        most - fewest <= spread.max_skew
    })
}

fn small(seed: u64) -> (Design, Lost) {
    let mut stream = Seed(seed).stream("small", "draw");
    let names = ["w0", "w1"];
    let pools = 1 + stream.below(2) as usize;
    let pools: Vec<PoolOf<'_>> = names[..pools]
        .iter()
        .map(|name| {
            let provider = one_of(&mut stream, &["a", "b"]);
            let count = 1 + stream.below(2) as u32;
            (
                *name,
                provider,
                "fsn1",
                count,
                2 + stream.below(3) as u32,
                None,
            )
        })
        .collect();
    let workloads: Vec<Value> = (0..1 + stream.below(3))
        .map(|at| {
            let mut workload = json!({
                "name": format!("w{at}"), "replicas": 1 + stream.below(2),
                "requests": {"cpu": format!("{}m", 200 * (1 + stream.below(14))),
                             "memory": format!("{}Mi", 512 * (1 + stream.below(20)))},
            });
            if stream.below(3) == 0 {
                let across = one_of(&mut stream, &["node", "provider"]);
                workload["spread"] = json!({"across": across});
            }
            workload
        })
        .collect();
    let design = design(&pools, &json!(workloads), &Value::Null);
    let workers: Vec<usize> = design.with(Role::Worker).collect();
    let nodes = workers
        .into_iter()
        .filter(|_| stream.below(5) == 0)
        .collect();
    let dns = BTreeSet::new();
    (design, Lost { nodes, dns })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]
    #[test]
    fn the_search_finds_what_trying_everything_finds(seed in any::<u64>()) {
        let (design, lost) = small(seed);
        let empty = Placement::empty(Site::of(&design), &lost);
        let expected = if by_trying(&empty.site, &empty.room) {
            Packs::Yes
        } else {
            Packs::No
        };
        prop_assert_eq!(packs(&design, &lost, SEARCH_STEPS), expected);
        let placed = settled(&design, &lost);
        let packing = placed.packing();
        match expected {
            Packs::Yes => prop_assert!(matches!(packing, Packing::Yes | Packing::OnlyMoved(_))),
            Packs::No | Packs::Unknown => prop_assert!(matches!(packing, Packing::No(1..))),
        }
    }
}

#[test]
fn what_only_fits_when_moved_is_told_from_what_does_not_fit() {
    // Small pods come first and go on both nodes; then no node has room for the large one.
    let pools = [("w", "a", "fsn1", 2, 4, None)];
    let workloads = |large: &str| {
        json!([
            {"name": "small", "replicas": 2, "requests": {"cpu": "1"}},
            {"name": "large", "replicas": 1, "requests": {"cpu": large}},
        ])
    };
    for (large, expected) in [
        ("2600m", Packing::Yes),
        ("3600m", Packing::OnlyMoved(1)),
        ("3700m", Packing::No(1)),
    ] {
        let design = design(&pools, &workloads(large), &Value::Null);
        let placed = settled(&design, &Lost::default());
        assert_eq!(placed.packing(), expected, "{large}");
    }
    let design = design(&pools, &workloads("3600m"), &Value::Null);
    assert_eq!(packs(&design, &Lost::default(), 3), Packs::Unknown);
}
