#!/usr/bin/env python3
"""Writes to the API without end, five times a second, each on a connection of its own.

    writer.py KUBECONFIG LOG

Open loop: a write that hangs does not hold up the next. The API's name is resolved for each, and
its addresses are tried in the order that the resolver gives, half a second each, as patient clients
do. A line for each write: when it began and ended, in milliseconds, and how. Ends at SIGTERM.
"""
import base64
import http.client
import json
import re
import signal
import socket
import ssl
import sys
import tempfile
import threading
import time
from urllib.parse import urlsplit

ADDRESS_S = 0.5
REQUEST_S = 3.0
INTERVAL_S = 0.2
OBJECTS = 16
PATH = "/api/v1/namespaces/default/configmaps"


def credentials(path):
    text = open(path, encoding="utf-8").read()

    def field(name):
        return re.search(name + r": (\S+)", text).group(1).strip('"')

    context = ssl.create_default_context(
        cadata=base64.b64decode(field("certificate-authority-data")).decode()
    )
    with tempfile.NamedTemporaryFile() as pair:
        for name in ("client-certificate-data", "client-key-data"):
            pair.write(base64.b64decode(field(name)))
        pair.flush()
        context.load_cert_chain(pair.name)
    server = urlsplit(field("server"))
    name = re.search(r"tls-server-name: (\S+)", text)
    return context, server.hostname, server.port, name.group(1) if name else server.hostname


def connect(host, port):
    error = None
    for family, kind, proto, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        plain = socket.socket(family, kind, proto)
        plain.settimeout(ADDRESS_S)
        try:
            plain.connect(address)
            plain.settimeout(REQUEST_S)
            return plain
        except OSError as why:
            plain.close()
            error = why
    raise error


def request(door, method, path, body):
    context, host, port, name = door
    connection = http.client.HTTPSConnection(host, port, context=context)
    connection.sock = context.wrap_socket(connect(host, port), server_hostname=name)
    try:
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        connection.request(method, path, json.dumps(body), {"Content-Type": kind})
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


def write(door, number, log, lock):
    begun = time.time()
    name = f"writer-{number % OBJECTS}"
    try:
        status = request(door, "PATCH", f"{PATH}/{name}", {"data": {"at": str(begun)}})
        how = "ok" if status < 300 else f"status {status}"
    except Exception as error:  # whatever it is, the write has failed
        how = f"{type(error).__name__} {error}"
    with lock:
        log.write(f"{begun * 1e3:.0f} {time.time() * 1e3:.0f} {how}\n")


def main():
    door = credentials(sys.argv[1])
    log, lock, stop = open(sys.argv[2], "w", buffering=1, encoding="utf-8"), threading.Lock(), threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    for number in range(OBJECTS):
        body = {"metadata": {"name": f"writer-{number}"}}
        request(door, "POST", PATH, body)
    number, threads, due = 0, [], time.time()
    while not stop.is_set():
        thread = threading.Thread(target=write, args=(door, number, log, lock), daemon=True)
        thread.start()
        threads.append(thread)
        number, due = number + 1, due + INTERVAL_S
        stop.wait(max(0.0, due - time.time()))
    for thread in threads:
        thread.join(REQUEST_S * 3)
    log.flush()


main()
