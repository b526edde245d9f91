"""Deadlocks, told to people. `deadlocks.lua` finds them."""

from __future__ import annotations

import json
import re

from sharedstate.errors import DeadlockError
from sharedstate.slots import named_by


def explain_deadlock(name: str, refusal: str) -> DeadlockError:
    """The error for a wait that would never end, from the store's refusal: a list of
    prefixes of keys and owners' values, the last of which is the waiter itself.
    """
    chain = json.loads(refusal.partition(" ")[2])
    names = [_name_in(prefix) for prefix in chain[0::2]]
    owners = [_place_of(value) for value in chain[1::2]]
    links = [
        f"{name!r} is held by {owner}, which waits for {next_name!r}"
        for name, owner, next_name in zip(names, owners, names[1:], strict=False)
    ]
    links.append(f"{names[-1]!r} is held by this thread ({owners[-1]})")
    advice = (
        "strategy='reentrant' lets a thread acquire again what it holds"
        if len(names) == 1
        else "acquire locks in the same order everywhere, or all at once (multilock), or "
        "give acquire a timeout"
    )
    return DeadlockError(
        f"waiting for the lock {name!r} would never end: {'; '.join(links)}. Nothing was "
        f"acquired; {advice}"
    )


def _name_in(prefix: str) -> str:
    """The name of a lock in the prefix of its keys: `ss:{lock:name}`."""
    place = re.search(r"ss:([{(].*)", prefix)
    found = None if place is None else named_by(f"{place[1]}:")
    return prefix if found is None else found[1]


def _place_of(value: str) -> str:
    """Who an owner is, in words: its process, thread, and where it acquired."""
    described = json.loads(value[value.index("{") :])
    words = f"pid {described['pid']} on {described['host']}, thread {described['thread']!r}"
    place = described.get("at")
    return f"{words}, acquired at {place}" if place else words
