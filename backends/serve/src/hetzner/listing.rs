//! Lists: filtered, in order, by pages (API reference, "Pagination" and "Sorting").

use super::labels::{Labels, Selector};
use super::refusal::{Outcome, Refusal};
use crate::wire::{Answer, Request};
use serde_json::{Value, json};
use std::cmp::Ordering;

/// Entities on a page by default, and at most.
const PER_PAGE: (usize, usize) = (25, 50);

/// Answers a list with what its query asks for. `key` is the plural, under which entities stand;
/// `filters` are those of this kind of entity that compare a text.
pub(super) fn answer(
    request: &Request,
    key: &str,
    filters: &[&str],
    mut entities: Vec<Value>,
) -> Outcome<Answer> {
    for name in filters {
        let wanted: Vec<&str> = request.parameters(name).collect();
        if !wanted.is_empty() {
            entities.retain(|entity| wanted.iter().any(|w| is(&entity[*name], w)));
        }
    }
    if let Some(text) = request.parameter("label_selector") {
        let selector = Selector::parse(text)?;
        entities.retain(|entity| selector.matches(&labels(entity)));
    }
    let orders: Vec<&str> = request.parameters("sort").collect();
    for order in orders.iter().rev() {
        sort(&mut entities, order)?;
    }
    page(request, key, entities)
}

fn is(value: &Value, wanted: &str) -> bool {
    match value {
        Value::String(text) => text == wanted,
        other => other.to_string() == wanted,
    }
}

fn labels(entity: &Value) -> Labels {
    let map = entity["labels"].as_object();
    let pairs = map.into_iter().flatten();
    pairs
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

fn sort(entities: &mut [Value], order: &str) -> Outcome<()> {
    let (field, direction) = order.split_once(':').unwrap_or((order, "asc"));
    let known = [
        "id", "name", "created", "command", "status", "started", "finished",
    ];
    if !known.contains(&field) || !["asc", "desc"].contains(&direction) {
        return Err(Refusal::invalid("sort", "is not a known order"));
    }
    entities.sort_by(|a, b| {
        let found = compare(&a[field], &b[field]);
        if direction == "desc" {
            found.reverse()
        } else {
            found
        }
    });
    Ok(())
}

fn compare(a: &Value, b: &Value) -> Ordering {
    match (a.as_u64(), b.as_u64()) {
        (Some(a), Some(b)) => a.cmp(&b),
        _ => a.as_str().cmp(&b.as_str()),
    }
}

fn page(request: &Request, key: &str, entities: Vec<Value>) -> Outcome<Answer> {
    let number = |name: &str, default: usize, most: usize| match request.parameter(name) {
        None => Ok(default),
        Some(text) => match text.parse() {
            Ok(number) if (1..=most).contains(&number) => Ok(number),
            Ok(_) | Err(_) => Err(Refusal::invalid(name, &format!("must be 1 to {most}"))),
        },
    };
    let page = number("page", 1, usize::MAX)?;
    let per_page = number("per_page", PER_PAGE.0, PER_PAGE.1)?;
    let total = entities.len();
    let last = total.div_ceil(per_page).max(1);
    let skipped = (page - 1).saturating_mul(per_page);
    let shown: Vec<Value> = entities.into_iter().skip(skipped).take(per_page).collect();
    let meta = json!({"pagination": {
        "page": page,
        "per_page": per_page,
        "previous_page": (page > 1).then(|| page - 1),
        "next_page": (page < last).then(|| page + 1),
        "last_page": last,
        "total_entries": total,
    }});
    Ok(Answer::new(200, json!({key: shown, "meta": meta})))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(query: &[(&str, &str)]) -> Outcome<Answer> {
        let request = Request {
            method: "GET".to_owned(),
            path: "/servers".to_owned(),
            query: query
                .iter()
                .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
                .collect(),
            bearer: None,
            body: Vec::new(),
        };
        let entities = (1..=60).map(|id| {
            let colour = if id % 2 == 0 { "red" } else { "blue" };
            json!({"id": id, "name": format!("s{:02}", 60 - id), "labels": {"colour": colour}})
        });
        answer(&request, "servers", &["name"], entities.collect())
    }

    fn ids(query: &[(&str, &str)]) -> (Vec<u64>, Value) {
        let body = ask(query).expect("a good query").body.expect("a body");
        let all = body["servers"].as_array().expect("a list");
        let all = all.iter().map(|e| e["id"].as_u64().expect("an id"));
        (all.collect(), body["meta"]["pagination"].clone())
    }

    #[test]
    fn pages_follow_each_other_to_the_last() {
        let (first, meta) = ids(&[]);
        assert_eq!(first, (1..=25).collect::<Vec<_>>());
        assert_eq!(meta["previous_page"], Value::Null);
        assert_eq!(
            (&meta["next_page"], &meta["last_page"]),
            (&json!(2), &json!(3))
        );
        assert_eq!(meta["total_entries"], 60);
        let (third, meta) = ids(&[("page", "3")]);
        assert_eq!(third, (51..=60).collect::<Vec<_>>());
        assert_eq!(
            (&meta["next_page"], &meta["previous_page"]),
            (&Value::Null, &json!(2))
        );
        let (beyond, meta) = ids(&[("page", "9"), ("per_page", "50")]);
        assert!(beyond.is_empty());
        assert_eq!(meta["next_page"], Value::Null);
        assert!(ask(&[("per_page", "51")]).is_err() && ask(&[("page", "0")]).is_err());
    }

    #[test]
    fn filters_and_orders_apply_before_pages() {
        let (found, _) = ids(&[("name", "s59")]);
        assert_eq!(found, [1]);
        let (found, meta) = ids(&[("label_selector", "colour=red"), ("sort", "id:desc")]);
        assert_eq!((found[0], &meta["total_entries"]), (60, &json!(30)));
        let (found, _) = ids(&[("sort", "name")]);
        assert_eq!(found[0], 60);
        assert!(ask(&[("sort", "colour")]).is_err());
    }
}
