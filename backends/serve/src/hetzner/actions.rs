//! Actions: what takes time, and what it changes at its end.

use super::refusal::{Outcome, Refusal};
use super::stock::Status;
use super::{Hetzner, Moment, listing};
use crate::wire::Answer;
use quorate_engine::time::{Span, Time};
use serde_json::{Value, json};

/// What an action is about: the vendor's word, and the id.
pub(super) type On = (&'static str, u64);

/// Something that takes time.
#[derive(Debug, Clone)]
pub(super) struct Action {
    pub(super) id: u64,
    command: &'static str,
    begun: Time,
    /// When it ends.
    end: Time,
    /// It has.
    over: bool,
    /// Why it failed.
    error: Option<(&'static str, &'static str)>,
    on: Vec<On>,
    effect: Effect,
}

/// What an action changes at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    Nothing,
    /// The server's disk is there; it starts if that was wanted.
    Created {
        server: u64,
        starts: bool,
    },
    /// Its making failed.
    Failed {
        server: u64,
    },
    Power {
        server: u64,
        turn: u32,
        to: Status,
    },
    Attached {
        server: u64,
        network: u64,
    },
    Detached {
        server: u64,
        network: u64,
    },
    Filtered {
        server: u64,
        firewall: u64,
    },
    Deleted {
        server: u64,
    },
}

/// What happens at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// An action ends.
    End(u64),
    /// A guest has shut itself down.
    Down { server: u64, turn: u32 },
}

impl Hetzner {
    /// Begins an action that ends after `lasts`. Answers its id.
    pub(super) fn begin(
        &mut self,
        now: Time,
        command: &'static str,
        on: &[On],
        lasts: Span,
        effect: Effect,
    ) -> u64 {
        let id = self.stock.next_id();
        let end = now + lasts.max(Span::from_ms(1));
        let error = match effect {
            Effect::Failed { .. } => Some(("action_failed", "Action failed")),
            Effect::Nothing
            | Effect::Created { .. }
            | Effect::Power { .. }
            | Effect::Attached { .. }
            | Effect::Detached { .. }
            | Effect::Filtered { .. }
            | Effect::Deleted { .. } => None,
        };
        let action = Action {
            id,
            command,
            begun: now,
            end,
            over: false,
            error,
            on: on.to_vec(),
            effect,
        };
        self.stock.actions.insert(id, action);
        self.stock.due.insert((end, id), Due::End(id));
        id
    }

    /// Begins an action of no great length, which ends after about a second.
    pub(super) fn begin_short(
        &mut self,
        moment: &mut Moment<'_>,
        command: &'static str,
        on: &[On],
        effect: Effect,
    ) -> u64 {
        let slow = moment.faults.slowness(moment.now, moment.target());
        let lasts = Span((Span::from_secs(1).0 as f64 * slow) as u64);
        self.begin(moment.now, command, on, lasts, effect)
    }

    /// Lets time pass: everything that is due happens, in order.
    pub(super) fn pass(&mut self, now: Time) {
        while let Some(entry) = self.stock.due.first_entry().filter(|e| e.key().0 <= now) {
            let at = entry.key().0;
            match entry.remove() {
                Due::End(id) => {
                    let action = self.stock.actions.get_mut(&id).expect("actions are kept");
                    assert!(
                        !action.over && action.end == at,
                        "an action ends once, in time"
                    );
                    action.over = true;
                    let effect = action.effect;
                    self.take_effect(at, effect);
                }
                Due::Down { server, turn } => self.turn_to(server, turn, Status::Off),
            }
        }
        self.stock.ghosts.retain(|(until, _, _)| now < *until);
    }

    fn turn_to(&mut self, server: u64, turn: u32, to: Status) {
        let server = self.stock.servers.get_mut(&server);
        if let Some(server) = server.filter(|server| server.turn == turn) {
            server.status = to;
        }
    }

    fn take_effect(&mut self, at: Time, effect: Effect) {
        match effect {
            Effect::Nothing => {}
            Effect::Created { server, starts } => {
                let server = self.stock.servers.get_mut(&server).expect("it was locked");
                assert_eq!(server.status, Status::Initializing, "it is made once");
                server.status = if starts {
                    Status::Starting
                } else {
                    Status::Off
                };
            }
            Effect::Failed { server } => {
                let server = self.stock.servers.get_mut(&server).expect("it was locked");
                server.status = Status::Unknown;
            }
            Effect::Power { server, turn, to } => self.turn_to(server, turn, to),
            Effect::Attached { server, network } => {
                let server = self.stock.servers.get_mut(&server);
                let nets = server.into_iter().flat_map(|server| &mut server.nets);
                for net in nets.filter(|net| net.network == network) {
                    net.done = true;
                }
            }
            Effect::Detached { server, network } => {
                if let Some(server) = self.stock.servers.get_mut(&server) {
                    server.nets.retain(|net| net.network != network);
                }
            }
            Effect::Filtered { server, firewall } => {
                if let Some(firewall) = self.stock.firewalls.get_mut(&firewall) {
                    firewall.pending.retain(|pending| *pending != server);
                }
            }
            Effect::Deleted { server } => self.remove_server(at, server),
        }
    }

    /// Whether something is busy with it. Firewalls do not lock.
    pub(super) fn locked(&self, on: On) -> bool {
        self.stock.actions.values().rev().any(|action| {
            let locks = !matches!(action.effect, Effect::Filtered { .. });
            !action.over && locks && action.on.contains(&on)
        })
    }

    /// Refuses where a server is busy with something else.
    pub(super) fn unlocked(&self, server: u64) -> Outcome<()> {
        match self.locked(("server", server)) {
            true => Err(Refusal::locked("server")),
            false => Ok(()),
        }
    }

    pub(super) fn show_action(&self, now: Time, id: u64) -> Value {
        let action = &self.stock.actions[&id];
        let status = match (action.over, action.error) {
            (false, _) => "running",
            (true, None) => "success",
            (true, Some(_)) => "error",
        };
        let whole = action.end.since(action.begun).0.max(1);
        let progress = match action.over {
            true => 100,
            false => now.since(action.begun).0.saturating_mul(100) / whole,
        };
        let error = action.error.filter(|_| action.over);
        let on = action.on.iter();
        json!({
            "id": action.id,
            "command": action.command,
            "status": status,
            "progress": progress.min(100),
            "started": self.calendar.stamp(action.begun),
            "finished": action.over.then(|| self.calendar.stamp(action.end)),
            "resources": on.map(|(kind, id)| json!({"id": id, "type": kind})).collect::<Vec<_>>(),
            "error": error.map(|(code, message)| json!({"code": code, "message": message})),
        })
    }

    /// 201 with one action.
    pub(super) fn one_action(&self, moment: &Moment<'_>, id: u64) -> Answer {
        Answer::new(201, json!({"action": self.show_action(moment.now, id)}))
    }

    pub(super) fn get_action(
        &self,
        moment: &Moment<'_>,
        id: u64,
        on: Option<On>,
    ) -> Outcome<Answer> {
        let found = self.stock.actions.get(&id);
        match found.filter(|action| on.is_none_or(|on| action.on.contains(&on))) {
            Some(_) => Ok(Answer::new(
                200,
                json!({"action": self.show_action(moment.now, id)}),
            )),
            None => Err(Refusal::not_found("action", id)),
        }
    }

    /// `GET /actions?id=1&id=2`: those that are there.
    pub(super) fn get_actions(&self, moment: &Moment<'_>) -> Outcome<Answer> {
        let ids = moment.request.parameters("id").map(str::parse::<u64>);
        let Ok(ids) = ids.collect::<Result<Vec<_>, _>>() else {
            return Err(Refusal::invalid("id", "must be an integer"));
        };
        if ids.is_empty() {
            // Listing all of them was removed on 2025-01-30.
            let why = "listing all actions is no longer possible";
            return Err(Refusal::new(410, "deprecated_api_endpoint", why));
        }
        let there = ids
            .into_iter()
            .filter(|id| self.stock.actions.contains_key(id));
        let all: Vec<Value> = there.map(|id| self.show_action(moment.now, id)).collect();
        Ok(Answer::new(200, json!({"actions": all})))
    }

    /// Those of one thing, or of a kind of thing.
    pub(super) fn list_actions(
        &self,
        moment: &Moment<'_>,
        kind: &str,
        id: Option<u64>,
    ) -> Outcome<Answer> {
        let about = |action: &&Action| {
            let mut on = action.on.iter();
            on.any(|(k, of)| *k == kind && id.is_none_or(|id| id == *of))
        };
        let all = self.stock.actions.values().filter(about);
        let all = all.map(|action| self.show_action(moment.now, action.id));
        listing::answer(moment.request, "actions", &["id", "status"], all.collect())
    }
}
