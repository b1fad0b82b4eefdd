//! Machines, and what Kubernetes and etcd call them.

use quorate_engine::resource::ResourceId;

/// The name of a machine's node, and of its etcd member: `shop/htz-cp/1` is `shop-htz-cp-1`, as its
/// provider calls it, too.
#[must_use]
pub(crate) fn node(machine: &ResourceId) -> String {
    machine.as_str().replace('/', "-")
}

/// The machine of a node of a cluster; none for a node that cannot be one of ours.
#[must_use]
pub(crate) fn machine(cluster: &str, node: &str) -> Option<ResourceId> {
    let (pool, number) = node
        .strip_prefix(cluster)?
        .strip_prefix('-')?
        .rsplit_once('-')?;
    let whole = !pool.is_empty() && !number.starts_with('0');
    let number: u32 = number.parse().ok().filter(|_| whole)?;
    Some(ResourceId::new(format!("{cluster}/{pool}/{number}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_its_machine_and_back() {
        for id in ["shop/w/1", "shop/htz-cp/12", "my-shop/a-b-c/3"] {
            let machine = ResourceId::new(id);
            let cluster = id.split('/').next().unwrap();
            assert_eq!(super::machine(cluster, &node(&machine)), Some(machine));
        }
    }

    #[test]
    fn strangers_are_nobody_s_machine() {
        for name in [
            "",
            "shop",
            "shop-",
            "shop-w",
            "shop--1",
            "shop-w-x",
            "shop-w-01",
            "shops-w-1",
        ] {
            assert_eq!(machine("shop", name), None, "{name}");
        }
    }
}
