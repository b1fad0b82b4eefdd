//! What can be had, as lists.

use super::catalog::{IMAGES, LOCATIONS, SERVER_TYPES};
use super::refusal::{Outcome, Refusal};
use super::{Hetzner, Moment, listing};
use crate::wire::Answer;
use serde_json::{Value, json};

impl Hetzner {
    fn offers(&self, moment: &Moment<'_>, plural: &str) -> Vec<Value> {
        match plural {
            "locations" => LOCATIONS.iter().map(|it| it.shown()).collect(),
            "server_types" => {
                let (faults, now) = (&moment.faults, moment.now);
                let all = SERVER_TYPES.iter();
                let shown = all.map(|it| it.shown(|at| !faults.sold_out(now, at.name, it.name)));
                shown.collect()
            }
            "images" => IMAGES.iter().map(|it| it.shown()).collect(),
            other => panic!("{other} is not on offer"),
        }
    }

    pub(super) fn list_offers(&self, moment: &Moment<'_>, plural: &str) -> Outcome<Answer> {
        let filters = match plural {
            "images" => ["name", "architecture", "type", "status"].as_slice(),
            _ => &["name"],
        };
        let all = self.offers(moment, plural);
        listing::answer(moment.request, plural, filters, all)
    }

    pub(super) fn get_offer(&self, moment: &Moment<'_>, plural: &str, id: u64) -> Outcome<Answer> {
        let one = plural.trim_end_matches('s');
        let mut all = self.offers(moment, plural).into_iter();
        match all.find(|it| it["id"] == id) {
            Some(found) => Ok(Answer::new(200, json!({one: found}))),
            None => Err(Refusal::not_found(one, id)),
        }
    }
}
