"""Effects: what a command changed, in commands that change the same anywhere.

A log or a replica must not get the call but its outcome: `SPOP` picks at random,
`EXPIRE` counts from now, an expired key vanishes without any command. So a handler
whose call is not deterministic replaces it, and everything else is its own effect if it
changed something.

The effects of one unit (a command with the expiries it found, a transaction, a script)
are handed over together, between MULTI and EXEC when there are several.

Messages are effects too, for replicas, whose clients listen as well. A log has no
listeners: it says so by `wants_messages`.

An engine has one of these only while somebody listens, so that others pay nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


ONLY_LOGGED = 2
"""What `Engine.pending` is when a command has an effect, and nothing else is to do."""


class Effects:
    """The effects of the unit that runs now, and who wants them.

    A script may silence what its commands do (`is_silent`), but not that keys expire.
    """

    __slots__ = (
        "changed",
        "is_silent",
        "listener",
        "replacement",
        "unit",
        "wants_messages",
    )

    def __init__(
        self, listener: Callable[[int, list[bytes]], None], *, wants_messages: bool = True
    ) -> None:
        self.listener = listener
        self.wants_messages = wants_messages
        self.changed = False
        self.is_silent = False
        self.replacement: list[list[bytes]] = []
        """What stands for the command that runs now."""
        self.unit: list[tuple[int, list[bytes]]] = []
        """The effects of the unit so far."""

    def replace(self, *commands: list[bytes]) -> None:
        """Let these stand for the command that runs now, if it has changed something: to
        be called behind the change.
        """
        # One that changed nothing may leave no trace: nobody would end it.
        if self.changed:
            self.replacement.extend(commands)

    def add(self, database: int, argv: list[bytes]) -> None:
        """Note an effect beside the running command's own, such as an expiry."""
        self.unit.append((database, argv))

    def forget_command(self) -> None:
        """Let what the running command has done so far be none of its effects."""
        self.changed = False
        self.replacement.clear()

    def end_command(self, database: int, argv: list[bytes]) -> None:
        """Note what the command that has just run did."""
        if self.changed and not self.is_silent:
            for effect in self.replacement or (argv,):
                self.unit.append((database, effect))
        self.changed = False
        self.replacement.clear()

    def end_unit(self) -> None:
        """Hand the unit's effects to the listener."""
        unit, self.unit = self.unit, []
        if not unit:
            return
        is_wrapped = len(unit) > 1
        if is_wrapped:
            self.listener(unit[0][0], [b"MULTI"])
        for database, argv in unit:
            self.listener(database, argv)
        if is_wrapped:
            self.listener(unit[-1][0], [b"EXEC"])
