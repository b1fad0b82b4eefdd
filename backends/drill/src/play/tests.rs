//! A drill with fake hands, eyes and requests, in real time of some seconds.

use super::*;
use crate::act::{Act, Undo};
use crate::cast::tests::cast;
use crate::clients::tests::{Fake, population};
use crate::eyes::Status;
use crate::undo::Undoing;
use quorate_sim::outcome::Verdict;
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Three members of etcd behind hands and eyes; requests fail while nobody leads.
#[derive(Default)]
struct Lab {
    off: Mutex<BTreeSet<String>>,
    /// When the leader was struck, and how long the others take to elect another.
    struck: Mutex<Option<Instant>>,
    down: Arc<AtomicBool>,
}

impl Hands for Lab {
    async fn strike(&self, act: &Act) -> Result<Instant, Refused> {
        let Act::PowerCut(domain) = act else {
            return Err(Refused::Cannot("only power cuts here".to_owned()));
        };
        self.off.lock().unwrap().insert(domain.name.clone());
        let now = Instant::now();
        if domain.name == "q-cp-a-1" {
            *self.struck.lock().unwrap() = Some(now);
            self.down.store(true, Ordering::Relaxed);
        }
        Ok(now)
    }

    async fn heal(&self, undo: &Undo) -> Result<(), String> {
        if let Undo::Start(domain) = undo {
            self.off.lock().unwrap().remove(&domain.name);
        }
        Ok(())
    }
}

impl Eyes for Lab {
    async fn member(&self, machine: &ResourceId) -> Option<Status> {
        let name = machine.as_str().replace('/', "-");
        if self.off.lock().unwrap().contains(&name) {
            return None;
        }
        let id = match name.as_str() {
            "q-cp-a-1" => 1,
            "q-cp-b-1" => 2,
            _ => 3,
        };
        let struck = *self.struck.lock().unwrap();
        let elected = struck.is_some_and(|at| at.elapsed() > Duration::from_millis(500));
        if elected {
            self.down.store(false, Ordering::Relaxed);
        }
        let (leader, term) = if elected { (2, 5) } else { (1, 4) };
        Some(Status { id, leader, term })
    }

    async fn nodes(&self) -> Option<BTreeMap<String, bool>> {
        let off = self.off.lock().unwrap();
        let node = |name: &str| (name.to_owned(), !off.contains(name));
        Some(["q-cp-a-1", "q-cp-b-1", "q-cp-c-1"].map(node).into())
    }
}

fn scenario(faults: &str) -> Scenario {
    let text = format!(
        r#"{{"apiVersion":"quorate.dev/v1","kind":"Scenario","name":"s","manifest":"m",
        "phases":[{{"name":"p","for":"3s","faults":[{faults}]}},{{"name":"q","for":"1s"}}],
        "expect":[
          {{"measure":"leaderless","atMost":"2s"}},
          {{"measure":"elections","in":"p","atLeast":1}},
          {{"measure":"availability","of":"p","atLeast":"99.9%"}},
          {{"measure":"lost-writes","atMost":0}},
          {{"measure":"voters","of":"a","atLeast":1}},
          {{"measure":"converged","atMost":"1m"}}]}}"#
    );
    serde_json::from_str(&text).unwrap()
}

async fn played(faults: &str) -> (Record, Arc<Lab>, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let lab = Arc::new(Lab::default());
    let drill = Drill {
        scenario: scenario(faults),
        cast: Arc::new(cast()),
        hands: Arc::clone(&lab),
        eyes: Arc::clone(&lab),
        asker: Arc::new(Fake {
            down: Arc::clone(&lab.down),
        }),
        populations: Arc::new(vec![population("p", 40), population("p@lb-a/1", 40)]),
        promises: Arc::new(tokio::sync::Mutex::new(Undoing::open(dir.path()).unwrap())),
        dns: Vec::new(),
        seed: 3,
        key: "t".to_owned(),
        settle: Span::from_secs(1),
        parameters: Vec::new(),
    };
    let record = drill.play(async { Some(0) }).await;
    assert!(drill.promises.lock().await.open_promises().is_empty());
    (record, lab, dir)
}

fn verdict(record: &Record, name: &str) -> Verdict {
    let run = record.run();
    let found = run
        .expectations
        .iter()
        .find(|held| held.name.contains(name));
    found
        .unwrap_or_else(|| panic!("{name} in {:?}", run.expectations))
        .verdict
}

#[tokio::test(flavor = "multi_thread")]
async fn the_leader_s_power_is_cut_and_everything_is_measured() {
    let leader = r#"{"do":"node.kill","where":{"pick":"leader"},"at":"500ms","for":"1500ms"}"#;
    let (record, lab, _dir) = played(leader).await;
    assert!(lab.off.lock().unwrap().is_empty());
    assert_eq!(record.injected.len(), 1, "{:?}", record.untried);
    assert_eq!(record.injected[0].label, "cp-a/1: power cut");
    let lasted = record.injected[0].to.since(record.injected[0].from);
    assert!(
        lasted >= Span::from_ms(1_400) && lasted < Span::from_ms(2_400),
        "{lasted}"
    );
    let run = record.run();
    let cost = &run.series.costs[0];
    let between = |span: Option<Span>, low, high| {
        let ms = span.expect("it came to that").as_ms();
        assert!((low..high).contains(&ms), "{ms} ms: {cost:?}");
    };
    between(cost.election, 480, 1_000);
    between(cost.felt[0].first, 400, 1_300);
    between(Some(cost.felt[0].clean), 400, 1_300);
    between(cost.not_ready.first().copied(), 0, 1_200);
    for (name, expected) in [
        ("time without a leader", Verdict::Pass),
        ("elections", Verdict::Pass),
        ("availability", Verdict::FailSlo),
        ("writes lost", Verdict::Pass),
        ("voters", Verdict::Pass),
        ("converged", Verdict::Skipped),
    ] {
        assert_eq!(verdict(&record, name), expected, "{name}");
    }
    assert_eq!(run.verdict, Verdict::FailSlo);
    assert_eq!(record.sight.elections.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_tried_is_skipped_and_says_so() {
    let faults = r#"{"do":"node.pause","where":{"name":"cp-a/1"}},
        {"do":"provider.quota","where":{"provider":"a"},"limit":1}"#;
    let (record, _, _dir) = played(faults).await;
    assert!(record.injected.is_empty());
    assert_eq!(
        verdict(&record, "node.pause in \"p\" is injected"),
        Verdict::Skipped
    );
    assert_eq!(
        verdict(&record, "provider.quota in \"p\""),
        Verdict::Skipped
    );
    assert_eq!(verdict(&record, "elections"), Verdict::Skipped);
    assert_eq!(verdict(&record, "availability"), Verdict::Pass);
    assert!(record.run().verdict.holds());
}
