"""What scripts use of the host: hashing, logging, randomness, and two libraries.

`bit` and `struct` are two of those that Redis gives its scripts; the others, `cjson` and
`cmsgpack`, are written in Lua. Their functions take the Lua values that they were given
(numbers as int or float, strings as bytes, tables as proxies), return plain data, a tuple
for several values, and refuse with ValueError. An exception must not cross into Lua, so
each is wrapped: it returns True and its results, or False and why it refused.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from sharedstate_memory.engine import Engine
    from sharedstate_memory.lua_memory import LuaMemory
    from sharedstate_memory.lua_values import LuaValues

    Function = Callable[..., Any]

_LIBRARIES = {
    b"bit": "sharedstate_memory.lua_bits",
    b"struct": "sharedstate_memory.lua_struct",
}

# The levels of redis.log by their numbers, and those of the standard library for them.
_LOG_LEVELS = ("debug", "verbose", "notice", "warning")
_LOGGING_LEVELS = {"debug": 10, "verbose": 10, "notice": 20, "warning": 30}

_NO_ROOM = b"not enough memory: the value is too big for the script"


def host_functions(
    engine: Engine, values: LuaValues, memory: LuaMemory
) -> dict[bytes, object]:
    """The functions that sandbox.lua finds in its table `host`, by name."""
    from random import Random

    from sharedstate_memory.lua_bridge import read_source

    def library(name: bytes) -> Any:
        functions = _load_library(name)
        return values.to_table(
            {k: _guarded(f, values, memory) for k, f in functions.items()}
        )

    # Scripts must not move the engine's own sequence by seeding it.
    random = Random(engine.random.getrandbits(64))
    major, minor, patch = map(int, engine.redis_version.split("."))
    return {
        b"library": library,
        b"source": read_source,
        b"random": random.random,
        b"seed": random.seed,
        b"sha1hex": sha1hex,
        b"log": lambda level, text: _log(engine, level, text),
        b"version": engine.redis_version.encode(),
        b"version_number": major << 16 | minor << 8 | patch,
    }


def sha1hex(text: bytes) -> bytes:
    """The SHA-1 of bytes, in hexadecimal."""
    try:
        # Where hashlib gets it without OpenSSL, which takes 2.5 ms to load.
        from _sha1 import sha1  # type: ignore[import-not-found]
    except ImportError:
        from hashlib import sha1

    digest: str = sha1(text, usedforsecurity=False).hexdigest()
    return digest.encode()


def _log(engine: Engine, number: int, text: bytes) -> None:
    """Write to the log of the engine's owner, or to the program's."""
    level, line = _LOG_LEVELS[int(number)], text.decode("utf-8", "replace")
    if engine.on_log is not None:
        engine.on_log(line, level)
        return
    from sharedstate.log import get_logger

    get_logger("scripts").log(_LOGGING_LEVELS[level], "%s", line)


def _load_library(name: bytes) -> Mapping[bytes, Function]:
    from importlib import import_module

    functions: Mapping[bytes, Function] = import_module(_LIBRARIES[name]).FUNCTIONS
    return functions


def _guarded(function: Function, values: LuaValues, memory: LuaMemory) -> Function:
    from sharedstate_memory.lua_memory import MOST_ON_STACK
    from sharedstate_memory.lua_values import size_bytes

    def call(*given: Any) -> tuple[Any, ...]:
        try:
            results = function(given)
            if not isinstance(results, tuple):
                results = (results,)
            if len(results) > MOST_ON_STACK or not memory.has_room(size_bytes(results)):
                return False, _NO_ROOM
            return (True, *map(values.to_table, results))
        except ValueError as error:
            return False, str(error).encode("latin-1", "replace")
        except RecursionError:
            return False, b"the data are nested too deeply"

    return call


# -- reading arguments


def wrong_argument(at: int, function: str, why: str) -> ValueError:
    """The refusal of the argument at a place, which counts from 0, in Lua's words."""
    return ValueError(f"bad argument #{at + 1} to '{function}' ({why})")


def number_at(given: Sequence[Any], at: int, function: str) -> int | float:
    """An argument that must be a number, or text of one. Raises ValueError."""
    value = given[at] if at < len(given) else None
    if type(value) is int or type(value) is float:
        return value
    if type(value) is bytes and (number := _read_number(value)) is not None:
        return number
    raise _wrong_type("number", given, at, function)


def integer_at(
    given: Sequence[Any], at: int, function: str, default: int | None = None
) -> int:
    """As `number_at`, without the fraction. What is out of range is what a processor
    makes of it: the least number.
    """
    if default is not None and (at >= len(given) or given[at] is None):
        return default
    return truncate(number_at(given, at, function))


def text_at(given: Sequence[Any], at: int, function: str) -> bytes:
    """An argument that must be text, or a number as text. Raises ValueError."""
    value = given[at] if at < len(given) else None
    if type(value) is bytes:
        return value
    if type(value) is int or type(value) is float:
        # On usual processors, 0/0 has its sign set.
        return b"%.14g" % value if value == value else b"-nan"
    raise _wrong_type("string", given, at, function)


def truncate(number: float) -> int:
    """A number as a processor makes a whole one of it, of 64 bits."""
    return int(number) if -(2.0**63) <= number < 2.0**63 else -(1 << 63)


def _read_number(text: bytes) -> float | None:
    """What C reads as a number: hexadecimal, too, but no underscores."""
    try:
        is_hexadecimal = b"0x" in text.lower()
        if b"_" in text:
            return None
        return float.fromhex(text.decode()) if is_hexadecimal else float(text)
    except (ValueError, OverflowError):
        return None


def _wrong_type(expected: str, given: Sequence[Any], at: int, function: str) -> ValueError:
    found = _type_name(given[at]) if at < len(given) else "no value"
    return wrong_argument(at, function, f"{expected} expected, got {found}")


def _type_name(value: Any) -> str:
    """What Lua calls the type of a value."""
    from lupa.lua51 import lua_type  # type: ignore[import-untyped]

    names = {"NoneType": "nil", "bool": "boolean", "bytes": "string", "int": "number"}
    # To lupa, a coroutine is a function.
    names["_LuaCoroutineFunction"] = "thread"
    return names.get(type(value).__name__) or lua_type(value) or "number"
