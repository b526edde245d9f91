"""The writer: effects become bytes, and leave for the file once a turn of the loop.

    effect ──take──► commands of this turn ──encode──► buffer ──write──► file

Taking an effect is the hot path: it is one append. Each is encoded once, in C, together
with the others of its turn. A change of the database is a SELECT, as in Redis.

**Only whole units are in the file.** What is handed over ends with a unit, and a write
that the disk did not take as a whole is taken back: the file is cut off where it began. If
that fails too, the rest is what is written next, right behind its beginning. So the file
never has a hole, and may end in the middle of a unit only if we do.

Invariant: `size` is where the next write begins, and the buffer is what is missing behind
it. Effects are in the order in which they happened.
"""

from __future__ import annotations

import os
import time

from sharedstate_server import failpoints
from sharedstate_server.aof.packing import pack_all

NO_FILE = -1

# No database: so the first effect in a file selects its own.
_NONE_SELECTED = -1


class LogWriter:
    """The end of the log: the file that is written now, and what is to be written."""

    __slots__ = ("_buffer", "_database", "_second", "fd", "has_times", "news", "size")

    def __init__(self) -> None:
        self.fd = NO_FILE
        self.size = 0
        """How many bytes of the file are whole units that were written."""
        self.has_times = False
        """Whether annotations tell when what follows was written."""
        self.news: list[list[bytes]] = []
        """The effects that nobody has tried to write."""
        self._buffer = b""
        self._database = _NONE_SELECTED
        self._second = 0

    # Taking.

    def take(self, database: int, argv: list[bytes]) -> None:
        """Have an effect written in the end. The hot path."""
        if database != self._database:
            self._database = database
            self.news.append([b"SELECT", b"%d" % database])
        self.news.append(argv)

    def __bool__(self) -> bool:
        """Whether there is something to write."""
        return bool(self.news or self._buffer)

    @property
    def waiting_bytes(self) -> int:
        """How many bytes wait to be written; those of this turn aside."""
        return len(self._buffer)

    def encode(self) -> None:
        """Turn what was taken into bytes. At the end of a turn."""
        commands = self.news
        if commands:
            data = pack_all(commands)
            if self.has_times:
                data = self._annotation() + data
            # Mostly there is nothing in front of it.
            self._buffer = self._buffer + data if self._buffer else data
            self.news = []

    def _annotation(self) -> bytes:
        second = int(time.time())
        if second == self._second:
            return b""
        self._second = second
        return b"#TS:%d\r\n" % second

    def forget(self) -> None:
        """Forget what is not written: something else is going to have it."""
        self.news = []
        self._buffer = b""
        self._database = _NONE_SELECTED

    # Writing.

    def go_on_in(self, fd: int, size: int) -> int:
        """Write to another file from now on, behind its first bytes. Returns the
        descriptor of the one before, which is the caller's to close.
        """
        before, self.fd, self.size = self.fd, fd, size
        self._database = _NONE_SELECTED
        self._second = 0
        return before

    def write(self) -> None:
        """Write everything. Raises `OSError`: then what was not written waits."""
        self.encode()
        data = self._buffer
        if not data:
            return
        written = 0 if failpoints.armed else os.write(self.fd, data)
        if written < len(data):
            self._write_rest(data, written)
        self.size += len(data)
        self._buffer = b""

    def _write_rest(self, data: bytes, written: int) -> None:
        """Go on with a write that the disk did not take as a whole."""
        view = memoryview(data)
        try:
            while written < len(data):
                count = failpoints.write("aof.write", self.fd, view[written:])
                if not count:
                    # Only where a failpoint says so: the system reports an error instead.
                    raise OSError("nothing was written")
                written += count
        except OSError:
            if written:
                self._take_back(written)
            raise

    def _take_back(self, written: int) -> None:
        """Let the file end where it did before; or, if it will not, go on from there."""
        try:
            if failpoints.armed:
                failpoints.hit("aof.truncate")
            os.ftruncate(self.fd, self.size)
        except OSError:
            self._buffer = self._buffer[written:]
            self.size += written

    def sync(self) -> None:
        """Have on the disk what was written. Raises `OSError`."""
        failpoints.sync("aof.fsync", self.fd)
