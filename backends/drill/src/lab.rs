//! Hands for real machines: `virsh` and this host's own processes for machines of the lab, scripts
//! in a machine's network for everything else.
//!
//! A container's network is entered from this host, so that a wall needs nothing of the machine;
//! other machines are told over ssh. `virsh` is used with verbs and exit codes only: what is done
//! here is what a person at the host would do.

mod virsh;

use crate::act::{Act, Place, Process, Stops, Undo};
use crate::hands::{Hands, Refused};
use quorate_engine::resource::ResourceId;
use quorate_engine::seam::FaultClass;
use quorate_hosts::{Hosts, Job, Runner, Ssh};
use quorate_sim::scenario::Process as Named;
use std::net::Ipv4Addr;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

pub use virsh::owned;

const WALL: &str = include_str!("../scripts/wall.sh");
const RAZE: &str = include_str!("../scripts/raze.sh");
const LATE: &str = include_str!("../scripts/late.sh");
const MEND: &str = include_str!("../scripts/mend.sh");
const LEFT: &str = include_str!("../scripts/left.sh");
const WHICH: &str = include_str!("../scripts/which.sh");
const KILL: &str = include_str!("../scripts/kill.sh");
const STILL: &str = include_str!("../scripts/still.sh");
const GO: &str = include_str!("../scripts/go.sh");
const IS_BACK: &str = include_str!("../scripts/back.sh");

/// Every script takes a second.
const LIMIT: Duration = Duration::from_secs(20);

/// How long a machine may take to be back: a container takes seconds, a cloud's machine a minute.
const BACK: Duration = Duration::from_secs(180);

/// How long a process may take to be back: kubelet holds back what dies again and again for five
/// minutes.
const PROCESS_BACK: Duration = Duration::from_secs(360);

/// Hands for real machines.
pub struct Lab<R = Ssh> {
    hosts: Arc<Hosts<R>>,
    /// Where sshd listens, which no wall stops.
    ssh_ports: Vec<u16>,
}

impl<R: Runner + 'static> Lab<R> {
    /// Over these machines.
    #[must_use]
    pub fn new(hosts: Arc<Hosts<R>>, ssh_port: u16) -> Self {
        let mut ssh_ports = vec![22, ssh_port];
        ssh_ports.dedup();
        Self { hosts, ssh_ports }
    }

    /// What drills have left on a machine; empty if nothing.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn left(&self, machine: &ResourceId) -> Result<String, String> {
        let job = job("look for what drills left", LEFT);
        let output = self.hosts.run(machine, &[], job).await;
        let output = output.map_err(|fault| fault.to_string())?;
        Ok(output.stdout.trim().to_owned())
    }

    /// Runs a script in a machine's network.
    async fn run(&self, at: &Place, job: Job<'_>) -> Result<(), Refused> {
        if let Some(domain) = &at.container {
            let pid = virsh::pid(domain).await.map_err(Refused::Failed)?;
            let job = job.with("Q_INSIDE", "1".to_owned());
            // Processes are found in the container's own view; packets are this host's matter.
            let whole = job.parts.contains(&WHICH);
            return inside(pid, whole, &job).await;
        }
        let done = self.hosts.run(&at.machine, &[], job).await;
        done.map(|_| ()).map_err(|fault| match fault.class {
            FaultClass::Invalid => Refused::Cannot(fault.to_string()),
            _ => Refused::Failed(fault.to_string()),
        })
    }

    /// Runs a script, and says when it had done its work.
    async fn done(&self, at: &Place, job: Job<'_>) -> Result<Instant, Refused> {
        self.run(at, job).await?;
        Ok(Instant::now())
    }

    /// Takes something out of a machine's network; a machine that is off has nothing in it.
    async fn clear(&self, at: &Place, job: Job<'_>) -> Result<(), String> {
        if let Some(domain) = &at.container
            && !virsh::runs(domain).await?
        {
            return Ok(());
        }
        self.run(at, job)
            .await
            .map_err(|refused| refused.to_string())
    }

    /// Until a process runs again. A machine that is off has none, and will have.
    async fn is_back(&self, at: &Place, process: Named) -> Result<(), String> {
        let begun = Instant::now();
        loop {
            let job = on_process("look whether a process is back", IS_BACK, process);
            match self.clear(at, job).await {
                Ok(()) => return Ok(()),
                Err(text) if begun.elapsed() > PROCESS_BACK => return Err(text),
                Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
            }
        }
    }

    async fn answers(&self, machine: &ResourceId) -> Result<(), String> {
        let begun = Instant::now();
        loop {
            match self.left(machine).await {
                Ok(_) => return Ok(()),
                Err(text) if begun.elapsed() > BACK => return Err(text),
                Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
            }
        }
    }
}

impl<R: Runner + 'static> Hands for Lab<R> {
    async fn strike(&self, act: &Act) -> Result<Instant, Refused> {
        match act {
            Act::PowerCut(domain) => virsh::power_cut(domain).await.map_err(Refused::Failed),
            Act::Reset(domain) => {
                let at = virsh::power_cut(domain).await.map_err(Refused::Failed)?;
                virsh::start(domain, BACK).await.map_err(Refused::Failed)?;
                Ok(at)
            }
            Act::Reboot(machine) => {
                // Later than the answer, which would be lost otherwise.
                let script = "(sleep 1; systemctl reboot || reboot) </dev/null >/dev/null 2>&1 &";
                let done = self.hosts.run(machine, &[], job("reboot", script)).await;
                done.map_err(|fault| Refused::Failed(fault.to_string()))?;
                Ok(Instant::now() + Duration::from_secs(1))
            }
            Act::Pause(domain) => virsh::suspend(domain).await,
            Act::Wall {
                at,
                key,
                stops,
                falls_after,
            } => {
                let job = job("build a wall", WALL)
                    .with("Q_KEY", key.clone())
                    .with("Q_SECONDS", falls_after.as_secs().to_string())
                    .with("Q_RULES", rules(key, stops, &self.ssh_ports));
                self.done(at, job).await
            }
            Act::Impair {
                at,
                key,
                own,
                towards,
                netem,
                falls_after,
            } => {
                let words = |all: Vec<String>| all.join(" ");
                let ports = self.ssh_ports.iter().map(u16::to_string).collect();
                let job = job("make packets late", LATE)
                    .with("Q_KEY", key.clone())
                    .with("Q_SECONDS", falls_after.as_secs().to_string())
                    .with("Q_OWN", own.to_string())
                    .with("Q_NETEM", netem.clone())
                    .with(
                        "Q_TOWARDS",
                        words(towards.iter().map(Ipv4Addr::to_string).collect()),
                    )
                    .with("Q_SSH", words(ports));
                self.done(at, job).await
            }
            Act::Freeze(process) => {
                signal(process, "STOP").await.map_err(Refused::Failed)?;
                Ok(Instant::now())
            }
            Act::Kill { at, process } => {
                let job = on_process("kill a process", KILL, *process);
                self.done(at, job).await
            }
            Act::Still {
                at,
                process,
                key,
                falls_after,
            } => {
                let job = on_process("let a process stand still", STILL, *process)
                    .with("Q_KEY", key.clone())
                    .with("Q_SECONDS", falls_after.as_secs().to_string());
                self.done(at, job).await
            }
        }
    }

    async fn heal(&self, undo: &Undo) -> Result<(), String> {
        match undo {
            Undo::Start(domain) => virsh::start(domain, BACK).await,
            Undo::Resume(domain) => virsh::resume(domain).await,
            Undo::Await { machine } => self.answers(machine).await,
            Undo::Raze { at, key } => {
                let job = job("take a wall away", RAZE).with("Q_KEY", key.clone());
                self.clear(at, job).await
            }
            Undo::Mend { at, key, own } => {
                let job = job("end the delay", MEND)
                    .with("Q_KEY", key.clone())
                    .with("Q_OWN", own.to_string());
                self.clear(at, job).await
            }
            Undo::Back { at, process } => self.is_back(at, *process).await,
            Undo::Go { at, process, key } => {
                let job =
                    on_process("let a process go on", GO, *process).with("Q_KEY", key.clone());
                self.clear(at, job).await
            }
            Undo::Thaw(process) => match process_of(process.pid) {
                Some(known) if known == *process => signal(process, "CONT").await,
                // It is gone, and its number may be somebody else's.
                Some(_) | None => Ok(()),
            },
        }
    }
}

fn job(title: &'static str, script: &'static str) -> Job<'static> {
    Job {
        title,
        parts: vec![script],
        arguments: Vec::new(),
        input: None,
        limit: LIMIT,
        mutates: true,
    }
}

/// A script about a process.
fn on_process(title: &'static str, script: &'static str, process: Named) -> Job<'static> {
    let mut job = job(title, script).with("Q_PROCESS", process.name().to_owned());
    job.parts.insert(0, WHICH);
    job
}

/// Runs a script of ours in the network of a process of this host; `whole`: also among the processes
/// and files that it sees.
async fn inside(pid: u32, whole: bool, job: &Job<'_>) -> Result<(), Refused> {
    let failed = |error: std::io::Error| Refused::Failed(format!("nsenter: {error}"));
    let mut child = Command::new("nsenter")
        .args(["--target", &pid.to_string(), "--net"])
        .args(if whole {
            &["--pid", "--mount"][..]
        } else {
            &[]
        })
        .args(["--", "sh", "-s"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    let mut input = child.stdin.take().expect("it was asked for");
    input
        .write_all(job.text().as_bytes())
        .await
        .map_err(failed)?;
    drop(input);
    let ended = tokio::time::timeout(LIMIT, child.wait_with_output()).await;
    let late = |_| Refused::Failed(format!("{}: no end within {LIMIT:?}", job.title));
    let ended = ended.map_err(late)?.map_err(failed)?;
    let said = String::from_utf8_lossy(&ended.stderr).trim().to_owned();
    match ended.status.code() {
        Some(0) => Ok(()),
        Some(65) => Err(Refused::Cannot(said)),
        _ => Err(Refused::Failed(format!("{}: {said}", job.title))),
    }
}

/// The rules of a wall, in the words of nft(8).
fn rules(key: &str, stops: &Stops, ssh_ports: &[u16]) -> String {
    let set = |all: &[Ipv4Addr]| {
        let all: Vec<String> = all.iter().map(Ipv4Addr::to_string).collect();
        format!("{{ {} }}", all.join(", "))
    };
    let (inward, outward) = match stops {
        Stops::Everything => ("drop".to_owned(), "drop".to_owned()),
        Stops::Both(all) => (
            format!("ip saddr {} drop", set(all)),
            format!("ip daddr {} drop", set(all)),
        ),
        Stops::From(all) => (format!("ip saddr {} drop", set(all)), String::new()),
    };
    let ports: Vec<String> = ssh_ports.iter().map(u16::to_string).collect();
    let ports = ports.join(", ");
    let table = format!("quorate_drill_{key}");
    // Before connection tracking: what is under way stops, too.
    format!(
        "table inet {table}\ndelete table inet {table}\ntable inet {table} {{\n  \
         chain input {{\n    type filter hook input priority -310; policy accept;\n    \
         iif lo accept\n    tcp dport {{ {ports} }} accept\n    {inward}\n  }}\n  \
         chain forward {{\n    type filter hook forward priority -310; policy accept;\n    \
         {inward}\n    {outward}\n  }}\n  \
         chain output {{\n    type filter hook output priority -310; policy accept;\n    \
         oif lo accept\n    tcp sport {{ {ports} }} accept\n    {outward}\n  }}\n}}"
    )
}

/// A process of this host by its number; none if there is none.
#[must_use]
pub fn process_of(pid: u32) -> Option<Process> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name is in parentheses and may have any character in it.
    let rest = stat.rsplit_once(')')?.1;
    let began = rest.split_whitespace().nth(19)?.parse().ok()?;
    Some(Process { pid, began })
}

async fn signal(process: &Process, name: &str) -> Result<(), String> {
    let pid = process.pid;
    if process_of(pid).as_ref() != Some(process) {
        return Err(format!("process {pid} is gone"));
    }
    let mut kill = Command::new("kill");
    kill.args([format!("-{name}"), pid.to_string()]);
    match kill.status().await {
        Ok(ended) if ended.success() => Ok(()),
        Ok(ended) => Err(format!("kill -{name} {pid}: {ended}")),
        Err(error) => Err(format!("kill: {error}")),
    }
}

#[cfg(test)]
mod tests;
