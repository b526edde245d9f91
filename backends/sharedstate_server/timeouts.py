"""Time-outs of sockets, kept by the kernel (SO_RCVTIMEO, SO_SNDTIMEO).

Python's own cost another system call for every read.
"""

from __future__ import annotations

import socket
import struct


def set_timeouts(sock: socket.socket, seconds: float) -> None:
    """The longest wait for a blocking socket, in either direction, connecting included.

    A call that takes longer raises `BlockingIOError`. `seconds` must be positive.
    """
    whole = int(seconds)
    value = struct.pack("ll", whole, max(1, int((seconds - whole) * 1e6)))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, value)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, value)
