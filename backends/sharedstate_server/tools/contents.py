"""Contents: the keys and functions of files, one after the other, for whoever wants them.

A snapshot is walked over: one key at a time is in memory. A log tells what has happened
and not what there is, so it is loaded into an engine in memory first. Either way the same
things come out: `Key` and `Library`, as in `rdb.walk`. Nothing on disk is changed.
"""

from __future__ import annotations

import os
import time
from random import Random

from sharedstate.errors import ConfigError
from sharedstate_memory.rdb.describe import entries
from sharedstate_memory.rdb.encoding import type_of
from sharedstate_memory.rdb.errors import RdbError
from sharedstate_memory.rdb.source import RdbSource
from sharedstate_memory.rdb.values import Content
from sharedstate_memory.rdb.walk import Key, Library
from sharedstate_server.aof.errors import AofError
from sharedstate_server.aof.folder import LogFolder
from sharedstate_server.aof.manifest import BASE, LogFile, Manifest
from sharedstate_server.data_folder import FolderInUseError
from sharedstate_server.tools.meter import Meter
from sharedstate_server.tools.places import (
    NothingFoundError,
    Part,
    head_of,
    misfit,
    named,
    parts_of,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Protocol, TypeAlias

    from sharedstate_memory.engine import Engine

    Item: TypeAlias = Key | Library

    class Contents(Protocol):
        """What files hold. `path` is what they are called."""

        path: str

        def items(self) -> Iterator[Item]:
            """Libraries and keys, those included whose time has come; as often as it is
            asked for. Raises `RdbError` or `AofError` behind what is not damaged.
            """


_DATABASES = 4096
"""More than a file is likely to speak of: an engine that had fewer would lose keys."""

# What a snapshot says of itself that commands may follow.
_PREAMBLE_MARKS = (b"aof-preamble", b"aof-base")


def open_contents(path: str, *, tell: Callable[[str], None]) -> Contents:
    """The contents of a file or a folder; of a folder with a log and snapshots, those of
    the log, and `tell` is told so. Raises `ConfigError` if there is nothing, or a server
    is writing it, and `OSError`.
    """
    part = _choose(path, tell)
    reason = misfit(part.path, head_of(part.path)) if part.log is None else ""
    if reason:
        return NoContents(part.path, reason)
    if part.is_snapshot and not _is_preamble(part.path):
        return SnapshotContents(part.path)
    try:
        part.refuse_used()
    except FolderInUseError as error:
        raise ConfigError(
            f"{error.strerror}: take what it has by its URL, or a copy of the folder"
        ) from error
    return LogContents(part, tell)


def describe_damage(error: RdbError | AofError, path: str) -> str:
    """What is wrong with the contents of a path: the file, the place, and the reason."""
    file = error.path if isinstance(error, AofError) else path
    place = "" if error.offset is None else f" at byte {error.offset}"
    return f"{file}: damaged{place}: {error.reason}"


def _choose(path: str, tell: Callable[[str], None]) -> Part:
    try:
        parts = parts_of(path)
    except NothingFoundError as error:
        raise ConfigError(str(error)) from error
    logs = [part for part in parts if part.log is not None]
    chosen = (logs or parts)[0]
    for other in parts:
        if other is not chosen:
            tell(f"takes {chosen.path}, and leaves {other.path}: name it to have it")
    return chosen


def _is_preamble(path: str) -> bool:
    """Whether a file says that commands follow behind its snapshot."""
    with open(path, "rb") as file:
        source = RdbSource(file)
        try:
            next(entries(source), None)
        except RdbError:
            return False
    return any(source.aux.get(mark) == b"1" for mark in _PREAMBLE_MARKS)


class NoContents:
    """A file that holds no data, as its beginning tells."""

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        self._reason = reason

    def items(self) -> Iterator[Item]:
        """As `Contents` says: damage, and nothing before it."""
        raise AofError(self.path, self._reason, offset=0)


class SnapshotContents:
    """The contents of a snapshot, read anew each time."""

    def __init__(self, path: str) -> None:
        self.path = path

    def items(self) -> Iterator[Item]:
        """As `Contents` says."""
        with named(self.path), open(self.path, "rb") as file:
            source = RdbSource(file)
            yield from entries(source)
            if not source.is_at_end:
                raise RdbError(source.offset, "more bytes follow the end of the snapshot")


class LogContents:
    """The contents of a log, in an engine."""

    def __init__(self, part: Part, tell: Callable[[str], None]) -> None:
        self.path = part.path
        self._error: AofError | None = None
        self._engine = _new_engine()
        try:
            with named(self.path):
                self._load(part, tell)
        except AofError as error:
            self._error = error

    def _load(self, part: Part, tell: Callable[[str], None]) -> None:
        from sharedstate_server.aof.reader import LogReader

        folder, manifest = _log_of(part)
        reader = LogReader(folder, manifest, self._engine, cuts_off=False, tell=tell)
        total = sum(map(folder.size_of, manifest.files))
        with Meter("Loading", total) as meter:
            for read in reader.load():
                meter.show(read)

    def items(self) -> Iterator[Item]:
        """As `Contents` says."""
        engine = self._engine
        if engine.functions is not None:
            for library in engine.functions.libraries.values():
                yield Library(library.code, 0)
        for db in engine.databases:
            for name, value in db.data.items():
                key = Key(db.index, 0)
                fields = db.field_deadlines.get(name)
                key.name, key.kind = name, type_of(value)
                key.deadline_ms = db.deadline_of(name)
                key.content = Content(value, None if fields is None else fields.deadlines())
                yield key
        if self._error is not None:
            raise self._error


def _log_of(part: Part) -> tuple[LogFolder, Manifest]:
    """A log; one of old is a folder's file, and has no manifest."""
    if part.log is not None:
        return part.log, part.log.read_manifest() or Manifest()
    folder, name = os.path.split(os.path.abspath(part.path))
    return LogFolder(folder, name), Manifest(LogFile(name, 1, BASE))


def _new_engine() -> Engine:
    from sharedstate_memory.engine import Engine
    from sharedstate_memory.settings import Settings

    settings = Settings()
    settings.load("databases", [str(_DATABASES)])
    return Engine(
        clock_ms=lambda: time.time_ns() // 1_000_000, random=Random(), settings=settings
    )
