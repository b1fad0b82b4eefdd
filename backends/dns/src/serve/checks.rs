//! Watches addresses: a task for each, as the configuration has them.

use super::probe::Prober;
use super::shared::Shared;
use crate::health::Target;
use crate::net::Net;
use quorate_engine::random::hash_name;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::MissedTickBehavior;

/// How soon old opinions stop counting, at the latest.
const AGE: Duration = Duration::from_secs(1);

/// Watches until the server ends.
pub(super) async fn watch(net: impl Net, shared: Arc<Shared>) {
    let mut watched = shared.watched.subscribe();
    watched.mark_changed();
    let mut running: BTreeMap<Target, AbortHandle> = BTreeMap::new();
    let mut tasks = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = shared.ended() => return,
            () = tokio::time::sleep(AGE) => {
                shared.age();
                continue;
            }
            changed = watched.changed() => if changed.is_err() { return },
        }
        let targets = Arc::clone(&watched.borrow_and_update());
        running.retain(|target, task| {
            let stays = targets.contains(target);
            if !stays {
                task.abort();
            }
            stays
        });
        for target in targets.iter() {
            running.entry(target.clone()).or_insert_with(|| {
                tasks.spawn(again_and_again(
                    net.clone(),
                    target.clone(),
                    Arc::clone(&shared),
                ))
            });
        }
        while tasks.try_join_next().is_some() {}
    }
}

async fn again_and_again(net: impl Net, target: Target, shared: Arc<Shared>) {
    let prober = Prober::new(net, &target);
    let interval = Duration::from_nanos(target.check.interval.0.0);
    // Not all at once, and not in step with the other instances.
    let spread = hash_name(&target.to_string()) ^ shared.seed.0;
    tokio::time::sleep(interval.mul_f64((spread % 1_000) as f64 / 1_000.0)).await;
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let well = prober.look().await;
        shared.observe(&target, well.is_ok());
    }
}
