//! Machines for the mesh's tests: network namespaces on one bridge, each with an sshd, an interface
//! and folders of its own, all gone with the test.

use crate::lab::{Sshd, must, program};
use quorate_engine::resource::ResourceId;
use quorate_hosts::Reach;
use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use tempfile::TempDir;

/// A network with machines 1, 2, ...
pub(crate) struct Net {
    pub(crate) nodes: Vec<Node>,
    bridge: String,
    prefix: String,
    folder: TempDir,
}

/// One machine.
pub(crate) struct Node {
    pub(crate) number: u8,
    pub(crate) namespace: String,
    pub(crate) sshd: Sshd,
    pub(crate) public: Ipv4Addr,
}

/// What a machine does before its sshd starts: folders that are its own and begin like the host's.
const SURROUNDINGS: &str = "\
    mount -t tmpfs qhosts \"$1\"
    for folder in etc opt var/lib usr/local; do
        mkdir -p \"$1/$folder\" \"$1/scratch/$folder\"
        mount -t overlay -o \"lowerdir=/$folder,upperdir=$1/$folder,workdir=$1/scratch/$folder\" \
            qhosts \"/$folder\"
    done
    mount -t tmpfs qhosts /run
    mkdir -p /run/sshd /run/wireguard
    echo 0 >/proc/sys/net/ipv4/ip_forward
    shift
    exec \"$@\"";

impl Net {
    /// None where this machine lacks something; says what.
    pub(crate) fn start(count: u8) -> Option<Self> {
        program("sshd", "openssh-server")?;
        program("ip", "iproute2")?;
        program("wg", "wireguard-tools")?;
        program("wireguard-go", "wireguard-go")?;
        program("ping", "iputils-ping")?;
        // Tests of one process, and of several at once, do not meet.
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count_here = COUNT.fetch_add(1, Ordering::Relaxed);
        let id = std::process::id().wrapping_mul(7).wrapping_add(count_here);
        let (bridge, prefix) = (format!("qh{id:x}b"), format!("qhosts-{id:x}-"));
        let made = Command::new("ip")
            .args(["link", "add", &bridge, "type", "bridge"])
            .status();
        if !made.is_ok_and(|status| status.success()) {
            eprintln!("SKIPPED: no bridge can be made here (run as root with CAP_NET_ADMIN)");
            return None;
        }
        let [upper, subnet] = [(id / 250 % 20) as u8 + 220, (id % 250) as u8];
        must(
            "ip",
            &[
                "address",
                "add",
                &format!("10.{upper}.{subnet}.254/24"),
                "dev",
                &bridge,
            ],
        );
        must("ip", &["link", "set", &bridge, "up"]);
        let folder = tempfile::Builder::new()
            .prefix("qhosts-net-")
            .tempdir()
            .expect("a folder");
        let mut net = Self {
            nodes: Vec::new(),
            bridge,
            prefix,
            folder,
        };
        for number in 1..=count {
            let public = Ipv4Addr::new(10, upper, subnet, number);
            let node = net.node(number, public)?;
            net.nodes.push(node);
        }
        Some(net)
    }

    fn node(&self, number: u8, public: Ipv4Addr) -> Option<Node> {
        let namespace = format!("{}{number}", self.prefix);
        let (near, far) = (format!("{}{number}", self.bridge), "eth0");
        must("ip", &["netns", "add", &namespace]);
        let veth = [
            "link", "add", &near, "type", "veth", "peer", "name", far, "netns", &namespace,
        ];
        must("ip", &veth);
        must("ip", &["link", "set", &near, "master", &self.bridge, "up"]);
        must(
            "ip",
            &[
                "-n",
                &namespace,
                "address",
                "add",
                &format!("{public}/24"),
                "dev",
                far,
            ],
        );
        must("ip", &["-n", &namespace, "link", "set", far, "up"]);
        must("ip", &["-n", &namespace, "link", "set", "lo", "up"]);
        let own = self.folder.path().join(number.to_string());
        fs::create_dir(&own).expect("a folder");
        let own = own.to_str().expect("text");
        let exec = [
            "ip",
            "netns",
            "exec",
            &namespace,
            "sh",
            "-euc",
            SURROUNDINGS,
            "sh",
            own,
        ];
        let sshd = Sshd::with(&exec, &public.to_string(), 22)?;
        Some(Node {
            number,
            namespace,
            sshd,
            public,
        })
    }

    /// A stand-in for our agent with the same command line, made of wireguard-go.
    pub(crate) fn agent(&self) -> PathBuf {
        let path = self.folder.path().join("quorate");
        let text = "#!/bin/sh\n\
            [ \"$1 $2 $3 $5\" = 'mesh run --interface --mtu' ] || exit 64\n\
            exec wireguard-go -f \"$4\"\n";
        fs::write(&path, text).expect("written");
        path
    }

    pub(crate) fn reaches(&self) -> Vec<(ResourceId, Reach)> {
        let reach = |node: &Node| (node.machine(), node.sshd.reach());
        self.nodes.iter().map(reach).collect()
    }
}

impl Node {
    pub(crate) fn machine(&self) -> ResourceId {
        ResourceId::new(format!("shop/w/{}", self.number))
    }

    pub(crate) fn mesh(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 88, 0, self.number)
    }

    fn command(&self, script: &str) -> Command {
        // In the mounts of its sshd too, not only in its network.
        let pid = self.sshd.pid().to_string();
        let mut command = Command::new("nsenter");
        command.args(["-t", &pid, "-m", "-n", "sh", "-euc", script]);
        command
    }

    /// Runs a script on it, as somebody who logs in there by hand; its output.
    pub(crate) fn by_hand(&self, script: &str) -> String {
        let output = self.command(script).output().expect("nsenter runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.success(),
            "{}: {script}: {said}",
            self.namespace
        );
        String::from_utf8(output.stdout)
            .expect("text")
            .trim()
            .to_owned()
    }

    /// Whether a script ends well on it.
    pub(crate) fn tries(&self, script: &str) -> bool {
        self.command(script)
            .output()
            .expect("nsenter runs")
            .status
            .success()
    }

    /// Command lines of processes there that make an interface.
    pub(crate) fn agents(&self) -> Vec<String> {
        let pids = must("ip", &["netns", "pids", &self.namespace]);
        let line = |pid: &str| fs::read_to_string(format!("/proc/{pid}/cmdline")).ok();
        let lines = pids.split_whitespace().filter_map(line);
        lines.filter(|line| line.contains("quorate0")).collect()
    }

    /// Whether a packet comes back over the mesh, twice as long as WireGuard waits before it
    /// repeats a handshake (5 s).
    pub(crate) fn pings(&self, other: &Self) -> bool {
        self.tries(&format!("ping -q -n -c 1 -i 0.3 -w 10 {}", other.mesh()))
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            node.sshd.stop();
            let pids = Command::new("ip")
                .args(["netns", "pids", &node.namespace])
                .output();
            let pids = pids.map(|output| output.stdout).unwrap_or_default();
            for pid in String::from_utf8_lossy(&pids).split_whitespace() {
                drop(Command::new("kill").args(["-9", pid]).status());
            }
            // The namespace itself may live until the last TCP connection in it is given up.
            let near = format!("{}{}", self.bridge, node.number);
            drop(Command::new("ip").args(["link", "delete", &near]).status());
            drop(
                Command::new("ip")
                    .args(["netns", "delete", &node.namespace])
                    .status(),
            );
        }
        drop(
            Command::new("ip")
                .args(["link", "delete", &self.bridge])
                .status(),
        );
    }
}
