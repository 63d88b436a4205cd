#!/usr/bin/python3 -IS
# SPDX-License-Identifier: LGPL-2.1-or-later
"""sharing.py lines|headers: a server of MCP (lines) or LSP (headers) that tells what it was told.

A request `heard` (a tool of that name, `workspace/symbol`) answers the methods that it has heard, each with its URI, in order. The tool `touch` notifies
before that it has changed every resource that is subscribed to.
"""

import json
import sys

HEARD = []
SUBSCRIBED = []
CAPABILITIES = {"resources": {"subscribe": True}, "tools": {}, "textDocumentSync": 1, "workspaceSymbolProvider": True}
GREETING = {"protocolVersion": "2025-06-18", "capabilities": CAPABILITIES, "serverInfo": {"name": "sharing", "version": "1"}}


def send(**message):
    text = json.dumps({"jsonrpc": "2.0", **message}).encode()
    if sys.argv[1] == "headers":
        text = b"Content-Length: %d\r\n\r\n" % len(text) + text
    else:
        text += b"\n"
    sys.stdout.buffer.write(text)
    sys.stdout.buffer.flush()


def messages():
    if sys.argv[1] != "headers":
        yield from map(json.loads, sys.stdin.buffer)
        return
    while header := sys.stdin.buffer.readline():
        sys.stdin.buffer.readline()
        yield json.loads(sys.stdin.buffer.read(int(header.split()[1])))


def answer(method, params):
    if method == "initialize":
        return GREETING
    if method == "resources/subscribe":
        SUBSCRIBED.append(params["uri"])
    elif method == "resources/unsubscribe":
        SUBSCRIBED.remove(params["uri"])
    elif method == "tools/call":
        for uri in SUBSCRIBED if params["name"] == "touch" else ():
            send(method="notifications/resources/updated", params={"uri": uri})
        return {"content": [{"type": "text", "text": ", ".join(HEARD)}]}
    elif method == "workspace/symbol":
        return HEARD
    return None if method == "shutdown" else {}


for message in messages():
    method, params = message["method"], message.get("params") or {}
    uri = params.get("uri") or params.get("textDocument", {}).get("uri", "")
    if method not in ("ping", "tools/call", "workspace/symbol"):
        HEARD.append(f"{method} {uri}".strip())
    if method == "exit":
        sys.exit(0)
    if "id" in message:
        send(id=message["id"], result=answer(method, params))
