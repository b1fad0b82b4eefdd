//! How a thing at a provider says whose it is and what it was made from.
//!
//! Names and values that every provider's rules for labels allow: at most 63 characters, no slash
//! in a value.

use crate::Owner;
use quorate_engine::resource::{Kind, ResourceId};
use quorate_engine::seam::Key;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

/// The cluster's name.
pub const CLUSTER: &str = "quorate.dev/cluster";
/// The cluster's identity: 16 hexadecimal digits.
pub const UID: &str = "quorate.dev/uid";
/// The provider instance, by its name in the manifest.
pub const PROVIDER: &str = "quorate.dev/provider";
/// The resource's id, with `_` for `/`.
pub const ID: &str = "quorate.dev/id";
/// Its kind.
pub const KIND: &str = "quorate.dev/kind";
/// The fingerprint of the spec it was made from: 16 hexadecimal digits.
pub const FINGERPRINT: &str = "quorate.dev/fingerprint";
/// The idempotency key of the call that made it: 16 hexadecimal digits.
pub const KEY: &str = "quorate.dev/key";

/// The labels of a thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    /// Whose it is.
    pub owner: Owner,
    /// Which resource.
    pub id: ResourceId,
    /// What it is.
    pub kind: Kind,
    /// Of the spec it was made from.
    pub fingerprint: u64,
    /// Of the call that made it.
    pub key: Key,
}

impl Labels {
    /// As names and values.
    #[must_use]
    pub fn pairs(&self) -> BTreeMap<String, String> {
        let kind = serde_json::to_value(self.kind).expect("a kind is plain data");
        let kind = kind.as_str().expect("a kind is a word").to_owned();
        let pairs = [
            (CLUSTER, self.owner.cluster.clone()),
            (UID, format!("{:016x}", self.owner.uid)),
            (PROVIDER, self.owner.provider.clone()),
            (ID, self.id.as_str().replace('/', "_")),
            (KIND, kind),
            (FINGERPRINT, format!("{:016x}", self.fingerprint)),
            (KEY, self.key.to_string()),
        ];
        pairs
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }

    /// From names and values; none where they are not ours or not whole.
    #[must_use]
    pub fn read(pairs: &BTreeMap<String, String>) -> Option<Self> {
        let hex = |name| u64::from_str_radix(pairs.get(name)?, 16).ok();
        Some(Self {
            owner: Owner {
                cluster: pairs.get(CLUSTER)?.clone(),
                uid: hex(UID)?,
                provider: pairs.get(PROVIDER)?.clone(),
            },
            id: ResourceId::new(pairs.get(ID)?.replace('_', "/")),
            kind: word(pairs.get(KIND)?)?,
            fingerprint: hex(FINGERPRINT)?,
            key: Key(hex(KEY)?),
        })
    }
}

fn word<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_value(serde_json::Value::String(text.to_owned())).ok()
}

/// The name of a thing at its provider: letters, digits and hyphens.
#[must_use]
pub fn name(id: &ResourceId) -> String {
    id.as_str().replace(['/', '.'], "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_say_everything_and_back() {
        let labels = Labels {
            owner: Owner {
                cluster: "shop".to_owned(),
                uid: 7,
                provider: "htz".to_owned(),
            },
            id: ResourceId::new("shop/network.htz/fsn1"),
            kind: Kind::Network,
            fingerprint: u64::MAX,
            key: Key(0x1234),
        };
        let pairs = labels.pairs();
        assert_eq!(pairs[ID], "shop_network.htz_fsn1");
        assert_eq!(pairs[UID], "0000000000000007");
        assert!(pairs.values().all(|value| value.len() <= 63));
        assert_eq!(Labels::read(&pairs), Some(labels.clone()));
        for missing in pairs.keys() {
            let mut fewer = pairs.clone();
            fewer.remove(missing);
            assert_eq!(Labels::read(&fewer), None, "without {missing}");
        }
        assert_eq!(name(&labels.id), "shop-network-htz-fsn1");
    }
}
