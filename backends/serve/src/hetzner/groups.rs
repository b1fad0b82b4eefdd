//! Placement groups.

use super::actions::Effect;
use super::fields::Fields;
use super::labels;
use super::refusal::{Outcome, Refusal};
use super::stock::{Group, Status};
use super::{Hetzner, Moment, listing};
use crate::wire::Answer;
use serde_json::{Value, json};

impl Hetzner {
    pub(super) fn list_groups(&self, moment: &Moment<'_>) -> Outcome<Answer> {
        let all = self.stock.groups.values();
        let all = all.map(|it| (&it.base, self.show_group(it.base.id)));
        let all = self.listed(moment, "placement_groups", all);
        listing::answer(moment.request, "placement_groups", &["name", "type"], all)
    }

    fn group(&self, id: u64) -> Outcome<&Group> {
        let found = self.stock.groups.get(&id);
        found.ok_or_else(|| Refusal::not_found("placement_group", id))
    }

    pub(super) fn get_group(&self, id: u64) -> Outcome<Answer> {
        self.group(id)?;
        let body = json!({"placement_group": self.show_group(id)});
        Ok(Answer::new(200, body))
    }

    pub(super) fn create_group(&mut self, moment: &mut Moment<'_>) -> Outcome<Answer> {
        let fields = Fields::read(&moment.request.body)?;
        let name = fields.name(128)?;
        if fields.text("type")? != "spread" {
            return fields.wrong("type", "must be spread");
        }
        let labels = labels::read(&fields)?.unwrap_or_default();
        let all = self.stock.groups.values().map(|it| &it.base);
        self.unused(all, &name, "placement_group", None)?;
        let base = self.base(moment, "placement_group", name, labels);
        let id = base.id;
        self.stock.groups.insert(id, Group { base });
        let body = json!({"placement_group": self.show_group(id), "action": null});
        Ok(Answer::new(201, body))
    }

    pub(super) fn update_group(&mut self, moment: &Moment<'_>, id: u64) -> Outcome<Answer> {
        let fields = Fields::read(&moment.request.body)?;
        let (name, labels) = Self::renamed(&fields, &self.group(id)?.base)?;
        let all = self.stock.groups.values().map(|it| &it.base);
        self.unused(all, &name, "placement_group", Some(id))?;
        let base = &mut self.stock.groups.get_mut(&id).expect("it was found").base;
        (base.name, base.labels) = (name, labels);
        self.get_group(id)
    }

    pub(super) fn delete_group(&mut self, moment: &mut Moment<'_>, id: u64) -> Outcome<Answer> {
        let name = self.group(id)?.base.name.clone();
        let shown = self.show_group(id);
        for server in self.stock.servers.values_mut() {
            server.group = server.group.filter(|group| *group != id);
        }
        self.stock.groups.remove(&id);
        self.haunt(
            moment,
            ("placement_group", "placement_groups"),
            &name,
            shown,
        );
        Ok(Answer::nothing())
    }

    pub(super) fn join_group(
        &mut self,
        moment: &mut Moment<'_>,
        server: u64,
        fields: &Fields,
    ) -> Outcome<u64> {
        let group = fields.number("placement_group")?;
        self.group(group)?;
        let member = self.stock.servers.get_mut(&server).expect("it was found");
        if member.group.is_some() {
            let why = "the server is already in a placement group";
            return Err(Refusal::new(422, "already_in_placement_group", why));
        }
        if member.status != Status::Off {
            let why = "the server must be stopped";
            return Err(Refusal::new(422, "server_not_stopped", why));
        }
        member.group = Some(group);
        let on = [("server", server), ("placement_group", group)];
        Ok(self.begin_short(moment, "add_to_placement_group", &on, Effect::Nothing))
    }

    pub(super) fn leave_group(&mut self, moment: &mut Moment<'_>, server: u64) -> u64 {
        let member = self.stock.servers.get_mut(&server).expect("it was found");
        member.group = None;
        let on = [("server", server)];
        self.begin_short(moment, "remove_from_placement_group", &on, Effect::Nothing)
    }

    pub(super) fn show_group(&self, id: u64) -> Value {
        let base = &self.stock.groups[&id].base;
        let members = self
            .stock
            .servers
            .values()
            .filter(|it| it.group == Some(id));
        json!({
            "id": id,
            "name": base.name,
            "labels": base.labels,
            "type": "spread",
            "servers": members.map(|it| it.base.id).collect::<Vec<_>>(),
            "created": self.calendar.stamp(base.made),
        })
    }
}
