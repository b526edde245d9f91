"""Power cuts for tests: a disk that keeps what was synced, and some of the rest.

SIGKILL takes a process and leaves the system's memory: what was written and never synced
is read by the next one all the same. A power cut is stricter, and this is a model of it:

    a file     keeps its bytes as of its last fsync, and perhaps some of those behind them
    a folder   keeps its entries as of its last fsync: a file that was created, renamed or
               removed since has its old name, or none

The server runs under this module, run as a script, which notes in a second folder (the
shadow) what each fsync has made safe:

    shadow/data/INODE     a file's synced bytes
    shadow/links/INODE    another name of the file, so that its number is not used again
    shadow/folders/INODE  a folder's synced entries, as lines of `INODE NAME`

`cut_power` then makes the real folder what a disk would have kept. The files must be ones
that grow at their end, or shrink: as logs and snapshots do.
"""

from __future__ import annotations

import os
import random
import shutil
import stat
import sys
import threading
from pathlib import Path

_lock = threading.Lock()


class Shadow:
    """What a disk has for sure."""

    def __init__(self, folder: Path) -> None:
        self._data = folder / "data"
        self._links = folder / "links"
        self._folders = folder / "folders"
        for each in (self._data, self._links, self._folders):
            each.mkdir(parents=True, exist_ok=True)

    def keep(self, descriptor: int, size: int) -> None:
        """A file was synced when it had this size."""
        inode = os.fstat(descriptor).st_ino
        source = f"/proc/self/fd/{descriptor}"
        self._link(os.readlink(source), inode)
        with open(source, "rb") as file, (self._data / str(inode)).open("ab") as copy:
            kept = copy.tell()
            copy.truncate(min(kept, size))
            file.seek(min(kept, size))
            copy.write(file.read(max(0, size - kept)))

    def keep_entries(self, folder: str, inode: int) -> None:
        """A folder was synced."""
        lines = []
        with os.scandir(folder) as entries:
            for entry in entries:
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(status.st_mode):
                    self._link(entry.path, status.st_ino)
                if stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode):
                    lines.append(f"{status.st_ino} {entry.name}\n")
        temporary = self._folders / f"{inode}.{os.getpid()}.{threading.get_ident()}"
        temporary.write_text("".join(lines))
        temporary.rename(self._folders / str(inode))

    def restore(self, inode: int, target: Path, chance: random.Random) -> None:
        """Make a new folder what is kept of the folder `inode`."""
        target.mkdir(mode=0o700)
        entries = self._folders / str(inode)
        for line in entries.read_text().splitlines() if entries.exists() else ():
            number, _, name = line.partition(" ")
            if (self._links / number).exists():
                self._restore_file(number, target / name, chance)
            else:
                self.restore(int(number), target / name, chance)

    def _restore_file(self, number: str, target: Path, chance: random.Random) -> None:
        """What was synced, and some of what was written since, cut at any byte."""
        data = self._data / number
        synced = data.read_bytes() if data.exists() else b""
        written = (self._links / number).read_bytes()
        tail = written[len(synced) :]
        target.write_bytes(synced + tail[: chance.randint(0, len(tail))])

    def _link(self, path: str, inode: int) -> None:
        try:
            os.link(path, self._links / str(inode))
        except FileExistsError:
            return
        except FileNotFoundError:
            return  # It has no name any more, and nothing brings it back.


def cut_power(folder: Path, shadow: Path, chance: random.Random) -> None:
    """Leave of a dead server's folder what a disk would have kept."""
    disk = Shadow(shadow)
    rest = folder.with_name(f"{folder.name}.rest")
    disk.restore(folder.stat().st_ino, rest, chance)
    shutil.rmtree(folder)
    rest.rename(folder)
    shutil.rmtree(shadow)
    keep_all(folder, shadow)


def keep_all(folder: Path, shadow: Path) -> None:
    """Begin with a disk that has everything."""
    disk = Shadow(shadow)
    for path in (folder, *folder.rglob("*")):
        if path.is_dir():
            disk.keep_entries(str(path), path.stat().st_ino)
        elif path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            disk.keep(descriptor, os.fstat(descriptor).st_size)
            os.close(descriptor)


def _install(shadow: Shadow) -> None:
    """Note what every fsync of this process, and of its forked children, makes safe."""
    for name in ("fsync", "fdatasync"):
        sync = getattr(os, name)

        def note(descriptor: int, sync: object = sync) -> None:
            # The size before: what comes meanwhile may or may not be synced too.
            status = os.fstat(descriptor)
            sync(descriptor)  # type: ignore[operator]
            with _lock:
                if stat.S_ISDIR(status.st_mode):
                    path = os.readlink(f"/proc/self/fd/{descriptor}")
                    shadow.keep_entries(path, status.st_ino)
                else:
                    shadow.keep(descriptor, status.st_size)

        setattr(os, name, note)


def main(shadow: str, arguments: list[str]) -> int:
    """Run `sharedstate serve` on a disk whose shadow is kept."""
    _install(Shadow(Path(shadow)))
    from sharedstate_server.__main__ import main as serve

    return serve(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
