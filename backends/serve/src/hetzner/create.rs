//! The making of a server: what is asked for, what is refused, and how it comes up.

use super::actions::Effect;
use super::catalog::{IMAGES, Image, LOCATIONS, Location, SERVER_TYPES, ServerType};
use super::fields::Fields;
use super::labels::{self, Labels};
use super::primary::Wanted;
use super::refusal::{Outcome, Refusal};
use super::servers::is_host_name;
use super::stock::{Applied, Attachment, Server, Status};
use super::{Hetzner, Moment};
use crate::faults::{FaultVerb, Target};
use crate::wire::Answer;
use quorate_engine::time::Span;
use serde_json::{Value, json};

/// Longer user data is refused (API reference, `user_data`).
const USER_DATA_BYTES: usize = 32 * 1024;

/// A placement group of type spread holds no more (Hetzner docs, "Placement Groups: limits").
const GROUP_SERVERS: usize = 10;

/// What was asked for, with everything it refers to found.
struct Order {
    name: String,
    labels: Labels,
    kind: &'static ServerType,
    image: &'static Image,
    location: &'static Location,
    group: Option<u64>,
    networks: Vec<u64>,
    firewalls: Vec<u64>,
    has_keys: bool,
    user_data: Option<String>,
    starts: bool,
    ipv4: Option<Wanted>,
    ipv6: Option<Wanted>,
}

impl Hetzner {
    pub(super) fn create_server(&mut self, moment: &mut Moment<'_>) -> Outcome<Answer> {
        let fields = Fields::read(&moment.request.body)?;
        let order = self.order(moment, &fields)?;
        self.affordable(moment, &order)?;
        let id = self.place(moment, &order)?;
        let (action, next) = self.bring_up(moment, id, &order);
        let next = next.into_iter().map(|id| self.show_action(moment.now, id));
        let body = json!({
            "action": self.show_action(moment.now, action),
            "next_actions": next.collect::<Vec<_>>(),
            "root_password": (!order.has_keys).then(|| self.password(&order.name)),
            "server": self.show_server(id),
        });
        Ok(Answer::new(201, body))
    }

    fn order(&self, moment: &Moment<'_>, fields: &Fields) -> Outcome<Order> {
        let name = fields.text("name")?.to_owned();
        if !is_host_name(&name) {
            return fields.wrong("name", "must be a valid hostname");
        }
        let all = self.stock.servers.values().map(|it| &it.base);
        self.unused(all, &name, "server", None)?;
        let kind = chosen(fields, "server_type", SERVER_TYPES.iter(), |it| {
            (it.id, it.name)
        })?;
        let of_kind = |image: &&'static Image| image.architecture == kind.architecture();
        let images = IMAGES.iter().filter(of_kind);
        let image = chosen(fields, "image", images, |it| (it.id, it.name))?;
        let location = match fields.get("location") {
            Some(_) => chosen(fields, "location", LOCATIONS.iter(), |it| (it.id, it.name))?,
            None => {
                let has = |at: &&Location| {
                    kind.is_sold_in(at) && !moment.faults.sold_out(moment.now, at.name, kind.name)
                };
                LOCATIONS.iter().find(has).unwrap_or(&LOCATIONS[0])
            }
        };
        if !kind.is_sold_in(location) {
            return fields.wrong("server_type", "unsupported location for server type");
        }
        let user_data = fields.maybe_text("user_data")?.map(str::to_owned);
        if user_data
            .as_ref()
            .is_some_and(|text| text.len() > USER_DATA_BYTES)
        {
            return fields.wrong("user_data", "must not be longer than 32 KiB");
        }
        let (ipv4, ipv6) = self.wanted_addresses(fields, location)?;
        let networks = fields.numbers("networks")?;
        if ipv4.is_none() && ipv6.is_none() && networks.is_empty() {
            return fields.wrong("public_net", "no public or private network interfaces");
        }
        if fields.list("volumes")?.first().is_some() {
            return Err(Refusal::not_found("volume", &fields.list("volumes")?[0]));
        }
        Ok(Order {
            labels: labels::read(fields)?.unwrap_or_default(),
            group: self.wanted_group(fields)?,
            firewalls: self.wanted_firewalls(fields)?,
            has_keys: self.wanted_keys(fields)?,
            starts: fields.flag("start_after_create", true)?,
            name,
            kind,
            image,
            location,
            networks,
            user_data,
            ipv4,
            ipv6,
        })
    }

    fn wanted_group(&self, fields: &Fields) -> Outcome<Option<u64>> {
        let Some(id) = fields.maybe_number("placement_group")? else {
            return Ok(None);
        };
        if !self.stock.groups.contains_key(&id) {
            return Err(Refusal::not_found("placement_group", id));
        }
        let members = self
            .stock
            .servers
            .values()
            .filter(|it| it.group == Some(id));
        if members.count() >= GROUP_SERVERS {
            let why = "the placement group is full";
            return Err(Refusal::new(422, "placement_error", why));
        }
        Ok(Some(id))
    }

    fn wanted_firewalls(&self, fields: &Fields) -> Outcome<Vec<u64>> {
        let each = fields.objects("firewalls")?.into_iter().map(|one| {
            let id = one.number("firewall")?;
            match self.stock.firewalls.contains_key(&id) {
                true => Ok(id),
                false => Err(Refusal::not_found("firewall", id)),
            }
        });
        each.collect()
    }

    /// Whether keys were asked for, all of which are there.
    fn wanted_keys(&self, fields: &Fields) -> Outcome<bool> {
        let wanted = fields.list("ssh_keys")?;
        for one in wanted {
            let found = self
                .stock
                .keys
                .values()
                .any(|key| names(one, key.base.id, &key.base.name));
            if !found {
                return Err(Refusal::not_found("ssh_key", one));
            }
        }
        Ok(!wanted.is_empty())
    }

    /// What is refused though it is well asked.
    fn affordable(&mut self, moment: &mut Moment<'_>, order: &Order) -> Outcome<()> {
        let have = self.stock.servers.len() as u32;
        let target = Target {
            region: order.location.name,
            machine_type: order.kind.name,
            ..moment.target()
        };
        let short = |fault: &crate::Fault| fault.limit.is_none_or(|limit| have >= limit);
        let over = self.quota.is_some_and(|quota| have >= quota);
        let quota = moment
            .faults
            .strikes_if(moment.now, FaultVerb::Quota, target, short);
        if over || quota.is_some() {
            return Err(Refusal::too_many("server"));
        }
        if let Some(fault) = moment
            .faults
            .strikes(moment.now, FaultVerb::StockOut, target)
        {
            return Err(match fault.code.as_deref() {
                Some("placement_error") => {
                    Refusal::new(422, "placement_error", "error during placement")
                }
                code => {
                    let code = code.unwrap_or("resource_unavailable");
                    Refusal::new(412, code, "the requested resource is currently unavailable")
                }
            });
        }
        Ok(())
    }

    /// The server comes into being, with its addresses.
    fn place(&mut self, moment: &mut Moment<'_>, order: &Order) -> Outcome<u64> {
        let mut nets: Vec<Attachment> = Vec::new();
        for network in &order.networks {
            let place = self.place_in(*network, order.location, None, None, &nets)?;
            nets.push(place);
        }
        let labels = order.labels.clone();
        let base = self.base(moment, "server", order.name.clone(), labels);
        let id = base.id;
        let ipv4 = self.assign(moment, order.ipv4, id, order.location);
        let ipv6 = self.assign(moment, order.ipv6, id, order.location);
        let server = Server {
            base,
            status: Status::Initializing,
            kind: order.kind,
            image: order.image,
            location: order.location,
            group: order.group,
            nets,
            ipv4,
            ipv6,
            rebuild_protected: false,
            user_data: order.user_data.clone(),
            turn: 0,
            linger: Span::ZERO,
        };
        self.stock.servers.insert(id, server);
        for firewall in &order.firewalls {
            let firewall = self
                .stock
                .firewalls
                .get_mut(firewall)
                .expect("it was found");
            firewall.applied.push(Applied::Server(id));
        }
        Ok(id)
    }

    /// Begins what brings it up: its making, and what follows.
    fn bring_up(&mut self, moment: &mut Moment<'_>, id: u64, order: &Order) -> (u64, Vec<u64>) {
        let target = Target {
            region: order.location.name,
            machine_type: order.kind.name,
            ..moment.target()
        };
        let mut luck = self.luck("server", &order.name, "build");
        let slow = moment.faults.slowness(moment.now, target);
        let build = self.profile.build.draw(&mut luck).0 as f64 * slow;
        let failed = moment
            .faults
            .strikes(moment.now, FaultVerb::FailedBuild, target);
        let failed = failed.is_some();
        let part = |share: f64| Span((build * share) as u64);
        let on = ("server", id);
        let starts = order.starts;
        let effect = match failed {
            true => Effect::Failed { server: id },
            false => Effect::Created { server: id, starts },
        };
        // Most of the time goes into the disk; networks and power follow.
        let made = self.begin(moment.now, "create_server", &[on], part(0.6), effect);
        let mut next = Vec::new();
        if failed {
            return (made, next);
        }
        for network in &order.networks {
            let effect = Effect::Attached {
                server: id,
                network: *network,
            };
            let on = [on, ("network", *network)];
            next.push(self.begin(moment.now, "attach_to_network", &on, part(0.8), effect));
        }
        if starts {
            let effect = Effect::Power {
                server: id,
                turn: 0,
                to: Status::Running,
            };
            next.push(self.begin(moment.now, "start_server", &[on], part(1.0), effect));
        }
        (made, next)
    }

    fn password(&self, name: &str) -> String {
        let bits = self.luck("server", name, "password").bits();
        format!("{bits:016x}")
    }
}

/// Whether a text or a number means this thing.
fn names(value: &Value, id: u64, name: &str) -> bool {
    match value {
        Value::String(text) => text == name || *text == id.to_string(),
        other => other.as_u64() == Some(id),
    }
}

/// What a field names by id or by name.
pub(super) fn chosen<T>(
    fields: &Fields,
    field: &str,
    mut all: impl Iterator<Item = &'static T>,
    of: impl Fn(&T) -> (u64, &str),
) -> Outcome<&'static T> {
    let Some(value) = fields.get(field) else {
        return fields.wrong(field, "is missing");
    };
    let found = all.find(|one| {
        let (id, name) = of(one);
        names(value, id, name)
    });
    found.map_or_else(|| fields.wrong(field, "is not known"), Ok)
}
