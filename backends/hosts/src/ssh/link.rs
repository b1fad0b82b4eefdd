//! One connection to one machine, and jobs over it.
//!
//! Starts OpenSSH's master process itself, so that it dies when it is given up on while it
//! connects; commands over it go through the `openssh` crate. Does not judge what ends how.

use super::Patience;
use crate::job::{Job, Output};
use crate::pins;
use crate::reach::{Key, Reach};
use openssh::{Error, Session, Stdio};
use quorate_engine::resource::ResourceId;
use std::fs;
use std::io::{self, Write};
use std::net::{SocketAddr, SocketAddrV4};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

/// So much of standard error is kept, in bytes: the end of it.
const STDERR_TAIL: usize = 4 << 10;

/// So much of standard output is read, in bytes; a probe of 1000 peers is 300 KiB.
const STDOUT_MOST: u64 = 8 << 20;

/// How long a machine has to kill what is over its limit, and the network to say so.
const GRACE: Duration = Duration::from_secs(15);

/// Why there is no connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// What ssh had to say.
    Said(String),
    /// It took too long.
    TooLate(Duration),
    /// Something here is missing or in the way.
    Here(String),
    /// The key file of the machine is not there or not to be read.
    KeyFile(String),
}

/// How a job ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// With this exit code.
    Exited(i32, Output),
    /// The connection was gone before.
    NeverStarted,
    /// The connection broke meanwhile, or the other side killed it; what was said until then.
    Lost(String),
    /// No end in sight.
    TooLate,
    /// `sh`, `timeout` or `sudo` is not there.
    NoProgram(String),
    /// The input is not to be read, or ssh not to be started.
    Here(String),
}

/// A connection that commands share.
pub(super) struct Link {
    session: Session,
    reach: Reach,
    learnt: Option<String>,
}

impl Link {
    /// Logs in.
    pub(super) async fn make(
        machine: &ResourceId,
        reach: &Reach,
        pin: Option<&str>,
        patience: Patience,
    ) -> Result<Self, Broken> {
        let here = |error: io::Error| Broken::Here(error.to_string());
        let folder = tempfile::Builder::new()
            .prefix("quorate-ssh-")
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir()
            .map_err(here)?;
        let known = folder.path().join("known_hosts");
        let hosts = pin.map_or(Ok(String::new()), |pin| pins::known_hosts(machine, pin));
        fs::write(&known, hosts.map_err(Broken::Here)?).map_err(here)?;
        let key_file = key_file(&reach.key, folder.path())?;

        let mut ssh = master(machine, reach, pin.is_some(), patience, folder.path());
        if let Some(path) = &key_file {
            ssh.args(["-o", "IdentitiesOnly=yes", "-i"]).arg(path);
        }
        ssh.arg("--").arg(&reach.address);
        let limit = patience.connect * 2;
        let status = tokio::time::timeout(limit, ssh.status()).await;
        if let (Key::Text(_), Some(path)) = (&reach.key, &key_file) {
            fs::remove_file(path).map_err(here)?;
        }
        let status = status
            .map_err(|_| Broken::TooLate(limit))?
            .map_err(|error| {
                Broken::Here(format!(
                    "`ssh` does not start ({error}): install an OpenSSH client"
                ))
            })?;
        if !status.success() {
            let log = fs::read(folder.path().join("log")).map_err(here)?;
            return Err(Broken::Said(String::from_utf8_lossy(&log).into_owned()));
        }
        let learnt = if pin.is_none() {
            let hosts = fs::read_to_string(&known).map_err(here)?;
            let key = pins::learnt(machine, &hosts);
            Some(key.ok_or_else(|| Broken::Here("ssh did not write its host key".to_owned()))?)
        } else {
            None
        };
        Ok(Self {
            session: Session::new_process_mux(folder),
            reach: reach.clone(),
            learnt,
        })
    }

    /// The host key that was seen for the first time.
    pub(super) fn learnt(&self) -> Option<&str> {
        self.learnt.as_deref()
    }

    /// Whether it leads there. It may still turn out to be dead.
    pub(super) fn serves(&self, reach: &Reach) -> bool {
        self.reach == *reach && self.session.control_socket().exists()
    }

    /// Lets a socket here lead to an address there, for as long as the connection lives.
    pub(super) async fn forward(&self, socket: &Path, to: SocketAddrV4) -> Result<(), String> {
        let local = openssh::ForwardType::Local;
        let asked = self
            .session
            .request_port_forward(local, socket, SocketAddr::from(to));
        match tokio::time::timeout(GRACE, asked).await {
            Ok(answer) => answer.map_err(|error| error.to_string()),
            Err(_) => Err("no answer".to_owned()),
        }
    }

    /// Does a job as root.
    pub(super) async fn run(&self, reach: &Reach, job: &Job<'_>) -> End {
        if !self.session.control_socket().exists() {
            return End::NeverStarted;
        }
        let text = job.text();
        // The job dies on the machine too when it is over its limit: nothing goes on unseen.
        let limit = job.limit.as_secs().max(1).to_string();
        let mut words = vec!["timeout", "-k", "5", &limit, "sh"];
        // Whether sudo is needed is known there only: names do not tell.
        let elevate = "if [ \"$(id -u)\" = 0 ]; then exec \"$@\"; else exec sudo -n \"$@\"; fi";
        match job.input {
            Some(_) => words.extend(["-c", &text]),
            None => words.push("-s"),
        }
        let mut command = self.session.command("sh");
        command.args(["-c", elevate, "sh"]).args(words);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let input = match job.input {
            Some(path) => Input::File(path.to_owned()),
            None => Input::Text(text.clone()),
        };
        assert_eq!(
            self.reach, *reach,
            "a connection is used for where it leads"
        );
        match tokio::time::timeout(job.limit + GRACE, done(command, input)).await {
            Ok(end) => end,
            Err(_) => End::TooLate,
        }
    }
}

enum Input {
    Text(String),
    File(PathBuf),
}

type Remote<'a> = openssh::OwningCommand<&'a Session>;

async fn done(mut command: Remote<'_>, input: Input) -> End {
    let mut child = match command.spawn().await {
        Ok(child) => child,
        Err(error) => return End::Here(error.to_string()),
    };
    let (Some(mut stdin), Some(stdout), Some(stderr)) = (
        child.stdin().take(),
        child.stdout().take(),
        child.stderr().take(),
    ) else {
        unreachable!("all three are pipes");
    };
    let feed = async move {
        // A job that ends early does not read everything: how it ended says why.
        match input {
            Input::Text(text) => drop(stdin.write_all(text.as_bytes()).await),
            Input::File(path) => {
                let mut file = tokio::fs::File::open(path).await?;
                drop(tokio::io::copy(&mut file, &mut stdin).await);
            }
        }
        io::Result::Ok(())
    };
    let (fed, stdout, stderr) = tokio::join!(feed, whole(stdout), tail(stderr));
    let ended = child.wait().await;
    if let Err(error) = fed {
        return End::Here(error.to_string());
    }
    match ended {
        Ok(status) => match status.code() {
            Some(code) => End::Exited(code, Output { stdout, stderr }),
            None => End::Lost(stderr),
        },
        Err(Error::Remote(error)) if error.kind() == io::ErrorKind::NotFound => {
            End::NoProgram(stderr)
        }
        Err(Error::RemoteProcessTerminated | Error::Disconnected) if never_started(&stderr) => {
            End::NeverStarted
        }
        Err(_) => End::Lost(stderr),
    }
}

/// The command found no master and could not get out on its own (to a host called `none`), or the
/// master is not allowed another channel: the job has not begun.
fn never_started(stderr: &str) -> bool {
    [
        "Could not resolve hostname none",
        "Control socket connect",
        "Session open refused",
    ]
    .iter()
    .any(|sign| stderr.contains(sign))
}

async fn whole(stream: impl AsyncRead + Unpin) -> String {
    let mut bytes = Vec::new();
    let mut limited = stream.take(STDOUT_MOST);
    // An error here is the end of the connection, which shows in how the command ends.
    drop(limited.read_to_end(&mut bytes).await);
    // The rest is thrown away, so that the other side can go on.
    drop(tokio::io::copy(&mut limited.into_inner(), &mut tokio::io::sink()).await);
    String::from_utf8_lossy(&bytes).into_owned()
}

async fn tail(mut stream: impl AsyncRead + Unpin) -> String {
    let (mut kept, mut chunk) = (Vec::new(), vec![0; STDERR_TAIL]);
    while let Ok(count @ 1..) = stream.read(&mut chunk).await {
        kept.extend_from_slice(&chunk[..count]);
        let excess = kept.len().saturating_sub(STDERR_TAIL);
        kept.drain(..excess);
    }
    String::from_utf8_lossy(&kept).into_owned()
}

/// The file that ssh reads the key from; one with the text of a key is for its owner only.
fn key_file(key: &Key, folder: &Path) -> Result<Option<PathBuf>, Broken> {
    match key {
        Key::Agent => Ok(None),
        Key::File(path) => match fs::File::open(path) {
            Ok(_) => Ok(Some(path.clone())),
            Err(error) => Err(Broken::KeyFile(format!("{}: {error}", path.display()))),
        },
        Key::Text(text) => {
            let path = folder.join("key");
            let mut file = fs::OpenOptions::new();
            let written = file
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path)
                .and_then(|mut file| file.write_all(format!("{}\n", text.trim()).as_bytes()));
            written.map_err(|error| Broken::Here(error.to_string()))?;
            Ok(Some(path))
        }
    }
}

/// The master process without keys and destination. The user's configuration is read as always;
/// what stands here goes before it.
fn master(
    machine: &ResourceId,
    reach: &Reach,
    pinned: bool,
    patience: Patience,
    folder: &Path,
) -> Command {
    let mut ssh = Command::new("ssh");
    ssh.env("LC_ALL", "C").kill_on_drop(true);
    ssh.stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    ssh.args(["-M", "-N", "-f", "-E"]).arg(folder.join("log"));
    ssh.arg("-S").arg(folder.join("master"));
    let check = if pinned { "yes" } else { "accept-new" };
    let options = [
        // Who it is.
        format!("HostKeyAlias={}", pins::alias(machine)),
        format!(
            "UserKnownHostsFile=\"{}\"",
            folder.join("known_hosts").display()
        ),
        format!("StrictHostKeyChecking={check}"),
        "GlobalKnownHostsFile=/dev/null".to_owned(),
        "KnownHostsCommand=none".to_owned(),
        "VerifyHostKeyDNS=no".to_owned(),
        "UpdateHostKeys=no".to_owned(),
        "HashKnownHosts=no".to_owned(),
        // How long.
        format!("ConnectTimeout={}", patience.connect.as_secs().max(1)),
        format!("ControlPersist={}", patience.idle.as_secs().max(1)),
        format!(
            "ServerAliveInterval={}",
            patience.keepalive.as_secs().max(1)
        ),
        "ServerAliveCountMax=3".to_owned(),
        // Nobody is there to answer, and nothing of the user's other sessions belongs here.
        "BatchMode=yes".to_owned(),
        "LogLevel=INFO".to_owned(),
        "ForwardAgent=no".to_owned(),
        "ForwardX11=no".to_owned(),
        "ClearAllForwardings=yes".to_owned(),
        "PermitLocalCommand=no".to_owned(),
        "RemoteCommand=none".to_owned(),
        "RequestTTY=no".to_owned(),
    ];
    for option in options {
        ssh.arg("-o").arg(option);
    }
    if let Some(port) = reach.port {
        ssh.arg("-p").arg(port.to_string());
    }
    if let Some(user) = &reach.user {
        ssh.arg("-l").arg(user);
    }
    ssh
}
