//! What a change in one model means to the others: machines come and go, things are installed,
//! records change, leaders rise and fall.

use super::processes::API_START;
use super::watch::Invariant;
use super::{Happening, World};
use crate::cloud::Change;
use crate::etcd::EtcdNote;
use crate::kube::{KubeNote, NodeSpec};
use crate::net::Place;
use crate::outcome::Track;
use crate::traffic::{DnsProbe, ForwardSettings, RecordSettings, TrafficNote};
use quorate_engine::manifest::{LbKind, ProviderKind, Resources, Role};
use quorate_engine::resource::{Kind, Resource, ResourceId, Spec};
use quorate_engine::time::Span;
use quorate_engine::{catalog, manifest};
use std::net::Ipv4Addr;
use std::sync::Arc;

impl World {
    pub(super) fn on_change(&mut self, change: Change) {
        match change {
            Change::MachineUp { machine, address } => self.machine_up(&machine, address),
            Change::MachineDown { machine, hard } => self.machine_down(&machine, hard),
            Change::MachineGone { machine } => self.machine_down(&machine, true),
            Change::MachinePaused { machine } => self.pause(&machine, true),
            Change::MachineResumed { machine } => self.pause(&machine, false),
            Change::Reclaimed { machine, notice } => {
                let text = format!(
                    "{} is taken back in {notice}",
                    super::stage::label(&machine)
                );
                self.stage.note(Track::Cloud, text);
            }
            Change::Installed {
                machine, resource, ..
            } => self.installed(&machine, &resource),
            Change::Uninstalled { machine, kind, .. } => self.uninstalled(&machine, kind),
            Change::Records {
                resource,
                addresses,
            } => self.records(&resource, &addresses),
            Change::RecordsGone { id } => {
                if let Some(record) = self.records.remove(&id) {
                    self.with_traffic(|traffic, ground| traffic.set_record(ground, record, &[]));
                }
            }
        }
    }

    fn machine_up(&mut self, machine: &ResourceId, address: Ipv4Addr) {
        let known = self.stage.find(machine);
        let same = known.filter(|_| self.watch.address_of(machine) == Some(address));
        let host = match same {
            Some(host) => host,
            None => self.new_host(machine),
        };
        self.watch.up(machine, address);
        let state = self.stage.host_mut(host);
        state.alive = true;
        state.paused = false;
        state.processes.forget();
        state.boot += 1;
        let boot = state.boot;
        self.with_kube(|kube, ground| kube.host_started(ground, host));
        let start = self.start_delay(host, boot);
        self.stage.after(start, Happening::Boot(host, boot));
        self.paths_changed();
    }

    fn new_host(&mut self, machine: &ResourceId) -> u16 {
        let (place, nat) = self.place_of(machine);
        self.stage.add_host(machine, place, nat)
    }

    /// Where a machine is, as its provider knows it.
    fn place_of(&self, machine: &ResourceId) -> (Place, bool) {
        let fact = self
            .cloud
            .machine(machine)
            .unwrap_or_else(|| panic!("{machine} exists"));
        let Spec::Machine { region, zone, .. } = &fact.resource.spec else {
            panic!("{machine} is a machine")
        };
        let place = Place {
            provider: fact.account.name.clone(),
            kind: fact.account.kind,
            region: region.clone(),
            zone: zone.clone(),
        };
        let pool = machine.as_str().split('/').nth(1).unwrap_or_default();
        let number: usize = machine
            .as_str()
            .rsplit('/')
            .next()
            .and_then(|n| n.parse().ok())
            .unwrap_or(1);
        let pools = &self.manifest.spec.node_pools;
        let host = pools
            .iter()
            .find(|p| p.name == pool)
            .and_then(|p| p.hosts.get(number - 1));
        (place, host.is_some_and(|host| host.behind_nat))
    }

    /// The container runtime is up: static pods start.
    pub(super) fn on_boot(&mut self, host: u16, boot: u32) {
        let Some(state) = self.stage.host(host) else {
            return;
        };
        if state.boot != boot || !state.alive {
            return;
        }
        let (member, serves) = (state.member, state.api_from.is_some());
        if let Some(member) = member {
            self.with_etcd(|etcd, ground| etcd.start(ground, member));
        }
        if serves {
            let at = self.stage.now() + API_START;
            self.stage.host_mut(host).api_from = Some(at);
            self.stage.after(API_START, Happening::ApiUp(host, boot));
        }
        self.paths_changed();
    }

    fn machine_down(&mut self, machine: &ResourceId, hard: bool) {
        let Some(host) = self.stage.find(machine) else {
            return;
        };
        if !self.stage.host(host).is_some_and(|host| host.alive) {
            return;
        }
        let member = self.stage.host(host).and_then(|host| host.member);
        if let Some(member) = member {
            self.with_etcd(|etcd, ground| match hard {
                true => etcd.crash(ground, member),
                false => etcd.stop(ground, member),
            });
        }
        let state = self.stage.host_mut(host);
        state.alive = false;
        state.boot += 1;
        self.with_traffic(|traffic, ground| traffic.host_lost(ground, host));
    }

    fn pause(&mut self, machine: &ResourceId, on: bool) {
        let Some(host) = self.stage.find(machine) else {
            return;
        };
        self.stage.host_mut(host).paused = on;
        if let Some(member) = self.stage.host(host).and_then(|host| host.member) {
            self.with_etcd(|etcd, ground| match on {
                true => etcd.pause(ground, member),
                false => etcd.resume(ground, member),
            });
        }
        self.paths_changed();
    }

    fn installed(&mut self, machine: &ResourceId, resource: &Arc<Resource>) {
        let Some(host) = self.stage.find(machine) else {
            return;
        };
        match &resource.spec {
            Spec::Balancer { forwards } => {
                for forward in forwards {
                    let role = self.role(&forward.role);
                    let kind = if forward.api {
                        LbKind::Api
                    } else {
                        LbKind::Ingress
                    };
                    let settings = ForwardSettings::of(kind, &forward.check);
                    let backends: Vec<u16> = forward
                        .backends
                        .iter()
                        .filter_map(|backend| self.stage.find(&backend.machine))
                        .collect();
                    self.traffic.set_forward(host, role, settings);
                    self.with_traffic(|traffic, ground| {
                        traffic.set_backends(ground, host, role, &backends);
                    });
                }
                self.watch.balancer(host, resource);
            }
            Spec::Worker { place, .. } => {
                let node = self.node_spec(machine, place.taints.clone(), false);
                self.with_kube(|kube, ground| kube.add_node(ground, host, &node));
                self.refresh_balancers();
            }
            Spec::Peer { .. } | Spec::Links { .. } => self.mesh_changed(machine, host),
            Spec::Host { .. }
            | Spec::Network { .. }
            | Spec::Firewall { .. }
            | Spec::Machine { .. }
            | Spec::EtcdMember { .. }
            | Spec::ControlPlane { .. }
            | Spec::ApiProxy { .. }
            | Spec::RecordSet { .. }
            | Spec::StoragePool { .. } => {}
        }
    }

    /// A balancer names machines; once one of them has joined, its address is known to it.
    pub(super) fn refresh_balancers(&mut self) {
        for (host, resource) in self.watch.balancers() {
            if self
                .stage
                .host(host)
                .is_none_or(|h| self.stage.find(&h.machine) != Some(host))
            {
                continue;
            }
            let Spec::Balancer { forwards } = &resource.spec else {
                continue;
            };
            for forward in forwards {
                let role = self.role(&forward.role);
                let backends: Vec<u16> = forward
                    .backends
                    .iter()
                    .filter_map(|backend| self.stage.find(&backend.machine))
                    .collect();
                self.with_traffic(|traffic, ground| {
                    traffic.set_backends(ground, host, role, &backends);
                });
            }
        }
    }

    /// What a node is for the control loops.
    pub(super) fn node_spec(
        &self,
        machine: &ResourceId,
        taints: Vec<manifest::Taint>,
        control_plane: bool,
    ) -> NodeSpec {
        let (place, _) = self.place_of(machine);
        let worker = self.has_role(machine, Role::Worker);
        let capacity = self.capacity_of(machine, place.kind);
        NodeSpec {
            name: machine.as_str().to_owned(),
            provider: place.provider,
            region: place.region,
            zone: place.zone,
            control_plane,
            worker,
            capacity: NodeSpec::allocatable(capacity),
            taints,
        }
    }

    fn machine_spec(&self, machine: &ResourceId) -> Option<Spec> {
        self.cloud
            .machine(machine)
            .map(|fact| fact.resource.spec.clone())
    }

    fn has_role(&self, machine: &ResourceId, role: Role) -> bool {
        matches!(self.machine_spec(machine), Some(Spec::Machine { roles, .. }) if roles.contains(&role))
    }

    fn capacity_of(&self, machine: &ResourceId, kind: ProviderKind) -> Option<Resources> {
        let pool = machine.as_str().split('/').nth(1).unwrap_or_default();
        let pools = &self.manifest.spec.node_pools;
        let given = pools
            .iter()
            .find(|p| p.name == pool)
            .and_then(|p| p.capacity);
        let known = || match self.machine_spec(machine) {
            Some(Spec::Machine { machine_type, .. }) => catalog::machine(kind, &machine_type),
            _ => None,
        };
        given.or_else(known)
    }

    fn uninstalled(&mut self, machine: &ResourceId, kind: Kind) {
        let Some(host) = self.stage.find(machine) else {
            return;
        };
        match kind {
            Kind::Worker => self.with_kube(|kube, ground| kube.remove_node(ground, host)),
            Kind::Balancer => self.traffic.remove_balancer(host),
            Kind::Peer | Kind::Links => self.mesh_changed(machine, host),
            Kind::Network
            | Kind::Firewall
            | Kind::Machine
            | Kind::Host
            | Kind::EtcdMember
            | Kind::ControlPlane
            | Kind::ApiProxy
            | Kind::RecordSet
            | Kind::StoragePool => {}
        }
    }

    fn records(&mut self, resource: &Resource, addresses: &[(ResourceId, Ipv4Addr)]) {
        let Spec::RecordSet { ttl_s, check, .. } = &resource.spec else {
            panic!("{} is a record set", resource.id)
        };
        let hosts: Vec<u16> = addresses
            .iter()
            .filter_map(|(machine, _)| self.stage.find(machine))
            .collect();
        if let Some(record) = self.records.get(&resource.id).copied() {
            self.with_traffic(|traffic, ground| traffic.set_record(ground, record, &hosts));
            return;
        }
        let settings = RecordSettings {
            provider: self.dns_provider(&resource.provider),
            ttl: Span::from_secs(u64::from(*ttl_s)),
            check: *check,
            probe: self.probe_of(&resource.id),
            publish_delay: Span::ZERO, // the provider's own delay is over
            dual_stack: true,          // for clients that care; others use IPv4 alone
        };
        let record =
            self.with_traffic(|traffic, ground| traffic.add_record(ground, settings, &hosts));
        self.records.insert(resource.id.clone(), record);
    }

    /// A health check looks through a load balancer at the backends of its first role.
    fn probe_of(&mut self, record: &ResourceId) -> DnsProbe {
        let spec = &self.manifest.spec;
        let name = record.as_str().rsplit('/').next().unwrap_or_default();
        let leads = |dns: &&manifest::Dns| {
            let mut names = std::iter::once(&dns.hostname).chain(&dns.alternative_names);
            names.any(|host| format!("{host}.{}", dns.zone) == name)
        };
        let balancer = spec.dns.iter().find(leads).map(|dns| &dns.load_balancer);
        let lb = balancer.and_then(|name| spec.load_balancers.iter().find(|lb| lb.name == *name));
        let role = lb.and_then(|lb| Some(format!("{}/{}", lb.name, lb.roles.first()?.name)));
        role.map_or(DnsProbe::Handshake, |role| DnsProbe::LiveBackend {
            role: self.role(&role),
        })
    }

    /// The number of a role of a load balancer, given on first sight.
    pub(super) fn role(&mut self, name: &str) -> u16 {
        let known = self.roles.iter().position(|role| role == name);
        let number = known.unwrap_or_else(|| {
            self.roles.push(name.to_owned());
            self.role_workloads.push(None);
            self.roles.len() - 1
        });
        number as u16
    }

    pub(super) fn on_etcd(&mut self, note: EtcdNote) {
        match note {
            EtcdNote::Completed { write, ok, .. } => {
                if let Some(request) = self.writes.remove(&write) {
                    self.with_traffic(|traffic, ground| traffic.served(ground, request, ok));
                }
            }
            EtcdNote::Answered { token, outcome } => self.etcd_answered(token, outcome),
            EtcdNote::Leads { member, term } => {
                let label = self.stage.label(self.stage.host_of(member)).to_owned();
                self.stage
                    .note(Track::Etcd, format!("{label} leads in term {term}"));
                self.elected();
                self.look_at_etcd();
            }
            EtcdNote::SteppedDown { member, .. } => {
                let label = self.stage.label(self.stage.host_of(member)).to_owned();
                self.stage.note(Track::Etcd, format!("{label} steps down"));
                self.look_at_etcd();
            }
            // It is announced when it is dialled, and usable a round trip later.
            EtcdNote::Linked { up: true, .. } => {
                self.stage.after(Span::from_ms(500), Happening::Linked);
            }
            EtcdNote::Violated => self.take_violations(),
            EtcdNote::Started(_)
            | EtcdNote::Stopped(_)
            | EtcdNote::LostLeader { .. }
            | EtcdNote::Configured { .. }
            | EtcdNote::Linked { .. }
            | EtcdNote::Follows { .. } => self.look_at_etcd(),
            EtcdNote::Campaigns { .. } | EtcdNote::Committed { .. } => {}
        }
    }

    fn take_violations(&mut self) {
        let Some(etcd) = &self.etcd else { return };
        for violation in etcd.violations() {
            self.watch
                .violated(Invariant::Raft, violation.at, violation.text.clone());
        }
    }

    pub(super) fn on_traffic(&mut self, note: TrafficNote) {
        let label = |host: u16| self.stage.label(host).to_owned();
        let role = |role: u16| self.roles[usize::from(role)].clone();
        let record = |record: u16| {
            let found = self.records.iter().find(|(_, number)| **number == record);
            found.map_or(String::new(), |(id, _)| {
                id.as_str()
                    .rsplit('/')
                    .next()
                    .unwrap_or_default()
                    .to_owned()
            })
        };
        let (track, text) = match note {
            TrafficNote::AddressLeft { record: r, host } => (
                Track::Entry,
                format!("DNS drops {} from {}", label(host), record(r)),
            ),
            TrafficNote::AddressEntered { record: r, host } => (
                Track::Entry,
                format!("DNS gives {} for {}", label(host), record(r)),
            ),
            TrafficNote::AllAddressesSick { record: r } => (
                Track::Entry,
                format!("all addresses of {} are sick: all are given", record(r)),
            ),
            TrafficNote::BackendDown {
                balancer,
                role: r,
                host,
            } => (
                Track::Entry,
                format!("{}: {} down for {}", label(balancer), label(host), role(r)),
            ),
            TrafficNote::BackendUp {
                balancer,
                role: r,
                host,
            } => (
                Track::Entry,
                format!("{}: {} up for {}", label(balancer), label(host), role(r)),
            ),
            TrafficNote::NoBackend { balancer, role: r } => (
                Track::Entry,
                format!("{}: no backend left for {}", label(balancer), role(r)),
            ),
            TrafficNote::PopulationFails { population, cause } => {
                let name = self.watch.population(population);
                (
                    Track::Client,
                    format!("{name}: requests begin to fail ({})", cause.name()),
                )
            }
            TrafficNote::PopulationRecovers { population, since } => {
                let name = self.watch.population(population);
                let ago = self.stage.now().since(since);
                (
                    Track::Client,
                    format!("{name}: clean again, last failure {ago} ago"),
                )
            }
        };
        self.stage.note(track, text);
    }

    pub(super) fn on_kube(&mut self, note: KubeNote) {
        match note {
            KubeNote::Node { host, ready } => {
                let how = if ready { "Ready" } else { "NotReady" };
                let text = format!("node {} {how}", self.stage.label(host));
                self.stage.note(Track::Kube, text);
            }
            KubeNote::Counts { workload, counts } => {
                self.watch.counts(self.stage.now(), workload, counts);
            }
            KubeNote::Exited {
                component, host, ..
            } => {
                let text = format!("{component:?} on {} exits", self.stage.label(host));
                self.watch.say_once(&mut self.stage, Track::Kube, text);
            }
            KubeNote::Tainted { .. }
            | KubeNote::Zone { .. }
            | KubeNote::Evicted { .. }
            | KubeNote::Bound { .. }
            | KubeNote::Unschedulable { .. }
            | KubeNote::ForceDetached { .. }
            | KubeNote::Leads { .. } => {}
        }
    }
}
