"""What the append-only log is to the rest of persistence: `aof.log.AppendLog` is one.

has_files, load ──► begin ──► cron, rewrite, reload, follow_setting ──► close
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Protocol

    from sharedstate_memory.information import Facts

    class Log(Protocol):
        """The log of a server: `server.engine.persistence.log`."""

        @property
        def refusal(self) -> bytes:
            """The error that writers get while the log cannot be written; empty usually.
            After a change call `Persistence.review_writes`."""

        @property
        def is_on(self) -> bool:
            """Whether changes are written to the log now."""

        @property
        def is_whole(self) -> bool:
            """Whether what is on disk, and what waits to be written, is all the data."""

        def has_files(self) -> bool:
            """Whether there is a log on disk to load."""

        def total_bytes(self) -> int:
            """How many bytes `load` is going to read, for the progress."""

        def load(self) -> Iterator[int]:
            """Load what is on disk into the (empty) engine; yields the bytes read so far
            every few milliseconds. Raises `AofError`."""

        def begin(self) -> None:
            """Write every change from now on: after loading, or with nothing loaded. If
            there are no files yet, and there is data (a dump.rdb was loaded), a base with
            that data is written first. Raises `OSError`."""

        def follow_setting(self) -> None:
            """CONFIG SET appendonly has changed it: begin, or stop. Raises
            `SettingError`."""

        def rewrite(self) -> bytes:
            """BGREWRITEAOF: the text of its status reply. Never called in a transaction.
            Raises `CommandFailure`."""

        def on_child_gone(self) -> None:
            """Some child has ended: a rewrite that was scheduled may begin."""

        def cron(self) -> None:
            """Called ten times a second or more often, when nothing is being loaded."""

        def reload(self) -> Iterator[int]:
            """As `load`, in the middle of serving: what waits is written before the first
            step, behind which the caller empties the engine."""

        def facts(self) -> Facts:
            """The aof_* fields of INFO persistence."""

        def close(self) -> bool:
            """The end of the server: write and sync what is left. False if that failed,
            which is logged."""
