"""Reports: findings as lines for people."""

from __future__ import annotations

import time

from sharedstate_server.tools.findings import LogFindings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from sharedstate_server.tools.findings import (
        CommandFindings,
        FileFindings,
        SnapshotFindings,
    )
    from sharedstate_server.tools.places import Loads

# So many sorts of commands are named; of the others, the count.
_SHOWN_COMMANDS = 8


def report(found: FileFindings | LogFindings) -> Iterator[str]:
    """What was found, in lines."""
    if isinstance(found, LogFindings):
        yield from _log(found)
    else:
        yield from _file(found)


def _log(found: LogFindings) -> Iterator[str]:
    yield f"{found.path}: a log of {_count(len(found.files), 'file')}"
    for file in found.files:
        yield from _file(file)
    for path in found.orphans:
        yield f"{path}: left by a crash, named by no manifest, and not loaded"
    damage = found.damage
    if damage is None:
        yield f"{found.path}: the log is sound"
    elif not any(file.damage is damage for file in found.files):
        yield f"{damage.path}: {damage}"


def report_loads(loads: Loads) -> Iterator[str]:
    """What a server would load, in lines."""
    if loads.log is None:
        yield f"{loads.folder}: a server loads {loads.snapshot}: there is no log"
        return
    newer = ", which is newer" if loads.snapshot_is_newer else ""
    yield f"{loads.folder}: a server that keeps a log (appendonly yes) loads {loads.log},"
    yield f"  not {loads.snapshot}{newer}: to have that, move {loads.log_place} away"


def _file(found: FileFindings) -> Iterator[str]:
    yield f"{found.path}: {found.size:,} bytes"
    if found.snapshot is not None:
        yield from _snapshot(found.snapshot)
    if found.commands is not None:
        yield from _commands(found.commands)
    sound = "sound" if found.size else "sound, and empty"
    yield f"  {sound if found.damage is None else found.damage}"


def _snapshot(found: SnapshotFindings) -> Iterator[str]:
    yield f"  snapshot of {found.size:,} bytes, version {found.version}{_origin(found)}"
    for index in found.databases():
        yield (
            f"  database {index}: {_count(found.keys_of(index), 'key')}, of which "
            f"{found.expiring[index]:,} expire and {found.expired[index]:,} have expired"
        )
        for (database, kind), count in sorted(found.keys.items()):
            if database == index:
                yield f"    {kind}: {count:,} ({found.bytes[database, kind]:,} bytes)"
    if found.libraries:
        yield f"  functions: {', '.join(found.libraries)}"
    if found.biggest is not None:
        size, index, kind, name = found.biggest
        shown = repr(name)[1:]
        yield f"  biggest key: {shown} of database {index} ({kind}, {size:,} bytes)"


def _origin(found: SnapshotFindings) -> str:
    origin = ""
    if b"redis-ver" in found.aux:
        origin = f", written by {found.aux[b'redis-ver'].decode('latin-1')}"
    created = found.aux.get(b"ctime", b"")
    return f"{origin} at {_moment(int(created))}" if created.isdigit() else origin


def _commands(found: CommandFindings) -> Iterator[str]:
    total = found.commands.total()
    yield f"  {_count(total, 'command')} in {_count(found.units, 'unit')}"
    most = found.commands.most_common(_SHOWN_COMMANDS)
    rest = total - sum(count for _, count in most)
    named = [f"{name} {count:,}" for name, count in most]
    if rest:
        named.append(f"others {rest:,}")
    if named:
        yield f"    {', '.join(named)}"
    if found.first_s is not None and found.last_s is not None:
        yield f"  written from {_moment(found.first_s)} to {_moment(found.last_s)}"


def _count(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _moment(seconds: int) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))
    except (OverflowError, ValueError, OSError):
        return f"{seconds} s"  # A file may say anything.
