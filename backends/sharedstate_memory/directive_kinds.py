"""The kinds of values that directives have: how each is read, checked, and written. Those
of several words are in `directive_lists.py`.

A value arrives as words: those of a line of the configuration file, or the one argument
of CONFIG SET, which kinds of several words split at its blanks. A kind turns words into a
typed value, or raises `SettingError` with the reason as Redis words it; and it writes a
value as CONFIG GET shows it and as a configuration file has it.

Words are text. Bytes that are no UTF-8 survive as surrogates, so that what was set is
what is shown.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, TypeAlias

    # What a kind makes of words, only it knows, and who reads the setting.
    Value: TypeAlias = Any

INT_MAX = 2**31 - 1
LONG_MAX = 2**63 - 1
UNSIGNED_LONG_MAX = 2**64 - 1

# The digits of the biggest unsigned number of 64 bits.
_LONGEST_AMOUNT = 20

_UNITS = {
    "": 1,
    "b": 1,
    "k": 1000,
    "kb": 1024,
    "m": 1000**2,
    "mb": 1024**2,
    "g": 1000**3,
    "gb": 1024**3,
}

# The letters of notify-keyspace-events in the order in which Redis writes them. `A` stands
# for the first ones, up to `d`.
_ALL_EVENTS = "g$lshzxetd"
_EVENTS = _ALL_EVENTS + "nKEm"


class SettingError(ValueError):
    """A value that a directive cannot have. Its text is the reason."""


class Kind:
    """A text of one word, and what the other kinds have in common."""

    takes_words = False
    """Whether a line of the configuration file may have several words for it."""

    def parse(self, words: Sequence[str], old: Value) -> Value:
        """The value that the words stand for. `old` is the present one. Raises
        `SettingError`.
        """
        return words[0]

    def load(self, words: Sequence[str], old: Value, *, is_first: bool) -> Value:
        """The value after a line of the configuration file. Kinds whose lines add up
        start from nothing at the first one.
        """
        return self.parse(words, old)

    def show(self, value: Value) -> str:
        """The value as CONFIG GET shows it."""
        return str(value)

    def lines(self, value: Value) -> list[str]:
        """The value as lines of a configuration file have it, without the name."""
        return [quote(self.show(value))]


class Boolean(Kind):
    """Yes or no."""

    def parse(self, words: Sequence[str], old: Value) -> bool:
        word = words[0].lower()
        if word not in ("yes", "no"):
            raise SettingError("argument must be 'yes' or 'no'")
        return word == "yes"

    def show(self, value: Value) -> str:
        return "yes" if value else "no"


class Integer(Kind):
    """A whole number between two others, both of them allowed."""

    def __init__(self, least: int = 0, most: int = INT_MAX) -> None:
        self._least = least
        self._most = most

    def parse(self, words: Sequence[str], old: Value) -> int:
        return self._check(_whole_number(words[0]))

    def _check(self, number: int) -> int:
        if not self._least <= number <= self._most:
            raise SettingError(
                f"argument must be between {self._least} and {self._most} inclusive"
            )
        return number


class Clamped(Integer):
    """A whole number that goes to the nearest one allowed, with no word said."""

    def _check(self, number: int) -> int:
        if not 0 <= number <= INT_MAX:
            raise SettingError(f"argument must be between 0 and {INT_MAX} inclusive")
        return max(self._least, min(self._most, number))


class Octal(Integer):
    """A file mode. Zero leaves the choice to the server."""

    def parse(self, words: Sequence[str], old: Value) -> int:
        try:
            number = int(words[0], 8)
        except ValueError:
            number = -1
        if number < 0 or number > INT_MAX or not words[0].isdigit():
            raise SettingError("argument couldn't be parsed as an octal number")
        return self._check(number)

    def show(self, value: Value) -> str:
        return f"{value:o}"


class Memory(Integer):
    """An amount of memory: bytes, or a number with a unit (1kb is 1024, 1k is 1000)."""

    def __init__(self, least: int = 0, most: int = LONG_MAX) -> None:
        super().__init__(least, most)

    def parse(self, words: Sequence[str], old: Value) -> int:
        return self._check(amount_of(words[0], "argument must be a memory value"))

    def lines(self, value: Value) -> list[str]:
        for unit in ("gb", "mb", "kb"):
            if value and value % _UNITS[unit] == 0:
                return [f"{value // _UNITS[unit]}{unit}"]
        return [str(value)]


class MemoryOrPercent(Memory):
    """An amount of memory, or a percentage of `maxmemory`: kept as a negative number."""

    def parse(self, words: Sequence[str], old: Value) -> int:
        refusal = "argument must be a memory or percent value"
        if not words[0].endswith("%"):
            return self._check(amount_of(words[0], refusal))
        digits = words[0][:-1]
        if not (digits.isascii() and digits.isdecimal()):
            raise SettingError(refusal)
        if len(digits) > len("100") or int(digits) > 100:
            raise SettingError("percentage argument must be less or equal to 100")
        return -int(digits)

    def show(self, value: Value) -> str:
        return f"{-value}%" if value < 0 else str(value)

    def lines(self, value: Value) -> list[str]:
        return [self.show(value)] if value < 0 else super().lines(value)


class Enum(Kind):
    """One of a few words."""

    def __init__(self, *choices: str) -> None:
        self._choices = choices

    def parse(self, words: Sequence[str], old: Value) -> str:
        return self._check(words[0].lower())

    def _check(self, word: str) -> str:
        if word not in self._choices:
            raise SettingError(
                "argument(s) must be one of the following: " + ", ".join(self._choices)
            )
        return word


class Events(Kind):
    """The classes of keyspace notifications: a letter each, `A` written out."""

    def parse(self, words: Sequence[str], old: Value) -> str:
        letters = set(words[0].replace("A", _ALL_EVENTS))
        if not letters.issubset(_EVENTS):
            raise SettingError("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")
        return "".join(letter for letter in _EVENTS if letter in letters)

    def show(self, value: Value) -> str:
        # As in Redis, `n` is not shown beside `A`.
        everything = str(value).replace(_ALL_EVENTS + "n", _ALL_EVENTS)
        return everything.replace(_ALL_EVENTS, "A")

    def lines(self, value: Value) -> list[str]:
        return [quote(str(value).replace(_ALL_EVENTS, "A"))]


def _whole_number(word: str) -> int:
    try:
        number = int(word)
    except ValueError:
        number = LONG_MAX + 1
    if str(number) != word or not -LONG_MAX - 1 <= number <= LONG_MAX:
        raise SettingError("argument couldn't be parsed into an integer")
    return number


def amount_of(word: str, refusal: str) -> int:
    """An amount of memory in bytes. Raises `SettingError` with the refusal."""
    digits = word.rstrip("bBkKmMgG")
    unit = _UNITS.get(word[len(digits) :].lower())
    # No digits at all are a zero, as in Redis.
    is_number = digits.isascii() and (digits.isdecimal() or not digits)
    if unit is None or not is_number or len(digits) > _LONGEST_AMOUNT:
        raise SettingError(refusal)
    return min(int(digits or "0"), UNSIGNED_LONG_MAX) * unit


_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\a": "\\a", "\b": "\\b"}


def quote(text: str) -> str:
    """A word as a configuration file has it: in quotes unless it is plain."""
    is_plain = not any(one in " \"'\\#" or not one.isprintable() for one in text)
    return text if text and is_plain else quote_always(text)


def quote_always(text: str) -> str:
    """A word in quotes, with escapes for what must not stand in them."""
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(one: str) -> str:
    if one in '"\\':
        return "\\" + one
    if one.isprintable():
        return one
    if one in _ESCAPES:
        return _ESCAPES[one]
    codes = one.encode("utf-8", "surrogateescape")
    return "".join(f"\\x{code:02x}" for code in codes)
