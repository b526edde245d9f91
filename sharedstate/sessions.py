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

What may have been granted unknown to us must not be kept for ever. So its wills are
renounced (`renounce`): each is unbound as soon as nothing needs it that is known to be
held.

A session belongs to its process. A forked child has none of its parent's: it closes its
copies of the sockets without a word, and `session_of` makes a session of its own.
"""

from __future__ import annotations

import os
import threading
import weakref
from contextlib import suppress
from itertools import count
from time import monotonic, sleep
from typing import TYPE_CHECKING

from sharedstate.backend import Capability, SupportsSessions
from sharedstate.errors import BackendError, CommandError, NotSupported
from sharedstate.log import get_logger
from sharedstate.session_names import AT_ONCE, BoundNames, Will

__all__ = ["ProcessSession", "Will", "open_session", "session_of"]

if TYPE_CHECKING:
    from collections.abc import Callable

    from sharedstate.backend import Backend, BackendSession

MOST_BOUND = 4096
"""So many names may be bound before those that nobody uses are unbound."""

FRESH_SECONDS = 1.0
"""A name that was asked for in this time is not unbound: who asked may be about to acquire,
and not be known yet as one who uses it."""

LOOK_SECONDS = 0.1
"""How long `ensure` trusts the connection to be open without looking at it."""

UNBIND_AGAIN_SECONDS = 0.5
"""How often it is looked whether what was renounced can be unbound."""


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
        self.editions: dict[str, int] = {}
        self._has_warned = False
        # The last generation whose connection this process has closed itself.
        self._closed = -1
        self._begin_without()

    def _begin_without(self) -> None:
        """Nothing is bound, and no thread is at it: at first, and in a forked child."""
        self._lock = threading.RLock()
        self._session: BackendSession | None = None
        self._names = BoundNames()
        self._bound = self._names.by_name
        # Up to when the connection is taken for open, in monotonic seconds.
        self._trusted_until = 0.0
        self._review_at = MOST_BOUND
        # Names that are to be unbound, and what tells whether that has to wait.
        self._renounced: dict[str, Callable[[Will], bool]] = {}
        self._letting_go: threading.Thread | None = None
        # Guards these two. Nothing is waited for under it.
        self._parting = threading.RLock()

    def ensure(self, name: str, will: Will, group: str = "") -> None:
        """Let the will of this name be bound. No round trip if it is; else one.

        The will of a name never changes. `group` is by what it can be renounced. Raises
        `CommandError` if the store refuses to bind it, which leaves everything else as it
        was; other `BackendError`s if the store is not reached.
        """
        now = monotonic()
        bound = self._bound.get(name)
        if bound is not None and now < self._trusted_until:
            # In this order, and the other in `take_out`: one of us sees the other.
            bound.used_at = now
            if bound.is_sure:
                return
        with self._lock:
            session = self._open()
            bound = self._bound.get(name)
            is_new = bound is None
            if bound is None:
                bound = self._names.add(name, will, group)
            bound.used_at = now
            refused = self._names.settle(session, name)
            if name in refused:
                if is_new:
                    self._names.remove(name)
                raise refused.pop(name)
            for other, refusal in refused.items():
                self.warn_of_refusal(other, refusal)
            self._trusted_until = monotonic() + LOOK_SECONDS
            if len(self._bound) > self._review_at:
                self._unbind_idle(session)

    def warn_of_refusal(self, name: str, refusal: CommandError) -> None:
        """Tell the log, once, that something could not be bound."""
        level = "debug" if self._has_warned else "warning"
        self._has_warned = True
        getattr(get_logger("locks"), level)(
            "the store does not bind %r to the session of this process: %s. What is held "
            "of it ends with its lease, and not with the process",
            name,
            refusal,
        )

    def renounce(self, group: str, is_needed: Callable[[Will], bool] | None = None) -> None:
        """Let nothing be kept, from soon on, by the wills of a group. No round trip here.

        For what may have been granted unknown to us. Each will is unbound once nobody has
        asked for it for `FRESH_SECONDS`, and `is_needed` says that nothing needs it that is
        known to be held: until then, it goes on to keep, and to end, all that it covers.

        `editions` counts how often that was for each group: who binds a will later has to
        bind it under another name, for another tag.
        """
        self.editions[group] = self.editions.get(group, 0) + 1
        names = [name for name, bound in list(self._bound.items()) if bound.group == group]
        if not names:
            return
        with self._parting:
            self._renounced |= dict.fromkeys(names, is_needed or _is_needed_by_nobody)
            if self._letting_go is None:
                thread = threading.Thread(
                    target=_let_go, args=(self,), name="sharedstate-unbind", daemon=True
                )
                # The interpreter may be about to end, and all that is bound with it.
                with suppress(RuntimeError):
                    thread.start()
                    self._letting_go = thread

    def is_open(self) -> bool:
        """Whether the connection is open, as far as this side knows. No round trip."""
        session = self._session
        return session is not None and session.is_open()

    def is_open_since(self, generation: int) -> bool:
        """Whether the connection is open, and the same as it was then. No round trip."""
        # In this order: it may be opened anew in between.
        return self.is_open() and self.generation == generation

    def was_closed_since(self, generation: int) -> bool:
        """Whether this process has closed the connection itself, that of then or a later
        one: then the store has ended all that was bound to it. No round trip.
        """
        return generation <= self._last_closed()

    def _last_closed(self) -> int:
        session = self._session
        if session is not None and session.was_closed:
            self._closed = self.generation
        return self._closed

    def verify(self) -> bool:
        """Whether the connection has been open since the last call that bound or verified
        anything, by the store's word.

        If it has not, or there was none, it is opened anew and everything bound again. One
        round trip; two and one for a hundred names or so then. Raises `BackendError` if
        there is no answer.
        """
        with self._lock:
            session = self._session
            if session is not None and session.check():
                return True
            self._leave_broken()
            refused = self._names.settle(self._open())
            for refusal in refused.values():
                raise refusal
            return False

    def close(self) -> None:
        """Close the connection: the store runs the ends. `ensure` opens another."""
        with self._lock:
            session, self._session = self._session, None
            self._names.clear()
            self._trusted_until = 0.0
            if session is not None:
                self._closed = self.generation
                session.close()

    def __repr__(self) -> str:
        return f"<ProcessSession {self.tag} of {self._backend()!r}>"

    def _open(self) -> BackendSession:
        """The open connection. If it is a new one, nothing is bound to it yet."""
        session = self._session
        if session is None or not session.is_open():
            self._leave_broken()
            session = open_session(self._existing_backend(), self.tag)
            self.generation += 1
            self._session = session
        return session

    def _leave_broken(self) -> None:
        """Nothing is bound any more. What may be in use has to be bound again."""
        self._last_closed()
        self._trusted_until = 0.0
        self._session = None
        oldest = monotonic() - FRESH_SECONDS
        self._names.unsettle(oldest, self.is_idle)

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
        names = [name for _, name in sorted(idle)[:AT_ONCE]]
        leaving = self._names.take_out(
            names, oldest, lambda bound: self.is_idle(bound.name)
        )
        self._names.unbind(session, leaving)
        # If all are in use, it is not asked each time.
        self._review_at = max(MOST_BOUND, len(self._bound) + AT_ONCE)

    def _let_go(self) -> bool:
        """Unbind what was renounced and is not needed; whether there is nothing more."""
        with self._lock:
            leaving = self._names.take_out(
                list(self._renounced),
                monotonic() - FRESH_SECONDS,
                lambda bound: not self._renounced[bound.name](bound.will),
            )
            self._names.unbind(self._session, leaving)
            with self._parting:
                for name in list(self._renounced):
                    if name not in self._bound:
                        del self._renounced[name]
                backend = self._backend()
                is_over = backend is None or _sessions.get(id(backend)) is not self
                if not self._renounced or is_over or self._last_closed() == self.generation:
                    self._letting_go = None
                    return True
        return False


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


def _let_go(session: ProcessSession) -> None:
    while not session._let_go():
        sleep(UNBIND_AGAIN_SECONDS)


def _is_never_idle(name: str) -> bool:
    return False


def _is_needed_by_nobody(will: Will) -> bool:
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
