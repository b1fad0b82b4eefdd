//! What the manifest asks for, beside what its design gives.

use crate::algebra::YEAR_MINUTES;
use crate::availability::{Availability, Subject, SubjectKind};
use crate::design::{Design, DomainKind};
use crate::failures::standing::Fate;
use crate::failures::{Failures, Row};
use crate::recovery::{EtcdData, Times};
use quorate_engine::manifest::Domain;
use schemars::JsonSchema;
use serde::Serialize;

/// An objective of the manifest, and whether the design meets it.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Objective {
    /// `survive the loss of any provider`.
    pub asked: String,
    /// Whether it is met.
    pub met: bool,
    /// What the design gives instead, and where it fails.
    pub given: String,
    /// How far it is missed: 0 where it is met, and more the farther off. For a search only.
    #[serde(skip)]
    pub short: f64,
}

/// Judges what `spec.resilience` asks for, as far as losses tell. Losses that count are those of
/// domains up to the size that is to be survived; by default of a node.
#[must_use]
pub fn of_losses(design: &Design, failures: &Failures) -> Vec<Objective> {
    let resilience = &design.manifest.spec.resilience;
    let up_to = resilience.survive.unwrap_or(Domain::Node);
    let counts = |row: &&Row| {
        let kind = row.of[0].kind;
        kind >= DomainKind::from(up_to) && kind != DomainKind::Dns && kind != DomainKind::Group
    };
    let rows: Vec<&Row> = failures.domains.iter().filter(counts).collect();
    let mut objectives = Vec::new();
    if resilience.survive.is_some() {
        objectives.push(survival(up_to, &rows));
    }
    if let Some(rto) = resilience.rto {
        let limit = rto.0.0 as f64 / 1e9;
        objectives.push(recovery(&rto.to_string(), limit, &rows));
    }
    if let Some(rpo) = resilience.rpo {
        let limit = rpo.0.0 as f64 / 1e9;
        objectives.push(data(&rpo.to_string(), limit, &rows));
    }
    objectives
}

/// Judges the share of time that is asked for, by what people use: entry points and workloads.
#[must_use]
pub fn of_time(design: &Design, availability: &Availability) -> Option<Objective> {
    let asked = design.manifest.spec.resilience.availability?;
    let used = |subject: &&Subject| match subject.kind {
        SubjectKind::Ingress | SubjectKind::Workload | SubjectKind::Api => true,
        SubjectKind::Quorum | SubjectKind::Volume => false,
    };
    let subjects = availability.subjects.iter().filter(used);
    let worst = subjects.max_by(|a, b| a.unavailability.total_cmp(&b.unavailability))?;
    let allowed = 1.0 - asked.fraction();
    let met = worst.unavailability <= allowed;
    Some(Objective {
        asked: format!("be there {asked} of the time"),
        met,
        short: match met {
            true => 0.0,
            false => libm::log10(worst.unavailability / allowed.max(1e-9)),
        },
        given: format!(
            "{}: expected to be gone {:.0} min a year, where {:.0} are allowed",
            worst.title(),
            worst.minutes_per_year,
            allowed * YEAR_MINUTES
        ),
    })
}

fn survival(domain: Domain, rows: &[&Row]) -> Objective {
    let word = DomainKind::from(domain).word();
    let fatal = rows.iter().filter(|row| row.standing.fate() == Fate::Goes);
    let fatal: Vec<String> = fatal.map(|row| crate::failures::name(&row.of)).collect();
    Objective {
        asked: format!("survive the loss of any one {word}"),
        met: fatal.is_empty(),
        short: fatal.len() as f64,
        given: match fatal.is_empty() {
            true => format!("nothing goes with any of {} losses", rows.len()),
            false => format!("something goes with {}", fatal.join(", ")),
        },
    }
}

fn recovery(asked: &str, limit: f64, rows: &[&Row]) -> Objective {
    let worst = |row: &Row| {
        let times = [row.recovery.write, row.recovery.clean];
        let p99 = times.into_iter().flatten().map(|Times { p99, .. }| p99);
        // Resolvers that keep answers for longer than their TTL, 9 % of all, are nobody's design.
        let names = row.recovery.names.map(|times| times.p90);
        p99.chain(names).fold(0.0, f64::max)
    };
    let slowest = rows.iter().map(|row| (worst(row), row));
    let slowest = slowest.max_by(|a, b| a.0.total_cmp(&b.0));
    let (p99, row) = slowest.map_or((0.0, None), |(p99, row)| (p99, Some(row)));
    let stuck = rows.iter().any(|row| row.recovery.write.is_none());
    let where_ = row.map_or(String::new(), |row| crate::failures::name(&row.of));
    Objective {
        asked: format!("recover within {asked}"),
        met: p99 <= limit && !stuck,
        short: match stuck {
            true => 10.0,
            false => (p99 / limit.max(1.0) - 1.0).max(0.0),
        },
        given: match stuck {
            true => "after some losses nothing recovers by itself".to_owned(),
            false => format!(
                "{where_} is got over in {} (99 % of losses, for names 90 %)",
                crate::failures::seconds(p99)
            ),
        },
    }
}

/// Volumes have no backups that we know of; etcd has its snapshots.
fn data(asked: &str, limit: f64, rows: &[&Row]) -> Objective {
    let lossy = rows.iter().filter(|row| {
        let volumes = row.standing.volumes.iter().any(|kept| kept.gone > 0);
        let etcd = row.recovery.etcd_data;
        let beyond = |data: EtcdData| data.writes.is_none_or(|writes| writes.p99 > limit);
        volumes || etcd.is_some_and(beyond)
    });
    let lossy: Vec<String> = lossy.map(|row| crate::failures::name(&row.of)).collect();
    Objective {
        asked: format!("lose no more than {asked} of data"),
        met: lossy.is_empty(),
        short: lossy.len() as f64,
        given: match lossy.is_empty() {
            true if limit == 0.0 => "every acknowledged write has a copy that stays".to_owned(),
            true => "what is lost for good is younger than that".to_owned(),
            false => format!(
                "more is lost with {}, if it never comes back",
                lossy.join(", ")
            ),
        },
    }
}
