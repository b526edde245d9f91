"""The contest for one entry, when many change it by `update_with` at once.

Everyone reads, computes, and writes if nobody else wrote in the meantime. Whoever loses
tries again, at first at once, then after a random time: a multiple of what the last try
took, so that it fits any store and any function.

That alone is not fair. A slow function loses to quick ones for as long as they go on. So
after some losses in a row a contender asks for the turn: while it has it, for a short
time that the store limits, nobody else's `update_with` can write the entry. The turn
ends with the winner's write. A contender that dies with it holds the others up for no
longer than its limit.

What writes by other ways (`m[k] = v`, `compare_and_set`) does not ask whose turn it is.
"""

from __future__ import annotations

from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

from sharedstate.structures.map_layout import swap_words

if TYPE_CHECKING:
    from sharedstate.backend import Argument
    from sharedstate.structures.map_layout import MapLayout

PATIENCE = 10
"""Losses in a row before asking for the turn, and again before asking again. Eight
equal contenders hardly ever come to so many."""

SPREAD = 8
"""Over how many of its own tries, at most, a loser spreads the next one: as many as
commonly contend. More would only push those back who have lost often."""

LEAST_TURN = 0.05
"""Seconds: longer than a scheduler lets a process wait on a busy machine."""

LONGEST_TURN = 5.0
"""Seconds that the others may have to wait for a contender that died."""

_LOST, _WON = 0, 1


class Contest:
    """One call of `update_with`, from its first try to the one that wins.

    `found` is the stored value on which to base the try, None for no entry.
    """

    def __init__(self, layout: MapLayout, field: Argument) -> None:
        self._layout = layout
        self._field = field
        self._turn = (layout._context.key("turn"),)
        self._ticket = b""
        self._losses = 0
        self.found: bytes | None
        self._read()

    def won_with(self, new: bytes | None) -> bool:
        """Write, if nobody came between. Otherwise `found` is renewed, maybe later."""
        words = swap_words(self.found, new)
        reply: Any = self._layout._run(
            "compare_and_set", self._field, *words, self._ticket, further=self._turn
        )
        if reply[0] == _WON:
            return True
        self._losses += 1
        if self._losses == 1 and reply[0] == _LOST:
            self._start, self.found = monotonic(), reply[1] if len(reply) > 1 else None
        else:
            self._wait_and_read()
        return False

    def _read(self) -> None:
        self._start, self.found = monotonic(), self._layout._call("HGET", self._field)

    def _wait_and_read(self) -> None:
        from random import random

        duration = monotonic() - self._start
        if self._losses % PATIENCE == 0:
            self._ask_for_turn(duration)
        else:
            sleep(random() * duration * min(self._losses, SPREAD))
        self._read()

    def _ask_for_turn(self, duration: float) -> None:
        from os import urandom

        self._ticket = urandom(8).hex().encode()
        limit = max(LEAST_TURN, min(LONGEST_TURN, duration * SPREAD))
        words = (self._field, self._ticket, int(limit * 1000))
        self._layout._run("take_turn", *words, further=self._turn)
