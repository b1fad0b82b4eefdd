//! Capacity as a report shows it. Computes nothing.

use super::{Burst, Capacity, Growth, Headroom, Largest, Limit};
use crate::design::DomainKind;
use crate::page::{Block, Cell, Chart, Column, Drawing, Section, Table, Tone};
use crate::placing::Packing;

/// More nodes than this are not all shown: only the one that is missed most.
const NODES_SHOWN: usize = 12;

pub(super) fn section(capacity: &Capacity) -> Section {
    let rows = shown(&capacity.headroom);
    let mut blocks = vec![
        Block::Table(rooms(&rows)),
        Block::Chart(chart(&rows)),
        Block::Table(more(capacity, &rows)),
        Block::Table(limits(&capacity.growth)),
    ];
    if let Some(burst) = &capacity.burst {
        blocks.push(Block::Heading("Growing pools at their largest".to_owned()));
        blocks.push(Block::Table(pools(burst)));
        let pending = match burst.pending {
            0 => "all pods fit".to_owned(),
            pods => format!("{pods} pods still do not fit"),
        };
        let limit = burst.growth.first().map_or(String::new(), |growth| {
            format!(
                ", and the load can grow to {}",
                percent(&growth.factor_percent).0
            )
        });
        blocks.push(Block::Text(format!("With all of these {pending}{limit}.")));
    }
    Section {
        id: "capacity",
        title: "Capacity".to_owned(),
        lead: lead(capacity),
        blocks,
    }
}

fn lead(capacity: &Capacity) -> String {
    let now = &capacity.headroom[0];
    let fits = match now.packing {
        Packing::Yes => "Everything fits today".to_owned(),
        Packing::OnlyMoved(pods) => format!("{pods} pods fit today only if others are moved"),
        Packing::No(pods) => format!("{pods} pods do not fit today"),
        Packing::Unknown(pods) => format!("{pods} pods are placed nowhere today"),
    };
    let lacking = capacity.headroom[1..].iter();
    let lacking = lacking.filter(|row| row.packing != Packing::Yes).count();
    let without = match (capacity.headroom.len() - 1, lacking) {
        (0, _) => String::new(),
        (_, 0) => ", and without any one failure domain".to_owned(),
        (all, some) => format!("; without {some} of {all} failure domains not everything does"),
    };
    format!("{fits}{without}.")
}

fn shown(rows: &[Headroom]) -> Vec<&Headroom> {
    let of_node = |row: &&Headroom| {
        let word = DomainKind::Node.word();
        row.without
            .as_ref()
            .is_some_and(|without| without.kind == word)
    };
    let (nodes, mut shown): (Vec<&Headroom>, Vec<&Headroom>) = rows.iter().partition(of_node);
    if nodes.len() <= NODES_SHOWN {
        shown.extend(nodes);
    } else {
        let missed = |row: &&&Headroom| (row.lacking_cpu_milli, u64::MAX - row.free_cpu_milli);
        shown.extend(nodes.iter().rev().max_by_key(missed).copied());
    }
    shown
}

fn name(row: &Headroom) -> String {
    row.without
        .as_ref()
        .map_or("with everything".to_owned(), |without| {
            format!("without {} {}", without.kind, without.name)
        })
}

fn rooms(rows: &[&Headroom]) -> Table {
    let mut table = Table::new(
        "capacity",
        "What is left, and what still fits, by real placing of pods",
        vec![
            Column::words("Situation"),
            Column::words("Pods"),
            Column::figures("CPU free, cores"),
            Column::figures("CPU, cores"),
            Column::figures("Memory free, GiB"),
            Column::figures("Memory, GiB"),
            Column::figures("Largest pod by CPU, cores"),
            Column::figures("Largest pod by memory, GiB"),
        ],
    );
    for row in rows {
        table.push(vec![
            Cell::text(name(row)),
            packing(row.packing),
            cores(row.free_cpu_milli),
            cores(row.cpu_milli),
            gib(row.free_memory_bytes),
            gib(row.memory_bytes),
            with(
                cores(row.largest_by_cpu.cpu_milli),
                row.largest_by_cpu,
                false,
            ),
            with(
                gib(row.largest_by_memory.memory_bytes),
                row.largest_by_memory,
                true,
            ),
        ]);
    }
    table
}

fn with(cell: Cell, pod: Largest, by_memory: bool) -> Cell {
    let other = if by_memory {
        format!("{} cores", cores(pod.cpu_milli).text)
    } else {
        format!("{} GiB", gib(pod.memory_bytes).text)
    };
    Cell {
        text: format!("{} with {other}", cell.text),
        ..cell
    }
}

fn packing(packing: Packing) -> Cell {
    match packing {
        Packing::Yes => Cell::text("fit").toned(Tone::Good),
        Packing::OnlyMoved(pods) => {
            let text = format!("{pods} fit only if others are moved (descheduler)");
            Cell::figure(pods as f64, text).toned(Tone::Warn)
        }
        Packing::No(pods) => {
            Cell::figure(pods as f64, format!("do not fit: {pods} too many")).toned(Tone::Bad)
        }
        Packing::Unknown(pods) => {
            let text = format!("{pods} do not fit; whether moving others helps is not known");
            Cell::unknown(text)
        }
    }
}

fn more(capacity: &Capacity, rows: &[&Headroom]) -> Table {
    let mut columns = vec![Column::words("Situation")];
    columns.extend(capacity.workloads.iter().map(Column::figures));
    let caption = "How many more pods of each workload fit, if only they come";
    let mut table = Table::new("headroom", caption, columns);
    for row in rows {
        let mut cells = vec![Cell::text(name(row))];
        cells.extend(row.more.iter().map(|more| match more {
            Some(0) => Cell::figure(0.0, "none").toned(Tone::Warn),
            Some(pods) => Cell::figure(*pods as f64, pods.to_string()),
            None => Cell::text("any number: it asks for nothing"),
        }));
        table.push(cells);
    }
    table
}

fn limits(growth: &[Growth]) -> Table {
    let mut table = Table::new(
        "growth",
        "Until when everything fits, at the pools' smallest sizes",
        vec![
            Column::words("Situation"),
            Column::figures("Load, % of today"),
            Column::figures("Months of the growth given"),
            Column::words("What does not fit then"),
        ],
    );
    for row in growth {
        let (text, value, tone) = percent(&row.factor_percent);
        let months = match &row.months {
            None => Cell::unknown("no workload gives its growth"),
            Some(Limit::Already { .. }) => Cell::figure(0.0, "none").toned(Tone::Bad),
            Some(Limit::At { step, .. }) => Cell::figure(f64::from(*step), step.to_string()),
            Some(Limit::Beyond(step)) => Cell::figure(f64::from(*step), format!("over {step}")),
        };
        let situation = row
            .without
            .as_ref()
            .map_or("with everything".to_owned(), |kind| {
                format!("without any one {kind}")
            });
        table.push(vec![
            Cell::text(situation),
            Cell::figure(value, text).toned(tone),
            months,
            Cell::text(first(&row.factor_percent)),
        ]);
    }
    table
}

fn percent(limit: &Limit) -> (String, f64, Tone) {
    match limit {
        Limit::Already { .. } => ("not even today".to_owned(), 0.0, Tone::Bad),
        Limit::At { step, .. } => (format!("{step} %"), f64::from(*step), Tone::Plain),
        Limit::Beyond(step) => (format!("over {step} %"), f64::from(*step), Tone::Good),
    }
}

fn first(limit: &Limit) -> String {
    match limit {
        Limit::Already { without, workload }
        | Limit::At {
            without, workload, ..
        } => {
            let without = without.as_ref().map_or(String::new(), |without| {
                format!(" without {}", without.name)
            });
            format!("{workload}{without}")
        }
        Limit::Beyond(_) => String::new(),
    }
}

fn pools(burst: &Burst) -> Table {
    let mut table = Table::new(
        "burst",
        "What growing pools add, and how long a node takes from the decision until it is ready",
        vec![
            Column::words("Pool"),
            Column::words("Provider"),
            Column::figures("Nodes more"),
            Column::figures("CPU, cores"),
            Column::figures("Memory, GiB"),
            Column::figures("Median, s"),
            Column::figures("9 of 10 within, s"),
        ],
    );
    let seconds = |s: f64| Cell::figure(s, format!("{s:.0}"));
    for pool in &burst.pools {
        table.push(vec![
            Cell::text(&pool.pool),
            Cell::text(&pool.provider),
            Cell::figure(f64::from(pool.nodes), pool.nodes.to_string()),
            cores(pool.cpu_milli),
            gib(pool.memory_bytes),
            seconds(pool.median_s),
            seconds(pool.p90_s),
        ]);
    }
    table
}

fn chart(rows: &[&Headroom]) -> Chart {
    let bars = rows.iter().map(|row| {
        let used = row.cpu_milli - row.free_cpu_milli;
        let parts = [used, row.free_cpu_milli, row.lacking_cpu_milli];
        let parts = parts.map(|milli| milli as f64 / 1e3).to_vec();
        (name(row), parts)
    });
    Chart {
        id: "room",
        caption: "CPU that pods have, that is free, and that pods without a node ask for"
            .to_owned(),
        drawing: Drawing::Bars {
            unit: "cores".to_owned(),
            parts: ["in use", "free", "lacking"].map(str::to_owned).to_vec(),
            bars: bars.collect(),
        },
    }
}

fn cores(milli: u64) -> Cell {
    let cores = milli as f64 / 1e3;
    Cell::figure(cores, format!("{cores:.1}"))
}

fn gib(bytes: u64) -> Cell {
    let gib = bytes as f64 / (1u64 << 30) as f64;
    Cell::figure(gib, format!("{gib:.1}"))
}
