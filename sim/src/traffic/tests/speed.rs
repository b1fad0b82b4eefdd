//! What a request costs, and that the same seed gives the same run.

use super::lab::*;
use crate::traffic::*;
use quorate_engine::time::Span;

/// Events of traffic for one population over so many seconds, its checks aside.
fn events(settings: Option<PopulationSettings>, span: Span, watchful: bool) -> (u64, u64) {
    let mut lab = Lab::ingress(1);
    lab.traffic.set_watchful(&mut lab.ground, watchful);
    let clients = settings.map(|settings| lab.clients(settings));
    lab.run(span);
    let begun = clients.map_or(0, |clients| lab.traffic.stats(clients).begun);
    (lab.ground.queue.scheduled(), begun)
}

#[test]
fn a_healthy_request_costs_two_events_and_a_write_three() {
    let span = secs(200);
    let (checks, _) = events(None, span, true);
    for (kind, served_events, most) in [
        (RequestKind::Ingress, 0, 2.1),
        (RequestKind::ApiRead, 0, 2.1),
        (RequestKind::ApiWrite, 1, 3.1),
    ] {
        let settings = PopulationSettings {
            kind,
            ..PopulationSettings::default()
        };
        let (all, begun) = events(Some(settings), span, true);
        // The event by which the world answers a write is the world's.
        let own = all - checks - served_events * begun;
        let each = own as f64 / begun as f64;
        assert!(begun > 9_000 && each <= most, "{kind:?}: {each} events");
    }
}

#[test]
fn checks_rest_while_the_world_promises_to_tell() {
    let (watchful, _) = events(None, secs(100), true);
    let (restful, _) = events(None, secs(100), false);
    let dns_checks = 3 * 10;
    assert!(watchful > 9 * 2 * 100, "{watchful}");
    assert!(restful < dns_checks + 9 * 4 + 10, "{restful}");
}

/// Notes and failures of a run with faults in it.
fn story(seed: u64, watchful: bool) -> (Vec<String>, Vec<Failed>, u64) {
    let mut lab = Lab::ingress(seed);
    lab.traffic.set_watchful(&mut lab.ground, watchful);
    let clients = lab.clients(PopulationSettings {
        os_mix: vec![(Os::Linux, 2), (Os::Ios, 1), (Os::Windows, 1)],
        keep_alive: 0.5,
        connections: 20,
        ..PopulationSettings::default()
    });
    lab.run(secs(40));
    lab.power_off(12);
    lab.run(secs(40));
    lab.power_off(2);
    lab.run(secs(40));
    lab.power_on(12);
    lab.power_on(2);
    lab.run(secs(80));
    let notes = lab.ground.notes.iter();
    let notes = notes.map(|(at, note)| format!("{at} {note:?}")).collect();
    let stats = lab.traffic.stats(clients);
    (notes, stats.failures.clone(), stats.ok)
}

#[test]
fn a_run_is_a_function_of_its_seed() {
    let (notes, failures, ok) = story(9, true);
    assert!(notes.len() > 8 && !failures.is_empty());
    assert_eq!(story(9, true), (notes, failures.clone(), ok));
    assert_ne!(story(10, true).1, failures);
}

#[test]
fn resting_checks_find_the_same_things_at_the_same_instants() {
    let downs = |watchful| -> Vec<String> {
        let notes = story(9, watchful).0.into_iter();
        notes.filter(|note| note.contains("BackendDown")).collect()
    };
    let found = downs(false);
    assert!(found.len() >= 3);
    assert_eq!(found, downs(true));
}
