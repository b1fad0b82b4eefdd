//! The model, without sockets: every test says what time it is.

use super::*;
use crate::faults::{Fault, FaultVerb};
use quorate_engine::units::{Duration, Percent};
use serde_json::{Value, json};

mod faulty;
mod refusals;

struct Project {
    cloud: Hetzner,
    faults: Faults,
    now: Time,
}

impl Project {
    fn new() -> Self {
        Self::with(&Settings::new(crate::Vendor::Hetzner))
    }

    fn with(settings: &Settings) -> Self {
        let calendar = Calendar {
            zero_ns: 1_790_000_000_000_000_000,
            speed: 1.0,
        };
        Self {
            cloud: Hetzner::new(settings, calendar),
            faults: Faults::new(Seed(settings.seed)),
            now: Time::ZERO,
        }
    }

    fn wait(&mut self, secs: u64) {
        self.now += Span::from_secs(secs);
    }

    fn raw(&mut self, method: &str, path: &str, bearer: Option<&str>, body: Vec<u8>) -> Answer {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let request = Request {
            method: method.to_owned(),
            path: path.to_owned(),
            query: pairs.map(|(n, v)| (n.to_owned(), v.to_owned())).collect(),
            bearer: bearer.map(str::to_owned),
            body,
        };
        let calm = Interference::default();
        self.cloud
            .answer(self.now, &request, &mut self.faults, &calm)
    }

    fn ask(&mut self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let body = match body {
            Value::Null => Vec::new(),
            body => body.to_string().into_bytes(),
        };
        let answer = self.raw(method, path, Some("token"), body);
        (answer.status, answer.body.unwrap_or_default())
    }

    fn get(&mut self, path: &str) -> Value {
        let (status, body) = self.ask("GET", path, &Value::Null);
        assert_eq!(status, 200, "GET {path}: {body}");
        body
    }

    /// Makes something and answers the whole body.
    fn make(&mut self, path: &str, body: &Value) -> Value {
        let (status, answer) = self.ask("POST", path, body);
        assert_eq!(status, 201, "POST {path}: {answer}");
        answer
    }

    fn network(&mut self) -> u64 {
        let body = json!({"name": "net", "ip_range": "10.0.0.0/16", "subnets": [
            {"type": "cloud", "ip_range": "10.0.1.0/24", "network_zone": "eu-central"},
        ]});
        id(&self.make("/networks", &body)["network"])
    }

    fn server(&mut self, name: &str) -> u64 {
        id(&self.make("/servers", &server(name))["server"])
    }

    fn until_running(&mut self, server: u64) {
        self.wait(600);
        let shown = self.get(&format!("/servers/{server}"));
        assert_eq!(shown["server"]["status"], "running");
    }
}

fn id(entity: &Value) -> u64 {
    entity["id"].as_u64().expect("it has an id")
}

fn server(name: &str) -> Value {
    json!({"name": name, "server_type": "cx23", "image": "ubuntu-24.04", "location": "fsn1"})
}

fn code(body: &Value) -> &str {
    body["error"]["code"].as_str().unwrap_or("no error")
}

#[test]
fn a_server_comes_up_step_by_step_and_each_step_is_an_action() {
    let mut project = Project::new();
    let network = project.network();
    let mut body = server("a");
    body["networks"] = json!([network]);
    body["user_data"] = json!("#cloud-config\n");
    let made = project.make("/servers", &body);
    let path = format!("/servers/{}", id(&made["server"]));
    assert_eq!(made["server"]["status"], "initializing");
    assert_eq!(made["server"]["private_net"], json!([]));
    assert_eq!(made["action"]["status"], "running");
    let next = made["next_actions"].as_array().expect("a list");
    let commands = next
        .iter()
        .map(|action| action["command"].as_str().unwrap_or_default());
    assert_eq!(
        commands.collect::<Vec<_>>(),
        ["attach_to_network", "start_server"]
    );
    let mut seen = vec!["initializing".to_owned()];
    for _ in 0..120 {
        project.wait(1);
        let shown = project.get(&path)["server"].clone();
        let status = shown["status"].as_str().expect("a word").to_owned();
        let busy = shown["locked"] == true;
        assert_eq!(busy, status != "running", "it is locked until it runs");
        if seen.last() != Some(&status) {
            seen.push(status);
        }
    }
    assert_eq!(seen, ["initializing", "starting", "running"]);
    let shown = project.get(&path)["server"].clone();
    assert_eq!(shown["private_net"][0]["ip"], "10.0.1.1");
    assert_eq!(shown["public_net"]["ipv4"]["ip"], "198.51.100.1");
    let ids = format!("/actions?id={}&id={}", id(&made["action"]), id(&next[1]));
    let actions = project.get(&ids)["actions"].clone();
    assert_eq!(actions[0]["status"], "success");
    assert_eq!(
        (&actions[1]["progress"], actions.as_array().map(Vec::len)),
        (&json!(100), Some(2))
    );
    let things = project.cloud.things(project.now);
    let thing = things
        .iter()
        .find(|thing| thing.kind == "server")
        .expect("it is there");
    assert_eq!(thing.user_data.as_deref(), Some("#cloud-config\n"));
}

#[test]
fn a_name_is_free_again_when_its_server_is_gone() {
    let mut project = Project::new();
    let first = project.server("a");
    let path = format!("/servers/{first}");
    let (status, body) = project.ask("DELETE", &path, &Value::Null);
    assert_eq!((status, code(&body)), (423, "locked"), "it is being made");
    project.until_running(first);
    let (status, body) = project.ask("DELETE", &path, &Value::Null);
    assert_eq!(
        (status, &body["action"]["status"]),
        (200, &json!("running"))
    );
    let deletion = id(&body["action"]);
    assert_eq!(project.get(&path)["server"]["status"], "deleting");
    let (status, body) = project.ask("POST", "/servers", &server("a"));
    assert_eq!((status, code(&body)), (409, "uniqueness_error"));
    project.wait(300);
    let (status, _) = project.ask("GET", &path, &Value::Null);
    assert_eq!(status, 404);
    let actions = project.get(&format!("/servers/actions?id={deletion}"));
    assert_eq!(actions["actions"][0]["status"], "success");
    assert!(
        project.cloud.things(project.now).is_empty(),
        "its addresses went with it"
    );
    let second = project.server("a");
    assert_ne!(first, second);
    assert_eq!(
        project.cloud.made[&("server".to_owned(), "a".to_owned())],
        2
    );
}

#[test]
fn power_goes_off_and_on() {
    let mut project = Project::new();
    let server = project.server("a");
    project.until_running(server);
    let path = format!("/servers/{server}");
    let mut run = |command: &str, secs: u64| {
        project.make(&format!("{path}/actions/{command}"), &Value::Null);
        let at_once = project.get(&path)["server"]["status"].clone();
        project.wait(secs);
        (at_once, project.get(&path)["server"]["status"].clone())
    };
    assert_eq!(run("poweroff", 5), (json!("stopping"), json!("off")));
    assert_eq!(run("poweron", 5), (json!("starting"), json!("running")));
    assert_eq!(run("reboot", 5), (json!("running"), json!("running")));
    assert_eq!(
        run("shutdown", 2),
        (json!("running"), json!("running")),
        "the guest takes time"
    );
    assert_eq!(
        run("poweron", 60),
        (json!("running"), json!("running")),
        "and was overtaken"
    );
    assert_eq!(run("shutdown", 20), (json!("running"), json!("off")));
}

#[test]
fn a_network_goes_without_asking_its_servers() {
    let mut project = Project::new();
    let network = project.network();
    let mut body = server("a");
    body["networks"] = json!([network]);
    let server = id(&project.make("/servers", &body)["server"]);
    project.until_running(server);
    let path = format!("/networks/{network}");
    assert_eq!(project.get(&path)["network"]["servers"], json!([server]));
    let (status, _) = project.ask("DELETE", &path, &Value::Null);
    assert_eq!(status, 204);
    let shown = project.get(&format!("/servers/{server}"));
    assert_eq!(shown["server"]["private_net"], json!([]));
}

#[test]
fn addresses_in_a_network_are_used_once() {
    let mut project = Project::new();
    let network = project.network();
    let mut taken = Vec::new();
    for name in ["a", "b"] {
        let id = project.server(name);
        project.until_running(id);
        let path = format!("/servers/{id}/actions/attach_to_network");
        project.make(&path, &json!({"network": network}));
        project.wait(5);
        let shown = project.get(&format!("/servers/{id}"));
        taken.push(shown["server"]["private_net"][0]["ip"].clone());
        let (status, body) = project.ask("POST", &path, &json!({"network": network}));
        assert_eq!((status, code(&body)), (422, "server_already_attached"));
    }
    assert_eq!(taken, ["10.0.1.1", "10.0.1.2"]);
    let third = project.server("c");
    project.until_running(third);
    let path = format!("/servers/{third}/actions/attach_to_network");
    let wanted = json!({"network": network, "ip": "10.0.1.2"});
    let (status, body) = project.ask("POST", &path, &wanted);
    assert_eq!((status, code(&body)), (422, "ip_not_available"));
    project.make(&path, &json!({"network": network, "ip": "10.0.1.9"}));
}

#[test]
fn a_firewall_in_use_stays() {
    let mut project = Project::new();
    let server = project.server("a");
    let rules = json!([{"direction": "in", "protocol": "tcp", "port": "22",
        "source_ips": ["0.0.0.0/0", "::/0"]}]);
    let on = json!([{"type": "server", "server": {"id": server}}]);
    let body = json!({"name": "fw", "rules": rules, "apply_to": on});
    let made = project.make("/firewalls", &body);
    let path = format!("/firewalls/{}", id(&made["firewall"]));
    let public = |project: &mut Project| {
        let shown = project.get(&format!("/servers/{server}"));
        shown["server"]["public_net"]["firewalls"].clone()
    };
    assert_eq!(public(&mut project)[0]["status"], "pending");
    project.wait(5);
    assert_eq!(public(&mut project)[0]["status"], "applied");
    let (status, body) = project.ask("DELETE", &path, &Value::Null);
    assert_eq!((status, code(&body)), (422, "resource_in_use"));
    let apply = format!("{path}/actions/apply_to_resources");
    let (status, body) = project.ask("POST", &apply, &json!({"apply_to": on}));
    assert_eq!((status, code(&body)), (422, "firewall_already_applied"));
    let remove = format!("{path}/actions/remove_from_resources");
    project.make(&remove, &json!({"remove_from": on}));
    assert_eq!(public(&mut project), json!([]));
    let (status, _) = project.ask("DELETE", &path, &Value::Null);
    assert_eq!(status, 204);
}

#[test]
fn a_selector_applies_a_firewall_to_what_it_matches() {
    let mut project = Project::new();
    let on = json!([{"type": "label_selector", "label_selector": {"selector": "role=web"}}]);
    let made = project.make("/firewalls", &json!({"name": "fw", "apply_to": on}));
    let path = format!("/firewalls/{}", id(&made["firewall"]));
    let mut body = server("a");
    body["labels"] = json!({"role": "web"});
    let server = id(&project.make("/servers", &body)["server"]);
    let applied = project.get(&path)["firewall"]["applied_to"].clone();
    assert_eq!(
        applied[0]["applied_to_resources"][0]["server"]["id"],
        server
    );
    let remove = json!({"remove_from": [{"type": "server", "server": {"id": server}}]});
    let remove_path = format!("{path}/actions/remove_from_resources");
    let (status, body) = project.ask("POST", &remove_path, &remove);
    assert_eq!(
        (status, code(&body)),
        (422, "firewall_managed_by_label_selector")
    );
    project.ask("PUT", &format!("/servers/{server}"), &json!({"labels": {}}));
    let applied = project.get(&path)["firewall"]["applied_to"].clone();
    assert_eq!(applied[0]["applied_to_resources"], json!([]));
}

#[test]
fn requests_are_counted_and_refused_beyond_the_limit() {
    let mut project = Project::with(&Settings {
        limit: Some((3, Span::from_secs(1))),
        ..Settings::new(crate::Vendor::Hetzner)
    });
    let ask = |project: &mut Project| {
        let answer = project.raw("GET", "/servers", Some("t"), Vec::new());
        let header = |name: &str| {
            let mut all = answer.headers.iter();
            all.find(|(n, _)| *n == name)
                .map(|(_, value)| value.clone())
                .expect("it is there")
        };
        let numbers = [header("ratelimit-remaining"), header("ratelimit-reset")];
        (
            answer.status,
            numbers.map(|text| text.parse::<u64>().expect("a number")),
        )
    };
    let zero = 1_790_000_000;
    assert_eq!(ask(&mut project), (200, [2, zero + 1]));
    assert_eq!(ask(&mut project), (200, [1, zero + 2]));
    assert_eq!(ask(&mut project), (200, [0, zero + 3]));
    assert_eq!(ask(&mut project), (429, [0, zero + 3]));
    project.wait(1);
    assert_eq!(ask(&mut project), (200, [0, zero + 4]));
}

#[test]
fn a_seed_decides_how_long_things_take() {
    let lasts = |seed: u64| {
        let mut project = Project::with(&Settings {
            seed,
            ..Settings::new(crate::Vendor::Hetzner)
        });
        let server = project.server("a");
        (0..600_u64)
            .find(|_| {
                project.now += Span::from_ms(100);
                project.get(&format!("/servers/{server}"))["server"]["status"] == "running"
            })
            .expect("it runs within a minute")
    };
    assert_eq!(lasts(1), lasts(1));
    assert!((2..12).any(|seed| lasts(seed) != lasts(1)));
}
