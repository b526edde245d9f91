"""Listening sockets: Unix ones that only their user may open, and TCP ones."""

from __future__ import annotations

import errno
import os
import socket
import stat

from sharedstate_server.folders import LOCK_SECONDS, FileLock

BACKLOG = 511

_EVERY_ADDRESS = {"*": "0.0.0.0", "::*": "::"}

# The kernel takes no longer times, and refuses them.
_KEEPALIVE_MOST_SECONDS = 32767

# Unanswered, so many probes mean that the other side has gone.
_KEEPALIVE_PROBES = 3

# sun_path has 108 bytes on Linux and 104 elsewhere, the final zero included; and a
# socket has a name longer by one while it is made.
UNIX_PATH_BYTES = 102


# At the end of a Unix socket's name while it is made.
_UNNAMED = b"~"


def fits_unix_socket(path: str) -> bool:
    """Whether a Unix socket can have this path."""
    return len(os.fsencode(path)) <= UNIX_PATH_BYTES


def bind_unix(path: str, mode: int = 0o600, backlog: int = BACKLOG) -> socket.socket:
    """A listening Unix socket, which only this user may open unless `mode` says otherwise.

    The socket that a dead server left in its place is replaced. Raises `OSError` if a
    live one listens there, or if what is there is no socket.

    The socket listens before it gets its name, so that whoever finds it can connect. The
    lock of `PATH.lock` keeps those apart who do this for one path at the same time.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    temporary = path + _UNNAMED.decode()
    try:
        with FileLock(f"{path}.lock") as lock:
            if not lock.take(LOCK_SECONDS):
                raise OSError(errno.EAGAIN, f"another program is taking {path}")
            _refuse_if_taken(path)
            unlink_socket(temporary)
            listener.bind(temporary)
            os.chmod(temporary, mode)
            listener.listen(backlog)
            os.rename(temporary, path)
    except BaseException:
        listener.close()
        raise
    return listener


def _refuse_if_taken(path: str) -> None:
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OSError(
            errno.EEXIST, f"cannot listen on {path}: there is a file of that name"
        )
    if answers(path):
        raise OSError(errno.EADDRINUSE, f"cannot listen on {path}: a server does already")


def identify(path: str) -> tuple[int, int]:
    """What tells one file of a name from the next."""
    status = os.stat(path)
    return status.st_dev, status.st_ino


def unlink_socket(path: str, identity: tuple[int, int] | None = None) -> None:
    """Remove a socket from its folder, if it is (still) this one; fine if it has gone."""
    try:
        if identity is None or identify(path) == identity:
            os.unlink(path)
    except FileNotFoundError:
        return


def answers(path: str) -> bool:
    """Whether a live server listens on the socket at `path`. Does not wait."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        # Anything but a plain refusal (a full queue, say) is a sign of life.
        return probe.connect_ex(path) not in (errno.ECONNREFUSED, errno.ENOENT)


def bind_tcp(host: str, port: int, backlog: int = BACKLOG) -> socket.socket:
    """A listening TCP socket. `*` is every IPv4 address and `::*` every IPv6 one. Raises
    `OSError` that names the address.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # The IPv4 addresses have sockets of their own.
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((_EVERY_ADDRESS.get(host, host), port))
        listener.listen(backlog)
    except OSError as error:
        listener.close()
        raise OSError(
            error.errno, f"cannot listen on {host}:{port}: {error.strerror}"
        ) from error
    return listener


def keep_alive(sock: socket.socket, seconds: int) -> None:
    """Let the kernel find out within twice so many seconds that the other machine has
    gone; within half a day at the longest.
    """
    seconds = min(seconds, _KEEPALIVE_MOST_SECONDS)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, seconds)
        between = max(1, seconds // _KEEPALIVE_PROBES)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, between)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _KEEPALIVE_PROBES)


def peer_name(sock: socket.socket, address: object) -> bytes:
    """Who is at the other end, as CLIENT LIST tells it: `address:port`, or `path:0`.

    `address` is what `accept` told: the client may have gone since.
    """
    if sock.family == socket.AF_UNIX:
        # It was bound under another name than it has since (`bind_unix`).
        return os.fsencode(sock.getsockname()).removesuffix(_UNNAMED) + b":0"
    assert isinstance(address, tuple)
    host, port = address[:2]
    return f"[{host}]:{port}".encode() if ":" in host else f"{host}:{port}".encode()


def own_name(sock: socket.socket) -> bytes:
    """Our end of a connection, in the same form; `?:0` if it has gone already."""
    try:
        address = sock.getsockname()
    except OSError:
        return b"?:0"
    return peer_name(sock, address)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    return host in ("localhost", "::1") or host.startswith("127.")
