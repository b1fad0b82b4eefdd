//! Faults of processes: which machines have one, and what is done to it there.
//!
//! Pure, as the rest of the plan.

use super::{MARGIN, Moment, Planned, dns, ids, labels, place};
use crate::act::Act;
use crate::cast::{Cast, Member};
use quorate_engine::random::Stream;
use quorate_engine::time::Span;
use quorate_sim::scenario::{Fault, FaultVerb, Process};

pub(super) fn hit(
    fault: &Fault,
    moment: &Moment<'_>,
    luck: &mut Stream,
) -> Result<Planned, String> {
    let process = fault.process.expect("it was judged with its scenario");
    let kills = fault.verb == FaultVerb::ProcessKill;
    if process == Process::NameServer {
        if kills {
            return Err(
                "a name server on this host that is killed stays dead: nobody here \
                 starts it again"
                    .to_owned(),
            );
        }
        return dns(fault, moment);
    }
    let target = fault.target.clone().unwrap_or_default();
    let have = Cast {
        members: carriers(moment.cast, process),
    };
    let hit = have.pick(&target, moment.leader, luck);
    if hit.is_empty() {
        return Err("nothing fits its target now".to_owned());
    }
    let act = |member: &&Member| match kills {
        true => Act::Kill {
            at: place(member),
            process,
        },
        false => Act::Still {
            at: place(member),
            process,
            key: moment.key.clone(),
            falls_after: Span(moment.lasts.0 + MARGIN.0),
        },
    };
    let what = if kills { "killed" } else { "stands still" };
    // One that was killed may speak for itself again as soon as it is back.
    let silenced = !kills && process == Process::Etcd;
    Ok(Planned {
        label: format!("{}: {} {what}", labels(&hit), process.name()),
        acts: hit.iter().map(act).collect(),
        silenced: if silenced { ids(&hit) } else { Vec::new() },
    })
}

/// Machines that have the process, by what they do.
fn carriers(cast: &Cast, process: Process) -> Vec<Member> {
    let has = |member: &&Member| member.roles.iter().any(|role| process.runs_on(*role));
    cast.members.iter().filter(has).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::act::Undo;
    use crate::cast::tests::cast;
    use quorate_engine::random::Seed;
    use quorate_engine::resource::ResourceId;

    fn planned(text: &str) -> Result<Planned, String> {
        let fault: Fault = serde_json::from_str(text).unwrap();
        let (cast, leader) = (cast(), ResourceId::new("q/cp-b/1"));
        let moment = Moment {
            cast: &cast,
            leader: Some(&leader),
            dns: &[],
            lasts: Span::from_secs(20),
            key: "k1".to_owned(),
        };
        hit(
            &fault,
            &moment,
            &mut Seed(1).stream("0/0/0", "fault-target"),
        )
    }

    #[test]
    fn a_process_is_looked_for_where_it_runs() {
        let cases = [
            ("etcd", r#""pick":"leader""#, "cp-b/1: etcd killed"),
            ("haproxy", r#""provider":"c""#, "lb-c/1: haproxy killed"),
            (
                "kubelet",
                r#""provider":"a""#,
                "cp-a/1, w-a/1: kubelet killed",
            ),
            (
                "kube-apiserver",
                r#""provider":"a""#,
                "cp-a/1: kube-apiserver killed",
            ),
        ];
        for (process, target, label) in cases {
            let text =
                format!(r#"{{"do":"process.kill","process":"{process}","where":{{{target}}}}}"#);
            let planned = planned(&text).unwrap();
            assert_eq!(planned.label, label);
            assert!(planned.silenced.is_empty(), "it is soon back");
            for act in &planned.acts {
                let Undo::Back { process: back, .. } = act.undo() else {
                    panic!("{:?} does not wait for it", act.undo());
                };
                assert_eq!(back.name(), process);
            }
        }
    }

    #[test]
    fn what_stands_still_goes_on_by_itself_if_nobody_comes() {
        let text = r#"{"do":"process.pause","process":"etcd","where":{"pick":"leader"}}"#;
        let planned = planned(text).unwrap();
        assert_eq!(planned.silenced, [ResourceId::new("q/cp-b/1")]);
        let [
            act @ Act::Still {
                falls_after, key, ..
            },
        ] = &planned.acts[..]
        else {
            panic!("{:?}", planned.acts);
        };
        assert!(*falls_after > Span::from_secs(20));
        let Undo::Go { key: named, .. } = act.undo() else {
            panic!("{:?}", act.undo());
        };
        assert_eq!(named, *key);
    }

    #[test]
    fn who_is_not_there_is_not_hit() {
        let text = r#"{"do":"process.kill","process":"etcd","where":{"name":"lb-a/1"}}"#;
        assert!(planned(text).unwrap_err().contains("nothing fits"));
        let text = r#"{"do":"process.kill","process":"name-server","where":{"provider":"n"}}"#;
        assert!(planned(text).unwrap_err().contains("stays dead"));
        let text = r#"{"do":"process.pause","process":"name-server","where":{"provider":"n"}}"#;
        assert!(planned(text).unwrap_err().contains("--dns-pid"));
    }
}
