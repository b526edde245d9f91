"""Lists: taking several items from the first of some keys that has any.

LMPOP        numkeys key … LEFT|RIGHT [COUNT n]
BLMPOP timeout numkeys key … LEFT|RIGHT [COUNT n]
"""

from __future__ import annotations

from collections import deque

from sharedstate_memory.blocking import NOT_SERVED
from sharedstate_memory.commands.arguments import parse_integer, parse_timeout_ms
from sharedstate_memory.commands.lists import pop_many
from sharedstate_memory.commands.registry import command
from sharedstate_memory.replies import NULL_ARRAY, SYNTAX_ERROR, CommandFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session

_NO_KEYS = b"ERR numkeys should be greater than 0"
_NO_COUNT = b"ERR count should be greater than 0"


class _Wanted:
    """What one call wants: how many items, from which end of which keys."""

    __slots__ = ("count", "from_left", "keys")

    def __init__(self, argv: list[bytes], start: int) -> None:
        number = _read_positive(argv[start], _NO_KEYS)
        where = start + 1 + number
        if where >= len(argv):
            raise CommandFailure(SYNTAX_ERROR)
        self.keys = argv[start + 1 : where]
        self.from_left = _is_left(argv[where])
        self.count = _read_count(argv[where + 1 :])


def _read_positive(text: bytes, refusal: bytes) -> int:
    number = parse_integer(text, refusal)
    if number < 1:
        raise CommandFailure(refusal)
    return number


def _is_left(word: bytes) -> bool:
    side = word.upper()
    if side not in (b"LEFT", b"RIGHT"):
        raise CommandFailure(SYNTAX_ERROR)
    return side == b"LEFT"


def _read_count(words: list[bytes]) -> int:
    if not words:
        return 1
    if len(words) == 1 or words[0].upper() != b"COUNT":
        raise CommandFailure(SYNTAX_ERROR)
    # A wrong number is found before what follows it.
    count = _read_positive(words[1], _NO_COUNT)
    if len(words) > 2:
        raise CommandFailure(SYNTAX_ERROR)
    return count


@command("LMPOP")
def pop_first(session: Session, argv: list[bytes]) -> Reply:
    """Take items from the first of some lists that has any. Returns its key and them."""
    popped = _pop_first(session, _Wanted(argv, 1))
    return NULL_ARRAY if popped is NOT_SERVED else popped


@command("BLMPOP")
def blocking_pop_first(session: Session, argv: list[bytes]) -> Reply:
    """As LMPOP, waiting for an item."""
    wanted = _Wanted(argv, 2)
    timeout_ms = parse_timeout_ms(argv[1], session.engine.now_ms)
    popped = _pop_first(session, wanted)
    if popped is not NOT_SERVED:
        return popped

    def serve(key: bytes) -> Reply:
        items = session.db.find(key)
        if type(items) is not deque:
            return NOT_SERVED
        return _pop(session, key, items, wanted)

    return session.engine.waits.block(
        session, wanted.keys, serve, null=NULL_ARRAY, timeout_ms=timeout_ms
    )


def _pop_first(session: Session, wanted: _Wanted) -> Reply:
    for key in wanted.keys:
        items = session.db.typed(key, deque)
        if items is not None:
            return _pop(session, key, items, wanted)
    return NOT_SERVED


def _pop(session: Session, key: bytes, items: deque[bytes], wanted: _Wanted) -> Reply:
    popped = pop_many(session.db, key, items, wanted.count, from_left=wanted.from_left)
    if session.engine.effects is not None:
        pop = b"LPOP" if wanted.from_left else b"RPOP"
        session.engine.effects.replace([pop, key, b"%d" % len(popped)])
    return [key, popped]
