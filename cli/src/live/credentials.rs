//! Credentials, by reference: where the manifest says, or where the vendor's own tools look.
//!
//! What is read here goes to the adapter that needs it, and nowhere else.

use quorate_engine::manifest::{Credentials, Provider, ProviderKind, Ssh};
use quorate_hosts::Key;
use quorate_providers::{Problem, Secret};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Names of key files that ssh itself tries, in its order of preference today.
const KEY_FILES: [&str; 3] = ["id_ed25519", "id_ecdsa", "id_rsa"];

/// The token or key of a provider, where it needs one.
pub(super) fn token(provider: &Provider, problems: &mut Vec<Problem>) -> Option<Secret> {
    let found = match &provider.credentials {
        Some(credentials) => text(credentials, &format!("provider {}", provider.name)),
        None if provider.kind == ProviderKind::Hetzner => Ok(env::var("HCLOUD_TOKEN").ok()),
        None => Ok(None),
    };
    match found {
        Ok(text) => text.map(|text| Secret::new(text.trim())),
        Err(problem) => {
            problems.push(problem);
            None
        }
    }
}

/// An address of a provider's API from outside the manifest.
pub(super) fn endpoint(kind: ProviderKind) -> Option<String> {
    match kind {
        ProviderKind::Hetzner => env::var("HCLOUD_ENDPOINT").ok(),
        _ => None,
    }
}

/// What opens the door of machines.
pub(super) fn key(credentials: Option<&Credentials>, whose: &str) -> Result<Key, Problem> {
    match credentials {
        None => Ok(Key::Agent),
        Some(Credentials::File(path)) => Ok(Key::File(expanded(path))),
        Some(other) => Ok(Key::Text(text(other, whose)?.unwrap_or_default())),
    }
}

/// Public keys that may log in to machines that are made.
pub(super) fn login(ssh: &Ssh, problems: &mut Vec<Problem>) -> Vec<String> {
    let found = match &ssh.credentials {
        None => offered(),
        Some(Credentials::File(path)) => public_of_file(&expanded(path)),
        Some(other) => text(other, "spec.ssh").and_then(|t| public_of(&t.unwrap_or_default())),
    };
    match found {
        Ok(keys) => keys,
        Err(problem) => {
            problems.push(problem);
            Vec::new()
        }
    }
}

fn text(credentials: &Credentials, whose: &str) -> Result<Option<String>, Problem> {
    match credentials {
        Credentials::Env(name) => env::var(name).map(Some).map_err(|_| Problem {
            what: format!("{whose}: the environment variable {name} is not set"),
            fix: format!("export {name}, or name a file with `credentials: {{ file: ... }}`"),
        }),
        Credentials::File(path) => fs::read_to_string(expanded(path))
            .map(Some)
            .map_err(|error| Problem {
                what: format!("{whose}: {path} cannot be read: {error}"),
                fix: "name a file that you may read".to_owned(),
            }),
        Credentials::Secret(name) => Err(Problem {
            what: format!("{whose}: the Secret {name} is inside a Kubernetes cluster"),
            fix: "name an environment variable or a file instead".to_owned(),
        }),
    }
}

/// `~/` is the home directory, as in a shell.
fn expanded(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(path),
    }
}

/// The public half of a key file: the file beside it, or what ssh-keygen makes of it.
fn public_of_file(path: &Path) -> Result<Vec<String>, Problem> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".pub");
    if let Ok(text) = fs::read_to_string(beside) {
        return Ok(vec![text.trim().to_owned()]);
    }
    let text = fs::read_to_string(path).map_err(|error| Problem {
        what: format!("spec.ssh: {} cannot be read: {error}", path.display()),
        fix: "name a private key file that you may read".to_owned(),
    })?;
    public_of(&text)
}

fn public_of(text: &str) -> Result<Vec<String>, Problem> {
    let key = ssh_key::PrivateKey::from_openssh(text).map_err(|error| Problem {
        what: format!("spec.ssh: the private key cannot be understood: {error}"),
        fix: "make one with `ssh-keygen -t ed25519`".to_owned(),
    })?;
    let public = key.public_key().to_openssh();
    Ok(vec![public.expect("a key that was read can be written")])
}

/// What the agent holds, and else the user's own key files.
fn offered() -> Result<Vec<String>, Problem> {
    let agent = Command::new("ssh-add").arg("-L").output();
    let held = agent.ok().filter(|output| output.status.success());
    let held = held.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let lines: Vec<String> = held
        .iter()
        .flat_map(|text| text.lines())
        .map(|line| line.trim().to_owned())
        .collect();
    if !lines.is_empty() {
        return Ok(lines);
    }
    let home = env::home_dir().unwrap_or_default().join(".ssh");
    let found = KEY_FILES
        .iter()
        .find_map(|name| fs::read_to_string(home.join(format!("{name}.pub"))).ok());
    let keys = found.map(|text| vec![text.trim().to_owned()]);
    keys.ok_or_else(|| Problem {
        what: "there is no ssh key to log in to machines with".to_owned(),
        fix: "load one into the agent (`ssh-add`), make one (`ssh-keygen -t ed25519`), or name \
              it with `spec.ssh.credentials`"
            .to_owned(),
    })
}
