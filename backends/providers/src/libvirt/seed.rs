//! The seed volume that cloud-init reads at a virtual machine's first start (its data source
//! `NoCloud`): a FAT file system labelled `cidata` with three files.
//!
//! Documents are JSON, which is YAML too: nothing has to be escaped by hand.

use crate::Secret;
use fatfs::{FileSystem, FormatVolumeOptions, FsOptions};
use ipnet::Ipv4Net;
use serde_json::json;
use std::io::{self, Cursor, Write as _};
use std::net::Ipv4Addr;

/// Bytes. The documents have some kilobytes; FAT wants a few sectors.
const SIZE: usize = 1 << 20;

/// What a virtual machine is told.
pub(super) struct Seed {
    /// Another instance makes cloud-init begin anew.
    pub(super) instance: String,
    pub(super) hostname: String,
    pub(super) user: String,
    pub(super) keys: Vec<String>,
    /// In OpenSSH's own format.
    pub(super) host_key: Secret,
    pub(super) host_key_public: String,
    pub(super) mac: String,
    pub(super) address: Ipv4Addr,
    pub(super) cidr: Ipv4Net,
    pub(super) gateway: Ipv4Addr,
}

impl Seed {
    fn meta_data(&self) -> String {
        json!({"instance-id": self.instance, "local-hostname": self.hostname}).to_string()
    }

    fn user_data(&self) -> String {
        let mut user = json!({"name": self.user, "ssh_authorized_keys": self.keys});
        if self.user != "root" {
            user["sudo"] = json!("ALL=(ALL) NOPASSWD:ALL");
            user["shell"] = json!("/bin/bash");
            user["lock_passwd"] = json!(true);
        }
        let config = json!({
            "hostname": self.hostname,
            "disable_root": self.user != "root",
            "ssh_pwauth": false,
            "ssh_deletekeys": true,
            "ssh_genkeytypes": [],
            "ssh_keys": {
                "ed25519_private": self.host_key.reveal(),
                "ed25519_public": self.host_key_public,
            },
            "users": [user],
        });
        format!("#cloud-config\n{config}\n")
    }

    fn network_config(&self) -> String {
        let prefix = self.cidr.prefix_len();
        json!({
            "version": 2,
            "ethernets": {"primary": {
                "match": {"macaddress": self.mac},
                "addresses": [format!("{}/{prefix}", self.address)],
                "routes": [{"to": "0.0.0.0/0", "via": self.gateway}],
                "nameservers": {"addresses": [self.gateway]},
            }},
        })
        .to_string()
    }

    /// The volume's bytes.
    pub(super) fn volume(&self) -> io::Result<Vec<u8>> {
        let mut disk = Cursor::new(vec![0; SIZE]);
        let options = FormatVolumeOptions::new().volume_label(*b"cidata     ");
        fatfs::format_volume(&mut disk, options)?;
        {
            let volume = FileSystem::new(&mut disk, FsOptions::new())?;
            let files = [
                ("meta-data", self.meta_data()),
                ("user-data", self.user_data()),
                ("network-config", self.network_config()),
            ];
            for (name, content) in files {
                let mut file = volume.root_dir().create_file(name)?;
                file.write_all(content.as_bytes())?;
                file.flush()?;
            }
            volume.unmount()?;
        }
        Ok(disk.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    fn seed(user: &str) -> Seed {
        Seed {
            instance: "i-1".to_owned(),
            hostname: "shop-w-1".to_owned(),
            user: user.to_owned(),
            keys: vec!["ssh-ed25519 AAAA me".to_owned()],
            host_key: Secret::new("-----BEGIN\nKEY\n-----END\n"),
            host_key_public: "ssh-ed25519 BBBB".to_owned(),
            mac: "52:54:00:01:02:03".to_owned(),
            address: "10.1.2.3".parse().unwrap(),
            cidr: "10.1.2.0/24".parse().unwrap(),
            gateway: "10.1.2.1".parse().unwrap(),
        }
    }

    #[test]
    fn cloud_init_finds_its_three_files() {
        let mut disk = Cursor::new(seed("debian").volume().unwrap());
        let volume = FileSystem::new(&mut disk, FsOptions::new()).unwrap();
        assert_eq!(volume.volume_label(), "cidata");
        let read = |name: &str| {
            let mut text = String::new();
            let mut file = volume.root_dir().open_file(name).unwrap();
            file.read_to_string(&mut text).unwrap();
            text
        };
        let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(json(&read("meta-data"))["instance-id"], "i-1");
        let user = read("user-data");
        let config = json(user.strip_prefix("#cloud-config\n").unwrap());
        assert_eq!(config["users"][0]["name"], "debian");
        assert_eq!(
            config["users"][0]["ssh_authorized_keys"][0],
            "ssh-ed25519 AAAA me"
        );
        assert_eq!(config["users"][0]["sudo"], "ALL=(ALL) NOPASSWD:ALL");
        assert_eq!(
            config["ssh_keys"]["ed25519_private"],
            "-----BEGIN\nKEY\n-----END\n"
        );
        assert_eq!(config["ssh_keys"]["ed25519_public"], "ssh-ed25519 BBBB");
        let network = json(&read("network-config"));
        let primary = &network["ethernets"]["primary"];
        assert_eq!(primary["match"]["macaddress"], "52:54:00:01:02:03");
        assert_eq!(primary["addresses"][0], "10.1.2.3/24");
        assert_eq!(primary["routes"][0]["via"], "10.1.2.1");
    }

    #[test]
    fn root_logs_in_as_root() {
        let config = seed("root").user_data();
        assert!(config.contains("\"disable_root\":false"), "{config}");
        assert!(!config.contains("NOPASSWD"));
    }
}
