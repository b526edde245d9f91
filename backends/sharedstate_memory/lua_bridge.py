"""The bridge: one Lua runtime, and the way of values between it and the engine.

    runner(number of keys, key …, argument …)        Python calls Lua
        redis.call(word …)  ──► command(word …)      Lua calls Python
                            ◄── a plain value, or None, its kind, and its content
    ◄── a plain value, or None, its kind, and its content

Bytes, whole numbers and "nothing" (False) travel as they are: they are most of what
scripts exchange, and a call of Lua's to Python with them costs about 0.4 µs. The rest is
the subject of `lua_values.py`.

Memory is bounded twice. A script may fill `MEMORY_LIMIT_BYTES`; Lua itself is refused
more only `HEADROOM_BYTES` later. The allocator's refusal is an ordinary error in Lua
code, but would end the process while a value is on its way from Python, so the way is
only taken with room to spare: the sandbox looks before each call, and what is bigger
than `LARGE_BYTES` asks here first.
"""

from __future__ import annotations

import os
from time import monotonic

import lupa.lua51 as lupa  # type: ignore[import-untyped]

from sharedstate_memory.commands.registry import lookup
from sharedstate_memory.lua_values import (
    ERROR,
    FAILURE,
    LuaValues,
    size_bytes,
)
from sharedstate_memory.replies import OK, CommandFailure, ErrorReply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sharedstate_memory.commands.registry import Bound
    from sharedstate_memory.engine import Engine
    from sharedstate_memory.lua_values import LuaValue
    from sharedstate_memory.replies import Reply
    from sharedstate_memory.scripting import LoadedScript
    from sharedstate_memory.session import Session

MEMORY_LIMIT_BYTES = 128 << 20
"""How much a script may hold, the Lua code of all scripts included."""

HEADROOM_BYTES = 64 << 20
"""What is kept free beyond, for values that are on their way."""

LARGE_BYTES = 1 << 20
"""From this size on, a value asks whether there is room."""

# So many values fit on Lua's stack with certainty; it ends at 8000.
MOST_ON_STACK = 4000

# Instructions between two looks at the time: about half a millisecond.
_HOOK_INTERVAL = 50_000

# Compiled, a script takes no more than so many times its size.
_COMPILED_FACTOR = 32

# Commands whose subcommands, and not they themselves, are marked `noscript` in Redis.
_CONTAINERS = frozenset(("CLIENT", "CONFIG", "SCRIPT"))

_WRONG_ARGUMENT = b"ERR Lua redis lib command arguments must be strings or integers"
_UNKNOWN = b"ERR Unknown Redis command called from script"
_WRONG_COUNT = b"ERR Wrong number of args calling Redis command from script"
_NOT_ALLOWED = b"ERR This Redis command is not allowed from script"
_READ_ONLY = b"ERR Write commands are not allowed from read-only scripts."
_NO_MEMORY = b"not enough memory"
_NO_ROOM = b"ERR not enough memory: the value is too big for the script"
_TOO_MANY_SCRIPTS = (
    b"ERR too many scripts are loaded: they fill half of the memory of scripts;"
    b" SCRIPT FLUSH forgets them"
)


class LuaBridge:
    """The Lua runtime of one engine's scripts.

    Made when the first script arrives, and anew by SCRIPT FLUSH. Like its engine, it
    belongs to one thread at a time.
    """

    def __init__(self, engine: Engine, session: Session) -> None:
        self._engine = engine
        self._session = session
        self._give_up_at: float | None = None
        self._all: dict[bytes, Bound] = {}
        self._reads: dict[bytes, Bound] = {}
        self.allowed = self._all
        self._lua = lupa.LuaRuntime(
            encoding=None,
            register_eval=False,
            register_builtins=False,
            unpack_returned_tuples=True,
            attribute_filter=_refuse_attribute,
            max_memory=MEMORY_LIMIT_BYTES + HEADROOM_BYTES,
        )
        self._values = LuaValues(self._lua, session)
        load_text = self._lua.globals()[b"loadstring"]
        enter = load_text(read_source(b"sandbox.lua"), b"=sandbox")
        host = self._lua.table_from(self._host_functions())
        self._compile, self._values.flatten, self._values.flatten_list = enter(
            host, MEMORY_LIMIT_BYTES >> 10, _HOOK_INTERVAL
        )

    # -- scripts

    def compile(self, body: bytes) -> Callable[..., LuaValue]:
        """A script, ready to be run. Raises CommandFailure for what is no Lua."""
        self._require_room(_COMPILED_FACTOR * len(body))
        if self.is_crowded():
            raise CommandFailure(_TOO_MANY_SCRIPTS)
        try:
            runner: LuaValue = self._compile(body)
        except lupa.LuaError:
            self._lua.gccollect()
            raise CommandFailure(_NO_ROOM) from None
        if isinstance(runner, tuple):
            raise CommandFailure(b"ERR Error compiling script (new function): " + runner[1])
        function: Callable[..., LuaValue] = runner
        return function

    def run(
        self,
        script: LoadedScript,
        caller: Session,
        key_count: int,
        words: list[bytes],
        *,
        read_only: bool = False,
    ) -> Reply:
        """Run a script in its caller's database, within the running unit.

        The first `key_count` of `words` are its KEYS, the others its ARGV. A failure of
        the script is returned as an `ErrorReply`.
        """
        session = self._session
        session.db, session.protocol = caller.db, 2
        self._give_up_at = None
        self.allowed = self._reads if read_only or script.read_only else self._all
        try:
            if len(words) > MOST_ON_STACK or len(b"".join(words)) > LARGE_BYTES:
                result = self._run_with_tables(script, key_count, words)
            else:
                result = script.runner(key_count, *words)
            kind = type(result)
            if kind is bytes or kind is int or result is None:
                return result
            return self._to_reply(script, result)
        except lupa.LuaError as error:
            # What runs outside of the sandbox's own protection lacks nothing but memory.
            self._lua.gccollect()
            return ErrorReply(_one_line(b"ERR " + (str(error).encode() or _NO_MEMORY)))

    def _run_with_tables(
        self, script: LoadedScript, key_count: int, words: list[bytes]
    ) -> LuaValue:
        self._require_room(size_bytes(words))
        table_from = self._lua.table_from
        return script.runner(table_from(words[:key_count]), table_from(words[key_count:]))

    def _to_reply(self, script: LoadedScript, result: LuaValue) -> Reply:
        if not isinstance(result, tuple):
            return self._values.to_reply(result)
        _, kind, content, *items = result
        if kind != FAILURE:
            return self._values.from_pieces(kind, content, *items)
        place = items[0] or b"@user_script"
        line = b"%s script: %s, on %s." % (content, script.sha, place)
        return ErrorReply(_one_line(line))

    # -- what Lua calls

    def _host_functions(self) -> dict[bytes, object]:
        from sharedstate_memory.lua_libraries import host_functions

        return {
            b"command": _command_function(self, self._engine, self._session),
            b"poll": self._poll,
            b"set_protocol": self._set_protocol,
            **host_functions(self._engine, self._values, self.has_room),
        }

    def admit(self, argv: list[bytes]) -> Bound:
        """Let scripts use a command from now on. Raises CommandFailure if they may not."""
        bound = lookup(argv[0])
        if bound is None:
            raise CommandFailure(_UNKNOWN)
        if not bound[1] <= len(argv) <= bound[2]:
            raise CommandFailure(_WRONG_COUNT)
        if "noscript" in bound[3].flags or bound[3].name in _CONTAINERS:
            raise CommandFailure(_NOT_ALLOWED)
        if self.allowed is self._reads and bound[3].is_write:
            raise CommandFailure(_READ_ONLY)
        self.allowed[argv[0].upper()] = self.allowed[argv[0].lower()] = bound
        return bound

    def to_answer(self, reply: Reply) -> LuaValue:
        """What `redis.call` is told of a reply that is not plain and small."""
        if not self.has_room(size_bytes(reply)):
            return None, ERROR, _NO_ROOM
        return self._values.to_answer(reply)

    def _poll(self) -> bytes | None:
        """Why the script must end now; None when it may go on.

        The time counts from the first call. Being called at all lets Python see to its
        signals, so that Ctrl-C ends a script.
        """
        now = monotonic()
        limit_ms = self._engine.script_time_limit_ms
        if self._give_up_at is None:
            self._give_up_at = now + limit_ms / 1000
        if now < self._give_up_at:
            return None
        return (
            b"the script was aborted after %d ms, the time limit;"
            b" what it had written stays written" % limit_ms
        )

    def _set_protocol(self, version: int) -> None:
        self._session.protocol = version

    # -- room

    def has_room(self, size_bytes: int) -> bool:
        """Whether so much may be handed to Lua, after collecting garbage if need be."""
        if size_bytes < LARGE_BYTES:
            return True
        lua = self._lua
        limit = MEMORY_LIMIT_BYTES + HEADROOM_BYTES // 2
        if lua.get_memory_used() + size_bytes > limit:
            lua.gccollect()
        return bool(lua.get_memory_used() + size_bytes <= limit)

    def is_crowded(self) -> bool:
        """Whether scripts, which do nothing now, fill so much that they lack room."""
        if self._lua.get_memory_used() <= MEMORY_LIMIT_BYTES // 2:
            return False
        self._lua.gccollect()
        return bool(self._lua.get_memory_used() > MEMORY_LIMIT_BYTES // 2)

    def _require_room(self, size_bytes: int) -> None:
        if not self.has_room(size_bytes):
            raise CommandFailure(_NO_ROOM)


def _command_function(
    bridge: LuaBridge, engine: Engine, session: Session
) -> Callable[..., LuaValue]:
    """The function behind `redis.call`. A hot path: flat on purpose."""

    def command(*words: LuaValue) -> LuaValue:
        argv = [*words]
        try:
            for word in words:
                if type(word) is not bytes:
                    argv = _as_arguments(words)
                    break
            handler, least, most, _ = bridge.allowed.get(argv[0]) or bridge.admit(argv)
            if not least <= len(argv) <= most:
                raise CommandFailure(_WRONG_COUNT)
            reply = handler(session, argv)
        except CommandFailure as failure:
            reply = failure.reply
        if engine.effects is not None:
            engine.end_command(session.db.index, argv)
        kind = type(reply)
        if kind is int or (kind is bytes and len(reply) < LARGE_BYTES):  # type: ignore[arg-type]
            return reply
        if reply is OK:
            return True
        if reply is None and session.protocol == 2:
            return False
        return bridge.to_answer(reply)

    return command


def _as_arguments(words: tuple[LuaValue, ...]) -> list[bytes]:
    return [word if type(word) is bytes else _as_argument(word) for word in words]


def _as_argument(word: LuaValue) -> bytes:
    if type(word) is int:
        return b"%d" % word
    if type(word) is float:
        return b"%.17g" % word
    raise CommandFailure(_WRONG_ARGUMENT)


def _one_line(text: bytes) -> bytes:
    return text.replace(b"\r", b" ").replace(b"\n", b" ")


def _refuse_attribute(owner: object, name: object, is_setting: bool) -> str:
    """Scripts are never handed a Python object; if one were, it would be a closed box."""
    raise AttributeError("scripts cannot see into Python objects")


def read_source(name: bytes) -> bytes:
    """One of the Lua files beside this module."""
    folder = os.path.join(os.path.dirname(__file__), "lua")
    with open(os.path.join(folder, name.decode()), "rb") as file:
        return file.read()
