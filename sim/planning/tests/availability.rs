//! Availability of whole designs: against figures by hand, and moved by what should move it.

mod tables;

use quorate_engine::manifest::{Manifest, load};
use quorate_planning::algebra::{EventId, Formula, YEAR_MINUTES};
use quorate_planning::availability::{Availability, Options, Subject, SubjectKind, availability};
use quorate_planning::data::Data;
use quorate_planning::design::{Design, DomainKind};
use quorate_planning::page::Block;
use serde_json::json;
use std::sync::Arc;
use tables::{data, incident, with};

const THREE_CLOUDS: &str = include_str!("../../../scenarios/manifests/three-clouds.yaml");

fn design(change: impl FnOnce(&mut Manifest)) -> Design {
    let mut manifest = load(THREE_CLOUDS.as_bytes(), None)
        .manifest
        .expect("it is valid");
    change(&mut manifest);
    Design::of(&Arc::new(manifest)).expect("the mesh has room")
}

fn few() -> Options {
    Options {
        samples: 200,
        outages: 200,
        ..Options::default()
    }
}

fn subject<'a>(all: &'a Availability, kind: SubjectKind, name: &str) -> &'a Subject {
    let found = all
        .subjects
        .iter()
        .find(|s| s.kind == kind && s.name == name);
    found.unwrap_or_else(|| panic!("{kind:?} {name} is asked about"))
}

fn quorum(all: &Availability) -> &Subject {
    subject(all, SubjectKind::Quorum, "etcd quorum")
}

/// Nothing fails but providers and nodes, for these shares of time, and sites like providers.
fn only(provider: f64, node: f64) -> Data {
    let rate = |q: f64, minutes: f64| q / (1.0 - q) * YEAR_MINUTES / minutes;
    let rows = [
        ("zone.outages", 0.0),
        ("region.outages", 0.0),
        ("region.loss", 0.0),
        ("group.outages", 0.0),
        ("dns.outages", 0.0),
        ("outage.headline", 1.0),
        ("provider.physical", 0.0),
        ("outage.logical.median", 100.0),
        ("outage.logical.sigma", 0.0),
        ("provider.outages", rate(provider, 100.0)),
        ("site.outage", 100.0),
        ("site.outages", rate(provider, 100.0)),
        ("node.outage", 50.0),
        ("node.failures", rate(node, 50.0)),
    ];
    let tables = rows
        .into_iter()
        .fold(data(), |data, (key, value)| with(data, key, value));
    let keys = rows.map(|row| row.0);
    let mut tables = tables;
    for row in &mut tables.assumptions {
        if !keys.contains(&row.key.as_str()) {
            (row.low, row.high) = (row.value, row.value);
        }
    }
    tables
}

#[test]
fn everything_that_can_be_down_is_asked_about() {
    let found = availability(&design(|_| ()), &data(), &few());
    let names: Vec<String> = found
        .subjects
        .iter()
        .map(|subject| format!("{:?} {}", subject.kind, subject.name))
        .collect();
    let expected = [
        "Quorum etcd quorum",
        "Api Kubernetes API",
        "Ingress web/https",
        "Workload web",
        "Workload orders",
        "Volume orders",
    ];
    assert_eq!(names, expected);
    for subject in &found.subjects {
        let shares: f64 = subject.causes.iter().map(|cause| cause.share).sum();
        let rest = subject.rest.expect("few cut sets");
        assert!(
            (shares + rest - 1.0).abs() < 1e-9,
            "{}: {shares} {rest}",
            subject.name
        );
        let range = subject.range.expect("it is exact");
        assert!(range.p5 < range.p50 && range.p50 < range.p95);
        assert!(subject.unavailability > 0.0 && subject.unavailability < 0.01);
    }
}

#[test]
fn figures_by_hand() {
    let (p, n) = (5e-4, 1e-3);
    let found = availability(&design(|_| ()), &only(p, n), &few());
    // The table of members over providers: [1,1,1] at 0.9995 and 0.999.
    assert_eq!(format!("{:.2}", quorum(&found).minutes_per_year), "3.54");
    // One member, one load balancer in each of htz, aws, gcp: for the API to stay, a majority of
    // providers whose members stand, and an entry. By enumeration of what each provider does.
    let mut down = 0.0;
    for state in 0..64_u32 {
        let bit = |at: u32| state >> at & 1 == 1;
        let (member, entry) = (|at: u32| bit(2 * at), |at: u32| bit(2 * at + 1));
        let mut chance = 1.0;
        for at in 0..3_u32 {
            let both = |gone: f64, m: f64, e: f64| {
                let of = |down: bool, q: f64| if down { q } else { 1.0 - q };
                gone * of(member(at), m) * of(entry(at), e)
            };
            chance *= both(p, 1.0, 1.0) + both(1.0 - p, n, n);
        }
        let members = (0..3).filter(|at| member(*at)).count();
        if members >= 2 || (0..3).all(entry) {
            down += chance;
        }
    }
    let api = subject(&found, SubjectKind::Api, "Kubernetes API");
    assert!(
        (api.unavailability / down - 1.0).abs() < 1e-9,
        "{} {down}",
        api.unavailability
    );
    // Three replicas: one of two hosts of the rack, one of two of htz, the one of aws.
    let volume = subject(&found, SubjectKind::Volume, "orders");
    let copy = p + (1.0 - p) * n;
    assert!((volume.unavailability / copy.powi(3) - 1.0).abs() < 1e-9);
    // All assumptions are exact: so is the range.
    let range = quorum(&found).range.expect("exact");
    assert!((range.p95 / range.p5 - 1.0).abs() < 1e-12);
    assert!(quorum(&found).sensitivity.is_empty());
}

#[test]
fn a_name_service_and_a_shared_cause_are_counted_once() {
    let tables = with(only(0.0, 1e-6), "outage.dns.median", 60.0);
    let tables = with(tables, "outage.dns.sigma", 0.0);
    let tables = with(tables, "dns.outages", 2.0);
    let plain = availability(&design(|_| ()), &tables, &few());
    let web = subject(&plain, SubjectKind::Ingress, "web/https");
    let silent = 120.0 / YEAR_MINUTES;
    assert!((web.unavailability / (silent / (1.0 + silent)) - 1.0).abs() < 1e-4);
    assert!(
        web.words()
            .expect("a cause")
            .starts_with("100 % of the downtime is DNS service cf")
    );
    let shared = design(|manifest| {
        for provider in &mut manifest.spec.providers {
            provider.failure_groups.push("grid".to_owned());
        }
    });
    let tables = with(only(0.0, 1e-6), "group.outages", 3.0);
    let found = availability(&shared, &tables, &few());
    let q = 300.0 / YEAR_MINUTES;
    for subject in &found.subjects {
        let ratio = subject.unavailability / (q / (1.0 + q));
        assert!((ratio - 1.0).abs() < 1e-4, "{}: {ratio}", subject.name);
        assert!((subject.per_year.expect("exact") - 3.0).abs() < 0.01);
    }
}

#[test]
fn published_outages_move_the_rate_of_their_provider_only() {
    let rate = |data: &Data, name: &str| {
        let found = availability(&design(|_| ()), data, &few());
        let found = found.rates.into_iter().find(|rate| rate.name == name);
        found.unwrap_or_else(|| panic!("there is a rate {name}"))
    };
    let with_rows = |rows: &[(&str, &str, (&str, &str), &str)]| {
        let mut tables = data();
        let rows = rows.iter().map(|row| incident(row.0, row.1, row.2, row.3));
        tables.incidents.extend(rows);
        tables
    };
    let region = ("region", "eu-central-1");
    let none = rate(&data(), "region.outages aws");
    assert_eq!((none.incidents, none.weight), (0, 0.0));
    // 28 regions, seven years, three of ten are published.
    assert!(
        (none.exposure_years - 28.0 * 7.0 * 0.3).abs() < 1e-9,
        "{none:?}"
    );
    let full = rate(
        &with_rows(&[("2021-01-01", "aws", region, "full")]),
        "region.outages aws",
    );
    let partial = rate(
        &with_rows(&[("2021-01-01", "aws", region, "partial")]),
        "region.outages aws",
    );
    assert!(none.per_year < partial.per_year && partial.per_year < full.per_year);
    assert!((partial.weight - 0.15).abs() < 1e-12 && full.low < full.per_year);
    for (row, why) in [
        (("2021-01-01", "gcp", region, "full"), "another provider"),
        (
            ("2018-05-24", "aws", region, "full"),
            "before the list begins",
        ),
        (
            ("2021-01-01", "aws", ("service", "DynamoDB"), "full"),
            "one service",
        ),
        (
            ("2021-01-01", "aws", ("az", "one"), "full"),
            "another scope",
        ),
    ] {
        assert_eq!(
            rate(&with_rows(&[row]), "region.outages aws"),
            none,
            "{why}"
        );
    }
    let twice = [
        ("2023-04-26", "aws", region, "full"),
        ("2023-04-26", "aws", ("az", "one of its zones"), "full"),
    ];
    let zones = rate(&with_rows(&twice), "zone.outages aws");
    assert_eq!(zones.incidents, 0, "one event, counted as the region's");
    let zones = [("2026-01-01", "aws", ("multi-az", "az2;az3"), "full")];
    assert_eq!(rate(&with_rows(&zones), "zone.outages aws").incidents, 2);
    // The user's own figure is taken as it is.
    let own = with(with_rows(&twice), "region.outages.aws", 0.7);
    let own = rate(&own, "region.outages.aws");
    assert_eq!((own.per_year, own.low, own.incidents), (0.7, 0.7, 0));
}

#[test]
fn ends_of_assumptions_lie_on_both_sides() {
    let found = availability(&design(|_| ()), &data(), &few());
    for subject in &found.subjects {
        assert!(!subject.sensitivity.is_empty());
        for swing in &subject.sensitivity {
            let (low, high) = (swing.minutes_at_low, swing.minutes_at_high);
            let base = subject.minutes_per_year;
            let around =
                low.min(high) <= base * (1.0 + 1e-9) && base <= low.max(high) * (1.0 + 1e-9);
            assert!(around, "{} {swing:?} {base}", subject.name);
        }
        let sizes = subject.sensitivity.iter();
        let sizes = sizes.map(|swing| (swing.minutes_at_high - swing.minutes_at_low).abs());
        assert!(sizes.is_sorted_by(|a, b| a >= b));
    }
    let more = availability(
        &design(|_| ()),
        &with(data(), "node.failures", 10.0),
        &few(),
    );
    for (less, more) in found.subjects.iter().zip(&more.subjects) {
        assert!(less.unavailability < more.unavailability, "{}", less.name);
    }
}

#[test]
fn formulas_of_others_take_the_place_of_ours() {
    let design = design(|_| ());
    let at = design
        .domain(DomainKind::Provider, "htz")
        .expect("a provider");
    let options = Options {
        workloads: vec![("web".to_owned(), Formula::Event(EventId(at)))],
        ..few()
    };
    let p = 1e-3;
    let found = availability(&design, &only(p, 1e-9), &options);
    let web = subject(&found, SubjectKind::Workload, "web");
    assert!((web.unavailability / p - 1.0).abs() < 1e-9);
    // What stands in front of it is down with it.
    let front = subject(&found, SubjectKind::Ingress, "web/https");
    assert!(front.unavailability >= web.unavailability);
    assert_eq!(
        web.words().expect("a cause"),
        "100 % of the downtime is htz alone"
    );
}

#[test]
fn claims_hold_no_more_than_the_evidence() {
    let found = availability(&design(|_| ()), &only(1e-7, 1e-7), &few());
    let quorum = quorum(&found);
    assert!(quorum.nines.expect("it fails") > 12.0);
    assert_eq!(quorum.claim.words, "at least 99.99 %");
    assert!(quorum.claim.held_back);
    let poor = availability(&design(|_| ()), &only(0.3, 1e-7), &few());
    assert_eq!(self::quorum(&poor).claim.at_least, None);
}

#[test]
fn a_section_shows_it() {
    let found = availability(&design(|_| ()), &data(), &few());
    let section = found.section();
    assert_eq!(section.id, "availability");
    let tables: Vec<_> = section
        .blocks
        .iter()
        .filter_map(|block| match block {
            Block::Table(table) => Some((table.id, table.rows.len())),
            Block::Heading(_)
            | Block::Text(_)
            | Block::Caution(_)
            | Block::Code(_)
            | Block::Chart(_) => None,
        })
        .collect();
    assert_eq!(
        tables.iter().map(|t| t.0).collect::<Vec<_>>(),
        ["availability", "cut-sets", "sensitivity"]
    );
    assert_eq!(tables[0].1, found.subjects.len());
    assert!(
        section.lead.contains("% of the downtime is"),
        "{}",
        section.lead
    );
    println!("{section:#?}");
}

#[test]
fn the_same_options_give_the_same_result() {
    let design = design(|_| ());
    let text = |seed| {
        let options = Options { seed, ..few() };
        serde_json::to_string(&availability(&design, &data(), &options)).expect("it serializes")
    };
    assert_eq!(text(1), text(1));
    assert_ne!(text(1), text(2));
}

#[test]
fn the_articles_cluster_with_all_of_it() {
    let found = availability(&design(|_| ()), &data(), &Options::default());
    assert_eq!(found.samples, 1_000);
    let api = subject(&found, SubjectKind::Api, "Kubernetes API");
    let seen = api.simulated.as_ref().expect("it fails");
    let share = seen.unavailability.expect("by cut set");
    assert!(
        share.holds(api.unavailability),
        "{share:?} {}",
        api.unavailability
    );
    assert!(
        seen.per_year
            .expect("by cut set")
            .holds(api.per_year.expect("exact"))
    );
}

#[test]
fn a_thousand_nodes_with_all_of_it() {
    let pool = |name: &str, provider: &str, region: &str, count: u32, role: &str| {
        json!({"name": name, "provider": provider, "region": region, "count": count,
               "machineType": "cx43", "image": "debian-12", "roles": [role],
               "capacity": {"cpu": 8, "memory": "32Gi"}})
    };
    let regions = ["fsn1", "nbg1", "hel1"];
    let mut pools = Vec::new();
    for (at, region) in regions.iter().enumerate() {
        let provider = format!("p{at}");
        pools.push(pool(
            &format!("cp{at}"),
            &provider,
            region,
            1,
            "control-plane",
        ));
        pools.push(pool(
            &format!("lb{at}"),
            &provider,
            region,
            2,
            "load-balancer",
        ));
        pools.push(pool(&format!("w{at}"), &provider, region, 330, "worker"));
    }
    let providers = (0..3).map(|at| json!({"name": format!("p{at}"), "type": "hetzner"}));
    let manifest = json!({
        "apiVersion": "quorate.dev/v1", "kind": "Cluster", "metadata": {"name": "big"},
        "spec": {
            "kubernetes": {"version": "1.35.2"}, "providers": providers.collect::<Vec<_>>(),
            "nodePools": pools,
            "loadBalancers": [{"name": "front", "pools": ["lb0", "lb1", "lb2"], "roles": [
                {"name": "api", "kind": "api", "port": 6443},
                {"name": "https", "kind": "ingress", "port": 443}]}],
            "storage": {"engine": "longhorn", "replicas": 3, "spread": "provider"},
            "workloads": [
                {"name": "web", "replicas": 600, "minAvailable": 500,
                 "requests": {"cpu": "4", "memory": "8Gi"},
                 "traffic": {"rate": "40/s", "through": "front/https"}},
                {"name": "orders", "replicas": 3, "requests": {"cpu": "1", "memory": "1Gi"},
                 "data": {"size": "100Gi"}}]}
    });
    let manifest: Manifest = serde_json::from_value(manifest).expect("a manifest");
    let design = Design::of(&Arc::new(manifest)).expect("the mesh has room");
    assert_eq!(design.nodes().len(), 999);
    let found = availability(&design, &data(), &Options::default());
    for subject in &found.subjects {
        assert_eq!(subject.interval, None, "{} is exact", subject.name);
        println!(
            "{} {:e} {:?} {:?}",
            subject.name,
            subject.unavailability,
            subject.words(),
            subject.cut_set_count
        );
    }
}
