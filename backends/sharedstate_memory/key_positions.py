"""The keys among the words of a command, and how the command uses each of them.

The table says where they are (`sharedstate.key_specs`); three commands have a syntax of
their own beside it. Words that make no sense are no matter here: a command with such
words fails without touching a key, so none is found.

The ways of counting are those of the handlers, so that no key is found here that the
command would not use, and none is missed that it would.
"""

from __future__ import annotations

from functools import cache

from sharedstate_memory.commands.arguments import parse_integer
from sharedstate_memory.replies import CommandFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TypeAlias

    from sharedstate.commands import CommandSpec
    from sharedstate.key_specs import KeySpec

    # The place of a key among the words, and the flags of its use.
    KeyUse: TypeAlias = tuple[int, tuple[str, ...]]

_READ = ("RO", "access")
_UPDATED = ("RW", "access", "update")
_REPLACED = ("OW", "update")

# What of BITFIELD only reads or asks, and how many words each has.
_BITFIELD_WORDS = {b"GET": 3, b"OVERFLOW": 2}

# SORT's options, and how many words follow each of them.
_SORT_WORDS = {b"LIMIT": 2, b"GET": 1, b"BY": 1, b"STORE": 1}


def keys_of(spec: CommandSpec, argv: list[bytes]) -> list[bytes]:
    """The keys of a command whose arity is right, in the order of the table.

    The usual command has them in a row, and costs one slice.
    """
    if "movablekeys" in spec.flags:
        return [argv[at] for at, _ in key_uses(spec, argv) or ()]
    if spec.first_key == 0 or "pubsub" in spec.flags:
        return []
    end = spec.last_key + 1 if spec.last_key >= 0 else len(argv) + spec.last_key + 1
    return argv[spec.first_key : end : spec.key_step]


def key_uses(spec: CommandSpec, argv: list[bytes]) -> list[KeyUse] | None:
    """The keys of a command, and how each is used. None if its words make no sense.

    Words that are missing are no matter either.
    """
    own = _OWN_SYNTAX.get(spec.name)
    if own is not None and len(argv) > 1:
        return [*own(argv)]
    uses: list[KeyUse] = []
    for place in _places_of(spec):
        if "not_key" in place.flags:
            continue
        found = _find(place, argv)
        if found is None:
            return None
        uses += [(at, place.flags) for at in found]
    return uses


def has_keys(spec: CommandSpec) -> bool:
    """Whether the command is one that takes keys at all."""
    return any("not_key" not in place.flags for place in _places_of(spec))


def _places_of(spec: CommandSpec) -> tuple[KeySpec, ...]:
    return _key_specs().get(spec.name, ())


@cache
def _key_specs() -> dict[str, tuple[KeySpec, ...]]:
    # Here, because a server starts sooner without what only few ask for.
    from sharedstate.key_specs import key_specs

    return key_specs()


def _find(place: KeySpec, argv: list[bytes]) -> range | None:
    first = place.first
    if first is None:
        return range(0)
    if place.is_counted:
        return _counted(place, first, argv)
    end = first + place.last if place.last >= 0 else len(argv) + place.last
    return range(first, min(end + 1, len(argv)), place.step)


def _counted(place: KeySpec, at: int, argv: list[bytes]) -> range | None:
    try:
        count = parse_integer(argv[at])
    except (CommandFailure, IndexError):
        return None
    first = at + place.offset
    if count < 1 or first + count * place.step > len(argv):
        return None
    return range(first, first + count * place.step, place.step)


# -- commands with a syntax of their own


def _of_set(argv: list[bytes]) -> Iterable[KeyUse]:
    """SET shows the old value only with GET."""
    shows = any(word.upper() == b"GET" for word in argv[3:])
    return ((1, _UPDATED if shows else _REPLACED),)


def _of_bitfield(argv: list[bytes]) -> Iterable[KeyUse]:
    """BITFIELD only reads while it has nothing but GET."""
    at = 2
    while at < len(argv):
        at += _BITFIELD_WORDS.get(argv[at].upper(), len(argv))
        if at > len(argv):
            return ((1, _UPDATED),)
    return ((1, _READ),)


def _of_sort(argv: list[bytes]) -> Iterable[KeyUse]:
    """SORT writes to what stands behind its last STORE."""
    at, target = 2, None
    while at < len(argv):
        option = argv[at].upper()
        length = _SORT_WORDS.get(option, 0)
        if option == b"STORE" and at + length < len(argv):
            target = at + 1
        at += length + 1
    if target is None:
        return ((1, _READ),)
    return ((1, _READ), (target, _REPLACED))


_OWN_SYNTAX: dict[str, Callable[[list[bytes]], Iterable[KeyUse]]] = {
    "SET": _of_set,
    "BITFIELD": _of_bitfield,
    "SORT": _of_sort,
}
