//! Ports: who answers the engine's calls. Adapters of providers and hosts are turned into ports by
//! whoever starts the driver.

use quorate_engine::seam::{Call, Lane, Outcome};
use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

/// Makes one request and gives one answer. Its future may be dropped at any await, and then gives
/// none; what the request did meanwhile is for the next look at the world to find.
pub type Port =
    Arc<dyn Fn(Arc<Call>) -> Pin<Box<dyn Future<Output = Outcome> + Send>> + Send + Sync>;

/// Who answers, by lane.
#[derive(Clone)]
pub struct Ports {
    /// Providers, by the name of the instance.
    pub providers: BTreeMap<Arc<str>, Port>,
    /// Machines, over ssh.
    pub hosts: Port,
    /// The Kubernetes API and etcd, where there is a cluster.
    pub cluster: Option<Port>,
}

impl fmt::Debug for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let providers: Vec<_> = self.providers.keys().collect();
        f.debug_struct("Ports")
            .field("providers", &providers)
            .field("cluster", &self.cluster.is_some())
            .finish_non_exhaustive()
    }
}

impl Ports {
    /// Who answers this lane.
    ///
    /// # Panics
    /// If nobody does: the driver checks the manifest's lanes before it begins.
    pub(super) fn of(&self, lane: &Lane) -> &Port {
        let port = match lane {
            Lane::Provider(name) => self.providers.get(name),
            Lane::Hosts => Some(&self.hosts),
            Lane::Cluster => self.cluster.as_ref(),
        };
        port.unwrap_or_else(|| panic!("the lane {lane} has a port"))
    }
}
