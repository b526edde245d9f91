"""`bit` for scripts: operations on the lowest 32 bits, as LuaJIT's BitOp defines them.

Numbers are rounded and wrapped to 32 bits; results are signed.
Source: https://bitop.luajit.org/semantics.html
"""

from __future__ import annotations

from struct import pack

from sharedstate_memory.lua_libraries import number_at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

    Given: TypeAlias = tuple[Any, ...]

_MASK = 0xFFFF_FFFF
_HEX_DIGITS = 8
_PUSHES_FRACTION_OUT = 1.5 * 2**52


FUNCTIONS: dict[bytes, Callable[[Given], Any]] = {
    b"tobit": lambda given: _signed(_word(given, 0, "tobit")),
    b"bnot": lambda given: _signed(~_word(given, 0, "bnot")),
    b"band": lambda given: _fold(given, "band", lambda x, y: x & y),
    b"bor": lambda given: _fold(given, "bor", lambda x, y: x | y),
    b"bxor": lambda given: _fold(given, "bxor", lambda x, y: x ^ y),
    b"lshift": lambda given: _shift(given, "lshift", lambda x, n: x << n),
    b"rshift": lambda given: _shift(given, "rshift", lambda x, n: x >> n),
    b"arshift": lambda given: _shift(given, "arshift", lambda x, n: _signed(x) >> n),
    b"rol": lambda given: _shift(given, "rol", _rotate_left),
    b"ror": lambda given: _shift(given, "ror", lambda x, n: _rotate_left(x, -n & 31)),
    b"bswap": lambda given: _swap(_word(given, 0, "bswap")),
    b"tohex": lambda given: _to_hex(given),
}
"""The library's functions by name."""


def _word(given: Given, at: int, name: str) -> int:
    """The lowest 32 bits of a number: those of the double that is left when its fraction
    has been pushed out by a greater one.
    """
    pushed = number_at(given, at, name) + _PUSHES_FRACTION_OUT
    return int.from_bytes(pack("<d", pushed)[:4], "little")


def _signed(word: int) -> int:
    word &= _MASK
    return word - (1 << 32) if word >> 31 else word


def _fold(given: Given, name: str, combine: Callable[[int, int], int]) -> int:
    result = _word(given, 0, name)
    for at in range(len(given) - 1, 0, -1):
        result = combine(result, _word(given, at, name))
    return _signed(result)


def _shift(given: Given, name: str, shift: Callable[[int, int], int]) -> int:
    return _signed(shift(_word(given, 0, name), _word(given, 1, name) & 31))


def _rotate_left(word: int, count: int) -> int:
    return word << count | word >> (32 - count)


def _swap(word: int) -> int:
    return _signed(int.from_bytes(word.to_bytes(4, "little"), "big"))


def _to_hex(given: Given) -> bytes:
    word = _word(given, 0, "tohex")
    digits = _signed(_word(given, 1, "tohex")) if len(given) > 1 else _HEX_DIGITS
    text = b"%08X" % word if digits < 0 else b"%08x" % word
    return text[-min(abs(digits), _HEX_DIGITS) :] if digits else b""
