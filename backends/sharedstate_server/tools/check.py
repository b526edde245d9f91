"""`sharedstate check`: are these files sound, and what is in them?"""

from __future__ import annotations

import os
import sys

import click

from sharedstate.errors import ConfigError
from sharedstate_server.data_folder import DataFolder, FolderInUseError, refuse_used
from sharedstate_server.tools.examining import examine_file, examine_log
from sharedstate_server.tools.findings import UNREADABLE
from sharedstate_server.tools.meter import Meter
from sharedstate_server.tools.places import NothingFoundError, loads_of, parts_of
from sharedstate_server.tools.repairing import (
    CannotRepairError,
    LogRepair,
    SnapshotRepair,
)
from sharedstate_server.tools.reports import report, report_loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from sharedstate_server.tools.findings import FileFindings, LogFindings
    from sharedstate_server.tools.places import Loads, Part

SOUND, DAMAGED = 0, 1


def check(path: str, *, fix: bool, yes: bool, json: bool) -> int:
    """Look at a file, or at all that a folder holds. With `fix`, repair what is damaged,
    after a look at what that drops, and a yes. Returns 0 if everything is sound, or has
    become so, and 1 if not. Raises `ConfigError` if there is nothing to look at, or a
    server uses it, and `OSError`.
    """
    if fix and json:
        raise ConfigError("--fix tells what it does to people: it has no JSON")
    parts = _parts(path)
    if fix:
        parts = [part.as_log() for part in parts]
    held = _hold(parts) if fix else []
    try:
        if not fix:
            _refuse_used(path, parts)
        found = [(part, _examine(part)) for part in parts]
        _show([each for _, each in found], loads_of(path), json=json)
        damaged = [(part, each) for part, each in found if each.damage is not None]
        if not damaged:
            return SOUND
        if not fix:
            return DAMAGED
        # Each of them, whatever became of the one before.
        outcomes = [_repair(part, each, yes=yes) for part, each in damaged]
        return SOUND if all(outcomes) else DAMAGED
    finally:
        for folder in held:
            folder.free()


def _parts(path: str) -> list[Part]:
    try:
        return parts_of(path)
    except NothingFoundError as error:
        raise ConfigError(str(error)) from error


def _hold(parts: Sequence[Part]) -> list[DataFolder]:
    """Lock the folders, so that no server begins to use what is being repaired."""
    held: list[DataFolder] = []
    try:
        for path in sorted({part.data_folder for part in parts}):
            refuse_used(path)  # At once: `take` waits for who is about to end.
            held.append(DataFolder())
            held[-1].take(path, tidies=False)
    except FolderInUseError as error:
        for folder in held:
            folder.free()
        raise ConfigError(_end_it_first(error)) from error
    return held


def _refuse_used(path: str, parts: Sequence[Part]) -> None:
    if not os.path.isdir(path) and parts[0].is_snapshot:
        return  # It is replaced as a whole: there is nothing by halves in it.
    try:
        for part in parts:
            part.refuse_used()
    except FolderInUseError as error:
        raise ConfigError(_end_it_first(error)) from error


def _end_it_first(error: OSError) -> str:
    reason = (error.strerror or str(error)).partition(": ")[0]
    return f"{reason}: end it first, or look at a copy of the folder"


def _examine(part: Part) -> FileFindings | LogFindings:
    with Meter("Checking", _size_of(part)) as meter:
        if part.log is not None:
            return examine_log(part.log, on_bytes=meter.show)
        return examine_file(part.path, on_bytes=meter.show)


def _size_of(part: Part) -> int:
    folder = part.path if part.log is None else part.log.path
    if part.log is None:
        return os.path.getsize(folder)
    with os.scandir(folder) as entries:
        return sum(entry.stat().st_size for entry in entries if entry.is_file())


def _show(
    found: Sequence[FileFindings | LogFindings], loads: Loads | None, *, json: bool
) -> None:
    if json:
        from sharedstate.cli.output import write_json

        document: dict[str, Any] = {
            "sound": all(each.damage is None for each in found),
            "found": [each.as_json() for each in found],
            "loads": loads and loads.as_json(),
        }
        write_json(document)
        return
    for each in found:
        for line in report(each):
            click.echo(line)
    for line in () if loads is None else report_loads(loads):
        click.echo(line)


def _repair(part: Part, found: FileFindings | LogFindings, *, yes: bool) -> bool:
    """Repair something. Whether it is sound now."""
    try:
        repair = _plan(part, found)
    except CannotRepairError as error:
        click.echo(str(error))
        return False
    click.echo("")
    for line in repair.preview():
        click.echo(line)
    if not (yes or _confirm()):
        click.echo("Nothing was changed.")
        return False
    for line in repair.apply():
        click.echo(line)
    return not repair.leaves_damage


def _plan(part: Part, found: FileFindings | LogFindings) -> LogRepair | SnapshotRepair:
    damage = found.damage
    assert damage is not None
    if part.log is None and damage.kind == UNREADABLE:
        return SnapshotRepair(found)  # type: ignore[arg-type]
    if part.log is None and not damage.sound_bytes and not part.path.endswith(".aof"):
        raise CannotRepairError("Nothing in this file is known: it stays as it is")
    return LogRepair(found, part.log)


def _confirm() -> bool:
    if not sys.stdin.isatty():
        click.echo("There is no terminal to ask at: --yes says that it may be done.")
        return False
    return click.confirm("Do this?", default=False)
