#!/usr/bin/python3 -IS
# SPDX-License-Identifier: LGPL-2.1-or-later
"""bad.py MODE [ARGUMENT]: a plugin that misbehaves, in the way that MODE names, at its start.

Whatever the mode, it can be asked to misbehave later by a request whose method is the name of one of the ACTIONS.
Otherwise it is a good plugin in three dialects at once (plugind, mcp of the legacy era, jsonrpc), one message a line.
"""

import json
import os
import resource
import signal
import socket
import stat
import sys
import time

MIB = 1024 * 1024


def say(data):
    """All of DATA to standard output, whatever the size."""
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]


def send(**message):
    say(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")


def forever():
    while True:
        signal.pause()


# --- modes: what is wrong from the start. Those that return go on as a good plugin.


def mode_good(argument):
    pass


def mode_exit(argument):
    os._exit(int(argument or 0))


def mode_die(argument):
    """Dies of a signal at once."""
    os.kill(os.getpid(), int(argument or signal.SIGKILL))


def mode_silent(argument):
    """Reads, never says a word."""
    for _ in sys.stdin.buffer:
        pass
    forever()


def mode_deaf(argument):
    """Never reads, never says a word."""
    forever()


def mode_slow(argument):
    """Greets after so many milliseconds."""
    time.sleep(int(argument) / 1000)


def mode_banner(argument):
    say(b"Welcome to the bad plugin!\n\n  version 1\n\x1b[1mready\x1b[0m\n")


def mode_garbage(argument):
    """Lines that begin as messages do and are none."""
    say(b'{this is no JSON}\n{"jsonrpc": "2.0", "id"\n')


def mode_binary(argument):
    """No text at all."""
    say(os.urandom(4096).replace(b"\n", b"\x00") + b"\n")


def mode_close_stdout(argument):
    """Closes its output before it has said a word, and lives."""
    close_stdout()
    forever()


def mode_stubborn(argument):
    """Ignores SIGTERM, the goodbye and the end of its input."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    global goodbye, at_end_of_input
    goodbye = lambda: None
    at_end_of_input = forever


def mode_child(argument):
    """Leaves a child in its process group, which ignores SIGTERM."""
    start_child()


def mode_orphan(argument):
    """Leaves a process in a session of its own, whose parent is gone."""
    start_orphan()


def mode_flood_stderr(argument):
    flood_stderr({"bytes": int(argument or 64 * MIB)})


def mode_flood(argument):
    """Notifies without end."""
    while True:
        send(method="flood", params={"filler": "x" * 100})


def mode_crash_after(argument):
    """Dies so many milliseconds after its start, greeted or not."""
    signal.signal(signal.SIGALRM, lambda *_: os.abort())
    signal.setitimer(signal.ITIMER_REAL, int(argument) / 1000)


def mode_refuse(argument):
    """Answers the greeting with an error."""
    global greeting
    greeting = lambda id: send(id=id, error={"code": -32000, "message": "not today"})


def mode_wrong_greeting(argument):
    """Answers the greeting with something else."""
    global greeting
    greeting = lambda id: send(id=id, result="hello")


def mode_big_greeting(argument):
    """Answers the greeting with so many bytes and a few."""
    global greeting
    greeting = lambda id: send(id=id, result={"protocol": 1, "name": "bad", "version": "1", "more": "x" * int(argument)})


def mode_no_pong(argument):
    """Greets, and never answers a ping."""
    global pong
    pong = lambda id: None


# --- actions: what a request of this name does. They return the result, or LATER.

LATER = object()
children = []
cancelled = []  # ids that plugind/cancel named


def close_stdout(params=None, id=None):
    if stat.S_ISSOCK(os.fstat(1).st_mode):
        socket.socket(fileno=os.dup(1)).shutdown(socket.SHUT_WR)
    os.close(1)
    return LATER


def start_child(params=None, id=None):
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        forever()
    children.append(pid)
    return {"pid": pid}


def start_orphan(params=None, id=None):
    read_end, write_end = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            os.write(write_end, str(os.getpid()).encode())
            forever()
        os._exit(0)
    os.wait()
    pid = int(os.read(read_end, 20))
    os.close(read_end)
    os.close(write_end)
    children.append(pid)
    return {"pid": pid}


def flood_stderr(params, id=None):
    line = b"all work and no play makes a dull plugin\n"
    left = params.get("bytes", 64 * MIB)
    chunk = line * 1024
    while left > 0:
        left -= os.write(2, chunk[:left])
    return {}


def say_stderr(params, id=None):
    os.write(2, params["text"].encode() + b"\n")
    return {}


def flood(params, id):
    """Notifies COUNT times; the last one says so."""
    count = params.get("count", 1)
    filler = "x" * params.get("size", 0)
    method = params.get("method", "flood")
    for number in range(1, count + 1):
        send(method=method, params={"number": number, "last": number == count, "filler": filler})
    return {"sent": count}


def huge(params, id):
    """One line of so many bytes, 100 MiB if not said, then a proper answer."""
    say(b'{"jsonrpc":"2.0","method":"huge","params":"')
    left = params.get("bytes", 100 * MIB)
    chunk = b"x" * MIB
    while left > 0:
        say(chunk[:left])
        left -= len(chunk)
    say(b'"}\n')
    return {"said": True}


def huge_answer(params, id):
    """The answer itself is too large."""
    return "x" * params.get("bytes", 100 * MIB)


def wrong_ids(params, id):
    """Answers that nobody waits for, then the right one, then that one again."""
    for wrong in (999999999, -1, 0, 1.5, "999999999", str(id), None, 2**53, 2**64 + 1):
        send(id=wrong, result="wrong")
    send(id=id, result="right")
    send(id=id, result="twice")
    return LATER


def string_id(params, id):
    """The right id as a string, which is another id."""
    send(id=str(id), result="wrong")
    return LATER


def both(params, id):
    send(id=id, result={}, error={"code": 1, "message": "both"})
    return LATER


def neither(params, id):
    send(id=id)
    return LATER


def no_object(params, id):
    """Valid JSON that is no message, then the answer."""
    say(b"[1,2,3]\n42\n\"{\"\nnull\n\n{}\n")
    return "right"


def bad_utf8(params, id):
    say(b'{"jsonrpc":"2.0","id":%d,"result":"\xff\xfe \xc0\xaf \xed\xa0\x80"}\n' % id)
    return LATER


def nul(params, id):
    """An escaped NUL, which JSON allows and D-Bus text carries as the escape."""
    say(b'{"jsonrpc":"2.0","id":%d,"result":"a\\u0000b"}\n' % id)
    return LATER


def raw_nul(params, id):
    say(b'{"jsonrpc":"2.0","id":%d,"result":"a\x00b"}\n' % id)
    return LATER


def deep(params, id):
    depth = params.get("depth", 100000)
    say(b'{"jsonrpc":"2.0","id":%d,"result":' % id + b"[" * depth + b"]" * depth + b"}\n")
    return LATER


def pieces(params, id):
    """The answer one byte at a time."""
    for byte in json.dumps({"jsonrpc": "2.0", "id": id, "result": "in pieces"}).encode() + b"\n":
        os.write(1, bytes([byte]))
    return LATER


def half(params, id):
    """Half an answer, then death."""
    say(b'{"jsonrpc":"2.0","id":%d,"resu' % id)
    os.kill(os.getpid(), signal.SIGKILL)


def crash(params, id):
    os.kill(os.getpid(), params.get("signal", signal.SIGKILL))
    forever()


def leave(params, id):
    os._exit(params.get("status", 0))


def stop_reading(params, id):
    """Answers, then reads no more."""
    send(id=id, result={})
    forever()


def never(params, id):
    """Is never answered."""
    return LATER


def ask(params, id):
    """Asks the host something, and answers with what the host said."""
    send(id="question", method=params["method"], params=params.get("params"))
    for line in sys.stdin.buffer:
        message = json.loads(line)
        if message.get("id") == "question" and "method" not in message:
            return message
    return LATER


def info(params, id):
    return {
        "pid": os.getpid(),
        "ppid": os.getppid(),
        "pgrp": os.getpgrp(),
        "cwd": os.getcwd(),
        "environment": dict(os.environ),
        "descriptors": {fd: os.readlink(f"/proc/self/fd/{fd}") for fd in range(256) if os.path.exists(f"/proc/self/fd/{fd}")},
        "blocked": sorted(int(s) for s in signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        "ignored": sorted(s for s in range(1, 32) if s not in (9, 19) and s != signal.SIGPIPE and signal.getsignal(s) == signal.SIG_IGN),
        "children": children,
        "cancelled": cancelled,
    }


def write_data(params, id):
    """Into its own folder; answers with its uid."""
    with open(os.path.join(os.environ["PLUGIND_DATA_DIR"], "data"), "w", encoding="utf-8") as f:
        f.write(params["text"])
    return os.getuid()


def read_data(params, id):
    with open(os.path.join(os.environ["PLUGIND_DATA_DIR"], "data"), encoding="utf-8") as f:
        return f.read()


ACTIONS = {
    "close-stdout": close_stdout,
    "child": start_child,
    "orphan": start_orphan,
    "flood-stderr": flood_stderr,
    "say-stderr": say_stderr,
    "flood": flood,
    "huge": huge,
    "huge-answer": huge_answer,
    "wrong-ids": wrong_ids,
    "string-id": string_id,
    "both": both,
    "neither": neither,
    "no-object": no_object,
    "bad-utf8": bad_utf8,
    "nul": nul,
    "raw-nul": raw_nul,
    "deep": deep,
    "pieces": pieces,
    "half": half,
    "crash": crash,
    "exit": leave,
    "stop-reading": stop_reading,
    "never": never,
    "ask": ask,
    "info": info,
    "write-data": write_data,
    "read-data": read_data,
    "echo": lambda params, id: params,
}

# --- the good part, pieces of which the modes replace


def greeting(id):
    send(id=id, result={"protocol": 1, "name": "bad", "version": "1"})


def greeting_mcp(id):
    send(id=id, result={"protocolVersion": "2025-06-18", "capabilities": {}, "serverInfo": {"name": "bad", "version": "1"}})


def pong(id):
    send(id=id, result={})


def goodbye():
    os._exit(0)


def at_end_of_input():
    os._exit(0)


def serve():
    for line in sys.stdin.buffer:
        message = json.loads(line)
        method, id, params = message.get("method"), message.get("id"), message.get("params") or {}
        if method == "plugind/cancel":
            cancelled.append(params["id"])
        if method is None or id is None:
            continue
        if method == "plugind/initialize":
            greeting(id)
        elif method == "initialize":
            greeting_mcp(id)
        elif method in ("plugind/ping", "ping"):
            pong(id)
        elif method == "plugind/shutdown":
            send(id=id, result={})
            goodbye()
        elif method == "plugind/configure":
            send(id=id, result={})
        elif method in ACTIONS:
            result = ACTIONS[method](params, id)
            if result is not LATER:
                send(id=id, result=result)
        else:
            send(id=id, error={"code": -32601, "message": f"{method}: no such method"})
    at_end_of_input()


MODES = {name[len("mode_") :].replace("_", "-"): function for name, function in list(globals().items()) if name.startswith("mode_")}

if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if len(sys.argv) < 2 or sys.argv[1] not in MODES:
        sys.exit(f"usage: {sys.argv[0]} MODE [ARGUMENT], MODE one of: {' '.join(MODES)}")
    MODES[sys.argv[1]](sys.argv[2] if len(sys.argv) > 2 else None)
    serve()
