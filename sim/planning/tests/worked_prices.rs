//! The worked examples of `docs/planning-prices.md`: what is computed there by hand comes out.

use quorate_engine::manifest::load;
use quorate_planning::data::{Currency, Data};
use quorate_planning::design::Design;
use quorate_planning::price::{Month, Price, PriceOptions, price};
use std::collections::BTreeMap;
use std::sync::Arc;

const PAGE: &str = include_str!("../../../docs/planning-prices.md");

/// One example: its manifest, its files, and its table by provider and item.
struct Example<'a> {
    title: &'a str,
    manifest: String,
    files: Vec<(String, String)>,
    table: BTreeMap<(String, String), Vec<String>>,
    months: usize,
}

fn examples() -> Vec<Example<'static>> {
    PAGE.split("\n## ").skip(1).map(example).collect()
}

fn example(text: &'static str) -> Example<'static> {
    let title = text.lines().next().expect("a section has a title");
    let mut example = Example {
        title,
        manifest: String::new(),
        files: Vec::new(),
        table: BTreeMap::new(),
        months: 0,
    };
    for (at, part) in text.split("```").enumerate() {
        let fenced = at % 2 == 1;
        if let Some(manifest) = part.strip_prefix("yaml\n").filter(|_| fenced) {
            example.manifest = manifest.to_owned();
        } else if let Some(file) = part.strip_prefix("csv ").filter(|_| fenced) {
            let (name, text) = file.split_once('\n').expect("a file has a name and rows");
            example.files.push((name.to_owned(), text.to_owned()));
        }
    }
    for line in text.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<String> = line
            .trim_matches('|')
            .split('|')
            .map(|cell| cell.trim().to_owned())
            .collect();
        if cells[0] == "Provider" {
            example.months = cells.len() - 2;
        } else {
            let key = (cells[0].clone(), cells[1].clone());
            let before = example.table.insert(key, cells[2..].to_vec());
            assert!(before.is_none(), "{title}: `{}` stands once", cells[1]);
        }
    }
    example
}

/// The same table, as it comes out.
fn computed(price: &Price, months: usize) -> BTreeMap<(String, String), Vec<String>> {
    let failover = price.failover.as_ref().map(|one| &one.month);
    let all: Vec<&Month> = [Some(&price.normal), failover]
        .into_iter()
        .flatten()
        .collect();
    let money = |amount: f64, currency: Currency| format!("{amount:.2} {currency}");
    let mut table: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    let mut put = |key: (String, String), at: usize, text: String| {
        let cells = table
            .entry(key)
            .or_insert_with(|| vec!["-".to_owned(); months]);
        cells[at] = text;
    };
    for (at, month) in all.iter().take(months).enumerate() {
        for line in &month.lines {
            let key = (line.provider.clone(), line.what.clone());
            let known = line.amount.zip(line.currency);
            let text = known.map_or("unknown".to_owned(), |(sum, one)| money(sum, one));
            put(key, at, text);
        }
        for (currency, sum) in &month.totals {
            let key = ("total".to_owned(), currency.to_string());
            put(key, at, money(*sum, *currency));
        }
        if month.totals.len() > 1 {
            let key = ("total".to_owned(), format!("all in {}", price.currency));
            put(key, at, money(month.together, price.currency));
        }
    }
    table
}

#[test]
fn every_figure_of_the_page_comes_out() {
    let examples = examples();
    assert_eq!(examples.len(), 3);
    for example in examples {
        let loaded = load(example.manifest.as_bytes(), None);
        let said = format!("{}: {:?}", example.title, loaded.diagnostics);
        let manifest = Arc::new(loaded.manifest.expect(&said));
        let data = Data::with(&example.files).expect("the example's rows are good");
        let design = Design::of(&manifest).expect("the mesh has room");
        let price = price(&design, &data, &PriceOptions::default());
        let table = computed(&price, example.months);
        for (key, cells) in &example.table {
            assert_eq!(table.get(key), Some(cells), "{}: {key:?}", example.title);
        }
        let keys = |table: &BTreeMap<(String, String), Vec<String>>| {
            table.keys().cloned().collect::<Vec<_>>()
        };
        assert_eq!(keys(&table), keys(&example.table), "{}", example.title);
    }
}

#[test]
fn the_dearest_loss_is_the_one_of_the_page() {
    for (example, lost) in examples().into_iter().zip([None, None, Some("htz")]) {
        let manifest = load(example.manifest.as_bytes(), None).manifest;
        let design = Design::of(&Arc::new(manifest.expect("a manifest"))).expect("room");
        let data = Data::with(&example.files).expect("good rows");
        let price = price(&design, &data, &PriceOptions::default());
        if let Some(lost) = lost {
            let failover = price.failover.expect("there are several providers");
            assert_eq!((failover.lost.as_str(), failover.hours), (lost, 73.0));
        } else {
            assert_eq!(price.failover.is_some(), example.title.contains("two"));
        }
        let mut boots = price.normal.unknown.iter();
        assert!(boots.all(|one| one.what.starts_with("boot disks")));
    }
}
