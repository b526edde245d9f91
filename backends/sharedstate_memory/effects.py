"""Effects: what a command changed, in commands that change the same anywhere.

A log or a replica must not get the call but its outcome: `SPOP` picks at random,
`EXPIRE` counts from now, an expired key vanishes without any command. So a handler
whose call is not deterministic replaces it, and everything else is its own effect if it
changed something.

The effects of one unit (a command with the expiries it found, a transaction, a script)
are handed over together, between MULTI and EXEC when there are several.

An engine has one of these only while somebody listens, so that others pay nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Effects:
    """The effects of the unit that runs now, and who wants them.

    A script may silence what its commands do (`is_silent`), but not that keys expire.
    """

    __slots__ = ("_replacement", "_unit", "changed", "is_silent", "listener")

    def __init__(self, listener: Callable[[int, list[bytes]], None]) -> None:
        self.listener = listener
        self.changed = False
        self.is_silent = False
        self._replacement: list[list[bytes]] = []
        self._unit: list[tuple[int, list[bytes]]] = []

    def replace(self, *commands: list[bytes]) -> None:
        """Let these stand for the command that runs now, if it changed something."""
        self._replacement.extend(commands)

    def add(self, database: int, argv: list[bytes]) -> None:
        """Note an effect beside the running command's own, such as an expiry."""
        self._unit.append((database, argv))

    def end_command(self, database: int, argv: list[bytes]) -> None:
        """Note what the command that has just run did."""
        if self.changed and not self.is_silent:
            for effect in self._replacement or (argv,):
                self._unit.append((database, effect))
        self.changed = False
        self._replacement.clear()

    def end_unit(self) -> None:
        """Hand the unit's effects to the listener."""
        unit, self._unit = self._unit, []
        if not unit:
            return
        is_wrapped = len(unit) > 1
        if is_wrapped:
            self.listener(unit[0][0], [b"MULTI"])
        for database, argv in unit:
            self.listener(database, argv)
        if is_wrapped:
            self.listener(unit[-1][0], [b"EXEC"])
