"""Scripts: the Lua programs an engine knows, by the SHA-1 of their text, and their runs.

A script is one unit: its writes become visible together, their effects are handed over
between MULTI and EXEC, and clients blocked on its keys are served when it is over. It is
undone by nothing: an error leaves what was written before it, as Redis has it.

A script that runs longer than the time limit is aborted, whether it has written or not.
Redis lets one that has written go on, and refuses everybody else until somebody kills
the server; here nobody could even be told, because the engine has one thread. What such
a script has written stays, and its caller is told so.

Scripts that came with EVAL are forgotten when there are many, those of SCRIPT LOAD only
by SCRIPT FLUSH. Compiled code stands in the Lua runtime, which is made when the first
script comes.
"""

from __future__ import annotations

from sharedstate_memory.lua_libraries import sha1hex
from sharedstate_memory.replies import CommandFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate_memory.engine import Engine
    from sharedstate_memory.lua_bridge import LuaBridge
    from sharedstate_memory.session import Session

MOST_EVALUATED = 500
"""How many scripts of EVAL are kept, as in Redis since 7.4."""

_NO_SCRIPT = b"NOSCRIPT No matching script. Please use EVAL."
_SHEBANG_FLAGS = frozenset(
    (b"no-writes", b"allow-oom", b"allow-stale", b"no-cluster", b"allow-cross-slot-keys")
)


class LoadedScript:
    """A script: its hash, its compiled function, and whether it may only read.

    `bridge.run` runs it.
    """

    __slots__ = ("bridge", "is_kept", "read_only", "runner", "sha")

    def __init__(
        self, bridge: LuaBridge, sha: bytes, code: bytes, *, read_only: bool
    ) -> None:
        self.bridge = bridge
        self.sha = sha
        self.runner = bridge.compile(code)
        self.read_only = read_only
        self.is_kept = False


class Scripts:
    """The scripts of one engine. Made by the first command that asks for them."""

    __slots__ = ("_bridge", "_engine", "_evaluated", "_session", "by_sha")

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._session = engine.script_session()
        self._bridge: LuaBridge | None = None
        self.by_sha: dict[bytes, LoadedScript] = {}
        self._evaluated: dict[bytes, None] = {}

    def load(self, body: bytes, *, keep: bool) -> LoadedScript:
        """A script by its text, compiled unless it is known. With `keep`, it stays until
        it is flushed. Raises CommandFailure for what does not compile.
        """
        sha = sha1hex(body)
        script = self.by_sha.get(sha)
        if script is None:
            script = self.by_sha[sha] = self._compile(sha, body)
            self._evaluated[sha] = None
        if keep and not script.is_kept:
            script.is_kept = True
            del self._evaluated[sha]
        if len(self._evaluated) > MOST_EVALUATED:
            self._forget_oldest()
        return script

    def find(self, sha: bytes) -> LoadedScript:
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

    def _compile(self, sha: bytes, body: bytes) -> LoadedScript:
        flags, code = _split_shebang(body)
        bridge = self._bridge or self._open_bridge()
        while self._evaluated and bridge.is_crowded():
            self._forget_oldest()
        return LoadedScript(bridge, sha, code, read_only=b"no-writes" in flags)

    def _open_bridge(self) -> LuaBridge:
        from sharedstate_memory.lua_bridge import LuaBridge

        self._bridge = LuaBridge(self._engine, self._session)
        return self._bridge

    def _forget_oldest(self) -> None:
        sha = next(iter(self._evaluated))
        del self._evaluated[sha], self.by_sha[sha]


def scripts_of(session: Session) -> Scripts:
    """The scripts of a session's engine."""
    engine = session.engine
    if engine.scripts is None:
        engine.scripts = Scripts(engine)
    return engine.scripts


def _split_shebang(body: bytes) -> tuple[frozenset[bytes], bytes]:
    """The flags of a first line such as `#!lua flags=no-writes`, and the code, in which
    that line is blank. Raises CommandFailure for a line that is not understood.
    """
    if not body.startswith(b"#!"):
        return frozenset(), body
    head, newline, code = body.partition(b"\n")
    if not newline:
        raise CommandFailure(b"ERR Invalid script shebang")
    engine, *options = head.split()
    if engine != b"#!lua":
        raise CommandFailure(b"ERR Unexpected engine in script shebang: " + engine)
    flags: set[bytes] = set()
    for option in options:
        name, _, value = option.partition(b"=")
        if name != b"flags":
            raise CommandFailure(b"ERR Unknown lua shebang option: " + option)
        flags.update(filter(None, value.split(b",")))
    for flag in flags - _SHEBANG_FLAGS:
        raise CommandFailure(b"ERR Unexpected flag in script shebang: " + flag)
    return frozenset(flags), b"\n" + code
