"""Frozen values that are quick to define.

`@dataclass(frozen=True, slots=True)` writes and compiles six methods for each class, in
about 0.45 ms. The classes that every first `connect` needs (options, addresses, what
plugins provide) would so cost more than reading all plugins. `Record` gives them one
set of methods that serves all, and type checkers see dataclasses all the same.

Making a record takes 2 µs instead of 1, which matters nowhere: records are made when a
state is opened. What is made often is a dataclass.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, dataclass_transform

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

EMPTY: Mapping[str, Any] = MappingProxyType({})
"""A default for fields that are mappings: it cannot be changed, so all may share it."""


@dataclass_transform(frozen_default=True)
class Record:
    """The base of frozen values: fields are the annotations, defaults the class's."""

    _fields: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        cls._fields = (*cls._fields, *cls.__annotations__)

    def __init__(self, *values: Any, **named: Any) -> None:
        kind = type(self)
        given = dict(zip(kind._fields, values, strict=False))
        if len(values) > len(kind._fields) or not given.keys().isdisjoint(named):
            raise TypeError(f"{kind.__name__}() got a field twice, or too many values")
        given.update(named)
        for name in kind._fields:
            if name not in given and not hasattr(kind, name):
                raise TypeError(f"{kind.__name__}() needs the field {name!r}")
        unknown = given.keys() - set(kind._fields)
        if unknown:
            raise TypeError(f"{kind.__name__}() has no field {', '.join(sorted(unknown))}")
        self.__dict__.update(given)

    def replaced(self, **changes: Any) -> Self:
        """A copy in which some fields are others."""
        return type(self)(**{**self.__dict__, **changes})

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen: cannot set {name!r}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen: cannot delete {name!r}")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._values() == other._values()

    def __hash__(self) -> int:
        return hash(self._values())

    def __repr__(self) -> str:
        pairs = zip(self._fields, self._values(), strict=True)
        fields = ", ".join(f"{name}={value!r}" for name, value in pairs)
        return f"{type(self).__name__}({fields})"

    def _values(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in self._fields)
