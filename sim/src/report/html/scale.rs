//! From time to pixels: the axis of a figure.

use quorate_engine::time::{Span, Time};

/// Distances between ticks that people read easily, in milliseconds.
const STEPS_MS: [u64; 21] = [
    100, 200, 500, 1_000, 2_000, 5_000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000,
    900_000, 1_800_000, 3_600_000, 7_200_000, 14_400_000, 21_600_000, 43_200_000, 86_400_000,
];

/// The most ticks of an axis.
const TICKS: u64 = 12;

/// A stretch of time laid over a stretch of pixels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    from: Time,
    to: Time,
    left: f64,
    width: f64,
}

impl Scale {
    /// Lays `span` over the pixels from `left` on. An empty span is taken as a second.
    pub(super) fn new((from, to): (Time, Time), left: f64, width: f64) -> Self {
        let to = to.max(from + Span::from_ms(1_000));
        Self {
            from,
            to,
            left,
            width,
        }
    }

    /// Where an instant is; instants outside are at the edges.
    pub(super) fn x(&self, at: Time) -> f64 {
        let all = self.to.since(self.from).0 as f64;
        let passed = at.clamp(self.from, self.to).since(self.from).0 as f64;
        self.left + self.width * passed / all
    }

    pub(super) fn from(&self) -> Time {
        self.from
    }

    pub(super) fn to(&self) -> Time {
        self.to
    }

    /// Ticks with their labels, from the start on.
    pub(super) fn ticks(&self) -> Vec<(f64, String)> {
        let all = self.to.since(self.from).as_ms();
        let fits = STEPS_MS.into_iter().find(|step| all / step <= TICKS);
        let step = fits.unwrap_or_else(|| all.div_ceil(TICKS));
        let count = all / step;
        let tick = |n: u64| {
            let passed = Span::from_ms(step.saturating_mul(n));
            (self.x(self.from + passed), label(passed, step))
        };
        (0..=count).map(tick).collect()
    }
}

/// `m:ss`, or `h:mm` where ticks are far apart, with parts of a second where they are near.
fn label(passed: Span, step_ms: u64) -> String {
    let (secs, ms) = (passed.as_secs(), passed.as_ms() % 1_000);
    match step_ms {
        0..1_000 => format!("{}:{:02}.{}", secs / 60, secs % 60, ms / 100),
        1_000..3_600_000 => format!("{}:{:02}", secs / 60, secs % 60),
        _ => format!("{}h", secs / 3_600),
    }
}

/// A length in pixels, to a tenth.
pub(super) fn px(length: f64) -> String {
    let text = format!("{length:.1}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(ms: u64) -> Vec<String> {
        let scale = Scale::new((Time::ZERO, Time::ZERO + Span::from_ms(ms)), 0.0, 100.0);
        scale.ticks().into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn ticks_are_few_and_round() {
        assert_eq!(
            labels(600_000).join(" "),
            "0:00 1:00 2:00 3:00 4:00 5:00 6:00 7:00 8:00 9:00 10:00"
        );
        assert_eq!(
            labels(1_000).join(" "),
            "0:00.0 0:00.1 0:00.2 0:00.3 0:00.4 0:00.5 0:00.6 0:00.7 0:00.8 0:00.9 0:01.0"
        );
        assert_eq!(labels(43_200_000).last().unwrap(), "12h");
        for ms in [
            0,
            1,
            999,
            61_000,
            5_000_000,
            100_000_000,
            u64::MAX / 1_000_000,
        ] {
            assert!(
                (2..=13).contains(&labels(ms).len()),
                "{ms}: {:?}",
                labels(ms)
            );
        }
    }

    #[test]
    fn instants_outside_are_at_the_edges() {
        let at = |secs| Time::ZERO + Span::from_secs(secs);
        let scale = Scale::new((at(10), at(20)), 100.0, 50.0);
        let xs = [5, 10, 15, 20, 99].map(|secs| px(scale.x(at(secs))));
        assert_eq!(xs, ["100", "100", "125", "150", "150"]);
    }
}
