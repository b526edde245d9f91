"""The folder of a log: its files by name, and how they come and go.

    appendonlydir/
        appendonly.aof.manifest             says what the log consists of
        appendonly.aof.1.base.rdb
        appendonly.aof.1.incr.aof
        temp-appendonly.aof.manifest        on its way to its place
        temp-begin-appendonly.aof.manifest  what the first one is going to say
        temp-rewriteaof-bg-PID.aof          a base on its way to its place
        appendonly.aof.1.incr.aof.cut       what a start has cut off, and is no torn end

Whatever order a crash cuts off, what the manifest names is there and whole: files are
synced before it names them, it is synced before it takes its place, and what it names no
more is deleted after that. So files that no manifest names are left by a crash. Files
without any manifest are the beginning of a log that a crash cut short, if the plan for it
is there and they are what it names; otherwise the manifest is lost, and so would they be
if a log were begun over them.

A log of Redis before 7 is one file beside the folder. It is taken over as the base: first
the manifest says so, then the file moves; either order of a crash leads there again.
"""

from __future__ import annotations

import os

from sharedstate_server import failpoints
from sharedstate_server.aof.errors import AofError
from sharedstate_server.aof.manifest import BASE, SUFFIX, LogFile, Manifest

_TEMPORARY = "temp-"
_REWRITE = "temp-rewriteaof-bg-"
_BEGIN = "temp-begin-"

_MODE = 0o644

# So much of a file is copied at once.
_COPIED_BYTES = 1024 * 1024


class LogFolder:
    """The folder of one log. `stem` begins the names of its files."""

    def __init__(self, path: str, stem: str) -> None:
        self.path = os.path.abspath(path)
        self.stem = stem
        self.manifest_path = os.path.join(self.path, stem + SUFFIX)
        self._plan_path = os.path.join(self.path, _BEGIN + stem + SUFFIX)

    def path_of(self, file: LogFile) -> str:
        """Where a file of the log is."""
        return os.path.join(self.path, file.name)

    def size_of(self, file: LogFile) -> int:
        """How many bytes it has. Raises `AofError` if it is not there, or is a snapshot
        without a byte, which none is: one without keys has some. Raises `OSError`.
        """
        path = self.path_of(file)
        try:
            size = os.stat(path).st_size
        except FileNotFoundError as error:
            raise AofError(path, "the manifest names this file, and it is gone") from error
        if not size and file.is_snapshot:
            raise AofError(path, "the base is empty, and all that it held is missing")
        return size

    def make(self) -> None:
        """Make the folder, if it is not there. Raises `OSError`."""
        if not os.path.isdir(self.path):
            os.mkdir(self.path, 0o755)
            sync_folder(os.path.dirname(self.path))

    # -- the manifest

    def read_manifest(self) -> Manifest | None:
        """What the log consists of; None without a log. Raises `AofError`, also if there
        are files of a log and no manifest: to begin anew would lose them; and `OSError`.
        """
        try:
            with open(
                self.manifest_path,
                encoding="utf-8",
                errors="surrogateescape",
                newline="\n",
            ) as file:
                return Manifest.parse(file.read(), self.manifest_path)
        except FileNotFoundError:
            self._refuse_without_manifest()
            return None

    def _refuse_without_manifest(self) -> None:
        names = self._nameless()
        if names:
            raise AofError(
                self.manifest_path,
                f"there is no manifest, but files of a log: {', '.join(sorted(names))}",
                advice="Put the manifest back, or move the files elsewhere to begin anew",
            )

    def _nameless(self) -> list[str]:
        """Files of a log that is there without a manifest; not of one that never began."""
        names = [
            name
            for name in self.names()
            if self._is_ours(name) and os.path.getsize(os.path.join(self.path, name))
        ]
        return [] if names and self._planned_names().issuperset(names) else names

    def _planned_names(self) -> frozenset[str]:
        try:
            with open(self._plan_path, encoding="utf-8", errors="surrogateescape") as file:
                return Manifest.parse(file.read(), self._plan_path).names
        except (AofError, OSError):
            # None, or one that is not whole: then nothing was begun after it.
            return frozenset()

    def has_unbegun_log(self) -> bool:
        """Whether a log was switched on, and whoever wrote it ended before there was a
        manifest.
        """
        return not os.path.exists(self.manifest_path) and os.path.exists(self._plan_path)

    def plan(self, manifest: Manifest) -> None:
        """Say what the first manifest is going to say, before there is anything of it: if
        we die until it has its place, the log has not begun. Raises `OSError`.
        """
        _write_synced(self._plan_path, manifest)
        sync_folder(self.path)

    def forget_plan(self) -> None:
        """The manifest has its place."""
        try:
            os.unlink(self._plan_path)
        except OSError:
            # There was none; or it stays, says nothing now, and goes at the next start.
            return

    def replace_manifest(self, manifest: Manifest) -> None:
        """Have another manifest, on the disk when this returns. Raises `OSError`: then
        there is the one before, or already the new one, and both are right.
        """
        temporary = os.path.join(self.path, _TEMPORARY + self.stem + SUFFIX)
        _write_synced(temporary, manifest)
        if failpoints.armed:
            failpoints.hit("aof.before-rename")
        os.rename(temporary, self.manifest_path)
        sync_folder(self.path)

    # -- files

    def create(self, file: LogFile) -> int:
        """Create an empty file, and return its descriptor. It is in the log once the
        manifest says so. Raises `OSError`.
        """
        if failpoints.armed:
            failpoints.hit("aof.open")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND
        return os.open(self.path_of(file), flags, _MODE)

    def open_to_append(self, file: LogFile) -> int:
        """Open a file that is in the log, to go on with it. Raises `OSError`."""
        if failpoints.armed:
            failpoints.hit("aof.open")
        return os.open(self.path_of(file), os.O_WRONLY | os.O_APPEND)

    def temporary_base(self, pid: int) -> str:
        """Where the process of this number writes a base."""
        return os.path.join(self.path, f"{_REWRITE}{pid}.aof")

    def install(self, temporary: str, base: LogFile) -> None:
        """Give a base that is written and synced its name. Raises `OSError`."""
        if failpoints.armed:
            failpoints.hit("aof.before-install")
        os.rename(temporary, self.path_of(base))
        sync_folder(self.path)

    def names(self) -> list[str]:
        """What is in the folder."""
        return os.listdir(self.path) if os.path.isdir(self.path) else []

    def orphans(self, manifest: Manifest) -> list[str]:
        """The paths of what a crash has left, and no manifest names."""
        return [
            os.path.join(self.path, name)
            for name in self.names()
            if name not in manifest.names
            and (self._is_ours(name) or self._is_temporary(name))
        ]

    def _is_ours(self, name: str) -> bool:
        """Whether a name is that of a base or an increment."""
        head, _, rest = name.partition(self.stem + ".")
        number, _, kind = rest.partition(".")
        is_kind = kind in ("base.rdb", "base.aof", "incr.aof")
        return not head and number.isdecimal() and is_kind

    def _is_temporary(self, name: str) -> bool:
        manifest = self.stem + SUFFIX
        return name.startswith(_REWRITE) or name in (
            _TEMPORARY + manifest,
            _BEGIN + manifest,
        )

    # -- the log of old

    @property
    def old_path(self) -> str:
        """Where Redis before 7 has its log."""
        return os.path.join(os.path.dirname(self.path), self.stem)

    def has_log(self) -> bool:
        """Whether there is something to load, or to complain of."""
        if os.path.isfile(self.old_path) or os.path.exists(self.manifest_path):
            return True
        return bool(self._nameless())

    def take_over_old_log(self) -> bool:
        """Make the log of old the base of one with a manifest. Whether there was one.
        Raises `AofError` if there is one of either kind, and `OSError`.
        """
        if not os.path.isfile(self.old_path):
            return False
        manifest = self.read_manifest()
        planned = Manifest(LogFile(self.stem, 1, BASE))
        if manifest is None:
            self.make()
            self.replace_manifest(planned)
        elif manifest.text() != planned.text() or self.stem in self.names():
            # It was left there by somebody, and is not loaded, as in Redis.
            return False
        os.rename(self.old_path, os.path.join(self.path, self.stem))
        sync_folder(self.path)
        sync_folder(os.path.dirname(self.path))
        return True


def _write_synced(path: str, manifest: Manifest) -> None:
    data = manifest.text().encode("utf-8", "surrogateescape")
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _MODE)
    try:
        write_all("aof.manifest", fd, data)
        failpoints.sync("aof.manifest-fsync", fd)
    finally:
        os.close(fd)


def write_all(name: str, fd: int, data: bytes) -> None:
    """Write all of some bytes, at a failpoint. Raises `OSError`."""
    view = memoryview(data)
    while view:
        written = failpoints.write(name, fd, view)
        if not written:
            # Only where a failpoint says so: the system reports an error instead.
            raise OSError("nothing was written")
        view = view[written:]


def sync_folder(path: str) -> None:
    """Have what was renamed in a folder on the disk. Raises `OSError`."""
    fd = os.open(path or ".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        failpoints.sync("aof.sync-folder", fd)
    finally:
        os.close(fd)


def keep_end(path: str, size: int) -> str:
    """Copy what stands behind the first so many bytes of a file to a file beside it, on
    the disk when this returns. Returns its path. Raises `OSError`, and leaves no part.
    """
    kept, number = f"{path}.cut", 1
    while os.path.lexists(kept):
        number += 1
        kept = f"{path}.cut.{number}"
    with open(path, "rb") as file:
        file.seek(size)
        fd = os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE)
        try:
            while block := file.read(_COPIED_BYTES):
                write_all("aof.cut-write", fd, block)
            failpoints.sync("aof.cut-fsync", fd)
        except OSError:
            os.unlink(kept)
            raise
        finally:
            os.close(fd)
    sync_folder(os.path.dirname(path))
    return kept


def cut_off(path: str, size: int) -> None:
    """Let a file end after so many bytes, on the disk too. Raises `OSError`."""
    fd = os.open(path, os.O_WRONLY)
    try:
        os.ftruncate(fd, size)
        failpoints.sync("aof.fsync", fd)
    finally:
        os.close(fd)
