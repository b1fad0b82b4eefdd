//! What every provider has to do, as one suite: simulated ones, libvirt, static hosts and clouds
//! are driven through the same calls and held to the same answers.
//!
//! It polls where the engine would. It knows no provider; what differs stands in the [`Sample`].

mod rules;
#[cfg(test)]
mod tests;

use crate::{Owner, Provider};
use quorate_engine::resource::{Resource, ResourceId};
use quorate_engine::seam::{Call, FaultClass, Key, Lane, MachineState, Outcome, Reply, Seen, Verb};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a provider is tried with.
pub struct Sample<'a> {
    /// The cluster's own id: the target of a list.
    pub cluster: ResourceId,
    /// Whose things the provider makes.
    pub owner: Owner,
    /// How calls name the provider.
    pub lane: Lane,
    /// What is made, in order of need: a network before the machine in it.
    pub resources: Vec<Arc<Resource>>,
    /// Other specs for some of them, which they can be brought to in place.
    pub updates: Vec<Arc<Resource>>,
    /// Ids of resources which cannot go while the others are there: deleting them is answered with
    /// [`FaultClass::Busy`] and changes nothing.
    pub held: Vec<ResourceId>,
    /// Resources which cannot be made, each with the class of the fault that says so.
    pub refused: Vec<(Arc<Resource>, FaultClass)>,
    /// The same account in another owner's hands, and what it makes there under the same names.
    pub stranger: Option<(&'a dyn Provider, Vec<Arc<Resource>>)>,
    /// Public addresses of machines which the resources refer to.
    pub addresses: Vec<(ResourceId, Ipv4Addr)>,
    /// What no answer may show: tokens, private keys.
    pub secrets: Vec<String>,
    /// How long a thing may take to come up or to go.
    pub patience: Duration,
    /// Between two questions whether it has.
    pub poll: Duration,
}

/// Drives a provider through the life of everything in the sample. What it gives back is a list of
/// what did not hold, each as a sentence; an empty one is a pass. What the suite made is gone
/// afterwards, unless deletion is what did not hold.
pub async fn conform(provider: &dyn Provider, sample: Sample<'_>) -> Vec<String> {
    let mut trial = Trial {
        sample,
        broken: Vec::new(),
        next_key: 0x5eed_0001,
    };
    trial.beginning(provider).await;
    trial.of_strangers(provider).await;
    let made = trial.creation(provider).await;
    trial.listing(provider, &made).await;
    trial.updates(provider, &made).await;
    trial.refusals(provider).await;
    trial.deletion(provider).await;
    trial.afterlife(provider).await;
    trial.broken
}

/// The suite under way.
struct Trial<'a> {
    sample: Sample<'a>,
    broken: Vec<String>,
    next_key: u64,
}

impl Trial<'_> {
    fn expect(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.broken.push(what());
        }
    }

    fn key(&mut self) -> Key {
        self.next_key += 1;
        Key(self.next_key)
    }

    async fn ask(
        &mut self,
        provider: &dyn Provider,
        verb: Verb,
        resource: &Arc<Resource>,
        key: Key,
    ) -> Outcome {
        let call = Call {
            lane: self.sample.lane.clone(),
            verb,
            target: resource.id.clone(),
            kind: resource.spec.kind(),
            resource: Some(Arc::clone(resource)),
            key,
            addresses: self.sample.addresses.clone(),
            peers: Arc::from([]),
        };
        self.send(provider, call).await
    }

    async fn send(&mut self, provider: &dyn Provider, call: Call) -> Outcome {
        let outcome = provider.call(&call).await;
        let shown = format!("{outcome:?}");
        let leaks = self.sample.secrets.iter().any(|s| shown.contains(s));
        self.expect(!leaks, || {
            format!("the answer to {} {} shows a secret", call.verb, call.target)
        });
        outcome
    }

    async fn describe(&mut self, provider: &dyn Provider, of: &Arc<Resource>) -> Outcome {
        let key = self.key();
        self.ask(provider, Verb::Describe, of, key).await
    }

    async fn list(&mut self, provider: &dyn Provider) -> Vec<Seen> {
        let key = self.key();
        let call = Call {
            lane: self.sample.lane.clone(),
            verb: Verb::List,
            target: self.sample.cluster.clone(),
            kind: quorate_engine::resource::Kind::Machine,
            resource: None,
            key,
            addresses: Vec::new(),
            peers: Arc::from([]),
        };
        match self.send(provider, call).await {
            Ok(Reply::List(list)) => list,
            other => {
                self.broken.push(format!("list is answered by {other:?}"));
                Vec::new()
            }
        }
    }

    /// Asks until it is there and usable; none, with a complaint, if it does not get there.
    async fn until_running(
        &mut self,
        provider: &dyn Provider,
        resource: &Arc<Resource>,
    ) -> Option<Seen> {
        let since = Instant::now();
        loop {
            let outcome = self.describe(provider, resource).await;
            if let Ok(Reply::Seen(seen)) = &outcome
                && seen.state == MachineState::Running
            {
                return Some(seen.clone());
            }
            if since.elapsed() >= self.sample.patience {
                let id = &resource.id;
                self.broken
                    .push(format!("{id} does not come up: {outcome:?}"));
                return None;
            }
            tokio::time::sleep(self.sample.poll).await;
        }
    }

    /// Deletes, and asks until it is gone; complains if it stays.
    async fn until_gone(&mut self, provider: &dyn Provider, resource: &Arc<Resource>) {
        let (since, key) = (Instant::now(), self.key());
        loop {
            let deleted = self.ask(provider, Verb::Delete, resource, key).await;
            let seen = self.describe(provider, resource).await;
            if deleted == Ok(Reply::Done) && seen == Ok(Reply::Absent) {
                return;
            }
            if since.elapsed() >= self.sample.patience {
                self.broken.push(format!(
                    "{} is deleted ({deleted:?}) and does not go: {seen:?}",
                    resource.id
                ));
                return;
            }
            tokio::time::sleep(self.sample.poll).await;
        }
    }
}
