//! The seed volume that cloud-init reads at a virtual machine's first start (its data source
//! `NoCloud`): a FAT file system labelled `cidata` with three files.
//!
//! Documents are JSON, which is YAML too: nothing has to be escaped by hand. Does not know what the
//! user data says.

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
    /// See [`crate::first_boot`].
    pub(super) user_data: Secret,
    pub(super) mac: String,
    pub(super) address: Ipv4Addr,
    pub(super) cidr: Ipv4Net,
    pub(super) gateway: Ipv4Addr,
}

impl Seed {
    fn meta_data(&self) -> String {
        json!({"instance-id": self.instance, "local-hostname": self.hostname}).to_string()
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
                ("meta-data", &*self.meta_data()),
                ("user-data", self.user_data.reveal()),
                ("network-config", &*self.network_config()),
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

    #[test]
    fn cloud_init_finds_its_three_files() {
        let seed = Seed {
            instance: "i-1".to_owned(),
            hostname: "shop-w-1".to_owned(),
            user_data: Secret::new("#cloud-config\n{}\n"),
            mac: "52:54:00:01:02:03".to_owned(),
            address: "10.1.2.3".parse().unwrap(),
            cidr: "10.1.2.0/24".parse().unwrap(),
            gateway: "10.1.2.1".parse().unwrap(),
        };
        let mut disk = Cursor::new(seed.volume().unwrap());
        let volume = FileSystem::new(&mut disk, FsOptions::new()).unwrap();
        assert_eq!(volume.volume_label(), "cidata");
        let read = |name: &str| {
            let mut text = String::new();
            let mut file = volume.root_dir().open_file(name).unwrap();
            file.read_to_string(&mut text).unwrap();
            text
        };
        let json = |name: &str| serde_json::from_str::<serde_json::Value>(&read(name)).unwrap();
        let meta = json("meta-data");
        assert_eq!(meta["instance-id"], "i-1");
        assert_eq!(meta["local-hostname"], "shop-w-1");
        assert_eq!(read("user-data"), "#cloud-config\n{}\n");
        let network = json("network-config");
        let primary = &network["ethernets"]["primary"];
        assert_eq!(primary["match"]["macaddress"], "52:54:00:01:02:03");
        assert_eq!(primary["addresses"][0], "10.1.2.3/24");
        assert_eq!(primary["routes"][0]["via"], "10.1.2.1");
    }
}
