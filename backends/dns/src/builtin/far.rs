//! The file in a directory of a name server's own machine, by ssh.
//!
//! ssh is the user's own: keys, agents, jump hosts and known hosts are as they have them, and it is
//! never asked to prompt. Scripts of a few lines run there, with what every Linux has (`sh`, `flock`,
//! `sha256sum`). A lock held over a connection would outlive it, so the file is replaced under a short
//! one, and only if it still is what was read.

use quorate_engine::seam::{Fault, FaultClass};
use quorate_providers::SshAddress;
use sha2::{Digest, Sha256};
use std::fmt;
use std::io::{self, Write as _};
use std::process::{Command, Output, Stdio};

// What scripts end with, after sysexits.h.
const NO_DIRECTORY: i32 = 66;
const NO_TOOL: i32 = 69;
const CHANGED: i32 = 75;
const NOT_ALLOWED: i32 = 77;
/// ssh's own: nothing was begun, or its end is not known.
const NO_CONNECTION: i32 = 255;

// Between single quotes for the shell there: they have none themselves. $1 is the directory.
const READ: &str = "cd \"$1\" || exit 66; [ ! -e zones.json ] || cat zones.json || exit 77";
const WRITABLE: &str = "cd \"$1\" || exit 66; \
    command -v flock >/dev/null && command -v sha256sum >/dev/null || exit 69; \
    : >>.zones.lock || exit 77";
/// $2: the digest of what was read, $3: of what comes in.
const WRITE: &str = "cd \"$1\" || exit 66; umask 022; exec 9>>.zones.lock || exit 77; \
    flock -w 10 9 || exit 75; \
    sum() { sha256sum | cut -d \" \" -f 1; }; \
    now=zones.json; [ -e $now ] || now=/dev/null; \
    [ \"$(sum <$now)\" = \"$2\" ] || exit 75; \
    cat >.zones.json.new || exit 77; \
    [ \"$(sum <.zones.json.new)\" = \"$3\" ] || exit 75; \
    sync .zones.json.new && mv -f .zones.json.new zones.json && sync .";

/// A directory of another machine.
#[derive(Debug, Clone)]
pub(super) struct Far {
    /// As it was given, for people.
    place: String,
    address: SshAddress,
    directory: String,
    /// The program.
    ssh: String,
}

impl Far {
    /// From `user@host:port/directory`, without the scheme.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let form = "write it like `ssh://root@ns1.example.com/etc/quorate/dns`";
        let Some(slash) = text.find('/').filter(|_| text.len() > 1) else {
            return Err(format!("no directory: {form}"));
        };
        let (place, directory) = text.split_at(slash);
        let Some(address) = SshAddress::parse(place) else {
            return Err(format!("`{place}` is no host: {form}"));
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@".contains(c);
        if !directory.chars().all(plain) || directory == "/" {
            return Err(format!("`{directory}` is no plain directory: {form}"));
        }
        Ok(Self {
            place: place.to_owned(),
            address,
            directory: directory.to_owned(),
            ssh: "ssh".to_owned(),
        })
    }

    /// Its bytes; none where there is no file yet.
    pub(super) fn read(&self) -> Result<Vec<u8>, Fault> {
        self.done(READ, &[], &[]).map(|output| output.stdout)
    }

    /// Puts a new file in the old one's place, if that is still `before`.
    pub(super) fn write(&self, text: &[u8], before: &[u8]) -> Result<(), Fault> {
        let sums = [digest(before), digest(text)];
        self.done(WRITE, &sums, text).map(drop)
    }

    pub(super) fn writable(&self) -> Result<(), Fault> {
        self.done(WRITABLE, &[], &[]).map(drop)
    }

    fn done(&self, script: &str, words: &[String], input: &[u8]) -> Result<Output, Fault> {
        let output = self.run(script, words, input).map_err(|error| {
            let text = format!("{self}: {} cannot be run here: {error}", self.ssh);
            Fault::new(FaultClass::Invalid, text)
        })?;
        match output.status.code() {
            Some(0) => Ok(output),
            code => Err(self.trouble(code, &String::from_utf8_lossy(&output.stderr))),
        }
    }

    fn run(&self, script: &str, words: &[String], input: &[u8]) -> io::Result<Output> {
        let mut ssh = Command::new(&self.ssh);
        ssh.args(["-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10"]);
        ssh.args(["-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3"]);
        let words = words.join(" ");
        if let Some(port) = self.address.port {
            ssh.args(["-p", &port.to_string()]);
        }
        ssh.args(["--", &self.address.host])
            .arg(format!("sh -c '{script}' sh '{}' {words}", self.directory));
        ssh.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = ssh.stderr(Stdio::piped()).spawn()?;
        // Kilobytes: nothing of ours is in the way of what comes back. Who does not read says why.
        drop(child.stdin.take().map(|mut stdin| stdin.write_all(input)));
        child.wait_with_output()
    }

    fn trouble(&self, code: Option<i32>, said: &str) -> Fault {
        let said = said.trim();
        let refused = ["Permission denied", "Host key verification failed"];
        let (class, what) = match code {
            Some(NO_DIRECTORY) => (FaultClass::Invalid, "there is no such directory"),
            Some(NO_TOOL) => (FaultClass::Invalid, "flock and sha256sum are needed there"),
            Some(CHANGED) => (FaultClass::Retryable, "somebody else changes it just now"),
            Some(NOT_ALLOWED) => (FaultClass::Auth, "this user may not write there"),
            Some(NO_CONNECTION) if refused.iter().any(|words| said.contains(words)) => {
                (FaultClass::Auth, "ssh is not let in")
            }
            Some(NO_CONNECTION) => (FaultClass::Retryable, "no connection"),
            Some(_) | None => (FaultClass::Retryable, "it did not end well there"),
        };
        let said = if said.is_empty() {
            String::new()
        } else {
            format!(": {said}")
        };
        Fault::new(class, format!("{self}: {what}{said}"))
    }
}

impl fmt::Display for Far {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ssh://{}{}", self.place, self.directory)
    }
}

/// SHA-256, in hexadecimal.
fn digest(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    /// A machine that is this one: what ssh would hand to the shell there, a shell here gets.
    fn here() -> (tempfile::TempDir, Far) {
        let folder = tempfile::tempdir().unwrap();
        let ssh = folder.path().join("ssh");
        let stand_in =
            "#!/bin/sh\nwhile [ \"$1\" != -- ]; do shift; done\nshift 2\nexec sh -c \"$*\"\n";
        fs::write(&ssh, stand_in).unwrap();
        fs::set_permissions(&ssh, fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(folder.path().join("dns")).unwrap();
        let directory = folder.path().join("dns").display().to_string();
        let mut far = Far::parse(&format!("root@ns1{directory}")).unwrap();
        far.ssh = ssh.display().to_string();
        (folder, far)
    }

    #[test]
    fn endpoints_are_taken_apart() {
        for good in [
            "admin@ns1.example.com:2222/etc/quorate/dns",
            "ns1/etc/quorate/dns",
            "root@[2001:db8::1]:2222/srv",
        ] {
            assert_eq!(
                Far::parse(good).unwrap().to_string(),
                format!("ssh://{good}")
            );
        }
        for bad in [
            "ns1",
            "ns1/",
            "-oProxyCommand=x/dns",
            "root@-oProxyCommand/dns",
            "a@b@c/dns",
            "ns1:x/dns",
            "ns1/it's",
            "/dns",
        ] {
            assert!(Far::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_file_is_made_and_replaced_only_over_what_was_read() {
        let (folder, far) = here();
        far.writable().unwrap();
        assert_eq!(far.read().unwrap(), b"");
        far.write(b"{\"one\": 1}\n", b"").unwrap();
        assert_eq!(far.read().unwrap(), b"{\"one\": 1}\n");
        // Somebody else was quicker.
        let fault = far.write(b"{}\n", b"").unwrap_err();
        assert_eq!(fault.class, FaultClass::Retryable);
        far.write(b"{}\n", b"{\"one\": 1}\n").unwrap();
        let file = folder.path().join("dns").join("zones.json");
        assert_eq!(fs::read(file).unwrap(), b"{}\n");
    }

    #[test]
    fn what_goes_wrong_there_is_told() {
        let (folder, mut far) = here();
        let class = |far: &Far| far.read().unwrap_err().class;
        fs::remove_dir_all(folder.path().join("dns")).unwrap();
        assert_eq!(class(&far), FaultClass::Invalid);
        for (says, meant) in [
            ("Permission denied (publickey).", FaultClass::Auth),
            (
                "connect to host ns1 port 22: Connection refused",
                FaultClass::Retryable,
            ),
        ] {
            fs::write(
                &far.ssh,
                format!("#!/bin/sh\necho '{says}' >&2\nexit 255\n"),
            )
            .unwrap();
            assert_eq!(class(&far), meant, "{says}");
            assert!(far.read().unwrap_err().detail.contains("ssh://root@ns1/"));
        }
        "/nowhere/ssh".clone_into(&mut far.ssh);
        assert_eq!(class(&far), FaultClass::Invalid);
    }
}
