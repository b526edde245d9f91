"""Consistency levels: what must be true before a write is called done.

A level wraps the backend once, when a `State` is made. The default wraps nothing, and so
costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from sharedstate.backend import Backend


class ConsistencyLevel(Protocol):
    """What a consistency plugin provides."""

    @property
    def name(self) -> str:
        """The name by which it is chosen."""

    def apply(self, backend: Backend) -> Backend:
        """The backend through which a state with this level executes its commands.

        Its writes return only when the level's condition holds, and raise
        `ConsistencyError` (the write was made, but not confirmed enough) otherwise.
        """
