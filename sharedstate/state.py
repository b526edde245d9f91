"""`State`: structures by name, over one backend.

A `State` is opened from checked `Settings`, owns one backend, and hands out handles.
What a handle needs (the factory of its kind, its serializer) is looked up once, so that
making one costs a few microseconds and no round trip.

A state pickles as the settings by which another process reaches the same data, and
nothing else. Where it arrives, one state per settings serves all handles of the
process, over its own connections; it is closed when the last of them is gone.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from sharedstate.config import check_text
from sharedstate.handles import Handles
from sharedstate.registry import get_registry
from sharedstate.requirements import check_capabilities, check_modules
from sharedstate.slots import named_by, place_of
from sharedstate.structures.base import StructureContext

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import TracebackType
    from typing import TypeAlias

    from sharedstate.backend import Backend, Capability
    from sharedstate.config import Settings
    from sharedstate.hookspecs import LockRecord
    from sharedstate.serializers import Serializer

    Factory: TypeAlias = Callable[[StructureContext, Mapping[str, object]], Any]

DEFAULT_SERIALIZER = "msgpack"

SCAN_COUNT = 500
"""Keys that one step of SCAN looks at: some 100 µs of the store's time."""


class State(Handles):
    """Shared state over one backend. Made by `connect`; a context manager.

    Safe for threads. Picklable where other processes can reach the data; `NotSupported`
    is raised where they cannot (`memory://`).
    """

    def __init__(self, settings: Settings, backend: Backend) -> None:
        """Wrap an open backend, which the state owns from now on: `close` closes it."""
        self._settings = settings
        self._store = backend
        level = get_registry().consistency(settings.consistency).create(settings)
        self._backend = level.apply(backend)
        namespace = settings.namespace
        self._prefix = f"{namespace}:ss:" if namespace else "ss:"
        self._factories: dict[str, Factory] = {}
        self._serializers: dict[object, Serializer] = {}
        if settings.serializer != DEFAULT_SERIALIZER:
            # What it lacks (a key, say) is said now, and not when the first map is made.
            self._find_serializer(None)

    @classmethod
    def open(cls, settings: Settings) -> State:
        """Open the backend that checked settings name. Raises as `connect` does."""
        registry = get_registry()
        record = registry.backend(settings.address.scheme)
        check_modules(record)
        wanted = settings.require | registry.consistency(settings.consistency).capabilities
        who = f"the backend {record.name!r} of {settings}"
        check_capabilities(who, wanted, record.capabilities)
        backend = record.create(settings)
        try:
            if wanted:
                check_capabilities(who, wanted, backend.capabilities)
            return cls(settings, backend)
        except BaseException:
            backend.close()
            raise

    def structure(self, kind: str, name: str, **options: object) -> Any:
        """A structure of any kind that a plugin provides, by name. No round trip.

        Raises `ConfigError` for an unknown kind, or a serializer that is unknown.
        """
        return self._make(kind, name, options)

    def lock_record(self, name: str | None = None) -> LockRecord:
        """The lock strategy of a name, or of the settings, checked against the backend.

        Raises `ConfigError` if it is unknown, or the backend lacks what it needs.
        """
        record = get_registry().lock(name or self._settings.lock)
        check_modules(record)
        if record.capabilities:
            who = f"the backend of {self}, which the lock strategy {record.name!r} needs,"
            check_capabilities(who, record.capabilities, self.capabilities)
        return record

    def names(self, kind: str | None = None) -> Iterator[tuple[str, str]]:
        """The kinds and names of what is stored, each once, in no order.

        What is empty is not stored. Goes over the store with SCAN: one round trip for
        each `SCAN_COUNT` keys of the store, of whatever kind. Not a snapshot: what is
        made or deleted meanwhile may be told or not. Raises `ConfigError` for a kind that
        nobody provides.
        """
        if kind is not None:
            get_registry().structure(kind)
        start = _escaped(self._prefix)
        return self._names(f"{start}[{{(]{kind}:*" if kind else f"{start}[{{(]*")

    def _names(self, pattern: str) -> Iterator[tuple[str, str]]:
        seen: set[tuple[str, str]] = set()
        for key in self._scan(pattern):
            found = named_by(key.decode(errors="replace")[len(self._prefix) :])
            if found is not None and found not in seen:
                seen.add(found)
                yield found

    def delete(self, kind: str, name: str) -> bool:
        """Delete a structure with all that belongs to it; True if there was something.

        Not atomic, and not for what is in use: a lock that is deleted forgets its
        fencing number, a queue its waiters, and any structure the tokens of locks that it
        has seen. Costs the round trips of `names`.
        """
        get_registry().structure(kind)
        prefix = f"{self._prefix}{place_of(kind, name)}:"
        keys = list(self._scan(f"{_escaped(prefix)}*"))
        removed: int = self._backend.execute(("UNLINK", *keys)) if keys else 0
        return removed > 0

    def ping(self) -> float:
        """Ask the store for a sign of life; the seconds that it took. One round trip."""
        from time import perf_counter

        start = perf_counter()
        self._backend.execute(("PING",))
        return perf_counter() - start

    @property
    def settings(self) -> Settings:
        """The settings that this state was opened with."""
        return self._settings

    @property
    def backend(self) -> Backend:
        """Executes commands, at this state's consistency level."""
        return self._backend

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What the backend can do. May cost one round trip."""
        return self._store.capabilities

    def common_key(self, part: str) -> str:
        """A key of the store that belongs to no structure: `ss:part`, in the namespace."""
        return f"{self._prefix}{part}"

    def describe(self) -> str:
        """The URL, fit for messages: without a password."""
        return str(self._settings)

    def close(self) -> None:
        """Close this process's connections, and what only this state needed. Twice is
        fine. Handles of this state raise `BackendError` from then on. Locks that are held
        are lost: free at once where the backend has sessions, else when their leases end.
        """
        self._backend.close()
        watchdog = sys.modules.get("sharedstate.watchdog")
        if watchdog is not None:
            watchdog.WATCHDOG.lose_those_of(self._backend)
        attached = sys.modules.get("sharedstate.attached")
        if attached is not None:
            attached.forget(self)

    def __enter__(self) -> State:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<State {self.describe()}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _attach, (self._store.settings,)

    def _make(self, kind: str, name: str, options: Mapping[str, object]) -> Any:
        # On the way of every handle: two look-ups in dicts and one object.
        create = self._factories.get(kind) or self._find_factory(kind)
        chosen = options.get("serializer")
        serializer = self._serializers.get(chosen) or self._find_serializer(chosen)
        if type(name) is not str or not name or not name.isascii():
            _check_name(kind, name)
        context = StructureContext(
            state=self,
            backend=self._backend,
            kind=kind,
            name=name,
            prefix=f"{self._prefix}{place_of(kind, name)}",
            serializer=serializer,
        )
        return create(context, options)

    def _find_factory(self, kind: str) -> Factory:
        record = get_registry().structure(kind)
        if record.capabilities:
            who = f"the backend of {self}, which the structure {kind!r} needs,"
            check_capabilities(who, record.capabilities, self.capabilities)
        self._factories[kind] = record.create
        return record.create

    def _find_serializer(self, chosen: object) -> Serializer:
        name = self._settings.serializer if chosen is None else str(chosen)
        record = get_registry().serializer(name)
        check_modules(record)
        return self._serializers.setdefault(chosen, record.create(self._settings))

    def _scan(self, pattern: str) -> Iterator[bytes]:
        cursor: Any = b"0"
        while True:
            command = ("SCAN", cursor, "MATCH", pattern, "COUNT", SCAN_COUNT)
            cursor, keys = self._backend.execute(command)
            yield from keys
            if cursor == b"0":
                return


def _escaped(text: str) -> str:
    """Text that stands for itself in a pattern."""
    return "".join(f"\\{c}" if c in "*?[]^\\" else c for c in text)


def _attach(settings: Settings) -> State:
    """Rebuild a state from its pickle."""
    from sharedstate.attached import attach

    return attach(settings)


def _check_name(kind: str, name: object) -> None:
    if not isinstance(name, str):
        raise TypeError(f"the name of a {kind} must be a str, not {type(name).__name__}")
    if not name:
        raise ValueError(f"the name of a {kind} must not be empty")
    check_text(name, f"the name of a {kind}")
