//! What comes in from files, and what is said of what does not.

use super::*;

fn file(name: &str, text: &str) -> (String, String) {
    (name.to_owned(), text.to_owned())
}

const MACHINES: &str =
    "provider,region,machine_type,price,per,spot_price,currency,date,source,evidence\n";

#[test]
fn our_own_rows_are_good_and_hold_what_they_should() {
    let data = Data::built_in();
    assert!(data.machines.len() > 200 && data.incidents.len() == 75);
    let cx33 = data.machines.iter().find(|row| row.machine_type == "cx33");
    let cx33 = cx33.expect("a type of Hetzner");
    assert_eq!((cx33.monthly, cx33.currency), (8.49, Currency::Eur));
    let m5 = data
        .machines
        .iter()
        .find(|row| row.machine_type == "m5.large" && row.region.as_deref() == Some("us-east-1"));
    let monthly = m5.expect("a type of AWS").monthly;
    assert!((monthly - 0.096 * 730.0).abs() < 1e-9, "{monthly}");
    assert_eq!(data.assumption("failover.hours").value, 730.0);
    let ends = data.incidents.iter().filter(|row| row.minutes.is_none());
    assert_eq!(ends.count(), 4);
    assert!(
        data.incidents
            .windows(2)
            .all(|pair| pair[0].start <= pair[1].start)
    );
    let euros = data.exchange(data.dollars_for_euro.0, Currency::Usd, Currency::Eur);
    assert!((euros - 1.0).abs() < 1e-12);
}

#[test]
fn gibibytes_become_gigabytes() {
    let data = Data::built_in();
    let premium = data
        .egress
        .iter()
        .find(|row| row.provider == ProviderKind::Gcp && row.to == Destination::Internet);
    let premium = premium.expect("a tariff of GCP");
    let end = premium.tier_to_gb.expect("a first tier ends");
    assert!((end - 1_024.0 * 1.073_741_824).abs() < 1e-9, "{end}");
    let whole = premium.per_gb.expect("a list price") * end;
    assert!(
        (whole - 1_024.0 * 0.12).abs() < 1e-9,
        "a full tier costs the same in both: {whole}"
    );
}

#[test]
fn rows_of_a_user_take_the_place_of_ours() {
    let before = Data::built_in();
    let own = format!(
        "{MACHINES}hetzner,FSN1,CX33,9.99,month,,EUR,2026-11-01,own bill,measured\n\
         static,,rack,120,month,,EUR,2026-11-01,\"lease, power\",measured\n"
    );
    let data = Data::with(&[file("some/where/machines.csv", &own)]).unwrap();
    assert_eq!(data.machines.len(), before.machines.len() + 1);
    let fit = |row: &&MachinePrice| {
        row.machine_type.eq_ignore_ascii_case("cx33") && row.source.source == "own bill"
    };
    assert_eq!(data.machines.iter().filter(fit).count(), 1);
    let same_place = data.machines.iter().filter(|row| {
        let here = row.region.as_deref().unwrap_or_default();
        row.machine_type.eq_ignore_ascii_case("cx33") && here.eq_ignore_ascii_case("fsn1")
    });
    assert_eq!(same_place.count(), 1, "case tells no rows apart");
    assert_eq!(data.egress, before.egress);
}

#[test]
fn a_tariff_is_replaced_as_a_whole() {
    let own = "provider,from,to,to_region,tier_from,tier_to,tiers_per,price,currency,per,notes,date,\
        source,evidence\nhetzner,fsn1;nbg1;hel1,internet,,0,,machine,0,EUR,GB,,2026,contract,read\n";
    let data = Data::with(&[file("egress.csv", own)]).unwrap();
    let tiers: Vec<_> = data
        .egress
        .iter()
        .filter(|row| {
            row.from.as_deref() == Some("fsn1;nbg1;hel1") && row.to == Destination::Internet
        })
        .collect();
    assert_eq!(
        tiers.len(),
        1,
        "the tier from 20,480 GB on is gone with the other one"
    );
}

#[test]
fn every_mistake_is_named_with_place_and_fix_at_once() {
    let bad = format!(
        "{MACHINES}aws,eu-central-1,a,cheap,hour,,USD,2026,s,read\n\
         mars,x,b,1,hour,,USD,2026,s,read\n\
         aws,x,c,1,week,,GBP,2026-13,,rumour\n\
         aws,x,d,1,hour\n\
         aws,x,e,-1,hour,,USD,2026,s,read\n\
         aws,x,f,1,hour,,USD,2026,s,read\n\
         AWS,x,F,2,hour,,USD,2026,s,read\n"
    );
    let mistakes = Data::with(&[
        file("d/machines.csv", &bad),
        file("d/prizes.csv", ""),
        file("d/rates.csv", "base,quote,rate\n"),
        file("d/rtt.csv", "whatever it holds"),
    ])
    .unwrap_err();
    let places: Vec<String> = mistakes
        .iter()
        .map(|one| {
            let file = one.file.trim_start_matches("d/").trim_end_matches(".csv");
            format!(
                "{file} {} {}",
                one.line,
                one.column.as_deref().unwrap_or("-")
            )
        })
        .collect();
    let expected = [
        "machines 2 price",
        "machines 3 provider",
        "machines 4 currency",
        "machines 4 date",
        "machines 4 evidence",
        "machines 4 per",
        "machines 4 source",
        "machines 5 -",
        "machines 6 price",
        "machines 8 -",
        "machines 8 provider",
        "prizes 1 -",
        "rates 1 -",
        "rates 1 -",
        "rates 1 -",
    ];
    assert_eq!(places, expected);
    assert!(mistakes.iter().all(|one| !one.fix.is_empty()));
    let said = mistakes[0].to_string();
    assert!(
        said.starts_with("d/machines.csv:2, price: `cheap` is not a number; "),
        "{said}"
    );
    assert!(
        mistakes
            .iter()
            .any(|one| one.fix.contains("`EUR` or `USD`")),
        "{mistakes:?}"
    );
}

#[test]
fn tiers_that_leave_a_gap_are_refused() {
    let header = "provider,from,to,to_region,tier_from,tier_to,tiers_per,price,currency,per,notes,\
        date,source,evidence\n";
    let row = |from: u32, to: &str| {
        format!("aws,x,internet,,{from},{to},account,0.1,USD,GB,,2026,s,read\n")
    };
    let mistakes = |rows: &[String]| {
        let text = format!("{header}{}", rows.concat());
        let read = Data::with(&[file("egress.csv", &text)]);
        read.err()
            .map_or_else(Vec::new, |found| found.iter().map(|one| one.line).collect())
    };
    assert_eq!(mistakes(&[row(0, "10"), row(10, "")]), [] as [u64; 0]);
    assert_eq!(mistakes(&[row(0, "10"), row(20, "")]), [3]);
    assert_eq!(mistakes(&[row(5, "")]), [2]);
    assert_eq!(mistakes(&[row(0, "10"), row(8, "")]), [3]);
    assert_eq!(mistakes(&[row(0, "0")]), [2]);
}

#[test]
fn what_is_old_is_told_by_today() {
    let data = Data::built_in();
    let stale = |today: &str| data.stale(&Date(today.into()), STALE_DAYS).len();
    assert_eq!(stale("2019-01-01"), 0);
    assert!(stale("2026-11-22") > 20);
    assert_eq!(stale("2040-01-01"), data.priced().len());
    let rate = data.stale(&Date("2026-11-22".into()), STALE_DAYS);
    let rate = rate
        .iter()
        .find(|one| one.row.table == Table::Rates)
        .expect("old");
    assert_eq!(rate.days, Some(418), "since 2025-09-30");
}

#[test]
fn changes_name_old_and_new() {
    let tables = Tables::built_in();
    let same: Vec<Row> = tables.rows(Table::Prices).cloned().collect();
    assert_eq!(tables.changes(Table::Prices, &same), []);
    let text = Tables::csv(Table::Prices, same.iter());
    assert_eq!(
        Tables::read(Table::Prices, "prices.csv", &text)
            .unwrap()
            .len(),
        same.len()
    );
    let mut row = same[0].clone();
    let at = Table::Prices.column("price");
    row.cells[at] = "77".to_owned();
    let changes = tables.changes(Table::Prices, &[row]);
    let ends = changes.iter().map(|one| {
        let cell = |row: &Option<Row>| row.as_ref().map(|row| row.cells[at].clone());
        (cell(&one.old), cell(&one.new))
    });
    let expected = (Some(same[0].cells[at].clone()), Some("77".to_owned()));
    assert_eq!(ends.collect::<Vec<_>>(), [expected]);
}
