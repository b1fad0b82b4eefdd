//! Servers, from the moment they are there.

use super::actions::{Due, Effect};
use super::fields::Fields;
use super::labels::{self, Labels};
use super::refusal::{Outcome, Refusal};
use super::route::no_such_method;
use super::stock::{Base, Number, Server, Status};
use super::{Hetzner, Moment, listing};
use crate::faults::FaultVerb;
use crate::wire::Answer;
use quorate_engine::random::mix;
use quorate_engine::time::{Span, Time};
use serde_json::{Value, json};
use std::net::Ipv4Addr;

/// How long a guest takes to shut itself down.
const SHUTDOWN: Span = Span::from_secs(5);
/// How long power takes, on or off.
const POWER: Span = Span::from_secs(3);

/// Parts of 1 to 63 letters, digits and hyphens, with neither end a hyphen (RFC 1123).
pub(super) fn is_host_name(name: &str) -> bool {
    let part = |part: &str| {
        let inner = part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        inner && (1..=63).contains(&part.len()) && !part.starts_with('-') && !part.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(part)
}

impl Hetzner {
    /// What everything that is made has.
    pub(super) fn base(
        &mut self,
        moment: &mut Moment<'_>,
        kind: &'static str,
        name: String,
        labels: Labels,
    ) -> Base {
        self.count(kind, &name);
        Base {
            id: self.stock.next_id(),
            listed: moment.now + self.lag(moment, kind, &name, "listed"),
            made: moment.now,
            protected: false,
            name,
            labels,
        }
    }

    /// By how much lists are behind with this thing.
    pub(super) fn lag(
        &self,
        moment: &mut Moment<'_>,
        kind: &str,
        name: &str,
        purpose: &str,
    ) -> Span {
        let mut luck = self.luck(kind, name, purpose);
        let target = moment.target();
        let stale = moment
            .faults
            .strikes(moment.now, FaultVerb::StaleList, target);
        let most = match stale {
            Some(fault) => fault.lag.map_or(Span::from_secs(10), |lag| lag.0),
            None => self.profile.lag,
        };
        luck.between(Span::ZERO, most)
    }

    /// It is gone; lists may show it a little longer. `of` is its kind, and the plural.
    pub(super) fn haunt(
        &mut self,
        moment: &mut Moment<'_>,
        of: (&'static str, &'static str),
        name: &str,
        shown: Value,
    ) {
        let linger = self.lag(moment, of.0, name, "linger");
        if linger > Span::ZERO {
            self.stock.ghosts.push((moment.now + linger, of.1, shown));
        }
    }

    /// Refuses a name that another thing of the kind has.
    pub(super) fn unused<'a>(
        &self,
        mut all: impl Iterator<Item = &'a Base>,
        name: &str,
        kind: &str,
        except: Option<u64>,
    ) -> Outcome<()> {
        match all.any(|base| base.name == name && Some(base.id) != except) {
            true => Err(Refusal::taken(kind, "name")),
            false => Ok(()),
        }
    }

    /// What a list shows now: not yet all that is there, and still some that is not.
    pub(super) fn listed<'a>(
        &self,
        moment: &Moment<'_>,
        plural: &str,
        all: impl Iterator<Item = (&'a Base, Value)>,
    ) -> Vec<Value> {
        let seen = all.filter(|(base, _)| base.listed <= moment.now);
        let ghosts = self.stock.ghosts.iter().filter(|(_, of, _)| *of == plural);
        let mut shown: Vec<Value> = seen.map(|(_, value)| value).collect();
        shown.extend(ghosts.map(|(_, _, value)| value.clone()));
        shown.sort_by_key(|value| value["id"].as_u64());
        shown
    }

    /// Reads name and labels of an update into `base`.
    pub(super) fn renamed(fields: &Fields, base: &Base) -> Outcome<(String, Labels)> {
        let name = match fields.get("name") {
            Some(_) => fields.name(128)?,
            None => base.name.clone(),
        };
        let labels = labels::read(fields)?;
        Ok((name, labels.unwrap_or_else(|| base.labels.clone())))
    }

    fn server(&self, id: u64) -> Outcome<&Server> {
        let found = self.stock.servers.get(&id);
        found.ok_or_else(|| Refusal::not_found("server", id))
    }

    pub(super) fn list_servers(&self, moment: &Moment<'_>) -> Outcome<Answer> {
        let all = self.stock.servers.values();
        let all = all.map(|it| (&it.base, self.show_server(it.base.id)));
        let all = self.listed(moment, "servers", all);
        listing::answer(moment.request, "servers", &["name", "status"], all)
    }

    pub(super) fn get_server(&self, id: u64) -> Outcome<Answer> {
        self.server(id)?;
        let body = json!({"server": self.show_server(id)});
        Ok(Answer::new(200, body))
    }

    pub(super) fn update_server(&mut self, moment: &Moment<'_>, id: u64) -> Outcome<Answer> {
        let fields = Fields::read(&moment.request.body)?;
        let (name, labels) = Self::renamed(&fields, &self.server(id)?.base)?;
        if !is_host_name(&name) {
            return fields.wrong("name", "must be a valid hostname");
        }
        self.unused(
            self.stock.servers.values().map(|it| &it.base),
            &name,
            "server",
            Some(id),
        )?;
        let base = &mut self.stock.servers.get_mut(&id).expect("it was found").base;
        (base.name, base.labels) = (name, labels);
        self.get_server(id)
    }

    pub(super) fn delete_server(&mut self, moment: &mut Moment<'_>, id: u64) -> Outcome<Answer> {
        let server = self.server(id)?;
        if server.base.protected {
            return Err(Refusal::protected("server"));
        }
        self.unlocked(id)?;
        let name = self.server(id)?.base.name.clone();
        let mut luck = self.luck("server", &name, "delete");
        let slow = moment.faults.slowness(moment.now, moment.target());
        let lasts = Span((self.profile.delete.draw(&mut luck).0 as f64 * slow) as u64);
        let linger = self.lag(moment, "server", &name, "linger");
        let server = self.stock.servers.get_mut(&id).expect("it was found");
        assert_ne!(server.status, Status::Deleting, "it would be locked");
        server.status = Status::Deleting;
        server.turn += 1;
        server.linger = linger;
        let effect = Effect::Deleted { server: id };
        let action = self.begin(
            moment.now,
            "delete_server",
            &[("server", id)],
            lasts,
            effect,
        );
        let body = json!({"action": self.show_action(moment.now, action)});
        Ok(Answer::new(200, body))
    }

    /// Gone, with everything that belongs to it alone.
    pub(super) fn remove_server(&mut self, at: Time, id: u64) {
        let shown = self.show_server(id);
        let server = self.stock.servers.remove(&id).expect("it is removed once");
        assert_eq!(server.status, Status::Deleting, "it was being deleted");
        if server.linger > Span::ZERO {
            self.stock
                .ghosts
                .push((at + server.linger, "servers", shown));
        }
        for firewall in self.stock.firewalls.values_mut() {
            firewall
                .applied
                .retain(|on| *on != super::stock::Applied::Server(id));
            firewall.pending.retain(|pending| *pending != id);
        }
        let stays = |auto_delete: bool, of: Option<u64>| of != Some(id) || !auto_delete;
        self.stock
            .primary
            .retain(|_, it| stays(it.auto_delete, it.server));
        for address in self.stock.primary.values_mut() {
            if address.server == Some(id) {
                address.server = None;
            }
        }
    }

    pub(super) fn act_on_server(
        &mut self,
        moment: &mut Moment<'_>,
        id: u64,
        command: &str,
    ) -> Outcome<Answer> {
        self.server(id)?;
        self.unlocked(id)?;
        let fields = Fields::read(&moment.request.body)?;
        let action = match command {
            "poweron" => self.power(moment, id, "start_server", Status::Running),
            "poweroff" => self.power(moment, id, "stop_server", Status::Off),
            "reboot" => self.power(moment, id, "reboot_server", Status::Running),
            "reset" => self.power(moment, id, "reset_server", Status::Running),
            "shutdown" => self.shut_down(moment, id),
            "change_protection" => self.protect_server(moment, id, &fields)?,
            "attach_to_network" => self.attach(moment, id, &fields)?,
            "detach_from_network" => self.detach(moment, id, &fields)?,
            "add_to_placement_group" => self.join_group(moment, id, &fields)?,
            "remove_from_placement_group" => self.leave_group(moment, id),
            _ => return Err(no_such_method()),
        };
        Ok(self.one_action(moment, action))
    }

    fn power(
        &mut self,
        moment: &mut Moment<'_>,
        id: u64,
        command: &'static str,
        to: Status,
    ) -> u64 {
        let slow = moment.faults.slowness(moment.now, moment.target());
        let server = self.stock.servers.get_mut(&id).expect("it was found");
        server.turn += 1;
        server.status = match (to, server.status) {
            (Status::Off, Status::Running) => Status::Stopping,
            (Status::Running, Status::Off) => Status::Starting,
            (_, as_it_is) => as_it_is,
        };
        let turn = server.turn;
        let effect = Effect::Power {
            server: id,
            turn,
            to,
        };
        let lasts = Span((POWER.0 as f64 * slow) as u64);
        self.begin(moment.now, command, &[("server", id)], lasts, effect)
    }

    /// The action is over when the guest has been told; the guest needs longer.
    fn shut_down(&mut self, moment: &mut Moment<'_>, id: u64) -> u64 {
        let on = [("server", id)];
        let action = self.begin_short(moment, "shutdown_server", &on, Effect::Nothing);
        let server = self.stock.servers.get_mut(&id).expect("it was found");
        server.turn += 1;
        let down = Due::Down {
            server: id,
            turn: server.turn,
        };
        if server.status == Status::Running {
            let number = self.stock.next_id();
            self.stock.due.insert((moment.now + SHUTDOWN, number), down);
        }
        action
    }

    fn protect_server(
        &mut self,
        moment: &mut Moment<'_>,
        id: u64,
        fields: &Fields,
    ) -> Outcome<u64> {
        let server = self.stock.servers.get_mut(&id).expect("it was found");
        let delete = fields.flag("delete", server.base.protected)?;
        let rebuild = fields.flag("rebuild", server.rebuild_protected)?;
        if delete != rebuild {
            return fields.wrong("rebuild", "must be the same as delete");
        }
        (server.base.protected, server.rebuild_protected) = (delete, rebuild);
        let on = [("server", id)];
        Ok(self.begin_short(moment, "change_protection", &on, Effect::Nothing))
    }

    pub(super) fn show_server(&self, id: u64) -> Value {
        let server = &self.stock.servers[&id];
        let nets = server.nets.iter().filter(|net| net.done);
        let nets = nets.map(|net| {
            json!({
                "network": net.network,
                "ip": net.address,
                "alias_ips": net.aliases,
                "mac_address": mac(id, net.address),
            })
        });
        json!({
            "id": id,
            "name": server.base.name,
            "status": server.status.word(),
            "created": self.calendar.stamp(server.base.made),
            "public_net": self.show_public(server),
            "private_net": nets.collect::<Vec<_>>(),
            "server_type": server.kind.shown(|_| true),
            "location": server.location.shown(),
            "image": server.image.shown(),
            "iso": null,
            "rescue_enabled": false,
            "locked": self.locked(("server", id)),
            "backup_window": null,
            "outgoing_traffic": 0,
            "ingoing_traffic": 0,
            "included_traffic": 20_u64 << 40,
            "protection": {"delete": server.base.protected, "rebuild": server.rebuild_protected},
            "labels": server.base.labels,
            "volumes": [],
            "load_balancers": [],
            "primary_disk_size": server.kind.disk_gb,
            "placement_group": server.group.map(|group| self.show_group(group)),
        })
    }

    fn show_public(&self, server: &Server) -> Value {
        let address = |id: Option<u64>| id.map(|id| &self.stock.primary[&id]);
        let shown = |id| {
            address(id).map(|it| match it.number {
                Number::V4(ip) => json!({
                    "id": it.base.id,
                    "ip": ip,
                    "blocked": false,
                    "dns_ptr": it.reverse(),
                }),
                Number::V6(_) => json!({
                    "id": it.base.id,
                    "ip": it.number.text(),
                    "blocked": false,
                    "dns_ptr": [],
                }),
            })
        };
        json!({
            "ipv4": shown(server.ipv4),
            "ipv6": shown(server.ipv6),
            "floating_ips": [],
            "firewalls": self.filters_of(server),
        })
    }
}

/// A locally administered address, a function of whose it is.
fn mac(server: u64, address: Ipv4Addr) -> String {
    let bits = mix(server ^ (u64::from(u32::from(address)) << 24)).to_be_bytes();
    format!("86:00:00:{:02x}:{:02x}:{:02x}", bits[5], bits[6], bits[7])
}
