"""Walking over an RDB file: from key to key, whatever stands in between.

Both who loads a file and who only looks at it walks by this. A step returns the next
`Key` or `Library`, or None at the end of the file, behind its checksum. Steps pause as
reading a value does (`values.py`).
"""

from __future__ import annotations

from sharedstate_memory.rdb import format as form
from sharedstate_memory.rdb.errors import RdbError, UnsupportedTypeError
from sharedstate_memory.rdb.values import read_content

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from sharedstate_memory.rdb.source import RdbSource
    from sharedstate_memory.rdb.values import Content, Steps

_VERSION_DIGITS = 4
_MODULE_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_MODULE_NAME_LENGTH = 9
_MODULE_VERSION_BITS = 10


class Library:
    """A library of functions: its text, and where it stands."""

    __slots__ = ("code", "offset")

    def __init__(self, code: bytes, offset: int) -> None:
        self.code = code
        self.offset = offset


class Key:
    """A key, and all that the file says of it. `offset` is where its item begins, which
    is its deadline if it has one.
    """

    __slots__ = (
        "content",
        "database",
        "deadline_ms",
        "frequency",
        "idle_seconds",
        "kind",
        "name",
        "offset",
    )

    content: Content

    def __init__(self, database: int, offset: int) -> None:
        self.database = database
        self.offset = offset
        self.name = b""
        self.kind = form.STRING
        self.deadline_ms: int | None = None
        self.idle_seconds: int | None = None
        self.frequency: int | None = None


class Walker:
    """One walk over a source, which stands at the beginning of a file.

    `database` is that of the keys which come. A checksum is checked if the file has one,
    and somebody wants it (`checksum`).
    """

    __slots__ = ("_is_checked", "_source", "database")

    def __init__(self, source: RdbSource, *, checksum: bool = True) -> None:
        self._source = source
        self._is_checked = checksum
        self.database = 0
        if not checksum:
            source.sum_no_more()

    def begin(self) -> None:
        """Read the head. Raises RdbError for what is no RDB file, or too new."""
        source = self._source
        start = source.offset
        head = source.take(len(form.MAGIC) + _VERSION_DIGITS)
        digits = head[len(form.MAGIC) :]
        if not head.startswith(form.MAGIC) or not digits.isdigit():
            raise RdbError(start, f"an RDB file begins with REDIS0010 or so, not {head!r}")
        source.version = int(digits)
        if not 1 <= source.version <= form.MOST_VERSION:
            raise RdbError(
                start + len(form.MAGIC),
                f"version {source.version} of the format, where {form.MOST_VERSION} is the"
                " latest that can be read",
            )

    def step(self) -> Steps[Key | Library | None]:
        """Go to the next key or library; None at the end."""
        source = self._source
        key = Key(self.database, source.offset)
        while True:
            offset = source.offset
            mark = source.take_byte()
            if mark < form.SLOT_INFO:
                yield from self._read_key(key, mark, offset)
                return key
            if mark in _KEY_FACTS:
                _KEY_FACTS[mark](source, key)
            elif mark in _FILE_FACTS:
                _FILE_FACTS[mark](source, self.database)
            elif mark == form.SELECT:
                self.database = key.database = source.take_length()
                key.offset = source.offset
            elif mark == form.FUNCTION:
                return Library(source.take_string(), offset)
            elif mark == form.EOF:
                self._check_sum()
                return None
            else:
                _refuse(source, mark, offset)

    def _read_key(self, key: Key, kind: int, offset: int) -> Steps[None]:
        source = self._source
        key.name = source.take_string()
        key.kind = kind
        if kind in form.REFUSED_TYPES:
            raise UnsupportedTypeError(
                offset,
                f"the key {key.name!r} of database {key.database} is"
                f" {form.REFUSED_TYPES[kind]}, which is not supported",
            )
        key.content = yield from read_content(source, kind)

    def _check_sum(self) -> None:
        source = self._source
        if source.version < form.FIRST_CHECKED_VERSION:
            return
        start = source.offset
        worked_out = source.checksum()
        written = source.take(form.CHECKSUM_BYTES)
        if self._is_checked and any(written) and written != worked_out:
            raise RdbError(
                start,
                f"the checksum of the file is {written[::-1].hex()}, where its content has"
                f" {worked_out[::-1].hex()}",
            )


def _take_deadline_ms(source: RdbSource, key: Key) -> None:
    deadline_ms = source.take_number(8)
    # So redis-server says that there is none.
    key.deadline_ms = None if deadline_ms == -1 else deadline_ms


def _take_deadline_s(source: RdbSource, key: Key) -> None:
    key.deadline_ms = 1000 * source.take_number(4)


def _take_idle_time(source: RdbSource, key: Key) -> None:
    key.idle_seconds = source.take_length()


def _take_frequency(source: RdbSource, key: Key) -> None:
    key.frequency = source.take_byte()


_KEY_FACTS: dict[int, Callable[[RdbSource, Key], None]] = {
    form.DEADLINE_MS: _take_deadline_ms,
    form.DEADLINE_S: _take_deadline_s,
    form.IDLE: _take_idle_time,
    form.FREQUENCY: _take_frequency,
}


def _take_aux(source: RdbSource, database: int) -> None:
    name = source.take_string()
    source.aux[name] = source.take_string()


def _take_counts(source: RdbSource, database: int) -> None:
    source.announced[database] = source.take_length()
    source.take_length()  # Of which so many have deadlines.


def _pass_over_slot(source: RdbSource, database: int) -> None:
    for _ in range(3):
        source.take_length()


_FILE_FACTS: dict[int, Callable[[RdbSource, int], None]] = {
    form.AUX: _take_aux,
    form.RESIZE: _take_counts,
    form.SLOT_INFO: _pass_over_slot,
}


def _refuse(source: RdbSource, mark: int, offset: int) -> NoReturn:
    """Refuse what belongs to no key, and cannot be left out without a loss: one of the
    two opcodes that are left.
    """
    if mark == form.FUNCTION_BEFORE_RELEASE:
        what = "a function of a preview of Redis 7.0, which is"
    else:
        what = f"data of the module {_module_name(source.take_length())!r}, which are"
    raise UnsupportedTypeError(offset, f"{what} not supported")


def _module_name(number: int) -> str:
    """The name of a module's type: nine letters, six bits each, above its version."""
    number >>= _MODULE_VERSION_BITS
    letters = [
        _MODULE_LETTERS[number >> 6 * place & 0x3F] for place in range(_MODULE_NAME_LENGTH)
    ]
    return "".join(reversed(letters))
