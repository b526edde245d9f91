"""Barrier: as `threading.Barrier`, between processes. `barrier.lua` is its model.

So many parties wait for each other, and pass together; then the barrier serves again.
Each passage is a round of its own, with a number: a fast party that comes back early
waits in the next round, and does not mix with those who are still leaving the last one.

What happens when a party dies while it waits: the barrier is broken for the others.

- With `Capability.SESSIONS` (`local://`, `server://`): at once when its process ends, by
  SIGKILL too. A process that is alive and cannot run Python stays present.
- Elsewhere (`redis://`), within `lease` seconds: each waiting party renews its presence
  itself, by looking three times in that time. A process that stands still for longer counts
  as dead. (Threads of one process, on `memory://`, die together.)

A party that dies between two rounds holds nothing, so nobody can know: it fails to come,
and the time-out of the others breaks the barrier. Give `wait` one.

Different from `threading.Barrier`: the time in which the action runs counts towards the
`timeout` of those who wait for it. What ends a wait otherwise (Ctrl-C, a lost store) takes
the party out of the round, as there, and does not break the barrier.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from sharedstate.errors import BrokenBarrierError, ConfigError, SharedStateError
from sharedstate.news import time_to_wait, wait_for_news
from sharedstate.structures.barrier_party import Party, Passage, Place, kept_present
from sharedstate.structures.base import Structure
from sharedstate.waiting import to_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import timedelta
    from typing import NoReturn

    from sharedstate.structures.base import StructureContext

DEFAULT_LEASE = 15.0
MIN_LEASE, MAX_LEASE = 0.3, 24 * 3600.0
"""The shortest lease: three looks have to fit. The longest: a mistake."""
MAX_PARTIES = 100_000


class Barrier(Structure):
    """A place where so many parties wait for each other.

    All handles of a name have to be made with the same number of parties, and should be
    made with the same action: it is run by whichever party comes last.
    """

    def __init__(self, context: StructureContext, options: Mapping[str, object]) -> None:
        super().__init__(context, options)
        self._parties, self._action, self._timeout, lease = _check_options(
            context.name, dict(options)
        )
        self._place = Place(context, self._parties, self._action is not None, lease)

    def wait(self, timeout: float | timedelta | None = None) -> int:
        """Wait until all parties have come; an index from 0 to parties - 1.

        Each index is given once a round. The party that comes last runs the action, if
        there is one, before anybody passes.

        Raises `BrokenBarrierError` if the barrier is broken, or is broken or reset while
        this party waits: by a `timeout` (of any of them; by default that of the handle), by
        `abort`, by an action that raised, by the death of a party. What the action raises
        comes out of the call of the party that ran it. `ConfigError` says that the barrier
        has another number of parties.

        One round trip for the party that comes last (two with an action), four for others.
        """
        deadline = time_to_wait(self._timeout if timeout is None else timeout)
        party = Party(self._place)
        try:
            passage = party.look()
            if passage is None:
                passage = wait_for_news(self._context, party, deadline)
            if passage is None:
                passage = party.give_up()
            if passage.outcome == "acts":
                passage = self._act(party)
        except BaseException:
            # What the caller has to hear of is the error. A party that cannot be taken out,
            # since the store is not reached, ends with its lease.
            with suppress(SharedStateError):
                party.leave()
            raise
        if passage.outcome != "released":
            self._raise_broken(passage)
        return party.index

    def reset(self) -> None:
        """Begin a new round; who waits gets `BrokenBarrierError`. Atomic; one round trip.

        A broken barrier is whole again. This is also how a barrier gets another number of
        parties: the other handles then have to be made anew.
        """
        self._place.run("reset", self._parties)

    def abort(self) -> None:
        """Break the barrier: who waits, and who comes, gets `BrokenBarrierError` until it
        is reset. Atomic; one round trip."""
        self._place.run("abort", "it was aborted")

    @property
    def parties(self) -> int:
        """How many pass together. No round trip."""
        return self._parties

    @property
    def n_waiting(self) -> int:
        """How many wait at this moment. One round trip."""
        waiting: int = self._context.backend.execute(("HLEN", self._context.key("members")))
        return waiting

    @property
    def broken(self) -> bool:
        """Whether the barrier is broken. One round trip."""
        state = self._context.key("state")
        found: int = self._context.backend.execute(("HEXISTS", state, "broken"))
        return found == 1

    def _act(self, party: Party) -> Passage:
        """Run the action, and let everybody through."""
        assert self._action is not None
        try:
            with kept_present(party):
                self._action()
        except BaseException as error:
            # If the store is not reached, the others find the party dead.
            with suppress(SharedStateError):
                self._place.run("abort", f"its action raised {type(error).__name__}")
            raise
        return party.finish()

    def _raise_broken(self, passage: Passage) -> NoReturn:
        raise BrokenBarrierError(
            f"the barrier {self.name!r} is broken: {passage.reason}. When all parties know "
            f"of it, reset() makes it whole again"
        )


def _check_options(
    name: str, options: dict[str, Any]
) -> tuple[int, Callable[[], object] | None, float | timedelta | None, float]:
    """Parties, action, time-out and lease. Raises `ConfigError` for what is none."""
    parties, action = options.pop("parties", None), options.pop("action", None)
    timeout, lease = options.pop("timeout", None), options.pop("lease", DEFAULT_LEASE)
    if options:
        raise ConfigError(
            f"a barrier has no option {', '.join(options)}; it has parties, action, "
            f"timeout and lease"
        )
    if type(parties) is not int or not 1 <= parties <= MAX_PARTIES:
        raise ConfigError(
            f"expected from 1 to {MAX_PARTIES:,} parties for the barrier {name!r}, got "
            f"{parties!r}"
        )
    if action is not None and not callable(action):
        raise ConfigError(f"expected the action to be callable, got {action!r}")
    time_to_wait(timeout)
    seconds = to_seconds(lease)
    if not MIN_LEASE <= seconds <= MAX_LEASE:
        raise ConfigError(
            f"expected a lease from {MIN_LEASE:g} s to {MAX_LEASE:g} s for the barrier "
            f"{name!r}, got {lease!r}"
        )
    return parties, action, timeout, seconds
