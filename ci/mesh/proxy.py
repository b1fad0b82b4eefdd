"""A UDP relay that spoils traffic by a seed: loses, repeats and delays datagrams.

    proxy.py PORT TARGET-ADDRESS TARGET-PORT SEED LOSS REPEAT DELAY

Whoever sends to PORT is relayed to the target and back; the target sees the relay's address. Each
direction draws from a stream of its own. LOSS, REPEAT and DELAY are shares (0.01 is 1%); what is
delayed comes 5 ms later, behind what was sent after it. On SIGTERM it prints one line for each
direction: `out|back RELAYED LOST REPEATED DELAYED`.
"""

import heapq
import random
import selectors
import signal
import socket
import sys
import time

DELAY_S = 0.005
# Linux's number; Python 3.11 has no name for it.
SO_RCVBUFFORCE = 33


class Direction:
    """One way through the relay."""

    def __init__(self, name, seed, shares):
        self.name, self.noise, self.shares = name, random.Random(f"{seed} {name}"), shares
        self.relayed = self.lost = self.repeated = self.delayed = 0

    def times(self, now):
        """When to send this datagram: never, once or twice."""
        loss, repeat, delay = self.shares
        # Always three draws: one share does not move the others' choices.
        draws = self.noise.random(), self.noise.random(), self.noise.random()
        self.relayed += 1
        if draws[0] < loss:
            self.lost += 1
            return []
        at = now
        if draws[2] < delay:
            self.delayed += 1
            at += DELAY_S
        if draws[1] < repeat:
            self.repeated += 1
            return [at, at]
        return [at]


def main():
    port, target = int(sys.argv[1]), (sys.argv[2], int(sys.argv[3]))
    shares = tuple(map(float, sys.argv[5:8]))
    directions = [Direction(name, sys.argv[4], shares) for name in ("out", "back")]
    front, back = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    for each in (front, back):
        each.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
        each.setblocking(False)
    front.bind(("0.0.0.0", port))
    back.bind(("0.0.0.0", 0))
    selector, waiting, order = selectors.DefaultSelector(), [], 0
    selector.register(front, selectors.EVENT_READ, (directions[0], back))
    selector.register(back, selectors.EVENT_READ, (directions[1], front))
    client = None

    def end(*_):
        for one in directions:
            print(one.name, one.relayed, one.lost, one.repeated, one.delayed, flush=True)
        sys.exit(0)

    signal.signal(signal.SIGTERM, end)
    print("ready", flush=True)
    while True:
        wait = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        for key, _ in selector.select(wait):
            direction, out = key.data
            for _ in range(64):
                try:
                    datagram, sender = key.fileobj.recvfrom(1 << 16)
                except BlockingIOError:
                    break
                if out is back:
                    client = sender
                for at in direction.times(time.monotonic()):
                    order += 1
                    heapq.heappush(waiting, (at, order, datagram, out))
        while waiting and waiting[0][0] <= time.monotonic():
            _, _, datagram, out = heapq.heappop(waiting)
            where = target if out is back else client
            if where:
                try:
                    out.sendto(datagram, where)
                except (BlockingIOError, ConnectionRefusedError):
                    continue


if __name__ == "__main__":
    main()
