//! Keys of a peer. A private key never shows itself but where it is asked for by name.
//!
//! Does not know where keys are kept.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use quorate_engine::mesh::MeshKey;
use std::fmt;
use std::str::FromStr;
use x25519_dalek::{PublicKey, StaticSecret};

/// The private half of a peer's key (Curve25519), wiped from memory when dropped.
#[derive(Clone)]
pub struct PrivateKey(StaticSecret);

/// Text that is no private key. It does not repeat the text, which may be all but one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a WireGuard private key: 44 characters of base64 are expected")]
pub struct NotAPrivateKey;

impl PrivateKey {
    /// A new key, drawn from the operating system's entropy.
    ///
    /// # Errors
    /// If the operating system has none to give.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        Ok(Self::from_bytes(bytes))
    }

    /// A key from its 32 bytes, clamped as RFC 7748 (section 5) asks and `wg genkey` does.
    #[must_use]
    pub fn from_bytes(mut bytes: [u8; 32]) -> Self {
        bytes[0] &= 0b1111_1000;
        bytes[31] &= 0b0111_1111;
        bytes[31] |= 0b0100_0000;
        Self(StaticSecret::from(bytes))
    }

    /// The 32 secret bytes.
    #[must_use]
    pub fn secret_bytes(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// The secret as `wg` reads and writes it: base64, 44 characters.
    #[must_use]
    pub fn secret_text(&self) -> String {
        STANDARD.encode(self.0.as_bytes())
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> MeshKey {
        MeshKey(PublicKey::from(&self.0).to_bytes())
    }

    pub(crate) fn secret(&self) -> &StaticSecret {
        &self.0
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey(of {})", self.public())
    }
}

impl PartialEq for PrivateKey {
    /// Equal halves have equal counterparts: secret bytes are not compared.
    fn eq(&self, other: &Self) -> bool {
        self.public() == other.public()
    }
}

impl Eq for PrivateKey {}

impl FromStr for PrivateKey {
    type Err = NotAPrivateKey;

    fn from_str(text: &str) -> Result<Self, NotAPrivateKey> {
        let bytes = STANDARD.decode(text).map_err(|_| NotAPrivateKey)?;
        let bytes = bytes.try_into().map_err(|_| NotAPrivateKey)?;
        Ok(Self::from_bytes(bytes))
    }
}

/// A secret that two peers share beside their keys.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PresharedKey(pub [u8; 32]);

impl fmt::Debug for PresharedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PresharedKey(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7748, section 6.1: Alice's and Bob's keys.
    #[test]
    fn the_public_half_is_the_one_of_rfc_7748() {
        let cases = [
            (
                "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=",
                "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=",
            ),
            (
                "XasIfmJKikt54X+Lg4AO5m87sSkmGLb9HC+LJ/+I4Os=",
                "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=",
            ),
        ];
        for (private, public) in cases {
            let key: PrivateKey = private.parse().unwrap();
            assert_eq!(key.public().to_string(), public);
            assert_eq!(public.parse(), Ok(key.public()));
        }
    }

    #[test]
    fn a_new_key_is_clamped_and_no_other_one() {
        let [one, other] = [(); 2].map(|()| PrivateKey::generate().unwrap());
        assert_ne!(one, other);
        let bytes = one.secret_bytes();
        assert_eq!((bytes[0] & 7, bytes[31] >> 6), (0, 1));
        assert_eq!(one.secret_text().parse(), Ok(one));
    }

    #[test]
    fn nothing_secret_is_shown_unasked() {
        let key = PrivateKey::generate().unwrap();
        assert!(!format!("{key:?}").contains(&key.secret_text()));
        let wrong = key.secret_text() + "=";
        let refused = wrong.parse::<PrivateKey>().unwrap_err();
        assert!(!refused.to_string().contains(&key.secret_text()));
        assert!("AAAA".parse::<PrivateKey>().is_err());
    }
}
