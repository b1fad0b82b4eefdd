//! Servers in networks: which address each gets there.

use super::actions::Effect;
use super::catalog::Location;
use super::fields::Fields;
use super::refusal::{Outcome, Refusal};
use super::stock::{Attachment, Network};
use super::{Hetzner, Moment};
use ipnet::Ipv4Net;
use std::net::Ipv4Addr;

/// A server is in no more networks (Hetzner docs, "Networks: limits").
const NETWORKS: usize = 3;

impl Hetzner {
    /// A place in a network for a server at a location that is in `nets` already: the address that
    /// is asked for, or the first that is free.
    pub(super) fn place_in(
        &self,
        network: u64,
        location: &Location,
        address: Option<Ipv4Addr>,
        within: Option<Ipv4Net>,
        nets: &[Attachment],
    ) -> Outcome<Attachment> {
        let refused = |code, why| Err(Refusal::new(422, code, why));
        let into = self.network(network)?;
        if nets.iter().any(|net| net.network == network) {
            let why = "the server is already attached to the network";
            return refused("server_already_attached", why);
        }
        if nets.len() >= NETWORKS {
            return Err(Refusal::too_many("network_attachment"));
        }
        for net in nets {
            let other = self.network(net.network)?.block;
            if other.contains(&into.block) || into.block.contains(&other) {
                let why = "the networks overlap";
                return refused("networks_overlap", why);
            }
        }
        let subnets = into.subnets.iter().filter(|subnet| {
            subnet.zone == location.zone && within.is_none_or(|block| block == subnet.block)
        });
        let subnets: Vec<Ipv4Net> = subnets.map(|subnet| subnet.block).collect();
        let address = match address {
            Some(address) => {
                let here = subnets.iter().any(|block| block.contains(&address));
                if !here || !self.is_free(into, address) {
                    return refused("ip_not_available", "the IP is not available");
                }
                address
            }
            None => {
                let mut all = subnets.iter().flat_map(Ipv4Net::hosts);
                let Some(free) = all.find(|address| self.is_free(into, *address)) else {
                    let why = "no subnet or IP is available";
                    return refused("no_subnet_available", why);
                };
                free
            }
        };
        Ok(Attachment {
            network,
            address,
            aliases: Vec::new(),
            done: false,
        })
    }

    fn is_free(&self, network: &Network, address: Ipv4Addr) -> bool {
        let nets = self.stock.servers.values().flat_map(|server| &server.nets);
        let mut here = nets.filter(|net| net.network == network.base.id);
        address != network.gateway()
            && !here.any(|net| net.address == address || net.aliases.contains(&address))
    }

    pub(super) fn attach(
        &mut self,
        moment: &mut Moment<'_>,
        id: u64,
        fields: &Fields,
    ) -> Outcome<u64> {
        let network = fields.number("network")?;
        let server = &self.stock.servers[&id];
        let (address, within) = (fields.maybe_address("ip")?, fields.maybe_block("ip_range")?);
        let mut place = self.place_in(network, server.location, address, within, &server.nets)?;
        for alias in fields.texts("alias_ips")? {
            let Ok(alias) = alias.parse::<Ipv4Addr>() else {
                return fields.wrong("alias_ips", "must hold IPv4 addresses");
            };
            if !self.is_free(self.network(network)?, alias) || alias == place.address {
                let why = "the IP is not available";
                return Err(Refusal::new(422, "ip_not_available", why));
            }
            place.aliases.push(alias);
        }
        let server = self.stock.servers.get_mut(&id).expect("it was found");
        server.nets.push(place);
        let on = [("server", id), ("network", network)];
        let effect = Effect::Attached {
            server: id,
            network,
        };
        Ok(self.begin_short(moment, "attach_to_network", &on, effect))
    }

    pub(super) fn detach(
        &mut self,
        moment: &mut Moment<'_>,
        id: u64,
        fields: &Fields,
    ) -> Outcome<u64> {
        let network = fields.number("network")?;
        let nets = &self.stock.servers[&id].nets;
        if !nets.iter().any(|net| net.network == network) {
            return Err(Refusal::not_found("network", network));
        }
        let on = [("server", id), ("network", network)];
        let effect = Effect::Detached {
            server: id,
            network,
        };
        Ok(self.begin_short(moment, "detach_from_network", &on, effect))
    }
}
