//! Distance over the globe, and the round trip to be expected over it.
//!
//! Knows no measurement: the line through the measured rows is drawn here and proven by a test.

use super::Region;
use crate::time::Span;

/// The Earth's mean radius in km (IUGG).
const EARTH_RADIUS_KM: f64 = 6_371.0;

/// What a round trip between two regions costs before any distance, in ms.
///
/// With [`MS_PER_100_KM`] the least-squares line, by relative error, through the 361 `ping_avg`
/// rows of `rtt.csv` between different regions. Half of them lie within 16 % of it, nine of ten
/// within 41 %; the worst (India to Europe, 2020) took four times as long.
pub(super) const BASE_MS: f64 = 2.957;

/// What each 100 km of great circle add, in ms; light in a straight fibre needs 1.0.
pub(super) const MS_PER_100_KM: f64 = 1.574;

/// The great-circle distance in km, by the haversine formula.
pub(super) fn great_circle_km(a: &Region, b: &Region) -> f64 {
    let radians = |degrees: f64| degrees * std::f64::consts::PI / 180.0;
    let (lat_a, lat_b) = (radians(a.latitude), radians(b.latitude));
    let half_lat = libm::sin((lat_b - lat_a) / 2.0);
    let half_lon = libm::sin(radians(b.longitude - a.longitude) / 2.0);
    let chord = half_lat * half_lat + libm::cos(lat_a) * libm::cos(lat_b) * half_lon * half_lon;
    2.0 * EARTH_RADIUS_KM * libm::asin(libm::sqrt(chord.min(1.0)))
}

/// The round trip to be expected over a distance.
pub(super) fn expected(km: f64) -> Span {
    let ms = BASE_MS + MS_PER_100_KM * km / 100.0;
    Span::from_us(libm::round(ms * 1_000.0) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{region, rows};

    /// Kilometres and milliseconds of each averaged row between two regions.
    fn averages() -> Vec<(f64, f64)> {
        let file = include_str!("../../data/rtt.csv");
        let mut points = Vec::new();
        for [a_p, a_r, b_p, b_r, ms, _, statistic, _, _, _] in rows::of(file) {
            let a = region(rows::provider(a_p), a_r).expect("each row's place is known");
            let b = region(rows::provider(b_p), b_r).expect("each row's place is known");
            if statistic == "ping_avg" && (a_p, a_r) != (b_p, b_r) {
                points.push((great_circle_km(a, b), rows::number(ms)));
            }
        }
        points
    }

    #[test]
    fn the_line_is_the_one_that_fits_the_rows() {
        let points = averages();
        assert_eq!(points.len(), 361);
        let [mut w, mut x, mut y, mut xx, mut xy] = [0.0; 5];
        for (km, ms) in &points {
            let weight = 1.0 / (ms * ms);
            w += weight;
            x += weight * km;
            y += weight * ms;
            xx += weight * km * km;
            xy += weight * km * ms;
        }
        let slope = (w * xy - x * y) / (w * xx - x * x);
        let base = (y - slope * x) / w;
        println!("{base:.3} ms + {:.4} ms per 100 km", slope * 100.0);
        assert!((base - BASE_MS).abs() < 0.001, "{base}");
        assert!((slope * 100.0 - MS_PER_100_KM).abs() < 0.001, "{slope}");

        let off = |(km, ms): &(f64, f64)| ((BASE_MS + MS_PER_100_KM * km / 100.0) / ms - 1.0).abs();
        let mut residuals: Vec<f64> = points.iter().map(off).collect();
        residuals.sort_by(f64::total_cmp);
        let [half, most, worst] = [180, 324, 360].map(|i| residuals[i]);
        println!("relative residuals: p50 {half:.2}, p90 {most:.2}, worst {worst:.2}");
        assert!(half < 0.16 && most < 0.42 && worst < 0.80);
    }

    #[test]
    fn a_known_distance() {
        let place = |latitude, longitude| Region {
            name: "",
            zones: Vec::new(),
            latitude,
            longitude,
        };
        let paris_new_york = great_circle_km(&place(48.86, 2.35), &place(40.71, -74.01));
        assert!((paris_new_york - 5_837.0).abs() < 10.0, "{paris_new_york}");
        assert_eq!(expected(0.0), Span::from_us(2_957));
    }
}
