"""Which function executes which command.

A family's module binds its handlers with `@command("NAME")`; the name must be in the
table of `sharedstate.commands`, where arity and flags come from. A handler is a function
of a session and the words of the command, its name included, as they came. It returns a
reply or raises `CommandFailure`.

`SPELLINGS` is what the hot path looks up: names in the spellings seen so far, so that a
command costs one dict access and no change of case. Each entry is a plain tuple, because
unpacking one is several times quicker than reading attributes.

Families that need a library load when one of their commands is first used.
"""

from __future__ import annotations

import sys
from importlib import import_module

from sharedstate.commands import COMMANDS, CommandSpec
from sharedstate_memory.replies import CommandFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session

    Handler: TypeAlias = Callable[[Session, list[bytes]], Reply]
    Bound: TypeAlias = tuple[Handler, int, int, CommandSpec]
    Subcommand: TypeAlias = tuple[Handler, int, int]

SPELLINGS: dict[bytes, Bound] = {}
"""Handler, least words, most words, and the table's line, by name as spelled."""

_SUBCOMMANDS: dict[str, dict[bytes, Subcommand]] = {}

# Every mixed spelling of a name gets an entry; a client that plays with case must not
# make the dict grow without end.
MAX_SPELLINGS = 1024

# How much of an unknown command is quoted in the error, as Redis does.
_QUOTED_BYTES = 128

_FAMILIES = (
    "strings",
    "string_ranges",
    "numbers",
    "keys",
    "key_expiry",
    "scans",
    "hashes",
    "lists",
    "list_moves",
    "sets",
    "transactions",
    "channels",
    "connection",
    "clients",
    "server",
)

_LAZY_FAMILIES = {
    "sorted_sets": ("sorted_sets", "sorted_set_ranges", "sorted_set_pops"),
    "scripting": ("scripting",),
}


def command(*names: str) -> Callable[[Handler], Handler]:
    """Bind a handler to the commands of these names.

    Raises LookupError for a name that is not in the table.
    """

    def bind(handler: Handler) -> Handler:
        for name in names:
            if name not in COMMANDS:
                raise LookupError(f"{name} is not in the command table")
            spec = COMMANDS[name]
            most = spec.arity if spec.arity > 0 else sys.maxsize
            bound = (handler, abs(spec.arity), most, spec)
            SPELLINGS[name.encode()] = SPELLINGS[name.lower().encode()] = bound
        return handler

    return bind


def load_families() -> None:
    """Import the modules of the common families, which bind their handlers."""
    for family in _FAMILIES:
        import_module(f"sharedstate_memory.commands.{family}")


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
    is_sorted_set = spec.name.startswith(("Z", "BZ"))
    for family in _LAZY_FAMILIES["sorted_sets" if is_sorted_set else "scripting"]:
        import_module(f"sharedstate_memory.commands.{family}")
    return SPELLINGS.get(upper)


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
        quoted += b"'%s' " % word[: _QUOTED_BYTES - len(quoted)]
    name = argv[0][:_QUOTED_BYTES]
    return b"ERR unknown command '%s', with args beginning with: %s" % (name, quoted)


def subcommands(container: str, table: dict[bytes, Subcommand]) -> dict[bytes, Subcommand]:
    """Make the subcommands of a command known, so that a transaction can check them
    before it queues one. Returns the table.
    """
    _SUBCOMMANDS[container] = table
    return table


def resolve_fully(argv: list[bytes]) -> Bound:
    """As `resolve`, with the subcommand checked too."""
    bound = resolve(argv)
    table = _SUBCOMMANDS.get(bound[3].name)
    if table is not None and len(argv) > 1:
        _resolve_subcommand(argv, table)
    return bound


def run_subcommand(
    session: Session, argv: list[bytes], table: dict[bytes, Subcommand]
) -> Reply:
    """Execute the subcommand that `argv[1]` names, out of a table by upper-case name."""
    return _resolve_subcommand(argv, table)(session, argv)


def _resolve_subcommand(argv: list[bytes], table: dict[bytes, Subcommand]) -> Handler:
    container, name = argv[0], argv[1]
    entry = table.get(name.upper())
    if entry is None:
        raise CommandFailure(
            b"ERR unknown subcommand '%s'. Try %s HELP."
            % (name[:_QUOTED_BYTES], container.upper())
        )
    handler, least, most = entry
    if not least <= len(argv) <= most:
        raise CommandFailure(wrong_arity(container + b"|" + name))
    return handler
