//! The mesh's keepalives, and nodes that nobody can dial.
//!
//! Ranges, ports and MTU of the mesh are judged elsewhere; how peers find each other, nowhere here.

use super::view::{View, graded};
use crate::diagnostic::Finding;
use crate::manifest::{Domain, Role};
use crate::time::Span;

/// WireGuard counts keepalives in 16 bits of seconds.
const KEEPALIVE_MAX: Span = Span::from_secs(65_535);
/// NATs forget UDP after 30 s in practice (WireGuard's documentation asks for 25 s), although
/// RFC 4787 wants two minutes.
const NAT_FORGETS: Span = Span::from_secs(30);

pub(super) fn check(view: View<'_>, found: &mut Vec<Finding>) {
    let path = view.at("mesh").field("keepalive");
    let keepalive = view.spec.mesh.keepalive;
    let hosts = || view.spec.node_pools.iter().flat_map(|pool| &pool.hosts);
    if keepalive.0 > KEEPALIVE_MAX || !keepalive.0.0.is_multiple_of(1_000_000_000) {
        let message = format!("a keepalive of {keepalive} cannot be set");
        found.push(
            Finding::error("keepalive-out-of-bounds", &path, message)
                .why("WireGuard counts whole seconds up to 65535; 0 turns keepalives off")
                .fix("write `25s`"),
        );
    } else if (keepalive.0 == Span::ZERO || keepalive.0 > NAT_FORGETS)
        && hosts().any(|host| host.behind_nat)
    {
        let message = format!("a keepalive of {keepalive}, and there are hosts behind NAT");
        found.push(
            Finding::warning("keepalive-outlives-nat", &path, message)
                .why("their NAT forgets the way back after about 30 s of silence")
                .fix("write `25s`"),
        );
    }
    let members = view
        .with_role(Role::ControlPlane)
        .flat_map(|pool| &pool.hosts);
    if members.filter(|host| host.behind_nat).count() > 1 {
        let hard = view.must_survive(Domain::Node);
        let message = "two etcd members stand behind NAT, and neither can dial the other";
        found.push(
            graded(hard, "etcd-behind-nat", &view.at("nodePools"), message)
                .why("members that cannot reach each other count as lost")
                .fix("use hosts that can be dialled for all members but one"),
        );
    }
}

#[cfg(test)]
pub(super) mod tests {
    use crate::manifest::judge::trial::{Case, case, run};
    use serde_json::json;

    const KEEPALIVE: &str = "/spec/mesh/keepalive";
    const NAT: &str = "/spec/nodePools/3/hosts/0/behindNat";

    pub(in super::super) fn cases() -> Vec<Case> {
        vec![
            case("keepalive-out-of-bounds", KEEPALIVE, json!("1500ms")),
            case("keepalive-out-of-bounds", KEEPALIVE, json!("65536s")),
            case("keepalive-outlives-nat", KEEPALIVE, json!("31s")).and_set(NAT, json!(true)),
            case("keepalive-outlives-nat", KEEPALIVE, json!("0s")).and_set(NAT, json!(true)),
            case("etcd-behind-nat", NAT, json!(true))
                .and_set("/spec/nodePools/3/hosts/1/behindNat", json!(true))
                .and_set(
                    "/spec/nodePools/3/roles",
                    json!(["control-plane", "worker"]),
                )
                .with("zero-slack-after-loss")
                .fails(),
        ]
    }

    #[test]
    fn each_mistake_is_found() {
        run(cases());
    }

    #[test]
    fn bounds_themselves_are_allowed() {
        run(vec![
            Case::clean(KEEPALIVE, json!("30s")).and_set(NAT, json!(true)),
            Case::clean(KEEPALIVE, json!("0s")),
            Case::clean(KEEPALIVE, json!("65535s")),
        ]);
    }
}
