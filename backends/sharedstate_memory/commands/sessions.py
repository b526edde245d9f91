"""SESSION: binding scripts to a connection. Redis has no such command.

The work is done in `sharedstate_memory.bindings`, which says what runs when.
"""

from __future__ import annotations

from sharedstate_memory.bindings import Binding, bindings_of
from sharedstate_memory.commands.arguments import parse_natural
from sharedstate_memory.commands.registry import command
from sharedstate_memory.replies import OK, CommandFailure
from sharedstate_memory.scripting import scripts_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate_memory.replies import Reply
    from sharedstate_memory.scripting import Program
    from sharedstate_memory.session import Session

MOST_KEEP_MS = 365 * 86_400_000
"""Nobody is kept more seldom than once a year."""

MOST_IDENTITY_BYTES = 256

# Where the words of BIND are that the scripts get.
_FIRST_WORD = 7

_BAD_INTERVAL = b"ERR keep-ms must be milliseconds, at most a year, or 0 for never"
_UNPAIRED = b"ERR a keep script needs a keep-ms above 0, and none an empty name of it and 0"
_TOO_MANY_KEYS = b"ERR Number of keys can't be greater than number of args"
_BAD_COUNT = b"ERR Number of keys must be a number, and not negative"
_BAD_IDENTITY = b"ERR an identity has 1 to %d bytes" % MOST_IDENTITY_BYTES


@command("SESSION|BIND")
def bind(session: Session, argv: list[bytes]) -> Reply:
    """SESSION BIND name keep-ms end-sha keep-sha numkeys [key …] [arg …]: run a loaded
    script when this client has gone, and another one every keep-ms until then.
    """
    _, _, name, interval, end_sha, keep_sha, count = argv[:_FIRST_WORD]
    keep_ms = parse_natural(interval, _BAD_INTERVAL)
    if keep_ms > MOST_KEEP_MS:
        raise CommandFailure(_BAD_INTERVAL)
    if bool(keep_ms) is not bool(keep_sha):
        raise CommandFailure(_UNPAIRED)
    key_count = parse_natural(count, _BAD_COUNT)
    if key_count > len(argv) - _FIRST_WORD:
        raise CommandFailure(_TOO_MANY_KEYS)
    scripts = scripts_of(session)
    end = scripts.find(end_sha)
    keep: Program | None = scripts.find(keep_sha) if keep_sha else None
    words = argv[_FIRST_WORD:]
    binding = Binding(name, end, keep, keep_ms, key_count=key_count, words=words)
    bindings_of(session).bind(session, binding)
    return OK


@command("SESSION|UNBIND")
def unbind(session: Session, argv: list[bytes]) -> Reply:
    """Forget bindings of this connection without running anything, and tell how many."""
    if session.bound is None:
        return 0
    bindings = bindings_of(session)
    return sum(bindings.unbind(session, name) for name in argv[2:])


@command("SESSION|IDENTIFY")
def identify(session: Session, argv: list[bytes]) -> Reply:
    """Say which client this is: what a former connection of it has bound is forgotten."""
    if not 0 < len(argv[2]) <= MOST_IDENTITY_BYTES:
        raise CommandFailure(_BAD_IDENTITY)
    bindings_of(session).identify(session, argv[2])
    return OK


@command("SESSION|LIST")
def list_bindings(session: Session, argv: list[bytes]) -> Reply:
    """What is bound to this connection."""
    if session.bound is None:
        return []
    return [_describe(binding) for binding in session.bound.by_name.values()]


def _describe(binding: Binding) -> Reply:
    count = binding.key_count
    return {
        b"name": binding.name,
        b"keep-ms": binding.keep_ms,
        b"end": binding.end.label,
        b"keep": b"" if binding.keep is None else binding.keep.label,
        b"keys": [*binding.words[:count]],
        b"arguments": [*binding.words[count:]],
    }
