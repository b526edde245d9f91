"""Listening sockets: Unix ones that only their user may open, and TCP ones."""

from __future__ import annotations

import errno
import os
import socket

BACKLOG = 511

# sun_path has 108 bytes on Linux and 104 elsewhere, the final zero included.
UNIX_PATH_BYTES = 103


def fits_unix_socket(path: str) -> bool:
    """Whether a Unix socket can have this path."""
    return len(os.fsencode(path)) <= UNIX_PATH_BYTES


def bind_unix(path: str) -> socket.socket:
    """A listening Unix socket that only this user may open (mode 0600).

    The socket that a dead server left in its place is removed. Raises `OSError` if a
    live one listens there.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _bind_or_replace(listener, path)
        # Nobody can connect before `listen`, so the mode is right in time.
        os.chmod(path, 0o600)
        listener.listen(BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


def _bind_or_replace(listener: socket.socket, path: str) -> None:
    try:
        listener.bind(path)
    except OSError as error:
        if error.errno != errno.EADDRINUSE or _answers(path):
            raise OSError(
                error.errno, f"cannot listen on {path}: {error.strerror}"
            ) from error
        os.unlink(path)
        listener.bind(path)


def unlink_socket(path: str) -> None:
    """Remove a socket from its folder; fine if it has gone."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


def bind_tcp(host: str, port: int) -> socket.socket:
    """A listening TCP socket. Raises `OSError` that names the address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise OSError(error.errno, f"cannot listen on {host}:{port}: {error}") from error
    return listener


def keep_alive(sock: socket.socket, seconds: int) -> None:
    """Let the kernel find out when the other machine has gone."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, seconds)


def peer_name(sock: socket.socket) -> str:
    """Who is at the other end, as CLIENT LIST tells it: `address:port`, or `path:0`."""
    if sock.family == socket.AF_UNIX:
        return f"{sock.getsockname()}:0"
    host, port = sock.getpeername()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    return host in ("localhost", "::1") or host.startswith("127.")


def _answers(path: str) -> bool:
    """Whether a live server listens on the socket at `path`."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(path) == 0
