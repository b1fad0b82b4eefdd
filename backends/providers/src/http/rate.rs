//! What an API says of its rate limit, and when to come again.
//!
//! Reads headers only. Figures of one vendor are that vendor's.

use quorate_engine::time::Span;
use reqwest::header::{HeaderMap, HeaderValue};
use std::time::{SystemTime, UNIX_EPOCH};

/// Requests whose earning is waited for after a refusal: one alone would be spent by the first of
/// many waiting calls, and the next would be refused again.
const WORTH_COMING_FOR: u64 = 10;

/// Clocks differ, and so does what vendors mean by "reset": no advice outside these bounds.
const AFTER_MIN: Span = Span::from_secs(1);
const AFTER_MAX: Span = Span::from_secs(60);
const FULL_IN_MAX_S: u64 = 86_400;

/// A rate limit, as the headers `RateLimit-*` show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Requests a full bucket holds.
    pub limit: u32,
    /// Requests left.
    pub remaining: u32,
    /// Seconds from the answer until the bucket is full again.
    pub full_in_s: u64,
}

impl Rate {
    /// From the headers of an answer, with or without `X-` in front; none where they are missing.
    #[must_use]
    pub fn read(headers: &HeaderMap) -> Option<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Self::read_at(headers, now.map_or(0, |now| now.as_secs()))
    }

    fn read_at(headers: &HeaderMap, unix_s: u64) -> Option<Self> {
        let number = |name: &str| {
            let plain = headers.get(format!("ratelimit-{name}"));
            let value = plain.or_else(|| headers.get(format!("x-ratelimit-{name}")));
            number(value)
        };
        let reset = number("reset")?;
        // Seconds from now (IETF draft), or seconds since 1970 (most vendors).
        let full_in_s = match reset >= 1_000_000_000 {
            true => reset.saturating_sub(unix_s),
            false => reset,
        };
        Some(Self {
            limit: u32::try_from(number("limit")?).unwrap_or(u32::MAX),
            remaining: u32::try_from(number("remaining")?).unwrap_or(u32::MAX),
            full_in_s,
        })
    }

    /// How long until some requests have been earned: the bucket fills evenly until it is full.
    #[must_use]
    pub fn earns(self) -> Span {
        let missing = u64::from(self.limit.saturating_sub(self.remaining)).max(1);
        let worth = WORTH_COMING_FOR.min(missing);
        let full_in_ms = self.full_in_s.min(FULL_IN_MAX_S) * 1_000;
        let span = Span::from_ms(full_in_ms * worth / missing);
        span.clamp(AFTER_MIN, AFTER_MAX)
    }
}

/// `Retry-After` in seconds; the form with a date is left unread.
pub(super) fn retry_after(value: Option<&HeaderValue>) -> Option<Span> {
    number(value).map(Span::from_secs)
}

fn number(value: Option<&HeaderValue>) -> Option<u64> {
    value?.to_str().ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (
                reqwest::header::HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn both_meanings_of_reset_are_read() {
        let expected = Rate {
            limit: 3600,
            remaining: 3240,
            full_in_s: 360,
        };
        for (prefix, reset) in [("", "1700000360"), ("x-", "360")] {
            let names = ["limit", "remaining", "reset"];
            let [limit, remaining, at] =
                names.map(|name| format!("{prefix}ratelimit-{name}").leak() as &str);
            let map = headers(&[(limit, "3600"), (remaining, "3240"), (at, reset)]);
            assert_eq!(Rate::read_at(&map, 1_700_000_000), Some(expected));
        }
        let late = headers(&[
            ("ratelimit-limit", "3600"),
            ("ratelimit-remaining", "0"),
            ("ratelimit-reset", "1699999999"),
        ]);
        assert_eq!(
            Rate::read_at(&late, 1_700_000_000).map(|rate| rate.full_in_s),
            Some(0)
        );
        assert_eq!(
            Rate::read_at(&headers(&[("ratelimit-limit", "3600")]), 0),
            None
        );
    }

    #[test]
    fn the_advice_is_a_handful_of_requests_within_bounds() {
        let rate = |limit, remaining, full_in_s| Rate {
            limit,
            remaining,
            full_in_s,
        };
        // Hetzner Cloud: 3600 an hour, empty.
        assert_eq!(rate(3600, 0, 3600).earns(), Span::from_secs(10));
        assert_eq!(rate(60, 0, 3600).earns(), AFTER_MAX);
        assert_eq!(rate(3600, 0, 0).earns(), AFTER_MIN);
        assert_eq!(rate(3600, 3600, 30).earns(), Span::from_secs(30));
        assert_eq!(rate(1, 7, u64::MAX).earns(), AFTER_MAX);
    }

    #[test]
    fn retry_after_counts_seconds() {
        let value = HeaderValue::from_static("7");
        assert_eq!(retry_after(Some(&value)), Some(Span::from_secs(7)));
        let date = HeaderValue::from_static("Wed, 21 Oct 2026 07:28:00 GMT");
        assert_eq!(retry_after(Some(&date)), None);
    }
}
