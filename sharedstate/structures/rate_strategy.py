"""What a strategy of rate limiting is, and how to add one.

A strategy decides when a request may have its grants, in one script with the store's clock.
Whoever may wait gets a *place*: a moment that is its own. It sleeps until then and comes
back without asking, so a thousand who wait cost the store nothing, cannot stampede, and are
served in the order in which they asked.

A strategy of your own is a subclass, beside its Lua, that is given by its class:

    limiter = state.rate_limiter("api", limit=5, period=1, strategy=LeakyBucket)

(To have a name of its own, a plugin provides a structure, whose `create` makes a
`RateLimiter` with that class among its options.) The file beside it has three scripts. KEYS
are the `parts`; ARGV begins as follows, and ends with the strategy's own arguments:

    reserve    n, the longest wait in µs or -1 for any
               → {1 if a place was taken, else 0, the wait in µs as text, a ticket}
    give_back  n, the ticket
    look       n → {the wait in µs as text, how many are free now}; changes nothing

Invariant that every strategy keeps: a place that was given back may be lost, but never
makes room for more than what its docstring promises.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from sharedstate.structures.base import StructureContext
    from sharedstate.structures.script_file import ScriptFile


@dataclass(frozen=True, slots=True)
class Quota:
    """`limit` grants in `period` seconds, both above zero; `burst` if it was given."""

    name: str
    limit: float
    period: float
    burst: int | None

    @property
    def period_us(self) -> int:
        """The period in microseconds, the unit of the store's clock."""
        return max(1, round(self.period * 1e6))


@dataclass(frozen=True, slots=True)
class Place:
    """A moment that was reserved, `wait` seconds from now; the ticket gives it back."""

    wait: float
    ticket: bytes


class RateStrategy(ABC):
    """How grants are spread over time. Made by each handle; keeps nothing but its quota."""

    scripts: ClassVar[ScriptFile]
    """The file with the three scripts."""
    parts: ClassVar[tuple[str, ...]]
    """The parts of the structure that are the scripts' KEYS: other than other
    strategies'."""

    def __init__(self, context: StructureContext, quota: Quota) -> None:
        """Raises `ConfigError` for a quota that makes no sense with this strategy."""
        self.quota = quota
        self.most, self.arguments = self.prepare(quota)
        """The largest n that can ever be granted, and the scripts' further arguments."""
        self._run = context.backend.run_script
        self._keys = tuple(map(context.key, self.parts))
        self._forget = context.backend.execute

    @abstractmethod
    def prepare(self, quota: Quota) -> tuple[int, tuple[int | float, ...]]:
        """Check a quota: the largest n, and what the scripts are told of it."""

    def reserve(self, n: int, within: float | None) -> Place | None:
        """Take the next place, if it is within so many seconds; None waits for any.

        None if it is not. Atomic; one round trip.
        """
        longest = -1 if within is None else int(within * 1e6)
        taken, wait, ticket = self._call("reserve", n, longest)
        return Place(int(wait) / 1e6, ticket) if taken == 1 else None

    def give_back(self, n: int, ticket: bytes) -> None:
        """Give a place back that was not used. Atomic; one round trip."""
        self._call("give_back", n, ticket)

    def look(self, n: int) -> tuple[float, int]:
        """In how many seconds n could be granted, and how many are free now. One round
        trip."""
        wait, free = self._call("look", n)
        return int(wait) / 1e6, int(free)

    def reset(self) -> None:
        """Forget all grants, and all places. Atomic; one round trip."""
        self._forget(("DEL", *self._keys))

    def _call(self, script: str, *arguments: int | bytes) -> Any:
        return self._run(self.scripts[script], self._keys, (*arguments, *self.arguments))
