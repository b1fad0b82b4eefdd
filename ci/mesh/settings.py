"""Scenes in which the tunnel is configured anew while traffic flows through it."""

import signal
import time

from lab import Agent, Broken, eventually, sh
from scene import Capture, endpoint


def triangle(scene, kinds):
    """`ours` with two peers on two wires; all three know each other's endpoints."""
    middle, left, right = (scene.lab.node(name) for name in ("one", "two", "three"))
    scene.lab.link(middle, "192.0.2.1/24", left, "192.0.2.2/24", "left")
    scene.lab.link(middle, "198.51.100.1/24", right, "198.51.100.2/24", "right")
    one, two, three = (Agent(node, kind, number) for node, kind, number in
                       zip((middle, left, right), kinds, (1, 2, 3)))
    one.peer(two, "endpoint", "192.0.2.2:51820")
    two.peer(one, "endpoint", "192.0.2.1:51820")
    three.peer(one)
    scene.first(one, two)
    return one, two, three


def peers(scene, kinds):
    """Peers come, change and go; the traffic of another peer does not notice."""
    one, two, three = triangle(scene, kinds)
    with scene.flowing(one, two.address, "another peer's traffic meanwhile"):
        one.peer(three, "endpoint", "198.51.100.2:51820")
        scene.check("wg set: peer added", one.node.reaches(three.address), three.address)
        allowed_ips(scene, one, two, three)
        source(scene, one, three)
        keepalive(scene, one, three)
        whole = sh("wg", "showconf", one.interface)
        one.wg("peer", three.public, "remove")
        listed = three.public in one.show("endpoints")
        scene.check("wg set: peer removed", not listed and
                    not one.node.reaches(three.address, wait=1), f"still listed: {listed}")
        synced(scene, one, two, three, whole)


def allowed_ips(scene, one, two, three):
    """An address belongs to one peer at a time, and the longest prefix decides."""
    shared = "10.99.7.7"
    for agent in (two, three):
        agent.node.ip("address", "add", f"{shared}/32", "dev", "lo")
    one.node.ip("route", "add", "10.99.7.0/24", "dev", one.interface)
    seen = []

    def goes_to():
        """Which of the two peers answers for the shared address."""
        before = [one.moved(agent)[0] for agent in (two, three)]
        back = one.node.ping(shared, count=5, wait=1, size=1000)[1]
        grown = [name for name, agent, was in zip(("two", "three"), (two, three), before)
                 if one.moved(agent)[0] - was > 4000]
        seen.append("nobody" if back == 0 else "+".join(grown))

    one.peer(two, allowed=f"{two.address}/32,10.99.7.0/24")
    goes_to()
    one.peer(three, allowed=f"{three.address}/32,{shared}/32")
    goes_to()
    one.peer(two, allowed=f"{two.address}/32,{shared}/32")
    goes_to()
    left = one.show("allowed-ips")[three.public]
    one.peer(two, allowed=f"{two.address}/32")
    goes_to()
    wanted = ["two", "three", "two", "nobody"]
    scene.check("allowed-ips: /24, then a /32 elsewhere, then moved, then gone",
                seen == wanted and left == f"{three.address}/32",
                f"{', '.join(seen)}; left to three: {left}")


def source(scene, one, three):
    """A peer may only send from its own addresses."""
    alien = "10.99.8.8"
    three.node.ip("address", "add", f"{alien}/32", "dev", "lo")
    capture = Capture(one.node, one.interface, ["src", alien])
    three.node.attempt("ping", "-n", "-c", 3, "-i", 0.05, "-W", 0.3, "-I", alien, one.address)
    time.sleep(0.2)
    before = capture.bytes()
    one.peer(three, allowed=f"{three.address}/32,{alien}/32")
    three.node.attempt("ping", "-n", "-c", 3, "-i", 0.05, "-W", 0.3, "-I", alien, one.address)
    time.sleep(0.2)
    capture.end()
    passed = capture.packets()
    scene.check("packets from an address not allowed are dropped",
                len(before) <= 24 and passed == 3,
                f"{'none' if len(before) <= 24 else 'some'} before, {passed} of 3 once allowed")
    one.peer(three, allowed=f"{three.address}/32")


def keepalive(scene, one, three):
    """Every second while it is set, never when it is off."""
    quiet = three.moved(one)[0]
    time.sleep(2.5)
    off = three.moved(one)[0] - quiet
    one.wg("peer", three.public, "persistent-keepalive", 1)
    time.sleep(4.2)
    came = three.moved(one)[0] - quiet - off
    one.wg("peer", three.public, "persistent-keepalive", "off")
    shown = one.show("persistent-keepalive").get(three.public)
    # An empty packet has 32 bytes.
    scene.check("persistent-keepalive 1, then off",
                off == 0 and shown == "off" and 96 <= came <= 192,
                f"{off} bytes in 2.5 s without, {came} in 4.2 s with; then {shown}")


def synced(scene, one, two, three, whole):
    """syncconf changes the difference only; setconf replaces everything."""
    sections = whole.split("[Peer]")
    without = "[Peer]".join(text for text in sections if three.public not in text)
    files = {name: scene.lab.secret(name, text) for name, text in
             (("whole", whole), ("without", without))}
    before = one.handshake(two)
    sh("wg", "syncconf", one.interface, files["whole"])
    back = one.node.reaches(three.address, wait=6)
    sh("wg", "syncconf", one.interface, files["without"])
    listed = three.public in one.show("endpoints")
    same = one.handshake(two) == before
    scene.check("wg syncconf: peer back, peer gone, the other's session kept",
                back and not listed and same,
                f"reached: {back}, then listed: {listed}, same handshake: {same}")


def secrets(scene, kinds):
    """Preshared keys, a new private key, another port, setconf."""
    one, two = scene.agents(kinds)
    two.wg("peer", one.public, "endpoint", "192.0.2.1:51820")
    scene.first(one, two)
    keys = [scene.lab.secret(f"psk{number}", sh("wg", "genpsk").strip()) for number in range(2)]
    with scene.flowing(one, two.address, "traffic while both get a preshared key"):
        one.wg("peer", two.public, "preshared-key", keys[0])
        # Sessions that stand are kept: it counts at the next handshake only.
        time.sleep(0.5)
        two.wg("peer", one.public, "preshared-key", keys[0])
    shown = one.show("preshared-keys").get(two.public) == keys[0].read_text().strip()
    anew(two, one, "preshared-key", keys[0])
    met = two.node.reaches(one.address, wait=8)
    scene.check("a handshake with the same preshared key", met and shown, f"reached: {met}")
    anew(two, one, "preshared-key", keys[1])
    met = two.node.reaches(one.address, wait=2)
    scene.check("none with another one", not met and two.handshake(one) == 0, f"reached: {met}")
    one.wg("peer", two.public, "preshared-key", "/dev/null")
    anew(two, one)
    met = two.node.reaches(one.address, wait=8)
    scene.check("one without, after both took it away", met, f"reached: {met}")
    identity(scene, one, two)
    moved_port(scene, one, two)
    file = scene.lab.secret("conf", sh("wg", "showconf", one.interface))
    sh("wg", "setconf", one.interface, file)
    met = one.node.reaches(two.address, wait=8)
    scene.check("wg setconf of what showconf said", met and
                sh("wg", "showconf", one.interface) == file.read_text()[:-1], f"reached: {met}")


def anew(agent, other, *words):
    """Forgets the session with `other`: the peer is removed and added."""
    agent.wg("peer", other.public, "remove")
    place = endpoint("192.0.2.1", other.port)
    agent.peer(other, "endpoint", place, *words)


def identity(scene, one, two):
    """Our own key changes; the peer knows the new one already."""
    old = one.public
    one.private = sh("wg", "genkey").strip()
    one.public = sh("wg", "pubkey", stdin=one.private).strip()
    two.wg("peer", old, "remove")
    two.peer(one, "endpoint", "192.0.2.1:51820")
    one.keyfile = scene.lab.secret("next", one.private)
    one.wg("private-key", one.keyfile)
    shown = sh("wg", "show", one.interface, "public-key").strip() == one.public
    begun = time.monotonic()
    try:
        eventually("reached with the new key", lambda: one.node.reaches(two.address, wait=1), 20)
        seen = f"reached after {time.monotonic() - begun:.1f} s"
    except Broken as late:
        seen = str(late)
    scene.check("wg set private-key: the new key meets the peer",
                shown and seen.startswith("reached after"), seen)


def moved_port(scene, one, two):
    """Another port of our own: the peer follows."""
    one.wg("listen-port", 51999)
    one.port = 51999
    met = one.node.reaches(two.address, wait=8)
    place = two.endpoint(one)
    scene.check("wg set listen-port: the peer follows", met and place.endswith(":51999"),
                f"{place}, reached: {met}")


def restarted(scene, kinds, first_restarts):
    """One side loses all state at once; the other, still sending, finds back by itself."""
    one, two = scene.agents(kinds)
    scene.first(one, two)
    lost, stays = (one, two) if first_restarts else (two, one)
    place = "192.0.2.1:51820" if lost is one else "192.0.2.2:51820"
    stays.wg("peer", lost.public, "endpoint", place)
    lost.stop(signal.SIGKILL)
    lost.start()
    lost.peer(stays)
    begun = time.monotonic()
    try:
        eventually("reached again", lambda: stays.node.reaches(lost.address, wait=1), 25)
        seen = f"reached after {time.monotonic() - begun:.1f} s"
    except Broken as late:
        seen = str(late)
    # The session is given up 15 s after the last answer: the time to a passive keepalive (10 s)
    # and one retry (5 s); then the handshake.
    scene.check(f"{lost.kind} killed and back without a session, {stays.kind} sending",
                seen.startswith("reached after"), seen)
