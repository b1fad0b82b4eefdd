//! Hetzner's adapter against the simulated Hetzner Cloud: the conformance suite in calm and in
//! trouble, and the class of each trouble.
//!
//! The cloud is simulated and lives a few hundred times as fast as the real one.

use quorate_engine::resource::{Kind, Resource, ResourceId, Spec};
use quorate_engine::seam::{Call, Fault, FaultClass, Key, Lane, Outcome, Reply, Verb};
use quorate_engine::units::Percent;
use quorate_providers::conformance::{Sample, conform};
use quorate_providers::hetzner::Hetzner;
use quorate_providers::http::Patience;
use quorate_providers::{Owner, Pending, Problem, Provider, Secret, Site};
use quorate_serve::{FaultVerb, Handle, Settings, Vendor, serve};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

const TOKEN: &str = "hunter2-hunter2-hunter2";

async fn cloud(settings: Settings) -> Handle {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    serve(listener, settings).await.unwrap()
}

fn fast(seed: u64) -> Settings {
    Settings {
        token: Some(TOKEN.to_owned()),
        speed: 300.0,
        seed,
        ..Settings::new(Vendor::Hetzner)
    }
}

fn owner(uid: u64) -> Owner {
    Owner {
        cluster: "shop".to_owned(),
        uid,
        provider: "a".to_owned(),
    }
}

fn adapter_with(cloud: &Handle, uid: u64, token: &str) -> Hetzner {
    let provider = serde_json::json!({"name": "htz", "type": "hetzner"});
    let site = Site {
        owner: owner(uid),
        provider: serde_json::from_value(provider).unwrap(),
        secret: Some(Secret::new(token)),
        ssh_user: "root".to_owned(),
        ssh_keys: vec![
            "ssh-ed25519 \
             AAAAC3NzaC1lZDI1NTE5AAAAIJ0s5MlqbdUTBRkqPdQq0xrRGTzZ6nqd4Pn7pMcsf4Xu me@home"
                .to_owned(),
        ],
    };
    let patience = Patience {
        connect: Duration::from_secs(2),
        whole: Duration::from_secs(4),
    };
    Hetzner::with_patience(site, Some(cloud.endpoint()), patience).unwrap()
}

fn adapter(cloud: &Handle, uid: u64) -> Hetzner {
    adapter_with(cloud, uid, TOKEN)
}

fn resource(id: &str, spec: Spec) -> Arc<Resource> {
    Arc::new(Resource {
        id: ResourceId::new(id),
        provider: "htz".to_owned(),
        spec,
    })
}

fn network() -> Arc<Resource> {
    let spec = Spec::Network {
        region: "fsn1".to_owned(),
        cidr: "10.0.0.0/24".parse().unwrap(),
    };
    resource("shop/network.htz/fsn1", spec)
}

fn firewall(public_ports: &[u16]) -> Arc<Resource> {
    let spec = Spec::Firewall {
        region: "fsn1".to_owned(),
        mesh_port: 51_820,
        public_ports: public_ports.to_vec(),
    };
    resource("shop/firewall.htz/fsn1", spec)
}

fn machine(id: &str, machine_type: &str) -> Arc<Resource> {
    machine_of(id, machine_type, "debian-12")
}

fn machine_of(id: &str, machine_type: &str, image: &str) -> Arc<Resource> {
    let spec = Spec::Machine {
        region: "fsn1".to_owned(),
        zone: "fsn1".to_owned(),
        machine_type: machine_type.to_owned(),
        image: image.to_owned(),
        spot: false,
        roles: Vec::new(),
        existing: None,
    };
    resource(id, spec)
}

fn call(verb: Verb, resource: &Arc<Resource>) -> Call {
    Call {
        lane: Lane::Provider(Arc::from("htz")),
        verb,
        target: resource.id.clone(),
        kind: resource.spec.kind(),
        resource: Some(Arc::clone(resource)),
        key: Key(1),
        addresses: Vec::new(),
        peers: Arc::from([]),
    }
}

fn sample(stranger: Option<&dyn Provider>) -> Sample<'_> {
    let resources = vec![
        network(),
        firewall(&[443]),
        machine("shop/cp/1", "cx23"),
        machine("shop/cp/2", "cx23"),
    ];
    Sample {
        cluster: ResourceId::new("shop"),
        owner: owner(1),
        lane: Lane::Provider(Arc::from("htz")),
        updates: vec![firewall(&[80, 443])],
        held: vec![network().id.clone(), firewall(&[]).id.clone()],
        refused: vec![
            (machine("shop/cp/8", "cx999"), FaultClass::Invalid),
            (
                machine_of("shop/cp/9", "cx23", "windows-95"),
                FaultClass::Invalid,
            ),
        ],
        stranger: stranger.map(|stranger| (stranger, resources.clone())),
        resources,
        addresses: Vec::new(),
        secrets: vec![TOKEN.to_owned(), "PRIVATE KEY".to_owned()],
        patience: Duration::from_secs(20),
        poll: Duration::from_millis(30),
    }
}

/// Tries again as the engine does: what was not done at once, what may have been done after a look.
struct Stubborn {
    adapter: Hetzner,
}

impl Stubborn {
    const TRIES: u32 = 60;

    fn new(adapter: Hetzner) -> Self {
        Self { adapter }
    }

    async fn back_off(failures: u32) {
        let wait_ms = 10 << failures.min(5);
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
    }

    async fn insist(&self, call: &Call) -> Outcome {
        for failures in 0..Self::TRIES {
            let outcome = self.adapter.call(call).await;
            let class = match &outcome {
                Err(fault) => fault.class,
                Ok(_) => return outcome,
            };
            if !matches!(class, FaultClass::Retryable | FaultClass::Unknown) {
                return outcome;
            }
            Self::back_off(failures).await;
            if class == FaultClass::Unknown && call.verb == Verb::Create {
                let mut look = call.clone();
                look.verb = Verb::Describe;
                if let Ok(Reply::Seen(seen)) = self.adapter.call(&look).await {
                    return Ok(Reply::Seen(seen));
                }
            }
        }
        Err(Fault::new(FaultClass::Retryable, "too many troubles"))
    }
}

impl Provider for Stubborn {
    fn call<'a>(&'a self, call: &'a Call) -> Pending<'a, Outcome> {
        Box::pin(self.insist(call))
    }

    fn preflight<'a>(&'a self, wanted: &'a [Arc<Resource>]) -> Pending<'a, Vec<Problem>> {
        Box::pin(async move {
            for failures in 0..Self::TRIES {
                let found = self.adapter.preflight(wanted).await;
                if !found.iter().any(|it| it.fix.contains("run again")) {
                    return found;
                }
                Self::back_off(failures).await;
            }
            panic!("preflight never gets through");
        })
    }

    fn owners(&self) -> Pending<'_, Result<Vec<Owner>, Fault>> {
        Box::pin(async move {
            for failures in 0..Self::TRIES {
                if let Ok(owners) = self.adapter.owners().await {
                    return Ok(owners);
                }
                Self::back_off(failures).await;
            }
            self.adapter.owners().await
        })
    }
}

fn fault(verb: FaultVerb) -> quorate_serve::Fault {
    quorate_serve::Fault::new(verb)
}

/// A share of requests, in parts of a hundred.
fn share(verb: FaultVerb, percent: &str) -> quorate_serve::Fault {
    let share: Percent = serde_json::from_value(serde_json::json!(percent)).unwrap();
    quorate_serve::Fault {
        share: Some(share),
        ..fault(verb)
    }
}

/// How often servers, networks and firewalls were made: keys and groups are made when they are
/// missing, however often that is.
fn made(cloud: &Handle) -> BTreeMap<(String, String), u64> {
    let mut made = cloud.made();
    made.retain(|(kind, _), _| ["server", "network", "firewall"].contains(&kind.as_str()));
    made
}

async fn in_calm(seed: u64) -> BTreeMap<(String, String), u64> {
    let cloud = cloud(fast(seed)).await;
    let stranger = adapter(&cloud, 2);
    let broken = conform(&adapter(&cloud, 1), sample(Some(&stranger))).await;
    assert_eq!(broken, Vec::<String>::new());
    let left: Vec<_> = cloud.things().into_iter().map(|it| it.name).collect();
    assert_eq!(
        left,
        Vec::<String>::new(),
        "nothing is left, not even a key"
    );
    made(&cloud)
}

#[tokio::test(flavor = "multi_thread")]
async fn it_conforms() {
    assert!(!in_calm(1).await.is_empty());
}

/// The suite in trouble: the same is made as in calm, and as often.
async fn in_trouble(seed: u64, trouble: quorate_serve::Fault) {
    let calm = in_calm(seed).await;
    let cloud = cloud(fast(seed)).await;
    let id = cloud.begin(trouble);
    let (ours, theirs) = (adapter(&cloud, 1), adapter(&cloud, 2));
    let (ours, theirs) = (Stubborn::new(ours), Stubborn::new(theirs));
    let broken = conform(&ours, sample(Some(&theirs))).await;
    assert_eq!(broken, Vec::<String>::new());
    assert!(cloud.hits(id) > 0, "it never struck");
    assert_eq!(made(&cloud), calm);
    assert_eq!(cloud.things(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_conforms_where_requests_fail() {
    in_trouble(3, share(FaultVerb::Error, "20%")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_conforms_behind_a_bad_gateway() {
    let mut trouble = share(FaultVerb::Error, "15%");
    trouble.status = Some(502);
    in_trouble(4, trouble).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_conforms_where_replies_are_lost_and_makes_nothing_twice() {
    in_trouble(5, share(FaultVerb::LostReply, "20%")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_conforms_where_requests_are_throttled() {
    let mut trouble = fault(FaultVerb::Throttle);
    trouble.rate = Some(serde_json::from_value(serde_json::json!("12/m")).unwrap());
    trouble.limit = Some(12);
    in_trouble(6, trouble).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_conforms_where_everything_takes_ten_times_as_long() {
    in_trouble(7, fault(FaultVerb::Slow)).await;
}

async fn class_of(cloud: &Handle, adapter: &Hetzner, wanted: &Arc<Resource>) -> Fault {
    let outcome = adapter.call(&call(Verb::Create, wanted)).await;
    let fault = outcome.expect_err("it is to be refused");
    let shown = format!("{fault:?} {adapter:?}");
    assert!(
        !shown.contains(TOKEN) && !shown.contains("PRIVATE KEY"),
        "{shown}"
    );
    let servers = cloud.things().into_iter().filter(|it| it.kind == "server");
    assert_eq!(servers.count(), 0, "{fault}");
    fault
}

#[tokio::test(flavor = "multi_thread")]
async fn each_trouble_has_its_class() {
    let cloud = cloud(fast(20)).await;
    let ours = adapter(&cloud, 1);
    for wanted in [network(), firewall(&[443])] {
        ours.call(&call(Verb::Create, &wanted)).await.unwrap();
    }
    let server = machine("shop/cp/1", "cx23");
    let troubles = [
        (
            quorate_serve::Fault {
                limit: Some(0),
                ..fault(FaultVerb::Quota)
            },
            FaultClass::Quota,
        ),
        (fault(FaultVerb::StockOut), FaultClass::Capacity),
        (
            quorate_serve::Fault {
                status: Some(503),
                ..fault(FaultVerb::Error)
            },
            FaultClass::Retryable,
        ),
    ];
    for (trouble, expected) in troubles {
        let id = cloud.begin(trouble);
        let fault = class_of(&cloud, &ours, &server).await;
        assert_eq!(fault.class, expected, "{fault}");
        cloud.end(id);
    }
    let strange = adapter_with(&cloud, 1, "hunter3");
    let refused = class_of(&cloud, &strange, &server).await;
    assert_eq!(refused.class, FaultClass::Auth);
    let problems = strange.preflight(std::slice::from_ref(&server)).await;
    assert!(problems[0].fix.contains("HCLOUD_TOKEN"), "{problems:?}");
    // Lost, and done or not: the engine has to look.
    for done in [true, false] {
        let mut lost = fault(FaultVerb::LostReply);
        lost.done = Some(done);
        lost.requests = serde_json::from_value(serde_json::json!({"method": "POST"})).unwrap();
        let id = cloud.begin(lost);
        let wall = resource("shop/firewall.htz/nbg1", firewall(&[443]).spec.clone());
        let outcome = ours.call(&call(Verb::Create, &wall)).await;
        assert_eq!(outcome.unwrap_err().class, FaultClass::Unknown);
        cloud.end(id);
        let seen = ours.call(&call(Verb::Describe, &wall)).await.unwrap();
        assert_eq!(matches!(seen, Reply::Seen(_)), done, "{seen:?}");
        ours.call(&call(Verb::Delete, &wall)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_throttled_adapter_says_when_to_come_again_and_how_wide_its_lane_is() {
    let cloud = cloud(Settings {
        speed: 1.0,
        ..fast(21)
    })
    .await;
    let ours = adapter(&cloud, 1);
    let list = call(Verb::List, &network());
    ours.call(&list).await.unwrap();
    let full = ours.limit().unwrap();
    let throttle = quorate_serve::Fault {
        rate: Some(serde_json::from_value(serde_json::json!("1/m")).unwrap()),
        ..fault(FaultVerb::Throttle)
    };
    cloud.begin(throttle);
    let mut fault = None;
    for _ in 0..20 {
        fault = ours.call(&list).await.err().or(fault);
    }
    let fault = fault.expect("one request a minute is not enough");
    assert_eq!(fault.class, FaultClass::Retryable);
    assert!(
        fault.after.is_some_and(|after| after.as_ms() >= 1_000),
        "{fault:?}"
    );
    let after = ours.limit().unwrap();
    assert!(
        after.burst <= full.burst && after.refill >= full.refill,
        "{after:?}"
    );
}

/// Many machines at once: each finds or makes the one key and the one group.
#[tokio::test(flavor = "multi_thread")]
async fn machines_made_at_once_share_one_key_and_their_groups() {
    let cloud = cloud(fast(22)).await;
    let ours = Arc::new(adapter(&cloud, 1));
    for wanted in [network(), firewall(&[443])] {
        ours.call(&call(Verb::Create, &wanted)).await.unwrap();
    }
    let machines: Vec<_> = (1..=12)
        .map(|number| machine(&format!("shop/cp/{number}"), "cx23"))
        .collect();
    let mut tasks = Vec::new();
    for machine in machines.clone() {
        let ours = Arc::clone(&ours);
        tasks.push(tokio::spawn(async move {
            ours.call(&call(Verb::Create, &machine)).await
        }));
    }
    for task in tasks {
        let outcome = task.await.unwrap();
        assert!(matches!(outcome, Ok(Reply::Seen(_))), "{outcome:?}");
    }
    let things = cloud.things();
    let count = |kind: &str| things.iter().filter(|it| it.kind == kind).count();
    assert_eq!(
        (count("server"), count("ssh_key"), count("placement_group")),
        (12, 1, 2)
    );
    let all = ours.call(&call(Verb::List, &network())).await;
    let Ok(Reply::List(all)) = all else {
        panic!("a list lists, not {all:?}");
    };
    assert_eq!(all.len(), 14);
    let keys = all.iter().filter(|seen| seen.kind == Kind::Machine);
    let keys: std::collections::BTreeSet<_> = keys.map(|seen| seen.host_key.clone()).collect();
    assert_eq!(keys.len(), 12, "every machine has a host key of its own");
    assert!(!keys.contains(&None));
}
