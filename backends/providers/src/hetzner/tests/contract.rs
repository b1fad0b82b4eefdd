//! Our requests against the vendor's own description of its API, and the vendor's own examples of
//! answers against our reading. Both come from `$QUORATE_SPECS/hetzner`.
//!
//! The description allows unknown fields; in what we send they are mistakes and forbidden here.

use super::super::wire;
use super::*;
use serde::de::DeserializeOwned;
use std::path::PathBuf;

/// Where the vendor's files are; none, loudly, where they are not.
fn specs() -> Option<PathBuf> {
    let folder = std::env::var_os("QUORATE_SPECS");
    if folder.is_none() {
        eprintln!(
            "SKIPPED: set QUORATE_SPECS to a folder with hetzner/hcloud.json (OpenAPI), \
             hetzner/hcloud-drift.patch.json and hetzner/fixtures"
        );
    }
    Some(PathBuf::from(folder?).join("hetzner"))
}

fn read(path: &std::path::Path) -> Value {
    let text = std::fs::read_to_string(path);
    let text = text.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap()
}

/// The description with what has changed since (RFC 6902: add, replace, remove).
fn description(folder: &std::path::Path) -> Value {
    let mut document = read(&folder.join("hcloud.json"));
    let patch = read(&folder.join("hcloud-drift.patch.json"));
    for step in patch.as_array().unwrap() {
        let path = step["path"].as_str().unwrap();
        let (parent, name) = path.rsplit_once('/').unwrap();
        let name = name.replace("~1", "/").replace("~0", "~");
        let parent = document
            .pointer_mut(parent)
            .unwrap_or_else(|| panic!("{path}"));
        let parent = parent.as_object_mut().unwrap();
        match step["op"].as_str().unwrap() {
            "add" | "replace" => parent.insert(name, step["value"].clone()),
            "remove" => parent.remove(&name),
            other => panic!("{other} is no step of this patch"),
        };
    }
    document
}

/// OpenAPI 3.0 as JSON Schema: references resolved, `nullable` spelled out, unknown fields out.
fn strict(schema: &Value, document: &Value) -> Value {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = document.pointer(reference.trim_start_matches('#'));
        return strict(target.unwrap_or_else(|| panic!("{reference}")), document);
    }
    let Value::Object(map) = schema else {
        return schema.clone();
    };
    let mut out = serde_json::Map::new();
    for (name, value) in map {
        let value = match name.as_str() {
            "example" | "default" | "deprecated" | "nullable" | "format" | "title" => continue,
            "properties" => {
                let fields = value.as_object().unwrap().iter();
                let fields = fields.map(|(name, it)| (name.clone(), strict(it, document)));
                Value::Object(fields.collect())
            }
            "items" | "additionalProperties" => strict(value, document),
            "allOf" | "anyOf" | "oneOf" => {
                let all = value.as_array().unwrap().iter();
                all.map(|it| strict(it, document)).collect()
            }
            _ => value.clone(),
        };
        out.insert(name.clone(), value);
    }
    if out.contains_key("properties") && !out.contains_key("additionalProperties") {
        out.insert("additionalProperties".to_owned(), json!(false));
    }
    match schema["nullable"] == true {
        true => json!({"anyOf": [Value::Object(out), {"type": "null"}]}),
        false => Value::Object(out),
    }
}

/// What is wrong with a request.
fn violations(asked: &Asked, document: &Value) -> Vec<String> {
    let path = asked
        .path
        .strip_prefix("/v1")
        .expect("the version stands first");
    let same = |template: &str| {
        let (ours, theirs) = (path.split('/'), template.split('/'));
        ours.clone().count() == theirs.clone().count()
            && ours.zip(theirs).all(|(a, b)| {
                a == b || b.starts_with('{') && a.bytes().all(|byte| byte.is_ascii_digit())
            })
    };
    let method = asked.method.to_ascii_lowercase();
    let paths = document["paths"].as_object().unwrap().iter();
    let mut known = paths.filter(|(template, _)| same(template));
    let operation = known.find_map(|(_, item)| item.get(&method));
    let Some(operation) = operation else {
        return vec![format!("there is no {method} {path}")];
    };
    let mut found = Vec::new();
    let parameters = operation["parameters"].as_array();
    for name in asked.query.keys() {
        let listed = parameters.into_iter().flatten();
        let mut listed = listed.filter(|it| it["in"] == "query" && it["name"] == **name);
        if listed.next().is_none() {
            found.push(format!("{method} {path} knows no parameter {name}"));
        }
    }
    let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
    match (schema, &asked.body) {
        (Value::Null, Value::Null) => {}
        (Value::Null, _) => found.push(format!("{method} {path} takes no body")),
        (schema, body) => {
            let validator = jsonschema::validator_for(&strict(schema, document)).unwrap();
            let errors = validator.iter_errors(body);
            found.extend(errors.map(|e| format!("{method} {path}: {} {e}", e.instance_path())));
        }
    }
    found
}

/// Everything the adapter ever asks for.
async fn all_requests() -> Vec<Asked> {
    let project = Project::start().await;
    let adapter = project.adapter(1);
    let wanted = [network("10.0.0.0/24"), firewall(&[80, 443]), machine(1)];
    adapter.preflight(&wanted).await;
    let snapshot = machine_of(9, "fsn1", "cx23", "4711");
    adapter.preflight(&[snapshot]).await;
    project.furnish(&adapter).await;
    project.with(|store| {
        store.alter("networks", |network| network["subnets"] = json!([]));
        store.alter("firewalls", |firewall| firewall["applied_to"] = json!([]));
    });
    for resource in [network("10.0.0.0/24"), firewall(&[443])] {
        let updated = adapter.call(&call(Verb::Update, &resource)).await;
        assert_eq!(updated, Ok(Reply::Done));
    }
    listed(&adapter).await;
    adapter.owners().await.unwrap();
    for resource in wanted.iter().rev() {
        seen(adapter.call(&call(Verb::Describe, resource)).await);
        let deleted = adapter.call(&call(Verb::Delete, resource)).await;
        assert_eq!(deleted, Ok(Reply::Done));
    }
    project.fake.asked()
}

#[tokio::test]
async fn every_request_is_one_that_the_vendor_describes() {
    let Some(folder) = specs() else { return };
    let document = description(&folder);
    let asked = all_requests().await;
    let mut shapes = BTreeSet::new();
    for request in &asked {
        assert_eq!(violations(request, &document), Vec::<String>::new());
        let path = request.path.replace(|c: char| c.is_ascii_digit(), "");
        shapes.insert(format!("{} {path}", request.method));
    }
    assert!(shapes.len() >= 20, "{shapes:#?}");
}

#[tokio::test]
async fn the_check_finds_what_is_wrong() {
    let Some(folder) = specs() else { return };
    let document = description(&folder);
    let asked = all_requests().await;
    let made = |path: &str| {
        let mut found = asked
            .iter()
            .filter(|it| it.method == "POST" && it.path == path);
        found.next().cloned().unwrap()
    };
    let change = |change: &dyn Fn(&mut Asked)| {
        let mut server = made("/v1/servers");
        change(&mut server);
        violations(&server, &document)
    };
    assert_eq!(change(&|_| {}), Vec::<String>::new());
    let wrong: [&dyn Fn(&mut Asked); 6] = [
        &|it| it.body["bogus"] = json!(1),
        &|it| it.body["public_net"]["enable_ipv5"] = json!(true),
        &|it| it.body["networks"] = json!(["name"]),
        &|it| it.body["labels"]["a"] = json!("no spaces here"),
        &|it| drop(it.body.as_object_mut().unwrap().remove("image")),
        &|it| it.path = "/v1/datacenters".to_owned(),
    ];
    for (index, wrong) in wrong.into_iter().enumerate() {
        assert!(!change(wrong).is_empty(), "change {index} is not found");
    }
}

#[test]
fn what_the_vendors_own_client_reads_we_read() {
    let Some(folder) = specs() else { return };
    let fixture = |name: &str| read(&folder.join("fixtures").join(format!("{name}.json")));
    fn check<T: DeserializeOwned>(name: &str, value: &Value) {
        let read = serde_json::from_value::<T>(value.clone());
        assert!(read.is_ok(), "{name}: {:?}", read.err());
    }
    fn each<T: DeserializeOwned>(name: &str, value: &Value) {
        let values = value
            .as_array()
            .unwrap_or_else(|| panic!("{name} is a list"));
        assert!(!values.is_empty(), "{name}");
        for value in values {
            check::<T>(name, value);
        }
    }
    for (name, field) in [
        ("servers.response_simple_server", "server"),
        ("servers.response_full_server", "server"),
        ("servers.response_create_simple_server", "server"),
        ("servers.response_update_server", "server"),
    ] {
        check::<Server>(name, &fixture(name)[field]);
    }
    each::<Server>(
        "servers",
        &fixture("servers.response_simple_servers")["servers"],
    );
    for name in [
        "network_response",
        "network_create_response",
        "response_update_network",
    ] {
        let name = format!("networks.{name}");
        check::<Network>(&name, &fixture(&name)["network"]);
    }
    each::<Network>(
        "networks",
        &fixture("networks.two_networks_response")["networks"],
    );
    for name in [
        "firewall_response",
        "response_create_firewall",
        "response_update_firewall",
    ] {
        let name = format!("firewalls.{name}");
        check::<Firewall>(&name, &fixture(&name)["firewall"]);
    }
    each::<Firewall>(
        "firewalls",
        &fixture("firewalls.two_firewalls_response")["firewalls"],
    );
    let keys = &fixture("ssh_keys.two_ssh_keys_response")["ssh_keys"];
    each::<Part>("ssh keys", keys);
    let groups = &fixture("placement_groups.two_placement_groups_response")["placement_groups"];
    each::<Part>("placement groups", groups);
    let types = &fixture("server_types.two_server_types_response")["server_types"];
    each::<wire::ServerType>("server types", types);
    check::<wire::ServerType>(
        "server type",
        &fixture("server_types.server_type_response")["server_type"],
    );
    each::<wire::Location>(
        "locations",
        &fixture("locations.two_locations_response")["locations"],
    );
    check::<wire::Image>("image", &fixture("images.image1"));
    let rules = &fixture("firewalls.response_set_rules")["actions"];
    each::<wire::Action>("actions", rules);
    check::<wire::Action>("action", &fixture("unit.action1_running"));
}

#[test]
fn a_recorded_server_is_shown_whole() {
    let Some(folder) = specs() else { return };
    let path = folder.join("fixtures/servers.response_simple_server.json");
    let server: Server = serde_json::from_value(read(&path)["server"].clone()).unwrap();
    let shows = server.shows();
    assert_eq!(server.state(), MachineState::Running);
    assert_eq!(shows.public, Some("1.2.3.4".parse().unwrap()));
    assert_eq!(shows.private, Some("10.1.1.5".parse().unwrap()));
    assert_eq!(shows.fields["machine_type"], "cx11");
    assert_eq!(shows.fields["image"], "ubuntu-20.04");
}
