//! A script with its arguments, and what became of it on a machine.
//!
//! Knows the text that goes to a shell, and not how it gets there.

use crate::reach::Reach;
use quorate_engine::resource::ResourceId;
use quorate_engine::seam::Fault;
use std::future::Future;
use std::net::SocketAddrV4;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What every script begins with.
const COMMON: &str = include_str!("../scripts/common.sh");

/// Something to be done on a machine.
#[derive(Debug, Clone)]
pub struct Job<'a> {
    /// For people: `make the mesh peer`.
    pub title: &'static str,
    /// POSIX sh, after what all scripts begin with.
    pub parts: Vec<&'static str>,
    /// Variables that the script finds set; names begin with `Q_`.
    pub arguments: Vec<(&'static str, String)>,
    /// Its standard input; none: empty.
    pub input: Option<&'a Path>,
    /// It is stopped on the machine after this.
    pub limit: Duration,
    /// Whether it changes the machine: then nobody knows what became of it when the connection
    /// breaks meanwhile.
    pub mutates: bool,
}

impl Job<'_> {
    /// With one more argument.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: String) -> Self {
        self.arguments.push((name, value));
        self
    }

    /// The whole text for a shell. It is one function, called on its last line: a text that arrives
    /// in part does nothing at all, and commands in it cannot read the rest of it as their input.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(16 << 10);
        for (name, value) in &self.arguments {
            assert!(
                name.starts_with("Q_") && name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'),
                "`{name}` is an argument's name"
            );
            text.push_str(name);
            text.push('=');
            text.push_str(&quoted(value));
            text.push('\n');
        }
        text.push_str("quorate_job() {\n");
        text.push_str(COMMON);
        for part in &self.parts {
            text.push('\n');
            text.push_str(part);
        }
        text.push_str("\n}\nquorate_job");
        if self.input.is_none() {
            text.push_str(" </dev/null");
        }
        text.push('\n');
        text
    }
}

/// A script that stands on its own, for machines to keep.
pub(crate) fn standalone(parts: &[&str]) -> String {
    let mut text = format!("#!/bin/sh\n{COMMON}");
    for part in parts {
        text.push('\n');
        text.push_str(part);
    }
    text
}

/// One word for a POSIX shell, whatever is in it.
pub(crate) fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}

/// What a script said and how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Output {
    /// Standard output.
    pub stdout: String,
    /// The end of standard error, without secrets.
    pub stderr: String,
}

/// Whatever carries jobs to machines.
pub trait Runner: Send + Sync {
    /// Does a job. It may be dropped at any instant.
    ///
    /// # Errors
    /// A fault of the class that says what to do about it, naming machine and address.
    fn run(
        &self,
        machine: &ResourceId,
        reach: &Reach,
        job: &Job<'_>,
    ) -> impl Future<Output = Result<Output, Fault>> + Send;

    /// Opens a way to an address as the machine sees it.
    ///
    /// # Errors
    /// The machine is not reached. Whether anybody listens at the other end shows on first use.
    fn tunnel(
        &self,
        machine: &ResourceId,
        reach: &Reach,
        to: SocketAddrV4,
    ) -> impl Future<Output = Result<Tunnel, Fault>> + Send;
}

/// A way through a machine to an address that is seen from there. It is open until it is dropped.
#[derive(Debug)]
pub struct Tunnel {
    folder: tempfile::TempDir,
}

impl Tunnel {
    /// With a folder of its own, which nobody else may enter. Whoever makes it listens at its
    /// socket.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn new() -> std::io::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("quorate-tunnel-")
            .permissions(std::fs::Permissions::from_mode(0o700))
            .tempdir()?;
        Ok(Self { folder })
    }

    /// The Unix socket that leads there.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn sh(text: &str) -> String {
        let output = Command::new("sh").arg("-c").arg(text).output();
        String::from_utf8(output.expect("there is a shell").stdout).expect("text")
    }

    #[test]
    fn a_word_stays_a_word() {
        for word in [
            "",
            "a b",
            "it's",
            "$(reboot)",
            "`id`",
            "\\",
            "a\nb",
            "*",
            "'\"'",
            "-n",
        ] {
            assert_eq!(
                sh(&format!("printf %s. {}", quoted(word))),
                format!("{word}.")
            );
        }
    }

    fn job(parts: Vec<&'static str>) -> Job<'static> {
        Job {
            title: "test",
            parts,
            arguments: vec![("Q_WORD", "it's $HOME".to_owned())],
            input: None,
            limit: Duration::from_secs(1),
            mutates: false,
        }
    }

    #[test]
    fn a_script_finds_its_arguments_and_no_input() {
        let text = job(vec!["cat; echo \"$Q_WORD\"", "exit 0"]).text();
        assert_eq!(sh(&text), "it's $HOME\n");
    }

    #[test]
    fn half_a_script_does_nothing() {
        let text = job(vec!["echo first", "echo last"]).text();
        let end = text.find("echo last").expect("it is there");
        assert_eq!(sh(&text[..end]), "");
        assert_eq!(sh(&text), "first\nlast\n");
    }

    #[test]
    fn every_script_is_understood_by_a_posix_shell() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
        let mut count = 0;
        for entry in folder.read_dir().expect("scripts are there") {
            let path = entry.expect("an entry").path();
            let status = Command::new("sh").arg("-n").arg(&path).status();
            assert!(
                status.expect("there is a shell").success(),
                "{}",
                path.display()
            );
            count += 1;
        }
        assert!(count > 8, "{count} scripts");
    }
}
