"""Commands in scripts: which of them the running script may call.

What may be called depends on the run: a read-only script must not write, one that was
begun while memory was short must not ask for more. That is decided once for each name,
not at each call: there is a table of commands for each kind of run, a run gets the table
that fits, and a name that is not in it comes to `admit`, which puts it there or refuses
it. So `redis.call` pays for one look into a dict.

    reads       a read-only run: nothing that writes
    fresh       a run that has written nothing yet. Each command names the table that
                the run has after it: here the writing ones name the next
    everything  a run that has written
    short       as `fresh`, without what needs more memory
    nothing     a run that is watched: a monitor is fed, what is read is tracked, or the
                user may not do everything. Always empty, so that every call comes to
                `admit`

Whether a script has written decides whether it may be killed, and whether it is held up
when memory is short: never in the middle.
"""

from __future__ import annotations

from sharedstate.commands import COMMANDS
from sharedstate.commands import subcommands as subcommand_table
from sharedstate_memory.commands.registry import resolve_fully
from sharedstate_memory.lua_memory import LARGE_BYTES
from sharedstate_memory.lua_values import short_answer
from sharedstate_memory.replies import OK, CommandFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from sharedstate.commands import CommandSpec
    from sharedstate_memory.commands.registry import Bound, Handler
    from sharedstate_memory.engine import Engine
    from sharedstate_memory.lua_values import LuaValue
    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session
    from sharedstate_memory.tracking import Tracking

    # A handler, the least and the most words, and the table that the run has after it.
    Entry: TypeAlias = tuple[Handler, int, int, "Table"]
    Table: TypeAlias = dict[bytes, Entry]

_WRONG_COUNT = b"ERR Wrong number of args calling Redis command from script"
OUT_OF_MEMORY = b"OOM command not allowed when used memory > 'maxmemory'."
_UNKNOWN = b"ERR Unknown Redis command called from script"
_NOT_ALLOWED = b"ERR This Redis command is not allowed from script"
_READ_ONLY = b"ERR Write commands are not allowed from read-only scripts."
_WRONG_ARGUMENT = b"ERR Lua redis lib command arguments must be strings or integers"
_INVALID = b"ERR Invalid command passed to redis.acl_check_cmd()"

# What read-only scripts must not call either, for others would have to be told of it.
_LIKE_WRITES = frozenset(("PUBLISH", "SPUBLISH"))

# The most that Redis writes as a whole number; what is greater, as a power of ten.
_MOST_WHOLE = 10**17

# What is not given, whatever a script may give.
_NONE = object()
_NO_WORDS: list[bytes] = []

# The only command with subcommands that is one by itself, too.
_COMMAND = "COMMAND"


class ScriptCommands:
    """The commands that the scripts of one runtime may call, in the session that all of
    its scripts share.

    `table` is that of the running script, by the spelling of the name.
    """

    __slots__ = (
        "_caller",
        "_everything",
        "_has_written",
        "_is_reading",
        "_is_short",
        "_nothing",
        "_session",
        "_short",
        "fresh",
        "reads",
        "table",
    )

    def __init__(self, session: Session) -> None:
        self._session = session
        self.reads: Table = {}
        self.fresh: Table = {}
        self._short: Table = {}
        self._everything: Table = {}
        self._nothing: Table = {}
        self.table = self.fresh
        # Of a watched run only.
        self._caller = session
        self._is_reading = self._is_short = self._has_written = False

    # -- the running script

    def hold_short(self) -> None:
        """Let the run that begins ask for no memory, unless it has written before."""
        if self.table is self.fresh:
            self.table = self._short

    def watch(self, caller: Session) -> None:
        """Let the run that begins, and has its table, be asked about at every call."""
        self._caller = caller
        self._is_reading = self.table is self.reads
        self._is_short = self.table is self._short
        self._has_written = False
        self.table = self._nothing

    @property
    def has_written(self) -> bool:
        """Whether a command that writes was called, whatever came of it."""
        if self.table is self._nothing:
            return self._has_written
        return self.table is self._everything

    # -- deciding

    def admit(self, argv: list[bytes]) -> Entry:
        """What executes a command that is not in the table; it is from now on, if that
        can be decided by its name. Raises CommandFailure for what must not be called.
        """
        bound = _resolve(argv)
        spec = bound[3]
        if "noscript" in spec.flags:
            raise CommandFailure(_NOT_ALLOWED)
        if self.table is self._nothing:
            self._ask_about(spec, argv)
            handler = _noting_read(bound, self._caller.engine.tracking)
            return handler, *bound[1:3], self._nothing
        is_reading, is_short = self.table is self.reads, self.table is self._short
        _require_fitting(spec, is_reading=is_reading, is_short=is_short)
        # Each subcommand is allowed or not by itself: its name is not the first word.
        if "|" in spec.name or spec.name == _COMMAND:
            return *bound[:3], self._everything if spec.is_write else self.table
        self._remember(argv[0], bound)
        return self.table[argv[0].upper()]

    def _ask_about(self, spec: CommandSpec, argv: list[bytes]) -> None:
        """Ask about a call of a watched run, and tell of it."""
        caller = self._caller
        refusal = caller.user.refusal_of_script(caller, spec, argv)
        if refusal is not None:
            raise CommandFailure(refusal)
        if caller.engine.write_refusal and spec.is_write:
            raise CommandFailure(caller.engine.write_refusal)
        is_short = self._is_short and not self._has_written
        _require_fitting(spec, is_reading=self._is_reading, is_short=is_short)
        self._has_written = self._has_written or spec.is_write
        monitors = caller.engine.monitors
        if monitors is not None:
            monitors.feed_script(self._session.db.index, spec, argv)

    def _remember(self, name: bytes, bound: Bound) -> None:
        """Put a command into every table that may have it."""
        spec, what = bound[3], bound[:3]
        for spelling in (name.upper(), name.lower()):
            self._everything[spelling] = (*what, self._everything)
            if spec.is_write:
                self.fresh[spelling] = (*what, self._everything)
                if "denyoom" not in spec.flags:
                    self._short[spelling] = (*what, self._everything)
            else:
                self.fresh[spelling] = (*what, self.fresh)
                self._short[spelling] = (*what, self._short)
                if spec.name not in _LIKE_WRITES:
                    self.reads[spelling] = (*what, self.reads)


def _noting_read(bound: Bound, tracking: Tracking | None) -> Handler:
    """The handler of a command, which tells what it has read when it has been executed."""
    handler, _, _, spec = bound
    if tracking is None or "readonly" not in spec.flags:
        return handler

    def remembered(session: Session, argv: list[bytes]) -> Reply:
        try:
            return handler(session, argv)
        finally:
            tracking.note_read(spec, argv)

    return remembered


def _resolve(argv: list[bytes]) -> Bound:
    try:
        return resolve_fully(argv)
    except CommandFailure as failure:
        is_unknown = failure.text.startswith(b"ERR unknown ")
        raise CommandFailure(_UNKNOWN if is_unknown else _WRONG_COUNT) from None


def _require_fitting(spec: CommandSpec, *, is_reading: bool, is_short: bool) -> None:
    """Raise the refusal of a command that does not fit a read-only run, or one for which
    memory is short.
    """
    if is_reading and (spec.is_write or spec.name in _LIKE_WRITES):
        raise CommandFailure(_READ_ONLY)
    if is_short and spec.is_write and "denyoom" in spec.flags:
        raise CommandFailure(OUT_OF_MEMORY)


def is_permitted(caller: Session, argv: list[bytes]) -> bool:
    """Whether the user of a session may execute a command, whose arity is not looked at.
    Raises CommandFailure if there is no such command.
    """
    try:
        spec = _resolve(argv)[3]
    except CommandFailure as failure:
        if failure.text != _WRONG_COUNT:
            raise CommandFailure(_INVALID) from None
        name = argv[0].decode("latin-1").upper()
        full_name = "|".join(word.decode("latin-1").upper() for word in argv[:2])
        spec = subcommand_table().get(full_name) or COMMANDS[name]
    return caller.user.denial(spec, argv) is None


def command_function(
    commands: ScriptCommands,
    engine: Engine,
    session: Session,
    to_answer: Callable[[Reply], LuaValue],
) -> Callable[..., LuaValue]:
    """The function behind `redis.call`. `to_answer` translates a reply that is not plain.

    A hot path: flat on purpose.
    """
    calls = engine.statistics.calls

    def command(
        name: LuaValue, first: LuaValue = _NONE, second: LuaValue = _NONE, *others: LuaValue
    ) -> LuaValue:
        # Most commands have an argument or two: to look at each by its name takes half
        # the time of a loop.
        argv = _NO_WORDS
        try:
            if second is _NONE and type(first) is bytes and type(name) is bytes:
                argv = [name, first]
            elif (
                type(second) is bytes
                and type(first) is bytes
                and type(name) is bytes
                and not others
            ):
                argv = [name, first, second]
            else:
                argv = as_arguments([name, first, second, *others])
                name = argv[0]
            entry = commands.table.get(name) or commands.admit(argv)
            handler, least, most, next_table = entry
            if not least <= len(argv) <= most:
                raise CommandFailure(_WRONG_COUNT)
            commands.table = next_table
            calls[name] += 1
            reply = handler(session, argv)
        except CommandFailure as failure:
            reply = engine.note_failure(argv, failure) if argv else failure.reply
        if engine.effects is not None or engine.events is not None:
            engine.end_command(session.db.index, argv)
        kind = type(reply)
        if kind is int or (kind is bytes and len(reply) < LARGE_BYTES):  # type: ignore[arg-type]
            return reply
        if reply is OK:
            return True
        if reply is None and session.protocol == 2:
            return False
        return short_answer(reply) or to_answer(reply)

    return command


def as_arguments(words: list[LuaValue]) -> list[bytes]:
    """The words of a command as a script gives them, in the list's own place. Raises
    CommandFailure for what is neither text nor a number.
    """
    for word in words:
        if type(word) is not bytes:
            break
    else:
        return words
    while words[-1] is _NONE:
        words.pop()
    for at, word in enumerate(words):
        if type(word) is not bytes:
            is_short = type(word) is int and -_MOST_WHOLE < word < _MOST_WHOLE
            words[at] = b"%d" % word if is_short else _as_argument(word)
    return words


def _as_argument(word: LuaValue) -> bytes:
    """A number as Redis writes it: with 17 digits, which whole ones seldom have."""
    if type(word) is int:
        return b"%.17g" % word
    if type(word) is float:
        # On usual processors, 0/0 has its sign set.
        return b"%.17g" % word if word == word else b"-nan"
    raise CommandFailure(_WRONG_ARGUMENT)
