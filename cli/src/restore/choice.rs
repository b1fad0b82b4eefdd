//! Which data, onto which machine, and what that loses: decided from what was found.
//!
//! Pure. Refuses what nobody has confirmed: a living quorum, and machines that may come back.

use quorate_cluster::{Remains, Source, Stored, Survivor};
use quorate_engine::resource::ResourceId;

/// What was found.
pub(super) struct Given<'a> {
    pub(super) found: &'a [Remains],
    /// The newest good one.
    pub(super) snapshot: Option<&'a Stored>,
}

/// What somebody asks for.
#[derive(Default)]
pub(super) struct Wish<'a> {
    pub(super) snapshot: bool,
    pub(super) survivor: Option<&'a str>,
    pub(super) onto: Option<&'a str>,
    pub(super) gone: &'a [String],
    pub(super) despite_quorum: bool,
}

/// What is done.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chosen {
    pub(super) source: Source,
    pub(super) revision: Option<u64>,
    pub(super) onto: ResourceId,
    pub(super) gone: Vec<ResourceId>,
    /// For people.
    pub(super) loss: String,
}

/// Decides.
///
/// # Errors
/// Why it is refused, with what to do.
pub(super) fn choose(given: &Given<'_>, wish: &Wish<'_>) -> Result<Chosen, String> {
    quorum(given, wish)?;
    let gone = gone(given, wish)?;
    let mut reached = Vec::new();
    for one in given.found {
        if let Ok(member) = one.member {
            reached.push((&one.machine, member));
        }
    }
    if reached.is_empty() {
        return Err(
            "no control plane is reached: at least one is needed to restore onto, and \
             `quorate apply` makes none while the cluster's quorum is lost"
                .to_owned(),
        );
    }
    let best = furthest(&reached);
    let ahead = |snapshot: &Stored| best.is_none_or(|(_, revision)| snapshot.revision >= revision);
    let by_snapshot = match (wish.survivor, given.snapshot) {
        (Some(_), _) | (None, None) => None,
        (None, Some(snapshot)) => {
            let asked = wish.snapshot || wish.onto.is_some();
            (asked || ahead(snapshot)).then_some(snapshot)
        }
    };
    match by_snapshot {
        Some(snapshot) => {
            let onto = match wish.onto {
                Some(name) => named(&reached, name)?.0,
                None => reached[0].0,
            };
            Ok(Chosen {
                source: Source::Snapshot(snapshot.path.clone()),
                revision: Some(snapshot.revision),
                onto: onto.clone(),
                gone,
                loss: loss_of_snapshot(snapshot, best),
            })
        }
        None => from_disk(&reached, wish, best, gone),
    }
}

/// The member whose data go furthest.
fn furthest<'a>(reached: &[(&'a ResourceId, Survivor)]) -> Option<(&'a ResourceId, u64)> {
    let known = reached.iter();
    let known = known.filter_map(|(machine, member)| Some((*machine, member.revision?)));
    // Of equals the first.
    known.rev().max_by_key(|(_, revision)| *revision)
}

fn from_disk(
    reached: &[(&ResourceId, Survivor)],
    wish: &Wish<'_>,
    best: Option<(&ResourceId, u64)>,
    gone: Vec<ResourceId>,
) -> Result<Chosen, String> {
    if let Some(name) = wish.onto {
        return Err(format!(
            "there is no good snapshot to restore onto {name}: give one with --snapshot, or keep \
             what a disk has with --survivor"
        ));
    }
    let (onto, revision) = match (wish.survivor, best) {
        (Some(name), _) => {
            let (machine, member) = named(reached, name)?;
            if member.revision.is_none() && !member.runs {
                return Err(format!("{machine} has no data of etcd that could be read"));
            }
            (machine, member.revision)
        }
        (None, Some((machine, revision))) => (machine, Some(revision)),
        (None, None) => {
            return Err(
                "there is neither a good snapshot nor a disk with data of etcd: give a \
                 snapshot with --snapshot"
                    .to_owned(),
            );
        }
    };
    let loss = match (revision, best) {
        (Some(own), Some((other, most))) if most > own => format!(
            "Lost: {} revisions that {other} has on its disk and {onto} has not.",
            most - own
        ),
        (Some(own), _) => format!(
            "Kept: everything up to revision {own}, which no other disk that is left goes beyond. \
             Lost: what only members that are gone have written."
        ),
        (None, _) => format!("Kept: what {onto} has on its disk; how far it goes is not known."),
    };
    Ok(Chosen {
        source: Source::Disk,
        revision,
        onto: onto.clone(),
        gone,
        loss,
    })
}

fn loss_of_snapshot(snapshot: &Stored, best: Option<(&ResourceId, u64)>) -> String {
    let own = snapshot.revision;
    match best {
        Some((machine, most)) if most > own => format!(
            "Lost: everything after revision {own} of {:.0}, of which {machine} still has {} \
             revisions on its disk; `--survivor {machine}` keeps those.",
            snapshot.taken,
            most - own
        ),
        Some(_) => format!(
            "Lost: nothing that a disk which is left still has; the snapshot of {:.0} has \
             revision {own} at least.",
            snapshot.taken
        ),
        None => format!(
            "Lost: everything written after {:.0} (revision {own}); no disk that is left says how \
             much that is.",
            snapshot.taken
        ),
    }
}

fn quorum(given: &Given<'_>, wish: &Wish<'_>) -> Result<(), String> {
    let leads = |one: &&Remains| one.member.as_ref().is_ok_and(|member| member.leader);
    match given.found.iter().find(leads) {
        Some(one) if !wish.despite_quorum => Err(format!(
            "the cluster has a quorum: the member on {} knows a leader. Dead members are replaced \
             by `quorate apply`; to go back in time and throw away what was written since, add \
             --despite-quorum",
            one.machine
        )),
        Some(_) | None => Ok(()),
    }
}

/// Machines that are not reached, all of which somebody has to have named.
fn gone(given: &Given<'_>, wish: &Wish<'_>) -> Result<Vec<ResourceId>, String> {
    let (mut gone, mut open) = (Vec::new(), Vec::new());
    for one in given.found.iter().filter(|one| one.member.is_err()) {
        if wish.gone.iter().any(|name| name == one.machine.as_str()) {
            gone.push(one.machine.clone());
        } else {
            open.push(one.machine.as_str());
        }
    }
    for name in wish.gone {
        let one = given.found.iter().find(|one| one.machine.as_str() == name);
        match one {
            None => return Err(format!("--gone {name}: no control plane has this name")),
            Some(one) if one.member.is_ok() => {
                return Err(format!("--gone {name}: it is reached, and takes part"));
            }
            Some(_) => {}
        }
    }
    if open.is_empty() {
        return Ok(gone);
    }
    let flags: Vec<_> = open.iter().map(|name| format!("--gone {name}")).collect();
    Err(format!(
        "not reached: {}. Came they back with their old data, two clusters would serve under one \
         name. Destroy them or cut them off for good, and say so: {}",
        open.join(", "),
        flags.join(" ")
    ))
}

fn named<'a>(
    reached: &[(&'a ResourceId, Survivor)],
    name: &str,
) -> Result<(&'a ResourceId, Survivor), String> {
    let found = reached.iter().find(|(machine, _)| machine.as_str() == name);
    found.copied().ok_or_else(|| {
        let names: Vec<_> = reached
            .iter()
            .map(|(machine, _)| machine.as_str())
            .collect();
        format!(
            "{name} is no control plane that is reached: choose one of {}",
            names.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn plane(number: u32) -> ResourceId {
        ResourceId::new(format!("shop/cp/{number}"))
    }

    /// Control planes 1, 2, ...: none is not reached; else whether it has a leader, and its data.
    fn found(all: &[Option<(bool, Option<u64>)>]) -> Vec<Remains> {
        let one = |(number, state): (u32, &Option<(bool, Option<u64>)>)| Remains {
            machine: plane(number),
            member: state
                .ok_or_else(|| "no route".to_owned())
                .map(|state| Survivor {
                    runs: true,
                    leader: state.0,
                    revision: state.1,
                }),
        };
        (1..).zip(all).map(one).collect()
    }

    fn snapshot(revision: u64) -> Stored {
        Stored {
            path: PathBuf::from("s.db"),
            taken: "2026-11-22T15:44:00Z".parse().unwrap(),
            revision,
            bytes: 1_056,
            damage: None,
        }
    }

    fn chosen(
        found: &[Remains],
        snapshot: Option<&Stored>,
        wish: &Wish<'_>,
    ) -> Result<Chosen, String> {
        choose(&Given { found, snapshot }, wish)
    }

    #[test]
    fn a_living_quorum_is_not_thrown_away_by_mistake() {
        let alive = found(&[
            Some((false, Some(9))),
            Some((true, Some(9))),
            Some((true, None)),
        ]);
        let old = snapshot(5);
        let why = chosen(&alive, Some(&old), &Wish::default()).unwrap_err();
        assert!(why.contains("shop/cp/2 knows a leader"), "{why}");
        let wish = Wish {
            despite_quorum: true,
            snapshot: true,
            ..Wish::default()
        };
        let done = chosen(&alive, Some(&old), &wish).unwrap();
        assert_eq!(done.source, Source::Snapshot("s.db".into()));
        assert!(done.loss.contains("4 revisions"), "{}", done.loss);
    }

    #[test]
    fn who_is_not_reached_has_to_be_named() {
        let lost = found(&[Some((false, Some(9))), None, None]);
        let why = chosen(&lost, None, &Wish::default()).unwrap_err();
        assert!(why.contains("--gone shop/cp/2 --gone shop/cp/3"), "{why}");
        let gone = ["shop/cp/2".to_owned(), "shop/cp/3".to_owned()];
        let wish = Wish {
            gone: &gone,
            ..Wish::default()
        };
        let done = chosen(&lost, None, &wish).unwrap();
        assert_eq!(done.gone, [plane(2), plane(3)]);
        assert_eq!((done.source, done.revision), (Source::Disk, Some(9)));
        for name in ["shop/cp/1", "shop/cp/7"] {
            let gone = [name.to_owned()];
            let wish = Wish {
                gone: &gone,
                ..Wish::default()
            };
            assert!(chosen(&lost, None, &wish).unwrap_err().contains(name));
        }
    }

    #[test]
    fn what_goes_furthest_is_kept_unless_somebody_says_otherwise() {
        let lost = found(&[
            Some((false, Some(40))),
            Some((false, Some(42))),
            Some((false, None)),
        ]);
        let (old, new) = (snapshot(17), snapshot(42));
        let disk = chosen(&lost, Some(&old), &Wish::default()).unwrap();
        assert_eq!((disk.source, disk.onto), (Source::Disk, plane(2)));
        let file = chosen(&lost, Some(&new), &Wish::default()).unwrap();
        assert_eq!((file.revision, file.onto), (Some(42), plane(1)));
        assert!(file.loss.contains("nothing that a disk"), "{}", file.loss);
        let wish = Wish {
            onto: Some("shop/cp/3"),
            ..Wish::default()
        };
        let onto = chosen(&lost, Some(&old), &wish).unwrap();
        assert_eq!((onto.revision, onto.onto), (Some(17), plane(3)));
        assert!(onto.loss.contains("--survivor shop/cp/2"), "{}", onto.loss);
        let wish = Wish {
            survivor: Some("shop/cp/1"),
            ..Wish::default()
        };
        let first = chosen(&lost, Some(&new), &wish).unwrap();
        assert_eq!((first.source, first.revision), (Source::Disk, Some(40)));
        assert!(
            first.loss.contains("2 revisions that shop/cp/2"),
            "{}",
            first.loss
        );
    }

    #[test]
    fn nothing_is_made_of_nothing() {
        let empty = found(&[Some((false, None)), Some((false, None))]);
        assert!(chosen(&empty, None, &Wish::default()).is_err());
        let none = found(&[]);
        assert!(chosen(&none, Some(&snapshot(1)), &Wish::default()).is_err());
        let wish = Wish {
            onto: Some("shop/cp/1"),
            ..Wish::default()
        };
        assert!(
            chosen(&empty, None, &wish)
                .unwrap_err()
                .contains("--snapshot")
        );
        let unknown = Wish {
            onto: Some("shop/cp/9"),
            ..Wish::default()
        };
        let why = chosen(&empty, Some(&snapshot(1)), &unknown).unwrap_err();
        assert!(why.contains("choose one of shop/cp/1, shop/cp/2"), "{why}");
    }
}
