//! Who there is to be hit: machines with their place, roles and addresses, and whom a target means.
//!
//! The same words mean the same machines as in simulation, and the same seed picks the same ones
//! where the same machines fit. Knows nothing of faults.

use crate::act::Domain;
use quorate_engine::manifest::{LoadBalancer, Manifest, Role};
use quorate_engine::random::{Stream, shuffle};
use quorate_engine::resource::ResourceId;
use quorate_engine::topology::Topology;
use quorate_sim::scenario::{Pick, Target};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// A machine that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub id: ResourceId,
    /// `pool/number`, as reports call it.
    pub label: String,
    /// What Kubernetes calls its node.
    pub node: String,
    /// Its pool.
    pub pool: String,
    /// The provider instance's name.
    pub provider: String,
    /// The provider's region.
    pub region: String,
    /// The provider's zone.
    pub zone: String,
    /// What it does.
    pub roles: Vec<Role>,
    /// Labels of its pool.
    pub labels: BTreeMap<String, String>,
    /// Where clients and ssh reach it.
    pub public: Option<Ipv4Addr>,
    /// In the provider's private network.
    pub private: Option<Ipv4Addr>,
    /// In the mesh.
    pub mesh: Ipv4Addr,
    /// What it is to libvirt on this host, if it is a machine of the lab.
    pub domain: Option<Domain>,
}

/// Addresses at which a machine was last seen: public, private.
pub type Seen = BTreeMap<ResourceId, (Option<Ipv4Addr>, Option<Ipv4Addr>)>;

/// All machines of a cluster, in order of id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cast {
    /// In order of id.
    pub members: Vec<Member>,
}

impl Cast {
    /// The machines of a topology, with addresses as they were last seen.
    #[must_use]
    pub fn new(
        topology: &Topology,
        seen: &Seen,
        domain: impl Fn(&ResourceId, &str) -> Option<Domain>,
    ) -> Self {
        let pools = &topology.manifest.spec.node_pools;
        let member = |node: &quorate_engine::topology::Node| {
            let (public, private) = seen.get(&node.id).copied().unwrap_or_default();
            let given = node.existing.as_ref().and_then(|text| text.parse().ok());
            Member {
                id: node.id.clone(),
                label: label(&node.id),
                node: node.id.as_str().replace('/', "-"),
                pool: pools[node.pool].name.clone(),
                provider: node.provider.clone(),
                region: node.region.clone(),
                zone: node.zone.clone(),
                roles: node.roles.clone(),
                labels: pools[node.pool].labels.clone(),
                public: public.or(given),
                private,
                mesh: node.mesh_address,
                domain: domain(&node.id, &node.provider),
            }
        };
        Self {
            members: topology.nodes.iter().map(member).collect(),
        }
    }

    /// A machine.
    #[must_use]
    pub fn get(&self, id: &ResourceId) -> Option<&Member> {
        self.members.iter().find(|member| member.id == *id)
    }

    /// The machine that Kubernetes and etcd call so.
    #[must_use]
    pub fn named(&self, node: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.node == node)
    }

    /// Machines with a role.
    pub fn with(&self, role: Role) -> impl Iterator<Item = &Member> {
        let has = move |member: &&Member| member.roles.contains(&role);
        self.members.iter().filter(has)
    }

    /// Machines that carry a load balancer.
    pub fn carriers<'a>(
        &'a self,
        balancer: &'a LoadBalancer,
    ) -> impl Iterator<Item = &'a Member> + 'a {
        let carries = |member: &&Member| balancer.pools.contains(&member.pool);
        self.members.iter().filter(carries)
    }

    /// Machines that fit a target, picked as asked, in order of id.
    #[must_use]
    pub fn pick(
        &self,
        target: &Target,
        leader: Option<&ResourceId>,
        luck: &mut Stream,
    ) -> Vec<&Member> {
        let mut fitting: Vec<&Member> = self.members.iter().filter(|m| fits(target, m)).collect();
        let count = match target.pick {
            Pick::All => return fitting,
            Pick::Leader => {
                fitting.retain(|member| Some(&member.id) == leader);
                return fitting;
            }
            Pick::One => 1,
            Pick::Minority => fitting.len().saturating_sub(1) / 2,
            Pick::Majority => fitting.len() / 2 + 1,
        };
        shuffle(&mut fitting, luck);
        fitting.truncate(count);
        fitting.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        fitting
    }
}

/// `pool/number` of a machine.
fn label(machine: &ResourceId) -> String {
    let text = machine.as_str();
    let rest = text.split_once('/').map_or(text, |(_, rest)| rest);
    rest.to_owned()
}

fn fits(target: &Target, member: &Member) -> bool {
    let is = |wanted: &Option<String>, has: &str| wanted.as_deref().is_none_or(|w| w == has);
    let labelled = |label: &String| {
        let (key, value) = label.split_once('=').unwrap_or((label, ""));
        member.labels.get(key).is_some_and(|has| has == value)
    };
    is(&target.provider, &member.provider)
        && is(&target.region, &member.region)
        && is(&target.zone, &member.zone)
        && is(&target.pool, &member.pool)
        && is(&target.name, &member.label)
        && target.role.is_none_or(|role| member.roles.contains(&role))
        && target.label.as_ref().is_none_or(labelled)
}

/// The manifest's provider by name, if it is libvirt on this very host: its URI as libvirt takes
/// it, and whether its machines are containers.
#[must_use]
pub fn local_libvirt(manifest: &Manifest, provider: &str) -> Option<(String, bool)> {
    use quorate_engine::manifest::ProviderKind;
    let found = manifest
        .spec
        .providers
        .iter()
        .find(|p| p.name == provider)?;
    if found.kind != ProviderKind::Libvirt {
        return None;
    }
    let endpoint = found.endpoint.as_deref().unwrap_or("qemu:///system");
    let (front, query) = endpoint.split_once('?').unwrap_or((endpoint, ""));
    let (scheme, rest) = front.split_once("://")?;
    let (driver, transport) = scheme.split_once('+').unwrap_or((scheme, "unix"));
    let here = transport == "unix" && rest.starts_with('/');
    if !here || !matches!(driver, "lxc" | "qemu") {
        return None;
    }
    // Parameters of quorate's own are not libvirt's.
    let ours = ["pool=", "roots=", "forward=", "firewall="];
    let kept = |pair: &&str| !pair.is_empty() && !ours.iter().any(|name| pair.starts_with(name));
    let kept: Vec<&str> = query.split('&').filter(kept).collect();
    let mut uri = format!("{driver}://{rest}");
    if !kept.is_empty() {
        uri = format!("{driver}+unix://{rest}?{}", kept.join("&"));
    }
    Some((uri, driver == "lxc"))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use quorate_engine::random::Seed;

    pub(crate) fn member(id: &str, provider: &str, roles: &[Role], last: u8) -> Member {
        let id = ResourceId::new(id);
        Member {
            label: label(&id),
            node: id.as_str().replace('/', "-"),
            pool: id.as_str().split('/').nth(1).unwrap().to_owned(),
            provider: provider.to_owned(),
            region: "lab".to_owned(),
            zone: "lab".to_owned(),
            roles: roles.to_vec(),
            labels: BTreeMap::from([("side".to_owned(), provider.to_owned())]),
            public: Some(Ipv4Addr::new(10, 211, 0, last)),
            private: Some(Ipv4Addr::new(10, 211, 0, last)),
            mesh: Ipv4Addr::new(10, 88, 0, last),
            domain: Some(Domain {
                uri: "lxc:///".to_owned(),
                name: id.as_str().replace('/', "-"),
                container: true,
            }),
            id,
        }
    }

    /// Three control planes and three entry points at three providers, and a worker.
    pub(crate) fn cast() -> Cast {
        let cp = &[Role::ControlPlane];
        let lb = &[Role::LoadBalancer];
        Cast {
            members: vec![
                member("q/cp-a/1", "a", cp, 11),
                member("q/cp-b/1", "b", cp, 12),
                member("q/cp-c/1", "c", cp, 13),
                member("q/lb-a/1", "a", lb, 21),
                member("q/lb-b/1", "b", lb, 22),
                member("q/lb-c/1", "c", lb, 23),
                member("q/w-a/1", "a", &[Role::Worker], 31),
            ],
        }
    }

    fn picked(target: &Target, seed: u64) -> Vec<String> {
        let cast = cast();
        let leader = ResourceId::new("q/cp-b/1");
        let mut luck = Seed(seed).stream("0/0/0", "fault-target");
        let picked = cast.pick(target, Some(&leader), &mut luck);
        picked.iter().map(|m| m.label.clone()).collect()
    }

    fn target(pick: Pick) -> Target {
        Target {
            role: Some(Role::ControlPlane),
            pick,
            ..Target::default()
        }
    }

    #[test]
    fn a_target_means_those_that_fit_in_every_field() {
        assert_eq!(
            picked(&target(Pick::All), 1),
            ["cp-a/1", "cp-b/1", "cp-c/1"]
        );
        assert_eq!(picked(&target(Pick::Leader), 1), ["cp-b/1"]);
        let of = |provider: &str| Target {
            provider: Some(provider.to_owned()),
            ..Target::default()
        };
        assert_eq!(picked(&of("a"), 1), ["cp-a/1", "lb-a/1", "w-a/1"]);
        let labelled = Target {
            label: Some("side=c".to_owned()),
            role: Some(Role::LoadBalancer),
            ..Target::default()
        };
        assert_eq!(picked(&labelled, 1), ["lb-c/1"]);
        let named = Target {
            name: Some("w-a/1".to_owned()),
            provider: Some("b".to_owned()),
            ..Target::default()
        };
        assert!(picked(&named, 1).is_empty());
    }

    #[test]
    fn picks_follow_the_seed_and_count_as_they_say() {
        let sizes = [(Pick::One, 1), (Pick::Minority, 1), (Pick::Majority, 2)];
        for (pick, size) in sizes {
            let first = picked(&target(pick), 7);
            assert_eq!((first.len(), &first), (size, &picked(&target(pick), 7)));
        }
        let many: std::collections::BTreeSet<_> = (0..32)
            .map(|seed| picked(&target(Pick::One), seed))
            .collect();
        assert_eq!(many.len(), 3, "each is hit by some seed");
    }

    #[test]
    fn the_lab_is_libvirt_on_this_host_and_nothing_else() {
        let cases = [
            ("lxc:///?roots=/r&forward=open", Some(("lxc:///", true))),
            ("qemu:///system", Some(("qemu:///system", false))),
            (
                "lxc:///?socket=/run/x&roots=/r",
                Some(("lxc+unix:///?socket=/run/x", true)),
            ),
            ("qemu+ssh://root@kvm/system", None),
            ("qemu+unix:///system", Some(("qemu:///system", false))),
            ("test:///default", None),
            ("lxc://elsewhere/", None),
        ];
        for (endpoint, expected) in cases {
            let text = format!(
                "apiVersion: quorate.dev/v1\nkind: Cluster\nmetadata: {{ name: q }}\nspec:\n  \
                 providers: [{{ name: a, type: libvirt, endpoint: \"{endpoint}\" }}]\n  \
                 nodePools: []\n"
            );
            let loaded = quorate_engine::manifest::load(text.as_bytes(), None);
            let manifest = loaded.manifest.expect("it is read");
            let found = local_libvirt(&manifest, "a");
            let expected = expected.map(|(uri, lxc)| (uri.to_owned(), lxc));
            assert_eq!(found, expected, "{endpoint}");
            assert_eq!(local_libvirt(&manifest, "b"), None);
        }
    }
}
