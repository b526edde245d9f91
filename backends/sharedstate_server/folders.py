"""The folder of a server that `launcher` started: what is in it, and locks by files.

    server.sock        the socket; there while a server listens
    server.sock.lock   locked (flock) while a socket gets that name
    server.lock        locked while somebody starts the server, ends it, or changes what
                       it has promised
    server.log         what the server has to say
    appendonlydir/     the state, in the folder of a server that keeps it (`local:///dir`)

Used on both sides, and light: it is part of what a server needs to start.
"""

from __future__ import annotations

import os
import time

SOCKET_NAME = "server.sock"
LOCK_NAME = "server.lock"
LOG_NAME = "server.log"

# How long to wait for another program that is starting or ending the folder's server.
LOCK_SECONDS = 10.0


class FileLock:
    """A lock by a file. Held for moments only, and freed by the kernel when its process
    ends. Leaving it as a context manager frees it.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd = -1

    def take(self, seconds: float) -> bool:
        """Take the lock if it is free, or gets free within the time."""
        import fcntl  # here, because a private server needs no locks

        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
        fd = os.open(self._path, flags, 0o600)
        deadline = time.monotonic() + seconds
        pause = 0.001
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    os.close(fd)
                    return False
                time.sleep(pause)
                pause = min(pause * 2, 0.05)
            else:
                self._fd = fd
                return True

    def free(self) -> None:
        """Let the next one have it."""
        if self._fd >= 0:
            import fcntl  # here, as above

            # To close it would not do: a child that another thread of ours has forked
            # meanwhile has it open, too.
            fcntl.flock(self._fd, fcntl.LOCK_UN)
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> FileLock:
        return self

    def __exit__(self, *exit_information: object) -> None:
        self.free()


def lock_of(folder: str) -> FileLock:
    """The lock that decides who starts the server of a folder, and whether it may end."""
    return FileLock(os.path.join(folder, LOCK_NAME))


def make_folder(folder: str) -> None:
    """Make a folder that only this user may enter, if it is not there. Raises `OSError`,
    which says so if it is a file.
    """
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise NotADirectoryError(f"{folder} is a file, or lies in one") from error


def remove_folder(folder: str) -> None:
    """Remove a server's folder and what a server puts there; nothing else, ever."""
    for name in (SOCKET_NAME, f"{SOCKET_NAME}.lock", LOG_NAME, LOCK_NAME):
        try:
            os.unlink(os.path.join(folder, name))
        except FileNotFoundError:
            continue
    try:
        os.rmdir(folder)
    except OSError:
        # It has gone, or somebody has put a file of theirs into it, which stays.
        return
