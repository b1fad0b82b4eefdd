//! Which address a machine gets: the same one for the same machine as long as it is free.
//!
//! A pure function of the machine's id and of what is taken.

use super::domain::gateway;
use ipnet::Ipv4Net;
use quorate_engine::resource::ResourceId;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// How many machines fit: all addresses but the network's own, the broadcast address and the
/// gateway.
pub(super) fn room(cidr: Ipv4Net) -> usize {
    let bits = 32 - u32::from(cidr.prefix_len());
    (1_usize << bits).saturating_sub(3)
}

/// A free address, found by probing from the place that the id hashes to; none if all are taken.
pub(super) fn choose(
    cidr: Ipv4Net,
    id: &ResourceId,
    taken: &BTreeSet<Ipv4Addr>,
) -> Option<Ipv4Addr> {
    let room = u32::try_from(room(cidr)).ok().filter(|&room| room > 0)?;
    let first = gateway(cidr).to_bits() + 1;
    let start = u32::try_from(id.number() % u64::from(room)).expect("below the room");
    let probe = |step| Ipv4Addr::from_bits(first + (start + step) % room);
    (0..room)
        .map(probe)
        .find(|address| !taken.contains(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: usize) -> ResourceId {
        ResourceId::new(format!("shop/w/{n}"))
    }

    #[test]
    fn every_machine_has_one_of_its_own_until_none_is_left() {
        let cidr: Ipv4Net = "10.9.8.0/28".parse().unwrap();
        let mut taken = BTreeSet::new();
        for n in 0..room(cidr) {
            let address = choose(cidr, &id(n), &taken).unwrap();
            assert!(cidr.contains(&address) && address != gateway(cidr));
            assert!(address != cidr.broadcast() && address != cidr.network());
            assert_eq!(choose(cidr, &id(n), &taken), Some(address));
            assert!(taken.insert(address));
        }
        assert_eq!(taken.len(), 13);
        assert_eq!(choose(cidr, &id(99), &taken), None);
        // One that is given back is found again.
        let back: Ipv4Addr = "10.9.8.7".parse().unwrap();
        taken.remove(&back);
        assert_eq!(choose(cidr, &id(99), &taken), Some(back));
    }

    #[test]
    fn networks_without_room_have_none() {
        for (cidr, count) in [("10.0.0.0/30", 1), ("10.0.0.0/31", 0), ("10.0.0.0/32", 0)] {
            let cidr: Ipv4Net = cidr.parse().unwrap();
            assert_eq!(room(cidr), count);
            assert_eq!(choose(cidr, &id(1), &BTreeSet::new()).is_some(), count > 0);
        }
    }
}
