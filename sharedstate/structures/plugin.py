"""The built-in structures. They come in by the same door as those of third parties."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharedstate.hookspecs import StructureRecord, hookimpl

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharedstate.structures.base import StructureContext


@hookimpl
def sharedstate_structures() -> list[StructureRecord]:
    """Map, counters, queue and lock. Each is imported when the first one is made."""
    return [
        StructureRecord("map", "A dict that processes share", _create_map),
        StructureRecord("counter", "A whole number that many add to", _create_counter),
        StructureRecord("float_counter", "A float that many add to", _create_float_counter),
        StructureRecord("queue", "Items in order, each for one taker", _create_queue),
        StructureRecord("lock", "One holder at a time, by lease", _create_lock),
    ]


def _create_map(context: StructureContext, options: Mapping[str, object]) -> object:
    from sharedstate.structures.map import Map

    return Map(context, options)


def _create_counter(context: StructureContext, options: Mapping[str, object]) -> object:
    from sharedstate.structures.counter import Counter

    return Counter(context, options)


def _create_float_counter(
    context: StructureContext, options: Mapping[str, object]
) -> object:
    from sharedstate.structures.counter import FloatCounter

    return FloatCounter(context, options)


def _create_queue(context: StructureContext, options: Mapping[str, object]) -> object:
    from sharedstate.structures.queue import Queue

    return Queue(context, options)


def _create_lock(context: StructureContext, options: Mapping[str, object]) -> object:
    from sharedstate.structures.lock import Lock

    return Lock(context, options)
