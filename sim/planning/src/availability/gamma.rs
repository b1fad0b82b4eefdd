//! The gamma distribution: what is believed of a rate before and after outages are counted.
//!
//! Numerical Recipes' series and continued fraction for the incomplete gamma function; Marsaglia
//! and Tsang (2000) for draws. Knows nothing of outages.

use quorate_engine::random::Stream;

/// A belief about a rate: mean `shape / rate`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Gamma {
    pub(super) shape: f64,
    pub(super) rate: f64,
}

impl Gamma {
    /// With this mean, and as much between the 5th and the 95th percentile (as a ratio) as between
    /// `low` and `high`.
    pub(super) fn fitted(mean: f64, low: f64, high: f64) -> Self {
        assert!(mean > 0.0 && low > 0.0 && high > low, "a positive range");
        let wanted = libm::log(high / low);
        let (mut few, mut many) = (libm::log(0.05), libm::log(1e4));
        for _ in 0..50 {
            let middle = (few + many) / 2.0;
            let shape = libm::exp(middle);
            let unit = Self { shape, rate: 1.0 };
            if libm::log(unit.quantile(0.95) / unit.quantile(0.05)) > wanted {
                few = middle;
            } else {
                many = middle;
            }
        }
        let shape = libm::exp((few + many) / 2.0);
        Self {
            shape,
            rate: shape / mean,
        }
    }

    /// After so many events in so much exposure.
    pub(super) fn after(self, events: f64, exposure: f64) -> Self {
        Self {
            shape: self.shape + events,
            rate: self.rate + exposure,
        }
    }

    pub(super) fn mean(self) -> f64 {
        self.shape / self.rate
    }

    pub(super) fn quantile(self, p: f64) -> f64 {
        // By the logarithm: small shapes have quantiles very near 0.
        let (mut low, mut high) = (-200.0, libm::log(self.shape + 40.0 * (1.0 + self.shape)));
        for _ in 0..64 {
            let middle = (low + high) / 2.0;
            if below(self.shape, libm::exp(middle)) < p {
                low = middle;
            } else {
                high = middle;
            }
        }
        libm::exp((low + high) / 2.0) / self.rate
    }

    pub(super) fn draw(self, stream: &mut Stream) -> f64 {
        // Below 1 the method needs one more, and a power of a uniform number takes it back.
        let boost = if self.shape < 1.0 { 1.0 } else { 0.0 };
        let d = self.shape + boost - 1.0 / 3.0;
        let c = 1.0 / libm::sqrt(9.0 * d);
        loop {
            let x = stream.normal();
            let v = 1.0 + c * x;
            let u = 1.0 - stream.unit();
            if v <= 0.0 {
                continue;
            }
            let v = v * v * v;
            if libm::log(u) < 0.5 * x * x + d - d * v + d * libm::log(v) {
                let back = match boost > 0.0 {
                    true => libm::pow(1.0 - stream.unit(), 1.0 / self.shape),
                    false => 1.0,
                };
                return d * v * back / self.rate;
            }
        }
    }
}

/// The regularized lower incomplete gamma function.
fn below(a: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    let front = libm::exp(a * libm::log(x) - x - libm::lgamma(a));
    if x < a + 1.0 {
        let (mut term, mut sum) = (1.0 / a, 1.0 / a);
        for n in 1..1_000 {
            term *= x / (a + f64::from(n));
            sum += term;
            if term < sum * 1e-15 {
                break;
            }
        }
        return front * sum;
    }
    let mut b = x + 1.0 - a;
    let mut c = 1.0 / 1e-300;
    let mut d = 1.0 / b;
    let mut h = d;
    for n in 1..1_000 {
        let an = -f64::from(n) * (f64::from(n) - a);
        b += 2.0;
        d = 1.0 / (an * d + b);
        c = b + an / c;
        h *= d * c;
        if (d * c - 1.0).abs() < 1e-15 {
            break;
        }
    }
    1.0 - front * h
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_engine::random::Seed;

    #[test]
    fn quantiles_are_those_of_tables() {
        // Half of chi-squared with 4 degrees of freedom: 0.710723 and 9.487729.
        let gamma = Gamma {
            shape: 2.0,
            rate: 0.5,
        };
        assert!((gamma.quantile(0.05) - 0.710_723).abs() < 1e-5);
        assert!((gamma.quantile(0.95) - 9.487_729).abs() < 1e-5);
    }

    #[test]
    fn a_fit_has_the_range_it_is_asked_for() {
        for (low, high) in [(0.3, 0.7), (0.03, 0.3), (0.02, 0.5), (0.9, 1.1)] {
            let gamma = Gamma::fitted(0.4, low, high);
            let ratio = gamma.quantile(0.95) / gamma.quantile(0.05);
            assert!((ratio / (high / low) - 1.0).abs() < 1e-4, "{ratio}");
            assert!((gamma.mean() - 0.4).abs() < 1e-12);
        }
    }

    #[test]
    fn draws_follow_their_quantiles() {
        for shape in [0.4, 1.0, 7.5] {
            let gamma = Gamma { shape, rate: 3.0 };
            let mut stream = Seed(5).stream("gamma", "test");
            let n = 40_000;
            let line = gamma.quantile(0.95);
            let above = (0..n).filter(|_| gamma.draw(&mut stream) > line).count();
            assert!((1_800..2_200).contains(&above), "{shape}: {above} of {n}");
        }
    }
}
