//! The round trip between two places: measured where a row says so, else expected from distance.
//!
//! Knows nothing of load or faults: a simulated network adds those.

use super::{distance, plain, region, rows};
use crate::manifest::ProviderKind;
use crate::time::Span;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// A round trip between two places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rtt {
    /// Its usual length.
    pub rtt: Span,
    /// Its mean deviation.
    pub jitter: Span,
    /// How well that is known.
    pub source: RttSource,
}

/// How well a round trip is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RttSource {
    /// By a measurement: in this month or day of the calendar.
    Measured {
        /// When, as `2020-06-05`.
        date: &'static str,
    },
    /// By the user's own measurement.
    Own,
    /// By distance, or by an unchecked figure.
    Estimated,
}

/// Two machines in one zone, where no row says better: etcd.io reckons with less than a
/// millisecond in one data centre, and the measured rows lie between 0.1 and 0.4 ms.
pub const WITHIN_ZONE: Rtt = estimated(Span::from_us(500), Span::from_us(100));

/// Two machines in different zones of one region: towns apart, so more than inside a zone, and in
/// the low milliseconds that the large providers design for.
pub const BETWEEN_ZONES: Rtt = estimated(Span::from_ms(1), Span::from_us(100));

/// Between two places of which one is unknown (a rack, a private cloud): the middle of the 10 to
/// 40 ms that places of one continent have.
pub const UNKNOWN_PLACE: Rtt = estimated(Span::from_ms(25), Span::from_ms(1));

const fn estimated(rtt: Span, jitter: Span) -> Rtt {
    Rtt {
        rtt,
        jitter,
        source: RttSource::Estimated,
    }
}

/// The jitter of a round trip whose jitter nobody measured: the median of the measured rows
/// (0.45 ms), and on long ways the 90th percentile of their jitter per round trip (1.4 %).
pub(super) fn usual_jitter(rtt: Span) -> Span {
    Span::from_us(450).max(Span(rtt.0 / 1_000 * 14))
}

pub(super) type Pair = (Place, Place);
type Place = (ProviderKind, String);

/// Rows by unordered pair of places, the smaller one first.
static ROWS: LazyLock<BTreeMap<Pair, Rtt>> = LazyLock::new(|| {
    let ms = |field| Span::from_us(libm::round(rows::number(field) * 1_000.0) as u64);
    let mut known = BTreeMap::new();
    for [
        a_provider,
        a_region,
        b_provider,
        b_region,
        rtt,
        jitter,
        _,
        date,
        _,
        evidence,
    ] in rows::of(include_str!("../../data/rtt.csv"))
    {
        let a = (rows::provider(a_provider), a_region.to_owned());
        let b = (rows::provider(b_provider), b_region.to_owned());
        let rtt = ms(rtt);
        let row = Rtt {
            rtt,
            jitter: match jitter {
                "" => usual_jitter(rtt).min(rtt),
                measured => ms(measured),
            },
            source: match evidence {
                "read" => RttSource::Measured { date },
                _ => RttSource::Estimated,
            },
        };
        let before = known.insert(ordered(a, b), row);
        assert!(before.is_none(), "a pair of regions stands once");
    }
    known
});

pub(super) fn ordered(a: Place, b: Place) -> Pair {
    if a <= b { (a, b) } else { (b, a) }
}

/// The round trip between machines in two regions, the same in both directions.
///
/// An exact row if there is one; in the same region [`WITHIN_ZONE`]; else by the great circle
/// between the two; [`UNKNOWN_PLACE`] if either is not in the catalogue.
#[must_use]
pub fn rtt(a: (ProviderKind, &str), b: (ProviderKind, &str)) -> Rtt {
    let place = |(kind, name): (ProviderKind, &str)| (kind, plain(name));
    let pair = ordered(place(a), place(b));
    if let Some(row) = ROWS.get(&pair) {
        return *row;
    }
    if pair.0 == pair.1 {
        return WITHIN_ZONE;
    }
    let (Some(a), Some(b)) = (region(a.0, a.1), region(b.0, b.1)) else {
        return UNKNOWN_PLACE;
    };
    let rtt = distance::expected(distance::great_circle_km(a, b));
    estimated(rtt, usual_jitter(rtt))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ProviderKind::{Aws, Azure, Gcp, Hetzner, Static};

    #[test]
    fn rows_come_first_and_have_no_direction() {
        let there = rtt((Aws, "eu-central-1"), (Aws, "us-east-1"));
        assert_eq!(there, rtt((Aws, "us-east-1"), (Aws, "eu-central-1")));
        assert_eq!(there.rtt.as_ms(), 85);
        assert_eq!(there.source, RttSource::Measured { date: "2020-06-05" });
        let azure = rtt((Azure, "Germany West Central"), (Azure, "westeurope"));
        assert_eq!(azure.rtt, Span::from_ms(14));
        assert_eq!(azure.source, RttSource::Measured { date: "2026-07-30" });
    }

    #[test]
    fn unchecked_rows_are_estimates() {
        let near = rtt((Aws, "eu-central-1"), (Gcp, "europe-west3"));
        assert_eq!(near.rtt, Span::from_us(1_500));
        assert_eq!(near.source, RttSource::Estimated);
        assert!(near.jitter <= near.rtt);
    }

    #[test]
    fn without_a_row_distance_decides() {
        // Falkenstein to Frankfurt, 263 km.
        let near = rtt((Hetzner, "fsn1"), (Gcp, "europe-west3"));
        assert_eq!(near.rtt.as_ms(), 7);
        let far = rtt((Hetzner, "fsn1"), (Gcp, "us-west1"));
        assert!((120..160).contains(&far.rtt.as_ms()), "{}", far.rtt);
        assert!(far.jitter > near.jitter);
    }

    #[test]
    fn the_same_and_the_unknown_place() {
        assert_eq!(rtt((Hetzner, "fsn1"), (Hetzner, "fsn1")), WITHIN_ZONE);
        assert_eq!(rtt((Static, "rack"), (Static, "rack")), WITHIN_ZONE);
        assert_eq!(rtt((Static, "rack"), (Hetzner, "fsn1")), UNKNOWN_PLACE);
        let inside = rtt((Aws, "eu-central-1"), (Aws, "eu-central-1"));
        assert_eq!(inside.rtt, Span::from_us(121));
    }
}
