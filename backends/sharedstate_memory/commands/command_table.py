"""COMMAND: what is known of commands, and where the keys of one are.

Source: https://redis.io/docs/latest/commands/command/
"""

from __future__ import annotations

from functools import cache

from sharedstate.command_facts import group_of, successor_of, tips_of, version_of
from sharedstate.commands import COMMANDS, CommandSpec, subcommands
from sharedstate.key_specs import key_specs
from sharedstate_memory.commands.registry import (
    CONTAINERS,
    command,
    resolve_fully,
    run_subcommand,
    summary_of,
)
from sharedstate_memory.glob import compile_glob
from sharedstate_memory.key_positions import has_keys, key_uses
from sharedstate_memory.replies import SYNTAX_ERROR, CommandFailure, Members, Status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TypeAlias

    from sharedstate.key_specs import KeySpec
    from sharedstate_memory.key_positions import KeyUse
    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session

    Filter: TypeAlias = Callable[[CommandSpec], object]

_UNKNOWN = b"ERR Invalid command specified"
_WRONG_COUNT = b"ERR Invalid number of arguments specified for command"
_NO_KEYS = b"ERR The command has no key arguments"
_WRONG_WORDS = b"ERR Invalid arguments specified for command"

_OF_CONTAINERS = "Several commands about one subject."


def _find(name: bytes) -> CommandSpec | None:
    """The line of a command (`get`) or a subcommand (`client|id`)."""
    upper = name.upper().decode("latin-1")
    return COMMANDS.get(upper) or subcommands().get(upper)


def _subcommands_of(spec: CommandSpec) -> list[CommandSpec]:
    if spec.name not in CONTAINERS:
        return []
    prefix = spec.name + "|"
    return [each for name, each in subcommands().items() if name.startswith(prefix)]


# -- COMMAND and COMMAND INFO


@command("COMMAND")
def command_table(session: Session, argv: list[bytes]) -> Reply:
    """Facts about every command; with a subcommand, what that says."""
    if len(argv) == 1:
        return [_describe(spec) for spec in COMMANDS.values()]
    return run_subcommand(session, argv)


@command("COMMAND|COUNT")
def count(session: Session, argv: list[bytes]) -> Reply:
    """How many commands there are."""
    return len(COMMANDS)


@command("COMMAND|INFO")
def info(session: Session, argv: list[bytes]) -> Reply:
    """Facts about some commands."""
    if len(argv) == 2:
        return [_describe(spec) for spec in COMMANDS.values()]
    return [None if spec is None else _describe(spec) for spec in map(_find, argv[2:])]


@cache
def _describe(spec: CommandSpec) -> list[Reply]:
    return [
        spec.name.lower().encode(),
        spec.arity,
        _statuses(sorted(spec.flags)),
        spec.first_key,
        spec.last_key,
        spec.key_step,
        _statuses(sorted(spec.categories)),
        Members(tip.encode() for tip in tips_of(spec.name)),
        Members(_describe_keys(place) for place in key_specs().get(spec.name, ())),
        [_describe(each) for each in _subcommands_of(spec)] or Members(),
    ]


def _statuses(words: Iterable[str]) -> Members:
    return Members(Status(word.encode()) for word in words)


def _describe_keys(place: KeySpec) -> dict[bytes, Reply]:
    if place.first is None:
        search, find = _typed("unknown"), _typed("unknown")
    else:
        search = _typed("index", index=place.first)
        find = _describe_range(place)
    flags = _statuses(place.flags)
    return {b"flags": flags, b"begin_search": search, b"find_keys": find}


def _describe_range(place: KeySpec) -> dict[bytes, Reply]:
    if place.is_counted:
        return _typed("keynum", keynumidx=0, firstkey=place.offset, keystep=place.step)
    return _typed("range", lastkey=place.last, keystep=place.step, limit=0)


def _typed(kind: str, **spec: int) -> dict[bytes, Reply]:
    return {
        b"type": kind.encode(),
        b"spec": {name.encode(): value for name, value in spec.items()},
    }


# -- COMMAND LIST


@command("COMMAND|LIST")
def list_names(session: Session, argv: list[bytes]) -> Reply:
    """The names of commands, all or those that a filter lets pass."""
    passes = _read_filter(argv)
    every = (*COMMANDS.values(), *subcommands().values())
    return [spec.name.lower().encode() for spec in every if passes(spec)]


def _read_filter(argv: list[bytes]) -> Filter:
    if len(argv) == 2:
        return lambda spec: True
    if len(argv) != 5 or argv[2].upper() != b"FILTERBY":
        raise CommandFailure(SYNTAX_ERROR)
    kind, value = argv[3].upper(), argv[4].lower()
    if kind == b"MODULE":
        return lambda spec: False
    if kind == b"ACLCAT":
        category = "@" + value.decode("latin-1")
        return lambda spec: category in spec.categories
    if kind == b"PATTERN":
        matches = compile_glob(value)
        return lambda spec: matches(spec.name.lower().encode())
    raise CommandFailure(SYNTAX_ERROR)


# -- COMMAND DOCS


@command("COMMAND|DOCS")
def docs(session: Session, argv: list[bytes]) -> Reply:
    """What commands are for: redis-cli asks, to help who types."""
    specs = [*map(_find, argv[2:])] or [*COMMANDS.values()]
    return {spec.name.lower().encode(): _document(spec) for spec in specs if spec}


def _document(spec: CommandSpec) -> dict[bytes, Reply]:
    found: dict[bytes, Reply] = {
        b"summary": _summary(spec).encode(),
        b"since": version_of(spec.name).encode(),
        b"group": group_of(spec.name).encode(),
    }
    successor = successor_of(spec.name)
    if successor is not None:
        found[b"doc_flags"] = _statuses(["deprecated"])
        found[b"deprecated_since"] = successor[0].encode()
        found[b"replaced_by"] = successor[1].encode()
    parts = _subcommands_of(spec)
    if parts:
        found[b"subcommands"] = {
            part.name.lower().encode(): _document(part) for part in parts
        }
    return found


def _summary(spec: CommandSpec) -> str:
    """What the command does, as its handler says."""
    if spec.name in CONTAINERS and spec.name != "COMMAND":
        return _OF_CONTAINERS
    words = spec.name.encode().split(b"|")
    padding = [b""] * (abs(spec.arity) - len(words))
    return summary_of(resolve_fully([*words, *padding])[0])


# -- COMMAND GETKEYS


@command("COMMAND|GETKEYS")
def get_keys(session: Session, argv: list[bytes]) -> Reply:
    """The keys in the words of a command."""
    words = argv[2:]
    return [words[at] for at, _ in _uses(argv)]


@command("COMMAND|GETKEYSANDFLAGS")
def get_keys_and_flags(session: Session, argv: list[bytes]) -> Reply:
    """The keys in the words of a command, and what becomes of each."""
    words = argv[2:]
    return [[words[at], _statuses(flags)] for at, flags in _uses(argv)]


def _uses(argv: list[bytes]) -> list[KeyUse]:
    words = argv[2:]
    spec = _resolve(words)
    uses = key_uses(spec, words)
    if uses is None and "no_mandatory_keys" not in spec.flags:
        raise CommandFailure(_WRONG_WORDS)
    return uses or []


def _resolve(words: list[bytes]) -> CommandSpec:
    spec = COMMANDS.get(words[0].upper().decode("latin-1"))
    if spec is not None and spec.name in CONTAINERS and len(words) > 1:
        spec = _find(words[0] + b"|" + words[1])
    if spec is None:
        raise CommandFailure(_UNKNOWN)
    if not has_keys(spec):
        raise CommandFailure(_NO_KEYS)
    if not spec.accepts(len(words)):
        raise CommandFailure(_WRONG_COUNT)
    return spec
