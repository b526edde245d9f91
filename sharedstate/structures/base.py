"""What every structure is made with: where it lives, and how its values travel.

A handle is an address and not a connection. It pickles as (settings, kind, name,
options), a few hundred bytes, and is rebuilt in the other process over that process's
own connections.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import ParamSpec, TypeVar

    from sharedstate.backend import Backend
    from sharedstate.fencing import FencingLock
    from sharedstate.serializers import Serializer
    from sharedstate.state import State

    P = ParamSpec("P")
    R = TypeVar("R")


class StructureContext:
    """One structure's place: its state, backend, key names and serializer."""

    __slots__ = ("backend", "kind", "name", "prefix", "serializer", "state")

    def __init__(
        self,
        *,
        state: State,
        backend: Backend,
        kind: str,
        name: str,
        prefix: str,
        serializer: Serializer,
    ) -> None:
        self.state = state
        self.backend = backend
        """Executes commands at the state's consistency level."""
        self.kind = kind
        self.name = name
        self.prefix = prefix
        """What the names of all keys of this structure begin with: `ss:{kind:name}`."""
        self.serializer = serializer

    def key(self, part: str) -> str:
        """The store's key for one part of this structure: `ss:{kind:name}:part`."""
        return f"{self.prefix}:{part}"


class Structure:
    """The base of all handles: a name, a repr, and pickling.

    `options` are the keyword options by which the handle was made; they travel with it.
    """

    fenceable: ClassVar[bool] = False
    """Whether a lock can fence its writes. For that, a handle must reach the store by
    nothing but `self._context.backend`, or bound methods of it in attributes of its own."""

    def __init__(self, context: StructureContext, options: Mapping[str, object]) -> None:
        self._context = context
        self._options = dict(options)

    @property
    def name(self) -> str:
        """The name by which every process finds this structure."""
        return self._context.name

    def _fenced(
        self,
        lock: FencingLock,
        method: Callable[P, R],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Call one of this handle's methods; its writes carry the token of the lock."""
        from sharedstate.fencing import call_fenced

        return call_fenced(lock, self, method, *args, **kwargs)

    def __repr__(self) -> str:
        where = self._context.state.describe()
        return f"<{type(self).__name__} {self._context.name!r} on {where}>"

    def __reduce__(self) -> tuple[Any, ...]:
        context = self._context
        return _rebuild, (context.state, context.kind, context.name, self._options)


def _rebuild(state: State, kind: str, name: str, options: dict[str, object]) -> object:
    return state.structure(kind, name, **options)
