//! What a server needs besides, and the engine does not know: ssh keys and placement groups.
//!
//! They are looked up and made on demand, repeatably, and carry the labels of the network of their
//! region, with which they go.

use super::{Hetzner, PARTS, PER_PAGE, PROVIDER, Part};
use crate::labels::{self, Labels};
use quorate_engine::random::hash_name;
use quorate_engine::resource::{Kind, ResourceId};
use quorate_engine::seam::{Call, Fault, FaultClass};
use reqwest::Method;
use serde_json::json;
use std::collections::BTreeMap;

/// Servers in one placement group, at most (vendor's documentation).
const GROUP_SIZE: u32 = 10;

/// Types of public keys that the API takes; others are delivered by the first boot alone.
const KEY_TYPES: [&str; 5] = [
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
];

impl Hetzner {
    /// The labels of what belongs to a region's network.
    pub(super) fn part_marks(&self, call: &Call, network: &ResourceId) -> BTreeMap<String, String> {
        let labels = Labels {
            owner: self.site.owner.clone(),
            id: network.clone(),
            kind: Kind::Network,
            fingerprint: 0,
            key: call.key,
        };
        let mut pairs = labels.pairs();
        pairs.insert(PROVIDER.to_owned(), self.site.provider.name.clone());
        pairs
    }

    /// The names of the ssh keys that may log in; those that are missing are made.
    pub(super) async fn keys(
        &self,
        marks: &BTreeMap<String, String>,
    ) -> Result<Vec<String>, Fault> {
        let wanted = self.site.ssh_keys.iter();
        let mut missing: Vec<String> = wanted.filter_map(|line| plain_key(line)).collect();
        let (mut names, mut refused) = (Vec::new(), None);
        // Two rounds: who makes the same key at the same time makes it for both.
        for _ in 0..2 {
            if missing.is_empty() {
                break;
            }
            let there: Vec<Part> = self.api.list("/ssh_keys", &[PER_PAGE], PARTS[0]).await?;
            let mut still = Vec::new();
            for key in missing {
                let same = |part: &&Part| plain_key(&part.public_key).as_ref() == Some(&key);
                if let Some(part) = there.iter().find(same) {
                    names.push(part.name.clone());
                    continue;
                }
                let Self { site, .. } = self;
                let name = format!("{}-{:016x}", site.owner.cluster, hash_name(&key));
                let body = json!({"name": name, "public_key": key, "labels": marks});
                match self
                    .api
                    .change(Method::POST, "/ssh_keys", Some(&body))
                    .await
                {
                    Ok(_) => names.push(name),
                    Err(fault) if fault.class == FaultClass::Exists => {
                        refused = Some(fault);
                        still.push(key);
                    }
                    Err(fault) => return Err(fault),
                }
            }
            missing = still;
        }
        match refused.filter(|_| !missing.is_empty()) {
            Some(fault) => Err(fault),
            None => Ok(names),
        }
    }

    /// The placement group of a machine, by its number in its pool; made if it is missing.
    pub(super) async fn group(
        &self,
        machine: &ResourceId,
        marks: &BTreeMap<String, String>,
    ) -> Result<u64, Fault> {
        let name = group_name(machine);
        let body = json!({"name": name, "type": "spread", "labels": marks});
        let mut refused = None;
        for _ in 0..2 {
            let query = [("name", name.as_str())];
            let found: Vec<Part> = self.api.list("/placement_groups", &query, PARTS[1]).await?;
            if let Some(part) = found.first() {
                return match self.ours(&part.labels) {
                    Some(_) => Ok(part.id),
                    None => Err(Fault::new(
                        FaultClass::Exists,
                        format!("placement group {name} is somebody else's: rename or remove it"),
                    )),
                };
            }
            let made = self
                .api
                .change(Method::POST, "/placement_groups", Some(&body))
                .await;
            match made {
                Ok(answer) => {
                    let id = answer["placement_group"]["id"].as_u64();
                    let lost = "POST /placement_groups answers without an id";
                    return id.ok_or_else(|| Fault::new(FaultClass::Unknown, lost));
                }
                Err(fault) if fault.class == FaultClass::Exists => refused = Some(fault),
                Err(fault) => return Err(fault),
            }
        }
        Err(refused.expect("both rounds were refused"))
    }
}

/// A key went with its network between being looked up and being used: the next try makes it.
pub(super) fn lacks_key(fault: &Fault) -> bool {
    let refused = matches!(fault.class, FaultClass::Invalid | FaultClass::NotFound);
    refused
        && ["ssh_key", "SSH key", "ssh key"]
            .iter()
            .any(|word| fault.detail.contains(word))
}

/// Type and key of a line of `authorized_keys`, without options and comment; none where the API
/// takes no such key.
fn plain_key(line: &str) -> Option<String> {
    let mut words = line.split_whitespace();
    let kind = words.find(|word| KEY_TYPES.contains(word))?;
    Some(format!("{kind} {}", words.next()?))
}

/// Ten machines of a pool, by their numbers, are kept on different hosts.
fn group_name(machine: &ResourceId) -> String {
    let path = machine.as_str();
    let (pool, number) = path.rsplit_once('/').unwrap_or((path, "1"));
    let number: u32 = number.parse().unwrap_or(1);
    let group = number.saturating_sub(1) / GROUP_SIZE + 1;
    format!("{}-spread{group}", labels::name(&ResourceId::new(pool)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_numbers_share_a_group() {
        let group = |path: &str| group_name(&ResourceId::new(path));
        assert_eq!(group("shop/htz-cp/1"), "shop-htz-cp-spread1");
        assert_eq!(group("shop/htz-cp/10"), "shop-htz-cp-spread1");
        assert_eq!(group("shop/htz-cp/11"), "shop-htz-cp-spread2");
        assert_eq!(group("shop/htz-cp/0"), "shop-htz-cp-spread1");
    }

    #[test]
    fn a_key_is_its_type_and_its_text() {
        let cases = [
            ("ssh-ed25519 AAAA me@home", Some("ssh-ed25519 AAAA")),
            (
                "from=\"10.0.0.1\",no-pty ssh-rsa BBBB",
                Some("ssh-rsa BBBB"),
            ),
            ("sk-ssh-ed25519@openssh.com CCCC", None),
            ("ssh-ed25519", None),
            ("", None),
        ];
        for (line, expected) in cases {
            assert_eq!(plain_key(line).as_deref(), expected, "{line}");
        }
    }

    #[test]
    fn a_vanished_key_is_waited_for_and_nothing_else_is() {
        let fault = |class, detail: &str| lacks_key(&Fault::new(class, detail));
        assert!(fault(FaultClass::NotFound, "SSH key not found"));
        assert!(fault(
            FaultClass::Invalid,
            "invalid input in field 'ssh_keys'"
        ));
        assert!(!fault(
            FaultClass::Invalid,
            "invalid input in field 'image'"
        ));
        assert!(!fault(FaultClass::Quota, "too many of ssh_keys"));
    }
}
