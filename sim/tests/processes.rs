//! Processes of a simulated cluster die and stand still: who starts them again, and what clients feel.
//! And what a scenario may not ask of them.

use quorate_engine::document;
use quorate_engine::manifest::{self, Manifest};
use quorate_engine::time::Span;
use quorate_sim::outcome::{Cost, Felt, Run};
use quorate_sim::run::{Prepared, judge};
use quorate_sim::scenario::Scenario;
use std::collections::BTreeMap;

const CLUSTER: &str = include_str!("../../scenarios/manifests/three-switches.yaml");

fn cluster() -> Manifest {
    let loaded = manifest::load(CLUSTER.as_bytes(), None);
    loaded.manifest.expect("the manifest is sound")
}

/// A scenario with one phase of three minutes and these faults.
fn scenario(faults: &str) -> Scenario {
    let text = format!(
        "{{\"apiVersion\":\"quorate.dev/v1\",\"kind\":\"Scenario\",\"name\":\"s\",\"manifest\":\"m\",\
         \"orchestrator\":{{\"heals\":false}},\"clients\":[\
         {{\"name\":\"all\",\"through\":\"edge/api\",\"rate\":\"20/s\",\"asks\":\"write\",\
           \"connectTimeout\":\"500ms\",\"timeout\":\"1500ms\",\"rtt\":\"1ms\",\"caches\":false}}],\
         \"phases\":[{{\"name\":\"p\",\"for\":\"4m\",\"faults\":[{faults}]}}],\
         \"expect\":[{{\"measure\":\"lost-writes\",\"atMost\":0}}]}}"
    );
    let read = document::read::<Scenario>(text.as_bytes(), &[]);
    read.unwrap_or_else(|found| panic!("{found:#?}")).value
}

/// Plays it, with clients at each entry point alone, too.
fn played(faults: &str, seed: u64) -> Run {
    let mut scenario = scenario(faults);
    for letter in ["a", "b", "c"] {
        let mut alone = scenario.clients[0].clone();
        alone.name = letter.to_owned();
        alone.through = format!("edge/api@lb-{letter}/1");
        scenario.clients.push(alone);
    }
    let manifests = BTreeMap::from([("m".to_owned(), cluster())]);
    let run = Prepared::new(scenario, &manifests).run(seed);
    assert!(run.verdict.holds(), "{:?}", run.expectations);
    run
}

fn felt<'a>(cost: &'a Cost, of: &str) -> &'a Felt {
    let found = cost.felt.iter().find(|felt| felt.of == of);
    found.unwrap_or_else(|| panic!("{of} is one of {:?}", cost.felt))
}

fn secs(n: u64) -> Span {
    Span::from_secs(n)
}

#[test]
fn a_member_that_is_killed_is_back_soon_and_later_each_time() {
    let run = played(
        r#"{"do":"process.kill","process":"etcd","where":{"name":"cp-a/1"},"at":"10s","every":"75s"}"#,
        1,
    );
    let notes = run.notes.iter();
    let label = "cp-a/1: etcd killed";
    let killed: Vec<_> = notes.filter(|note| note.text == label).collect();
    assert_eq!(killed.len(), 4, "every 75 s in four minutes");
    // It is missed from the instant of its death on.
    let back = |after: quorate_engine::time::Time| {
        let quorum = run.series.quorum.iter();
        let mut later = quorum.filter(|(at, ..)| *at >= after);
        let missed = later.find(|(_, voters, healthy)| voters != healthy);
        if missed.is_none_or(|(at, ..)| at.since(after) >= secs(75)) {
            return Some(Span::ZERO);
        }
        let whole = later.find(|(_, voters, healthy)| voters == healthy);
        whole.map(|(at, ..)| at.since(after))
    };
    let waits: Vec<Span> = killed.iter().filter_map(|note| back(note.at)).collect();
    assert!(waits[0] < secs(6), "at once: {waits:?}");
    assert!((secs(10)..secs(32)).contains(&waits[1]), "10 s: {waits:?}");
    assert!((secs(20)..secs(42)).contains(&waits[2]), "20 s: {waits:?}");
}

#[test]
fn a_leader_that_is_killed_costs_an_election() {
    let kill = r#"{"do":"process.kill","process":"etcd","where":{"pick":"leader"},"at":"10s"}"#;
    let run = played(kill, 2);
    let [cost] = &run.series.costs[..] else {
        panic!("{:?}", run.series.costs);
    };
    let election = cost.election.expect("the leader was hit");
    assert!(
        (Span::from_ms(800)..secs(4)).contains(&election),
        "{election}"
    );
    assert!(felt(cost, "all").failed > 0);
}

#[test]
fn a_frozen_leader_is_replaced_and_comes_back_as_a_follower() {
    let pause = r#"{"do":"process.pause","process":"etcd","where":{"pick":"leader"},"at":"10s","for":"20s"}"#;
    let run = played(pause, 3);
    let cost = &run.series.costs[0];
    assert!(cost.election.expect("another one leads") < secs(4));
    assert!(cost.whole.expect("all are well again") < secs(10));
}

#[test]
fn an_api_server_that_dies_is_hardly_felt_and_one_that_hangs_is() {
    let fault = |what: &str, lasts: &str| {
        format!(
            r#"{{"do":"process.{what}","process":"kube-apiserver","where":{{"name":"cp-b/1"}},"at":"10s"{lasts}}}"#
        )
    };
    let killed = played(&fault("kill", ""), 4);
    let clean = felt(&killed.series.costs[0], "all").clean;
    assert!(
        clean < Span::from_ms(800),
        "its port refuses, the next one is asked: {clean}"
    );
    let hung = played(&fault("pause", r#","for":"20s""#), 4);
    let felt = felt(&hung.series.costs[0], "all");
    assert!(
        felt.failed > 0,
        "connections that it took are never answered"
    );
    // Two checks of half a second each, and the patience of the last client.
    assert!(felt.clean < secs(4), "{}", felt.clean);
}

#[test]
fn a_balancer_that_dies_is_back_before_anybody_is_told() {
    let run = played(
        r#"{"do":"process.kill","process":"haproxy","where":{"name":"lb-a/1"},"at":"10s"}"#,
        5,
    );
    let cost = &run.series.costs[0];
    assert!(
        felt(cost, "a").clean < Span::from_ms(700),
        "{:?}",
        cost.felt
    );
    assert_eq!(felt(cost, "b").failed, 0);
}

#[test]
fn a_balancer_that_hangs_takes_connections_and_answers_none() {
    let run = played(
        r#"{"do":"process.pause","process":"haproxy","where":{"name":"lb-a/1"},"at":"10s","for":"20s"}"#,
        6,
    );
    let cost = &run.series.costs[0];
    let a = felt(cost, "a");
    assert!(a.clean >= secs(19) && a.clean < secs(23), "{}", a.clean);
    assert_eq!(felt(cost, "b").failed, 0);
    let all = felt(cost, "all");
    assert!(all.failed > 0, "a taken connection is not tried elsewhere");
    assert!(all.clean < secs(8), "names lead elsewhere: {}", all.clean);
}

#[test]
fn a_node_is_lost_when_its_kubelet_hangs_and_not_when_it_is_started_again() {
    let fault = |what: &str, lasts: &str| {
        format!(
            r#"{{"do":"process.{what}","process":"kubelet","where":{{"name":"w-a/1"}},"at":"10s"{lasts}}}"#
        )
    };
    let killed = played(&fault("kill", ""), 7);
    assert_eq!(killed.series.costs[0].not_ready, []);
    let hung = played(&fault("pause", r#","for":"90s""#), 7);
    let cost = &hung.series.costs[0];
    let [lost] = cost.not_ready[..] else {
        panic!("its lease runs out: {cost:?}");
    };
    assert!((secs(30)..secs(70)).contains(&lost), "{lost}");
    let [back] = cost.ready[..] else {
        panic!("it speaks again: {cost:?}");
    };
    assert!(back < secs(15), "{back}");
    assert_eq!(felt(cost, "all").failed, 0);
}

#[test]
fn name_servers_that_die_are_back_and_those_that_hang_answer_nobody() {
    let fault = |what: &str, lasts: &str| {
        format!(
            r#"{{"do":"process.{what}","process":"name-server","where":{{"provider":"names"}},"at":"10s"{lasts}}}"#
        )
    };
    let killed = played(&fault("kill", ""), 8);
    assert!(felt(&killed.series.costs[0], "all").clean < secs(3));
    let hung = played(&fault("pause", r#","for":"10s""#), 8);
    let clean = felt(&hung.series.costs[0], "all").clean;
    assert!(clean >= secs(9) && clean < secs(13), "{clean}");
    assert_eq!(felt(&hung.series.costs[0], "a").failed, 0, "by address");
}

#[test]
fn what_cannot_be_done_to_a_process_is_said() {
    let cases = [
        (
            r#"{"do":"process.kill","where":{"name":"cp-a/1"}}"#,
            "fault-incomplete",
            "process",
        ),
        (
            r#"{"do":"process.kill","process":"etcd"}"#,
            "fault-incomplete",
            "where",
        ),
        (
            r#"{"do":"process.kill","process":"etcd","where":{"name":"cp-a/1"},"for":"5s"}"#,
            "fault-without-end",
            "started again",
        ),
        (
            r#"{"do":"process.kill","process":"haproxy","where":{"role":"control-plane"}}"#,
            "no-such-process",
            "haproxy",
        ),
        (
            r#"{"do":"process.pause","process":"name-server","where":{"provider":"a"}}"#,
            "no-such-process",
            "of our own",
        ),
    ];
    for (fault, code, says) in cases {
        let found = judge(&scenario(fault), &cluster());
        let [one] = &found[..] else {
            panic!("{fault}: {found:#?}");
        };
        assert_eq!(one.code, code, "{fault}");
        assert!(one.message.contains(says), "{fault}: {}", one.message);
    }
    let mut measured = scenario("");
    measured.round_trips = serde_json::from_str(r#"[{"between":["a","x"],"rtt":"1ms"}]"#).unwrap();
    assert_eq!(judge(&measured, &cluster())[0].code, "unknown-name");
}

#[test]
fn a_leader_that_cannot_hear_is_replaced_before_it_knows() {
    let deaf = r#"{"do":"net.partition","between":[{"role":"control-plane","pick":"leader"},
        {"role":"control-plane"}],"symmetric":false,"at":"10s","for":"20s"}"#;
    let mut waits: Vec<Span> = (1..=7)
        .filter_map(|seed| played(deaf, seed).series.costs[0].election)
        .collect();
    waits.sort_unstable();
    assert!(waits.len() >= 6, "{waits:?}");
    // 0.2 s until it falls silent, and an election; by its own count it steps down after 1 to 2 s.
    // Measured on real machines: 1.35, 1.80, 1.88 s.
    let median = waits[waits.len() / 2];
    assert!(
        (Span::from_ms(1_100)..Span::from_ms(2_200)).contains(&median),
        "{waits:?}"
    );
}
