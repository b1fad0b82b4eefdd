//! kubeadm on the machines: the first control plane, those that join, and workers.
//!
//! What is done on a machine stands in `scripts/`; here it is decided which script with which
//! arguments, in which order, and on whose way others join. Everything may be repeated, from any
//! point it was cut off at: machines remember what was begun, and finish it or take it back.

mod config;
mod jobs;
mod kubeconfig;
mod release;

use crate::Cluster;
use crate::access::Addresses;
use crate::names;
use config::{Documents, Live, OF_NODE, Place, Ticket};
use jobs::{Jobs, Part, State};
use quorate_engine::graph::{API_PROXY_PORT, pool_workplace};
use quorate_engine::manifest::{Manifest, Role};
use quorate_engine::resource::{ResourceId, Spec, Workplace};
use quorate_engine::seam::{Call, Fault, FaultClass, Outcome, Reply};
use quorate_hosts::Runner;

impl<R: Runner> Cluster<R> {
    /// `kubeadm init`: the first member of etcd and the first API server.
    pub(crate) async fn found(&self, call: &Call) -> Outcome {
        let machine = call.target.machine();
        let (spec, print) = member(call)?;
        let documents = Documents::of(&self.manifest)?;
        let jobs = Jobs::on(&machine, &documents);
        let registered = registered(&self.manifest, &machine);
        let config = documents.init(
            &place(&machine, &spec.address, &registered),
            Live {
                address: &spec.address,
                heartbeat: &spec.heartbeat_ms.to_string(),
                election: &spec.election_ms.to_string(),
                version: documents.release().tag(),
            },
        );
        let job = jobs.init(config, &documents.names(), print);
        self.access.run(&machine, &call.addresses, job).await?;
        Ok(Reply::Done)
    }

    /// `kubeadm join --control-plane`: a member is added and started, and an API server with it.
    pub(crate) async fn join(&self, call: &Call) -> Outcome {
        let machine = call.target.machine();
        let (spec, print) = member(call)?;
        let documents = Documents::of(&self.manifest)?;
        let jobs = Jobs::on(&machine, &documents);
        let part = Part::ControlPlane;
        let look = jobs.look(part);
        let seen = self.access.run(&machine, &call.addresses, look).await?;
        let state = jobs.state(&seen.stdout)?;
        let mut ticket = None;
        if matches!(state, State::None | State::Half) {
            self.make_room(call, &machine).await?;
            ticket = Some(self.ticket(call, &documents, part).await?);
        }
        let registered = registered(&self.manifest, &machine);
        let place = place(&machine, &spec.address, &registered);
        let config = joining(&documents, &place, ticket.as_ref());
        let job = jobs.join(part, state, config, print);
        let done = self.access.run(&machine, &call.addresses, job).await;
        done.map_err(|fault| without_secrets(fault, ticket.as_ref()))?;
        Ok(Reply::Done)
    }

    /// Brings an API server to its spec: names in its certificate, labels, version.
    pub(crate) async fn control_plane(&self, call: &Call, spec: &Spec) -> Outcome {
        let Spec::ControlPlane {
            address,
            names,
            place: workplace,
            ..
        } = spec
        else {
            unreachable!("a control plane is described as one")
        };
        let machine = call.target.machine();
        let documents = Documents::of(&self.manifest)?;
        let address = address.to_string();
        let config = documents.init(&place(&machine, &address, workplace), OF_NODE);
        let job = Jobs::on(&machine, &documents).plane(config, names);
        self.access.run(&machine, &call.addresses, job).await?;
        self.access.network(&call.addresses).await?;
        self.settle(call, &machine, workplace).await
    }

    /// Lets a worker join, or brings it to its spec.
    pub(crate) async fn worker(&self, call: &Call, spec: &Spec) -> Outcome {
        let Spec::Worker {
            address,
            place: workplace,
            ..
        } = spec
        else {
            unreachable!("a worker is described as one")
        };
        let machine = call.target.machine();
        let documents = Documents::of(&self.manifest)?;
        let jobs = Jobs::on(&machine, &documents);
        // What is a control plane already is a node already.
        if !plays(&self.manifest, &machine, Role::ControlPlane) {
            let address = address.to_string();
            let place = place(&machine, &address, workplace);
            self.join_worker(call, &documents, &place).await?;
        }
        let job = jobs.worker();
        self.access.run(&machine, &call.addresses, job).await?;
        self.settle(call, &machine, workplace).await
    }

    async fn join_worker(
        &self,
        call: &Call,
        documents: &Documents<'_>,
        place: &Place<'_>,
    ) -> Result<(), Fault> {
        let machine = call.target.machine();
        let jobs = Jobs::on(&machine, documents);
        let part = Part::Worker;
        let look = jobs.look(part);
        let seen = self.access.run(&machine, &call.addresses, look).await?;
        let state = jobs.state(&seen.stdout)?;
        let ticket = match state {
            State::None | State::Half => Some(self.ticket(call, documents, part).await?),
            State::Up => None,
            State::Joined => return Ok(()),
        };
        let config = joining(documents, place, ticket.as_ref());
        let job = jobs.join(part, state, config, 0);
        let done = self.access.run(&machine, &call.addresses, job).await;
        done.map_err(|fault| without_secrets(fault, ticket.as_ref()))?;
        Ok(())
    }

    /// Changes the timing of a member.
    pub(crate) async fn member_settings(&self, call: &Call, spec: &Spec) -> Outcome {
        let Spec::EtcdMember {
            heartbeat_ms,
            election_ms,
            ..
        } = spec
        else {
            unreachable!("a member is described as one")
        };
        let machine = call.target.machine();
        let documents = Documents::of(&self.manifest)?;
        let timing = (*heartbeat_ms, *election_ms);
        let config = documents.phase(OF_NODE);
        let job = Jobs::on(&machine, &documents).member(timing, config, spec.fingerprint());
        self.access.run(&machine, &call.addresses, job).await?;
        Ok(Reply::Done)
    }

    /// The administrator's credentials, for use from outside: by the API's name where somebody
    /// serves it, else by the address of a load balancer or a control plane.
    ///
    /// # Errors
    /// `Retryable`: no control plane answers. `Busy`: no address is known to reach the API at.
    pub async fn kubeconfig(&self, addresses: &Addresses) -> Result<String, Fault> {
        let planes = self.access.control_planes(addresses);
        let Some(door) = kubeconfig::door(&self.manifest, &planes, addresses) else {
            let what = "no address of a load balancer or a control plane is known yet";
            return Err(Fault::new(FaultClass::Busy, what));
        };
        let via = self.access.via(addresses, None).await?;
        let job = jobs::kubeconfig();
        let text = self.access.run(&via, addresses, job).await?.stdout;
        Ok(kubeconfig::through(&door, &text))
    }

    /// Before a machine joins: a member of it that never started must be gone. One that votes is
    /// not ours to remove, and starting another in its place would break it.
    async fn make_room(&self, call: &Call, machine: &ResourceId) -> Result<(), Fault> {
        let view = self.access.view(call).await?;
        let votes = |m: &&_| voter(m, machine);
        if view.members.iter().any(|member| votes(&member)) {
            let what = format!(
                "{machine}: its member of etcd has a vote, and its API server does not answer: it \
                 comes back by itself, or the machine has to be replaced"
            );
            return Err(Fault::new(FaultClass::Retryable, what));
        }
        self.access
            .remove_unstarted(&call.addresses, machine)
            .await?;
        Ok(())
    }

    /// Gets what lets the call's machine join, at some other control plane.
    async fn ticket(
        &self,
        call: &Call,
        documents: &Documents<'_>,
        part: Part,
    ) -> Result<Ticket, Fault> {
        let guest = call.target.machine();
        let via = self.access.via(&call.addresses, Some(&guest)).await?;
        let jobs = Jobs::on(&via, documents);
        let upload = match part {
            Part::ControlPlane => Some(documents.upload()),
            Part::Worker => None,
        };
        let job = jobs.ticket(upload, &guest);
        let said = self.access.run(&via, &call.addresses, job).await?;
        jobs.read(&said.stdout, part)
    }

    /// Labels and taints, and the mark that all is done.
    async fn settle(&self, call: &Call, machine: &ResourceId, place: &Workplace) -> Outcome {
        self.access.label(&call.addresses, machine, place).await?;
        let print = call.resource.as_ref().map(|r| r.spec.fingerprint());
        let print = print.expect("what is installed has a spec");
        let job = jobs::mark(call.kind, print);
        self.access.run(machine, &call.addresses, job).await?;
        Ok(Reply::Done)
    }
}

fn voter(member: &quorate_engine::seam::MemberView, machine: &ResourceId) -> bool {
    member.machine == *machine && member.started && !member.learner
}

/// What a call says of a member of etcd.
struct Member {
    address: String,
    heartbeat_ms: u32,
    election_ms: u32,
}

/// The member that a call is about, and its fingerprint.
fn member(call: &Call) -> Result<(Member, u64), Fault> {
    let spec = call.resource.as_ref().map(|resource| &resource.spec);
    let Some(
        spec @ Spec::EtcdMember {
            address,
            heartbeat_ms,
            election_ms,
        },
    ) = spec
    else {
        let what = format!("{} {}: without a member's spec", call.verb, call.target);
        return Err(Fault::new(FaultClass::Invalid, what));
    };
    let member = Member {
        address: address.to_string(),
        heartbeat_ms: *heartbeat_ms,
        election_ms: *election_ms,
    };
    Ok((member, spec.fingerprint()))
}

fn place<'a>(machine: &ResourceId, address: &str, workplace: &'a Workplace) -> Place<'a> {
    Place {
        name: names::node(machine),
        address: address.to_owned(),
        labels: &workplace.labels,
        taints: &workplace.taints,
    }
}

/// What a document says of who joins; nothing where nobody does.
fn joining(documents: &Documents<'_>, place: &Place<'_>, ticket: Option<&Ticket>) -> String {
    // By the machine's own proxy, which knows who is alive.
    let endpoint = format!("127.0.0.1:{API_PROXY_PORT}");
    ticket.map_or_else(String::new, |ticket| {
        documents.join(place, ticket, &endpoint)
    })
}

/// Whether a machine's pool has a role.
fn plays(manifest: &Manifest, machine: &ResourceId, role: Role) -> bool {
    pool(manifest, machine).is_some_and(|pool| pool.roles.contains(&role))
}

fn pool<'a>(
    manifest: &'a Manifest,
    machine: &ResourceId,
) -> Option<&'a quorate_engine::manifest::NodePool> {
    let name = machine.as_str().split('/').nth(1);
    let mut pools = manifest.spec.node_pools.iter();
    pools.find(|pool| Some(pool.name.as_str()) == name)
}

/// What a new control plane's node says of itself from its first moment. The call that founds or
/// adds it is about its member of etcd, and knows no more than the pool; the rest comes when its
/// API server is brought to its spec.
fn registered(manifest: &Manifest, machine: &ResourceId) -> Workplace {
    let Some(pool) = pool(manifest, machine) else {
        return Workplace {
            labels: Vec::new(),
            taints: Vec::new(),
        };
    };
    pool_workplace(pool, [])
}

/// No word of a ticket is in a fault, whatever a machine has printed.
fn without_secrets(mut fault: Fault, ticket: Option<&Ticket>) -> Fault {
    if let Some(ticket) = ticket {
        let secrets = std::iter::once(&ticket.token).chain(&ticket.certificate_key);
        for secret in secrets {
            fault.detail = fault.detail.replace(secret.as_str(), "(secret)");
        }
    }
    fault
}

#[cfg(test)]
mod tests;
