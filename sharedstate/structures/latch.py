"""CountDownLatch: waits until so many things have happened. `latch.lua` is its model.

A latch is made with a count by the first handle that counts down or waits, and all others
have to agree. When the count reaches zero, the latch opens, for all who wait and all who
come later, until somebody resets it.

A latch counts what happened, and not who is alive. A worker that dies before it counted
down is missed for ever: give `wait` a time-out, or let whoever takes the work over count
down. So that work which is done twice is not counted twice, `count_down(key=…)` counts
each key once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sharedstate.errors import ConfigError
from sharedstate.news import Question, time_to_wait, wait_for_news
from sharedstate.structures.arithmetic import whole
from sharedstate.structures.base import Structure
from sharedstate.structures.script_file import ScriptFile

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

    from sharedstate.structures.base import StructureContext

MAX_COUNT = 2**53 - 1
"""The largest count: scripts calculate with doubles, which are exact up to here."""

_SCRIPTS = ScriptFile(__file__, "latch.lua")


class CountDownLatch(Structure):
    """A gate that opens when it was counted down to zero, and stays open until a reset.

    Every method raises `ConfigError` if the latch was made with another count: a program in
    which workers disagree on that is wrong.
    """

    def __init__(self, context: StructureContext, options: Mapping[str, object]) -> None:
        super().__init__(context, options)
        self._initial = _check_options(context.name, dict(options))
        self._keys = (context.key("state"), context.key("counted"))
        self._news = context.key("news")

    def count_down(self, n: int = 1, *, key: str | None = None) -> int:
        """Count down by `n`, never below zero; how many are left. Atomic; one round trip.

        The call that reaches zero opens the latch and wakes all who wait. With a `key` (of
        a job, say), only the first call with that key counts, until the latch is reset: so
        a job that is repeated after a crash, or a call that is repeated after an
        `IndeterminateError`, is not counted twice. Keys are kept until then, some 100 bytes
        each.
        """
        if whole(n, "amount") < 1:
            raise ValueError(f"expected to count down by at least 1, got n={n}")
        if key is not None and (not isinstance(key, str) or not key):
            raise ValueError(f"expected a key as a text that is not empty, got {key!r}")
        return self._run("count_down", min(n, MAX_COUNT), key or "", self._news)[0]

    @property
    def count(self) -> int:
        """How many are left at this moment. One round trip."""
        return self._run("look", 0)[0]

    def wait(self, timeout: float | timedelta | None = None) -> bool:
        """Wait until the latch opens; False if it did not within `timeout` seconds.

        True at once if it is open. A `timeout` of None waits for ever; zero or less does
        not wait. Who waited when it opened is let through even if it is reset at once. One
        round trip if it is open, else three. Raises `BackendError` if the store went away
        and did not come back (see `sharedstate.news`).
        """
        deadline = time_to_wait(timeout)
        left, opened = self._run("look", 1)
        if left == 0 or deadline.is_over:
            return left == 0
        question = _OpenedSince(self, opened)
        return wait_for_news(self._context, question, deadline) is not None

    def reset(self) -> None:
        """Begin a new round with the count of this handle. Atomic; one round trip.

        Keys that were counted are forgotten. Who waits now waits for the new round. This is
        also how a latch gets another count: the other handles then have to be made anew.
        A worker of the round before that is late counts in the new one: reset when all are
        through.
        """
        arguments = (self._initial, self._news)
        self._context.backend.run_script(_SCRIPTS["reset"], self._keys, arguments)

    def _run(self, script: str, *arguments: Any) -> list[int]:
        """Run a script that checks the count first. What is left, and what else it says."""
        run_script = self._context.backend.run_script
        reply = run_script(_SCRIPTS[script], self._keys, (self._initial, *arguments))
        left, *more = map(int, reply)
        if left < 0:
            raise ConfigError(
                f"the latch {self.name!r} was made with a count of {more[0]}, and this "
                f"handle with {self._initial}; give the same count everywhere, or call "
                f"reset() to begin a new round with this one"
            )
        return [left, *more]


class _OpenedSince(Question[bool]):
    """Whether a latch opened since its opening of a certain number. Never answers False."""

    def __init__(self, latch: CountDownLatch, opened: int) -> None:
        self._latch = latch
        self._opened = opened

    def look(self) -> bool | None:
        left, opened = self._latch._run("look", 1)
        return True if left == 0 or opened > self._opened else None

    def hear(self, message: bytes) -> bool | None:
        # Every message is an opening, and came while we waited.
        return True


def _check_options(name: str, options: dict[str, Any]) -> int:
    """The count. Raises `ConfigError` for anything else."""
    count = options.pop("count", None)
    if options:
        raise ConfigError(f"a latch has no option {', '.join(options)}; it has count")
    if type(count) is not int or not 0 <= count <= MAX_COUNT:
        raise ConfigError(
            f"expected a count from 0 to 2**53 - 1 for the latch {name!r}, got {count!r}"
        )
    return count
