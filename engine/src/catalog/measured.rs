//! Round trips that the user measured: rows in the form of this crate's own `rtt.csv`.
//!
//! Text comes in and rows go out, with every mistake at once; files are somebody else's. How it is
//! measured is not known here, either.

use super::rtt::{Pair, Rtt, RttSource, rtt, usual_jitter};
use super::{plain, rows};
use crate::manifest::{Distance, Place, ProviderKind};
use crate::time::Span;
use crate::units::Duration;
use std::collections::BTreeMap;
use std::fmt;

/// The columns, as in `data/rtt.csv`.
pub const COLUMNS: &str =
    "a_provider,a_region,b_provider,b_region,rtt_ms,jitter_ms,statistic,date,source,evidence";

/// No two places on Earth are farther apart than this: etcd's own limit of a round trip
/// (etcd.io, "Tuning"), which several geostationary satellites in a row stay below.
const LONGEST: Span = Span::from_secs(5);

/// Round trips between places: measured ones first, then the catalogue's.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Distances {
    rows: BTreeMap<Pair, Rtt>,
}

impl Distances {
    /// With these rows before all others; of two for one pair the later one counts.
    #[must_use]
    pub fn of(rows: &[Distance]) -> Self {
        let row = |row: &Distance| {
            let round = Rtt {
                rtt: row.rtt.0,
                jitter: row.jitter.map_or_else(|| usual_jitter(row.rtt.0), |j| j.0),
                source: RttSource::Own,
            };
            (row.pair(), round)
        };
        Self {
            rows: rows.iter().map(row).collect(),
        }
    }

    /// The round trip between machines in two regions, the same in both directions: see
    /// [`rtt`](fn@super::rtt) for where no row says it.
    #[must_use]
    pub fn rtt(&self, a: (ProviderKind, &str), b: (ProviderKind, &str)) -> Rtt {
        self.measured(a, b).unwrap_or_else(|| rtt(a, b))
    }

    /// The round trip of a row.
    #[must_use]
    pub fn measured(&self, a: (ProviderKind, &str), b: (ProviderKind, &str)) -> Option<Rtt> {
        if self.rows.is_empty() {
            return None;
        }
        self.rows.get(&pair(a, b)).copied()
    }
}

fn pair(a: (ProviderKind, &str), b: (ProviderKind, &str)) -> Pair {
    let place = |(kind, name): (ProviderKind, &str)| (kind, plain(name));
    super::rtt::ordered(place(a), place(b))
}

impl Distance {
    /// Its places, the smaller one first: a pair of places has one distance.
    #[must_use]
    pub fn pair(&self) -> ((ProviderKind, String), (ProviderKind, String)) {
        let [a, b] = &self.between;
        pair((a.kind, &a.region), (b.kind, &b.region))
    }

    /// As a line of the file.
    #[must_use]
    pub fn line(&self) -> String {
        let [a, b] = &self.between;
        let jitter = self.jitter.map_or_else(String::new, |jitter| ms(jitter.0));
        [
            rows::name(a.kind),
            a.region.clone(),
            rows::name(b.kind),
            b.region.clone(),
            ms(self.rtt.0),
            jitter,
            self.statistic.clone(),
            self.date.clone(),
            self.source.clone(),
            "measured".to_owned(),
        ]
        .join(",")
    }
}

/// `12.345`: milliseconds.
fn ms(span: Span) -> String {
    let us = span.0 / 1_000;
    format!("{}.{:03}", us / 1_000, us % 1_000)
}

/// A row that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRow {
    /// From 1, the header included.
    pub line: usize,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub fix: String,
}

impl fmt::Display for BadRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

/// Reads a file with the columns of `rtt.csv`.
///
/// # Errors
/// Every bad row, each with its line and its fix.
pub fn read_distances(text: &str) -> Result<Vec<Distance>, Vec<BadRow>> {
    let (mut rows, mut bad) = (Vec::new(), Vec::new());
    let mut known = BTreeMap::new();
    let mut lines = (1..).zip(text.lines().map(|line| line.trim_end_matches('\r')));
    let header = lines.next().map_or("", |(_, line)| line);
    if header.trim_start_matches('\u{feff}') != COLUMNS {
        bad.push(BadRow {
            line: 1,
            what: "the first line does not name the columns".to_owned(),
            fix: format!("write {COLUMNS}"),
        });
        return Err(bad);
    }
    for (line, text) in lines.filter(|(_, text)| !text.trim().is_empty()) {
        match row(text) {
            Ok(row) => match known.insert(row.pair(), line) {
                None => rows.push(row),
                Some(before) => bad.push(BadRow {
                    line,
                    what: format!("the same two places as in line {before}"),
                    fix: "keep one of the two: a pair of places has one round trip".to_owned(),
                }),
            },
            Err(found) => {
                bad.extend(
                    found
                        .into_iter()
                        .map(|(what, fix)| BadRow { line, what, fix }),
                )
            }
        }
    }
    if bad.is_empty() { Ok(rows) } else { Err(bad) }
}

type Wrong = (String, String);

fn row(text: &str) -> Result<Distance, Vec<Wrong>> {
    let fields: Vec<&str> = text.split(',').map(str::trim).collect();
    let [
        a,
        a_region,
        b,
        b_region,
        rtt,
        jitter,
        statistic,
        date,
        source,
        evidence,
    ] = fields[..]
    else {
        let what = format!("{} fields, and a row has 10", fields.len());
        return Err(vec![(what, "no field may hold a comma".to_owned())]);
    };
    let mut bad = Vec::new();
    let places = (place(a, a_region, &mut bad), place(b, b_region, &mut bad));
    let mut number = |column: &str, text: &str| {
        let found = milliseconds(text);
        if found.is_none() {
            let what = format!("{column} is `{text}`");
            let fix = format!("write milliseconds up to {}, like 12.5", LONGEST.as_ms());
            bad.push((what, fix));
        }
        found
    };
    let rtt = number("rtt_ms", rtt);
    let jitter = (!jitter.is_empty()).then(|| number("jitter_ms", jitter));
    if rtt == Some(Span::ZERO) {
        bad.push((
            "a round trip of nothing".to_owned(),
            "write what was measured, like 0.080".to_owned(),
        ));
    }
    // What somebody just knows has no day.
    let known = date.is_empty() && evidence == "general knowledge";
    if !is_date(date) && !known {
        bad.push((
            format!("date is `{date}`"),
            "write the day, like 2026-11-22".to_owned(),
        ));
    }
    if !["measured", "read", "general knowledge"].contains(&evidence) {
        bad.push((
            format!("evidence is `{evidence}`"),
            "write `measured`, `read` or `general knowledge`".to_owned(),
        ));
    }
    let ((Some(a), Some(b)), Some(rtt), true) = (places, rtt, bad.is_empty()) else {
        return Err(bad);
    };
    Ok(Distance {
        between: [a, b],
        rtt: Duration(rtt),
        jitter: jitter.flatten().map(Duration),
        statistic: statistic.to_owned(),
        date: date.to_owned(),
        source: source.to_owned(),
    })
}

/// A place; what is wrong with it goes to the rest.
fn place(kind: &str, region: &str, bad: &mut Vec<Wrong>) -> Option<Place> {
    let found = rows::kind(kind);
    if found.is_none() {
        let what = format!("`{kind}` is not a provider");
        bad.push((what, "write a `type` of a manifest's providers".to_owned()));
    }
    if region.is_empty() {
        bad.push((
            "a place without its region".to_owned(),
            "write the region, as manifests do".to_owned(),
        ));
    }
    found.map(|kind| Place {
        kind,
        region: region.to_owned(),
    })
}

fn milliseconds(text: &str) -> Option<Span> {
    let ms: f64 = text.parse().ok()?;
    let us = libm::round(ms * 1_000.0);
    let most = LONGEST.as_ms() as f64;
    (0.0..=most).contains(&ms).then(|| Span::from_us(us as u64))
}

/// `2026-11-22`.
fn is_date(text: &str) -> bool {
    let parts: Vec<_> = text.split('-').collect();
    let number = |text: &str, length: usize, range: std::ops::RangeInclusive<u32>| {
        text.len() == length && text.parse().is_ok_and(|number| range.contains(&number))
    };
    match parts[..] {
        [year, month, day] => {
            number(year, 4, 1970..=9999) && number(month, 2, 1..=12) && number(day, 2, 1..=31)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ProviderKind::{Aws, Azure, Hetzner, Static};

    const GOOD: &str = "hetzner,fsn1,aws,eu-central-1,7.250,0.310,p50,2026-11-22,measured,measured";

    fn file(rows: &[&str]) -> String {
        [&[COLUMNS], rows, &[""]].concat().join("\n")
    }

    #[test]
    fn measured_rows_come_before_the_catalogue_s() {
        let rows = read_distances(&file(&[
            GOOD,
            "static,rack,hetzner,fsn1,31,,p50,2026-11-22,measured,measured",
            "azure,Germany West Central,azure,germanywestcentral,0.9,0.1,p50,2026-11-22,me,read",
        ]))
        .unwrap();
        let own = Distances::of(&rows);
        let here = own.rtt((Aws, "eu-central-1"), (Hetzner, "fsn1"));
        assert_eq!(
            (here.rtt, here.jitter),
            (Span::from_us(7_250), Span::from_us(310))
        );
        assert_eq!(here.source, RttSource::Own);
        assert_eq!(
            own.rtt((Hetzner, "fsn1"), (Static, "rack")).rtt,
            Span::from_ms(31)
        );
        let inside = own.rtt((Azure, "germanywestcentral"), (Azure, "germanywestcentral"));
        assert_eq!(inside.rtt, Span::from_us(900));
        let other = ((Aws, "eu-central-1"), (Aws, "us-east-1"));
        assert_eq!(own.rtt(other.0, other.1), rtt(other.0, other.1));
        assert_eq!(own.measured(other.0, other.1), None);
    }

    #[test]
    fn a_row_is_written_as_it_is_read() {
        let rows = read_distances(&file(&[GOOD])).unwrap();
        assert_eq!(rows[0].line(), GOOD);
        let without = "aws,eu-central-1,aws,eu-central-1,0.080,,p50,2026-11-22,x,measured";
        assert_eq!(
            read_distances(&file(&[without])).unwrap()[0].line(),
            without
        );
    }

    #[test]
    fn the_catalogue_s_own_file_is_of_this_form() {
        let own = include_str!("../../data/rtt.csv");
        assert_eq!(read_distances(own).map(|rows| rows.len()), Ok(480));
    }

    #[test]
    fn every_bad_row_is_named_with_its_line_and_a_fix() {
        let text = file(&[
            GOOD,
            "hetzner,fsn1,aws",
            "hetnzer,fsn1,aws,,-1,x,p50,22.11.2026,measured,measured",
            "aws,eu-central-1,hetzner,FSN1,8,,p50,2026-11-22,measured,measured",
            "aws,a,aws,b,0,,p50,2026-13-01,measured,guessed",
            "aws,a,aws,b,5001,nan,p50,2026-12-01,measured,measured",
        ]);
        let bad = read_distances(&text).unwrap_err();
        let said: Vec<_> = bad.iter().map(ToString::to_string).collect();
        let expected = [
            "line 3: 3 fields, and a row has 10",
            "line 4: `hetnzer` is not a provider",
            "line 4: a place without its region",
            "line 4: rtt_ms is `-1`",
            "line 4: jitter_ms is `x`",
            "line 4: date is `22.11.2026`",
            "line 5: the same two places as in line 2",
            "line 6: a round trip of nothing",
            "line 6: date is `2026-13-01`",
            "line 6: evidence is `guessed`",
            "line 7: rtt_ms is `5001`",
            "line 7: jitter_ms is `nan`",
        ];
        assert_eq!(said, expected);
        assert!(bad.iter().all(|row| !row.fix.is_empty()));
        let none = read_distances("").unwrap_err();
        assert_eq!(none[0].line, 1);
    }
}
