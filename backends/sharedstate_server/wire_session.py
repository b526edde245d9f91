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
from sharedstate_server.wire import ATOMIC_SEND_BYTES, Refusal, Wire, pack_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sharedstate.backend import Argument, Command, Key, Reply, Script
    from sharedstate.sessions import Will
    from sharedstate_server.client import ServerBackend

_HANGUP: int = getattr(select, "POLLRDHUP", 0)

# What a command takes beside the bytes of its words, at the most.
_COMMAND_BYTES, _WORD_BYTES = 200, 16


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
        command = _bind_command(name, end, keys, arguments, keep, keep_every)
        try:
            self._exchange(command)
        except CommandError as refusal:
            if refusal.code != "NOSCRIPT":
                raise
            scripts = [end] if keep is None else [end, keep]
            self._exchange(*(("SCRIPT", "LOAD", script.body) for script in scripts))
            self._exchange(command)

    def bind_many(self, wills: Mapping[str, Will]) -> dict[str, CommandError]:
        refused: dict[str, CommandError] = {}
        batch: dict[str, Will] = {}
        room = ATOMIC_SEND_BYTES
        for name, will in wills.items():
            needed = _size_of(name, will)
            if needed > room and batch:
                refused |= self._bind_batch(batch)
                batch, room = {}, ATOMIC_SEND_BYTES
            batch[name] = will
            room -= needed
        if batch:
            refused |= self._bind_batch(batch)
        return refused

    def _bind_batch(self, wills: Mapping[str, Will]) -> dict[str, CommandError]:
        """Bind wills in one exchange, and in three if the store does not know a script."""
        refused = self._try_to_bind(wills)
        unknown = {
            name: wills[name]
            for name, refusal in refused.items()
            if refusal.code == "NOSCRIPT"
        }
        if not unknown:
            return refused
        scripts = [will.end for will in unknown.values()]
        scripts += [will.keep for will in unknown.values() if will.keep is not None]
        for script in {script.sha: script for script in scripts}.values():
            try:
                self._exchange(("SCRIPT", "LOAD", script.body))
            except CommandError as refusal:
                for name, will in unknown.items():
                    if script in (will.end, will.keep):
                        refused[name] = refusal
        for name in unknown:
            if refused[name].code == "NOSCRIPT":
                del refused[name]
        loaded = {name: will for name, will in unknown.items() if name not in refused}
        return refused | self._try_to_bind(loaded)

    def _try_to_bind(self, wills: Mapping[str, Will]) -> dict[str, CommandError]:
        commands = [
            _bind_command(
                name, will.end, will.keys, will.arguments, will.keep, will.keep_every
            )
            for name, will in wills.items()
        ]
        replies = self._replies(commands) if commands else []
        return {
            name: reply.to_error()
            for name, reply in zip(wills, replies, strict=True)
            if type(reply) is Refusal
        }

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
        """Send commands, and return the reply to the last. Raises the refusal of any, and
        what `_replies` raises.
        """
        replies = self._replies(commands)
        for reply in replies:
            if type(reply) is Refusal:
                raise reply.to_error()
        return replies[-1] if replies else None

    def _replies(self, commands: Sequence[Command]) -> list[Reply]:
        """Send commands, and return the reply to each; refusals stand in their places.

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
                return self._ask(wire, commands)
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
        wire = self._wire
        if wire is None:
            return
        # In this order: who finds it closed knows by whom.
        self.was_closed = self._pid == os.getpid()
        self._wire = None
        if self.was_closed:
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


def _bind_command(
    name: str,
    end: Script,
    keys: Sequence[Key],
    arguments: Sequence[Argument],
    keep: Script | None,
    keep_every: float | None,
) -> Command:
    keep_ms, keep_sha = 0, ""
    if keep is not None and keep_every is not None:
        keep_ms, keep_sha = max(1, round(keep_every * 1000)), keep.sha
    words = (name, keep_ms, end.sha, keep_sha, len(keys), *keys, *arguments)
    return ("SESSION", "BIND", *words)


def _size_of(name: str, will: Will) -> int:
    """How many bytes its command has at the most: four a character, and its frame."""
    words = (name, *will.keys, *will.arguments)
    lengths = (
        len(word) if isinstance(word, bytes) else 4 * len(str(word)) for word in words
    )
    return _COMMAND_BYTES + sum(_WORD_BYTES + length for length in lengths)


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
