"""Findings: what is known of a file or a log once all of it was looked at."""

from __future__ import annotations

from collections import Counter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


DAMAGED = "damaged"
TORN = "torn"
"""The file ends in the middle of something, as after a crash."""
UNREADABLE = "unreadable"
"""A snapshot is damaged. There is no place to cut: what follows cannot be read."""
UNKNOWN = "unknown"
"""A command is not known, or belongs in no log."""


class Damage:
    """What is wrong: where, why, and how much before it is good (`sound_bytes`)."""

    __slots__ = ("kind", "offset", "path", "reason", "sound_bytes")

    def __init__(
        self,
        path: str,
        reason: str,
        *,
        offset: int | None = None,
        sound_bytes: int = 0,
        kind: str = DAMAGED,
    ) -> None:
        self.path = path
        self.reason = reason
        self.offset = offset
        self.sound_bytes = sound_bytes
        self.kind = kind

    def __str__(self) -> str:
        place = "" if self.offset is None else f" at byte {self.offset}"
        return f"{TORN if self.kind == TORN else DAMAGED}{place}: {self.reason}"

    def as_json(self) -> dict[str, Any]:
        """It as an object of JSON."""
        return {
            "path": self.path,
            "offset": self.offset,
            "reason": self.reason,
            "sound_bytes": self.sound_bytes,
            "kind": self.kind,
        }


class SnapshotFindings:
    """What is in a snapshot. Keys and bytes are counted by (database, type)."""

    def __init__(self) -> None:
        self.version = 0
        self.size = 0
        self.aux: dict[bytes, bytes] = {}
        self.keys: Counter[tuple[int, str]] = Counter()
        self.bytes: Counter[tuple[int, str]] = Counter()
        self.expiring: Counter[int] = Counter()
        self.expired: Counter[int] = Counter()
        self.announced: dict[int, int] = {}
        self.libraries: list[str] = []
        self.biggest: tuple[int, int, str, bytes] | None = None
        """The bytes, database, type and name of the key that takes the most."""

    def databases(self) -> list[int]:
        """The databases that have keys, in order."""
        return sorted({database for database, _ in self.keys})

    def keys_of(self, database: int) -> int:
        """How many keys a database has."""
        return sum(count for (index, _), count in self.keys.items() if index == database)

    def as_json(self) -> dict[str, Any]:
        """It as an object of JSON."""
        return {
            "version": self.version,
            "bytes": self.size,
            "aux": {_text(name): _text(value) for name, value in self.aux.items()},
            "functions": self.libraries,
            "databases": {
                str(index): {
                    "keys": self.keys_of(index),
                    "expiring": self.expiring[index],
                    "expired": self.expired[index],
                    "types": {
                        kind: {"keys": count, "bytes": self.bytes[database, kind]}
                        for (database, kind), count in sorted(self.keys.items())
                        if database == index
                    },
                }
                for index in self.databases()
            },
        }


class CommandFindings:
    """What commands a file of a log holds."""

    def __init__(self) -> None:
        self.units = 0
        self.commands: Counter[str] = Counter()
        self.first_s: int | None = None
        self.last_s: int | None = None

    def as_json(self) -> dict[str, Any]:
        """It as an object of JSON."""
        return {
            "units": self.units,
            "commands": dict(self.commands.most_common()),
            "first_time": self.first_s,
            "last_time": self.last_s,
        }


class FileFindings:
    """One file: a snapshot, commands, or both; and the first damage, if there is any."""

    def __init__(self, path: str, size: int) -> None:
        self.path = path
        self.size = size
        self.snapshot: SnapshotFindings | None = None
        self.commands: CommandFindings | None = None
        self.damage: Damage | None = None

    def as_json(self) -> dict[str, Any]:
        """It as an object of JSON."""
        return {
            "path": self.path,
            "bytes": self.size,
            "snapshot": self.snapshot and self.snapshot.as_json(),
            "commands": self.commands and self.commands.as_json(),
            "damage": self.damage and self.damage.as_json(),
        }


class LogFindings:
    """A log: its files in order, and the first damage of all, if there is any."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.files: list[FileFindings] = []
        self.orphans: list[str] = []
        """Files that no manifest names: what a crash has left."""
        self.damage: Damage | None = None

    def as_json(self) -> dict[str, Any]:
        """It as an object of JSON."""
        return {
            "path": self.path,
            "files": [file.as_json() for file in self.files],
            "orphans": self.orphans,
            "damage": self.damage and self.damage.as_json(),
        }


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")
