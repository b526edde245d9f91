"""Waiting for a broadcast: what all who wait on a structure are told at once.

An event is set, a latch opens, a barrier lets everybody through: one script changes the
state and publishes to the structure's own channel, `ss:{kind:name}:news`. Who waits

    subscribes  →  looks at the state  →  sleeps until a message comes  →  hears it

in this order, so that what changes between looking and sleeping arrives as a message.
Nobody asks while nothing changes, and one PUBLISH wakes a thousand.

A message can only be missed while the connection is broken. Then the subscription is
renewed, and the state looked at again: it has to remember what it told (a generation
number, say), so that whoever was cut off learns of it. A store that stays away for longer
than the `timeout` of the state raises `BackendError`.

A wait has a connection of its own, which ends with it. Nothing of it is on the store.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from time import monotonic
from typing import TYPE_CHECKING, Generic, TypeVar

from sharedstate.errors import BackendError
from sharedstate.waiting import Deadline, to_seconds

if TYPE_CHECKING:
    from datetime import timedelta

    from sharedstate.backend import Subscription
    from sharedstate.structures.base import StructureContext

LOOK_AGAIN_SECONDS = 300.0
"""How long to sleep at most before looking again. A network can lose a connection without a
word to either end; this bounds how long that goes unnoticed, at next to no cost."""

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.01, 0.25
"""Between attempts to reach a store that went away: the first pause doubles up to the
last."""

Answer = TypeVar("Answer")


class Question(ABC, Generic[Answer]):
    """What a waiter wants to know. None is "not yet" to both of its methods.

    It is asked again after a broken connection: asking twice has to be as good as once.
    """

    look_again = LOOK_AGAIN_SECONDS
    """Seconds after which to look although nothing was heard. May change with each look."""

    @abstractmethod
    def look(self) -> Answer | None:
        """Find the answer in the state. One round trip."""

    def hear(self, message: bytes) -> Answer | None:
        """Find the answer in a message, published after the first look was begun."""
        return self.look()


def time_to_wait(timeout: float | timedelta | None) -> Deadline:
    """The deadline of a time-out as `threading` has it: None is for ever, and what is not
    above zero is no time at all. Raises `TypeError` for what is no duration.
    """
    if timeout is None:
        return Deadline(None)
    seconds = to_seconds(timeout)
    return Deadline(seconds if seconds > 0 else 0.0)


def wait_for_news(
    context: StructureContext, question: Question[Answer], deadline: Deadline
) -> Answer | None:
    """Wait for the answer to a question; None if the time was over before.

    Costs two round trips, and those that the question needs for messages. Bounded by the
    deadline, and interruptible. Raises `BackendError` when the store cannot be reached for
    longer than the `timeout` of the state, or than the deadline.
    """
    wait = _Wait(context)
    try:
        while True:
            try:
                return wait.listen(question, deadline)
            except BackendError as error:
                wait.recover(error, deadline)
    finally:
        wait.close()


class _Wait:
    """The connection of one wait, and how long it has been broken."""

    __slots__ = ("_backend", "_broken_since", "_channel", "_patience", "_pause", "_source")

    def __init__(self, context: StructureContext) -> None:
        self._backend = context.backend
        self._channel = context.key("news")
        self._patience = context.state.settings.timeout
        self._pause = _FIRST_PAUSE_SECONDS
        self._broken_since: float | None = None
        self._source: Subscription | None = None

    def listen(self, question: Question[Answer], deadline: Deadline) -> Answer | None:
        """Wait on one connection, until it breaks."""
        source = self._source = self._backend.subscribe([self._channel])
        missed = source.missed
        answer = question.look()
        self._broken_since, self._pause = None, _FIRST_PAUSE_SECONDS
        while answer is None and not deadline.is_over:
            message = source.get(min(deadline.remaining(), question.look_again))
            if message is None or source.missed != missed:
                missed = source.missed
                answer = question.look()
            else:
                answer = question.hear(message.data)
        return answer

    def recover(self, error: BackendError, deadline: Deadline) -> None:
        """After a failure: pause before the next attempt, or raise it."""
        self.close()
        now = monotonic()
        if self._broken_since is None:
            self._broken_since = now
        if deadline.is_over or now - self._broken_since > self._patience:
            raise error
        time.sleep(min(self._pause, deadline.remaining()))
        self._pause = min(2 * self._pause, _LONGEST_PAUSE_SECONDS)

    def close(self) -> None:
        """End the subscription."""
        source, self._source = self._source, None
        if source is not None:
            source.close()
