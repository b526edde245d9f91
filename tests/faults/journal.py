"""The file in which a worker of a crash test notes what it sent, and what was answered.

A record is 16 bytes: the number of the step (its complement, ~n, when it is sent; n when
it is acknowledged) and the time, by the clock that all processes of a machine share. Each
is written by one system call, so that a killed worker leaves whole records.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

_RECORD = struct.Struct("<qd")


class Journal:
    """One worker's file, to be written."""

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def note_sent(self, first: int, end: int) -> None:
        """The steps from `first` to before `end` are about to be sent."""
        now = time.monotonic()
        self._write(_RECORD.pack(~step, now) for step in range(first, end))

    def note_acknowledged(self, first: int, end: int) -> None:
        """… were answered."""
        now = time.monotonic()
        self._write(_RECORD.pack(step, now) for step in range(first, end))

    def _write(self, records: Iterable[bytes]) -> None:
        os.write(self._fd, b"".join(records))


@dataclass
class Notes:
    """What is in a journal: when each step was sent last, and acknowledged last.

    A step that was lost, or in doubt, is sent again later, and has the later times then.
    """

    sent: dict[int, float] = field(default_factory=dict)
    acknowledged: dict[int, float] = field(default_factory=dict)

    @property
    def sent_count(self) -> int:
        """So many steps may have happened."""
        return max(self.sent, default=-1) + 1

    @property
    def acknowledged_count(self) -> int:
        """So many steps were promised."""
        return max(self.acknowledged, default=-1) + 1

    def forget_from(self, step: int) -> None:
        """The steps from this one on did not happen: they are to be sent anew."""
        for notes in (self.sent, self.acknowledged):
            for each in [each for each in notes if each >= step]:
                del notes[each]


class JournalReader:
    """Reads what was added to a journal since the last look."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self.notes = Notes()

    def read(self) -> Notes:
        """The notes, the newest included."""
        with self._path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        self._offset += len(data)
        for step, moment in _RECORD.iter_unpack(data):
            if step < 0:
                self.notes.sent[~step] = moment
            else:
                self.notes.acknowledged[step] = moment
        return self.notes
