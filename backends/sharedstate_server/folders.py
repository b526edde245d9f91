"""The folder of a server that `launcher` started: what is in it, and its lock.

    server.sock   the socket; there while a server listens
    server.lock   locked (flock) while somebody starts the server, or ends it
    server.log    what the server has to say

Used on both sides, and light: it is part of what a server needs to start.
"""

from __future__ import annotations

import fcntl
import os
import time

SOCKET_NAME = "server.sock"
LOCK_NAME = "server.lock"
LOG_NAME = "server.log"

# How long to wait for another program that is starting or ending the folder's server.
LOCK_SECONDS = 10.0


class FolderLock:
    """The lock of a folder's server. Held for moments only, and freed by the kernel when
    its process ends. Leaving it as a context manager frees it.
    """

    def __init__(self, folder: str) -> None:
        self._path = os.path.join(folder, LOCK_NAME)
        self._fd = -1

    def take(self, seconds: float) -> bool:
        """Take the lock if it is free, or gets free within the time."""
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
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
        os.close(self._fd)

    def __enter__(self) -> FolderLock:
        return self

    def __exit__(self, *exit_information: object) -> None:
        self.free()


def remove_folder(folder: str) -> None:
    """Remove a server's folder and what a server puts there; nothing else, ever."""
    for name in (SOCKET_NAME, LOG_NAME, LOCK_NAME):
        try:
            os.unlink(os.path.join(folder, name))
        except FileNotFoundError:
            continue
    try:
        os.rmdir(folder)
    except FileNotFoundError:
        return
