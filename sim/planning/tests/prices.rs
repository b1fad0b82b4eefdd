//! What a price says of a whole cluster, and what it admits not to know.

use quorate_engine::manifest::{Manifest, load};
use quorate_planning::data::{Currency, Data, Date};
use quorate_planning::design::Design;
use quorate_planning::page::{Block, Table, Tone};
use quorate_planning::price::{Group, Price, PriceOptions, Purpose, price};
use std::sync::Arc;

const THREE_CLOUDS: &str = include_str!("../../../scenarios/manifests/three-clouds.yaml");

fn manifest(text: &str) -> Manifest {
    let loaded = load(text.as_bytes(), None);
    let said = format!("{:?}", loaded.diagnostics);
    loaded.manifest.expect(&said)
}

fn priced(text: &str, data: &Data, options: &PriceOptions) -> Price {
    let design = Design::of(&Arc::new(manifest(text)));
    price(&design.expect("the mesh has room"), data, options)
}

fn with(file: &str, text: &str) -> Data {
    Data::with(&[(file.to_owned(), text.to_owned())]).expect("good rows")
}

#[test]
fn what_nobody_knows_is_said_and_never_zero() {
    let data = Data::built_in();
    let price = priced(THREE_CLOUDS, &data, &PriceOptions::default());
    let unknown: Vec<&str> = price
        .normal
        .unknown
        .iter()
        .map(|one| one.what.as_str())
        .collect();
    for what in [
        "machines of rack: rack",
        "traffic of `web`: what an answer weighs",
        "replication of `orders`: how much it writes",
    ] {
        assert!(
            unknown.iter().any(|one| one.starts_with(what)),
            "{what}: {unknown:?}"
        );
    }
    let rack = price
        .normal
        .lines
        .iter()
        .find(|line| line.what == "rack: rack");
    assert_eq!(
        rack.map(|line| (line.amount, line.quantity)),
        Some((None, 2.0))
    );
    let section = price.section(&data);
    assert!(section.lead.contains("at least"), "{}", section.lead);
    let table = tables(&section.blocks).next().expect("a table");
    let row = table
        .rows
        .iter()
        .find(|row| row[0].text == "rack: rack")
        .expect("a row");
    assert_eq!(
        (row[4].text.as_str(), row[4].tone),
        ("unknown", Tone::Unknown)
    );
}

fn tables(blocks: &[Block]) -> impl Iterator<Item = &Table> {
    blocks.iter().filter_map(|block| match block {
        Block::Table(table) => Some(table),
        Block::Heading(_)
        | Block::Text(_)
        | Block::Caution(_)
        | Block::Code(_)
        | Block::Chart(_) => None,
    })
}

#[test]
fn rows_of_the_user_make_it_known() {
    let row = "provider,region,machine_type,price,per,spot_price,currency,date,source,evidence\n\
        static,,rack,100,month,,EUR,2026-11,lease,measured\n";
    let own = with("machines.csv", row);
    let price = priced(THREE_CLOUDS, &own, &PriceOptions::default());
    let rack = price
        .normal
        .lines
        .iter()
        .find(|line| line.what == "rack: rack");
    assert_eq!(rack.and_then(|line| line.amount), Some(200.0));
    let unknown = price.normal.unknown.iter();
    assert!(!unknown.into_iter().any(|one| one.what.contains("rack")));
}

const LOADED: [(&str, &str); 2] = [
    (
        "through: web/https }",
        "through: web/https, response: 100k }",
    ),
    (
        "data: { size: 100Gi }",
        "data: { size: 100Gi, writes: 50/s, writeSize: 8Ki }",
    ),
];

fn loaded() -> String {
    let replace = |text: String, (from, to): &(&str, &str)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    };
    LOADED.iter().fold(THREE_CLOUDS.to_owned(), replace)
}

#[test]
fn a_failover_bursts_moves_traffic_and_rebuilds() {
    let data = Data::built_in();
    let price = priced(&loaded(), &data, &PriceOptions::default());
    let failover = price.failover.as_ref().expect("there are four providers");
    assert_eq!(failover.hours, 730.0);
    assert!(failover.month.together > price.normal.together);
    let quantity = |month: &quorate_planning::price::Month, what: &str| {
        let fit = month
            .lines
            .iter()
            .filter(|line| line.what.starts_with(what));
        fit.map(|line| line.quantity).sum::<f64>()
    };
    assert_eq!(quantity(&price.normal, "workers-aws: m6i.xlarge"), 1.0);
    assert_eq!(quantity(&failover.month, "workers-aws: m6i.xlarge"), 6.0);
    assert_eq!(quantity(&price.normal, Purpose::Rebuild.word()), 0.0);
    // 107.4 GB of data, one of three copies, with the mesh's overhead.
    let rebuilt = quantity(&failover.month, Purpose::Rebuild.word());
    assert!((rebuilt - 107.374_182_4 * 1.07).abs() < 1e-6, "{rebuilt}");
    // Clients get all of their answers, from fewer entry points.
    let answers =
        [&price.normal, &failover.month].map(|one| quantity(one, Purpose::Answers.word()));
    let all = 40.0 * 100_000.0 * 2_628_000.0 / 1e9;
    assert!(
        answers.iter().all(|gb| (gb - all).abs() < 1e-6),
        "{answers:?} {all}"
    );
    let lost = |line: &&quorate_planning::price::Line| line.group == Group::LoadBalancers;
    let doors = |month: &quorate_planning::price::Month| month.lines.iter().filter(lost).count();
    assert_eq!(
        doors(&price.normal),
        doors(&failover.month),
        "what is lost is paid for"
    );
}

#[test]
fn an_hour_of_failover_costs_no_more_than_a_month_of_it() {
    let data = Data::built_in();
    let of = |hours: f64| {
        let options = PriceOptions {
            failover_hours: Some(hours),
            ..PriceOptions::default()
        };
        priced(&loaded(), &data, &options)
            .failover
            .expect("several providers")
            .month
            .together
    };
    let normal = priced(&loaded(), &data, &PriceOptions::default())
        .normal
        .together;
    let [none, hour, day, month] = [0.0, 1.0, 24.0, 730.0].map(of);
    assert!((none - normal).abs() < 1e-9, "{none} {normal}");
    assert!(
        none < hour && hour < day && day < month,
        "{none} {hour} {day} {month}"
    );
}

#[test]
fn totals_are_the_sums_of_their_lines_in_every_currency() {
    let data = Data::built_in();
    for currency in [Currency::Eur, Currency::Usd] {
        let options = PriceOptions {
            currency,
            ..PriceOptions::default()
        };
        let price = priced(&loaded(), &data, &options);
        for month in [
            &price.normal,
            &price.failover.as_ref().expect("several").month,
        ] {
            for (of, total) in &month.totals {
                let lines = month.lines.iter().filter(|line| line.currency == Some(*of));
                let sum: f64 = lines.filter_map(|line| line.amount).sum();
                assert!((sum - total).abs() < 1e-6, "{of}");
            }
            let each = month.totals.iter();
            let sum: f64 = each
                .map(|(of, total)| data.exchange(*total, *of, currency))
                .sum();
            assert!((sum - month.together).abs() < 1e-6);
            assert_eq!(month.totals.len(), 2, "euros and dollars");
        }
    }
}

#[test]
fn old_and_unchecked_rows_are_warned_of() {
    let data = Data::built_in();
    let options = PriceOptions {
        today: Some(Date("2026-11-22".to_owned())),
        ..PriceOptions::default()
    };
    let price = priced(THREE_CLOUDS, &data, &options);
    assert!(!price.aged.is_empty());
    assert!(price.aged.iter().all(|aged| price.used.contains(&aged.row)));
    let section = price.section(&data);
    let said = section
        .blocks
        .iter()
        .any(|block| matches!(block, Block::Caution(text) if text.contains("older than 180 days")));
    assert!(said, "{:?}", section.blocks);
}
