"""Scenes that need their time: rekeying, and the keepalive of one who only listens.

The times are the protocol's, whitepaper section 6.1: a session is renewed by its initiator after
120 s; who received and had nothing to send for 10 s sends an empty packet; who sent and heard
nothing for 15 s begins a new handshake.
"""

import time

from scene import PORT, PYTHON, Capture

REKEY_S = 120


def rekey(scene, kinds, first_begins):
    """Pings and a slow transfer run over the time of one session; nothing is lost."""
    one, two = scene.agents(kinds, first_begins)
    begins, waits = (one, two) if first_begins else (two, one)
    scene.first(begins, waits)
    times, end = [begins.handshake(waits)], time.monotonic() + REKEY_S + 16
    with scene.serving(waits), \
            scene.flowing(begins, waits.address, "pings over the renewal", 0.1):
        transfer = scene.begin(begins, waits.address, "both", 1_000_000 * (REKEY_S + 12),
                               1_000_000)
        while time.monotonic() < end:
            time.sleep(1)
            if begins.handshake(waits) != times[-1]:
                times.append(begins.handshake(waits))
        scene.finish(transfer, "TCP both ways over the renewal")
    gaps = [later - earlier for earlier, later in zip(times, times[1:])]
    # wireguard-go may arm its timer for a retry when the answer is there already: 5 s later it
    # shakes hands once more.
    renewed = [gap for gap in gaps if begins.kind != "wireguard-go" or gap not in (5, 6)]
    scene.check(f"{begins.kind} renews the session after {REKEY_S} s",
                len(renewed) == 1 and REKEY_S - 6 <= renewed[0] <= REKEY_S + 6,
                f"handshakes {', '.join(f'{gap} s' for gap in gaps) or 'none'} after the one before")
    seen = waits.handshake(begins)
    scene.check(f"{waits.kind} knows the new session", abs(seen - times[-1]) <= 1,
                f"{seen - times[0]} s after the first")


STREAM = """
import socket, sys, time
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
end = time.monotonic() + float(sys.argv[2])
while time.monotonic() < end:
    udp.sendto(b"x" * 100, (sys.argv[1], 9))
    time.sleep(0.1)
"""
SINK = """
import socket, sys
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind((sys.argv[1], 9))
print("ready", flush=True)
while True:
    udp.recv(2048)
"""


def one_way(scene, kinds, first_sends):
    """Data in one direction only: the silent side's empty packets keep the session."""
    one, two = scene.agents(kinds)
    scene.first(one, two)
    sends, silent = (one, two) if first_sends else (two, one)
    sink = silent.node.start(PYTHON, "-c", SINK, silent.address)
    sink.stdout.readline()
    before, heard = sends.handshake(silent), sends.moved(silent)[0]
    sends.node.run(PYTHON, "-c", STREAM, silent.address, 38)
    heard = sends.moved(silent)[0] - heard
    same = sends.handshake(silent) == before
    scene.check(f"{sends.kind} sends for 38 s, {silent.kind} only listens",
                same and heard <= 200,
                f"same session: {same}, {heard} bytes came back")


def one_ping(scene, kinds):
    """After a single exchange the one who heard last sends an empty packet; then all is quiet."""
    one, two = scene.agents(kinds)
    scene.first(one, two)
    # The first ping's session began with an empty packet; wanted is an exchange without one.
    time.sleep(1)
    one.node.reaches(two.address)
    before, heard = two.handshake(one), two.moved(one)[0]
    time.sleep(20)
    heard = two.moved(one)[0] - heard
    same = two.handshake(one) == before
    scene.check(f"20 s after one ping of {one.kind}", same and heard == 32,
                f"same session: {same}, {two.kind} heard {heard} bytes (an empty packet has 32)")


EXCHANGE = """
import socket, sys
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.connect((sys.argv[1], int(sys.argv[2])))
udp.settimeout(3)
udp.send(b"x" * 10)
udp.recv(2048)
udp.send(b"x" * 800)
"""


def unanswered(scene, kinds):
    """What was sent and not answered leads to a handshake after 15 s, with no further packet."""
    one, two = scene.agents(kinds)
    scene.first(one, two)
    wire = Capture(one.node, "wire", ["udp", "port", "51820"])
    # A small exchange, and in the same instant a large packet that is lost: then silence.
    two.node.deaf_and_mute("udp length > 500")
    with scene.serving(two):
        begun = time.time()
        one.node.run(PYTHON, "-c", EXCHANGE, two.address, PORT)
        two.node.deaf_and_mute("udp dport 51820")
    time.sleep(18)
    wire.end()
    # An initiation has 148 bytes; -q -tt prints the time first and the length last.
    said = one.node.run("tcpdump", "-n", "-q", "-tt", "-r", wire.path, "src 192.0.2.1")
    came = [float(line.split()[0]) - begun for line in said.split("\n")
            if line.endswith("length 148")]
    scene.check(f"{one.kind} hears nothing and begins anew after 15 s",
                bool(came) and 14.5 < came[0] < 16.5,
                ", ".join(f"{after:.1f} s" for after in came) or "no initiation in 18 s")
