//! Where machines are reached: hosts of one's own as the manifest says, the others where their
//! provider shows them.

use super::credentials::key;
use quorate_engine::manifest::{Manifest, ProviderKind};
use quorate_engine::resource::ResourceId;
use quorate_hosts::{Key, Machines, Reach};
use quorate_live::Inventory;
use quorate_providers::Problem;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How machines are logged into.
pub(super) fn machines(
    manifest: &Manifest,
    former: &[Manifest],
    inventory: &Inventory,
    problems: &mut Vec<Problem>,
) -> Arc<dyn Machines> {
    let ssh = &manifest.spec.ssh;
    let made = Reach {
        address: String::new(),
        port: Some(ssh.port),
        user: Some(ssh.user.clone()),
        key: or_complain(key(ssh.credentials.as_ref(), "spec.ssh"), problems),
    };
    let mut own = own(manifest, problems);
    // Hosts that are to be reset stand in former manifests only, the newest of which knows best.
    for former in former {
        for (machine, reach) in self::own(former, &mut Vec::new()) {
            own.entry(machine).or_insert(reach);
        }
    }
    let known: BTreeMap<ResourceId, String> = inventory
        .iter()
        .filter_map(|(id, machine)| Some((id.clone(), machine.public?.to_string())))
        .collect();
    Arc::new(move |machine: &ResourceId, addresses: &[(ResourceId, _)]| {
        if let Some(own) = own.get(machine) {
            return Some(own.clone());
        }
        let given = addresses.iter().find(|(id, _)| id == machine);
        let given = given.map(|(_, address): &(_, std::net::Ipv4Addr)| address.to_string());
        let address = given.or_else(|| known.get(machine).cloned())?;
        Some(Reach {
            address,
            ..made.clone()
        })
    })
}

/// Hosts of one's own, by machine.
fn own(manifest: &Manifest, problems: &mut Vec<Problem>) -> BTreeMap<ResourceId, Reach> {
    let mut own = BTreeMap::new();
    for pool in &manifest.spec.node_pools {
        let provider = manifest
            .spec
            .providers
            .iter()
            .find(|p| p.name == pool.provider);
        let Some(provider) = provider.filter(|p| p.kind == ProviderKind::Static) else {
            continue;
        };
        for (index, host) in pool.hosts.iter().enumerate() {
            let id = format!("{}/{}/{}", manifest.metadata.name, pool.name, index + 1);
            let credentials = host.credentials.as_ref().or(provider.credentials.as_ref());
            let credentials = credentials.or(manifest.spec.ssh.credentials.as_ref());
            let reach = Reach {
                address: host.address.clone(),
                port: Some(host.ssh_port),
                user: Some(host.ssh_user.clone()),
                key: or_complain(key(credentials, &host.address), problems),
            };
            own.insert(ResourceId::new(id), reach);
        }
    }
    own
}

fn or_complain(key: Result<Key, Problem>, problems: &mut Vec<Problem>) -> Key {
    key.unwrap_or_else(|problem| {
        if !problems.contains(&problem) {
            problems.push(problem);
        }
        Key::Agent
    })
}

/// Host keys, kept with the state.
pub(super) struct Pinned(pub(super) quorate_live::Pins);

impl quorate_hosts::Pins for Pinned {
    fn get(&self, machine: &ResourceId) -> Option<String> {
        self.0.get(machine).map(|pin| pin.key)
    }

    fn put(&self, machine: &ResourceId, key: &str) -> Result<(), String> {
        self.0
            .trust(machine, key)
            .map_err(|error| error.to_string())
    }
}
