//! From making to going: what is asked for, what stays ours, and that nothing is left.

use super::*;

#[tokio::test]
async fn a_machine_is_made_with_all_it_needs() {
    let project = Project::start().await;
    let adapter = project.adapter(1);
    project.furnish(&adapter).await;
    let store = project.store.lock().unwrap();
    let [server] = store.of("servers") else {
        panic!("one server");
    };
    let network = &store.of("networks")[0];
    assert_eq!(network["subnets"][0]["network_zone"], "eu-central");
    assert_eq!(server["networks"], json!([network["id"]]));
    assert_eq!(
        server["placement_group"],
        store.of("placement_groups")[0]["id"]
    );
    assert_eq!(server["ssh_keys"], json!([store.of("ssh_keys")[0]["name"]]));
    assert_eq!(
        server["firewalls"][0]["firewall"],
        store.of("firewalls")[0]["id"]
    );
    // The firewall finds the server by its labels, too.
    let selector = &store.of("firewalls")[0]["apply_to"][0]["label_selector"]["selector"];
    assert!(selects(selector.as_str().unwrap(), server), "{selector}");
    // The host key's private half is in the first boot, the public half on the label.
    let boot = server["user_data"].as_str().unwrap();
    let public = crate::host_key::from_label(server["labels"][HOST_KEY].as_str().unwrap());
    assert!(boot.contains(&public.unwrap()) && boot.contains("PRIVATE KEY"));
    assert!(boot.contains(KEY_LINE));
}

#[tokio::test]
async fn the_same_call_finds_its_fruit_and_another_one_finds_it_taken() {
    let project = Project::start().await;
    let adapter = project.adapter(1);
    project.furnish(&adapter).await;
    for resource in [network("10.0.0.0/24"), firewall(&[80, 443]), machine(1)] {
        let again = seen(adapter.call(&call(Verb::Create, &resource)).await);
        let shown = seen(adapter.call(&call(Verb::Describe, &resource)).await);
        assert_eq!(again, shown);
        assert_eq!(again.fingerprint, resource.spec.fingerprint());
        let mut other = call(Verb::Create, &resource);
        other.key = Key(8);
        assert_eq!(class(&adapter.call(&other).await), FaultClass::Exists);
    }
    assert_eq!(project.holds_all(), 5);
}

#[tokio::test]
async fn what_carries_other_labels_is_neither_seen_nor_touched() {
    let project = Project::start().await;
    let (ours, theirs) = (project.adapter(1), project.adapter(2));
    project.furnish(&theirs).await;
    project.store.lock().unwrap().things.remove("ssh_keys");
    let before = project.holds_all();
    assert_eq!(listed(&ours).await, []);
    for resource in [machine(1), firewall(&[80, 443]), network("10.0.0.0/24")] {
        let described = ours.call(&call(Verb::Describe, &resource)).await;
        assert_eq!(described, Ok(Reply::Absent));
        let deleted = ours.call(&call(Verb::Delete, &resource)).await;
        assert_eq!(deleted, Ok(Reply::Done));
        let updated = ours.call(&call(Verb::Update, &resource)).await;
        assert_eq!(class(&updated), FaultClass::NotFound);
        let created = ours.call(&call(Verb::Create, &resource)).await;
        assert_eq!(class(&created), FaultClass::Exists, "{}", resource.id);
    }
    assert_eq!(project.holds_all(), before);
    let owners = ours.owners().await.unwrap();
    assert_eq!(owners, std::slice::from_ref(&theirs.site.owner));
}

#[tokio::test]
async fn two_instances_in_one_project_list_each_its_own() {
    let project = Project::start().await;
    let (one, other) = (project.adapter(1), project.adapter_called("alt", 1));
    project.furnish(&one).await;
    assert_eq!(listed(&one).await.len(), 3);
    assert_eq!(listed(&other).await, []);
}

#[tokio::test]
async fn everything_goes_and_nothing_is_left() {
    let project = Project::start().await;
    let adapter = project.adapter(1);
    project.furnish(&adapter).await;
    let delete = async |resource: &Arc<Resource>| adapter.call(&call(Verb::Delete, resource)).await;
    let (net, wall, server) = (network("10.0.0.0/24"), firewall(&[80, 443]), machine(1));
    assert_eq!(class(&delete(&net).await), FaultClass::Busy);
    assert_eq!(
        project.holds_all(),
        5,
        "a network in use keeps what belongs to it"
    );
    for resource in [&server, &wall, &net] {
        assert_eq!(delete(resource).await, Ok(Reply::Done));
        assert_eq!(delete(resource).await, Ok(Reply::Done));
    }
    assert_eq!(project.holds_all(), 0);
    assert_eq!(adapter.owners().await, Ok(Vec::new()));
}

#[tokio::test]
async fn a_firewall_that_holds_servers_stays() {
    let project = Project::start().await;
    let adapter = project.adapter(1);
    project.furnish(&adapter).await;
    let holders = [
        json!([{"type": "server", "server": {"id": 1}}]),
        json!([{
            "type": "label_selector",
            "label_selector": {"selector": "a==b"},
            "applied_to_resources": [{"type": "server", "server": {"id": 1}}],
        }]),
    ];
    for holder in holders {
        project.with(|store| {
            store.alter("firewalls", |firewall| {
                firewall["applied_to"] = holder.clone()
            });
        });
        let deleted = adapter
            .call(&call(Verb::Delete, &firewall(&[80, 443])))
            .await;
        assert_eq!(class(&deleted), FaultClass::Busy);
        assert_eq!(project.holds("firewalls"), 1);
    }
}

#[tokio::test]
async fn what_a_network_left_behind_stands_in_its_place() {
    let project = Project::start().await;
    let adapter = project.adapter(1);
    project.furnish(&adapter).await;
    project.with(|store| {
        for many in ["networks", "servers", "firewalls"] {
            store.things.remove(many);
        }
    });
    let list = listed(&adapter).await;
    let net = network("10.0.0.0/24");
    let told: Vec<_> = list.iter().map(|seen| (&seen.id, seen.kind)).collect();
    assert_eq!(
        told,
        [(&net.id, Kind::Network)],
        "once, for a key and a group"
    );
    assert_ne!(list[0].fingerprint, net.spec.fingerprint());
    // Mended where it is wanted, gone where it is not.
    seen(adapter.call(&call(Verb::Update, &net)).await);
    assert_eq!(
        listed(&adapter).await[0].fingerprint,
        net.spec.fingerprint()
    );
    let deleted = adapter.call(&call(Verb::Delete, &net)).await;
    assert_eq!(deleted, Ok(Reply::Done));
    assert_eq!(project.holds_all(), 0);
}

#[tokio::test]
async fn a_key_that_the_project_has_is_used_and_stays() {
    let project = Project::start().await;
    let adapter = project.adapter(1);
    let bare = KEY_LINE.rsplit_once(' ').unwrap().0;
    let theirs = json!({"id": 99, "name": "my key", "public_key": bare, "labels": {}});
    project.store.lock().unwrap().place("ssh_keys", theirs);
    project.furnish(&adapter).await;
    project.with(|store| {
        assert_eq!(store.of("servers")[0]["ssh_keys"], json!(["my key"]));
    });
    for resource in [machine(1), firewall(&[80, 443]), network("10.0.0.0/24")] {
        let deleted = adapter.call(&call(Verb::Delete, &resource)).await;
        assert_eq!(deleted, Ok(Reply::Done));
    }
    assert_eq!((project.holds_all(), project.holds("ssh_keys")), (1, 1));
}

#[tokio::test]
async fn a_firewall_made_by_other_hands_is_brought_back() {
    let project = Project::start().await;
    let adapter = project.adapter(1);
    project.furnish(&adapter).await;
    let show =
        async |wanted: &Arc<Resource>| seen(adapter.call(&call(Verb::Describe, wanted)).await);
    project.with(|store| {
        store.alter("firewalls", |firewall| {
            firewall["rules"] = json!([]);
            firewall["applied_to"] = json!([]);
            firewall["labels"]["theirs"] = json!("kept");
        });
    });
    let wanted = firewall(&[443]);
    assert_ne!(show(&wanted).await.fields["mesh_port"], "51820");
    for _ in 0..2 {
        let updated = adapter.call(&call(Verb::Update, &wanted)).await;
        assert_eq!(updated, Ok(Reply::Done));
    }
    let after = show(&wanted).await;
    assert_eq!(after.fields["mesh_port"], "51820");
    assert_eq!(after.fields["public_ports"], "[443]");
    assert_eq!(after.fingerprint, wanted.spec.fingerprint());
    let changes = project.fake.asked();
    let changes = changes.iter().filter(|asked| asked.method != "GET");
    let of_update = changes.skip(5).count();
    assert_eq!(
        of_update, 3,
        "rules, servers, labels; and nothing the second time"
    );
    let store = project.store.lock().unwrap();
    assert_eq!(store.of("firewalls")[0]["labels"]["theirs"], "kept");
    assert_eq!(
        store.of("firewalls")[0]["applied_to"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn a_network_gets_its_subnet_back_and_keeps_its_addresses() {
    let project = Project::start().await;
    let adapter = project.adapter(1);
    project.furnish(&adapter).await;
    let wanted = network("10.0.0.0/24");
    project.with(|store| {
        store.alter("networks", |network| network["subnets"] = json!([]));
    });
    let shown = seen(adapter.call(&call(Verb::Describe, &wanted)).await);
    assert_ne!(shown.fields["cidr"], "10.0.0.0/24");
    let updated = adapter.call(&call(Verb::Update, &wanted)).await;
    assert_eq!(updated, Ok(Reply::Done));
    let shown = seen(adapter.call(&call(Verb::Describe, &wanted)).await);
    assert_eq!(shown.fields["cidr"], "10.0.0.0/24");
    let moved = adapter
        .call(&call(Verb::Update, &network("10.9.0.0/24")))
        .await;
    assert_eq!(class(&moved), FaultClass::Invalid);
    let larger = machine_of(1, "fsn1", "cx33", "debian-12");
    let changed = adapter.call(&call(Verb::Update, &larger)).await;
    assert_eq!(class(&changed), FaultClass::Invalid);
}

#[tokio::test]
async fn what_was_renamed_by_other_hands_is_still_ours() {
    let project = Project::start().await;
    let adapter = project.adapter(1);
    project.furnish(&adapter).await;
    project.with(|store| store.alter("servers", |server| server["name"] = json!("pet")));
    seen(adapter.call(&call(Verb::Describe, &machine(1))).await);
    let deleted = adapter.call(&call(Verb::Delete, &machine(1))).await;
    assert_eq!(deleted, Ok(Reply::Done));
    assert_eq!(project.holds("servers"), 0);
}
