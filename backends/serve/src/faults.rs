//! What goes wrong at a simulated cloud: the words of a scenario's faults, and a few that only make
//! sense where there are requests on a wire.
//!
//! Knows nothing of any vendor: the models ask whether a fault strikes, and say how it is told.

use quorate_engine::diagnostic::Diagnostic;
use quorate_engine::document;
use quorate_engine::random::{Seed, Stream};
use quorate_engine::time::{Span, Time};
use quorate_engine::units::{Duration, Percent, Rate};
use quorate_sim::cloud::{Bucket, Counted, Limit};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A file of faults.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FaultFile {
    /// All of them; times count from when the file is given.
    pub faults: Vec<Fault>,
}

/// Something that goes wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fault {
    /// What.
    #[serde(rename = "do")]
    pub verb: FaultVerb,
    /// Only for things here.
    #[serde(default, rename = "where")]
    pub place: Place,
    /// Only for these requests.
    #[serde(default)]
    pub requests: Requests,
    /// Since the fault was given.
    #[serde(default)]
    pub at: Duration,
    /// How long it lasts; by default until it is taken away.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub lasts: Option<Duration>,
    /// How often it strikes; by default always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<Percent>,
    /// It strikes so many times and is over; by default without an end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// For throttles: requests allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// For quotas: machines allowed. For throttles: requests that may come at once; 1 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// For what is slow: how many times as long it takes; 10 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub factor: Option<f64>,
    /// For stale lists: they are behind by up to so much; 10 s by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag: Option<Duration>,
    /// For lost replies: whether the request was carried out; by default every other one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<bool>,
    /// For errors, and for outages that answer at all: the HTTP status. By default an error is a
    /// 500, and an outage does not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// For errors and for lack of machines: the vendor's word for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

impl Fault {
    /// One that always strikes, everywhere, until it is taken away.
    #[must_use]
    pub fn new(verb: FaultVerb) -> Self {
        Self {
            verb,
            place: Place::default(),
            requests: Requests::default(),
            at: Duration::default(),
            lasts: None,
            share: None,
            times: None,
            rate: None,
            limit: None,
            factor: None,
            lag: None,
            done: None,
            status: None,
            code: None,
        }
    }
}

/// What can go wrong.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum FaultVerb {
    /// The API is gone: connections hang, or are answered with `status`.
    #[serde(rename = "provider.outage")]
    Outage,
    /// It takes no more than `rate` requests.
    #[serde(rename = "provider.api-throttle")]
    Throttle,
    /// Requests fail with a 5xx, or with `status`, and are not carried out.
    #[serde(rename = "provider.api-error")]
    Error,
    /// The connection ends without an answer; the work may be done or not.
    #[serde(rename = "provider.lost-reply")]
    LostReply,
    /// No more than `limit` machines.
    #[serde(rename = "provider.quota")]
    Quota,
    /// No machines left.
    #[serde(rename = "provider.stock-out")]
    StockOut,
    /// What is begun takes `factor` times as long.
    #[serde(rename = "provider.slow")]
    Slow,
    /// Machines end in an error instead of running.
    #[serde(rename = "provider.failed-build")]
    FailedBuild,
    /// Lists are behind by up to `lag`: they miss what is new and show what is gone.
    #[serde(rename = "provider.stale-list")]
    StaleList,
}

/// Where a fault is; an absent part means everywhere. Only the making of a machine is somewhere in
/// particular: a fault with a place does not strike other requests.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Place {
    /// A region: at Hetzner a location.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// A machine type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine_type: Option<String>,
}

/// Which requests; an absent part means all.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Requests {
    /// `GET`, `POST`, ...
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The path, without the version of the API; `*` at its end stands for anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// Reads faults from YAML or JSON.
///
/// # Errors
/// All mistakes, in the order of the text.
pub fn read(bytes: &[u8]) -> Result<Vec<Fault>, Vec<Diagnostic>> {
    document::read::<FaultFile>(bytes, &[]).map(|document| document.value.faults)
}

/// Names a fault that was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FaultId(pub u32);

/// What a fault might strike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Target<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    /// Of what the request is about; empty where that is nowhere in particular.
    pub(crate) region: &'a str,
    pub(crate) machine_type: &'a str,
}

#[derive(Debug, Clone)]
struct Case {
    fault: Fault,
    from: Time,
    until: Option<Time>,
    over: bool,
    hits: u32,
    bucket: Option<Bucket>,
    luck: Stream,
}

impl Case {
    fn on(&self, now: Time) -> bool {
        let spent = self.fault.times.is_some_and(|times| self.hits >= times);
        !self.over && !spent && now >= self.from && self.until.is_none_or(|until| now < until)
    }

    fn holds(&self, target: Target<'_>) -> bool {
        let is = |wanted: &Option<String>, is: &str| wanted.as_ref().is_none_or(|w| w == is);
        let path = self.fault.requests.path.as_ref();
        let path = path.is_none_or(|wanted| match wanted.strip_suffix('*') {
            Some(begin) => target.path.starts_with(begin),
            None => wanted == target.path,
        });
        path && is(&self.fault.requests.method, target.method)
            && is(&self.fault.place.region, target.region)
            && is(&self.fault.place.machine_type, target.machine_type)
    }
}

/// All faults of a server's life, also those that are over: their hits prove that they were there.
#[derive(Debug, Clone)]
pub(crate) struct Faults {
    seed: Seed,
    cases: Vec<Case>,
}

impl Faults {
    pub(crate) fn new(seed: Seed) -> Self {
        Self {
            seed,
            cases: Vec::new(),
        }
    }

    /// Begins one.
    pub(crate) fn begin(&mut self, now: Time, fault: Fault) -> FaultId {
        let id = FaultId(self.cases.len() as u32);
        let from = now + fault.at.0;
        let bucket = (fault.verb == FaultVerb::Throttle).then(|| {
            let thousandths = fault.rate.map_or(1_000, |rate| rate.0.max(1));
            Bucket::new(Limit {
                counted: Counted::Any,
                burst: fault.limit.unwrap_or(1).max(1),
                interval: Span::from_ns(1_000_000_000_000 / thousandths),
            })
        });
        self.cases.push(Case {
            from,
            until: fault.lasts.map(|lasts| from + lasts.0),
            over: false,
            hits: 0,
            bucket,
            luck: self.seed.stream_of(u64::from(id.0), "fault"),
            fault,
        });
        id
    }

    /// Ends one; false where there is none, or it was ended before.
    pub(crate) fn end(&mut self, id: FaultId) -> bool {
        match self.cases.get_mut(id.0 as usize) {
            Some(case) if !case.over => {
                case.over = true;
                true
            }
            Some(_) | None => false,
        }
    }

    /// Ends all.
    pub(crate) fn clear(&mut self) {
        for case in &mut self.cases {
            case.over = true;
        }
    }

    /// Every fault that was given and not taken away, with how often it struck.
    pub(crate) fn given(&self) -> impl Iterator<Item = (FaultId, &Fault, u32)> {
        let numbered = self.cases.iter().enumerate();
        let there = numbered.filter(|(_, case)| !case.over);
        there.map(|(id, case)| (FaultId(id as u32), &case.fault, case.hits))
    }

    pub(crate) fn hits(&self, id: FaultId) -> u32 {
        self.cases.get(id.0 as usize).map_or(0, |case| case.hits)
    }

    /// The first fault of this kind that strikes, counted as a hit.
    pub(crate) fn strikes(
        &mut self,
        now: Time,
        verb: FaultVerb,
        target: Target<'_>,
    ) -> Option<&Fault> {
        self.strikes_if(now, verb, target, |_| true)
    }

    /// The first that strikes among those for which `bites` is true: others are not counted.
    pub(crate) fn strikes_if(
        &mut self,
        now: Time,
        verb: FaultVerb,
        target: Target<'_>,
        bites: impl Fn(&Fault) -> bool,
    ) -> Option<&Fault> {
        for case in &mut self.cases {
            if case.fault.verb != verb || !case.on(now) || !case.holds(target) {
                continue;
            }
            let share = case.fault.share.map_or(1.0, Percent::fraction);
            if bites(&case.fault) && case.luck.chance(share) {
                case.hits += 1;
                return Some(&case.fault);
            }
        }
        None
    }

    /// How long a request must wait for the throttles; where it need not, it is counted.
    pub(crate) fn throttled(&mut self, now: Time, target: Target<'_>) -> Option<Span> {
        let here = |case: &&mut Case| {
            case.fault.verb == FaultVerb::Throttle && case.on(now) && case.holds(target)
        };
        for case in self.cases.iter_mut().filter(here) {
            let bucket = case.bucket.as_mut().expect("a throttle has a bucket");
            let wait = bucket.wait(now, 1, 1);
            if wait > Span::ZERO {
                case.hits += 1;
                return Some(wait);
            }
            bucket.take(now, 1, 1);
        }
        None
    }

    /// Whether the answer to this request is lost, and then whether the request is carried out.
    pub(crate) fn lost(&mut self, now: Time, target: Target<'_>) -> Option<bool> {
        let here = |case: &&mut Case| {
            case.fault.verb == FaultVerb::LostReply && case.on(now) && case.holds(target)
        };
        for case in self.cases.iter_mut().filter(here) {
            let share = case.fault.share.map_or(1.0, Percent::fraction);
            let (lost, done) = (case.luck.chance(share), case.luck.chance(0.5));
            if lost {
                case.hits += 1;
                return Some(case.fault.done.unwrap_or(done));
            }
        }
        None
    }

    /// How many times longer things take.
    pub(crate) fn slowness(&mut self, now: Time, target: Target<'_>) -> f64 {
        let found = self.strikes(now, FaultVerb::Slow, target);
        found.map_or(1.0, |fault| fault.factor.unwrap_or(10.0).max(0.0))
    }

    /// Whether there are no machines of this type here, without counting a hit.
    pub(crate) fn sold_out(&self, now: Time, region: &str, machine_type: &str) -> bool {
        self.cases.iter().any(|case| {
            let place = Target {
                region,
                machine_type,
                method: case.fault.requests.method.as_deref().unwrap_or_default(),
                path: case.fault.requests.path.as_deref().unwrap_or_default(),
            };
            case.fault.verb == FaultVerb::StockOut
                && case.fault.share.is_none()
                && case.on(now)
                && case.holds(place)
        })
    }
}

#[cfg(test)]
mod tests;
