"""Forked children: a copy of the process that writes what there is, while we serve on.

One at a time (`Forks.child`), as in Redis: two would compete for the disk, and each costs
memory for what is changed meanwhile.

    forks.start("RDB", work, on_done)
        child:   work(reports)  ── progress, copy-on-write ──►  pipe  ──► the loop: `child`
                 os._exit                                                  on_done(outcome)

What happens in the child is in `forked.py`. It ends when its parent does. What `work`
raises ends it with code 1, and is the reason that the parent is told.

**The folder stays locked** while a child lives, even if its parent has died: the child
keeps the lock's descriptor, so that a new server never starts beside the child of an old
one, which might put its file in place of a newer one.
"""

from __future__ import annotations

import os
import signal
import time

from sharedstate_server.loop import READABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sharedstate_memory.information import Facts
    from sharedstate_server.forked import Reports
    from sharedstate_server.server import Server

_READ_BYTES = 64 * 1024


class Outcome:
    """How a child ended."""

    __slots__ = ("cow_bytes", "is_killed", "is_ok", "pid", "reason", "seconds")

    def __init__(self, child: Child, reason: str) -> None:
        self.pid = child.pid
        self.reason = reason
        """Why it failed; empty if it did not."""
        self.is_ok = not reason
        self.is_killed = child.is_killed
        """Whether we have killed it ourselves, which is no failure of the disk."""
        self.seconds = child.seconds
        self.cow_bytes = child.cow_peak_bytes
        """The most memory it had for itself alone."""


class Child:
    """A child that runs, as its parent sees it."""

    def __init__(self, purpose: str, pid: int, keys_total: int, reader: int) -> None:
        self.purpose = purpose
        """What it writes: "RDB" or "AOF"."""
        self.pid = pid
        self.keys_total = keys_total
        self.keys_done = 0
        self.cow_bytes = self.cow_peak_bytes = 0
        self.reported_at = 0.0
        self._began = time.monotonic()
        self.is_killed = False
        self.reader = reader
        self._unread = b""
        self._failure = ""
        self._has_finished = False

    @property
    def seconds(self) -> float:
        """How long it has run so far."""
        return time.monotonic() - self._began

    def take(self, data: bytes) -> None:
        """Take what it reports: lines of a letter and what that means (`forked.py`)."""
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            kind, text = line[:1], line[1:]
            if kind == b"P":
                keys, cow = map(int, text.split())
                self.keys_done = max(keys, self.keys_done)
                self.cow_bytes = cow
                self.cow_peak_bytes = max(cow, self.cow_peak_bytes)
                self.reported_at = time.monotonic()
            elif kind == b"F":
                self._failure = text.decode("utf-8", "replace")
            else:
                self._has_finished = True

    def verdict(self, code: int) -> str:
        """Why it failed, by its exit code and what it said; empty if it did not."""
        if self._has_finished:
            return ""
        if code < 0:
            return f"terminated by signal {-code}"
        return self._failure or f"ended with code {code}"


class Forks:
    """The children of a server: none, or one. `server.persistence.forks`."""

    def __init__(self, server: Server, kept_files: Callable[[], tuple[int, ...]]) -> None:
        self.child: Child | None = None
        self.count = 0
        self.last_fork_us = 0
        self._server = server
        self._loop = server.loop
        # The descriptors that every child keeps: the lock of the folder.
        self._kept_files = kept_files
        self._on_done: Callable[[Outcome], None] = _tell_nobody

    def start(
        self,
        purpose: str,
        work: Callable[[Reports], None],
        on_done: Callable[[Outcome], None],
        *,
        keep: tuple[int, ...] = (),
    ) -> Child:
        """Fork, and run `work` in the child; `on_done` is called on the loop when it has
        ended. Only when there is no other. Never in the middle of a unit: what a
        transaction has done by halves would be in the copy. `keep` are descriptors that
        `work` needs; all others are closed in the child. Raises `OSError` if the system
        cannot fork.
        """
        from sharedstate_server.forked import run_forked

        if self.child is not None:
            raise RuntimeError("there is a child already")
        engine = self._server.engine
        keys_total = sum(len(db.data) for db in engine.databases)
        parent = os.getpid()
        reader, writer = os.pipe()
        try:
            pid, self.last_fork_us = _fork(self._server)
        except OSError:
            os.close(reader)
            os.close(writer)
            raise
        if not pid:
            kept = (*self._kept_files(), *keep)
            run_forked(purpose, work, writer, parent, kept, self._kill_score())
        os.close(writer)
        os.set_blocking(reader, False)
        self.count += 1
        self._on_done = on_done
        self.child = Child(purpose, pid, keys_total, reader)
        self._loop.watch(reader, READABLE, lambda mask: self._on_report())
        engine.latency.record("fork", self.last_fork_us // 1000)
        return self.child

    def _kill_score(self) -> tuple[str, str]:
        """The mode of `oom-score-adj`, and the score for children."""
        settings = self._server.engine.settings
        return settings["oom-score-adj"], settings["oom-score-adj-values"][2]

    def kill(self) -> None:
        """End the child if there is one, and wait until it has: a moment. Its `on_done`
        is called before this returns, with `is_killed`.
        """
        child = self.child
        if child is not None:
            child.is_killed = True
            os.kill(child.pid, signal.SIGKILL)
            self._end(child)

    def _on_report(self) -> None:
        child = self.child
        if child is None:
            return
        data = _read(child.reader)
        if data:
            child.take(data)
        elif data is not None:
            self._end(child)

    def _end(self, child: Child) -> None:
        """The child ends: it has closed its pipe, or was killed."""
        code = os.waitstatus_to_exitcode(os.waitpid(child.pid, 0)[1])
        while data := _read(child.reader):
            child.take(data)
        self._loop.forget(child.reader)
        os.close(child.reader)
        self.child = None
        on_done, self._on_done = self._on_done, _tell_nobody
        on_done(Outcome(child, child.verdict(code)))

    def facts(self) -> Facts:
        """The fields of INFO persistence that tell of the child."""
        child = self.child
        if child is None:
            return {}
        share = 100 * child.keys_done / child.keys_total if child.keys_total else 0.0
        age_s = int(time.monotonic() - child.reported_at) if child.reported_at else 0
        return {
            "current_cow_peak": child.cow_peak_bytes,
            "current_cow_size": child.cow_bytes,
            "current_cow_size_age": age_s,
            "current_fork_perc": f"{share:.2f}",
            "current_save_keys_processed": child.keys_done,
            "current_save_keys_total": child.keys_total,
        }


def _fork(server: Server) -> tuple[int, int]:
    """Fork. Returns the child's pid, 0 in the child, and how many microseconds it took.

    Signals are held back meanwhile: one that came to the child before it is ready for it
    would be told to the parent's loop, whose socket for that they share.
    """
    from sharedstate_server.garbage import freeze_if_short

    # The parent's looks for garbage write into every container that they look at.
    freeze_if_short()
    every_signal = signal.valid_signals()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, every_signal)
    began = time.perf_counter()
    pid = -1
    try:
        pid = os.fork()
    finally:
        if pid:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return pid, int((time.perf_counter() - began) * 1_000_000)


def _read(fd: int) -> bytes | None:
    """What is in a pipe: nothing when it was closed, None when nothing is there yet."""
    try:
        return os.read(fd, _READ_BYTES)
    except BlockingIOError:
        return None


def _tell_nobody(outcome: Outcome) -> None:
    """There is no child."""
