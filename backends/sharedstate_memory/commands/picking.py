"""Picking elements at random out of containers that have no positions.

A dict or a set is walked to the element that was drawn: linear, at about 5 ns an element.
"""

from __future__ import annotations

from itertools import islice

from sharedstate_memory.replies import CommandFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection
    from random import Random

# A negative count asks for as many elements as it says, however few there are. Redis
# would go on for ever; here one command may not take the machine's memory.
MAX_REPEATED = 2**24


def pick_one(random: Random, elements: Collection[bytes]) -> bytes:
    """One element of a container that is not empty."""
    return next(islice(elements, random.randrange(len(elements)), None))


def pick_distinct(random: Random, elements: Collection[bytes], count: int) -> list[bytes]:
    """So many different elements; all of them if there are no more."""
    if count >= len(elements):
        return list(elements)
    if count == 1:
        return [pick_one(random, elements)]
    return random.sample(list(elements), count)


def pick_many(random: Random, elements: Collection[bytes], count: int) -> list[bytes]:
    """So many elements, each drawn anew. None from an empty container."""
    if count > MAX_REPEATED:
        raise CommandFailure(b"ERR value is out of range")
    return random.choices(list(elements), k=count) if elements else []
