"""The default level: a write is done when the store has executed it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sharedstate.backend import Backend


class Eventual:
    """Wraps nothing, and so costs nothing."""

    name = "eventual"

    def apply(self, backend: Backend) -> Backend:
        """The backend itself."""
        return backend
