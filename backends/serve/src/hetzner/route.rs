//! Which request is which.

use super::refusal::{Outcome, Refusal};
use super::{Hetzner, Moment};
use crate::faults::Target;
use crate::wire::Answer;

impl<'a> Moment<'a> {
    /// What a fault has to fit, as far as the request alone says.
    pub(super) fn target(&self) -> Target<'a> {
        Target {
            method: &self.request.method,
            path: &self.request.path,
            ..Target::default()
        }
    }
}

/// Kinds of things: the plural in paths, and the word in the singular.
const KINDS: [(&str, &str); 9] = [
    ("servers", "server"),
    ("networks", "network"),
    ("firewalls", "firewall"),
    ("ssh_keys", "ssh_key"),
    ("placement_groups", "placement_group"),
    ("primary_ips", "primary_ip"),
    ("locations", "location"),
    ("server_types", "server_type"),
    ("images", "image"),
];

/// Whether there is anything under this path.
pub(super) fn known(path: &str) -> bool {
    let first = path.split('/').nth(1).unwrap_or_default();
    first == "actions" || KINDS.iter().any(|(plural, _)| *plural == first)
}

impl Hetzner {
    pub(super) fn route(&mut self, moment: &mut Moment<'_>) -> Outcome<Answer> {
        let request = moment.request;
        let parts: Vec<&str> = request.path.split('/').skip(1).collect();
        let kind = KINDS.iter().find(|(plural, _)| *plural == parts[0]);
        let number = |text: &str, what: &str| {
            let id = text.parse::<u64>();
            id.map_err(|_| Refusal::not_found(what, text))
        };
        match (request.method.as_str(), parts.as_slice(), kind) {
            ("GET", ["actions"], _) => self.get_actions(moment),
            ("GET", ["actions", id], _) => {
                let id = number(id, "action")?;
                self.get_action(moment, id, None)
            }
            (method, [_], Some((plural, _))) => self.on_all(moment, method, plural),
            ("GET", [_, "actions"], Some((_, one))) => self.list_actions(moment, one, None),
            ("GET", [_, "actions", id], Some(_)) => {
                let id = number(id, "action")?;
                self.get_action(moment, id, None)
            }
            (method, [_, id], Some((plural, one))) => {
                let id = number(id, one)?;
                self.on_one(moment, method, plural, id)
            }
            ("GET", [_, id, "actions"], Some((_, one))) => {
                let id = number(id, one)?;
                self.list_actions(moment, one, Some(id))
            }
            ("GET", [_, id, "actions", action], Some((_, one))) => {
                let (id, action) = (number(id, one)?, number(action, "action")?);
                self.get_action(moment, action, Some((one, id)))
            }
            ("POST", [_, id, "actions", command], Some((plural, one))) => {
                let id = number(id, one)?;
                self.act(moment, plural, id, command)
            }
            (_, _, _) => Err(no_such_method()),
        }
    }

    fn on_all(&mut self, moment: &mut Moment<'_>, method: &str, plural: &str) -> Outcome<Answer> {
        match (method, plural) {
            ("GET", "servers") => self.list_servers(moment),
            ("POST", "servers") => self.create_server(moment),
            ("GET", "networks") => self.list_networks(moment),
            ("POST", "networks") => self.create_network(moment),
            ("GET", "firewalls") => self.list_firewalls(moment),
            ("POST", "firewalls") => self.create_firewall(moment),
            ("GET", "ssh_keys") => self.list_keys(moment),
            ("POST", "ssh_keys") => self.create_key(moment),
            ("GET", "placement_groups") => self.list_groups(moment),
            ("POST", "placement_groups") => self.create_group(moment),
            ("GET", "primary_ips") => self.list_primary(moment),
            ("POST", "primary_ips") => self.create_primary(moment),
            ("GET", "locations" | "server_types" | "images") => self.list_offers(moment, plural),
            (_, _) => Err(no_such_method()),
        }
    }

    fn on_one(
        &mut self,
        moment: &mut Moment<'_>,
        method: &str,
        plural: &str,
        id: u64,
    ) -> Outcome<Answer> {
        match (method, plural) {
            ("GET", "servers") => self.get_server(id),
            ("PUT", "servers") => self.update_server(moment, id),
            ("DELETE", "servers") => self.delete_server(moment, id),
            ("GET", "networks") => self.get_network(id),
            ("PUT", "networks") => self.update_network(moment, id),
            ("DELETE", "networks") => self.delete_network(moment, id),
            ("GET", "firewalls") => self.get_firewall(id),
            ("PUT", "firewalls") => self.update_firewall(moment, id),
            ("DELETE", "firewalls") => self.delete_firewall(moment, id),
            ("GET", "ssh_keys") => self.get_key(id),
            ("PUT", "ssh_keys") => self.update_key(moment, id),
            ("DELETE", "ssh_keys") => self.delete_key(moment, id),
            ("GET", "placement_groups") => self.get_group(id),
            ("PUT", "placement_groups") => self.update_group(moment, id),
            ("DELETE", "placement_groups") => self.delete_group(moment, id),
            ("GET", "primary_ips") => self.get_primary(id),
            ("PUT", "primary_ips") => self.update_primary(moment, id),
            ("DELETE", "primary_ips") => self.delete_primary(moment, id),
            ("GET", "locations" | "server_types" | "images") => self.get_offer(moment, plural, id),
            (_, _) => Err(no_such_method()),
        }
    }

    fn act(
        &mut self,
        moment: &mut Moment<'_>,
        plural: &str,
        id: u64,
        command: &str,
    ) -> Outcome<Answer> {
        match plural {
            "servers" => self.act_on_server(moment, id, command),
            "networks" => self.act_on_network(moment, id, command),
            "firewalls" => self.act_on_firewall(moment, id, command),
            "primary_ips" => self.act_on_primary(moment, id, command),
            _ => Err(no_such_method()),
        }
    }
}

/// The vendor's word for a method that a path does not know.
pub(super) fn no_such_method() -> Refusal {
    Refusal::new(405, "method_not_allowed", "method not allowed")
}
