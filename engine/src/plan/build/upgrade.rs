//! Kubernetes upgrades, and every other change of what runs on nodes: one control plane after the
//! other, then the workers, a few at a time, with their pods led away first.
//!
//! Skew rules: the Kubernetes project's version skew policy. The API server goes one minor version
//! at a time, and never back.

use super::Build;
use crate::manifest::release;
use crate::plan::MemberChange;
use crate::plan::condition::Condition;
use crate::plan::draft::Ref;
use crate::resource::{Kind, ResourceId, Spec};
use crate::seam::{ClusterView, Verb};
use std::collections::BTreeMap;

/// Why nothing of Kubernetes may go from what a cluster's control planes run to this version.
pub(crate) fn refused(cluster: &ClusterView, wanted: &str) -> Option<String> {
    let planes = cluster.nodes.iter().filter(|node| node.control_plane);
    let running: Vec<_> = planes.map(|node| node.version.as_str()).collect();
    skew(&running, wanted)
}

/// Why Kubernetes cannot go from what control planes run to what is wanted in one step.
fn skew(running: &[&str], wanted: &str) -> Option<String> {
    let wanted = release(wanted)?;
    let lowest = running
        .iter()
        .filter_map(|version| release(version))
        .min()?;
    let highest = running
        .iter()
        .filter_map(|version| release(version))
        .max()?;
    let text = |(major, minor): (u32, u32)| format!("{major}.{minor}");
    if wanted < highest {
        return Some(format!(
            "control planes run {}, and Kubernetes never goes back: ask for {} or newer",
            text(highest),
            text(highest)
        ));
    }
    let next = (lowest.0, lowest.1 + 1);
    (wanted > next).then(|| {
        format!(
            "control planes run {}, and they go one minor version at a time: ask for {} first",
            text(lowest),
            text(next)
        )
    })
}

impl Build<'_> {
    /// Why nothing of Kubernetes may be made or changed.
    pub(super) fn find_skew(&self) -> Option<String> {
        let settings = self.desired.topology.manifest.spec.kubernetes.as_ref()?;
        refused(self.cluster()?, &settings.version)
    }

    /// Changes what runs on a control plane that is in. Its member of etcd may restart over it, so
    /// that is judged like a change of membership, and leadership is elsewhere by then.
    pub(super) fn renew_plane(&mut self, machine: &ResourceId) {
        for name in ["etcd", "control-plane"] {
            let id = machine.child(name);
            let wanted = self.desired(&id).spec.fingerprint();
            let kind = self.desired(&id).spec.kind();
            let installed = match self.condition(machine) {
                Condition::Fine => self.seen.installed(machine, kind),
                Condition::Young | Condition::Missing | Condition::Dead(_) | Condition::Held(_) => {
                    return;
                }
            };
            match installed {
                Some(print) if print == wanted => {}
                // An API server that was never finished takes nothing away from anybody.
                None if kind == Kind::ControlPlane => {
                    let step = self.install(&id, None);
                    self.entering.extend(step);
                }
                // That it runs is what counts.
                None => {}
                Some(_) => self.renew(&id),
            }
        }
    }

    fn renew(&mut self, id: &ResourceId) {
        if !self.is_whole() {
            let why = "it is changed once every member of etcd is there and healthy";
            self.draft.hold(id, why);
            return;
        }
        let machine = id.machine();
        let Some(step) = self.install(id, self.planes_last) else {
            return;
        };
        let voters = self.cluster().map_or(0, |view| view.members.len());
        let member = machine.child("etcd");
        let hand_over = self.draft.maker(&handed_over(&machine));
        if voters > 1 && hand_over.is_none() {
            let target = (&member, Kind::EtcdMember, "");
            let why = "its member may restart";
            let hand_over = self.draft.bare(Verb::MoveLeader, target, why);
            if let Some(last) = self.planes_last {
                self.draft.after(hand_over, last);
            }
            self.serialise(hand_over);
            self.after_host(hand_over, id);
            self.draft.after(step, hand_over);
            self.draft.name(&handed_over(&machine), hand_over);
        }
        self.draft.judged(step, MemberChange::Restart(machine));
        self.serialise(step);
        self.planes_last = Some(step);
    }

    /// Every member votes and is healthy, and none is removed by this plan.
    fn is_whole(&self) -> bool {
        let Some(cluster) = self.cluster() else {
            return false;
        };
        let mut members = cluster.members.iter();
        members.all(|member| {
            let removed = super::nodes::removal(&member.machine);
            !member.learner && member.healthy && self.draft.maker(&removed).is_none()
        })
    }

    /// Changes what runs on a worker. One that gets another version is drained first, and only so
    /// many of a pool at a time: if one fails, the others stay.
    fn renew_worker(&mut self, step: Ref, pools: &mut BTreeMap<String, Rollout>) {
        let id = self.draft.get(step).resource.clone();
        let Spec::Worker { version, .. } = &self.desired(&id).spec else {
            panic!("{id} is a worker")
        };
        let machine = id.machine();
        let runs = self.index.node(&machine).map(|node| node.version.as_str());
        if runs.is_none_or(|runs| runs.is_empty() || same_version(runs, version)) {
            return;
        }
        let target = (&id, Kind::Worker, "");
        let why = "its pods move away while it changes";
        let drain = self.draft.bare(Verb::Drain, target, why);
        if let Some(last) = self.planes_last {
            self.draft.after(drain, last);
        }
        self.after_host(drain, &id);
        self.draft.after(step, drain);
        let settings = self.desired.topology.manifest.spec.kubernetes.as_ref();
        let most = settings.map_or(1, |k| k.upgrade.max_unavailable.max(1)) as usize;
        let node = self.desired.topology.node(&machine);
        let pool = node.map_or("", |node| self.desired.topology.pool_name(node));
        let rollout = pools.entry(pool.to_owned()).or_default();
        for join in &rollout.joins {
            self.draft.after(drain, *join);
        }
        if let Some(before) = rollout.renewals.len().checked_sub(most) {
            self.draft.after(drain, rollout.renewals[before]);
        }
        rollout.renewals.push(step);
    }

    /// Puts what workers get in order: control planes first, then new nodes, which make room, then
    /// changes of those that are there.
    pub(super) fn roll_out(&mut self, steps: &[Ref]) {
        let mut pools: BTreeMap<String, Rollout> = BTreeMap::new();
        for step in steps {
            if let Some(last) = self.planes_last {
                self.draft.after(*step, last);
            }
            if self.draft.get(*step).verb == Verb::Create {
                let machine = self.draft.get(*step).resource.machine();
                let node = self.desired.topology.node(&machine);
                let pool = node.map_or("", |node| self.desired.topology.pool_name(node));
                pools.entry(pool.to_owned()).or_default().joins.push(*step);
            }
        }
        for step in steps {
            if self.draft.get(*step).verb == Verb::Update {
                self.renew_worker(*step, &mut pools);
            }
        }
    }
}

/// What workers of one pool get.
#[derive(Debug, Default)]
struct Rollout {
    /// New ones.
    joins: Vec<Ref>,
    /// Changes of version, in order.
    renewals: Vec<Ref>,
}

/// Whether two versions of Kubernetes are one, with or without their `v`.
pub(crate) fn same_version(a: &str, b: &str) -> bool {
    a.trim_start_matches('v') == b.trim_start_matches('v')
}

/// Under this name the draft knows that leadership leaves a machine.
fn handed_over(machine: &ResourceId) -> ResourceId {
    machine.child("etcd").child("handed-over")
}

#[cfg(test)]
mod tests {
    use super::skew;

    #[test]
    fn kubernetes_goes_one_minor_version_at_a_time_and_never_back() {
        for (running, wanted, allowed) in [
            (&["v1.34.1"][..], "1.34.5", true),
            (&["v1.34.1"], "1.35.0", true),
            (&["v1.34.1", "v1.35.0"], "1.35.0", true),
            (&["v1.34.1", "v1.35.0"], "1.36.0", false),
            (&["v1.34.1"], "1.36.0", false),
            (&["v1.34.1"], "1.33.9", false),
            (&["v1.34.1", "v1.35.0"], "1.34.1", false),
            (&[], "1.35.0", true),
            (&[""], "1.35.0", true),
        ] {
            let why = skew(running, wanted);
            assert_eq!(why.is_none(), allowed, "{running:?} -> {wanted}: {why:?}");
        }
        let why = skew(&["v1.34.1"], "1.36.0").unwrap();
        assert!(why.contains("1.35 first"), "{why}");
    }
}
