//! The rules of each provider's API, without faults.

use super::*;

const WITH_API: [&str; 7] = ["htz", "aws", "gcp", "azr", "dig", "ops", "lab"];

/// A machine is created, and created again with the same key, and with another.
fn check_idempotency(provider: &str, same: Result<(), FaultClass>, other: Result<(), FaultClass>) {
    let mut world = world(1);
    world.network(provider);
    let machine = machine_at(provider, 1);
    let first = seen(world.provider(Verb::Create, &machine));
    let mut made = 1;
    for (key, expected) in [(0, same), (1, other)] {
        let mut again = call(provider, Verb::Create, &machine);
        again.key = Key(again.key.0 + key);
        let outcome = world.ask(again);
        match (&outcome, expected) {
            (Ok(Reply::Seen(seen)), Ok(())) => {
                made += usize::from(seen.external != first.external);
            }
            (Err(fault), Err(class)) => assert_eq!(fault.class, class, "{provider}"),
            (outcome, expected) => panic!("{provider}: {expected:?} became {outcome:?}"),
        }
    }
    assert_eq!(world.count(&machine), made, "{provider}");
    let expected_total = match provider {
        "dig" | "ops" => 3,
        "aws" => 2,
        _ => 1,
    };
    assert_eq!(made, expected_total, "{provider}");
    let expected = BTreeSet::from([machine.id.clone(), network_at(provider).id.clone()]);
    assert_eq!(world.cloud.orphans(&expected).len(), made - 1);
    assert_eq!(
        world.cloud.orphans(&BTreeSet::new()).len(),
        world.cloud.owned().count()
    );
}

#[test]
fn a_repeated_creation_meets_the_rule_of_its_provider() {
    let taken = Err(FaultClass::Exists);
    check_idempotency("htz", taken, taken);
    check_idempotency("lab", taken, taken);
    check_idempotency("aws", Ok(()), Ok(()));
    check_idempotency("gcp", Ok(()), taken);
    check_idempotency("azr", Ok(()), Ok(()));
    check_idempotency("dig", Ok(()), Ok(()));
    check_idempotency("ops", Ok(()), Ok(()));
}

#[test]
fn a_token_belongs_to_its_parameters_and_outlives_its_machine() {
    let mut world = world(2);
    let machine = world.up("aws", 1);
    let mut larger = (*machine).clone();
    if let Spec::Machine { machine_type, .. } = &mut larger.spec {
        *machine_type = "large".into();
    }
    let larger = Arc::new(larger);
    assert_eq!(
        class(world.provider(Verb::Create, &larger)),
        FaultClass::Invalid
    );
    assert_eq!(
        class(world.provider(Verb::Update, &larger)),
        FaultClass::Invalid
    );
    world.provider(Verb::Delete, &machine).expect("accepted");
    assert_eq!(
        state(world.provider(Verb::Create, &machine)),
        MachineState::Error
    );
    world.pass(Span::from_secs(200));
    assert_eq!(world.count(&machine), 0);
    let mut anew = call("aws", Verb::Create, &machine);
    anew.key = Key(77);
    assert_eq!(state(world.ask(anew)), MachineState::Building);
}

#[test]
fn two_creations_at_once_make_one_machine() {
    for provider in ["htz", "aws", "gcp", "azr", "lab"] {
        let mut world = world(3);
        world.network(provider);
        let machine = machine_at(provider, 1);
        for _ in 0..2 {
            world.put(call(provider, Verb::Create, &machine), Span::from_secs(60));
        }
        world.pass(Span::from_secs(60));
        assert_eq!(world.count(&machine), 1, "{provider}");
        assert_eq!(world.cloud.under_way(), 0);
    }
}

#[test]
fn a_machine_is_built_boots_and_goes() {
    for provider in WITH_API {
        let mut world = world(4);
        world.network(provider);
        let machine = machine_at(provider, 1);
        let made = seen(world.provider(Verb::Create, &machine));
        assert_eq!(made.state, MachineState::Building);
        assert_eq!(made.fingerprint, machine.spec.fingerprint());
        world.pass(Span::from_secs(400));
        let running = seen(world.provider(Verb::Describe, &machine));
        assert_eq!(running.state, MachineState::Running);
        let address = running.address.expect("it is public");
        let up = world
            .sky
            .changes
            .iter()
            .find_map(|(at, change)| match change {
                Change::MachineUp { address: a, .. } if *a == address => Some(*at),
                _ => None,
            });
        let up = up.expect("the world was told").since(Time::ZERO).as_secs();
        let fastest = if provider == "lab" { 7 } else { 17 };
        assert!((fastest..250).contains(&up), "{provider}: up after {up} s");

        let network = network_at(provider);
        assert_eq!(
            class(world.provider(Verb::Delete, &network)),
            FaultClass::Busy
        );
        assert_eq!(world.provider(Verb::Delete, &machine), Ok(Reply::Done));
        assert!(world.cloud.machine(&machine.id).is_none());
        world.pass(Span::from_secs(400));
        assert_eq!(world.provider(Verb::Describe, &machine), Ok(Reply::Absent));
        assert_eq!(world.provider(Verb::Delete, &machine), Ok(Reply::Done));
        assert_eq!(world.provider(Verb::Delete, &network), Ok(Reply::Done));
        world.pass(Span::from_secs(4));
        assert_eq!(world.list(provider), Ok(Reply::List(Vec::new())));
        assert_eq!(world.cloud.owned().count(), 0);
        let paid = world.cloud.machine_time(world.sky.now())[provider].as_secs();
        assert!((400..700).contains(&paid), "{provider}: paid for {paid} s");
    }
}

#[test]
fn addresses_are_unique_and_do_not_depend_on_who_else_is_there() {
    let mut all = BTreeSet::new();
    let mut alone = world(5);
    let mut among = world(5);
    for nth in 1..2_000 {
        among.cloud.place(&mut among.sky, &machine_at("htz", nth));
    }
    for machine in among.cloud.machines() {
        assert!(
            all.insert(machine.address),
            "{} is given twice",
            machine.address
        );
        assert_eq!(machine.account.name, "htz");
    }
    let last = machine_at("htz", 1);
    alone.cloud.place(&mut alone.sky, &last);
    let of = |world: &World| world.cloud.machine(&last.id).map(|it| it.address);
    assert_eq!(of(&alone), of(&among));
}

#[test]
fn too_many_requests_are_refused_until_the_bucket_fills() {
    let mut world = world(6);
    let cluster = machine_at("dig", 1);
    let mut ids = Vec::new();
    for _ in 0..300 {
        ids.push(world.put(call("dig", Verb::Describe, &cluster), Span::from_secs(60)));
    }
    world.pass(Span::from_secs(5));
    let refused: Vec<_> = ids
        .iter()
        .filter_map(|id| world.sky.answers[id].1.as_ref().err().cloned())
        .collect();
    // 250 at once, and a few more in the second in which they arrive.
    assert!(
        (40..=50).contains(&refused.len()),
        "{} refused",
        refused.len()
    );
    let longest = refused.iter().filter_map(|fault| fault.after).max();
    assert!(longest > Some(Span::ZERO) && longest <= Some(Span::from_ms(240)));
    assert_eq!(world.provider(Verb::Describe, &cluster), Ok(Reply::Absent));
}

#[test]
fn an_answer_comes_before_its_deadline_or_not_at_all() {
    let answered = |patience: Span| {
        let mut world = world(6);
        let id = world.put(call("htz", Verb::Create, &network_at("htz")), patience);
        world.pass(Span::from_secs(60));
        assert_eq!(world.count(&network_at("htz")), 1, "it is done in any case");
        world.sky.answers.get(&id).map(|(at, _)| *at)
    };
    let at = answered(Span::from_secs(60)).expect("there is time enough");
    let took = at.since(Time::ZERO);
    assert_eq!(answered(took), None);
    assert_eq!(answered(took + Span::from_ns(1)), Some(at));
}

#[test]
fn a_penalty_shuts_the_door_for_its_time() {
    let mut world = world(6);
    let name = machine_at("cfl", 1);
    for _ in 0..1_300 {
        world.put(call("cfl", Verb::Describe, &name), Span::from_secs(60));
    }
    world.pass(Span::from_secs(5));
    let fault = world.provider(Verb::Describe, &name).expect_err("shut");
    assert!(
        fault.after > Some(Span::from_secs(200)),
        "{:?}",
        fault.after
    );
    world.pass(fault.after.expect("it says when"));
    assert_eq!(world.provider(Verb::Describe, &name), Ok(Reply::Absent));
}

#[test]
fn reads_are_behind_by_a_bounded_time_where_the_provider_says_so() {
    let (mut behind, tries) = (0, 40);
    for seed in 0..tries {
        let mut world = world(seed);
        let network = network_at("aws");
        seen(world.provider(Verb::Create, &network));
        behind += usize::from(world.provider(Verb::Describe, &network) == Ok(Reply::Absent));
        world.pass(Span::from_secs(3));
        seen(world.provider(Verb::Describe, &network));
        assert_ne!(world.list("aws"), Ok(Reply::List(Vec::new())));
    }
    assert!(
        behind > tries as usize / 2,
        "{behind} of {tries} were behind"
    );
    let mut world = world(0);
    seen(world.provider(Verb::Create, &network_at("htz")));
    seen(world.provider(Verb::Describe, &network_at("htz")));
}

#[test]
fn a_machine_needs_its_network() {
    let mut world = world(7);
    let machine = machine_at("htz", 1);
    assert_eq!(
        class(world.provider(Verb::Create, &machine)),
        FaultClass::NotFound
    );
    seen(world.provider(Verb::Create, &machine_at("lab", 1)));
}

#[test]
fn hosts_that_exist_are_there_and_stay() {
    let mut world = world(8);
    let named = own_host(2, "box.example.com");
    world.cloud.place(&mut world.sky, &own_host(1, "192.0.2.7"));
    world.cloud.place(&mut world.sky, &named);
    let host = own_host(1, "192.0.2.7");
    let shown = seen(world.provider(Verb::Describe, &host));
    assert_eq!(shown.state, MachineState::Running);
    assert_eq!(shown.address, Some([192, 0, 2, 7].into()));
    assert!(
        seen(world.provider(Verb::Describe, &named))
            .address
            .is_some()
    );
    assert_eq!(
        class(world.provider(Verb::Create, &host)),
        FaultClass::Invalid
    );
    assert_eq!(
        class(world.provider(Verb::Delete, &host)),
        FaultClass::Invalid
    );
    assert_eq!(world.cloud.owned().count(), 0);
    assert!(!world.cloud.destroy(&mut world.sky, &host.id));
    assert!(world.is_up(&host));
    assert!(world.cloud.machine_time(world.sky.now()).is_empty());
}

#[test]
fn records_reach_the_name_servers_later_and_the_last_version_counts() {
    let mut world = world(9);
    let hosts = [own_host(1, "192.0.2.1"), own_host(2, "192.0.2.2")];
    let spec = |machines: Vec<ResourceId>| Spec::RecordSet {
        zone: "example.com".into(),
        name: "api.example.com".into(),
        ttl_s: 60,
        machines,
        check: None,
    };
    let one = resource("shop/dns/api", "cfl", spec(vec![hosts[0].id.clone()]));
    let both = hosts.each_ref().map(|host| host.id.clone()).to_vec();
    let both = resource("shop/dns/api", "cfl", spec(both));
    let addresses = vec![
        (hosts[0].id.clone(), [192, 0, 2, 1].into()),
        (hosts[1].id.clone(), [192, 0, 2, 2].into()),
    ];
    for (verb, set) in [(Verb::Create, &one), (Verb::Update, &both)] {
        let mut call = call("cfl", verb, set);
        call.addresses.clone_from(&addresses);
        world.ask(call).expect("accepted");
    }
    world.pass(Span::from_secs(30));
    let said = |world: &World| -> Vec<Change> {
        let all = world.sky.changes.iter().map(|(_, change)| change.clone());
        all.collect()
    };
    let expected = Change::Records {
        resource: Arc::clone(&both),
        addresses,
    };
    assert_eq!(said(&world).last(), Some(&expected));
    let Change::Records { addresses, .. } = &expected else {
        unreachable!("just made")
    };
    let print = seen(world.provider(Verb::Describe, &both)).fingerprint;
    assert_eq!(
        print,
        both.spec.fingerprint_at(addresses),
        "the label knows the addresses"
    );
    assert_ne!(print, both.spec.fingerprint_at(&[]));
    assert_eq!(
        class(world.provider(Verb::Create, &one)),
        FaultClass::Exists
    );
    for (nth, at) in [(1, "192.0.2.1"), (2, "192.0.2.2")] {
        world.cloud.place(&mut world.sky, &own_host(nth, at));
    }
    let placed = resource("shop/dns/www", "cfl", both.spec.clone());
    world.cloud.place(&mut world.sky, &placed);
    assert_eq!(
        seen(world.provider(Verb::Describe, &placed)).fingerprint,
        print
    );
    world.provider(Verb::Delete, &one).expect("accepted");
    let id = one.id.clone();
    assert_eq!(said(&world).last(), Some(&Change::RecordsGone { id }));
}
