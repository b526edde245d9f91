"""`Handles`: the methods by which a state hands out structures, one for each kind.

They only say what a kind's options are, and leave out those that have their default, since
options travel in every pickle of a handle. `State.structure` makes the handle; what a
plugin provides beyond these kinds is made by it directly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import timedelta

    from sharedstate.structures.counter import Counter, FloatCounter
    from sharedstate.structures.lock import Lock
    from sharedstate.structures.map import Map
    from sharedstate.structures.queue import Queue

_LOCK_DEFAULTS = {"strategy": None, "ttl": 30.0, "renew": True, "on_lost": None}


class Handles:
    """What `State` offers: a method for each built-in structure."""

    @overload
    def map(
        self, name: str, *, key: type[str] = ..., serializer: str | None = None
    ) -> Map[str, Any]: ...
    @overload
    def map(
        self, name: str, *, key: type[int], serializer: str | None = None
    ) -> Map[int, Any]: ...
    @overload
    def map(
        self, name: str, *, key: type[bytes], serializer: str | None = None
    ) -> Map[bytes, Any]: ...
    @overload
    def map(
        self, name: str, *, key: type[Any], serializer: str | None = None
    ) -> Map[Any, Any]: ...
    def map(
        self, name: str, *, key: type[Any] = str, serializer: str | None = None
    ) -> Map[Any, Any]:
        """The map of a name. `key` is the type of its keys: `str`, `int`, `bytes`, or
        `object` for any that the serializer takes. No round trip."""
        options: dict[str, object] = {} if key is str else {"key": key}
        handle: Map[Any, Any] = self._make(
            "map", name, _with_serializer(options, serializer)
        )
        return handle

    def counter(self, name: str) -> Counter:
        """The counter of a name: whole numbers of 64 bits. No round trip."""
        handle: Counter = self._make("counter", name, {})
        return handle

    def float_counter(self, name: str) -> FloatCounter:
        """The counter of floats of a name. No round trip."""
        handle: FloatCounter = self._make("float_counter", name, {})
        return handle

    def queue(
        self, name: str, *, maxsize: int = 0, serializer: str | None = None
    ) -> Queue[Any]:
        """The queue of a name. `maxsize` bounds it for every producer; 0 is no bound.
        No round trip."""
        options: dict[str, object] = {"maxsize": maxsize} if maxsize else {}
        handle: Queue[Any] = self._make(
            "queue", name, _with_serializer(options, serializer)
        )
        return handle

    def lock(
        self,
        name: str,
        *,
        strategy: str | None = None,
        ttl: float | timedelta = 30.0,
        renew: bool = True,
        on_lost: Callable[[Lock], object] | None = None,
        **options: object,
    ) -> Lock:
        """The lock of a name: held by one at a time, on a lease of `ttl` seconds.

        The lease is renewed while the lock is held, unless `renew` is False; `on_lost`
        is called when it ended all the same. Further options are the strategy's, by
        default that of the settings. No round trip.
        """
        given = {"strategy": strategy, "ttl": ttl, "renew": renew, "on_lost": on_lost}
        for option, value in given.items():
            if value != _LOCK_DEFAULTS[option]:
                options[option] = value
        handle: Lock = self._make("lock", name, options)
        return handle

    def _make(self, kind: str, name: str, options: Mapping[str, object]) -> Any:
        """The handle of a kind and name. `State` has it."""
        raise NotImplementedError


def _with_serializer(
    options: dict[str, object], serializer: str | None
) -> dict[str, object]:
    """Options hold only what differs from the default: they travel in every pickle."""
    if serializer is not None:
        options["serializer"] = serializer
    return options
