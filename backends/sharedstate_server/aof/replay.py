"""Replay: the commands of a log are executed again, quickly and for nobody.

No client, no replies, no statistics, no effects: what a log holds are effects. A command
is refused if it is none that can stand in a log, because it neither writes nor says how
others are to be taken: a log that holds it is no log of ours, nor of Redis's.

Commands that fail are counted, and the first one is told of: they failed as well when
they were written, or what they depend on is not there. A database that is not there stops
the loading.

Transactions need nothing here: who calls passes whole units only, and nobody looks at the
data in between.
"""

from __future__ import annotations

from sharedstate_memory.commands.registry import lookup, wrong_arity
from sharedstate_memory.replies import CommandFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeAlias

    from sharedstate_memory.commands.registry import Handler
    from sharedstate_memory.engine import Engine
    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session

    Known: TypeAlias = tuple[Handler, int, int]

# What is no write, and stands in logs: in those of older servers, scripts.
_ALLOWED = frozenset(("SELECT", "EVAL", "EVALSHA", "FCALL", "SCRIPT", "FUNCTION"))
_MARKS = frozenset(("MULTI", "EXEC"))

_SHOWN_BYTES = 64


class CannotReplayError(Exception):
    """A command that cannot stand in a log, at a place in those that were passed."""

    def __init__(self, place: int, reason: str) -> None:
        super().__init__(reason)
        self.place = place
        self.reason = reason


class Replay:
    """Executes the commands of one log in an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._session = _omnipotent_session(engine)
        self._known: dict[bytes, Known] = {}
        self.done = 0
        """How many commands were executed."""
        self.failed = 0
        self.first_failure = ""
        """What the first command that failed was told."""

    def begin_file(self) -> None:
        """A file begins in database 0, until it says something else."""
        self._session.db = self._engine.databases[0]

    def run(self, commands: Sequence[list[bytes]]) -> None:
        """Execute commands. Raises `CannotReplayError`, with those before it executed.

        The hot path: flat on purpose.
        """
        engine, session, known = self._engine, self._session, self._known
        for place, argv in enumerate(commands):
            try:
                handler, least, most = known.get(argv[0]) or self._admit(argv[0], place)
                if not least <= len(argv) <= most:
                    raise CommandFailure(wrong_arity(argv[0]))
                handler(session, argv)
            except CommandFailure as failure:
                self._note_failure(argv, failure, place)
            if engine.pending:
                engine.settle(session.db.index, argv)
        self.done += len(commands)

    def _admit(self, name: bytes, place: int) -> Known:
        self._known[name] = known = admit(name, place)
        return known

    def _note_failure(self, argv: list[bytes], failure: CommandFailure, place: int) -> None:
        shown = b" ".join(word[:_SHOWN_BYTES] for word in argv[:3])
        told = f"{shown!r}: {failure.text.decode('latin-1')}"
        if argv[0].upper() == b"SELECT":
            # What follows would come into another database.
            raise CannotReplayError(place, f"{told} (see the setting `databases`)")
        self.failed += 1
        if self.failed == 1:
            self.first_failure = told


def admit(name: bytes, place: int = 0) -> Known:
    """What executes a command of a log. Raises `CannotReplayError` for one of no log."""
    bound = lookup(name)
    shown = repr(name[:_SHOWN_BYTES])[1:]
    if bound is None:
        raise CannotReplayError(place, f"the command {shown} is not known")
    handler, least, most, spec = bound
    if spec.name in _MARKS:
        handler = _do_nothing
    elif not spec.is_write and spec.name not in _ALLOWED:
        raise CannotReplayError(place, f"{shown} is no command of a log")
    return handler, least, most


def _do_nothing(session: Session, argv: list[bytes]) -> Reply:
    """Where units are whole, their marks say nothing more."""
    return None


def _omnipotent_session(engine: Engine) -> Session:
    """A session of a user who may do everything: rules are for clients."""
    from sharedstate_memory.acl_user import User

    session = engine.script_session()
    session.user = User(b"log")
    session.user.permit_everything()
    return session
