//! A TSIG key, which nobody gets to see.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hickory_proto::rr::TSigner;
use hickory_proto::rr::rdata::tsig::TsigAlgorithm;
use std::fmt;

/// How far clocks may be apart, in seconds (RFC 8945, section 10).
const FUDGE_S: u16 = 300;

/// Signs what we send, and says whether an answer is the server's.
#[derive(Clone)]
pub struct Key {
    pub(super) signer: TSigner,
}

/// Why a text is no key. Says nothing of the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Parts are missing.
    #[error("the TSIG key is not of the form `ALGORITHM:NAME:SECRET`")]
    Form,
    /// An algorithm that we do not know, or that is broken.
    #[error("the TSIG key's algorithm is none of hmac-sha256, hmac-sha384, hmac-sha512")]
    Algorithm,
    /// Its name is none.
    #[error("the TSIG key's name is no name")]
    Name,
    /// Its secret is no base64.
    #[error("the TSIG key's secret is no base64")]
    Secret,
}

impl Key {
    /// Reads `ALGORITHM:NAME:SECRET`, with the secret in base64, as dig and knsupdate take it;
    /// without an algorithm it is hmac-sha256.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(text: &str) -> Result<Self, KeyError> {
        let parts: Vec<_> = text.trim().split(':').collect();
        let (algorithm, name, secret) = match parts.as_slice() {
            [name, secret] => ("hmac-sha256", *name, *secret),
            [algorithm, name, secret] => (*algorithm, *name, *secret),
            _ => return Err(KeyError::Form),
        };
        let algorithm = match algorithm.to_ascii_lowercase().as_str() {
            "hmac-sha256" => TsigAlgorithm::HmacSha256,
            "hmac-sha384" => TsigAlgorithm::HmacSha384,
            "hmac-sha512" => TsigAlgorithm::HmacSha512,
            _ => return Err(KeyError::Algorithm),
        };
        let name = crate::config::whole(name).ok_or(KeyError::Name)?;
        let secret = STANDARD.decode(secret).map_err(|_| KeyError::Secret)?;
        if secret.is_empty() {
            return Err(KeyError::Secret);
        }
        let signer = TSigner::new(secret, algorithm, name, FUDGE_S);
        let signer = signer.map_err(|_| KeyError::Algorithm)?;
        Ok(Self { signer })
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.signer.signer_name())
    }
}
