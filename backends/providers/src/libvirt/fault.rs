//! What libvirt's errors mean for the engine.
//!
//! Codes: `virErrorNumber` in libvirt's `virterror.h`. Some kinds of trouble have no code of their
//! own; for these the message is looked at, which libvirt does not translate over its protocol
//! unless the daemon itself runs in another language.

use super::link::NoLink;
use super::message::RemoteError;
use super::rpc::Trouble;
use quorate_engine::seam::{Fault, FaultClass};

/// `virErrorNumber`, as far as a single one is looked at.
pub(super) mod code {
    pub(crate) const NO_SUPPORT: i32 = 3;
    pub(crate) const NO_DOMAIN: i32 = 42;
    pub(crate) const NO_NETWORK: i32 = 43;
    pub(crate) const NO_STORAGE_POOL: i32 = 49;
    pub(crate) const NO_STORAGE_VOL: i32 = 50;
    pub(crate) const OPERATION_INVALID: i32 = 55;
    pub(crate) const NO_NWFILTER: i32 = 62;
}

/// Words in messages that say more than the code, and what they say.
const WORDS: [(&str, FaultClass); 9] = [
    ("no space left", FaultClass::Quota),
    ("not enough free space", FaultClass::Quota),
    ("disk quota exceeded", FaultClass::Quota),
    ("cannot allocate memory", FaultClass::Capacity),
    ("already exists", FaultClass::Exists),
    ("already in use by interface", FaultClass::Invalid),
    ("is already active", FaultClass::Exists),
    ("nwfilter is in use", FaultClass::Busy),
    ("cannot acquire state change lock", FaultClass::Busy),
];

/// The class of an error of libvirt's.
pub(super) fn class(error: &RemoteError) -> FaultClass {
    let said = error.message.to_lowercase();
    if let Some((_, class)) = WORDS.iter().find(|(words, _)| said.contains(words)) {
        return *class;
    }
    match error.code {
        code::NO_DOMAIN
        | code::NO_NETWORK
        | code::NO_STORAGE_POOL
        | code::NO_STORAGE_VOL
        | code::NO_NWFILTER => FaultClass::NotFound,
        // Operation denied, authentication failed, cancelled, unavailable, access denied.
        29 | 45 | 79 | 88 | 94 => FaultClass::Auth,
        // Domain, network, volume exist.
        28 | 37 | 90 => FaultClass::Exists,
        // Operation invalid in this state, operation timed out, resource busy.
        code::OPERATION_INVALID | 68 | 87 => FaultClass::Busy,
        // No memory.
        2 => FaultClass::Capacity,
        // No support, no such hypervisor, invalid argument, OS type, names and devices missing in a
        // definition, XML error, parse errors, invalid MAC, unsupported configuration, argument,
        // operation, overflow, schema.
        code::NO_SUPPORT | 5 | 8 | 16 | 19..=23 | 27 | 32 | 35 | 44 | 67 | 74 | 82 | 84 | 92 => {
            FaultClass::Invalid
        }
        // The rest is trouble inside the daemon or under it.
        _ => FaultClass::Retryable,
    }
}

/// What became of `doing`.
pub(super) fn fault(doing: &str, trouble: &Trouble) -> Fault {
    let class = match trouble {
        Trouble::Remote(error) => class(error),
        Trouble::Unsent(_) => FaultClass::Retryable,
        Trouble::Shut(_) => FaultClass::Auth,
        // It was sent; whether it was carried out is not known.
        Trouble::Lost(_) | Trouble::Garbled(_) => FaultClass::Unknown,
    };
    Fault::new(class, format!("{doing}: {trouble}"))
}

impl From<NoLink> for Trouble {
    fn from(none: NoLink) -> Self {
        let said = format!("{}; {}", none.what, none.fix);
        match none.denied {
            true => Self::Shut(said),
            false => Self::Unsent(said),
        }
    }
}

/// A fault of the file system under root file systems.
pub(super) fn disk(doing: &str, error: &std::io::Error) -> Fault {
    use std::io::ErrorKind;
    let class = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => FaultClass::Quota,
        ErrorKind::PermissionDenied => FaultClass::Auth,
        ErrorKind::NotFound | ErrorKind::NotADirectory => FaultClass::Invalid,
        _ => FaultClass::Retryable,
    };
    Fault::new(class, format!("{doing}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_its_class() {
        let cases = [
            (42, "Domain not found", FaultClass::NotFound),
            (43, "Network not found", FaultClass::NotFound),
            (49, "Storage pool not found", FaultClass::NotFound),
            (50, "Storage volume not found", FaultClass::NotFound),
            (62, "Network filter not found", FaultClass::NotFound),
            (45, "authentication failed", FaultClass::Auth),
            (88, "access denied", FaultClass::Auth),
            (3, "this function is not supported", FaultClass::Invalid),
            (8, "invalid argument", FaultClass::Invalid),
            (27, "XML error", FaultClass::Invalid),
            (67, "unsupported configuration", FaultClass::Invalid),
            (
                9,
                "operation failed: domain 'x' already exists",
                FaultClass::Exists,
            ),
            (9, "operation failed: something", FaultClass::Retryable),
            (90, "volume", FaultClass::Exists),
            (
                55,
                "Requested operation is not valid: nwfilter is in use",
                FaultClass::Busy,
            ),
            (
                38,
                "cannot write data: No space left on device",
                FaultClass::Quota,
            ),
            (1, "internal error", FaultClass::Retryable),
        ];
        for (code, message, class) in cases {
            let error = RemoteError {
                code,
                domain: 10,
                message: message.to_owned(),
            };
            let fault = fault("x", &Trouble::Remote(error));
            assert_eq!(fault.class, class, "{code} {message}");
            assert_eq!(fault.detail, format!("x: {message}"));
        }
    }

    #[test]
    fn what_was_never_sent_is_tried_again_and_what_was_is_in_doubt() {
        let unsent = fault("x", &Trouble::Unsent("refused".to_owned()));
        assert_eq!(unsent.class, FaultClass::Retryable);
        let lost = fault("x", &Trouble::Lost("closed".to_owned()));
        assert_eq!(lost.class, FaultClass::Unknown);
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        assert_eq!(disk("x", &full).class, FaultClass::Quota);
    }
}
