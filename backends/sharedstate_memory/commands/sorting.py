"""SORT: the elements of a list, a set or a sorted set in another order.

They are sorted by themselves, or by what stands elsewhere: `BY weight_*` looks, for the
element `x`, at the string `weight_x`, and `BY object_*->price` at a field of the hash
`object_x`. `GET` answers with such values instead of the elements.

Elements that compare alike as numbers are in the order of their bytes.

Source: https://redis.io/docs/latest/commands/sort/
"""

from __future__ import annotations

from collections import deque

from sharedstate.commands import COMMANDS
from sharedstate_memory.commands.arguments import Options, parse_double, parse_integer
from sharedstate_memory.commands.registry import command
from sharedstate_memory.replies import SYNTAX_ERROR, WRONG_TYPE, CommandFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from sharedstate.commands import CommandSpec
    from sharedstate_memory.keyspace import Keyspace
    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session

    Lookup = Callable[[bytes], bytes | None]

_NO_SCORE = b"ERR One or more scores can't be converted into double"
_NO_PERMISSION = b"ERR %s option of SORT denied due to insufficient ACL permissions."

# Numbers of fewer digits are read the short way.
_SAFE_DIGITS = 19

# What a number may have in front, as in C.
_BLANKS = b" \t\n\v\f\r"


class _Options:
    """What follows the key in SORT."""

    __slots__ = (
        "by",
        "count",
        "descends",
        "gets",
        "is_alphabetic",
        "keeps_order",
        "start",
        "target",
    )

    def __init__(self, session: Session, spec: CommandSpec, argv: list[bytes]) -> None:
        self.by: bytes | None = None
        self.gets: list[bytes] = []
        self.start, self.count = 0, -1
        self.descends = self.is_alphabetic = self.keeps_order = False
        self.target: bytes | None = None
        options = Options(argv, 2)
        for name in options:
            if name in (b"ASC", b"DESC"):
                self.descends = name == b"DESC"
            elif name == b"ALPHA":
                self.is_alphabetic = True
            elif name == b"LIMIT" and options.left >= 2:
                self.start = parse_integer(options.value())
                self.count = parse_integer(options.value())
            elif name == b"STORE" and spec.is_write:
                self.target = options.value()
            elif name in (b"BY", b"GET"):
                pattern = options.value()
                if name == b"GET" or b"*" in pattern:
                    _require_permission(session, spec, argv, name)
                self._add_pattern(name, pattern)
            else:
                raise CommandFailure(SYNTAX_ERROR)

    def _add_pattern(self, name: bytes, pattern: bytes) -> None:
        if name == b"GET":
            self.gets.append(pattern)
            return
        self.by = pattern
        # One that names the same key for all says that nothing is to be sorted, and a
        # later one does not take that back.
        self.keeps_order |= b"*" not in pattern

    def limit(self, elements: list[bytes]) -> list[bytes]:
        """The part of the sorted elements that is wanted."""
        start = max(self.start, 0)
        return elements[start:] if self.count < 0 else elements[start : start + self.count]


def _require_permission(
    session: Session, spec: CommandSpec, argv: list[bytes], option: bytes
) -> None:
    """Raise the refusal unless the user may read every key: any may be looked up."""
    if not session.user.may_read_all_keys(spec, argv):
        raise CommandFailure(_NO_PERMISSION % option)


@command("SORT")
def sort(session: Session, argv: list[bytes]) -> Reply:
    """The elements of a container, sorted. With STORE they become a list under a key, and
    their number is returned.
    """
    options = _Options(session, COMMANDS["SORT"], argv)
    result = _sorted(session, argv[1], options)
    if options.target is None:
        return result
    db = session.db
    if result:
        items = deque(part or b"" for part in result)
        db.overwrite(options.target, items, b"sortstore")
    elif db.find(options.target) is not None:
        db.remove(options.target)
    return len(result)


@command("SORT_RO")
def sort_read_only(session: Session, argv: list[bytes]) -> Reply:
    """As SORT, without STORE."""
    return _sorted(session, argv[1], _Options(session, COMMANDS["SORT_RO"], argv))


def _sorted(session: Session, key: bytes, options: _Options) -> list[bytes | None]:
    db = session.db
    value = db.read_any(key)
    if isinstance(value, (bytes, dict)):
        raise CommandFailure(WRONG_TYPE)
    if value is None:
        return []
    if isinstance(value, (deque, set)):
        elements = list(value)
    else:
        elements = value.members(0, len(value))
    found = options.limit(_in_order(db, elements, options, is_set=isinstance(value, set)))
    if not options.gets:
        return [*found]
    lookups = [_lookup(db, pattern) for pattern in options.gets]
    return [look_up(element) for element in found for look_up in lookups]


def _in_order(
    db: Keyspace, elements: list[bytes], options: _Options, *, is_set: bool
) -> list[bytes]:
    descends = options.descends
    if options.keeps_order:
        # A set has no order to keep. Any will do that is always the same, so that what is
        # stored does not depend on chance.
        if is_set:
            return sorted(elements, reverse=descends)
        return elements[::-1] if descends else elements
    if is_set and options.is_alphabetic and options.by is not None:
        # Nor may what weighs the same be in an order of chance.
        elements.sort()
    ranks = _ranks(db, elements, options)
    order = sorted(range(len(elements)), key=ranks.__getitem__, reverse=descends)
    return [elements[place] for place in order]


def _ranks(db: Keyspace, elements: list[bytes], options: _Options) -> list[Any]:
    """What to compare instead of each element."""
    weights: list[bytes | None] = [*elements]
    if options.by is not None:
        weights = [*map(_lookup(db, options.by), elements)]
    if options.is_alphabetic:
        # No weight is less than an empty one. Those that are the same stay in their order.
        return [(weight is not None, weight or b"") for weight in weights]
    scores = [*map(_score, weights)]
    if len({*scores}) == len(scores):
        return scores
    # Where numbers are the same, the elements decide. That is left out where it can be:
    # numbers alone are sorted in half the time.
    return [*zip(scores, elements, strict=True)]


def _score(weight: bytes | None) -> float:
    """A weight as a number, read as C does: after blanks, up to a zero byte. Nothing is
    zero. Raises the refusal of what is no number.
    """
    if weight is None:
        return 0.0
    if weight.isdigit() and len(weight) < _SAFE_DIGITS:
        return float(weight)
    text = weight.partition(b"\0")[0]
    return parse_double(text.lstrip(_BLANKS), _NO_SCORE) if text else 0.0


def _lookup(db: Keyspace, pattern: bytes) -> Lookup:
    """What finds the value that a pattern stands for, given an element."""
    if pattern == b"#":
        return lambda element: element
    before, star, after = pattern.partition(b"*")
    if not star:
        return lambda element: None
    middle, _, field = after.partition(b"->")

    def look_up_string(element: bytes) -> bytes | None:
        value = db.read_any(before + element + after)
        return value if type(value) is bytes else None

    def look_up_field(element: bytes) -> bytes | None:
        value = db.read_any(before + element + middle)
        return value.get(field) if type(value) is dict else None

    return look_up_field if field else look_up_string
