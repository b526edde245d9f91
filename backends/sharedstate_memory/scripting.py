"""Scripts: the Lua programs an engine knows, by the SHA-1 of their text, and their runs.

A script is one unit: its writes become visible together, their effects are handed over
between MULTI and EXEC, and clients blocked on its keys are served when it is over. It is
undone by nothing: an error leaves what was written before it, as Redis has it.

A script that runs for longer than `busy-reply-threshold` is *busy*. In a server it goes
on, and the server serves the others meanwhile: they are refused, but for those who kill
the script, which they may as long as it has written nothing. Without a server nobody
else could be answered, so there the script is aborted, whether it has written or not;
what it has written stays, and its caller is told so.

Scripts that came with EVAL are forgotten when there are many, those of SCRIPT LOAD only
by SCRIPT FLUSH. Compiled code stands in the Lua runtime, which is made when the first
script comes.
"""

from __future__ import annotations

from time import monotonic

from sharedstate_memory.lua_libraries import sha1hex
from sharedstate_memory.replies import CommandFailure
from sharedstate_memory.shebang import FLAGS, NoShebangError, ShebangError, split_shebang

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from sharedstate_memory.engine import Engine
    from sharedstate_memory.lua_bridge import LuaBridge
    from sharedstate_memory.lua_values import LuaValue
    from sharedstate_memory.script_commands import ScriptCommands
    from sharedstate_memory.session import Session

MOST_EVALUATED = 500
"""How many scripts of EVAL are kept, as in Redis since 7.4."""

_NO_SCRIPT = b"NOSCRIPT No matching script. Please use EVAL."
_NOT_BUSY = b"NOTBUSY No scripts in execution right now."
_MUST_NOT_WRITE = b"ERR Can not execute a script with write flag using *_ro command."
_BUSY = (
    b"BUSY Redis is busy running a script. You can only call %s KILL or SHUTDOWN NOSAVE."
)
_UNKILLABLE = (
    b"UNKILLABLE Sorry the script already executed write commands against the dataset."
    b" You can either wait the script termination or kill the server in a hard way using"
    b" the SHUTDOWN NOSAVE command."
)


class Program:
    """What can be run: a script, or a function of a library. `bridge.run` runs it.

    `label` names it in errors, `place` its text. `flags` is what it says of itself; None
    if it says nothing, as scripts of old do. `table` is what it may call, as it begins.
    """

    __slots__ = (
        "bridge",
        "flags",
        "is_growing",
        "label",
        "place",
        "read_only",
        "runner",
        "table",
    )

    def __init__(
        self,
        bridge: LuaBridge,
        runner: Callable[..., LuaValue],
        label: bytes,
        flags: Collection[bytes] | None,
    ) -> None:
        self.bridge = bridge
        self.runner = runner
        self.label = label
        self.flags = flags
        self.place = bridge.place
        self.read_only = flags is not None and b"no-writes" in flags
        self.table = bridge.commands.reads if self.read_only else bridge.commands.fresh
        # Whether it must not be begun, or not ask for more, while memory is short.
        self.is_growing = flags is None or not {b"no-writes", b"allow-oom"} & {*flags}

    def require_read_only(self) -> None:
        """Raise the refusal if it says of itself that it may write."""
        if self.flags is not None and not self.read_only:
            raise CommandFailure(_MUST_NOT_WRITE)


class Scripts:
    """The scripts of one engine. Made by the first command that asks for them."""

    __slots__ = ("_bridge", "_engine", "_evaluated", "by_sha")

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._bridge: LuaBridge | None = None
        self.by_sha: dict[bytes, Program] = {}
        # Those of EVAL, which are forgotten one day.
        self._evaluated: dict[bytes, None] = {}

    def load(self, body: bytes, *, keep: bool) -> Program:
        """A script by its text, compiled unless it is known. With `keep`, it stays until
        it is flushed. Raises CommandFailure for what does not compile.
        """
        sha = sha1hex(body)
        script = self.by_sha.get(sha)
        if script is None:
            script = self.by_sha[sha] = self._compile(sha, body)
            self._evaluated[sha] = None
        if keep:
            self._evaluated.pop(sha, None)
        if len(self._evaluated) > MOST_EVALUATED:
            self._forget_oldest()
        return script

    def find(self, sha: bytes) -> Program:
        """A loaded script by its hash in any case. Raises CommandFailure (NOSCRIPT)."""
        script = self.by_sha.get(sha) or self.by_sha.get(sha.lower())
        if script is None:
            raise CommandFailure(_NO_SCRIPT)
        return script

    def knows(self, sha: bytes) -> bool:
        """Whether a script of this hash is loaded."""
        return sha.lower() in self.by_sha

    def flush(self) -> None:
        """Forget every script, and free all that Lua holds."""
        self.by_sha.clear()
        self._evaluated.clear()
        self._bridge = None

    def runs_in(self, bridge: LuaBridge) -> bool:
        """Whether this is the runtime of what is loaded now, and was not flushed since."""
        return bridge is self._bridge

    def used_bytes(self) -> int:
        """What the Lua runtime of the scripts holds."""
        return 0 if self._bridge is None else self._bridge.memory.used_bytes()

    def _compile(self, sha: bytes, body: bytes) -> Program:
        flags, code = _read_flags(body)
        bridge = self._bridge or self._open_bridge()
        while self._evaluated and bridge.memory.is_crowded():
            self._forget_oldest()
        return Program(bridge, bridge.compile(code), sha, flags)

    def _open_bridge(self) -> LuaBridge:
        from sharedstate_memory.lua_bridge import LuaBridge

        self._bridge = LuaBridge(self._engine)
        return self._bridge

    def _forget_oldest(self) -> None:
        sha = next(iter(self._evaluated))
        del self._evaluated[sha], self.by_sha[sha]


class BusyScript:
    """A script that has run for so long that others are told of it (`Engine.busy`).

    `session` is its caller's, and `argv` the command. Once `killed` is set, the script
    ends at the next look at the time, whatever it does. `is_told` is for the server, which
    tells of it once.
    """

    __slots__ = (
        "_commands",
        "_since",
        "argv",
        "is_function",
        "is_told",
        "killed",
        "label",
        "session",
    )

    def __init__(
        self,
        program: Program,
        session: Session,
        argv: list[bytes],
        *,
        since: float,
        commands: ScriptCommands,
    ) -> None:
        self.label = program.label
        self.session = session
        self.argv = argv
        self.is_function = program.bridge.holds_functions
        self.is_told = False
        self.killed = False
        self._since = since
        self._commands = commands

    @property
    def has_written(self) -> bool:
        """Whether the script has called a command that writes."""
        return self._commands.has_written

    @property
    def refusal(self) -> bytes:
        """What everybody else is told."""
        return _BUSY % (b"FUNCTION" if self.is_function else b"SCRIPT")

    def duration_ms(self) -> int:
        """How long the script has been running."""
        return int((monotonic() - self._since) * 1000)


def kill_script(engine: Engine, *, is_function: bool) -> None:
    """Have the script that is busy end, or the function. Raises CommandFailure if there
    is none, if it has written, or if it is of the other kind.
    """
    busy = engine.busy
    if busy is None:
        raise CommandFailure(_NOT_BUSY)
    if busy.has_written:
        raise CommandFailure(_UNKILLABLE)
    if busy.is_function is not is_function:
        raise CommandFailure(busy.refusal)
    busy.killed = True


def scripts_of(session: Session) -> Scripts:
    """The scripts of a session's engine."""
    engine = session.engine
    if engine.scripts is None:
        engine.scripts = Scripts(engine)
    return engine.scripts


def _read_flags(body: bytes) -> tuple[Collection[bytes] | None, bytes]:
    """What a script says of itself in its first line, such as `#!lua flags=no-writes`,
    and its code. Raises CommandFailure for a line that is not understood.
    """
    if not body.startswith(b"#!"):
        return None, body
    try:
        engine, options, code = split_shebang(body)
    except NoShebangError:
        raise CommandFailure(b"ERR Invalid script shebang") from None
    except ShebangError:
        raise CommandFailure(b"ERR Invalid engine in script shebang") from None
    if engine != b"#!lua":
        raise CommandFailure(b"ERR Unexpected engine in script shebang: " + engine)
    flags: list[bytes] = []
    for option in options:
        name, equals, value = option.partition(b"=")
        if name != b"flags" or not equals:
            raise CommandFailure(b"ERR Unknown lua shebang option: " + option)
        flags += value.split(b",") if value else []
    for flag in flags:
        if flag not in FLAGS:
            raise CommandFailure(b"ERR Unexpected flag in script shebang: " + flag)
    return flags, code
