//! Host keys: a machine that once showed one has to show it again.
//!
//! Where a pin comes from (delivered with the machine, or seen on first use) and where it is kept
//! is not known here.

use quorate_engine::resource::ResourceId;
use ssh_key::{HashAlg, PublicKey};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Keeps host keys.
pub trait Pins: Send + Sync {
    /// The key that a machine has to show, as in an OpenSSH public key file
    /// (`ssh-ed25519 AAAA...`); none: the first one it shows is accepted and kept.
    fn get(&self, machine: &ResourceId) -> Option<String>;

    /// Keeps the key that a machine has shown on first use.
    ///
    /// # Errors
    /// It was not kept, and why; the machine is not used then.
    fn put(&self, machine: &ResourceId, key: &str) -> Result<(), String>;
}

/// Pins that live as long as the process.
#[derive(Debug, Default)]
pub struct Remembered(Mutex<BTreeMap<ResourceId, String>>);

impl Pins for Remembered {
    fn get(&self, machine: &ResourceId) -> Option<String> {
        let pins = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pins.get(machine).cloned()
    }

    fn put(&self, machine: &ResourceId, key: &str) -> Result<(), String> {
        let mut pins = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pins.insert(machine.clone(), key.to_owned());
        Ok(())
    }
}

/// The name under which a machine stands in its own file of known hosts: it is the machine that has
/// the key, wherever it is reached.
pub(crate) fn alias(machine: &ResourceId) -> String {
    machine.as_str().replace('/', "_")
}

/// A key without its comment, if it is one.
fn canonical(key: &str) -> Option<PublicKey> {
    let words: Vec<_> = key.split_whitespace().take(2).collect();
    PublicKey::from_openssh(&words.join(" ")).ok()
}

/// A file of known hosts with one key.
///
/// # Errors
/// The pin is not a public key.
pub(crate) fn known_hosts(machine: &ResourceId, pin: &str) -> Result<String, String> {
    let wrong = || format!("the host key kept for {machine} is not an OpenSSH public key: `{pin}`");
    let key = canonical(pin).ok_or_else(wrong)?;
    let text = key.to_openssh().map_err(|_| wrong())?;
    Ok(format!("{} {text}\n", alias(machine)))
}

/// The key that ssh wrote into a file of known hosts on first use.
pub(crate) fn learnt(machine: &ResourceId, known_hosts: &str) -> Option<String> {
    let alias = alias(machine);
    let mut lines = known_hosts.lines().filter_map(|line| line.split_once(' '));
    let (_, key) = lines.find(|(name, _)| *name == alias)?;
    canonical(key)?.to_openssh().ok()
}

/// How people compare keys: `SHA256:` and 43 characters, as `ssh-keygen -l` shows it.
#[must_use]
pub fn fingerprint(key: &str) -> Option<String> {
    Some(canonical(key)?.fingerprint(HashAlg::Sha256).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with `ssh-keygen -t ed25519`, its fingerprint shown by `ssh-keygen -l`.
    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDgaKFMZaY7Yu17zdJKUShWqMo6sX4ZhvFVMLPwNxYQr";

    #[test]
    fn a_pin_becomes_a_line_and_back() {
        let machine = ResourceId::new("shop/w/1");
        let line = known_hosts(&machine, &format!("{KEY} root@built\n")).unwrap();
        assert_eq!(line, format!("shop_w_1 {KEY}\n"));
        assert_eq!(learnt(&machine, &line).as_deref(), Some(KEY));
        assert_eq!(learnt(&ResourceId::new("shop/w/2"), &line), None);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let machine = ResourceId::new("shop/w/1");
        for wrong in ["", "ssh-ed25519", "ssh-ed25519 AAAA", "hunter2"] {
            assert!(known_hosts(&machine, wrong).is_err(), "{wrong}");
            assert_eq!(fingerprint(wrong), None);
        }
    }

    #[test]
    fn a_fingerprint_is_the_one_that_people_see() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), KEY).unwrap();
        let shown = std::process::Command::new("ssh-keygen")
            .args(["-l", "-f"])
            .arg(file.path())
            .output();
        let Ok(shown) = shown else {
            eprintln!("SKIPPED: no ssh-keygen here (apt install openssh-client)");
            return;
        };
        let shown = String::from_utf8(shown.stdout).unwrap();
        assert!(shown.contains(&fingerprint(KEY).unwrap()), "{shown}");
    }
}
