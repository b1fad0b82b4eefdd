//! The fields of a request's body, each judged as it is read.
//!
//! Fields that nobody reads are ignored, as the vendor does.

use super::refusal::{Outcome, Refusal};
use ipnet::Ipv4Net;
use serde_json::{Map, Value};
use std::net::Ipv4Addr;

/// An object of a request's body.
#[derive(Debug, Clone)]
pub(super) struct Fields {
    map: Map<String, Value>,
    /// Before the names of its fields in messages.
    prefix: String,
}

impl Fields {
    /// Reads a body; none counts as an empty object.
    pub(super) fn read(body: &[u8]) -> Outcome<Self> {
        let map = match serde_json::from_slice(body) {
            _ if body.is_empty() => Map::new(),
            Ok(Value::Object(map)) => map,
            Ok(_) | Err(_) => {
                let what = "invalid json in request";
                return Err(Refusal::new(400, "json_error", what));
            }
        };
        let prefix = String::new();
        Ok(Self { map, prefix })
    }

    /// The field's name in messages.
    pub(super) fn full(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    pub(super) fn wrong<T>(&self, name: &str, why: &str) -> Outcome<T> {
        Err(Refusal::invalid(&self.full(name), why))
    }

    /// The field, where it is there and not null.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    fn must<T>(&self, name: &str, found: Option<T>) -> Outcome<T> {
        found.map_or_else(|| self.wrong(name, "is missing"), Ok)
    }

    fn typed<'a, T>(
        &'a self,
        name: &str,
        what: &str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Outcome<Option<T>> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        match read(value) {
            Some(read) => Ok(Some(read)),
            None => self.wrong(name, what),
        }
    }

    pub(super) fn maybe_text(&self, name: &str) -> Outcome<Option<&str>> {
        self.typed(name, "must be a string", Value::as_str)
    }

    pub(super) fn text(&self, name: &str) -> Outcome<&str> {
        self.maybe_text(name)
            .and_then(|found| self.must(name, found))
    }

    pub(super) fn maybe_number(&self, name: &str) -> Outcome<Option<u64>> {
        self.typed(name, "must be an integer", Value::as_u64)
    }

    pub(super) fn number(&self, name: &str) -> Outcome<u64> {
        self.maybe_number(name)
            .and_then(|found| self.must(name, found))
    }

    pub(super) fn flag(&self, name: &str, default: bool) -> Outcome<bool> {
        let found = self.typed(name, "must be a boolean", Value::as_bool)?;
        Ok(found.unwrap_or(default))
    }

    pub(super) fn list(&self, name: &str) -> Outcome<&[Value]> {
        let found = self.typed(name, "must be an array", Value::as_array)?;
        Ok(found.map_or(&[], Vec::as_slice))
    }

    /// An array that must be there.
    pub(super) fn given_list(&self, name: &str) -> Outcome<&[Value]> {
        self.must(name, self.get(name))?;
        self.list(name)
    }

    /// An array of ids.
    pub(super) fn numbers(&self, name: &str) -> Outcome<Vec<u64>> {
        let each = self.list(name)?.iter().map(|value| {
            value
                .as_u64()
                .map_or_else(|| self.wrong(name, "must hold integers"), Ok)
        });
        each.collect()
    }

    /// An array of texts.
    pub(super) fn texts(&self, name: &str) -> Outcome<Vec<String>> {
        let each = self.list(name)?.iter().map(|value| match value.as_str() {
            Some(text) => Ok(text.to_owned()),
            None => self.wrong(name, "must hold strings"),
        });
        each.collect()
    }

    /// An object within.
    pub(super) fn object(&self, name: &str) -> Outcome<Option<Self>> {
        let found = self.typed(name, "must be an object", Value::as_object)?;
        Ok(found.map(|map| Self {
            map: map.clone(),
            prefix: format!("{}.", self.full(name)),
        }))
    }

    /// The objects of an array.
    pub(super) fn objects(&self, name: &str) -> Outcome<Vec<Self>> {
        let each = self.list(name)?.iter().enumerate();
        let each = each.map(|(at, value)| match value {
            Value::Object(map) => Ok(Self {
                map: map.clone(),
                prefix: format!("{}.{at}.", self.full(name)),
            }),
            _ => self.wrong(name, "must hold objects"),
        });
        each.collect()
    }

    pub(super) fn maybe_address(&self, name: &str) -> Outcome<Option<Ipv4Addr>> {
        let Some(text) = self.maybe_text(name)? else {
            return Ok(None);
        };
        match text.parse() {
            Ok(address) => Ok(Some(address)),
            Err(_) => self.wrong(name, "must be an IPv4 address"),
        }
    }

    pub(super) fn maybe_block(&self, name: &str) -> Outcome<Option<Ipv4Net>> {
        let Some(text) = self.maybe_text(name)? else {
            return Ok(None);
        };
        let Ok(block) = text.parse::<Ipv4Net>() else {
            return self.wrong(name, "must be an IPv4 network in CIDR notation");
        };
        if block.trunc() != block {
            let why = format!(
                "{block} is not the start of the cidr block {}",
                block.trunc()
            );
            return self.wrong(name, &why);
        }
        Ok(Some(block))
    }

    pub(super) fn block(&self, name: &str) -> Outcome<Ipv4Net> {
        self.maybe_block(name)
            .and_then(|found| self.must(name, found))
    }

    /// A name that is not a host's: up to so many characters.
    pub(super) fn name(&self, longest: usize) -> Outcome<String> {
        let name = self.text("name")?;
        if name.is_empty() || name.chars().count() > longest {
            let why = format!("must have 1 to {longest} characters");
            return self.wrong("name", &why);
        }
        Ok(name.to_owned())
    }
}
