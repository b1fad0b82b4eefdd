//! Every refusal has the vendor's status and code.

use super::*;

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me@here";

#[test]
fn tokens_are_asked_for() {
    let mut project = Project::with(&Settings {
        token: Some("right".to_owned()),
        ..Settings::new(crate::Vendor::Hetzner)
    });
    let mut ask = |path: &str, bearer: Option<&str>| {
        let answer = project.raw("GET", path, bearer, Vec::new());
        (answer.status, answer.body.unwrap_or_default())
    };
    let refused = |message: &str| json!({"error": {"code": "unauthorized", "details": null, "message": message}});
    assert_eq!(ask("/servers", None), (401, refused("token is required")));
    let wrong = refused("the token you have provided is invalid");
    assert_eq!(ask("/servers", Some("wrong")), (401, wrong));
    assert_eq!(ask("/servers", Some("right")).0, 200);
    assert_eq!(
        ask("/nothing", None).0,
        404,
        "before the token is looked at"
    );
}

#[test]
fn what_is_wrong_is_named() {
    let with = |field: &str, value: Value| {
        let mut body = server("a");
        body[field] = value;
        body
    };
    let cases = [
        (with("name", json!("a_b")), "name"),
        (with("name", json!(null)), "name"),
        (with("server_type", json!("cx22")), "server_type"),
        (with("image", json!("minix-3")), "image"),
        (with("image", json!(103_908_130)), "image"),
        (with("location", json!("sin")), "server_type"),
        (with("location", json!("mars")), "location"),
        (
            with("user_data", json!("x".repeat(32 * 1024 + 1))),
            "user_data",
        ),
        (with("labels", json!({"a": "-"})), "labels"),
        (with("labels", json!({"a": 1})), "labels"),
        (with("networks", json!(["x"])), "networks"),
        (
            with("start_after_create", json!("yes")),
            "start_after_create",
        ),
        (
            with(
                "public_net",
                json!({"enable_ipv4": false, "enable_ipv6": false}),
            ),
            "public_net",
        ),
    ];
    let mut project = Project::new();
    for (body, field) in cases {
        let (status, answer) = project.ask("POST", "/servers", &body);
        assert_eq!((status, code(&answer)), (422, "invalid_input"), "{body}");
        assert_eq!(
            answer["error"]["details"]["fields"][0]["name"], field,
            "{body}"
        );
    }
    project.make("/servers", &with("user_data", json!("x".repeat(32 * 1024))));
    let answer = project.raw("POST", "/servers", Some("t"), b"{".to_vec());
    let body = answer.body.unwrap_or_default();
    assert_eq!((answer.status, code(&body)), (400, "json_error"));
}

#[test]
fn what_is_not_there_is_not_found() {
    let mut project = Project::new();
    let with = |field: &str, value: Value| {
        let mut body = server("a");
        body[field] = value;
        body
    };
    let cases = [
        ("GET", "/servers/1", Value::Null),
        ("PUT", "/networks/1", json!({})),
        ("DELETE", "/firewalls/x", Value::Null),
        ("GET", "/actions/1", Value::Null),
        ("GET", "/nonsense", Value::Null),
        ("POST", "/servers/1/actions/poweron", Value::Null),
        ("POST", "/servers", with("networks", json!([1]))),
        (
            "POST",
            "/servers",
            with("firewalls", json!([{"firewall": 1}])),
        ),
        ("POST", "/servers", with("ssh_keys", json!(["me"]))),
        ("POST", "/servers", with("placement_group", json!(1))),
        ("POST", "/servers", with("volumes", json!([1]))),
    ];
    for (method, path, body) in cases {
        let (status, answer) = project.ask(method, path, &body);
        assert_eq!(
            (status, code(&answer)),
            (404, "not_found"),
            "{method} {path} {body}"
        );
    }
    let (status, answer) = project.ask("PATCH", "/servers", &Value::Null);
    assert_eq!((status, code(&answer)), (405, "method_not_allowed"));
    let (status, answer) = project.ask("GET", "/actions", &Value::Null);
    assert_eq!((status, code(&answer)), (410, "deprecated_api_endpoint"));
    assert!(
        project.cloud.things(project.now).is_empty(),
        "nothing was made on the way"
    );
}

#[test]
fn names_are_used_once_in_every_kind() {
    let mut project = Project::new();
    let bodies = [
        ("/networks", json!({"name": "x", "ip_range": "10.0.0.0/16"})),
        ("/firewalls", json!({"name": "x"})),
        ("/ssh_keys", json!({"name": "x", "public_key": KEY})),
        ("/placement_groups", json!({"name": "x", "type": "spread"})),
        (
            "/primary_ips",
            json!({"name": "x", "type": "ipv4", "location": "fsn1"}),
        ),
        ("/servers", server("x")),
    ];
    for (path, body) in bodies {
        project.make(path, &body);
        let (status, answer) = project.ask("POST", path, &body);
        assert_eq!((status, code(&answer)), (409, "uniqueness_error"), "{path}");
    }
    let same = json!({"name": "y", "public_key": KEY});
    let (status, answer) = project.ask("POST", "/ssh_keys", &same);
    assert_eq!(
        (status, code(&answer)),
        (409, "uniqueness_error"),
        "another name, the same key"
    );
}

#[test]
fn fingerprints_of_keys_are_those_of_ssh_keygen() {
    let mut project = Project::new();
    let made = project.make("/ssh_keys", &json!({"name": "me", "public_key": KEY}));
    // `ssh-keygen -l -E md5` of the same line.
    let print = "0f:a2:0a:d7:38:3e:65:45:08:6b:63:84:1c:ff:dc:ba";
    assert_eq!(made["ssh_key"]["fingerprint"], print);
    let found = project.get(&format!("/ssh_keys?fingerprint={print}"));
    assert_eq!(found["meta"]["pagination"]["total_entries"], 1);
    for line in [
        "",
        "ssh-ed25519",
        "ssh-ed25519 AAAA",
        "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAA",
    ] {
        let (status, _) = project.ask(
            "POST",
            "/ssh_keys",
            &json!({"name": "z", "public_key": line}),
        );
        assert_eq!(status, 422, "{line}");
    }
}

#[test]
fn networks_keep_to_their_ranges() {
    let mut project = Project::new();
    let wrong = [
        json!({"name": "n", "ip_range": "8.8.0.0/16"}),
        json!({"name": "n", "ip_range": "10.0.0.0/25"}),
        json!({"name": "n", "ip_range": "10.0.0.1/16"}),
        json!({"name": "n", "ip_range": "10.0.0.0/16", "subnets": [
            {"type": "cloud", "ip_range": "10.1.0.0/24", "network_zone": "eu-central"}]}),
        json!({"name": "n", "ip_range": "10.0.0.0/16", "subnets": [
            {"type": "cloud", "network_zone": "eu-central"},
            {"type": "cloud", "ip_range": "10.0.0.0/25", "network_zone": "eu-central"}]}),
        json!({"name": "n", "ip_range": "10.0.0.0/16", "subnets": [
            {"type": "cloud", "network_zone": "mars"}]}),
    ];
    for body in wrong {
        let (status, answer) = project.ask("POST", "/networks", &body);
        assert_eq!((status, code(&answer)), (422, "invalid_input"), "{body}");
    }
    let network = project.network();
    let act = |project: &mut Project, command: &str, body: Value| {
        project.wait(5);
        let path = format!("/networks/{network}/actions/{command}");
        project.ask("POST", &path, &body).0
    };
    let subnet = json!({"type": "cloud", "network_zone": "us-east"});
    assert_eq!(act(&mut project, "add_subnet", subnet.clone()), 201);
    let path = format!("/networks/{network}/actions/add_subnet");
    let (status, answer) = project.ask("POST", &path, &subnet);
    assert_eq!(
        (status, code(&answer)),
        (409, "conflict"),
        "one change at a time"
    );
    let shown = project.get(&format!("/networks/{network}"));
    assert_eq!(
        shown["network"]["subnets"][1]["ip_range"], "10.0.0.0/24",
        "the first free one"
    );
    let route = json!({"destination": "10.100.1.0/24", "gateway": "10.0.1.7"});
    assert_eq!(act(&mut project, "add_route", route.clone()), 201);
    assert_eq!(act(&mut project, "add_route", route.clone()), 422);
    assert_eq!(act(&mut project, "delete_route", route), 201);
    assert_eq!(
        act(
            &mut project,
            "change_ip_range",
            json!({"ip_range": "10.0.0.0/17"})
        ),
        422
    );
    assert_eq!(
        act(
            &mut project,
            "change_ip_range",
            json!({"ip_range": "10.0.0.0/15"})
        ),
        201
    );
    assert_eq!(
        act(
            &mut project,
            "delete_subnet",
            json!({"ip_range": "10.0.0.0/24"})
        ),
        201
    );
    assert_eq!(
        act(&mut project, "change_protection", json!({"delete": true})),
        201
    );
    project.wait(5);
    let (status, answer) = project.ask("DELETE", &format!("/networks/{network}"), &Value::Null);
    assert_eq!((status, code(&answer)), (423, "protected"));
}

#[test]
fn rules_keep_to_their_form() {
    let good = json!({"direction": "in", "protocol": "tcp", "port": "80-90",
        "source_ips": ["10.0.0.0/8", "2001:db8::/32"]});
    let wrong = [
        ("direction", json!("up")),
        ("protocol", json!("sctp")),
        ("protocol", json!("icmp")),
        ("port", json!("0")),
        ("port", json!("90-80")),
        ("port", json!(null)),
        ("source_ips", json!([])),
        ("source_ips", json!(["10.0.0.1/8"])),
        ("source_ips", json!(["10.0.0.1"])),
        ("destination_ips", json!(["10.0.0.0/8"])),
        ("description", json!("x".repeat(256))),
    ];
    let mut project = Project::new();
    for (field, value) in wrong {
        let mut rule = good.clone();
        rule[field] = value;
        let body = json!({"name": "fw", "rules": [rule]});
        let (status, answer) = project.ask("POST", "/firewalls", &body);
        assert_eq!((status, code(&answer)), (422, "invalid_input"), "{body}");
    }
    let many = vec![good.clone(); 51];
    let (status, _) = project.ask("POST", "/firewalls", &json!({"name": "fw", "rules": many}));
    assert_eq!(status, 422);
    let made = project.make("/firewalls", &json!({"name": "fw", "rules": [good]}));
    assert_eq!(made["firewall"]["rules"][0]["destination_ips"], json!([]));
    let path = format!("/firewalls/{}/actions/set_rules", id(&made["firewall"]));
    project.make(&path, &json!({"rules": []}));
    assert_eq!(
        project.ask("POST", &path, &json!({})).0,
        422,
        "rules must be given"
    );
}

#[test]
fn a_group_is_full_with_ten() {
    let mut project = Project::new();
    let group = json!({"name": "g", "type": "spread"});
    let group = id(&project.make("/placement_groups", &group)["placement_group"]);
    for nth in 0..=10 {
        let mut body = server(&format!("s{nth}"));
        body["placement_group"] = json!(group);
        let (status, answer) = project.ask("POST", "/servers", &body);
        match nth {
            10 => assert_eq!((status, code(&answer)), (422, "placement_error")),
            _ => assert_eq!(status, 201, "{answer}"),
        }
    }
}
