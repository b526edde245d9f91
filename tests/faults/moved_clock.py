"""A server whose wall clock a test can move, in a file: for the system's belongs to all.

    python -m tests.faults.moved_clock FILE WORDS…     as `sharedstate-server WORDS…`

The file has the seconds that the clock is ahead, negative if it is behind, as eight bytes.
The clock is put in place of Python's before anything of the server is imported. The
monotonic clock goes on as it is, as it does when a system's clock is set.
"""

from __future__ import annotations

import mmap
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path

_SECONDS = struct.Struct("<d")

_NANOSECONDS = 1_000_000_000


class MovedClock:
    """The file, on the side of the test."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.move_to(0.0)

    def move_to(self, seconds: float) -> None:
        """Let the clock be ahead by so many seconds of the system's."""
        with self.path.open("r+b" if self.path.exists() else "wb") as file:
            file.write(_SECONDS.pack(seconds))

    @property
    def program(self) -> tuple[str, ...]:
        """The words that start a server with it."""
        return (sys.executable, "-m", "tests.faults.moved_clock", str(self.path))


def install(path: str) -> None:
    """Let this process have the clock that a file moves."""
    with open(path, "rb") as file:
        moved = mmap.mmap(file.fileno(), _SECONDS.size, access=mmap.ACCESS_READ)
    real: Callable[[], int] = time.time_ns

    def time_ns() -> int:
        seconds: float = _SECONDS.unpack(moved[:])[0]
        return real() + int(seconds * _NANOSECONDS)

    time.time_ns = time_ns
    time.time = lambda: time_ns() / _NANOSECONDS


def main() -> int:
    """Run a server. The arguments are the file's path, and the server's."""
    path = sys.argv.pop(1)
    install(path)
    from sharedstate_server.program import main as serve

    return serve()


if __name__ == "__main__":
    raise SystemExit(main())
