//! Primary addresses: what a server is reached at from outside.
//!
//! They come from the ranges for documentation (RFC 5737, RFC 3849) and, when those are used up,
//! from the range for benchmarks (RFC 2544): nobody's.

use super::actions::Effect;
use super::catalog::{LOCATIONS, Location};
use super::create::chosen;
use super::fields::Fields;
use super::labels;
use super::refusal::{Outcome, Refusal};
use super::route::no_such_method;
use super::stock::{Number, PrimaryIp, Status};
use super::{Hetzner, Moment, listing};
use crate::wire::Answer;
use serde_json::{Value, json};
use std::net::Ipv4Addr;

/// What a new server is to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    NewV4,
    NewV6,
    Given(u64),
}

/// First addresses of ranges, and how many of each can be given.
const RANGES: [([u8; 4], u32); 4] = [
    ([198, 51, 100, 1], 254),
    ([203, 0, 113, 1], 254),
    ([192, 0, 2, 1], 254),
    ([198, 18, 0, 1], 131_070),
];

impl Number {
    pub(super) fn text(self) -> String {
        match self {
            Self::V4(ip) => ip.to_string(),
            Self::V6(nth) => format!("2001:db8:0:{nth:x}::/64"),
        }
    }
}

impl PrimaryIp {
    /// The name that the vendor gives an address.
    pub(super) fn reverse(&self) -> String {
        match self.number {
            Number::V4(ip) => {
                let [a, b, c, d] = ip.octets();
                format!("static.{d}.{c}.{b}.{a}.clients.your-server.example")
            }
            Number::V6(_) => String::new(),
        }
    }
}

impl Hetzner {
    /// Addresses of a new server, as its request wants them.
    pub(super) fn wanted_addresses(
        &self,
        fields: &Fields,
        location: &Location,
    ) -> Outcome<(Option<Wanted>, Option<Wanted>)> {
        let Some(public) = fields.object("public_net")? else {
            return Ok((Some(Wanted::NewV4), Some(Wanted::NewV6)));
        };
        let one = |flag: &str, field: &str, new: Wanted| -> Outcome<Option<Wanted>> {
            if !public.flag(flag, true)? {
                return Ok(None);
            }
            let Some(id) = public.maybe_number(field)? else {
                return Ok(Some(new));
            };
            let Some(given) = self.stock.primary.get(&id) else {
                return Err(Refusal::not_found("primary_ip", id));
            };
            let v4 = matches!(given.number, Number::V4(_));
            if v4 != (new == Wanted::NewV4) {
                let why = "the primary IP has the wrong version";
                return Err(Refusal::new(412, "primary_ip_version_mismatch", why));
            }
            if given.server.is_some() {
                let why = "the primary IP is already assigned";
                return Err(Refusal::new(422, "primary_ip_assigned", why));
            }
            if given.location.id != location.id {
                let why = "the primary IP is in another location";
                return Err(Refusal::new(422, "primary_ip_datacenter_mismatch", why));
            }
            Ok(Some(Wanted::Given(id)))
        };
        let ipv4 = one("enable_ipv4", "ipv4", Wanted::NewV4)?;
        Ok((ipv4, one("enable_ipv6", "ipv6", Wanted::NewV6)?))
    }

    /// Gives a server an address; answers the address's id.
    pub(super) fn assign(
        &mut self,
        moment: &mut Moment<'_>,
        wanted: Option<Wanted>,
        server: u64,
        location: &'static Location,
    ) -> Option<u64> {
        let id = match wanted? {
            Wanted::Given(id) => id,
            new @ (Wanted::NewV4 | Wanted::NewV6) => {
                let number = self.number(new == Wanted::NewV4);
                let name = format!("primary_ip-{}", self.stock.next_id());
                let base = self.base(moment, "primary_ip", name, labels::Labels::new());
                let id = base.id;
                let made = PrimaryIp {
                    base,
                    number,
                    location,
                    server: None,
                    auto_delete: true,
                };
                self.stock.primary.insert(id, made);
                id
            }
        };
        let address = self
            .stock
            .primary
            .get_mut(&id)
            .expect("it was found or made");
        assert!(address.server.is_none(), "an address has one server");
        address.server = Some(server);
        Some(id)
    }

    /// The next number that is free: one that was just given back rests the longest.
    fn number(&mut self, v4: bool) -> Number {
        let count: u32 = RANGES.iter().map(|(_, count)| count).sum();
        loop {
            let given = &mut self.stock.numbers[usize::from(v4)];
            *given += 1;
            let number = if v4 {
                let mut nth = (*given - 1) % count;
                let range = RANGES.iter().find(|(_, size)| {
                    let here = nth < *size;
                    nth -= if here { 0 } else { *size };
                    here
                });
                let (first, _) = range.expect("the sum of all ranges is the limit");
                Number::V4(Ipv4Addr::from(u32::from_be_bytes(*first) + nth))
            } else {
                Number::V6(*given as u16)
            };
            if self.stock.primary.values().all(|it| it.number != number) {
                return number;
            }
        }
    }

    pub(super) fn list_primary(&self, moment: &Moment<'_>) -> Outcome<Answer> {
        let all = self.stock.primary.values();
        let all = all.map(|it| (&it.base, self.show_primary(it)));
        let all = self.listed(moment, "primary_ips", all);
        listing::answer(moment.request, "primary_ips", &["name", "ip"], all)
    }

    fn primary(&self, id: u64) -> Outcome<&PrimaryIp> {
        let found = self.stock.primary.get(&id);
        found.ok_or_else(|| Refusal::not_found("primary_ip", id))
    }

    pub(super) fn get_primary(&self, id: u64) -> Outcome<Answer> {
        let shown = self.show_primary(self.primary(id)?);
        Ok(Answer::new(200, json!({"primary_ip": shown})))
    }

    pub(super) fn create_primary(&mut self, moment: &mut Moment<'_>) -> Outcome<Answer> {
        let fields = Fields::read(&moment.request.body)?;
        let name = fields.name(128)?;
        let v4 = match fields.text("type")? {
            "ipv4" => true,
            "ipv6" => false,
            _ => return fields.wrong("type", "must be ipv4 or ipv6"),
        };
        if fields.get("assignee_id").is_some() {
            return fields.wrong(
                "assignee_id",
                "addresses are assigned when a server is made",
            );
        }
        let location = chosen(&fields, "location", LOCATIONS.iter(), |it| (it.id, it.name))?;
        let auto_delete = fields.flag("auto_delete", false)?;
        let labels = labels::read(&fields)?.unwrap_or_default();
        let all = self.stock.primary.values().map(|it| &it.base);
        self.unused(all, &name, "primary_ip", None)?;
        let number = self.number(v4);
        let base = self.base(moment, "primary_ip", name, labels);
        let id = base.id;
        let made = PrimaryIp {
            base,
            number,
            location,
            server: None,
            auto_delete,
        };
        self.stock.primary.insert(id, made);
        let shown = self.show_primary(self.primary(id)?);
        let body = json!({"primary_ip": shown});
        Ok(Answer::new(201, body))
    }

    pub(super) fn update_primary(&mut self, moment: &Moment<'_>, id: u64) -> Outcome<Answer> {
        let fields = Fields::read(&moment.request.body)?;
        let address = self.primary(id)?;
        let (name, labels) = Self::renamed(&fields, &address.base)?;
        let auto_delete = fields.flag("auto_delete", address.auto_delete)?;
        let all = self.stock.primary.values().map(|it| &it.base);
        self.unused(all, &name, "primary_ip", Some(id))?;
        let address = self.stock.primary.get_mut(&id).expect("it was found");
        (address.base.name, address.base.labels) = (name, labels);
        address.auto_delete = auto_delete;
        self.get_primary(id)
    }

    pub(super) fn delete_primary(&mut self, moment: &mut Moment<'_>, id: u64) -> Outcome<Answer> {
        let address = self.primary(id)?;
        if address.base.protected {
            return Err(Refusal::protected("primary_ip"));
        }
        if address.server.is_some() {
            // Since 2026-05-01 it is not unassigned by itself.
            let why = "the primary IP must be unassigned";
            return Err(Refusal::new(422, "must_be_unassigned", why));
        }
        let (name, shown) = (address.base.name.clone(), self.show_primary(address));
        self.stock.primary.remove(&id);
        self.haunt(moment, ("primary_ip", "primary_ips"), &name, shown);
        Ok(Answer::nothing())
    }

    pub(super) fn act_on_primary(
        &mut self,
        moment: &mut Moment<'_>,
        id: u64,
        command: &str,
    ) -> Outcome<Answer> {
        let address = self.primary(id)?;
        let Some(server) = address.server.filter(|_| command == "unassign") else {
            return Err(no_such_method());
        };
        if self.stock.servers[&server].status != Status::Off {
            let why = "the server must be stopped";
            return Err(Refusal::new(422, "server_not_stopped", why));
        }
        self.unlocked(server)?;
        let holder = self
            .stock
            .servers
            .get_mut(&server)
            .expect("it was looked at");
        holder.ipv4 = holder.ipv4.filter(|held| *held != id);
        holder.ipv6 = holder.ipv6.filter(|held| *held != id);
        self.stock
            .primary
            .get_mut(&id)
            .expect("it was found")
            .server = None;
        let on = [("primary_ip", id), ("server", server)];
        let action = self.begin_short(moment, "unassign_primary_ip", &on, Effect::Nothing);
        Ok(self.one_action(moment, action))
    }

    fn show_primary(&self, address: &PrimaryIp) -> Value {
        let reverse = match address.number {
            Number::V4(ip) => json!([{"ip": ip, "dns_ptr": address.reverse()}]),
            Number::V6(_) => json!([]),
        };
        json!({
            "id": address.base.id,
            "name": address.base.name,
            "type": if matches!(address.number, Number::V4(_)) { "ipv4" } else { "ipv6" },
            "ip": address.number.text(),
            "labels": address.base.labels,
            "created": self.calendar.stamp(address.base.made),
            "blocked": false,
            "protection": {"delete": address.base.protected},
            "dns_ptr": reverse,
            "location": address.location.shown(),
            "assignee_id": address.server,
            // Since 2026-08-01 an address of nobody says so.
            "assignee_type": if address.server.is_some() { "server" } else { "unassigned" },
            "auto_delete": address.auto_delete,
        })
    }
}
