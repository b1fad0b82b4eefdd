//! `builtin` on a directory of its own.

use super::{call, record, sample, site};
use quorate_dns::builtin::{Builtin, probes};
use quorate_dns::check::Protocol;
use quorate_dns::config;
use quorate_engine::seam::{FaultClass, Reply, Verb};
use quorate_providers::Provider as _;
use quorate_providers::conformance::conform;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

fn keeper(place: &Path, uid: u64) -> Builtin {
    let site = site("builtin", uid, place.to_str().unwrap(), None);
    Builtin::new(site, BTreeMap::new()).unwrap()
}

#[tokio::test]
async fn it_does_what_every_provider_has_to_do() {
    let place = tempfile::tempdir().unwrap();
    let stranger = keeper(place.path(), 2);
    let broken = conform(&keeper(place.path(), 1), sample(&stranger, Vec::new())).await;
    assert_eq!(broken, Vec::<String>::new());
}

#[tokio::test]
async fn what_others_wrote_stays_and_what_is_made_can_be_served() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("zones.json");
    let text = r#"{"zones": [{"zone": "example.test", "nameServers": ["ns1.example.test"],
        "serial": 42, "records": [{"name": "@", "type": "MX", "values": ["10 mail.example.test"]},
        {"name": "mine", "type": "A", "values": ["198.51.100.1"]}]}], "peers": ["192.0.2.9:80"]}"#;
    std::fs::write(&path, text).unwrap();
    let keeper = keeper(place.path(), 1);
    let resource = record("www.example.test", "example.test", 30, &[1, 2]);
    let made = keeper.call(&call(Verb::Create, &resource, true)).await;
    assert!(matches!(made, Ok(Reply::Seen(_))), "{made:?}");
    let (before, after) = (text.as_bytes(), std::fs::read(&path).unwrap());
    let (before, _) = config::load(before).unwrap();
    let (mut after, zones) = config::load(&after).unwrap();
    assert_eq!(zones.watches.len(), 2, "both addresses are watched");
    let ours = after.zones[0].records.pop().unwrap();
    assert_eq!(
        (ours.name.as_str(), ours.values.len()),
        ("www.example.test.", 2)
    );
    assert_eq!(after, before);
    let taken = record("mine.example.test", "example.test", 30, &[1]);
    let refused = keeper
        .call(&call(Verb::Create, &taken, true))
        .await
        .unwrap_err();
    assert_eq!(refused.class, FaultClass::Exists, "{refused}");
    assert_eq!(keeper.preflight(&[taken]).await.len(), 1);
    // What is left over is removed without being told where it is.
    let deleted = keeper.call(&call(Verb::Delete, &resource, false)).await;
    assert_eq!(deleted, Ok(Reply::Done));
    let (after, _) = config::load(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(after, before);
}

#[tokio::test]
async fn clusters_that_write_at_once_lose_nothing() {
    let place = tempfile::tempdir().unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..20 {
        let keeper = keeper(place.path(), n + 1);
        let resource = record(&format!("n{n}.example.test"), "example.test", 30, &[1]);
        tasks.spawn(async move { keeper.call(&call(Verb::Create, &resource, true)).await });
    }
    while let Some(made) = tasks.join_next().await {
        assert!(matches!(made.unwrap(), Ok(Reply::Seen(_))));
    }
    let (file, _) = config::load(&std::fs::read(place.path().join("zones.json")).unwrap()).unwrap();
    assert_eq!(file.zones[0].records.len(), 20);
}

#[tokio::test]
async fn a_file_that_is_broken_is_left_alone() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("zones.json");
    std::fs::write(&path, "zones: nonsense").unwrap();
    let keeper = keeper(place.path(), 1);
    let resource = record("www.example.test", "example.test", 30, &[1]);
    let fault = keeper
        .call(&call(Verb::Create, &resource, true))
        .await
        .unwrap_err();
    assert_eq!(fault.class, FaultClass::Invalid, "{fault}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "zones: nonsense");
    let gone = Path::new("/nonexistent/quorate");
    let problems = self::keeper(gone, 1)
        .preflight(&[Arc::clone(&resource)])
        .await;
    assert!(
        problems[0].what.contains("/nonexistent/quorate"),
        "{problems:?}"
    );
}

#[test]
fn addresses_are_asked_what_only_a_backend_can_answer() {
    let text = include_bytes!("../../../../scenarios/manifests/three-clouds.yaml");
    let manifest = quorate_engine::manifest::load(text, None).manifest.unwrap();
    let probes = probes(&manifest);
    let asked = |name: &str| (probes[name].protocol, probes[name].path.as_deref());
    assert_eq!(
        asked("api.shop.example.com"),
        (Protocol::Https, Some("/readyz"))
    );
    assert_eq!(asked("shop.example.com").0, asked("www.example.com").0);
    for (name, check) in &probes {
        assert_eq!(check.mistake(), None, "{name}: {check:?}");
    }
    assert_eq!(probes.len(), 3);
}
