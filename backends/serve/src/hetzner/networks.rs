//! Networks, their subnets and routes.

use super::actions::Effect;
use super::catalog::is_zone;
use super::fields::Fields;
use super::labels;
use super::refusal::{Outcome, Refusal};
use super::route::no_such_method;
use super::stock::{Network, Subnet};
use super::{Hetzner, Moment, listing};
use crate::wire::Answer;
use ipnet::Ipv4Net;
use serde_json::{Value, json};
use std::net::Ipv4Addr;

/// Networks are in one of these (RFC 1918).
const PRIVATE: [Ipv4Net; 3] = [
    Ipv4Net::new_assert(Ipv4Addr::new(10, 0, 0, 0), 8),
    Ipv4Net::new_assert(Ipv4Addr::new(172, 16, 0, 0), 12),
    Ipv4Net::new_assert(Ipv4Addr::new(192, 168, 0, 0), 16),
];

/// The gateway of servers' public interfaces.
const PUBLIC_GATEWAY: Ipv4Addr = Ipv4Addr::new(172, 31, 1, 1);

fn overlap(a: &Ipv4Net, b: &Ipv4Net) -> bool {
    a.contains(b) || b.contains(a)
}

impl Network {
    /// The first address of the whole range.
    pub(super) fn gateway(&self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.block.network()) + 1)
    }

    /// Reads a subnet that fits in.
    fn subnet(&self, fields: &Fields) -> Outcome<Subnet> {
        let kind = fields.text("type")?.to_owned();
        if !["cloud", "server", "vswitch"].contains(&kind.as_str()) {
            return fields.wrong("type", "must be cloud, server or vswitch");
        }
        let zone = fields.text("network_zone")?.to_owned();
        if !is_zone(&zone) {
            return fields.wrong("network_zone", "is not known");
        }
        let vswitch = fields.maybe_number("vswitch_id")?;
        if vswitch.is_some() != (kind == "vswitch") {
            return fields.wrong("vswitch_id", "belongs to subnets of type vswitch");
        }
        let taken = |block: &Ipv4Net| {
            let subnets = self.subnets.iter().any(|it| overlap(&it.block, block));
            subnets || self.routes.iter().any(|(to, _)| overlap(to, block))
        };
        let block = match fields.maybe_block("ip_range")? {
            Some(block) => block,
            None => {
                let mut all = self.block.subnets(24).into_iter().flatten();
                let Some(free) = all.find(|block| !taken(block)) else {
                    return fields.wrong("ip_range", "no /24 is left");
                };
                free
            }
        };
        if !self.block.contains(&block) || block.prefix_len() > 30 {
            return fields.wrong("ip_range", "must be within the network and at least a /30");
        }
        if taken(&block) {
            return fields.wrong("ip_range", "overlaps a subnet or a route");
        }
        Ok(Subnet {
            block,
            kind,
            zone,
            vswitch,
        })
    }

    fn route(&self, fields: &Fields) -> Outcome<(Ipv4Net, Ipv4Addr)> {
        let to = fields.block("destination")?;
        let everywhere = to.prefix_len() == 0;
        if !everywhere && !PRIVATE.iter().any(|block| block.contains(&to)) {
            return fields.wrong("destination", "must be private or 0.0.0.0/0");
        }
        let taken = self.subnets.iter().any(|it| overlap(&it.block, &to))
            || self.routes.iter().any(|(other, _)| overlap(other, &to))
            || to.contains(&PUBLIC_GATEWAY);
        if taken && !everywhere {
            return fields.wrong("destination", "overlaps a subnet or a route");
        }
        let Some(by) = fields.maybe_address("gateway")? else {
            return fields.wrong("gateway", "is missing");
        };
        if by == self.gateway() || by == PUBLIC_GATEWAY || !self.block.contains(&by) {
            return fields.wrong("gateway", "must be an address of a server in the network");
        }
        Ok((to, by))
    }
}

impl Hetzner {
    pub(super) fn network(&self, id: u64) -> Outcome<&Network> {
        let found = self.stock.networks.get(&id);
        found.ok_or_else(|| Refusal::not_found("network", id))
    }

    pub(super) fn list_networks(&self, moment: &Moment<'_>) -> Outcome<Answer> {
        let all = self.stock.networks.values();
        let all = all.map(|it| (&it.base, self.show_network(it)));
        let all = self.listed(moment, "networks", all);
        listing::answer(moment.request, "networks", &["name"], all)
    }

    pub(super) fn get_network(&self, id: u64) -> Outcome<Answer> {
        let shown = self.show_network(self.network(id)?);
        Ok(Answer::new(200, json!({"network": shown})))
    }

    pub(super) fn create_network(&mut self, moment: &mut Moment<'_>) -> Outcome<Answer> {
        let fields = Fields::read(&moment.request.body)?;
        let name = fields.name(64)?;
        let block = network_block(&fields)?;
        let exposed = fields.flag("expose_routes_to_vswitch", false)?;
        let labels = labels::read(&fields)?.unwrap_or_default();
        let (subnets, routes) = (fields.objects("subnets")?, fields.objects("routes")?);
        let all = self.stock.networks.values().map(|it| &it.base);
        self.unused(all, &name, "network", None)?;
        let mut network = Network {
            base: self.base(moment, "network", name, labels),
            block,
            subnets: Vec::new(),
            routes: Vec::new(),
            exposed,
        };
        for subnet in &subnets {
            let subnet = network.subnet(subnet)?;
            network.subnets.push(subnet);
        }
        for route in &routes {
            let route = network.route(route)?;
            network.routes.push(route);
        }
        let id = network.base.id;
        let shown = self.show_network(&network);
        self.stock.networks.insert(id, network);
        Ok(Answer::new(201, json!({"network": shown})))
    }

    pub(super) fn update_network(&mut self, moment: &Moment<'_>, id: u64) -> Outcome<Answer> {
        let fields = Fields::read(&moment.request.body)?;
        let network = self.network(id)?;
        let (name, labels) = Self::renamed(&fields, &network.base)?;
        let exposed = fields.flag("expose_routes_to_vswitch", network.exposed)?;
        let all = self.stock.networks.values().map(|it| &it.base);
        self.unused(all, &name, "network", Some(id))?;
        let network = self.stock.networks.get_mut(&id).expect("it was found");
        (network.base.name, network.base.labels) = (name, labels);
        network.exposed = exposed;
        self.get_network(id)
    }

    /// Servers in it are taken out of it (API reference: "Attached resources will be detached
    /// automatically").
    pub(super) fn delete_network(&mut self, moment: &mut Moment<'_>, id: u64) -> Outcome<Answer> {
        let network = self.network(id)?;
        if network.base.protected {
            return Err(Refusal::protected("network"));
        }
        if self.locked(("network", id)) {
            return Err(changing());
        }
        let (name, shown) = (network.base.name.clone(), self.show_network(network));
        for server in self.stock.servers.values_mut() {
            server.nets.retain(|net| net.network != id);
        }
        self.stock.networks.remove(&id);
        self.haunt(moment, ("network", "networks"), &name, shown);
        Ok(Answer::nothing())
    }

    pub(super) fn act_on_network(
        &mut self,
        moment: &mut Moment<'_>,
        id: u64,
        command: &str,
    ) -> Outcome<Answer> {
        self.network(id)?;
        if self.locked(("network", id)) {
            return Err(changing());
        }
        let fields = Fields::read(&moment.request.body)?;
        let command = match command {
            "add_subnet" => {
                let subnet = self.network(id)?.subnet(&fields)?;
                self.network_mut(id).subnets.push(subnet);
                "add_subnet"
            }
            "delete_subnet" => self.delete_subnet(id, &fields)?,
            "add_route" => {
                let route = self.network(id)?.route(&fields)?;
                self.network_mut(id).routes.push(route);
                "add_route"
            }
            "delete_route" => {
                let to = fields.block("destination")?;
                let before = self.network(id)?.routes.len();
                let network = self.network_mut(id);
                network.routes.retain(|(other, _)| *other != to);
                if network.routes.len() == before {
                    return fields.wrong("destination", "there is no such route");
                }
                "delete_route"
            }
            "change_ip_range" => {
                let (is, wanted) = (self.network(id)?.block, network_block(&fields)?);
                if wanted.network() != is.network() || wanted.prefix_len() > is.prefix_len() {
                    return fields.wrong("ip_range", "can only be extended at its end");
                }
                self.network_mut(id).block = wanted;
                "change_ip_range"
            }
            "change_protection" => {
                let protected = fields.flag("delete", self.network(id)?.base.protected)?;
                self.network_mut(id).base.protected = protected;
                "change_protection"
            }
            _ => return Err(no_such_method()),
        };
        let on = [("network", id)];
        let action = self.begin_short(moment, command, &on, Effect::Nothing);
        Ok(self.one_action(moment, action))
    }

    fn network_mut(&mut self, id: u64) -> &mut Network {
        let found = self.stock.networks.get_mut(&id);
        found.expect("it was found before")
    }

    fn delete_subnet(&mut self, id: u64, fields: &Fields) -> Outcome<&'static str> {
        let block = fields.block("ip_range")?;
        if self.network(id)?.subnets.iter().all(|it| it.block != block) {
            return fields.wrong("ip_range", "there is no such subnet");
        }
        let mut nets = self.stock.servers.values().flat_map(|server| &server.nets);
        if nets.any(|net| net.network == id && block.contains(&net.address)) {
            let why = "subnet is still in use";
            return Err(Refusal::new(422, "resource_in_use", why));
        }
        self.network_mut(id).subnets.retain(|it| it.block != block);
        Ok("delete_subnet")
    }

    fn show_network(&self, network: &Network) -> Value {
        let subnets = network.subnets.iter().map(|subnet| {
            json!({
                "type": subnet.kind,
                "ip_range": subnet.block.to_string(),
                "network_zone": subnet.zone,
                "gateway": network.gateway(),
                "vswitch_id": subnet.vswitch,
            })
        });
        let routes = network.routes.iter();
        let routes = routes.map(|(to, by)| json!({"destination": to.to_string(), "gateway": by}));
        let id = network.base.id;
        let servers = self.stock.servers.values().filter(|server| {
            let mut nets = server.nets.iter();
            nets.any(|net| net.network == id && net.done)
        });
        json!({
            "id": id,
            "name": network.base.name,
            "ip_range": network.block.to_string(),
            "subnets": subnets.collect::<Vec<_>>(),
            "routes": routes.collect::<Vec<_>>(),
            "servers": servers.map(|server| server.base.id).collect::<Vec<_>>(),
            "load_balancers": [],
            "protection": {"delete": network.base.protected},
            "labels": network.base.labels,
            "created": self.calendar.stamp(network.base.made),
            "expose_routes_to_vswitch": network.exposed,
        })
    }
}

fn network_block(fields: &Fields) -> Outcome<Ipv4Net> {
    let block = fields.block("ip_range")?;
    let private = PRIVATE.iter().any(|range| range.contains(&block));
    if !private || block.prefix_len() > 24 {
        return fields.wrong(
            "ip_range",
            "must be a private range of RFC 1918, at least a /24",
        );
    }
    Ok(block)
}

fn changing() -> Refusal {
    Refusal::new(409, "conflict", "a change is currently being performed")
}
