//! What distance costs: commits of etcd, writes of volumes, throughput over the mesh.
//!
//! All of it comes from round trips of the catalogue, each marked as measured or estimated, and
//! from a few assumptions. These are floors: queues, losses and busy disks come on top.
//! Reading order: `places`, `etcd` (commits, and the API in front of them), `storage`, `mesh`.

mod etcd;
mod mesh;
mod places;
mod section;
mod storage;

pub use etcd::{ApiLatency, Commit, Etcd, WithoutProvider};
pub use mesh::{Flow, FlowLimit};
pub use storage::WriteLatency;

use crate::data::{Data, Used};
use crate::design::Design;
use schemars::JsonSchema;
use serde::Serialize;

/// What distance costs a design.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Distance {
    /// Regions with machines, by name.
    pub places: Vec<String>,
    /// The round trip between each two of them, row by row; of a region with itself the longest
    /// between its machines.
    pub round_trips: Vec<Vec<Latency>>,
    /// etcd; none without Kubernetes or without control planes.
    pub etcd: Option<Etcd>,
    /// The API, by region of the entry point.
    pub api: Vec<ApiLatency>,
    /// Volumes of each workload with data, by region of the pod.
    pub storage: Vec<WriteLatency>,
    /// One TCP flow through the mesh, by pair of regions.
    pub mesh: Vec<Flow>,
    /// The assumptions behind it.
    pub used: Vec<Used>,
}

/// A length of time, and how well it is known.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct Latency {
    /// In milliseconds.
    pub ms: f64,
    /// Whether every round trip in it was measured.
    pub measured: bool,
}

impl Latency {
    /// Of what takes place inside a machine.
    pub(crate) const NONE: Self = Self {
        ms: 0.0,
        measured: true,
    };

    /// One after the other.
    pub(crate) fn then(self, next: Self) -> Self {
        Self {
            ms: self.ms + next.ms,
            measured: self.measured && next.measured,
        }
    }

    /// So many milliseconds more, by an assumption.
    pub(crate) fn plus(self, ms: f64) -> Self {
        Self {
            ms: self.ms + ms,
            ..self
        }
    }

    /// The mean of some; none of none.
    pub(crate) fn mean(all: &[Self]) -> Option<Self> {
        let sum: f64 = all.iter().map(|one| one.ms).sum();
        (!all.is_empty()).then(|| Self {
            ms: sum / all.len() as f64,
            measured: all.iter().all(|one| one.measured),
        })
    }

    /// In order of length; of equal ones the measured is first.
    pub(crate) fn order(&self, other: &Self) -> std::cmp::Ordering {
        let by_length = self.ms.total_cmp(&other.ms);
        by_length.then(other.measured.cmp(&self.measured))
    }
}

/// What distance costs a design.
#[must_use]
pub fn distance(design: &Design, data: &Data) -> Distance {
    let places = places::all(design);
    let keys = [
        "etcd.fsync",
        "api.service",
        "storage.sync",
        "mesh.rate",
        "tcp.window",
    ];
    Distance {
        places: places.iter().map(places::Place::name).collect(),
        round_trips: places::matrix(design, &places),
        etcd: etcd::of(design, data),
        api: etcd::api(design, data),
        storage: storage::of(design, data),
        mesh: mesh::of(design, data, &places),
        used: keys.iter().map(|key| data.assumption(key).used()).collect(),
    }
}
