//! `kubeadm init`: a cluster begins, for the first time or after all of a former one is gone.
//!
//! Does not know why a former one is gone.

use super::World;
use crate::etcd::{Etcd, Options, Version};
use quorate_engine::engine::etcd_version;
use quorate_engine::quorum::EtcdVersion;
use quorate_engine::random::{Seed, mix};
use quorate_engine::resource::{Kind, Resource, Spec};
use quorate_engine::seam::Call;
use std::sync::Arc;

impl World {
    /// Idempotent: a cluster of which there is anything left stays.
    pub(super) fn init(&mut self, call: &Call) {
        let machine = call.target.machine();
        let host = self.stage.find(&machine).expect("it was reached");
        if self.etcd.is_some() {
            if self.data_is_left() {
                return;
            }
            self.begin_anew();
        }
        let version = etcd_version(&self.manifest);
        let options = self.etcd_options(version, call.resource.as_deref());
        let etcd = Etcd::new(options, self.etcd_seed(), 1);
        let member = etcd.members().next().expect("one member founds");
        self.stage.seat_member(member, host);
        self.etcd = Some(etcd);
        self.with_etcd(|etcd, ground| etcd.start(ground, member));
        let resource = call.resource.as_ref().expect("what founds has a spec");
        self.cloud.mark_installed(&machine, Arc::clone(resource));
        self.serve_api(&machine, host);
    }

    fn etcd_options(&self, version: EtcdVersion, resource: Option<&Resource>) -> Options {
        let mut options = Options::of(Version::new(version.minor, version.patch));
        if let Some(Spec::EtcdMember {
            heartbeat_ms,
            election_ms,
            ..
        }) = resource.map(|r| &r.spec)
        {
            options.heartbeat_ms = *heartbeat_ms;
            options.election_ms = *election_ms;
        }
        options
    }

    /// Each founding has its own luck.
    fn etcd_seed(&self) -> Seed {
        match self.stage.foundings {
            0 => self.stage.seed,
            former => Seed(mix(self.stage.seed.0 ^ mix(u64::from(former)))),
        }
    }

    /// Whether any machine, running or not, has a member's data.
    fn data_is_left(&self) -> bool {
        self.machines_by_member().iter().any(|machine| {
            let mut installed = self.cloud.installed(machine);
            installed.any(|resource| resource.spec.kind() == Kind::EtcdMember)
        })
    }

    /// Takes away what only the former cluster knew, and voids what was due for it.
    fn begin_anew(&mut self) {
        let running = self.etcd.as_ref().map_or(0, |etcd| {
            let members = etcd.members();
            members.filter(|m| etcd.status(*m).running).count()
        });
        assert_eq!(running, 0, "no member runs without its data");
        self.etcd = None;
        self.stage.forget_members();
        for host in 0..self.stage.hosts.len() as u16 {
            if self.stage.host(host).is_some() {
                self.stage.host_mut(host).api_from = None;
                self.with_kube(|kube, ground| kube.remove_node(ground, host));
            }
        }
        for request in std::mem::take(&mut self.writes).into_values() {
            self.with_traffic(|traffic, ground| traffic.served(ground, request, false));
        }
        self.storage = None;
    }
}
