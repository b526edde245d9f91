"""Who we are: the identity by which stores know an owner.

Pids are used again, so a process is known by host, pid and its start time. A fork makes
a new process that remembers everything of its parent; it has to become somebody else,
and does so before it runs any other code.

An owner is described to people as well (`Lock.info()`), as JSON. What stays the same is
written once a thread, for a lock that is acquired and released all day should not format
its host name all day.
"""

from __future__ import annotations

import os
import threading
from itertools import count
from time import time, time_ns

from sharedstate.locking import Owner


class _Process:
    """This process, as owners of it are named."""

    __slots__ = ("host", "identity", "numbers", "pid", "salt", "threads")

    def __init__(self) -> None:
        self.host = _host_name()
        self.pid = os.getpid()
        self.identity = f"{self.host}:{self.pid}:{_start_time()}"
        # Nonces are unique by 64 random bits a process, and a number.
        self.salt = os.urandom(8).hex()
        self.numbers = count(1)
        self.threads = threading.local()

    def introduce_thread(self) -> tuple[str, str]:
        """The identity of the running thread, and its description up to the time."""
        thread = threading.current_thread()
        words = (
            f"{self.identity}:{thread.ident}",
            f'{{"host":{_quote(self.host)},"pid":{self.pid},'
            f'"thread":{_quote(thread.name)},"since":',
        )
        self.threads.words = words
        return words


_process: _Process | None = None


def new_owner() -> Owner:
    """An owner for one acquisition by the running thread. About 1 µs; no round trip."""
    me = _process or _this_process()
    try:
        identity, head = me.threads.words
    except AttributeError:
        identity, head = me.introduce_thread()
    return Owner(identity, f"{me.salt}{next(me.numbers):x}", f"{head}{time():.3f}}}")


def as_of_now(owner: Owner) -> Owner:
    """The same owner, asking now: for a grant that comes after a wait."""
    head, colon, _ = owner.description.rpartition(":")
    return Owner(owner.identity, owner.nonce, f"{head}{colon}{time():.3f}}}")


def process_identity() -> str:
    """Host, pid and start time of this process, which no other process ever has."""
    return (_process or _this_process()).identity


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


def _start_time() -> int:
    """When this process began, in the system's own unit; else a moment soon after."""
    try:
        with open("/proc/self/stat", "rb") as file:
            # The name of the program is in parentheses, and may hold anything.
            return int(file.read().rpartition(b")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return time_ns()


def _quote(text: str) -> str:
    """Text as a string of JSON. Importing json costs more than a first lock should."""
    if text.isascii() and text.isprintable() and not set(text) & {'"', "\\"}:
        return f'"{text}"'
    import json

    return json.dumps(text)
