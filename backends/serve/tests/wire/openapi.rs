//! Our answers against the vendor's own description of them.
//!
//! Needs the contract files: the environment variable QUORATE_SPECS names their folder, in which
//! `hetzner/hcloud.json` is the OpenAPI document and `hetzner/hcloud-drift.patch.json` what has
//! changed since.

use crate::client::{Reply, ask};
use quorate_engine::time::Span;
use quorate_serve::{Handle, Settings, Vendor, serve};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use tokio::net::TcpListener;

/// The description, as JSON Schema.
struct Contract {
    document: Value,
    checked: BTreeSet<String>,
}

impl Contract {
    /// None where the files are not there: then it says so.
    fn read() -> Option<Self> {
        let Some(specs) = std::env::var_os("QUORATE_SPECS") else {
            eprintln!("SKIPPED: set QUORATE_SPECS to the folder of the vendors' contract files");
            return None;
        };
        let read = |name: &str| -> Value {
            let path = Path::new(&specs).join("hetzner").join(name);
            let text = fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            serde_json::from_slice(&text).expect("it is JSON")
        };
        let mut document = read("hcloud.json");
        for step in read("hcloud-drift.patch.json").as_array().expect("steps") {
            patch(&mut document, step);
        }
        modernise(&mut document);
        let checked = BTreeSet::new();
        Some(Self { document, checked })
    }

    /// The path of the document that this path is an instance of: the one with the fewest
    /// parameters.
    fn template(&self, path: &str) -> &str {
        let path = path.split('?').next().unwrap_or_default();
        let parts: Vec<&str> = path.split('/').collect();
        let fits = |template: &&String| {
            let theirs: Vec<&str> = template.split('/').collect();
            let mut pairs = theirs.iter().zip(&parts);
            theirs.len() == parts.len() && pairs.all(|(t, p)| t.starts_with('{') || t == p)
        };
        let all = self.document["paths"].as_object().expect("paths");
        let found = all
            .keys()
            .filter(fits)
            .min_by_key(|t| t.matches('{').count());
        found.unwrap_or_else(|| panic!("{path} is not in the document"))
    }

    /// Fails where an answer is not as described.
    fn check(&mut self, method: &str, path: &str, reply: &Reply) {
        let template = self.template(path).to_owned();
        let verb = method.to_lowercase();
        let responses = &self.document["paths"][&template][&verb]["responses"];
        let status = match reply.status {
            400..=499 => "4xx".to_owned(),
            500..=599 => "5xx".to_owned(),
            exact => exact.to_string(),
        };
        let told = format!("{method} {template} -> {}", reply.status);
        assert!(responses[&status].is_object(), "{told} is not described");
        let schema = &responses[&status]["content"]["application/json"]["schema"];
        if schema.is_null() {
            assert_eq!(reply.body, Value::Null, "{told} has no body");
        } else {
            let root = json!({"allOf": [schema], "components": self.document["components"]});
            let validator = jsonschema::draft202012::new(&root).expect("a sound schema");
            let errors = validator.iter_errors(&reply.body);
            let errors: Vec<String> = errors
                .map(|error| format!("{}: {error}", error.instance_path()))
                .collect();
            assert!(errors.is_empty(), "{told}: {errors:#?}\n{:#}", reply.body);
        }
        self.checked.insert(told);
    }
}

/// One step of RFC 6902, on objects.
fn patch(document: &mut Value, step: &Value) {
    let path = step["path"].as_str().expect("a path");
    let mut parts: Vec<String> = path
        .split('/')
        .skip(1)
        .map(|part| part.replace("~1", "/").replace("~0", "~"))
        .collect();
    let last = parts.pop().expect("a path has parts");
    let mut target = document;
    for part in &parts {
        target = target
            .get_mut(part)
            .unwrap_or_else(|| panic!("nothing at {path}"));
    }
    let target = target.as_object_mut().expect("an object");
    match step["op"].as_str() {
        Some("remove") => assert!(target.remove(&last).is_some(), "nothing at {path}"),
        Some("add" | "replace") => {
            target.insert(last, step["value"].clone());
        }
        other => panic!("{other:?} is not used"),
    }
}

/// OpenAPI 3.0 to JSON Schema: `nullable` becomes a type, and a member of an enumeration.
fn modernise(value: &mut Value) {
    match value {
        Value::Array(all) => all.iter_mut().for_each(modernise),
        Value::Object(map) => {
            map.values_mut().for_each(modernise);
            for bound in ["exclusiveMinimum", "exclusiveMaximum"] {
                if map.get(bound).is_some_and(Value::is_boolean) {
                    map.remove(bound);
                }
            }
            if map.get("nullable") == Some(&Value::Bool(true)) {
                allow_null(map);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn allow_null(map: &mut Map<String, Value>) {
    map.remove("nullable");
    let wrapped = ["$ref", "allOf", "oneOf", "anyOf"];
    if wrapped.iter().any(|word| map.contains_key(*word)) {
        let inner = Value::Object(std::mem::take(map));
        map.insert("anyOf".to_owned(), json!([inner, {"type": "null"}]));
        return;
    }
    if let Some(Value::Array(all)) = map.get_mut("enum") {
        all.push(Value::Null);
    }
    if let Some(kind) = map.remove("type") {
        map.insert("type".to_owned(), json!([kind, "null"]));
    }
}

/// A walk through the API; every answer on the way is checked.
struct Walk {
    cloud: Handle,
    contract: Contract,
}

impl Walk {
    async fn go(&mut self, method: &str, path: &str, body: Value, status: u16) -> Value {
        let reply = ask(&self.cloud, method, path, &body)
            .await
            .expect("an answer");
        assert_eq!(reply.status, status, "{method} {path}: {:#}", reply.body);
        self.contract.check(method, path, &reply);
        reply.body
    }

    /// What is being done gets done.
    fn rest(&self) {
        self.cloud.skip(Span::from_secs(600));
    }

    async fn offers(&mut self) {
        for plural in ["locations", "server_types", "images"] {
            let all = self
                .go("GET", &format!("/{plural}"), Value::Null, 200)
                .await;
            let path = format!("/{plural}/{}", all[plural][0]["id"]);
            self.go("GET", &path, Value::Null, 200).await;
            self.go("GET", &format!("/{plural}/7777777"), Value::Null, 404)
                .await;
        }
    }

    /// Makes, reads, lists, changes, lists its actions; answers the id.
    async fn life(&mut self, plural: &str, one: &str, body: Value) -> Value {
        let path = format!("/{plural}");
        let made = self.go("POST", &path, body.clone(), 201).await;
        self.go("POST", &path, body.clone(), 409).await;
        self.go("POST", &path, json!({}), 422).await;
        let id = made[one]["id"].clone();
        let own = format!("/{plural}/{id}");
        self.go("GET", &own, Value::Null, 200).await;
        self.go("PUT", &own, json!({"labels": {"a": "b"}}), 200)
            .await;
        self.go(
            "GET",
            &format!("{path}?label_selector=a=b&sort=id:desc"),
            Value::Null,
            200,
        )
        .await;
        self.rest();
        id
    }

    async fn act(&mut self, own: &str, command: &str, body: Value) {
        let path = format!("{own}/actions/{command}");
        self.go("POST", &path, body, 201).await;
        self.rest();
        self.go("GET", &format!("{own}/actions"), Value::Null, 200)
            .await;
    }
}

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me@here";

/// Ids of what a server needs.
struct Foundation {
    network: Value,
    key: Value,
    group: Value,
    address: Value,
    firewall: Value,
}

impl Walk {
    async fn foundation(&mut self) -> Foundation {
        let subnet = json!({"type": "cloud", "network_zone": "eu-central"});
        let network = json!({"name": "net", "ip_range": "10.0.0.0/16", "subnets": [subnet]});
        let key = json!({"name": "me", "public_key": KEY});
        let group = json!({"name": "g", "type": "spread"});
        let address = json!({"name": "ip", "type": "ipv4", "location": "fsn1"});
        let rules = json!([{"direction": "in", "protocol": "icmp", "source_ips": ["::/0"]}]);
        let firewall = json!({"name": "fw", "rules": rules});
        Foundation {
            network: self.life("networks", "network", network).await,
            key: self.life("ssh_keys", "ssh_key", key).await,
            group: self
                .life("placement_groups", "placement_group", group)
                .await,
            address: self.life("primary_ips", "primary_ip", address).await,
            firewall: self.life("firewalls", "firewall", firewall).await,
        }
    }

    async fn of_servers(&mut self, on: &Foundation) -> String {
        let server = json!({
            "name": "s", "server_type": "cx23", "image": "debian-12", "location": "fsn1",
            "networks": [on.network], "ssh_keys": [on.key], "placement_group": on.group,
            "firewalls": [{"firewall": on.firewall}], "public_net": {"ipv4": on.address},
        });
        let server = self.life("servers", "server", server).await;
        let plain = json!({"name": "p", "server_type": "cax11", "image": "debian-13"});
        self.go("POST", "/servers", plain, 201).await;
        let own = format!("/servers/{server}");
        for command in ["poweroff", "poweron", "reboot", "reset", "shutdown"] {
            self.act(&own, command, Value::Null).await;
        }
        self.act(&own, "remove_from_placement_group", Value::Null)
            .await;
        let group = json!({"placement_group": on.group});
        self.act(&own, "add_to_placement_group", group).await;
        let network = json!({"network": on.network});
        self.act(&own, "detach_from_network", network.clone()).await;
        self.act(&own, "attach_to_network", network).await;
        self.act(
            &own,
            "change_protection",
            json!({"delete": true, "rebuild": true}),
        )
        .await;
        self.go("DELETE", &own, Value::Null, 423).await;
        self.act(
            &own,
            "change_protection",
            json!({"delete": false, "rebuild": false}),
        )
        .await;
        own
    }

    async fn of_networks(&mut self, own: &str) {
        let route = json!({"destination": "10.100.0.0/24", "gateway": "10.0.0.9"});
        self.act(own, "add_route", route.clone()).await;
        self.act(own, "delete_route", route).await;
        let block = "10.0.9.0/24";
        let more = json!({"type": "cloud", "ip_range": block, "network_zone": "us-east"});
        self.act(own, "add_subnet", more).await;
        self.act(own, "delete_subnet", json!({"ip_range": block}))
            .await;
        self.act(own, "change_ip_range", json!({"ip_range": "10.0.0.0/15"}))
            .await;
        self.act(own, "change_protection", json!({"delete": false}))
            .await;
    }

    async fn of_firewalls(&mut self, own: &str) {
        let on = json!([{"type": "label_selector", "label_selector": {"selector": "a"}}]);
        self.act(own, "set_rules", json!({"rules": []})).await;
        self.act(own, "apply_to_resources", json!({"apply_to": on}))
            .await;
        self.go("GET", own, Value::Null, 200).await;
        self.go("DELETE", own, Value::Null, 422).await;
        self.act(own, "remove_from_resources", json!({"remove_from": on}))
            .await;
    }

    async fn end_of_server(&mut self, own: &str) {
        let deleted = self.go("DELETE", own, Value::Null, 200).await;
        let action = &deleted["action"]["id"];
        self.go("GET", own, Value::Null, 200).await;
        self.go("GET", &format!("/actions/{action}"), Value::Null, 200)
            .await;
        self.go("GET", &format!("/actions?id={action}"), Value::Null, 200)
            .await;
        self.go("GET", "/servers/actions", Value::Null, 200).await;
        self.rest();
        self.go("GET", own, Value::Null, 404).await;
    }
}

#[tokio::test]
async fn every_answer_is_as_the_vendor_describes_it() {
    let Some(contract) = Contract::read() else {
        return;
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    // Slow enough for a deletion to be seen under way, fast enough to be over soon.
    let settings = Settings {
        speed: 20.0,
        limit: Some((1_000_000, Span::from_us(1))),
        ..Settings::new(Vendor::Hetzner)
    };
    let cloud = serve(listener, settings).await.expect("it is on loopback");
    let mut walk = Walk { cloud, contract };
    walk.offers().await;
    let on = walk.foundation().await;
    let server = walk.of_servers(&on).await;
    let network = format!("/networks/{}", on.network);
    walk.of_networks(&network).await;
    let firewall = format!("/firewalls/{}", on.firewall);
    walk.of_firewalls(&firewall).await;
    walk.end_of_server(&server).await;
    let rest = [
        firewall,
        network,
        format!("/ssh_keys/{}", on.key),
        format!("/placement_groups/{}", on.group),
        format!("/primary_ips/{}", on.address),
    ];
    for own in rest {
        walk.go("DELETE", &own, Value::Null, 204).await;
    }
    let checked = walk.contract.checked.len();
    assert!(checked >= 70, "{checked}: {:#?}", walk.contract.checked);
    walk.cloud.stop().await.expect("it stops");
}
