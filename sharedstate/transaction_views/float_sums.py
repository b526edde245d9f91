"""Sums of floats as the store makes them, for a sum that it has not been asked for yet.

The store adds in a float of 64 binary digits and writes 17 decimal ones behind the point,
so that 0.1 and 0.2 are 0.3 there. A transaction has to know the sum before it commits, and
a Python float has 53 digits. So the sum is exact here, as a fraction, and then rounded as
the store does: each number, the sum, and the text, halves to even.
"""

from __future__ import annotations

import re
from fractions import Fraction

from sharedstate.errors import CommandError

DIGITS = 64
LARGEST = 2**16384
"""The store's float ends below it."""
PLACES = 17

# No more of an exponent than the store's float has: a longer one would cost time here.
_NUMBER = re.compile(rb"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,4})?", re.IGNORECASE)
_INFINITE = re.compile(rb"[+-]?(inf(inity)?|nan)", re.IGNORECASE)


def float_sum(stored: bytes, amount: bytes) -> bytes:
    """The text that INCRBYFLOAT leaves when it adds to a text. Raises its refusals."""
    total = _rounded(_parsed(stored) + _parsed(amount))
    if abs(total) >= LARGEST:
        raise _infinite()
    scaled = round(total * 10**PLACES)
    sign = "-" if scaled < 0 else ""
    digits = f"{abs(scaled):0{PLACES + 1}d}"
    text = f"{sign}{digits[:-PLACES]}.{digits[-PLACES:]}"
    return text.rstrip("0").rstrip(".").encode()


def _parsed(text: bytes) -> Fraction:
    if _NUMBER.fullmatch(text):
        return _rounded(Fraction(text.decode()))
    if _INFINITE.fullmatch(text):
        raise _infinite()
    raise CommandError("ERR value is not a valid float")


def _rounded(exact: Fraction) -> Fraction:
    """The nearest number with so many binary digits."""
    if not exact:
        return exact
    excess = exact.numerator.bit_length() - exact.denominator.bit_length() - DIGITS
    unit = Fraction(2) ** excess
    if abs(exact) >= unit * 2**DIGITS:
        unit *= 2
    return round(exact / unit) * unit


def _infinite() -> CommandError:
    return CommandError("ERR increment would produce NaN or Infinity")
