"""What the scenes of the interoperability lane share: checks, pairs of agents, flows between them.

A scene is a function that takes a `Scene`, builds a little network in its lab and checks. In it,
`ours` and a peer of another implementation meet; which of the two begins is a parameter.
"""

import contextlib
import pathlib
import signal
import sys
import threading
import time

from lab import MTU, ROOT, Agent, Broken, Lab, eventually

HERE = ROOT / "ci" / "mesh"
PYTHON = sys.executable
PORT = 7000
printing = threading.Lock()


class Scene:
    """One scene's lab and its verdicts."""

    def __init__(self, name, commands, link_mtu=1500):
        self.name, self.ok, self.failed = name, 0, 0
        self.lab = Lab(commands, name, link_mtu)

    def check(self, what, good, seen):
        """A line of the report; `seen` is what was there, good or not."""
        with printing:
            print(f"{'ok' if good else 'FAILED':7} {self.name:26} {what}: {seen}", flush=True)
        self.ok += bool(good)
        self.failed += not good

    def agents(self, kinds, first_begins=True, underlay="192.0.2.", mtu=MTU):
        """Two agents on one wire; the one that begins knows the other's endpoint, not reverse."""
        nodes = [self.lab.node(name) for name in ("one", "two")]
        width = 64 if ":" in underlay else 24
        self.lab.link(nodes[0], f"{underlay}1/{width}", nodes[1], f"{underlay}2/{width}")
        one, two = (Agent(node, kind, number, mtu=mtu)
                    for node, kind, number in zip(nodes, kinds, (1, 2)))
        begins, waits = (one, two) if first_begins else (two, one)
        waits.peer(begins)
        begins.peer(waits, "endpoint", endpoint(f"{underlay}{2 if first_begins else 1}"))
        return one, two

    def first(self, begins, waits):
        """The first packet, and with it the handshake."""
        sent, back, said = begins.node.ping(waits.address, count=1, wait=5)
        times = [line for line in said.split("\n") if "time=" in line]
        seen = times[0].split("time=")[1] if times else f"{sent} sent, {back} answered"
        self.check(f"{begins.kind} initiates, handshake and ping", back == 1, seen)
        if back != 1:
            raise Broken("no handshake, so nothing else is tried")

    def transfer(self, client, server, what, direction="both", count=16_000_000, rate=0):
        """TCP through the tunnel; digests of both ends have to agree."""
        with self.serving(server):
            self.finish(self.begin(client, server.address, direction, count, rate), what)

    @contextlib.contextmanager
    def serving(self, server, address=None):
        words = (PYTHON, HERE / "transfer.py", "serve", address or server.address, PORT)
        process = server.node.start(*words)
        if process.stdout.readline() != "ready\n":
            raise Broken(f"the server of transfers: {process.communicate()[0]}")
        try:
            yield
        finally:
            process.kill()
            process.wait()

    def begin(self, client, address, direction, count, rate=0):
        """A transfer in the background."""
        return client.node.start(PYTHON, HERE / "transfer.py", direction, address, PORT, count,
                                 rate)

    def finish(self, process, what, seconds=90):
        """The end of a transfer from `begin`."""
        try:
            said = process.communicate(timeout=seconds)[0]
        except Exception as cut:
            process.kill()
            self.check(what, False, f"not done: {cut}")
            return
        streams = [line.split() for line in said.split("\n")]
        seen = ", ".join(f"{words[0]} {int(words[1]) / 1e6:g} MB "
                         f"sha256 {words[2][:8]}/{words[3][:8]}"
                         for words in streams if len(words) == 4 and len(words[3]) == 64)
        self.check(what, process.returncode == 0, seen or said.strip()[-200:])

    @contextlib.contextmanager
    def flowing(self, sender, target, what, interval=0.02, allowed=0):
        """Pings go on while the body runs; none may be lost or come twice."""
        flow = Flow(sender, target, interval)
        flow.until(5)
        try:
            yield flow
            time.sleep(15 * interval)
        finally:
            sent, lost, twice = flow.end()
            self.check(what, lost <= allowed and twice == 0,
                       f"{sent} pings, {lost} lost, {twice} twice")


class Flow:
    """Pings in the background."""

    def __init__(self, sender, target, interval):
        self.log = sender.node.lab.scratch / f"flow-{sender.interface}-{target}"
        self.process = sender.node.start("ping", "-n", "-i", interval, target, log=self.log)

    def replies(self):
        return self.log.read_text().count("time=")

    def until(self, count, seconds=10):
        """Waits for `count` further replies."""
        wanted = self.replies() + count
        eventually(f"{count} further replies to ping", lambda: self.replies() >= wanted, seconds)

    def end(self):
        """(sent, lost, came twice); one still under way at the end is not lost."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(10)
        text = self.log.read_text()
        replies = [line for line in text.split("\n") if "time=" in line]
        numbers = {int(line.split("icmp_seq=")[1].split()[0]) for line in replies}
        summary = next(line for line in text.split("\n") if " packets transmitted" in line)
        sent = int(summary.split()[0])
        lost = set(range(1, sent)) - numbers
        return sent, len(lost), sum("DUP!" in line for line in replies)


class Capture:
    """tcpdump on one interface of a node."""

    def __init__(self, node, interface, words=()):
        self.node, self.path = node, node.lab.scratch / f"{node.name}-{interface}.pcap"
        self.process = node.start("tcpdump", "-Z", "root", "-i", interface, "-n", "-U", "-s", 0,
                                  "-B", 32768, "-w", self.path, *words)
        seen = ""
        while "listening on" not in seen:
            line = self.process.stdout.readline()
            if not line:
                raise Broken(f"tcpdump on {interface}: {seen}")
            seen += line

    def end(self):
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=20)

    def bytes(self):
        return pathlib.Path(self.path).read_bytes()

    def packets(self, *words):
        """How many captured packets match a filter."""
        said = self.node.run("tcpdump", "-n", "-r", self.path, "--count", *words)
        return int(next(line for line in said.split("\n") if " packet" in line).split()[0])


def endpoint(address, port=51820):
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
