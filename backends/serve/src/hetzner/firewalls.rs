//! Firewalls: their rules, and what they are applied to.

use super::actions::Effect;
use super::fields::Fields;
use super::labels::{self, Selector};
use super::refusal::{Outcome, Refusal};
use super::route::no_such_method;
use super::stock::{Applied, Firewall, Server};
use super::{Hetzner, Moment, listing};
use crate::wire::Answer;
use ipnet::IpNet;
use serde_json::{Value, json};

/// Rules in one firewall, blocks in one rule, firewalls on one server (API reference, and Hetzner
/// docs, "Firewalls: limits").
const RULES: usize = 50;
const BLOCKS: usize = 100;
const FIREWALLS: usize = 5;

impl Applied {
    fn is_on(&self, server: &Server) -> bool {
        match self {
            Self::Server(id) => *id == server.base.id,
            Self::Selector(text) => {
                let selector = Selector::parse(text).expect("it was judged when it was given");
                selector.matches(&server.base.labels)
            }
        }
    }
}

impl Hetzner {
    fn firewall(&self, id: u64) -> Outcome<&Firewall> {
        let found = self.stock.firewalls.get(&id);
        found.ok_or_else(|| Refusal::not_found("firewall", id))
    }

    fn firewall_mut(&mut self, id: u64) -> &mut Firewall {
        let found = self.stock.firewalls.get_mut(&id);
        found.expect("it was found before")
    }

    pub(super) fn list_firewalls(&self, moment: &Moment<'_>) -> Outcome<Answer> {
        let all = self.stock.firewalls.values();
        let all = all.map(|it| (&it.base, self.show_firewall(it)));
        let all = self.listed(moment, "firewalls", all);
        listing::answer(moment.request, "firewalls", &["name"], all)
    }

    pub(super) fn get_firewall(&self, id: u64) -> Outcome<Answer> {
        let shown = self.show_firewall(self.firewall(id)?);
        Ok(Answer::new(200, json!({"firewall": shown})))
    }

    pub(super) fn create_firewall(&mut self, moment: &mut Moment<'_>) -> Outcome<Answer> {
        let fields = Fields::read(&moment.request.body)?;
        let name = fields.name(128)?;
        let rules = rules(&fields)?;
        let applied = self.resources(&fields, "apply_to", 422)?;
        let labels = labels::read(&fields)?.unwrap_or_default();
        for (at, one) in applied.iter().enumerate() {
            if applied[..at].contains(one) {
                let why = "the server was added more than once";
                return Err(Refusal::new(422, "server_already_added", why));
            }
            self.bears_one_more(one)?;
        }
        let all = self.stock.firewalls.values().map(|it| &it.base);
        self.unused(all, &name, "firewall", None)?;
        let base = self.base(moment, "firewall", name, labels);
        let id = base.id;
        let firewall = Firewall {
            base,
            rules,
            applied: Vec::new(),
            pending: Vec::new(),
        };
        self.stock.firewalls.insert(id, firewall);
        let on = [("firewall", id)];
        let mut actions =
            vec![self.begin_short(moment, "set_firewall_rules", &on, Effect::Nothing)];
        actions.extend(self.apply(moment, id, applied));
        let actions = actions.into_iter();
        let actions = actions.map(|action| self.show_action(moment.now, action));
        let body = json!({
            "actions": actions.collect::<Vec<_>>(),
            "firewall": self.show_firewall(self.firewall(id)?),
        });
        Ok(Answer::new(201, body))
    }

    pub(super) fn update_firewall(&mut self, moment: &Moment<'_>, id: u64) -> Outcome<Answer> {
        let fields = Fields::read(&moment.request.body)?;
        let (name, labels) = Self::renamed(&fields, &self.firewall(id)?.base)?;
        let all = self.stock.firewalls.values().map(|it| &it.base);
        self.unused(all, &name, "firewall", Some(id))?;
        let base = &mut self.firewall_mut(id).base;
        (base.name, base.labels) = (name, labels);
        self.get_firewall(id)
    }

    pub(super) fn delete_firewall(&mut self, moment: &mut Moment<'_>, id: u64) -> Outcome<Answer> {
        let firewall = self.firewall(id)?;
        if !firewall.applied.is_empty() {
            let why = format!("firewall with ID '{id}' is still in use");
            return Err(Refusal::new(422, "resource_in_use", why));
        }
        let (name, shown) = (firewall.base.name.clone(), self.show_firewall(firewall));
        self.stock.firewalls.remove(&id);
        self.haunt(moment, ("firewall", "firewalls"), &name, shown);
        Ok(Answer::nothing())
    }

    pub(super) fn act_on_firewall(
        &mut self,
        moment: &mut Moment<'_>,
        id: u64,
        command: &str,
    ) -> Outcome<Answer> {
        self.firewall(id)?;
        let fields = Fields::read(&moment.request.body)?;
        let actions = match command {
            "set_rules" => {
                fields.given_list("rules")?;
                self.firewall_mut(id).rules = rules(&fields)?;
                let on = [("firewall", id)];
                vec![self.begin_short(moment, "set_firewall_rules", &on, Effect::Nothing)]
            }
            "apply_to_resources" => {
                fields.given_list("apply_to")?;
                let wanted = self.resources(&fields, "apply_to", 404)?;
                for one in &wanted {
                    if self.firewall(id)?.applied.contains(one) {
                        let why = "the firewall is already applied";
                        return Err(Refusal::new(422, "firewall_already_applied", why));
                    }
                    self.bears_one_more(one)?;
                }
                self.apply(moment, id, wanted)
            }
            "remove_from_resources" => {
                fields.given_list("remove_from")?;
                let unwanted = self.resources(&fields, "remove_from", 404)?;
                self.withdraw(moment, id, &unwanted)?
            }
            _ => return Err(no_such_method()),
        };
        let actions = actions.into_iter();
        let actions = actions.map(|action| self.show_action(moment.now, action));
        let body = json!({"actions": actions.collect::<Vec<_>>()});
        Ok(Answer::new(201, body))
    }

    /// Reads what a firewall is to be applied to, or taken from.
    fn resources(&self, fields: &Fields, name: &str, missing: u16) -> Outcome<Vec<Applied>> {
        let each = fields.objects(name)?.into_iter().map(|one| {
            let within = |name: &str| match one.object(name)? {
                Some(object) => Ok(object),
                None => one.wrong(name, "is missing"),
            };
            match one.text("type")? {
                "server" => {
                    let id = within("server")?.number("id")?;
                    if self.stock.servers.contains_key(&id) {
                        return Ok(Applied::Server(id));
                    }
                    let why = format!("server with ID '{id}' not found");
                    Err(Refusal::new(missing, "firewall_resource_not_found", why))
                }
                "label_selector" => {
                    let text = within("label_selector")?.text("selector")?.to_owned();
                    Selector::parse(&text)?;
                    Ok(Applied::Selector(text))
                }
                _ => one.wrong("type", "must be server or label_selector"),
            }
        });
        each.collect()
    }

    /// Refuses where a server cannot have one more firewall.
    fn bears_one_more(&self, on: &Applied) -> Outcome<()> {
        let Applied::Server(id) = on else {
            return Ok(());
        };
        let server = &self.stock.servers[id];
        if server.ipv4.is_none() && server.ipv6.is_none() {
            let why = "the server has no public interface";
            return Err(Refusal::new(422, "private_net_only_server", why));
        }
        if self.filters_of(server).len() >= FIREWALLS {
            return Err(Refusal::too_many("firewalls_per_server"));
        }
        Ok(())
    }

    fn apply(&mut self, moment: &mut Moment<'_>, id: u64, wanted: Vec<Applied>) -> Vec<u64> {
        let mut actions = Vec::new();
        for one in wanted {
            let Applied::Server(server) = one else {
                self.firewall_mut(id).applied.push(one);
                continue;
            };
            let firewall = self.firewall_mut(id);
            firewall.applied.push(one);
            firewall.pending.push(server);
            let on = [("server", server), ("firewall", id)];
            let effect = Effect::Filtered {
                server,
                firewall: id,
            };
            actions.push(self.begin_short(moment, "apply_firewall", &on, effect));
        }
        actions
    }

    fn withdraw(
        &mut self,
        moment: &mut Moment<'_>,
        id: u64,
        unwanted: &[Applied],
    ) -> Outcome<Vec<u64>> {
        for one in unwanted {
            let firewall = self.firewall(id)?;
            if firewall.applied.contains(one) {
                continue;
            }
            let by_selector = match one {
                Applied::Server(server) => {
                    let server = &self.stock.servers[server];
                    firewall.applied.iter().any(|other| other.is_on(server))
                }
                Applied::Selector(_) => false,
            };
            return Err(match by_selector {
                true => Refusal::new(
                    422,
                    "firewall_managed_by_label_selector",
                    "the firewall is applied by a label selector",
                ),
                false => Refusal::new(
                    404,
                    "firewall_resource_not_found",
                    "the firewall is not applied to this resource",
                ),
            });
        }
        let mut actions = Vec::new();
        for one in unwanted {
            let firewall = self.firewall_mut(id);
            firewall.applied.retain(|other| other != one);
            if let Applied::Server(server) = *one {
                firewall.pending.retain(|pending| *pending != server);
                let on = [("server", server), ("firewall", id)];
                let effect = Effect::Filtered {
                    server,
                    firewall: id,
                };
                actions.push(self.begin_short(moment, "remove_firewall", &on, effect));
            }
        }
        Ok(actions)
    }

    /// What a server shows of its firewalls.
    pub(super) fn filters_of(&self, server: &Server) -> Vec<Value> {
        let all = self.stock.firewalls.values();
        let on = all.filter(|it| it.applied.iter().any(|applied| applied.is_on(server)));
        let shown = on.map(|it| {
            let pending = it.pending.contains(&server.base.id);
            let status = if pending { "pending" } else { "applied" };
            json!({"id": it.base.id, "status": status})
        });
        shown.collect()
    }

    fn show_firewall(&self, firewall: &Firewall) -> Value {
        let applied = firewall.applied.iter().map(|one| match one {
            Applied::Server(id) => json!({"type": "server", "server": {"id": id}}),
            Applied::Selector(text) => {
                let servers = self.stock.servers.values().filter(|it| one.is_on(it));
                let servers = servers.map(|it| {
                    let id = it.base.id;
                    json!({"type": "server", "server": {"id": id}})
                });
                json!({
                    "type": "label_selector",
                    "label_selector": {"selector": text},
                    "applied_to_resources": servers.collect::<Vec<_>>(),
                })
            }
        });
        json!({
            "id": firewall.base.id,
            "name": firewall.base.name,
            "labels": firewall.base.labels,
            "created": self.calendar.stamp(firewall.base.made),
            "rules": firewall.rules,
            "applied_to": applied.collect::<Vec<_>>(),
        })
    }
}

/// Reads rules, as they will be shown.
fn rules(fields: &Fields) -> Outcome<Vec<Value>> {
    let all = fields.objects("rules")?;
    if all.len() > RULES {
        return fields.wrong("rules", "must not be more than 50");
    }
    all.iter().map(rule).collect()
}

fn rule(fields: &Fields) -> Outcome<Value> {
    let direction = fields.text("direction")?;
    let (own, other) = match direction {
        "in" => ("source_ips", "destination_ips"),
        "out" => ("destination_ips", "source_ips"),
        _ => return fields.wrong("direction", "must be in or out"),
    };
    let protocol = fields.text("protocol")?;
    let has_ports = match protocol {
        "tcp" | "udp" => true,
        "icmp" | "esp" | "gre" => false,
        _ => return fields.wrong("protocol", "must be tcp, udp, icmp, esp or gre"),
    };
    let port = fields.maybe_text("port")?;
    if port.is_some() != has_ports {
        return fields.wrong("port", "is for tcp and udp, and needed there");
    }
    if port.is_some_and(|port| !is_ports(port)) {
        return fields.wrong("port", "must be a port or a range like 1024-5000");
    }
    let description = fields.maybe_text("description")?;
    if description.is_some_and(|text| text.chars().count() > 255) {
        return fields.wrong("description", "must not be longer than 255 characters");
    }
    let mut shown = json!({
        "direction": direction,
        "protocol": protocol,
        "port": port,
        "description": description,
    });
    shown[own] = json!(blocks(fields, own)?);
    if !fields.list(other)?.is_empty() {
        return fields.wrong(other, "is for the other direction");
    }
    shown[other] = json!([]);
    Ok(shown)
}

fn is_ports(text: &str) -> bool {
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    match (low.parse::<u16>(), high.parse::<u16>()) {
        (Ok(low), Ok(high)) => low > 0 && low <= high,
        (_, _) => false,
    }
}

fn blocks(fields: &Fields, name: &str) -> Outcome<Vec<String>> {
    let all = fields.texts(name)?;
    if all.is_empty() || all.len() > BLOCKS {
        return fields.wrong(name, "must hold 1 to 100 blocks");
    }
    let each = all.into_iter().map(|text| {
        let Ok(block) = text.parse::<IpNet>() else {
            return fields.wrong(name, "must be in CIDR notation");
        };
        if block.trunc() != block {
            let start = block.trunc();
            let why = format!("{block} is not the start of the cidr block {start}");
            return fields.wrong(name, &why);
        }
        Ok(block.to_string())
    });
    each.collect()
}
