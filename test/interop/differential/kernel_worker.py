"""Plays cases of the differential tests on the real kernel, each in a network namespace of its own.

Reads one case a line as JSON ({"steps": [...], "settle": ms}) and answers each with a line:
a list with the result of each step. A namespace ends when the next case enters its own.
"""
import ctypes
import fcntl
import json
import os
import struct
import subprocess
import sys
import time

CLONE_NEWNET = 0x40000000
TUNSETIFF = 0x400454CA
IFF_TAP_NO_PI = 0x1002
FRAME_SIZE = 70000
libc = ctypes.CDLL(None, use_errno=True)


class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]


class Msghdr(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_void_p),
        ("namelen", ctypes.c_uint),
        ("iov", ctypes.c_void_p),
        ("iovlen", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("controllen", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    ]


def call(name, *args):
    result = getattr(libc, name)(*args)
    return -ctypes.get_errno() if result < 0 else result


def octets(text):
    return None if text is None else bytes.fromhex(text)


def tap(name):
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP_NO_PI))
    return fd


def write_setting(name, value):
    try:
        with open("/proc/sys/" + name.replace(".", "/"), "w") as file:
            file.write(value)
        return 0
    except OSError as error:
        return -error.errno


class Player:
    def __init__(self, case):
        self.settle = case.get("settle", 0) / 1000
        self.taps = {}
        self.fds = {}

    def frames(self):
        if self.settle > 0:
            time.sleep(self.settle)
        out = []
        for name, fd in self.taps.items():
            while True:
                try:
                    out.append([name, os.read(fd, FRAME_SIZE).hex()])
                except BlockingIOError:
                    break
                except OSError:
                    break
        return out

    def play(self, step):
        result = getattr(self, "do_" + step[0])(*step[1:])
        return [result, self.frames()]

    def do_tap(self, name):
        self.taps[name] = tap(name)
        return 0

    def do_frame(self, name, text):
        try:
            return os.write(self.taps.get(name, 9999), bytes.fromhex(text))
        except OSError as error:
            return -error.errno

    def do_sleep(self, ms):
        time.sleep(ms / 1000)
        return 0

    def do_sysctl(self, name, value):
        return write_setting(name, value)

    def do_ip(self, *lines):
        text = "\n".join(lines) + "\n"
        done = subprocess.run(["ip", "-batch", "-"], input=text, capture_output=True, text=True)
        return [done.returncode, done.stdout]

    def do_read(self, path):
        with open(path) as file:
            return file.read()

    def do_socket(self, slot, family, kind, protocol):
        fd = call("socket", family, kind | os.O_NONBLOCK, protocol)
        if fd >= 0:
            self.fds[slot] = fd
        return min(fd, 0)

    def fd(self, slot):
        return self.fds.get(slot, 9999)

    def do_bind(self, slot, addr):
        addr = octets(addr)
        return call("bind", self.fd(slot), addr, len(addr))

    def do_connect(self, slot, addr):
        addr = octets(addr)
        return call("connect", self.fd(slot), addr, len(addr))

    def do_listen(self, slot, backlog):
        return call("listen", self.fd(slot), backlog)

    def do_accept(self, slot, new, size):
        room, length = self.room(size)
        fd = call("accept4", self.fd(slot), room, ctypes.byref(length), os.O_NONBLOCK)
        if fd < 0:
            return [fd]
        self.fds[new] = fd
        return [0, length.value, room.raw[:size].hex()]

    def room(self, size):
        return ctypes.create_string_buffer(b"\xaa" * size, size), ctypes.c_uint(size)

    def named(self, name, slot, size):
        room, length = self.room(size)
        err = call(name, self.fd(slot), room, ctypes.byref(length))
        return [err] if err < 0 else [length.value, room.raw[:size].hex()]

    def do_getsockname(self, slot, size):
        return self.named("getsockname", slot, size)

    def do_getpeername(self, slot, size):
        return self.named("getpeername", slot, size)

    def do_setsockopt(self, slot, level, name, value):
        value = octets(value)
        return call("setsockopt", self.fd(slot), level, name, value, len(value))

    def do_getsockopt(self, slot, level, name, size):
        room, length = self.room(size)
        err = call("getsockopt", self.fd(slot), level, name, room, ctypes.byref(length))
        return [err] if err < 0 else [length.value, room.raw[:size].hex()]

    def do_shutdown(self, slot, how):
        return call("shutdown", self.fd(slot), how)

    def do_close(self, slot):
        return call("close", self.fds.pop(slot, 9999))

    def do_ioctl(self, slot, request, value):
        room = ctypes.create_string_buffer(octets(value), len(value) // 2)
        err = call("ioctl", self.fd(slot), ctypes.c_ulong(request), room)
        return [err, room.raw.hex()]

    def message(self, data, name, control):
        iov = Iovec(ctypes.addressof(data), len(data))
        msg = Msghdr(
            ctypes.addressof(name) if name is not None else None,
            len(name) if name is not None else 0,
            ctypes.addressof(iov),
            1,
            ctypes.addressof(control) if control is not None else None,
            len(control) if control is not None else 0,
            0,
        )
        return msg, iov

    def do_sendmsg(self, slot, data, flags, name, control):
        def buffer(text):
            return None if text is None else ctypes.create_string_buffer(octets(text), len(text) // 2)

        parts = buffer(data), buffer(name), buffer(control)
        msg, _iov = self.message(*parts)
        return call("sendmsg", self.fd(slot), ctypes.byref(msg), flags)

    def do_recvmsg(self, slot, size, namelen, controllen, flags):
        def buffer(length):
            return ctypes.create_string_buffer(b"\xaa" * length, length) if length > 0 else None

        data = ctypes.create_string_buffer(b"\xaa" * size, size)
        name, control = buffer(namelen), buffer(controllen)
        msg, _iov = self.message(data, name, control)
        got = call("recvmsg", self.fd(slot), ctypes.byref(msg), flags)
        if got < 0:
            return [got]
        return [
            got,
            data.raw[: min(got, size)].hex(),
            msg.namelen,
            name.raw[: min(msg.namelen, namelen)].hex() if name is not None else "",
            control.raw[: msg.controllen].hex() if control is not None else "",
            msg.flags,
        ]

    def close(self):
        for fd in [*self.fds.values(), *self.taps.values()]:
            os.close(fd)


def main():
    for line in sys.stdin:
        case = json.loads(line)
        if libc.unshare(CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "unshare")
        for path in ("all", "default"):
            write_setting(f"net.ipv6.conf.{path}.disable_ipv6", "1")
        player = Player(case)
        try:
            print(json.dumps([player.play(step) for step in case["steps"]]), flush=True)
        finally:
            player.close()


main()
