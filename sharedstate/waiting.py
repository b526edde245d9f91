"""Waiting without polling: deadlines, and wake lists.

Queues and locks wait in one way. Somebody who is refused (the queue is empty, the lock
is taken) is counted as waiting by the very script that refuses, and then blocks in a
BLPOP on a *wake list*. Whoever makes room pushes tokens to that list, in the script that
makes the room: one for each waiter and free place, and as many fewer waiters are counted
from then on. A token says "ask again" and no more: woken, one runs one's script again.

    Invariant: waiters counted + tokens on the list >= waiters that are alive.

So a waiter uses up exactly one of the two. It pops a token; or it gave up, and a script
takes its count (or else a token) back. Where it is in doubt (it was killed, the
connection broke), one stays behind: that costs a later waiter one needless question. The
other way round, a wake-up can go down with the process it was meant for; `WAIT_CHUNK`
bounds for how long the others may sleep over it.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from sharedstate.errors import BackendError, IndeterminateError

if TYPE_CHECKING:
    from datetime import timedelta

    from sharedstate.backend import Backend, Key

WAIT_CHUNK = 10.0
"""Seconds after which a waiter asks again although nobody woke it. A wake-up is lost
only if a process is killed within the 0.1 ms between being woken and asking: rare enough
for seconds, and one question each ten seconds burdens no store."""

WAITERS_KEPT_MS = 30_000
"""How long a store that counts waiters in a key of its own keeps that key after the last
of them was counted: longer than any chunk, and short enough to forget the killed."""


def to_seconds(duration: float | timedelta) -> float:
    """A duration as a number of seconds. Raises `TypeError` for what is none."""
    if isinstance(duration, (int, float)):
        return duration
    try:
        return duration.total_seconds()
    except AttributeError:
        raise TypeError(
            f"expected a duration in seconds or as timedelta, got {duration!r:.100}"
        ) from None


class Deadline:
    """A moment up to which to wait, by this process's steady clock. None is for ever."""

    __slots__ = ("_end",)

    def __init__(self, timeout: float | None) -> None:
        self._end = float("inf") if timeout is None else monotonic() + timeout

    def remaining(self) -> float:
        """Seconds that are left: infinite for ever, never negative."""
        return max(0.0, self._end - monotonic())

    @property
    def is_over(self) -> bool:
        """Whether the time has passed."""
        return monotonic() >= self._end


FOREVER = Deadline(None)
"""The deadline that never comes."""


def wait_for_token(backend: Backend, wake_list: Key, seconds: float) -> bool:
    """Block until a token came, which is thereby used up, or `seconds` passed.

    Waits for one chunk at most. False says that no token was used up, so that the caller
    has to take its count back. Raises `BackendError` if the connection breaks; then a
    count may stay behind. One round trip, on a waiting connection.
    """
    try:
        token = backend.wait_for(("BLPOP", wake_list), min(seconds, WAIT_CHUNK))
    except IndeterminateError as error:
        # A token may have been popped; it carries nothing, so nothing is in doubt.
        raise BackendError(
            f"the connection to the store broke during a wait, and nothing was taken: "
            f"try again ({error.__cause__})"
        ) from error
    return token is not None
