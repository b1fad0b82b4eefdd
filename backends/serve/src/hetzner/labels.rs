//! Labels, and selectors of labels (API reference, "Labels" and "Label Selector").

use super::fields::Fields;
use super::refusal::{Outcome, Refusal};
use serde_json::Value;
use std::collections::BTreeMap;

/// The labels of a thing.
pub(super) type Labels = BTreeMap<String, String>;

/// Reads the labels of a request; none where it does not speak of them.
pub(super) fn read(fields: &Fields) -> Outcome<Option<Labels>> {
    let Some(value) = fields.get("labels") else {
        return Ok(None);
    };
    let Value::Object(map) = value else {
        return fields.wrong("labels", "must be an object");
    };
    let mut labels = Labels::new();
    for (key, value) in map {
        let Value::String(value) = value else {
            return fields.wrong("labels", "values must be strings");
        };
        if !is_key(key) {
            return fields.wrong("labels", &format!("invalid label key '{key}'"));
        }
        if !is_value(value) {
            return fields.wrong("labels", &format!("invalid label value '{value}'"));
        }
        labels.insert(key.clone(), value.clone());
    }
    Ok(Some(labels))
}

/// An optional prefix of at most 253 characters, a slash, and a name of 1 to 63 characters.
fn is_key(key: &str) -> bool {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    let prefix = prefix.is_none_or(|prefix| {
        let own = prefix == "hetzner.cloud" || prefix.ends_with(".hetzner.cloud");
        let whole = !prefix.is_empty() && prefix.len() <= 253;
        whole && !own && prefix.split('.').all(is_word)
    });
    prefix && is_word(name)
}

fn is_value(value: &str) -> bool {
    value.is_empty() || is_word(value)
}

/// 1 to 63 letters, digits, dashes, underscores and dots; a letter or a digit at both ends.
fn is_word(word: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let ends = [word.bytes().next(), word.bytes().last()];
    let ends = ends
        .iter()
        .all(|end| end.is_some_and(|b| b.is_ascii_alphanumeric()));
    word.len() <= 63 && ends && word.bytes().all(inner)
}

/// Conditions that must all hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Selector(Vec<Condition>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Condition {
    In(String, Vec<String>),
    /// Also where there is no such label.
    NotIn(String, Vec<String>),
    Exists(String),
    Missing(String),
}

impl Selector {
    /// Reads `k==v`, `k=v`, `k!=v`, `k in (a,b)`, `k notin (a,b)`, `k`, `!k`, joined by commas.
    pub(super) fn parse(text: &str) -> Outcome<Self> {
        let wrong = || Refusal::invalid("label_selector", "is not a label selector");
        let conditions = pieces(text).into_iter().map(|piece| condition(&piece));
        conditions
            .collect::<Option<_>>()
            .map(Self)
            .ok_or_else(wrong)
    }

    pub(super) fn matches(&self, labels: &Labels) -> bool {
        self.0.iter().all(|condition| match condition {
            Condition::In(key, values) => labels.get(key).is_some_and(|v| values.contains(v)),
            Condition::NotIn(key, values) => !labels.get(key).is_some_and(|v| values.contains(v)),
            Condition::Exists(key) => labels.contains_key(key),
            Condition::Missing(key) => !labels.contains_key(key),
        })
    }
}

/// Splits at commas outside of parentheses.
fn pieces(text: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut depth = 0_u32;
    for c in text.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                pieces.push(String::new());
                continue;
            }
            _ => {}
        }
        pieces.last_mut().expect("there is one").push(c);
    }
    pieces
}

fn condition(piece: &str) -> Option<Condition> {
    let piece = piece.trim();
    let key = |text: &str| {
        let text = text.trim();
        is_key(text).then(|| text.to_owned())
    };
    let value = |text: &str| {
        let text = text.trim();
        is_value(text).then(|| vec![text.to_owned()])
    };
    if let Some((left, right)) = piece.split_once("!=") {
        return Some(Condition::NotIn(key(left)?, value(right)?));
    }
    if let Some((left, right)) = piece.split_once("==").or_else(|| piece.split_once('=')) {
        return Some(Condition::In(key(left)?, value(right)?));
    }
    if let Some(list) = piece.strip_suffix(')') {
        let (left, list) = list.split_once('(')?;
        let (name, word) = left.trim().rsplit_once(char::is_whitespace)?;
        let each = list.split(',').map(value);
        let values = each.collect::<Option<Vec<_>>>()?.concat();
        return match word {
            "in" => Some(Condition::In(key(name)?, values)),
            "notin" => Some(Condition::NotIn(key(name)?, values)),
            _ => None,
        };
    }
    match piece.strip_prefix('!') {
        Some(name) => key(name).map(Condition::Missing),
        None => key(piece).map(Condition::Exists),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_choose() {
        let labels: Labels = [("env", "prod"), ("example.com/tier", "web"), ("bare", "")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into();
        let cases = [
            ("env=prod", true),
            ("env==prod", true),
            ("env == prod", true),
            ("env=dev", false),
            ("env!=prod", false),
            ("env!=dev", true),
            ("missing!=dev", true),
            ("env in (dev, prod)", true),
            ("env in (dev,test)", false),
            ("env notin (dev,test)", true),
            ("env notin (prod)", false),
            ("env", true),
            ("missing", false),
            ("!missing", true),
            ("!env", false),
            ("bare=", true),
            ("example.com/tier=web,env in (prod,dev),!missing", true),
            ("example.com/tier=web,env in (test),!missing", false),
        ];
        for (text, chosen) in cases {
            let selector = Selector::parse(text).unwrap_or_else(|_| panic!("{text}"));
            assert_eq!(selector.matches(&labels), chosen, "{text}");
        }
        for text in [
            "",
            "env==",
            "a b",
            "env=(a)",
            "env of (a)",
            "=x",
            "a=b,,c",
            "env in (a",
        ] {
            let read = Selector::parse(text);
            assert_eq!(read.is_err(), text != "env==", "{text:?}");
        }
    }

    #[test]
    fn labels_have_a_form() {
        let long = "a".repeat(63);
        let longer = "a".repeat(64);
        for key in ["a", "a-b_c.d", "example.com/a", "quorate.dev/uid", &long] {
            assert!(is_key(key), "{key}");
        }
        for key in [
            "",
            "-a",
            "a-",
            "a/b/c",
            "/a",
            "a b",
            "hetzner.cloud/a",
            "ä",
            &longer,
        ] {
            assert!(!is_key(key), "{key}");
        }
        assert!(is_value("") && is_value(&long) && !is_value(&longer) && !is_value("a/b"));
    }
}
