//! The failure table as people read it.

use super::standing::{Entry, Fate};
use super::{Failures, Kept, Named, Row, Served, Standing};
use crate::design::DomainKind;
use crate::page::{Block, Cell, Column, Section, Table, Tone};
use crate::recovery::{EtcdData, Source, Times};

impl From<Fate> for Tone {
    fn from(fate: Fate) -> Self {
        match fate {
            Fate::Stays => Self::Good,
            Fate::Degrades => Self::Warn,
            Fate::Goes => Self::Bad,
        }
    }
}

impl Failures {
    /// As a section of the page.
    #[must_use]
    pub fn section(&self) -> Section {
        let mut blocks = vec![Block::Table(left(
            "failures",
            "What is left when this is lost, for as long as it takes",
            &self.domains,
        ))];
        blocks.push(Block::Heading("Two at once".to_owned()));
        let looked = self.pairs_looked_at;
        if self.pairs.is_empty() {
            let text = format!("Of {looked} pairs none takes more than its parts do.");
            blocks.push(Block::Text(text));
        } else {
            blocks.push(Block::Text(format!(
                "Of {looked} pairs these take something that goes with neither of the two alone."
            )));
            let caption = "What is left when two are lost at once";
            blocks.push(Block::Table(left("failure-pairs", caption, &self.pairs)));
        }
        blocks.push(Block::Heading("Recovery and data loss".to_owned()));
        blocks.push(Block::Table(times(&self.domains)));
        Section {
            id: "failures",
            title: "What survives which failure".to_owned(),
            lead: self.lead(),
            blocks,
        }
    }

    /// In a sentence or two: what every provider's loss leaves, and what takes the cluster away.
    #[must_use]
    pub fn lead(&self) -> String {
        let fatal: Vec<String> = self
            .domains
            .iter()
            .filter(|row| row.standing.fate() == Fate::Goes)
            .map(|row| format!("{} ({})", name(&row.of), gone(&row.standing).join(", ")))
            .collect();
        if fatal.is_empty() {
            return "Any one failure domain may be lost, and everything goes on.".to_owned();
        }
        format!("Something goes with: {}.", fatal.join("; "))
    }
}

/// What of a cluster does not do its work.
fn gone(standing: &Standing) -> Vec<String> {
    let mut gone = Vec::new();
    if standing.etcd.is_some_and(|etcd| etcd.fate() == Fate::Goes) {
        gone.push("etcd".to_owned());
    }
    let entries = standing.api.iter().chain(&standing.ingress);
    gone.extend(
        entries
            .filter(|e| e.fate == Fate::Goes)
            .map(|e| e.name.clone()),
    );
    let workloads = standing.workloads.iter().filter(|w| w.fate == Fate::Goes);
    gone.extend(workloads.map(|w| w.workload.clone()));
    let volumes = standing.volumes.iter().filter(|v| v.fate == Fate::Goes);
    gone.extend(volumes.map(|v| format!("volumes of {}", v.workload)));
    gone
}

/// `provider aws`, `any of 20 nodes shop/workers/1 ...`, `provider aws + provider gcp`.
pub(crate) fn name(of: &[Named]) -> String {
    let parts = of.iter().map(|named| match named.alike.as_slice() {
        [] | [_] => {
            let same = named.same.iter().map(|(kind, name)| {
                let short = name.rsplit('/').next().unwrap_or(name);
                format!(" = {} {short}", kind.word())
            });
            format!(
                "{} {}{}",
                named.kind.word(),
                named.name,
                same.collect::<String>()
            )
        }
        [first, .., last] => format!("any of {} nodes {first} to {last}", named.alike.len()),
    });
    parts.collect::<Vec<_>>().join(" + ")
}

fn left(id: &'static str, caption: &str, rows: &[Row]) -> Table {
    let columns = vec![
        Column::words("lost"),
        Column::figures("nodes"),
        Column::words("etcd"),
        Column::words("API"),
        Column::words("ingress"),
        Column::words("workloads"),
        Column::words("volumes"),
        Column::words("who must act"),
    ];
    let mut table = Table::new(id, caption, columns);
    for row in rows {
        let standing = &row.standing;
        let etcd = match standing.etcd {
            None => Cell::text("none"),
            Some(etcd) => {
                let text = match etcd.slack() {
                    slack @ ..0 => format!("{} of {}, {} short", etcd.left, etcd.members, -slack),
                    slack => format!("{} of {}, slack {slack}", etcd.left, etcd.members),
                };
                Cell::figure(etcd.slack() as f64, text).toned(etcd.fate().into())
            }
        };
        let acts = match row.acts.is_empty() {
            true => Cell::text("nobody"),
            false => Cell::text(row.acts.join("; ")),
        };
        table.push(vec![
            Cell::text(name(&row.of)),
            Cell::figure(row.nodes as f64, row.nodes.to_string()),
            etcd,
            entries(&standing.api),
            entries(&standing.ingress),
            workloads(&standing.workloads),
            volumes(&standing.volumes),
            acts,
        ]);
    }
    table
}

fn entries(entries: &[Entry]) -> Cell {
    let Some(worst) = entries.iter().map(|entry| entry.fate).max() else {
        return Cell::text("none");
    };
    let text = entries.iter().map(|entry| {
        let mut parts = Vec::new();
        if let Some((left, all)) = entry.balancers {
            parts.push(format!("{left} of {all} load balancers"));
        }
        if entry.backends.0 < entry.backends.1 || entry.balancers.is_none() {
            parts.push(format!(
                "{} of {} backends",
                entry.backends.0, entry.backends.1
            ));
        }
        if entry.names.0 < entry.names.1 {
            parts.push(format!(
                "{} of {} names served",
                entry.names.0, entry.names.1
            ));
        }
        format!("{}: {}", entry.name, parts.join(", "))
    });
    Cell::text(text.collect::<Vec<_>>().join("; ")).toned(worst.into())
}

fn workloads(workloads: &[Served]) -> Cell {
    let Some(worst) = workloads.iter().map(|served| served.fate).max() else {
        return Cell::text("none");
    };
    let touched = workloads
        .iter()
        .filter(|served| served.fate != Fate::Stays || served.moved > 0);
    let text = touched.map(|served| {
        let moved = match served.moved {
            0 => String::new(),
            moved => format!(", {moved} moved"),
        };
        let luck = match served.placed_with_luck {
            best if best > served.placed => format!(" to {best}"),
            _ => String::new(),
        };
        format!(
            "{} {}{luck} of {}{moved}",
            served.workload, served.placed, served.replicas
        )
    });
    let text = text.collect::<Vec<_>>().join("; ");
    let text = if text.is_empty() {
        "all stay".to_owned()
    } else {
        text
    };
    Cell::text(text).toned(worst.into())
}

fn volumes(volumes: &[Kept]) -> Cell {
    let Some(worst) = volumes.iter().map(|kept| kept.fate).max() else {
        return Cell::text("none");
    };
    let text = volumes.iter().map(|kept| {
        let state = match (kept.gone, kept.unwritable) {
            (0, 0) => String::new(),
            (0, unwritable) => format!(", {unwritable} not writable"),
            (gone, _) => format!(", {gone} gone"),
        };
        format!(
            "{}: {} of {} replicas{state}",
            kept.workload, kept.fewest, kept.replicas
        )
    });
    Cell::text(text.collect::<Vec<_>>().join("; ")).toned(worst.into())
}

fn times(rows: &[Row]) -> Table {
    let columns = vec![
        Column::words("lost"),
        Column::figures("leader lost too"),
        Column::figures("etcd writes again"),
        Column::figures("first API write"),
        Column::figures("ingress clean"),
        Column::figures("names clean"),
        Column::figures("pods back"),
        Column::words("data lost"),
    ];
    let caption =
        "How long until it serves again (median / 90 % / 99 % of losses), and what is lost";
    let mut table = Table::new("recovery", caption, columns);
    for row in rows {
        let recovery = &row.recovery;
        let share = match recovery.leader_lost {
            0.0 => Cell::figure(0.0, "never"),
            share => Cell::figure(share, format!("{:.0} %", share * 100.0)),
        };
        table.push(vec![
            Cell::text(name(&row.of)),
            share,
            spread(recovery.leader, "-"),
            spread(recovery.write, "never"),
            spread(recovery.clean, "-"),
            spread(recovery.names, "-"),
            spread(recovery.pods, "-"),
            lost(row),
        ]);
    }
    table
}

fn spread(times: Option<Times>, without: &str) -> Cell {
    match times {
        None => Cell::text(without),
        Some(times) => Cell::figure(times.p50, distribution(times)),
    }
}

/// Median, 90 and 99 % of losses.
fn distribution(Times { p50, p90, p99 }: Times) -> String {
    format!("{} / {} / {}", seconds(p50), seconds(p90), seconds(p99))
}

/// `0.4 s`, `35 s`, `6m20s`, `5h24m`.
pub(crate) fn seconds(s: f64) -> String {
    match s {
        0.0 => "0 s".to_owned(),
        ..9.95 => format!("{s:.1} s"),
        ..99.5 => format!("{s:.0} s"),
        ..7_199.5 => {
            let s = libm::round(s) as u64;
            format!("{}m{:02}s", s / 60, s % 60)
        }
        _ => {
            let minutes = libm::round(s / 60.0) as u64;
            format!("{}h{:02}m", minutes / 60, minutes % 60)
        }
    }
}

/// `etcd's last 3h00m / 5h24m / 5h56m (from a snapshot)`.
fn etcd_lost(EtcdData { from, writes }: EtcdData) -> String {
    let from = match from {
        Source::SurvivingDisk => "a disk that is left",
        Source::Snapshot => "its last snapshot",
        Source::Nothing => return "all of etcd: no snapshots are taken".to_owned(),
    };
    let last = writes.map(distribution).unwrap_or_default();
    format!("etcd's last {last} (restored from {from})")
}

/// Synchronous replicas lose nothing while one is left, and a quorum has everything acknowledged.
fn lost(row: &Row) -> Cell {
    let gone: Vec<String> = row
        .standing
        .volumes
        .iter()
        .filter(|kept| kept.gone > 0)
        .map(|kept| format!("{} volumes of {}", kept.gone, kept.workload))
        .collect();
    let mut all = gone;
    if let Some(etcd) = row.recovery.etcd_data {
        all.push(etcd_lost(etcd));
    }
    if all.is_empty() {
        return Cell::text("nothing").toned(Tone::Good);
    }
    let back = match row.of[0].kind {
        DomainKind::Node => "if the machine never comes back",
        _ => "if it never comes back",
    };
    Cell::text(format!("{}, {back}", all.join(", "))).toned(Tone::Bad)
}
