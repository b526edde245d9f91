"""Sequential models of what is held: locks, read-write locks, semaphores, and fences.

A *hold* is a name that a history gives to one acquisition, and that no other has:

    lock        acquire(hold) -> fencing token, or False     release(hold) -> whether held
    rwlock      acquire_read(hold), acquire_write(hold) -> token, or False
                downgrade(hold) -> whether held               release(hold) -> whether held
    semaphore   acquire(hold, n) -> token, True or False      release(hold) -> whether held
                resize(permits)
    fence       write(token, value) -> whether it was accepted        read() -> value

An acquisition says False when it was refused, and a release when the hold was over before
(`LockLost`). A lease that was not renewed in time ends by itself. Nobody calls that, so
`with_lapses` puts it into the history, as an operation that may happen from the lease's
deadline on, or never:

    lapse(hold)                                               always pending

Where the end of a process or of a connection ends its holds, they may lapse from then on.
The history's author knows when that was, and says so.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from .history import UNKNOWN, Operation
from .linearizability import Model

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence

_ACQUIRING = ("acquire", "acquire_read", "acquire_write")


def with_lapses(
    history: Sequence[Operation],
    lease_ns: int,
    ended_at: Callable[[Operation], int | None] = lambda acquisition: None,
) -> list[Operation]:
    """The history, with a lapse for each hold in it.

    A lease begins at the store, which is not before the call that asked for it: from
    that call it lasts `lease_ns` at least, or, where `ended_at` tells of an end of the
    acquisition's process or connection, until then. A hold whose release was answered
    has not lapsed before.
    """
    lapses = []
    released = {
        (each.target, each.arguments[0])
        for each in history
        if each.name == "release" and each.result is True
    }
    for each in history:
        if each.name == "downgrade" and each.is_pending:
            # One that failed half-way may have given up the rest as well.
            lapses.append(replace(each, name="lapse"))
        if each.name not in _ACQUIRING or each.result is False:
            continue
        if (each.target, each.arguments[0]) in released:
            continue
        deadline = each.called_at + lease_ns
        end = ended_at(each)
        if end is not None:
            deadline = max(each.called_at, min(deadline, end))
        lapse = replace(each, name="lapse", arguments=each.arguments[:1], result=UNKNOWN)
        lapses.append(replace(lapse, called_at=deadline, answered_at=None))
    return [*history, *lapses]


@dataclass(frozen=True, slots=True)
class Holds:
    """Who holds what: for each hold, how much of it."""

    held: frozenset[tuple[Hashable, int]] = frozenset()
    last_token: int = 0
    limit: int = 1

    def amount(self, hold: Hashable) -> int:
        """How much is held by this hold; 0 if it is over, or not yet there."""
        return next((amount for one, amount in self.held if one == hold), 0)

    @property
    def used(self) -> int:
        """How much is held by all."""
        return sum(amount for _, amount in self.held)

    def granted(self, hold: Hashable, amount: int, operation: Operation) -> Iterable[Holds]:
        """The state after a grant; none if its token does not rise."""
        token = self.last_token
        if not operation.is_pending and operation.result is not True:
            token = operation.result
            if token <= self.last_token:
                return ()
        held = self.held | {(hold, amount)}
        return (replace(self, held=held, last_token=token),)

    def without(self, hold: Hashable) -> Holds:
        """The state after a hold has ended."""
        return replace(self, held=self.held - {(hold, self.amount(hold))})


class HoldsModel(Model[Holds]):
    """What the models of this module have in common.

    `may_refuse_early` is for those who queue fairly: asked without waiting, they may
    refuse what is free while others wait, or while it is being handed over.
    """

    def __init__(self, *, may_refuse_early: bool = False) -> None:
        self._may_refuse_early = may_refuse_early
        self._used: frozenset[Hashable] | None = None

    def initial(self) -> Holds:
        """Nobody holds anything."""
        return Holds()

    def informed_by(self, operations: Sequence[Operation]) -> HoldsModel:
        """A model that knows which holds were used, after they were acquired."""
        model = copy(self)
        model._used = frozenset(
            each.arguments[0]
            for each in operations
            if each.name in ("release", "downgrade")
        )
        return model

    def step(self, state: Holds, operation: Operation) -> Iterable[Holds]:
        """As the name of the operation says."""
        hold = operation.arguments[0]
        amount = state.amount(hold)
        if operation.name == "lapse":
            return (state.without(hold),) if amount else ()
        if operation.name == "release":
            if operation.result is False:
                # Who takes its hold for lost does so a moment before the store, which
                # ends it by a lapse.
                return (state,)
            return (state.without(hold),) if amount else ()
        return self.ask(state, operation)

    def ask(self, state: Holds, operation: Operation) -> Iterable[Holds]:
        """The states after an operation that wants more than it holds."""
        raise NotImplementedError

    def acquire(
        self, state: Holds, operation: Operation, amount: int, *, is_free: bool
    ) -> Iterable[Holds]:
        """The states after an acquisition of so much."""
        if operation.result is False and not operation.is_pending:
            return () if is_free and not self._may_refuse_early else (state,)
        if not is_free or self._is_needless(operation):
            return ()
        return state.granted(operation.arguments[0], amount, operation)

    def _is_needless(self, operation: Operation) -> bool:
        """Whether an acquisition without an answer may as well not have happened: it can
        explain a refusal, but those need no reason here, and nothing was done with it.
        """
        if self._used is None or not self._may_refuse_early:
            return False
        return operation.is_pending and operation.arguments[0] not in self._used


class LockModel(HoldsModel):
    """A lock: held by one, with tokens that rise with every grant."""

    def ask(self, state: Holds, operation: Operation) -> Iterable[Holds]:
        """Granted if nobody holds it."""
        return self.acquire(state, operation, 1, is_free=not state.held)


READ, WRITE = 1, 2


class ReadWriteLockModel(HoldsModel):
    """A read-write lock: held by readers, or by one writer.

    Tokens rise with every grant, of readers too.
    """

    def ask(self, state: Holds, operation: Operation) -> Iterable[Holds]:
        """Readers go with readers, writers alone; a writer may become a reader."""
        hold = operation.arguments[0]
        if operation.name == "downgrade":
            if state.amount(hold) == WRITE:
                held = frozenset({(hold, READ)})
                is_done = operation.is_pending or operation.result
                return (replace(state, held=held),) if is_done else (state,)
            return (state,) if operation.result is False else ()
        if operation.name == "acquire_write":
            return self.acquire(state, operation, WRITE, is_free=not state.held)
        is_written = any(amount == WRITE for _, amount in state.held)
        return self.acquire(state, operation, READ, is_free=not is_written)


class SemaphoreModel(HoldsModel):
    """A semaphore: as many permits are held as there are, at most."""

    def __init__(self, permits: int, *, may_refuse_early: bool = False) -> None:
        super().__init__(may_refuse_early=may_refuse_early)
        self._permits = permits

    def initial(self) -> Holds:
        """All permits are there."""
        return Holds(limit=self._permits)

    def ask(self, state: Holds, operation: Operation) -> Iterable[Holds]:
        """Granted if so many permits are left. Fewer permits take nothing from holders."""
        if operation.name == "resize":
            (limit,) = operation.arguments
            return (replace(state, limit=limit),)
        _, n = operation.arguments
        is_free = state.used + n <= state.limit
        return self.acquire(state, operation, n, is_free=is_free)


class FenceModel(Model[tuple[int, Any]]):
    """A resource that a lock guards: it refuses a token lower than one it has seen."""

    def initial(self) -> tuple[int, Any]:
        """No token was seen."""
        return 0, None

    def step(self, state: tuple[int, Any], operation: Operation) -> Iterable[Any]:
        """As the name of the operation says."""
        highest, value = state
        if operation.name == "read":
            fits = operation.is_pending or operation.result == value
            return (state,) * fits
        token, new = operation.arguments
        is_accepted = token >= highest
        if not operation.is_pending and operation.result is not is_accepted:
            return ()
        return ((token, new),) if is_accepted else (state,)
