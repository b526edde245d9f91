"""Optimistic transactions: read, compute, write, and all of it as one step or not at all.

Nobody is locked out. While the function runs, its views read from the store and keep what
they write to themselves. Then everything is written at once (MULTI/EXEC), unless somebody
has changed one of the structures in the meantime (WATCH). In that case nothing is written,
and the function is called again, on what is there now:

    first read    WATCH, and the read      ┐
    later reads   only what is asked for   │ again, after a pause,
    writes        kept in this process     │ if others changed
    the end       MULTI … EXEC             ┘ what was watched

What that guarantees: transactions are serializable, each as if it had happened at the
moment of its EXEC. One that only reads ends with an EXEC too, so that all it read was there
at the same moment. An error that the function raises is believed only if what it had read
was; otherwise it may come from two halves that never were one, and is a conflict.

What it does not: nobody is served in order, and a long transaction among short ones may
lose each time. The number of attempts is bounded; for such cases there are locks. Any
change of a map counts as a change of all of it.
"""

from __future__ import annotations

import sys
import warnings
from functools import wraps
from itertools import count
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, Generic, TypeVar, TypeVarTuple, cast, overload

from sharedstate.errors import Conflict
from sharedstate.slots import check_one_slot
from sharedstate.structures.base import Structure
from sharedstate.transaction_views.views import Views, image_class

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType
    from typing import NoReturn

    from sharedstate.state import State

LEAST_PAUSE = 0.0002
"""Seconds: about what a short transaction takes, from which the first pause is drawn."""

LONGEST_PAUSE = 0.5
"""Seconds. Pauses double with each loss up to here; each is a random part of it, so that
those who met once do not meet again."""

R = TypeVar("R")
Ts = TypeVarTuple("Ts")


class Transaction(Generic[*Ts]):
    """A transaction over some structures: made by `state.transaction`, run when asked to.

    It may run many times, in many threads. There are three ways:

        def sell(stock, sold):
            if stock["apple"] == 0:
                raise SoldOut
            stock.increment("apple", -1)
            return sold.add(1)

        number = state.transaction(stock, sold).run(sell)

    or as a decorator, which leaves the first parameters away from the outside:

        @state.transaction(stock, sold)
        def sell(stock, sold, name, n=1): …

        sell("apple", n=2)

    or, for what is no function of its own:

        for attempt in state.transaction(stock, sold):
            with attempt as (stock_now, sold_now):
                …

    The views that are given have the methods of the structures, and their results. They see
    what was written before through them, and end with the attempt. The structures' own
    handles are outside of the transaction even when they are used inside of it. The
    function may be called more than once: it should have no other effects.
    """

    def __init__(
        self,
        state: State,
        structures: tuple[*Ts],
        *,
        attempts: int = 16,
        timeout: float | None = None,
    ) -> None:
        self._structures = _checked(state, structures)
        if isinstance(attempts, bool) or not isinstance(attempts, int) or attempts < 1:
            raise ValueError(f"expected attempts of 1 or more, got {attempts!r}")
        if timeout is not None and not timeout >= 0:
            raise ValueError(
                f"expected timeout in seconds, 0 or more, or None for no limit, "
                f"got {timeout!r}"
            )
        self._attempts = attempts
        self._timeout = timeout

    @overload
    def run(self, function: Callable[[*Ts], R], /) -> R: ...
    @overload
    def run(self, function: Callable[..., R], /, *arguments: Any, **named: Any) -> R: ...
    def run(self, function: Callable[..., R], /, *arguments: Any, **named: Any) -> R:
        """Call a function with the views, and any further arguments; its result.

        The writes are done when this returns, and none of them is when it raises, but for
        two errors: `IndeterminateError` if the answer to the commit was lost, so that they
        may be done or not; and `ConsistencyError` if they are done and too few replicas
        have confirmed it. Raises `Conflict` after so many attempts, or so many seconds;
        and what the function raises.

        Costs one round trip for WATCH, one for each thing that is read, and one for
        MULTI/EXEC; for each attempt.
        """
        for attempt in self:
            with attempt as views:
                result = function(*views, *arguments, **named)
        return result

    def __call__(self, function: Callable[..., R]) -> Callable[..., R]:
        """A function that runs the given one in this transaction, views first."""

        @wraps(function)
        def in_transaction(*arguments: Any, **named: Any) -> R:
            return self.run(function, *arguments, **named)

        return in_transaction

    def __iter__(self) -> Iterator[Attempt[*Ts]]:
        """Attempts, each to be entered by `with`, until one has committed.

        What follows the loop runs after the commit. Inside of the `with`, do not leave the
        loop by `break` or `return`: it would be left also if the commit failed, and nobody
        would try again. `RuntimeWarning` tells when that has happened.
        """
        course = _Course(self)
        for number in count(1):
            attempt: Attempt[*Ts] = Attempt(course, number)
            try:
                yield attempt
            except GeneratorExit:
                course.check_not_abandoned()
                raise
            if not course.is_lost:
                attempt.check_entered()
                return
            course.pause()

    def __repr__(self) -> str:
        return f"<Transaction over {' and '.join(map(describe, self._structures))}>"


class Attempt(Generic[*Ts]):
    """One attempt of a transaction: a context manager that gives the views, as a tuple."""

    def __init__(self, course: _Course, number: int) -> None:
        self.number = number
        """Which attempt this is, from 1."""
        self._course = course
        self._views: Views | None = None

    def __enter__(self) -> tuple[*Ts]:
        if self._views is not None:
            raise RuntimeError("an attempt of a transaction is entered once")
        self._views = self._course.begin()
        views: Any = self._views.make()
        return cast("tuple[*Ts]", views)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        """Commit. After an exception, end without writing, and let it be raised, unless
        what was read had changed. Raises `Conflict` after the last attempt."""
        views = self._views
        assert views is not None, "left without having been entered"
        if error is None:
            try:
                is_done = views.commit()
            except BaseException:
                views.watched.close()
                raise
            if not is_done:
                self._course.lose()
            return False
        if not isinstance(error, Exception):
            views.watched.close()
            return False
        if views.watched.is_consistent():
            return False
        self._course.lose()
        return True

    def check_entered(self) -> None:
        """Raise if nobody used this attempt."""
        if self._views is None:
            raise RuntimeError(
                "a transaction's attempt was not used: write `with attempt as (…):` in "
                "the loop"
            )


class _Course:
    """One run of a transaction: how often it was tried, and for how long."""

    def __init__(self, transaction: Transaction[*Any]) -> None:
        self._structures = transaction._structures
        self._most = transaction._attempts
        self._timeout = transaction._timeout
        self._losses = 0
        self._started = self._began = monotonic()
        self.is_lost = False
        """Whether the last attempt met a conflict, and is to be repeated."""

    def begin(self) -> Views:
        """Begin an attempt."""
        self._began = monotonic()
        # Not the backend of a handle, which may carry fences: the views carry them.
        backend = self._structures[0]._context.state.backend
        return Views(backend, self._structures)

    def lose(self) -> None:
        """The attempt met a conflict. Raises `Conflict` if it was the last one."""
        self._losses += 1
        self._ended = monotonic()
        if self._losses >= self._most or self._seconds_left() <= 0:
            self._give_up()
        self.is_lost = True

    def pause(self) -> None:
        """Wait before the next attempt: a random time, up to twice as long each time."""
        from random import random

        self.is_lost = False
        unit = max(LEAST_PAUSE, self._ended - self._began)
        longest = min(LONGEST_PAUSE, unit * 2.0 ** min(self._losses, 64))
        sleep(max(0.0, min(random() * longest, self._seconds_left())))

    def check_not_abandoned(self) -> None:
        """Warn if the loop was left though its attempt has to be repeated."""
        if self.is_lost:
            warnings.warn(
                f"a transaction over {self._subject()} was left by break or return after "
                f"a conflict: nothing was written. Let the loop end by itself, or use "
                f"run()",
                RuntimeWarning,
                stacklevel=3,
            )

    def _seconds_left(self) -> float:
        if self._timeout is None:
            return sys.float_info.max
        return self._started + self._timeout - monotonic()

    def _subject(self) -> str:
        return " and ".join(map(describe, self._structures))

    def _give_up(self) -> NoReturn:
        tried = "once" if self._losses == 1 else f"{self._losses} times"
        seconds = self._ended - self._started
        raise Conflict(
            f"a transaction over {self._subject()} was tried {tried} in {seconds:.3g} s, "
            f"and another process changed what it read each time; nothing was written. "
            f"Try again later, allow more attempts or time, do less in the transaction, "
            f"or guard it with a lock",
            attempts=self._losses,
            structures=tuple(map(describe, self._structures)),
        )


def describe(structure: Structure) -> str:
    """A structure, for messages."""
    return f"the {structure._context.kind} {structure.name!r}"


def _checked(state: State, structures: tuple[Any, ...]) -> tuple[Structure, ...]:
    """The structures, if one transaction can have them all."""
    if not structures:
        raise ValueError("expected the structures of the transaction, got none")
    for structure in structures:
        if image_class(structure) is None:
            raise TypeError(
                f"expected maps and counters for a transaction, got {structure!r}; for "
                f"others, use a lock"
            )
        if structure._context.state is not state:
            raise ValueError(
                f"expected structures of {state!r}, got {structure!r}: a transaction is "
                f"over handles of one state, and its views are not for another"
            )
    check_one_slot(state, structures)
    return structures
