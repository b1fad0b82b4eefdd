//! How things are shown: states, addresses, fields, and what preflight finds.

use super::super::wire::{Firewall as Wall, Rule, Server as Machine};
use super::*;

fn server(status: &str, locked: bool, attached: bool) -> Machine {
    let nets = match attached {
        true => json!([{"network": 1, "ip": "10.0.0.2"}]),
        false => json!([]),
    };
    let body = json!({
        "id": 42, "name": "shop-cp-1", "status": status, "locked": locked, "private_net": nets,
        "public_net": {"ipv4": {"ip": "192.0.2.7"}, "ipv6": null},
        "server_type": {"id": 1, "name": "cx23"}, "image": {"id": 5, "name": null},
        "location": {"id": 1, "name": "fsn1"}, "new_field_of_2027": {},
    });
    serde_json::from_value(body).unwrap()
}

#[test]
fn the_life_of_a_server() {
    use MachineState::{Building, Running, Stopped};
    let table = [
        ("initializing", true, false, Building),
        ("starting", true, true, Building),
        ("running", true, false, Building),
        ("running", true, true, Running),
        ("running", false, false, Running),
        ("off", true, true, Building),
        ("off", false, true, Stopped),
        ("stopping", false, true, Stopped),
        ("deleting", true, true, Stopped),
        ("migrating", true, true, Building),
        ("unknown", false, true, Building),
        ("a word of 2027", false, true, Building),
    ];
    for (status, locked, attached, expected) in table {
        let state = server(status, locked, attached).state();
        assert_eq!(
            state, expected,
            "{status}, locked: {locked}, attached: {attached}"
        );
    }
}

#[test]
fn a_server_shows_its_addresses_and_fields() {
    let shows = server("running", false, true).shows();
    assert_eq!(shows.public, Some("192.0.2.7".parse().unwrap()));
    assert_eq!(shows.private, Some("10.0.0.2".parse().unwrap()));
    let fields = [("image", "5"), ("machine_type", "cx23"), ("region", "fsn1")];
    let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(shows.fields, BTreeMap::from(fields));
}

fn wall(rules: Vec<Value>) -> BTreeMap<String, String> {
    let body = json!({"id": 1, "name": "a", "rules": rules, "applied_to": []});
    let wall: Wall = serde_json::from_value(body).unwrap();
    wall.shows().fields
}

#[test]
fn a_firewall_shows_what_is_open_and_whether_it_was_meddled_with() {
    let ours = |public: &[u16]| -> Vec<Value> {
        Rule::wanted(51_820, public)
            .iter()
            .map(Rule::body)
            .collect()
    };
    for public in [&[][..], &[80, 443], &[22, 8080]] {
        let fields = wall(ours(public));
        assert_eq!(fields["mesh_port"], "51820");
        assert_eq!(fields["public_ports"], json!(public).to_string());
    }
    let rules = ours(&[80]);
    for lost in 0..rules.len() {
        let mut fewer = rules.clone();
        fewer.remove(lost);
        assert_ne!(wall(fewer), wall(ours(&[80])), "without rule {lost}");
        let mut narrower = rules.clone();
        narrower[lost]["source_ips"] = json!(["192.0.2.0/24"]);
        assert_ne!(
            wall(narrower),
            wall(ours(&[80])),
            "rule {lost} from fewer sources"
        );
    }
    let mut more = rules.clone();
    more.push(
        json!({"direction": "in", "protocol": "tcp", "port": "8000-8100",
        "source_ips": ["0.0.0.0/0", "::/0"]}),
    );
    assert!(wall(more)["public_ports"].contains("8000-8100"));
}

async fn found(project: &Project, wanted: &[Arc<Resource>]) -> Vec<Problem> {
    project.adapter(1).preflight(wanted).await
}

#[tokio::test]
async fn a_good_manifest_has_no_problems_and_nothing_is_changed() {
    let project = Project::start().await;
    let wanted = [
        network("10.0.0.0/24"),
        firewall(&[80]),
        machine(1),
        machine(2),
    ];
    assert_eq!(found(&project, &wanted).await, []);
    assert!(
        project
            .fake
            .asked()
            .iter()
            .all(|asked| asked.method == "GET")
    );
    // Nor when it is there already, whatever became of its type since.
    project.furnish(&project.adapter(1)).await;
    project.store.lock().unwrap().things.remove("server_types");
    assert_eq!(
        found(&project, &[network("10.0.0.0/24"), machine(1)]).await,
        []
    );
}

#[tokio::test]
async fn every_mistake_is_named_with_its_place_and_its_fix() {
    let project = Project::start().await;
    let cases = [
        (
            machine_of(1, "mars1", "cx23", "debian-12"),
            "region mars1",
            "fsn1",
        ),
        (machine_of(1, "nbg1", "cx23", "debian-12"), "cx23", "fsn1"),
        (machine_of(1, "fsn1", "cx99", "debian-12"), "cx99", "cx23"),
        (
            machine_of(1, "fsn1", "cx23", "debain"),
            "image debain",
            "hcloud image",
        ),
        (
            machine_of(1, "fsn1", "cx23", "4711"),
            "image 4711",
            "snapshot",
        ),
        (network("8.8.8.0/24"), "RFC 1918", "networkCidr"),
        (network("10.0.0.0/25"), "smaller than a /24", "networkCidr"),
        (network("172.31.0.0/16"), "172.31.1.1", "networkCidr"),
    ];
    for (wanted, what, fix) in cases {
        let found = found(&project, &[wanted]).await;
        let named = found
            .iter()
            .any(|it| it.what.contains(what) && it.fix.contains(fix));
        assert!(named, "{what}: {found:?}");
    }
    let arm = json!({"id": 9, "name": "cax11", "architecture": "arm",
        "locations": [{"name": "fsn1"}]});
    project.store.lock().unwrap().place("server_types", arm);
    let wrong = found(&project, &[machine_of(1, "fsn1", "cax11", "debian-12")]).await;
    assert!(wrong[0].what.contains("architecture"), "{wrong:?}");
}

#[tokio::test]
async fn taken_names_and_other_addresses_are_found() {
    let project = Project::start().await;
    project.furnish(&project.adapter(2)).await;
    let wanted = [
        network("10.0.0.0/24"),
        firewall(&[80, 443]),
        machine(1),
        machine(2),
    ];
    let taken = found(&project, &wanted).await;
    assert_eq!(taken.len(), 3, "{taken:?}");
    assert!(
        taken.iter().all(|it| it.what.contains("taken")),
        "{taken:?}"
    );
    let moved = project
        .adapter(2)
        .preflight(&[network("10.7.0.0/24")])
        .await;
    assert!(moved[0].what.contains("10.0.0.0/24 for good"), "{moved:?}");
}

#[tokio::test]
async fn a_wrong_token_is_one_problem() {
    let project = Project::start().await;
    project.refuse("GET /locations", 401, "unauthorized");
    let problems = found(&project, &[machine(1), machine(2)]).await;
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].fix.contains("HCLOUD_TOKEN"), "{problems:?}");
    assert!(!format!("{problems:?}").contains(TOKEN));
    project.refuse("GET /locations", 502, "bad_gateway");
    let problems = found(&project, &[machine(1)]).await;
    assert!(problems[0].fix.contains("run again"), "{problems:?}");
}
