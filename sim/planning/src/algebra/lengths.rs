//! How lengths of outages are spread around their mean.
//!
//! Knows nothing of what fails: shapes only, so that a mean may change and the shape stay.

use quorate_engine::random::Stream;
use schemars::JsonSchema;
use serde::Serialize;

/// A distribution of lengths, up to its mean.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Lengths {
    /// Exponential.
    Exponential,
    /// A mixture of lognormals: short logical faults beside long physical ones.
    Mixture(Vec<Part>),
}

/// A part of a mixture.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct Part {
    /// Its share of the outages; shares add up to 1.
    pub weight: f64,
    /// Its mean, over that of all outages; by weight these add up to 1.
    pub mean: f64,
    /// Standard deviation of the natural logarithm.
    pub sigma: f64,
}

impl Lengths {
    /// A mixture of lognormals with these weights, means in minutes, and shapes; and its mean.
    /// Without weight: exponential with mean 0, for what never fails.
    #[must_use]
    pub fn mixture(parts: &[(f64, f64, f64)]) -> (Self, f64) {
        let weight: f64 = parts.iter().map(|part| part.0).sum();
        let total: f64 = parts.iter().map(|part| part.0 * part.1).sum();
        if weight <= 0.0 || total <= 0.0 {
            return (Self::Exponential, 0.0);
        }
        let mean = total / weight;
        let of = |part: &(f64, f64, f64)| Part {
            weight: part.0 / weight,
            mean: part.1 / mean,
            sigma: part.2,
        };
        (Self::Mixture(parts.iter().map(of).collect()), mean)
    }

    /// A length, in the unit of the mean.
    #[must_use]
    pub fn draw(&self, mean: f64, stream: &mut Stream) -> f64 {
        match self {
            Self::Exponential => exponential(mean, stream),
            Self::Mixture(parts) => {
                let part = pick(parts, |part| part.weight, stream);
                // The mean of a lognormal is exp(mu + sigma^2 / 2).
                let shift = -part.sigma * part.sigma / 2.0;
                mean * part.mean * libm::exp(shift + part.sigma * stream.normal())
            }
        }
    }

    /// What is left of an outage that is found at a random moment: a uniform part of one that is
    /// drawn by its length. A lognormal drawn so is a lognormal with its logarithm moved up by
    /// the variance.
    #[must_use]
    pub fn rest(&self, mean: f64, stream: &mut Stream) -> f64 {
        match self {
            Self::Exponential => exponential(mean, stream),
            Self::Mixture(parts) => {
                let part = pick(parts, |part| part.weight * part.mean, stream);
                let shift = part.sigma * part.sigma / 2.0;
                let whole = mean * part.mean * libm::exp(shift + part.sigma * stream.normal());
                whole * stream.unit()
            }
        }
    }
}

pub(super) fn exponential(mean: f64, stream: &mut Stream) -> f64 {
    -libm::log(1.0 - stream.unit()) * mean
}

fn pick(parts: &[Part], by: impl Fn(&Part) -> f64, stream: &mut Stream) -> Part {
    let mut left = stream.unit();
    for part in parts {
        left -= by(part);
        if left < 0.0 {
            return *part;
        }
    }
    *parts
        .last()
        .unwrap_or_else(|| panic!("a mixture has parts"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_engine::random::Seed;

    #[test]
    fn draws_have_the_mean_they_are_asked_for() {
        let (lengths, mean) = Lengths::mixture(&[(0.7, 100.0, 0.5), (0.3, 900.0, 0.8)]);
        assert!((mean - 340.0).abs() < 1e-9);
        let mut stream = Seed(1).stream("lengths", "test");
        let n = 200_000;
        let drawn: Vec<f64> = (0..n).map(|_| lengths.draw(mean, &mut stream)).collect();
        let average = drawn.iter().sum::<f64>() / f64::from(n);
        assert!((average / mean - 1.0).abs() < 0.01, "{average}");
        // The mean of what is left is E[L^2] / (2 E[L]).
        let square = drawn.iter().map(|l| l * l).sum::<f64>() / f64::from(n);
        let rests: f64 = (0..n).map(|_| lengths.rest(mean, &mut stream)).sum();
        let ratio = rests / f64::from(n) / (square / (2.0 * average));
        assert!((ratio - 1.0).abs() < 0.02, "{ratio}");
    }
}
