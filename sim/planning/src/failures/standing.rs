//! What is left of a cluster when something is lost for long enough that everything has reacted.
//!
//! Counts, no times: `recovery` says how long it takes to get there. Names that nobody serves count
//! as gone, though resolvers still know them for one TTL.

use crate::design::{Design, Lost};
use quorate_engine::manifest::{LbKind, LoadBalancer, Role};
use schemars::JsonSchema;
use serde::Serialize;

/// How something fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// As before.
    Stays,
    /// It does its work with less than it should have.
    Degrades,
    /// It does not do its work.
    Goes,
}

/// etcd: members and what a quorum needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Quorum {
    /// Voters.
    pub members: usize,
    /// Of those, still there.
    pub left: usize,
    /// A majority.
    pub needed: usize,
}

impl Quorum {
    /// Of so many members, so many left.
    #[must_use]
    pub fn new(members: usize, left: usize) -> Self {
        assert!(left <= members, "no member is left over");
        Self {
            members,
            left,
            needed: members / 2 + 1,
        }
    }

    /// How many more members may fail; negative: so many are missing.
    #[must_use]
    pub fn slack(self) -> i64 {
        self.left as i64 - self.needed as i64
    }

    /// Whether there are writes.
    #[must_use]
    pub fn fate(self) -> Fate {
        match self.slack() {
            ..0 => Fate::Goes,
            _ if self.left < self.members => Fate::Degrades,
            _ => Fate::Stays,
        }
    }
}

/// A way in: load balancers and the names that lead to them, and what is behind them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Entry {
    /// `api/api`, `web/https`; for API servers without a load balancer, `API servers`.
    pub name: String,
    /// Load balancers left, and all of them; none where clients reach the backends themselves.
    pub balancers: Option<(usize, usize)>,
    /// API servers or workers behind it that are left, and all of them.
    pub backends: (usize, usize),
    /// Names that lead to it and are served, and all of them.
    pub names: (usize, usize),
    /// Whether somebody outside gets an answer.
    pub fate: Fate,
}

/// Where etcd stands; none without Kubernetes.
#[must_use]
pub fn quorum(design: &Design, lost: &Lost) -> Option<Quorum> {
    design.manifest.spec.kubernetes.as_ref()?;
    let members = design.with(Role::ControlPlane);
    let (left, gone): (Vec<_>, Vec<_>) = members.partition(|node| lost.leaves(*node));
    Some(Quorum::new(left.len() + gone.len(), left.len()))
}

/// The ways to the API: the load balancers' roles for it, or the servers themselves.
#[must_use]
pub fn api(design: &Design, lost: &Lost) -> Vec<Entry> {
    let Some(quorum) = quorum(design, lost) else {
        return Vec::new();
    };
    let writes = quorum.fate();
    let mut entries = entries(design, lost, LbKind::Api);
    if entries.is_empty() {
        let backends = (quorum.left, quorum.members);
        entries.push(Entry {
            name: "API servers".to_owned(),
            balancers: None,
            backends,
            names: (0, 0),
            fate: share(backends),
        });
    }
    for entry in &mut entries {
        // An API server without a quorum behind it refuses every write.
        entry.fate = entry.fate.max(if writes == Fate::Goes {
            writes
        } else {
            Fate::Stays
        });
    }
    entries
}

/// The ways to the workloads.
#[must_use]
pub fn ingress(design: &Design, lost: &Lost) -> Vec<Entry> {
    entries(design, lost, LbKind::Ingress)
}

fn entries(design: &Design, lost: &Lost, kind: LbKind) -> Vec<Entry> {
    let balancers = design.manifest.spec.load_balancers.iter();
    let of = |balancer| roles(design, lost, balancer, kind);
    balancers.flat_map(of).collect()
}

fn roles(design: &Design, lost: &Lost, balancer: &LoadBalancer, kind: LbKind) -> Vec<Entry> {
    let carriers = design.nodes().iter().enumerate().filter(|(_, node)| {
        let pool = design.topology.pool_name(node);
        balancer.pools.iter().any(|name| name == pool)
    });
    let carriers = count(carriers.map(|(at, _)| at), lost);
    let spec = &design.manifest.spec;
    let names = spec
        .dns
        .iter()
        .filter(|dns| dns.load_balancer == balancer.name);
    let (served, named) = names.fold((0, 0), |(served, all), dns| {
        (
            served + usize::from(!lost.dns.contains(&dns.provider)),
            all + 1,
        )
    });
    let of_kind = balancer.roles.iter().filter(|role| role.kind == kind);
    of_kind
        .map(|role| {
            let needed = match kind {
                LbKind::Api => Role::ControlPlane,
                LbKind::Ingress => Role::Worker,
            };
            let backends = design.with(needed).filter(|at| {
                let pool = design.topology.pool_name(&design.nodes()[*at]);
                role.target_pools.is_empty() || role.target_pools.iter().any(|name| name == pool)
            });
            let backends = count(backends, lost);
            let unnamed = if named > 0 && served == 0 {
                Fate::Goes
            } else {
                Fate::Stays
            };
            Entry {
                name: format!("{}/{}", balancer.name, role.name),
                balancers: Some(carriers),
                backends,
                names: (served, named),
                fate: share(carriers).max(share(backends)).max(unnamed),
            }
        })
        .collect()
}

/// Those left, and all.
fn count(nodes: impl Iterator<Item = usize>, lost: &Lost) -> (usize, usize) {
    nodes.fold((0, 0), |(left, all), node| {
        (left + usize::from(lost.leaves(node)), all + 1)
    })
}

fn share((left, all): (usize, usize)) -> Fate {
    match left {
        0 => Fate::Goes,
        _ if left < all => Fate::Degrades,
        _ => Fate::Stays,
    }
}
