//! Hetzner Cloud's API as of October 2026, as a state machine.
//!
//! Shapes, codes and limits are those of the API reference; times are drawn from the provider's
//! profile. Requests change things at one instant; what takes time is an action, and changes things
//! again at its end. Time passes only when somebody asks.
//!
//! Not there: volumes, load balancers, floating addresses, certificates, zones, images of one's
//! own, rescue systems, metrics.

mod actions;
mod addresses;
mod catalog;
mod create;
mod fields;
mod firewalls;
mod groups;
mod keys;
mod labels;
mod listing;
mod md5;
mod networks;
mod offers;
mod primary;
mod refusal;
mod route;
mod servers;
mod stock;
#[cfg(test)]
mod tests;

use crate::clock::Calendar;
use crate::faults::Faults;
use crate::wire::{Answer, Interference, Request};
use crate::world::Vendor;
use crate::{Settings, Thing};
use quorate_engine::manifest::ProviderKind;
use quorate_engine::random::{Seed, Stream, hash_name, mix};
use quorate_engine::time::{Span, Time};
use quorate_sim::cloud::{Bucket, Counted, Limit, Profile, profile};
use refusal::Refusal;
use std::collections::BTreeMap;
use stock::Stock;

/// A project at Hetzner Cloud.
pub(crate) struct Hetzner {
    seed: Seed,
    calendar: Calendar,
    profile: &'static Profile,
    token: Option<String>,
    bucket: Bucket,
    /// How many servers it may have.
    quota: Option<u32>,
    stock: Stock,
    made: BTreeMap<(String, String), u64>,
}

/// What a request is carried out with.
struct Moment<'a> {
    now: Time,
    request: &'a Request,
    faults: &'a mut Faults,
}

impl Hetzner {
    pub(crate) fn new(settings: &Settings, calendar: Calendar) -> Self {
        let profile = profile(ProviderKind::Hetzner, false);
        let limit = match settings.limit {
            Some((burst, interval)) => Limit {
                counted: Counted::Any,
                burst,
                interval,
            },
            None => profile.limits[0],
        };
        Self {
            seed: Seed(settings.seed),
            calendar,
            profile,
            token: settings.token.clone(),
            bucket: Bucket::new(limit),
            quota: settings.machines,
            stock: Stock::default(),
            made: BTreeMap::new(),
        }
    }

    /// Draws for the nth thing of a name, so that what was made before it does not matter.
    fn luck(&self, kind: &str, name: &str, purpose: &str) -> Stream {
        let nth = self.made.get(&(kind.to_owned(), name.to_owned()));
        let entity = mix(hash_name(kind) ^ mix(hash_name(name))) ^ nth.copied().unwrap_or(0);
        self.seed.stream_of(entity, purpose)
    }

    /// Notes that something was made.
    fn count(&mut self, kind: &str, name: &str) {
        let key = (kind.to_owned(), name.to_owned());
        *self.made.entry(key).or_insert(0) += 1;
    }

    fn admit(&self, request: &Request) -> Result<(), Refusal> {
        let refused = |why| Err(Refusal::new(401, "unauthorized", why));
        match (&request.bearer, &self.token) {
            (None, _) => refused("token is required"),
            (Some(given), _) if given.is_empty() => refused("token is required"),
            (Some(given), Some(token)) if given != token => {
                refused("the token you have provided is invalid")
            }
            (Some(_), _) => Ok(()),
        }
    }

    /// Requests are counted whether or not they succeed.
    fn limited(&mut self, now: Time, throttled: Option<Span>) -> Result<(), Refusal> {
        let wait = self
            .bucket
            .wait(now, 1, 1)
            .max(throttled.unwrap_or_default());
        if wait > Span::ZERO {
            let limit = self.bucket.limit();
            let hour = 3_600_000_000_000 / limit.interval.0.max(1);
            let message = format!("limit of {hour} requests per hour reached");
            return Err(Refusal::new(429, "rate_limit_exceeded", message));
        }
        self.bucket.take(now, 1, 1);
        Ok(())
    }

    fn limits(&self, now: Time, throttled: Option<Span>) -> Vec<(&'static str, String)> {
        let full = self
            .bucket
            .full_at()
            .max(now + throttled.unwrap_or_default());
        let left = match throttled {
            Some(_) => 0,
            None => self.bucket.left(now),
        };
        vec![
            ("ratelimit-limit", self.bucket.limit().burst.to_string()),
            ("ratelimit-remaining", left.to_string()),
            ("ratelimit-reset", self.calendar.unix(full).to_string()),
        ]
    }
}

impl Vendor for Hetzner {
    fn profile(&self) -> &'static Profile {
        self.profile
    }

    fn answer(
        &mut self,
        now: Time,
        request: &Request,
        faults: &mut Faults,
        interference: &Interference,
    ) -> Answer {
        self.pass(now);
        let throttled = interference.throttled;
        let mut moment = Moment {
            now,
            request,
            faults,
        };
        let outcome = match route::known(&request.path) {
            false => Err(Refusal::new(404, "not_found", "404 page not found")),
            true => self.admit(request),
        };
        let outcome = outcome
            .and_then(|()| self.limited(now, throttled))
            .and_then(|()| match &interference.failed {
                Some((status, code)) => Err(Refusal::failure(*status, code.as_deref())),
                None => self.route(&mut moment),
            });
        let mut answer = outcome.unwrap_or_else(Refusal::answer);
        answer.headers.extend(self.limits(now, throttled));
        answer
    }

    fn things(&mut self, now: Time) -> Vec<Thing> {
        self.pass(now);
        self.stock.things()
    }

    fn made(&self) -> &BTreeMap<(String, String), u64> {
        &self.made
    }
}
