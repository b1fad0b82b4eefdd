//! The adapter against a project in memory, which knows names, labels and little else: enough to
//! see what is asked for, and what is left behind. Behaviour is the simulated cloud's to judge.

mod contract;
mod life;
mod looks;
mod refusals;

use super::*;
use crate::fake::{Asked, Fake, Reaction};
use quorate_engine::resource::Spec;
use quorate_engine::seam::{Key, Lane};
use std::sync::Mutex;

pub(super) const TOKEN: &str = "hunter2-hunter2";
pub(super) const KEY_LINE: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMe me@home";

/// What a project holds, by collection.
#[derive(Default)]
pub(super) struct Store {
    things: BTreeMap<String, Vec<Value>>,
    serial: u64,
    /// Answers instead of the store, by method and path.
    pub(super) refusals: BTreeMap<String, (u16, Value)>,
}

impl Store {
    fn answer(&mut self, asked: &Asked) -> (u16, Value) {
        let path = asked.path.strip_prefix("/v1").unwrap_or(&asked.path);
        if let Some(refusal) = self.refusals.get(&format!("{} {path}", asked.method)) {
            return refusal.clone();
        }
        let parts: Vec<_> = path.trim_start_matches('/').split('/').collect();
        match (asked.method.as_str(), parts.as_slice()) {
            ("GET", [many]) => self.list(many, asked),
            ("POST", [many]) => self.create(many, &asked.body),
            ("POST", [many, id, "actions", action]) => self.act(many, id, action, &asked.body),
            ("PUT", [many, id]) => {
                let labels = asked.body["labels"].clone();
                let thing = self.by_id(many, id).expect("it is there");
                thing["labels"] = labels;
                (200, json!({}))
            }
            ("GET", [many, id]) => match self.by_id(many, id) {
                Some(thing) => (200, json!({ singular(many): thing })),
                None => (
                    404,
                    json!({"error": {"code": "not_found", "message": "none"}}),
                ),
            },
            ("DELETE", [many, id]) => {
                let many = self.things.entry((*many).to_owned()).or_default();
                many.retain(|thing| !is(thing, id));
                (204, Value::Null)
            }
            other => panic!("{other:?} is not asked for"),
        }
    }

    fn by_id(&mut self, many: &str, id: &str) -> Option<&mut Value> {
        let things = self.things.get_mut(many)?.iter_mut();
        things.into_iter().find(|thing| is(thing, id))
    }

    fn list(&mut self, many: &str, asked: &Asked) -> (u16, Value) {
        let holding: Vec<Value> = self.of("servers").to_vec();
        let fits = |thing: &&Value| {
            let name = asked.query.get("name");
            let selector = asked.query.get("label_selector");
            name.is_none_or(|name| thing["name"] == **name)
                && selector.is_none_or(|selector| selects(selector, thing))
        };
        let mut found: Vec<Value> = self.of(many).iter().filter(fits).cloned().collect();
        for network in found.iter_mut().filter(|_| many == "networks") {
            let inside = |server: &&Value| server["private_net"][0]["network"] == network["id"];
            let ids = holding
                .iter()
                .filter(inside)
                .map(|server| server["id"].clone());
            network["servers"] = ids.collect();
        }
        let page = json!({"pagination": {"page": 1, "next_page": null, "last_page": null}});
        (200, json!({ many: found, "meta": page }))
    }

    fn create(&mut self, many: &str, body: &Value) -> (u16, Value) {
        let taken = self
            .of(many)
            .iter()
            .any(|thing| thing["name"] == body["name"]);
        if taken {
            let error = json!({"code": "uniqueness_error", "message": "name is already used"});
            return (409, json!({ "error": error }));
        }
        self.serial += 1;
        let mut thing = body.clone();
        thing["id"] = json!(self.serial);
        if many == "servers" {
            thing["status"] = json!("initializing");
            thing["server_type"] = json!({"id": 1, "name": body["server_type"]});
            thing["image"] = json!({"id": 2, "name": body["image"]});
            thing["location"] = json!({"name": body["location"]});
            thing["public_net"] = json!({"ipv4": {"ip": "192.0.2.7"}});
            let net = json!({"network": body["networks"][0], "ip": "10.0.0.2"});
            thing["private_net"] = json!([net]);
        }
        if many == "firewalls" {
            thing["applied_to"] = body["apply_to"].clone();
        }
        self.place(many, thing.clone());
        (201, json!({ singular(many): thing, "root_password": null }))
    }

    fn act(&mut self, many: &str, id: &str, action: &str, body: &Value) -> (u16, Value) {
        let thing = self.by_id(many, id).expect("it is there");
        match action {
            "set_rules" => thing["rules"] = body["rules"].clone(),
            "add_subnet" => thing["subnets"] = json!([body]),
            "apply_to_resources" => thing["applied_to"] = body["apply_to"].clone(),
            "remove_from_resources" => thing["applied_to"] = json!([]),
            other => panic!("{other} is not asked for"),
        }
        (
            201,
            json!({"action": {"command": action, "status": "running", "error": null}}),
        )
    }

    pub(super) fn of(&self, many: &str) -> &[Value] {
        self.things.get(many).map_or(&[], Vec::as_slice)
    }

    pub(super) fn place(&mut self, many: &str, thing: Value) {
        self.things.entry(many.to_owned()).or_default().push(thing);
    }

    /// Changes the one thing there is.
    pub(super) fn alter(&mut self, many: &str, change: impl Fn(&mut Value)) {
        for thing in self.things.get_mut(many).into_iter().flatten() {
            change(thing);
        }
    }

    fn count(&self) -> usize {
        let made = [
            "servers",
            "networks",
            "firewalls",
            "ssh_keys",
            "placement_groups",
        ];
        made.iter().map(|many| self.of(many).len()).sum()
    }
}

fn singular(many: &str) -> &str {
    many.strip_suffix('s')
        .expect("a collection's name is a plural")
}

fn selects(selector: &str, thing: &Value) -> bool {
    selector.split(',').all(|term| match term.split_once("==") {
        Some((name, value)) => thing["labels"][name] == value,
        None => thing["labels"].get(term).is_some(),
    })
}

/// A project on loopback, and what it holds.
pub(super) struct Project {
    pub(super) fake: Fake,
    pub(super) store: Arc<Mutex<Store>>,
}

impl Project {
    pub(super) async fn start() -> Self {
        let mut store = Store::default();
        let zone = json!({"id": 1, "name": "fsn1", "network_zone": "eu-central"});
        store.place("locations", zone);
        let offer = |name: &str, available| json!({"name": name, "available": available});
        let offers = [offer("fsn1", true), offer("nbg1", false)];
        let kind = json!({"id": 1, "name": "cx23", "architecture": "x86", "locations": offers});
        store.place("server_types", kind);
        let image = json!({"id": 2, "name": "debian-12", "architecture": "x86"});
        store.place("images", image);
        let store = Arc::new(Mutex::new(store));
        let held = Arc::clone(&store);
        let fake = Fake::start(move |asked| {
            let (status, body) = held.lock().unwrap().answer(asked);
            match body {
                Value::Null => Reaction::Answer(status, Vec::new(), String::new()),
                body => Reaction::json(status, &body),
            }
        })
        .await;
        Self { fake, store }
    }

    pub(super) fn with<R>(&self, look: impl FnOnce(&mut Store) -> R) -> R {
        look(&mut self.store.lock().unwrap())
    }

    pub(super) fn adapter(&self, uid: u64) -> Hetzner {
        self.adapter_called("htz", uid)
    }

    pub(super) fn adapter_called(&self, name: &str, uid: u64) -> Hetzner {
        Hetzner::new(site(name, uid), Some(self.fake.url())).expect("a good site")
    }

    pub(super) fn holds(&self, many: &str) -> usize {
        self.store.lock().unwrap().of(many).len()
    }

    pub(super) fn holds_all(&self) -> usize {
        self.store.lock().unwrap().count()
    }

    pub(super) fn refuse(&self, what: &str, status: u16, code: &str) {
        let body = json!({"error": {"code": code, "message": format!("{TOKEN} says no")}});
        let mut store = self.store.lock().unwrap();
        store.refusals.insert(what.to_owned(), (status, body));
    }

    pub(super) fn relent(&self) {
        self.store.lock().unwrap().refusals.clear();
    }

    /// Makes network, firewall and one machine.
    pub(super) async fn furnish(&self, adapter: &Hetzner) {
        for resource in [network("10.0.0.0/24"), firewall(&[80, 443]), machine(1)] {
            let made = adapter.call(&call(Verb::Create, &resource)).await;
            assert!(matches!(made, Ok(Reply::Seen(_))), "{made:?}");
        }
    }
}

fn site(name: &str, uid: u64) -> Site {
    let provider = json!({"name": name, "type": "hetzner"});
    Site {
        owner: Owner {
            cluster: "shop".to_owned(),
            uid,
        },
        provider: serde_json::from_value(provider).unwrap(),
        secret: Some(Secret::new(TOKEN)),
        ssh_user: "root".to_owned(),
        ssh_keys: vec![KEY_LINE.to_owned()],
    }
}

fn resource(id: &str, spec: Spec) -> Arc<Resource> {
    Arc::new(Resource {
        id: ResourceId::new(id),
        provider: "htz".to_owned(),
        spec,
    })
}

pub(super) fn network(cidr: &str) -> Arc<Resource> {
    let spec = Spec::Network {
        region: "fsn1".to_owned(),
        cidr: cidr.parse().unwrap(),
    };
    resource("shop/network.htz/fsn1", spec)
}

pub(super) fn firewall(public_ports: &[u16]) -> Arc<Resource> {
    let spec = Spec::Firewall {
        region: "fsn1".to_owned(),
        mesh_port: 51_820,
        public_ports: public_ports.to_vec(),
    };
    resource("shop/firewall.htz/fsn1", spec)
}

pub(super) fn machine(number: u32) -> Arc<Resource> {
    machine_of(number, "fsn1", "cx23", "debian-12")
}

pub(super) fn machine_of(number: u32, region: &str, kind: &str, image: &str) -> Arc<Resource> {
    let spec = Spec::Machine {
        region: region.to_owned(),
        zone: region.to_owned(),
        machine_type: kind.to_owned(),
        image: image.to_owned(),
        spot: false,
        roles: Vec::new(),
        existing: None,
    };
    resource(&format!("shop/cp/{number}"), spec)
}

pub(super) fn call(verb: Verb, resource: &Arc<Resource>) -> Call {
    Call {
        lane: Lane::Provider(Arc::from("htz")),
        verb,
        target: resource.id.clone(),
        kind: resource.spec.kind(),
        resource: Some(Arc::clone(resource)),
        key: Key(7),
        addresses: Vec::new(),
        peers: Arc::from([]),
    }
}

pub(super) fn class(outcome: &Outcome) -> FaultClass {
    let fault = outcome.as_ref().expect_err("it is to be refused");
    assert!(!format!("{fault:?}").contains(TOKEN), "{fault:?}");
    fault.class
}

pub(super) fn seen(outcome: Outcome) -> Seen {
    match outcome {
        Ok(Reply::Seen(seen)) => seen,
        other => panic!("it is to be seen, not {other:?}"),
    }
}

pub(super) async fn listed(adapter: &Hetzner) -> Vec<Seen> {
    match adapter.call(&call(Verb::List, &machine(1))).await {
        Ok(Reply::List(list)) => list,
        other => panic!("a list lists, not {other:?}"),
    }
}

fn is(thing: &Value, id: &str) -> bool {
    thing["id"].as_u64() == id.parse().ok()
}
