//! Which script does what on a machine, and what it is told.
//!
//! Long works go on without us: see `launch.sh`. Knows neither the order of things nor what a
//! cluster answers.

use super::config::{Documents, Ticket};
use crate::names;
use quorate_engine::graph::API_PROXY_PORT;
use quorate_engine::manifest::CniName;
use quorate_engine::resource::{Kind, ResourceId};
use quorate_engine::seam::{Fault, FaultClass};
use quorate_hosts::Job;
use std::time::Duration;

const LAUNCH: &str = include_str!("../../scripts/launch.sh");
const NODE: &str = include_str!("../../scripts/node.sh");
const FOUNDING: &str = include_str!("../../scripts/founding.sh");
const INIT: &str = include_str!("../../scripts/init.sh");
const LOOK: &str = include_str!("../../scripts/look.sh");
const TICKET: &str = include_str!("../../scripts/ticket.sh");
const JOIN: &str = include_str!("../../scripts/join.sh");
const PLANE: &str = include_str!("../../scripts/plane.sh");
const WORKER: &str = include_str!("../../scripts/worker.sh");
const MEMBER: &str = include_str!("../../scripts/member.sh");
const MARK: &str = include_str!("../../scripts/mark.sh");
const KUBECONFIG: &str = include_str!("../../scripts/kubeconfig.sh");

/// Within these the engine waits for an answer to init and join (600 s), and to everything else
/// (300 s); one that comes in time says more than none.
const JOINING: Duration = Duration::from_secs(570);
const CHANGING: Duration = Duration::from_secs(280);
/// What a look waits for whoever is at work there, within the same.
const LOOKING: Duration = Duration::from_secs(60);
/// More than a script needs to end after its wait is over.
const MARGIN: Duration = Duration::from_secs(15);
/// A few calls of an API server that is near.
const SHORT: Duration = Duration::from_secs(45);

/// What a node is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// With a member of etcd and an API server.
    ControlPlane,
    /// With a kubelet only.
    Worker,
}

impl Part {
    fn word(self) -> String {
        match self {
            Self::ControlPlane => "control-plane".to_owned(),
            Self::Worker => "worker".to_owned(),
        }
    }
}

/// How far a machine is on its way to become a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing was begun.
    None,
    /// Begun, and what runs is of no use.
    Half,
    /// Everything runs; marks are missing.
    Up,
    /// It is one.
    Joined,
}

impl State {
    fn parse(stdout: &str) -> Option<Self> {
        match stdout.lines().next_back()?.trim() {
            "none" => Some(Self::None),
            "half" => Some(Self::Half),
            "up" => Some(Self::Up),
            "joined" => Some(Self::Joined),
            _ => None,
        }
    }

    fn word(self) -> String {
        match self {
            Self::None => "none".to_owned(),
            Self::Half => "half".to_owned(),
            Self::Up => "up".to_owned(),
            Self::Joined => "joined".to_owned(),
        }
    }
}

/// Makes jobs for one machine.
pub(super) struct Jobs {
    machine: ResourceId,
    basics: Vec<(&'static str, String)>,
}

impl Jobs {
    /// For a machine of this cluster.
    pub(super) fn on(machine: &ResourceId, documents: &Documents<'_>) -> Self {
        let settings = documents.settings();
        let offline = settings.packages.is_some();
        let ours = settings.cni.name == CniName::Bridge;
        let basics = vec![
            ("Q_VERSION", documents.release().tag().to_owned()),
            ("Q_NODE", names::node(machine)),
            ("Q_RUNTIME", documents.release().runtime().to_owned()),
            ("Q_LOCAL", format!("https://127.0.0.1:{API_PROXY_PORT}")),
            ("Q_IGNORE", settings.ignore_preflight_errors.join(",")),
            ("Q_OFFLINE", if offline { "yes" } else { "" }.to_owned()),
            ("Q_PLUGIN", if ours { "" } else { "later" }.to_owned()),
        ];
        Self {
            machine: machine.clone(),
            basics,
        }
    }

    /// `kubeadm init` with these documents.
    pub(super) fn init(&self, config: String, names: &[String], print: u64) -> Job<'static> {
        let work = [NODE, FOUNDING, INIT];
        let arguments = [
            ("Q_CONFIG", config),
            ("Q_NAMES", names.join("\n")),
            ("Q_PRINT", hex(print)),
        ];
        self.work("found the cluster", &work, &arguments, JOINING)
    }

    /// Says how far the machine is.
    pub(super) fn look(&self, part: Part) -> Job<'static> {
        let arguments = [
            ("Q_WAIT", LOOKING.as_secs().to_string()),
            ("Q_ROLE", part.word()),
        ];
        let limit = LOOKING + SHORT;
        self.job("look at the node", &[NODE, LOOK], &arguments, limit)
    }

    /// Lets somebody else in, by the way of this machine.
    pub(super) fn ticket(&self, upload: Option<String>, guest: &ResourceId) -> Job<'static> {
        let arguments = [("Q_CONFIG", upload.unwrap_or_default())];
        let mut job = self.job("let a node join", &[NODE, TICKET], &arguments, SHORT * 2);
        for (name, value) in &mut job.arguments {
            if *name == "Q_NODE" {
                *value = names::node(guest);
            }
        }
        job
    }

    /// `kubeadm join`, from a state on.
    pub(super) fn join(
        &self,
        part: Part,
        state: State,
        config: String,
        print: u64,
    ) -> Job<'static> {
        let arguments = [
            ("Q_ROLE", part.word()),
            ("Q_STATE", state.word()),
            ("Q_CONFIG", config),
            ("Q_PRINT", hex(print)),
        ];
        let patience = match part {
            Part::ControlPlane => JOINING - LOOKING,
            Part::Worker => CHANGING - LOOKING,
        };
        self.work("join the cluster", &[NODE, JOIN], &arguments, patience)
    }

    /// Release and certificate of a control plane.
    pub(super) fn plane(&self, config: String, names: &[String]) -> Job<'static> {
        let work = [NODE, FOUNDING, PLANE];
        let arguments = [("Q_CONFIG", config), ("Q_NAMES", names.join("\n"))];
        self.work(
            "bring the control plane to its spec",
            &work,
            &arguments,
            CHANGING,
        )
    }

    /// Release of a worker.
    pub(super) fn worker(&self) -> Job<'static> {
        self.work(
            "bring the worker to its spec",
            &[NODE, WORKER],
            &[],
            CHANGING,
        )
    }

    /// Timing of a member of etcd, in milliseconds.
    pub(super) fn member(
        &self,
        (heartbeat_ms, election_ms): (u32, u32),
        config: String,
        print: u64,
    ) -> Job<'static> {
        let arguments = [
            ("Q_HEARTBEAT", heartbeat_ms.to_string()),
            ("Q_ELECTION", election_ms.to_string()),
            ("Q_CONFIG", config),
            ("Q_PRINT", hex(print)),
        ];
        self.work(
            "change etcd's timing",
            &[NODE, MEMBER],
            &arguments,
            CHANGING,
        )
    }

    fn job(
        &self,
        title: &'static str,
        parts: &[&'static str],
        arguments: &[(&'static str, String)],
        limit: Duration,
    ) -> Job<'static> {
        let mut job = job(title, parts, limit, true);
        job.arguments.extend_from_slice(&self.basics);
        job.arguments.extend_from_slice(arguments);
        job
    }

    /// A job that starts a long work and waits for it.
    fn work(
        &self,
        title: &'static str,
        parts: &[&'static str],
        arguments: &[(&'static str, String)],
        patience: Duration,
    ) -> Job<'static> {
        let work = self.job(title, parts, arguments, patience).text();
        // The text has secrets. What is read already can be removed.
        let work = format!("rm -f \"$0\"\n{work}");
        job(title, &[LAUNCH], patience + MARGIN, true)
            .with("Q_WORK", work)
            .with("Q_WAIT", patience.as_secs().to_string())
    }

    /// What a look has shown.
    pub(super) fn state(&self, stdout: &str) -> Result<State, Fault> {
        State::parse(stdout).ok_or_else(|| self.odd("a look at the node gave no state"))
    }

    /// What was printed of a ticket.
    pub(super) fn read(&self, stdout: &str, part: Part) -> Result<Ticket, Fault> {
        let find = |name: &str| {
            let mut lines = stdout.lines().filter_map(|line| line.split_once(' '));
            let found = lines.find(|(known, value)| *known == name && !value.is_empty());
            found.map(|(_, value)| value.trim().to_owned())
        };
        let odd = || self.odd("kubeadm gave no token that lets a node join");
        let certificate_key = match part {
            Part::ControlPlane => Some(find("key").ok_or_else(odd)?),
            Part::Worker => None,
        };
        Ok(Ticket {
            token: find("token").ok_or_else(odd)?,
            authority: find("authority").ok_or_else(odd)?,
            certificate_key,
        })
    }

    fn odd(&self, what: &str) -> Fault {
        Fault::new(FaultClass::Retryable, format!("{}: {what}", self.machine))
    }
}

/// Marks a machine: what this spec says is there.
pub(super) fn mark(kind: Kind, print: u64) -> Job<'static> {
    assert!(
        matches!(kind, Kind::ControlPlane | Kind::Worker),
        "a {kind} is not marked here"
    );
    let word = kind.on_machine().expect("it is on a machine");
    job("mark the node", &[MARK], SHORT, true)
        .with("Q_KIND", word.to_owned())
        .with("Q_PRINT", hex(print))
}

/// Reads the administrator's credentials.
pub(super) fn kubeconfig() -> Job<'static> {
    job("read the credentials", &[KUBECONFIG], SHORT, false)
}

fn job(
    title: &'static str,
    parts: &[&'static str],
    limit: Duration,
    mutates: bool,
) -> Job<'static> {
    Job {
        title,
        parts: parts.to_vec(),
        arguments: Vec::new(),
        input: None,
        limit,
        mutates,
    }
}

fn hex(print: u64) -> String {
    format!("{print:016x}")
}
