"""`memory://`: the engine, called directly by the threads of one process.

No bytes travel, and a call costs about a microsecond. What travels on other backends is
still converted here as there: arguments to bytes, replies to the shapes of RESP2, so
that no caller can hold a part of the engine's own data.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Sequence

from sharedstate.backend import Backend, Watch
from sharedstate.errors import BackendError, CommandError, NotSupported, SharedStateError
from sharedstate_memory.replies import BLOCKED, NULL_ARRAY, ErrorReply, format_double
from sharedstate_memory.store import Store, Waiter, open_store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate.backend import (
        Argument,
        Capability,
        Command,
        Key,
        Reply,
        Script,
        Subscription,
    )
    from sharedstate.config import Settings
    from sharedstate_memory.session import Session

_CLOSED = "this backend was closed: connect again"
_ELSEWHERE = "memory:// lives in one process; use local:// to share with others"
_FORKED = f"this process was forked from the one that has the data: {_ELSEWHERE}"

_GONE = ErrorReply(b"ERR the backend was closed")
"""What those who wait are told when their backend is closed."""


class MemoryBackend(Backend):
    """An engine in this process: private, or shared by its name.

    Each thread has a session of its own. After a fork, the child's calls raise
    `BackendError`: it has a copy of the data, which nobody else would see change.
    """

    def __init__(self, settings: Settings) -> None:
        self.local_settings = settings
        """The settings by which this process, and no other, reaches the data."""
        self._refusal: str | None = None
        self._store: Store | None = open_store(settings.address.host)
        self._own = threading.local()
        self._waiters: set[Waiter] = set()
        self._subscriptions: weakref.WeakSet[Subscription] = weakref.WeakSet()
        _backends.add(self)

    @property
    def settings(self) -> Settings:
        raise NotSupported(f"no other process can reach this state: {_ELSEWHERE}")

    @property
    def capabilities(self) -> frozenset[Capability]:
        return frozenset()

    def execute(self, command: Command) -> Reply:
        own = self._own_session()
        argv = [word if type(word) is bytes else to_bytes(word) for word in command]
        reply = own.store.call(own.session, argv)
        kind = type(reply)
        if kind is bytes or kind is int or reply is None:
            return reply
        if reply is BLOCKED:
            # Only `wait_for` waits.
            own.store.give_up_wait(own.session)
            return None
        return result(reply)

    def execute_many(self, commands: Sequence[Command]) -> list[Reply]:
        own = self._own_session()
        replies = own.store.call_many(own.session, [to_words(each) for each in commands])
        return _without_refusals([to_resp2(reply) for reply in replies])

    def transact(
        self, commands: Sequence[Command], *, watching: Watch | None = None
    ) -> list[Reply] | None:
        if watching is not None:
            if not isinstance(watching, MemoryWatch):
                raise TypeError(f"expected a watch of this backend, got {watching!r}")
            with watching:
                own = watching.own
                return _transact(own.store, own.session, commands)
        own = self._own_session()
        return _transact(own.store, own.session, commands) if commands else []

    def run_script(
        self, script: Script, keys: Sequence[Key], arguments: Sequence[Argument] = ()
    ) -> Reply:
        own = self._own_session()
        argv = [b"EVALSHA", script.sha.encode(), b"%d" % len(keys)]
        argv += to_words(keys)
        argv += to_words(arguments)
        reply = own.store.call(own.session, argv)
        if isinstance(reply, ErrorReply) and reply.text.startswith(b"NOSCRIPT"):
            self.execute(("SCRIPT", "LOAD", script.body))
            reply = own.store.call(own.session, argv)
        kind = type(reply)
        return reply if kind is bytes or kind is int else result(reply)

    def watch(self, keys: Sequence[Key]) -> Watch:
        watch = MemoryWatch(_OwnSession(self._open_store()))
        watch.execute(("WATCH", *keys))
        return watch

    def wait_for(self, command: Command, timeout: float) -> Reply:
        if timeout <= 0:
            # In a transaction, nothing blocks.
            replies = self.transact([(*command, 0)])
            return replies[0] if replies else None
        argv = [*to_words(command), b"0"]
        waiter = Waiter(self._open_store())
        self._waiters.add(waiter)
        try:
            reply = waiter.wait(argv, timeout)
        finally:
            self._waiters.discard(waiter)
        if reply is _GONE:
            raise BackendError(_CLOSED)
        return result(reply)

    def subscribe(self, channels: Sequence[Key]) -> Subscription:
        from sharedstate_memory.subscription import MemorySubscription

        subscription = MemorySubscription(self._open_store(), to_words(channels))
        self._subscriptions.add(subscription)
        return subscription

    def close(self) -> None:
        """Let go of the data: it ends with the last backend that shares it. Those who
        wait get `BackendError`. Twice is fine.
        """
        self._refuse(_CLOSED)
        for waiter in tuple(self._waiters):
            waiter.end(_GONE)
        for subscription in tuple(self._subscriptions):
            subscription.close()

    def _own_session(self) -> _OwnSession:
        try:
            own: _OwnSession = self._own.session
        except AttributeError:
            own = self._own.session = _OwnSession(self._open_store())
        return own

    def _open_store(self) -> Store:
        store = self._store
        if store is None:
            raise BackendError(self._refusal)
        return store

    def _refuse(self, why: str) -> None:
        """Raise `BackendError` from now on, in every thread."""
        if self._refusal is None:
            self._refusal = why
        self._store = None
        self._own = threading.local()


class _OwnSession:
    """A session that is ended with this object: a thread's, or a watch's."""

    __slots__ = ("session", "store")

    def __init__(self, store: Store) -> None:
        self.store = store
        self.session: Session = store.open_session(_ignore)

    def __del__(self) -> None:
        session = getattr(self, "session", None)
        if session is not None:
            self.store.retire(session)


class MemoryWatch(Watch):
    """A session of its own, with keys under watch, until it was used or closed."""

    def __init__(self, own: _OwnSession) -> None:
        self._own: _OwnSession | None = own

    @property
    def own(self) -> _OwnSession:
        """The watching session. Raises `SharedStateError` when the watch is over."""
        if self._own is None:
            raise SharedStateError("a watch serves once: call watch() again")
        return self._own

    def execute(self, command: Command) -> Reply:
        own = self.own
        return result(own.store.call(own.session, to_words(command)))

    def close(self) -> None:
        self._own = None


def _transact(
    store: Store, session: Session, commands: Sequence[Command]
) -> list[Reply] | None:
    batch = [[b"MULTI"], *map(to_words, commands), [b"EXEC"]]
    replies = store.call_many(session, batch)
    _without_refusals([to_resp2(reply) for reply in replies[:-1]])
    results: list[Reply] | None = result(replies[-1])
    return None if results is None else _without_refusals(results)


def _ignore(reply: object) -> None:
    """Sessions of threads and watches get no message, and what they wait for is given up
    at once.
    """


# -- what would travel


def to_words(parts: Sequence[Argument]) -> list[bytes]:
    """Arguments as they would travel. Raises TypeError for what cannot."""
    return [part if type(part) is bytes else to_bytes(part) for part in parts]


def to_bytes(argument: Argument) -> bytes:
    """One argument as it would travel. Raises TypeError for what cannot."""
    if isinstance(argument, str):
        return argument.encode()
    if isinstance(argument, (int, float)) and not isinstance(argument, bool):
        return repr(argument).encode()
    if isinstance(argument, bytes):
        return bytes(argument)
    raise TypeError(f"expected bytes, str, int or float, got {argument!r}")


def result(reply: object) -> Reply:
    """A reply in the shapes of RESP2. Raises `CommandError` for an error."""
    converted = to_resp2(reply)
    if isinstance(converted, CommandError):
        raise converted
    return converted


def to_resp2(reply: object) -> Reply:
    """A reply of the engine's as a client would read it: error replies are exceptions."""
    if isinstance(reply, (bytes, int)):
        return bytes(reply) if isinstance(reply, bytes) else int(reply)
    if isinstance(reply, dict):
        return [to_resp2(part) for pair in reply.items() for part in pair]
    if isinstance(reply, (list, set)):
        return [part if type(part) is bytes else to_resp2(part) for part in reply]
    if isinstance(reply, ErrorReply):
        return CommandError.from_reply(reply.text.decode("utf-8", "replace"))
    if isinstance(reply, float):
        return format_double(reply)
    return None if reply is NULL_ARRAY else reply


def _without_refusals(replies: list[Reply]) -> list[Reply]:
    """The replies, if none of them is an error. Raises the first that is."""
    for reply in replies:
        if isinstance(reply, CommandError):
            raise reply
    return replies


# -- forks

_backends: weakref.WeakSet[MemoryBackend] = weakref.WeakSet()


def _refuse_in_child() -> None:
    for backend in tuple(_backends):
        backend._refuse(_FORKED)


os.register_at_fork(after_in_child=_refuse_in_child)
