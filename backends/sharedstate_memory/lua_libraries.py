"""What scripts use of the host: hashing, logging, randomness, and three libraries.

`bit`, `cmsgpack` and `struct` are those that Redis gives its scripts. Their functions
take Lua values (numbers as int or float, strings as bytes, tables as proxies), return
plain data, a tuple for several values, and refuse with ValueError. An exception must not
cross into Lua, so each is wrapped: it returns True and its results, or False and why it
refused.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from sharedstate_memory.engine import Engine
    from sharedstate_memory.lua_values import LuaValues

    Function = Callable[..., Any]

_LIBRARIES = {
    b"bit": "sharedstate_memory.lua_bits",
    b"cmsgpack": "sharedstate_memory.lua_msgpack",
    b"struct": "sharedstate_memory.lua_struct",
}

# The levels of redis.log, as those of the standard library.
_LOG_LEVELS = {0: 10, 1: 10, 2: 20, 3: 30}

_NO_ROOM = b"not enough memory: the value is too big for the script"


def host_functions(
    engine: Engine, values: LuaValues, has_room: Callable[[int], bool]
) -> dict[bytes, object]:
    """The functions that sandbox.lua finds in its table `host`, by name."""
    from random import Random

    from sharedstate_memory.lua_bridge import read_source

    def library(name: bytes) -> Any:
        functions = _load_library(name)
        return values.to_table(
            {k: _guarded(f, values, has_room) for k, f in functions.items()}
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
        b"log": _log,
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


def _log(level: int, text: bytes) -> None:
    from sharedstate.log import get_logger

    get_logger("scripts").log(
        _LOG_LEVELS[int(level)], "%s", text.decode("utf-8", "replace")
    )


def _load_library(name: bytes) -> Mapping[bytes, Function]:
    from importlib import import_module

    functions: Mapping[bytes, Function] = import_module(_LIBRARIES[name]).FUNCTIONS
    return functions


def _guarded(
    function: Function, values: LuaValues, has_room: Callable[[int], bool]
) -> Function:
    from sharedstate_memory.lua_bridge import MOST_ON_STACK
    from sharedstate_memory.lua_values import size_bytes

    def call(*arguments: Any) -> tuple[Any, ...]:
        try:
            results = function(*arguments)
        except ValueError as error:
            return False, str(error).encode()
        if not isinstance(results, tuple):
            results = (results,)
        if len(results) > MOST_ON_STACK or not has_room(size_bytes(results)):
            return False, _NO_ROOM
        return (True, *map(values.to_table, results))

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
