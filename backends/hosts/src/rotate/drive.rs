//! Carries out the steps of a rotation on machines.
//!
//! Decides nothing.

use super::{Act, Answer, DEAD_MAN, Ending, Rotation, Step};
use crate::job::{self, Runner};
use crate::{Hosts, LIMIT, UP, change};
use quorate_engine::mesh::{MeshKey, PeerFact, Tunnel, table_of, tunnels};
use quorate_engine::resource::ResourceId;
use quorate_engine::seam::{Fault, FaultClass};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

const ROTATE: &str = include_str!("../../scripts/rotate.sh");
const RETURN: &str = include_str!("../../scripts/return.sh");
const REKEY: &str = include_str!("../../scripts/rekey.sh");

/// What a rotation needs to know of its surroundings.
struct Around<'a> {
    old: MeshKey,
    /// How each peer sees the node.
    tunnels: BTreeMap<ResourceId, Tunnel>,
    addresses: &'a [(ResourceId, Ipv4Addr)],
    dead_man: Duration,
}

impl<R: Runner> Hosts<R> {
    /// Gives `machine` another mesh key; `peers` is everything that is known of the mesh. Takes a
    /// few seconds if all goes well, up to two minutes if the node falls silent.
    ///
    /// # Panics
    /// If the machine is not among the peers.
    pub async fn rotate(
        &self,
        machine: &ResourceId,
        peers: &[PeerFact],
        addresses: &[(ResourceId, Ipv4Addr)],
    ) -> Ending {
        self.rotate_within(machine, peers, addresses, DEAD_MAN)
            .await
    }

    /// See [`Self::rotate`]; with another patience of the dead man's switch.
    pub async fn rotate_within(
        &self,
        machine: &ResourceId,
        peers: &[PeerFact],
        addresses: &[(ResourceId, Ipv4Addr)],
        dead_man: Duration,
    ) -> Ending {
        let table = table_of(peers);
        let own = table
            .get(machine)
            .unwrap_or_else(|| panic!("{machine} is a peer"));
        let others = tunnels(machine, &table)
            .into_iter()
            .map(|tunnel| tunnel.machine);
        let seen = others.filter_map(|peer| {
            let back = tunnels(&peer, &table)
                .into_iter()
                .find(|back| back.machine == *machine);
            Some((peer, back?))
        });
        let around = Around {
            old: own.key,
            tunnels: seen.collect(),
            addresses,
            dead_man,
        };
        let told = around.tunnels.keys().cloned().collect();
        let (mut rotation, mut steps) = Rotation::begin(machine, own.key, told);
        loop {
            if let Some(ending) = rotation.ending() {
                return ending.clone();
            }
            assert!(!steps.is_empty(), "a rotation that has not ended goes on");
            let mut next = Vec::new();
            let new = rotation.new_key();
            for (step, answer) in self.all(&around, new, steps).await {
                next.extend(rotation.answered(&step, answer));
            }
            steps = next;
        }
    }

    /// All steps at the same time.
    async fn all(
        &self,
        around: &Around<'_>,
        new: Option<MeshKey>,
        steps: Vec<Step>,
    ) -> Vec<(Step, Result<Answer, Fault>)> {
        let mut running: Vec<_> = steps
            .iter()
            .map(|step| Box::pin(self.one(around, new, step)))
            .collect();
        let mut answers: Vec<Option<Result<Answer, Fault>>> = vec![None; steps.len()];
        std::future::poll_fn(|waker| {
            for (job, answer) in running.iter_mut().zip(&mut answers) {
                if answer.is_none()
                    && let std::task::Poll::Ready(ready) = job.as_mut().poll(waker)
                {
                    *answer = Some(ready);
                }
            }
            if answers.iter().all(Option::is_some) {
                std::task::Poll::Ready(())
            } else {
                std::task::Poll::Pending
            }
        })
        .await;
        drop(running);
        let answers = answers
            .into_iter()
            .map(|answer| answer.expect("all are ready"));
        steps.into_iter().zip(answers).collect()
    }

    async fn one(
        &self,
        around: &Around<'_>,
        new: Option<MeshKey>,
        step: &Step,
    ) -> Result<Answer, Fault> {
        // The dead man's switch of this rotation may be more or less patient.
        let wait = if step.wait == DEAD_MAN {
            around.dead_man
        } else {
            step.wait
        };
        tokio::time::sleep(wait).await;
        let at = self.at(&step.at, around.addresses)?;
        let new_text = new.map(|key| key.to_string()).unwrap_or_default();
        let job = match around.tunnels.get(&step.at) {
            Some(tunnel) => {
                let allowed: Vec<_> = tunnel.allowed.iter().map(ToString::to_string).collect();
                let endpoint = tunnel.endpoint.map_or("-".to_owned(), |at| at.to_string());
                change("change a peer's mesh key", &[REKEY], LIMIT)
                    .with("Q_OLD", around.old.to_string())
                    .with("Q_ENDPOINT", endpoint)
                    .with("Q_ALLOWED", allowed.join(","))
            }
            None => {
                let back = job::standalone(&[UP, &format!("want={new_text}"), RETURN]);
                change("rotate the mesh key", &[UP, ROTATE], LIMIT)
                    .with("Q_RETURN", back)
                    .with("Q_PATIENCE", around.dead_man.as_secs().to_string())
            }
        };
        let job = job
            .with("Q_DO", word(step.act).to_owned())
            .with("Q_NEW", new_text);
        let said = at.run(job).await?.stdout;
        let key = || {
            let mut keys = said.lines().filter_map(|line| line.strip_prefix("key "));
            let key = keys.next_back().and_then(|key| key.parse().ok());
            let what = format!("{}: the script gave no key", step.at);
            key.ok_or_else(|| Fault::new(FaultClass::Unknown, what))
        };
        Ok(match step.act {
            Act::Make | Act::Ask => Answer::Key(key()?),
            Act::Check => Answer::Shaken(said.lines().any(|line| line == "shaken")),
            Act::Announce
            | Act::Switch
            | Act::Move
            | Act::Confirm
            | Act::Drop
            | Act::Return
            | Act::Back => Answer::Done,
        })
    }
}

/// What the scripts call it.
fn word(act: Act) -> &'static str {
    match act {
        Act::Make => "make",
        Act::Announce => "announce",
        Act::Switch => "switch",
        Act::Move => "move",
        Act::Check => "check",
        Act::Confirm => "confirm",
        Act::Drop => "drop",
        Act::Return => "return",
        Act::Back => "back",
        Act::Ask => "ask",
    }
}
