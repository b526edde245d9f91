"""The file of a snapshot: it is whole, or it is not there.

    temp-PID.rdb  ──write──► ──fsync──► ──rename──► dump.rdb ──fsync of the folder──► done

Whatever happens in between, the one before stays. What is written is synced now and then
on the way, so that the last sync is short and the disk's queue is never full of it.
"""

from __future__ import annotations

import os

from sharedstate_server import failpoints

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SYNC_BYTES = 16 * 1024 * 1024
"""So much is written between two syncs on the way, if they are wanted."""

_MODE = 0o644


def _do_nothing() -> None:
    """Nothing forbids it."""


def write_whole(
    path: str,
    chunks: Iterable[bytes],
    *,
    syncs_often: bool = True,
    before_rename: Callable[[], None] = _do_nothing,
) -> int:
    """Write a file in place of what is at `path`, and return its size. It is on the disk
    when this returns. Raises `OSError`, or what the functions raise: then what was there
    is there still.
    """
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f"temp-{os.getpid()}.rdb")
    if failpoints.armed:
        failpoints.hit("rdb.open")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _MODE)
    try:
        try:
            size = _write(fd, chunks, syncs_often=syncs_often)
            failpoints.sync("rdb.fsync", fd)
        finally:
            os.close(fd)
        before_rename()
        if failpoints.armed:
            failpoints.hit("rdb.before-rename")
        os.rename(temporary, os.path.join(folder, name))
    except BaseException:
        _remove(temporary)
        raise
    sync_folder(folder)
    return size


def _write(fd: int, chunks: Iterable[bytes], *, syncs_often: bool) -> int:
    size = synced = 0
    for chunk in chunks:
        view = memoryview(chunk)
        while view:
            written = failpoints.write("rdb.write", fd, view)
            if not written:
                # Only where a failpoint says so: the system reports an error instead.
                raise OSError("nothing was written")
            size += written
            view = view[written:]
        if syncs_often and size - synced >= SYNC_BYTES:
            failpoints.sync("rdb.fsync", fd)
            synced = size
    return size


def sync_folder(folder: str) -> None:
    """Have a rename in a folder on the disk. Raises `OSError`."""
    fd = os.open(folder or ".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        failpoints.sync("rdb.sync-folder", fd)
    finally:
        os.close(fd)


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        # It has gone with its folder, or the disk fails altogether: what counts is the
        # error that led here, which goes on.
        return
