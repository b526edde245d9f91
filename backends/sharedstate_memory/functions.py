"""Functions: libraries of Lua code that are part of the data, and called by name.

A library is a text that registers functions when it is run, once. It belongs to the data:
its loading is an effect like a write, and SCRIPT FLUSH does not touch it. Functions run
as scripts do (`scripting.py`), in a Lua runtime of their own, which is made when the
first library comes and dropped when all are flushed.

What changes the libraries changes all of what it names, or nothing: a library is run
first, and takes its place, or that of another one, only if it could be run and nobody
else has functions of its names. Names of libraries are exact; of functions, the case does
not matter.

Source: https://redis.io/docs/latest/develop/programmability/functions-intro/
"""

from __future__ import annotations

from sharedstate_memory.replies import CommandFailure
from sharedstate_memory.scripting import Program
from sharedstate_memory.shebang import FLAGS, NoShebangError, ShebangError, split_shebang

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sharedstate_memory.engine import Engine
    from sharedstate_memory.lua_bridge import LuaBridge
    from sharedstate_memory.lua_values import LuaValue

_LETTERS = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")

_WRONG_NAME = (
    b"ERR Library names can only contain letters, numbers, or underscores(_) and must be at"
    b" least one character long"
)
_NOTHING_REGISTERED = b"ERR No functions registered"
_INVALID_METADATA = b"ERR Invalid library metadata"
_NAMED_TWICE = b"ERR Invalid metadata value, name argument was given multiple times"


class Function(Program):
    """A function of a library. `description` is None if it has none."""

    __slots__ = ("description",)

    def __init__(
        self,
        bridge: LuaBridge,
        runner: Callable[..., LuaValue],
        name: bytes,
        flags: Iterable[bytes],
        description: bytes | None,
    ) -> None:
        super().__init__(bridge, runner, name, [flag for flag in FLAGS if flag in flags])
        self.description = description


class Library:
    """A library: its name, its text, and its functions by their names."""

    __slots__ = ("_bridge", "code", "functions", "name")

    def __init__(self, bridge: LuaBridge, name: bytes, code: bytes) -> None:
        self._bridge = bridge
        self.name = name
        self.code = code
        self.functions: dict[bytes, Function] = {}

    def register(
        self, name: bytes, runner: LuaValue, description: bytes | bool, flags: bytes
    ) -> bytes | None:
        """Take a function in, while the library's text runs. Returns why not."""
        if not _is_name(name):
            return _WRONG_NAME
        if name in self.functions:
            return b"ERR Function already exists in the library"
        text = description if isinstance(description, bytes) else None
        words = flags.split(b",")
        self.functions[name] = Function(self._bridge, runner, name, words, text)
        return None


class Functions:
    """The libraries of one engine. Made by the first command that asks for them."""

    __slots__ = ("_bridge", "_engine", "by_name", "libraries")

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._bridge: LuaBridge | None = None
        self.libraries: dict[bytes, Library] = {}
        # By names in lower case.
        self.by_name: dict[bytes, Function] = {}

    def load(self, code: bytes, *, replace: bool) -> bytes:
        """Load a library, in place of one of its name with `replace`. Returns its name.
        Raises CommandFailure, having changed nothing.
        """
        library = self._run(code, () if replace else self.libraries)
        self._take([library], keep=self.libraries)
        return library.name

    def delete(self, name: bytes) -> None:
        """Remove a library. Raises CommandFailure if there is none of this name."""
        if name not in self.libraries:
            raise CommandFailure(b"ERR Library not found")
        del self.libraries[name]
        self.by_name = _by_name(self.libraries.values())

    def flush(self) -> None:
        """Remove every library, and free all that Lua holds."""
        self.libraries.clear()
        self.by_name.clear()
        self._bridge = None

    def restore(self, codes: Iterable[bytes], *, flush: bool, replace: bool) -> None:
        """Load several libraries: in place of all (`flush`), in place of those of their
        names (`replace`), or beside the others. Raises CommandFailure, having changed
        nothing.
        """
        restored: dict[bytes, Library] = {}
        for code in codes:
            library = self._run(code, restored)
            restored[library.name] = library
            _by_name(restored.values())
        kept = {} if flush else self.libraries
        for name in restored:
            if name in kept and not replace:
                raise CommandFailure(b"ERR Library %b already exists" % name)
        self._take(restored.values(), keep=kept)

    def used_bytes(self) -> int:
        """What the Lua runtime of the functions holds."""
        return 0 if self._bridge is None else self._bridge.memory.used_bytes()

    def _run(self, code: bytes, taken: Iterable[bytes]) -> Library:
        """A library from its text, whose name must not be taken."""
        name, text = _read_metadata(code)
        if name in taken:
            raise CommandFailure(b"ERR Library '%b' already exists" % name)
        bridge = self._bridge or self._open_bridge()
        library = Library(bridge, name, code)
        bridge.load_library(text, library.register)
        if not library.functions:
            raise CommandFailure(_NOTHING_REGISTERED)
        return library

    def _open_bridge(self) -> LuaBridge:
        from sharedstate_memory.lua_bridge import LuaBridge

        self._bridge = LuaBridge(self._engine, holds_functions=True)
        return self._bridge

    def _take(self, added: Iterable[Library], keep: dict[bytes, Library]) -> None:
        """Have these libraries, and of those to keep all whose names are others."""
        libraries = keep | {library.name: library for library in added}
        self.by_name = _by_name(libraries.values())
        self.libraries = libraries


def functions_of(engine: Engine) -> Functions:
    """The functions of an engine."""
    if engine.functions is None:
        engine.functions = Functions(engine)
    return engine.functions


def _by_name(libraries: Iterable[Library]) -> dict[bytes, Function]:
    """All functions by their names in lower case. Raises CommandFailure if two libraries
    have one of the same name.
    """
    found: dict[bytes, Function] = {}
    for library in libraries:
        for name in library.functions:
            if name.lower() in found:
                raise CommandFailure(b"ERR Function %b already exists" % name)
        for name, function in library.functions.items():
            found.setdefault(name.lower(), function)
    return found


def _read_metadata(code: bytes) -> tuple[bytes, bytes]:
    """The name of a library, and its code. Raises CommandFailure if its first line does
    not say what it must.
    """
    if not code.startswith(b"#!"):
        raise CommandFailure(b"ERR Missing library metadata")
    try:
        engine, options, text = split_shebang(code)
    except (NoShebangError, ShebangError):
        raise CommandFailure(_INVALID_METADATA) from None
    name = _read_name(options)
    if not _is_name(name):
        raise CommandFailure(_WRONG_NAME)
    if engine.lower() != b"#!lua":
        raise CommandFailure(b"ERR Engine '%b' not found" % engine[2:])
    return name, text


def _read_name(options: list[bytes]) -> bytes:
    name: bytes | None = None
    for option in options:
        key, equals, value = option.partition(b"=")
        if key.lower() != b"name" or not equals:
            raise CommandFailure(b"ERR Invalid metadata value given: " + option)
        if name is not None:
            raise CommandFailure(_NAMED_TWICE)
        name = value
    if name is None:
        raise CommandFailure(b"ERR Library name was not given")
    return name


def _is_name(name: bytes) -> bool:
    return bool(name) and _LETTERS.issuperset(name)
