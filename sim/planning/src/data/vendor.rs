//! Price lists as their makers publish them, as rows of ours: the tables that the Karpenter
//! providers for AWS, Azure and GCP generate from their clouds' price services.
//!
//! Of thousands of machine types only those are taken that the engine's catalogue, or a row of
//! ours, knows.

use super::age::word;
use super::{Row, Table, Tables};
use quorate_engine::catalog;
use quorate_engine::manifest::ProviderKind;
use std::collections::{BTreeMap, BTreeSet};

/// A price list, and what is to be said of it in each row.
#[derive(Debug, Clone, Copy)]
pub struct VendorList<'a> {
    /// Whose prices.
    pub provider: ProviderKind,
    /// What stands in the file.
    pub text: &'a str,
    /// The date of the prices.
    pub date: &'a str,
    /// Where the file comes from.
    pub source: &'a str,
}

/// Rows of `machines.csv` from a generated list: Go source with a map of regions of maps from
/// machine type to dollars per hour, or JSON of the same shape, with `on_demand` and `spot` inside a
/// region where both are known. None if nothing in it looks like one.
#[must_use]
pub fn vendor_rows(list: &VendorList<'_>, tables: &Tables) -> Option<Vec<Row>> {
    let found = prices(list.text);
    if found.is_empty() {
        return None;
    }
    let machines = Table::Machines;
    let provider = word(&list.provider);
    let type_at = machines.column("machine_type");
    let ours = tables
        .rows(machines)
        .filter(|row| row.cells[0] == provider)
        .map(|row| row.cells[type_at].to_ascii_lowercase());
    let mut known: BTreeSet<String> = ours.collect();
    known.extend(catalog::machines(list.provider).map(str::to_ascii_lowercase));
    let taken = found
        .into_iter()
        .filter(|((region, name), _)| {
            let place = catalog::region(list.provider, region).is_some();
            place && known.contains(&name.to_ascii_lowercase())
        })
        .filter_map(|((region, name), (price, spot))| Some((region, name, price?, spot)));
    let rows = taken
        .enumerate()
        .map(|(at, (region, name, price, spot))| Row {
            cells: [
                provider.as_str(),
                &region,
                &name,
                &price,
                "hour",
                spot.as_deref().unwrap_or(""),
                "USD",
                list.date,
                list.source,
                "read",
            ]
            .map(str::to_owned)
            .to_vec(),
            file: list.source.to_owned(),
            line: at as u64 + 1,
        });
    Some(rows.collect())
}

type Prices = BTreeMap<(String, String), (Option<String>, Option<String>)>;

/// Every `"name": number` below `"region": {`, line breaks or not.
fn prices(text: &str) -> Prices {
    let mut found = Prices::new();
    let mut region: Option<String> = None;
    let mut spot = false;
    for line in text.lines() {
        let line = line.trim();
        if line.starts_with("//") {
            continue;
        }
        let mut parts = line.split('"').skip(1);
        while let (Some(name), Some(after)) = (parts.next(), parts.next()) {
            let after = after.trim().trim_start_matches(':').trim();
            let number = after.trim_end_matches(['}', ',', ' ', ']', ')']);
            if after.starts_with('{') {
                match name {
                    "on_demand" => spot = false,
                    "spot" => spot = true,
                    _ => (region, spot) = (Some(name.to_owned()), false),
                }
            } else if let (Some(place), Ok(price)) = (&region, number.parse::<f64>())
                && price.is_finite()
                && price > 0.0
            {
                let entry = found.entry((place.clone(), name.to_owned())).or_default();
                let side = if spot { &mut entry.1 } else { &mut entry.0 };
                *side = Some(price.to_string());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(provider: ProviderKind, text: &str) -> Option<Vec<String>> {
        let list = VendorList {
            provider,
            text,
            date: "2026-07-20",
            source: "a list",
        };
        let rows = vendor_rows(&list, &Tables::built_in())?;
        Some(
            rows.into_iter()
                .map(|row| row.cells[1..6].join(" "))
                .collect(),
        )
    }

    #[test]
    fn generated_lists_are_read() {
        let go = "var prices = map[string]map[string]float64{\n\t// us-east-1\n\t\"us-east-1\": {\n\
            \t\t// m6i family\n\t\t\"m6i.large\": 0.096000, \"x9.unheard\": 1.5,\n\t},\n\
            \t\"moon-1\": {\"m6i.large\": 2.0},\n\t\"eu-central-1\": {\n\t\t\"t3.medium\": 0.05,\n\t},\n}\n";
        let expected = [
            "eu-central-1 t3.medium 0.05 hour ",
            "us-east-1 m6i.large 0.096 hour ",
        ];
        assert_eq!(rows(ProviderKind::Aws, go).unwrap(), expected);
        let json = "{\"prices\":{\"us-central1\":{\"on_demand\":{\"e2-standard-2\":0.067},\
            \"spot\":{\"e2-standard-2\":0.04}},\"europe-west3\":{\"on_demand\":{\"e2-medium\":0.04}}}}";
        let expected = [
            "europe-west3 e2-medium 0.04 hour ",
            "us-central1 e2-standard-2 0.067 hour 0.04",
        ];
        assert_eq!(rows(ProviderKind::Gcp, json).unwrap(), expected);
        assert_eq!(
            rows(ProviderKind::Aws, "provider,region\naws,eu-central-1\n"),
            None
        );
    }
}
