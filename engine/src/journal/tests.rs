//! What may follow what in a journal, and what it comes to.

use super::*;

fn machine() -> ResourceId {
    ResourceId::new("shop/cp/1")
}

fn started(ledger: &Ledger, verb: Verb) -> Entry {
    Entry::Started {
        run: ledger.runs,
        step: 0,
        resource: machine(),
        verb,
        key: ledger.key(&machine(), verb),
        attempt: 1,
    }
}

fn finished(verb: Verb, outcome: Result<(), Fault>) -> Entry {
    Entry::Finished {
        run: 1,
        step: 0,
        resource: machine(),
        verb,
        outcome,
    }
}

fn fresh() -> Ledger {
    Ledger::replay(&[
        Entry::Founded { uid: 7 },
        Entry::RunStarted {
            run: 1,
            plan: 1,
            steps: 1,
        },
    ])
}

#[test]
fn a_key_changes_exactly_when_a_change_succeeded() {
    let mut ledger = fresh();
    let first = ledger.key(&machine(), Verb::Create);
    for fault in [FaultClass::Unknown, FaultClass::Retryable] {
        ledger.apply(&started(&ledger, Verb::Create));
        ledger.apply(&finished(Verb::Create, Err(Fault::new(fault, "x"))));
        assert_eq!(ledger.key(&machine(), Verb::Create), first, "{fault}");
        let doubt = fault == FaultClass::Unknown;
        assert_eq!(ledger.in_flight.contains_key(&machine()), doubt, "{fault}");
    }
    ledger.apply(&started(&ledger, Verb::Create));
    ledger.apply(&finished(Verb::Create, Ok(())));
    let second = ledger.key(&machine(), Verb::Create);
    assert_ne!(first, second);
    assert!(ledger.in_flight.is_empty());
    assert_ne!(second, ledger.key(&machine(), Verb::Delete), "verbs differ");
    assert_ne!(second, ledger.key(&machine().child("etcd"), Verb::Create));
    let mut other = ledger.clone();
    other.uid = Some(8);
    assert_ne!(
        second,
        other.key(&machine(), Verb::Create),
        "clusters differ"
    );
}

#[test]
fn what_was_in_doubt_is_adopted_once_seen() {
    let mut ledger = fresh();
    ledger.apply(&started(&ledger, Verb::Create));
    let before = ledger.key(&machine(), Verb::Create);
    assert_eq!(ledger.adoptions(|_| false), []);
    let entries = ledger.adoptions(|_| true);
    assert_eq!(entries.len(), 1);
    ledger.apply(&entries[0]);
    assert!(ledger.in_flight.is_empty());
    assert_ne!(ledger.key(&machine(), Verb::Create), before);
}

#[test]
fn a_crash_between_runs_is_no_gap() {
    let mut ledger = fresh();
    ledger.apply(&started(&ledger, Verb::Create));
    ledger.apply(&Entry::RunStarted {
        run: 2,
        plan: 1,
        steps: 1,
    });
    assert_eq!((ledger.runs, ledger.in_flight.len()), (2, 1));
}

#[test]
#[should_panic(expected = "only an announced call ends")]
fn nothing_ends_that_was_not_announced() {
    fresh().apply(&finished(Verb::Create, Ok(())));
}

#[test]
#[should_panic(expected = "a key is a function of the journal")]
fn a_foreign_key_is_refused() {
    let mut ledger = fresh();
    let mut entry = started(&ledger, Verb::Create);
    let Entry::Started { key, .. } = &mut entry else {
        unreachable!("made above");
    };
    key.0 ^= 1;
    ledger.apply(&entry);
}

#[test]
#[should_panic(expected = "reads are not recorded")]
fn a_read_is_not_an_entry() {
    let mut ledger = fresh();
    ledger.apply(&started(&ledger, Verb::Describe));
}

#[test]
#[should_panic(expected = "runs are numbered without a gap")]
fn a_run_does_not_begin_twice() {
    let mut ledger = fresh();
    ledger.apply(&Entry::RunStarted {
        run: 1,
        plan: 1,
        steps: 1,
    });
}

#[test]
#[should_panic(expected = "a cluster is founded first, and once")]
fn a_cluster_is_founded_once() {
    fresh().apply(&Entry::Founded { uid: 9 });
}

#[test]
#[should_panic(expected = "a mesh address is for life")]
fn an_address_never_changes() {
    let mut ledger = fresh();
    for last in [1, 2] {
        ledger.apply(&Entry::Allocated {
            machine: machine(),
            address: Ipv4Addr::new(10, 0, 0, last),
        });
    }
}

fn peer(last: u8) -> PeerFact {
    PeerFact {
        machine: machine(),
        key: crate::mesh::MeshKey([7; 32]),
        address: Ipv4Addr::new(10, 0, 0, last),
        port: 51_820,
        underlay: "a".to_owned(),
        dial_out: false,
        public: None,
        private: None,
        pods: None,
    }
}

fn allocated() -> Entry {
    Entry::Allocated {
        machine: machine(),
        address: Ipv4Addr::new(10, 0, 0, 1),
    }
}

#[test]
fn peers_come_and_go_and_their_addresses_stay() {
    let mut ledger = fresh();
    ledger.apply(&allocated());
    ledger.apply(&Entry::Met { peer: peer(1) });
    assert_eq!(ledger.peers, crate::mesh::table_of(&[peer(1)]));
    ledger.apply(&Entry::Parted { machine: machine() });
    assert!(ledger.peers.is_empty());
    assert_eq!(ledger.addresses.len(), 1);
}

#[test]
#[should_panic(expected = "a peer has the mesh address it was given")]
fn nobody_is_met_at_another_address() {
    let mut ledger = fresh();
    ledger.apply(&allocated());
    ledger.apply(&Entry::Met { peer: peer(2) });
}

#[test]
#[should_panic(expected = "only a known peer parts")]
fn a_stranger_does_not_part() {
    fresh().apply(&Entry::Parted { machine: machine() });
}

#[test]
fn after_its_destruction_a_cluster_knows_only_which_keys_are_used_up() {
    let mut ledger = fresh();
    ledger.apply(&allocated());
    ledger.apply(&Entry::Met { peer: peer(1) });
    let first = ledger.key(&machine(), Verb::Create);
    ledger.apply(&started(&ledger, Verb::Create));
    ledger.apply(&finished(Verb::Create, Ok(())));
    ledger.apply(&Entry::Destroyed);
    assert_ne!(ledger.key(&machine(), Verb::Create), first);
    let incarnations = BTreeMap::from([(machine(), 1)]);
    let rest = Ledger {
        uid: Some(7),
        runs: 1,
        incarnations,
        ..Ledger::default()
    };
    assert_eq!(ledger, rest);
}

#[test]
fn a_journal_from_elsewhere_is_read_or_named_where_it_is_wrong() {
    let mut ledger = fresh();
    let mut journal = vec![
        Entry::Founded { uid: 7 },
        Entry::RunStarted {
            run: 1,
            plan: 1,
            steps: 1,
        },
    ];
    for entry in [
        allocated(),
        Entry::Met { peer: peer(1) },
        started(&ledger, Verb::Create),
        finished(Verb::Create, Ok(())),
    ] {
        ledger.apply(&entry);
        journal.push(entry);
    }
    assert_eq!(Ledger::read(&journal), Ok(ledger));
    // Whichever entry but the last is missing, one that follows cannot stand where it does.
    let misfits = [
        (1, "run 1 started", "a journal begins with the founding"),
        (2, "started create shop/cp/1", "run 1 is not the one"),
        (3, "met shop/cp/1", "the mesh address it was given"),
    ];
    for (number, entry, why) in misfits {
        let mut mangled = journal.clone();
        mangled.remove(number - 1);
        let misfit = Ledger::read(&mangled).unwrap_err();
        assert_eq!(misfit.entry, entry);
        assert!(misfit.why.contains(why), "{misfit}");
        let found = mangled[misfit.number as usize - 1].title();
        assert_eq!(found, entry, "{misfit}: counted from 1");
    }
    journal.swap(4, 5);
    let misfit = Ledger::read(&journal).unwrap_err();
    assert_eq!(
        misfit.to_string(),
        "entry 5 of the journal (finished create shop/cp/1) cannot stand there: only an \
         announced call ends: create shop/cp/1"
    );
}

fn forgotten() -> Entry {
    Entry::Forgotten {
        machine: machine(),
        reason: "burnt".to_owned(),
        at_ms: 1,
    }
}

#[test]
fn of_what_is_forgotten_only_its_address_and_its_used_keys_are_known() {
    let host = machine().child("host");
    let entry = |ledger: &Ledger, resource: &ResourceId, verb| Entry::Started {
        run: 1,
        step: 0,
        resource: resource.clone(),
        verb,
        key: ledger.key(resource, verb),
        attempt: 1,
    };
    let mut ledger = fresh();
    ledger.apply(&allocated());
    ledger.apply(&Entry::Met { peer: peer(1) });
    ledger.apply(&entry(&ledger, &host, Verb::Create));
    ledger.apply(&Entry::Finished {
        run: 1,
        step: 0,
        resource: host.clone(),
        verb: Verb::Create,
        outcome: Ok(()),
    });
    let founding = machine().child("control-plane");
    ledger.apply(&entry(&ledger, &founding, Verb::Init));
    let neighbour = ResourceId::new("shop/cp/10");
    ledger.apply(&entry(&ledger, &neighbour, Verb::Create));
    assert!(ledger.knows(&machine()) && ledger.prepared.contains(&machine()));
    assert_eq!(ledger.founder, Some(machine()));
    let before = ledger.clone();

    ledger.apply(&forgotten());
    assert!(!ledger.knows(&machine()));
    let rest = Ledger {
        uid: Some(7),
        runs: 1,
        running: true,
        addresses: before.addresses.clone(),
        in_flight: BTreeMap::from([(neighbour, Verb::Create)]),
        incarnations: BTreeMap::from([(host.clone(), 2), (founding.clone(), 1)]),
        ..Ledger::default()
    };
    assert_eq!(ledger, rest);
    for (resource, verb) in [(&host, Verb::Create), (&founding, Verb::Init)] {
        let (old, new) = (before.key(resource, verb), ledger.key(resource, verb));
        assert_ne!(old, new, "{resource}: the old key would make nothing");
    }

    // Of a cluster that surely exists, where it was founded stays known.
    let mut founded = before;
    founded.apply(&Entry::Finished {
        run: 1,
        step: 0,
        resource: founding,
        verb: Verb::Init,
        outcome: Ok(()),
    });
    founded.apply(&forgotten());
    assert_eq!((founded.founder, founded.founded), (Some(machine()), true));
}

#[test]
#[should_panic(expected = "only what is known is forgotten")]
fn a_stranger_is_not_forgotten() {
    fresh().apply(&forgotten());
}
