//! What each fault cost, in the times that people ask for: they are set beside those of the same
//! fault elsewhere.

use super::evidence::{Evidence, alone_until};
use super::expect;
use crate::outcome::{Cost, Felt};
use quorate_engine::time::{Span, Time};

/// What each injected fault cost, in their order.
#[must_use]
pub fn costs(evidence: &dyn Evidence) -> Vec<Cost> {
    let readiness = evidence.readiness();
    let cost = |(index, injected): (usize, &super::evidence::Injected)| {
        let until = alone_until(evidence, index);
        let (not_ready, ready) = nodes(&readiness, injected.from, injected.to, until);
        Cost {
            phase: injected.phase,
            fault: injected.fault,
            label: injected.label.clone(),
            election: election(evidence.leader(), injected.from, injected.to.min(until)),
            not_ready,
            ready,
            felt: (0..evidence.populations().len() as u16)
                .map(|number| felt(evidence, number, injected.from, until))
                .collect(),
        }
    };
    evidence.injected().iter().enumerate().map(cost).collect()
}

/// From a fault that took the leader away to the next one. The leader may be seen to go somewhat
/// before the fault counts as begun: then it is the fault's doing too.
fn election(leader: &[(Time, Option<String>)], from: Time, to: Time) -> Option<Span> {
    let lost = leader
        .iter()
        .position(|(at, who)| *at >= from && *at <= to && who.is_none())?;
    let elected = leader[lost..].iter().find(|(_, who)| who.is_some())?;
    Some(elected.0.since(from))
}

/// From a fault to the first node that is NotReady, and from its end to the last of those that
/// are Ready again.
fn nodes(
    readiness: &[(Time, String, bool)],
    from: Time,
    to: Time,
    until: Time,
) -> (Option<Span>, Option<Span>) {
    let within = |at: Time| at >= from && at < until;
    let mut gone: Vec<&str> = Vec::new();
    let mut first = None;
    let mut back = None;
    for (at, node, ready) in readiness.iter().filter(|(at, _, _)| within(*at)) {
        if *ready {
            if let Some(place) = gone.iter().position(|name| name == node) {
                gone.remove(place);
                back = Some(at.since(to));
            }
        } else if *at <= to || first.is_some() {
            first.get_or_insert(at.since(from));
            gone.push(node);
        }
    }
    (first, back.filter(|_| gone.is_empty()))
}

fn felt(evidence: &dyn Evidence, number: u16, from: Time, until: Time) -> Felt {
    let stats = evidence.stats(number);
    let (clean, failed) = expect::hurt(stats, from, until);
    Felt {
        of: evidence.populations()[usize::from(number)].clone(),
        first: stats.first_success_after(from),
        clean,
        failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Time {
        Time::ZERO + Span::from_ms(ms)
    }

    fn some(name: &str) -> Option<String> {
        Some(name.to_owned())
    }

    #[test]
    fn an_election_counts_from_the_fault_that_took_the_leader() {
        let leader = [
            (at(0), some("a")),
            (at(1_010), None),
            (at(2_300), some("b")),
        ];
        let cost = |from, to| election(&leader, at(from), at(to));
        assert_eq!(cost(1_000, 5_000), Some(Span::from_ms(1_300)));
        assert_eq!(cost(2_000, 5_000), None, "nobody was lost after that");
        assert_eq!(cost(0, 1_000), None, "the fault was over before");
        assert_eq!(election(&leader[..2], at(1_000), at(5_000)), None);
    }

    #[test]
    fn nodes_are_back_when_the_last_of_them_is() {
        let said = [
            (at(500), "x".to_owned(), false),
            (at(40_000), "a".to_owned(), false),
            (at(41_000), "b".to_owned(), false),
            (at(70_000), "b".to_owned(), true),
            (at(75_000), "a".to_owned(), true),
        ];
        let (first, back) = nodes(&said, at(1_000), at(60_000), at(90_000));
        assert_eq!(first, Some(Span::from_secs(39)));
        assert_eq!(back, Some(Span::from_secs(15)));
        let (_, back) = nodes(&said, at(1_000), at(60_000), at(72_000));
        assert_eq!(back, None, "one is still missing");
        assert_eq!(nodes(&said, at(80_000), at(81_000), at(90_000)).0, None);
    }
}
