//! Versions of etcd, and what the membership rules owe to them.
//!
//! Does not know which version runs anywhere: callers say so.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A released version of etcd.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EtcdVersion {
    /// 3.
    pub major: u16,
    /// 4, 5, 6, ...
    pub minor: u16,
    /// Of the minor.
    pub patch: u16,
}

/// When etcd's server lets a member be added while another is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AddRule {
    /// Every voter must be connected.
    EveryVoter,
    /// A quorum of the cluster with one more voter must be connected, the new one counted as away;
    /// a single voter may always add.
    Counted,
}

/// Text that is not the version of a release.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a released version such as 3.5.24")]
pub struct NotAVersion(pub String);

/// What kubeadm brings, by Kubernetes minor 1.x. 29 to 36: `SupportedEtcdVersion` in kubeadm's
/// `app/constants/constants.go` of late patch releases (read). 20 to 28: the first release of the
/// minor (general knowledge); later patches stayed on the same side of every rule here.
const BY_KUBERNETES_MINOR: [(u16, EtcdVersion); 17] = [
    (20, EtcdVersion::new(3, 4, 13)),
    (21, EtcdVersion::new(3, 4, 13)),
    (22, EtcdVersion::new(3, 5, 0)),
    (23, EtcdVersion::new(3, 5, 1)),
    (24, EtcdVersion::new(3, 5, 3)),
    (25, EtcdVersion::new(3, 5, 4)),
    (26, EtcdVersion::new(3, 5, 6)),
    (27, EtcdVersion::new(3, 5, 7)),
    (28, EtcdVersion::new(3, 5, 9)),
    (29, EtcdVersion::new(3, 5, 24)),
    (30, EtcdVersion::new(3, 5, 24)),
    (31, EtcdVersion::new(3, 5, 24)),
    (32, EtcdVersion::new(3, 5, 24)),
    (33, EtcdVersion::new(3, 5, 24)),
    (34, EtcdVersion::new(3, 6, 5)),
    (35, EtcdVersion::new(3, 6, 8)),
    (36, EtcdVersion::new(3, 6, 9)),
];

impl EtcdVersion {
    /// The newest that a known Kubernetes brings.
    pub const NEWEST: Self = BY_KUBERNETES_MINOR[BY_KUBERNETES_MINOR.len() - 1].1;

    /// From its parts.
    #[must_use]
    pub const fn new(major: u16, minor: u16, patch: u16) -> Self {
        Self {
            major,
            minor,
            patch,
        }
    }

    /// What kubeadm installs with this version of Kubernetes, `1.34` or `v1.34.2`. Outside the
    /// table the nearest known minor counts, as in kubeadm itself.
    ///
    /// # Errors
    /// Where the text is not a version.
    pub fn for_kubernetes(version: &str) -> Result<Self, NotAVersion> {
        let wrong = || NotAVersion(version.to_owned());
        let mut parts = version.trim_start_matches('v').split('.');
        let major: u16 = number(parts.next()).ok_or_else(wrong)?;
        let minor: u16 = number(parts.next()).ok_or_else(wrong)?;
        if major != 1 {
            return Err(wrong());
        }
        let first = BY_KUBERNETES_MINOR[0];
        let row = BY_KUBERNETES_MINOR
            .iter()
            .rev()
            .find(|(known, _)| *known <= minor)
            .unwrap_or(&first);
        Ok(row.1)
    }

    /// Whether a member that was cut off asks before it disturbs a leader: on by default from 3.5.
    #[must_use]
    pub fn pre_vote_default(self) -> bool {
        (self.major, self.minor) >= (3, 5)
    }

    /// The rule for adding a member. It changed in 3.5.30, 3.6.11 and 3.7.0 (tags compared:
    /// `server/etcdserver/server.go`, `mayAddMember`).
    #[must_use]
    pub fn strict_add_rule(self) -> AddRule {
        let counted = match (self.major, self.minor) {
            (3, 5) => self.patch >= 30,
            (3, 6) => self.patch >= 11,
            later_or_earlier => later_or_earlier >= (3, 7),
        };
        if counted {
            AddRule::Counted
        } else {
            AddRule::EveryVoter
        }
    }
}

fn number(part: Option<&str>) -> Option<u16> {
    let part = part?;
    let digits = part.bytes().all(|byte| byte.is_ascii_digit());
    if digits { part.parse().ok() } else { None }
}

/// `3.5.24`, `v3.5.24` or an image tag, `3.5.24-0`. Pre-releases are refused: 3.7.0-alpha still had
/// the old rule for adding.
impl FromStr for EtcdVersion {
    type Err = NotAVersion;

    fn from_str(text: &str) -> Result<Self, NotAVersion> {
        let wrong = || NotAVersion(text.to_owned());
        let bare = text.trim_start_matches('v');
        let (bare, build) = bare.split_once('-').unwrap_or((bare, "0"));
        number(Some(build)).ok_or_else(wrong)?;
        let mut parts = bare.split('.');
        let mut next = || number(parts.next()).ok_or_else(wrong);
        let version = Self::new(next()?, next()?, next()?);
        match parts.next() {
            None => Ok(version),
            Some(_) => Err(wrong()),
        }
    }
}

impl fmt::Display for EtcdVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}.{}.{}", self.major, self.minor, self.patch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_shown() {
        for (text, shown) in [
            ("3.5.24", Some("3.5.24")),
            ("v3.6.0", Some("3.6.0")),
            ("3.4.13-0", Some("3.4.13")),
            ("3.7.0-alpha.1", None),
            ("3.5", None),
            ("3.5.1.2", None),
            ("3.+5.1", None),
            ("", None),
        ] {
            let read = text.parse::<EtcdVersion>().ok().map(|v| v.to_string());
            assert_eq!(read.as_deref(), shown, "{text}");
        }
    }

    #[test]
    fn the_rule_for_adding_changed_within_minors() {
        for (text, rule) in [
            ("3.4.13", AddRule::EveryVoter),
            ("3.5.0", AddRule::EveryVoter),
            ("3.5.29", AddRule::EveryVoter),
            ("3.5.30", AddRule::Counted),
            ("3.6.0", AddRule::EveryVoter),
            ("3.6.10", AddRule::EveryVoter),
            ("3.6.11", AddRule::Counted),
            ("3.7.0", AddRule::Counted),
            ("4.0.0", AddRule::Counted),
        ] {
            let version: EtcdVersion = text.parse().expect("a version");
            assert_eq!(version.strict_add_rule(), rule, "{text}");
        }
    }

    #[test]
    fn kubernetes_brings_its_etcd() {
        for (kubernetes, etcd, pre_vote) in [
            ("1.18.0", "3.4.13", false),
            ("1.20.15", "3.4.13", false),
            ("1.22", "3.5.0", true),
            ("v1.33.4", "3.5.24", true),
            ("1.34.0", "3.6.5", true),
            ("1.99.0", "3.6.9", true),
        ] {
            let version = EtcdVersion::for_kubernetes(kubernetes).expect("a version");
            assert_eq!(version.to_string(), etcd, "{kubernetes}");
            assert_eq!(version.pre_vote_default(), pre_vote, "{kubernetes}");
        }
        assert!(EtcdVersion::for_kubernetes("2.1").is_err());
        assert!(EtcdVersion::for_kubernetes("latest").is_err());
    }
}
