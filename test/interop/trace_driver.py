"""Plays the steps of a trace parity scenario on the kernel: one process, sockets in several namespaces.

usage: trace_driver.py TRACING STEPS, where TRACING is a tracefs instance and STEPS a JSON file.
Prints the results of the steps as JSON.
"""
import ctypes
import json
import os
import socket
import sys
import time

CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)
tracing, steps = sys.argv[1], json.load(open(sys.argv[2]))
sockets = {}
results = []


def enter(name):
    fd = os.open("/run/netns/" + name, os.O_RDONLY)
    if libc.setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")
    os.close(fd)


def play(step):
    kind = step["do"]
    if kind == "socket":
        enter(step["netns"])
        made = socket.socket(socket.AF_INET, step["type"], step["protocol"])
        made.setblocking(False)
        sockets[step["id"]] = made
        return 0
    if kind == "sleep":
        time.sleep(step["ms"] / 1000)
        return 0
    sock = sockets[step["id"]]
    if kind == "bind":
        sock.bind((step["addr"], step["port"]))
    elif kind == "listen":
        sock.listen(8)
    elif kind == "connect":
        return sock.connect_ex((step["addr"], step["port"]))
    elif kind == "accept":
        sockets[step["as"]], _ = sock.accept()
        sockets[step["as"]].setblocking(False)
    elif kind == "send":
        return sock.send(bytes.fromhex(step["hex"]))
    elif kind == "sendto":
        return sock.sendto(bytes.fromhex(step["hex"]), (step["addr"], step["port"]))
    elif kind == "recv":
        return len(sock.recv(65536))
    elif kind == "setsockopt":
        value = step["value"]
        sock.setsockopt(step["level"], step["name"], value.encode() if isinstance(value, str) else value)
    elif kind == "abort":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        sock.close()
    elif kind == "close":
        sock.close()
    return 0


marker = os.open(tracing + "/trace_marker", os.O_WRONLY)
for step in steps:
    if step["do"] == "mark":
        os.write(marker, step["text"].encode())
        continue
    try:
        results.append(play(step))
    except OSError as error:
        results.append(-error.errno)
print(json.dumps({"pid": os.getpid(), "results": results}))
