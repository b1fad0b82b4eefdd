//! The simulated cloud itself, held to what every provider is held to: what the engine is proven
//! against in simulation behaves at its seam as the real ones do.
//!
//! Around it is only what an adapter has to do: look before creating where the API would make a
//! second thing, and adopt what the same wish made before where the API says that the name is
//! taken.

use quorate_engine::manifest::ProviderKind;
use quorate_engine::random::Seed;
use quorate_engine::resource::{Resource, ResourceId, Spec};
use quorate_engine::seam::{Call, CallId, Fault, FaultClass, Lane, Outcome, Reply, Verb};
use quorate_engine::time::{Span, Time};
use quorate_providers::conformance::{Sample, conform};
use quorate_providers::{Owner, Pending, Problem, Provider};
use quorate_sim::cloud::{Account, Change, Cloud, CloudEvent, Ground, Idempotency, Note, profile};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How long a call may take, in virtual time.
const DEADLINE: Span = Span::from_secs(60);

/// The world around the cloud: a clock that jumps to what happens next.
#[derive(Default)]
struct Stage {
    now: Time,
    serial: u64,
    events: BTreeMap<(Time, u64), CloudEvent>,
    answers: BTreeMap<CallId, Outcome>,
}

impl Ground for Stage {
    fn now(&self) -> Time {
        self.now
    }

    fn after(&mut self, delay: Span, event: CloudEvent) {
        self.serial += 1;
        self.events.insert((self.now + delay, self.serial), event);
    }

    fn answer(&mut self, call: CallId, outcome: Outcome) {
        let before = self.answers.insert(call, outcome);
        assert!(before.is_none(), "one answer for each call");
    }

    fn reachable(&mut self, _: &ResourceId) -> Option<Span> {
        Some(Span::from_ms(10))
    }

    fn changed(&mut self, _: Change) {}

    fn note(&mut self, _: Note) {}
}

/// The cloud, and the adapter to it.
struct Simulated {
    owner: Owner,
    idempotency: Idempotency,
    world: Mutex<(Cloud, Stage, u64)>,
}

impl Simulated {
    fn new(kind: ProviderKind, owner: Owner) -> Self {
        let account = Account {
            name: "sim".to_owned(),
            kind,
            quota: Some(1),
            containers: false,
        };
        let cloud = Cloud::new(Seed(7), [account]);
        Self {
            owner,
            idempotency: profile(kind, false).idempotency,
            world: Mutex::new((cloud, Stage::default(), 0)),
        }
    }

    /// One request, and as much time as it takes.
    fn request(&self, call: &Call) -> Outcome {
        let mut world = self.world.lock().expect("no call has panicked");
        let (cloud, stage, calls) = &mut *world;
        *calls += 1;
        let (id, deadline) = (CallId(*calls), stage.now + DEADLINE);
        cloud.call(stage, id, Arc::new(call.clone()), deadline);
        loop {
            if let Some(outcome) = stage.answers.remove(&id) {
                return outcome;
            }
            let next = stage.events.first_entry().filter(|e| e.key().0 < deadline);
            let Some(entry) = next else {
                stage.now = deadline;
                return Err(Fault::new(FaultClass::Unknown, "no answer in time"));
            };
            stage.now = entry.key().0;
            let event = entry.remove();
            cloud.handle(stage, event);
        }
    }

    fn look(&self, call: &Call) -> Outcome {
        let look = Call {
            verb: Verb::Describe,
            ..call.clone()
        };
        self.request(&look)
    }

    fn answer(&self, call: &Call) -> Outcome {
        if call.verb != Verb::Create {
            return self.request(call);
        }
        if self.idempotency == Idempotency::None
            && let Ok(Reply::Seen(seen)) = self.look(call)
        {
            return Ok(Reply::Seen(seen));
        }
        match self.request(call) {
            Err(fault) if fault.class == FaultClass::Exists => match self.look(call)? {
                Reply::Seen(seen) => Ok(Reply::Seen(seen)),
                Reply::Done
                | Reply::Absent
                | Reply::List(_)
                | Reply::Host(_)
                | Reply::Cluster(_) => Err(fault),
            },
            outcome => outcome,
        }
    }
}

impl Provider for Simulated {
    fn call<'a>(&'a self, call: &'a Call) -> Pending<'a, Outcome> {
        Box::pin(async move { self.answer(call) })
    }

    fn preflight<'a>(&'a self, _: &'a [Arc<Resource>]) -> Pending<'a, Vec<Problem>> {
        Box::pin(async { Vec::new() })
    }

    fn owners(&self) -> Pending<'_, Result<Vec<Owner>, Fault>> {
        let world = self.world.lock().expect("no call has panicked");
        let ours = world.0.owned().next().map(|_| self.owner.clone());
        Box::pin(async move { Ok(ours.into_iter().collect()) })
    }
}

fn resource(id: &str, spec: Spec) -> Arc<Resource> {
    Arc::new(Resource {
        id: ResourceId::new(id),
        provider: "sim".to_owned(),
        spec,
    })
}

fn machine() -> Spec {
    Spec::Machine {
        region: "r".to_owned(),
        zone: "r-1".to_owned(),
        machine_type: "small".to_owned(),
        image: "linux".to_owned(),
        spot: false,
        roles: Vec::new(),
        existing: None,
    }
}

fn firewall(public_ports: Vec<u16>) -> Spec {
    Spec::Firewall {
        region: "r".to_owned(),
        mesh_port: 51_820,
        public_ports,
    }
}

async fn complaints(kind: ProviderKind) -> Vec<String> {
    let owner = Owner {
        cluster: "shop".to_owned(),
        uid: 7,
        provider: "a".to_owned(),
    };
    let network = Spec::Network {
        region: "r".to_owned(),
        cidr: "10.7.0.0/16".parse().expect("a block"),
    };
    let (net, wall) = ("shop/network.sim/r", "shop/firewall.sim/r");
    let sample = Sample {
        cluster: ResourceId::new("shop"),
        owner: owner.clone(),
        lane: Lane::Provider(Arc::from("sim")),
        resources: vec![
            resource(net, network),
            resource(wall, firewall(vec![6443])),
            resource("shop/pool/1", machine()),
        ],
        updates: vec![resource(wall, firewall(vec![80, 443]))],
        held: vec![ResourceId::new(net), ResourceId::new(wall)],
        refused: vec![(resource("shop/pool/2", machine()), FaultClass::Quota)],
        // Accounts of the simulated world are not shared.
        stranger: None,
        addresses: Vec::new(),
        secrets: Vec::new(),
        patience: Duration::from_secs(20),
        poll: Duration::ZERO,
    };
    conform(&Simulated::new(kind, owner), sample).await
}

#[tokio::test]
async fn the_simulated_cloud_does_what_every_provider_does() {
    let kinds = [
        ProviderKind::Hetzner,
        ProviderKind::Aws,
        ProviderKind::Gcp,
        ProviderKind::Azure,
        ProviderKind::Digitalocean,
        ProviderKind::Openstack,
        ProviderKind::Libvirt,
        ProviderKind::Exoscale,
    ];
    for kind in kinds {
        assert_eq!(complaints(kind).await, Vec::<String>::new(), "{kind:?}");
    }
}
