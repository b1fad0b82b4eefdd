//! How bytes get to libvirt: a socket of this host, or the standard streams of ssh.
//!
//! Over ssh libvirt's own `virt-ssh-helper` finds the socket at the other end; where it is too old
//! to have one, `nc` does. ssh itself brings keys, agents, jump hosts and known hosts as the user
//! has them; it is never asked to prompt.

use super::uri::{Driver, Place, Target};
use std::path::PathBuf;
use std::process::Stdio;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;
use tokio::process::{Child, ChildStderr, Command};

/// Two directions of bytes.
pub(super) struct Link {
    pub(super) input: Box<dyn AsyncRead + Send + Unpin>,
    pub(super) output: Box<dyn AsyncWrite + Send + Unpin>,
    /// Where the other end complains.
    pub(super) complaints: Option<ChildStderr>,
    pub(super) keep: Keep,
}

/// What ends the link when it is dropped.
pub(super) struct Keep(#[expect(dead_code, reason = "it lives to be dropped")] Option<Child>);

/// There is no way to libvirt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub(super) struct NoLink {
    /// What was tried, and what came of it.
    pub(super) what: String,
    /// What to do about it.
    pub(super) fix: String,
    /// It is there and refuses this user.
    pub(super) denied: bool,
}

/// Sockets that may be libvirt's, the likeliest first: one daemon for everything, or one for each
/// driver.
pub(super) fn sockets(target: &Target) -> Vec<PathBuf> {
    if let Some(socket) = &target.socket {
        return vec![PathBuf::from(socket)];
    }
    let folder = match (target.session, std::env::var_os("XDG_RUNTIME_DIR")) {
        (true, Some(runtime)) => PathBuf::from(runtime).join("libvirt"),
        (true, None) | (false, _) => PathBuf::from("/var/run/libvirt"),
    };
    let names: &[&str] = match target.driver {
        Driver::Lxc => &["libvirt-sock", "virtlxcd-sock"],
        Driver::Qemu => &["libvirt-sock", "virtqemud-sock"],
        Driver::Test => &["libvirt-sock"],
    };
    names.iter().map(|name| folder.join(name)).collect()
}

/// Makes the link. `ssh` is the program that is run for hosts behind ssh.
pub(super) async fn connect(target: &Target, ssh: &str) -> Result<Link, NoLink> {
    match &target.place {
        Place::Here => local(target).await,
        Place::Ssh { host, port } => remote(target, ssh, host, *port),
    }
}

async fn local(target: &Target) -> Result<Link, NoLink> {
    let mut tried = Vec::new();
    let mut denied = false;
    for socket in sockets(target) {
        match UnixStream::connect(&socket).await {
            Ok(stream) => {
                let (input, output) = stream.into_split();
                return Ok(Link {
                    input: Box::new(input),
                    output: Box::new(output),
                    complaints: None,
                    keep: Keep(None),
                });
            }
            Err(error) => {
                denied |= error.kind() == std::io::ErrorKind::PermissionDenied;
                tried.push(format!("{}: {error}", socket.display()));
            }
        }
    }
    // One sentence without a semicolon: that is where a fault's text is taken apart again.
    let fix = match (denied, target.driver) {
        (true, _) => "let this user in: `sudo usermod -aG libvirt $USER`, then log in again",
        (false, Driver::Lxc) => {
            "start libvirt: `sudo systemctl start libvirtd` (or `virtlxcd`), of the packages \
             libvirt-daemon-system and libvirt-daemon-driver-lxc"
        }
        (false, Driver::Qemu) => {
            "start libvirt: `sudo systemctl start libvirtd` (or `virtqemud`), of the packages \
             libvirt-daemon-system and libvirt-daemon-driver-qemu"
        }
        (false, Driver::Test) => {
            "start libvirt: `sudo systemctl start libvirtd`, of the package libvirt-daemon-system"
        }
    };
    Err(NoLink {
        what: format!("no libvirt for {}: {}", target.uri, tried.join("; ")),
        fix: fix.to_owned(),
        denied,
    })
}

/// What is run at the other end. The URI and the socket have no character that a shell reads
/// otherwise.
fn remote_command(target: &Target) -> String {
    let uri = &target.uri;
    let tries: Vec<_> = sockets(target)
        .iter()
        .map(|socket| {
            let socket = socket.display();
            format!("[ -S '{socket}' ] && exec nc -U '{socket}'; ")
        })
        .collect();
    let helper = match target.socket {
        // The helper finds sockets itself and takes no other.
        Some(_) => String::new(),
        None => format!(
            "if command -v virt-ssh-helper >/dev/null 2>&1; then exec virt-ssh-helper '{uri}'; fi; "
        ),
    };
    format!(
        "{helper}{}echo no libvirt socket >&2; exit 1",
        tries.concat()
    )
}

fn remote(target: &Target, ssh: &str, host: &str, port: Option<u16>) -> Result<Link, NoLink> {
    let mut command = Command::new(ssh);
    // A silent host is given up after a minute; nothing asks for passwords.
    command.args(["-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=20"]);
    command.args([
        "-o",
        "ServerAliveInterval=20",
        "-o",
        "ServerAliveCountMax=3",
    ]);
    if let Some(port) = port {
        command.args(["-p", &port.to_string()]);
    }
    command.arg("--").arg(host).arg(remote_command(target));
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| NoLink {
        what: format!("`{ssh}` to {host} cannot be run: {error}"),
        fix: "install OpenSSH's client".to_owned(),
        denied: false,
    })?;
    let input = child.stdout.take().expect("it was asked for");
    let output = child.stdin.take().expect("it was asked for");
    Ok(Link {
        input: Box::new(input),
        output: Box::new(output),
        complaints: child.stderr.take(),
        keep: Keep(Some(child)),
    })
}
