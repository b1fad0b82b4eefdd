//! The ssh host key that a machine is made with: fresh for each, so that whoever logs in for the
//! first time knows whom he talks to.
//!
//! The private half goes into the machine's first boot and nowhere else. The public half stays with
//! the machine at its provider, as a label where there is nothing better.

use crate::Secret;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ssh_key::private::{Ed25519Keypair, KeypairData};
use ssh_key::public::KeyData;
use ssh_key::{LineEnding, PrivateKey, PublicKey};

/// A host key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostKey {
    /// As in an OpenSSH private key file.
    pub private: Secret,
    /// As in an OpenSSH public key file: `ssh-ed25519 AAAA...`.
    pub public: String,
    raw: [u8; 32],
}

impl HostKey {
    /// From the operating system's entropy.
    ///
    /// # Panics
    /// Where the operating system has no entropy: nothing can be made in secret then.
    #[must_use]
    pub fn fresh() -> Self {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).expect("the operating system gives entropy");
        Self::from_seed(&seed)
    }

    fn from_seed(seed: &[u8; 32]) -> Self {
        let pair = Ed25519Keypair::from_seed(seed);
        let raw = pair.public.0;
        let key = PrivateKey::new(KeypairData::Ed25519(pair), "").expect("an ed25519 key pair");
        let private = key.to_openssh(LineEnding::LF).expect("a key has a text");
        Self {
            private: Secret::new(private.as_str()),
            public: line(raw),
            raw,
        }
    }

    /// The public half as a label's value: 45 letters, digits, `-` and `_`, with a letter at both
    /// ends, as every vendor's rules for labels allow it.
    #[must_use]
    pub fn label(&self) -> String {
        format!("k{}k", URL_SAFE_NO_PAD.encode(self.raw))
    }
}

/// The public half of a label, as in an OpenSSH public key file; none where it is no such label.
#[must_use]
pub fn from_label(label: &str) -> Option<String> {
    let text = label.strip_prefix('k')?.strip_suffix('k')?;
    let raw = URL_SAFE_NO_PAD.decode(text).ok()?;
    Some(line(raw.try_into().ok()?))
}

fn line(raw: [u8; 32]) -> String {
    let data = KeyData::Ed25519(ssh_key::public::Ed25519PublicKey(raw));
    let key = PublicKey::new(data, "");
    key.to_openssh()
        .expect("a key has a text")
        .trim()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_halves_belong_together_and_the_label_gives_the_public_one_back() {
        for byte in 0..=255 {
            let key = HostKey::from_seed(&[byte; 32]);
            let private = PrivateKey::from_openssh(key.private.reveal()).unwrap();
            assert_eq!(
                private.public_key().to_openssh().unwrap().trim(),
                key.public
            );
            assert!(key.public.starts_with("ssh-ed25519 AAAA"));
            let label = key.label();
            assert_eq!(from_label(&label), Some(key.public.clone()));
            assert!(label.len() <= 63, "{label}");
            assert!(label.starts_with('k') && label.ends_with('k'));
            let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            assert!(label.chars().all(allowed), "{label}");
            assert!(!format!("{key:?}").contains("PRIVATE"));
        }
    }

    #[test]
    fn every_machine_has_its_own() {
        assert_ne!(HostKey::fresh().public, HostKey::fresh().public);
    }

    #[test]
    fn what_is_no_key_is_none() {
        for label in ["", "k", "kk", "kAAAAk", "AAAA", "k!!k"] {
            assert_eq!(from_label(label), None, "{label}");
        }
    }
}
