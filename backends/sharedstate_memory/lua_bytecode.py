"""Compiled code of scripts, mended before it runs: in two places Lua 5.1 does not do what
a sandbox needs.

**Tail calls.** `return redis.call(…)` is a tail call: Lua gives the caller's frame up, and
with it the line on which an error arose. In Redis the called function is one of C's, for
which Lua keeps the frame; here it is Lua code. So tail calls of the libraries' functions
become plain calls. What follows a tail call in compiled code is what follows a plain one:
nothing but the instruction's number changes. Other tail calls stay: a script may count on
recursing without end. (One that does so by methods named as those of strings cannot.)

**Parameters before `...`.** A function that is called with fewer arguments than it has
named parameters, and has `...` besides, is written beyond the end of Lua's stack by as many
places as are missing (CVE-2014-5461). Three fit into the room that Lua keeps there, beside
the arguments of a metamethod; a function with more is refused. One that says `...`, but
does not use it, checks the stack once more, and is harmless.

    a function   source, lines, sizes, code, constants, functions, lines of the code,
                 names of locals and upvalues; numbers as the machine has them
    sizes        upvalues, parameters, marks of `...`, stack: a byte each
    code         words of 32 bits: opcode in 6, A in 8, then C and B in 9 each, or Bx in 18

Source: https://www.lua.org/source/5.1/ldump.c.html and lopcodes.h.html
"""

from __future__ import annotations

from struct import Struct, unpack_from

_HEADER = b"\x1bLua\x51\x00\x01\x04\x08\x04\x08\x00"
"""Lua 5.1 on a little-endian machine, with words of 64 bits and numbers as doubles."""

_MOVE, _GET_GLOBAL, _GET_TABLE, _SELF = 0, 5, 6, 11
_CALL, _TAIL_CALL, _CLOSURE = 28, 29, 36

# Instructions that put something into the register A.
_SETS_A = frozenset((*range(_MOVE, _GET_TABLE + 1), *range(10, 22), 27, _CALL, _CLOSURE))

_OPCODE = 0x3F
# Marks of `...`: it is there; it is not used, but perhaps the table `arg` of old.
_IS_VARIADIC, _WANTS_ARG = 2, 4
_ANY_MARK = _IS_VARIADIC | _WANTS_ARG
_MOST_PARAMETERS = 3
_IS_CONSTANT = 0x100

_LIBRARIES = frozenset(
    b"redis cjson cmsgpack bit struct string table coroutine math".split()
)
_METHODS = frozenset(b"find match gmatch gfind gsub rep".split())
_FUNCTIONS = frozenset(
    b"pairs rawget rawset getmetatable setmetatable unpack collectgarbage load"
    b" loadstring".split()
)

_INT = Struct("<i")
_SIZE = Struct("<Q")

# The sizes of constants by their types: nil, boolean, number.
_CONSTANT_SIZES = {0: 0, 1: 1, 3: 8}
_STRING = 4


def mend(dumped: bytes) -> bytes:
    """Compiled code, as `string.dump` gives it, with frames kept. Raises CodeError for
    what must not run. On a machine where numbers have another form, it comes back as it is.
    """
    if not dumped.startswith(_HEADER):
        return dumped
    code = bytearray(dumped)
    _Walker(code).walk_function(len(_HEADER))
    return bytes(code)


class CodeError(ValueError):
    """Code that must not run: `text` says why, in the words of a compiler."""

    def __init__(self, name: bytes, line: int) -> None:
        super().__init__(name, line)
        why = b"more than %d parameters before '...'" % _MOST_PARAMETERS
        self.text = b"%b:%d: %b" % (name, line, why)


class _Walker:
    """Walks through the functions of compiled code, and changes their instructions."""

    def __init__(self, code: bytearray) -> None:
        self._code = code
        start = len(_HEADER)
        name = code[start + _SIZE.size : self._skip_string(start) - 1]
        self._name = bytes(name.lstrip(b"@="))

    def walk_function(self, at: int) -> int:
        """Change one function and those within it. Returns where it ends."""
        at = self._skip_string(at)
        self._check_parameters(at)
        count, start = self._read_count(at + 2 * _INT.size + 4)
        names, at = self._read_constants(start + 4 * count)
        self._keep_frames(start, count, names)
        functions, at = self._read_count(at)
        for _ in range(functions):
            at = self.walk_function(at)
        count, at = self._read_count(at)
        return self._skip_names(at + _INT.size * count)

    def _check_parameters(self, at: int) -> None:
        line, _ = self._read_count(at)
        parameters, marks = self._code[at + 9], self._code[at + 10]
        if parameters > _MOST_PARAMETERS and marks & _ANY_MARK == _IS_VARIADIC:
            raise CodeError(self._name, line)

    def _skip_names(self, at: int) -> int:
        locals_, at = self._read_count(at)
        for _ in range(locals_):
            at = self._skip_string(at) + 2 * _INT.size
        upvalues, at = self._read_count(at)
        for _ in range(upvalues):
            at = self._skip_string(at)
        return at

    def _read_constants(self, at: int) -> tuple[list[bytes], int]:
        """The constants, of which only strings matter, and where they end."""
        count, at = self._read_count(at)
        names: list[bytes] = []
        for _ in range(count):
            kind, start = self._code[at], at + 1
            if kind == _STRING:
                at = self._skip_string(start)
                names.append(bytes(self._code[start + _SIZE.size : at - 1]))
            else:
                at = start + _CONSTANT_SIZES[kind]
                names.append(b"")
        return names, at

    def _read_count(self, at: int) -> tuple[int, int]:
        count: int = _INT.unpack_from(self._code, at)[0]
        return count, at + _INT.size

    def _skip_string(self, at: int) -> int:
        length: int = _SIZE.unpack_from(self._code, at)[0]
        return at + _SIZE.size + length

    def _keep_frames(self, start: int, count: int, names: list[bytes]) -> None:
        words = unpack_from(f"<{count}I", self._code, start)
        for index, word in enumerate(words):
            if word & _OPCODE == _TAIL_CALL and _calls_library(words, index, names):
                self._code[start + 4 * index] += _CALL - _TAIL_CALL


def _calls_library(words: tuple[int, ...], index: int, names: list[bytes]) -> bool:
    """Whether the function that a tail call calls is one of the libraries'."""
    register = _a(words[index])
    for at in range(index - 1, -1, -1):
        word = words[at]
        if _a(word) != register or word & _OPCODE not in _SETS_A:
            continue
        if word & _OPCODE == _SELF:
            return names[word >> 14 & 0xFF] in _METHODS
        if word & _OPCODE == _GET_GLOBAL:
            return names[word >> 14] in _FUNCTIONS
        if word & _OPCODE == _GET_TABLE and at > 0 and word >> 14 & _IS_CONSTANT:
            before = words[at - 1]
            is_global = before & _OPCODE == _GET_GLOBAL and _a(before) == word >> 23
            return is_global and names[before >> 14] in _LIBRARIES
        return False
    return False


def _a(word: int) -> int:
    return word >> 6 & 0xFF
