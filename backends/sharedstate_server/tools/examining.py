"""Examining: files are read from end to end, by the code that loads them, and counted.

Memory is bounded by the biggest key, or the biggest transaction. Nothing is changed, and
nothing is executed: that a key comes twice, or a library cannot be run, is for loading to
find out.
"""

from __future__ import annotations

import os
import time

from sharedstate_memory.commands.registry import load_families
from sharedstate_memory.rdb.describe import entries, type_name
from sharedstate_memory.rdb.errors import RdbError
from sharedstate_memory.rdb.source import RdbSource
from sharedstate_memory.rdb.walk import Library
from sharedstate_memory.shebang import NoShebangError, ShebangError, split_shebang
from sharedstate_server.aof.errors import AofError
from sharedstate_server.aof.manifest import Manifest
from sharedstate_server.aof.parsing import size_of
from sharedstate_server.aof.replay import CannotReplayError, admit
from sharedstate_server.aof.units import Trouble, units_of
from sharedstate_server.tools.findings import (
    DAMAGED,
    TORN,
    UNKNOWN,
    UNREADABLE,
    CommandFindings,
    Damage,
    FileFindings,
    LogFindings,
    SnapshotFindings,
)
from sharedstate_server.tools.places import (
    SNAPSHOT_MAGIC,
    is_log,
    misfit,
    named,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    from sharedstate_memory.rdb.walk import Key
    from sharedstate_server.aof.folder import LogFolder
    from sharedstate_server.aof.units import Unit

# So many items, or commands, are looked at between two words about the progress.
_ITEMS_PER_WORD = 1000


def _tell_nobody(size: int) -> None:
    """Nobody follows how far it is."""


def examine_file(
    path: str,
    *,
    is_snapshot: bool | None = None,
    on_bytes: Callable[[int], None] = _tell_nobody,
) -> FileFindings:
    """Look at a file. What it is says its content, where nobody else knows
    (`is_snapshot`). `on_bytes` is told how many bytes were read. Raises `OSError`.
    """
    with named(path), open(path, "rb") as file:
        found = FileFindings(path, os.fstat(file.fileno()).st_size)
        head = file.read(len(SNAPSHOT_MAGIC))
        reason = misfit(path, head, is_snapshot=is_snapshot)
        if is_snapshot is None:
            is_snapshot = path.endswith(".rdb") and not is_log(head)
        if reason:
            kind = UNREADABLE if is_snapshot else DAMAGED
            found.damage = Damage(path, reason, offset=0, kind=kind)
        elif head.startswith(SNAPSHOT_MAGIC) or is_snapshot:
            _examine_snapshot(file, found, on_bytes)
        else:
            _examine_commands(file, 0, found, on_bytes)
    return found


# -- snapshots


def _examine_snapshot(
    file: BinaryIO, found: FileFindings, on_bytes: Callable[[int], None]
) -> None:
    file.seek(0)
    source = RdbSource(file)
    snapshot = found.snapshot = SnapshotFindings()
    sound = 0
    now_ms = time.time_ns() // 1_000_000
    try:
        for number, item in enumerate(entries(source)):
            _note_item(snapshot, item, source.offset - item.offset, now_ms)
            sound = source.offset
            if number % _ITEMS_PER_WORD == 0:
                on_bytes(sound)
    except RdbError as error:
        found.damage = Damage(
            found.path,
            error.reason,
            offset=error.offset,
            sound_bytes=sound,
            kind=UNREADABLE,
        )
    snapshot.version, snapshot.aux = source.version, source.aux
    snapshot.announced, snapshot.size = source.announced, source.offset
    if found.damage is None and source.offset < found.size:
        _examine_commands(file, source.offset, found, on_bytes)


def _note_item(
    found: SnapshotFindings, item: Key | Library, size: int, now_ms: int
) -> None:
    if isinstance(item, Library):
        found.libraries.append(library_name(item.code))
        return
    kind = type_name(item)
    found.keys[item.database, kind] += 1
    found.bytes[item.database, kind] += size
    if item.deadline_ms is not None:
        found.expiring[item.database] += 1
        found.expired[item.database] += item.deadline_ms <= now_ms
    if found.biggest is None or size > found.biggest[0]:
        found.biggest = size, item.database, kind, item.name


def library_name(code: bytes) -> str:
    """The name of a library, as its first line says it; empty if it says none."""
    try:
        words = split_shebang(code)[1]
    except (NoShebangError, ShebangError):
        return ""
    names = [word.partition(b"=")[2] for word in words if word.startswith(b"name=")]
    return names[0].decode("utf-8", "backslashreplace") if names else ""


# -- commands


def _examine_commands(
    file: BinaryIO, start: int, found: FileFindings, on_bytes: Callable[[int], None]
) -> None:
    load_families()
    commands = found.commands = CommandFindings()
    known: set[bytes] = set()
    sound = start
    try:
        for unit in units_of(file, start):
            refused = _refused_place(unit, known)
            if refused is not None:
                place, reason = refused
                offset = unit.start + size_of(unit.commands[:place])
                found.damage = Damage(
                    found.path,
                    reason,
                    offset=offset,
                    sound_bytes=sound,
                    kind=UNKNOWN,
                )
                return
            _note_unit(commands, unit)
            sound = unit.end
            if commands.units % _ITEMS_PER_WORD == 0:
                on_bytes(sound)
    except Trouble as trouble:
        found.damage = Damage(
            found.path,
            trouble.reason,
            offset=trouble.offset,
            sound_bytes=sound,
            kind=TORN if trouble.is_torn else DAMAGED,
        )


def _refused_place(unit: Unit, known: set[bytes]) -> tuple[int, str] | None:
    """Which command of a unit cannot stand in a log, and why; None for none."""
    for place, argv in enumerate(unit.commands):
        if argv[0] in known:
            continue
        try:
            admit(argv[0], place)
        except CannotReplayError as error:
            return place, error.reason
        known.add(argv[0])
    return None


def _note_unit(found: CommandFindings, unit: Unit) -> None:
    found.units += 1
    for argv in unit.commands:
        found.commands[argv[0].decode("latin-1").upper()] += 1
    if unit.time_s is not None:
        if found.first_s is None:
            found.first_s = unit.time_s
        found.last_s = unit.time_s


# -- logs


def examine_log(
    log: LogFolder, *, on_bytes: Callable[[int], None] = _tell_nobody
) -> LogFindings:
    """Look at all files of a log, up to the first damage that is more than a torn end.
    Raises `OSError`.
    """
    found = LogFindings(log.manifest_path)
    try:
        manifest = log.read_manifest() or Manifest()
        sizes = [log.size_of(file) for file in manifest.files]
    except AofError as error:
        found.damage = Damage(error.path, error.reason, offset=error.offset)
        return found
    found.orphans = sorted(log.orphans(manifest))
    done = 0
    for file, size in zip(manifest.files, sizes, strict=True):
        before = done
        looked_at = examine_file(
            log.path_of(file),
            is_snapshot=file.is_snapshot,
            on_bytes=lambda read, before=before: on_bytes(before + read),  # type: ignore[misc]
        )
        found.files.append(looked_at)
        done += size
        if looked_at.damage is not None:
            found.damage = _in_log(looked_at.damage, has_more=done < sum(sizes))
            break
    return found


def _in_log(damage: Damage, *, has_more: bool) -> Damage:
    """Damage as it is for the whole log: what is torn is so at the very end only."""
    if not (damage.kind == TORN and has_more):
        return damage
    return Damage(
        damage.path,
        f"{damage.reason}, and the log goes on in other files",
        offset=damage.offset,
        sound_bytes=damage.sound_bytes,
    )
