"""SLOWLOG: the commands that took long."""

from __future__ import annotations

from itertools import islice

from sharedstate_memory.commands.arguments import parse_integer
from sharedstate_memory.commands.registry import command, quote
from sharedstate_memory.replies import OK, CommandFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session

_USUAL_COUNT = 10
_BAD_COUNT = b"ERR count should be greater than or equal to -1"


@command("SLOWLOG|GET")
def get(session: Session, argv: list[bytes]) -> Reply:
    """The newest entries: so many, ten if no number is given, all for -1."""
    if len(argv) > 3:
        raise CommandFailure(
            b"ERR unknown subcommand or wrong number of arguments for '%s'."
            b" Try SLOWLOG HELP." % quote(argv[1])
        )
    count = parse_integer(argv[2], _BAD_COUNT) if argv[2:] else _USUAL_COUNT
    if count < -1:
        raise CommandFailure(_BAD_COUNT)
    slow_log = session.engine.slow_log
    return [*islice(slow_log, len(slow_log) if count == -1 else count)]


@command("SLOWLOG|LEN")
def length(session: Session, argv: list[bytes]) -> Reply:
    """How many entries there are."""
    return len(session.engine.slow_log)


@command("SLOWLOG|RESET")
def reset(session: Session, argv: list[bytes]) -> Reply:
    """Forget all entries."""
    session.engine.slow_log.clear()
    return OK
