"""DEBUG: what tests need to know, and to do.

Nothing here is for programs: the subcommands are no part of the protocol, and a server
allows them to nobody unless `enable-debug-command` says so.
"""

from __future__ import annotations

from time import sleep

from sharedstate_memory.commands.arguments import parse_double, parse_natural
from sharedstate_memory.commands.registry import command, quote
from sharedstate_memory.replies import (
    OK,
    Attributes,
    BigNumber,
    CommandFailure,
    ErrorReply,
    Many,
    Push,
    Status,
    Verbatim,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sharedstate_memory.commands.registry import Handler
    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session

# It stops everything: it is there for tests, which need no more than this.
MAX_SLEEP_S = 60.0

_MAX_POPULATED = 10_000_000
_MAX_TESTED_BYTES = 1_000_000

_REFUSED = (
    b'ERR DEBUG command not allowed. If the enable-debug-command option is set to "local",'
    b" you can run it from a local connection, otherwise you need to set this option in"
    b" the configuration file, and then restart the server."
)
_RELOAD_WORDS = frozenset((b"NOSAVE", b"NOFLUSH", b"MERGE"))
_BAD_RELOAD = b"ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options."

_SUBCOMMANDS: dict[bytes, tuple[Handler, int, int, str]] = {}


def _subcommand(
    name: str, least: int, most: int, usage: str = ""
) -> Callable[..., Handler]:
    """Bind a handler to a subcommand that takes so many words after its name."""

    def bind(handler: Handler) -> Handler:
        _SUBCOMMANDS[name.encode()] = handler, least + 2, most + 2, usage
        return handler

    return bind


@command("DEBUG")
def debug(session: Session, argv: list[bytes]) -> Reply:
    """What tests need. The subcommands are no part of the protocol."""
    if not _is_allowed(session):
        raise CommandFailure(_REFUSED)
    entry = _SUBCOMMANDS.get(argv[1].upper())
    if entry is None or not entry[1] <= len(argv) <= entry[2]:
        raise CommandFailure(
            b"ERR unknown subcommand or wrong number of arguments for '%s'."
            b" Try DEBUG HELP." % quote(argv[1])
        )
    return entry[0](session, argv)


def _is_allowed(session: Session) -> bool:
    allowed: str = session.engine.settings["enable-debug-command"]
    if allowed == "local":
        return is_local(session)
    return allowed == "yes"


def is_local(session: Session) -> bool:
    """Whether a client is on this machine: in this process, by a Unix socket, or by a
    loopback address.
    """
    address = session.address
    if not address or address.startswith(b"/"):
        return True
    host = address.rpartition(b":")[0].strip(b"[]").removeprefix(b"::ffff:")
    return host.startswith(b"127.") or host == b"::1"


# Time.


@_subcommand("SLEEP", 1, 1, "<seconds>")
def _sleep(session: Session, argv: list[bytes]) -> Reply:
    """Stop everything for so many seconds, a minute at most. Decimals are allowed."""
    seconds = parse_double(argv[2])
    sleep(min(max(seconds, 0.0), MAX_SLEEP_S))
    return OK


@_subcommand("SET-ACTIVE-EXPIRE", 1, 1, "<0|1>")
def _set_active_expire(session: Session, argv: list[bytes]) -> Reply:
    """Let expired keys stay in memory until somebody asks for them (0), or not (1)."""
    session.engine.chores.expires_actively = argv[2] == b"1"
    return OK


# Content.


@_subcommand("DIGEST", 0, 0)
def _digest(session: Session, argv: list[bytes]) -> Reply:
    """A number that two servers share if they hold the same."""
    from sharedstate_memory.digest import digest_of_databases

    databases = session.engine.databases
    for db in databases:
        for key in [*db.deadlines]:
            db.expire_if_due(key)
    return Status(digest_of_databases(databases).encode())


@_subcommand("DIGEST-VALUE", 0, 1 << 20, "[<key> ...]")
def _digest_values(session: Session, argv: list[bytes]) -> Reply:
    """As DIGEST, of the values and deadlines of some keys, whatever their names."""
    from sharedstate_memory.digest import NOTHING, digest_of_content

    db = session.db
    digests = []
    for key in argv[2:]:
        digest = NOTHING if db.find(key) is None else digest_of_content(db, key)
        digests.append(Status(digest.encode()))
    return digests


@_subcommand("OBJECT", 1, 1, "<key>")
def _describe_object(session: Session, argv: list[bytes]) -> Reply:
    """What is known of a key besides its value."""
    from sharedstate_memory.commands.objects import encoding_of
    from sharedstate_memory.sizes import size_of

    value = session.db.find(argv[2])
    if value is None:
        raise CommandFailure(b"ERR no such key")
    now_s = session.engine.now_ms // 1000 & 0xFFFFFF
    return Status(
        b"Value at:0x%x refcount:1 encoding:%b serializedlength:%d lru:%d"
        b" lru_seconds_idle:0"
        % (id(value), encoding_of(session.engine.settings, value), size_of(value), now_s)
    )


@_subcommand("POPULATE", 1, 3, "<count> [<prefix> [<size>]]")
def _populate(session: Session, argv: list[bytes]) -> Reply:
    """Make so many keys `<prefix>:<number>` that are strings, unless they are there."""
    count = min(parse_natural(argv[2]), _MAX_POPULATED)
    prefix = argv[3] if argv[3:] else b"key"
    size_bytes = parse_natural(argv[4]) if argv[4:] else None
    db, effects = session.db, session.engine.effects
    for number in range(count):
        key, value = b"%b:%d" % (prefix, number), b"value:%d" % number
        if size_bytes is not None:
            value = value[:size_bytes].ljust(size_bytes, b"\0")
        if db.find(key) is None:
            db.put(key, value)
            if effects is not None:
                effects.add(db.index, [b"SET", key, value])
    if effects is not None:
        # The command itself is nothing that a log could repeat.
        effects.forget_command()
    return OK


# Replies.


@_subcommand("ERROR", 1, 1, "<text>")
def _error(session: Session, argv: list[bytes]) -> Reply:
    """Answer with an error of this text, which begins with its code."""
    raise CommandFailure(argv[2])


@_subcommand("PROTOCOL", 1, 1, "<type>")
def _protocol(session: Session, argv: list[bytes]) -> Reply:
    """Answer with a value of a type: string, integer, double, bignum, null, array, set,
    map, attrib, push, verbatim, true, false.
    """
    name = argv[2].lower()
    if name == b"push" and session.protocol == 2:
        return ErrorReply(b"ERR RESP2 is not supported by this command")
    if name == b"attrib" and session.protocol == 2:
        return _AFTER_ATTRIBUTE
    if name not in _SAMPLES:
        raise CommandFailure(
            b"ERR Wrong protocol type name. Please use one of the following: "
            + b"|".join(_SAMPLES)
        )
    return _SAMPLES[name]


_AFTER_ATTRIBUTE = b"Some real reply following the attribute"

_SAMPLES: dict[bytes, Reply] = {
    b"string": b"Hello World",
    b"integer": 12345,
    b"double": 3.141,
    b"bignum": BigNumber(b"1234567999999999999999999999999999999"),
    b"null": None,
    b"array": [0, 1, 2],
    b"set": {0, 1, 2},
    b"map": {0: False, 1: True, 2: False},
    b"attrib": Many([Attributes({b"key-popularity": [b"key:123", 90]}), _AFTER_ATTRIBUTE]),
    b"push": Many(
        [Push([b"server-cpu-usage", 42]), b"Some real reply following the push reply"]
    ),
    b"verbatim": Verbatim(b"This is a verbatim\nstring"),
    b"true": True,
    b"false": False,
}


# The rest.


@_subcommand("STRINGMATCH-LEN", 2, 2, "<length> <pattern>")
def _match(session: Session, argv: list[bytes]) -> Reply:
    """Match a pattern against a string of so many letters `a`."""
    from sharedstate_memory.glob import compile_glob

    length = min(parse_natural(argv[2]), _MAX_TESTED_BYTES)
    return int(bool(compile_glob(argv[3])(b"a" * length)))


@_subcommand("QUICKLIST-PACKED-THRESHOLD", 1, 1, "<size>")
def _accept_threshold(session: Session, argv: list[bytes]) -> Reply:
    """Accepted: lists have one form only, whatever is in them."""
    return OK


@_subcommand("LOG", 1, 1, "<text>")
def _log(session: Session, argv: list[bytes]) -> Reply:
    """Write a line to the log."""
    from sharedstate.log import get_logger

    get_logger("debug").warning("DEBUG LOG: %s", argv[2].decode("utf-8", "replace"))
    return OK


# What is on disk.


@_subcommand("RELOAD", 0, 1 << 20, "[NOSAVE] [NOFLUSH] [MERGE]")
def _reload(session: Session, argv: list[bytes]) -> Reply:
    """Save a snapshot (unless NOSAVE), remove every key (unless NOFLUSH), and load it
    again. With MERGE, a key that is there is replaced.
    """
    from sharedstate_memory.commands.persistence import persistence_of

    words = {word.upper() for word in argv[2:]}
    if not words <= _RELOAD_WORDS:
        raise CommandFailure(_BAD_RELOAD)
    persistence_of(session.engine).reload(
        saves=b"NOSAVE" not in words,
        flushes=b"NOFLUSH" not in words,
        merges=b"MERGE" in words,
    )
    return OK


@_subcommand("LOADAOF", 0, 0)
def _reload_log(session: Session, argv: list[bytes]) -> Reply:
    """Remove every key, and load the log again."""
    from sharedstate_memory.commands.persistence import persistence_of

    persistence_of(session.engine).reload_log()
    return OK


@_subcommand("FAILPOINT", 2, 2, "<name> <specification>")
def _set_failpoint(session: Session, argv: list[bytes]) -> Reply:
    """Let the disk fail at a named place: error:EIO, short:10, delay:50, kill or off;
    *3 behind it for three times, @5 from the fifth time on.
    """
    arm = session.engine.arm_failpoint
    if arm is None:
        raise CommandFailure(b"ERR this store has no failpoints: it has no files")
    try:
        arm(argv[2].decode("latin-1"), argv[3].decode("latin-1"))
    except ValueError as error:
        raise CommandFailure(b"ERR " + str(error).encode("latin-1")) from error
    return OK


@_subcommand("HELP", 0, 0)
def _help(session: Session, argv: list[bytes]) -> Reply:
    """Print this help."""
    lines = [b"DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"]
    for name, (handler, _, _, usage) in sorted(_SUBCOMMANDS.items()):
        lines.append(name + b" " + usage.encode() if usage else name)
        text = (handler.__doc__ or "").strip()
        lines += [b"    " + line.strip().encode() for line in text.splitlines()]
    return [Status(line) for line in lines]
