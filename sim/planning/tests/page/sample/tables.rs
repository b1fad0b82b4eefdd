//! Tables of the sample.

use Tone::{Bad, Good, Plain, Unknown, Warn};
use quorate_planning::page::{Cell, Column, Table, Tone};

/// Titles; those that begin with `#` are of figures.
fn columns(titles: &[&str]) -> Vec<Column> {
    let column = |title: &&str| match title.strip_prefix('#') {
        Some(title) => Column::figures(title),
        None => Column::words(*title),
    };
    titles.iter().map(column).collect()
}

fn figure(value: f64, unit: &str) -> Cell {
    Cell::figure(value, format!("{value}{unit}"))
}

/// Rows of the table of failures: signs are tones, and p50 to p99 are seconds.
const FAILURES: &str = "\
shared group transit-fra|✗no quorum|✗-1|!2 of 6 left|✗11 gone|✗unreadable|5400|9800|21600|an operator
provider htz|✓kept|0|!4 of 6 left|!2 degraded|!1 replica|41.2|58|93.1|nobody
provider gcp|✓kept|0|!4 of 6 left|✓all stay|✓2 replicas|18.2|31.5|44.9|nobody
provider aws|✓kept|0|!4 of 6 left|✓all stay|✓2 replicas|17.4|30|46.3|nobody
region htz/fsn1|✓kept|0|!4 of 6 left|!2 degraded|!1 replica|40.8|57.1|92.7|nobody
zone aws/eu-central-1/a|✓kept|0|!5 of 6 left|✓all stay|✓2 replicas|12|19.4|30.2|nobody
node shop/htz-cp/1|✓kept|0|!5 of 6 left|✓all stay|✓3 replicas|11.7|18.8|29.9|nobody
node shop/htz-worker/1|✓kept|1|✓whole|✓1 moves|✓2 replicas|38|44|61|nobody
DNS service cf|✓kept|1|!cached 60 s|✓all stay|whole|0|0|300|the registrar";

pub(super) fn failures() -> Table {
    let titles = [
        "Failure domain",
        "etcd",
        "#Slack left",
        "API",
        "Workloads",
        "Volumes",
        "#p50",
        "#p90",
        "#p99",
        "Who acts",
    ];
    let caption = "What each failure domain takes along, and how long recovery takes";
    let mut table = Table::new("failures", caption, columns(&titles));
    for line in FAILURES.lines() {
        let cell = |(field, column): (&str, &Column)| {
            let signs = [("✗", Bad), ("!", Warn), ("✓", Good)];
            let toned = signs
                .iter()
                .find_map(|(sign, tone)| Some((field.strip_prefix(sign)?, *tone)));
            let (text, tone) = toned.unwrap_or((field, Plain));
            let unit = if column.title.starts_with('p') {
                " s"
            } else {
                ""
            };
            let cell = match text.parse() {
                Ok(value) if column.numeric => figure(value, unit),
                _ => Cell::text(text),
            };
            cell.toned(tone)
        };
        let cells = line.split('|').zip(&table.columns).map(cell).collect();
        table.push(cells);
    }
    table
}

pub(super) fn pairs() -> Table {
    let mut table = Table::new(
        "pairs",
        "Pairs that take more than each of them alone",
        columns(&["First", "Second", "What goes", "#Times a century"]),
    );
    let row = |first: &str, second: &str, what: &str, tone, often| {
        vec![
            Cell::text(first),
            Cell::text(second),
            Cell::text(what).toned(tone),
            often,
        ]
    };
    table.push(row(
        "provider htz",
        "provider gcp",
        "etcd, API, 9 workloads",
        Bad,
        figure(0.02, ""),
    ));
    table.push(row(
        "provider htz",
        "zone aws/eu-central-1/a",
        "etcd",
        Bad,
        figure(0.11, ""),
    ));
    let unknown = Cell::unknown("no incident known");
    table.push(row(
        "provider aws",
        "DNS service cf",
        "API for new clients",
        Warn,
        unknown,
    ));
    table
}

pub(super) fn availability() -> Table {
    let mut table = Table::new(
        "availability",
        "Share of time, exact for the assumptions below, and what they leave open",
        columns(&[
            "What",
            "#Available",
            "#5th percentile",
            "#95th percentile",
            "#Hours a year without",
            "Objective",
        ]),
    );
    let rows = [
        (
            "etcd takes writes",
            [99.97, 99.93, 99.99, 2.6],
            "99.9%: met",
            Good,
        ),
        (
            "the API answers",
            [99.96, 99.91, 99.99, 3.5],
            "99.9%: met",
            Good,
        ),
        (
            "shop/web has a replica",
            [99.98, 99.95, 99.99, 1.8],
            "99.99%: missed",
            Bad,
        ),
        (
            "shop/db is writable",
            [99.9, 99.7, 99.96, 8.8],
            "none",
            Plain,
        ),
    ];
    for (what, [share, low, high, hours], objective, tone) in rows {
        table.push(vec![
            Cell::text(what),
            figure(share, "%"),
            figure(low, "%"),
            figure(high, "%"),
            figure(hours, ""),
            Cell::text(objective).toned(tone),
        ]);
    }
    table
}

pub(super) fn cuts() -> Table {
    let mut table = Table::new(
        "cuts",
        "Smallest sets of domains whose loss stops writes",
        columns(&["Domains", "#Share of the downtime", "#Hours a year"]),
    );
    let rows = [
        ("transit-fra", 81.0, 2.1),
        ("htz, gcp", 8.4, 0.22),
        ("htz, aws", 6.1, 0.16),
        ("gcp, aws (apart from transit-fra)", 3.9, 0.1),
        ("htz, one node of gcp, one node of aws", 0.6, 0.02),
    ];
    for (domains, share, hours) in rows {
        table.push(vec![
            Cell::text(domains),
            figure(share, "%"),
            figure(hours, ""),
        ]);
    }
    table
}

pub(super) fn capacity() -> Table {
    let mut table = Table::new(
        "capacity",
        "Room now and without the largest domain of each kind",
        columns(&[
            "Without",
            "#CPU free",
            "#Memory free",
            "#Largest pod that fits",
            "Fits",
        ]),
    );
    let rows = [
        ("nothing", 38.0, 45.0, 3.5, "everything", Good),
        ("one node", 31.0, 39.0, 3.5, "everything", Good),
        ("one zone", 27.0, 33.0, 1.9, "everything", Good),
        ("one provider", 14.0, 18.0, 0.8, "all but shop/batch", Warn),
        ("transit-fra", -22.0, -9.0, 0.0, "11 workloads do not", Bad),
    ];
    for (without, cpu, memory, pod, fits, tone) in rows {
        table.push(vec![
            Cell::text(without),
            figure(cpu, "%"),
            figure(memory, "%"),
            figure(pod, " CPU"),
            Cell::text(fits).toned(tone),
        ]);
    }
    table
}

pub(super) fn price() -> Table {
    let mut table = Table::new(
        "price",
        "A normal month and one with a failover, in EUR",
        columns(&["What", "#Normal month", "#With a failover", "Prices of"]),
    );
    let rows = [
        ("machines", 268.4, 268.4, "2026-08-03"),
        ("disks", 41.6, 41.6, "2026-08-03"),
        ("addresses", 28.0, 28.0, "2026-08-03"),
        ("traffic to clients", 31.3, 44.9, "2026-03-11"),
        ("replication between providers", 43.5, 140.2, "2026-03-11"),
    ];
    for (what, normal, failover, date) in rows {
        let figure = |value: f64| Cell::figure(value, format!("{value:.2}"));
        table.push(vec![
            Cell::text(what),
            figure(normal),
            figure(failover),
            Cell::text(date),
        ]);
    }
    let unknown = || Cell::unknown("unknown");
    let why = Cell::text("no list price");
    table.push(vec![
        Cell::text("support contract"),
        unknown(),
        unknown(),
        why,
    ]);
    table
}

pub(super) fn advice() -> Table {
    let mut table = Table::new(
        "advice",
        "Changes that meet more objectives, cheapest first; each was planned and simulated",
        columns(&["Change", "#EUR a month", "#Availability", "Objectives"]),
    );
    let rows = [
        (
            "etcd member at scw instead of gcp",
            11.9,
            99.995,
            "all met",
            Good,
        ),
        ("third load balancer at scw", 5.4, 99.97, "1 missed", Warn),
        ("three nodes at scw", 41.7, 99.997, "all met", Good),
    ];
    for (change, price, availability, met, tone) in rows {
        table.push(vec![
            Cell::text(change),
            Cell::figure(price, format!("+{price:.2}")),
            figure(availability, "%"),
            Cell::text(met).toned(tone),
        ]);
    }
    table
}

pub(super) fn assumptions() -> Table {
    let titles = [
        "Parameter",
        "#Value",
        "#Low",
        "#High",
        "Unit",
        "Source",
        "Date",
    ];
    let mut table = Table::new(
        "assumptions",
        "What is assumed, and who says so",
        columns(&titles),
    );
    let rows = [
        (
            "node.failures",
            [1.2, 0.6, 2.4],
            "per year",
            "https://research.example.org/papers/node-failures.pdf",
            "2024-05",
        ),
        (
            "provider.outages.gcp",
            [0.31, 0.12, 0.66],
            "per year",
            "incidents.csv, 7 rows",
            "2026-07",
        ),
        (
            "etcd.disk_sync",
            [4.1, 1.9, 12.0],
            "ms",
            "measured by quorate bench",
            "2026-09-14",
        ),
        (
            "dns.cache",
            [60.0, 60.0, 60.0],
            "s",
            "the manifest",
            "2026-11-22",
        ),
        (
            "operator.response",
            [45.0, 10.0, 240.0],
            "min",
            "judgement: one person on call",
            "2026-11-01",
        ),
    ];
    for (key, values, unit, source, date) in rows {
        let mut row = vec![Cell::text(key)];
        row.extend(values.map(|value| figure(value, "")));
        row.extend([unit, source, date].map(Cell::text));
        table.push(row);
    }
    let mut row = vec![Cell::text("provider.outages.scw")];
    row.extend([(); 3].map(|()| Cell::text("unknown").toned(Unknown)));
    row.extend(["per year", "nobody publishes it", ""].map(Cell::text));
    table.push(row);
    table
}
