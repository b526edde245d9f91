"""SCAN, and its like for the elements of one key."""

from __future__ import annotations

from sharedstate_memory.commands.arguments import Options, parse_integer
from sharedstate_memory.commands.keys import type_name
from sharedstate_memory.commands.registry import command
from sharedstate_memory.glob import compile_glob
from sharedstate_memory.replies import SYNTAX_ERROR, CommandFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TypeVar

    from sharedstate_memory.keyspace import Keyspace
    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session

    T = TypeVar("T")

_DEFAULT_COUNT = 10
_MAX_CURSOR = 2**64 - 1
_MAX_CURSOR_DIGITS = 20

# How many entries of the list of keys are looked at for each key that is asked for.
_MOST_WALKED = 10

_INVALID_CURSOR = b"ERR invalid cursor"


class _Scan:
    """The cursor and the options of a scan."""

    __slots__ = ("count", "cursor", "matches", "type_name")

    def __init__(self, argv: list[bytes], cursor_at: int, *, takes_type: bool) -> None:
        self.cursor = read_cursor(argv[cursor_at])
        self.count = _DEFAULT_COUNT
        self.matches: Callable[[bytes], object] | None = None
        self.type_name: bytes | None = None
        options = Options(argv, cursor_at + 1)
        for name in options:
            if name == b"MATCH":
                self.matches = compile_glob(options.value())
            elif name == b"COUNT":
                self.count = parse_integer(options.value())
            elif name == b"TYPE" and takes_type:
                self.type_name = options.value().lower()
            else:
                raise CommandFailure(SYNTAX_ERROR)
            if self.count < 1:
                raise CommandFailure(SYNTAX_ERROR)


def read_cursor(text: bytes) -> int:
    """A cursor as an argument. Raises the refusal of what is none.

    As in Redis it may have a sign and leading zeros, and nothing at all is zero.
    """
    digits = text[1:] if text[:1] in (b"-", b"+") else text
    if not digits.isdigit():
        if text:
            raise CommandFailure(_INVALID_CURSOR)
        return 0
    cursor = int(digits[-_MAX_CURSOR_DIGITS:])
    if len(digits.lstrip(b"0")) > _MAX_CURSOR_DIGITS or cursor > _MAX_CURSOR:
        raise CommandFailure(_INVALID_CURSOR)
    return -cursor % (_MAX_CURSOR + 1) if text[:1] == b"-" else cursor


@command("SCAN")
def scan(session: Session, argv: list[bytes]) -> Reply:
    """Some keys, and where to go on. Keys that stay are returned at least once.

    The cursor is a place in the list of keys, from which the scan walks down.
    """
    options = _Scan(argv, 1, takes_type=True)
    end = len(session.db.order)
    if options.cursor:
        end = min(options.cursor, end)
    start, page = _walk_down(session.db, end, options.count)
    found = [key for key in page if _is_wanted(session, options, key)]
    return [b"%d" % start, found]


def _walk_down(db: Keyspace, end: int, count: int) -> tuple[int, Iterable[bytes]]:
    """So many keys from a place in the list down, and where they end. Entries of keys
    that are gone do not count, within bounds.
    """
    order, data = db.order, db.data
    least = max(end - _MOST_WALKED * count, 0)
    # A key made again stands in the list twice; once a page is enough.
    page: dict[bytes, None] = {}
    while end > least and len(page) < count:
        end -= 1
        if order[end] in data:
            page[order[end]] = None
    return end, page


def _is_wanted(session: Session, options: _Scan, key: bytes) -> bool:
    if options.matches is not None and not options.matches(key):
        return False
    value = session.db.find(key)
    if value is None:
        return False
    return options.type_name is None or type_name(value) == options.type_name


@command("HSCAN")
def scan_hash(session: Session, argv: list[bytes]) -> Reply:
    """Some fields with their values, and where to go on."""
    read_cursor(argv[2])
    fields = session.db.read(argv[1], dict) or {}
    cursor, names = scan_elements(session, argv, fields)
    return [cursor, [part for name in names for part in (name, fields[name])]]


@command("SSCAN")
def scan_set(session: Session, argv: list[bytes]) -> Reply:
    """Some members, and where to go on."""
    read_cursor(argv[2])
    members = session.db.read(argv[1], set) or set()
    return list(scan_elements(session, argv, members))


def scan_elements(
    session: Session, argv: list[bytes], elements: dict[bytes, T] | set[bytes]
) -> tuple[bytes, list[bytes]]:
    """The next cursor, and some elements of a container that match."""
    if not elements:
        return b"0", []
    scan = _Scan(argv, 2, takes_type=False)
    cursor, page = session.engine.cursors.page(elements, scan.cursor, scan.count)
    matches = scan.matches
    found = [
        name for name in page if name in elements and (matches is None or matches(name))
    ]
    return b"%d" % cursor, found
