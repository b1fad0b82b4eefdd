//! Drift: where a thing at a provider is not what its label says it was made from.
//!
//! Compares text with text, field by field. Knows nothing of what a field means.

use crate::resource::Spec;
use crate::seam::Seen;
use serde::{Deserialize, Serialize};
use std::fmt;

/// One field that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    /// The field of the spec.
    pub field: String,
    /// As the manifest wants it.
    pub wanted: String,
    /// As the provider shows it.
    pub seen: String,
}

/// `public_ports is [22], should be [80]`.
impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} is {}, should be {}",
            self.field, self.seen, self.wanted
        )
    }
}

/// The fields in which a thing differs from its spec, in order of name. Fields that its provider
/// does not show are not judged.
///
/// # Panics
/// Never: a spec is plain data.
#[must_use]
pub fn drift(spec: &Spec, seen: &Seen) -> Vec<Drift> {
    let wanted = serde_json::to_value(spec).expect("a spec is plain data");
    let text = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let differs = |(field, seen): (&String, &String)| {
        let wanted = text(wanted.get(field)?);
        (wanted != *seen).then(|| Drift {
            field: field.clone(),
            wanted,
            seen: seen.clone(),
        })
    };
    seen.fields.iter().filter_map(differs).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::{Kind, ResourceId};
    use crate::seam::MachineState;

    #[test]
    fn only_what_is_shown_and_differs_is_drift() {
        let spec = Spec::Firewall {
            region: "fsn1".to_owned(),
            mesh_port: 51_820,
            public_ports: vec![80, 443],
        };
        let shown = [
            ("region", "fsn1"),
            ("mesh_port", "51820"),
            ("public_ports", "[80,443,8080]"),
            ("colour", "red"),
        ];
        let fields = shown.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let seen = Seen {
            id: ResourceId::new("shop/firewall.a/fsn1"),
            kind: Kind::Firewall,
            external: String::new(),
            fingerprint: spec.fingerprint(),
            state: MachineState::Running,
            address: None,
            private: None,
            host_key: None,
            fields: fields.into(),
        };
        let found: Vec<_> = drift(&spec, &seen).iter().map(Drift::to_string).collect();
        assert_eq!(found, ["public_ports is [80,443,8080], should be [80,443]"]);
    }
}
