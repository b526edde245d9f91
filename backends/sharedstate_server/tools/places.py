"""Places: what a path leads to that holds data, found out by content and not by name.

    a file      a snapshot, commands of a log, or a snapshot with commands behind it
    a log       a folder with a manifest, or with the files that one should name
    a folder    that of a server: snapshots, and logs in folders or in a file of old

A folder of data belongs to one server at a time. What a server is writing just now is
refused, with its pid: half a change is no damage, and must not be repaired.
"""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager

from sharedstate_server.aof.errors import AofError
from sharedstate_server.aof.folder import LogFolder
from sharedstate_server.aof.manifest import SUFFIX
from sharedstate_server.data_folder import refuse_used

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

SNAPSHOT_MAGIC = b"REDIS"
_LOG_BEGINNINGS = (b"*", b"#")
_TEMPORARY = "temp-"

# What a server calls its files, unless its settings name others.
_SNAPSHOT_NAME = "dump.rdb"
_LOG_FOLDER, _LOG_STEM = "appendonlydir", "appendonly.aof"


class NothingFoundError(Exception):
    """A path leads to nothing that holds data."""


class Part:
    """Something that holds data: a file, or the folder of a log (`log`)."""

    __slots__ = ("log", "path")

    def __init__(self, path: str, log: LogFolder | None = None) -> None:
        self.path = path
        self.log = log

    @property
    def is_snapshot(self) -> bool:
        """Whether it is a file that begins as a snapshot does, or should."""
        if self.log is not None:
            return False
        head = head_of(self.path)
        has_name = self.path.endswith(".rdb") and not is_log(head)
        return head.startswith(SNAPSHOT_MAGIC) or has_name

    @property
    def data_folder(self) -> str:
        """The folder that a server has locked while it uses this."""
        if self.log is not None:
            return os.path.dirname(self.log.path)
        folder = os.path.dirname(os.path.abspath(self.path))
        return os.path.dirname(folder) if log_in(folder) else folder

    def refuse_used(self) -> None:
        """Raise `FolderInUseError`, with the pid, if a server uses it just now."""
        refuse_used(self.data_folder)

    def as_log(self) -> Part:
        """The log that it is a file of, if it is one: to cut one file, and leave those
        that follow it, would make a hole. A snapshot is never cut, and stays itself.
        """
        if self.log is not None or self.is_snapshot:
            return self
        log = log_around(self.path)
        return self if log is None else Part(log.manifest_path, log)


def parts_of(path: str) -> list[Part]:
    """What a path leads to, snapshots first. Raises `NothingFoundError`, `OSError`."""
    path = os.path.abspath(path)
    if not os.path.isdir(path):
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise NothingFoundError(f"{path} is no regular file: expected one, or a folder")
        if path.endswith(SUFFIX):
            stem = os.path.basename(path).removesuffix(SUFFIX)
            return [Part(path, LogFolder(os.path.dirname(path), stem))]
        return [Part(path)]
    log = log_in(path)
    if log is not None:
        return [Part(log.manifest_path, log)]
    parts = [*_files_in(path), *_logs_beneath(path)]
    if not parts:
        raise NothingFoundError(
            f"{path} holds no snapshot and no log: expected dump.rdb, or a folder with "
            f"appendonly.aof{SUFFIX}"
        )
    return parts


def log_in(folder: str) -> LogFolder | None:
    """The log whose files are in a folder, whether its manifest is there or not."""
    names = sorted(os.listdir(folder))
    for name in names:
        if name.endswith(SUFFIX) and not name.startswith(_TEMPORARY):
            return LogFolder(folder, name.removesuffix(SUFFIX))
    stems = (_stem_of(name) for name in names)
    return next((LogFolder(folder, stem) for stem in stems if stem), None)


def log_around(path: str) -> LogFolder | None:
    """The log that a file is part of, by what the manifest beside it says."""
    folder, name = os.path.split(os.path.abspath(path))
    log = log_in(folder)
    if log is None or name not in _names_in(log) | {log.stem + SUFFIX}:
        return None
    return log


def _names_in(log: LogFolder) -> frozenset[str]:
    """The files that a manifest names; none if it cannot be read."""
    try:
        manifest = log.read_manifest()
    except AofError:
        return frozenset()
    return frozenset() if manifest is None else manifest.names


def _stem_of(name: str) -> str:
    """What a base's or an increment's name begins with; nothing for other names."""
    for kind in (".base.rdb", ".base.aof", ".incr.aof"):
        stem, _, number = name.removesuffix(kind).rpartition(".")
        if name.endswith(kind) and number.isdecimal():
            return stem
    return ""


def _files_in(folder: str) -> Iterator[Part]:
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        is_named = name.endswith((".rdb", ".aof")) and not name.startswith(_TEMPORARY)
        if is_named and os.path.isfile(path):
            yield Part(path)


def _logs_beneath(folder: str) -> Iterator[Part]:
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        log = log_in(path) if os.path.isdir(path) else None
        if log is not None:
            yield Part(log.manifest_path, log)


# -- what a server loads


class Loads:
    """Of a folder with a snapshot, and a log or what a crash has left of one: which of
    them a server loads at its start.
    """

    def __init__(self, folder: str, snapshot: str) -> None:
        self.folder = folder
        self.snapshot = snapshot
        """What a server without a log loads."""
        self.log: str | None = None
        """The manifest of the log, or its one file, that a server with a log loads; None
        if it has not begun: then that loads the snapshot too."""
        self.log_place = os.path.join(folder, _LOG_FOLDER)
        """What has to go for the snapshot to be loaded."""
        log = LogFolder(self.log_place, _LOG_STEM)
        if os.path.exists(log.manifest_path) or not os.path.isfile(log.old_path):
            self.log = log.manifest_path if log.has_log() else None
            paths = [os.path.join(log.path, name) for name in log.names()]
        else:
            self.log = self.log_place = log.old_path
            paths = [log.old_path]
        times = [os.path.getmtime(path) for path in paths if not path.endswith(SUFFIX)]
        self.snapshot_is_newer = os.path.getmtime(snapshot) > max(times, default=0.0)

    def as_json(self) -> dict[str, str]:
        """It as an object of JSON: files by the setting."""
        log = self.log or self.snapshot
        return {"appendonly yes": log, "appendonly no": self.snapshot}


def loads_of(path: str) -> Loads | None:
    """What a server loads of a folder, if there is something to choose."""
    folder = os.path.abspath(path)
    if not os.path.isdir(folder) or log_in(folder) is not None:
        return None
    snapshot = os.path.join(folder, _SNAPSHOT_NAME)
    logs = [os.path.join(folder, name) for name in (_LOG_FOLDER, _LOG_STEM)]
    if not os.path.isfile(snapshot) or not any(map(os.path.exists, logs)):
        return None
    return Loads(folder, snapshot)


# -- looking at files


@contextmanager
def named(path: str, *, instead_of: str = "") -> Iterator[None]:
    """Have errors of the system name a file: those of reading and writing name none."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename not in (None, instead_of):
            raise
        raise OSError(error.errno, error.strerror, path) from error


def misfit(path: str, head: bytes, *, is_snapshot: bool | None = None) -> str:
    """Why a file that begins so holds no data; empty if it may. `is_snapshot` says what it
    should be, if that is known otherwise than by its name.
    """
    if not head:
        may_be_empty = path.endswith(".aof") if is_snapshot is None else not is_snapshot
        return "" if may_be_empty else "the file is empty"
    if is_snapshot is None:
        is_snapshot = path.endswith(".rdb")
    if is_snapshot or head.startswith(SNAPSHOT_MAGIC) or is_log(head):
        return ""
    return f"neither a snapshot (REDIS…) nor commands (*…): it begins {head!r}"


def head_of(path: str) -> bytes:
    """The first bytes of a file: as many as tell what it is."""
    with open(path, "rb") as file:
        return file.read(len(SNAPSHOT_MAGIC))


def is_log(head: bytes) -> bool:
    """Whether a file that begins so holds commands of a log."""
    return head.startswith(_LOG_BEGINNINGS)
