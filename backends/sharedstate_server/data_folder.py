"""The data folder: one server at a time, and nothing left of one that was killed.

    sharedstate.lock   locked (flock) while a server uses the folder; in it, its pid

The kernel frees the lock when the server and its forked child have ended, however they
did. The file goes at a clean end; one that is left says nothing.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time

LOCK_NAME = "sharedstate.lock"

WAIT_SECONDS = 2.0
"""How long to wait for a server that is about to end, or a child of one that was killed."""

_FIRST_PAUSE_SECONDS = 0.002
_LONGEST_PAUSE_SECONDS = 0.05

_LONGEST_PID = 32


class FolderInUseError(OSError):
    """Another server uses the folder."""


class DataFolder:
    """The folder in which a server keeps its data, and the lock on it."""

    def __init__(self) -> None:
        self.path = ""
        self.fd = -1
        """The descriptor of the lock; -1 when there is none."""

    @property
    def is_held(self) -> bool:
        """Whether the folder is ours."""
        return self.fd >= 0

    def take(self, path: str, *, tidies: bool = True, waits: bool = True) -> None:
        """Have a folder for ourselves, in place of any other; with `tidies`, remove what
        killed servers left in it. Raises `FolderInUseError` with the other's pid, or
        another `OSError`, and keeps what it had. A server `waits` at its start only:
        later, everybody whom it serves would wait with it.
        """
        path = os.path.realpath(path or ".")
        lock_path = os.path.join(path, LOCK_NAME)
        if self.is_held and path == self.path and _is_at(self.fd, lock_path):
            return
        fd = _lock(lock_path, WAIT_SECONDS if waits else 0.0)
        if path == self.path:
            self._forget()  # The folder was removed, and somebody has made it anew.
        self.free()
        self.path, self.fd = path, fd
        if tidies:
            _remove_leftovers(path)

    def free(self) -> None:
        """Leave the folder to others."""
        if not self.is_held:
            return
        # While the lock is ours, so that it is not somebody else's that goes.
        _remove_lock(os.path.join(self.path, LOCK_NAME))
        self._forget()

    def _forget(self) -> None:
        if self.is_held:
            os.close(self.fd)
            self.fd = -1


def _lock(path: str, seconds: float) -> int:
    """The descriptor of a file that is locked, and is the one at its path. It may get
    free within so many seconds.
    """
    deadline = time.monotonic() + seconds
    pause = _FIRST_PAUSE_SECONDS
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The one before may have removed it in between.
            if _is_at(fd, path):
                os.ftruncate(fd, 0)
                os.write(fd, b"%d\n" % os.getpid())
                return fd
            os.close(fd)
        except BlockingIOError:
            holder = os.pread(fd, _LONGEST_PID, 0).decode("ascii", "replace").strip()
            os.close(fd)
            if time.monotonic() >= deadline:
                raise FolderInUseError(errno.EBUSY, _in_use(path, holder)) from None
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        except OSError:
            os.close(fd)
            raise


def _in_use(path: str, holder: str) -> str:
    folder = os.path.dirname(path)
    return (
        f"the folder {folder} is in use by another server, pid {holder or 'unknown'}:"
        " give each its own (dir)"
    )


def refuse_used(path: str) -> None:
    """Raise `FolderInUseError` if a server uses a folder just now. Leaves nothing in it."""
    path = os.path.join(os.path.realpath(path or "."), LOCK_NAME)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(fd, _LONGEST_PID, 0).decode("ascii", "replace").strip()
        folder = os.path.dirname(path)
        reason = f"the folder {folder} is in use by a server, pid {holder or 'unknown'}"
        raise FolderInUseError(errno.EBUSY, reason) from None
    finally:
        os.close(fd)


def _remove_lock(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        # The folder has gone, or may not be written any more. A file that is left and
        # not locked says nothing.
        return


def _is_at(fd: int, path: str) -> bool:
    try:
        there = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return False
    ours = os.fstat(fd)
    return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)


def _remove_leftovers(path: str) -> None:
    """Remove the temporary snapshots of processes that are no more."""
    with os.scandir(path) as entries:
        names = [entry.name for entry in entries]
    for name in names:
        pid = name.removeprefix("temp-").removesuffix(".rdb")
        if name == f"temp-{pid}.rdb" and pid.isdecimal() and not _is_running(int(pid)):
            os.unlink(os.path.join(path, name))


def _is_running(pid: int) -> bool:
    """Whether it is another process that runs: we have only just begun."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return pid != os.getpid()
