"""Time-outs of sockets, kept by the kernel (SO_RCVTIMEO, SO_SNDTIMEO, keepalive).

Python's own cost another system call for every read.
"""

from __future__ import annotations

import socket
import struct

PROBE_SECONDS = 5
PROBES = 3
"""A peer that says nothing for so long is asked; so many answers may be missing."""


def set_timeouts(sock: socket.socket, seconds: float) -> None:
    """The longest wait for a blocking socket, in either direction, connecting included.

    A call that takes longer raises `BlockingIOError`. `seconds` must be positive.
    """
    whole = int(seconds)
    value = struct.pack("ll", whole, max(1, int((seconds - whole) * 1e6)))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, value)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, value)


def watch_peer(sock: socket.socket) -> None:
    """Let the kernel end a TCP connection whose peer's machine has gone: within about 20 s.
    The peer of a Unix socket cannot go unnoticed.
    """
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    # Not every system has all of them. The last is for data that nobody confirms, during
    # which nothing else is asked.
    for name, value in (
        ("TCP_KEEPIDLE", PROBE_SECONDS),
        ("TCP_KEEPINTVL", PROBE_SECONDS),
        ("TCP_KEEPCNT", PROBES),
        ("TCP_USER_TIMEOUT", 1000 * PROBE_SECONDS * (PROBES + 1)),
    ):
        option = getattr(socket, name, None)
        if option is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
