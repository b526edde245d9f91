"""In the child: what a forked copy of the server forgets, does, and says.

Nothing of the parent's goes on in it. Its sockets and files are closed without a word on
the wire (but the standard ones and those it is to keep); signals end it, but for Ctrl-C,
which is for the parent; `os._exit` runs no handler, flushes no buffer and unwinds nothing.
When its parent ends, the kernel ends it, or, where it does not, its next report does.

**Memory.** A child shares its parent's memory until either writes, and to look at a Python
object is to write to it: its references are counted in its head. So strings and the fields
of hashes are saved without being looked at (`rdb/untouched.py`); the collector of garbage,
which writes to every container, is switched off here and looks at nothing old in the
parent (`garbage.py`). What a child had for itself, of a parent of that size (`SAVE` by a
parent that does nothing else meanwhile; redis-server 1 MB of 208):

    a million strings, names of 16 and values of 100 bytes       5 MB of 261
    … each with a deadline, which needs a table                 37 MB of 386
    … as the fields of one hash                                  5 MB of 254
    100,000 sets of ten members of 50 bytes                    123 MB of 188
    strings, if they had to be looked at                       198 MB of 261

Sets, lists and sorted sets are looked at, and so copied. What the parent looks at while a
child lives is copied too, by reads as by writes: at worst all of it.

Reports are lines in a pipe: `P keys bytes` for progress, `F reason` for a failure, `D`
for done.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import NoReturn

# Between two measurements of memory: each walks through the tables of pages.
_REPORT_SECONDS = 0.5

# The child gives way to the parent where both want the same processor.
_NICENESS = 5

_MEMORY_FILE = "/proc/self/smaps_rollup"
_PR_SET_PDEATHSIG = 1

# As much of a reason as a pipe takes in one piece.
_LONGEST_REASON = 2048


class ParentGoneError(Exception):
    """The parent has ended: what the child does is wanted by nobody."""


class Reports:
    """The child's way to tell its parent how far it is."""

    def __init__(self, writer: int, parent: int) -> None:
        self._writer = writer
        self._parent = parent
        self._keys = 0
        self._next = time.monotonic() + _REPORT_SECONDS

    def progress(self, keys: int = 0) -> None:
        """So many keys are done. To be called for every piece that is written: it reads
        a clock, and measures and tells now and then. Raises `ParentGoneError` if there is
        nobody left to work for.
        """
        self._keys = keys
        now = time.monotonic()
        if now >= self._next:
            self.require_parent()
            self.tell()
            self._next = time.monotonic() + _REPORT_SECONDS

    def require_parent(self) -> None:
        """Raise `ParentGoneError` if there is nobody left to work for: to be called last
        before what has been written takes the place of something.
        """
        if os.getppid() != self._parent:
            raise ParentGoneError(f"the server {self._parent} has ended")

    def tell(self) -> None:
        """Measure, and tell how far it is."""
        self._send(b"P%d %d\n" % (self._keys, private_bytes()))

    def finish(self) -> None:
        """Tell that all is done."""
        self.tell()
        self._send(b"D\n")

    def fail(self, reason: str) -> None:
        """Tell why it could not be done."""
        text = reason.replace("\n", " ").encode("utf-8", "replace")
        self.tell()
        self._send(b"F%b\n" % text[:_LONGEST_REASON])

    def _send(self, line: bytes) -> None:
        try:
            os.write(self._writer, line)
        except BrokenPipeError as error:
            raise ParentGoneError(f"the server {self._parent} has ended") from error


def run_forked(
    purpose: str,
    work: Callable[[Reports], None],
    writer: int,
    parent: int,
    kept_files: tuple[int, ...],
    kill_score: tuple[str, str],
) -> NoReturn:
    """Do `work` in a process that `parent` has just forked, and end it."""
    code = 1
    try:
        gc.disable()
        _take_leave((0, 1, 2, writer, *kept_files))
        reports = Reports(writer, parent)
        _end_with_parent()
        reports.require_parent()
        _present_itself(purpose, kill_score)
        try:
            work(reports)
        except Exception as error:
            reports.fail(_describe(error))
        else:
            reports.finish()
            code = 0
    finally:
        # Whatever was raised: the stack above is the parent's, and must not go on.
        os._exit(code)


def _describe(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror if error.filename is None else str(error)
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _take_leave(kept_files: Iterable[int]) -> None:
    """Part from the parent's signals and files."""
    # First, because the socket is the parent's.
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    begin = 0
    for kept in sorted(set(kept_files)):
        # An empty range would be taken for one without end.
        if begin < kept:
            os.closerange(begin, kept)
        begin = kept + 1
    os.closerange(begin, os.sysconf("SC_OPEN_MAX"))


def _end_with_parent() -> None:
    """Have the kernel kill this process when its parent ends, where it can be asked to."""
    if sys.platform != "linux":
        return
    import ctypes  # here, in the child: the parent does without it

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def _present_itself(purpose: str, kill_score: tuple[str, str]) -> None:
    """Have a name among the processes, and the place that the settings give a child."""
    from sharedstate_server.daemon import set_kill_score

    mode, score = kill_score
    try:
        os.nice(_NICENESS)
        with open("/proc/self/comm", "w", encoding="ascii") as file:
            file.write(f"sharedstate-{purpose.lower()}")
        if mode != "no":
            set_kill_score(score, is_relative=mode != "absolute")
    except OSError:
        # Not to be had here (no /proc, no right to it): it saves all the same.
        return


def private_bytes() -> int:
    """How much memory this process shares with nobody; 0 where the system does not tell.

    After a fork that is what was copied because one of both wrote to it.
    """
    try:
        with open(_MEMORY_FILE, "rb") as file:
            for line in file:
                if line.startswith(b"Private_Dirty:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        return 0
    return 0
