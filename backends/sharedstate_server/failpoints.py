"""Failpoints: named places where a test lets the disk, or the process, fail.

    SHAREDSTATE_FAILPOINTS="aof.fsync=error:EIO*3;rdb.write=short:10;rdb.before-rename=kill"
    DEBUG FAILPOINT aof.fsync error:EIO*3

A specification is an action, perhaps with an argument after a colon:

    error:ENOSPC     raise this error of the system
    short:10         write at most so many bytes of what is to be written
    delay:50         stand still for so many milliseconds
    kill             SIGKILL this process
    off              nothing any more

`*3` behind it lets it happen three times and no more; `@5` lets the first four hits pass.
What was hit is counted in memory that forked children share, so that a child's hits count
for its parent, and for the next child.

A place in the code looks whether anything is armed before it calls anything, so that a
server without failpoints pays one test of an attribute:

    if failpoints.armed:
        failpoints.hit("rdb.before-rename")

Places that write or sync files call `write` and `sync`, which are `os.write` and
`os.fsync` with a failpoint.
"""

from __future__ import annotations

import errno
import mmap
import os
import signal
import time

ENVIRONMENT = "SHAREDSTATE_FAILPOINTS"

_FOREVER = 2**62


class FailpointError(ValueError):
    """A specification that says nothing we know."""


class _Failpoint:
    """One place: what happens there, from which hit on, and how often."""

    __slots__ = ("_count", "_first", "_last", "argument", "kind")

    def __init__(self, spec: str) -> None:
        action, _, skipped = spec.partition("@")
        action, _, times = action.partition("*")
        self.kind, _, argument = action.partition(":")
        self.argument = _argument(self.kind, argument, spec)
        self._first = _number(skipped, spec) if skipped else 1
        self._last = self._first + (_number(times, spec) if times else _FOREVER) - 1
        # Anonymous and shared: children see it, and add to it.
        self._count = memoryview(mmap.mmap(-1, 8)).cast("q")

    def happens(self) -> bool:
        """Count a hit. Whether this is one that matters."""
        self._count[0] += 1
        return self._first <= self._count[0] <= self._last


armed: dict[str, _Failpoint] = {}
"""What is armed, by name; empty, and so false, nearly always."""


def arm(name: str, spec: str) -> None:
    """Let something happen at a place, in place of what was to happen there. Raises
    `FailpointError`.
    """
    if spec == "off":
        armed.pop(name, None)
    else:
        armed[name] = _Failpoint(spec)


def arm_from(text: str) -> None:
    """Arm what a line of `NAME=SPEC;NAME=SPEC` names. Raises `FailpointError`."""
    for part in filter(None, text.split(";")):
        name, equals, spec = part.strip().partition("=")
        if not equals:
            raise FailpointError(f"expected NAME=SPEC, got {part!r}")
        arm(name, spec)


def arm_from_environment() -> None:
    """Arm what the environment asks for. Raises `FailpointError`."""
    arm_from(os.environ.get(ENVIRONMENT, ""))


def hit(name: str, size: int = 0) -> int:
    """Come to a place: raises the `OSError` that is armed there, stands still, or ends
    the process. Returns how many of `size` bytes are to be written.
    """
    point = armed.get(name)
    if point is None or not point.happens():
        return size
    if point.kind == "error":
        raise OSError(point.argument, os.strerror(point.argument))
    if point.kind == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if point.kind == "delay":
        time.sleep(point.argument / 1000)
    return min(size, point.argument) if point.kind == "short" else size


def write(name: str, fd: int, data: bytes | memoryview) -> int:
    """`os.write`, at a place. As there, it may have written less than it was given."""
    if armed:
        data = memoryview(data)[: hit(name, len(data))]
    return os.write(fd, data)


def sync(name: str, fd: int) -> None:
    """`os.fsync`, at a place."""
    if armed:
        hit(name)
    os.fsync(fd)


def _argument(kind: str, text: str, spec: str) -> int:
    if kind == "error":
        number: int | None = getattr(errno, text, None)
        if number is None:
            raise FailpointError(f"expected the name of an error such as EIO in {spec!r}")
        return number
    if kind in ("short", "delay"):
        return _number(text, spec)
    if kind != "kill" or text:
        raise FailpointError(
            f"expected error:NAME, short:BYTES, delay:MS, kill or off, got {spec!r}"
        )
    return 0


def _number(text: str, spec: str) -> int:
    if not text.isdecimal():
        raise FailpointError(f"expected a number, got {text!r} in {spec!r}")
    return int(text)
