//! Fixed MTUs: what the underlay leaves to the mesh, and the mesh to the network plugin.
//!
//! Solves nothing: `auto` is solved where the topology is made.

use super::view::View;
use crate::catalog::path_mtu;
use crate::diagnostic::Finding;
use crate::manifest::{CniName, Mtu, Role};

/// WireGuard's overhead over IPv6; over IPv4 it is 20 less (wireguard.com, "Known limitations").
const WIREGUARD: u16 = 80;
/// VXLAN's overhead over IPv4, which all three plugins use by default (RFC 7348).
const VXLAN: u16 = 50;
/// What every IPv6 link must carry (RFC 8200), and what holes in path MTU discovery still let by.
const SMALLEST: u16 = 1_280;

pub(super) fn check(view: View<'_>, found: &mut Vec<Finding>) {
    let kinds = view
        .spec
        .node_pools
        .iter()
        .filter_map(|pool| view.kind(pool));
    let path_mtu = path_mtu(kinds);
    let safe = path_mtu - WIREGUARD;
    let mesh_path = view.at("mesh").field("mtu");
    let mesh = match view.spec.mesh.mtu {
        Mtu::Auto => safe,
        Mtu::Fixed(mtu) => mtu,
    };
    if mesh > safe {
        let message =
            format!("{mesh} does not fit a path of {path_mtu} less {WIREGUARD} of WireGuard");
        found.push(
            Finding::error("mesh-mtu-too-large", &mesh_path, message)
                .why("large packets vanish while small ones pass: connections open and then hang")
                .fix(format!("write `mtu: auto`, or at most {safe}")),
        );
    } else if mesh < SMALLEST {
        let message = format!("{mesh} is less than every network carries");
        found.push(
            Finding::error("mesh-mtu-too-small", &mesh_path, message)
                .why("IPv6 does not work below 1280, and each packet wastes more on headers")
                .fix(format!("write `mtu: auto`, or {SMALLEST} to {safe}")),
        );
    }
    let Some(Mtu::Fixed(cni)) = view.spec.kubernetes.as_ref().map(|k| k.cni.mtu) else {
        return;
    };
    let path = view.at("kubernetes").field("cni").field("mtu");
    let plugin = view.spec.kubernetes.as_ref().map(|k| k.cni.name);
    let overhead = match plugin {
        // The mesh leads to the pods themselves.
        Some(CniName::Bridge) => 0,
        Some(CniName::Cilium | CniName::Calico | CniName::Flannel) | None => VXLAN,
    };
    let most = mesh.min(safe).saturating_sub(overhead);
    if cni > most {
        let message = format!(
            "{cni} does not fit a mesh of {} less {overhead} of VXLAN",
            mesh.min(safe)
        );
        found.push(
            Finding::error("cni-mtu-too-large", &path, message)
                .why("large packets between pods of different nodes vanish: connections hang")
                .fix(format!("write `mtu: auto`, or at most {most}")),
        );
    } else if cni < SMALLEST - overhead && view.with_role(Role::Worker).next().is_some() {
        let message = format!("{cni} is less than even the smallest mesh leaves");
        found.push(
            Finding::error("cni-mtu-too-small", &path, message)
                .why("each packet wastes more on headers")
                .fix(format!(
                    "write `mtu: auto`, or {} to {most}",
                    SMALLEST - overhead
                )),
        );
    }
}

#[cfg(test)]
pub(super) mod tests {
    use crate::manifest::judge::trial::{Case, case, run};
    use serde_json::json;

    const MESH: &str = "/spec/mesh/mtu";
    const CNI: &str = "/spec/kubernetes/cni/mtu";

    pub(in super::super) fn cases() -> Vec<Case> {
        vec![
            // gcp has 1460, so 1380 is the most.
            case("mesh-mtu-too-large", MESH, json!(1381)),
            case("mesh-mtu-too-small", MESH, json!(1279)),
            case("cni-mtu-too-large", CNI, json!(1331)),
            case("cni-mtu-too-large", CNI, json!(1231)).and_set(MESH, json!(1280)),
            case("cni-mtu-too-small", CNI, json!(1229)),
        ]
    }

    #[test]
    fn each_mistake_is_found() {
        run(cases());
    }

    #[test]
    fn the_bounds_themselves_are_allowed() {
        run(vec![
            Case::clean(MESH, json!(1380)),
            Case::clean(MESH, json!(1280)),
            Case::clean(CNI, json!(1330)),
            Case::clean(CNI, json!(1230)),
        ]);
    }
}
