"""Who we are: the identity by which stores know an owner.

Pids are used again, and so are the numbers of threads: a process is known by random bits
that it draws, and a thread by a number that it gets when it is first seen. A fork makes a
new process that remembers everything of its parent; it has to become somebody else, and
does so before it runs any other code.

An owner is described to people as well (`Lock.info()`), as JSON. What stays the same is
written once a thread, for a lock that is acquired and released all day should not format
its host name all day.
"""

from __future__ import annotations

import os
import sys
import threading
from functools import lru_cache
from itertools import count
from time import time
from typing import TYPE_CHECKING

from sharedstate.locking import Owner

if TYPE_CHECKING:
    from types import FrameType

_PACKAGE = os.path.dirname(__file__) + os.sep
_SUITES = os.path.join(_PACKAGE, "testing") + os.sep


class _Process:
    """This process, as owners of it are named."""

    __slots__ = ("host", "numbers", "pid", "salt", "threads")

    def __init__(self) -> None:
        self.host = _host_name()
        self.pid = os.getpid()
        # Nonces are unique by 64 random bits a process, and a number.
        self.salt = os.urandom(8).hex()
        self.numbers = count(1)
        self.threads = threading.local()

    def introduce_thread(self) -> tuple[str, str]:
        """What tells the running thread from others, and its description up to the time."""
        thread = threading.current_thread()
        words = (
            f"t{next(self.numbers):x}",
            f'{{"host":{_quote(self.host)},"pid":{self.pid},'
            f'"thread":{_quote(thread.name)},"since":',
        )
        self.threads.words = words
        return words


_process: _Process | None = None


def new_owner(tag: str, mark: str, place: str = "") -> Owner:
    """An owner for one acquisition by the running thread. About 1 µs; no round trip.

    What is unique to it begins with `tag`, which has to be unique to this process; the
    nonce goes on with `mark`. `place` is the line of code that asks, as a string of JSON.
    """
    me = _process or _this_process()
    try:
        thread, head = me.threads.words
    except AttributeError:
        thread, head = me.introduce_thread()
    if place:
        head = f'{head[:-9]},"at":{place},"since":'
    return Owner(
        f"{tag}{thread}",
        f"{tag}{mark}{thread}.{next(me.numbers):x}",
        f"{head}{time():.3f}}}",
    )


def thread_id() -> str:
    """What the identities of the running thread end with. No other thread ever has it."""
    me = _process or _this_process()
    try:
        thread: str = me.threads.words[0]
    except AttributeError:
        thread = me.introduce_thread()[0]
    return thread


def process_salt() -> str:
    """64 random bits of this process, in hex: what is unique to it begins with them."""
    return (_process or _this_process()).salt


def as_of_now(owner: Owner, *, is_patient: bool = False) -> Owner:
    """The same owner, asking now: for a grant that comes after a wait."""
    head, colon, _ = owner.description.rpartition(":")
    description = f"{head}{colon}{time():.3f}}}"
    return Owner(owner.identity, owner.nonce, description, is_patient)


def calling_line() -> str:
    """The line of code outside of this package that is being executed, as JSON."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith(_PACKAGE) or file.startswith(_SUITES):
            return _quoted_line(file, frame.f_lineno)
        frame = frame.f_back
    return ""


@lru_cache(1024)
def _quoted_line(file: str, line: int) -> str:
    return _quote(f"{file}:{line}")


def _this_process() -> _Process:
    # Two threads may come here at once and make two: their nonces differ all the same.
    global _process
    _process = me = _Process()
    os.register_at_fork(after_in_child=_become_another)
    return me


def _become_another() -> None:
    """In a forked child: forget who the parent was. The next owner introduces us."""
    global _process
    _process = None


def _host_name() -> str:
    try:
        return os.uname().nodename
    except AttributeError:  # Windows has no uname; what has it is slower to import
        import platform

        return platform.node()


def _quote(text: str) -> str:
    """Text as a string of JSON. Importing json costs more than a first lock should."""
    if text.isascii() and text.isprintable() and not set(text) & {'"', "\\"}:
        return f'"{text}"'
    import json

    return json.dumps(text)
