"""The names that a process has bound to its session, and their wills.

A name that was added is *unsettled* until the store has bound it, and again when the
connection broke. `sessions.py` says when which name comes and goes, and holds a lock while
it calls this; what `is_sure` and `used_at` say is read and written without it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from sharedstate.errors import BackendError, CommandError
from sharedstate.log import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sharedstate.backend import Argument, BackendSession, Key, Script

AT_ONCE = 256
"""So many names are bound, or unbound, in one call, at the most."""


@dataclass(frozen=True, slots=True)
class Will:
    """What the store does for a process: `end` when it is gone, and `keep` every
    `keep_every` seconds while it is there. Both scripts get the same keys and arguments.
    """

    end: Script
    keys: Sequence[Key]
    arguments: Sequence[Argument] = ()
    keep: Script | None = None
    keep_every: float | None = None


class Bound:
    """A name that is to be bound: its will, and when it was last asked for.

    `is_sure` says that it is bound as long as the connection is open.
    """

    __slots__ = ("group", "is_sure", "name", "used_at", "will")

    def __init__(self, name: str, will: Will, group: str) -> None:
        self.name = name
        self.will = will
        self.group = group
        self.used_at = 0.0
        self.is_sure = False


class BoundNames:
    """The names of one session."""

    def __init__(self) -> None:
        self.by_name: dict[str, Bound] = {}
        # Those that have yet to be bound to the connection.
        self._unsettled: dict[str, None] = {}
        self._has_warned = False

    def add(self, name: str, will: Will, group: str) -> Bound:
        """A name that is to be bound."""
        bound = self.by_name[name] = Bound(name, will, group)
        self._unsettled[name] = None
        return bound

    def remove(self, name: str) -> None:
        """A name that is not bound, and is not to be."""
        self._unsettled.pop(name, None)
        self.by_name.pop(name, None)

    def clear(self) -> None:
        """Forget all."""
        self.by_name.clear()
        self._unsettled.clear()

    def unsettle(self, oldest: float, is_idle: Callable[[str], bool]) -> None:
        """The connection is over: forget what is idle and was not asked for since
        `oldest`; the rest has to be bound again.
        """
        for name, bound in list(self.by_name.items()):
            bound.is_sure = False
            if bound.used_at < oldest and is_idle(name):
                del self.by_name[name]
        self._unsettled = dict.fromkeys(self.by_name)

    def settle(
        self, session: BackendSession, first: str | None = None
    ) -> dict[str, CommandError]:
        """Bind what is not bound yet, `first` before the others, many in a round trip. What
        is refused waits for the next call, and keeps others waiting as seldom as can be.

        Whatever fails here, the connection stays: to close it would end what it has.
        """
        unsettled = self._unsettled
        if first not in unsettled:
            first = None
        while unsettled:
            names = [name for name in islice(unsettled, AT_ONCE) if name != first]
            if first is not None:
                names.insert(0, first)
                first = None
            refused = session.bind_many({name: self.by_name[name].will for name in names})
            for name in names:
                unsettled.pop(name, None)
                if name in refused:
                    unsettled[name] = None
                else:
                    self.by_name[name].is_sure = True
            if refused:
                return refused
        return {}

    def take_out(
        self, names: Sequence[str], oldest: float, is_free: Callable[[Bound], bool]
    ) -> dict[str, Bound]:
        """Take out those of the names that were not asked for since `oldest`, and that
        nobody needs.
        """
        leaving = {}
        for name in names:
            bound = self.by_name.get(name)
            if bound is None:
                continue
            was_sure, bound.is_sure = bound.is_sure, False
            # Looked at only now: somebody may have come who did not see that.
            if bound.used_at < oldest and is_free(bound):
                leaving[name] = bound
                self.remove(name)
            else:
                bound.is_sure = was_sure
        return leaving

    def unbind(self, session: BackendSession | None, leaving: dict[str, Bound]) -> None:
        """Unbind names that were taken out. If that fails, they are here again, and
        unsettled; the log is told once.
        """
        # What was bound to a connection that is over is forgotten anyway.
        if not leaving or session is None or not session.is_open():
            return
        try:
            session.unbind(*leaving)
        except (BackendError, CommandError) as error:
            level = "debug" if self._has_warned else "warning"
            self._has_warned = True
            getattr(get_logger("locks"), level)("names could not be unbound: %s", error)
            self.by_name |= leaving
            self._unsettled |= dict.fromkeys(leaving)
