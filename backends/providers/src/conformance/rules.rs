//! The rules, one phase of a resource's life after the other.
//!
//! Each phase leaves the provider as the next one expects it, even where something did not hold.

use super::Trial;
use crate::Provider;
use quorate_engine::resource::{Kind, Resource};
use quorate_engine::seam::{FaultClass, Outcome, Reply, Seen, Verb};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The class of the fault, where there is one.
fn class(outcome: &Outcome) -> Option<FaultClass> {
    outcome.as_ref().err().map(|fault| fault.class)
}

/// The provider's own id of what it says is there.
fn external(outcome: &Outcome) -> Option<&str> {
    match outcome {
        Ok(Reply::Seen(seen)) => Some(&seen.external),
        Ok(Reply::Done | Reply::Absent | Reply::List(_) | Reply::Host(_) | Reply::Cluster(_))
        | Err(_) => None,
    }
}

/// The fields of a spec, as a provider would show them.
fn fields(resource: &Resource) -> BTreeMap<String, String> {
    let spec = serde_json::to_value(&resource.spec).expect("a spec is plain data");
    let serde_json::Value::Object(map) = spec else {
        panic!("a spec is an object");
    };
    let text = |value: serde_json::Value| match value {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    };
    map.into_iter()
        .map(|(name, value)| (name, text(value)))
        .collect()
}

impl Trial<'_> {
    /// Nothing is there, nothing is wrong, and absent things are absent.
    pub(super) async fn beginning(&mut self, provider: &dyn Provider) {
        let list = self.list(provider).await;
        self.expect(list.is_empty(), || format!("at first there is {list:?}"));
        let problems = provider.preflight(&self.sample.resources).await;
        self.expect(problems.is_empty(), || {
            format!("preflight complains of a good manifest: {problems:?}")
        });
        for resource in self.sample.resources.clone() {
            let seen = self.describe(provider, &resource).await;
            self.expect(seen == Ok(Reply::Absent), || {
                format!("{} was never made, and is {seen:?}", resource.id)
            });
        }
        for resource in self.sample.updates.clone() {
            let key = self.key();
            let updated = self.ask(provider, Verb::Update, &resource, key).await;
            self.expect(class(&updated) == Some(FaultClass::NotFound), || {
                format!("{} is not there to update, yet: {updated:?}", resource.id)
            });
        }
    }

    /// What another owner has under the same name is never ours, and never touched.
    pub(super) async fn of_strangers(&mut self, provider: &dyn Provider) {
        let Some((stranger, theirs)) = self.sample.stranger.take() else {
            return;
        };
        let mut before = Vec::new();
        for resource in &theirs {
            let key = self.key();
            let made = self.ask(stranger, Verb::Create, resource, key).await;
            self.expect(made.is_ok(), || {
                format!("another owner cannot make {}: {made:?}", resource.id)
            });
            before.push(self.until_running(stranger, resource).await);
        }
        let problems = provider.preflight(&self.sample.resources).await;
        self.expect(!problems.is_empty(), || {
            "preflight does not see that names are taken".to_owned()
        });
        for resource in &theirs {
            let key = self.key();
            let made = self.ask(provider, Verb::Create, resource, key).await;
            self.expect(class(&made) == Some(FaultClass::Exists), || {
                format!("the name of {} is taken, yet: {made:?}", resource.id)
            });
            let seen = self.describe(provider, resource).await;
            self.expect(seen == Ok(Reply::Absent), || {
                format!("{} is another owner's, and shown: {seen:?}", resource.id)
            });
        }
        let list = self.list(provider).await;
        self.expect(list.is_empty(), || {
            format!("things of another owner are listed: {list:?}")
        });
        for resource in theirs.iter().rev() {
            let key = self.key();
            let deleted = self.ask(provider, Verb::Delete, resource, key).await;
            self.expect(deleted == Ok(Reply::Done), || {
                format!("nothing of ours is {}, yet: {deleted:?}", resource.id)
            });
        }
        for (resource, before) in theirs.iter().zip(before) {
            let after = self.until_running(stranger, resource).await;
            let same = after.as_ref() == before.as_ref();
            self.expect(same, || {
                format!("{before:?} is another owner's and became {after:?}")
            });
        }
        for resource in theirs.iter().rev() {
            self.until_gone(stranger, resource).await;
        }
    }

    /// Creation does the work once for all its repetitions, and says what it made.
    pub(super) async fn creation(&mut self, provider: &dyn Provider) -> Vec<Seen> {
        let mut made = Vec::new();
        for resource in self.sample.resources.clone() {
            let key = self.key();
            let first = self.ask(provider, Verb::Create, &resource, key).await;
            let again = self.ask(provider, Verb::Create, &resource, key).await;
            let same = external(&first).is_some() && external(&first) == external(&again);
            self.expect(same, || {
                format!(
                    "{} made twice with one key: {first:?}, then {again:?}",
                    resource.id
                )
            });
            let Some(seen) = self.until_running(provider, &resource).await else {
                continue;
            };
            let later = self.ask(provider, Verb::Create, &resource, key).await;
            let still = external(&later) == Some(seen.external.as_str());
            let still = still && external(&first) == external(&later);
            self.expect(!same || still, || {
                format!("{} changed its id: {seen:?}, {later:?}", resource.id)
            });
            self.shown(&resource, &seen);
            made.push(seen);
        }
        made
    }

    /// What is shown of a thing is what was asked for.
    fn shown(&mut self, resource: &Resource, seen: &Seen) {
        let print = resource.spec.fingerprint_at(&self.sample.addresses);
        let told = (&seen.id, seen.kind, seen.fingerprint);
        let meant = (&resource.id, resource.spec.kind(), print);
        self.expect(told == meant, || format!("{meant:?} is shown as {told:?}"));
        let wanted = fields(resource);
        for (name, value) in &seen.fields {
            let same = wanted.get(name) == Some(value);
            self.expect(same, || {
                format!(
                    "{}: {name} is shown as {value}, not {:?}",
                    resource.id,
                    wanted.get(name)
                )
            });
        }
        if seen.kind == Kind::Machine {
            self.expect(seen.address.is_some(), || {
                format!("{} runs and has no address", resource.id)
            });
        }
    }

    /// The list has everything of ours once, as describing it shows it; the owner is known there.
    pub(super) async fn listing(&mut self, provider: &dyn Provider, made: &[Seen]) {
        let mut list = self.list(provider).await;
        let mut made = made.to_vec();
        list.sort_by(|a, b| a.id.cmp(&b.id));
        made.sort_by(|a, b| a.id.cmp(&b.id));
        self.expect(list == made, || {
            format!("the list shows {list:?}, and there is {made:?}")
        });
        let owners = provider.owners().await;
        let known = matches!(&owners, Ok(owners) if owners.contains(&self.sample.owner));
        self.expect(known, || {
            format!("things are there, and their owners are {owners:?}")
        });
    }

    /// What can be changed in place is: the same thing, with another spec.
    pub(super) async fn updates(&mut self, provider: &dyn Provider, made: &[Seen]) {
        for resource in self.sample.updates.clone() {
            let key = self.key();
            for round in ["", " again"] {
                let updated = self.ask(provider, Verb::Update, &resource, key).await;
                let good = matches!(updated, Ok(Reply::Done | Reply::Seen(_)));
                self.expect(good, || {
                    format!("{} cannot be updated{round}: {updated:?}", resource.id)
                });
            }
            let before = made.iter().find(|seen| seen.id == resource.id);
            let after = self.until_running(provider, &resource).await;
            let (Some(before), Some(after)) = (before, after) else {
                continue;
            };
            self.expect(before.external == after.external, || {
                format!(
                    "{} was replaced by an update: {before:?}, {after:?}",
                    resource.id
                )
            });
            self.shown(&resource, &after);
        }
    }

    /// Every refusal has its class, and leaves nothing behind.
    pub(super) async fn refusals(&mut self, provider: &dyn Provider) {
        for (resource, meant) in self.sample.refused.clone() {
            let key = self.key();
            let made = self.ask(provider, Verb::Create, &resource, key).await;
            self.expect(class(&made) == Some(meant), || {
                format!("{} is to be refused as {meant}: {made:?}", resource.id)
            });
            let seen = self.describe(provider, &resource).await;
            self.expect(seen == Ok(Reply::Absent), || {
                format!("{} was refused, and is {seen:?}", resource.id)
            });
        }
        let Some(resource) = self.sample.resources.first().cloned() else {
            return;
        };
        let not_providers = [
            Verb::Probe,
            Verb::Cluster,
            Verb::Init,
            Verb::AddLearner,
            Verb::Promote,
            Verb::MoveLeader,
            Verb::RemoveMember,
            Verb::Drain,
        ];
        for verb in not_providers {
            let key = self.key();
            let done = self.ask(provider, verb, &resource, key).await;
            self.expect(class(&done) == Some(FaultClass::Invalid), || {
                format!("{verb} is no provider's, yet: {done:?}")
            });
        }
    }

    /// What is in use stays; the rest goes, and goes once.
    pub(super) async fn deletion(&mut self, provider: &dyn Provider) {
        let resources = self.sample.resources.clone();
        for resource in &resources {
            if !self.sample.held.contains(&resource.id) {
                continue;
            }
            let key = self.key();
            let deleted = self.ask(provider, Verb::Delete, resource, key).await;
            self.expect(class(&deleted) == Some(FaultClass::Busy), || {
                format!("{} is in use, yet: {deleted:?}", resource.id)
            });
            self.until_running(provider, resource).await;
        }
        for resource in resources.iter().rev() {
            self.until_gone(provider, resource).await;
            let key = self.key();
            let again = self.ask(provider, Verb::Delete, resource, key).await;
            self.expect(again == Ok(Reply::Done), || {
                format!("{} is gone, and deleting it says {again:?}", resource.id)
            });
        }
    }

    /// Nothing is left, and names are free again.
    pub(super) async fn afterlife(&mut self, provider: &dyn Provider) {
        self.nothing_left(provider).await;
        let Some(resource) = self.sample.resources.first().cloned() else {
            return;
        };
        self.reborn(provider, &resource).await;
        self.nothing_left(provider).await;
    }

    async fn reborn(&mut self, provider: &dyn Provider, resource: &Arc<Resource>) {
        let key = self.key();
        let made = self.ask(provider, Verb::Create, resource, key).await;
        self.expect(matches!(made, Ok(Reply::Seen(_))), || {
            format!("{} cannot be made anew: {made:?}", resource.id)
        });
        self.until_running(provider, resource).await;
        self.until_gone(provider, resource).await;
    }

    async fn nothing_left(&mut self, provider: &dyn Provider) {
        let list = self.list(provider).await;
        self.expect(list.is_empty(), || format!("in the end there is {list:?}"));
        let owners = provider.owners().await;
        let unknown = matches!(&owners, Ok(owners) if !owners.contains(&self.sample.owner));
        self.expect(unknown, || {
            format!("nothing is there, and its owners are {owners:?}")
        });
    }
}
