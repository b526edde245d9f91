"""A terminal in which a program runs that is used by a person."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from types import TracebackType
from typing import Self

_PATIENCE_SECONDS = 20.0

# What moves the cursor, and clears lines.
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")

_ROWS, _COLUMNS = 50, 200


class Terminal:
    """A context manager: the program runs in it, and is ended at the end."""

    def __init__(self, command: list[str]) -> None:
        self._command = command
        self._shown = ""

    def __enter__(self) -> Self:
        self._master, slave = pty.openpty()
        size = struct.pack("HHHH", _ROWS, _COLUMNS, 0, 0)
        fcntl.ioctl(slave, termios.TIOCSWINSZ, size)
        self.process = subprocess.Popen(
            self._command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**os.environ, "TERM": "xterm"},
            start_new_session=True,
            # What Ctrl-C is to reach must have this as its terminal.
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._master)

    def type(self, text: str) -> None:
        """Type a line."""
        os.write(self._master, text.encode() + b"\r")

    def press(self, key: bytes) -> None:
        """Press one key, such as Ctrl-C (3)."""
        os.write(self._master, key)

    def read_until(self, wanted: str) -> str:
        """Everything that is shown up to a text, from where the last reading ended."""
        give_up_at = time.monotonic() + _PATIENCE_SECONDS
        while wanted not in self._shown:
            assert time.monotonic() < give_up_at, f"no {wanted!r} in {self._shown!r}"
            if select.select([self._master], [], [], 0.1)[0]:
                self._shown += self._read()
        before, _, self._shown = self._shown.partition(wanted)
        return before + wanted

    def _read(self) -> str:
        try:
            data = os.read(self._master, 65536)
        except OSError:
            raise AssertionError(f"the program has ended: {self._shown!r}") from None
        return _CONTROL.sub("", data.decode(errors="replace"))
