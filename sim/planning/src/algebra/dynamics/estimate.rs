//! Estimates with their intervals. Knows nothing of what is estimated.

use schemars::JsonSchema;
use serde::Serialize;

/// A value that was estimated from samples, with its confidence interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct Estimate {
    /// The estimate.
    pub value: f64,
    /// The interval's lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

/// The quantile of the standard normal distribution: bisection over `erfc`.
pub(crate) fn normal_quantile(p: f64) -> f64 {
    assert!(p > 0.0 && p < 1.0, "a probability between 0 and 1");
    let (mut low, mut high) = (-40.0, 40.0);
    for _ in 0..100 {
        let middle = (low + high) / 2.0;
        let below = libm::erfc(-middle / std::f64::consts::SQRT_2) / 2.0;
        if below < p {
            low = middle;
        } else {
            high = middle;
        }
    }
    (low + high) / 2.0
}

impl Estimate {
    /// The mean of equally likely samples, by the central limit theorem.
    pub(super) fn of_mean(samples: &[f64], level: f64) -> Self {
        let (mean, error) = mean_and_error(samples);
        let half = error * normal_quantile(0.5 + level / 2.0);
        Self {
            value: mean,
            low: (mean - half).max(0.0),
            high: mean + half,
        }
    }

    /// `scale` times the mean of samples between 0 and 1. Beside the central limit theorem, what
    /// so many samples may not have shown at all: the part after which a rare value would have
    /// been seen with the level's probability.
    pub(super) fn of_bounded(samples: &[f64], scale: f64, level: f64) -> Self {
        let (mean, error) = mean_and_error(samples);
        let unseen = -libm::log((1.0 - level) / 2.0) / samples.len() as f64;
        let half = error * normal_quantile(0.5 + level / 2.0) + unseen;
        Self {
            value: scale * mean,
            low: scale * (mean - half).max(0.0),
            high: scale * (mean + half).min(1.0),
        }
    }

    /// Whether a value lies in the interval, but for rounding (a billionth part).
    #[must_use]
    pub fn holds(self, value: f64) -> bool {
        let slack = 1e-9 * value.abs();
        value >= self.low - slack && value <= self.high + slack
    }
}

fn mean_and_error(samples: &[f64]) -> (f64, f64) {
    assert!(samples.len() > 1, "an interval needs two samples");
    let n = samples.len() as f64;
    let mean = samples.iter().sum::<f64>() / n;
    let square: f64 = samples.iter().map(|x| (x - mean) * (x - mean)).sum();
    (mean, libm::sqrt(square / (n - 1.0) / n))
}

/// Lengths that so many of all outages do not exceed, in minutes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct Quantiles {
    /// Half of them.
    pub p50: Estimate,
    /// Nine of ten.
    pub p90: Estimate,
    /// 99 of 100.
    pub p99: Estimate,
}

impl Quantiles {
    /// Of samples with weights. The interval is that of order statistics, which holds whatever
    /// the distribution; the number of samples is Kish's effective one.
    pub(super) fn of(mut samples: Vec<(f64, f64)>, level: f64) -> Option<Self> {
        samples.retain(|(_, weight)| *weight > 0.0);
        samples.sort_by(|a, b| a.0.total_cmp(&b.0));
        let total: f64 = samples.iter().map(|sample| sample.1).sum();
        let squares: f64 = samples.iter().map(|sample| sample.1 * sample.1).sum();
        let longest = samples.last()?.0;
        let effective = total * total / squares;
        let z = normal_quantile(0.5 + level / 2.0);
        let at = |p: f64| {
            let mut below = 0.0;
            let found = samples.iter().find(|(_, weight)| {
                below += weight;
                below >= p * total
            });
            found.map_or(longest, |sample| sample.0)
        };
        let of = |p: f64| {
            let half = z * libm::sqrt(p * (1.0 - p) / effective) + 1.0 / effective;
            Estimate {
                value: at(p),
                low: at((p - half).max(0.0)),
                high: at((p + half).min(1.0)),
            }
        };
        Some(Self {
            p50: of(0.5),
            p90: of(0.9),
            p99: of(0.99),
        })
    }
}
