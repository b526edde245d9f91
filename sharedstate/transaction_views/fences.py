"""Fencing tokens in a transaction: what a fenced handle writes carries them here too.

`fencing.lua` compares and records in the script that writes. Here the highest tokens are
read under watch, compared, and recorded by the commit, which comes to the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharedstate.errors import StaleToken
from sharedstate.fenced_backend import carried

if TYPE_CHECKING:
    from sharedstate.backend import Argument, Command
    from sharedstate.fencing import Fence
    from sharedstate.structures.base import Structure
    from sharedstate.transaction_views.watched import Watched


class FencedWrites:
    """The fences that one handle carried when the attempt began."""

    def __init__(self, structure: Structure) -> None:
        context = structure._context
        self.key = context.key("fence")
        self._subject = f"the {context.kind} {context.name!r}"
        self._fences: tuple[Fence, ...] = carried.get().get(id(structure), (None, ()))[1]

    def __bool__(self) -> bool:
        return bool(self._fences)

    def changes(self, watched: Watched) -> list[Command]:
        """The commands that record the tokens. One round trip.

        Raises `StaleToken` if the structure has seen a higher one.
        """
        prefixes = [fence.fence_prefix for fence in self._fences]
        found: list[bytes | None] = watched.read(("HMGET", self.key, *prefixes))
        news: list[Argument] = []
        for fence, highest in zip(self._fences, found, strict=True):
            if highest is not None and fence.token < int(highest):
                raise self._stale(fence, int(highest))
            if highest is None or fence.token > int(highest):
                news += (fence.fence_prefix, fence.token)
        return [("HSET", self.key, *news)] if news else []

    def _stale(self, fence: Fence, highest: int) -> StaleToken:
        return StaleToken(
            f"the transaction wrote nothing: for {self._subject} it carries the token "
            f"{fence.token} of the lock {fence.name!r}, and a later holder has come with "
            f"{highest}. The lock was lost: give up what it guarded, and begin anew with "
            f"what is stored now",
            lock=fence.name,
            token=fence.token,
            highest=highest,
        )
