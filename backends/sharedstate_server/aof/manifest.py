"""The manifest: which files a log consists of, and in which order they are loaded.

    file appendonly.aof.2.base.rdb seq 2 type b         the data as it once was
    file appendonly.aof.1.incr.aof seq 1 type h         history: to be deleted
    file appendonly.aof.2.incr.aof seq 2 type i         what changed since, in order
    file appendonly.aof.3.incr.aof seq 3 type i

A file is in the log from the moment that the manifest says so, and not before. So it is
replaced as a whole: whoever crashes leaves the old one or the new one. A manifest is a
value here: what changes one returns another.

Format: that of Redis 7, probed on redis-server 7.0. Names of pairs that are not known are
let pass, so that those of later versions can be read.
"""

from __future__ import annotations

import os

from sharedstate_memory.directive_kinds import quote
from sharedstate_server.aof.errors import AofError
from sharedstate_server.config_file import words_of
from sharedstate_server.resp import ProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

BASE = "b"
INCREMENT = "i"
HISTORY = "h"

SUFFIX = ".manifest"

# Longer lines are none of ours, nor of Redis's.
MAX_LINE_CHARACTERS = 1022

_LARGEST_SEQUENCE = 2**63 - 1


class LogFile:
    """A line of the manifest. `sequence` counts the bases, and the increments."""

    __slots__ = ("kind", "name", "sequence")

    def __init__(self, name: str, sequence: int, kind: str) -> None:
        self.name = name
        self.sequence = sequence
        self.kind = kind

    def line(self) -> str:
        """The line, as it stands in the file."""
        return f"file {quote(self.name)} seq {self.sequence} type {self.kind}\n"

    @property
    def is_snapshot(self) -> bool:
        """Whether it is a base that is written as a snapshot, by its name."""
        return self.kind == BASE and self.name.endswith(".base.rdb")

    def as_history(self) -> LogFile:
        """The same file, once it is of no use any more."""
        return LogFile(self.name, self.sequence, HISTORY)

    def __repr__(self) -> str:
        return f"<LogFile {self.line().strip()}>"


class Manifest:
    """The files of a log."""

    __slots__ = ("base", "history", "increments")

    def __init__(
        self,
        base: LogFile | None = None,
        increments: tuple[LogFile, ...] = (),
        history: tuple[LogFile, ...] = (),
    ) -> None:
        self.base = base
        self.increments = increments
        self.history = history

    @classmethod
    def parse(cls, text: str, path: str) -> Manifest:
        """Read a manifest. `path` is for the errors: raises `AofError`."""
        if not text:
            raise AofError(path, "the manifest is empty")
        if not text.endswith("\n"):
            raise AofError(path, "the last line of the manifest is cut off")
        found: dict[str, list[LogFile]] = {BASE: [], INCREMENT: [], HISTORY: []}
        for number, line in enumerate(text.split("\n")[:-1], 1):
            place = f"line {number} of the manifest"
            if line.startswith("#"):
                continue
            file = _parse_line(line, path, place)
            found[file.kind].append(file)
            _check_order(found, path, place)
        if not any(found.values()):
            raise AofError(path, "the manifest names no file")
        base = found[BASE][0] if found[BASE] else None
        return cls(base, tuple(found[INCREMENT]), tuple(found[HISTORY]))

    def text(self) -> str:
        """The manifest as it stands in its file."""
        base = () if self.base is None else (self.base,)
        return "".join(file.line() for file in (*base, *self.history, *self.increments))

    @property
    def files(self) -> tuple[LogFile, ...]:
        """What is loaded, in order."""
        base = () if self.base is None else (self.base,)
        return base + self.increments

    @property
    def names(self) -> frozenset[str]:
        """Every file that is named, history too."""
        return frozenset(file.name for file in self.files + self.history)

    def next_increment(self, stem: str) -> LogFile:
        """The increment that would come next. `stem` is the setting `appendfilename`.

        Never of a name that is history: that file is about to be deleted.
        """
        known = self.increments + self.history
        sequence = max((file.sequence for file in known), default=0) + 1
        return LogFile(f"{stem}.{sequence}.incr.aof", sequence, INCREMENT)

    def next_base(self, stem: str, *, is_snapshot: bool) -> LogFile:
        """The base that would come next: a snapshot, or a file of commands."""
        sequence = 1 if self.base is None else self.base.sequence + 1
        kind = "rdb" if is_snapshot else "aof"
        return LogFile(f"{stem}.{sequence}.base.{kind}", sequence, BASE)

    def with_increment(self, file: LogFile) -> Manifest:
        """The log goes on in another file."""
        return Manifest(self.base, (*self.increments, file), self.history)

    def with_base(self, base: LogFile, increments: tuple[LogFile, ...]) -> Manifest:
        """A new base, and what changed after it. All other files become history."""
        kept = {file.name for file in (base, *increments)}
        old = tuple(file.as_history() for file in self.files if file.name not in kept)
        return Manifest(base, increments, self.history + old)

    def without_history(self) -> Manifest:
        """The log once its old files are deleted."""
        return Manifest(self.base, self.increments)


def _parse_line(line: str, path: str, place: str) -> LogFile:
    if len(line) > MAX_LINE_CHARACTERS:
        raise AofError(path, f"{place} is too long")
    try:
        words = words_of(line)
    except ProtocolError:
        raise AofError(path, f"{place} has quotes that are not closed") from None
    if not words or len(words) % 2:
        raise AofError(path, f"{place} does not consist of pairs: {line!r}")
    pairs = {name.lower(): value for name, value in zip(*_halves(words), strict=True)}
    for name in ("file", "seq", "type"):
        if name not in pairs:
            raise AofError(path, f"{place} lacks `{name}`: {line!r}")
    name, kind = pairs["file"], pairs["type"]
    if os.path.basename(name) != name or name in ("", ".", ".."):
        raise AofError(path, f"{place} names a path, not a file: {name!r}")
    if kind not in (BASE, INCREMENT, HISTORY):
        raise AofError(path, f"{place} has an unknown type: {kind!r}")
    return LogFile(name, _sequence(pairs["seq"], path, place), kind)


def _halves(words: list[str]) -> Iterator[list[str]]:
    yield words[0::2]
    yield words[1::2]


def _sequence(word: str, path: str, place: str) -> int:
    if not (word.isascii() and word.isdecimal() and 0 < int(word) <= _LARGEST_SEQUENCE):
        raise AofError(path, f"{place} has no valid sequence number: {word!r}")
    return int(word)


def _check_order(found: dict[str, list[LogFile]], path: str, place: str) -> None:
    if len(found[BASE]) > 1:
        raise AofError(path, f"{place} names a second base")
    increments = found[INCREMENT]
    if len(increments) > 1 and increments[-1].sequence <= increments[-2].sequence:
        raise AofError(path, f"{place} breaks the order of the sequence numbers")
