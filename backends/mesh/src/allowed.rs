//! Allowed IPs: which peer an address lies behind, by longest prefix.
//!
//! Does not know what a peer is.

use ip_network::{IpNetwork, Ipv4Network, Ipv6Network};
use ip_network_table::IpNetworkTable;
use ipnet::IpNet;
use std::net::IpAddr;

/// Networks and what lies behind them. A network belongs to one owner at most.
pub struct AllowedIps<T> {
    table: IpNetworkTable<T>,
}

impl<T> Default for AllowedIps<T> {
    fn default() -> Self {
        let table = IpNetworkTable::new();
        Self { table }
    }
}

impl<T> AllowedIps<T> {
    /// Gives a network to an owner, and takes it from whoever had exactly this one before.
    pub fn insert(&mut self, network: IpNet, owner: T) -> Option<T> {
        self.table.insert(key(network), owner)
    }

    /// Takes one network back, if it is held by somebody for whom `held` is true.
    pub fn remove(&mut self, network: IpNet, held: impl Fn(&T) -> bool) {
        if self.table.exact_match(key(network)).is_some_and(held) {
            self.table.remove(key(network));
        }
    }

    /// Keeps only networks whose owner passes.
    pub fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        self.table.retain(|_, owner| keep(owner));
    }

    /// Behind whom an address lies.
    #[must_use]
    pub fn longest_match(&self, address: IpAddr) -> Option<&T> {
        self.table.longest_match(address).map(|(_, owner)| owner)
    }

    /// All networks of the owners that pass, IPv4 first, each family in order.
    #[must_use]
    pub fn networks(&self, of: impl Fn(&T) -> bool) -> Vec<IpNet> {
        let held = self.table.iter().filter(|(_, owner)| of(owner));
        let mut networks: Vec<_> = held.map(|(network, _)| plain(network)).collect();
        networks.sort();
        networks
    }
}

fn key(network: IpNet) -> IpNetwork {
    let valid = "a prefix length that ipnet accepts";
    match network {
        IpNet::V4(net) => Ipv4Network::new_truncate(net.addr(), net.prefix_len())
            .expect(valid)
            .into(),
        IpNet::V6(net) => Ipv6Network::new_truncate(net.addr(), net.prefix_len())
            .expect(valid)
            .into(),
    }
}

fn plain(network: IpNetwork) -> IpNet {
    IpNet::new(network.network_address(), network.netmask()).expect("a valid network")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    fn table() -> AllowedIps<u8> {
        let mut allowed = AllowedIps::default();
        let entries = [
            ("0.0.0.0/0", 1),
            ("10.88.0.0/16", 2),
            ("10.88.0.3/32", 3),
            ("::/0", 4),
            ("fd00:88::/64", 5),
        ];
        for (network, owner) in entries {
            assert_eq!(allowed.insert(net(network), owner), None);
        }
        allowed
    }

    #[test]
    fn the_longest_prefix_decides() {
        let cases = [
            ("192.0.2.1", 1),
            ("10.88.0.4", 2),
            ("10.88.0.3", 3),
            ("2001:db8::1", 4),
            ("fd00:88::1", 5),
            ("fd00:88:0:1::1", 4),
        ];
        for (address, owner) in cases {
            let found = table().longest_match(address.parse().unwrap()).copied();
            assert_eq!(found, Some(owner), "{address}");
        }
        let empty = AllowedIps::<u8>::default();
        assert_eq!(empty.longest_match("10.88.0.3".parse().unwrap()), None);
    }

    #[test]
    fn a_network_moves_to_who_asks_last() {
        let mut allowed = table();
        // Bits beyond the prefix do not make it another network.
        assert_eq!(allowed.insert(net("10.88.7.7/16"), 9), Some(2));
        let found = allowed.longest_match("10.88.0.4".parse().unwrap());
        assert_eq!(found, Some(&9));
        assert_eq!(allowed.networks(|owner| *owner == 2), []);
        assert_eq!(allowed.networks(|owner| *owner == 9), [net("10.88.0.0/16")]);
    }

    #[test]
    fn only_the_holder_gives_a_network_back() {
        let mut allowed = table();
        allowed.remove(net("10.88.0.3/32"), |owner| *owner == 2);
        let address = "10.88.0.3".parse().unwrap();
        assert_eq!(allowed.longest_match(address), Some(&3));
        allowed.remove(net("10.88.0.3/32"), |owner| *owner == 3);
        assert_eq!(allowed.longest_match(address), Some(&2));
        allowed.retain(|owner| *owner != 2);
        assert_eq!(allowed.longest_match(address), Some(&1));
    }
}
