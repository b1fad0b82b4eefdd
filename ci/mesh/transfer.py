"""Moves bytes between two nodes and says their SHA-256 on both sides.

    transfer.py serve ADDRESS PORT               answers until it is ended
    transfer.py push ADDRESS PORT BYTES [RATE]   sends BYTES, at most RATE bytes a second
    transfer.py pull ADDRESS PORT BYTES [RATE]   lets the server send them
    transfer.py both ADDRESS PORT BYTES [RATE]   both at once, on two connections
    transfer.py datagrams ADDRESS PORT SIZE..    UDP to the server and back, one of each size

A line `DIRECTION BYTES SHA256-OF-SENDER SHA256-OF-RECEIVER` for each stream; exit code 1 if they
differ. The bytes are pseudo-random, with the text of `MARKER` in every thousand, so that they can
be looked for on the wire.
"""

import hashlib
import random
import socket
import struct
import sys
import threading
import time

MARKER = b"qmesh: this is written in clear"
HEADER = struct.Struct("!4sQQ")
QUIET_S = 60


def sent(connection, count, rate):
    """Sends `count` bytes; their digest."""
    noise, digest, done, begun = random.Random(count), hashlib.sha256(), 0, time.monotonic()
    while done < count:
        piece = b"".join(MARKER + noise.randbytes(1000 - len(MARKER)) for _ in range(16))
        piece = piece[:count - done]
        connection.sendall(piece)
        digest.update(piece)
        done += len(piece)
        if rate:
            time.sleep(max(0.0, begun + done / rate - time.monotonic()))
    return digest.hexdigest()


def received(connection, count):
    """Receives `count` bytes; their digest."""
    digest = hashlib.sha256()
    while count:
        piece = connection.recv(min(count, 1 << 18))
        if not piece:
            raise ConnectionError(f"closed with {count} bytes missing")
        digest.update(piece)
        count -= len(piece)
    return digest.hexdigest()


def exactly(connection, count):
    piece = b""
    while len(piece) < count:
        more = connection.recv(count - len(piece))
        if not more:
            raise ConnectionError("closed")
        piece += more
    return piece


def answer(connection):
    """One connection on the server's side: the request, the bytes, the digest it saw."""
    with connection:
        connection.settimeout(QUIET_S)
        direction, count, rate = HEADER.unpack(exactly(connection, HEADER.size))
        if direction == b"push":
            digest = received(connection, count)
        else:
            digest = sent(connection, count, rate)
        connection.sendall(digest.encode())


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def serve(address, port):
    datagrams = socket.socket(family(address), socket.SOCK_DGRAM)
    datagrams.bind((address, port))

    def echo():
        while True:
            datagram, sender = datagrams.recvfrom(1 << 16)
            datagrams.sendto(datagram, sender)

    threading.Thread(target=echo, daemon=True).start()
    with socket.create_server((address, port), family=family(address)) as listener:
        print("ready", flush=True)
        while True:
            threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()


def stream(direction, address, port, count, rate):
    """One stream as a client; whether both sides saw the same."""
    with socket.create_connection((address, port), timeout=QUIET_S) as connection:
        connection.sendall(HEADER.pack(direction.encode(), count, rate))
        mine = (sent(connection, count, rate) if direction == "push"
                else received(connection, count))
        theirs = exactly(connection, 64).decode()
    pair = (mine, theirs) if direction == "push" else (theirs, mine)
    # One write: the other direction's line may come at the same time.
    sys.stdout.write(" ".join([direction, str(count), *pair]) + "\n")
    return mine == theirs


def datagrams(address, port, sizes):
    """Each size there and back, with two more tries; whether all came back as they went."""
    sound = True
    with socket.socket(family(address), socket.SOCK_DGRAM) as udp:
        udp.connect((address, port))
        udp.settimeout(1)
        for size in sizes:
            wanted, back = random.Random(size).randbytes(size), None
            for _ in range(3):
                udp.send(wanted)
                try:
                    back = udp.recv(1 << 16)
                    break
                except TimeoutError:
                    continue
            verdict = "lost" if back is None else "same" if back == wanted else "DIFFERENT"
            sound &= verdict == "same"
            print(f"{size}:{verdict}", end=" ")
    print()
    return sound


def main():
    what, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
    if what == "serve":
        serve(address, port)
    if what == "datagrams":
        sys.exit(0 if datagrams(address, port, map(int, sys.argv[4:])) else 1)
    count, rate = int(sys.argv[4]), int(sys.argv[5]) if len(sys.argv) > 5 else 0
    verdicts = {}

    def one(direction):
        verdicts[direction] = stream(direction, address, port, count, rate)

    wanted = ["push", "pull"] if what == "both" else [what]
    threads = [threading.Thread(target=one, args=(direction,)) for direction in wanted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.exit(0 if len(verdicts) == len(wanted) and all(verdicts.values()) else 1)


if __name__ == "__main__":
    main()
