"""The files of a log as they are now: the manifest, and what it names, in step.

    begin ──► add_increment ──► install_base ──► delete_leftovers
                  ▲                                  │
                  └──────── one rewrite ◄────────────┘

What makes a file a part of the log is the manifest, which is replaced as the last thing.
So whatever raises `OSError` here leaves the log as it was.
"""

from __future__ import annotations

import os

from sharedstate_server.aof.manifest import LogFile, Manifest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sharedstate_server.aof.disk_thread import DiskThread
    from sharedstate_server.aof.folder import LogFolder


class LogFiles:
    """The files of one log."""

    def __init__(
        self, folder: LogFolder, disk: DiskThread, tell: Callable[[str], None]
    ) -> None:
        self.folder = folder
        self.manifest = Manifest()
        self.finished_bytes = 0
        """How big all files are, but the increment that is written now."""
        self._disk = disk
        self._tell = tell

    def read(self) -> None:
        """Look what there is. Raises `OSError`, and `AofError`."""
        self.folder.make()
        self.manifest = self.folder.read_manifest() or Manifest()

    # Beginning.

    def begin(
        self, write_base: Callable[[str], None], *, is_snapshot: bool
    ) -> tuple[int, int]:
        """Go on with what there is, or begin with a base that `write_base` writes to a
        path. Returns the last increment's descriptor and size. Raises `OSError`, and
        `AofError`.
        """
        self.read()
        folder = self.folder
        if not self.manifest.files:
            self._install(write_base, is_snapshot=is_snapshot)
        if not self.manifest.increments:
            increment = self.manifest.next_increment(folder.stem)
            self._tell(f"Creating AOF incr file {increment.name} on server start")
            fd = folder.create(increment)
            self._replace_manifest(self.manifest.with_increment(increment))
        else:
            fd = folder.open_to_append(self.manifest.increments[-1])
        sizes = [folder.size_of(file) for file in self.manifest.files]
        self.finished_bytes = sum(sizes[:-1])
        return fd, sizes[-1]

    def _install(self, write_base: Callable[[str], None], *, is_snapshot: bool) -> None:
        folder = self.folder
        base = self.manifest.next_base(folder.stem, is_snapshot=is_snapshot)
        self._tell(f"Creating AOF base file {base.name} on server start")
        temporary = folder.temporary_base(os.getpid())
        write_base(temporary)
        self._plan(Manifest(base))
        folder.install(temporary, base)
        # It is named together with the first increment.
        self.manifest = Manifest(base)

    def _plan(self, first: Manifest) -> None:
        """Say what a log is going to begin with, if there is none yet."""
        if not self.manifest.files:
            self.folder.plan(first)

    def _replace_manifest(self, manifest: Manifest) -> None:
        self.folder.replace_manifest(manifest)
        self.manifest = manifest
        self.folder.forget_plan()

    @property
    def base_bytes(self) -> int:
        """How big the base is. Raises `AofError` if it is not there."""
        base = self.manifest.base
        return 0 if base is None else self.folder.size_of(base)

    # Rewriting.

    def add_increment(self, *, is_named: bool) -> tuple[LogFile, int]:
        """Make the next increment, and name it in the manifest. Returns it, and its
        descriptor. Raises `OSError`.
        """
        self.folder.make()
        increment = self.manifest.next_increment(self.folder.stem)
        self._plan(Manifest().with_increment(increment))
        fd = self.folder.create(increment)
        try:
            if is_named:
                self._replace_manifest(self.manifest.with_increment(increment))
        except OSError:
            os.close(fd)
            raise
        self._tell(f"Creating AOF incr file {increment.name} on background rewrite")
        return increment, fd

    def install_base(
        self, temporary: str, first: LogFile | None, *, is_snapshot: bool
    ) -> None:
        """Have a new base, and behind it the increments from the `first` on, if there is
        any. Raises `OSError`.
        """
        manifest = self.manifest
        base = manifest.next_base(self.folder.stem, is_snapshot=is_snapshot)
        increments: tuple[LogFile, ...] = ()
        if first is not None:
            since = [f for f in manifest.increments if f.sequence >= first.sequence]
            increments = tuple(since) or (first,)
        self._plan(Manifest(base, increments))
        self.folder.install(temporary, base)
        self._replace_manifest(manifest.with_base(base, increments))
        finished = self.manifest.files[:-1] if increments else self.manifest.files
        self.finished_bytes = sum(map(self.folder.size_of, finished))

    # Deleting.

    def delete_leftovers(self, *, orphans: bool) -> None:
        """Delete what is history, in the background; `orphans` that a crash has left as
        well, which only the start can tell from what is on its way.
        """
        folder, manifest = self.folder, self.manifest
        history = map(folder.path_of, manifest.history)
        paths = [path for path in history if os.path.exists(path)]
        if orphans:
            paths += folder.orphans(manifest)
        for path in paths:
            self._tell(f"Removing {path} in the background: it is no part of the log")
        if paths or manifest.history:
            self._disk.submit(lambda: _delete(paths), self._note_deleted)

    def _note_deleted(self, failure: OSError | None) -> None:
        """Some files are deleted. What is left goes at the next start, or the next time."""
        manifest = self.manifest
        exists = [os.path.exists(self.folder.path_of(file)) for file in manifest.history]
        try:
            if failure is not None:
                raise failure
            if manifest.history and not any(exists):
                self._replace_manifest(manifest.without_history())
        except OSError as error:
            self._tell(f"The old files of the log: {error}")


def _delete(paths: list[str]) -> None:
    for path in paths:
        os.unlink(path)
