"""Reading the arguments of commands, as strictly as Redis does, with its refusals."""

from __future__ import annotations

from math import inf, isinf, isnan, ulp

from sharedstate_memory.longdouble import parse_number
from sharedstate_memory.replies import (
    NOT_A_FLOAT,
    NOT_AN_INTEGER,
    SYNTAX_ERROR,
    CommandFailure,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

INTEGER_MIN = -(2**63)
INTEGER_MAX = 2**63 - 1

# The longest text of a 64-bit integer: a sign and 19 digits.
_INTEGER_DIGITS = 20

# So many digits and no sign are in range whatever they are: the short way, taken by
# nearly every number, at a third of the cost.
_SAFE_DIGITS = 19


def parse_integer(text: bytes, refusal: bytes = NOT_AN_INTEGER) -> int:
    """A 64-bit integer, written as Redis writes it: no plus, no blanks, no leading zero."""
    if text.isdigit() and len(text) < _SAFE_DIGITS and (text[0] != 48 or text == b"0"):
        return int(text)
    if len(text) > _INTEGER_DIGITS:
        raise CommandFailure(refusal)
    try:
        number = int(text)
    except ValueError:
        raise CommandFailure(refusal) from None
    if b"%d" % number != text or not INTEGER_MIN <= number <= INTEGER_MAX:
        raise CommandFailure(refusal)
    return number


def parse_natural(text: bytes, refusal: bytes = NOT_AN_INTEGER) -> int:
    """An integer that is not negative."""
    number = parse_integer(text, refusal)
    if number < 0:
        raise CommandFailure(refusal)
    return number


def parse_double(text: bytes, refusal: bytes = NOT_A_FLOAT) -> float:
    """A double: `inf` and hexadecimal are welcome; NaN, blanks and overflow are not."""
    try:
        number = _read_double(text)
    except (ValueError, OverflowError):
        raise CommandFailure(refusal) from None
    if isnan(number):
        raise CommandFailure(refusal)
    return number


def _read_double(text: bytes) -> float:
    lowered = text.lower()
    if b"_" in text or text != text.strip():
        raise ValueError("a form that only Python knows")
    if lowered.lstrip(b"+-").startswith(b"0x"):
        return float.fromhex(text.decode("latin-1"))
    number = float(text)
    is_overflow = isinf(number) and b"inf" not in lowered
    is_underflow = number == 0 and lowered.partition(b"e")[0].strip(b"+-.0") != b""
    if is_overflow or is_underflow:
        raise ValueError("out of range")
    return number


def parse_timeout_ms(text: bytes, now_ms: int) -> int:
    """The timeout of a blocking command, given in seconds; zero is for ever."""
    seconds = _read_seconds(text)
    # What overflows is negative, as in Redis. Rounded up, so that a short timeout does
    # not become none at all.
    is_huge = isinf(seconds) or abs(seconds) * 1000 > INTEGER_MAX
    timeout_ms = -1 if is_huge else -int(-seconds * 1000 // 1)
    if timeout_ms < 0:
        raise CommandFailure(b"ERR timeout is negative")
    if timeout_ms > INTEGER_MAX - now_ms:
        raise CommandFailure(b"ERR timeout is out of range")
    return timeout_ms


def _read_seconds(text: bytes) -> float:
    """A number that Redis reads as a long double, to which more is a number."""
    refusal = b"ERR timeout is not a float or out of range"
    try:
        return parse_double(text, refusal)
    except CommandFailure:
        mantissa, exponent = parse_number(text, refusal) or (1, 1)
        return mantissa * (inf if exponent > 0 else ulp(0.0))


def places(start: int, stop: int, length: int) -> tuple[int, int]:
    """A range as commands give it (both ends in it, negative from the end) as one that
    Python slices with: `first` up to `end`. Empty ranges give `end <= first`.
    """
    first = max(start + length if start < 0 else start, 0)
    last = stop + length if stop < 0 else stop
    return first, min(last, length - 1) + 1


class Options:
    """The words after a command's fixed arguments, read one after the other."""

    __slots__ = ("_at", "_words")

    def __init__(self, argv: list[bytes], start: int) -> None:
        self._words = argv
        self._at = start

    def __iter__(self) -> Iterator[bytes]:
        """The option names in upper case, leaving out what `value` has read."""
        while self._at < len(self._words):
            self._at += 1
            yield self._words[self._at - 1].upper()

    def value(self) -> bytes:
        """The word that belongs to the option just read. Raises the syntax refusal."""
        if self._at >= len(self._words):
            raise CommandFailure(SYNTAX_ERROR)
        self._at += 1
        return self._words[self._at - 1]

    @property
    def left(self) -> int:
        """How many words have not been read."""
        return len(self._words) - self._at
