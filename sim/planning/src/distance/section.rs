//! Distance as a section of a report. Knows no format.

use super::{Distance, Etcd, FlowLimit, Latency};
use crate::page::{Block, Cell, Column, Section, Table, Tone};

/// Peers of etcd are to be nearer than this, in ms (Red Hat, OpenShift 4.20 documentation).
const PEERS_MS: f64 = 50.0;

/// Several volumes of three copies stay well up to here, in ms (Claudie documentation, latency
/// limitations).
const VOLUMES_MS: f64 = 20.0;

/// Beyond this volumes of Longhorn fail to mount, in ms (the same page).
const MOUNTS_MS: f64 = 100.0;

/// An estimate has a tilde before it.
fn shown(latency: Latency) -> String {
    let mark = if latency.measured { "" } else { "~" };
    format!("{mark}{:.1}", latency.ms)
}

fn cell(latency: Latency) -> Cell {
    Cell::figure(latency.ms, shown(latency))
}

/// The tone of something that is well below a first limit and fails beyond a second.
fn toned(latency: Latency, well: f64, fails: f64) -> Cell {
    let tone = match latency.ms {
        ms if ms <= well => Tone::Good,
        ms if ms <= fails => Tone::Warn,
        _ => Tone::Bad,
    };
    cell(latency).toned(tone)
}

impl Distance {
    /// As a section.
    #[must_use]
    pub fn section(&self) -> Section {
        let mut blocks = vec![Block::Text(
            "In milliseconds. Figures with ~ hold a round trip that nobody measured: it is \
             expected from the distance on the globe. All are floors, without queues and losses."
                .to_owned(),
        )];
        if let Some(etcd) = &self.etcd {
            blocks.push(Block::Table(commits(etcd)));
            blocks.push(Block::Table(without(etcd)));
            if etcd.farthest.ms > PEERS_MS {
                blocks.push(Block::Caution(format!(
                    "Members of etcd are up to {} ms apart; {PEERS_MS:.0} ms is what others allow. \
                     Heartbeats need an interval of about a round trip, elections ten of them.",
                    shown(etcd.farthest)
                )));
            }
        }
        if !self.api.is_empty() {
            blocks.push(Block::Table(self.api_table()));
        }
        if !self.storage.is_empty() {
            blocks.push(Block::Table(self.storage_table()));
        }
        if !self.mesh.is_empty() {
            blocks.push(Block::Table(self.mesh_table()));
        }
        blocks.push(Block::Table(self.matrix()));
        Section {
            id: "distance",
            title: "Distance".to_owned(),
            lead: self.lead(),
            blocks,
        }
    }

    fn lead(&self) -> String {
        let mut parts = Vec::new();
        if let Some(etcd) = &self.etcd {
            let all = || etcd.commits.iter().map(|one| one.latency);
            let ends = [all().min_by(Latency::order), all().max_by(Latency::order)];
            if let [Some(least), Some(most)] = ends {
                parts.push(format!(
                    "etcd commits in {} to {} ms, by place of its leader",
                    shown(least),
                    shown(most)
                ));
            }
        }
        let slowest = self
            .storage
            .iter()
            .map(|one| one.farthest)
            .max_by(Latency::order);
        if let Some(slowest) = slowest {
            parts.push(format!(
                "a volume's write takes up to {} ms",
                shown(slowest)
            ));
        }
        let narrow = self
            .mesh
            .iter()
            .min_by(|a, b| a.mbit_per_s.total_cmp(&b.mbit_per_s));
        if let Some(narrow) = narrow {
            parts.push(format!(
                "one flow over the longest way carries about {:.0} Mbit/s",
                narrow.mbit_per_s
            ));
        }
        if parts.is_empty() {
            return "Everything is in one place.".to_owned();
        }
        let text = parts.join("; ");
        let mut letters = text.chars();
        match letters.next() {
            // `etcd` is written small at the beginning of a sentence, too.
            Some(first) if !text.starts_with("etcd") => {
                format!("{}{}.", first.to_uppercase(), letters.as_str())
            }
            Some(_) | None => format!("{text}."),
        }
    }

    fn api_table(&self) -> Table {
        let columns = vec![
            Column::words("Entry point in"),
            Column::figures("Read from cache"),
            Column::figures("Consistent read"),
            Column::figures("Write"),
            Column::figures("Write at worst"),
        ];
        let caption = "The API, from an entry point on: means over API servers and leaders, in ms";
        let mut table = Table::new("api-latency", caption, columns);
        for one in &self.api {
            table.push(vec![
                Cell::text(&one.place),
                cell(one.read),
                cell(one.consistent_read),
                cell(one.write),
                cell(one.worst_write),
            ]);
        }
        table
    }

    fn storage_table(&self) -> Table {
        let columns = vec![
            Column::words("Workload"),
            Column::words("Pod in"),
            Column::figures("Copies"),
            Column::figures("Copies near"),
            Column::figures("Copies far"),
        ];
        let caption = "A write of a volume, by where pod and copies are, in ms";
        let mut table = Table::new("storage-latency", caption, columns);
        for one in &self.storage {
            table.push(vec![
                Cell::text(&one.workload),
                Cell::text(&one.place),
                Cell::figure(one.copies as f64, one.copies.to_string()),
                toned(one.nearest, VOLUMES_MS, MOUNTS_MS),
                toned(one.farthest, VOLUMES_MS, MOUNTS_MS),
            ]);
        }
        table
    }

    fn mesh_table(&self) -> Table {
        let columns = vec![
            Column::words("Between"),
            Column::words("and"),
            Column::figures("Round trip, ms"),
            Column::figures("One flow, Mbit/s"),
            Column::words("Limited by"),
        ];
        let caption = "What one TCP flow carries through the mesh";
        let mut table = Table::new("mesh-throughput", caption, columns);
        for flow in &self.mesh {
            table.push(vec![
                Cell::text(&flow.between.0),
                Cell::text(&flow.between.1),
                cell(flow.round_trip),
                Cell::figure(flow.mbit_per_s, format!("{:.0}", flow.mbit_per_s)),
                Cell::text(match flow.limit {
                    FlowLimit::Agent => "agent",
                    FlowLimit::Window => "window and round trip",
                }),
            ]);
        }
        table
    }

    fn matrix(&self) -> Table {
        let mut columns = vec![Column::words("From")];
        columns.extend(self.places.iter().map(Column::figures));
        let caption = "Round trips between regions, in ms";
        let mut table = Table::new("round-trips", caption, columns);
        for (place, trips) in self.places.iter().zip(&self.round_trips) {
            let mut row = vec![Cell::text(place)];
            row.extend(trips.iter().map(|trip| cell(*trip)));
            table.push(row);
        }
        table
    }
}

fn commits(etcd: &Etcd) -> Table {
    let columns = vec![
        Column::words("Leader"),
        Column::words("In"),
        Column::figures("Commit"),
        Column::words("Completed by"),
    ];
    let caption = "How long etcd takes for a commit, by place of its leader, in ms";
    let mut table = Table::new("etcd-commit", caption, columns);
    for commit in &etcd.commits {
        table.push(vec![
            Cell::text(&commit.leader),
            Cell::text(&commit.place),
            toned(commit.latency, PEERS_MS, 2.0 * PEERS_MS),
            Cell::text(commit.completes.as_deref().unwrap_or("itself")),
        ]);
    }
    table
}

fn without(etcd: &Etcd) -> Table {
    let columns = vec![Column::words("Without"), Column::figures("Longest commit")];
    let caption = "The longest commit of etcd without a provider, in ms";
    let mut table = Table::new("etcd-commit-without", caption, columns);
    for one in &etcd.without {
        let cell = match one.worst {
            Some(latency) => toned(latency, PEERS_MS, 2.0 * PEERS_MS),
            None => Cell::text("no quorum").toned(Tone::Bad),
        };
        table.push(vec![Cell::text(&one.provider), cell]);
    }
    table
}
