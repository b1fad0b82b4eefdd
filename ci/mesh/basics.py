"""Scenes of two agents on one wire: handshake, data, sizes, figures, nothing in clear."""

import random
import signal
import socket
import stat
import time

from lab import Agent, attempt, eventually, sh
from scene import HERE, PORT, PYTHON, Capture
from transfer import MARKER

SIZES = [0, 1, 15, 16, 17, 100, 511, 1391, 1392, 1393, 4000, 9000, 60000]


def pair(scene, kinds, first_begins, underlay="192.0.2.", mtu=1420, count=16_000_000):
    """All that two agents on one wire have to do for each other."""
    one, two = scene.agents(kinds, first_begins, underlay, mtu)
    begins, waits = (one, two) if first_begins else (two, one)
    wire, inside = Capture(one.node, "wire"), Capture(one.node, one.interface)
    scene.first(begins, waits)
    scene.check("ping of the other", waits.node.reaches(begins.address), begins.address)
    for agent, other in ((one, two), (two, one)):
        sizes(scene, agent, other, mtu)
    scene.transfer(begins, waits, "TCP both ways at once", count=count)
    for agent, other in ((one, two), (two, one)):
        # boringtun-cli tells the age of a handshake where its time belongs, and counts no headers.
        if agent.kind != "boringtun-cli":
            figures(scene, agent, other, underlay, count)
    wire.end()
    inside.end()
    in_clear(scene, wire, inside)
    datagrams(scene, begins, waits)


def sizes(scene, agent, other, mtu):
    """The largest packet passes unfragmented, the next one is refused by the interface."""
    seen = []
    for address, header in ((other.address, 28), (other.address6, 48)):
        whole = agent.node.ping(address, count=2, size=mtu - header, whole=True)[1] == 2
        said = agent.node.ping(address, count=1, size=mtu - header + 1, whole=True)[2].lower()
        seen.append((whole, "message too long" in said))
    scene.check(f"{mtu} bytes pass from {agent.kind}, one more is refused",
                seen == [(True, True)] * 2,
                ", ".join(f"{name}: passed {yes}, refused {no}"
                          for name, (yes, no) in zip(("IPv4", "IPv6"), seen)))


def figures(scene, agent, other, underlay, count):
    """What `wg show` says of the peer."""
    device, peer = sh("wg", "show", agent.interface, "dump").strip().split("\n")
    _, public, port, _ = device.split("\t")
    key, _, place, allowed, shaken, received, sent, _ = peer.split("\t")
    age = time.time() - int(shaken)
    wanted = {f"{other.address}/32", f"{other.address6}/128"}
    good = (public == agent.public and port == str(agent.port) and key == other.public
            and underlay in place and place.endswith(":51820")
            and set(allowed.split(",")) == wanted and 0 <= age < 60
            and min(int(received), int(sent)) > count)
    scene.check(f"wg show of {agent.kind}", good,
                f"{place}, handshake {age:.0f} s ago, received {int(received) / 1e6:.1f} MB, "
                f"sent {int(sent) / 1e6:.1f} MB")
    human = sh("wg", "show", agent.interface)
    wanted = ["interface: ", "latest handshake: ", "transfer: ", "endpoint: ", other.public]
    missing = [word for word in wanted if word not in human]
    scene.check(f"wg show of {agent.kind} for people", not missing,
                f"missing: {', '.join(missing)}" if missing else "complete")
    if other.kind != "boringtun-cli":
        counted = other.moved(agent)[0]
        scene.check(f"{agent.kind} sent what {other.kind} received",
                    abs(int(sent) - counted) < 0.02 * counted, f"{sent} and {counted} bytes")


def in_clear(scene, wire, inside):
    """The marker of the transfers is inside the tunnel and not on the wire."""
    control, seen = inside.bytes().count(MARKER), wire.bytes().count(MARKER)
    scene.check("nothing in clear on the wire", control > 1000 and seen == 0,
                f"marker {seen} times in {wire.packets()} packets; {control} times in the tunnel")
    strange = wire.packets("not udp port 51820 and not arp and not icmp6 and not ip6 multicast")
    pieces = wire.packets("ip[6:2] & 0x3fff != 0 or ip6[6] = 44")
    scene.check("only WireGuard on the wire, unfragmented", strange == 0 and pieces == 0,
                f"{strange} other packets, {pieces} fragments")


def datagrams(scene, client, server):
    """UDP of all sizes, fragmented inside the tunnel too, and TCP over IPv6."""
    for address in (server.address, server.address6):
        with scene.serving(server, address):
            done = client.node.attempt(PYTHON, HERE / "transfer.py", "datagrams", address, PORT,
                                       *SIZES)
            seen = done.stdout.strip()
            if done.returncode == 0:
                seen = f"{len(SIZES)} sizes of 0 to 60000 bytes came back the same"
            scene.check(f"UDP to {address}", done.returncode == 0, seen)
            if ":" in address:
                scene.finish(scene.begin(client, address, "both", 4_000_000), f"TCP to {address}")


def process(scene, kinds):
    """The agent as a process: errors on its socket, its end, its return."""
    one, two = scene.agents(kinds)
    scene.first(one, two)
    mode = stat.S_IMODE(one.socket.stat().st_mode)
    scene.check("the socket is the owner's only", mode & 0o077 == 0, oct(mode))
    with socket.socket(socket.AF_UNIX) as idle:
        idle.connect(str(one.socket))
        answers = ask(one, "get=1\n\n")
        scene.check("a silent client holds up nobody", answers.endswith("errno=0\n\n"),
                    f"{len(answers)} bytes to another one")
    wrong = {text: ask(one, text).strip() for text in (
        "set=1\nno_such_key=1\n\n", "set=1\nlisten_port=70000\n\n", "set=1\nprivate_key=12\n\n",
        f"set=1\npublic_key={'0' * 63}\n\n", "set=1\nendpoint=192.0.2.1:1\n\n",
        f"set=1\npublic_key={'1' * 64}\nallowed_ip=10.0.0.0/33\n\n")}
    passed = [text.split("\n")[1] for text, said in wrong.items()
              if not said.startswith("errno=") or said == "errno=0"]
    scene.check("wrong settings are refused", not passed,
                f"accepted {', '.join(passed)}" if passed else
                ", ".join(f"{text.split()[-1]} {said}" for text, said in wrong.items()))
    spoilt(scene, one, two)
    second = one.node.start(*one.process.args[4:])
    code = eventually("a second agent of the same name ends", lambda: second.poll() is not None and
                      str(second.returncode), 5)
    scene.check("a second one of the same name gives up", code != "0" and
                one.node.reaches(two.address), f"exit {code}; the first goes on")
    code = one.stop()
    gone = attempt("ip", "-n", one.node.namespace, "link", "show", one.interface).returncode != 0
    scene.check("SIGTERM: ends, and takes interface and socket along",
                code == 0 and gone and not one.socket.exists(),
                f"exit {code}, interface gone: {gone}, socket gone: {not one.socket.exists()}")
    again(scene, one, two, "started again")
    one.stop(signal.SIGKILL)
    again(scene, one, two, "started again after SIGKILL")
    one.node.ip("link", "delete", one.interface)
    seen = "ended" if ends(one) else "still running"
    scene.check("ends when its interface is deleted", seen == "ended", seen)


def ends(agent, seconds=5):
    end = time.monotonic() + seconds
    while agent.process.poll() is None and time.monotonic() < end:
        time.sleep(0.05)
    return agent.process.poll() is not None


def again(scene, one, two, what):
    """The agent anew, with the key and the peer it had."""
    begun = time.monotonic()
    one.start()
    one.peer(two, "endpoint", "192.0.2.2:51820")
    scene.check(what, one.node.reaches(two.address, wait=8),
                f"answered {time.monotonic() - begun:.2f} s after the start")


def ask(agent, text):
    """A request to the UAPI socket, in its own words."""
    with socket.socket(socket.AF_UNIX) as uapi:
        uapi.settimeout(3)
        uapi.connect(str(agent.socket))
        uapi.sendall(text.encode())
        said = b""
        while not said.endswith(b"\n\n"):
            piece = uapi.recv(1 << 16)
            if not piece:
                break
            said += piece
        return said.decode()


SPOIL = """
import random, socket, struct, sys, time
noise = random.Random(7)
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for number in range(6000):
    size = noise.choice([0, 1, 3, 4, 31, 32, 33, 64, 92, 148, 149, 1452, 2000])
    kind = struct.pack("<I", noise.choice([0, 1, 2, 3, 4, 5, 1 << 31]))
    udp.sendto((kind + noise.randbytes(size))[:size], (sys.argv[1], 51820))
    # A full socket buffer would lose pings, and that would be nobody's fault.
    if number % 10 == 0:
        time.sleep(0.001)
"""


def spoilt(scene, one, two):
    """Datagrams that are no WireGuard, of every length that means something."""
    with scene.flowing(one, two.address, "6000 senseless datagrams disturb nobody"):
        two.node.run(PYTHON, "-c", SPOIL, "192.0.2.1")
    scene.check("the agent outlives them", one.process.poll() is None, "running")


def jumbo(scene, kinds):
    """A large MTU on a large underlay."""
    pair(scene, kinds, True, mtu=8920)


def hub(scene, kinds):
    """Two spokes speak through the agent in the middle, which forwards."""
    middle, left, right = (scene.lab.node(name) for name in ("hub", "left", "right"))
    scene.lab.link(middle, "192.0.2.1/24", left, "192.0.2.2/24", "left")
    scene.lab.link(middle, "198.51.100.1/24", right, "198.51.100.2/24", "right")
    middle.forward()
    one, two, three = (Agent(node, kind, number) for node, kind, number in
                       zip((middle, left, right), kinds, (1, 2, 3)))
    one.peer(two, "endpoint", "192.0.2.2:51820")
    one.peer(three, "endpoint", "198.51.100.2:51820")
    two.peer(one, "endpoint", "192.0.2.1:51820", allowed="10.99.0.0/24,fd99::/64")
    three.peer(one, "endpoint", "198.51.100.1:51820", allowed="10.99.0.0/24,fd99::/64")
    scene.first(two, three)
    scene.transfer(two, three, "TCP both ways through the hub")
    with scene.serving(three, three.address6):
        scene.finish(scene.begin(two, three.address6, "both", 4_000_000),
                     "TCP over IPv6 through the hub")
    seed = random.Random(3).randrange(1000, 1400)
    back = two.node.ping(three.address, count=20, interval=0.01, size=seed)[1]
    scene.check("pings through the hub", back == 20, f"{back} of 20 with {seed} bytes")
