"""The server: its time, its state, its commands, its end."""

from __future__ import annotations

import sys

from sharedstate.commands import COMMANDS, CommandSpec, find
from sharedstate_memory.blocking import NOT_SERVED
from sharedstate_memory.commands.arguments import parse_double, parse_integer
from sharedstate_memory.commands.registry import (
    command,
    lookup,
    run_subcommand,
    subcommands,
)
from sharedstate_memory.glob import compile_glob
from sharedstate_memory.information import describe
from sharedstate_memory.replies import (
    NO_REPLY,
    OK,
    SYNTAX_ERROR,
    CommandFailure,
    Status,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session

# DEBUG SLEEP stops everything: it is there for tests, which need no more than this.
MAX_SLEEP_S = 60.0

_SHUTDOWN_WORDS = frozenset((b"NOSAVE", b"SAVE", b"NOW", b"FORCE"))


@command("TIME")
def time(session: Session, argv: list[bytes]) -> Reply:
    """Seconds since the epoch, and microseconds of the second."""
    seconds, milliseconds = divmod(session.engine.now_ms, 1000)
    return [b"%d" % seconds, b"%d" % (milliseconds * 1000)]


@command("INFO")
def info(session: Session, argv: list[bytes]) -> Reply:
    """Facts about the server, by sections."""
    sections = {word.decode("latin-1").lower() for word in argv[1:]}
    return describe(session.engine, sections).encode()


@command("ROLE")
def role(session: Session, argv: list[bytes]) -> Reply:
    """What the server is to others: a primary without replicas."""
    return [b"master", 0, []]


@command("WAIT")
def wait(session: Session, argv: list[bytes]) -> Reply:
    """Wait for replicas to have the client's writes. There are none to wait for."""
    wanted = parse_integer(argv[1])
    timeout_ms = parse_integer(argv[2], b"ERR timeout is not an integer or out of range")
    if timeout_ms < 0:
        raise CommandFailure(b"ERR timeout is negative")
    if wanted <= 0:
        return 0
    return session.engine.waits.block(session, (), _never, null=0, timeout_ms=timeout_ms)


def _never(key: bytes) -> Reply:
    return NOT_SERVED


@command("SHUTDOWN")
def shutdown(session: Session, argv: list[bytes]) -> Reply:
    """Ask the owner of the engine to end."""
    if not {word.upper() for word in argv[1:]} <= _SHUTDOWN_WORDS:
        raise CommandFailure(SYNTAX_ERROR)
    if session.engine.on_shutdown is None:
        raise CommandFailure(b"ERR Errors trying to SHUTDOWN. Check logs.")
    session.engine.on_shutdown()
    return NO_REPLY


@command("CONFIG")
def config(session: Session, argv: list[bytes]) -> Reply:
    """The subcommands of CONFIG."""
    return run_subcommand(session, argv, _CONFIG)


def _config_get(session: Session, argv: list[bytes]) -> Reply:
    matchers = [compile_glob(pattern.lower()) for pattern in argv[2:]]
    return {
        name: value
        for name, value in session.engine.config.items()
        if any(matches(name) for matches in matchers)
    }


def _config_reset_statistics(session: Session, argv: list[bytes]) -> Reply:
    session.engine.processed = 0
    session.engine.expired_keys = 0
    return OK


@command("DEBUG")
def debug(session: Session, argv: list[bytes]) -> Reply:
    """The subcommands of DEBUG."""
    return run_subcommand(session, argv, _DEBUG)


def _debug_sleep(session: Session, argv: list[bytes]) -> Reply:
    from time import sleep

    seconds = parse_double(argv[2])
    sleep(min(max(seconds, 0.0), MAX_SLEEP_S))
    return OK


@command("COMMAND")
def command_table(session: Session, argv: list[bytes]) -> Reply:
    """What is known of commands."""
    if len(argv) == 1:
        return [_describe(spec) for spec in COMMANDS.values()]
    return run_subcommand(session, argv, _COMMAND)


def _command_count(session: Session, argv: list[bytes]) -> Reply:
    return len(COMMANDS)


def _command_info(session: Session, argv: list[bytes]) -> Reply:
    specs = [find(name) for name in argv[2:]] or list(COMMANDS.values())
    return [None if spec is None else _describe(spec) for spec in specs]


def _command_list(session: Session, argv: list[bytes]) -> Reply:
    if len(argv) > 2:
        raise CommandFailure(SYNTAX_ERROR)
    return [name.lower().encode() for name in COMMANDS]


def _command_docs(session: Session, argv: list[bytes]) -> Reply:
    """Names and summaries: redis-cli asks for them to complete what is typed."""
    names = argv[2:] or [name.encode() for name in COMMANDS]
    specs = [spec for spec in map(find, names) if spec is not None]
    return {spec.name.lower().encode(): _document(spec) for spec in specs}


def _command_keys(session: Session, argv: list[bytes]) -> Reply:
    spec = find(argv[2])
    words = argv[2:]
    if spec is None or not spec.accepts(len(words)):
        raise CommandFailure(b"ERR Invalid command specified")
    if spec.first_key == 0:
        raise CommandFailure(b"ERR The command has no key arguments")
    last = spec.last_key + len(words) if spec.last_key < 0 else spec.last_key
    return words[spec.first_key : last + 1 : spec.key_step]


def _describe(spec: CommandSpec) -> list[Reply]:
    flags = {Status(flag.encode()) for flag in spec.flags}
    keys = [spec.first_key, spec.last_key, spec.key_step]
    category = Status(b"@write" if spec.is_write else b"@read")
    categories = {category} if spec.first_key else set()
    name = spec.name.lower().encode()
    return [name, spec.arity, flags, *keys, categories, [], [], []]


def _document(spec: CommandSpec) -> dict[bytes, Reply]:
    bound = lookup(spec.name.encode())
    text = (bound[0].__doc__ or "") if bound is not None else ""
    return {b"summary": " ".join(text.split()).encode(), b"group": b"generic"}


_ANY = sys.maxsize

_CONFIG = subcommands(
    "CONFIG",
    {
        b"GET": (_config_get, 3, _ANY),
        b"RESETSTAT": (_config_reset_statistics, 2, 2),
    },
)

_DEBUG = subcommands(
    "DEBUG",
    {
        b"SLEEP": (_debug_sleep, 3, 3),
    },
)

_COMMAND = subcommands(
    "COMMAND",
    {
        b"COUNT": (_command_count, 2, 2),
        b"INFO": (_command_info, 2, _ANY),
        b"LIST": (_command_list, 2, _ANY),
        b"DOCS": (_command_docs, 2, _ANY),
        b"GETKEYS": (_command_keys, 4, _ANY),
    },
)
