//! Rows of the catalogue's own CSV files, which hold no quote and no comma inside a field.
//!
//! The files are compiled in, so a bad row is a bug of ours and panics; of user files only the names
//! of providers come here.

use crate::manifest::ProviderKind;
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error, StrDeserializer};

/// The rows after the header, as many fields each as the caller takes apart.
pub(super) fn of<const N: usize>(file: &'static str) -> impl Iterator<Item = [&'static str; N]> {
    file.lines().skip(1).map(|line| {
        let fields: Vec<_> = line.split(',').collect();
        fields
            .try_into()
            .unwrap_or_else(|_| panic!("a row has {N} fields: {line}"))
    })
}

/// The kind of provider that a file names as a manifest does.
pub(super) fn provider(name: &'static str) -> ProviderKind {
    kind(name).expect("catalogue files name known providers")
}

/// The kind of provider of this name, if there is one.
pub(super) fn kind(name: &str) -> Option<ProviderKind> {
    let name: StrDeserializer<'_, Error> = name.into_deserializer();
    ProviderKind::deserialize(name).ok()
}

/// A kind of provider, as files and manifests name it.
pub(super) fn name(kind: ProviderKind) -> String {
    match serde_json::to_value(kind) {
        Ok(serde_json::Value::String(name)) => name,
        other => panic!("a kind is a name: {other:?}"),
    }
}

/// A number with a decimal point.
pub(super) fn number(field: &str) -> f64 {
    field.parse().expect("a numeric column holds numbers")
}
