"""A state whose locks are granted by a majority of servers: so that a suite that asks for
`state.lock(name)` and nothing more is run with the strategy `redlock`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sharedstate.connecting import connect
from sharedstate.resolve import gather
from sharedstate.state import State
from sharedstate.waiting import to_seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sharedstate.config import Settings
    from sharedstate.structures.lock import Lock


class RedlockState(State):
    """A state on a store of its own, and the servers that its locks are asked of."""

    servers: tuple[str, ...]
    options: dict[str, Any]

    def lock(self, name: str, **options: Any) -> Lock:
        """The lock of a name, by `redlock` unless a strategy is given."""
        if options.setdefault("strategy", "redlock") == "redlock":
            # On a busy machine an answer may take its time.
            patience = min(2.0, to_seconds(options.get("ttl", 30.0)) / 2)
            own = {"servers": self.servers, "server_timeout": patience, **self.options}
            options = {**own, **options}
        return super().lock(name, **options)

    def delete(self, kind: str, name: str) -> bool:
        """Delete a structure, on the servers too."""
        found = super().delete(kind, name)
        for url in self.servers:
            with connect(url, namespace=self.settings.namespace) as state:
                found |= state.delete(kind, name)
        return found

    def __reduce__(self) -> tuple[Any, ...]:
        return _open, (self._store.settings, self.servers, self.options)


def connect_with_servers(
    url: str, servers: Sequence[str], *, namespace: str, **options: Any
) -> RedlockState:
    """Open a state at `url` whose locks are asked of `servers`, with options of `redlock`.

    Servers may vote at once, unless a `restart_delay` is given.
    """
    settings = gather(url, {"namespace": namespace})
    return _open(settings, tuple(servers), {"restart_delay": 0, **options})


def _open(
    settings: Settings, servers: tuple[str, ...], options: dict[str, Any]
) -> RedlockState:
    state = RedlockState.open(settings)
    assert isinstance(state, RedlockState)
    state.servers, state.options = servers, options
    return state
