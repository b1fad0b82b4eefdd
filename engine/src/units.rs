//! Units as people write them in manifests and scenarios: `60s`, `512Mi`, `500m`, `50/s`, `99.95%`.
//!
//! Each is a small integer inside; text is read and written at the edge only.

use crate::time::Span;
use ipnet::Ipv4Net;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::borrow::Cow;
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// Why a text is not the unit it should be. The message names what was expected, with an example.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UnitError(String);

fn bad(text: &str, what: &str, example: &str) -> UnitError {
    let text = crate::yaml::shown(text);
    UnitError(format!("{text} is not {what}: write it like {example}"))
}

/// Splits `12.5ms` into its number and its suffix.
fn split(text: &str) -> Option<(f64, &str)> {
    let at = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(text.len());
    let number: f64 = text[..at].parse().ok()?;
    (number.is_finite()).then_some((number, text[at..].trim()))
}

/// A length of time: `250ms`, `60s`, `5m`, `2h`, `1h30m`, or `0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Duration(pub Span);

impl FromStr for Duration {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let fail = || bad(text, "a duration", "`250ms`, `60s`, `5m`, `1h30m`");
        let mut rest = text.trim();
        let mut total = 0u64;
        if rest.is_empty() {
            return Err(fail());
        }
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'));
            let at = digits.unwrap_or(rest.len());
            let (number, unit) = rest.split_at(at);
            let end = unit
                .find(|c: char| c.is_ascii_digit())
                .unwrap_or(unit.len());
            let number: f64 = number.parse().map_err(|_| fail())?;
            let factor = match unit[..end].trim() {
                "ns" => 1.0,
                "us" => 1e3,
                "ms" => 1e6,
                "s" => 1e9,
                "m" => 60e9,
                "h" => 3_600e9,
                "d" => 86_400e9,
                "" if number == 0.0 => 1.0,
                _ => return Err(fail()),
            };
            total = total.saturating_add((number * factor) as u64);
            rest = &unit[end..];
        }
        Ok(Self(Span(total)))
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ns = self.0.0;
        let units = [
            (86_400_000_000_000, "d"),
            (3_600_000_000_000, "h"),
            (60_000_000_000, "m"),
        ];
        for (size, unit) in units
            .into_iter()
            .chain([(1_000_000_000, "s"), (1_000_000, "ms")])
        {
            if ns != 0 && ns.is_multiple_of(size) {
                return write!(f, "{}{unit}", ns / size);
            }
        }
        if ns == 0 {
            f.write_str("0s")
        } else {
            write!(f, "{ns}ns")
        }
    }
}

/// CPU in thousandths of a core: `500m`, `2`, `0.5`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Cpu(pub u64);

impl FromStr for Cpu {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        match split(text.trim()) {
            Some((n, "m")) => Ok(Self(n as u64)),
            Some((n, "")) => Ok(Self((n * 1_000.0) as u64)),
            _ => Err(bad(text, "a CPU quantity", "`500m` or `2`")),
        }
    }
}

impl fmt::Display for Cpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_multiple_of(1_000) {
            write!(f, "{}", self.0 / 1_000)
        } else {
            write!(f, "{}m", self.0)
        }
    }
}

/// An amount of memory or disk in bytes: `512Mi`, `100Gi`, `1T`, `4096`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Bytes(pub u64);

const BYTE_UNITS: [(&str, u64); 9] = [
    ("Ti", 1 << 40),
    ("T", 1_000_000_000_000),
    ("Gi", 1 << 30),
    ("G", 1_000_000_000),
    ("Mi", 1 << 20),
    ("M", 1_000_000),
    ("Ki", 1 << 10),
    ("k", 1_000),
    ("", 1),
];

impl FromStr for Bytes {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let fail = || bad(text, "an amount of bytes", "`512Mi` or `100Gi`");
        let (n, unit) = split(text.trim()).ok_or_else(fail)?;
        let (_, size) = BYTE_UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .ok_or_else(fail)?;
        Ok(Self((n * *size as f64) as u64))
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |(_, size): &&(&str, u64)| self.0 != 0 && self.0.is_multiple_of(*size);
        let (unit, size) = BYTE_UNITS.iter().find(fits).unwrap_or(&("", 1));
        write!(f, "{}{unit}", self.0 / size)
    }
}

/// A rate in thousandths per second: `50/s`, `3/m`, `0.5/s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Rate(pub u64);

impl FromStr for Rate {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let per = match split(text.trim()) {
            Some((n, "/s")) => n * 1_000.0,
            Some((n, "/m")) => n * 1_000.0 / 60.0,
            Some((n, "/h")) => n * 1_000.0 / 3_600.0,
            _ => return Err(bad(text, "a rate", "`50/s` or `3/m`")),
        };
        Ok(Self(per as u64))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", self.0 as f64 / 1_000.0)
    }
}

/// A share in millionths: `99.95%` is 999,500.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Percent(pub u64);

impl Percent {
    /// As a fraction of one.
    #[must_use]
    pub fn fraction(self) -> f64 {
        self.0 as f64 / 1e6
    }
}

impl FromStr for Percent {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        match split(text.trim()) {
            Some((n, "%")) if n <= 100.0 => Ok(Self(libm::round(n * 10_000.0) as u64)),
            _ => Err(bad(text, "a percentage up to 100%", "`99.95%`")),
        }
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0 as f64 / 10_000.0)
    }
}

/// A block of IPv4 addresses: `10.88.0.0/16`. The address is the first of the block.
///
/// Manifests hold [`Ipv4Net`]; this is what describes and checks its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cidr(pub Ipv4Net);

impl FromStr for Cidr {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        if let Ok(net) = text.parse::<Ipv4Net>() {
            if net.addr() == net.network() {
                return Ok(Self(net));
            }
            let first = net.trunc();
            return Err(UnitError(format!(
                "`{text}` begins inside its block: write `{first}`"
            )));
        }
        if text.parse::<Ipv4Addr>().is_ok() {
            return Err(UnitError(format!(
                "`{text}` has no prefix length: write it like `{text}/24`"
            )));
        }
        Err(bad(text, "a block of IPv4 addresses", "`10.88.0.0/16`"))
    }
}

impl JsonSchema for Cidr {
    fn schema_name() -> Cow<'static, str> {
        "Cidr".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": r"^([0-9]{1,3}\.){3}[0-9]{1,3}/[0-9]{1,2}$",
            "examples": ["10.88.0.0/16"],
        })
    }
}

/// A scalar that YAML may hand over as text or as a bare number.
#[derive(Deserialize)]
#[serde(untagged)]
enum Scalar {
    Text(String),
    Whole(u64),
    Float(f64),
}

macro_rules! unit {
    ($type:ident, $name:literal, $example:literal, $pattern:literal, $types:tt) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = match Scalar::deserialize(deserializer)? {
                    Scalar::Text(text) => text,
                    Scalar::Whole(n) => n.to_string(),
                    Scalar::Float(n) => n.to_string(),
                };
                text.parse().map_err(de::Error::custom)
            }
        }
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": $types, "pattern": $pattern, "examples": [$example] })
            }
        }
    };
}

unit!(
    Duration,
    "Duration",
    "60s",
    r"^(0|([0-9.]+(ns|us|ms|s|m|h|d))+)$",
    ["string", "integer"]
);
unit!(Cpu, "Cpu", "500m", r"^[0-9.]+m?$", ["string", "number"]);
unit!(
    Bytes,
    "Bytes",
    "100Gi",
    r"^[0-9.]+([KMGT]i|[kMGT])?$",
    ["string", "integer"]
);
unit!(Rate, "Rate", "50/s", r"^[0-9.]+/[smh]$", "string");
unit!(Percent, "Percent", "99.95%", r"^[0-9.]+%$", "string");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read_as_people_write_them() {
        let span = |text: &str| text.parse::<Duration>().map(|d| d.0.as_ms());
        assert_eq!(span("250ms"), Ok(250));
        assert_eq!(span("1h30m"), Ok(5_400_000));
        assert_eq!(span("0"), Ok(0));
        assert!(span("60").is_err() && span("s").is_err() && span("-1s").is_err());
        assert_eq!("0.5".parse(), Ok(Cpu(500)));
        assert_eq!("250m".parse(), Ok(Cpu(250)));
        assert_eq!("1.5Gi".parse(), Ok(Bytes(3 << 29)));
        assert_eq!("30/m".parse(), Ok(Rate(500)));
        assert_eq!("99.95%".parse(), Ok(Percent(999_500)));
        assert!("101%".parse::<Percent>().is_err() && "5 GB".parse::<Bytes>().is_err());
    }

    #[test]
    fn a_block_of_addresses_begins_with_its_first_one() {
        let read = |text: &str| text.parse::<Cidr>().map(|c| c.0.to_string());
        assert_eq!(read("10.88.0.0/16"), Ok("10.88.0.0/16".to_owned()));
        for (text, fix) in [
            ("10.88.0.1/16", "`10.88.0.0/16`"),
            ("10.0.0.0", "`10.0.0.0/24`"),
            ("10.0.0.0/33", "`10.88.0.0/16`"),
            ("fd00::/8", "`10.88.0.0/16`"),
        ] {
            let message = read(text).unwrap_err().to_string();
            assert!(message.ends_with(fix), "{message}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for text in ["90s", "5m", "250ms", "2h", "0s"] {
            let read: Duration = text.parse().unwrap();
            assert_eq!(read.to_string().parse(), Ok(read), "{text}");
        }
        for text in ["512Mi", "100Gi", "1T", "17"] {
            assert_eq!(text.parse::<Bytes>().unwrap().to_string(), text);
        }
    }
}
