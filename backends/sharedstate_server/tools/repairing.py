"""Repairs: what `check --fix` does to damaged files, told before it is done.

    a log        is cut behind its last whole unit before the damage; files behind the one
                 that is cut leave the log. What remains is what once was, to the last unit
    a snapshot   has no order in time and no place to cut: what could be read goes into a
                 new file beside it, and the damaged one stays as it is

What is cut is copied first (`….damaged`). The copy is on the disk before the cut is made,
and the cut before the manifest forgets what came behind it: a crash in between leaves a
log that is still damaged, and can be repaired again.
"""

from __future__ import annotations

import os
import shutil

from sharedstate_memory.rdb import format as form
from sharedstate_memory.rdb.checksum import START, crc64
from sharedstate_server.aof.folder import cut_off, sync_folder
from sharedstate_server.aof.manifest import BASE, Manifest
from sharedstate_server.tools.findings import UNKNOWN, UNREADABLE, LogFindings
from sharedstate_server.tools.places import named
from sharedstate_server.tools.remainder import SHOWN_COMMANDS, Remainder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from sharedstate_server.aof.folder import LogFolder
    from sharedstate_server.aof.manifest import LogFile
    from sharedstate_server.tools.findings import FileFindings

_BLOCK_BYTES = 1 << 20


class CannotRepairError(Exception):
    """There is no repair that would be safe. The text says what to do instead."""


class LogRepair:
    """A log, or a file of one, is cut where its damage begins."""

    leaves_damage = False

    def __init__(self, found: FileFindings | LogFindings, log: LogFolder | None) -> None:
        damage = found.damage
        if damage is None or damage.kind == UNREADABLE:
            raise CannotRepairError(_advice_on_base(found))
        if damage.offset is None:
            raise CannotRepairError(_advice_on_file(damage.path))
        self._damage = damage
        self._log = log
        self._kept: Manifest | None = None
        self._dropped: tuple[LogFile, ...] = ()
        if log is not None:
            self._split(log, log.read_manifest() or Manifest())

    def _split(self, log: LogFolder, manifest: Manifest) -> None:
        """Find out which files of the log come behind the one that is cut."""
        paths = [log.path_of(file) for file in manifest.files]
        if self._damage.path not in paths:
            raise CannotRepairError(_advice_on_file(self._damage.path))
        files = manifest.files[: paths.index(self._damage.path) + 1]
        self._dropped = manifest.files[len(files) :]
        increments = tuple(file for file in files if file.kind != BASE)
        self._kept = Manifest(manifest.base, increments, manifest.history)

    def preview(self) -> Iterator[str]:
        """What would be lost, in lines."""
        path, size = self._damage.path, self._damage.sound_bytes
        if self._damage.kind == UNKNOWN:
            yield "If another server wrote this log, it may be whole: then do not cut it,"
            yield "but load it into a server that has the command."
        yield f"{path} would be cut after {size:,} bytes. That drops:"
        yield from _describe(Remainder(path, size))
        if self._log is not None:
            for file in self._dropped:
                yield from _describe(Remainder(self._log.path_of(file), 0))

    def apply(self) -> Iterator[str]:
        """Do it. Yields what was done, in lines. Raises `OSError`."""
        path = self._damage.path
        copy = copy_beside(path)
        yield f"the damaged file was copied to {copy}"
        with named(path):
            cut_off(path, self._damage.sound_bytes)
        yield f"{path} was cut after {self._damage.sound_bytes:,} bytes"
        if self._log is not None and self._kept is not None and self._dropped:
            self._log.replace_manifest(self._kept)
            for file in self._dropped:
                dropped = self._log.path_of(file)
                kept_as = _free_name(f"{dropped}.dropped")
                os.rename(dropped, kept_as)
                yield f"{dropped} left the log, and was renamed to {kept_as}"
            sync_folder(self._log.path)


class SnapshotRepair:
    """What was read of a snapshot before its damage goes into a new file."""

    leaves_damage = True

    def __init__(self, found: FileFindings) -> None:
        damage, snapshot = found.damage, found.snapshot
        if damage is None or snapshot is None or not snapshot.keys:
            raise CannotRepairError(
                "Nothing can be read of this snapshot: put a backup in its place"
            )
        self._path = found.path
        self._size = found.size
        self._sound_bytes = damage.sound_bytes
        self._snapshot = snapshot
        # It is the checksum that is wrong, and it is there: behind the mark of the end.
        is_whole = found.size > damage.sound_bytes + form.CHECKSUM_BYTES
        self._is_sum = is_whole and damage.offset == damage.sound_bytes + 1

    def preview(self) -> Iterator[str]:
        """What would be lost, in lines."""
        snapshot, lost = self._snapshot, self._size - self._sound_bytes
        yield f"What can be read of {self._path} would be written to a new file:"
        for index in sorted({*snapshot.databases(), *snapshot.announced}):
            kept = snapshot.keys_of(index)
            announced = snapshot.announced.get(index)
            of_all = "" if announced is None else f" of {announced:,}, so that"
            missing = "" if announced is None else f" {announced - kept:,} are lost"
            yield f"  database {index}: {kept:,} keys{of_all}{missing}"
        if self._is_sum:
            yield "  every key, but the checksum says that something in them is not as it"
            yield "  was written, and nothing can say what: a backup is better"
        else:
            yield f"  lost: the last {lost:,} bytes, and the databases that begin in them"

    def apply(self) -> Iterator[str]:
        """Do it. Yields what was done, in lines. Raises `OSError`."""
        path = _free_name(f"{self._path}.repaired")
        has_sum = self._snapshot.version >= form.FIRST_CHECKED_VERSION
        _write_beginning(self._path, path, self._sound_bytes, has_sum=has_sum)
        yield f"{path} was written; {self._path} is as it was"
        yield f"To use it: mv {path} {self._path}, while no server runs"


def _advice_on_base(found: FileFindings | LogFindings) -> str:
    """What to do about a log whose base is a damaged snapshot: the last one looked at."""
    file = found.files[-1] if isinstance(found, LogFindings) else found
    if file.snapshot is None or not file.snapshot.keys:
        return (
            f"This cannot be repaired by cutting, and nothing of {file.path} can be read: "
            "put a backup in its place"
        )
    return (
        "This cannot be repaired by cutting. Put a backup in its place; `sharedstate check "
        f"{file.path} --fix` writes what can be read of it to a file beside it"
    )


def _advice_on_file(path: str) -> str:
    """What to do about a file that says nothing of the log, or is not there."""
    if not os.path.exists(path):
        return f"{path} is missing, and cannot be made anew: put it back from a backup"
    return f"This cannot be repaired by cutting: put {path} back from a backup"


def _describe(remainder: Remainder) -> Iterator[str]:
    count = remainder.commands
    least = "" if remainder.is_whole else "at least "
    name = os.path.basename(remainder.path)
    yield (
        f"  {remainder.size:,} bytes of {name}, with {least}{count:,} "
        f"command{'' if count == 1 else 's'} that can be read"
    )
    for line in remainder.shown:
        yield f"    {line}"
    if count > SHOWN_COMMANDS:
        yield f"    … and {count - SHOWN_COMMANDS:,} more"


def copy_beside(path: str) -> str:
    """Copy a file to a name of its own, on the disk when this returns. Returns the name.
    Raises `OSError`, and leaves no part of a copy.
    """
    copy = _free_name(f"{path}.damaged")
    try:
        with named(copy):
            shutil.copy2(path, copy)
            _sync(copy)
    except OSError:
        _remove(copy)
        raise
    return copy


def _write_beginning(path: str, new: str, size: int, *, has_sum: bool) -> None:
    """Write the first bytes of a snapshot as one that ends there."""
    total = START
    try:
        with named(new), open(path, "rb") as file, open(new, "xb") as written:
            while size:
                block = file.read(min(size, _BLOCK_BYTES))
                if not block:
                    raise OSError(f"{path} has become shorter meanwhile")
                total = crc64(block, total)
                written.write(block)
                size -= len(block)
            end = bytes((form.EOF,))
            written.write(end + crc64(end, total) if has_sum else end)
        _sync(new)
    except OSError:
        _remove(new)
        raise


def _free_name(path: str) -> str:
    """A path at which nothing is yet: with a number behind it if need be."""
    name, number = path, 1
    while os.path.lexists(name):
        number += 1
        name = f"{path}.{number}"
    return name


def _sync(path: str) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    sync_folder(os.path.dirname(path))


def _remove(path: str) -> None:
    if os.path.lexists(path):
        os.unlink(path)
