"""The part of a map that is a dict: what `MutableMapping` asks for, made for sharing.

Every method is atomic. What the standard mix-ins do in several steps (`pop`, `popitem`,
`setdefault`) is one script, and what they do entry by entry goes in large steps.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

from sharedstate.errors import CommandError, ConfigError
from sharedstate.structures.map_keys import key_codec
from sharedstate.structures.map_layout import MapLayout
from sharedstate.structures.map_views import MapItems, MapValues

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sharedstate.structures.base import StructureContext

K = TypeVar("K")
V = TypeVar("V")
D = TypeVar("D")


class Absent(Enum):
    """The type of `ABSENT`."""

    ABSENT = "ABSENT"

    def __repr__(self) -> str:
        return self.value


ABSENT: Final = Absent.ABSENT
"""No entry: what `compare_and_set` may expect or leave, and `update_with` may return."""

# The default of `pop`, which may have any value for a default, ABSENT too.
_RAISE: Any = object()


class SharedDict(MapLayout, MutableMapping[K, V]):
    """A dict on a store: keys and values of Python over the fields and bytes of a hash."""

    def __init__(self, context: StructureContext, options: Mapping[str, object]) -> None:
        super().__init__(context, options)
        unknown = options.keys() - {"key", "serializer"}
        if unknown:
            raise ConfigError(
                f"unknown option of a map: {', '.join(sorted(unknown))}; "
                f"known are key and serializer"
            )
        self._dumps: Callable[[V], bytes] = context.serializer.dumps
        self._loads: Callable[[bytes], V] = context.serializer.loads
        codec = key_codec(options.get("key", str), context.serializer)
        self._exact, self._encode, self._decode = codec.exact, codec.encode, codec.decode

    # The first two methods are the hot path, and are written flat for it: through
    # `_field` and `_call` they would take 0.25 µs more, twice what they take here.

    def __getitem__(self, key: K) -> V:
        field: Any = key if type(key) is self._exact else self._encode(key)
        if self._timed:
            data = self._run("hget", field)
        else:
            try:
                data = self._execute(("HGET", self._data, field))
            except CommandError as error:
                data = self._run_instead(error, "hget", field)
        if data is None:
            raise KeyError(key)
        return self._loads(data)

    def __setitem__(self, key: K, value: V) -> None:
        field: Any = key if type(key) is self._exact else self._encode(key)
        if self._timed:
            self._run("hset", field, self._dumps(value))
            return
        data = self._dumps(value)
        try:
            self._execute(("HSET", self._data, field, data))
        except CommandError as error:
            self._run_instead(error, "hset", field, data)

    def __delitem__(self, key: K) -> None:
        if not self._call("HDEL", self._field(key)):
            raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        found: int = self._call("HEXISTS", self._field(key))
        return found == 1

    def __len__(self) -> int:
        count: int = self._call("HLEN")
        return count

    def __iter__(self) -> Iterator[K]:
        """The keys, in no order, as with `items`.

        `list` asks for the length first, which is one more round trip; `for` does not.
        """
        return (self._decode(field) for field, _ in self._scan())

    def items(self) -> MapItems[K, V]:
        """The entries as pairs: a view, iterated by SCAN.

        One round trip for some hundred entries, and no snapshot: an entry that is there
        from beginning to end is told once, one that comes or goes meanwhile may be told.
        """
        return MapItems(self)

    def values(self) -> MapValues[V]:
        """The values: a view, iterated as `items`."""
        return MapValues(self)

    def copy(self) -> dict[K, V]:
        """The entries as a dict, gathered as by `items`.

        `dict(a_map)` gives the same, but asks for each value on its own.
        """
        return dict(self._entries())

    @overload
    def get(self, key: K, /) -> V | None: ...
    @overload
    def get(self, key: K, /, default: V) -> V: ...
    @overload
    def get(self, key: K, /, default: D) -> V | D: ...
    def get(self, key: K, /, default: Any = None) -> Any:
        """The value of a key, or `default`."""
        data = self._call("HGET", self._field(key))
        return default if data is None else self._loads(data)

    @overload
    def pop(self, key: K, /) -> V: ...
    @overload
    def pop(self, key: K, /, default: V) -> V: ...
    @overload
    def pop(self, key: K, /, default: D) -> V | D: ...
    def pop(self, key: K, /, default: Any = _RAISE) -> Any:
        """Remove a key and return its value; `default`, or `KeyError`, without one.

        Of several processes that pop a key at once, one gets the value.
        """
        data = self._run("pop", self._field(key))
        if data is not None:
            return self._loads(data)
        if default is _RAISE:
            raise KeyError(key)
        return default

    def popitem(self) -> tuple[K, V]:
        """Remove an entry, any, and return it. Raises `KeyError` if the map is empty."""
        entry = self._run("popitem")
        if entry is None:
            raise KeyError(f"popitem: {self!r} is empty")
        field, data = entry
        return self._decode(field), self._loads(data)

    def setdefault(self, key: K, default: Any = None, /) -> V:
        """The value of a key, after writing `default` if it had none.

        Of several processes that call this at once, all get the same value.
        """
        written = self._dumps(default)
        data = self._run("setdefault", self._field(key), written)
        return self._loads(written if data is None else data)

    def clear(self) -> None:
        """Remove all entries. The store frees them in the background."""
        self._clear()

    def __or__(self, other: Mapping[K, V]) -> dict[K, V]:
        """A dict with the entries of both."""
        if not isinstance(other, Mapping):
            return NotImplemented
        return self.copy() | local_entries(other)

    def __ror__(self, other: Mapping[K, V]) -> dict[K, V]:
        if not isinstance(other, Mapping):
            return NotImplemented
        return local_entries(other) | self.copy()

    def _field(self, key: Any) -> Any:
        return key if type(key) is self._exact else self._encode(key)

    def _entries(self) -> Iterator[tuple[K, V]]:
        for field, data in self._scan():
            yield self._decode(field), self._loads(data)


def local_entries(entries: Any) -> dict[Any, Any]:
    """Entries as a dict of our own. Those of a `Map` come some hundred a round trip."""
    return dict(entries.items() if isinstance(entries, Mapping) else entries)
