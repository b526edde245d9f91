"""`bit` for scripts: operations on the lowest 32 bits, as LuaJIT's BitOp defines them.

Numbers are rounded and wrapped to 32 bits; results are signed.
Source: https://bitop.luajit.org/semantics.html
"""

from __future__ import annotations

from sharedstate_memory.lua_libraries import as_number, wrong_argument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_MASK = 0xFFFF_FFFF
_HEX_DIGITS = 8


FUNCTIONS: dict[bytes, Callable[..., Any]] = {
    b"tobit": lambda *a: _signed(_word(a, 0, "tobit")),
    b"bnot": lambda *a: _signed(~_word(a, 0, "bnot")),
    b"band": lambda *a: _fold(a, "band", lambda x, y: x & y),
    b"bor": lambda *a: _fold(a, "bor", lambda x, y: x | y),
    b"bxor": lambda *a: _fold(a, "bxor", lambda x, y: x ^ y),
    b"lshift": lambda *a: _shift(a, "lshift", lambda x, n: x << n),
    b"rshift": lambda *a: _shift(a, "rshift", lambda x, n: x >> n),
    b"arshift": lambda *a: _shift(a, "arshift", lambda x, n: _signed(x) >> n),
    b"rol": lambda *a: _shift(a, "rol", _rotate_left),
    b"ror": lambda *a: _shift(a, "ror", lambda x, n: _rotate_left(x, -n & 31)),
    b"bswap": lambda *a: _swap(_word(a, 0, "bswap")),
    b"tohex": lambda *a: _to_hex(*a),
}
"""The library's functions by name."""


def _word(arguments: tuple[Any, ...], index: int, name: str) -> int:
    if index >= len(arguments):
        raise wrong_argument(index + 1, name, "number expected, got no value")
    number = as_number(arguments[index], index + 1, name)
    return round(number) & _MASK if abs(number) < 2.0**63 else 0


def _signed(word: int) -> int:
    word &= _MASK
    return word - (1 << 32) if word >> 31 else word


def _fold(arguments: tuple[Any, ...], name: str, combine: Callable[[int, int], int]) -> int:
    result = _word(arguments, 0, name)
    for index in range(1, len(arguments)):
        result = combine(result, _word(arguments, index, name))
    return _signed(result)


def _shift(arguments: tuple[Any, ...], name: str, shift: Callable[[int, int], int]) -> int:
    return _signed(shift(_word(arguments, 0, name), _word(arguments, 1, name) & 31))


def _rotate_left(word: int, count: int) -> int:
    return word << count | word >> (32 - count)


def _swap(word: int) -> int:
    return _signed(int.from_bytes(word.to_bytes(4, "little"), "big"))


def _to_hex(*arguments: Any) -> bytes:
    word = _word(arguments, 0, "tohex")
    digits = _HEX_DIGITS if len(arguments) < 2 else _signed(_word(arguments, 1, "tohex"))
    text = b"%08X" % word if digits < 0 else b"%08x" % word
    return text[-min(abs(digits), _HEX_DIGITS) :] if digits else b""
