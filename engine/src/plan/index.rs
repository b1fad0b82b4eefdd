//! What was seen, by id: a plan asks about each resource once, and what providers list is long.
//!
//! Knows nothing of what is desired.

use crate::observed::{Observed, Sight};
use crate::resource::ResourceId;
use crate::seam::{Fault, NodeView, Seen};
use std::collections::{BTreeMap, BTreeSet};

/// What one provider listed, or why it did not.
type Listed<'a> = Result<BTreeMap<&'a ResourceId, &'a Seen>, &'a Fault>;

/// An observation, for many questions.
pub(super) struct Index<'a> {
    providers: BTreeMap<&'a str, Listed<'a>>,
    nodes: BTreeMap<&'a ResourceId, &'a NodeView>,
    working: BTreeSet<&'a ResourceId>,
}

impl<'a> Index<'a> {
    pub(super) fn of(seen: &'a Observed) -> Self {
        let providers = seen.providers.iter();
        let providers = providers.map(|(name, list)| (name.as_str(), listed(list)));
        let (nodes, members) = seen.cluster().map_or((&[][..], &[][..]), |cluster| {
            (&cluster.nodes, &cluster.members)
        });
        let ready = nodes.iter().filter(|node| node.ready);
        let healthy = members.iter().filter(|member| member.healthy);
        Self {
            providers: providers.collect(),
            // From the back, so that the first of two views of one machine counts.
            nodes: nodes
                .iter()
                .rev()
                .map(|node| (&node.machine, node))
                .collect(),
            working: ready
                .map(|node| &node.machine)
                .chain(healthy.map(|member| &member.machine))
                .collect(),
        }
    }

    /// What a provider says of a resource. A provider that was not asked has nothing of ours.
    pub(super) fn sight(&self, provider: &str, id: &ResourceId) -> Sight<'a> {
        match self.providers.get(provider) {
            Some(Err(fault)) => Sight::Blind(fault),
            Some(Ok(list)) => list.get(id).map_or(Sight::Absent, |seen| Sight::Seen(seen)),
            None => Sight::Absent,
        }
    }

    /// The cluster's view of the node on a machine, if it answered and has one.
    pub(super) fn node(&self, machine: &ResourceId) -> Option<&'a NodeView> {
        self.nodes.get(machine).copied()
    }

    /// Whether the cluster counts on the machine right now.
    pub(super) fn works(&self, machine: &ResourceId) -> bool {
        self.working.contains(machine)
    }
}

fn listed(list: &Result<Vec<Seen>, Fault>) -> Listed<'_> {
    let list = list.as_ref()?;
    // From the back, so that the first of two copies counts.
    Ok(list.iter().rev().map(|seen| (&seen.id, seen)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::Kind;
    use crate::seam::{FaultClass, MachineState};

    fn seen(id: &str, external: &str) -> Seen {
        Seen {
            id: ResourceId::new(id),
            kind: Kind::Machine,
            external: external.to_owned(),
            fingerprint: 0,
            state: MachineState::Running,
            address: None,
            private: None,
            host_key: None,
            fields: std::collections::BTreeMap::new(),
        }
    }

    #[test]
    fn a_provider_lists_lacks_or_is_silent() {
        let mut observed = Observed::default();
        let list = vec![
            seen("shop/b/1", "b"),
            seen("shop/a/1", "first"),
            seen("shop/a/1", "second"),
        ];
        observed.providers.insert("htz".to_owned(), Ok(list));
        let fault = Fault::new(FaultClass::Retryable, "503");
        observed.providers.insert("aws".to_owned(), Err(fault));
        let index = Index::of(&observed);
        let sight = |provider: &str, id: &str| index.sight(provider, &ResourceId::new(id));
        let copy = sight("htz", "shop/a/1");
        assert!(
            matches!(copy, Sight::Seen(seen) if seen.external == "first"),
            "{copy:?}"
        );
        assert_eq!(sight("htz", "shop/c/1"), Sight::Absent);
        assert_eq!(sight("gcp", "shop/b/1"), Sight::Absent);
        assert!(matches!(sight("aws", "shop/b/1"), Sight::Blind(_)));
    }
}
