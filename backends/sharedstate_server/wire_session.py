"""A session: the connection by whose end the server knows that this process has gone.

Closing it has the server run what is bound to it, so it is closed only when the process
means that. In particular it outlives interrupts and answers that come too late: each
exchange ends with a PING of a token of its own, and whatever comes before the reply to that
one belongs to exchanges that were given up. Scripts are loaded on the other connections,
so that what travels here is short, and a send takes it as a whole or not at all.
"""

from __future__ import annotations

import os
import select
import socket
import threading
from itertools import count

from sharedstate.backend import BackendSession, Capability
from sharedstate.errors import BackendError, BackendTimeout, CommandError, NotSupported
from sharedstate_server.timeouts import watch_peer
from sharedstate_server.wire import Refusal, Wire, pack_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sharedstate.backend import Argument, Command, Key, Reply, Script
    from sharedstate_server.client import ServerBackend

_HANGUP: int = getattr(select, "POLLRDHUP", 0)


class WireSession(BackendSession):
    """A session on a connection of its own, which `max_connections=` does not count: what a
    process holds must not depend on how busy it is.
    """

    def __init__(self, client: ServerBackend, wire: Wire, identity: str) -> None:
        # It keeps no backend alive: with the last user of that, this ends too.
        self._where = str(client.settings)
        self._wire: Wire | None = wire
        self._pid = os.getpid()
        self._tokens = count(1)
        self._begin()
        try:
            watch_peer(wire.sock)
            if identity:
                self._exchange(("SESSION", "IDENTIFY", identity))
        except BaseException:
            self.close()
            raise

    def _begin(self) -> None:
        self._lock = threading.RLock()
        self._is_inside = False

    # What is bound.

    def bind(
        self,
        name: str,
        *,
        end: Script,
        keys: Sequence[Key],
        arguments: Sequence[Argument] = (),
        keep: Script | None = None,
        keep_every: float | None = None,
    ) -> None:
        keep_ms, keep_sha = 0, ""
        if keep is not None and keep_every is not None:
            keep_ms, keep_sha = max(1, round(keep_every * 1000)), keep.sha
        words = (name, keep_ms, end.sha, keep_sha, len(keys), *keys, *arguments)
        command = ("SESSION", "BIND", *words)
        try:
            self._exchange(command)
        except CommandError as refusal:
            if refusal.code != "NOSCRIPT":
                raise
            scripts = [end] if keep is None else [end, keep]
            self._exchange(*(("SCRIPT", "LOAD", script.body) for script in scripts))
            self._exchange(command)

    def unbind(self, *names: str) -> None:
        if names:
            self._exchange(("SESSION", "UNBIND", *names))

    # Whether it is open.

    def is_open(self) -> bool:
        wire = self._wire
        return wire is not None and not _has_ended(wire.sock)

    def check(self) -> bool:
        try:
            self._exchange()
        except BackendTimeout:
            raise
        except BackendError:
            if self._wire is None:
                return False
            raise
        return True

    def _exchange(self, *commands: Command) -> Reply:
        """Send commands, and return the reply to the last. Raises the refusal of any.

        Raises `BackendTimeout` if no answer came in time, and other `BackendError`s when
        the session is broken.
        """
        with self._lock:
            wire = self._wire
            if wire is None or self._pid != os.getpid():
                raise self._ended("it was closed, broke, or belongs to the parent process")
            if self._is_inside:
                raise BackendError(
                    "this session cannot be used by a signal handler (or a finalizer) that "
                    "comes in the middle of a call of its own thread: nothing was done"
                )
            self._is_inside = True
            try:
                replies = self._ask(wire, commands)
            except (BlockingIOError, TimeoutError) as error:
                raise BackendTimeout(
                    f"the server at {self._where} did not answer in time on the connection "
                    f"of this process's session, which goes on"
                ) from error
            except OSError as error:
                self._wire = None
                wire.close()
                raise self._ended(f"its connection broke ({error})") from error
            finally:
                self._is_inside = False
        for reply in replies:
            if type(reply) is Refusal:
                raise reply.to_error()
        return replies[-1] if replies else None

    def _ask(self, wire: Wire, commands: Sequence[Command]) -> list[Reply]:
        """Send commands and a token, and read until it comes back."""
        token = b"%d" % next(self._tokens)
        wire.sock.sendall(pack_all((*commands, ("PING", token))))
        replies: list[Reply] = []
        while (reply := wire.read_reply()) != token:
            replies.append(reply)
        # Others before these were owed to exchanges that were given up.
        return replies[len(replies) - len(commands) :]

    def _ended(self, reason: str) -> BackendError:
        return BackendError(f"the session on {self._where} has ended: {reason}")

    # The end.

    def close(self) -> None:
        wire, self._wire = self._wire, None
        if wire is None:
            return
        if self._pid == os.getpid():
            wire.abort()
        else:
            wire.close()

    def forget(self) -> None:
        """In a forked child: close our copy of the parent's socket without a word."""
        wire, self._wire = self._wire, None
        self._begin()
        if wire is not None:
            wire.close()

    def __repr__(self) -> str:
        return f"<WireSession on {self._where}>"


def require_sessions(client: ServerBackend) -> None:
    """Raise `NotSupported` if the server, or its user, has no sessions."""
    if Capability.SESSIONS not in client.capabilities:
        raise NotSupported(
            f"{client.settings} has no sessions (Capability.SESSIONS): the built-in server "
            f"has them, for users who may call SESSION and PING"
        )


def _has_ended(sock: socket.socket) -> bool:
    """Whether the server has closed its side. Answers that came too late may lie there, and
    must not hide it.
    """
    if _HANGUP:
        poll = select.poll()
        try:
            poll.register(sock, _HANGUP)
            return bool(poll.poll(0))
        except (OSError, ValueError):
            return True  # Another thread has just closed it.
    try:
        return not sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True
