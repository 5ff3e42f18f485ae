"""A Bluetooth peer without cpns: it advertises like a PNE and misbehaves on the channels that are opened to it, or opens channels to a
PNE. Python's sockets do not support LE addresses, so a few calls use the C library."""

import ctypes
import errno
import os
import select
import socket
import struct
import subprocess
import threading

from support.process import LIBC

AF_BLUETOOTH, SOL_BLUETOOTH, BT_RCVMTU, LE_PUBLIC = 31, 274, 13, 1
SERVICE = "7e0a97b7-cceb-4e7e-92c0-7edc50edc70e"
PSM = 0xC5


def _address(bdaddr: str, psm: int) -> bytes:
    return struct.pack("<HH6sHB1x", AF_BLUETOOTH, psm, bytes.fromhex(bdaddr.replace(":", ""))[::-1], 0, LE_PUBLIC)


def _call(name: str, *args):
    result = getattr(LIBC, name)(*args)
    if result < 0 and ctypes.get_errno() != errno.EINPROGRESS:
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")
    return result


def channel(bdaddr: str, psm: int) -> int:
    """A bound L2CAP socket."""
    fd = socket.socket(AF_BLUETOOTH, socket.SOCK_SEQPACKET, 0).detach()
    address = _address(bdaddr, psm)
    _call("bind", fd, address, len(address))
    mtu = ctypes.c_uint16(1026)
    _call("setsockopt", fd, SOL_BLUETOOTH, BT_RCVMTU, ctypes.byref(mtu), 2)
    return fd


def dial(own: str, peer: str) -> int:
    fd = channel(own, 0)
    address = _address(peer, PSM)
    _call("connect", fd, address, len(address))
    return fd


def advertise(index: int, tag: int):
    """Advertises until the adapter is switched off."""
    made = f"09ffffff4350{0x11:02x}{PSM:02x}{tag:04x}"
    # btmgmt ends at the end of its standard input, even if it has not finished.
    with subprocess.Popen(["btmgmt", "--index", str(index), "add-adv", "-c", "-g", "-u", SERVICE, "-d", made, "1"],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.PIPE, text=True) as btmgmt:
        output = btmgmt.stdout.read()
    if "Instance added" not in output:
        raise AssertionError(f"btmgmt cannot advertise: {output}")


class FalsePne(threading.Thread):
    """Accepts channels and calls `treat(fd)` for each, one after the other; `taken` counts them."""

    def __init__(self, index: int, own: str, treat):
        super().__init__(daemon=True)
        self.treat, self.taken, self.over = treat, 0, False
        advertise(index, 1)
        self.listener = channel(own, PSM)
        _call("listen", self.listener, 4)
        self.start()

    def run(self):
        while not self.over:
            if not select.select([self.listener], [], [], 0.2)[0]:
                continue
            fd = _call("accept", self.listener, None, None)
            self.taken += 1
            try:
                self.treat(fd)
            except OSError:
                pass
            os.close(fd)

    def stop(self):
        """Call after the adapter was switched off, which ends the channels."""
        self.over = True
        self.join(20)
        os.close(self.listener)
