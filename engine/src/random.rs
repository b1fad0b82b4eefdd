//! Keyed random streams: every draw is a function of (seed, entity, purpose, counter).
//!
//! Taking one fault away, or adding one entity, leaves every other stream's draws as they were:
//! failing runs shrink, and two topologies can be compared under the same luck.
//! Floating point goes through `libm`, so that a draw is the same on every machine.

use crate::time::Span;
use rand::{Rng, TryRng};
use std::convert::Infallible;

/// The seed of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seed(pub u64);

/// One stream of draws. Cheap to make (two multiplications a key part) and to copy.
#[derive(Debug, Clone)]
pub struct Stream {
    key: u64,
    counter: u64,
}

/// Odd constant of the golden ratio: the increment of SplitMix64 (Steele, Lea, Flood 2014).
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// The finalizer of SplitMix64: a bijection in which each input bit reaches every output bit.
#[must_use]
pub const fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// A stable 64-bit hash of a name: FNV-1a, then [`mix`]. Not for adversaries.
#[must_use]
pub const fn hash_name(name: &str) -> u64 {
    let bytes = name.as_bytes();
    let mut hash: u64 = 0xCBF2_9CE4_8422_2325;
    let mut i = 0;
    while i < bytes.len() {
        hash = (hash ^ bytes[i] as u64).wrapping_mul(0x0000_0100_0000_01B3);
        i += 1;
    }
    mix(hash)
}

impl Seed {
    /// The stream of `entity` (a node, a link, a step: any stable name) for one `purpose`.
    #[must_use]
    pub fn stream(self, entity: &str, purpose: &str) -> Stream {
        self.stream_of(hash_name(entity), purpose)
    }

    /// The same for an entity that is known by number.
    #[must_use]
    pub fn stream_of(self, entity: u64, purpose: &str) -> Stream {
        let key = mix(self.0 ^ GOLDEN).wrapping_add(mix(entity.wrapping_add(GOLDEN)));
        Stream {
            key: mix(key) ^ hash_name(purpose),
            counter: 0,
        }
    }
}

impl Stream {
    /// The next 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.counter = self.counter.wrapping_add(1);
        mix(self.key.wrapping_add(self.counter.wrapping_mul(GOLDEN)))
    }

    /// Uniform in `[0, 1)`, 53 bits.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// True with probability `p`. Draws also where `p` is 0, so that streams stay aligned.
    pub fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    /// Uniform in `[0, n)`; 0 for `n` = 0. Multiply-shift: the bias is below n/2^64.
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(n)) >> 64) as u64
    }

    /// Uniform in `[low, high]`.
    pub fn between(&mut self, low: Span, high: Span) -> Span {
        Span(low.0 + self.below(high.0.saturating_sub(low.0).saturating_add(1)))
    }

    /// Exponential with this mean.
    pub fn exponential(&mut self, mean: Span) -> Span {
        Span((-libm::log(1.0 - self.unit()) * mean.0 as f64) as u64)
    }

    /// Standard normal, by the inverse of Box and Muller's first coordinate.
    pub fn normal(&mut self) -> f64 {
        let radius = libm::sqrt(-2.0 * libm::log(1.0 - self.unit()));
        radius * libm::cos(std::f64::consts::TAU * self.unit())
    }

    /// Lognormal with this median and shape `sigma` (of the natural logarithm).
    pub fn lognormal(&mut self, median: Span, sigma: f64) -> Span {
        Span((libm::exp(sigma * self.normal()) * median.0 as f64) as u64)
    }
}

/// So that `rand`'s ranges, shuffles and choices work on a stream.
impl TryRng for Stream {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok((self.bits() >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.bits())
    }

    fn try_fill_bytes(&mut self, dst: &mut [u8]) -> Result<(), Infallible> {
        for chunk in dst.chunks_mut(8) {
            chunk.copy_from_slice(&self.bits().to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

/// Puts `items` in a random order.
pub fn shuffle<T>(items: &mut [T], stream: &mut Stream) {
    use rand::seq::SliceRandom as _;
    items.shuffle(stream);
}

const _: fn() = || {
    fn is_rng<R: Rng>() {}
    is_rng::<Stream>();
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_a_function_of_its_key() {
        let draw = |seed, entity: &str, purpose: &str| Seed(seed).stream(entity, purpose).bits();
        assert_eq!(draw(1, "node-1", "boot"), draw(1, "node-1", "boot"));
        let all = [
            draw(1, "node-1", "boot"),
            draw(2, "node-1", "boot"),
            draw(1, "node-2", "boot"),
            draw(1, "node-1", "loss"),
        ];
        for (i, a) in all.iter().enumerate() {
            assert!(all[i + 1..].iter().all(|b| a != b));
        }
    }

    #[test]
    fn draws_are_the_same_on_every_machine() {
        // Computed by an independent program from the definitions above.
        let mut stream = Seed(7).stream("golden", "check");
        assert_eq!(
            [stream.bits(), stream.bits()],
            [0x86df03cefcb5953f, 0x511eac30ecf54684]
        );
    }

    #[test]
    fn distributions_have_their_moments() {
        let mut s = Seed(3).stream("moments", "test");
        let n = 200_000u64;
        let mean: u64 = (0..n)
            .map(|_| s.exponential(Span::from_ms(10)).0)
            .sum::<u64>()
            / n;
        assert!(
            (9_900_000..10_100_000).contains(&mean),
            "exponential mean {mean}"
        );
        let mut draws: Vec<u64> = (0..n)
            .map(|_| s.lognormal(Span::from_ms(10), 0.5).0)
            .collect();
        draws.sort_unstable();
        let median = draws[draws.len() / 2];
        assert!(
            (9_850_000..10_150_000).contains(&median),
            "lognormal median {median}"
        );
        let low = (0..n).filter(|_| s.below(10) == 0).count();
        assert!((19_000..21_000).contains(&low), "below {low}");
    }
}
