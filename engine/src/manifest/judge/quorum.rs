//! Where etcd members stand: whether a majority outlives the loss of any one place.
//!
//! The rule: with n members, the loss of any one place is survived where
//! `n - most in one place >= n / 2 + 1` (a raft quorum; integer division). Two places never
//! satisfy it, as one of them holds at least half. Knows nothing of plans: the guard does.

use super::view::{View, domain_name, graded, listed, nodes};
use crate::diagnostic::{Finding, Path};
use crate::manifest::{Domain, Role};
use std::collections::{BTreeMap, BTreeSet};

/// etcd's documentation, "FAQ": more members than seven cost write latency and buy nothing.
const VOTERS_MAX: u64 = 7;

pub(super) fn check(view: View<'_>, found: &mut Vec<Finding>) {
    let voters: u64 = view.with_role(Role::ControlPlane).map(|p| nodes(p).0).sum();
    if voters == 0 {
        return;
    }
    let path = view.at("nodePools");
    number(&path, voters, found);
    placement(view, &path, voters, found);
    groups(view, voters, found);
}

fn quorum(voters: u64) -> u64 {
    voters / 2 + 1
}

fn number(path: &Path, voters: u64, found: &mut Vec<Finding>) {
    if voters.is_multiple_of(2) {
        let (less, more) = (voters - 1, voters + 1);
        let message = format!("{voters} etcd members are no safer than {less}");
        found.push(
            Finding::warning("even-voters", path, message)
                .why(format!(
                    "both bear the loss of {}: a quorum of {voters} is {}, and there is one more \
                     that can fail",
                    voters - quorum(voters),
                    quorum(voters)
                ))
                .fix(format!("make it {more}, or {less}")),
        );
    }
    if voters > VOTERS_MAX {
        found.push(
            Finding::warning("too-many-voters", path, format!("{voters} etcd members"))
                .why("each write waits for a majority; etcd advises at most 7, and 5 are usual")
                .fix("use 3 or 5 members, and workers for the rest"),
        );
    }
}

fn placement(view: View<'_>, path: &Path, voters: u64, found: &mut Vec<Finding>) {
    let wanted = view.spec.resilience.survive;
    let domain = wanted.unwrap_or(Domain::Provider);
    if !judge(view, path, domain, wanted.is_some(), voters, found) && domain < Domain::Provider {
        // Asked for less, and yet two providers: someone may believe that they are redundant.
        let places = view.census(view.with_role(Role::ControlPlane), Domain::Provider);
        if places.len() == 2 {
            judge(view, path, Domain::Provider, false, voters, found);
        }
    }
}

/// Whether there was something to say about the loss of one `domain`.
fn judge(
    view: View<'_>,
    path: &Path,
    domain: Domain,
    hard: bool,
    voters: u64,
    found: &mut Vec<Finding>,
) -> bool {
    let places = view.census(view.with_role(Role::ControlPlane), domain);
    let most = places
        .values()
        .copied()
        .max()
        .expect("voters stand somewhere");
    let (worst, _) = places
        .iter()
        .find(|(_, n)| **n == most)
        .expect("one holds the most");
    let (left, needed) = (voters - most, quorum(voters));
    if left >= needed {
        if left == needed && voters > 3 {
            zero_slack(path, voters, left, worst, found);
            return true;
        }
        return false;
    }
    let what = domain_name(domain);
    let finding = if domain == Domain::Provider && places.len() == 2 {
        let spread = listed(places.iter().map(|(place, n)| format!("{n} in {place}")));
        let message = format!(
            "two providers give no more than one: of {voters} etcd members ({spread}) the loss of \
             {worst} leaves {left}, and a quorum is {needed}"
        );
        graded(hard, "two-providers-give-one", path, message)
            .why(
                "of two places one always holds at least half of the members, be they ever so many",
            )
            .fix(
                "put the odd member into a third provider: 1 + 1 + 1 is enough, a pool with \
                 `count: 1` there",
            )
    } else {
        let message = format!(
            "the loss of {worst} leaves {left} of {voters} etcd members, and a quorum is {needed}"
        );
        graded(hard, "majority-in-one-location", path, message)
            .why(format!(
                "without a majority there are no writes: no {what} may hold so many"
            ))
            .fix(format!(
                "spread the members so that no {what} holds more than {}: three {what}s \
                with one each are the least",
                voters.saturating_sub(needed).max(1)
            ))
    };
    found.push(finding);
    true
}

fn zero_slack(path: &Path, voters: u64, left: u64, worst: &str, found: &mut Vec<Finding>) {
    let message = format!("after the loss of {worst} exactly a quorum is left: {left} of {voters}");
    found.push(
        Finding::note("zero-slack-after-loss", path, message)
            .why("one node more and writes stop, though there are members to spare before the loss")
            .fix("nothing has to be done; one member per provider in five providers has slack"),
    );
}

/// Groups of providers that fail together and hold what may not be lost at once.
fn groups(view: View<'_>, voters: u64, found: &mut Vec<Finding>) {
    let mut groups = BTreeMap::<&str, BTreeSet<&str>>::new();
    for provider in &view.spec.providers {
        for group in &provider.failure_groups {
            groups.entry(group).or_default().insert(&provider.name);
        }
    }
    let places = view.census(view.with_role(Role::ControlPlane), Domain::Provider);
    for (group, members) in groups {
        let held: u64 = members.iter().filter_map(|name| places.get(*name)).sum();
        let several = members
            .iter()
            .filter(|name| places.contains_key(**name))
            .count()
            > 1;
        if several && voters - held < quorum(voters) {
            let message = format!(
                "the failure group `{group}` ({}) holds {held} of {voters} etcd members",
                listed(members)
            );
            let hard = view.must_survive(Domain::Provider);
            found.push(
                graded(
                    hard,
                    "failure-group-holds-majority",
                    &view.at("providers"),
                    message,
                )
                .why("what is shared fails at once: a cause shared by 1 % of failures costs 4x")
                .fix("move a member to a provider outside of the group"),
            );
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use crate::manifest::judge::judge;
    use crate::manifest::judge::trial::{Case, case, run, shipped};
    use serde_json::{Value, json};

    const SURVIVE: &str = "/spec/resilience/survive";

    fn count(pool: u32, n: u32) -> (String, Value) {
        (format!("/spec/nodePools/{pool}/count"), json!(n))
    }

    pub(in super::super) fn cases() -> Vec<Case> {
        let counts = |code: &'static str, [a, b, c]: [u32; 3]| {
            let mut one = case(code, "/spec/nodePools/0/count", json!(a));
            for (path, value) in [count(1, b), count(2, c)] {
                one = one.and_set(&path, value);
            }
            one
        };
        let no_gcp = |one: Case| one.and_set("/spec/nodePools/2", Value::Null);
        vec![
            counts("even-voters", [2, 1, 1]).with("majority-in-one-location"),
            counts("even-voters", [2, 2, 2]).with("zero-slack-after-loss"),
            counts("too-many-voters", [3, 3, 3]),
            counts("majority-in-one-location", [3, 1, 1]).fails(),
            counts("majority-in-one-location", [3, 1, 1])
                .and_set(SURVIVE, Value::Null)
                .only_warns(),
            counts("zero-slack-after-loss", [2, 2, 1]),
            counts("zero-slack-after-loss", [3, 3, 1]),
            no_gcp(case(
                "two-providers-give-one",
                "/spec/nodePools/0/count",
                json!(2),
            ))
            .fails(),
            no_gcp(case(
                "two-providers-give-one",
                "/spec/nodePools/0/count",
                json!(3),
            ))
            .and_set("/spec/nodePools/1/count", json!(2)),
            no_gcp(case(
                "two-providers-give-one",
                "/spec/nodePools/0/count",
                json!(2),
            ))
            .and_set(SURVIVE, Value::Null)
            .only_warns(),
            no_gcp(case(
                "two-providers-give-one",
                "/spec/nodePools/0/count",
                json!(2),
            ))
            .and_set(SURVIVE, json!("node"))
            .only_warns(),
            // All in one zone, as Hetzner has one per region, while one zone may be lost.
            case("majority-in-one-location", SURVIVE, json!("zone"))
                .and_set("/spec/nodePools/0/count", json!(3))
                .and_set("/spec/nodePools/1", Value::Null)
                .and_set("/spec/nodePools/1", Value::Null),
            case("majority-in-one-location", SURVIVE, json!("node"))
                .and_set("/spec/nodePools/1", Value::Null)
                .and_set("/spec/nodePools/1", Value::Null),
            case(
                "failure-group-holds-majority",
                "/spec/providers/0/failureGroups",
                json!(["fra"]),
            )
            .and_set("/spec/providers/1/failureGroups", json!(["fra"]))
            .fails(),
        ]
    }

    #[test]
    fn each_mistake_is_found() {
        run(cases());
    }

    #[test]
    fn three_zones_of_one_region_outlive_one_of_them() {
        let one = Case::clean(SURVIVE, json!("zone"))
            .and_set("/spec/nodePools/1/count", json!(3))
            .and_set("/spec/nodePools/2", Value::Null)
            .and_set("/spec/nodePools/0", Value::Null);
        run(vec![one]);
    }

    #[test]
    fn an_even_number_is_sent_to_its_neighbours() {
        let mut even = shipped("three-clouds.yaml");
        for pool in &mut even.spec.node_pools[..3] {
            pool.count = Some(2);
        }
        let found = judge(&even);
        let finding = found.iter().find(|f| f.code == "even-voters").unwrap();
        assert_eq!(finding.message, "6 etcd members are no safer than 5");
        assert!(
            finding
                .why
                .starts_with("both bear the loss of 2: a quorum of 6 is 4")
        );
        assert_eq!(finding.fix, "make it 7, or 5");
    }

    #[test]
    fn the_shipped_manifests_say_what_they_teach() {
        let codes = |file| -> Vec<_> { judge(&shipped(file)).iter().map(|f| f.code).collect() };
        assert_eq!(codes("two-providers.yaml"), ["two-providers-give-one"]);
        assert_eq!(codes("five-members.yaml"), ["zero-slack-after-loss"]);
        for file in ["three-clouds.yaml", "migrate-to.yaml", "burst-to.yaml"] {
            assert!(codes(file).is_empty(), "{file}: {:?}", codes(file));
        }
        let trap = &judge(&shipped("two-providers.yaml"))[0];
        assert_eq!(
            trap.message,
            "two providers give no more than one: of 3 etcd members (1 in aws and 2 in htz) the \
             loss of htz leaves 1, and a quorum is 2"
        );
    }
}
