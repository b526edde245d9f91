"""The bridge: one Lua runtime, and the way of values between it and the engine.

    runner(number of keys, key …, argument …)        Python calls Lua
        redis.call(word …)  ──► command(word …)      Lua calls Python
                            ◄── a plain value, or None, its kind, and its content
    ◄── a plain value, or None, its kind, and its content

Bytes, whole numbers and "nothing" (False) travel as they are: they are most of what
scripts exchange, and a call of Lua's to Python with them costs about 0.3 µs. The rest is
the subject of `lua_values.py`.

Scripts have one runtime and the functions of libraries another, so that either can be
flushed without the other.

Its memory is bounded (`lua_memory.py`), and so is the time of a run: the sandbox looks
here at the time, again and again.
"""

from __future__ import annotations

import os
from time import monotonic

import lupa.lua51 as lupa  # type: ignore[import-untyped]

from sharedstate_memory.lua_memory import (
    HEADROOM_BYTES,
    LARGE_BYTES,
    MEMORY_LIMIT_BYTES,
    MOST_ON_STACK,
    NO_ROOM,
    LuaMemory,
)
from sharedstate_memory.lua_values import ERROR, FAILURE, STATUS, LuaValues, size_bytes
from sharedstate_memory.replies import OK, CommandFailure, ErrorReply
from sharedstate_memory.script_commands import (
    OUT_OF_MEMORY,
    ScriptCommands,
    as_arguments,
    command_function,
    is_permitted,
)
from sharedstate_memory.scripting import BusyScript
from sharedstate_memory.shebang import FLAGS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from sharedstate_memory.engine import Engine
    from sharedstate_memory.lua_values import LuaValue
    from sharedstate_memory.replies import Reply
    from sharedstate_memory.scripting import Program
    from sharedstate_memory.session import Session

# Instructions between two looks at the time: about half a millisecond.
_HOOK_INTERVAL = 50_000

# How long a library may take to register its functions: nobody is served meanwhile.
LOAD_LIMIT_MS = 500

# What scripts return the most of all that is not plain.
_RETURNED_OK = (None, STATUS, b"OK")

_NO_MEMORY = b"not enough memory"
_KILLED = b"Script killed by user with SCRIPT KILL..."
_LOADS_TOO_LONG = b"FUNCTION LOAD timeout"
_ABORTED = (
    b"the script was aborted after %d ms, the time limit; what it had written stays written"
)


class LuaBridge:
    """The Lua runtime of one engine's scripts, or of its functions.

    Made when the first of them arrives, and anew when all of them are flushed. Like its
    engine, it belongs to one thread at a time.
    """

    def __init__(self, engine: Engine, *, holds_functions: bool = False) -> None:
        self._engine = engine
        self._session = engine.script_session()
        self.holds_functions = holds_functions
        self.place = b"@user_function" if holds_functions else b"@user_script"
        self.commands = ScriptCommands(self._session)
        # Of what runs now, or ran last.
        self._program: Program | None = None
        self._caller = self._session
        self._argv: list[bytes] = []
        # Of a run that needs more at its end than others: it has taken long, speaks
        # another protocol, or has silenced its effects.
        self._is_unusual = False
        self._since: float | None = None
        self._register: Callable[..., bytes | None] | None = None
        self._lua = lupa.LuaRuntime(
            encoding=None,
            register_eval=False,
            register_builtins=False,
            unpack_returned_tuples=True,
            attribute_filter=_refuse_attribute,
            max_memory=MEMORY_LIMIT_BYTES + HEADROOM_BYTES,
        )
        self.memory = LuaMemory(self._lua)
        self._values = LuaValues(self._lua, self._session)
        load_text = self._lua.globals()[b"loadstring"]
        enter = load_text(read_source(b"sandbox.lua"), b"=sandbox")
        host = self._lua.table_from(self._host_functions())
        entries = dict(enter(host, MEMORY_LIMIT_BYTES >> 10, _HOOK_INTERVAL).items())
        self._compile = entries[b"compile"]
        self._load_library = entries.get(b"load_library")
        self._values.flatten = entries[b"flatten"]
        self._values.flatten_list = entries[b"flatten_list"]

    # -- loading

    def compile(self, body: bytes) -> Callable[..., LuaValue]:
        """The runner of a script. Raises CommandFailure for what is no Lua."""
        self.memory.require_room_for_code(body)
        try:
            runner: LuaValue = self._compile(body)
        except lupa.LuaError:
            self._lua.gccollect()
            raise CommandFailure(NO_ROOM) from None
        if isinstance(runner, tuple):
            raise CommandFailure(b"ERR Error compiling script (new function): " + runner[1])
        function: Callable[..., LuaValue] = runner
        return function

    def load_library(self, code: bytes, register: Callable[..., bytes | None]) -> None:
        """Run a library's code, which calls `register` with the name, runner, description
        and flags of each function. Raises CommandFailure if that fails.
        """
        self.memory.require_room_for_code(code)
        self._register = register
        self._is_unusual = True
        try:
            if self._load_library is None:
                raise RuntimeError("this runtime holds no functions")
            is_loaded, *failure = self._load_library(code)
        except lupa.LuaError:
            self._lua.gccollect()
            raise CommandFailure(NO_ROOM) from None
        finally:
            self._register = None
            self._finish()
        if not is_loaded:
            raise CommandFailure(b"ERR Error %b: %b" % (failure[0], failure[1]))

    # -- running

    def run(
        self,
        program: Program,
        caller: Session,
        argv: list[bytes],
        key_count: int,
        *,
        read_only: bool = False,
    ) -> Reply:
        """Run a script in its caller's database, within the running unit.

        `argv` is the command: from its third argument on stand the KEYS, and then the
        ARGV. A failure of the script is returned as an `ErrorReply`. Raises CommandFailure
        if it must not begin: while memory is short, or because it may write.
        """
        engine, session, commands = self._engine, self._session, self.commands
        session.db, session.user = caller.db, caller.user
        commands.table = commands.reads if read_only else program.table
        self._program, self._caller, self._argv = program, caller, argv
        if (
            engine.used_bytes > engine.eviction.limit_bytes
            or engine.is_watchful
            or caller.tracking is not None
            or not caller.user.is_unrestricted
        ):
            self._prepare(program, caller)
        if read_only:
            program.require_read_only()
        # A hot path: the number of keys is put where its text was.
        words: list[Any] = argv[2:]
        try:
            if len(words) > MOST_ON_STACK or len(b"".join(words)) > LARGE_BYTES:
                result = self._run_with_tables(program, key_count, argv[3:])
            else:
                words[0] = key_count
                result = program.runner(*words)
            kind = type(result)
            if kind is bytes or kind is int or result is None:
                return result
            return self._to_reply(program, result)
        except lupa.LuaError as error:
            # What runs outside of the sandbox's own protection lacks nothing but memory.
            self._lua.gccollect()
            return ErrorReply(_one_line(b"ERR " + (str(error).encode() or _NO_MEMORY)))
        finally:
            if self._is_unusual:
                self._finish()

    def _prepare(self, program: Program, caller: Session) -> None:
        """Find out what the run that begins must not do."""
        engine = self._engine
        if program.is_growing and engine.is_out_of_memory():
            if program.flags is not None:
                raise CommandFailure(OUT_OF_MEMORY)
            self.commands.hold_short()
        is_declared = program.flags is not None
        if engine.write_refusal and is_declared and not program.read_only:
            raise CommandFailure(engine.write_refusal)
        if (
            engine.monitors is not None
            or engine.write_refusal
            or caller.tracking is not None
            or not caller.user.is_unrestricted
        ):
            self.commands.watch(caller)

    def _run_with_tables(
        self, program: Program, key_count: int, words: list[bytes]
    ) -> LuaValue:
        self.memory.require_room(size_bytes(words))
        # The words are not kept until the next script comes.
        self._argv = self._argv[:1]
        table_from = self._lua.table_from
        return program.runner(table_from(words[:key_count]), table_from(words[key_count:]))

    def _to_reply(self, program: Program, result: LuaValue) -> Reply:
        if result == _RETURNED_OK:
            return OK
        if not isinstance(result, tuple):
            return self._values.to_reply(result)
        _, kind, content, *items = result
        if kind != FAILURE:
            return self._values.from_pieces(kind, content, *items)
        place, is_counted = items
        line = b"%b script: %b, on %b." % (content, program.label, place or program.place)
        statistics = self._engine.statistics
        statistics.failed[self._argv[0]] += 1
        if not is_counted:
            statistics.errors[content.partition(b" ")[0]] += 1
        return ErrorReply(_one_line(line))

    def _finish(self) -> None:
        """End a run of which more is left than of others."""
        self._is_unusual = False
        self._session.protocol = 2
        self._since = None
        engine = self._engine
        if engine.effects is not None:
            engine.effects.is_silent = False
        if engine.busy is not None:
            engine.busy = None
            engine.review_sessions()

    # -- what Lua calls

    def _host_functions(self) -> dict[bytes, object]:
        from sharedstate_memory.lua_libraries import host_functions

        return {
            b"mend": self._mend,
            b"command": command_function(
                self.commands, self._engine, self._session, self._to_answer
            ),
            b"take_list": self._values.take_list,
            b"poll": self._poll,
            b"set_protocol": self._set_protocol,
            b"set_effects_wanted": self._set_effects_wanted,
            b"is_permitted": self._is_permitted,
            b"register": self._register_function,
            b"holds_functions": self.holds_functions,
            b"known_flags": self._lua.table_from(dict.fromkeys(FLAGS, True)),
            **host_functions(self._engine, self._values, self.memory),
        }

    def _to_answer(self, reply: Reply) -> LuaValue:
        """What `redis.call` is told of a reply that is neither plain nor short."""
        if not self.memory.has_room(size_bytes(reply)):
            return None, ERROR, NO_ROOM
        return self._values.to_answer(reply)

    def _poll(self) -> bytes | None:
        """Why the script must end now; None when it may go on.

        The time counts from the first call. Being called at all lets Python see to its
        signals, so that Ctrl-C ends a script.
        """
        now = monotonic()
        if self._since is None:
            self._since = now
            self._is_unusual = True
        elapsed_ms = (now - self._since) * 1000
        if self._register is not None:
            return _LOADS_TOO_LONG if elapsed_ms >= LOAD_LIMIT_MS else None
        engine = self._engine
        limit_ms = engine.script_time_limit_ms
        if limit_ms <= 0 or elapsed_ms < limit_ms:
            return None
        if engine.on_busy is None:
            return _ABORTED % limit_ms
        return self._let_others_in(engine, engine.on_busy)

    def _let_others_in(self, engine: Engine, on_busy: Callable[[], None]) -> bytes | None:
        """Give others a turn. Why the script must end now, if one of them wants it."""
        busy = engine.busy
        if busy is None:
            busy = engine.busy = self._as_busy()
            engine.review_sessions()
        on_busy()
        return _KILLED if busy.killed else None

    def _as_busy(self) -> BusyScript:
        if self._program is None or self._since is None:
            raise RuntimeError("nothing runs that could be busy")
        return BusyScript(
            self._program,
            self._caller,
            self._argv,
            since=self._since,
            commands=self.commands,
        )

    def _mend(self, dumped: bytes) -> tuple[bytes | None, bytes | None]:
        """Compiled code as it may run; or None, and why it may not."""
        from sharedstate_memory.lua_bytecode import CodeError, mend

        if not self.memory.has_room(2 * len(dumped)):
            return None, NO_ROOM[4:]
        try:
            return mend(dumped), None
        except CodeError as error:
            return None, error.text

    def _set_protocol(self, version: int) -> None:
        self._session.protocol = version
        self._is_unusual = True

    def _set_effects_wanted(self, wanted: bool) -> None:
        if self._engine.effects is not None:
            self._engine.effects.is_silent = not wanted
            self._is_unusual = True

    def _is_permitted(self, *words: LuaValue) -> tuple[bool, bytes | None]:
        """Whether the caller may execute a command, and what is wrong with it if anything
        is.
        """
        try:
            return is_permitted(self._caller, as_arguments([*words])), None
        except CommandFailure as failure:
            return False, failure.text

    def _register_function(self, *details: LuaValue) -> bytes | None:
        """Why a function that a library registers is refused; None if it is not."""
        if self._register is None:
            raise RuntimeError("no library is being loaded")
        return self._register(*details)


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
