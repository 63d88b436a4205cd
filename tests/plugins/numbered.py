#!/usr/bin/python3 -IS
# SPDX-License-Identifier: LGPL-2.1-or-later
"""numbered.py [--period=MS]: what numbered.c is (see there), in Python, with a thread that ticks."""

import json
import os
import sys
import threading
import time
import zlib

PIECE = 60000
ALPHABET = "abcdefghijklmnopqrstuvwxyz" * 12000
lock = threading.Lock()
state = {"n": 0, "heard": 0, "faults": 0, "fault": ""}
last_of = {}
quiet = threading.Event()


def say(text):
    """One message, whole, in pieces. The lock is the caller's."""
    view = memoryview(text)
    while view:
        view = view[os.write(1, view[:PIECE]) :]
        if view:
            time.sleep(0.001)
    os.write(1, b"\n")


def tick_size(n):
    return 100000 + n * 7919 % 200000 if n % 50 == 49 else n * 37 % 1500


def tick():
    state["n"] = n = state["n"] + 1
    params = {"n": n, "faults": state["faults"], "fault": state["fault"], "pad": ALPHABET[n % 26 :][: tick_size(n)]}
    say(json.dumps({"jsonrpc": "2.0", "method": "tick", "params": params}, separators=(",", ":")).encode())


def ticker(period):
    while not quiet.wait(period):
        with lock:
            if not quiet.is_set():
                tick()


def found(what):
    state["faults"] += 1
    state["fault"] = what


def check(params):
    state["heard"] += 1
    sender, n = params["from"], params["n"]
    if zlib.crc32(params["pad"].encode()) != params["sum"]:
        found(f"torn: a pad with another sum (of caller {sender}, number {n})")
    if n <= last_of.get(sender, 0):
        found(f"doubled (of caller {sender}, number {n})")
    if params["prev"] > last_of.get(sender, 0):
        found(f"lost: the one before (of caller {sender}, number {n})")
    last_of[sender] = n


def handle(line):
    try:
        message = json.loads(line)
        method = message["method"]
        if method in ("echo", "note"):
            check(message["params"])
    except (ValueError, KeyError, TypeError) as e:
        found(f"torn: {e}".replace('"', "'"))
        return
    if method == "echo":
        params = line[line.index(b'"params":') + 9 :].strip()[:-1]
        say(b'{"jsonrpc":"2.0","id":%d,"result":' % message["id"] + params + b"}")
    elif method == "quiet":
        quiet.set()
        say(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": state}, separators=(",", ":")).encode())


def main():
    period = int(sys.argv[1].removeprefix("--period=")) if len(sys.argv) > 1 else 100
    threading.Thread(target=ticker, args=(period / 1000,), daemon=True).start()
    for line in sys.stdin.buffer:
        with lock:
            handle(line)
    os._exit(0)


main()
