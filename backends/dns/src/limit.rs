//! How often a network may ask over UDP, so that nobody is flooded with answers in our name.
//!
//! As BIND's and Knot's response rate limiting: per client network, and some of what is not answered
//! is answered truncated, so that honest clients come back over TCP. A table of fixed size; time
//! comes in as an argument.

use quorate_engine::random::mix;
use quorate_engine::time::{Span, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Networks that are remembered at once. 1 MiB.
const BUCKETS: usize = 1 << 16;

/// Where a network may stand, from where its hash says.
const WAYS: usize = 4;

/// How much may be asked in a burst, measured in time at the rate allowed.
const BURST: Span = Span::from_secs(1);

/// How much a client network may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RateLimit {
    /// Answers a second over UDP to one network (/24 of IPv4, /56 of IPv6); 0 turns it off.
    pub per_second: u32,
    /// Of so many answers above that one is sent truncated and the rest is not; 0 sends none.
    pub slip: u32,
}

impl Default for RateLimit {
    fn default() -> Self {
        Self {
            per_second: 1_000,
            slip: 2,
        }
    }
}

/// What becomes of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowance {
    /// It is answered.
    Answer,
    /// It is answered truncated.
    Slip,
    /// It is not answered.
    Silence,
}

#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    network: u64,
    /// Answers above the rate, since the last one within it.
    above: u32,
    /// When all that was answered would have been due at the rate allowed (GCRA, ITU-T I.371).
    due: Time,
}

/// Who has asked how much lately.
#[derive(Debug, Clone)]
pub struct Limiter {
    rate: RateLimit,
    seed: u64,
    buckets: Vec<Bucket>,
}

impl Limiter {
    /// `seed` keeps others from choosing networks that share a bucket.
    #[must_use]
    pub fn new(rate: RateLimit, seed: u64) -> Self {
        let buckets = if rate.per_second == 0 { 0 } else { BUCKETS };
        Self {
            rate,
            seed,
            buckets: vec![Bucket::default(); buckets],
        }
    }

    /// What becomes of a query over UDP.
    pub fn judge(&mut self, now: Time, from: IpAddr) -> Allowance {
        if self.rate.per_second == 0 {
            return Allowance::Answer;
        }
        let network = mix(network(from) ^ self.seed);
        let (each, slip) = (BURST.0 / u64::from(self.rate.per_second), self.rate.slip);
        let bucket = self.bucket(now, network);
        let due = bucket.due.max(now);
        if due.since(now) < BURST {
            bucket.above = 0;
            bucket.due = due + Span(each);
            return Allowance::Answer;
        }
        bucket.above = bucket.above.wrapping_add(1);
        if slip != 0 && bucket.above.is_multiple_of(slip) {
            Allowance::Slip
        } else {
            Allowance::Silence
        }
    }

    /// The network's own bucket, or one that is free, or the one that will be free first: then two
    /// networks share it.
    fn bucket(&mut self, now: Time, network: u64) -> &mut Bucket {
        let first = network as usize % (BUCKETS - WAYS);
        let ways = &mut self.buckets[first..first + WAYS];
        let own = ways.iter().position(|bucket| bucket.network == network);
        let at = own.unwrap_or_else(|| {
            let first = ways.iter().enumerate().min_by_key(|(_, bucket)| bucket.due);
            let (at, bucket) = first.expect("there are several ways");
            if bucket.due <= now {
                ways[at] = Bucket {
                    network,
                    ..Bucket::default()
                };
            }
            at
        });
        &mut ways[at]
    }
}

/// The network of an address: who holds one address of it may hold all.
fn network(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(address) => u64::from(address.to_bits() >> 8),
        IpAddr::V6(address) => ((address.to_bits() >> 72) as u64) | 1 << 63,
    }
}

#[cfg(test)]
mod tests;
