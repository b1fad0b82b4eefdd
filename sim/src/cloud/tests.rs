//! Tests of the clouds, and the small world they stand in.

mod faults;
mod fuzz;
mod hosts;
mod providers;

use super::{Account, Change, Cloud, CloudEvent, Ground, Note};
use crate::kernel::Queue;
use quorate_engine::manifest::{ProviderKind, Role};
use quorate_engine::random::{Seed, hash_name};
use quorate_engine::resource::{Resource, ResourceId, Spec, Workplace};
use quorate_engine::seam::{
    Call, CallId, Fault, FaultClass, Key, Lane, MachineState, Outcome, Reply, Seen, Verb,
};
use quorate_engine::time::{Span, Time};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

#[derive(Default)]
struct Sky {
    queue: Queue<CloudEvent>,
    answers: BTreeMap<CallId, (Time, Outcome)>,
    deadlines: BTreeMap<CallId, Time>,
    changes: Vec<(Time, Change)>,
    notes: Vec<Note>,
    dark: BTreeSet<ResourceId>,
    refused: bool,
}

impl Ground for Sky {
    fn now(&self) -> Time {
        self.queue.now()
    }
    fn after(&mut self, delay: Span, event: CloudEvent) {
        assert!(delay >= Span::from_ms(1), "{event:?} takes no time");
        self.queue.after(delay, event);
    }
    fn answer(&mut self, call: CallId, outcome: Outcome) {
        let now = self.now();
        assert!(now < self.deadlines[&call], "{call:?} is answered too late");
        let before = self.answers.insert(call, (now, outcome));
        assert!(before.is_none(), "{call:?} is answered twice");
    }
    fn reachable(&mut self, machine: &ResourceId) -> Option<Span> {
        (!self.dark.contains(machine)).then(|| Span::from_ms(15))
    }
    fn admits(&mut self, _: &ResourceId, _: &Resource) -> Result<(), Fault> {
        match self.refused {
            true => Err(Fault::new(FaultClass::Retryable, "no API server")),
            false => Ok(()),
        }
    }
    fn changed(&mut self, change: Change) {
        let now = self.now();
        self.changes.push((now, change));
    }
    fn note(&mut self, note: Note) {
        assert!(!note.to_string().is_empty());
        self.notes.push(note);
    }
}

struct World {
    cloud: Cloud,
    sky: Sky,
    calls: u64,
}

/// All kinds of providers with machines and an API, and one each for records and for own hosts.
const KINDS: [(&str, ProviderKind); 9] = [
    ("htz", ProviderKind::Hetzner),
    ("aws", ProviderKind::Aws),
    ("gcp", ProviderKind::Gcp),
    ("azr", ProviderKind::Azure),
    ("dig", ProviderKind::Digitalocean),
    ("ops", ProviderKind::Openstack),
    ("lab", ProviderKind::Libvirt),
    ("own", ProviderKind::Static),
    ("cfl", ProviderKind::Cloudflare),
];

fn world(seed: u64) -> World {
    let account = |(name, kind): (&str, ProviderKind)| Account {
        name: name.to_owned(),
        kind,
        quota: None,
        containers: false,
    };
    World {
        cloud: Cloud::new(Seed(seed), KINDS.map(account)),
        sky: Sky::default(),
        calls: 0,
    }
}

fn machine_at(provider: &str, nth: u32) -> Arc<Resource> {
    resource(
        &format!("shop/{provider}-cp/{nth}"),
        provider,
        Spec::Machine {
            region: "r1".into(),
            zone: format!("z{}", nth % 2),
            machine_type: "small".into(),
            image: "debian".into(),
            spot: false,
            roles: vec![Role::ControlPlane],
            existing: None,
        },
    )
}

fn own_host(nth: u32, at: &str) -> Arc<Resource> {
    let mut host = (*machine_at("own", nth)).clone();
    if let Spec::Machine { existing, .. } = &mut host.spec {
        *existing = Some(at.to_owned());
    }
    Arc::new(host)
}

fn network_at(provider: &str) -> Arc<Resource> {
    let spec = Spec::Network {
        region: "r1".into(),
        cidr: "10.1.0.0/24".parse().expect("a network"),
    };
    resource(&format!("shop/net/{provider}-r1"), provider, spec)
}

fn resource(id: &str, provider: &str, spec: Spec) -> Arc<Resource> {
    Arc::new(Resource {
        id: ResourceId::new(id),
        provider: provider.to_owned(),
        spec,
    })
}

fn on(machine: &Resource, name: &str, spec: Spec) -> Arc<Resource> {
    resource(machine.id.child(name).as_str(), &machine.provider, spec)
}

fn os(machine: &Resource) -> Arc<Resource> {
    let kubernetes = "1.35.2".to_owned();
    let pods = None;
    on(machine, "host", Spec::Host { kubernetes, pods })
}

fn peer(machine: &Resource) -> Arc<Resource> {
    let spec = Spec::Peer {
        address: [10, 88, 0, 1].into(),
        port: 51_820,
        mtu: 1_420,
        underlay: "htz/fsn1".to_owned(),
        dial_out: false,
        pods: None,
    };
    on(machine, "peer", spec)
}

fn links(machine: &Resource) -> Arc<Resource> {
    on(machine, "links", Spec::Links { keepalive_s: 25 })
}

fn worker(machine: &Resource) -> Arc<Resource> {
    let spec = Spec::Worker {
        version: "1.35.2".into(),
        address: [10, 88, 0, 1].into(),
        place: place(),
    };
    on(machine, "worker", spec)
}

fn place() -> Workplace {
    Workplace {
        labels: Vec::new(),
        taints: Vec::new(),
    }
}

fn plane(machine: &Resource) -> Arc<Resource> {
    let spec = Spec::ControlPlane {
        version: "1.35.2".into(),
        address: [10, 88, 0, 1].into(),
        names: Vec::new(),
        place: place(),
    };
    on(machine, "control-plane", spec)
}

fn proxy(machine: &Resource) -> Arc<Resource> {
    let spec = Spec::ApiProxy {
        name: "api.shop.internal".into(),
        port: 7443,
        servers: Vec::new(),
    };
    on(machine, "api-proxy", spec)
}

fn balancer(machine: &Resource, name: &str) -> Arc<Resource> {
    let forwards = Vec::new();
    let spec = Spec::Balancer { forwards };
    on(machine, name, spec)
}

fn call(lane: &str, verb: Verb, resource: &Arc<Resource>) -> Call {
    Call {
        lane: match lane {
            "hosts" => Lane::Hosts,
            name => Lane::Provider(name.into()),
        },
        verb,
        target: resource.id.clone(),
        kind: resource.spec.kind(),
        resource: matches!(verb, Verb::Create | Verb::Update).then(|| Arc::clone(resource)),
        key: Key(hash_name(resource.id.as_str())),
        addresses: Vec::new(),
        peers: Arc::default(),
    }
}

impl World {
    /// Puts a call under way.
    fn put(&mut self, call: Call, patience: Span) -> CallId {
        self.calls += 1;
        let (id, deadline) = (CallId(self.calls), self.sky.now() + patience);
        self.sky.deadlines.insert(id, deadline);
        self.cloud.call(&mut self.sky, id, Arc::new(call), deadline);
        id
    }

    /// Makes a call and waits for the answer, or for its deadline like a driver does.
    fn ask(&mut self, call: Call) -> Outcome {
        let id = self.put(call, Span::from_secs(300));
        let deadline = self.sky.deadlines[&id];
        while !self.sky.answers.contains_key(&id) {
            match self.sky.queue.pop_until(deadline) {
                Some(event) => self.cloud.handle(&mut self.sky, event),
                None => return Err(Fault::new(FaultClass::Unknown, "no answer")),
            }
        }
        self.sky.answers[&id].1.clone()
    }

    fn provider(&mut self, verb: Verb, resource: &Arc<Resource>) -> Outcome {
        let lane = resource.provider.clone();
        self.ask(call(&lane, verb, resource))
    }

    fn host(&mut self, verb: Verb, resource: &Arc<Resource>) -> Outcome {
        self.ask(call("hosts", verb, resource))
    }

    fn list(&mut self, provider: &str) -> Outcome {
        let cluster = resource("shop", provider, machine_at(provider, 1).spec.clone());
        self.ask(call(provider, Verb::List, &cluster))
    }

    fn pass(&mut self, span: Span) {
        let until = self.sky.now() + span;
        while let Some(event) = self.sky.queue.pop_until(until) {
            self.cloud.handle(&mut self.sky, event);
        }
    }

    /// A machine that is up, made through the API.
    fn up(&mut self, provider: &str, nth: u32) -> Arc<Resource> {
        let machine = machine_at(provider, nth);
        self.network(provider);
        seen(self.provider(Verb::Create, &machine));
        self.pass(Span::from_secs(400));
        assert!(self.is_up(&machine), "{} is up after 400 s", machine.id);
        machine
    }

    fn network(&mut self, provider: &str) {
        let network = network_at(provider);
        if !self.cloud.owned().any(|owned| owned.seen.id == network.id) {
            seen(self.provider(Verb::Create, &network));
            self.pass(Span::from_secs(4));
        }
    }

    fn is_up(&self, machine: &Resource) -> bool {
        let fact = self.cloud.machine(&machine.id);
        fact.is_some_and(|fact| fact.power == super::Power::Up)
    }

    fn count(&self, resource: &Resource) -> usize {
        let same = |owned: &super::Owned<'_>| owned.seen.id == resource.id;
        self.cloud.owned().filter(same).count()
    }
}

fn seen(outcome: Outcome) -> Seen {
    match outcome {
        Ok(Reply::Seen(seen)) => seen,
        other => panic!("expected to see something, got {other:?}"),
    }
}

fn class(outcome: Outcome) -> FaultClass {
    outcome.expect_err("expected a fault").class
}

fn state(outcome: Outcome) -> MachineState {
    seen(outcome).state
}
