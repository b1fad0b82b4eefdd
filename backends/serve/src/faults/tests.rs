//! Faults strike where, when and as often as they say.

use super::*;
use quorate_sim::scenario::FaultVerb as ScenarioVerb;

fn target<'a>(method: &'a str, path: &'a str) -> Target<'a> {
    Target {
        method,
        path,
        ..Target::default()
    }
}

fn secs(n: u64) -> Time {
    Time::ZERO + Span::from_secs(n)
}

#[test]
fn words_are_those_of_scenarios() {
    let pairs = [
        (FaultVerb::Outage, ScenarioVerb::ProviderOutage),
        (FaultVerb::Throttle, ScenarioVerb::ApiThrottle),
        (FaultVerb::Error, ScenarioVerb::ApiError),
        (FaultVerb::LostReply, ScenarioVerb::LostReply),
        (FaultVerb::Quota, ScenarioVerb::Quota),
        (FaultVerb::StockOut, ScenarioVerb::StockOut),
    ];
    for (ours, theirs) in pairs {
        let word = |value: serde_json::Result<serde_json::Value>| value.expect("a word");
        assert_eq!(
            word(serde_json::to_value(ours)),
            word(serde_json::to_value(theirs))
        );
    }
}

#[test]
fn a_file_is_read_and_its_mistakes_have_places() {
    let text = "faults:\n  - do: provider.lost-reply\n    share: 20%\n    done: true\n    \
                requests: {method: POST, path: /servers}\n    at: 10s\n    for: 1m\n";
    let faults = read(text.as_bytes()).expect("it is right");
    assert_eq!(faults[0].verb, FaultVerb::LostReply);
    assert_eq!(faults[0].share, Some(Percent(200_000)));
    assert_eq!(faults[0].requests.path.as_deref(), Some("/servers"));
    let text = "faults:\n  - do: provider.lost-replies\n";
    let mistakes = read(text.as_bytes()).expect_err("there is no such fault");
    assert_eq!(mistakes[0].span.line, 2);
}

#[test]
fn a_fault_has_a_time_a_place_and_a_number_of_hits() {
    let mut faults = Faults::new(Seed(1));
    let id = faults.begin(
        secs(5),
        Fault {
            at: Duration(Span::from_secs(10)),
            lasts: Some(Duration(Span::from_secs(20))),
            times: Some(2),
            requests: Requests {
                method: Some("POST".to_owned()),
                path: Some("/servers*".to_owned()),
            },
            ..Fault::new(FaultVerb::Error)
        },
    );
    let mut strikes = |at, method, path| {
        let target = target(method, path);
        faults.strikes(secs(at), FaultVerb::Error, target).is_some()
    };
    assert!(!strikes(14, "POST", "/servers"), "not yet");
    assert!(!strikes(15, "GET", "/servers"), "another method");
    assert!(!strikes(15, "POST", "/networks"), "another path");
    assert!(strikes(15, "POST", "/servers"));
    assert!(strikes(34, "POST", "/servers/1/actions/poweron"));
    assert!(!strikes(34, "POST", "/servers"), "twice and no more");
    assert_eq!(faults.hits(id), 2);
}

#[test]
fn shares_are_kept() {
    let mut faults = Faults::new(Seed(3));
    faults.begin(
        secs(0),
        Fault {
            share: Some(Percent(250_000)),
            ..Fault::new(FaultVerb::LostReply)
        },
    );
    let lost: Vec<bool> = (0..4_000)
        .filter_map(|_| faults.lost(secs(1), target("GET", "/servers")))
        .collect();
    assert!((900..1_100).contains(&lost.len()), "{}", lost.len());
    let done = lost.iter().filter(|done| **done).count();
    assert!((400..600).contains(&done), "{done}");
}

#[test]
fn a_throttle_lets_its_rate_through() {
    let mut faults = Faults::new(Seed(1));
    let id = faults.begin(
        secs(0),
        Fault {
            rate: Some(Rate(500)),
            limit: Some(2),
            ..Fault::new(FaultVerb::Throttle)
        },
    );
    let mut wait = |at| faults.throttled(secs(at), target("GET", "/servers"));
    assert_eq!(wait(0), None);
    assert_eq!(wait(0), None);
    assert_eq!(wait(0), Some(Span::from_secs(2)));
    assert_eq!(wait(2), None);
    assert!(faults.end(id) && !faults.end(id), "it ends once");
    assert_eq!(faults.throttled(secs(2), target("GET", "/servers")), None);
}
