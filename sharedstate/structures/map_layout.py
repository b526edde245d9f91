"""The two layouts of a map, as Python sees them: one way to execute for both.

`map.lua` explains the layouts. Here is what follows from them: an operation is written
once, as its native command. While the map is plain, that command is what is sent. When
the store refuses it with WRONGTYPE, because the map has become a timed one, the script
of the same name does the same with regard to deadlines, and the handle remembers. Each
script tells which layout it left, so that the handle also finds its way back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sharedstate.errors import CommandError
from sharedstate.structures.base import Structure
from sharedstate.structures.script_file import ScriptFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sharedstate.backend import Argument
    from sharedstate.structures.base import StructureContext

_SCRIPTS = ScriptFile(__file__, "map.lua")

SCAN_COUNT = 500
"""Entries that one step of an iteration asks for: some 100 µs of the store's time."""


class MapLayout(Structure):
    """A hash with deadlines: fields and stored values, in whichever layout they are."""

    fenceable = True

    def __init__(self, context: StructureContext, options: Mapping[str, object]) -> None:
        super().__init__(context, options)
        self._data = context.key("data")
        self._keys = (self._data, context.key("timed"), context.key("deadlines"))
        self._execute: Callable[[tuple[Any, ...]], Any] = context.backend.execute
        self._timed = False

    def _call(self, *command: Any) -> Any:
        """Execute a native command on the map, given without its key. One round trip.

        Two when the map turns out to have become timed since this handle last looked.
        """
        name, *arguments = command
        if not self._timed:
            try:
                return self._execute((name, self._data, *arguments))
            except CommandError as error:
                if error.code != "WRONGTYPE":
                    raise
        return self._run(name.lower(), *arguments)

    def _run(self, script: str, *arguments: Any, further: tuple[str, ...] = ()) -> Any:
        """Run one of the map's scripts, in either layout. One round trip.

        `further` are keys beyond those of the layouts.
        """
        backend, keys = self._context.backend, self._keys + further
        timed, result = backend.run_script(_SCRIPTS[script], keys, arguments)
        self._timed = timed == 1
        return result

    def _run_instead(self, refusal: CommandError, script: str, *arguments: Any) -> Any:
        """Run the script of a native command that was refused, if the layout was why."""
        if refusal.code != "WRONGTYPE":
            raise refusal
        return self._run(script, *arguments)

    def _swap(
        self, field: Argument, expected: bytes | None, new: bytes | None
    ) -> tuple[bool, bytes | None]:
        """Compare and set stored values, None for no entry: whether done, else what is.

        One round trip.
        """
        reply = self._run("compare_and_set", field, *swap_words(expected, new))
        return reply[0] == 1, reply[1] if len(reply) > 1 else None

    def _scan(self) -> Iterator[tuple[bytes, bytes]]:
        """All fields and stored values, each field once.

        As with SCAN, an entry that is there from beginning to end is told, and one that
        comes or goes meanwhile may be. The store may tell a field twice while a hash
        changes its size; whoever needs more than one step remembers what was told.
        """
        cursor, told = b"0", set[bytes]()
        while True:
            cursor, found = self._call("HSCAN", cursor, "COUNT", SCAN_COUNT)
            for field, data in zip(found[::2], found[1::2], strict=True):
                if field not in told:
                    yield field, data
            if cursor == b"0":
                return
            told.update(found[::2])

    def _clear(self) -> None:
        self._execute(("UNLINK", *self._keys))
        self._timed = False


def swap_words(*stored: bytes | None) -> list[Argument]:
    """Stored values as arguments of a script: 1 and the value, or 0 and nothing."""
    words: list[Argument] = []
    for data in stored:
        words += (0, b"") if data is None else (1, data)
    return words
