"""Scenes about what lies between two agents: addresses that change, NAT, loss."""

import signal

from lab import Agent, Broken, eventually
from scene import HERE, PYTHON, endpoint


def roam(scene, kinds, first_roams):
    """One side's address changes in the middle of a transfer; the other follows."""
    one, two = scene.agents(kinds)
    scene.first(one, two)
    moves, stays = (one, two) if first_roams else (two, one)
    if moves is two:
        # The one that moves has to know where the other is.
        two.wg("peer", one.public, "endpoint", "192.0.2.1:51820")
    here = "192.0.2.1/24" if moves is one else "192.0.2.2/24"
    with scene.serving(stays):
        for direction, new in (("push", 7), ("pull", 8)):
            if direction == "pull":
                # Who moves and has nothing to say is found again by its keepalive only.
                moves.wg("peer", stays.public, "persistent-keepalive", 1)
            flow = scene.begin(moves, stays.address, direction, 30_000_000, 10_000_000)
            old = stays.endpoint(moves)
            before = stays.moved(moves)
            eventually("the transfer goes on", lambda: sum(stays.moved(moves)) >
                       sum(before) + 5_000_000, 20)
            moves.node.ip("address", "delete", here, "dev", "wire")
            here = f"192.0.2.{new}/24"
            moves.node.ip("address", "add", here, "dev", "wire")
            what = f"{moves.kind} moves during {direction}"
            scene.finish(flow, what)
            scene.check(f"{stays.kind} follows", stays.endpoint(moves) == f"192.0.2.{new}:51820",
                        f"{old}, then {stays.endpoint(moves)}")


def router(scene, rules):
    """A private network and a public one, and NAT between them: (inside, outside, router)."""
    inside, between, outside = (scene.lab.node(name) for name in ("in", "nat", "out"))
    scene.lab.link(inside, "10.1.0.2/24", between, "10.1.0.1/24", "private")
    scene.lab.link(between, "192.0.2.1/24", outside, "192.0.2.2/24", "public")
    inside.ip("route", "add", "default", "via", "10.1.0.1")
    between.forward()
    between.nft(rules)
    return inside, outside, between


def nat(scene, kinds, first_inside):
    """Behind plain NAT: dials out, keeps the way open, is reached by the learnt endpoint."""
    nodes = router(scene, ["postrouting: oifname public masquerade random"])
    order = (0, 1) if first_inside else (1, 0)
    one, two = (Agent(nodes[place], kind, number)
                for place, kind, number in zip(order, kinds, (1, 2)))
    hidden, seen = (one, two) if first_inside else (two, one)
    seen.peer(hidden)
    hidden.peer(seen, "endpoint", "192.0.2.2:51820", "persistent-keepalive", 1)
    begun = eventually("a handshake by keepalive alone", lambda: seen.handshake(hidden), 10)
    place = seen.endpoint(hidden)
    scene.check(f"{hidden.kind} dials out, {seen.kind} learns the endpoint",
                place.startswith("192.0.2.1:") and not place.endswith(":51820"),
                f"{place}, handshake {begun > 0}")
    scene.check("reached from outside", seen.node.reaches(hidden.address), hidden.address)
    scene.transfer(seen, hidden, "TCP both ways through NAT", count=8_000_000)
    # The translation goes with the address: the router forgets it.
    nodes[2].ip("address", "delete", "192.0.2.1/24", "dev", "public")
    nodes[2].ip("address", "add", "192.0.2.9/24", "dev", "public")
    eventually("the endpoint changes", lambda: seen.endpoint(hidden).startswith("192.0.2.9:"), 8)
    met = seen.node.reaches(hidden.address)
    scene.check("the router's address changes: learnt by the next keepalive", met,
                f"{seen.endpoint(hidden)}, reached: {met}")


def one_to_one(scene, kinds, first_inside, inside_begins):
    """Behind 1:1 NAT: the public address is not the interface's."""
    nodes = router(scene, ["prerouting: ip daddr 192.0.2.50 dnat to 10.1.0.2",
                           "postrouting: ip saddr 10.1.0.2 oifname public snat to 192.0.2.50"])
    nodes[2].ip("address", "add", "192.0.2.50/24", "dev", "public")
    order = (0, 1) if first_inside else (1, 0)
    one, two = (Agent(nodes[place], kind, number)
                for place, kind, number in zip(order, kinds, (1, 2)))
    inside, outside = (one, two) if first_inside else (two, one)
    begins, waits = (inside, outside) if inside_begins else (outside, inside)
    waits.peer(begins)
    begins.peer(waits, "endpoint", "192.0.2.2:51820" if inside_begins else "192.0.2.50:51820")
    scene.first(begins, waits)
    places = inside.endpoint(outside), outside.endpoint(inside)
    scene.check("endpoints on both sides", places == ("192.0.2.2:51820", "192.0.2.50:51820"),
                " and ".join(places))
    scene.check("reached in the other direction", waits.node.reaches(begins.address),
                begins.address)
    scene.transfer(begins, waits, "TCP both ways through 1:1 NAT", count=8_000_000)


def loss(scene, kinds, first_begins):
    """A relay between the two loses, then repeats and reorders."""
    left, between, right = (scene.lab.node(name) for name in ("one", "relay", "two"))
    scene.lab.link(left, "192.0.2.1/24", between, "192.0.2.2/24", "left")
    scene.lab.link(between, "198.51.100.1/24", right, "198.51.100.2/24", "right")
    one, two = Agent(left, kinds[0], 1), Agent(right, kinds[1], 2)
    begins, waits = (one, two) if first_begins else (two, one)
    target, relay = (("198.51.100.2", "192.0.2.2") if first_begins
                     else ("192.0.2.1", "198.51.100.1"))
    waits.peer(begins)
    for what, port, shares in (("loses 1%", 7001, (0.01, 0, 0)),
                               ("repeats 5% and delays 2%", 7002, (0, 0.05, 0.02))):
        process = between.start(PYTHON, HERE / "proxy.py", port, target, 51820, 1, *shares)
        if process.stdout.readline() != "ready\n":
            raise Broken(f"the relay: {process.communicate()[0]}")
        begins.peer(waits, "endpoint", endpoint(relay, port))
        eventually("a first answer", lambda: begins.node.reaches(waits.address), 20)
        if shares[0] == 0:
            with scene.flowing(begins, waits.address, f"pings, a relay {what}", 0.005) as flow:
                flow.until(400)
        scene.transfer(begins, waits, f"TCP both ways, a relay {what}", count=6_000_000)
        process.send_signal(signal.SIGTERM)
        lines = [line.split() for line in process.communicate(timeout=10)[0].split("\n") if line]
        column = 2 if shares[0] else 3
        spoilt = [int(words[column]) for words in lines]
        scene.check(f"the relay that {what}", len(spoilt) == 2 and min(spoilt) > 20, ", ".join(
            f"{words[0]}: {words[1]} datagrams, {words[2]} lost, {words[3]} twice, {words[4]} late"
            for words in lines))
