"""The session of this process on a store: what happens there when the process is gone.

A process keeps one connection open to each store that can tell its end
(`Capability.SESSIONS`), and leaves a *will* there for each thing that it may come to hold:
a script that frees it when the process is gone, and one that keeps it alive meanwhile, so
that a process that cannot run Python for a minute does not lose what it has.

    session_of(backend) ─► ProcessSession ── ensure(name, will) ─► bound, once a name
                                │
                                └─ the connection broke ─► opened anew, all bound again

`ensure` is called before each acquisition, and costs a look into a dict (0.2 µs). Now and
then, and at least every `LOOK_SECONDS` while it is called, it looks at the socket as well.

What a session may have bound is bounded by the store. So when there are more than
`MOST_BOUND` names, those are unbound that nobody has asked for during the last
`FRESH_SECONDS`, and that nobody uses (`ProcessSession.is_idle`).

    Invariant: after `ensure`, the name is bound for `FRESH_SECONDS`, and longer if it is
    not idle by then, as long as the connection is open.

A session belongs to its process. A forked child has none of its parent's: it closes its
copies of the sockets without a word, and `session_of` makes a session of its own.
"""

from __future__ import annotations

import os
import threading
import weakref
from dataclasses import dataclass
from itertools import count
from time import monotonic, sleep
from typing import TYPE_CHECKING

from sharedstate.backend import Capability, SupportsSessions
from sharedstate.errors import BackendError, NotSupported

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sharedstate.backend import Argument, Backend, BackendSession, Key, Script

MOST_BOUND = 4096
"""So many names may be bound before those that nobody uses are unbound."""

FRESH_SECONDS = 30.0
"""A name that was asked for in this time is not unbound."""

LOOK_SECONDS = 0.1
"""How long `ensure` trusts the connection to be open without looking at it."""

UNBIND_AGAIN_SECONDS = 0.5
"""How long to wait before trying again to unbind what must not be kept."""

# So many names are unbound at once, at the most: they travel in one command.
_UNBOUND_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Will:
    """What the store does for a process: `end` when it is gone, and `keep` every
    `keep_every` seconds while it is there. Both scripts get the same keys and arguments.
    """

    end: Script
    keys: Sequence[Key]
    arguments: Sequence[Argument] = ()
    keep: Script | None = None
    keep_every: float | None = None


class _Bound:
    """A name that is bound: its will, and when it was last asked for."""

    __slots__ = ("is_leaving", "used_at", "will")

    def __init__(self, will: Will, used_at: float) -> None:
        self.will = will
        self.used_at = used_at
        self.is_leaving = False


class ProcessSession:
    """The session of this process for one backend. See `session_of`.

    `tag` is what everything of this session on the store begins with: unique to it, and no
    beginning of another one's. Its users may set `is_idle`, which says of a name whether
    nothing that is held, or waited for, needs its will.

    `generation` counts how often the connection was opened. It is opened anew for whoever
    asks next, so that who wants to know whether it has been open since some moment keeps
    the generation of that moment, and asks `is_open_since`.
    """

    def __init__(self, backend: Backend) -> None:
        from sharedstate.identity import process_salt

        self.tag = f"{process_salt()}{next(_serials):x}."
        self.generation = 0
        self.is_idle: Callable[[str], bool] = _is_never_idle
        self._backend = weakref.ref(backend)
        self._lock = threading.RLock()
        self._session: BackendSession | None = None
        self.editions: dict[str, int] = {}
        self._bound: dict[str, _Bound] = {}
        # Names that are to be bound again, in a connection that has just been opened.
        self._unsettled: dict[str, None] = {}
        # Up to when the connection is taken for open, in monotonic seconds.
        self._trusted_until = 0.0
        self._review_at = MOST_BOUND

    def ensure(self, name: str, will: Will) -> None:
        """Let the will of this name be bound. No round trip if it is; else one.

        The will of a name never changes. Raises `BackendError` if it cannot be bound.
        """
        now = monotonic()
        bound = self._bound.get(name)
        if bound is not None and now < self._trusted_until:
            # In this order, and the other in `_unbind_idle`: one of us sees the other.
            bound.used_at = now
            if not bound.is_leaving:
                return
        with self._lock:
            session = self._open()
            bound = self._bound.get(name)
            if bound is not None:
                bound.used_at = now
                return
            _bind(session, name, will)
            self._bound[name] = _Bound(will, now)
            if len(self._bound) > self._review_at:
                self._unbind_idle(session)

    def renounce(self, group: str) -> None:
        """Let nothing be kept, from soon on, by the wills of a group: of names that have
        `group` in them. No round trip here.

        For what may have been granted unknown to us. `editions` counts how often that was
        for each group: who binds a will later has to bind it under another name, for
        another tag.
        """
        self.editions[group] = self.editions.get(group, 0) + 1
        with self._lock:
            names = [name for name in self._bound if group in name]
            for name in names:
                del self._bound[name]
                self._unsettled.pop(name, None)
            session = self._session
        if names and session is not None:
            threading.Thread(
                target=_unbind,
                args=(session, names),
                name="sharedstate-unbind",
                daemon=True,
            ).start()

    def is_open(self) -> bool:
        """Whether the connection is open, as far as this side knows. No round trip."""
        session = self._session
        return session is not None and session.is_open()

    def is_open_since(self, generation: int) -> bool:
        """Whether the connection is open, and the same as it was then. No round trip."""
        # In this order: it may be opened anew in between.
        return self.is_open() and self.generation == generation

    def verify(self) -> bool:
        """Whether the connection has been open since the last call that bound or verified
        anything, by the store's word.

        If it has not, or there was none, it is opened anew and everything bound again. One
        round trip; two and one for each name then. Raises `BackendError` if there is no
        answer.
        """
        with self._lock:
            session = self._session
            if session is not None and session.check():
                return True
            self._session = None
            self._open()
            return False

    def close(self) -> None:
        """Close the connection: the store runs the ends. `ensure` opens another."""
        with self._lock:
            session, self._session = self._session, None
            self._bound.clear()
            self._unsettled.clear()
            self._trusted_until = 0.0
            if session is not None:
                session.close()

    def _begin_without(self) -> None:
        """In a forked child: nothing is bound, and no thread is at it."""
        self._lock = threading.RLock()
        self._session = None
        self._bound.clear()
        self._unsettled.clear()
        self._trusted_until = 0.0

    def __repr__(self) -> str:
        return f"<ProcessSession {self.tag} of {self._backend()!r}>"

    def _open(self) -> BackendSession:
        """The open connection, to which everything that is known is bound."""
        session = self._session
        if session is None or not session.is_open():
            self._trusted_until = 0.0
            session = open_session(self._existing_backend(), self.tag)
            self.generation += 1
            self._session = session
            self._forget_idle()
            self._unsettled = dict.fromkeys(self._bound)
        # Whatever fails here, the connection stays: to close it would end what it has.
        while self._unsettled:
            name = next(iter(self._unsettled))
            _bind(session, name, self._bound[name].will)
            del self._unsettled[name]
        self._trusted_until = monotonic() + LOOK_SECONDS
        return session

    def _forget_idle(self) -> None:
        """Forget names that need not be bound again."""
        oldest = monotonic() - FRESH_SECONDS
        for name, bound in list(self._bound.items()):
            if bound.used_at < oldest and self.is_idle(name):
                del self._bound[name]

    def _existing_backend(self) -> Backend:
        backend = self._backend()
        if backend is None or _sessions.get(id(backend)) is not self:
            raise BackendError(
                "this session has ended: its backend was dropped, or it belongs to the "
                "process that forked this one. Ask for it with session_of"
            )
        return backend

    def _unbind_idle(self, session: BackendSession) -> None:
        """Unbind names that nobody uses, those first that were not used for the longest."""
        oldest = monotonic() - FRESH_SECONDS
        idle = [
            (bound.used_at, name)
            for name, bound in self._bound.items()
            if bound.used_at < oldest and self.is_idle(name)
        ]
        leaving = []
        for _, name in sorted(idle)[:_UNBOUND_AT_ONCE]:
            bound = self._bound[name]
            bound.is_leaving = True
            # Somebody may have come who did not see that.
            if bound.used_at >= oldest or not self.is_idle(name):
                bound.is_leaving = False
            else:
                del self._bound[name]
                leaving.append(name)
        if leaving:
            session.unbind(*leaving)
        # If all are in use, it is not asked each time.
        self._review_at = max(MOST_BOUND, len(self._bound) + _UNBOUND_AT_ONCE)


def open_session(backend: Backend, identity: str = "") -> BackendSession:
    """Open a session on a backend, as `SupportsSessions` has it. Raises `NotSupported`."""
    if not isinstance(backend, SupportsSessions) or not _has_sessions(backend):
        raise NotSupported(
            f"{type(backend).__name__} has no sessions (Capability.SESSIONS): local:// and "
            f"server:// have them"
        )
    return backend.open_session(identity)


_serials = count(1)

# By the backend's id, for a look-up in a WeakKeyDictionary takes four times as long. None
# stands for a backend that has no sessions.
_sessions: dict[int, ProcessSession | None] = {}
_references: dict[int, weakref.ref[Backend]] = {}
_making = threading.RLock()
_ABSENT: ProcessSession = object.__new__(ProcessSession)


def session_of(backend: Backend) -> ProcessSession | None:
    """The session of this process on a backend; None if the backend has no sessions.

    One for each backend, made when it is first asked for, and gone with the backend. The
    first call may cost a round trip, for the backend's capabilities; no other does.
    """
    session = _sessions.get(id(backend), _ABSENT)
    return _make(backend) if session is _ABSENT else session


def _make(backend: Backend) -> ProcessSession | None:
    has_sessions = _has_sessions(backend)
    key = id(backend)
    with _making:
        if key not in _sessions:

            def forget(reference: weakref.ref[Backend]) -> None:
                if _references.get(key) is reference:
                    del _references[key]
                    _sessions.pop(key, None)

            _references[key] = weakref.ref(backend, forget)
            _sessions[key] = ProcessSession(backend) if has_sessions else None
        return _sessions[key]


def _has_sessions(backend: Backend) -> bool:
    able = isinstance(backend, SupportsSessions)
    return able and Capability.SESSIONS in backend.capabilities


def _bind(session: BackendSession, name: str, will: Will) -> None:
    session.bind(
        name,
        end=will.end,
        keys=will.keys,
        arguments=will.arguments,
        keep=will.keep,
        keep_every=will.keep_every,
    )


def _unbind(session: BackendSession, names: Sequence[str]) -> None:
    """Unbind names, for as long as it takes: while the session is open, it would keep."""
    while session.is_open():
        try:
            session.unbind(*names)
        except BackendError:
            sleep(UNBIND_AGAIN_SECONDS)
        else:
            return


def _is_never_idle(name: str) -> bool:
    return False


def _begin_anew() -> None:
    """In a forked child: the parent's sessions are not ours. Who kept one finds it over."""
    global _making
    _making = threading.RLock()
    for session in _sessions.values():
        if session is not None:
            session._begin_without()
    _sessions.clear()
    _references.clear()


os.register_at_fork(after_in_child=_begin_anew)
