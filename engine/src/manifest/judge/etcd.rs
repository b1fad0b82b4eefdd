//! etcd's version and timing against the round trips between its members.
//!
//! Distances come from the catalogue; a measured network would know better.

use super::view::{View, farthest};
use crate::diagnostic::{Finding, Path};
use crate::manifest::{Domain, EtcdSettings, Kubernetes, Role};
use crate::quorum::{AddRule, EtcdVersion};
use crate::time::Span;
use crate::units::Duration;

/// etcd's defaults (`embed/config.go`): a heartbeat each 100 ms, an election after 1 s.
const HEARTBEAT: Span = Span::from_ms(100);
const ELECTION: Span = Span::from_ms(1_000);
/// etcd refuses longer elections.
const ELECTION_MAX: Span = Span::from_secs(50);
/// etcd refuses elections shorter than this many heartbeats.
const HEARTBEATS_PER_ELECTION: u64 = 5;
/// etcd's tuning guide: an election takes at least ten round trips.
const RTTS_PER_ELECTION: u64 = 10;
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
}

fn timing(view: View<'_>, etcd: &EtcdSettings, path: &Path, found: &mut Vec<Finding>) {
    let heartbeat = etcd.heartbeat.map_or(HEARTBEAT, |d| d.0);
    let election = etcd.election.map_or(ELECTION, |d| d.0);
    let whole = |span: Span| span.0 > 0 && span.0.is_multiple_of(1_000_000);
    if !whole(heartbeat) || !whole(election) {
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
    if election < heartbeat.times(HEARTBEATS_PER_ELECTION) {
        let message =
            format!("an election of {election} is less than five heartbeats of {heartbeat}");
        found.push(
            Finding::error("etcd-election-ratio", path, message)
                .why("etcd refuses to start with it")
                .fix(format!("set election to {}", text(heartbeat.times(10)))),
        );
    }
    if election > ELECTION_MAX {
        let message = format!("an election of {election} is more than etcd allows");
        found.push(
            Finding::error("etcd-election-too-long", &path.field("election"), message)
                .why("etcd refuses to start beyond 50 s")
                .fix("set election to ten round trips between the most distant members"),
        );
    }
    let Some((rtt, a, b)) = farthest(view, view.with_role(Role::ControlPlane)) else {
        return;
    };
    let between = format!("between {a} and {b}");
    let advised = round_up(rtt.max(HEARTBEAT));
    if heartbeat.times(2) < rtt {
        let message = format!("heartbeats of {heartbeat} for a round trip of {rtt} {between}");
        found.push(
            Finding::warning("etcd-heartbeat-below-rtt", path, message)
                .why("etcd advises 0.5 to 1.5 round trips: faster ones queue up and find no answer")
                .fix(format!("set heartbeat to {}", text(advised))),
        );
    }
    if election < rtt.times(RTTS_PER_ELECTION) {
        let message = format!("an election of {election} for a round trip of {rtt} {between}");
        found.push(
            Finding::warning("etcd-election-below-rtt", path, message)
                .why("below ten round trips, jitter alone deposes leaders that are alive")
                .fix(format!(
                    "set heartbeat to {} and election to {}",
                    text(advised),
                    text(advised.times(10))
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
            case("etcd-election-below-rtt", AWS, json!("us-west-2")).with("etcd-members-far-apart"),
            case("etcd-election-below-rtt", AWS, json!("ap-southeast-2"))
                .with("etcd-heartbeat-below-rtt")
                .with("etcd-members-far-apart"),
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
        ]);
    }

    fn etcd_json(heartbeat: &str, election: &str) -> serde_json::Value {
        json!({"heartbeat": heartbeat, "election": election})
    }
}
