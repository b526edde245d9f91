"""Keys that are copied, moved to another database, or swapped with all the others."""

from __future__ import annotations

from sharedstate_memory.commands.arguments import Options, parse_integer
from sharedstate_memory.commands.registry import command
from sharedstate_memory.moving import copy, exchange, move
from sharedstate_memory.replies import OK, SYNTAX_ERROR, CommandFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate_memory.keyspace import Keyspace
    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session

_OUT_OF_RANGE = b"ERR DB index is out of range"
_SAME_KEY = b"ERR source and destination objects are the same"


def _database(session: Session, index: int) -> Keyspace:
    if not 0 <= index < len(session.engine.databases):
        raise CommandFailure(_OUT_OF_RANGE)
    return session.engine.databases[index]


@command("COPY")
def copy_key(session: Session, argv: list[bytes]) -> Reply:
    """Copy a value and its deadline to another key. Returns 1, or 0 if that is taken."""
    db, key, new_key = session.db, argv[1], argv[2]
    target = db
    replaces = False
    options = Options(argv, 3)
    for name in options:
        if name == b"REPLACE":
            replaces = True
        elif name == b"DB":
            target = _database(session, parse_integer(options.value()))
        else:
            raise CommandFailure(SYNTAX_ERROR)
    if target is db and key == new_key:
        raise CommandFailure(_SAME_KEY)
    is_taken = target.find(new_key) is not None and not replaces
    if db.read_any(key) is None or is_taken:
        return 0
    copy((db, key), (target, new_key))
    return 1


@command("MOVE")
def move_key(session: Session, argv: list[bytes]) -> Reply:
    """Move a key to another database. Returns 1, or 0 if it is taken there."""
    db, key = session.db, argv[1]
    target = _database(session, parse_integer(argv[2]))
    if target is db:
        raise CommandFailure(_SAME_KEY)
    if db.find(key) is None or target.find(key) is not None:
        return 0
    move((db, key), (target, key), b"move_from", b"move_to")
    return 1


@command("SWAPDB")
def swap_databases(session: Session, argv: list[bytes]) -> Reply:
    """Let two databases have each other's keys: who uses one sees those of the other."""
    first = parse_integer(argv[1], b"ERR invalid first DB index")
    second = parse_integer(argv[2], b"ERR invalid second DB index")
    left, right = _database(session, first), _database(session, second)
    if left is not right:
        exchange(left, right)
    return OK
