"""Event: as `threading.Event`, between processes and machines. `event.lua` is its model.

One message wakes all who wait, wherever they are. Who waited when the event was set is
woken even if it is cleared at once: what counts is that there was a set, and not what is
found afterwards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharedstate.errors import ConfigError
from sharedstate.news import Question, time_to_wait, wait_for_news
from sharedstate.structures.base import Structure
from sharedstate.structures.script_file import ScriptFile

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

    from sharedstate.structures.base import StructureContext

_SCRIPTS = ScriptFile(__file__, "event.lua")


class Event(Structure):
    """A flag that processes set, clear and wait for. An event that was never set is clear.

    An event belongs to nobody: it stays set when the process that set it ends.
    """

    def __init__(self, context: StructureContext, options: Mapping[str, object]) -> None:
        super().__init__(context, options)
        if options:
            raise ConfigError(f"an event has no options, got {', '.join(options)}")
        self._state = context.key("state")
        self._news = context.key("news")

    def set(self) -> None:
        """Set the event, and wake all who wait for it. Atomic; one round trip.

        Raises `IndeterminateError` if the answer was lost: it may be set, and setting it
        again does no harm unless somebody has cleared it since.
        """
        self._context.backend.run_script(_SCRIPTS["set"], (self._state,), (self._news,))

    def clear(self) -> None:
        """Clear the event: who waits from now on waits for the next set. Atomic; one
        round trip."""
        self._context.backend.run_script(_SCRIPTS["clear"], (self._state,))

    def is_set(self) -> bool:
        """Whether the event is set at this moment. One round trip."""
        return self._read()[0]

    def wait(self, timeout: float | timedelta | None = None) -> bool:
        """Wait until the event is set; False if it was not within `timeout` seconds.

        True at once if it is set already. A `timeout` of None waits for ever; zero or less
        does not wait. One round trip if it is set, else three. Raises `BackendError` if the
        store went away and did not come back (see `sharedstate.news`).
        """
        deadline = time_to_wait(timeout)
        is_set, generation = self._read()
        if is_set or deadline.is_over:
            return is_set
        question = _SetSince(self, generation)
        return wait_for_news(self._context, question, deadline) is not None

    def _read(self) -> tuple[bool, int]:
        """Whether it is set, and the number of the last set."""
        found = self._context.backend.execute(("HMGET", self._state, "set", "generation"))
        return found[0] is not None, int(found[1] or 0)


class _SetSince(Question[bool]):
    """Whether an event was set since it had a certain generation. Never answers False."""

    def __init__(self, event: Event, generation: int) -> None:
        self._event = event
        self._generation = generation

    def look(self) -> bool | None:
        is_set, generation = self._event._read()
        # A state that was lost and forgotten has a lower number, and was not set.
        return True if is_set or generation > self._generation else None

    def hear(self, message: bytes) -> bool | None:
        # Every message is a set, and came while we waited.
        return True
