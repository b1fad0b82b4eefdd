//! What a machine is told for its first boot, in the words of cloud-init: who may log in, and with
//! which host key it proves who it is.
//!
//! Everything else is done over ssh afterwards. The text is JSON, which is YAML too: no quoting of
//! our own. Knows no provider.

use crate::Secret;
use crate::host_key::HostKey;
use serde_json::json;

/// The user data of a machine. It holds the private half of the host key.
#[must_use]
pub fn user_data(user: &str, authorized_keys: &[String], key: &HostKey) -> Secret {
    let mut account = json!({
        "name": user,
        "ssh_authorized_keys": authorized_keys,
        "lock_passwd": true,
    });
    if user != "root" {
        account["sudo"] = json!("ALL=(ALL) NOPASSWD:ALL");
        account["shell"] = json!("/bin/bash");
    }
    let config = json!({
        "users": [account],
        "disable_root": user != "root",
        "ssh_pwauth": false,
        // Else sudo asks the name servers who this machine is, each time, and waits for them.
        "manage_etc_hosts": "localhost",
        "ssh_deletekeys": true,
        "ssh_keys": {
            "ed25519_private": key.private.reveal(),
            "ed25519_public": key.public,
        },
    });
    Secret::new(format!("#cloud-config\n{config}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn who_may_log_in_and_how_the_machine_proves_itself() {
        let key = HostKey::fresh();
        let authorized = ["ssh-ed25519 AAAA it's \"me\"".to_owned()];
        for (user, root, sudo) in [("root", true, false), ("admin", false, true)] {
            let text = user_data(user, &authorized, &key);
            let (head, config) = text.reveal().split_once('\n').unwrap();
            assert_eq!(head, "#cloud-config");
            let config: Value = serde_json::from_str(config).unwrap();
            assert_eq!(config["users"][0]["name"], user);
            assert_eq!(config["users"][0]["ssh_authorized_keys"][0], authorized[0]);
            assert_eq!(config["users"][0].get("sudo").is_some(), sudo);
            assert_eq!(config["disable_root"], !root);
            assert_eq!(config["ssh_pwauth"], false);
            assert_eq!(config["manage_etc_hosts"], "localhost");
            assert_eq!(config["ssh_keys"]["ed25519_private"], key.private.reveal());
            assert_eq!(config["ssh_keys"]["ed25519_public"], key.public);
        }
    }
}
