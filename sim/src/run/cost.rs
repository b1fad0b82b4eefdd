//! What each fault cost, in the times that people ask for: they are set beside those of the same
//! fault elsewhere.

use super::evidence::{Evidence, Injected, alone_until};
use super::expect;
use crate::outcome::{Cost, Felt};
use quorate_engine::time::{Span, Time};

/// Who watches from outside may see a leader go so long before he counts the fault as begun: looks
/// and the command that does it are not one instant.
const SEEN_BEFORE: Span = Span::from_ms(200);

/// What each injected fault cost, in their order.
#[must_use]
pub fn costs(evidence: &dyn Evidence) -> Vec<Cost> {
    let readiness = evidence.readiness();
    let cost = |(index, injected): (usize, &Injected)| {
        let until = alone_until(evidence, index);
        let (not_ready, ready) = nodes(&readiness, injected.from, injected.to, until);
        Cost {
            phase: injected.phase,
            fault: injected.fault,
            label: injected.label.clone(),
            election: election(evidence.leader(), injected.from, injected.to.min(until)),
            not_ready,
            ready,
            whole: whole(evidence.quorum(), injected.from, injected.to, until),
            felt: (0..evidence.populations().len() as u16)
                .map(|number| felt(evidence, number, injected, until))
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
        .position(|(at, who)| *at + SEEN_BEFORE >= from && *at <= to && who.is_none())?;
    let mut later = leader[lost..].iter();
    let elected = later.find(|(at, who)| *at >= from && who.is_some())?;
    Some(elected.0.since(from))
}

/// From a fault's end until as many members are healthy as there are, if it took one away.
fn whole(quorum: &[(Time, u32, u32)], from: Time, to: Time, until: Time) -> Option<Span> {
    let hurt = quorum.iter().position(|(at, voters, healthy)| {
        *at + SEEN_BEFORE >= from && *at <= to && healthy < voters
    })?;
    let mut later = quorum[hurt..]
        .iter()
        .filter(|(at, ..)| *at >= to && *at < until);
    let back = later.find(|(_, voters, healthy)| healthy == voters)?;
    Some(back.0.since(to))
}

/// From a fault until each node that it makes NotReady is so, and from its end until each of them is
/// Ready again.
fn nodes(
    readiness: &[(Time, String, bool)],
    from: Time,
    to: Time,
    until: Time,
) -> (Vec<Span>, Vec<Span>) {
    let mut gone: Vec<&str> = Vec::new();
    let (mut lost, mut back) = (Vec::new(), Vec::new());
    let within = readiness
        .iter()
        .filter(|(at, ..)| *at >= from && *at < until);
    for (at, node, ready) in within {
        let place = gone.iter().position(|name| name == node);
        match (ready, place) {
            (true, Some(place)) => {
                gone.remove(place);
                back.push(at.since(to));
            }
            // One that is late to be seen as lost is its doing, too, if others were.
            (false, None) if *at <= to || !lost.is_empty() => {
                lost.push(at.since(from));
                gone.push(node);
            }
            (true, None) | (false, _) => {}
        }
    }
    (lost, back)
}

fn felt(evidence: &dyn Evidence, number: u16, injected: &Injected, until: Time) -> Felt {
    let stats = evidence.stats(number);
    let (from, over) = (injected.from, injected.to.min(until));
    let (clean, failed) = expect::hurt(stats, from, over);
    let healed = (over < until).then(|| expect::hurt(stats, over, until).0);
    Felt {
        of: evidence.populations()[usize::from(number)].clone(),
        first: stats.first_success_after(from),
        clean,
        healed,
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
        let early = cost(1_150, 5_000);
        assert_eq!(early, Some(Span::from_ms(1_150)), "seen before it counted");
        assert_eq!(cost(1_300, 5_000), None, "that was another one's doing");
        assert_eq!(election(&leader[..2], at(1_000), at(5_000)), None);
    }

    #[test]
    fn all_is_whole_when_every_member_is_healthy_after_the_end() {
        let seen = [
            (at(0), 3, 3),
            (at(1_020), 3, 2),
            (at(9_000), 3, 3),
            (at(9_500), 3, 2),
            (at(12_000), 3, 3),
        ];
        let whole = |from, to, until| super::whole(&seen, at(from), at(to), at(until));
        assert_eq!(whole(1_000, 5_000, 60_000), Some(Span::from_secs(4)));
        assert_eq!(whole(1_000, 10_000, 60_000), Some(Span::from_secs(2)));
        assert_eq!(
            whole(1_000, 10_000, 11_000),
            None,
            "the next fault came before"
        );
        assert_eq!(whole(13_000, 14_000, 60_000), None, "nobody was hurt");
    }

    #[test]
    fn each_node_is_lost_and_back_by_itself() {
        let said = [
            (at(500), "x".to_owned(), false),
            (at(40_000), "a".to_owned(), false),
            (at(41_000), "b".to_owned(), false),
            (at(70_000), "b".to_owned(), true),
            (at(75_000), "a".to_owned(), true),
        ];
        let (lost, back) = nodes(&said, at(1_000), at(60_000), at(90_000));
        assert_eq!(lost, [Span::from_secs(39), Span::from_secs(40)]);
        assert_eq!(back, [Span::from_secs(10), Span::from_secs(15)]);
        let (_, back) = nodes(&said, at(1_000), at(60_000), at(72_000));
        assert_eq!(back, [Span::from_secs(10)], "one is still missing");
        assert!(
            nodes(&said, at(80_000), at(81_000), at(90_000))
                .0
                .is_empty()
        );
    }
}
