//! Where pods and replicas of volumes stand: after the scheduler, and after a loss.

use crate::design::{Design, Lost};

/// stub
#[derive(Debug, Clone)]
pub struct Placement {
    /// stub
    pub pods: Vec<Vec<Option<usize>>>,
}

/// stub
#[derive(Debug, Clone)]
pub struct VolumeState {
    /// stub
    pub workload: usize,
    /// stub
    pub left: u32,
    /// stub
    pub replicas: u32,
    /// stub
    pub writable: bool,
}

impl Placement {
    /// stub
    pub fn settled(design: &Design, _lost: &Lost) -> Self {
        let pods = design.manifest.spec.workloads.iter();
        Self {
            pods: pods.map(|w| vec![None; w.replicas as usize]).collect(),
        }
    }
    /// stub
    pub fn after(&self, _design: &Design, _lost: &Lost) -> Self {
        self.clone()
    }
    /// stub
    pub fn volumes_after(&self, _design: &Design, _lost: &Lost) -> Vec<VolumeState> {
        Vec::new()
    }
}
