//! Machines of a libvirt on this host, by `virsh` and by their processes.
//!
//! `virsh destroy` is no power cut: for containers it begins with SIGTERM, so that etcd may hand
//! its leadership over first. SIGKILL of a container's PID 1, or of the process that is a virtual
//! machine, is one. What the page cache held is kept, and no unsynced write is lost by it.

use crate::act::Domain;
use crate::hands::Refused;
use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::Command;

/// libvirt answers at once, or something is wrong with it.
const LIMIT: Duration = Duration::from_secs(30);

/// Between looks at a process that is dying: the error of the instant of its death.
const LOOK: Duration = Duration::from_millis(1);

async fn virsh(domain: &Domain, verb: &str, more: &[&str]) -> Result<String, String> {
    let call = Command::new("virsh")
        .args(["--quiet", "--connect", &domain.uri, verb, &domain.name])
        .args(more)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let what = format!("virsh {verb} {}", domain.name);
    let ended = tokio::time::timeout(LIMIT, call).await;
    let ended = ended.map_err(|_| format!("{what}: no answer within {LIMIT:?}"))?;
    let ended = ended.map_err(|error| format!("{what}: {error}"))?;
    if ended.status.success() {
        return Ok(String::from_utf8_lossy(&ended.stdout).trim().to_owned());
    }
    let said = String::from_utf8_lossy(&ended.stderr);
    Err(format!("{what}: {}", said.trim()))
}

/// Whether a domain carries the labels of this cluster's machine.
///
/// # Errors
/// If libvirt does not say.
pub async fn owned(domain: &Domain, uid: u64, id: &str) -> Result<bool, String> {
    let xml = virsh(domain, "dumpxml", &[]).await?;
    let value = |text: &str| {
        xml.contains(&format!("value='{text}'")) || xml.contains(&format!("value=\"{text}\""))
    };
    Ok(value(&format!("{uid:016x}")) && value(&id.replace('/', "_")))
}

pub(super) async fn runs(domain: &Domain) -> Result<bool, String> {
    Ok(matches!(
        virsh(domain, "domstate", &[]).await?.as_str(),
        "running" | "paused"
    ))
}

/// The process that a machine is: a container's PID 1 as this host sees it, or QEMU.
pub(super) async fn pid(domain: &Domain) -> Result<u32, String> {
    let name = &domain.name;
    if !domain.container {
        let text = fs::read_to_string(format!("/run/libvirt/qemu/{name}.pid"));
        let text = text.map_err(|error| format!("the process of {name}: {error}"))?;
        let pid = text
            .trim()
            .parse()
            .map_err(|_| format!("{name}: `{text}` is no process"))?;
        return checked(pid, "qemu", name);
    }
    let id = virsh(domain, "domid", &[]).await?;
    let controller = id.parse().map_err(|_| format!("{name} does not run"))?;
    let controller = checked(controller, "libvirt_lxc", name)?;
    let children = fs::read_to_string(format!("/proc/{controller}/task/{controller}/children"));
    let children = children.map_err(|error| format!("the processes of {name}: {error}"))?;
    let first = children.split_whitespace().next();
    let first = first.and_then(|text| text.parse().ok());
    first.ok_or_else(|| format!("{name}: libvirt_lxc {controller} has no process"))
}

/// A process's number is what we think it is: of this program, and of this machine.
fn checked(pid: u32, program: &str, name: &str) -> Result<u32, String> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let line = String::from_utf8_lossy(&line);
    let words: Vec<&str> = line.split('\0').collect();
    let right = words[0].contains(program);
    let of_it = |word: &&str| {
        *word == name
            || word.starts_with(&format!("guest={name},"))
            || *word == format!("--name={name}")
    };
    if right && words.iter().any(of_it) {
        return Ok(pid);
    }
    Err(format!("process {pid} is not the {program} of {name}"))
}

/// Gone, or a zombie that does nothing more.
fn dead(pid: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return true;
    };
    let state = stat.rsplit_once(')').map(|(_, rest)| rest.trim_start());
    state.is_none_or(|rest| rest.starts_with(['Z', 'X']))
}

/// Cuts a machine's power: the instant of its death.
pub(super) async fn power_cut(domain: &Domain) -> Result<Instant, String> {
    let pid = pid(domain).await?;
    let status = Command::new("kill")
        .args(["-KILL", &pid.to_string()])
        .status();
    let status = status.await.map_err(|error| format!("kill: {error}"))?;
    if !status.success() {
        return Err(format!("kill -KILL {pid}: {status}"));
    }
    // From now on nothing in it runs any more, or for the milliseconds until it is scheduled; that all
    // of it is gone, memory and mounts, may take seconds.
    let died = Instant::now();
    while !dead(pid) {
        if died.elapsed() > LIMIT {
            return Err(format!("{}: process {pid} does not die", domain.name));
        }
        tokio::time::sleep(LOOK).await;
    }
    // Until libvirt knows, a start would be refused, and a look would call it running.
    while runs(domain).await? {
        if died.elapsed() > LIMIT {
            return Err(format!("{}: libvirt calls it running", domain.name));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(died)
}

/// Starts a machine that does not run.
pub(super) async fn start(domain: &Domain, patience: Duration) -> Result<(), String> {
    let begun = Instant::now();
    let mut seen = 0;
    loop {
        let tried = match runs(domain).await {
            // A machine that was just killed is called running for some moments.
            Ok(true) if seen >= 2 => return Ok(()),
            Ok(true) => {
                seen += 1;
                Ok(String::new())
            }
            Ok(false) => {
                seen = 0;
                virsh(domain, "start", &[]).await
            }
            Err(text) => Err(text),
        };
        if begun.elapsed() > patience {
            return Err(tried
                .err()
                .unwrap_or_else(|| format!("{} stays off", domain.name)));
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// Lets a machine stand still.
pub(super) async fn suspend(domain: &Domain) -> Result<Instant, Refused> {
    if let Err(text) = virsh(domain, "suspend", &[]).await {
        return Err(Refused::Cannot(text));
    }
    let at = Instant::now();
    match virsh(domain, "domstate", &[]).await.as_deref() {
        Ok("paused") => Ok(at),
        Ok(state) => Err(Refused::Cannot(format!(
            "{}: suspended, and libvirt calls it {state}",
            domain.name
        ))),
        Err(text) => Err(Refused::Failed(text.clone())),
    }
}

/// Lets a machine go on.
pub(super) async fn resume(domain: &Domain) -> Result<(), String> {
    match virsh(domain, "domstate", &[]).await?.as_str() {
        "paused" => virsh(domain, "resume", &[]).await.map(|_| ()),
        _ => Ok(()),
    }
}
