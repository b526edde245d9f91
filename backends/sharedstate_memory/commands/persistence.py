"""What is kept on disk: snapshots and the log, if the engine's owner can keep any.

The files are the owner's (`Engine.open_persistence`). An engine whose owner has none, as
that of memory://, says so.
"""

from __future__ import annotations

from sharedstate_memory.commands.registry import command
from sharedstate_memory.replies import OK, SYNTAX_ERROR, CommandFailure, Status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from sharedstate_memory.engine import Engine
    from sharedstate_memory.information import Facts
    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session

    class Persistence(Protocol):
        """The owner's files, as commands see them."""

        @property
        def last_save_s(self) -> int:
            """When the data was saved last, in seconds since the epoch."""

        def save(self) -> None:
            """Save now, in the foreground. Raises CommandFailure."""

        def save_in_background(self, *, may_wait: bool, must_wait: bool) -> bytes:
            """Save in a child. Returns the text of the reply; raises CommandFailure."""

        def rewrite_log(self, *, must_wait: bool) -> bytes:
            """Rewrite the log in a child, likewise."""

        def reload(self, *, saves: bool, flushes: bool, merges: bool) -> None:
            """Save, remove and load everything. Raises CommandFailure."""

        def reload_log(self) -> None:
            """Remove everything, and load the log. Raises CommandFailure."""

        def facts(self) -> Facts:
            """The fields of INFO persistence."""

        def fork_facts(self) -> Facts:
            """The fields of INFO stats that tell of children."""

        def on_flush_all(self) -> None:
            """Everything was removed."""


_NO_FILES = b"ERR this store keeps nothing on disk: it has no files"


def persistence_of(engine: Engine) -> Persistence:
    """The files of an engine's owner. Raises CommandFailure if it has none."""
    if engine.persistence is not None:
        return engine.persistence
    if engine.open_persistence is None:
        raise CommandFailure(_NO_FILES)
    return engine.open_persistence()


@command("SAVE")
def save(session: Session, argv: list[bytes]) -> Reply:
    """Save a snapshot, while nobody is served."""
    persistence_of(session.engine).save()
    return OK


@command("BGSAVE")
def save_in_background(session: Session, argv: list[bytes]) -> Reply:
    """Save a snapshot in a child process."""
    may_wait = len(argv) == 2 and argv[1].upper() == b"SCHEDULE"
    if len(argv) > 1 and not may_wait:
        raise CommandFailure(SYNTAX_ERROR)
    persistence = persistence_of(session.engine)
    # A transaction is not to be saved by halves.
    must_wait = not session.may_block
    return Status(persistence.save_in_background(may_wait=may_wait, must_wait=must_wait))


@command("BGREWRITEAOF")
def rewrite_log(session: Session, argv: list[bytes]) -> Reply:
    """Write the log anew in a child process, as short as it can be."""
    persistence = persistence_of(session.engine)
    return Status(persistence.rewrite_log(must_wait=not session.may_block))


@command("LASTSAVE")
def last_save(session: Session, argv: list[bytes]) -> Reply:
    """When the data was saved last, or the server began: seconds since the epoch."""
    engine = session.engine
    if engine.persistence is None:
        return engine.started_at_ms // 1000
    return engine.persistence.last_save_s
