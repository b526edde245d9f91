"""Which function executes which command.

A family's module binds its handlers with `@command("NAME")`, or `@command("CLIENT|KILL")`
for a subcommand; the name must be in the table of `sharedstate.commands`, where arity and
flags come from. A handler is a function of a session and the words of the command, its
name included, as they came. It returns a reply or raises `CommandFailure`.

`SPELLINGS` is what the hot path looks up: names in the spellings seen so far, so that a
command costs one dict access and no change of case. Each entry is a plain tuple, because
unpacking one is several times quicker than reading attributes.

A command with subcommands has no handler of its own: the registry finds the subcommand's.

A family loads when one of its commands is first used, so that an engine starts quickly.
An owner with time to spare loads the common ones before they are asked for.
"""

from __future__ import annotations

import sys
from functools import cache

from sharedstate.commands import COMMANDS, CommandSpec
from sharedstate.commands import subcommands as subcommand_table
from sharedstate_memory.replies import CommandFailure, Status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session

    Handler: TypeAlias = Callable[[Session, list[bytes]], Reply]
    Bound: TypeAlias = tuple[Handler, int, int, CommandSpec]

SPELLINGS: dict[bytes, Bound] = {}
"""Handler, least words, most words, and the table's line, by name as spelled."""

_SUBCOMMANDS: dict[str, dict[bytes, Bound]] = {}

CONTAINERS = frozenset(
    (
        "ACL",
        "CLIENT",
        "COMMAND",
        "CONFIG",
        "FUNCTION",
        "LATENCY",
        "MEMORY",
        "OBJECT",
        "PUBSUB",
        "SCRIPT",
        "SESSION",
        "SLOWLOG",
    )
)
"""The commands that have subcommands."""

# Every mixed spelling of a name gets an entry; a client that plays with case must not
# make the dict grow without end.
MAX_SPELLINGS = 1024

# How much of an unknown command is quoted in the error, as Redis does.
_QUOTED_BYTES = 128

# Modules by the commands that load them.
_COMMON_FAMILIES: dict[tuple[str, ...], str] = {
    ("strings",): "GET SET SETNX SETEX PSETEX GETSET GETDEL GETEX MGET MSET MSETNX",
    ("string_ranges",): "STRLEN APPEND GETRANGE SUBSTR SETRANGE",
    ("numbers",): "INCR INCRBY DECR DECRBY INCRBYFLOAT",
    ("keys",): "TYPE DEL UNLINK EXISTS TOUCH KEYS DBSIZE RANDOMKEY FLUSHDB FLUSHALL RENAME"
    " RENAMENX",
    ("key_expiry",): "EXPIRE PEXPIRE EXPIREAT PEXPIREAT PERSIST TTL PTTL EXPIRETIME"
    " PEXPIRETIME",
    ("scans",): "SCAN HSCAN SSCAN",
    ("hashes",): "HGET HSET HMSET HSETNX HMGET HDEL HEXISTS HLEN HKEYS HVALS HGETALL"
    " HSTRLEN HINCRBY HINCRBYFLOAT HRANDFIELD",
    ("lists",): "LPUSH LPUSHX RPUSH RPUSHX LPOP RPOP LLEN LRANGE LINDEX LSET LTRIM LREM"
    " LINSERT LPOS",
    ("list_moves",): "LMOVE RPOPLPUSH BLMOVE BRPOPLPUSH BLPOP BRPOP",
    ("sets",): "SADD SREM SISMEMBER SMISMEMBER SMEMBERS SCARD SPOP SRANDMEMBER SMOVE SINTER"
    " SUNION SDIFF SINTERSTORE SUNIONSTORE SDIFFSTORE SINTERCARD",
    ("transactions",): "MULTI EXEC DISCARD WATCH UNWATCH",
    ("channels",): "SUBSCRIBE PSUBSCRIBE SSUBSCRIBE UNSUBSCRIBE PUNSUBSCRIBE SUNSUBSCRIBE"
    " PUBLISH SPUBLISH PUBSUB",
    ("connection",): "PING ECHO SELECT AUTH HELLO RESET QUIT",
    ("clients", "client_list", "client_pauses", "client_tracking"): "CLIENT",
    ("server",): "TIME INFO ROLE WAIT SHUTDOWN",
}

_SORTED_SETS = (
    "sorted_sets",
    "sorted_set_ranges",
    "sorted_set_lex",
    "sorted_set_pops",
    "sorted_set_algebra",
    "sorted_set_picks",
)

# Sorted sets are known by their first letters.
_RARE_FAMILIES: dict[tuple[str, ...], str] = {
    ("bits",): "SETBIT GETBIT BITCOUNT BITPOS BITOP",
    ("bit_fields",): "BITFIELD BITFIELD_RO",
    ("common_subsequence",): "LCS",
    ("key_copies",): "COPY MOVE SWAPDB",
    ("dumping",): "DUMP RESTORE",
    ("objects",): "OBJECT",
    ("sorting",): "SORT SORT_RO",
    ("field_expiry",): "HEXPIRE HPEXPIRE HEXPIREAT HPEXPIREAT HPERSIST HTTL HPTTL"
    " HEXPIRETIME HPEXPIRETIME",
    ("list_pops",): "LMPOP BLMPOP",
    ("scripting",): "EVAL EVALSHA EVAL_RO EVALSHA_RO SCRIPT",
    ("functions",): "FUNCTION FCALL FCALL_RO",
    ("sessions",): "SESSION",
    ("acl",): "ACL",
    ("configuration",): "CONFIG",
    ("command_table",): "COMMAND",
    ("monitoring",): "MONITOR",
    ("slow_log",): "SLOWLOG",
    ("latency",): "LATENCY",
    ("memory_usage",): "MEMORY",
    ("debugging",): "DEBUG",
    ("persistence",): "SAVE BGSAVE BGREWRITEAOF LASTSAVE",
    ("lolwut",): "LOLWUT",
}


def command(*names: str) -> Callable[[Handler], Handler]:
    """Bind a handler to the commands, or subcommands, of these names.

    Raises LookupError for a name that is not in the table.
    """

    def bind(handler: Handler) -> Handler:
        for name in names:
            if "|" in name:
                _bind_subcommand(name, handler)
                continue
            if name not in COMMANDS:
                raise LookupError(f"{name} is not in the command table")
            bound = _bound(handler, COMMANDS[name])
            SPELLINGS[name.encode()] = SPELLINGS[name.lower().encode()] = bound
        return handler

    return bind


def _bound(handler: Handler, spec: CommandSpec) -> Bound:
    most = spec.arity if spec.arity > 0 else sys.maxsize
    return handler, abs(spec.arity), most, spec


def _bind_subcommand(name: str, handler: Handler) -> None:
    container, _, subcommand = name.partition("|")
    table = _SUBCOMMANDS.get(container)
    if table is None:
        table = _SUBCOMMANDS[container] = {}
        if container.encode() not in SPELLINGS:
            command(container)(run_subcommand)
    spec = subcommand_table().get(name)
    if spec is None:
        raise LookupError(f"{name} is not in the table of subcommands")
    table[subcommand.encode()] = _bound(_counted(handler, name), spec)


def _counted(handler: Handler, name: str) -> Handler:
    """A handler of a subcommand that is counted beside its command."""

    def execute(session: Session, argv: list[bytes]) -> Reply:
        return session.engine.statistics.execute_subcommand(name, handler, session, argv)

    execute.__doc__ = handler.__doc__
    return execute


@cache
def load_families() -> None:
    """Import the common families now, which bind their handlers. Again costs nothing.

    For an owner that serves strangers: the first one need not wait for an import then,
    nor can one fail because the clients have taken all descriptors.
    """
    for families in _COMMON_FAMILIES:
        _load(families)


def load_every_family() -> None:
    """Import all modules of commands: for those who ask about every command."""
    for families in (*_COMMON_FAMILIES, _SORTED_SETS, *_RARE_FAMILIES):
        _load(families)


def _load(families: tuple[str, ...]) -> None:
    for family in families:
        # Not `importlib.import_module`: that library takes half a millisecond to import.
        __import__(f"sharedstate_memory.commands.{family}")


def lookup(name: bytes) -> Bound | None:
    """The handler of a command's name in any spelling; None when there is none."""
    upper = name.upper()
    bound = SPELLINGS.get(upper)
    if bound is None:
        bound = _load_lazily(upper)
    if bound is not None and len(SPELLINGS) < MAX_SPELLINGS:
        SPELLINGS[name] = bound
    return bound


def _load_lazily(upper: bytes) -> Bound | None:
    spec = COMMANDS.get(upper.decode("latin-1"))
    if spec is None:
        return None
    _load(_families_of(spec.name))
    return SPELLINGS.get(upper)


def _families_of(name: str) -> tuple[str, ...]:
    if name.startswith(("Z", "BZ")):
        return _SORTED_SETS
    for table in (_COMMON_FAMILIES, _RARE_FAMILIES):
        for families, names in table.items():
            if name in names.split():
                return families
    return ()


def resolve(argv: list[bytes]) -> Bound:
    """The handler of a command whose arity is right.

    Raises CommandFailure for an unknown command and a wrong number of arguments.
    """
    bound = SPELLINGS.get(argv[0]) or lookup(argv[0])
    if bound is None:
        raise CommandFailure(_unknown_command(argv))
    if not bound[1] <= len(argv) <= bound[2]:
        raise CommandFailure(wrong_arity(argv[0]))
    return bound


def resolve_fully(argv: list[bytes]) -> Bound:
    """As `resolve`, and the subcommand's own handler and line for those that have one."""
    bound = resolve(argv)
    if bound[3].name in _SUBCOMMANDS and len(argv) > 1:
        return _resolve_subcommand(argv, bound[3].name)
    return bound


def run_subcommand(session: Session, argv: list[bytes]) -> Reply:
    """Execute the subcommand that `argv[1]` names."""
    # Not looked up in SPELLINGS, which has an end: the name may not be there as spelled.
    container = resolve(argv)[3].name
    handler, _, _, spec = _resolve_subcommand(argv, container)
    session.last_command = spec.name.encode()
    return handler(session, argv)


def _resolve_subcommand(argv: list[bytes], container: str) -> Bound:
    table = _SUBCOMMANDS[container]
    name = argv[1].upper()
    bound = table.get(name)
    if bound is None:
        # Some of the modules may be here because another one imports them.
        _load(_families_of(container))
        bound = table.get(name)
    if bound is None:
        if name == b"HELP" and len(argv) == 2:
            spec = subcommand_table()[f"{container}|HELP"]
            return _bound(_counted(_help, spec.name), spec)
        raise CommandFailure(
            b"ERR unknown subcommand '%s'. Try %s HELP." % (quote(argv[1]), argv[0].upper())
        )
    if not bound[1] <= len(argv) <= bound[2]:
        raise CommandFailure(wrong_arity(argv[0] + b"|" + argv[1]))
    return bound


def _help(session: Session, argv: list[bytes]) -> Reply:
    """The subcommands, and what each does."""
    container = argv[0].upper()
    lines = [b"%s <subcommand> [<arg> [value] [opt] ...]. Subcommands are:" % container]
    for name, bound in _SUBCOMMANDS[container.decode("latin-1")].items():
        lines += [name, b"    " + summary_of(bound[0]).encode()]
    return [Status(line) for line in [*lines, b"HELP", b"    Print this help."]]


def summary_of(handler: Handler) -> str:
    """What a handler does: the first sentence of its docstring."""
    paragraph = " ".join((handler.__doc__ or "").partition("\n\n")[0].split())
    sentence, stop, _ = paragraph.partition(". ")
    return sentence + stop.rstrip()


def wrong_arity(name: bytes) -> bytes:
    """The text of the error for a wrong number of arguments."""
    text = b"wrong number of arguments for '%s' command" % name.lower()
    if name.lower() == b"exec":
        return b"EXECABORT Transaction discarded because of: " + text
    return b"ERR " + text


def _unknown_command(argv: list[bytes]) -> bytes:
    quoted = b""
    for word in argv[1:]:
        if len(quoted) >= _QUOTED_BYTES:
            break
        quoted += b"'%s' " % quote(word, _QUOTED_BYTES - len(quoted))
    return b"ERR unknown command '%s', with args beginning with: %s" % (
        quote(argv[0]),
        quoted,
    )


def quote(word: bytes, most: int = _QUOTED_BYTES) -> bytes:
    """So much of a client's word as an error shows: up to a zero byte, as in C."""
    return word[:most].partition(b"\0")[0]
