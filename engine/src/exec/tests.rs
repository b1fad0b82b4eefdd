//! The executor against a small world that watches it from outside.

mod cases;
mod guard;
mod mesh;
mod properties;
mod world;

use crate::exec::{Executor, Guard, LaneLimit, Limits, Setup};
use crate::journal::{Entry, Ledger};
use crate::plan::{Plan, Reversibility, Step};
use crate::quorum::{EtcdVersion, Policy};
use crate::random::Seed;
use crate::resource::{Kind, ResourceId};
use crate::seam::{CallId, Lane, Verb};
use crate::time::Span;
use std::collections::BTreeMap;
use std::sync::Arc;

fn machine(number: usize) -> ResourceId {
    ResourceId::new(format!("shop/cp/{number}"))
}

fn provider(name: &str) -> Lane {
    Lane::Provider(Arc::from(name))
}

fn step(resource: ResourceId, verb: Verb, lane: Lane, after: &[u32]) -> Step {
    Step {
        resource,
        kind: Kind::Machine,
        verb,
        lane,
        desired: None,
        reason: "absent".to_owned(),
        after: after.to_vec(),
        settled: Vec::new(),
        reversible: Reversibility::Reversible,
        expected: Span::from_secs(10),
        deadline: Span::from_secs(1_800),
        change: None,
        slack: None,
        until: None,
    }
}

fn plan(steps: Vec<Step>) -> Arc<Plan> {
    Arc::new(Plan {
        steps,
        ..Plan::default()
    })
}

fn limits() -> Limits {
    let mut limits = Limits::new(Guard {
        version: EtcdVersion::new(3, 5, 24),
        policy: Policy {
            declared: 3,
            scale_down: false,
            force: false,
        },
    });
    limits.provider = LaneLimit {
        in_flight: 3,
        burst: 4,
        refill: Span::from_ms(700),
        settle: Span::from_secs(10),
    };
    limits.hosts.in_flight = 2;
    limits
}

fn founded() -> Ledger {
    Ledger::replay(&[Entry::Founded { uid: 42 }])
}

fn executor(plan: &Arc<Plan>, limits: &Limits, seed: u64, ledger: &Ledger) -> Executor {
    Executor::new(Setup {
        plan: Arc::clone(plan),
        limits: limits.clone(),
        addresses: BTreeMap::new(),
        seed: Seed(seed),
        run: ledger.runs + 1,
        first_call: CallId(1),
    })
}
