#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The echo plugin in Python, with nothing but the standard library.

plugind gives a plugin its duplex as standard input and output: JSON-RPC 2.0, one message a line. What is printed on
standard error is the log; a line may begin with its level (<3> error, <4> warning, <6> information, <7> debug).
"""

import json
import os
import signal
import sys
import threading

# The inherited streams: stdin is a socket here, which /dev/stdin and /dev/stdout cannot open.
INPUT, OUTPUT = sys.stdin.buffer, sys.stdout.buffer

context = {}  # what plugind/initialize said
pending = {}  # request id -> timer of an answer that comes later
lock = threading.Lock()  # timers answer from threads of their own


class Failure(Exception):
    def __init__(self, code, message, data=None):
        super().__init__(message)
        self.error = {"code": code, "message": message} if data is None else {"code": code, "message": message, "data": data}


def write(**message):
    line = json.dumps({"jsonrpc": "2.0", **message}, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
    with lock:
        OUTPUT.write(line)
        OUTPUT.flush()


def log(level, text):
    print(f"<{level}>{text}", file=sys.stderr, flush=True)


LATER = object()  # what a method returns that answers later


def later(request, milliseconds, action):
    def expired():
        if pending.pop(request, None):  # else it was cancelled
            action()

    timer = threading.Timer(milliseconds / 1000, expired)
    timer.daemon = True
    pending[request] = timer
    timer.start()
    return LATER


def number(params, key, default=None):
    value = params.get(key, default) if isinstance(params, dict) else default
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise Failure(-32602, f"{key}: expected a whole number, 0 or more")
    return value


def text(params, key, default=None):
    value = params.get(key, default) if isinstance(params, dict) else default
    if not isinstance(value, str):
        raise Failure(-32602, f"{key}: expected a string")
    return value


def echo(request, params):
    return params


def delay(request, params):
    ms = number(params, "ms")
    return later(request, ms, lambda: write(id=request, result={"ms": ms}))


def fail(request, params):
    code = params.get("code", 1) if isinstance(params, dict) else 1
    raise Failure(code, text(params, "message", "failed, as asked"), params.get("data") if isinstance(params, dict) else None)


def notify(request, params):
    method, count = text(params, "method"), number(params, "count", 1)
    for _ in range(count):
        write(method=method, **({"params": params["params"]} if "params" in params else {}))
    return {"sent": count}


def progress(request, params):
    steps = number(params, "steps")
    for step in range(1, steps + 1):
        write(method="plugind/progress", params={"id": request, "value": {"step": step, "of": steps}})
    return {"steps": steps}


def info(request, params):
    return {"pid": os.getpid(), "session": context.get("session"), "dataDir": context.get("dataDir"), "configuration": context.get("configuration")}


def write_log(request, params):
    log(number(params, "level", 6), text(params, "message"))


def crash(request, params):
    signal.raise_signal(number(params, "signal", signal.SIGABRT))


def leave(request, params):
    os._exit(number(params, "status", 0))


METHODS = {"echo": echo, "delay": delay, "fail": fail, "notify": notify, "progress": progress, "info": info, "log": write_log, "crash": crash, "exit": leave}


def initialize(request, params):
    context.update(params)
    return {"protocol": 1, "name": "echo (Python)", "version": "1"}


def configure(request, params):
    context["configuration"] = params["configuration"]
    return {}


def shutdown(request, params):
    for timer in pending.values():
        timer.cancel()
    return {}


def cancel(params):
    timer = pending.pop(params["id"], None)
    if timer:
        timer.cancel()
        write(id=params["id"], error={"code": -32800, "message": "cancelled"})


METHODS |= {"plugind/initialize": initialize, "plugind/configure": configure, "plugind/shutdown": shutdown, "plugind/ping": lambda request, params: {}}


def answer(request, method, params):
    try:
        if method not in METHODS:
            raise Failure(-32601, f"{method}: no such method")
        result = METHODS[method](request, params)
        if result is not LATER:
            write(id=request, result=result)
    except Failure as failure:
        write(id=request, error=failure.error)


for line in INPUT:
    message = json.loads(line)
    if "method" not in message:
        continue  # an answer: this plugin asks nothing
    if "id" in message:
        answer(message["id"], message["method"], message.get("params"))
    elif message["method"] == "plugind/cancel":
        cancel(message["params"])
    elif not message["method"].startswith("plugind/"):
        write(method=message["method"], **({"params": message["params"]} if "params" in message else {}))  # back to whoever listens
# The end of its input is the end of a plugin.
os._exit(0)
