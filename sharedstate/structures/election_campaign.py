"""What a candidate does from `start` to `stop`: wait for the lock, lead, and again.

       ┌──────────── waits ◄───────────────┐
       │               │ elected           │ on_lost has returned,
       │ stop          ▼                   │ the lock is released
       │             leads ── resign, ─────┤
       ▼               │      or lost      │
     ended ◄── stop ───┘                   │
                 on_elected raised ── pause┘

A term is one leadership. Whoever ends it first, the thread of the campaign or the news of a
loss, calls `on_lost`; the other one waits until that has returned.
"""

from __future__ import annotations

import os
import threading
from threading import get_ident
from typing import TYPE_CHECKING

from sharedstate.errors import LockLost, SharedStateError
from sharedstate.log import get_logger
from sharedstate.structures.acquiring import acquire_lease
from sharedstate.structures.lock_waiting import Halt

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

    from sharedstate.structures.lock import Lock
    from sharedstate.waiting import Deadline

_FOREVER = float("inf")

_STORE_PAUSE_SECONDS = 0.5
"""Between attempts to stand while the store is not reached."""


class _Term:
    """One leadership. Guarded by the campaign's `_news`."""

    __slots__ = ("caller", "is_done", "is_over", "is_resigned", "token", "was_told")

    def __init__(self, token: int) -> None:
        self.token = token
        self.was_told = False
        """`on_elected` was called, so that `on_lost` has to be."""
        self.is_resigned = False
        self.is_over = False
        self.caller: int | None = None
        """The thread that calls `on_lost` now."""
        self.is_done = False
        """Over, and the lock is released."""


class Campaign:
    """One candidate's way from `start` to `stop`, in the process that began it."""

    def __init__(
        self,
        lock: Lock,
        on_elected: Callable[[int], object] | None,
        on_lost: Callable[[int], object] | None,
        pause_seconds: float,
    ) -> None:
        self.pid = os.getpid()
        self.has_ended = False
        self._lock = lock
        self._on_elected = on_elected
        self._on_lost = on_lost
        self._pause_seconds = pause_seconds
        self._halt = Halt(lock._context.backend)
        self._news = threading.Condition()
        self._thread: int | None = None
        self._term: _Term | None = None

    # The thread.

    def run(self) -> None:
        """Stand and lead until stopped."""
        self._thread = get_ident()
        try:
            while not self._halt.is_set:
                self._pause(self._stand())
        finally:
            with self._news:
                self.has_ended = True
                self._news.notify_all()

    def _stand(self) -> float:
        """Wait to be elected, and lead. Seconds to pause before the next time."""
        try:
            elected = acquire_lease(
                self._lock._terms,
                _FOREVER,
                self._lock._keep,
                self._lock._take_back,
                self._halt,
            )
        except SharedStateError as error:
            self._log().warning(
                "standing in the election %r failed, and is tried again: %s",
                self._lock.name,
                error,
            )
            return _STORE_PAUSE_SECONDS
        return self._lead() if elected else 0.0

    def _lead(self) -> float:
        term = None
        try:
            term = _Term(self._lock.token)
            with self._news:
                self._term = term
                self._news.notify_all()
            if not self._tell_elected(term):
                return self._pause_seconds
            with self._news:
                self._news.wait_for(lambda: self._has_to_go(term))
        except LockLost:
            return 0.0  # before it began
        finally:
            self._step_down(term)
        return 0.0

    def _tell_elected(self, term: _Term) -> bool:
        """Call `on_elected`; False if it raised."""
        with self._news:
            if self._has_to_go(term):
                return True
            term.was_told = True
        if self._on_elected is None:
            return True
        try:
            self._on_elected(term.token)
        except Exception:
            self._log().exception(
                "on_elected of the election %r failed: resigning", self._lock.name
            )
            return False
        return True

    def _step_down(self, term: _Term | None) -> None:
        """Call `on_lost`, or wait until it has been, and then release the lock."""
        try:
            if term is not None:
                self._end(term)
        finally:
            try:
                self._lock.release()
            except LockLost:
                pass
            except SharedStateError as error:
                self._log().warning(
                    "leading %r ended, but its lock was not released: %s",
                    self._lock.name,
                    error,
                )
            if term is not None:
                with self._news:
                    term.is_done = True
                    self._news.notify_all()

    def _has_to_go(self, term: _Term) -> bool:
        return self._halt.is_set or term.is_over or term.is_resigned

    def _pause(self, seconds: float) -> None:
        with self._news:
            self._news.wait_for(lambda: self._halt.is_set, seconds)

    # What other threads call.

    def stop(self) -> None:
        """End the campaign soon."""
        self._halt.set()
        with self._news:
            self._news.notify_all()

    def wait_ended(self, seconds: float | None) -> bool:
        """Wait until the campaign has ended; not if that waits for the caller."""
        with self._news:
            if self._is_waited_for():
                return False
            return self._news.wait_for(lambda: self.has_ended, seconds)

    def resign(self) -> bool:
        """End the present term, if there is one."""
        with self._news:
            term = self._term
            if term is None or term.is_over:
                return False
            term.is_resigned = True
            self._news.notify_all()
            if not self._is_waited_for():
                self._news.wait_for(lambda: term.is_done)
        return True

    def wait_elected(self, deadline: Deadline) -> bool:
        """Wait until the campaign has a term."""
        with self._news:
            left = deadline.remaining()
            self._news.wait_for(
                lambda: self.has_ended or self._halt.is_set or self.leads(),
                None if left == _FOREVER else left,
            )
        return self.leads()

    def lose(self) -> None:
        """The lock was lost."""
        term = self._term
        if term is not None:
            self._end(term)

    def leads(self) -> bool:
        """Whether there is a term that goes on, by this process's clock."""
        term = self._term
        return term is not None and not term.is_over and self._lock.owned()

    def token(self) -> int | None:
        """The token of the present term."""
        term = self._term
        return term.token if term is not None and self.leads() else None

    def _end(self, term: _Term) -> None:
        """End a term, and tell `on_lost` if `on_elected` was told. Returns when it has
        been."""
        with self._news:
            if term.is_over:
                self._news.wait_for(lambda: term.caller in (None, get_ident()))
                return
            term.is_over = True
            is_told = term.was_told and self._on_lost is not None
            term.caller = get_ident() if is_told else None
            self._news.notify_all()
        if not is_told or self._on_lost is None:
            return
        try:
            self._on_lost(term.token)
        except Exception:
            self._log().exception("on_lost of the election %r failed", self._lock.name)
        finally:
            with self._news:
                term.caller = None
                self._news.notify_all()

    def _is_waited_for(self) -> bool:
        """Whether the campaign waits for the thread that asks: a callback."""
        caller = None if self._term is None else self._term.caller
        return get_ident() in (self._thread, caller)

    @staticmethod
    def _log() -> logging.Logger:
        return get_logger("locks")
