"""Network namespaces with WireGuard agents in them, and their removal whatever happens.

A `Lab` makes nodes (namespaces `qmesh-PID-NAME`), links (veth pairs) and agents (a userspace
WireGuard in a node, configured with `wg` over its UAPI socket). It does not know what is checked
or measured with them.
"""

import contextlib
import itertools
import os
import pathlib
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOCKETS = pathlib.Path("/var/run/wireguard")
PREFIX = "qmesh-"
MTU = 1420


class Broken(Exception):
    """A command of the lab failed, or something did not come in time."""


def attempt(*words, timeout=60, stdin=None):
    """Runs a command to its end; its exit code and what it printed, both channels together."""
    return subprocess.run([str(word) for word in words], input=stdin, text=True, timeout=timeout,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace")


def sh(*words, **options):
    """Runs a command that has to succeed; what it printed."""
    done = attempt(*words, **options)
    if done.returncode != 0:
        line = shlex.join(str(word) for word in words)
        raise Broken(f"{line}: exit {done.returncode}: {done.stdout.strip()}")
    return done.stdout


def eventually(what, condition, seconds=10.0, every=0.05):
    """Waits until `condition` is true and returns its value; `what` names it if it never is."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Broken(f"not within {seconds:g} s: {what}")
        time.sleep(every)


def quorate():
    """Our program: `QUORATE`, else built here."""
    if not os.environ.get("QUORATE"):
        cargo = os.environ.get("CARGO", "cargo")
        subprocess.run([cargo, "build", "--quiet", "--release", "--locked", "-p", "quorate"],
                       cwd=ROOT, check=True)
        target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
        os.environ["QUORATE"] = str(target / "release" / "quorate")
    return os.environ["QUORATE"]


def implementations():
    """Name to (version, command): the command's `{interface}` and `{mtu}` are filled in later.

    `AGENT_COMMAND` puts another command in the place of ours.
    """
    lines = subprocess.run([ROOT / "ci/mesh/peers"], stdout=subprocess.PIPE, text=True,
                           check=True).stdout.split("\n")
    found = {name: (version, path) for name, version, path in map(str.split, filter(None, lines))}
    go, boringtun = found["wireguard-go"], found["boringtun-cli"]
    command = os.environ.get("AGENT_COMMAND")
    if not command:
        command = shlex.quote(quorate()) + " mesh run --interface {interface} --mtu {mtu}"
    return {
        "ours": ("", command),
        "wireguard-go": (go[0], f"{shlex.quote(go[1])} -f {{interface}}"),
        "boringtun-cli": (boringtun[0], f"{shlex.quote(boringtun[1])} -f --log /dev/null "
                                        "--disable-drop-privileges {interface}"),
    }


class Node:
    """A network namespace."""

    def __init__(self, lab, name):
        self.lab, self.name = lab, name
        self.namespace = f"{PREFIX}{os.getpid()}-{name}"
        sh("ip", "netns", "add", self.namespace)
        self.ip("link", "set", "lo", "up")

    def ip(self, *words):
        return sh("ip", "-n", self.namespace, *words)

    def run(self, *words, **options):
        return sh("ip", "netns", "exec", self.namespace, *words, **options)

    def attempt(self, *words, **options):
        return attempt("ip", "netns", "exec", self.namespace, *words, **options)

    def start(self, *words, log=None, stdin=subprocess.DEVNULL):
        """Starts a process in the node; the lab ends it."""
        out = open(log, "w", encoding="utf-8") if log else subprocess.PIPE
        with self.lab.standing():
            process = subprocess.Popen(
                ["ip", "netns", "exec", self.namespace, *(str(word) for word in words)],
                stdin=stdin, stdout=out, stderr=subprocess.STDOUT, text=True, errors="replace")
            self.lab.processes.append(process)
        return process

    def forward(self):
        self.run("sysctl", "-q", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")

    def nft(self, rules):
        """Rules of a chain each, `HOOK: RULE`, in a table of type nat."""
        text = "table ip lab {\n"
        for number, line in enumerate(rules):
            hook, rule = line.split(": ", 1)
            text += (f"chain c{number} {{ type nat hook {hook} priority "
                     f"{'-100' if hook == 'prerouting' else '100'}; {rule}; }}\n")
        self.run("nft", "-f", "-", stdin=text + "}\n")

    def deaf_and_mute(self, what):
        """Packets that match neither come in nor go out from now on."""
        self.run("nft", "-f", "-", stdin="table inet deaf {\n" + "".join(
            f"chain {hook} {{ type filter hook {hook} priority 0; {what} drop; }}\n"
            for hook in ("input", "output")) + "}\n")

    def ping(self, target, count=3, interval=0.05, wait=2, size=None, whole=False):
        """(sent, received, the whole output)."""
        words = ["ping", "-n", "-c", count, "-i", interval, "-W", wait]
        if size is not None:
            words += ["-s", size]
        if whole:
            words += ["-M", "do"]
        said = self.attempt(*words, target, timeout=count * interval + wait + 30).stdout
        for line in said.split("\n"):
            if " packets transmitted, " in line:
                numbers = line.split()
                return int(numbers[0]), int(numbers[3]), said
        return 0, 0, said

    def reaches(self, target, **options):
        return self.ping(target, count=1, **options)[1] == 1


class Agent:
    """One WireGuard device: the process of an implementation, in a node."""

    def __init__(self, node, kind, mesh, mtu=MTU, port=51820):
        lab = node.lab
        self.node, self.kind, self.mtu, self.port = node, kind, mtu, port
        # The UAPI sockets of all namespaces are in one directory: the name is the host's only.
        self.interface = f"qm{os.getpid():x}x{next(lab.numbers)}"
        self.address, self.address6 = f"10.99.0.{mesh}", f"fd99::{mesh:x}"
        self.log = lab.scratch / f"{self.interface}.log"
        self.private = sh("wg", "genkey").strip()
        self.public = sh("wg", "pubkey", stdin=self.private).strip()
        self.keyfile = lab.secret(self.interface, self.private)
        self.process = None
        lab.agents.append(self)
        self.start()

    @property
    def socket(self):
        return SOCKETS / f"{self.interface}.sock"

    def start(self):
        """Starts the process and configures the device, without a peer."""
        words = self.node.lab.commands[self.kind][1].format(interface=self.interface, mtu=self.mtu)
        self.process = self.node.start(*shlex.split(words), log=self.log)
        eventually(f"{self.kind} answers on {self.socket}", self.answers)
        self.wg("private-key", self.keyfile, "listen-port", self.port)
        self.node.ip("address", "add", f"{self.address}/24", "dev", self.interface)
        self.node.ip("address", "add", f"{self.address6}/64", "dev", self.interface, "nodad")
        self.node.ip("link", "set", self.interface, "mtu", self.mtu, "up")

    def answers(self):
        if self.process.poll() is not None:
            raise Broken(f"{self.kind} ended with {self.process.returncode}: "
                         f"{self.log.read_text(errors='replace').strip()[-400:]}")
        # Not by `wg`: it deletes a socket that refuses, as one does between bind and listen.
        with socket.socket(socket.AF_UNIX) as uapi:
            return uapi.connect_ex(str(self.socket)) == 0

    def stop(self, how=signal.SIGTERM, seconds=5):
        """Ends the process; its exit code."""
        self.process.send_signal(how)
        return self.process.wait(seconds)

    def wg(self, *words):
        return sh("wg", "set", self.interface, *words)

    def peer(self, other, *words, allowed=None):
        """Adds or changes the peer `other`; further words as `wg set` takes them."""
        allowed = allowed or f"{other.address}/32,{other.address6}/128"
        self.wg("peer", other.public, "allowed-ips", allowed, *words)

    def show(self, field):
        """One field of `wg show` by peer, as text."""
        lines = sh("wg", "show", self.interface, field).strip().split("\n")
        return dict(line.split("\t", 1) for line in lines if "\t" in line)

    def handshake(self, other):
        """When the last handshake with `other` was, in Unix seconds; 0 is never."""
        return int(self.show("latest-handshakes").get(other.public, 0))

    def endpoint(self, other):
        return self.show("endpoints").get(other.public, "(none)")

    def moved(self, other):
        """(received, sent) bytes, as `wg` counts them."""
        received, sent = self.show("transfer").get(other.public, "0\t0").split("\t")
        return int(received), int(sent)

    def cpu_s(self):
        """CPU seconds of the process so far, user and system, all threads."""
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1]
        return sum(map(int, fields.split()[11:13])) / os.sysconf("SC_CLK_TCK")

    def forget(self):
        for left in (self.socket, self.socket.with_suffix(".cmd")):
            with contextlib.suppress(OSError):
                left.unlink()


class Lab:
    """Everything made here; leaving the `with` removes it."""

    numbers = itertools.count()

    def __init__(self, commands, name="", link_mtu=1500):
        self.commands, self.name, self.link_mtu = commands, name, link_mtu
        self.nodes, self.processes, self.agents = [], [], []
        self.scratch, self.closed, self.closing = None, False, threading.Lock()

    def __enter__(self):
        with self.standing():
            self.scratch = pathlib.Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
        return self

    @contextlib.contextmanager
    def standing(self):
        """What is made in here is there before the lab is closed, or not made at all."""
        with self.closing:
            if self.closed:
                raise Broken("the lab is closed")
            yield

    def __exit__(self, *_):
        self.close()

    def node(self, name):
        with self.standing():
            node = Node(self, f"{self.name}-{name}" if self.name else name)
            self.nodes.append(node)
        return node

    def secret(self, name, text):
        path = self.scratch / name
        path.touch(mode=0o600)
        path.write_text(text + "\n")
        return path

    def link(self, one, one_address, other, other_address, name="wire"):
        """A veth pair; both ends are called `name`."""
        sh("ip", "link", "add", name, "netns", one.namespace, "mtu", self.link_mtu, "type", "veth",
           "peer", "name", name, "netns", other.namespace, "mtu", self.link_mtu)
        for node, address in ((one, one_address), (other, other_address)):
            node.ip("address", "add", address, "dev", name, *(["nodad"] if ":" in address else []))
            node.ip("link", "set", name, "up")

    def close(self):
        with self.closing:
            self.closed = True
            for process in self.processes:
                if process.poll() is None:
                    process.kill()
            for process in self.processes:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(5)
            for node in self.nodes:
                remove(node.namespace)
            for agent in self.agents:
                agent.forget()
            if self.scratch:
                shutil.rmtree(self.scratch, ignore_errors=True)
            self.processes, self.nodes, self.agents = [], [], []


def remove(namespace):
    """A namespace of ours, with whatever still runs in it."""
    for pid in attempt("ip", "netns", "pids", namespace).stdout.split():
        with contextlib.suppress(OSError, ValueError):
            os.kill(int(pid), signal.SIGKILL)
    attempt("ip", "netns", "delete", namespace)


def sweep():
    """Removes what a killed run left: namespaces, files and sockets whose process is gone."""
    for line in sh("ip", "netns", "list").split("\n"):
        name = line.split(" ")[0]
        pid = name.removeprefix(PREFIX).split("-")[0]
        if name.startswith(PREFIX) and pid.isdigit() and not alive(int(pid)):
            remove(name)
    for scratch in pathlib.Path(tempfile.gettempdir()).glob(f"{PREFIX}*-*"):
        pid = scratch.name.removeprefix(PREFIX).split("-")[0]
        if pid.isdigit() and not alive(int(pid)):
            shutil.rmtree(scratch, ignore_errors=True)
    for path in SOCKETS.glob("qm*x*.*"):
        with contextlib.suppress(ValueError):
            if not alive(int(path.name[2:].split("x")[0], 16)):
                path.unlink(missing_ok=True)


def alive(pid):
    return pathlib.Path(f"/proc/{pid}").exists()


def begin():
    """To be called first: root, clean ending on signals, nothing left of killed runs."""
    if os.geteuid() != 0:
        sys.exit("network namespaces and TUN devices need root: run it with sudo")
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    sweep()
