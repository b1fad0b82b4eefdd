//! etcd's version and timing against the round trips between its members.
//!
//! What the manifest leaves open is solved in `timing`; here it is said, and what is fixed is judged.

use super::view::View;
use crate::diagnostic::{Finding, Path};
use crate::manifest::{Domain, EtcdSettings, Kubernetes, SnapshotSchedule};
use crate::quorum::{AddRule, EtcdVersion};
use crate::time::Span;
use crate::timing::{ELECTION_MAX, HEARTBEAT, HEARTBEATS_PER_ELECTION, PER_ELECTION, Timing};
use crate::units::Duration;

/// More often than this, taking them is all that etcd's disks do.
const SNAPSHOTS_LEAST: Span = Span::from_secs(60);
/// The newest minor whose rules for changes of members are known.
const NEWEST: (u16, u16) = (3, 7);
/// OpenShift 4.20 asks for less than this between etcd peers.
const RTT_ADVISED: Span = Span::from_ms(50);

pub(super) fn check(view: View<'_>, found: &mut Vec<Finding>) {
    let path = view.at("kubernetes").field("etcd");
    let Some(kubernetes) = &view.spec.kubernetes else {
        return;
    };
    version(view, kubernetes, &path, found);
    timing(view, &kubernetes.etcd, &path, found);
    snapshots(kubernetes.etcd.snapshots, &path.field("snapshots"), found);
}

fn snapshots(schedule: SnapshotSchedule, path: &Path, found: &mut Vec<Finding>) {
    let every = schedule.every.0;
    if every > Span::ZERO && every < SNAPSHOTS_LEAST {
        let message = format!("a snapshot each {every}");
        found.push(
            Finding::error("etcd-snapshots-often", &path.field("every"), message)
                .why("each one reads the whole database, and is carried off the node")
                .fix("write `1m` or more, or `0s` for none"),
        );
    }
    if schedule.keep == 0 {
        found.push(
            Finding::error(
                "etcd-snapshots-none-kept",
                &path.field("keep"),
                "none is kept",
            )
            .why("a snapshot that is taken is there to be restored")
            .fix("write how many stay, like `14`; `every: 0s` takes none"),
        );
    }
}

fn timing(view: View<'_>, etcd: &EtcdSettings, path: &Path, found: &mut Vec<Finding>) {
    let whole = |given: Option<Duration>| {
        given.is_none_or(|given| given.0.0 > 0 && given.0.0.is_multiple_of(1_000_000))
    };
    if !whole(etcd.heartbeat) || !whole(etcd.election) {
        found.push(
            Finding::error(
                "etcd-timing-not-whole",
                path,
                "etcd counts whole milliseconds, from 1",
            )
            .fix("write times like `100ms` and `1s`"),
        );
        return;
    }
    let timing = Timing::of(view.manifest);
    limits(&timing, path, found);
    distance(view, &timing, path, found);
}

/// What etcd refuses to start with.
fn limits(timing: &Timing, path: &Path, found: &mut Vec<Finding>) {
    let (heartbeat, election) = (timing.heartbeat, timing.election);
    if election < heartbeat.times(HEARTBEATS_PER_ELECTION) {
        let message =
            format!("an election of {election} is less than five heartbeats of {heartbeat}");
        let fix = if heartbeat.times(PER_ELECTION) <= ELECTION_MAX {
            format!("set election to {}", text(heartbeat.times(PER_ELECTION)))
        } else {
            "leave out both: they are solved from the round trips".to_owned()
        };
        found.push(
            Finding::error("etcd-election-ratio", path, message)
                .why("etcd refuses to start with it")
                .fix(fix),
        );
    }
    if election > ELECTION_MAX {
        let message = format!("an election of {election} is more than etcd allows");
        found.push(
            Finding::error("etcd-election-too-long", &path.field("election"), message)
                .why("etcd refuses to start beyond 50 s")
                .fix("leave it out: it is solved from the round trips between members"),
        );
    }
}

/// What distances ask for.
fn distance(view: View<'_>, timing: &Timing, path: &Path, found: &mut Vec<Finding>) {
    let (heartbeat, election) = (timing.heartbeat, timing.election);
    let Some(far) = &timing.farthest else {
        return;
    };
    let rtt = far.rtt;
    let between = format!("between {} and {}", far.between[0], far.between[1]);
    let advised = round_up(rtt.max(HEARTBEAT));
    if timing.free && !timing.is_default() {
        found.push(
            Finding::note("etcd-timing-solved", path, timing.reason())
                .why(
                    "etcd advises heartbeats of 0.5 to 1.5 round trips, and elections of at least \
                     ten round trips and ten heartbeats; its defaults of 100 ms and 1 s are less",
                )
                .fix("set heartbeat and election here only to fix them whatever is measured"),
        );
    }
    if heartbeat.times(2) < rtt {
        let message = format!("heartbeats of {heartbeat} for a round trip of {rtt} {between}");
        found.push(
            Finding::warning("etcd-heartbeat-below-rtt", path, message)
                .why("etcd advises 0.5 to 1.5 round trips: faster ones queue up and find no answer")
                .fix(format!(
                    "set heartbeat to {}, or leave it out",
                    text(advised)
                )),
        );
    }
    if election < rtt.times(PER_ELECTION) {
        let message = format!("an election of {election} for a round trip of {rtt} {between}");
        found.push(
            Finding::warning("etcd-election-below-rtt", path, message)
                .why("below ten round trips, jitter alone deposes leaders that are alive")
                .fix(format!(
                    "set heartbeat to {} and election to {}, or leave them out",
                    text(advised),
                    text(advised.times(PER_ELECTION))
                )),
        );
    }
    if rtt > RTT_ADVISED {
        let message = format!("{rtt} of round trip {between}");
        found.push(
            Finding::note("etcd-members-far-apart", &view.at("nodePools"), message)
                .why("each write waits for a majority, so every API call becomes that much slower")
                .fix("choose regions of one continent, within about 50 ms"),
        );
    }
}

/// Rounded up to full 50 ms: nobody tunes finer.
fn round_up(span: Span) -> Span {
    Span::from_ms(span.as_ms().div_ceil(50) * 50)
}

fn text(span: Span) -> String {
    format!("`{}`", Duration(span))
}

fn version(view: View<'_>, kubernetes: &Kubernetes, path: &Path, found: &mut Vec<Finding>) {
    let Some(version) = &kubernetes.etcd.version else {
        return;
    };
    let path = path.field("version");
    let Ok(known) = version.parse::<EtcdVersion>() else {
        let message = format!("`{version}` is not a released version of etcd");
        found.push(
            Finding::error("etcd-version-form", &path, message)
                .fix("write three numbers, like `3.6.11`, or leave it to kubeadm"),
        );
        return;
    };
    if (known.major, known.minor) > NEWEST || (known.major, known.minor) < (3, 4) {
        let message = format!("etcd {version} is not known");
        found.push(
            Finding::warning("etcd-version-unsupported", &path, message)
                .why("its rules for changes of members are not known, and so not guarded")
                .fix("use 3.5, 3.6 or 3.7, or leave it to kubeadm"),
        );
    } else if !known.pre_vote_default() {
        let message = format!("etcd {version} has no PreVote by default");
        found.push(
            Finding::warning("etcd-version-unsupported", &path, message)
                .why("a member that comes back from a partition deposes a leader that is well")
                .fix("use 3.5 or later, or leave it to kubeadm"),
        );
    } else if known.strict_add_rule() == AddRule::EveryVoter && view.must_survive(Domain::Node) {
        let message = format!("etcd {version} adds members only while all are well");
        found.push(
            Finding::note("etcd-adds-only-when-whole", &path, message)
                .why("with one of five members dead, it must go before another one joins")
                .fix("use 3.5.30, 3.6.11 or later"),
        );
    }
}

#[cfg(test)]
pub(super) mod tests {
    use crate::manifest::judge::trial::{Case, case, run};
    use serde_json::json;

    const ETCD: &str = "/spec/kubernetes/etcd";
    const AWS: &str = "/spec/nodePools/1/region";

    pub(in super::super) fn cases() -> Vec<Case> {
        let etcd =
            |heartbeat: &str, election: &str| json!({"heartbeat": heartbeat, "election": election});
        vec![
            case("etcd-timing-not-whole", ETCD, etcd("0s", "1s")),
            case("etcd-timing-not-whole", ETCD, etcd("1500us", "1s")),
            case("etcd-election-ratio", ETCD, etcd("200ms", "999ms")),
            case("etcd-election-too-long", ETCD, etcd("1s", "50001ms")),
            case("etcd-heartbeat-below-rtt", ETCD, etcd("1ms", "1s")),
            case("etcd-election-below-rtt", ETCD, etcd("10ms", "60ms")),
            case("etcd-election-below-rtt", AWS, json!("us-west-2"))
                .and_set(ETCD, etcd("100ms", "1s"))
                .with("etcd-members-far-apart"),
            case("etcd-timing-solved", AWS, json!("us-west-2")).with("etcd-members-far-apart"),
            case("etcd-timing-solved", AWS, json!("ap-southeast-2")).with("etcd-members-far-apart"),
            case(
                "etcd-snapshots-often",
                ETCD,
                json!({"snapshots": {"every": "59s"}}),
            )
            .fails(),
            case(
                "etcd-snapshots-none-kept",
                ETCD,
                json!({"snapshots": {"keep": 0}}),
            )
            .fails(),
            case("etcd-members-far-apart", AWS, json!("us-east-1"))
                .and_set(ETCD, etcd("150ms", "1500ms")),
            case("etcd-version-form", ETCD, json!({"version": "3.6"})),
            case(
                "etcd-version-unsupported",
                ETCD,
                json!({"version": "3.4.30"}),
            ),
            case(
                "etcd-version-unsupported",
                ETCD,
                json!({"version": "4.0.0"}),
            ),
            case(
                "etcd-adds-only-when-whole",
                ETCD,
                json!({"version": "3.6.10"}),
            ),
        ]
    }

    #[test]
    fn each_mistake_is_found() {
        run(cases());
    }

    #[test]
    fn bounds_themselves_are_allowed() {
        run(vec![
            Case::clean(ETCD, etcd_json("200ms", "1s")),
            Case::clean(ETCD, etcd_json("10s", "50s")),
            Case::clean(ETCD, json!({"version": "v3.6.11"})),
            Case::clean(ETCD, json!({"version": "3.7.0"})),
            Case::clean(ETCD, json!({"snapshots": {"every": "0s"}})),
            Case::clean(ETCD, json!({"snapshots": {"every": "1m", "keep": 1}})),
            Case::clean(ETCD, json!({"heartbeat": "150ms"})),
            Case::clean(ETCD, json!({"election": "400ms"})),
        ]);
    }

    fn etcd_json(heartbeat: &str, election: &str) -> serde_json::Value {
        json!({"heartbeat": heartbeat, "election": election})
    }
}
