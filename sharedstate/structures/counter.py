"""Counters: numbers that many processes add to at once.

A counter is one string on the store, and a plain `add` is one INCRBY, with nothing in
between. Bounds are checked by a script, in the step that adds; `counter.lua` says how
that stays exact near the ends of 64 bits.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar, overload

from sharedstate.errors import (
    BoundExceeded,
    CommandError,
    ConfigError,
    CounterOverflow,
    NotANumber,
)
from sharedstate.structures.arithmetic import finite, raise_refused_sum, stored_whole, whole
from sharedstate.structures.base import Structure
from sharedstate.structures.script_file import ScriptFile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Self, TypeAlias

    from sharedstate.fencing import FencingLock
    from sharedstate.structures.base import StructureContext

    OnBound: TypeAlias = Literal["none", "raise"]

_SCRIPTS = ScriptFile(__file__, "counter.lua")

N = TypeVar("N", bound=float)


class SharedNumber(Structure, Generic[N]):
    """What counters of both kinds have in common.

    A write with `fence=lock` carries the token of a lock that is held, and raises
    `StaleToken`, with nothing changed, if a later holder has written: see `Lock.fencing`.
    """

    fenceable = True
    _type: ClassVar[type | None]
    """The type whose every value may be added, so that nothing has to be checked."""
    _increment: ClassVar[str]
    """The command that adds."""
    _add_within: ClassVar[str]
    _compare_and_set: ClassVar[str]

    def __init__(self, context: StructureContext, options: Mapping[str, object]) -> None:
        super().__init__(context, options)
        if options:
            raise ConfigError(f"a {context.kind} has no options, got {', '.join(options)}")
        self._key = context.key("value")
        self._execute: Callable[[tuple[Any, ...]], Any] = context.backend.execute

    @overload
    def add(self, n: N = ..., *, fence: FencingLock | None = None) -> N: ...
    @overload
    def add(
        self,
        n: N = ...,
        *,
        minimum: N | None = None,
        maximum: N | None = None,
        on_bound: Literal["raise"],
        fence: FencingLock | None = None,
    ) -> N: ...
    @overload
    def add(
        self,
        n: N = ...,
        *,
        minimum: N | None = None,
        maximum: N | None = None,
        on_bound: OnBound = "none",
        fence: FencingLock | None = None,
    ) -> N | None: ...
    def add(
        self,
        n: Any = 1,
        *,
        minimum: N | None = None,
        maximum: N | None = None,
        on_bound: OnBound = "none",
        fence: FencingLock | None = None,
    ) -> Any:
        """Add `n`, and return the new value. Atomic; one round trip.

        With bounds, the new value must lie within them, both included. Otherwise nothing
        is changed, and the result is None, or `BoundExceeded` is raised with
        `on_bound="raise"`. However many processes call `add(-1, minimum=0)`, a stock of
        ten is sold ten times.

        Raises `CounterOverflow` when the value would not fit 64 bits, or a float.
        """
        if fence is not None:
            bounds: Any = {"minimum": minimum, "maximum": maximum, "on_bound": on_bound}
            add: Callable[..., Any] = self.add
            return self._fenced(fence, add, n, **bounds)
        if type(n) is not self._type:
            n = self._check(n, "amount")
        if minimum is not None or maximum is not None:
            return self._add_bounded(n, (minimum, maximum), on_bound)
        try:
            reply = self._execute((self._increment, self._key, n))
        except CommandError as error:
            raise_refused_sum(error, self._subject(), n)
            raise
        return reply if type(reply) is int else self._read(reply)

    @overload
    def subtract(self, n: N = ..., *, fence: FencingLock | None = None) -> N: ...
    @overload
    def subtract(
        self,
        n: N = ...,
        *,
        minimum: N | None = None,
        maximum: N | None = None,
        on_bound: Literal["raise"],
        fence: FencingLock | None = None,
    ) -> N: ...
    @overload
    def subtract(
        self,
        n: N = ...,
        *,
        minimum: N | None = None,
        maximum: N | None = None,
        on_bound: OnBound = "none",
        fence: FencingLock | None = None,
    ) -> N | None: ...
    def subtract(self, n: Any = 1, **options: Any) -> Any:
        """Subtract `n`, and return the new value. As `add(-n)`, all options included."""
        return self.add(-self._check(n, "amount"), **options)

    @property
    def value(self) -> N:
        """The value now. One round trip. Raises `NotANumber` if it is none."""
        return self._read(self._execute(("GET", self._key)))

    @abstractmethod
    def get_and_add(self, n: N, *, fence: FencingLock | None = None) -> N:
        """Add `n`, and return the value from before. Atomic; one round trip."""

    def compare_and_set(
        self, expected: N, new: N, *, fence: FencingLock | None = None
    ) -> bool:
        """Set the counter to `new` if it is `expected`; whether it was.

        Atomic; one round trip.
        """
        if fence is not None:
            return self._fenced(fence, self.compare_and_set, expected, new)
        wanted, following = self._check(expected, "expected value"), self._check_stored(new)
        done: int = self._run(self._compare_and_set, repr(wanted), repr(following))
        return done == 1

    def reset(self, to: Any = 0, *, fence: FencingLock | None = None) -> N:
        """Set the counter, and return the value from before. Atomic; one round trip."""
        if fence is not None:
            return self._fenced(fence, self.reset, to)
        return self._read(self._execute(("GETSET", self._key, self._check_stored(to))))

    def set(self, value: N, *, fence: FencingLock | None = None) -> None:
        """Set the counter, whatever it was. Atomic; one round trip."""
        if fence is not None:
            self._fenced(fence, self.set, value)
            return
        self._execute(("SET", self._key, self._check_stored(value)))

    def __iadd__(self, n: N) -> Self:
        self.add(n)
        return self

    def __isub__(self, n: N) -> Self:
        self.subtract(n)
        return self

    @staticmethod
    @abstractmethod
    def _check(value: Any, what: str) -> Any:
        """The value, if it is a number of this kind. Raises `TypeError`."""

    @staticmethod
    @abstractmethod
    def _check_stored(value: Any) -> Any:
        """The value, if the store can hold it as a number of this kind."""

    @abstractmethod
    def _parse(self, data: bytes) -> N:
        """The number in a stored text. Raises `ValueError`."""

    def _read(self, data: bytes | None) -> N:
        try:
            return self._parse(data or b"0")
        except ValueError as error:
            shown = repr(data)[:80]
            message = f"expected {self._subject()} to hold a number, found {shown}"
            raise NotANumber(message) from error

    def _add_bounded(
        self, n: N, bounds: tuple[N | None, N | None], on_bound: str
    ) -> N | None:
        if on_bound not in ("none", "raise"):
            raise ValueError(f"expected on_bound='none' or 'raise', got {on_bound!r}")
        names = ("minimum", "maximum")
        texts = [
            "" if bound is None else repr(self._check(bound, what))
            for bound, what in zip(bounds, names, strict=True)
        ]
        try:
            result = self._run(self._add_within, repr(n), *texts)
        except CommandError as error:
            raise_refused_sum(error, self._subject(), n)
            raise
        if result is None and on_bound == "raise":
            raise BoundExceeded(
                f"adding {n} would take {self._subject()} out of its bounds "
                f"(minimum {bounds[0]}, maximum {bounds[1]}); nothing was changed"
            )
        return None if result is None else self._read(result)

    def _run(self, script: str, *arguments: str) -> Any:
        run_script = self._context.backend.run_script
        return run_script(_SCRIPTS[script], (self._key,), arguments)

    def _subject(self) -> str:
        return f"the {self._context.kind} {self.name!r}"


class Counter(SharedNumber[int]):
    """A whole number of 64 bits, shared. A counter that was never set is 0.

    Every method is atomic and costs one round trip. `counter += 1` adds atomically; to
    compare, or to calculate, take `counter.value`: a number, as it was at that moment.
    """

    _type: ClassVar[type | None] = int
    _increment = "INCRBY"
    _add_within = "add_within"
    _compare_and_set = "compare_and_set"
    _check = staticmethod(whole)
    _check_stored = staticmethod(stored_whole)

    def get_and_add(self, n: int = 1, *, fence: FencingLock | None = None) -> int:
        """Add `n`, and return the value from before. Atomic; one round trip."""
        return self.add(n, fence=fence) - n

    def __int__(self) -> int:
        return self.value

    def __index__(self) -> int:
        return self.value

    def _parse(self, data: bytes) -> int:
        return int(data)


class FloatCounter(SharedNumber[float]):
    """A float, shared. A counter that was never set is 0.0.

    Every method is atomic and costs one round trip. The store keeps 17 digits behind the
    point: what is smaller than that is lost, and sums are rounded as sums of floats are.
    """

    _type: ClassVar[type | None] = None
    _increment = "INCRBYFLOAT"
    _add_within = "add_float_within"
    _compare_and_set = "compare_and_set_float"
    _check = staticmethod(finite)
    _check_stored = staticmethod(finite)

    def get_and_add(self, n: float = 1.0, *, fence: FencingLock | None = None) -> float:
        """Add `n`, and return the value from before. Atomic; one round trip."""
        if fence is not None:
            return self._fenced(fence, self.get_and_add, n)
        amount = finite(n)
        commands = (("GET", self._key), ("INCRBYFLOAT", self._key, amount))
        try:
            replies: Any = self._context.backend.transact(commands)
        except CommandError as error:
            raise_refused_sum(error, self._subject(), amount)
            raise
        return self._read(replies[0])

    def __float__(self) -> float:
        return self.value

    def _parse(self, data: bytes) -> float:
        value = float(data)
        if value - value != 0:
            # Redis adds in a type wider than a double, and can hold what we cannot.
            raise CounterOverflow(f"{self._subject()} has left the range of a float")
        return value
