//! Records as a command line gives them: `www A 192.0.2.1 300`.

use super::{File, RecordFile, RecordKind, ZoneFile};
use quorate_engine::units::Duration;
use std::collections::BTreeMap;

/// How a record is to be written.
const FORM: &str = "write it like `www A 192.0.2.1` or `www A 192.0.2.1 300`";

/// A file of one zone. Records of one name and type become one record set, whose time is the least
/// that is given.
///
/// # Errors
/// What is wrong with a record, and how it is written.
pub fn from_lines(zone: &str, servers: &[String], records: &[String]) -> Result<File, String> {
    let mut sets: Vec<RecordFile> = Vec::new();
    for text in records {
        let record = read(text).map_err(|why| format!("--record '{text}': {why}"))?;
        let same = |set: &&mut RecordFile| {
            set.kind == record.kind && set.name.eq_ignore_ascii_case(&record.name)
        };
        match sets.iter_mut().find(same) {
            Some(set) => {
                set.ttl = [set.ttl, record.ttl].into_iter().flatten().min();
                set.values.extend(record.values);
            }
            None => sets.push(record),
        }
    }
    let zone = ZoneFile {
        zone: zone.to_owned(),
        name_servers: servers.to_vec(),
        records: sets,
        ..ZoneFile::default()
    };
    Ok(File {
        zones: vec![zone],
        ..File::default()
    })
}

fn read(text: &str) -> Result<RecordFile, String> {
    let form = || FORM.to_owned();
    let (name, rest) = text
        .trim()
        .split_once(char::is_whitespace)
        .ok_or_else(form)?;
    let (kind, rest) = rest
        .trim()
        .split_once(char::is_whitespace)
        .ok_or_else(form)?;
    let kind: RecordKind = serde_json::from_value(kind.to_ascii_uppercase().into())
        .map_err(|_| format!("`{kind}` is no type that can be served; {FORM}"))?;
    let (value, ttl) = split(kind, rest.trim());
    let ttl = match ttl {
        None => None,
        Some(ttl) => Some(time(ttl).ok_or_else(|| format!("`{ttl}` is no TTL; {FORM}"))?),
    };
    Ok(RecordFile {
        name: name.to_owned(),
        kind,
        ttl,
        values: vec![value.to_owned()],
        check: None,
        labels: BTreeMap::new(),
    })
}

/// The value, and what stands behind it.
fn split(kind: RecordKind, text: &str) -> (&str, Option<&str>) {
    let words = match kind {
        RecordKind::A | RecordKind::Aaaa | RecordKind::Cname => 1,
        RecordKind::Mx => 2,
        RecordKind::Caa => 3,
        RecordKind::Srv => 4,
        RecordKind::Txt => return behind_quotes(text),
    };
    let ends = text
        .char_indices()
        .filter(|(at, c)| c.is_whitespace() && !text[..*at].ends_with(char::is_whitespace));
    match ends.map(|(at, _)| at).nth(words - 1) {
        Some(at) => (&text[..at], Some(text[at..].trim())),
        None => (text, None),
    }
}

/// Text without quotes is all value.
fn behind_quotes(text: &str) -> (&str, Option<&str>) {
    match text.rfind('"') {
        Some(at) if !text[at + 1..].trim().is_empty() => {
            (&text[..=at], Some(text[at + 1..].trim()))
        }
        Some(_) | None => (text, None),
    }
}

/// Seconds, or a duration with its unit.
fn time(text: &str) -> Option<Duration> {
    let seconds = text.bytes().all(|byte| byte.is_ascii_digit());
    let text = if seconds {
        format!("{text}s")
    } else {
        text.to_owned()
    };
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_record_sets() {
        let lines = [
            "www A 192.0.2.1",
            "WWW a   192.0.2.2   300",
            "www AAAA 2001:db8::1 5m",
            "@ MX 10 mail.example.test 60",
            "t TXT \"one two\" \"three\" 7",
            "_s._tcp SRV 0 5 443 www",
        ];
        let lines: Vec<_> = lines.iter().map(|&line| line.to_owned()).collect();
        let file = from_lines("example.test", &["ns1.example.test".to_owned()], &lines).unwrap();
        let sets = &file.zones[0].records;
        let shown: Vec<_> = sets
            .iter()
            .map(|set| {
                (
                    set.name.as_str(),
                    set.values.join(" | "),
                    set.ttl.map(|t| t.to_string()),
                )
            })
            .collect();
        let shown: Vec<_> = shown
            .iter()
            .map(|(n, v, t)| (*n, v.as_str(), t.as_deref()))
            .collect();
        let meant = [
            ("www", "192.0.2.1 | 192.0.2.2", Some("5m")),
            ("www", "2001:db8::1", Some("5m")),
            ("@", "10 mail.example.test", Some("1m")),
            ("t", "\"one two\" \"three\"", Some("7s")),
            ("_s._tcp", "0 5 443 www", None),
        ];
        assert_eq!(shown, meant);
        assert!(super::super::build(&file).is_ok());
    }

    #[test]
    fn what_is_wrong_is_told_with_the_line() {
        let cases = [
            ("www", "write it like"),
            ("www NS ns1", "`NS` is no type"),
            ("www A 192.0.2.1 soon", "`soon` is no TTL"),
        ];
        for (line, said) in cases {
            let refused = from_lines("example.test", &[], &[line.to_owned()]).unwrap_err();
            assert!(
                refused.contains(said) && refused.contains(line),
                "{refused}"
            );
        }
    }
}
