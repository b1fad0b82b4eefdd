//! Snapshots on schedule, as long as the service runs.
//!
//! Knows when and where; how one is taken, and which stay, is `quorate-cluster`'s.

use super::metrics::Metrics;
use crate::live::{self, World};
use crate::terminal;
use quorate_cluster::Snapshots;
use quorate_engine::manifest::SnapshotSchedule;
use quorate_live::Store;
use quorate_sim::report::plain;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Between two looks at whether one is due.
const LOOK: Duration = Duration::from_secs(10);
/// After one that failed; less where they are wanted more often.
const AGAIN: Duration = Duration::from_secs(300);

/// Takes snapshots when they are due, for ever.
pub(super) async fn keep(world: &World, state: &Path, metrics: &Metrics) {
    let kubernetes = world.manifest.spec.kubernetes.as_ref();
    let schedule = kubernetes.map(|kubernetes| kubernetes.etcd.snapshots);
    let (Some(cluster), Some(schedule)) = (&world.cluster, schedule) else {
        return std::future::pending().await;
    };
    let every = Duration::from_nanos(schedule.every.0.0);
    let name = &world.manifest.metadata.name;
    let shelf = Snapshots::new(live::snapshots(state), live::kept(&world.manifest));
    let mut failed = None;
    loop {
        let newest = shelf.newest(name).ok().flatten().map(SystemTime::from);
        metrics.has_snapshot(newest);
        let now = SystemTime::now();
        // Before there is a cluster, there is nothing to take.
        if metrics.is_founded() && is_due(&schedule, newest, failed, now) {
            let taken = match Store::view(state).map(|store| world.addresses(&store)) {
                Ok(addresses) => match cluster.snapshot(&addresses, &shelf).await {
                    Ok(taken) => Ok(taken),
                    Err(fault) => Err(fault.to_string()),
                },
                Err(error) => Err(error.to_string()),
            };
            metrics.took_snapshot(taken.as_ref().ok().map(|taken| taken.bytes));
            failed = taken.as_ref().err().map(|_| now);
            if let Err(why) = taken {
                let again = AGAIN.min(every).as_secs();
                let text = format!("no snapshot of etcd: {}; again in {again} s\n", plain(&why));
                terminal::eprint(&text);
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Whether one is to be taken now.
fn is_due(
    schedule: &SnapshotSchedule,
    newest: Option<SystemTime>,
    failed: Option<SystemTime>,
    now: SystemTime,
) -> bool {
    let every = Duration::from_nanos(schedule.every.0.0);
    // A clock that was set back makes no snapshot young for ever.
    let over = |since: Option<SystemTime>, least: Duration| {
        since.is_none_or(|since| now.duration_since(since).is_ok_and(|age| age >= least))
            || since.is_some_and(|since| since > now + every)
    };
    !every.is_zero() && over(newest, every) && over(failed, AGAIN.min(every))
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_engine::time::Span;
    use quorate_engine::units::Duration as Wanted;

    #[test]
    fn one_is_due_when_the_last_is_old_enough() {
        let schedule = |every| SnapshotSchedule {
            every: Wanted(Span::from_secs(every)),
            keep: 3,
        };
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_305_600);
        let ago = |secs| Some(now - Duration::from_secs(secs));
        for (every, newest, failed, due) in [
            (3_600, None, None, true),
            (3_600, ago(3_599), None, false),
            (3_600, ago(3_600), None, true),
            (3_600, ago(9_999), ago(299), false),
            (3_600, ago(9_999), ago(300), true),
            (60, ago(70), ago(59), false),
            (60, ago(70), ago(60), true),
            (0, None, None, false),
            (3_600, Some(now + Duration::from_secs(60)), None, false),
            (3_600, Some(now + Duration::from_secs(3_601)), None, true),
        ] {
            let found = is_due(&schedule(every), newest, failed, now);
            assert_eq!(found, due, "{every} {newest:?} {failed:?}");
        }
    }
}
