"""MultiLock: several locks as one, all of them or none.

    with state.multilock(["stock", "orders"]) as both:
        move(fence=both.fence("stock"))

It is a `Lock`, whose strategy (`several`) asks for all names in one step. The names are
those of plain locks: `state.lock("stock")` is excluded meanwhile.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from sharedstate.errors import ConfigError, LockLost, SharedStateError
from sharedstate.locking import GrantOfSeveral
from sharedstate.structures.lock import Lock

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharedstate.fencing import Fence
    from sharedstate.state import State
    from sharedstate.structures.base import StructureContext

_SEPARATOR = "+"
_OPTIONS = frozenset({"ttl", "renew", "on_lost", "find_deadlocks", "one_by_one"})


class MultiLock(Lock):
    """Several locks as one: all are held, or none. A context manager.

    As `Lock` in all that it does. While it waits it holds nothing, and cannot run into a
    deadlock with others, in whatever order they name the locks. Who is called eight times
    in vain, since another of its names was taken meanwhile or somebody was quicker, takes
    the names one after the other in their order, and holds those it has: so it comes to its
    turn as surely as one that waits for a plain lock, if it gets all within a lease time.
    If it does not, it lets go of them and begins anew.

    If any of the names is lost, the whole is. The rest is freed when the loss is told by
    `release`, or by leaving the `with`.
    """

    def __init__(self, context: StructureContext, options: Mapping[str, object]) -> None:
        unknown = options.keys() - _OPTIONS
        if unknown:
            raise ConfigError(
                f"a multilock has the options {', '.join(sorted(_OPTIONS))}, got "
                f"{', '.join(sorted(unknown))}"
            )
        self._names = split_names(context.name)
        inner = dict(options)
        locks = [
            context.state.lock(name, strategy="token", ttl=1.0) for name in self._names
        ]
        inner["one_by_one"] = options.get("one_by_one") or _must_be_one_by_one(
            context.state, locks
        )
        inner["strategy"] = "several"
        self._prefixes = {lock.name: lock._context.prefix for lock in locks}
        inner["prefixes"] = self._prefixes
        super().__init__(context, inner)
        self._options = dict(options)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the locks, in the order that is the same for everybody."""
        return self._names

    @property
    def tokens(self) -> dict[str, int]:
        """The fencing token of each name: as that of a plain lock. No round trip.

        `token` is the highest of them, which rises with every grant of just these names.
        Raises `LockNotOwned` or `LockLost` when the lock is not held.
        """
        grant = self._held().grant
        assert isinstance(grant, GrantOfSeveral)
        return dict(zip(self._names, grant.numbers, strict=True))

    def fence(self, name: str) -> Fence:
        """The fence of one name, as writes carry it: against holders of that name, whether
        they have it alone or with others. No round trip. Raises as `tokens`, and `KeyError`
        for a name that is none of these.
        """
        from sharedstate.fencing import Fence

        return Fence(name, self.tokens[name], self._prefixes[name])

    def release(self) -> None:
        """As `Lock.release`. After a loss, what is left is freed before it is told."""
        lease = self._current()
        try:
            super().release()
        except LockLost:
            if lease is not None:
                with suppress(SharedStateError):
                    self._strategy.release(lease.grant)
            raise


def join_names(names: object) -> str:
    """One name for several: sorted, each once, so that it is the same for everybody.

    Raises `TypeError` for what is no collection of text, `ValueError` for an empty one, and
    for names that come twice.
    """
    if isinstance(names, (str, bytes)):
        raise TypeError(
            f"expected several names, such as ['a', 'b'], got {names!r:.100}; for one "
            f"name, use lock({names!r:.100})"
        )
    try:
        given: list[Any] = list(names)  # type: ignore[call-overload]
    except TypeError:
        raise TypeError(
            f"expected several names, such as ['a', 'b'], got {names!r:.100}"
        ) from None
    if not given:
        raise ValueError("expected at least one name of a lock, got none")
    for name in given:
        if not isinstance(name, str):
            raise TypeError(f"the name of a lock must be a str, got {name!r:.100}")
        if not name:
            raise ValueError("the name of a lock must not be empty")
    twice = sorted({name for name in given if given.count(name) > 1})
    if twice:
        raise ValueError(
            f"expected each name once, got {', '.join(map(repr, twice))} more than once"
        )
    return _SEPARATOR.join(map(_escaped, sorted(given)))


def split_names(joined: str) -> tuple[str, ...]:
    """What `join_names` made one. Raises `ConfigError` for what it cannot have made."""
    parts = [
        part.replace("%2B", _SEPARATOR).replace("%25", "%")
        for part in joined.split(_SEPARATOR)
    ]
    try:
        is_joined = join_names(parts) == joined
    except ValueError:
        is_joined = False
    if not is_joined:
        raise ConfigError(
            f"{joined!r} is not what several names of locks are joined to; use "
            f"state.multilock([name, …])"
        )
    return tuple(parts)


def _escaped(name: str) -> str:
    return name.replace("%", "%25").replace(_SEPARATOR, "%2B")


def _must_be_one_by_one(state: State, locks: list[Lock]) -> bool:
    """Whether the names lie apart on a store that is spread."""
    from sharedstate.slots import check_one_slot

    try:
        check_one_slot(state, locks)
    except ConfigError:
        return True
    return False
