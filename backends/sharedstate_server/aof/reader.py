"""Loading a log: every file that the manifest names, in order.

    base        a snapshot, a snapshot with commands behind it, or commands
    increments  commands

Commands are replayed by the quick way (`parsing.py`), a portion at a time; where that
meets something unusual, by the careful way (`units.py`) for a stretch. Only whole units
are ever executed, so that a transaction is there or is not.

What a crash has cut off is cut off for good: the last file that holds anything may end in
the middle of a unit, and loses what is no whole one, if `aof-load-truncated` allows it.
That is reported, with the offset; and where whole commands stand behind the tear, as they
do behind a length that is wrong, what is cut off is kept beside the log. Anything else
that is wrong stops the loading with an `AofError`, for whoever loads around damage has
lost data without knowing which.

Keys do not expire meanwhile, whatever the time is (`Engine.has_come`): the log says when
they did. The commands behind a key's deadline still find it, and must.
"""

from __future__ import annotations

import os
from time import perf_counter

from sharedstate_server.aof.errors import AofError, snapshot_advice
from sharedstate_server.aof.folder import cut_off, keep_end
from sharedstate_server.aof.parsing import (
    PORTION_BYTES,
    QuickParser,
    UnusualError,
    size_of,
    whole_units,
)
from sharedstate_server.aof.replay import CannotReplayError, Replay
from sharedstate_server.aof.units import Trouble, has_commands_behind, units_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from typing import BinaryIO

    from sharedstate_memory.engine import Engine
    from sharedstate_server.aof.folder import LogFolder
    from sharedstate_server.aof.manifest import LogFile, Manifest

SLICE_S = 0.005
"""How long a step takes, about."""

# So far the careful way goes before the quick one is tried again.
_CAREFUL_BYTES = 64 * 1024

_SNAPSHOT = b"REDIS"


class LogReader:
    """One loading of one log."""

    def __init__(
        self,
        folder: LogFolder,
        manifest: Manifest,
        engine: Engine,
        *,
        cuts_off: bool,
        checksum: bool = True,
        tell: Callable[[str], None],
    ) -> None:
        self._folder = folder
        self._manifest = manifest
        self._engine = engine
        self._cuts_off = cuts_off
        self._checksum = checksum
        self._tell = tell
        self._replay = Replay(engine)
        self._before_bytes = 0

    def load(self) -> Iterator[int]:
        """Load into the engine, which is empty. Yields how many bytes were read, every
        few milliseconds. Raises `AofError`, with what came before loaded.
        """
        engine = self._engine
        files = self._manifest.files
        sizes = [self._folder.size_of(file) for file in files]
        last = max((place for place, size in enumerate(sizes) if size), default=0)
        was_loading, engine.is_loading = engine.is_loading, True
        try:
            for place, file in enumerate(files):
                for read in self._load_file(file, is_last=place >= last):
                    yield self._before_bytes + read
                self._before_bytes += sizes[place]
        finally:
            engine.is_loading = was_loading
        replay = self._replay
        if replay.failed:
            self._tell(
                f"{replay.failed} commands of the log failed when they were replayed, the"
                f" first one {replay.first_failure}"
            )

    def _load_file(self, file: LogFile, *, is_last: bool) -> Iterator[int]:
        path = self._folder.path_of(file)
        self._replay.begin_file()
        with open(path, "rb") as opened:
            start = 0
            # One that is damaged in front is no file of commands.
            if opened.read(len(_SNAPSHOT)) == _SNAPSHOT or file.is_snapshot:
                start = yield from self._load_snapshot(opened, path)
            commands = _CommandFile(opened, path, start, self._replay)
            try:
                yield from commands.replay()
            except Trouble as trouble:
                self._settle_trouble(path, trouble, is_last=is_last)

    def _load_snapshot(self, file: BinaryIO, path: str) -> Generator[int, None, int]:
        """Load the snapshot that a file begins with. Returns where it ends."""
        from sharedstate_memory.rdb.errors import RdbError
        from sharedstate_memory.rdb.loader import load
        from sharedstate_memory.rdb.source import RdbSource

        file.seek(0)
        source = RdbSource(file)
        try:
            yield from load(
                source, self._engine, checksum=self._checksum, keeps_expired=True
            )
        except RdbError as error:
            advice = snapshot_advice(path)
            offset = error.offset
            raise AofError(path, error.reason, offset=offset, advice=advice) from error
        return source.offset

    def _settle_trouble(self, path: str, trouble: Trouble, *, is_last: bool) -> None:
        """Cut off what a crash has left, or raise the error."""
        offset = trouble.offset
        if not trouble.is_torn:
            raise AofError(path, trouble.reason, offset=offset)
        if not is_last:
            reason = f"{trouble.reason}, and the log goes on in other files"
            raise AofError(path, reason, offset=offset)
        if not self._cuts_off:
            advice = "Set aof-load-truncated to yes, to have them cut off"
            raise AofError(path, trouble.reason, offset=offset, advice=advice)
        try:
            kept = _keep_commands_behind(path, offset)
            cut_off(path, offset)
        except OSError as error:
            reason = f"{trouble.reason}, and cannot be cut off: {error.strerror}"
            advice = "Nothing was changed: see that the folder can be written"
            raise AofError(path, reason, offset=offset, advice=advice) from error
        told = f"{path} ended abruptly: {trouble.reason}, and were cut off at {offset}"
        if kept:
            told += (
                ". This is more than a crash leaves: whole commands stand in what was cut"
                f" off. It was kept in {kept}"
            )
        self._tell(told)


def _keep_commands_behind(path: str, offset: int) -> str:
    """Keep what is to be cut off, if a crash has not left it. Returns where it is."""
    with open(path, "rb") as file:
        if not has_commands_behind(file, offset):
            return ""
    return keep_end(path, offset)


class _CommandFile:
    """The commands of one file. `_sure` is where a unit begins: all before is executed."""

    __slots__ = ("_file", "_path", "_replay", "_slice_end", "_sure")

    def __init__(self, file: BinaryIO, path: str, start: int, replay: Replay) -> None:
        self._file = file
        self._path = path
        self._sure = start
        self._replay = replay
        self._slice_end = 0.0

    def replay(self) -> Iterator[int]:
        """Execute all units. Yields the offset. Raises `Trouble`, and `AofError`."""
        size = self._file.seek(0, os.SEEK_END)
        while self._sure < size:
            try:
                yield from self._go_quickly(size)
            except UnusualError:
                yield from self._go_carefully()

    def _go_quickly(self, size: int) -> Iterator[int]:
        parser = QuickParser()
        self._file.seek(self._sure)
        begun: list[list[bytes]] = []
        while data := self._file.read(PORTION_BYTES):
            if self._file.tell() == size and not data.endswith(b"\r\n"):
                # It is not looked at what stands for the last CRLF: zeros, perhaps.
                raise UnusualError
            commands = parser.feed(data)
            count = whole_units(commands, is_begun=bool(begun))
            if count:
                units = begun + commands[:count]
                end = self._sure + size_of(units)
                self._execute(units)
                self._sure = end
                begun = []
            begun += commands[count:]
            if self._is_slice_over():
                yield self._sure
        if self._sure < size:
            # The file ends in the middle of something.
            raise UnusualError

    def _go_carefully(self) -> Iterator[int]:
        stop = self._sure + _CAREFUL_BYTES
        for unit in units_of(self._file, self._sure):
            self._execute(unit.commands)
            self._sure = unit.end
            if self._is_slice_over():
                yield unit.end
            if unit.end >= stop:
                return
        # Annotations may stand at the end.
        self._sure = self._file.seek(0, os.SEEK_END)

    def _execute(self, commands: list[list[bytes]]) -> None:
        try:
            self._replay.run(commands)
        except CannotReplayError as error:
            # An annotation may stand before it: the place is that of the unit then.
            offset = self._sure + size_of(commands[: error.place])
            raise AofError(self._path, error.reason, offset=offset) from error

    def _is_slice_over(self) -> bool:
        now = perf_counter()
        if now < self._slice_end:
            return False
        self._slice_end = now + SLICE_S
        return True
