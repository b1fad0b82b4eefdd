//! What trouble with a machine means: from the words of OpenSSH and the exit codes of our scripts
//! to the one taxonomy of faults.
//!
//! OpenSSH tells its troubles apart by words only; the words stand here and nowhere else.

use super::link::{Broken, End};
use crate::job::{Job, Output};
use crate::pins;
use crate::reach::Reach;
use quorate_engine::resource::ResourceId;
use quorate_engine::seam::{Fault, FaultClass};

/// So much of what ssh says goes into a fault, in bytes: the end of it.
const WORDS: usize = 1 << 10;

/// Words of OpenSSH's client (`sshconnect.c`, `sshconnect2.c`, `kex.c`) when the host key is not
/// the one that is known.
const OTHER_KEY: [&str; 4] = [
    "REMOTE HOST IDENTIFICATION HAS CHANGED",
    "Host key verification failed",
    "host key is known for",
    "no matching host key type found",
];

/// Words that go with a door which stays closed.
const CLOSED: [&str; 5] = [
    "Permission denied",
    "Too many authentication failures",
    "UNPROTECTED PRIVATE KEY FILE",
    "No supported authentication methods",
    "Bad owner or permissions on",
];

/// No connection came about.
pub(super) fn connecting(
    machine: &ResourceId,
    reach: &Reach,
    broken: &Broken,
    pin: Option<String>,
) -> Fault {
    let (class, what) = match broken {
        Broken::Said(log) => said(machine, log, pin.as_deref()),
        Broken::TooLate(limit) => {
            let what = format!("no login within {} s", limit.as_secs());
            (FaultClass::Retryable, what)
        }
        Broken::Here(what) => (FaultClass::Invalid, what.clone()),
        Broken::KeyFile(what) => (
            FaultClass::Auth,
            format!("the ssh key is not to be read: {what}"),
        ),
    };
    Fault::new(class, format!("{machine} ({reach}): {what}"))
}

fn said(machine: &ResourceId, log: &str, pin: Option<&str>) -> (FaultClass, String) {
    let any = |words: &[&str]| words.iter().any(|word| log.contains(word));
    if any(&OTHER_KEY) {
        return (FaultClass::Auth, other_key(machine, log, pin));
    }
    let words = scrubbed(log);
    if any(&CLOSED) {
        let what = format!(
            "the login is refused: check user and key, and that the key is in the agent if it \
             has a passphrase: {words}"
        );
        return (FaultClass::Auth, what);
    }
    if any(&[
        "Bad configuration option",
        "bad configuration options",
        "Bad configuration",
    ]) {
        return (
            FaultClass::Invalid,
            format!("your ssh configuration is not understood: {words}"),
        );
    }
    // Refused, timed out, no route, no name, closed while keys were exchanged: it may be booting.
    (FaultClass::Retryable, format!("no connection: {words}"))
}

fn other_key(machine: &ResourceId, log: &str, pin: Option<&str>) -> String {
    let old = pin.and_then(pins::fingerprint);
    let old = old.unwrap_or_else(|| "none".to_owned());
    let shown = log.find("SHA256:").map(|at| {
        let end = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, ':' | '+' | '/'));
        log[at..].split(end).next().unwrap_or_default()
    });
    let new = shown.unwrap_or("of another type");
    format!(
        "its ssh host key has changed: kept {old}, shown {new}. Either the machine was installed \
         anew, or somebody stands in between. If it was you: `quorate forget --host-key {machine}` \
         and apply again"
    )
}

/// What a job's end means.
pub(super) fn ended(
    machine: &ResourceId,
    reach: &Reach,
    job: &Job<'_>,
    end: End,
) -> Result<Output, Fault> {
    let title = job.title;
    let unsure = if job.mutates {
        FaultClass::Unknown
    } else {
        FaultClass::Retryable
    };
    let (class, what) = match end {
        End::Exited(0, mut output) => {
            output.stderr = scrubbed(&output.stderr);
            return Ok(output);
        }
        End::Exited(code, output) => exited(code, job, &output.stderr),
        End::NeverStarted => {
            let what = "the connection breaks at once".to_owned();
            (FaultClass::Retryable, what)
        }
        End::Lost(stderr) => (
            unsure,
            format!("the connection broke meanwhile: {}", scrubbed(&stderr)),
        ),
        End::TooLate => {
            let limit = job.limit.as_secs();
            (unsure, format!("no end and no answer after {limit} s"))
        }
        End::NoProgram(stderr) => {
            let what = "needed there: `sh`, `timeout`, and `sudo` for users other than root";
            (
                FaultClass::Invalid,
                format!("{what}: {}", scrubbed(&stderr)),
            )
        }
        End::Here(what) => (FaultClass::Retryable, format!("here: {what}")),
    };
    let what = what.trim_end();
    Err(Fault::new(
        class,
        format!("{machine} ({reach}): {title}: {what}"),
    ))
}

fn exited(code: i32, job: &Job<'_>, stderr: &str) -> (FaultClass, String) {
    let any = |words: &[&str]| words.iter().any(|word| stderr.contains(word));
    let words = scrubbed(stderr);
    if any(&["No space left on device", "Disk quota exceeded"]) {
        return (FaultClass::Quota, format!("its disk is full: {words}"));
    }
    if any(&[
        "sudo: a password is required",
        "sudo: a terminal is required",
        "sudoers",
        "run sudo",
    ]) {
        let what = format!("needs root, by `sudo` without a password (NOPASSWD): {words}");
        return (FaultClass::Auth, what);
    }
    match code {
        // sysexits.h: EX_DATAERR, EX_CANTCREAT, EX_TEMPFAIL; the convention of scripts/common.sh.
        65 => (FaultClass::Invalid, words),
        73 => (FaultClass::Exists, words),
        75 => (FaultClass::Busy, words),
        // timeout(1), and its SIGKILL: it is over for sure.
        124 | 137 => {
            let limit = job.limit.as_secs();
            (
                FaultClass::Retryable,
                format!("stopped after {limit} s: {words}"),
            )
        }
        126 => (
            FaultClass::Invalid,
            format!("cannot be executed there: {words}"),
        ),
        other => (
            FaultClass::Retryable,
            format!("ended with {other}: {words}"),
        ),
    }
}

/// The end of a text without anything that may be a key of WireGuard: 43 characters of base64 and
/// `=`. Public ones go too; they are in the state anyway.
fn scrubbed(text: &str) -> String {
    let mut start = text.len().saturating_sub(WORDS);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    // A key that is cut at the front is not seen as one: begin with a whole word.
    if start > 0 {
        start += text[start..]
            .find(char::is_whitespace)
            .unwrap_or(text.len() - start);
    }
    let digit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/');
    let (mut clean, mut run) = (String::new(), String::new());
    for c in text[start..].trim().chars().filter(|c| *c != '\r') {
        if digit(c) {
            run.push(c);
            continue;
        }
        if c == '=' && run.len() >= 43 {
            run.replace_range(run.len() - 43.., "(key)");
            clean.push_str(&run);
        } else {
            clean.push_str(&run);
            clean.push(c);
        }
        run.clear();
    }
    clean.push_str(&run);
    clean
}

#[cfg(test)]
mod tests;
