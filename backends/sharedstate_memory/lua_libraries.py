"""What scripts use of the host: hashing, logging, randomness, and three libraries.

`bit`, `cmsgpack` and `struct` are those that Redis gives its scripts. Their functions
take and return Lua values (numbers as int or float, strings as bytes, tables as
proxies), and refuse with ValueError. An exception must not cross into Lua, so each is
wrapped: it returns True and its results, or False and why it refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sharedstate_memory.engine import Engine

    Function = Callable[..., Any]

_LIBRARIES = {
    b"bit": "sharedstate_memory.lua_bits",
    b"cmsgpack": "sharedstate_memory.lua_msgpack",
    b"struct": "sharedstate_memory.lua_struct",
}

# The levels of redis.log, as those of the standard library.
_LOG_LEVELS = {0: 10, 1: 10, 2: 20, 3: 30}

# Even unpacked, data seldom takes more than so many times its size.
_UNPACKED_FACTOR = 32

_NO_ROOM = b"not enough memory: the value is too big for the script"


def host_functions(
    lua: Any, engine: Engine, has_room: Callable[[int], bool]
) -> dict[bytes, object]:
    """The functions that sandbox.lua finds in its table `host`, by name."""
    from random import Random

    from sharedstate_memory.lua_bridge import read_source

    def library(name: bytes) -> Any:
        functions = _load_library(name, lua)
        return lua.table_from({k: _guarded(f, has_room) for k, f in functions.items()})

    # Scripts must not move the engine's own sequence by seeding it.
    random = Random(engine.random.getrandbits(64))
    major, minor, patch = map(int, engine.redis_version.split("."))
    return {
        b"library": library,
        b"source": read_source,
        b"random": random.random,
        b"seed": random.seed,
        b"sha1hex": sha1hex,
        b"log": _log,
        b"version": engine.redis_version.encode(),
        b"version_number": major << 16 | minor << 8 | patch,
    }


def sha1hex(text: bytes) -> bytes:
    """The SHA-1 of bytes, in hexadecimal."""
    from hashlib import sha1

    return sha1(text, usedforsecurity=False).hexdigest().encode()


def _log(level: int, text: bytes) -> None:
    import logging

    logger = logging.getLogger("sharedstate.scripts")
    logger.log(_LOG_LEVELS[int(level)], "%s", text.decode("utf-8", "replace"))


def _load_library(name: bytes, lua: Any) -> Mapping[bytes, Function]:
    from importlib import import_module

    functions: Mapping[bytes, Function] = import_module(_LIBRARIES[name]).functions(lua)
    return functions


def _guarded(function: Function, has_room: Callable[[int], bool]) -> Function:
    def call(*arguments: Any) -> tuple[Any, ...]:
        size = sum(len(a) for a in arguments if type(a) is bytes)
        if not has_room(_UNPACKED_FACTOR * size):
            return False, _NO_ROOM
        try:
            results = function(*arguments)
        except ValueError as error:
            return False, str(error).encode()
        return (True, *results) if isinstance(results, tuple) else (True, results)

    return call


def wrong_argument(index: int, function: str, why: str) -> ValueError:
    """The refusal of one argument, in Lua's words."""
    return ValueError(f"bad argument #{index} to '{function}' ({why})")


def as_number(value: Any, index: int, function: str) -> int | float:
    """An argument that must be a number, or text of one. Raises ValueError."""
    if type(value) is int or type(value) is float:
        return value
    if type(value) is bytes:
        try:
            return float(value)
        except ValueError:
            pass
    raise wrong_argument(index, function, f"number expected, got {type_name(value)}")


def type_name(value: Any) -> str:
    """What Lua calls the type of a value."""
    from lupa.lua51 import lua_type  # type: ignore[import-untyped]

    names = {type(None): "nil", bool: "boolean", bytes: "string", int: "number"}
    return names.get(type(value)) or lua_type(value) or "number"
