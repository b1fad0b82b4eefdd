//! A design as the scheduler sees it: nodes with their room and places, and what workloads ask.
//!
//! Decides nothing.

use crate::design::Design;
use quorate_engine::manifest::{Domain, Resources, Role, Spread, Storage, WhenUnsatisfiable};
use quorate_sim::kube::NodeSpec;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Nodes and workloads.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) nodes: Vec<SiteNode>,
    pub(crate) asks: Vec<Ask>,
    pub(crate) storage: Option<Storage>,
    pub(crate) providers: usize,
    /// By [`Domain`]: nodes that differ in nothing but room and what they have.
    cells: [Cells; 4],
}

/// A node.
#[derive(Debug)]
pub(crate) struct SiteNode {
    /// What pods may ask for in all.
    pub(crate) capacity: Resources,
    pub(crate) takes_pods: bool,
    pub(crate) avoided: bool,
    pub(crate) provider: usize,
    /// By [`Domain`], as Kubernetes' labels tell places apart.
    pub(crate) labels: [usize; 4],
}

impl SiteNode {
    pub(crate) fn free(&self) -> (u64, u64) {
        (self.capacity.cpu.0, self.capacity.memory.0)
    }
}

/// What a workload asks.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) replicas: u32,
    /// Thousandths of a core, bytes.
    pub(crate) pod: (u64, u64),
    /// It prefers a provider: which, if there is such a one.
    pub(crate) prefer: Option<Option<usize>>,
    pub(crate) spread: Option<Spread>,
    /// Bytes of each pod's volume.
    pub(crate) data: Option<u64>,
}

impl Ask {
    /// A spread that a pod waits for.
    pub(crate) fn strict(&self) -> Option<Spread> {
        self.spread
            .filter(|spread| match spread.when_unsatisfiable {
                WhenUnsatisfiable::DoNotSchedule => true,
                WhenUnsatisfiable::ScheduleAnyway => false,
            })
    }
}

/// Groups of nodes for which all criteria but those of the node itself are the same.
#[derive(Debug)]
pub(crate) struct Cells {
    /// By node.
    pub(crate) of: Vec<usize>,
    pub(crate) cells: Vec<Cell>,
}

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cell {
    pub(crate) avoided: bool,
    pub(crate) provider: usize,
    /// The place that a spread counts; none where each node is one.
    pub(crate) place: Option<usize>,
}

/// Scales of places, by number.
pub(crate) const SCALES: [Domain; 4] =
    [Domain::Node, Domain::Zone, Domain::Region, Domain::Provider];

/// Gives names numbers, in order of first use.
#[derive(Debug, Default)]
struct Numbers(BTreeMap<String, usize>);

impl Numbers {
    fn of(&mut self, name: &str) -> usize {
        let next = self.0.len();
        *self.0.entry(name.to_owned()).or_insert(next)
    }
}

impl Site {
    /// A design with its manifest's workloads.
    pub(crate) fn of(design: &Design) -> Arc<Self> {
        let workloads = design.manifest.spec.workloads.iter();
        let pods: Vec<u64> = workloads.map(|workload| workload.replicas.into()).collect();
        Self::asking(design, &pods)
    }

    /// The same with other numbers of pods.
    pub(crate) fn asking(design: &Design, pods: &[u64]) -> Arc<Self> {
        let mut providers = Numbers::default();
        let mut labels = Numbers::default();
        let pools = &design.manifest.spec.node_pools;
        let mut nodes = Vec::new();
        for (at, node) in design.nodes().iter().enumerate() {
            let spec = NodeSpec {
                name: node.id.as_str().to_owned(),
                provider: node.provider.clone(),
                region: node.region.clone(),
                zone: node.zone.clone(),
                control_plane: node.is(Role::ControlPlane),
                worker: node.is(Role::Worker),
                capacity: NodeSpec::allocatable(node.capacity),
                taints: pools[node.pool].taints.clone(),
            };
            let provider = providers.of(&node.provider);
            nodes.push(SiteNode {
                capacity: spec.capacity,
                takes_pods: spec.takes_pods(),
                avoided: spec.avoided(),
                provider,
                labels: [at, labels.of(&node.zone), labels.of(&node.region), provider],
            });
        }
        let known = |name: &String| providers.0.get(name).copied();
        let workloads = design.manifest.spec.workloads.iter().zip(pods);
        let asks = workloads.map(|(workload, pods)| Ask {
            replicas: u32::try_from(*pods).unwrap_or(u32::MAX),
            pod: (workload.requests.cpu.0, workload.requests.memory.0),
            prefer: workload.prefer.as_ref().map(|p| known(&p.provider)),
            spread: workload.spread,
            data: workload.data.map(|data| data.size.0),
        });
        let asks = asks.collect();
        Arc::new(Self {
            cells: SCALES.map(|scale| cells(&nodes, scale)),
            asks,
            storage: design.manifest.spec.storage.clone(),
            providers: providers.0.len(),
            nodes,
        })
    }

    /// Groups of nodes, as a spread over such places needs them.
    pub(crate) fn cells(&self, scale: Domain) -> &Cells {
        &self.cells[scale as usize]
    }

    /// One more than the largest number of a place.
    pub(crate) fn labels(&self, scale: Domain) -> usize {
        let labels = self.nodes.iter().map(|node| node.labels[scale as usize]);
        labels.max().map_or(0, |most| most + 1)
    }
}

fn cells(nodes: &[SiteNode], scale: Domain) -> Cells {
    let place = |node: &SiteNode| match scale {
        Domain::Node => None,
        Domain::Zone | Domain::Region | Domain::Provider => Some(node.labels[scale as usize]),
    };
    let cell = |node: &SiteNode| Cell {
        avoided: node.avoided,
        provider: node.provider,
        place: place(node),
    };
    let distinct: BTreeSet<Cell> = nodes.iter().map(cell).collect();
    let cells: Vec<Cell> = distinct.into_iter().collect();
    let at = |node| cells.binary_search(&cell(node)).expect("made of all nodes");
    Cells {
        of: nodes.iter().map(at).collect(),
        cells,
    }
}
