"""Slots: what must lie together on a store that is spread over several nodes.

Such a store puts each key into one of 16,384 slots, and each slot on a node. One step (a
script, a transaction) has keys of one slot only. The slot is a checksum of the key, or of
its hash tag alone: what is between the first `{` and the next `}`, if there is anything.

All keys of a structure share a tag, `{kind:name}`, so that each structure lies in one slot
and structures are spread. Structures that one step needs are given names with a tag of
their own, `{shop}stock` and `{shop}sold`: that tag takes the place of the other.

    name            keys on the store               what decides of the slot
    stock           ss:{map:stock}:part             map:stock
    {shop}stock     ss:(map:{shop}stock):part       shop
    {shop}sold      ss:(counter:{shop}sold):part    shop

Source: https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/
"""

from __future__ import annotations

from binascii import crc_hqx
from typing import TYPE_CHECKING

from sharedstate.backend import Capability
from sharedstate.errors import ConfigError
from sharedstate.registry import get_registry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sharedstate.state import State
    from sharedstate.structures.base import Structure

SLOTS = 16_384


def hash_tag(key: str) -> str | None:
    """What decides of a key's slot in its place; None if all of it does."""
    _, opened, rest = key.partition("{")
    tag, closed, _ = rest.partition("}")
    return tag if opened and closed and tag else None


def slot_of(key: str) -> int:
    """The slot of a key, as Redis Cluster has it: CRC-16 (XMODEM), modulo the slots."""
    return crc_hqx((hash_tag(key) or key).encode(), 0) % SLOTS


def place_of(kind: str, name: str) -> str:
    """What stands for a structure in the names of its keys, and makes them share a slot."""
    if "{" in name and hash_tag(name):
        return f"({kind}:{name})"
    return f"{{{kind}:{name}}}"


def named_by(place: str) -> tuple[str, str] | None:
    """The kind and name of a structure, of a key that begins with its place."""
    inside = place[1:].rpartition("}:" if place.startswith("{") else "):")[0]
    kind, colon, name = inside.partition(":")
    return (kind, name) if colon else None


def check_one_slot(state: State, structures: Sequence[Structure]) -> None:
    """Raise `ConfigError` if one step cannot have the structures, on this state's store.

    No round trip where they share a slot, or the backend is of a kind that has none; else
    that of `state.capabilities`.
    """
    prefixes = {structure._context.prefix for structure in structures}
    if len({hash_tag(prefix) or prefix for prefix in prefixes}) == 1:
        return
    if not _is_spread(state) or len(set(map(slot_of, prefixes))) == 1:
        return
    names = [structure.name for structure in structures]
    raise ConfigError(
        f"the store of {state!r} is spread over nodes, and these names lie in different "
        f"slots: {', '.join(map(repr, names))}. Give them a common part in braces, which "
        f"then decides of the slot: "
        f"{', '.join(repr('{shared}' + name) for name in names)}"
    )


def _is_spread(state: State) -> bool:
    backend = get_registry().backend(state.settings.address.scheme)
    # What a kind of backend may be able to do is known without asking its store.
    may_be = Capability.SLOTS in backend.capabilities
    return may_be and Capability.SLOTS in state.capabilities
