//! From a fault of a scenario to what is done to which machine, or to the reason why it cannot be
//! tried here.
//!
//! Pure. The sides of a partition, and who is picked, follow the simulator's rules.

mod processes;

use crate::act::{Act, Place, Process, Stops};
use crate::cast::{Cast, Member};
use quorate_engine::random::Stream;
use quorate_engine::resource::ResourceId;
use quorate_engine::time::Span;
use quorate_sim::scenario::{Fault, FaultVerb, Plane};
use std::net::Ipv4Addr;

/// Walls fall by themselves so long after they should have been taken away.
const MARGIN: Span = Span::from_secs(30);

/// What is known when a fault is due.
pub struct Moment<'a> {
    /// Who there is.
    pub cast: &'a Cast,
    /// Who leads etcd, if anybody.
    pub leader: Option<&'a ResourceId>,
    /// DNS servers of ours on this host.
    pub dns: &'a [Process],
    /// How long the fault is to last.
    pub lasts: Span,
    /// Names this fault on all machines, in letters, digits and `_`.
    pub key: String,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// For the timeline, in the simulator's words.
    pub label: String,
    /// One for each machine or process.
    pub acts: Vec<Act>,
    /// Whom it keeps from leading: they are off, they stand still, or nobody hears them.
    pub silenced: Vec<ResourceId>,
}

/// A fault's name, as scenarios write it.
#[must_use]
pub fn verb(verb: FaultVerb) -> String {
    let text = serde_json::to_string(&verb).expect("a verb is plain data");
    text.trim_matches('"').to_owned()
}

/// What is to be done for a fault.
///
/// # Errors
/// Why it cannot be tried here, in words for the report.
pub fn plan(fault: &Fault, moment: &Moment<'_>, luck: &mut Stream) -> Result<Planned, String> {
    match fault.verb {
        FaultVerb::ProviderOutage => outage(fault, moment),
        FaultVerb::ApiThrottle
        | FaultVerb::ApiError
        | FaultVerb::LostReply
        | FaultVerb::Quota
        | FaultVerb::StockOut => Err("hits nobody but an orchestrator, and a drill runs none; \
             `quorate sim serve` injects it"
            .to_owned()),
        FaultVerb::NodeKill | FaultVerb::NodePause | FaultVerb::NodeReboot => {
            strike(fault, moment, luck)
        }
        FaultVerb::NodeDestroy => Err("cannot be undone".to_owned()),
        FaultVerb::ProcessKill | FaultVerb::ProcessPause => processes::hit(fault, moment, luck),
        FaultVerb::Partition | FaultVerb::Delay | FaultVerb::Loss => impair(fault, moment, luck),
        FaultVerb::DnsOutage => dns(fault, moment),
        FaultVerb::OrchestratorCrash => Err("a drill runs no orchestrator".to_owned()),
    }
}

fn strike(fault: &Fault, moment: &Moment<'_>, luck: &mut Stream) -> Result<Planned, String> {
    let target = fault.target.clone().unwrap_or_default();
    let hit = moment.cast.pick(&target, moment.leader, luck);
    if hit.is_empty() {
        return Err("nothing fits its target now".to_owned());
    }
    let act = |member: &&Member| match (&member.domain, fault.verb) {
        (Some(domain), FaultVerb::NodeKill) => Ok(Act::PowerCut(domain.clone())),
        (Some(domain), FaultVerb::NodePause) => Ok(Act::Pause(domain.clone())),
        (Some(domain), _) => Ok(Act::Reset(domain.clone())),
        (None, FaultVerb::NodeReboot) => Ok(Act::Reboot(member.id.clone())),
        (None, _) => Err(format!(
            "{} is no machine of a libvirt on this host: nothing here can {} it",
            member.label,
            match fault.verb {
                FaultVerb::NodeKill => "cut the power of",
                _ => "pause",
            }
        )),
    };
    let acts = hit.iter().map(act).collect::<Result<_, _>>()?;
    let what = match fault.verb {
        FaultVerb::NodeKill => "power cut",
        FaultVerb::NodePause => "paused",
        _ => "reboots",
    };
    Ok(Planned {
        label: format!("{}: {what}", labels(&hit)),
        acts,
        silenced: ids(&hit),
    })
}

fn outage(fault: &Fault, moment: &Moment<'_>) -> Result<Planned, String> {
    let target = fault.target.clone().unwrap_or_default();
    let both = fault.planes.is_empty();
    if !both && !fault.planes.contains(&Plane::Data) {
        return Err(
            "an API that is down hurts nobody but an orchestrator, and a drill runs none"
                .to_owned(),
        );
    }
    let place = quorate_sim::scenario::Target {
        provider: target.provider.clone(),
        region: target.region.clone(),
        zone: target.zone.clone(),
        ..Default::default()
    };
    let mut nobody = quorate_engine::random::Seed(0).stream("outage", "all");
    let hit = moment.cast.pick(&place, None, &mut nobody);
    if hit.is_empty() {
        return Err("it has no machines here".to_owned());
    }
    let mut scope = target.provider.unwrap_or_default();
    for part in [target.region, target.zone].into_iter().flatten() {
        scope = format!("{scope}/{part}");
    }
    Ok(Planned {
        label: format!("{scope} machines are cut off"),
        acts: hit
            .iter()
            .map(|member| wall(member, Stops::Everything, moment))
            .collect(),
        silenced: ids(&hit),
    })
}

/// Both sides of a fault of the network. One side given: the other is everybody, clients too.
fn impair(fault: &Fault, moment: &Moment<'_>, luck: &mut Stream) -> Result<Planned, String> {
    let none = || "nothing fits its target now".to_owned();
    let [from, to] = fault.between.as_slice() else {
        let target = fault.target.clone().unwrap_or_default();
        let one = moment.cast.pick(&target, moment.leader, luck);
        if one.is_empty() {
            return Err(none());
        }
        return one_side(fault, &one, moment);
    };
    let from = moment.cast.pick(from, moment.leader, luck);
    let mut to = moment.cast.pick(to, moment.leader, luck);
    to.retain(|member| !from.contains(member)); // nobody is cut off from itself
    if from.is_empty() || to.is_empty() {
        return Err(none());
    }
    let acts: Vec<Act> = match fault.verb {
        // Dropping at one side is enough for both directions, and for one of them.
        FaultVerb::Partition => {
            let stops = match fault.symmetric {
                true => Stops::Both(addresses(&to)),
                false => Stops::From(addresses(&to)),
            };
            let built = from.iter().map(|m| wall(m, stops.clone(), moment));
            built.collect()
        }
        // A machine impairs what it sends: what the first hears is late at the second.
        _ => {
            let far = to.iter().map(|m| late(m, addresses(&from), fault, moment));
            let near = from.iter().map(|m| late(m, addresses(&to), fault, moment));
            let both: Result<Vec<Act>, String> = match fault.symmetric {
                true => far.chain(near).collect(),
                false => far.collect(),
            };
            both?
        }
    };
    let arrow = if fault.symmetric {
        "and"
    } else {
        "does not hear"
    };
    Ok(Planned {
        label: format!("{} {} {arrow} {}", word(fault), labels(&from), labels(&to)),
        acts,
        silenced: Vec::new(),
    })
}

fn one_side(fault: &Fault, one: &[&Member], moment: &Moment<'_>) -> Result<Planned, String> {
    let partition = fault.verb == FaultVerb::Partition;
    let acts: Result<Vec<Act>, String> = one
        .iter()
        .map(|member| match partition {
            true => Ok(wall(member, Stops::Everything, moment)),
            false => late(member, Vec::new(), fault, moment),
        })
        .collect();
    Ok(Planned {
        label: format!("{} {} and everybody else", word(fault), labels(one)),
        acts: acts?,
        silenced: if partition { ids(one) } else { Vec::new() },
    })
}

fn word(fault: &Fault) -> &'static str {
    match fault.verb {
        FaultVerb::Partition if fault.symmetric => "partition between",
        FaultVerb::Partition => "one-way partition:",
        FaultVerb::Delay => "delay between",
        _ => "loss between",
    }
}

fn dns(fault: &Fault, moment: &Moment<'_>) -> Result<Planned, String> {
    if moment.dns.is_empty() {
        return Err("no DNS server of ours is given: `--dns-pid PID`".to_owned());
    }
    let provider = fault.target.as_ref().and_then(|t| t.provider.clone());
    Ok(Planned {
        label: format!("{} answers no queries", provider.unwrap_or_default()),
        acts: moment.dns.iter().cloned().map(Act::Freeze).collect(),
        silenced: Vec::new(),
    })
}

fn place(member: &Member) -> Place {
    let container = member.domain.clone().filter(|domain| domain.container);
    Place {
        machine: member.id.clone(),
        container,
    }
}

fn wall(member: &Member, stops: Stops, moment: &Moment<'_>) -> Act {
    Act::Wall {
        at: place(member),
        key: moment.key.clone(),
        stops,
        falls_after: Span(moment.lasts.0 + MARGIN.0),
    }
}

fn late(
    member: &Member,
    towards: Vec<Ipv4Addr>,
    fault: &Fault,
    moment: &Moment<'_>,
) -> Result<Act, String> {
    let own = member.private.or(member.public);
    let own = own.ok_or_else(|| format!("{}: its address is not known", member.label))?;
    let ms = |d: Option<quorate_engine::units::Duration>| d.map_or(0, |d| d.0.as_ms());
    let netem = match fault.verb {
        // Uniformly up to `jitter` more is a mean of half of it more, with half of it either way.
        FaultVerb::Delay => {
            let (add, jitter) = (ms(fault.add) * 1_000, ms(fault.jitter) * 500);
            format!("delay {}us {jitter}us", add + jitter)
        }
        _ => format!(
            "loss {}%",
            fault.share.map_or(100.0, |share| share.fraction() * 100.0)
        ),
    };
    Ok(Act::Impair {
        at: place(member),
        key: moment.key.clone(),
        own,
        towards,
        netem,
        falls_after: Span(moment.lasts.0 + MARGIN.0),
    })
}

fn labels(members: &[&Member]) -> String {
    let all: Vec<&str> = members.iter().map(|member| member.label.as_str()).collect();
    all.join(", ")
}

fn ids(members: &[&Member]) -> Vec<ResourceId> {
    members.iter().map(|member| member.id.clone()).collect()
}

/// Where machines are reached outside the mesh, which goes over these addresses.
fn addresses(members: &[&Member]) -> Vec<Ipv4Addr> {
    let mut all: Vec<Ipv4Addr> = members
        .iter()
        .flat_map(|member| [member.public, member.private])
        .flatten()
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::act::Undo;
    use crate::cast::tests::cast;
    use quorate_engine::random::Seed;

    fn planned(fault: &str, cast: &Cast) -> Result<Planned, String> {
        let fault: Fault = serde_json::from_str(fault).unwrap();
        let leader = ResourceId::new("q/cp-c/1");
        let moment = Moment {
            cast,
            leader: Some(&leader),
            dns: &[],
            lasts: Span::from_secs(60),
            key: "k0".to_owned(),
        };
        plan(
            &fault,
            &moment,
            &mut Seed(1).stream("0/0/0", "fault-target"),
        )
    }

    #[test]
    fn every_act_can_be_undone_where_it_was_done() {
        let cases = [
            (
                r#"{"do":"node.kill","where":{"pick":"leader","role":"control-plane"}}"#,
                "cp-c/1: power cut",
                1,
            ),
            (
                r#"{"do":"node.pause","where":{"provider":"a"}}"#,
                "cp-a/1, lb-a/1, w-a/1: paused",
                3,
            ),
            (
                r#"{"do":"node.reboot","where":{"name":"lb-b/1"}}"#,
                "lb-b/1: reboots",
                1,
            ),
            (
                r#"{"do":"provider.outage","where":{"provider":"b"}}"#,
                "b machines are cut off",
                2,
            ),
        ];
        for (fault, label, count) in cases {
            let planned = planned(fault, &cast()).unwrap();
            assert_eq!((planned.label.as_str(), planned.acts.len()), (label, count));
            assert_eq!(planned.silenced.len(), count);
            for act in &planned.acts {
                match (act, act.undo()) {
                    (Act::PowerCut(one) | Act::Reset(one), Undo::Start(other))
                    | (Act::Pause(one), Undo::Resume(other)) => assert_eq!(*one, other),
                    (
                        Act::Wall {
                            at,
                            key,
                            falls_after,
                            ..
                        },
                        Undo::Raze {
                            at: there,
                            key: name,
                        },
                    ) => {
                        assert_eq!((at, key), (&there, &name));
                        assert!(*falls_after > Span::from_secs(60));
                    }
                    (act, undo) => panic!("{undo:?} does not undo {act:?}"),
                }
            }
        }
    }

    #[test]
    fn a_partition_is_built_on_its_first_side_against_the_second() {
        let sides = r#""between":[{"provider":"a"},{"provider":"b"}]"#;
        let both = planned(&format!(r#"{{"do":"net.partition",{sides}}}"#), &cast()).unwrap();
        let one_way = format!(r#"{{"do":"net.partition",{sides},"symmetric":false}}"#);
        let one_way = planned(&one_way, &cast()).unwrap();
        let b = vec![Ipv4Addr::new(10, 211, 0, 12), Ipv4Addr::new(10, 211, 0, 22)];
        let stops = |planned: &Planned| match &planned.acts[..] {
            [Act::Wall { stops, at, .. }, _, _] => {
                assert_eq!(at.machine, ResourceId::new("q/cp-a/1"));
                stops.clone()
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(stops(&both), Stops::Both(b.clone()));
        assert_eq!(stops(&one_way), Stops::From(b));
        assert!(both.silenced.is_empty(), "who leads still shows in reports");
        assert!(one_way.label.contains("does not hear"), "{}", one_way.label);
    }

    #[test]
    fn what_one_does_not_hear_is_late_at_the_other() {
        let text = r#"{"do":"net.delay","between":[{"name":"cp-a/1"},{"name":"cp-b/1"}],
            "symmetric":false,"add":"50ms","jitter":"20ms"}"#;
        let planned = planned(text, &cast()).unwrap();
        let [
            Act::Impair {
                at, netem, towards, ..
            },
        ] = &planned.acts[..]
        else {
            panic!("{:?}", planned.acts);
        };
        assert_eq!(at.machine, ResourceId::new("q/cp-b/1"));
        assert_eq!(towards, &[Ipv4Addr::new(10, 211, 0, 11)]);
        assert_eq!(netem, "delay 60000us 10000us");
    }

    #[test]
    fn what_cannot_be_tried_says_why() {
        let mut elsewhere = cast();
        for member in &mut elsewhere.members {
            member.domain = None;
        }
        let cases = [
            (r#"{"do":"node.destroy","where":{}}"#, "undone"),
            (
                r#"{"do":"provider.quota","where":{"provider":"a"}}"#,
                "orchestrator",
            ),
            (
                r#"{"do":"provider.outage","where":{"provider":"a"},"planes":["control"]}"#,
                "orchestrator",
            ),
            (
                r#"{"do":"dns.outage","where":{"provider":"a"}}"#,
                "--dns-pid",
            ),
            (r#"{"do":"orchestrator.crash"}"#, "orchestrator"),
            (
                r#"{"do":"node.kill","where":{"pool":"none"}}"#,
                "nothing fits",
            ),
            (
                r#"{"do":"node.kill","where":{"provider":"a"}}"#,
                "cut the power",
            ),
        ];
        for (fault, said) in cases {
            let reason = planned(fault, &elsewhere).unwrap_err();
            assert!(reason.contains(said), "{fault}: {reason}");
        }
        let reboot = r#"{"do":"node.reboot","where":{"name":"w-a/1"}}"#;
        let acts = planned(reboot, &elsewhere).unwrap().acts;
        assert_eq!(acts, [Act::Reboot(ResourceId::new("q/w-a/1"))]);
        let lone = planned(
            r#"{"do":"net.partition","where":{"name":"w-a/1"}}"#,
            &elsewhere,
        );
        let Act::Wall { at, stops, .. } = &lone.unwrap().acts[0] else {
            panic!("a wall");
        };
        assert_eq!((&at.container, stops), (&None, &Stops::Everything));
    }
}
