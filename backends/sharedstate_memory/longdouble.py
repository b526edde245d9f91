"""Arithmetic of INCRBYFLOAT and HINCRBYFLOAT: an x87 long double, in integers.

Redis adds in the 80-bit format of x86 (64 bits of mantissa) and prints at most 17 digits
after the point. Python's floats have 53 bits, which would give 0.30000000000000004 where
Redis gives 0.3; decimals would differ for large numbers. So a number is held here as
mantissa times a power of two, the mantissa rounded to 64 bits, halves to even, after
reading and after adding.
"""

from __future__ import annotations

from math import isinf, isnan

from sharedstate_memory.replies import CommandFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

_MANTISSA_BITS = 64
# The format's largest and smallest exponents, for a mantissa taken as an integer.
_MAX_EXPONENT = 16384 - _MANTISSA_BITS
_MIN_EXPONENT = -16445
# Beyond this power of ten every number is out of range; a bound on the work, too.
_MAX_DECIMAL_EXPONENT = 5000
_MAX_TEXT_BYTES = 5 * 1024
# Python converts no more than 4300 digits; sums beyond, which Redis would print, pass
# for infinite.
_MAX_WRITTEN_BITS = 14_280

_FRACTION_DIGITS = 17

_INFINITE = b"ERR increment would produce NaN or Infinity"

Number: TypeAlias = tuple[int, int]
"""A mantissa and a power of two."""


def parse_number(text: bytes, refusal: bytes) -> Number | None:
    """A number given as text; None for an infinity. Raises the refusal of anything else."""
    if not text or len(text) >= _MAX_TEXT_BYTES:
        raise CommandFailure(refusal)
    if b"_" in text or text != text.strip():
        raise CommandFailure(refusal)
    try:
        return _read_number(text.lower())
    except (ValueError, OverflowError):
        raise CommandFailure(refusal) from None


def add(left: Number | None, right: Number | None) -> bytes:
    """The sum of two numbers as Redis writes it. Raises the refusal of an infinite one."""
    if left is None or right is None:
        raise CommandFailure(_INFINITE)
    try:
        return _write(_add(left, right))
    except OverflowError:
        raise CommandFailure(_INFINITE) from None


def _read_number(text: bytes) -> Number | None:
    if b"x" in text:
        numerator, denominator = float.fromhex(text.decode()).as_integer_ratio()
        return _round(numerator, denominator)
    number = float(text)
    if isnan(number):
        raise ValueError("not a number")
    if isinf(number) and b"inf" in text:
        return None
    mantissa, _, exponent = text.partition(b"e")
    whole, _, fraction = mantissa.partition(b".")
    digits = int(whole + fraction)
    if digits == 0:
        return 0, 0
    power = int(exponent or b"0") - len(fraction)
    if abs(power + len(whole + fraction)) > _MAX_DECIMAL_EXPONENT:
        raise OverflowError("no such number in this format")
    if power < 0:
        return _round(digits, 10**-power)
    return _round(digits * 10**power, 1)


def _round(numerator: int, denominator: int) -> Number:
    """The nearest number of the format. Raises OverflowError beyond its range."""
    if numerator == 0:
        return 0, 0
    exponent = numerator.bit_length() - denominator.bit_length() - _MANTISSA_BITS
    exponent = max(exponent, _MIN_EXPONENT)
    mantissa = _divide(numerator, denominator, exponent)
    if mantissa.bit_length() > _MANTISSA_BITS:
        # The estimate was one bit off: divide again rather than round twice.
        exponent += 1
        mantissa = _divide(numerator, denominator, exponent)
    if mantissa.bit_length() + exponent > _MAX_EXPONENT + _MANTISSA_BITS or not mantissa:
        raise OverflowError("no such number in this format")
    return mantissa, exponent


def _divide(numerator: int, denominator: int, exponent: int) -> int:
    """numerator / denominator / 2 ** exponent, to the nearest integer, halves to even."""
    if exponent > 0:
        denominator <<= exponent
    else:
        numerator <<= -exponent
    quotient, rest = divmod(abs(numerator), denominator)
    if 2 * rest > denominator or (2 * rest == denominator and quotient & 1):
        quotient += 1
    return -quotient if numerator < 0 else quotient


def _add(left: Number, right: Number) -> Number:
    exponent = min(left[1], right[1])
    total = (left[0] << left[1] - exponent) + (right[0] << right[1] - exponent)
    if exponent < 0:
        return _round(total, 1 << -exponent)
    return _round(total << exponent, 1)


def _write(number: Number) -> bytes:
    mantissa, exponent = number
    scale = 10**_FRACTION_DIGITS
    if mantissa.bit_length() + exponent > _MAX_WRITTEN_BITS:
        raise OverflowError("more digits than Python converts")
    if exponent >= 0:
        return b"%d" % (mantissa << exponent)
    scaled = _divide(mantissa * scale, 1 << -exponent, 0)
    whole, fraction = divmod(abs(scaled), scale)
    sign = b"-" if scaled < 0 else b""
    digits = b"%017d" % fraction
    return (sign + b"%d.%s" % (whole, digits)).rstrip(b"0").rstrip(b".")
